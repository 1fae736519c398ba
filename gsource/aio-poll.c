/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "aio-error-private.h"

#include <errno.h>

#define IDLE_BH_INTERVAL_NS (10 * G_GINT64_CONSTANT (1000000))

static gint64
earlier (gint64 a, gint64 b)
{
  return a < 0 ? b : b < 0 ? a : MIN (a, b);
}

/**
 * aio_context_compute_timeout:
 * @ctx: a context
 *
 * Computes how long a wait may last now: not at all while a bottom half, a handler or a timer could
 * run, 10 ms while only idle bottom halves could, else until the first timer. Home thread. The
 * original's `aio_compute_timeout`.
 *
 * Returns: nanoseconds, or -1 for without end
 */
gint64
aio_context_compute_timeout (AioContext *ctx)
{
  AioBhQueueState state;
  gint64 timeout;

  g_return_val_if_fail (ctx != NULL && aio_context_is_home (ctx), -1);

  state = aio_context_bh_queue_state (ctx);
  if (state & AIO_BH_QUEUE_READY || ctx->ready.head || ctx->completed.head)
    return 0;
  timeout = aio_context_timer_timeout (ctx);
  return state & AIO_BH_QUEUE_IDLE ? earlier (timeout, IDLE_BH_INTERVAL_NS) : timeout;
}

/*
 * Waits, and tells whether the context's own notifier was ready; FALSE if the kernel refuses. @limited is TRUE no more
 * if the wait was cut short before its time: by the wall clock, or for want of memory. Without handlers and requests a
 * look is in memory only. The wait does not block if more was seen since @before: a destroy notify may be what the
 * caller waits for, or have nested a poll that has accepted what was notified after the timeout was computed. Nor where
 * a poll nested in it, or in the end function of a handler, has left poll mode on, or the context was closed.
 */
static gboolean
wait (AioContext *ctx, gint64 *timeout_ns, AioSeen before, gboolean *notifier_ready, gboolean *limited, GError **error)
{
  const AioFdMonOps *ops;
  gint64 timeout;
  int wait_error;

  aio_context_apply_changes (ctx);
  aio_context_apply_external (ctx);
  aio_fdmon_choose (ctx);
  /*
   * Who is not held back any more may have been found ready before; the notification of that may be accepted by now. A
   * ring that has failed has completed its requests.
   */
  if (ctx->ready.head || ctx->completed.head || aio_context_has_seen_more (ctx, before) || aio_polling_is_on (ctx)
      || aio_context_is_closed (ctx))
    *timeout_ns = 0;
  timeout = *timeout_ns;
  if (timeout == 0 && atomic_load_explicit (&ctx->n_handlers, memory_order_relaxed) == 0
      && !aio_uring_has_requests (ctx))
    return TRUE;

  ctx->wait_spared = FALSE;
  aio_counter_add (&ctx->stats.waits, 1);
  if (timeout == 0)
    aio_counter_add (&ctx->stats.zero_waits, 1);
  else
    aio_context_arm_wall_clock (ctx);
  ops = aio_context_fdmon (ctx);
  wait_error = ops->wait (ctx, timeout, notifier_ready);
  *limited &= wait_error == 0;
  /* Memory that the kernel lacks now it has again soon: like a wait that was cut short. */
  if (wait_error == EAGAIN || wait_error == ENOMEM)
    wait_error = 0;
  if (wait_error)
    aio_set_system_error (error, wait_error, ops->wait_call, "AioContext %s: waiting for its file descriptors",
                          ctx->name);
  /* A deadline that is put off stays armed; and the wall clock may be set. */
  if (aio_deadline_check (&ctx->deadlines[1]))
    {
      *limited = FALSE;
      aio_context_wake_prepared_source (ctx);
    }
  return wait_error == 0;
}

/*
 * Completes requests, then runs bottom halves, then handlers, then timers; whether there was progress. @block_ns: see
 * aio_polling_block_ns().
 */
static gboolean
run (AioContext *ctx, gint64 block_ns)
{
  gboolean progress;

  progress = aio_uring_run_completed (ctx);
  progress |= aio_context_bh_poll (ctx);
  AIO_SCHEDULE_POINT (ctx, POLL_AFTER_BH);
  ctx->block_ns = block_ns;
  progress |= aio_context_dispatch_ready (ctx);
  AIO_SCHEDULE_POINT (ctx, POLL_AFTER_DISPATCH);
  progress |= aio_context_run_timers (ctx);
  return progress;
}

