/* SPDX-License-Identifier: MIT */
#pragma once

#include "environment.h"

namespace aio {

// The handle of a GMainContext.
struct MainContext : Handle {
  static constexpr HandleKind kKind = HandleKind::kMainContext;

  GMainContext* main_context;  // a reference, until it is closed and not driven
  bool closed = false;

  explicit MainContext(GMainContext* main_context) : Handle{kKind}, main_context(main_context) {}
  ~MainContext() { g_clear_pointer(&main_context, g_main_context_unref); }

  void Close() {
    closed = true;
    if (driving_ == 0) g_clear_pointer(&main_context, g_main_context_unref);
  }

  // While a call drives it, it stays, even if a callback closes it.
  class Driving {
   public:
    explicit Driving(MainContext& handle) : handle_(handle) { handle_.driving_++; }
    ~Driving() {
      if (--handle_.driving_ == 0 && handle_.closed) handle_.Close();
    }
    Driving(const Driving&) = delete;
    Driving& operator=(const Driving&) = delete;

   private:
    MainContext& handle_;
  };

 private:
  int driving_ = 0;
};

// Whether @handle is open; if not, the error is thrown.
bool CheckOpen(Environment& environment, const MainContext& handle);

void DefineMainContext(Environment& environment, napi_value exports);

}  // namespace aio
