/* SPDX-License-Identifier: MIT */
#pragma once

#include <aio-gsource.h>
#include <napi.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

namespace aio {

class Environment;
class Slots;

// What C has a callback for.
enum class CallbackKind : uint8_t { kNone, kOneshot, kHandler, kBottomHalf, kTimer, kSignal };

// What C is given as the data of a callback, and gives back through its destroy notify. There is one for each slot
// of the table of ts/dispatcher.ts, at the same place for good, and it is small: a script may have a hundred thousand
// (benchmark memory).
class Registration {
 public:
  Registration() = default;
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

  void Call();
  Environment& environment() const;
  uint32_t slot() const { return slot_; }
  CallbackKind kind() const { return kind_; }

  // The AioBh or AioTimer, of which this owns a reference; the script knows it by its slot until Forget().
  void* object() const { return object_; }
  void Share(void* object);
  // The script has no use for it any more: it is closed, and the slot comes back once C has let go too.
  void Forget();

  static void Run(gpointer data) { static_cast<Registration*>(data)->Call(); }             // home thread
  static void Destroy(gpointer data) { static_cast<Registration*>(data)->Release(true); }  // any thread

  bool periodic = false;  // a timer that is in Environment::periods

 private:
  friend class Slots;

  void Release(bool by_c);

  Slots* slots_ = nullptr;
  void* object_ = nullptr;
  uint32_t slot_ = 0;
  CallbackKind kind_ = CallbackKind::kNone;
  std::atomic<uint8_t> owners_{0};  // C, and the script where there is an object
};

// The registrations of one environment. C lets go on whatever thread, possibly after the environment's end, so this
// lives until both the environment and C need it no more.
class Slots {
 public:
  explicit Slots(Environment& environment) : environment_(environment) {}

  // The environment's thread: the registration of a slot that is free, for C to have; of a kind, or nullptr.
  Registration* Claim(uint32_t slot, CallbackKind kind);
  Registration* Find(uint32_t slot, CallbackKind kind);
  // The environment's thread: slots that are free again, and with kNotFree those that C will not call any more.
  static constexpr uint32_t kNotFree = 1u << 31;
  size_t Take(uint32_t* slots, size_t capacity);
  // The environment's thread: the script is gone. May free this.
  void End();

 private:
  friend class Registration;

  void Note(uint32_t value);  // any thread
  void Free(uint32_t slot);   // any thread

  Environment& environment_;  // until End()
  std::deque<Registration> registrations_;
  std::mutex lock_;
  std::vector<uint32_t> released_;
  size_t used_ = 0;
  bool ended_ = false;
};

void DefineRegistration(Environment& environment, napi_value exports);

}  // namespace aio
