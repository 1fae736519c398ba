/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "aio-fdmon-uring-private.h"
#include "aio-system-private.h"

#include <errno.h>

/*
 * The ring has one one-shot poll for each handler. A poll that has completed is gone, so the handler is armed anew by
 * the next wait, which finds it again as long as it is ready: level-triggered. A poll carries the file descriptor and a
 * generation that belongs to this arming alone, so that a late CQE is never given to another handler, nor twice to one.
 *
 * Before the thread sleeps nobody is left to be armed; or, where GLib has computed its timeout already, it is woken.
 */

#define RING_ENTRIES 128

/* So often in a row the kernel may say that it has no room, or no memory, right now. */
#define MOST_REFUSALS 16

gboolean
aio_uring_is_own (AioContext *ctx)
{
  return aio_fdmon_is_own (ctx->fdmon_uring->process);
}

/*
 * Where a ring was there may soon be another one, of another thread. The kernel orders the two, in system calls of
 * liburing that ThreadSanitizer does not see.
 */
static void
note_ring_memory (void)
{
#ifdef __SANITIZE_THREAD__
  static _Atomic int order;

  atomic_fetch_add (&order, 1);
#endif
}

static int
uring_open (AioContext *ctx)
{
  const guint needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
  struct io_uring_params params = { .flags = IORING_SETUP_CLAMP };
  AioFdMonUring *mon = g_new0 (AioFdMonUring, 1);
  int error = -AIO_SYSTEM (io_uring_queue_init_params) (RING_ENTRIES, &mon->ring, &params);

  note_ring_memory ();
  if (error == 0 && (params.features & needed) != needed)
    {
      note_ring_memory ();
      io_uring_queue_exit (&mon->ring);
      error = ENOSYS;
    }
  if (error)
    {
      g_free (mon);
      return error;
    }
  mon->process = aio_fdmon_process ();
  mon->poll_fd = (GPollFD){ .fd = mon->ring.ring_fd, .events = G_IO_IN };
  mon->to_arm = g_ptr_array_new ();
  mon->to_cancel = g_array_new (FALSE, FALSE, sizeof (guint64));
  mon->notifier.fd = ctx->notifier_poll_fd.fd;
  mon->wall_clock.fd = -1;
  ctx->fdmon_uring = mon;
  return 0;
}

static void
uring_close (AioContext *ctx)
{
  AioFdMonUring *mon = ctx->fdmon_uring;

  aio_uring_cancel_requests (ctx);
  if (mon->in_source && !g_source_is_destroyed (&ctx->source))
    g_source_remove_poll (&ctx->source, &mon->poll_fd);
  note_ring_memory ();
  io_uring_queue_exit (&mon->ring);
  g_ptr_array_unref (mon->to_arm);
  g_array_unref (mon->to_cancel);
  g_clear_pointer (&ctx->fdmon_uring, g_free);
}

/* What handlers want */

static void
add_to_arm (AioFdMonUring *mon, AioHandler *handler)
{
  handler->to_arm = TRUE;
  handler->index = mon->to_arm->len;
  g_ptr_array_add (mon->to_arm, handler);
}

static void
remove_to_arm (AioFdMonUring *mon, AioHandler *handler)
{
  AioHandler *last = g_ptr_array_index (mon->to_arm, mon->to_arm->len - 1);

  handler->to_arm = FALSE;
  g_ptr_array_remove_index_fast (mon->to_arm, handler->index);
  last->index = handler->index;
}

static void
leave (AioContext *ctx, AioHandler *handler)
{
  AioFdMonUring *mon = ctx->fdmon_uring;

  if (handler->to_arm)
    remove_to_arm (mon, handler);
  if (handler->generation != 0)
    {
      guint64 data = aio_fdmon_entry_data (handler->poll_fd.fd, handler->generation);

      g_array_append_val (mon->to_cancel, data);
    }
  handler->generation = 0;
}

static void
leave_own (AioFdMonUring *mon, AioUringPoll *poll)
{
  if (poll->data != 0)
    g_array_append_val (mon->to_cancel, poll->data);
  poll->data = 0;
}

