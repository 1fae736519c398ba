/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <cstring>

namespace aio {

napi_value CreateError(Environment& environment, int code, const char* message, int errno_, const char* syscall) {
  napi_env env = environment.env;
  napi_value create = nullptr, receiver = nullptr, error = nullptr, arguments[4] = {};

  napi_get_reference_value(env, environment.create_error, &create);
  napi_get_undefined(env, &receiver);
  napi_create_int32(env, code, &arguments[0]);
  napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &arguments[1]);
  napi_create_int32(env, -errno_, &arguments[2]);
  napi_create_string_utf8(env, syscall ? syscall : "", NAPI_AUTO_LENGTH, &arguments[3]);
  napi_call_function(env, receiver, create, 4, arguments, &error);
  return error;
}

napi_value CreateError(Environment& environment, const GError* error) {
  if (error->domain != AIO_ERROR) return CreateError(environment, AIO_ERROR_UNAVAILABLE, error->message);
  return CreateError(environment, error->code, error->message, aio_error_get_errno(error),
                     aio_error_get_syscall(error));
}

static void ThrowValue(Environment& environment, napi_value error) {
  if (error != nullptr) napi_throw(environment.env, error);
}

napi_value Throw(Environment& environment, AioError code, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_autofree char* message = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  ThrowValue(environment, CreateError(environment, code, message));
  return nullptr;
}

napi_value Throw(Environment& environment, GError* error) {
  ThrowValue(environment, CreateError(environment, error));
  g_error_free(error);
  return nullptr;
}

napi_value ThrowErrno(Environment& environment, int errno_, const char* syscall, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_autofree char* what = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  const char* name = strerrorname_np(errno_);
  g_autofree char* message = g_strdup_printf("%s: %s (%s)", what, g_strerror(errno_), name ? name : "unknown error");
  ThrowValue(environment, CreateError(environment, AIO_ERROR_SYSTEM, message, errno_, syscall));
  return nullptr;
}

napi_value ThrowRange(Environment& environment, const char* message) {
  napi_throw_range_error(environment.env, "ERR_OUT_OF_RANGE", message);
  return nullptr;
}

}  // namespace aio
