/* SPDX-License-Identifier: MIT */
#pragma once

#include "environment.h"

namespace aio {

// The handle of a GMainContext.
struct MainContext : Handle {
  static constexpr HandleKind kKind = HandleKind::kMainContext;

  GMainContext* const main_context;  // a reference
  bool closed = false;

  explicit MainContext(GMainContext* main_context) : Handle{kKind}, main_context(main_context) {}
  ~MainContext() { g_main_context_unref(main_context); }
};

// Whether @handle is open; if not, the error is thrown.
bool CheckOpen(Environment& environment, const MainContext& handle);

void DefineMainContext(Environment& environment, napi_value exports);

}  // namespace aio