/* Home thread: whether a look would find nothing, not even notifications (benchmark core-bh). */
static gboolean
is_quiet (AioContext *ctx)
{
  return !atomic_load_explicit (&ctx->bh_list, memory_order_relaxed) && !ctx->bh_slice_list && !ctx->ready.head
         && !atomic_load_explicit (&ctx->notified, memory_order_relaxed)
         && !atomic_load_explicit (&ctx->notifier_written, memory_order_relaxed)
         && !atomic_load_explicit (&ctx->n_changes, memory_order_relaxed)
         && atomic_load_explicit (&ctx->n_handlers, memory_order_relaxed) == 0 && !aio_context_has_timers (ctx)
         && !aio_uring_has_requests (ctx) && !aio_bh_batch_has_rest (&ctx->bh_batch);
}

/**
 * aio_context_poll:
 * @ctx: a context
 * @blocking: whether to wait until there is something to do
 * @error: return location for an error
 *
 * Waits once, at most until the first timer is due, and then runs what there is: bottom halves, handlers
 * of ready file descriptors, timers. Calls may be nested from any of them. A blocking call may return
 * without progress: after aio_context_notify(), after a change by another thread, after idle bottom
 * halves, when the wall clock was set. Home thread; the caller has a reference. The original's `aio_poll`. Fails with
 * %AIO_ERROR_WRONG_THREAD and %AIO_ERROR_CLOSED, and with %AIO_ERROR_SYSTEM if the kernel refuses to wait, as poll(2)
 * does (`EINVAL`) for more file descriptors than the process may have open; bottom halves and timers have run then.
 *
 * Returns: whether there was progress: a bottom half that is not idle, a handler or a timer was run
 */
gboolean
aio_context_poll (AioContext *ctx, gboolean blocking, GError **error)
{
  return aio_context_poll_for (ctx, blocking ? -1 : 0, NULL, error);
}

/* How long to wait now: @max_ns at most, if it is not -1; whether that is what limits it. */
static gint64
wait_time (AioContext *ctx, gint64 max_ns, gboolean *limited)
{
  gint64 timeout = max_ns != 0 ? aio_context_compute_timeout (ctx) : 0;

  *limited = max_ns > 0 && (timeout < 0 || timeout > max_ns);
  return *limited ? max_ns : timeout;
}

