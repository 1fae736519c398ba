/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-context.h"

/*
 * Schedule points: places where a test may hold a thread while another one moves, so that an
 * interleaving is forced instead of hoped for. Only test builds (AIO_TEST_HOOKS) have them; in any
 * other build AIO_SCHEDULE_POINT() is nothing.
 */
typedef enum {
  AIO_POINT_POLL_AFTER_TIMEOUT,
  AIO_POINT_POLL_AFTER_NOTIFY_ME,
  AIO_POINT_POLL_BEFORE_WAIT,
  AIO_POINT_POLL_AFTER_WAIT,
  AIO_POINT_POLL_AFTER_ACCEPT,
  AIO_POINT_POLL_AFTER_BH,
  AIO_POINT_POLL_AFTER_DISPATCH,
  AIO_POINT_GS_PREPARE_ENTER,
  AIO_POINT_GS_PREPARE_AFTER_BIT,
  AIO_POINT_GS_PREPARE_BEFORE_TIMEOUT,
  AIO_POINT_GS_PREPARE_AFTER_TIMEOUT,
  AIO_POINT_GS_CHECK_ENTER,
  AIO_POINT_GS_DISPATCH_ENTER,
  AIO_POINT_NOTIFY_AFTER_NOTIFIED,
  AIO_POINT_NOTIFY_BEFORE_EVENTFD,
  AIO_POINT_BH_AFTER_DEQUEUE,
  AIO_POINT_BH_BEFORE_FREE,
  AIO_POINT_TIMER_BEFORE_CB,
  AIO_POINT_TIMER_BEFORE_LOCK,
  AIO_POINT_FDMON_BEFORE_UPDATE,
  AIO_POINT_FDMON_CHANGE_TAKEN,
  AIO_POINT_URING_AFTER_CQE,
} AioPoint;

#ifdef AIO_TEST_HOOKS

typedef void (*AioTestHook) (AioContext *ctx, AioPoint point, gpointer data);

/* Any thread, while no thread is in the context. A hook may block, and is called with no lock held. */
void aio_test_set_hook (AioContext *ctx, AioTestHook hook, gpointer data);

void aio_test_reach (AioContext *ctx, AioPoint point);

#define AIO_SCHEDULE_POINT(ctx, point) aio_test_reach ((ctx), AIO_POINT_##point)

#else

#define AIO_SCHEDULE_POINT(ctx, point) ((void) 0)

#endif
