/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include "args.h"
#include "callback.h"

namespace aio {

namespace {

void Finalize(napi_env, void* data, void*) { delete static_cast<Clock*>(static_cast<Handle*>(data)); }

// clockGet(type): one of the four of the process.
napi_value Get(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  int32_t type = arguments.Int32(0);
  if (type < AIO_CLOCK_REALTIME || type >= AIO_CLOCK_MANUAL) return nullptr;
  return ToExternal(env, new Clock(aio_clock_get(static_cast<AioClockType>(type))), Finalize);
}

// clockManual(startNs)
napi_value Manual(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  return ToExternal(env, new Clock(aio_clock_new_manual(arguments.Int64(0))), Finalize);
}

napi_value NowNs(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Clock* clock = arguments.Get<Clock>(0);
  return clock ? ToBigInt(env, aio_clock_get_ns(clock->clock)) : nullptr;
}

// clockNow(clock): milliseconds. The division is exact to the nearest double.
napi_value Now(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Clock* clock = arguments.Get<Clock>(0);
  if (clock == nullptr) return nullptr;
  return ToNumber(env, static_cast<double>(static_cast<long double>(aio_clock_get_ns(clock->clock)) / 1000000.0L));
}

template <void (*function)(AioClock*, gint64)>
napi_value Move(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Clock* clock = arguments.Get<Clock>(0);
  if (clock != nullptr && aio_clock_get_clock_type(clock->clock) == AIO_CLOCK_MANUAL)
    function(clock->clock, arguments.Int64(1));
  return nullptr;
}

napi_value IsEnabled(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Clock* clock = arguments.Get<Clock>(0);
  return clock ? ToValue(env, aio_clock_get_enabled(clock->clock)) : nullptr;
}

// clockSetEnabled(clock, enabled): for a Worker that is terminated the wait for other threads ends early.
napi_value SetEnabled(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Environment& environment = arguments.environment();
  if (Clock* clock = arguments.Get<Clock>(0))
    aio_clock_set_enabled_while(clock->clock, arguments.Boolean(1), UntilTerminated(environment), &environment);
  return nullptr;
}

// clockDeadlineNs(clock, external): -1 for none.
napi_value Deadline(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Clock* clock = arguments.Get<Clock>(0);
  if (clock == nullptr) return nullptr;
  AioTimerAttributes mask = arguments.Boolean(1) ? AIO_TIMER_ATTR_EXTERNAL : AIO_TIMER_ATTR_NONE;
  return ToBigInt(env, aio_clock_deadline_ns_all(clock->clock, mask));
}

constexpr Method kMethods[] = {
    {"clockGet", Get},
    {"clockManual", Manual},
    {"clockNowNs", NowNs},
    {"clockNow", Now},
    {"clockSetNs", Move<aio_clock_set_ns>},
    {"clockAdvanceNs", Move<aio_clock_advance_ns>},
    {"clockIsEnabled", IsEnabled},
    {"clockSetEnabled", SetEnabled},
    {"clockDeadlineNs", Deadline},
};

}  // namespace

void DefineClock(Environment& environment, napi_value exports) { Define(environment, exports, kMethods); }

}  // namespace aio
