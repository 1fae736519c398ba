/* SPDX-License-Identifier: MIT */
#include "handler.h"

#include <fcntl.h>

#include <cerrno>

#include "args.h"
#include "callback.h"
#include "context.h"
#include "error.h"
#include "notifier.h"

namespace aio {

namespace {

// What JavaScript tells the callbacks of a slot apart by, and names directions with: those of ts/handler-table.ts.
constexpr uint32_t kRead = 1, kWrite = 2, kPoll = 4, kPollReady = 8, kPollBegin = 16, kPollEnd = 32;

// What a registration, which is the data of a handler, is called for.
struct FdCallbacks {
  // The slot alone is the call for reading, which there are most of.
  static void Read(int, gpointer data) { static_cast<Registration*>(data)->Call(); }

  static void Write(int, gpointer data) { CallFor(data, kWrite); }
  static void PollReady(int, gpointer data) { CallFor(data, kPollReady); }
  static gboolean Poll(int, gpointer data) { return CallBeforeWait(data, kPoll); }
  static void PollBegin(int, gpointer data) { CallBeforeWait(data, kPollBegin); }
  static void PollEnd(int, gpointer data) { CallBeforeWait(data, kPollEnd); }

  static void Error(int, const GError* error, gpointer data) {
    auto* registration = static_cast<Registration*>(data);
    Environment& environment = registration->environment();
    if (environment.ended) return;
    Napi::HandleScope scope(environment.env);
    if (!CanCall(environment)) return;
    if (napi_value value = CreateError(environment, error))
      CallSlot(environment, registration->slot(), value);
    else
      CallFailed(environment);
  }

  static void Destroy(gpointer data) { Registration::Destroy(data); }

 private:
  static void CallFor(gpointer data, uint32_t what) {
    auto* registration = static_cast<Registration*>(data);
    Environment& environment = registration->environment();
    if (environment.ended) return;
    Napi::HandleScope scope(environment.env);
    CallSlot(environment, registration->slot(), ToNumber(environment.env, what));
  }

  static bool CallBeforeWait(gpointer data, uint32_t what) {
    auto* registration = static_cast<Registration*>(data);
    Environment& environment = registration->environment();
    return !environment.changing && CallSlotBeforeWait(environment, registration->slot(), what);
  }
};

// The same for a notifier, which is cleared before the call of what serves it.
struct NotifierCallbacks {
  Registration* const registration;
  AioNotifier* const notifier;  // a reference

  static void Read(int fd, gpointer data) {
    auto* self = static_cast<NotifierCallbacks*>(data);
    aio_notifier_test_and_clear(self->notifier);
    FdCallbacks::Read(fd, self->registration);
  }

  static void Write(int fd, gpointer data) {
    FdCallbacks::Write(fd, static_cast<NotifierCallbacks*>(data)->registration);
  }

  static gboolean Poll(int fd, gpointer data) {
    return FdCallbacks::Poll(fd, static_cast<NotifierCallbacks*>(data)->registration);
  }

  static void PollReady(int fd, gpointer data) {
    auto* self = static_cast<NotifierCallbacks*>(data);
    aio_notifier_test_and_clear(self->notifier);
    FdCallbacks::PollReady(fd, self->registration);
  }

  static void PollBegin(int fd, gpointer data) {
    FdCallbacks::PollBegin(fd, static_cast<NotifierCallbacks*>(data)->registration);
  }

  static void PollEnd(int fd, gpointer data) {
    FdCallbacks::PollEnd(fd, static_cast<NotifierCallbacks*>(data)->registration);
  }

  static void Error(int fd, const GError* error, gpointer data) {
    FdCallbacks::Error(fd, error, static_cast<NotifierCallbacks*>(data)->registration);
  }

