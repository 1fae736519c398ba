/* SPDX-License-Identifier: MIT */
#pragma once

#include "environment.h"

namespace aio {

// An AioError of JavaScript: made by createError() of ts/errors.ts. nullptr if that cannot be called.
napi_value CreateError(Environment& environment, int code, const char* message, int errno_ = 0,
                       const char* syscall = nullptr);
napi_value CreateError(Environment& environment, const GError* error);

// These throw, and return nullptr for the caller to return.
napi_value Throw(Environment& environment, AioError code, const char* format, ...) G_GNUC_PRINTF(3, 4);
napi_value Throw(Environment& environment, GError* error);  // frees @error
napi_value ThrowErrno(Environment& environment, int errno_, const char* syscall, const char* format, ...)
    G_GNUC_PRINTF(4, 5);
napi_value ThrowRange(Environment& environment, const char* message);

}  // namespace aio
