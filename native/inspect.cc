/* SPDX-License-Identifier: MIT */
#include "inspect.h"

#include "args.h"
#include "context.h"

namespace aio {

namespace {

Napi::Value ToText(Napi::Env env, const char* text) { return text ? Napi::String::New(env, text) : env.Null(); }

Napi::Boolean ToBoolean(Napi::Env env, gboolean value) { return Napi::Boolean::New(env, value); }

const char* ClockName(AioClockType clock) {
  switch (clock) {
    case AIO_CLOCK_REALTIME:
      return "realtime";
    case AIO_CLOCK_VIRTUAL:
      return "virtual";
    case AIO_CLOCK_HOST:
      return "host";
    case AIO_CLOCK_VIRTUAL_RT:
      return "virtualRt";
    default:
      return "manual";
  }
}

Napi::Object ToObject(Napi::Env env, const AioHandlerInfo& handler) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("fd", handler.fd);
  object.Set("name", ToText(env, handler.name));
  object.Set("kind", ToText(env, handler.fd_kind));
  object.Set("target", ToText(env, handler.fd_target));
  object.Set("read", ToBoolean(env, handler.read));
  object.Set("write", ToBoolean(env, handler.write));
  object.Set("poll", ToBoolean(env, handler.poll));
  object.Set("pollStarted", ToBoolean(env, handler.poll_started));
  object.Set("pollNs", Napi::BigInt::New(env, handler.poll_ns));
  object.Set("external", ToBoolean(env, handler.external));
  object.Set("dead", ToBoolean(env, handler.dead));
  object.Set("parked", ToBoolean(env, handler.parked));
  object.Set("heldBack", ToBoolean(env, handler.held_back));
  return object;
}

Napi::Object ToObject(Napi::Env env, const AioTimerInfo& timer) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", ToText(env, timer.name));
  object.Set("clock", ClockName(timer.clock));
  object.Set("manualClock", timer.clock == AIO_CLOCK_MANUAL ? Napi::Number::New(env, timer.manual_clock) : env.Null());
  object.Set("enabled", ToBoolean(env, timer.enabled));
  object.Set("external", ToBoolean(env, timer.external));
  object.Set("expireNs", Napi::BigInt::New(env, timer.expire_ns));
  object.Set("remainingNs", Napi::BigInt::New(env, timer.remaining_ns));
  return object;
}

Napi::Object ToObject(Napi::Env env, const AioBhInfo& bh) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("name", ToText(env, bh.name));
  object.Set("scheduled", ToBoolean(env, bh.scheduled));
  object.Set("idle", ToBoolean(env, bh.idle));
  object.Set("oneshot", ToBoolean(env, bh.oneshot));
  return object;
}

template <class Info>
Napi::Array ToArray(Napi::Env env, const Info* infos, guint count) {
  Napi::Array array = Napi::Array::New(env, count);
  for (guint i = 0; i < count; i++) {
    Napi::HandleScope scope(env);
    array.Set(i, ToObject(env, infos[i]));
  }
  return array;
}

// contextInspect(context)
napi_value Inspect(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  AioContext* open = GetOpen(arguments);
  if (open == nullptr) return nullptr;

  g_autoptr(AioSnapshot) snapshot = aio_context_inspect(open);
  if (snapshot == nullptr) return nullptr;
  Napi::Object result = Napi::Object::New(env);
  result.Set("externalDisabled", ToBoolean(env, aio_context_external_disabled(open)));
  result.Set("pollStarted", ToBoolean(env, snapshot->poll_started));
  result.Set("pollMaxNs", Napi::BigInt::New(env, snapshot->poll_max_ns));
  result.Set("handlers", ToArray(env, snapshot->handlers, snapshot->n_handlers));
  result.Set("timers", ToArray(env, snapshot->timers, snapshot->n_timers));
  result.Set("bottomHalves", ToArray(env, snapshot->bhs, snapshot->n_bhs));
  return result;
}

constexpr Method kMethods[] = {
    {"contextInspect", Inspect},
};

}  // namespace

void DefineInspect(Environment& environment, napi_value exports) { Define(environment, exports, kMethods); }

}  // namespace aio
