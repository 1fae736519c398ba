/* SPDX-License-Identifier: MIT */
#include "uv-signal.h"

#include <cerrno>
#include <cstdlib>

// What is needed of libuv. Its header is no part of node-api-headers, but its ABI is stable.
extern "C" {
size_t uv_handle_size(int type);
void uv_handle_set_data(void* handle, void* data);
void* uv_handle_get_data(const void* handle);
int uv_signal_init(struct uv_loop_s* loop, void* handle);
int uv_signal_start(void* handle, void (*callback)(void* handle, int number), int number);
void uv_unref(void* handle);
void uv_close(void* handle, void (*callback)(void* handle));
}

namespace aio {

namespace {

constexpr int kUvSignal = 16;  // UV_SIGNAL

void Ignore(void*, int) {}

}  // namespace

int UvSignal::Start(napi_env env, int number, Ended ended, void* data, UvSignal** result) {
  struct uv_loop_s* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return -ENOSYS;
  void* handle = calloc(1, uv_handle_size(kUvSignal));
  if (handle == nullptr) return -ENOMEM;
  if (int error = uv_signal_init(loop, handle)) {
    free(handle);
    return error;
  }
  uv_unref(handle);
  if (int error = uv_signal_start(handle, Ignore, number)) {
    uv_close(handle, free);
    return error;
  }

  auto* self = new UvSignal;  // freed by Stop()
  self->handle_ = handle;
  self->ended_ = ended;
  self->data_ = data;
  uv_handle_set_data(handle, self);
  // A loop must not be closed before its handles are.
  napi_add_async_cleanup_hook(
      env,
      [](napi_async_cleanup_hook_handle, void* data) {
        auto* self = static_cast<UvSignal*>(data);
        self->ended_(self->data_);
      },
      self, &self->hook_);
  *result = self;
  return 0;
}

void UvSignal::Stop() {
  uv_close(handle_, [](void* handle) {
    auto* self = static_cast<UvSignal*>(uv_handle_get_data(handle));
    napi_remove_async_cleanup_hook(self->hook_);
    delete self;
    free(handle);
  });
}

}  // namespace aio
