/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "aio-error-private.h"

#include <errno.h>

/* Handlers that were found ready, and the calls of their callbacks. Home thread. */

/* At the end; or at the beginning, behind others of that kind, if it was passed over. */
static void
ready_insert (AioReadyList *ready, AioHandler *handler)
{
  AioHandler *before = handler->passed_over ? ready->passed_over : ready->tail;
  AioHandler *after = before ? before->next_ready : ready->head;

  handler->queued = TRUE;
  handler->late = !handler->passed_over;
  handler->prev_ready = before;
  handler->next_ready = after;
  if (before)
    before->next_ready = handler;
  else
    ready->head = handler;
  if (after)
    after->prev_ready = handler;
  else
    ready->tail = handler;
  if (handler->passed_over)
    ready->passed_over = handler;
}

static void
ready_remove (AioReadyList *ready, AioHandler *handler)
{
  handler->queued = FALSE;
  if (handler == ready->passed_over)
    ready->passed_over = handler->prev_ready;
  if (handler->prev_ready)
    handler->prev_ready->next_ready = handler->next_ready;
  else
    ready->head = handler->next_ready;
  if (handler->next_ready)
    handler->next_ready->prev_ready = handler->prev_ready;
  else
    ready->tail = handler->prev_ready;
}

/* Readiness in memory is kept for when the handler is not held back any more: nothing would find it again. */
static void
update_queued (AioContext *ctx, AioHandler *handler)
{
  gboolean ready = handler->revents || (handler->polling && handler->polling->found && !handler->held_back);

  if (ready && !handler->queued)
    ready_insert (&ctx->ready, handler);
  else if (!ready && handler->queued)
    ready_remove (&ctx->ready, handler);
}

void
aio_handler_set_ready (AioContext *ctx, AioHandler *handler, gushort revents)
{
  handler->revents = revents & (handler->poll_fd.events | G_IO_NVAL);
  update_queued (ctx, handler);
}

void
aio_handler_set_found (AioContext *ctx, AioHandler *handler)
{
  handler->polling->found = TRUE;
  update_queued (ctx, handler);
}

/* It is told of that now. */
static void
forget_found (AioContext *ctx, AioHandler *handler)
{
  handler->polling->found = FALSE;
  update_queued (ctx, handler);
}

void
aio_handler_set_held_back (AioContext *ctx, AioHandler *handler, gboolean held_back)
{
  handler->held_back = held_back;
  aio_context_fdmon (ctx)->update (ctx, handler);
  update_queued (ctx, handler);
}

void
aio_handler_unqueue (AioContext *ctx, AioHandler *handler)
{
  if (handler->queued)
    ready_remove (&ctx->ready, handler);
}

void
aio_context_forget_ready (AioContext *ctx)
{
  AioHandler *handler, *next;

  for (handler = ctx->ready.head; handler; handler = next)
    {
      next = handler->next_ready;
      if (handler->revents & G_IO_NVAL)
        continue;
      aio_handler_set_ready (ctx, handler, 0);
      /* Its turn had come: or the one whose callback asks again would be the first again, each time. */
      handler->passed_over = !handler->queued && !handler->late;
    }
}

static void
report_dead (AioContext *ctx, AioHandler *handler)
{
  g_autoptr (GError) error = NULL;
  int fd = handler->poll_fd.fd;

  handler->dead = TRUE;
  ctx->n_dead++;
  aio_context_fdmon (ctx)->update (ctx, handler);
  if (handler->polling)
    aio_polling_remove (ctx, handler);
  if (atomic_load_explicit (&handler->deleted, memory_order_acquire)) /* its poll_end has removed it */
    return;
  aio_set_system_error (&error, EBADF, "poll", "AioContext %s: fd %d was closed while handler %s watched it", ctx->name,
                        fd, *handler->name ? handler->name : "(unnamed)");
  if (handler->funcs.error)
    handler->funcs.error (fd, error, handler->data);
  else
    g_warning ("%s", error->message);
}

/*
 * Home thread: what a callback before it may have changed. Readiness is dropped only of a handler that is marked as
 * held back, for that it is looked at anew later depends on the mark.
 */
