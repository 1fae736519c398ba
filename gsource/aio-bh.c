/* SPDX-License-Identifier: MIT */
#include "aio-bh.h"

#include "aio-context-private.h"

#include <string.h>

G_DEFINE_BOXED_TYPE (AioBh, aio_bh, aio_bh_ref, aio_bh_unref)

static AioBh *
bh_alloc (AioContext *ctx, const char *name, AioBhFunc func, gpointer data, GDestroyNotify destroy, guint flags)
{
  gsize name_size = name ? strlen (name) + 1 : 0;
  AioBh *bh = g_malloc0 (sizeof *bh + name_size);

  atomic_init (&bh->flags, flags | (name ? AIO_BH_NAMED : 0));
  bh->ref_count = 1;
  atomic_init (&bh->ctx, ctx);
  bh->func = func;
  bh->data = data;
  bh->destroy = destroy;
  if (name)
    memcpy (bh->name, name, name_size);
  return bh;
}

static void
list_bh (AioContext *ctx, AioBh *bh)
{
  aio_context_lock_lists (ctx);
  bh->next_bh = ctx->bhs;
  if (ctx->bhs)
    ctx->bhs->prev_bh = bh;
  ctx->bhs = bh;
  aio_context_unlock_lists (ctx);
}

static void
unlist_bh (AioContext *ctx, AioBh *bh)
{
  aio_context_lock_lists (ctx);
  if (bh->prev_bh)
    bh->prev_bh->next_bh = bh->next_bh;
  else
    ctx->bhs = bh->next_bh;
  if (bh->next_bh)
    bh->next_bh->prev_bh = bh->prev_bh;
  aio_context_unlock_lists (ctx);
}

void
aio_bh_release (AioContext *ctx, AioBh *bh)
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
  /* An idle one is for the next wait to see, and spares none: one that schedules itself would take a whole processor. */
  if (flags == AIO_BH_IDLE)
    aio_context_notify_waiter (ctx);
  else
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

  return atomic_load_explicit (&bh->flags, memory_order_relaxed) & AIO_BH_NAMED ? bh->name : NULL;
}

/**
 * aio_bh_is_open:
 * @bh: a bottom half
 *
 * Home thread.
 *
 * Returns: whether it can be scheduled: neither it was deleted nor its context closed
 */
gboolean
aio_bh_is_open (AioBh *bh)
{
  AioContext *ctx;

  g_return_val_if_fail (bh != NULL, FALSE);

  ctx = atomic_load_explicit (&bh->ctx, memory_order_relaxed);
  return ctx && !aio_context_is_closed (ctx)
         && !(atomic_load_explicit (&bh->flags, memory_order_relaxed) & AIO_BH_DELETED);
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
 * one. The callback sees what the caller wrote before. One that schedules itself and then nests a poll is run by that, and
 * nests again: nothing bounds it. Any thread that holds a reference to the context, and signal
 * handlers of one; errno is preserved. The original's `qemu_bh_schedule`.
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
 * Has it run whenever the loop turns, and within 10 ms at the latest; it does not count as progress. So one that
 * schedules itself again and again leaves sources of lower priority in its main context no turn.
 * Any thread that holds a reference to the context, and signal handlers of one. The original's `qemu_bh_schedule_idle`.
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
 * it afterwards, and then scheduling it or deleting it again does nothing. Any thread that holds a reference to the
 * context; one to the bottom half alone does not keep the context from ending meanwhile. The original's `qemu_bh_delete`.
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
  /* In one step, and not by bh_enqueue(), which leaves alone what is deleted: it has to be queued to be freed. */
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
 * Like aio_context_schedule_oneshot(), named. On a closed context only @destroy is called; one that schedules another
 * with itself for @destroy never returns then. Any thread.
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