static void
uring_update (AioContext *ctx, AioHandler *handler)
{
  gboolean entered = handler->generation != 0 || handler->to_arm;

  if (entered && !aio_handler_is_watched (handler))
    leave (ctx, handler);
  else if (!entered && aio_handler_is_watched (handler))
    add_to_arm (ctx->fdmon_uring, handler);
}

/* SQEs */

struct io_uring_sqe *
aio_uring_get_sqe (AioContext *ctx)
{
  struct io_uring_sqe *sqe = io_uring_get_sqe (&ctx->fdmon_uring->ring);

  if (sqe)
    aio_counter_add (&ctx->stats.sqes, 1);
  return sqe;
}

/* Each of the following has FALSE for a ring that is full. */

static gboolean
queue_cancellations (AioContext *ctx)
{
  GArray *to_cancel = ctx->fdmon_uring->to_cancel;
  struct io_uring_sqe *sqe;

  while (to_cancel->len > 0 && (sqe = aio_uring_get_sqe (ctx)))
    {
      io_uring_prep_poll_remove (sqe, g_array_index (to_cancel, guint64, to_cancel->len - 1));
      sqe->user_data = AIO_URING_IGNORED;
      g_array_set_size (to_cancel, to_cancel->len - 1);
    }
  return to_cancel->len == 0;
}

/* Its user_data, or 0. */
static guint64
queue_poll (AioContext *ctx, int fd, guint32 events)
{
  AioFdMonUring *mon = ctx->fdmon_uring;
  struct io_uring_sqe *sqe = aio_uring_get_sqe (ctx);

  if (!sqe)
    return 0;
  mon->last_generation = mon->last_generation % AIO_URING_LAST_GENERATION + 1;
  io_uring_prep_poll_add (sqe, fd, events);
  return sqe->user_data = aio_fdmon_entry_data (fd, mon->last_generation);
}

static gboolean
queue_own (AioContext *ctx, AioUringPoll *poll)
{
  if (poll->data == 0 && poll->fd >= 0)
    poll->data = queue_poll (ctx, poll->fd, POLLIN);
  return poll->data != 0 || poll->fd < 0;
}

static gboolean
queue_handler (AioContext *ctx, AioHandler *handler)
{
  handler->generation = queue_poll (ctx, handler->poll_fd.fd, handler->poll_fd.events) >> 32;
  handler->to_arm = handler->generation == 0;
  return !handler->to_arm;
}

static gboolean
queue_handlers (AioContext *ctx, guint *n_armed, guint n)
{
  GPtrArray *to_arm = ctx->fdmon_uring->to_arm;

  while (*n_armed < n && queue_handler (ctx, g_ptr_array_index (to_arm, *n_armed)))
    ++*n_armed;
  return *n_armed == n;
}

static gboolean
may_be_refused (AioFdMonUring *mon, int error, guint refusals)
{
  if (error == EINTR || ((error == EBUSY || error == EAGAIN) && refusals < MOST_REFUSALS))
    return TRUE;
  mon->failed = TRUE;
  return FALSE;
}

/* Has the kernel take all SQEs. What it finds at once is reaped only if it has no room for it otherwise. */
static gboolean
submit (AioContext *ctx)
{
  AioFdMonUring *mon = ctx->fdmon_uring;

  for (guint refusals = 0; io_uring_sq_ready (&mon->ring) > 0; refusals++)
    {
      int n = AIO_SYSTEM (io_uring_submit) (&mon->ring);

      if (n >= 0)
        continue;
      if (!may_be_refused (mon, -n, refusals))
        return FALSE;
      aio_uring_reap (ctx, TRUE);
    }
  return TRUE;
}

/*
 * Has all that waits for an SQE get one, each handler once; the last SQEs are left to the caller to be submitted. The
 * context's own polls are armed only for who waits in the ring. FALSE if the monitor has failed.
 */
