// SPDX-License-Identifier: MIT
// For test/context-ownership.test.ts: a native thread that owns the context that is current on the caller's thread.
// start(), owns(), finish(); one thread at a time in the process. And one that takes a context home: remember() in a
// callback of it, then takeHome() outside.
#include <aio-gsource.h>
#include <node_api.h>

#include <atomic>
#include <thread>

namespace {

std::thread thread;
std::atomic<bool> owns, finish;
AioContext* remembered;

void Own(AioContext* context) {
  aio_context_acquire(context);
  owns = true;
  while (!finish) std::this_thread::yield();
  owns = false;
  aio_context_release(context, nullptr);
  aio_context_unref(context);
}

napi_value Start(napi_env, napi_callback_info) {
  finish = false;
  thread = std::thread(Own, aio_context_ref(aio_context_get_current()));
  return nullptr;
}

napi_value Owns(napi_env env, napi_callback_info) {
  napi_value result = nullptr;
  napi_get_boolean(env, owns, &result);
  return result;
}

// With true: tells the thread to release the context; otherwise waits until it has, too.
napi_value Finish(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value only_tell = nullptr;
  bool tell = false;
  napi_get_cb_info(env, info, &count, &only_tell, nullptr, nullptr);
  napi_get_value_bool(env, only_tell, &tell);
  finish = true;
  if (!tell) thread.join();
  return nullptr;
}

napi_value Remember(napi_env, napi_callback_info) {
  remembered = aio_context_ref(aio_context_get_current());
  return nullptr;
}

// Whether the home of the context that was remembered is a thread that has ended by now.
napi_value TakeHome(napi_env env, napi_callback_info) {
  gboolean taken = FALSE;
  std::thread([&taken] { taken = aio_context_set_home(remembered, nullptr); }).join();
  aio_context_unref(remembered);
  napi_value result = nullptr;
  napi_get_boolean(env, taken, &result);
  return result;
}

}  // namespace

NAPI_MODULE_INIT() {
  const struct {
    const char* name;
    napi_callback callback;
  } methods[] = {{"start", Start}, {"owns", Owns}, {"finish", Finish}, {"remember", Remember}, {"takeHome", TakeHome}};
  for (const auto& method : methods) {
    napi_value function = nullptr;
    napi_create_function(env, method.name, NAPI_AUTO_LENGTH, method.callback, nullptr, &function);
    napi_set_named_property(env, exports, method.name, function);
  }
  return exports;
}
