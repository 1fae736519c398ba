/* SPDX-License-Identifier: MIT */
#pragma once

#include "environment.h"

namespace aio {

void DefineBottomHalf(Environment& environment, napi_value exports);

}  // namespace aio
