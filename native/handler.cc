/* SPDX-License-Identifier: MIT */
#include "handler.h"

#include "args.h"
#include "callback.h"
#include "context.h"
#include "error.h"
#include "notifier.h"

namespace aio {

namespace {

constexpr int32_t kNoSlot = -1;

// What C has of a handler: a slot for each of its callbacks.
class HandlerRegistration {
 public:
  HandlerRegistration(Environment& environment, int32_t read, int32_t write, int32_t error)
      : environment_(environment), read_(read), write_(write), error_(error) {
    for (int32_t slot : {read_, write_, error_})
      if (slot != kNoSlot) claimed_[count_++] = environment.slots->Claim(slot, CallbackKind::kHandler);
  }

  ~HandlerRegistration() {
    while (count_ > 0) Registration::Destroy(claimed_[--count_]);
    if (notifier_ != nullptr) aio_notifier_unref(notifier_);
  }

  HandlerRegistration(const HandlerRegistration&) = delete;
  HandlerRegistration& operator=(const HandlerRegistration&) = delete;

  // The file descriptor is that of @notifier, which is cleared before the callback.
  void Watch(AioNotifier* notifier) { notifier_ = aio_notifier_ref(notifier); }

  AioFdHandler Callbacks(const char* name) const {
    AioFdHandler callbacks = {};
    if (read_ != kNoSlot) callbacks.read = Read;
    if (write_ != kNoSlot) callbacks.write = Write;
    callbacks.error = Error;
    callbacks.name = name;
    return callbacks;
  }

  static void Destroy(gpointer data) { delete static_cast<HandlerRegistration*>(data); }

 private:
  static void Read(int, gpointer data) {
    auto* self = static_cast<HandlerRegistration*>(data);
    if (self->notifier_ != nullptr) aio_notifier_test_and_clear(self->notifier_);
    CallSlot(self->environment_, self->read_);
  }

  static void Write(int, gpointer data) {
    auto* self = static_cast<HandlerRegistration*>(data);
    CallSlot(self->environment_, self->write_);
  }

  static void Error(int, const GError* error, gpointer data) {
    auto* self = static_cast<HandlerRegistration*>(data);
    Environment& environment = self->environment_;
    if (environment.ended) return;
    Napi::HandleScope scope(environment.env);
    if (!CanCall(environment)) return;
    if (napi_value value = CreateError(environment, error))
      CallSlot(environment, self->error_, value);
    else
      CallFailed(environment);
  }

  Environment& environment_;  // outlives every call, but not this object
  Registration* claimed_[3];
  int count_ = 0;
  const int32_t read_, write_, error_;
  AioNotifier* notifier_ = nullptr;  // a reference, or none
};

void Set(Environment& environment, const Context& context, int fd, std::unique_ptr<HandlerRegistration> registration,
         const char* name) {
  AioContext* open = GetOpen(environment, context);
  if (open == nullptr) return;
  AioFdHandler callbacks = registration->Callbacks(name);
  GError* error = nullptr;
  if (!aio_context_set_fd_handler(open, fd, &callbacks, registration.release(), HandlerRegistration::Destroy, &error))
    Throw(environment, error);
}

// setFdHandler(context, fd, readSlot, writeSlot, errorSlot, name): -1 for no callback.
napi_value SetFd(napi_env env, napi_callback_info info) {
  Arguments<6> arguments(env, info);
  auto registration = std::make_unique<HandlerRegistration>(arguments.environment(), arguments.Int32(2),
                                                            arguments.Int32(3), arguments.Int32(4));
  if (Context* context = arguments.Get<Context>(0))
    Set(arguments.environment(), *context, arguments.Int32(1), std::move(registration), Name(env, arguments[5]));
  return nullptr;
}

// setNotifierHandler(context, notifier, readSlot, errorSlot, name)
napi_value SetNotifier(napi_env env, napi_callback_info info) {
  Arguments<5> arguments(env, info);
  auto registration =
      std::make_unique<HandlerRegistration>(arguments.environment(), arguments.Int32(2), kNoSlot, arguments.Int32(3));
  Context* context = arguments.Get<Context>(0);
  if (context == nullptr) return nullptr;
  Notifier* notifier = arguments.Get<Notifier>(1);
  if (notifier == nullptr) return nullptr;
  int fd = aio_notifier_get_fd(notifier->notifier);
  if (fd < 0) return Throw(arguments.environment(), AIO_ERROR_CLOSED, "The notifier is closed");

  registration->Watch(notifier->notifier);
  Set(arguments.environment(), *context, fd, std::move(registration), Name(env, arguments[4]));
  return nullptr;
}

// removeFdHandler(context, fd)
napi_value Remove(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Context* context = arguments.Get<Context>(0);
  if (context == nullptr) return nullptr;
  AioContext* open = GetOpen(arguments.environment(), *context);
  if (open == nullptr) return nullptr;
  aio_context_set_fd_handler(open, arguments.Int32(1), nullptr, nullptr, nullptr, nullptr);
  return nullptr;
}

constexpr Method kMethods[] = {
    {"setFdHandler", SetFd},
    {"setNotifierHandler", SetNotifier},
    {"removeFdHandler", Remove},
};

}  // namespace

void DefineHandler(Environment& environment, napi_value exports) { Define(environment, exports, kMethods); }

}  // namespace aio
