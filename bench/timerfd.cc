/* SPDX-License-Identifier: MIT */
// A timer under GLib without us, in the process and on the thread of a script: an addon for benchmarks only.
#include <node_api.h>

#include "timerfd-source.h"

namespace {

// run(delayNs, lateness): fires as often as the Float64Array has room for.
napi_value Run(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2] = {nullptr, nullptr};
  int64_t delay_ns = 0;
  size_t firings = 0;
  void* lateness = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  napi_get_value_int64(env, arguments[0], &delay_ns);
  napi_get_typedarray_info(env, arguments[1], nullptr, &firings, &lateness, nullptr, nullptr);

  GMainContext* main_context = g_main_context_new();
  TimerfdSource* timer = timerfd_source_new(main_context);
  timerfd_source_run(timer, delay_ns, static_cast<double*>(lateness), static_cast<guint>(firings));
  timerfd_source_free(timer);
  g_main_context_unref(main_context);
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function = nullptr;
  napi_create_function(env, "run", NAPI_AUTO_LENGTH, Run, nullptr, &function);
  napi_set_named_property(env, exports, "run", function);
  return exports;
}
