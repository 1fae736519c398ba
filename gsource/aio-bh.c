/* SPDX-License-Identifier: MIT */
#include "aio-bh.h"

#include "aio-context-private.h"

G_DEFINE_BOXED_TYPE (AioBh, aio_bh, aio_bh_ref, aio_bh_unref)

static AioBh *
bh_alloc (AioContext *ctx, const char *name, AioBhFunc func, gpointer data, GDestroyNotify destroy, guint flags)
{
  AioBh *bh = g_new0 (AioBh, 1);

  atomic_init (&bh->flags, flags);
  bh->ref_count = 1;
  atomic_init (&bh->ctx, ctx);
  bh->func = func;
  bh->data = data;
  bh->destroy = destroy;
  bh->name = g_strdup (name);
  return bh;
}

static void
list_bh (AioContext *ctx, AioBh *bh)
{
  pthread_mutex_lock (&ctx->list_lock);
  bh->next_bh = ctx->bhs;
  if (ctx->bhs)
    ctx->bhs->prev_bh = bh;
  ctx->bhs = bh;
  pthread_mutex_unlock (&ctx->list_lock);
}

static void
unlist_bh (AioContext *ctx, AioBh *bh)
{
  pthread_mutex_lock (&ctx->list_lock);
  if (bh->prev_bh)
    bh->prev_bh->next_bh = bh->next_bh;
  else
    ctx->bhs = bh->next_bh;
  if (bh->next_bh)
    bh->next_bh->prev_bh = bh->prev_bh;
  pthread_mutex_unlock (&ctx->list_lock);
}

/* Home thread or finalize: the context lets go of @bh, which is in no queue any more. */
static void
bh_release (AioContext *ctx, AioBh *bh)
{
  GDestroyNotify destroy = bh->destroy;
  gpointer data = bh->data;

  AIO_SCHEDULE_POINT (ctx, BH_BEFORE_FREE);
  if (!(atomic_load_explicit (&bh->flags, memory_order_relaxed) & AIO_BH_ONESHOT))
    unlist_bh (ctx, bh);
  atomic_store_explicit (&bh->ctx, NULL, memory_order_release);
  bh->destroy = NULL;
  aio_bh_unref (bh);
  if (destroy)
    destroy (data);
}

/* Any thread, wait-free but for the retries of the push. Sets @flags and queues @bh if it is not. */
static void
bh_enqueue (AioBh *bh, guint flags)
{
  AioContext *ctx = atomic_load_explicit (&bh->ctx, memory_order_acquire);
  gboolean pinned;
  guint old;

  if (!ctx)
    return;

  /* The last access to @bh is the push: the home thread may run and free it at once (hence the pin). */
  pinned = aio_context_pin (ctx);
  old = atomic_fetch_or_explicit (&bh->flags, AIO_BH_PENDING | flags, memory_order_acq_rel);
  if (!(old & (AIO_BH_PENDING | AIO_BH_DELETED)))
    {
      AioBh *head = atomic_load_explicit (&ctx->bh_list, memory_order_relaxed);

      do
        bh->next = head;
      while (!atomic_compare_exchange_weak_explicit (&ctx->bh_list, &head, bh, memory_order_release,
                                                     memory_order_relaxed));
    }
  aio_context_notify (ctx);
  aio_context_unpin (ctx, pinned);
}

/**
 * aio_bh_new: (skip)
 * @ctx: the context that runs it
 * @func: the callback
 * @data: what it is given
 *
 * aio_bh_new_full() for the common case. In C it is a macro that names the bottom half after @func. The
 * original's `aio_bh_new`.
 *
 * Returns: (transfer none) (nullable): the bottom half, or %NULL if @ctx is closed
 */
AioBh *(aio_bh_new) (AioContext *ctx, AioBhFunc func, gpointer data)
{
  return aio_bh_new_full (ctx, NULL, func, data, NULL);
}

/**
 * aio_bh_new_full: (skip)
 * @ctx: the context that runs it
 * @name: (nullable): what to call it in messages
 * @func: the callback
 * @data: what it is given
 * @destroy: (nullable): called with @data once it has been deleted, on the thread that frees it
 *
 * Makes a bottom half that is not scheduled. The context owns it until aio_bh_delete(); what is left
 * when the context ends is freed with a warning. Any thread. The original's `aio_bh_new_full`.
 *
 * Returns: (transfer none) (nullable): the bottom half, or %NULL if @ctx is closed
 */