  static void Destroy(gpointer data) {
    std::unique_ptr<NotifierCallbacks> self(static_cast<NotifierCallbacks*>(data));
    FdCallbacks::Destroy(self->registration);
    aio_notifier_unref(self->notifier);
  }
};

// Watches as the arguments say: (context, fd or notifier, events, external, name, slot). Takes @data, even if it fails.
template <class Callbacks>
void Set(const Arguments<6>& arguments, Context* context, int fd, gpointer data) {
  Environment& environment = arguments.environment();
  AioContext* open = context ? GetOpen(environment, *context) : nullptr;
  if (open == nullptr) {
    Callbacks::Destroy(data);
    return;
  }
  const uint32_t events = arguments.Uint32(2);
  const Name name(arguments.env(), arguments[4]);
  AioFdHandler callbacks = {};
  if (events & kRead) callbacks.read = Callbacks::Read;
  if (events & kWrite) callbacks.write = Callbacks::Write;
  if (events & kPoll) {
    callbacks.poll = Callbacks::Poll;
    callbacks.poll_ready = Callbacks::PollReady;
    callbacks.poll_begin = Callbacks::PollBegin;
    callbacks.poll_end = Callbacks::PollEnd;
  }
  callbacks.error = Callbacks::Error;
  callbacks.external = arguments.Boolean(3);
  callbacks.name = name;
  GError* error = nullptr;
  Changing changing(environment);
  if (!aio_context_set_fd_handler(open, fd, &callbacks, data, Callbacks::Destroy, &error)) Throw(environment, error);
}

Registration* Claim(const Arguments<6>& arguments) {
  return arguments.environment().slots->Claim(arguments.Uint32(5), CallbackKind::kHandler);
}

// setFdHandler(context, fd, events, external, name, slot)
napi_value SetFd(napi_env env, napi_callback_info info) {
  Arguments<6> arguments(env, info);
  Registration* registration = Claim(arguments);
  Set<FdCallbacks>(arguments, arguments.Get<Context>(0), arguments.Int32(1), registration);
  return nullptr;
}

// setNotifierHandler(context, notifier, events, external, name, slot)
napi_value SetNotifier(napi_env env, napi_callback_info info) {
  Arguments<6> arguments(env, info);
  Registration* registration = Claim(arguments);
  Context* context = arguments.Get<Context>(0);
  Notifier* notifier = context ? arguments.Get<Notifier>(1) : nullptr;
  int fd = notifier ? aio_notifier_get_fd(notifier->notifier) : -1;
  if (fd < 0) {
    FdCallbacks::Destroy(registration);
    return notifier ? Throw(arguments.environment(), AIO_ERROR_CLOSED, "The notifier is closed") : nullptr;
  }
  Set<NotifierCallbacks>(arguments, context, fd,
                         new NotifierCallbacks{registration, aio_notifier_ref(notifier->notifier)});
  return nullptr;
}

// removeFdHandler(context, fd)
napi_value Remove(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  AioContext* open = GetOpen(arguments);
  if (open == nullptr) return nullptr;
  Changing changing(arguments.environment());
  aio_context_set_fd_handler(open, arguments.Int32(1), nullptr, nullptr, nullptr, nullptr);
  return nullptr;
}

// checkFdOpen(fd)
napi_value CheckFdOpen(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  int fd = arguments.Int32(0);
  if (fcntl(fd, F_GETFD) < 0) return ThrowErrno(arguments.environment(), errno, "fcntl", "Watching fd %d", fd);
  return nullptr;
}

// disableExternal(context)
napi_value DisableExternal(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  if (AioContext* open = GetOpen(arguments)) aio_context_disable_external(open);
  return nullptr;
}

// enableExternal(context)
napi_value EnableExternal(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  AioContext* open = GetOpen(arguments);
  GError* error = nullptr;
  if (open != nullptr && !aio_context_enable_external(open, &error)) Throw(arguments.environment(), error);
  return nullptr;
}

// externalDisabled(context): false if it is closed.
napi_value ExternalDisabled(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Context* context = arguments.Get<Context>(0);
  if (context == nullptr) return nullptr;
  return ToValue(env, context->owned->IsOpen() && aio_context_external_disabled(context->owned->get()));
}

// nodeCheck(context, external)
napi_value NodeCheck(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  AioContext* open = GetOpen(arguments);
  return open ? ToValue(env, aio_context_node_check(open, arguments.Boolean(1))) : nullptr;
}

constexpr Method kMethods[] = {
    {"setFdHandler", SetFd},
    {"setNotifierHandler", SetNotifier},
    {"removeFdHandler", Remove},
    {"checkFdOpen", CheckFdOpen},
    {"disableExternal", DisableExternal},
    {"enableExternal", EnableExternal},
    {"externalDisabled", ExternalDisabled},
    {"nodeCheck", NodeCheck},
};

}  // namespace

void DefineHandler(Environment& environment, napi_value exports) { Define(environment, exports, kMethods); }

}  // namespace aio
