/* SPDX-License-Identifier: MIT */
#pragma once

#include "environment.h"

namespace aio {

void DefineInspect(Environment& environment, napi_value exports);

}  // namespace aio
