/* SPDX-License-Identifier: MIT */
#include "bottom-half.h"

#include "args.h"
#include "callback.h"
#include "context.h"
#include "error.h"

namespace aio {

namespace {

// The handle of a bottom half.
struct BottomHalf : Handle {
  static constexpr HandleKind kKind = HandleKind::kBottomHalf;

  const std::shared_ptr<OwnedContext> owned;
  AioBh* const bh;  // a reference
  bool closed = false;

  BottomHalf(std::shared_ptr<OwnedContext> owned, AioBh* bh) : Handle{kKind}, owned(std::move(owned)), bh(bh) {}

  ~BottomHalf() {
    Close();
    aio_bh_unref(bh);
  }

  void Close() {
    if (closed) return;
    closed = true;
    aio_bh_delete(bh);
  }

  bool IsOpen() const { return !closed && owned->IsOpen(); }
};

void Finalize(napi_env, void* data, void*) { delete static_cast<BottomHalf*>(static_cast<Handle*>(data)); }

// bhNew(context, name, slot)
napi_value New(napi_env env, napi_callback_info info) {
  Arguments<3> arguments(env, info);
  auto registration = std::make_unique<Registration>(arguments.environment(), arguments.Uint32(2));
  Context* context = arguments.Get<Context>(0);
  if (context == nullptr) return nullptr;
  AioContext* open = GetOpen(arguments.environment(), *context);
  if (open == nullptr) return nullptr;

  AioBh* bh =
      aio_bh_new_boxed(open, Name(env, arguments[1]), Registration::Run, registration.release(), Registration::Destroy);
  return ToExternal(env, new BottomHalf(context->owned, bh), Finalize);
}

// scheduleOneshot(context, name, slot)
napi_value ScheduleOneshot(napi_env env, napi_callback_info info) {
  Arguments<3> arguments(env, info);
  auto registration = std::make_unique<Registration>(arguments.environment(), arguments.Uint32(2));
  Context* context = arguments.Get<Context>(0);
  if (context == nullptr) return nullptr;
  AioContext* open = GetOpen(arguments.environment(), *context);
  if (open == nullptr) return nullptr;

  aio_context_schedule_oneshot_full(open, Name(env, arguments[1]), Registration::Run, registration.release(),
                                    Registration::Destroy);
  return nullptr;
}

// A method that takes a bottom half, which has to be open.
template <void (*function)(AioBh*)>
napi_value Do(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  BottomHalf* bh = arguments.Get<BottomHalf>(0);
  if (bh == nullptr) return nullptr;
  if (G_UNLIKELY(!bh->IsOpen()))
    return Throw(arguments.environment(), AIO_ERROR_CLOSED, "Bottom half %s is closed", aio_bh_get_name(bh->bh));
  function(bh->bh);
  return nullptr;
}

// What a call of the callback by the script itself needs.
void CheckOnly(AioBh*) {}

napi_value IsScheduled(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  BottomHalf* bh = arguments.Get<BottomHalf>(0);
  return bh ? ToValue(env, bh->IsOpen() && aio_bh_is_scheduled(bh->bh)) : nullptr;
}

napi_value Close(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  if (BottomHalf* bh = arguments.Get<BottomHalf>(0)) bh->Close();
  return nullptr;
}

constexpr Method kMethods[] = {
    {"bhNew", New},
    {"bhSchedule", Do<aio_bh_schedule>},
    {"bhScheduleIdle", Do<aio_bh_schedule_idle>},
    {"bhCancel", Do<aio_bh_cancel>},
    {"bhCheckOpen", Do<CheckOnly>},
    {"bhIsScheduled", IsScheduled},
    {"bhClose", Close},
    {"scheduleOneshot", ScheduleOneshot},
};

}  // namespace

void DefineBottomHalf(Environment& environment, napi_value exports) { Define(environment, exports, kMethods); }

}  // namespace aio
