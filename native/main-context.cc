/* SPDX-License-Identifier: MIT */
#include "main-context.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <optional>

#include "args.h"
#include "callback.h"
#include "error.h"
#include "signal.h"

namespace aio {

bool CheckOpen(Environment& environment, const MainContext& handle) {
  if (!handle.closed) return true;
  Throw(environment, AIO_ERROR_CLOSED, "The MainContext is closed");
  return false;
}

namespace {

// How long a wait of a Worker lasts before it looks whether the Worker is being terminated.
constexpr guint kSliceMs = 100;

void Finalize(napi_env, void* data, void*) { delete static_cast<MainContext*>(static_cast<Handle*>(data)); }

// GLib ends the process where a new GMainContext cannot have the file descriptor it needs.
bool CanMake(Environment& environment) {
  int fd = eventfd(0, EFD_CLOEXEC);
  if (fd < 0) {
    ThrowErrno(environment, errno, "eventfd", "A GMainContext cannot be made");
    return false;
  }
  close(fd);
  return true;
}

napi_value Default(napi_env env, napi_callback_info info) {
  static std::atomic<bool> made{false};
  Arguments<1> arguments(env, info);
  if (!made.load() && !CanMake(arguments.environment())) return nullptr;
  made.store(true);
  return ToExternal(env, new MainContext(g_main_context_ref(g_main_context_default())), Finalize);
}

napi_value New(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  if (!CanMake(arguments.environment())) return nullptr;
  return ToExternal(env, new MainContext(g_main_context_new()), Finalize);
}

// mainContextAt(address, gtype): what another binding wraps, or undefined if it is something else. The
// type is compared, never followed: a number that is no type at all must do no harm.
napi_value At(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  double address = 0;
  uint64_t type = 0;
  bool lossless = false;
  napi_get_value_double(env, arguments[0], &address);
  napi_get_value_bigint_uint64(env, arguments[1], &type, &lossless);
  if (!lossless || type != G_TYPE_MAIN_CONTEXT || !(address > 0 && address <= 9007199254740991.0)) return nullptr;

  auto* main_context = reinterpret_cast<GMainContext*>(static_cast<uintptr_t>(address));
  return ToExternal(env, new MainContext(g_main_context_ref(main_context)), Finalize);
}

// Whether a prepare or check of @main_context is on the stack. Nothing is being dispatched then, and yet
// this thread owns it. Below another dispatch that is certain only for a call of our own.
bool InPrepare(Environment& environment, GMainContext* main_context) {
  int depth = g_main_depth();
  if (!g_main_context_is_owner(main_context)) return false;
  return depth == 0 || (environment.frame != nullptr && environment.frame->InPrepare(main_context, depth));
}

// The main context for the length of a call, owned by this thread.
class Owned {
 public:
  Owned(Environment& environment, const MainContext& handle) : main_context_(g_main_context_ref(handle.main_context)) {
    owned_ = g_main_context_acquire(main_context_);
    if (!owned_) Throw(environment, AIO_ERROR_WRONG_THREAD, "The GMainContext is owned by another thread");
  }
  ~Owned() {
    if (owned_) g_main_context_release(main_context_);
    g_main_context_unref(main_context_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  explicit operator bool() const { return owned_; }

 private:
  GMainContext* const main_context_;
  bool owned_;
};

// A blocking iteration that looks from time to time whether the Worker is being terminated. The source that
// ends a slice is dispatched only if no other is ready.
gboolean IterateInSlices(Environment& environment, GMainContext* main_context) {
  gboolean expired, dispatched;
  do {
    expired = FALSE;
    GSource* slice = g_timeout_source_new(kSliceMs);
    g_source_set_priority(slice, G_MAXINT);
    g_source_set_callback(
        slice,
        [](gpointer data) -> gboolean {
          *static_cast<gboolean*>(data) = TRUE;
          return G_SOURCE_REMOVE;
        },
        &expired, nullptr);
    g_source_attach(slice, main_context);
    dispatched = g_main_context_iteration(main_context, TRUE);
    g_source_destroy(slice);
    g_source_unref(slice);
  } while (expired && !IsTerminated(environment));
  return dispatched;
}

// mainContextIteration(mainContext, mayBlock)
napi_value Iteration(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Environment& environment = arguments.environment();
  MainContext* handle = arguments.Get<MainContext>(0);
  bool may_block = arguments.Boolean(1);
  if (handle == nullptr || !CheckOpen(environment, *handle)) return nullptr;
  GMainContext* main_context = handle->main_context;
  MainContext::Driving driving(*handle);

  if (may_block && InPrepare(environment, main_context))
    return Throw(environment, AIO_ERROR_IN_PREPARE,
                 "A blocking iteration inside the prepare of a source of the same GMainContext would hang");
  std::optional<Owned> owned;
  if (may_block && !owned.emplace(environment, *handle)) return nullptr;

  DriverFrame frame(environment, g_main_depth() + 1, main_context);
  RestoreSignals(environment);
  gboolean dispatched = may_block && environment.is_worker ? IterateInSlices(environment, main_context)
                                                           : g_main_context_iteration(main_context, may_block);
  if (!frame.Finish()) return nullptr;
  // One that may not block does nothing where another thread is the owner (benchmark bh-glib).
  if (!may_block && !dispatched && !owned.emplace(environment, *handle)) return nullptr;
  return ToValue(env, dispatched);
}

napi_value Pending(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Environment& environment = arguments.environment();
  MainContext* handle = arguments.Get<MainContext>(0);
  if (handle == nullptr || !CheckOpen(environment, *handle)) return nullptr;
  MainContext::Driving driving(*handle);
  Owned owned(environment, *handle);
  if (!owned) return nullptr;

  // The prepare of a context polls.
  DriverFrame frame(environment, g_main_depth() + 1, handle->main_context);
  gboolean pending = g_main_context_pending(handle->main_context);
  // GLib keeps references to the sources that it has found ready, to dispatch them. One of them may be to a context
  // that has a reference to the main context; and a dispatch that is under way forgets them. A prepare lets go of them.
  int priority = 0;
  if (pending) g_main_context_prepare(handle->main_context, &priority);
  return frame.Finish() ? ToValue(env, pending) : nullptr;
}

napi_value Wakeup(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  MainContext* handle = arguments.Get<MainContext>(0);
  if (handle != nullptr && CheckOpen(arguments.environment(), *handle)) g_main_context_wakeup(handle->main_context);
  return nullptr;
}

napi_value Close(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  if (MainContext* handle = arguments.Get<MainContext>(0)) handle->Close();
  return nullptr;
}

constexpr Method kMethods[] = {
    {"mainContextDefault", Default},     {"mainContextNew", New},         {"mainContextAt", At},
    {"mainContextIteration", Iteration}, {"mainContextPending", Pending}, {"mainContextWakeup", Wakeup},
    {"mainContextClose", Close},
};

}  // namespace

void DefineMainContext(Environment& environment, napi_value exports) { Define(environment, exports, kMethods); }

}  // namespace aio