static gboolean
may_be_called (AioContext *ctx, AioHandler *handler)
{
  if (handler->external)
    aio_context_apply_external (ctx);
  return !handler->held_back && !handler->dead && !atomic_load_explicit (&handler->deleted, memory_order_acquire);
}

/* It is not asked meanwhile: its poll function would still say yes in a nested poll. */
static void
call_poll_ready (AioContext *ctx, AioHandler *handler)
{
  guint8 busy = handler->polling->busy;

  aio_counter_add (&ctx->stats.handlers_dispatched, 1);
  forget_found (ctx, handler);
  handler->polling->busy = TRUE;
  handler->polling->ready (handler->poll_fd.fd, handler->data);
  handler->polling->busy = busy;
}

/*
 * The callbacks in their order; each may have removed the handler or held it back. Whether one was called. What its poll
 * function has said stays with the handler until it is told, for a poll that is nested in another callback may do that.
 */
static gboolean
call_handler (AioContext *ctx, AioHandler *handler, gushort revents)
{
  gboolean readable = revents & (G_IO_IN | G_IO_HUP | G_IO_ERR);
  gboolean writable = revents & (G_IO_OUT | G_IO_ERR) || (revents & G_IO_HUP && !handler->funcs.read);
  gboolean found = handler->polling && handler->polling->found;
  gboolean progress = FALSE;

  if (!may_be_called (ctx, handler))
    return FALSE;
  /* What its file descriptor tells as well is told once. That it can be written says nothing of what poll has found. */
  if (found && (revents & G_IO_NVAL || (handler->funcs.read && readable)))
    {
      forget_found (ctx, handler);
      found = FALSE;
    }
  if (revents & G_IO_NVAL)
    {
      report_dead (ctx, handler);
      return TRUE;
    }
  if (handler->funcs.read && readable)
    {
      aio_counter_add (&ctx->stats.handlers_dispatched, 1);
      handler->funcs.read (handler->poll_fd.fd, handler->data);
      progress = TRUE;
    }
  if (handler->funcs.write && writable && may_be_called (ctx, handler))
    {
      aio_counter_add (&ctx->stats.handlers_dispatched, 1);
      handler->funcs.write (handler->poll_fd.fd, handler->data);
      progress = TRUE;
    }
  if (found && handler->polling->found && may_be_called (ctx, handler))
    {
      call_poll_ready (ctx, handler);
      progress = TRUE;
    }
  return progress;
}

/* Home thread: a handler too deep in itself is not watched until it has come back a level. */
static void
set_depth (AioContext *ctx, AioHandler *handler, int depth)
{
  gboolean parked = depth >= AIO_HANDLER_MAX_DEPTH;

  handler->depth = depth;
  if (handler->parked == parked)
    return;
  handler->parked = parked;
  if (handler->monitored)
    aio_context_fdmon (ctx)->update (ctx, handler);
  if (!parked)
    aio_context_wake_prepared_source (ctx);
}

gboolean
aio_context_dispatch_ready (AioContext *ctx)
{
  const gint64 block_ns = ctx->block_ns; /* a nested poll has its own */
  gboolean progress = FALSE;
  AioHandler *handler;

  aio_context_apply_changes (ctx);
  /*
   * What is found meanwhile has to wait for the next pass, or one who looks in his callback without taking anything
   * would be called again and again. It is at the end of the list.
   */
  for (handler = ctx->ready.head; handler; handler = handler->next_ready)
    handler->late = FALSE;
  while ((handler = ctx->ready.head) && !handler->late)
    {
      gushort revents = handler->revents;

      ready_remove (&ctx->ready, aio_handler_ref (handler));
      handler->passed_over = FALSE;
      handler->revents = 0;
      if (handler->polling)
        aio_polling_note_dispatch (ctx, handler, block_ns);
      set_depth (ctx, handler, handler->depth + 1);
      progress |= call_handler (ctx, handler, revents);
      set_depth (ctx, handler, handler->depth - 1);
      aio_handler_unref (handler);
    }
  if (G_UNLIKELY (ctx->poll_aio_handlers.ns_stale))
    aio_polling_update_ns (ctx);
  return progress;
}