AioBh *
aio_bh_new_full (AioContext *ctx, const char *name, AioBhFunc func, gpointer data, GDestroyNotify destroy)
{
  AioBh *bh;

  g_return_val_if_fail (ctx != NULL && func != NULL, NULL);

  if (aio_context_is_closed (ctx))
    return NULL;

  bh = bh_alloc (ctx, name, func, data, destroy, 0);
  list_bh (ctx, bh);
  return bh;
}

/**
 * aio_bh_new_boxed: (rename-to aio_bh_new)
 * @ctx: the context that runs it
 * @name: (nullable): what to call it in messages
 * @func: (scope notified) (closure data) (destroy destroy): the callback
 * @data: what it is given
 * @destroy: called with @data once it has been deleted, on the thread that frees it
 *
 * Like aio_bh_new_full(), for language bindings: the caller gets a reference of its own, so that the
 * memory outlives aio_bh_delete() and the context.
 *
 * Returns: (transfer full) (nullable): the bottom half, or %NULL if @ctx is closed
 */
AioBh *
aio_bh_new_boxed (AioContext *ctx, const char *name, AioBhFunc func, gpointer data, GDestroyNotify destroy)
{
  AioBh *bh = aio_bh_new_full (ctx, name, func, data, destroy);

  return bh ? aio_bh_ref (bh) : NULL;
}

/**
 * aio_bh_ref:
 * @bh: a bottom half
 *
 * Adds a reference to its memory; it does not keep it from being deleted. Any thread.
 *
 * Returns: (transfer full): @bh
 */
AioBh *
aio_bh_ref (AioBh *bh)
{
  g_return_val_if_fail (bh != NULL, NULL);

  g_atomic_int_inc (&bh->ref_count);
  return bh;
}

/**
 * aio_bh_unref:
 * @bh: (transfer full): a bottom half
 *
 * Drops a reference of aio_bh_ref(). Any thread.
 */
void
aio_bh_unref (AioBh *bh)
{
  g_return_if_fail (bh != NULL);

  if (!g_atomic_int_dec_and_test (&bh->ref_count))
    return;
  g_free (bh->name);
  g_free (bh);
}

/**
 * aio_bh_get_name:
 * @bh: a bottom half
 *
 * Any thread.
 *
 * Returns: (nullable): what it was named
 */
const char *
aio_bh_get_name (AioBh *bh)
{
  g_return_val_if_fail (bh != NULL, NULL);

  return bh->name;
}

/**
 * aio_bh_is_scheduled:
 * @bh: a bottom half
 *
 * Any thread; another one may change it at the same time.
 *
 * Returns: whether it will run
 */
gboolean
aio_bh_is_scheduled (AioBh *bh)
{
  guint flags;

  g_return_val_if_fail (bh != NULL, FALSE);

  flags = atomic_load_explicit (&bh->flags, memory_order_relaxed);
  return (flags & (AIO_BH_SCHEDULED | AIO_BH_IDLE)) && !(flags & AIO_BH_DELETED);
}

/**
 * aio_bh_schedule:
 * @bh: a bottom half
 *
 * Has it run as soon as possible on the home thread: in the next pass, in the order of the first
 * schedule, once however often it is scheduled before that. A pending idle one becomes an ordinary
 * one. The callback sees what the caller wrote before. Any thread, and signal handlers; errno is
 * preserved. The original's `qemu_bh_schedule`.
 */
void
aio_bh_schedule (AioBh *bh)
{
  g_return_if_fail (bh != NULL);

  bh_enqueue (bh, AIO_BH_SCHEDULED);
}

/**
 * aio_bh_schedule_idle:
 * @bh: a bottom half
 *
 * Has it run whenever the loop turns, and within 10 ms at the latest; it does not count as progress.
 * Any thread, and signal handlers. The original's `qemu_bh_schedule_idle`.
 */
void
aio_bh_schedule_idle (AioBh *bh)
{
  g_return_if_fail (bh != NULL);

  bh_enqueue (bh, AIO_BH_IDLE);
}

