/* SPDX-License-Identifier: MIT */
#include "environment.h"

#include "context.h"

namespace aio {

void Environment::End() {
  ended = true;
  while (!contexts.empty()) contexts.begin()->second->owned->End();
  slots->End();
}

}  // namespace aio
