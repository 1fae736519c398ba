/* SPDX-License-Identifier: MIT */
#include "notifier.h"

#include "args.h"
#include "error.h"

namespace aio {

namespace {

void Finalize(napi_env, void* data, void*) { delete static_cast<Notifier*>(static_cast<Handle*>(data)); }

// notifierNew(active)
napi_value New(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  GError* error = nullptr;
  AioNotifier* notifier = aio_notifier_new(arguments.Boolean(0), &error);
  if (notifier == nullptr) return Throw(arguments.environment(), error);
  return ToExternal(env, new Notifier(notifier), Finalize);
}

// notifierFd(notifier): -1 if it is closed.
napi_value Fd(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Notifier* notifier = arguments.Get<Notifier>(0);
  return notifier ? ToNumber(env, aio_notifier_get_fd(notifier->notifier)) : nullptr;
}

napi_value Set(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Notifier* notifier = arguments.Get<Notifier>(0);
  GError* error = nullptr;
  if (notifier != nullptr && !aio_notifier_set(notifier->notifier, &error)) Throw(arguments.environment(), error);
  return nullptr;
}

napi_value TestAndClear(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Notifier* notifier = arguments.Get<Notifier>(0);
  if (notifier == nullptr) return nullptr;
  if (aio_notifier_get_fd(notifier->notifier) < 0)
    return Throw(arguments.environment(), AIO_ERROR_CLOSED, "The notifier is closed");
  return ToValue(env, aio_notifier_test_and_clear(notifier->notifier));
}

napi_value Close(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  if (Notifier* notifier = arguments.Get<Notifier>(0)) aio_notifier_close(notifier->notifier);
  return nullptr;
}

constexpr Method kMethods[] = {
    {"notifierNew", New},     {"notifierFd", Fd}, {"notifierSet", Set}, {"notifierTestAndClear", TestAndClear},
    {"notifierClose", Close},
};

}  // namespace

void DefineNotifier(Environment& environment, napi_value exports) { Define(environment, exports, kMethods); }

}  // namespace aio
