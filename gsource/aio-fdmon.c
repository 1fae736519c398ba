/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "aio-fdmon-uring-private.h"
#include "aio-system-private.h"

#include <errno.h>
#include <pthread.h>

/*
 * From this many handlers on an 'auto' context uses epoll, and below half of it poll(2) again. It is where
 * an iteration of GLib costs the same with either (benchmark fds; docs/monitors.md has the figures).
 */
#define EPOLL_THRESHOLD 32

/* Which process this is: so many children down from the one that began to count. */
static _Atomic guint this_process;

static void
note_child (void)
{
  atomic_fetch_add_explicit (&this_process, 1, memory_order_relaxed);
}

guint
aio_fdmon_process (void)
{
  static gsize counting;

  if (g_once_init_enter (&counting))
    {
      pthread_atfork (NULL, NULL, note_child);
      g_once_init_leave (&counting, 1);
    }
  return atomic_load_explicit (&this_process, memory_order_relaxed);
}

gboolean
aio_fdmon_is_own (guint process)
{
  return process == atomic_load_explicit (&this_process, memory_order_relaxed);
}

gushort
aio_fdmon_look (AioHandler *handler, gushort revents)
{
  struct pollfd fd = { .fd = handler->poll_fd.fd, .events = handler->poll_fd.events };
  const struct timespec no_time = { 0 };
  int n;

  /* A signal that is pending interrupts also a call that does not wait, if nothing is ready. */
  do
    n = AIO_SYSTEM (ppoll) (&fd, 1, &no_time, NULL);
  while (n < 0 && errno == EINTR);
  return n < 0 ? revents : fd.revents;
}

static void
walk_to (AioContext *ctx, AioHandler *handler, void (*function) (AioContext *ctx, AioHandler *handler))
{
  if (!handler || !handler->monitored || handler->walk_mark == ctx->walk_mark)
    return;
  handler->walk_mark = ctx->walk_mark;
  function (ctx, handler);
}

/*
 * Calls @function for every handler that is monitored, once. They are in the table, but for those that another
 * thread has removed or replaced since the changes were applied, or does while this walks; the mark tells what
 * is met both here and there. The lock is for the list of changes only, and taken if it may not be empty.
 */
static void
for_each_monitored (AioContext *ctx, void (*function) (AioContext *ctx, AioHandler *handler))
{
  ctx->walk_mark = !ctx->walk_mark;
  aio_context_visit (ctx);
  for (guint fd = 0; fd < aio_context_table_size (ctx); fd++)
    walk_to (ctx, aio_context_get_handler (ctx, fd), function);
  aio_context_leave_visit (ctx);
  if (!atomic_load_explicit (&ctx->n_changes, memory_order_acquire))
    return;

  aio_context_lock_lists (ctx);
  for (AioHandler *handler = ctx->changes; handler; handler = handler->next_change)
    walk_to (ctx, handler, function);
  aio_context_unlock_lists (ctx);
}

/* Hands all handlers over to @ops; errno if it cannot be opened, and then nothing has changed. */
static int
switch_to (AioContext *ctx, const AioFdMonOps *ops)
{
  const AioFdMonOps *old = aio_context_fdmon (ctx);
  int error = ops->open (ctx);

  if (error)
    return error;
  AIO_SCHEDULE_POINT (ctx, FDMON_BEFORE_UPDATE);
  for_each_monitored (ctx, old->remove);
  old->close (ctx);
  atomic_store_explicit (&ctx->fdmon_ops, ops, memory_order_relaxed);
  for_each_monitored (ctx, ops->add);
  aio_counter_add (&ctx->stats.monitor_switches, 1);
  return 0;
}

int
aio_fdmon_open (AioContext *ctx, AioMonitor monitor)
{
  const AioFdMonOps *ops = monitor == AIO_MONITOR_EPOLL      ? &aio_fdmon_epoll_ops
                           : monitor == AIO_MONITOR_IO_URING ? &aio_fdmon_uring_ops
                                                             : &aio_fdmon_poll_ops;

  atomic_store_explicit (&ctx->fdmon_ops, ops, memory_order_relaxed);
  return ops->open (ctx);
}

/* Whether epoll may be tried; once refused, not before the context has half as many handlers as then. */
static gboolean
may_use_epoll (AioContext *ctx, guint n)
{
  if (n < ctx->epoll_refused_at / 2)
    ctx->epoll_refused_at = 0;
  return ctx->epoll_refused_at == 0 && (n >= EPOLL_THRESHOLD || ctx->monitor_wanted == AIO_MONITOR_EPOLL);
}

void
aio_fdmon_choose (AioContext *ctx)
{
  guint n = atomic_load_explicit (&ctx->n_handlers, memory_order_relaxed);

  /* For good: what the kernel has against the ring does not depend on the number of handlers. */
  if (aio_context_fdmon (ctx) == &aio_fdmon_uring_ops && ctx->fdmon_uring->failed)
    switch_to (ctx, &aio_fdmon_poll_ops);

  if (aio_context_fdmon (ctx) == &aio_fdmon_poll_ops && ctx->monitor_wanted != AIO_MONITOR_POLL
      && may_use_epoll (ctx, n) && switch_to (ctx, &aio_fdmon_epoll_ops) != 0)
    ctx->epoll_refused_at = MAX (n, 2);

  if (aio_context_fdmon (ctx) == &aio_fdmon_epoll_ops)
    {
      aio_fdmon_epoll_keep_own (ctx);
      if (ctx->fdmon_epoll.full)
        ctx->epoll_refused_at = MAX (n, 2);
      if (ctx->fdmon_epoll.full || (ctx->monitor_wanted != AIO_MONITOR_EPOLL && n < EPOLL_THRESHOLD / 2))
        switch_to (ctx, &aio_fdmon_poll_ops);
    }
}
