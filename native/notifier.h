/* SPDX-License-Identifier: MIT */
#pragma once

#include "environment.h"

namespace aio {

// The handle of an event notifier.
struct Notifier : Handle {
  static constexpr HandleKind kKind = HandleKind::kNotifier;

  AioNotifier* const notifier;  // a reference

  explicit Notifier(AioNotifier* notifier) : Handle{kKind}, notifier(notifier) {}
  ~Notifier() { aio_notifier_unref(notifier); }
};

void DefineNotifier(Environment& environment, napi_value exports);

}  // namespace aio
