/* SPDX-License-Identifier: MIT */
#include "environment.h"

#include "bottom-half.h"
#include "callback.h"
#include "child.h"
#include "clock.h"
#include "context.h"
#include "fds.h"
#include "handler.h"
#include "inspect.h"
#include "main-context.h"
#include "notifier.h"
#include "registration.h"
#include "signal.h"
#include "timer.h"

namespace {

using aio::Environment;

// Runs before the finalizers of the handles: they find every context closed, and need no environment.
void End(void* data) { static_cast<Environment*>(data)->End(); }

void Release(napi_env, void* data, void*) { delete static_cast<Environment*>(data); }

}  // namespace

NAPI_MODULE_INIT() {
  auto& environment = *new Environment(env);
  napi_set_instance_data(env, &environment, Release, nullptr);
  napi_add_env_cleanup_hook(env, End, &environment);

  aio::DefineBottomHalf(environment, exports);
  aio::DefineCallback(environment, exports);
  aio::DefineChild(environment, exports);
  aio::DefineClock(environment, exports);
  aio::DefineContext(environment, exports);
  aio::DefineFds(environment, exports);
  aio::DefineHandler(environment, exports);
  aio::DefineInspect(environment, exports);
  aio::DefineMainContext(environment, exports);
  aio::DefineNotifier(environment, exports);
  aio::DefineRegistration(environment, exports);
  aio::DefineSignal(environment, exports);
  aio::DefineTimer(environment, exports);
  return exports;
}