static gboolean
queue_all (AioContext *ctx, gboolean own)
{
  AioFdMonUring *mon = ctx->fdmon_uring;
  guint n_armed = 0, n = mon->to_arm->len; /* those that are found before the end come after them */

  while (!queue_cancellations (ctx) || !aio_uring_queue_requests (ctx)
         || (own && (!queue_own (ctx, &mon->notifier) || !queue_own (ctx, &mon->wall_clock)))
         || !queue_handlers (ctx, &n_armed, n))
    {
      if (!submit (ctx))
        break;
      aio_uring_reap (ctx, TRUE);
    }
  if (n_armed > 0)
    g_ptr_array_remove_range (mon->to_arm, 0, n_armed);
  for (guint i = 0; i < mon->to_arm->len; i++)
    ((AioHandler *) g_ptr_array_index (mon->to_arm, i))->index = i;
  return !mon->failed;
}

/* A poll holds its file open: who removes a handler may count on the file being closed with the descriptor. */
static void
uring_remove (AioContext *ctx, AioHandler *handler)
{
  gboolean armed = handler->generation != 0;

  leave (ctx, handler);
  if (!armed || !aio_uring_is_own (ctx) || ctx->fdmon_uring->failed)
    return;
  queue_cancellations (ctx);
  /* What is refused now goes with the next wait. */
  AIO_SYSTEM (io_uring_submit) (&ctx->fdmon_uring->ring);
}

/* CQEs */

/* In a visit. The ring has no poll of the handler's any more. */
static void
take_handler (AioContext *ctx, AioHandler *handler, int res, gboolean found)
{
  AioFdMonUring *mon = ctx->fdmon_uring;

  handler->generation = 0;
  add_to_arm (mon, handler);
  /* ECANCELED: the thread that armed it has ended. */
  if (res < 0 && res != -EBADF && res != -ECANCELED)
    mon->failed = TRUE;
  else if (found && res != -ECANCELED)
    /*
     * The kernel reports what it was woken with, and who woke it may come late: somebody, the handler itself most
     * likely, may have read since what was written. So what is ready is looked at once more.
     */
    aio_handler_set_ready (ctx, handler, res < 0 ? G_IO_NVAL : aio_fdmon_look (handler, res));
}

static void
take_own (AioContext *ctx, AioUringPoll *poll, int res, gboolean found)
{
  poll->data = 0;
  if (res > 0)
    poll->ready = found;
  else if (res != -ECANCELED)
    ctx->fdmon_uring->failed = TRUE;
}

/* In a visit. */
static void
take (AioContext *ctx, const struct io_uring_cqe *cqe, gboolean found)
{
  AioFdMonUring *mon = ctx->fdmon_uring;
  AioHandler *handler;

  if (cqe->user_data & AIO_URING_REQUEST)
    aio_uring_request_done (ctx, cqe->user_data, cqe->res, cqe->flags);
  else if (cqe->user_data == AIO_URING_IGNORED)
    return;
  else if (cqe->user_data == mon->notifier.data)
    take_own (ctx, &mon->notifier, cqe->res, found);
  else if (cqe->user_data == mon->wall_clock.data)
    take_own (ctx, &mon->wall_clock, cqe->res, found);
  else if ((handler = aio_context_find_handler (ctx, (guint32) cqe->user_data, cqe->user_data >> 32)))
    take_handler (ctx, handler, cqe->res, found);
}

void
aio_uring_reap (AioContext *ctx, gboolean found)
{
  struct io_uring *ring = &ctx->fdmon_uring->ring;

  while (io_uring_cq_ready (ring) > 0 || io_uring_cq_has_overflow (ring))
    {
      struct io_uring_cqe *cqe;
      guint head, n = 0;

      AIO_SCHEDULE_POINT (ctx, URING_AFTER_CQE);
      aio_context_visit (ctx);
      io_uring_for_each_cqe (ring, head, cqe)
      {
        take (ctx, cqe, found);
        n++;
      }
      aio_context_leave_visit (ctx);
      io_uring_cq_advance (ring, n);
      aio_counter_add (&ctx->stats.cqes, n);
      /* What did not fit the kernel hands over when it is entered. */
      if (io_uring_cq_has_overflow (ring) && !aio_uring_enter (ctx, 0))
        return;
    }
}

