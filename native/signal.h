/* SPDX-License-Identifier: MIT */
#pragma once

#include "environment.h"

namespace aio {

class OwnedContext;

// Removes what watches signals for @context, or for any context without one, before it is closed: no handler
// schedules anything in it afterwards.
void CloseSignals(Environment& environment, const OwnedContext* context = nullptr);

// Whether anything watches a signal for @context.
bool HasSignals(const Environment& environment, const OwnedContext& context);

// Before each wait: somebody may have replaced our handlers, GLib for instance.
void RestoreSignals(const Environment& environment);

void DefineSignal(Environment& environment, napi_value exports);

}  // namespace aio
