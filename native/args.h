/* SPDX-License-Identifier: MIT */
#pragma once

#include "environment.h"

namespace aio {

// The arguments of one call from JavaScript. ts/arguments.ts has checked what a script gave; what is
// checked here is what would crash otherwise: a handle's kind. Anything else of a wrong type reads as 0.
template <size_t N>
class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = N;
    void* data = nullptr;
    napi_get_cb_info(env, info, &count, values_, nullptr, &data);
    environment_ = static_cast<Environment*>(data);
  }

  napi_env env() const { return env_; }
  Environment& environment() const { return *environment_; }
  napi_value operator[](size_t index) const { return values_[index]; }

  // The native object behind an External, or nullptr with a TypeError thrown.
  template <class T>
  T* Get(size_t index) const {
    void* data = nullptr;
    if (napi_get_value_external(env_, values_[index], &data) == napi_ok && data != nullptr &&
        static_cast<Handle*>(data)->kind == T::kKind)
      return static_cast<T*>(static_cast<Handle*>(data));
    napi_throw_type_error(env_, "ERR_INVALID_THIS", "The object is not what the method is for");
    return nullptr;
  }

  // The registration of a slot, or nullptr with a TypeError thrown.
  Registration* Get(size_t index, CallbackKind kind) const {
    Registration* registration = environment_->slots->Find(Uint32(index), kind);
    if (G_UNLIKELY(registration == nullptr))
      napi_throw_type_error(env_, "ERR_INVALID_THIS", "The object is not what the method is for");
    return registration;
  }

  bool Boolean(size_t index) const {
    bool value = false;
    napi_get_value_bool(env_, values_[index], &value);
    return value;
  }

  int32_t Int32(size_t index) const {
    int32_t value = 0;
    napi_get_value_int32(env_, values_[index], &value);
    return value;
  }

  uint32_t Uint32(size_t index) const {
    uint32_t value = 0;
    napi_get_value_uint32(env_, values_[index], &value);
    return value;
  }

  // A whole number, as number or bigint.
  int64_t Int64(size_t index) const {
    int64_t value = 0;
    bool lossless = false;
    if (napi_get_value_int64(env_, values_[index], &value) != napi_ok)
      napi_get_value_bigint_int64(env_, values_[index], &value, &lossless);
    return value;
  }

 private:
  napi_env env_;
  Environment* environment_;
  napi_value values_[N];
};

// A name for messages: UTF-8, cut where it is too long to be one. No string: no name.
class Name {
 public:
  Name(napi_env env, napi_value value)
      : is_string_(napi_get_value_string_utf8(env, value, text_, sizeof text_, nullptr) == napi_ok) {}
  operator const char*() const { return is_string_ ? text_ : nullptr; }

 private:
  char text_[128];
  bool is_string_;
};

inline napi_value ToValue(napi_env env, bool value) {
  napi_value result = nullptr;
  napi_get_boolean(env, value, &result);
  return result;
}

inline napi_value ToNumber(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

inline napi_value ToBigInt(napi_env env, int64_t value) {
  napi_value result = nullptr;
  napi_create_bigint_int64(env, value, &result);
  return result;
}

// Gives JavaScript @handle, which @finalize takes back whenever the garbage collector gets to it.
inline napi_value ToExternal(napi_env env, Handle* handle, napi_finalize finalize) {
  napi_value result = nullptr;
  if (napi_create_external(env, handle, finalize, nullptr, &result) == napi_ok) return result;
  finalize(env, handle, nullptr);
  return nullptr;
}

struct Method {
  const char* name;
  napi_callback function;
};

// Defines @methods on @exports; each gets the environment with its call.
template <size_t N>
void Define(Environment& environment, napi_value exports, const Method (&methods)[N]) {
  for (const Method& method : methods) {
    napi_value function = nullptr;
    if (napi_create_function(environment.env, method.name, NAPI_AUTO_LENGTH, method.function, &environment,
                             &function) == napi_ok)
      napi_set_named_property(environment.env, exports, method.name, function);
  }
}

}  // namespace aio
