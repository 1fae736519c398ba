/* SPDX-License-Identifier: MIT */
#pragma once

#include "environment.h"

namespace aio {

void DefineHandler(Environment& environment, napi_value exports);

}  // namespace aio
