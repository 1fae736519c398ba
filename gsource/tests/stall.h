/* SPDX-License-Identifier: MIT */
#pragma once

#include "driver.h"

/* For tests that run long: how much they do, and a watch over their progress. */

/*
 * How many schedules a case makes: AIO_STRESS from the environment, or @by_default. Fewer by default under
 * sanitizers.
 */
guint64 stress_size (guint64 by_default);

/*
 * Fails the test with the state of the context's wake-ups if *@progress stays the same for two seconds (ten under a
 * sanitizer), as it does when a wake-up is lost.
 */
typedef struct _Stall Stall;

Stall *stall_watch (AioContext *ctx, const guint64 *progress);
void stall_end (Stall *stall);
