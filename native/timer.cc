/* SPDX-License-Identifier: MIT */
#include "timer.h"

#include "args.h"
#include "callback.h"
#include "clock.h"
#include "context.h"
#include "error.h"

namespace aio {

namespace {

// What C has of a timer: its callback, and the period of every().
struct Period {
  const std::unique_ptr<Registration> registration;
  AioClock* const clock;  // a reference
  AioTimer* timer = nullptr;
  int64_t interval_ns = 0;  // 0: fires once
  int64_t next_ns = 0;      // when it fires next, if it has an interval

  Period(std::unique_ptr<Registration> registration, AioClock* clock)
      : registration(std::move(registration)), clock(aio_clock_ref(clock)) {}
  ~Period() { aio_clock_unref(clock); }

  // Periods that have passed already are left out, so that a late loop does not fire a burst.
  void ArmNext() {
    int64_t now = aio_clock_get_ns(clock);
    int64_t missed = now >= next_ns ? (now - next_ns) / interval_ns : 0;
    if (__builtin_mul_overflow(missed + 1, interval_ns, &missed) || __builtin_add_overflow(next_ns, missed, &next_ns))
      next_ns = INT64_MAX;
    aio_timer_mod_ns(timer, next_ns);
  }

  static void Run(gpointer data) {
    Period* period = static_cast<Period*>(data);
    if (period->interval_ns > 0) period->ArmNext();
    period->registration->Call();
  }

  static void Destroy(gpointer data) { delete static_cast<Period*>(data); }
};

// The handle of a timer.
struct Timer : Handle {
  static constexpr HandleKind kKind = HandleKind::kTimer;

  const std::shared_ptr<OwnedContext> owned;
  AioTimer* const timer;  // a reference
  Period* const period;   // C's; there while this is open
  bool closed = false;

  Timer(std::shared_ptr<OwnedContext> owned, AioTimer* timer, Period* period)
      : Handle{kKind}, owned(std::move(owned)), timer(timer), period(period) {}

  ~Timer() {
    Close();
    aio_timer_unref(timer);
  }

  void Close() {
    if (closed) return;
    closed = true;
    aio_timer_close(timer);
  }

  bool IsOpen() const { return !closed && owned->IsOpen(); }
};

void Finalize(napi_env, void* data, void*) { delete static_cast<Timer*>(static_cast<Handle*>(data)); }

// timerNew(context, clock, external, name, slot)
napi_value New(napi_env env, napi_callback_info info) {
  Arguments<5> arguments(env, info);
  auto registration = std::make_unique<Registration>(arguments.environment(), arguments.Uint32(4));
  Context* context = arguments.Get<Context>(0);
  if (context == nullptr) return nullptr;
  AioContext* open = GetOpen(arguments.environment(), *context);
  if (open == nullptr) return nullptr;
  Clock* clock = arguments.Get<Clock>(1);
  if (clock == nullptr) return nullptr;

  auto* period = new Period(std::move(registration), clock->clock);
  period->timer = aio_timer_new_boxed(open, clock->clock, AIO_TIMER_SCALE_NS,
                                      arguments.Boolean(2) ? AIO_TIMER_ATTR_EXTERNAL : AIO_TIMER_ATTR_NONE,
                                      Name(env, arguments[3]), Period::Run, period, Period::Destroy);
  return ToExternal(env, new Timer(context->owned, period->timer, period), Finalize);
}

// The timer that a method is called on, or nullptr with the error thrown.
template <size_t N>
Timer* GetOpenTimer(const Arguments<N>& arguments) {
  Timer* timer = arguments.template Get<Timer>(0);
  if (timer == nullptr || G_LIKELY(timer->IsOpen())) return timer;
  Throw(arguments.environment(), AIO_ERROR_CLOSED, "The timer is closed");
  return nullptr;
}

// Arms it @delay_ns from now; false if the clock does not reach that far.
bool ArmAfter(Timer* timer, int64_t delay_ns, int64_t interval_ns) {
  int64_t expire_ns;
  if (__builtin_add_overflow(aio_clock_get_ns(timer->period->clock), delay_ns, &expire_ns)) return false;
  timer->period->interval_ns = interval_ns;
  timer->period->next_ns = expire_ns;
  aio_timer_mod_ns(timer->timer, expire_ns);
  return true;
}

// timerAfterNs(timer, delayNs)
napi_value After(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Timer* timer = GetOpenTimer(arguments);
  if (timer != nullptr && !ArmAfter(timer, MAX(arguments.Int64(1), 0), 0))
    ThrowRange(arguments.environment(), "The delay ends after the last nanosecond of the clock");
  return nullptr;
}

// timerEveryNs(timer, intervalNs)
napi_value Every(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Timer* timer = GetOpenTimer(arguments);
  int64_t interval_ns = MAX(arguments.Int64(1), 1);
  if (timer != nullptr && !ArmAfter(timer, interval_ns, interval_ns))
    ThrowRange(arguments.environment(), "The interval ends after the last nanosecond of the clock");
  return nullptr;
}

// timerModNs(timer, expireNs)
napi_value Mod(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Timer* timer = GetOpenTimer(arguments);
  if (timer == nullptr) return nullptr;
  timer->period->interval_ns = 0;
  aio_timer_mod_ns(timer->timer, arguments.Int64(1));
  return nullptr;
}

// timerAnticipateNs(timer, expireNs): the period of every() goes on from there.
napi_value Anticipate(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Timer* timer = GetOpenTimer(arguments);
  if (timer == nullptr) return nullptr;
  aio_timer_mod_anticipate_ns(timer->timer, arguments.Int64(1));
  timer->period->next_ns = aio_timer_expire_time_ns(timer->timer);
  return nullptr;
}

napi_value Del(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Timer* timer = GetOpenTimer(arguments);
  if (timer == nullptr) return nullptr;
  timer->period->interval_ns = 0;
  aio_timer_del(timer->timer);
  return nullptr;
}

napi_value Close(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  if (Timer* timer = arguments.Get<Timer>(0)) timer->Close();
  return nullptr;
}

napi_value IsPending(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Timer* timer = arguments.Get<Timer>(0);
  return timer ? ToValue(env, aio_timer_pending(timer->timer)) : nullptr;
}

// timerExpireNs(timer): null if it is not pending.
napi_value Expire(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Timer* timer = arguments.Get<Timer>(0);
  if (timer == nullptr) return nullptr;
  int64_t expire_ns = aio_timer_expire_time_ns(timer->timer);
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
