/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "aio-system-private.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* What test builds of the library have besides: schedule points, a count of fences and the table of system calls. */

_Thread_local guint64 aio_test_n_fences;

AioSystem aio_system = {
  .eventfd = eventfd,
  .read = read,
  .write = write,
  .epoll_create1 = epoll_create1,
  .epoll_ctl = epoll_ctl,
  .epoll_wait = epoll_wait,
  .epoll_pwait2 = epoll_pwait2,
  .ppoll = ppoll,
  .timerfd_create = timerfd_create,
  .timerfd_settime = timerfd_settime,
  .io_uring_queue_init_params = io_uring_queue_init_params,
  .io_uring_submit = io_uring_submit,
  .io_uring_submit_and_get_events = io_uring_submit_and_get_events,
  .io_uring_submit_and_wait_timeout = io_uring_submit_and_wait_timeout,
  .clock_gettime = clock_gettime,
};

void
aio_test_set_hook (AioContext *ctx, AioTestHook hook, gpointer data)
{
  ctx->test_hook = hook;
  ctx->test_hook_data = data;
}

void
aio_test_reach (AioContext *ctx, AioPoint point)
{
  if (ctx->test_hook)
    ctx->test_hook (ctx, point, ctx->test_hook_data);
}
