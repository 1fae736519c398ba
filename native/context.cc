/* SPDX-License-Identifier: MIT */
#include "context.h"

#include <utility>

#include "args.h"
#include "callback.h"
#include "error.h"
#include "main-context.h"
#include "signal.h"

namespace aio {

OwnedContext::OwnedContext(Environment& environment, AioContext* context, napi_value batch)
    : environment_(environment),
      context_(context),
      name_(aio_context_get_name(context)),
      batch_(std::make_shared<Batch>(environment, batch)) {
  aio_context_set_bh_batch(context, Registration::Run, RunBatch, HasRest, this);
}

guint OwnedContext::RunBatch(gpointer* registrations, guint count, gpointer data) {
  // A callback may close the context, which lets go of the batch.
  std::shared_ptr<Batch> batch = static_cast<OwnedContext*>(data)->batch_;
  return batch->Run(registrations, count);
}

gboolean OwnedContext::HasRest(gpointer data) { return static_cast<OwnedContext*>(data)->batch_->HasRest(); }

namespace {

// What a script owns it owns on its thread, and cannot release once it is closed.
void ReleaseAll(AioContext* context) {
  while (aio_context_release(context, nullptr)) {
  }
}

}  // namespace

bool OwnedContext::Close(GError** error) {
  if (context_ == nullptr) return true;
  if (aio_context_in_home_thread(context_)) CloseSignals(environment_, this);
  Changing changing(environment_);
  if (!aio_context_close(context_, error)) return false;
  ReleaseAll(context_);
  batch_->Clear();
  if (driving_ == 0) Release();
  return true;
}

void OwnedContext::End() {
  if (context_ == nullptr) return;
  CloseSignals(environment_, this);
  Changing changing(environment_);
  aio_context_close(context_, nullptr);
  ReleaseAll(context_);
  Release();
}

bool OwnedContext::IsArmed() const { return aio_context_is_armed(context_) || HasSignals(environment_, *this); }

void OwnedContext::Release() {
  if (context_ == nullptr) return;
  environment_.contexts.erase(context_);
  // Whoever drives the closed context for a moment longer finds no batch.
  if (aio_context_in_home_thread(context_)) aio_context_set_bh_batch(context_, nullptr, nullptr, nullptr, nullptr);
  batch_.reset();
  aio_context_unref(std::exchange(context_, nullptr));
}

AioContext* GetOpen(Environment& environment, const Context& context) {
  if (G_LIKELY(context.owned->IsOpen())) return context.owned->get();
  Throw(environment, AIO_ERROR_CLOSED, "AioContext %s is closed", context.owned->name());
  return nullptr;
}

namespace {

// How long a wait of a Worker lasts before it looks whether the Worker is being terminated.
constexpr gint64 kSliceNs = 100 * G_GINT64_CONSTANT(1000000);

void Finalize(napi_env env, void* data, void*) {
  Context* context = static_cast<Context*>(static_cast<Handle*>(data));
  context->owned->End();
  if (context->self != nullptr) napi_delete_reference(env, context->self);
  delete context;
}

// contextNew(self, name, monitor, batch)
napi_value New(napi_env env, napi_callback_info info) {
  Arguments<4> arguments(env, info);
  Environment& environment = arguments.environment();
  GError* error = nullptr;

  AioContext* native =
      aio_context_new_full(Name(env, arguments[1]), static_cast<AioMonitor>(arguments.Int32(2)), &error);
  if (native == nullptr) return Throw(environment, error);

  auto* context = new Context(std::make_shared<OwnedContext>(environment, native, arguments[3]));
  environment.contexts[native] = context;
  napi_create_reference(env, arguments[0], 0, &context->self);
  return ToExternal(env, context, Finalize);
}

napi_value Close(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Context* context = arguments.Get<Context>(0);
  GError* error = nullptr;

  if (context != nullptr && !context->owned->Close(&error)) Throw(arguments.environment(), error);
  return nullptr;
}

napi_value IsClosed(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Context* context = arguments.Get<Context>(0);
  return context ? ToValue(env, !context->owned->IsOpen()) : nullptr;
}

// A method that asks a context something; one that is closed says no.
template <gboolean (*function)(AioContext*)>
napi_value Ask(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Context* context = arguments.Get<Context>(0);
  if (context == nullptr) return nullptr;
  return ToValue(env, context->owned->IsOpen() && function(context->owned->get()));
}

// A method that a context has to be open for, and that gives nothing.
template <void (*function)(AioContext*)>
napi_value Do(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  if (AioContext* open = GetOpen(arguments)) function(open);
  return nullptr;
}

// The same for one that may run callbacks, and tells something.
template <gboolean (*function)(AioContext*)>
napi_value Drive(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Context* context = arguments.Get<Context>(0);
  AioContext* open = context ? GetOpen(arguments.environment(), *context) : nullptr;
  if (open == nullptr) return nullptr;

  OwnedContext::Driving driving(*context->owned);
  DriverFrame frame(arguments.environment(), g_main_depth());
  gboolean result = function(open);
  return frame.Finish() ? ToValue(env, result) : nullptr;
}

napi_value IsArmed(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Context* context = arguments.Get<Context>(0);
  if (context == nullptr || GetOpen(arguments.environment(), *context) == nullptr) return nullptr;
  // Elsewhere than at home nobody can tell: who waits gets the error of the wait.
  return ToValue(env, !aio_context_in_home_thread(context->owned->get()) || context->owned->IsArmed());
}

// contextPoll(context, blocking)
napi_value Poll(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Environment& environment = arguments.environment();
  Context* context = arguments.Get<Context>(0);
  if (context == nullptr) return nullptr;
  AioContext* open = GetOpen(environment, *context);
  if (open == nullptr) return nullptr;

  OwnedContext::Driving driving(*context->owned);
  DriverFrame frame(environment, g_main_depth());
  RestoreSignals(environment);
  gint64 max_ns = !arguments.Boolean(1) ? 0 : environment.is_worker ? kSliceNs : -1;
  gboolean progress, expired;
  GError* error = nullptr;
  do progress = aio_context_poll_for(open, max_ns, &expired, &error);
  while (expired && !IsTerminated(environment));
  return frame.Finish(error) ? ToValue(env, progress) : nullptr;
}

// contextAcquire(context): for a Worker that is terminated it ends without.
napi_value Acquire(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Environment& environment = arguments.environment();
  if (AioContext* open = GetOpen(arguments))
    aio_context_acquire_while(open, UntilTerminated(environment), &environment);
  return nullptr;
}

// contextRelease(context)
napi_value Release(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  AioContext* open = GetOpen(arguments);
  GError* error = nullptr;
  if (open != nullptr && !aio_context_release(open, &error)) Throw(arguments.environment(), error);
  return nullptr;
}

napi_value GetName(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Context* context = arguments.Get<Context>(0);
  napi_value name = nullptr;
  if (context != nullptr) napi_create_string_utf8(env, context->owned->name(), NAPI_AUTO_LENGTH, &name);
  return name;
}

napi_value Monitor(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  AioContext* open = GetOpen(arguments);
  return open ? ToNumber(env, aio_context_get_monitor(open)) : nullptr;
}

napi_value NotifyMe(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Context* context = arguments.Get<Context>(0);
  if (context == nullptr) return nullptr;
  return ToNumber(env, context->owned->IsOpen() ? aio_context_get_notify_me(context->owned->get()) : 0);
}

// contextSetPollParams(context, maxNs, grow, shrink)
napi_value SetPollParams(napi_env env, napi_callback_info info) {
  Arguments<4> arguments(env, info);
  AioContext* open = GetOpen(arguments);
  GError* error = nullptr;
  if (open != nullptr &&
      !aio_context_set_poll_params(open, arguments.Int64(1), arguments.Int64(2), arguments.Int64(3), &error))
    Throw(arguments.environment(), error);
  return nullptr;
}

napi_value PollDisabled(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  AioContext* open = GetOpen(arguments);
  return open ? ToValue(env, aio_context_poll_disabled(open)) : nullptr;
}

napi_value ComputeTimeout(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  AioContext* open = GetOpen(arguments);
  return open ? ToBigInt(env, aio_context_compute_timeout(open)) : nullptr;
}

// contextAttach(context, mainContext | null, priority)
napi_value Attach(napi_env env, napi_callback_info info) {
  Arguments<3> arguments(env, info);
  AioContext* open = GetOpen(arguments);
  if (open == nullptr) return nullptr;

  napi_valuetype type = napi_undefined;
  napi_typeof(env, arguments[1], &type);
  GMainContext* main_context = nullptr;
  if (type == napi_external) {
    MainContext* handle = arguments.Get<MainContext>(1);
    if (handle == nullptr || !CheckOpen(arguments.environment(), *handle)) return nullptr;
    main_context = handle->main_context;
  }

  GError* error = nullptr;
  if (!aio_context_attach(open, main_context, arguments.Int32(2), &error)) Throw(arguments.environment(), error);
  return nullptr;
}

void Detach(AioContext* context) { aio_context_detach(context, nullptr); }

// contextMakeCurrent(context): moves it to this thread first.
napi_value MakeCurrent(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  AioContext* open = GetOpen(arguments);
  GError* error = nullptr;
  if (open != nullptr && (!aio_context_set_home(open, &error) || !aio_context_set_current(open, &error)))
    Throw(arguments.environment(), error);
  return nullptr;
}

// contextClearCurrent(): no context is the one made current.
napi_value ClearCurrent(napi_env, napi_callback_info) {
  aio_context_set_current(nullptr, nullptr);
  return nullptr;
}

// currentContext(): the JavaScript object, or null if there is none or it is not of this environment.
napi_value Current(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  const auto& contexts = arguments.environment().contexts;
  auto found = contexts.find(aio_context_get_current());
  napi_value self = nullptr;

  if (found != contexts.end()) napi_get_reference_value(env, found->second->self, &self);
  if (self == nullptr) napi_get_null(env, &self);
  return self;
}

// armedContexts(): the names of those that have something to do.
napi_value Armed(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Napi::Array names = Napi::Array::New(env);

  for (const auto& entry : arguments.environment().contexts) {
    AioContext* context = entry.first;
    if (aio_context_is_closed(context) || !aio_context_in_home_thread(context) || !entry.second->owned->IsArmed())
      continue;
    names.Set(names.Length(), aio_context_get_name(context));
  }
  return names;
}

constexpr struct {
  const char* name;
  guint64 AioStats::*counter;
} kCounters[] = {
    {"polls", &AioStats::polls},
    {"prepares", &AioStats::prepares},
    {"checks", &AioStats::checks},
    {"dispatches", &AioStats::dispatches},
    {"emptyIterations", &AioStats::empty_iterations},
    {"waits", &AioStats::waits},
    {"zeroWaits", &AioStats::zero_waits},
    {"emptyWaits", &AioStats::empty_waits},
    {"eventfdWrites", &AioStats::eventfd_writes},
    {"eventfdReads", &AioStats::eventfd_reads},
    {"bhsRun", &AioStats::bhs_run},
    {"handlersDispatched", &AioStats::handlers_dispatched},
    {"timersFired", &AioStats::timers_fired},
    {"pollIterations", &AioStats::poll_iterations},
    {"pollSuccesses", &AioStats::poll_successes},
    {"monitorSwitches", &AioStats::monitor_switches},
    {"sqes", &AioStats::sqes},
    {"cqes", &AioStats::cqes},
};

napi_value Stats(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  AioContext* open = GetOpen(arguments);
  if (open == nullptr) return nullptr;

  AioStats stats;
  aio_context_get_stats(open, &stats);
  Napi::Object result = Napi::Object::New(env);
  for (const auto& each : kCounters) result.Set(each.name, static_cast<double>(stats.*each.counter));
  result.Set("pollNs", ToBigInt(env, stats.poll_ns));
  result.Set("dispatching", static_cast<bool>(aio_context_get_dispatching(open)));
  return result;
}

constexpr Method kMethods[] = {
    {"contextNew", New},
    {"contextClose", Close},
    {"contextDetach", Do<Detach>},
    {"contextIsClosed", IsClosed},
    {"contextIsAttached", Ask<aio_context_is_attached>},
    {"contextIsArmed", IsArmed},
    {"contextInHomeThread", Ask<aio_context_in_home_thread>},
    {"contextNotified", Ask<aio_context_get_notified>},
    {"contextBhPoll", Drive<aio_context_bh_poll>},
    {"contextPrepare", Drive<aio_context_prepare>},
    {"contextPending", Drive<aio_context_pending>},
    {"contextDispatch", Drive<aio_context_dispatch>},
    {"contextPoll", Poll},
    {"contextName", GetName},
    {"contextMonitor", Monitor},
    {"contextNotify", Do<aio_context_notify>},
    {"contextNotifyAccept", Do<aio_context_notify_accept>},
    {"contextNotifyMe", NotifyMe},
    {"contextComputeTimeout", ComputeTimeout},
    {"contextAcquire", Acquire},
    {"contextRelease", Release},
    {"contextSetPollParams", SetPollParams},
    {"contextPollDisabled", PollDisabled},
    {"contextAttach", Attach},
    {"contextMakeCurrent", MakeCurrent},
    {"contextClearCurrent", ClearCurrent},
    {"currentContext", Current},
    {"armedContexts", Armed},
    {"contextStats", Stats},
};

}  // namespace

void DefineContext(Environment& environment, napi_value exports) { Define(environment, exports, kMethods); }

}  // namespace aio