/* What is left of a poll once there may be something to do; apart, for who finds nothing (benchmark core-bh). */
G_NO_INLINE static gboolean
poll_once (AioContext *ctx, gint64 max_ns, gboolean *expired, GError **error)
{
  AioContext *outer;
  AioSeen before;
  gint64 timeout;
  gboolean limited, may_sleep, waited, notified, progress, idle, notifier_ready = FALSE;
  gboolean polled;
  AioPollingPass pass = { .start_ns = -1 };

  /* g_source_destroy() between prepare and check: there will be none that clears bit 0. */
  if (atomic_load_explicit (&ctx->notify_me, memory_order_relaxed) & 1 && g_source_is_destroyed (&ctx->source))
    atomic_fetch_and_explicit (&ctx->notify_me, ~1u, memory_order_relaxed);
  outer = aio_context_enter (ctx);
  before = aio_context_seen (ctx);
  /* The notification of what another thread has added may be accepted; and only a look in memory may find it ready. */
  aio_context_apply_changes (ctx);

  timeout = wait_time (ctx, max_ns, &limited);
  polled = ctx->poll_aio_handlers.n > 0 || ctx->poll_started;
  if (G_UNLIKELY (polled))
    {
      gboolean may_block = aio_polling_before_wait (ctx, timeout, before, &pass);

      /* Time has passed, and callbacks have been called. */
      if (max_ns > 0 && pass.start_ns >= 0)
        max_ns = MAX (max_ns - aio_polling_block_ns (&pass), 1);
      timeout = may_block ? wait_time (ctx, max_ns, &limited) : 0;
    }
  AIO_SCHEDULE_POINT (ctx, POLL_AFTER_TIMEOUT);
  may_sleep = timeout != 0;
  if (may_sleep)
    {
      guint notify_me = atomic_load_explicit (&ctx->notify_me, memory_order_relaxed);

      atomic_store_explicit (&ctx->notify_me, notify_me + 2, memory_order_relaxed);
      /*
       * notify_me before, notified after: pairs with the fence in aio_context_notify(). Work that was
       * published too late for the timeout above either is seen in notified here, or its notifier sees
       * notify_me and writes the eventfd.
       */
      aio_fence ();
      AIO_SCHEDULE_POINT (ctx, POLL_AFTER_NOTIFY_ME);
      if (atomic_load_explicit (&ctx->notified, memory_order_relaxed))
        timeout = 0;
      /*
       * A signal handler of this thread may have scheduled an idle one since, of which it notifies nobody but who waits;
       * and the notification of one that is to be freed may be accepted already, by check.
       */
      else if (atomic_load_explicit (&ctx->bh_list, memory_order_relaxed) || ctx->bh_slice_list)
        timeout = aio_context_bh_queue_state (ctx) & AIO_BH_QUEUE_DELETED ? 0 : wait_time (ctx, max_ns, &limited);
    }

  AIO_SCHEDULE_POINT (ctx, POLL_BEFORE_WAIT);
  if (polled && timeout == 0 && aio_polling_spares_wait (ctx, &pass, max_ns != 0))
    waited = ctx->wait_spared = TRUE;
  else
    waited = wait (ctx, &timeout, before, &notifier_ready, &limited, error);
  AIO_SCHEDULE_POINT (ctx, POLL_AFTER_WAIT);

  if (may_sleep)
    {
      guint notify_me = atomic_load_explicit (&ctx->notify_me, memory_order_relaxed);

      atomic_store_explicit (&ctx->notify_me, notify_me - 2, memory_order_release);
    }
  notified = aio_context_accept (ctx, notifier_ready);
  /* Now, for it may be in a callback that the main context goes to sleep. */
  if (notified)
    aio_context_wake_prepared_source (ctx);
  AIO_SCHEDULE_POINT (ctx, POLL_AFTER_ACCEPT);

  progress = run (ctx, aio_polling_block_ns (&pass));

  idle = timeout != 0 && !progress && aio_context_n_callbacks (ctx) == before.n_callbacks;
  limited = limited && idle && !notified;
  if (expired)
    *expired = limited;
  if (idle && !limited)
    aio_counter_add (&ctx->stats.empty_waits, 1);
  /*
   * In poll mode nobody kicks the main context either. And what has been called may be what whoever iterates it waits
   * for.
   */
  if (ctx->poll_started || aio_context_n_callbacks (ctx) != before.n_callbacks)
    aio_context_wake_prepared_source (ctx);
  aio_context_leave (ctx, outer);
  return progress && waited;
}

/**
 * aio_context_poll_for:
 * @ctx: a context
 * @max_ns: how long to wait at most, in nanoseconds; -1 for without end
 * @expired: (out) (optional): whether nothing but @max_ns ended the wait
 * @error: return location for an error
 *
 * aio_context_poll() with an end, for who has to look at something else from time to time. Calls that
 * are repeated as long as they set @expired are together like one that blocks. A file descriptor that was closed while
 * it was watched, and whose file is open elsewhere, may set it early. Home thread. Fails like aio_context_poll().
 *
 * Returns: whether there was progress: a bottom half that is not idle, a handler or a timer was run
 */
gboolean
aio_context_poll_for (AioContext *ctx, gint64 max_ns, gboolean *expired, GError **error)
{
  g_return_val_if_fail (ctx != NULL, FALSE);

  if (expired)
    *expired = FALSE;
  if (!aio_context_check (ctx, "Polling", error))
    return FALSE;

  aio_counter_add (&ctx->stats.polls, 1);
  return (max_ns != 0 || !is_quiet (ctx)) && poll_once (ctx, max_ns, expired, error);
}

/**
 * aio_context_wait_while: (skip)
 * @ctx: a context
 * @condition: called before each poll
 * @data: what it is given
 * @error: return location for an error
 *
 * Polls as long as @condition is %TRUE. Whoever changes the condition on another thread calls
 * aio_context_notify() afterwards. Home thread. The original's `AIO_WAIT_WHILE`. Fails like
 * aio_context_poll().
 *
 * Returns: whether the condition was met
 */