/**
 * aio_bh_cancel:
 * @bh: a bottom half
 *
 * Takes a schedule back. It wakes nobody, and from another thread it may come too late. A new schedule
 * before the next pass gets the old place. Any thread. The original's `qemu_bh_cancel`.
 */
void
aio_bh_cancel (AioBh *bh)
{
  g_return_if_fail (bh != NULL);

  atomic_fetch_and_explicit (&bh->flags, ~(guint) (AIO_BH_SCHEDULED | AIO_BH_IDLE), memory_order_acq_rel);
}

/**
 * aio_bh_delete:
 * @bh: a bottom half
 *
 * Cancels it for good; the context frees it in its next pass. Only a caller with a reference may use
 * it afterwards, and then scheduling it or deleting it again does nothing. Any thread. The original's
 * `qemu_bh_delete`.
 */
void
aio_bh_delete (AioBh *bh)
{
  AioContext *ctx;
  gboolean pinned;
  guint old;

  g_return_if_fail (bh != NULL);

  ctx = atomic_load_explicit (&bh->ctx, memory_order_acquire);
  if (!ctx)
    return;

  pinned = aio_context_pin (ctx);
  /* PENDING is not set together with DELETED: bh_enqueue() would not queue a deleted one. */
  old = atomic_load_explicit (&bh->flags, memory_order_relaxed);
  while (!(old & AIO_BH_DELETED)
         && !atomic_compare_exchange_weak_explicit (&bh->flags, &old, old | AIO_BH_DELETED | AIO_BH_PENDING,
                                                    memory_order_acq_rel, memory_order_relaxed))
    ;
  if (!(old & AIO_BH_DELETED))
    {
      if (!(old & AIO_BH_PENDING))
        {
          AioBh *head = atomic_load_explicit (&ctx->bh_list, memory_order_relaxed);

          do
            bh->next = head;
          while (!atomic_compare_exchange_weak_explicit (&ctx->bh_list, &head, bh, memory_order_release,
                                                         memory_order_relaxed));
        }
      aio_context_notify (ctx);
    }
  aio_context_unpin (ctx, pinned);
}

/**
 * aio_bh_call:
 * @bh: a bottom half
 *
 * Runs the callback now, whether scheduled or not, and leaves it as it is. Home thread. The original's
 * `aio_bh_call`.
 */
void
aio_bh_call (AioBh *bh)
{
  g_return_if_fail (bh != NULL);

  if (atomic_load_explicit (&bh->ctx, memory_order_relaxed))
    bh->func (bh->data);
}

/**
 * aio_context_schedule_oneshot: (skip)
 * @ctx: the context that runs it
 * @func: the callback
 * @data: what it is given
 *
 * Has @func run once, as soon as possible, on the home thread. It cannot be cancelled. Any thread. The
 * original's `aio_bh_schedule_oneshot`.
 */
void
aio_context_schedule_oneshot (AioContext *ctx, AioBhFunc func, gpointer data)
{
  aio_context_schedule_oneshot_full (ctx, NULL, func, data, NULL);
}

/**
 * aio_context_schedule_oneshot_full: (rename-to aio_context_schedule_oneshot)
 * @ctx: the context that runs it
 * @name: (nullable): what to call it in messages
 * @func: (scope notified) (closure data) (destroy destroy): the callback
 * @data: what it is given
 * @destroy: (nullable): called with @data after the run, or if it never comes, on the thread that frees it
 *
 * Like aio_context_schedule_oneshot(), named. On a closed context only @destroy is called. Any thread.
 * The original's `aio_bh_schedule_oneshot_full`.
 */
void
aio_context_schedule_oneshot_full (AioContext *ctx, const char *name, AioBhFunc func, gpointer data,
                                   GDestroyNotify destroy)
{
  g_return_if_fail (ctx != NULL && func != NULL);

  if (!aio_context_is_closed (ctx))
    bh_enqueue (bh_alloc (ctx, name, func, data, destroy, AIO_BH_ONESHOT), AIO_BH_SCHEDULED);
  else if (destroy)
    destroy (data);
}

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

/* Home thread: has the binding run @items, or the rest of what an outer call was given. */
static void
batch_call (AioContext *ctx, gpointer *items, guint n_items)
{
  guint n_run;

  ctx->bh_batch.depth++;
  n_run = ctx->bh_batch.run (items, n_items, ctx->bh_batch.data);
  ctx->bh_batch.depth--;
  aio_counter_add (&ctx->stats.bhs_run, n_run);
}

