/* SPDX-License-Identifier: MIT */
#pragma once

#include <aio-gsource.h>
#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace aio {

class DriverFrame;
struct Context;

// Slots that C has let go of, until the dispatcher takes them to be used again. C lets go on whatever
// thread, possibly after the environment's end, so this outlives the environment.
class SlotReleases {
 public:
  void Add(uint32_t slot);                        // any thread
  size_t Take(uint32_t* slots, size_t capacity);  // the environment's thread
  void Close();                                   // the environment's thread: what comes later is dropped

 private:
  std::mutex lock_;
  std::vector<uint32_t> slots_;
  bool closed_ = false;
};

// What one JavaScript environment (the main thread's, a Worker's) has of this addon. Its thread only.
class Environment {
 public:
  explicit Environment(napi_env env) : env(env) {}
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  const napi_env env;
  const std::shared_ptr<SlotReleases> releases = std::make_shared<SlotReleases>();

  // No more JavaScript: the environment is being torn down, or its Worker terminated.
  bool ended = false;
  // Whether its thread may be terminated at any time: a Worker's.
  bool is_worker = false;
  // No more JavaScript until V8 has unwound the stack: a time limit of node:vm was up.
  bool unwinding = false;

  // The functions of ts/dispatcher.ts and ts/errors.ts, see Install().
  napi_ref dispatch = nullptr;
  napi_ref dispatch_batch = nullptr;
  napi_ref create_error = nullptr;
  napi_ref throw_collected = nullptr;

  DriverFrame* frame = nullptr;  // the innermost
  int call_depth = 0;            // calls of the dispatcher on the stack
  std::unordered_map<AioContext*, Context*> contexts;

  // Closes every context, so that nothing calls into an environment that is gone.
  void End();
};

// Everything that JavaScript holds in an External begins with this, and is told apart by it.
enum class HandleKind : uint32_t {
  kBottomHalf = 0xa10c0001,
  kClock,
  kContext,
  kMainContext,
  kNotifier,
  kTimer,
};

struct Handle {
  const HandleKind kind;
};

}  // namespace aio
