// SPDX-License-Identifier: MIT
// For the sendSignal() of test/helpers.ts. Node's process.kill(), where it goes to the process itself and no JavaScript
// listens, takes the signal for the end and first runs what is to be run at the end: nothing after it would be in
// the figures of the coverage.
#include <node_api.h>

#include <signal.h>
#include <unistd.h>

namespace {

// send(number): to this process.
napi_value Send(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value number = nullptr;
  int32_t signum = 0;
  napi_get_cb_info(env, info, &count, &number, nullptr, nullptr);
  napi_get_value_int32(env, number, &signum);
  kill(getpid(), signum);
  return nullptr;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function = nullptr;
  napi_create_function(env, "send", NAPI_AUTO_LENGTH, Send, nullptr, &function);
  napi_set_named_property(env, exports, "send", function);
  return exports;
}
