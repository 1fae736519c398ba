/* SPDX-License-Identifier: MIT */
#pragma once

#include "environment.h"

namespace aio {

void DefineChild(Environment& environment, napi_value exports);

}  // namespace aio