static void
batch_run (AioContext *ctx, Batch *batch)
{
  guint n_items = batch->n_items;

  batch->n_items = 0;
  if (n_items == 1)
    {
      aio_counter_add (&ctx->stats.bhs_run, 1);
      ctx->bh_batch.func (batch->items[0]);
    }
  else if (n_items > 1)
    batch_call (ctx, batch->items, n_items);
  while (batch->n_oneshots > 0)
    bh_release (ctx, batch->oneshots[--batch->n_oneshots]);
}

static void
batch_add (AioContext *ctx, Batch *batch, AioBh *bh, guint flags)
{
  batch->items[batch->n_items++] = bh->data;
  if (flags & AIO_BH_ONESHOT)
    batch->oneshots[batch->n_oneshots++] = bh;
  if (batch->n_items == AIO_BH_BATCH_MAX)
    batch_run (ctx, batch);
}

/**
 * aio_context_set_bh_batch: (skip)
 * @ctx: a context
 * @func: (nullable): the callback of the bottom halves in question, or %NULL for an end of it
 * @run: called with up to %AIO_BH_BATCH_MAX of them at a time
 * @has_rest: whether @run was given some that it has not run yet
 * @data: what @run and @has_rest are given
 *
 * Has bottom halves that have one callback in common run many at a time, for a language binding to which each
 * call costs more than what it does. One alone is run by @func. Their order and their nesting stay as they are; but once they are given to
 * @run it is for the binding to leave out those that an earlier one cancels or deletes. Home thread.
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
 * Runs the bottom halves that were scheduled before the call, those of outer calls first. Home thread.
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

  g_return_val_if_fail (ctx != NULL, FALSE);

  slice.head = take_scheduled (ctx);
  if (aio_bh_batch_has_rest (&ctx->bh_batch))
    {
      batch_call (ctx, NULL, 0);
      progress = TRUE;
    }
  if (!slice.head && !ctx->bh_slice_list)
    return progress;

  for (last = &ctx->bh_slice_list; *last; last = &(*last)->next)
    ;
  *last = &slice;

  /* A nested call takes over all that is left, so that on return either list is empty. */
  batch.n_items = batch.n_oneshots = 0;
  while ((bh = peek (ctx)) || batch.n_items > 0)
    {
      /* Whatever is not run by the same call is taken only after it, which may cancel or free it. */
      if (batch.n_items > 0 && (!bh || bh->func != ctx->bh_batch.func))
        {
          batch_run (ctx, &batch);
          continue;
        }
      flags = dequeue (ctx, bh);
      AIO_SCHEDULE_POINT (ctx, BH_AFTER_DEQUEUE);
      if (flags & AIO_BH_DELETED)
        {
          bh_release (ctx, bh);
          continue;
        }
      if (!(flags & (AIO_BH_SCHEDULED | AIO_BH_IDLE)))
        continue;
      if (flags & AIO_BH_SCHEDULED)
        progress = TRUE;
      if (ctx->bh_batch.func == bh->func)
        {
          batch_add (ctx, &batch, bh, flags);
          continue;
        }
      aio_counter_add (&ctx->stats.bhs_run, 1);
      bh->func (bh->data); /* may have deleted it, and nested a poll that freed it */
      if (flags & AIO_BH_ONESHOT)
        bh_release (ctx, bh);
    }
  return progress;
}

void
aio_context_clear_bhs (AioContext *ctx, gboolean report)
{
  AioBh *bh, *next;

  pthread_mutex_lock (&ctx->list_lock);
  for (bh = ctx->bhs; bh; bh = next)
    {
      gboolean deleted = atomic_load_explicit (&bh->flags, memory_order_relaxed) & AIO_BH_DELETED;

      next = bh->next_bh;
      if (report && !deleted)
        g_warning ("AioContext %s: bottom half %s was not deleted when the context ended", ctx->name,
                   bh->name ? bh->name : "(unnamed)");
      aio_bh_delete (bh);
    }
  pthread_mutex_unlock (&ctx->list_lock);

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
                       bh->name ? bh->name : "(unnamed)");
          bh_release (ctx, bh);
        }
    }
}
