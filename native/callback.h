/* SPDX-License-Identifier: MIT */
#pragma once

#include "environment.h"

namespace aio {

// Calls the callback in @slot of the dispatcher's table, with at most one argument. Home thread; the
// caller touches nothing afterwards that the callback may have closed. Whatever the callback throws has
// been dealt with on return.
void CallSlot(Environment& environment, uint32_t slot, napi_value argument = nullptr);

// The same, with a number, for a callback that comes before a wait of the current context: one that the script drives
// does not sleep where the callback has thrown. Whether the callback gave true.
bool CallSlotBeforeWait(Environment& environment, uint32_t slot, uint32_t argument);

// The bottom halves of a context that C has taken from their queue to be run in one call of JavaScript. They
// lie in an Int32Array, from which JavaScript takes one after the other: [next, count, slot, slot, …]. A poll that one
// of them nests goes on with the rest.
class Batch {
 public:
  Batch(Environment& environment, napi_value array);
  ~Batch();
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  static constexpr size_t kArrayLength = 2 + AIO_BH_BATCH_MAX;

  bool HasRest() const { return array_[0] < array_[1]; }
  // Without any it goes on with the rest. How many it has run.
  guint Run(gpointer* registrations, guint count);
  // Drops the rest: its slots may be given to others now.
  void Clear() { array_[1] = 0; }

 private:
  Environment& environment_;
  napi_ref reference_ = nullptr;
  int32_t* array_ = nullptr;
};

// From construction to Finish() a call of the script drives callbacks: what they throw is collected, and
// thrown by Finish(). An exception never crosses a frame of C.
class DriverFrame {
 public:
  // @callback_depth: what g_main_depth() is in the callbacks that this call drives. A callback at
  // another depth is driven by a foreign loop that one of those callbacks runs.
  DriverFrame(Environment& environment, int callback_depth, GMainContext* main_context = nullptr);
  ~DriverFrame();
  DriverFrame(const DriverFrame&) = delete;
  DriverFrame& operator=(const DriverFrame&) = delete;

  // Throws what was collected, with @error (which it frees) for the last; whether there was nothing.
  bool Finish(GError* error = nullptr);

  // Whether a callback at that depth is this call's own. Handlers are polled in prepare, a level less deep than what is
  // dispatched. The prepare of a foreign loop that a callback runs is told from it by the calls on the stack.
  bool Drives(int depth) const {
    if (depth == callback_depth_) return environment_.call_depth <= call_depth_ + 1;
    return main_context_ != nullptr && depth == callback_depth_ - 1 && environment_.call_depth == call_depth_ + 1;
  }
  // Whether JavaScript that runs now does so in a prepare or check of the main context of this frame.
  bool InPrepare(GMainContext* main_context, int depth) const {
    return main_context == main_context_ && depth < callback_depth_;
  }
  void Collect(napi_value error);
  uint32_t collected() const { return collected_; }

  // Whether the callbacks of this very call are being called: their values, which are few, may wait for its
  // end. A loop that one of them runs makes values without end.
  bool CallsDirectly() const { return call_depth_ == environment_.call_depth && Drives(g_main_depth()); }
  // Where it does: calls a slot without a look-up and a handle scope for each (benchmark bh).
  void CallSlot(uint32_t slot);

 private:
  Environment& environment_;
  DriverFrame* const outer_;
  const int callback_depth_;
  const int call_depth_;
  GMainContext* const main_context_;
  napi_ref errors_ = nullptr;      // an Array
  uint32_t collected_ = 0;         // its length
  napi_value dispatch_ = nullptr;  // valid as long as this
};

// Whether JavaScript can be called now, as far as is known.
bool CanCall(Environment& environment);

// Finds out whether JavaScript is being terminated.
bool IsTerminated(Environment& environment);

// The condition, for the environment, of a wait for another thread: a Worker may be terminated meanwhile.
AioConditionFunc UntilTerminated(const Environment& environment);

// After a call into JavaScript that did not end well: termination, or an exception out of the
// dispatcher itself, such as a stack overflow.
void CallFailed(Environment& environment);

void DefineCallback(Environment& environment, napi_value exports);

}  // namespace aio
