/* SPDX-License-Identifier: MIT */
// The least that a callback through Node-API can cost: an addon of its own, for benchmarks only.
#include <node_api.h>

#include <cstdint>

namespace {

struct Environment {
  napi_async_context async_context = nullptr;
  uint64_t calls = 0;  // of noop()
};

Environment* Data(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return static_cast<Environment*>(data);
}

// makeExternal(): what noop() takes.
napi_value MakeExternal(napi_env env, napi_callback_info) {
  napi_value result = nullptr;
  napi_create_external(env, &Data(env)->calls, nullptr, nullptr, &result);
  return result;
}

// noop(external): JavaScript to C++ with an object of C++'s, as bh.schedule() has to.
napi_value Noop(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value external = nullptr;
  void* calls = nullptr;
  napi_get_cb_info(env, info, &count, &external, nullptr, nullptr);
  if (napi_get_value_external(env, external, &calls) == napi_ok) ++*static_cast<uint64_t*>(calls);
  return nullptr;
}

// callOut(function, n): C++ to JavaScript, n times, each in a handle scope and a callback scope of its
// own, as somebody has to who knows nothing of what runs next. napi_make_callback() opens the latter,
// faster than napi_open_callback_scope() does.
napi_value CallOut(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2] = {nullptr, nullptr};
  uint32_t n = 0;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  napi_get_value_uint32(env, arguments[1], &n);

  napi_async_context async_context = Data(env)->async_context;
  napi_value receiver = nullptr;
  napi_create_object(env, &receiver);
  for (uint32_t i = 0; i < n; i++) {
    napi_handle_scope scope = nullptr;
    napi_open_handle_scope(env, &scope);
    napi_status status = napi_make_callback(env, async_context, receiver, arguments[0], 0, nullptr, nullptr);
    napi_close_handle_scope(env, scope);
    if (status != napi_ok) break;
  }
  return nullptr;
}

void FinalizeEnvironment(napi_env env, void* data, void*) {
  auto* environment = static_cast<Environment*>(data);
  napi_async_destroy(env, environment->async_context);
  delete environment;
}

constexpr struct {
  const char* name;
  napi_callback function;
} kMethods[] = {
    {"makeExternal", MakeExternal},
    {"noop", Noop},
    {"callOut", CallOut},
};

}  // namespace

NAPI_MODULE_INIT() {
  auto* environment = new Environment();
  napi_value name = nullptr;
  napi_create_string_utf8(env, "aio-gsource:bench", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, nullptr, name, &environment->async_context);
  napi_set_instance_data(env, environment, FinalizeEnvironment, nullptr);

  for (const auto& method : kMethods) {
    napi_value function = nullptr;
    napi_create_function(env, method.name, NAPI_AUTO_LENGTH, method.function, nullptr, &function);
    napi_set_named_property(env, exports, method.name, function);
  }
  return exports;
}
