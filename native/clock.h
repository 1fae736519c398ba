/* SPDX-License-Identifier: MIT */
#pragma once

#include "environment.h"

namespace aio {

// The handle of a clock.
struct Clock : Handle {
  static constexpr HandleKind kKind = HandleKind::kClock;

  AioClock* const clock;  // a reference

  explicit Clock(AioClock* clock) : Handle{kKind}, clock(clock) {}
  ~Clock() { aio_clock_unref(clock); }
};

void DefineClock(Environment& environment, napi_value exports);

}  // namespace aio
