/* SPDX-License-Identifier: MIT */
#pragma once

#define AIO_GSOURCE_INSIDE

#include "aio-error.h"
#include "aio-version.h"

#include "aio-clock.h"
#include "aio-context.h"
#include "aio-stats.h"

#include "aio-bh.h"
#include "aio-handler.h"
#include "aio-inspect.h"
#include "aio-lock-count.h"
#include "aio-notifier.h"
#include "aio-timer.h"

#undef AIO_GSOURCE_INSIDE
