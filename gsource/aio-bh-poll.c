/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"

static AioBhQueueState
queue_state (AioBh *bh)
{
  AioBhQueueState state = 0;

  for (; bh; bh = bh->next)
    {
      guint flags = atomic_load_explicit (&bh->flags, memory_order_acquire);

      if (flags & AIO_BH_DELETED)
        state |= AIO_BH_QUEUE_DELETED;
      else if (flags & AIO_BH_SCHEDULED)
        return state | AIO_BH_QUEUE_READY;
      else if (flags & AIO_BH_IDLE)
        state |= AIO_BH_QUEUE_IDLE;
    }
  return state;
}

AioBhQueueState
aio_context_bh_queue_state (AioContext *ctx)
{
  AioBhQueueState state = queue_state (atomic_load_explicit (&ctx->bh_list, memory_order_acquire));

  if (aio_bh_batch_has_rest (&ctx->bh_batch))
    return state | AIO_BH_QUEUE_READY;

  for (AioBhSlice *slice = ctx->bh_slice_list; slice && !(state & AIO_BH_QUEUE_READY); slice = slice->next)
    state |= queue_state (slice->head);
  return state;
}

/* Home thread: takes what has been scheduled so far, in the order in which it was. */
static AioBh *
take_scheduled (AioContext *ctx)
{
  AioBh *bh, *next, *oldest = NULL;

  if (!atomic_load_explicit (&ctx->bh_list, memory_order_relaxed))
    return NULL;
  for (bh = atomic_exchange_explicit (&ctx->bh_list, NULL, memory_order_acquire); bh; bh = next)
    {
      next = bh->next;
      bh->next = oldest;
      oldest = bh;
    }
  return oldest;
}

/* Home thread: the next one of the oldest slice; drops the slices that are empty. */
static AioBh *
peek (AioContext *ctx)
{
  while (ctx->bh_slice_list && !ctx->bh_slice_list->head)
    ctx->bh_slice_list = ctx->bh_slice_list->next;
  return ctx->bh_slice_list ? ctx->bh_slice_list->head : NULL;
}

/* Home thread: takes @bh, which is the next one; returns what its flags were. */
static guint
dequeue (AioContext *ctx, AioBh *bh)
{
  ctx->bh_slice_list->head = bh->next;
  /* Pairs with bh_enqueue(): whoever finds PENDING clear after this queues it again, and what was
   * written before an earlier schedule is seen by the callback. */
  return atomic_fetch_and_explicit (&bh->flags, ~(guint) (AIO_BH_PENDING | AIO_BH_SCHEDULED | AIO_BH_IDLE),
                                    memory_order_acq_rel);
}

/* What a pass has taken for the batch function and not given to it yet; it lies in that pass's stack frame. */
typedef struct {
  gpointer items[AIO_BH_BATCH_MAX];
  AioBh *oneshots[AIO_BH_BATCH_MAX];
  guint n_items, n_oneshots;
} Batch;

/*
 * Home thread: has the binding run @items, or the rest of what an outer call was given; whether it ran any. Others may
 * have been cancelled, or run by nested calls.
 */
static gboolean
batch_call (AioContext *ctx, gpointer *items, guint n_items)
{
  guint n_run;

  ctx->bh_batch.depth++;
  n_run = ctx->bh_batch.run (items, n_items, ctx->bh_batch.data);
  ctx->bh_batch.depth--;
  aio_counter_add (&ctx->stats.bhs_run, n_run);
  return n_run > 0;
}

static gboolean
batch_run (AioContext *ctx, Batch *batch)
{
  guint n_items = batch->n_items;
  gboolean progress = n_items > 0;

  batch->n_items = 0;
  if (n_items == 1)
    {
      aio_counter_add (&ctx->stats.bhs_run, 1);
      ctx->bh_batch.func (batch->items[0]);
    }
  else if (n_items > 1)
    progress = batch_call (ctx, batch->items, n_items);
  while (batch->n_oneshots > 0)
    aio_bh_release (ctx, batch->oneshots[--batch->n_oneshots]);
  return progress;
}

/* Idle ones are not: that they run is no progress, and they may become ordinary ones until their turn comes. */
static gboolean
is_for_batch (AioContext *ctx, AioBh *bh)
{
  return bh->func == ctx->bh_batch.func && atomic_load_explicit (&bh->flags, memory_order_relaxed) & AIO_BH_SCHEDULED;
}

static void
batch_add (Batch *batch, AioBh *bh, guint flags)
{
  batch->items[batch->n_items++] = bh->data;
  if (flags & AIO_BH_ONESHOT)
    batch->oneshots[batch->n_oneshots++] = bh;
}

/**
 * aio_context_set_bh_batch: (skip)
 * @ctx: a context
 * @func: (nullable): the callback of the bottom halves in question, or %NULL for an end of it
 * @run: called with up to %AIO_BH_BATCH_MAX of them at a time
 * @has_rest: whether @run was given some that it has not run yet
 * @data: what @run and @has_rest are given
 *
 * Has bottom halves that have one callback in common run many at a time, for a language binding to which
 * each call costs more than what it does. One alone is run by @func. Their order and their nesting stay as
 * they are; but once they are given to @run it is for the binding to leave out those that an earlier one
 * cancels or deletes. Home thread.
 */
