/* SPDX-License-Identifier: MIT */
#include "timer.h"

#include "args.h"
#include "callback.h"
#include "clock.h"
#include "context.h"
#include "error.h"

namespace aio {

namespace {

AioTimer* TimerOf(const Registration& registration) { return static_cast<AioTimer*>(registration.object()); }

// Periods that have passed already are left out, so that a late loop does not fire a burst.
void ArmNext(const Registration& registration) {
  AioTimer* timer = TimerOf(registration);
  Period& period = registration.environment().periods[registration.slot()];
  int64_t now = aio_clock_get_ns(aio_timer_get_clock(timer));
  if (now >= period.next_ns) period.next_ns = now - (now - period.next_ns) % period.interval_ns;
  if (__builtin_add_overflow(period.next_ns, period.interval_ns, &period.next_ns)) period.next_ns = INT64_MAX;
  aio_timer_mod_ns(timer, period.next_ns);
}

void SetOnce(Registration& registration) {
  if (registration.periodic) registration.environment().periods.erase(registration.slot());
  registration.periodic = false;
}

void SetPeriodic(Registration& registration, int64_t interval_ns, int64_t next_ns) {
  registration.environment().periods[registration.slot()] = {interval_ns, next_ns};
  registration.periodic = true;
}

void Run(gpointer data) {
  auto* registration = static_cast<Registration*>(data);
  if (registration->periodic) ArmNext(*registration);
  registration->Call();
}

// timerNew(context, clock, external, name, slot)
napi_value New(napi_env env, napi_callback_info info) {
  Arguments<5> arguments(env, info);
  Registration* registration = arguments.environment().slots->Claim(arguments.Uint32(4), CallbackKind::kTimer);
  AioContext* open = GetOpen(arguments);
  Clock* clock = open ? arguments.Get<Clock>(1) : nullptr;
  if (clock == nullptr)
    Registration::Destroy(registration);
  else
    registration->Share(aio_timer_new_boxed(open, clock->clock, AIO_TIMER_SCALE_NS,
                                            arguments.Boolean(2) ? AIO_TIMER_ATTR_EXTERNAL : AIO_TIMER_ATTR_NONE,
                                            Name(env, arguments[3]), Run, registration, Registration::Destroy));
  return nullptr;
}

// The timer that a method is called on, or nullptr with the error thrown.
template <size_t N>
Registration* GetOpenTimer(const Arguments<N>& arguments) {
  Registration* registration = arguments.Get(0, CallbackKind::kTimer);
  if (registration == nullptr || G_LIKELY(aio_timer_get_clock(TimerOf(*registration)) != nullptr)) return registration;
  Throw(arguments.environment(), AIO_ERROR_CLOSED, "The timer is closed");
  return nullptr;
}

// Arms it @delay_ns from now; false if the clock does not reach that far.
bool ArmAfter(Registration& registration, int64_t delay_ns, int64_t interval_ns) {
  AioTimer* timer = TimerOf(registration);
  int64_t expire_ns;
  if (__builtin_add_overflow(aio_clock_get_ns(aio_timer_get_clock(timer)), delay_ns, &expire_ns)) return false;
  if (interval_ns > 0)
    SetPeriodic(registration, interval_ns, expire_ns);
  else
    SetOnce(registration);
  aio_timer_mod_ns(timer, expire_ns);
  return true;
}

// timerAfterNs(timer, delayNs)
napi_value After(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Registration* timer = GetOpenTimer(arguments);
  if (timer != nullptr && !ArmAfter(*timer, MAX(arguments.Int64(1), 0), 0))
    ThrowRange(arguments.environment(), "The delay ends after the last nanosecond of the clock");
  return nullptr;
}

// timerEveryNs(timer, intervalNs)
napi_value Every(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Registration* timer = GetOpenTimer(arguments);
  int64_t interval_ns = MAX(arguments.Int64(1), 1);
  if (timer != nullptr && !ArmAfter(*timer, interval_ns, interval_ns))
    ThrowRange(arguments.environment(), "The interval ends after the last nanosecond of the clock");
  return nullptr;
}

// timerModNs(timer, expireNs)
napi_value Mod(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Registration* timer = GetOpenTimer(arguments);
  if (timer == nullptr) return nullptr;
  SetOnce(*timer);
  aio_timer_mod_ns(TimerOf(*timer), arguments.Int64(1));
  return nullptr;
}

// timerAnticipateNs(timer, expireNs): the period of every() goes on from there.
napi_value Anticipate(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Registration* timer = GetOpenTimer(arguments);
  if (timer == nullptr) return nullptr;
  aio_timer_mod_anticipate_ns(TimerOf(*timer), arguments.Int64(1));
  if (timer->periodic)
    arguments.environment().periods[timer->slot()].next_ns = aio_timer_expire_time_ns(TimerOf(*timer));
  return nullptr;
}

napi_value Del(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Registration* timer = GetOpenTimer(arguments);
  if (timer == nullptr) return nullptr;
  SetOnce(*timer);
  aio_timer_del(TimerOf(*timer));
  return nullptr;
}

napi_value Close(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  if (Registration* timer = arguments.Get(0, CallbackKind::kTimer)) {
    SetOnce(*timer);
    aio_timer_close(TimerOf(*timer));
  }
  return nullptr;
}

napi_value IsPending(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Registration* timer = arguments.Get(0, CallbackKind::kTimer);
  return timer ? ToValue(env, aio_timer_pending(TimerOf(*timer))) : nullptr;
}

// timerExpireNs(timer): null if it is not pending.
napi_value Expire(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Registration* timer = arguments.Get(0, CallbackKind::kTimer);
  if (timer == nullptr) return nullptr;
  int64_t expire_ns = aio_timer_expire_time_ns(TimerOf(*timer));
  if (expire_ns >= 0) return ToBigInt(env, expire_ns);
  napi_value none = nullptr;
  napi_get_null(env, &none);
  return none;
}

constexpr Method kMethods[] = {
    {"timerNew", New},     {"timerAfterNs", After},           {"timerEveryNs", Every},
    {"timerModNs", Mod},   {"timerAnticipateNs", Anticipate}, {"timerDel", Del},
    {"timerClose", Close}, {"timerIsPending", IsPending},     {"timerExpireNs", Expire},
};

}  // namespace

void DefineTimer(Environment& environment, napi_value exports) { Define(environment, exports, kMethods); }

}  // namespace aio