gboolean
aio_uring_enter (AioContext *ctx, gint64 timeout_ns)
{
  AioFdMonUring *mon = ctx->fdmon_uring;
  struct __kernel_timespec timeout = { .tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000 };
  struct io_uring_cqe *cqe;

  for (guint refusals = 0;; refusals++)
    {
      int n = timeout_ns == 0 ? AIO_SYSTEM (io_uring_submit_and_get_events) (&mon->ring)
                              : AIO_SYSTEM (io_uring_submit_and_wait_timeout) (&mon->ring, &cqe, 1,
                                                                               timeout_ns < 0 ? NULL : &timeout, NULL);

      /* Who waits looks by himself at what he has got, and at the time. */
      if (n >= 0 || n == -ETIME || n == -EINTR || io_uring_cq_ready (&mon->ring) > 0)
        return TRUE;
      if (!may_be_refused (mon, -n, refusals))
        return FALSE;
    }
}

/* Waits */

/* Nothing is known of the handlers: each will be armed, or is and has not completed. */
static void
begin (AioContext *ctx)
{
  AioFdMonUring *mon = ctx->fdmon_uring;

  /* What came before may be out of date: somebody else may have read it. It is asked for anew. */
  aio_uring_reap (ctx, FALSE);
  if (G_LIKELY (mon->armed_by == aio_thread_id ()))
    return;

  /* A poll completes on the thread that armed it, and not in time once that has ended. */
  mon->armed_by = aio_thread_id ();
  aio_context_visit (ctx);
  for (guint fd = 0; fd < aio_context_table_size (ctx); fd++)
    {
      AioHandler *handler = aio_context_get_handler (ctx, fd);

      if (!handler || !handler->monitored || handler->generation == 0)
        continue;
      leave (ctx, handler);
      add_to_arm (mon, handler);
    }
  aio_context_leave_visit (ctx);
  leave_own (mon, &mon->notifier);
  leave_own (mon, &mon->wall_clock);
}

static gboolean
has_found (AioContext *ctx)
{
  AioFdMonUring *mon = ctx->fdmon_uring;

  return ctx->ready.head || ctx->completed.head || mon->notifier.ready || mon->wall_clock.ready;
}

/*
 * What has completed is watched again by the next wait or prepare only: a main context that is prepared already would
 * sleep through it.
 */
static void
wake_prepared_source (AioContext *ctx)
{
  if (ctx->fdmon_uring->to_arm->len > 0)
    aio_context_wake_prepared_source (ctx);
}

static int
uring_wait (AioContext *ctx, gint64 timeout_ns, gboolean *notifier_ready)
{
  AioFdMonUring *mon = ctx->fdmon_uring;
  gint64 deadline = aio_wait_deadline (timeout_ns);
  gboolean done = FALSE;

  if (!aio_uring_is_own (ctx))
    return EPERM;
  if (ctx->deadlines[1].armed_ns >= 0)
    mon->wall_clock.fd = ctx->deadlines[1].poll_fd.fd;

  aio_context_forget_ready (ctx);
  begin (ctx);
  while (!done && queue_all (ctx, TRUE))
    {
      gint64 remaining = has_found (ctx) ? 0 : aio_wait_remaining (deadline);

      /* What has completed for nothing while others were queued is armed before the thread sleeps. */
      if (!aio_uring_enter (ctx, mon->to_arm->len > 0 ? 0 : remaining))
        break;
      aio_uring_reap (ctx, TRUE);
      /* Nothing is found by a signal, nor by a CQE of what was cancelled. */
      done = has_found (ctx) || remaining == 0 || aio_wait_remaining (deadline) == 0;
    }

  if (mon->failed)
    {
      aio_fdmon_choose (ctx);
      /* The end of the ring has completed its requests. */
      return aio_context_fdmon (ctx)->wait (ctx, ctx->completed.head ? 0 : aio_wait_remaining (deadline),
                                            notifier_ready);
    }
  *notifier_ready = mon->notifier.ready;
  if (mon->wall_clock.ready)
    ctx->deadlines[1].poll_fd.revents = G_IO_IN;
  mon->notifier.ready = mon->wall_clock.ready = FALSE;
  wake_prepared_source (ctx);
  return 0;
}