void
aio_context_set_bh_batch (AioContext *ctx, AioBhFunc func, AioBhBatchFunc run, AioConditionFunc has_rest, gpointer data)
{
  g_return_if_fail (ctx != NULL && aio_context_is_home (ctx));

  ctx->bh_batch = (AioBhBatch){ func, run, has_rest, data, ctx->bh_batch.depth };
}

/**
 * aio_context_bh_poll:
 * @ctx: a context
 *
 * Runs the bottom halves that were scheduled before the call, those of outer calls first; none once the context is
 * closed. Home thread.
 * The original's `aio_bh_poll`.
 *
 * Returns: whether one ran that was not idle
 */
gboolean
aio_context_bh_poll (AioContext *ctx)
{
  AioBhSlice slice = { NULL, NULL };
  AioBhSlice **last;
  Batch batch;
  gboolean progress = FALSE;
  guint flags;
  AioBh *bh;

  g_return_val_if_fail (ctx != NULL && aio_context_is_home (ctx), FALSE);

  /* What is left then is about to be freed, and the caller is a destroy notify of what was freed before. */
  if (aio_context_is_closed (ctx))
    return FALSE;
  slice.head = take_scheduled (ctx);
  if (slice.head || ctx->bh_slice_list)
    {
      for (last = &ctx->bh_slice_list; *last; last = &(*last)->next)
        ;
      *last = &slice;
    }
  /* With the slice in its place: what is nested in one of them has to find it. */
  if (aio_bh_batch_has_rest (&ctx->bh_batch))
    progress = batch_call (ctx, NULL, 0);
  if (!ctx->bh_slice_list)
    return progress;

  /* A nested call takes over all that is left, so that on return either list is empty. */
  batch.n_items = batch.n_oneshots = 0;
  while ((bh = peek (ctx)) || batch.n_items > 0)
    {
      /* Whatever is not run by the same call is taken only after it, which may schedule, cancel or free it. */
      if (batch.n_items == AIO_BH_BATCH_MAX || (batch.n_items > 0 && !(bh && is_for_batch (ctx, bh))))
        {
          progress |= batch_run (ctx, &batch);
          continue;
        }
      flags = dequeue (ctx, bh);
      AIO_SCHEDULE_POINT (ctx, BH_AFTER_DEQUEUE);
      if (flags & AIO_BH_DELETED)
        {
          progress |= batch_run (ctx, &batch); /* before a destroy notify, which may do anything */
          aio_bh_release (ctx, bh);
          continue;
        }
      if (!(flags & (AIO_BH_SCHEDULED | AIO_BH_IDLE)))
        continue;
      /* That another thread has just made it an idle one does not get it before those of the batch. */
      if (ctx->bh_batch.func == bh->func && (flags & AIO_BH_SCHEDULED || batch.n_items > 0))
        {
          batch_add (&batch, bh, flags);
          continue;
        }
      if (flags & AIO_BH_SCHEDULED)
        progress = TRUE;
      aio_counter_add (&ctx->stats.bhs_run, 1);
      bh->func (bh->data); /* may have deleted it, and nested a poll that freed it */
      if (flags & AIO_BH_ONESHOT)
        aio_bh_release (ctx, bh);
    }
  return progress;
}

static const char *
displayed_name (AioBh *bh)
{
  const char *name = aio_bh_get_name (bh);

  return name ? name : "(unnamed)";
}

void
aio_context_clear_bhs (AioContext *ctx, gboolean report)
{
  g_autoptr (GPtrArray) leaks = g_ptr_array_new_with_free_func (g_free);
  AioBh *bh, *next;

  aio_context_lock_lists (ctx);
  for (bh = ctx->bhs; bh; bh = next)
    {
      gboolean deleted = atomic_load_explicit (&bh->flags, memory_order_relaxed) & AIO_BH_DELETED;

      next = bh->next_bh;
      if (report && !deleted)
        g_ptr_array_add (leaks, g_strdup (displayed_name (bh)));
      aio_bh_delete (bh);
    }
  aio_context_unlock_lists (ctx);
  for (guint i = 0; i < leaks->len; i++)
    g_warning ("AioContext %s: bottom half %s was not deleted when the context ended", ctx->name,
               (char *) leaks->pdata[i]);

  /* Those on the stack of an outer pass are in its slice, or, if they are running, back in the list. */
  for (;;)
    {
      AioBhSlice slice = { take_scheduled (ctx), ctx->bh_slice_list };

      if (!slice.head && !ctx->bh_slice_list)
        break;
      ctx->bh_slice_list = &slice;
      while ((bh = peek (ctx)))
        {
          guint flags = dequeue (ctx, bh);

          if (report && (flags & AIO_BH_ONESHOT))
            g_warning ("AioContext %s: oneshot bottom half %s did not run before the context ended", ctx->name,
                       displayed_name (bh));
          aio_bh_release (ctx, bh);
        }
    }
}