gboolean
aio_context_wait_while (AioContext *ctx, AioConditionFunc condition, gpointer data, GError **error)
{
  g_return_val_if_fail (ctx != NULL && condition != NULL, FALSE);

  while (condition (data))
    {
      GError *poll_error = NULL;

      aio_context_poll (ctx, TRUE, &poll_error);
      if (poll_error)
        {
          g_propagate_error (error, poll_error);
          return FALSE;
        }
    }
  return TRUE;
}

gboolean
aio_context_prepare_wait (AioContext *ctx)
{
  AioContext *outer = aio_context_enter (ctx);

  aio_context_apply_changes (ctx);
  aio_context_apply_external (ctx);
  aio_fdmon_choose (ctx);
  aio_polling_prepare (ctx);
  if (ctx->main_context && !g_source_is_destroyed (&ctx->source))
    aio_context_fdmon (ctx)->gsource_prepare (ctx);
  aio_context_leave (ctx, outer);
  return ctx->ready.head || ctx->completed.head;
}

/**
 * aio_context_prepare:
 * @ctx: a context
 *
 * Makes ready for a wait that somebody else does: brings the monitor up to date. Home thread. The
 * original's `aio_prepare`.
 *
 * Returns: whether handlers are known to be ready already
 */
gboolean
aio_context_prepare (AioContext *ctx)
{
  gboolean ready;

  g_return_val_if_fail (ctx != NULL && aio_context_is_home (ctx), FALSE);

  ready = aio_context_prepare_wait (ctx);
  /* A main context that is prepared already would sleep through what is known here alone. */
  if (ready)
    aio_context_wake_prepared_source (ctx);
  return ready;
}

/**
 * aio_context_pending:
 * @ctx: a context
 *
 * Home thread. The original's `aio_pending`.
 *
 * Returns: whether the last wait, or that of the main context, found handlers ready that have not run
 */
gboolean
aio_context_pending (AioContext *ctx)
{
  g_return_val_if_fail (ctx != NULL && aio_context_is_home (ctx), FALSE);

  return ctx->ready.head || aio_context_fdmon (ctx)->gsource_check (ctx, FALSE) || ctx->completed.head;
}

/**
 * aio_context_dispatch:
 * @ctx: a context
 *
 * Runs what there is, without looking at any file descriptor: bottom halves, handlers found ready,
 * timers. Of a context that is closed nothing is run. Home thread. The original's `aio_dispatch`.
 *
 * Returns: whether there was progress
 */
gboolean
aio_context_dispatch (AioContext *ctx)
{
  AioContext *outer;
  gboolean progress;

  g_return_val_if_fail (ctx != NULL && aio_context_is_home (ctx), FALSE);

  if (aio_context_is_closed (ctx))
    return FALSE;
  outer = aio_context_enter (ctx);
  aio_context_fdmon (ctx)->gsource_check (ctx, TRUE);
  progress = run (ctx, -1);
  aio_context_leave (ctx, outer);
  return progress;
}

/**
 * aio_context_is_armed:
 * @ctx: a context
 *
 * Tells whether a wait in this context could end by itself: while a bottom half is scheduled, a timer is
 * armed on a clock that is enabled and moves by itself, or is due, or a handler that is not dead watches a file
 * descriptor. A bottom half that is only to be freed, and a notification, end one wait and no more. Home thread.
 *
 * Returns: whether anything is armed
 */
gboolean
aio_context_is_armed (AioContext *ctx)
{
  g_return_val_if_fail (ctx != NULL && aio_context_is_home (ctx), FALSE);

  return aio_context_bh_queue_state (ctx) & (AIO_BH_QUEUE_READY | AIO_BH_QUEUE_IDLE) || ctx->ready.head
         || atomic_load_explicit (&ctx->n_handlers, memory_order_relaxed) > ctx->n_dead
         || atomic_load_explicit (&ctx->n_changes, memory_order_relaxed) > 0 || aio_context_has_timers (ctx)
         || aio_uring_has_requests (ctx);
}