static void
uring_gsource_prepare (AioContext *ctx)
{
  AioFdMonUring *mon = ctx->fdmon_uring;

  if (!aio_uring_is_own (ctx))
    return;
  if (!mon->in_source && !g_source_is_destroyed (&ctx->source))
    {
      mon->in_source = TRUE;
      g_source_add_poll (&ctx->source, &mon->poll_fd);
    }
  begin (ctx);
  if (queue_all (ctx, FALSE) && submit (ctx))
    aio_uring_reap (ctx, TRUE);
  if (mon->failed)
    {
      aio_fdmon_choose (ctx);
      aio_context_fdmon (ctx)->gsource_prepare (ctx);
    }
  /* What has completed for nothing. */
  else if (!ctx->ready.head)
    wake_prepared_source (ctx);
}

static gboolean
uring_gsource_check (AioContext *ctx, gboolean take G_GNUC_UNUSED)
{
  AioFdMonUring *mon = ctx->fdmon_uring;

  /* Whatever GLib's poll(2) says: a CQE may have come after it. What is found is kept in the ready list either way. */
  mon->poll_fd.revents = 0;
  if (aio_uring_is_own (ctx))
    aio_uring_reap (ctx, TRUE);
  /* GLib looks at these by itself. */
  mon->notifier.ready = mon->wall_clock.ready = FALSE;
  wake_prepared_source (ctx);
  return ctx->ready.head != NULL;
}

/* In a visit. */
static gboolean
is_of_somebody (AioContext *ctx, const struct io_uring_cqe *cqe)
{
  AioFdMonUring *mon = ctx->fdmon_uring;

  if (cqe->user_data == AIO_URING_IGNORED)
    return FALSE;
  return (cqe->user_data & AIO_URING_REQUEST) || cqe->user_data == mon->notifier.data
         || cqe->user_data == mon->wall_clock.data
         || aio_context_find_handler (ctx, (guint32) cqe->user_data, cqe->user_data >> 32);
}

/*
 * Whether a completion has to be looked at. Those of a handler that was removed tell nothing: to wait for their sake
 * would end poll mode with each removal.
 */
static gboolean
has_news (AioContext *ctx)
{
  struct io_uring *ring = &ctx->fdmon_uring->ring;
  struct io_uring_cqe *cqe;
  gboolean news = FALSE;
  guint head, n = 0;

  if (io_uring_cq_ready (ring) == 0)
    return io_uring_cq_has_overflow (ring);
  aio_context_visit (ctx);
  io_uring_for_each_cqe (ring, head, cqe)
  {
    if ((news = is_of_somebody (ctx, cqe)))
      break;
    n++;
  }
  aio_context_leave_visit (ctx);
  io_uring_cq_advance (ring, n);
  aio_counter_add (&ctx->stats.cqes, n);
  return news || io_uring_cq_has_overflow (ring);
}

static gboolean
uring_need_wait (AioContext *ctx)
{
  AioFdMonUring *mon = ctx->fdmon_uring;

  if (!aio_uring_is_own (ctx))
    return TRUE;
  if (mon->to_arm->len > 0 || mon->to_cancel->len > 0 || mon->queued.head || mon->notifier.data == 0)
    {
      begin (ctx);
      if (!queue_all (ctx, TRUE) || !submit (ctx))
        return TRUE;
    }
  /* To be armed: what was found to make room. */
  return mon->to_arm->len > 0 || mon->notifier.ready || mon->wall_clock.ready || has_news (ctx);
}

const AioFdMonOps aio_fdmon_uring_ops = {
  .type = AIO_MONITOR_IO_URING,
  .wait_call = "io_uring_enter",
  .open = uring_open,
  .close = uring_close,
  .add = uring_update,
  .remove = uring_remove,
  .update = uring_update,
  .wait = uring_wait,
  .gsource_prepare = uring_gsource_prepare,
  .gsource_check = uring_gsource_check,
  .need_wait = uring_need_wait,
};
