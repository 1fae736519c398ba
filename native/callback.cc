/* SPDX-License-Identifier: MIT */
#include "callback.h"

#include "args.h"
#include "error.h"

namespace aio {

namespace {

// An exception belongs to the call that drives the callback; without one, to nobody.
void Report(Environment& environment, napi_value error) {
  DriverFrame* frame = environment.frame;
  if (frame != nullptr && frame->Drives(g_main_depth()))
    frame->Collect(error);
  else
    napi_fatal_exception(environment.env, error);
}

}  // namespace

bool CanCall(Environment& environment) {
  if (G_LIKELY(!environment.ended && !environment.unwinding)) return true;
  return !IsTerminated(environment);
}

bool IsTerminated(Environment& environment) {
  if (environment.ended) return true;

  // Node refuses each call for good, V8 only until it has unwound the stack.
  napi_value value = nullptr;
  napi_get_undefined(environment.env, &value);
  napi_status status = napi_coerce_to_number(environment.env, value, &value);
  environment.ended = status == napi_pending_exception || status == napi_cannot_run_js;
  environment.unwinding = status != napi_ok;
  return status != napi_ok;
}

namespace {

gboolean GoesOn(gpointer environment) { return !IsTerminated(*static_cast<Environment*>(environment)); }

}  // namespace

AioConditionFunc UntilTerminated(const Environment& environment) { return environment.is_worker ? GoesOn : nullptr; }

namespace {

// The rest of the call, where the function is there, and a scope for the values that it makes. The function has no
// use for its `this`, so it is its own.
void Call(Environment& environment, napi_value dispatch, uint32_t slot, napi_value argument,
          napi_value* result = nullptr) {
  napi_env env = environment.env;
  napi_value arguments[2] = {nullptr, argument};

  napi_create_uint32(env, slot, &arguments[0]);
  environment.call_depth++;
  napi_status status = napi_call_function(env, dispatch, dispatch, argument ? 2 : 1, arguments, result);
  if (status != napi_ok) CallFailed(environment);
  environment.call_depth--;
}

}  // namespace

void CallSlot(Environment& environment, uint32_t slot, napi_value argument) {
  if (environment.ended) return;
  if (argument == nullptr && environment.frame != nullptr && environment.frame->CallsDirectly()) {
    environment.frame->CallSlot(slot);
    return;
  }

  napi_env env = environment.env;
  // Values made here are freed here: C calls from loops that never return to JavaScript.
  Napi::HandleScope scope(env);
  if (!CanCall(environment)) return;
  napi_value dispatch = nullptr;
  napi_get_reference_value(env, environment.dispatch, &dispatch);
  Call(environment, dispatch, slot, argument);
}

bool CallSlotBeforeWait(Environment& environment, uint32_t slot, uint32_t argument) {
  napi_env env = environment.env;
  DriverFrame* frame = environment.frame;
  const uint32_t collected = frame != nullptr ? frame->collected() : 0;
  bool answer = false;

  if (!environment.ended) {
    Napi::HandleScope scope(env);
    if (CanCall(environment)) {
      napi_value dispatch = nullptr, value = nullptr, result = nullptr;
      napi_get_reference_value(env, environment.dispatch, &dispatch);
      napi_create_uint32(env, argument, &value);
      Call(environment, dispatch, slot, value, &result);
      if (result != nullptr) napi_get_value_bool(env, result, &answer);
    }
  }
  // The call that drives this has an error to throw, or JavaScript is not there any more for what it waits for.
  if (environment.ended || environment.unwinding || (frame != nullptr && frame->collected() != collected))
    if (AioContext* context = aio_context_get_current()) aio_context_notify(context);
  return answer;
}

Batch::Batch(Environment& environment, napi_value array) : environment_(environment) {
  void* data = nullptr;
  napi_get_typedarray_info(environment.env, array, nullptr, nullptr, &data, nullptr, nullptr);
  array_ = static_cast<int32_t*>(data);
  napi_create_reference(environment.env, array, 1, &reference_);
}

Batch::~Batch() { napi_delete_reference(environment_.env, reference_); }

guint Batch::Run(gpointer* registrations, guint count) {
  if (count > 0) {
    array_[0] = 0;
    array_[1] = static_cast<int32_t>(count);
    for (guint i = 0; i < count; i++)
      array_[2 + i] = static_cast<int32_t>(static_cast<Registration*>(registrations[i])->slot());
  }

  napi_env env = environment_.env;
  uint32_t total = 0, run = 0;
  // A call ends early only if JavaScript failed outside of every callback, as by a stack overflow.
  while (HasRest() && !environment_.ended) {
    Napi::HandleScope scope(env);
    if (!CanCall(environment_)) break;
    napi_value dispatch_batch = nullptr, receiver = nullptr, array = nullptr, result = nullptr;
    napi_get_reference_value(env, environment_.dispatch_batch, &dispatch_batch);
    napi_get_reference_value(env, reference_, &array);
    napi_get_undefined(env, &receiver);
    const int32_t next = array_[0];
    environment_.call_depth++;
    napi_status status = napi_call_function(env, receiver, dispatch_batch, 1, &array, &result);
    environment_.call_depth--;
    if (status != napi_ok) {
      CallFailed(environment_);
      // Not even begun: like a lone callback that cannot be called, it is given up, or this would never end.
      if (array_[0] == next) array_[0]++;
    } else if (napi_get_value_uint32(env, result, &run) == napi_ok) {
      total += run;
    }
  }
  return total;
}

void CallFailed(Environment& environment) {
  napi_env env = environment.env;
  bool pending = false;
  napi_value value = nullptr;
  napi_valuetype type = napi_undefined;

  napi_is_exception_pending(env, &pending);
  if (pending && napi_get_and_clear_last_exception(env, &value) == napi_ok) napi_typeof(env, value, &type);
  if (type == napi_object) {
    Report(environment, value);
    return;
  }
  // A termination is caught as null.
  IsTerminated(environment);
}

DriverFrame::DriverFrame(Environment& environment, int callback_depth, GMainContext* main_context)
    : environment_(environment),
      outer_(environment.frame),
      callback_depth_(callback_depth),
      call_depth_(environment.call_depth),
      main_context_(main_context) {
  environment.frame = this;
  napi_get_reference_value(environment.env, environment.dispatch, &dispatch_);
}

DriverFrame::~DriverFrame() {
  environment_.frame = outer_;
  if (errors_ != nullptr) napi_delete_reference(environment_.env, errors_);
}

void DriverFrame::CallSlot(uint32_t slot) {
  if (CanCall(environment_)) Call(environment_, dispatch_, slot, nullptr);
}

void DriverFrame::Collect(napi_value error) {
  napi_env env = environment_.env;
  napi_value errors = nullptr;

  if (errors_ == nullptr) {
    napi_create_array(env, &errors);
    napi_create_reference(env, errors, 1, &errors_);
  } else {
    napi_get_reference_value(env, errors_, &errors);
  }
  napi_set_element(env, errors, collected_++, error);
}

bool DriverFrame::Finish(GError* error) {
  napi_env env = environment_.env;

  if (error != nullptr && errors_ == nullptr) {
    Throw(environment_, error);
    return false;
  }
  if (error != nullptr) {
    if (napi_value last = CreateError(environment_, error)) Collect(last);
    g_error_free(error);
  }
  if (!CanCall(environment_)) return false;
  if (errors_ == nullptr) return true;

  napi_value throw_collected = nullptr, receiver = nullptr, errors = nullptr;
  napi_get_reference_value(env, environment_.throw_collected, &throw_collected);
  napi_get_reference_value(env, errors_, &errors);
  napi_get_undefined(env, &receiver);
  napi_call_function(env, receiver, throw_collected, 1, &errors, nullptr);
  return false;
}

namespace {

// install(isWorker, dispatch, dispatchBatch, createError, throwCollected): the functions that this addon calls. Those
// of another copy of ts/dispatcher.ts would be called with slots that are not theirs.
napi_value Install(napi_env env, napi_callback_info info) {
  Arguments<5> arguments(env, info);
  Environment& environment = arguments.environment();

  if (environment.dispatch != nullptr) {
    napi_throw_error(env, nullptr, "The addon has the functions of another copy of the package");
    return nullptr;
  }
  environment.is_worker = arguments.Boolean(0);
  napi_create_reference(env, arguments[1], 1, &environment.dispatch);
  napi_create_reference(env, arguments[2], 1, &environment.dispatch_batch);
  napi_create_reference(env, arguments[3], 1, &environment.create_error);
  napi_create_reference(env, arguments[4], 1, &environment.throw_collected);
  return nullptr;
}

// reportException(error): a callback threw.
napi_value ReportException(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Report(arguments.environment(), arguments[0]);
  return nullptr;
}

// uncaughtException(error): something threw that nobody drives.
napi_value UncaughtException(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  napi_fatal_exception(env, arguments[0]);
  return nullptr;
}

// isEnded(): whether the thread was terminated.
napi_value IsEnded(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  return ToValue(env, arguments.environment().ended);
}

// What the main function needs besides itself: its own call, until it has returned.
struct MainCall {
  napi_threadsafe_function function = nullptr;
};

void RunMainCallback(napi_env env, napi_value main, void* context, void*) {
  std::unique_ptr<MainCall> call(static_cast<MainCall*>(context));
  if (env == nullptr) return;
  napi_value receiver = nullptr, error = nullptr;
  napi_get_undefined(env, &receiver);
  if (napi_call_function(env, receiver, main, 0, nullptr, nullptr) == napi_pending_exception &&
      napi_get_and_clear_last_exception(env, &error) == napi_ok)
    napi_fatal_exception(env, error);
  // Not earlier: a run of Node's loop that is nested in main would free the function under this call.
  napi_release_threadsafe_function(call->function, napi_tsfn_release);
}

// runMain(main): calls it from a macrotask that starves nothing of Node's when it does not return. In a
// timer or an immediate a nested run of Node's loop would find the other timers, or immediates, missing.
napi_value RunMain(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  auto call = std::make_unique<MainCall>();
  napi_value name = nullptr;

  napi_create_string_utf8(env, "aio-gsource:runMain", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, arguments[0], nullptr, name, 1, 1, nullptr, nullptr, call.get(),
                                      RunMainCallback, &call->function) != napi_ok)
    return Throw(arguments.environment(), AIO_ERROR_UNAVAILABLE, "runMain() could not be scheduled");
  napi_call_threadsafe_function(call.release()->function, nullptr, napi_tsfn_nonblocking);
  return nullptr;
}

constexpr Method kMethods[] = {
    {"install", Install},
    {"reportException", ReportException},
    {"uncaughtException", UncaughtException},
    {"isEnded", IsEnded},
    {"runMain", RunMain},
};

}  // namespace

void DefineCallback(Environment& environment, napi_value exports) { Define(environment, exports, kMethods); }

}  // namespace aio
