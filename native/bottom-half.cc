/* SPDX-License-Identifier: MIT */
#include "bottom-half.h"

#include "args.h"
#include "callback.h"
#include "context.h"
#include "error.h"

namespace aio {

namespace {

// bhNew(context, name, slot)
napi_value New(napi_env env, napi_callback_info info) {
  Arguments<3> arguments(env, info);
  Registration* registration = arguments.environment().slots->Claim(arguments.Uint32(2), CallbackKind::kBottomHalf);
  AioContext* open = GetOpen(arguments);
  if (open == nullptr)
    Registration::Destroy(registration);
  else
    registration->Share(
        aio_bh_new_boxed(open, Name(env, arguments[1]), Registration::Run, registration, Registration::Destroy));
  return nullptr;
}

// scheduleOneshot(context, name, slot)
napi_value ScheduleOneshot(napi_env env, napi_callback_info info) {
  Arguments<3> arguments(env, info);
  Registration* registration = arguments.environment().slots->Claim(arguments.Uint32(2), CallbackKind::kOneshot);
  AioContext* open = GetOpen(arguments);
  if (open == nullptr)
    Registration::Destroy(registration);
  else
    aio_context_schedule_oneshot_full(open, Name(env, arguments[1]), Registration::Run, registration,
                                      Registration::Destroy);
  return nullptr;
}

// The bottom half that a method is called on, or nullptr with the error thrown.
template <size_t N>
AioBh* Get(const Arguments<N>& arguments) {
  Registration* registration = arguments.Get(0, CallbackKind::kBottomHalf);
  return registration ? static_cast<AioBh*>(registration->object()) : nullptr;
}

// A method that takes a bottom half, which has to be open.
template <void (*function)(AioBh*)>
napi_value Do(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  AioBh* bh = Get(arguments);
  if (bh == nullptr) return nullptr;
  if (G_UNLIKELY(!aio_bh_is_open(bh)))
    return Throw(arguments.environment(), AIO_ERROR_CLOSED, "Bottom half %s is closed", aio_bh_get_name(bh));
  function(bh);
  return nullptr;
}

// What a call of the callback by the script itself needs.
void CheckOnly(AioBh*) {}

napi_value IsScheduled(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  AioBh* bh = Get(arguments);
  return bh ? ToValue(env, aio_bh_is_open(bh) && aio_bh_is_scheduled(bh)) : nullptr;
}

napi_value Close(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  if (AioBh* bh = Get(arguments)) aio_bh_delete(bh);
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
