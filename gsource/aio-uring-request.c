/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "aio-fdmon-uring-private.h"

#include <errno.h>

/* Requests of others in a context's ring. */

gboolean
aio_uring_add_request (AioContext *ctx, AioUringRequest *request)
{
  AioFdMonUring *mon = ctx->fdmon_uring;

  g_return_val_if_fail (aio_context_is_home (ctx), FALSE);

  if (!mon || mon->failed || aio_context_is_closed (ctx) || !aio_uring_is_own (ctx))
    return FALSE;
  request->link = (GList){ .data = request };
  request->cancelled = FALSE;
  g_queue_push_tail_link (&mon->queued, &request->link);
  /* Whoever is prepared to sleep, or will be, has submitted already. */
  aio_context_notify_waiter (ctx);
  return TRUE;
}

gboolean
aio_uring_has_requests (AioContext *ctx)
{
  AioFdMonUring *mon = ctx->fdmon_uring;

  return ctx->completed.head || (mon && (mon->queued.head || mon->submitted.head));
}

gboolean
aio_uring_queue_requests (AioContext *ctx)
{
  AioFdMonUring *mon = ctx->fdmon_uring;
  struct io_uring_sqe *sqe;

  while (mon->queued.head && (sqe = aio_uring_get_sqe (ctx)))
    {
      GList *link = g_queue_pop_head_link (&mon->queued);
      AioUringRequest *request = link->data;

      request->prepare (request, sqe);
      sqe->user_data = AIO_URING_REQUEST | (guintptr) request;
      g_queue_push_tail_link (&mon->submitted, link);
    }
  return !mon->queued.head;
}

static void
complete (AioContext *ctx, GQueue *queue, AioUringRequest *request, int res, guint flags)
{
  request->res = res;
  request->flags = flags;
  g_queue_unlink (queue, &request->link);
  g_queue_push_tail_link (&ctx->completed, &request->link);
}

void
aio_uring_request_done (AioContext *ctx, guint64 data, int res, guint flags)
{
  AioUringRequest *request = (AioUringRequest *) (guintptr) (data & ~AIO_URING_REQUEST);

  complete (ctx, &ctx->fdmon_uring->submitted, request, res, flags);
}

gboolean
aio_uring_run_completed (AioContext *ctx)
{
  gboolean progress = FALSE;
  GList *link;

  while ((link = g_queue_pop_head_link (&ctx->completed)))
    {
      AioUringRequest *request = link->data;

      progress = TRUE;
      aio_counter_add (&ctx->stats.requests_completed, 1);
      request->complete (request, request->res, request->flags);
    }
  return progress;
}

/* One cancellation for each request, as far as there are SQEs. */
static void
queue_cancellations (AioContext *ctx)
{
  struct io_uring_sqe *sqe;

  for (GList *link = ctx->fdmon_uring->submitted.head; link; link = link->next)
    {
      AioUringRequest *request = link->data;

      if (request->cancelled)
        continue;
      if (!(sqe = aio_uring_get_sqe (ctx)))
        return;
      io_uring_prep_cancel64 (sqe, AIO_URING_REQUEST | (guintptr) request, 0);
      sqe->user_data = AIO_URING_IGNORED;
      request->cancelled = TRUE;
    }
}

void
aio_uring_cancel_requests (AioContext *ctx)
{
  AioFdMonUring *mon = ctx->fdmon_uring;

  if (!mon)
    return;
  while (mon->queued.head)
    complete (ctx, &mon->queued, mon->queued.head->data, -ECANCELED, 0);
  /* What the kernel is at with a request's memory it has to bring to an end: a transfer on a disk, say. */
  while (mon->submitted.head && aio_uring_is_own (ctx))
    {
      queue_cancellations (ctx);
      if (!aio_uring_enter (ctx, -1))
        break;
      aio_uring_reap (ctx, FALSE);
    }
  while (mon->submitted.head)
    complete (ctx, &mon->submitted, mon->submitted.head->data, -ECANCELED, 0);
}
