/* SPDX-License-Identifier: MIT */
#pragma once

#include <napi.h>

namespace aio {

// A watcher of libuv's for one signal, which does nothing when it comes. As long as there is one, in whatever loop,
// libuv leaves the action of that signal as it is: it sets its own when the first watcher starts, and the default when
// the last one stops, without a look at what is there. It does not keep Node's loop alive. Its environment's thread.
class UvSignal {
 public:
  using Ended = void (*)(void* data);

  // @ended: called when the environment ends before Stop(), which it has to call. A negative errno, or 0.
  static int Start(napi_env env, int number, Ended ended, void* data, UvSignal** result);

  // No use afterwards: it is freed when libuv has let go of it.
  void Stop();

 private:
  UvSignal() = default;

  void* handle_ = nullptr;  // a uv_signal_t
  napi_async_cleanup_hook_handle hook_ = nullptr;
  Ended ended_ = nullptr;
  void* data_ = nullptr;
};

}  // namespace aio
