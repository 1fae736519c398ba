/* SPDX-License-Identifier: MIT */
#include "environment.h"

#include "context.h"

#include <algorithm>

namespace aio {

void SlotReleases::Add(uint32_t slot) {
  std::lock_guard<std::mutex> guard(lock_);
  if (!closed_) slots_.push_back(slot);
}

size_t SlotReleases::Take(uint32_t* slots, size_t capacity) {
  std::lock_guard<std::mutex> guard(lock_);
  size_t count = std::min(capacity, slots_.size());
  std::copy(slots_.end() - count, slots_.end(), slots);
  slots_.resize(slots_.size() - count);
  return count;
}

void SlotReleases::Close() {
  std::lock_guard<std::mutex> guard(lock_);
  closed_ = true;
  slots_.clear();
}

void Environment::End() {
  ended = true;
  releases->Close();
  while (!contexts.empty()) contexts.begin()->second->owned->End();
}

}  // namespace aio
