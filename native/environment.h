/* SPDX-License-Identifier: MIT */
#pragma once

#include <aio-gsource.h>
#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "registration.h"

namespace aio {

class DriverFrame;
struct Context;
struct SignalRegistration;

// A timer that fires again and again.
struct Period {
  int64_t interval_ns;
  int64_t next_ns;  // when it fires next
};

// What one JavaScript environment (the main thread's, a Worker's) has of this addon. Its thread only.
class Environment {
 public:
  explicit Environment(napi_env env) : env(env) {}
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  const napi_env env;
  Slots* const slots = new Slots(*this);  // which C may outlive this with

  // No more JavaScript: the environment is being torn down, or its Worker terminated.
  bool ended = false;
  // Whether its thread may be terminated at any time: a Worker's.
  bool is_worker = false;
  // No more JavaScript until V8 has unwound the stack: a time limit of node:vm was up.
  bool unwinding = false;
  // A call of the script changes handlers or ends a context: that polling ends with them it tells them itself.
  bool changing = false;

  // The functions of ts/dispatcher.ts and ts/errors.ts, see Install().
  napi_ref dispatch = nullptr;
  napi_ref dispatch_batch = nullptr;
  napi_ref create_error = nullptr;
  napi_ref throw_collected = nullptr;

  DriverFrame* frame = nullptr;  // the innermost
  int call_depth = 0;            // calls of the dispatcher on the stack
  std::unordered_map<AioContext*, Context*> contexts;
  std::unordered_map<uint32_t, Period> periods;  // by slot
  std::vector<SignalRegistration*> signals;      // what watches signals
  std::unordered_set<int> pidfds;                // those of ts/child.ts, which a thread that is terminated cannot close

  // Closes every context, so that nothing calls into an environment that is gone, and what else is open.
  void End();
};

// From construction to destruction Environment::changing.
class Changing {
 public:
  explicit Changing(Environment& environment) : environment_(environment), outer_(environment.changing) {
    environment.changing = true;
  }
  ~Changing() { environment_.changing = outer_; }
  Changing(const Changing&) = delete;
  Changing& operator=(const Changing&) = delete;

 private:
  Environment& environment_;
  const bool outer_;
};

// Everything that JavaScript holds in an External begins with this, and is told apart by it.
enum class HandleKind : uint32_t {
  kClock = 0xa10c0001,
  kContext,
  kMainContext,
  kNotifier,
  kSignal,
};

struct Handle {
  const HandleKind kind;
};

}  // namespace aio
