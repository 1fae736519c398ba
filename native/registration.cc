/* SPDX-License-Identifier: MIT */
#include "registration.h"

#include <algorithm>

#include "args.h"
#include "callback.h"
#include "environment.h"

namespace aio {

Environment& Registration::environment() const { return slots_->environment_; }

void Registration::Call() { CallSlot(environment(), slot_); }

void Registration::Share(void* object) {
  object_ = object;
  owners_.fetch_add(1, std::memory_order_relaxed);
}

void Registration::Forget() {
  if (object_ == nullptr) return;
  if (periodic) environment().periods.erase(slot_);
  periodic = false;
  if (kind_ == CallbackKind::kTimer) {
    auto* timer = static_cast<AioTimer*>(object_);
    aio_timer_close(timer);
    aio_timer_unref(timer);
  } else {
    auto* bh = static_cast<AioBh*>(object_);
    aio_bh_delete(bh);
    aio_bh_unref(bh);
  }
  object_ = nullptr;
  Release(false);
}

void Registration::Release(bool by_c) {
  if (by_c && owners_.load(std::memory_order_relaxed) > 1) slots_->Note(slot_ | Slots::kNotFree);
  // After this another owner may be the last, and free everything.
  if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) slots_->Free(slot_);
}

Registration* Slots::Claim(uint32_t slot, CallbackKind kind) {
  while (registrations_.size() <= slot) registrations_.emplace_back();
  Registration* registration = &registrations_[slot];
  registration->slots_ = this;
  registration->slot_ = slot;
  registration->kind_ = kind;
  registration->owners_.store(1, std::memory_order_relaxed);
  std::lock_guard<std::mutex> guard(lock_);
  used_++;
  return registration;
}

Registration* Slots::Find(uint32_t slot, CallbackKind kind) {
  if (slot >= registrations_.size()) return nullptr;
  Registration* registration = &registrations_[slot];
  return registration->kind_ == kind && registration->object_ != nullptr ? registration : nullptr;
}

size_t Slots::Take(uint32_t* slots, size_t capacity) {
  std::lock_guard<std::mutex> guard(lock_);
  size_t count = std::min(capacity, released_.size());
  std::copy(released_.end() - count, released_.end(), slots);
  released_.resize(released_.size() - count);
  return count;
}

void Slots::Note(uint32_t value) {
  std::lock_guard<std::mutex> guard(lock_);
  if (!ended_) released_.push_back(value);
}

void Slots::Free(uint32_t slot) {
  bool last;
  {
    std::lock_guard<std::mutex> guard(lock_);
    used_--;
    if (!ended_) released_.push_back(slot);
    last = ended_ && used_ == 0;
  }
  if (last) delete this;
}

void Slots::End() {
  for (Registration& registration : registrations_) registration.Forget();
  bool last;
  {
    std::lock_guard<std::mutex> guard(lock_);
    ended_ = true;
    released_.clear();
    last = used_ == 0;
  }
  if (last) delete this;
}

namespace {

// takeReleasedSlots(into: Uint32Array): how many slots it has put there.
napi_value TakeReleasedSlots(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  napi_typedarray_type type;
  size_t capacity = 0;
  void* data = nullptr;

  if (napi_get_typedarray_info(env, arguments[0], &type, &capacity, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint32_array)
    capacity = 0;
  return ToNumber(env, arguments.environment().slots->Take(static_cast<uint32_t*>(data), capacity));
}

// forget(slot): the bottom half or timer, which it closes, has been collected.
napi_value Forget(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  Slots* slots = arguments.environment().slots;
  for (CallbackKind kind : {CallbackKind::kBottomHalf, CallbackKind::kTimer})
    if (Registration* registration = slots->Find(arguments.Uint32(0), kind)) {
      registration->Forget();
      break;
    }
  return nullptr;
}

constexpr Method kMethods[] = {
    {"takeReleasedSlots", TakeReleasedSlots},
    {"forget", Forget},
};

}  // namespace

void DefineRegistration(Environment& environment, napi_value exports) { Define(environment, exports, kMethods); }

}  // namespace aio
