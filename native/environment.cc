/* SPDX-License-Identifier: MIT */
#include "environment.h"

#include <unistd.h>

#include "context.h"

namespace aio {

Environment::~Environment() {
  // Node does not free them with its environment.
  for (napi_ref reference : {dispatch, dispatch_batch, create_error, throw_collected})
    if (reference != nullptr) napi_delete_reference(env, reference);
}

void Environment::End() {
  ended = true;
  while (!contexts.empty()) contexts.begin()->second->owned->End();
  slots->End();
  for (int pidfd : pidfds) close(pidfd);
  pidfds.clear();
}

}  // namespace aio
