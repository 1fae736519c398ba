/* SPDX-License-Identifier: MIT */
#include "signal.h"

#include "args.h"
#include "callback.h"
#include "context.h"
#include "error.h"
#include "signal-action.h"
#include "uv-signal.h"

#include <algorithm>
#include <csignal>
#include <utility>

namespace aio {

// The handle of what watches a signal.
struct SignalRegistration : Handle {
  static constexpr HandleKind kKind = HandleKind::kSignal;

  const std::shared_ptr<OwnedContext> owned;
  const int number;
  AioBh* const bh;  // a reference
  SignalWatch* watch = nullptr;
  std::shared_ptr<UvSignal> uv;  // one for all of the environment that watch the same signal

  SignalRegistration(std::shared_ptr<OwnedContext> owned, int number, AioBh* bh)
      : Handle{kKind}, owned(std::move(owned)), number(number), bh(bh) {}

  ~SignalRegistration() {
    aio_bh_delete(bh);
    aio_bh_unref(bh);
  }
};

namespace {

// Its environment may be gone if it is closed already.
void Close(Environment& environment, SignalRegistration& registration) {
  if (registration.watch == nullptr) return;
  RemoveSignalWatch(
      std::exchange(registration.watch, nullptr),
      [](void* data) { static_cast<SignalRegistration*>(data)->uv.reset(); }, &registration);
  aio_bh_delete(registration.bh);
  auto& signals = environment.signals;
  signals.erase(std::find(signals.begin(), signals.end(), &registration));
}

}  // namespace

void CloseSignals(Environment& environment, const OwnedContext* context) {
  const std::vector<SignalRegistration*> signals = environment.signals;
  for (SignalRegistration* each : signals)
    if (context == nullptr || each->owned.get() == context) Close(environment, *each);
}

bool HasSignals(const Environment& environment, const OwnedContext& context) {
  for (const SignalRegistration* each : environment.signals)
    if (each->owned.get() == &context) return true;
  return false;
}

void RestoreSignals(const Environment& environment) {
  for (const SignalRegistration* each : environment.signals) RestoreSignalHandler(each->number);
}

namespace {

struct Start {
  Environment& environment;
  SignalRegistration& registration;
};

int StartUv(void* data) {
  auto& [environment, registration] = *static_cast<Start*>(data);
  for (const SignalRegistration* each : environment.signals)
    if (each->number == registration.number) registration.uv = each->uv;
  if (registration.uv != nullptr) return 0;

  UvSignal* uv = nullptr;
  const int error = UvSignal::Start(
      environment.env, registration.number, [](void* ended) { CloseSignals(*static_cast<Environment*>(ended)); },
      &environment, &uv);
  if (error == 0) registration.uv = {uv, [](UvSignal* stopped) { stopped->Stop(); }};
  return error;
}

void Finalize(napi_env, void* data, void* environment) {
  auto* registration = static_cast<SignalRegistration*>(static_cast<Handle*>(data));
  Close(*static_cast<Environment*>(environment), *registration);
  delete registration;
}

// signalWatch(context, number, name, slot): the slot is called in the pass after the signal.
napi_value Watch(napi_env env, napi_callback_info info) {
  Arguments<4> arguments(env, info);
  Environment& environment = arguments.environment();
  Registration* slot = environment.slots->Claim(arguments.Uint32(3), CallbackKind::kSignal);
  const int number = arguments.Int32(1);
  Context* context = arguments.Get<Context>(0);
  AioContext* open = context ? GetOpen(environment, *context) : nullptr;
  if (open == nullptr || number <= 0 || number >= NSIG) {
    Registration::Destroy(slot);
    return nullptr;
  }

  AioBh* bh = aio_bh_new_boxed(open, Name(env, arguments[2]), Registration::Run, slot, Registration::Destroy);
  auto registration = std::make_unique<SignalRegistration>(context->owned, number, bh);
  Start start = {environment, *registration};
  if (int error = AddSignalWatch(number, bh, StartUv, &start, &registration->watch))
    return ThrowErrno(environment, -error, "sigaction", "Watching signal %d", number);
  RestoreSignalHandler(number);
  environment.signals.push_back(registration.get());

  napi_value result = nullptr;
  SignalRegistration* handle = registration.release();
  if (napi_create_external(env, static_cast<Handle*>(handle), Finalize, &environment, &result) != napi_ok)
    Finalize(env, static_cast<Handle*>(handle), &environment);
  return result;
}

// signalClose(registration)
napi_value CloseMethod(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  if (SignalRegistration* registration = arguments.Get<SignalRegistration>(0))
    Close(arguments.environment(), *registration);
  return nullptr;
}

constexpr Method kMethods[] = {
    {"signalWatch", Watch},
    {"signalClose", CloseMethod},
};

}  // namespace

void DefineSignal(Environment& environment, napi_value exports) { Define(environment, exports, kMethods); }

}  // namespace aio
