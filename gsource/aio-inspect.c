/* SPDX-License-Identifier: MIT */
#include "aio-inspect.h"

#include "aio-context-private.h"

static void
inspect_handlers (AioContext *ctx, GArray *infos)
{
  pthread_mutex_lock (&ctx->list_lock);
  for (guint fd = 0; fd < ctx->handlers_size; fd++)
    {
      AioHandler *handler = ctx->handlers[fd];
      AioHandlerInfo info;

      if (!handler)
        continue;
      info = (AioHandlerInfo){
        .fd = fd,
        .name = g_strdup (handler->name),
        .read = handler->funcs.read != NULL,
        .write = handler->funcs.write != NULL,
        .external = handler->funcs.external,
        .dead = handler->dead,
      };
      g_array_append_val (infos, info);
    }
  pthread_mutex_unlock (&ctx->list_lock);
}

static void
append_timer (AioTimerList *list, AioTimer *timer, GArray *infos)
{
  AioTimerInfo info = {
    .name = g_strdup (aio_timer_get_name (timer)),
    .clock = list->clock->type,
    .enabled = aio_clock_get_enabled (list->clock),
    .external = (timer->attributes & AIO_TIMER_ATTR_EXTERNAL) != 0,
    .expire_ns = timer->expire_ns,
    .remaining_ns = timer->expire_ns - aio_clock_get_ns (list->clock),
  };

  g_array_append_val (infos, info);
}

static int
compare_expiries (gconstpointer a, gconstpointer b)
{
  gint64 first = ((const AioTimerInfo *) a)->expire_ns;
  gint64 second = ((const AioTimerInfo *) b)->expire_ns;

  return (first > second) - (first < second);
}

static void
inspect_timers (AioTimerList *list, gpointer data)
{
  g_autoptr (GArray) own = g_array_new (FALSE, FALSE, sizeof (AioTimerInfo));

  pthread_mutex_lock (&list->lock);
  for (AioTimer *timer = list->due_head; timer; timer = timer->due_next)
    append_timer (list, timer, own);
  for (guint i = 0; i < list->n_heap; i++)
    append_timer (list, list->heap[i].timer, own);
  pthread_mutex_unlock (&list->lock);

  g_array_sort (own, compare_expiries);
  if (own->len > 0)
    g_array_append_vals (data, own->data, own->len);
}

static void
inspect_bhs (AioContext *ctx, GArray *infos)
{
  pthread_mutex_lock (&ctx->list_lock);
  for (AioBh *bh = ctx->bhs; bh; bh = bh->next_bh)
    {
      guint flags = atomic_load_explicit (&bh->flags, memory_order_relaxed);
      AioBhInfo info = {
        .name = g_strdup (aio_bh_get_name (bh)),
        .scheduled = (flags & (AIO_BH_SCHEDULED | AIO_BH_IDLE)) != 0,
        .idle = (flags & (AIO_BH_SCHEDULED | AIO_BH_IDLE)) == AIO_BH_IDLE,
      };

      if (flags & AIO_BH_DELETED)
        g_free (info.name);
      else
        g_array_append_val (infos, info);
    }
  pthread_mutex_unlock (&ctx->list_lock);
}

static gpointer
steal (GArray *infos, guint *n)
{
  *n = infos->len;
  return g_array_free (infos, FALSE);
}

/**
 * aio_context_inspect: (skip)
 * @ctx: a context
 *
 * Takes a snapshot of what the context has. Home thread.
 *
 * Returns: (transfer full): the snapshot; free it with aio_snapshot_free()
 */
AioSnapshot *
aio_context_inspect (AioContext *ctx)
{
  AioSnapshot *snapshot;
  GArray *handlers, *timers, *bhs;

  g_return_val_if_fail (ctx != NULL && aio_context_is_home (ctx), NULL);

  handlers = g_array_new (FALSE, FALSE, sizeof (AioHandlerInfo));
  timers = g_array_new (FALSE, FALSE, sizeof (AioTimerInfo));
  bhs = g_array_new (FALSE, FALSE, sizeof (AioBhInfo));
  inspect_handlers (ctx, handlers);
  aio_context_for_each_timer_list (ctx, inspect_timers, timers);
  inspect_bhs (ctx, bhs);

  snapshot = g_new (AioSnapshot, 1);
  snapshot->handlers = steal (handlers, &snapshot->n_handlers);
  snapshot->timers = steal (timers, &snapshot->n_timers);
  snapshot->bhs = steal (bhs, &snapshot->n_bhs);
  return snapshot;
}

/**
 * aio_snapshot_free: (skip)
 * @snapshot: (transfer full): a snapshot
 *
 * Frees a snapshot. Any thread.
 */
void
aio_snapshot_free (AioSnapshot *snapshot)
{
  g_return_if_fail (snapshot != NULL);

  for (guint i = 0; i < snapshot->n_handlers; i++)
    g_free (snapshot->handlers[i].name);
  for (guint i = 0; i < snapshot->n_timers; i++)
    g_free (snapshot->timers[i].name);
  for (guint i = 0; i < snapshot->n_bhs; i++)
    g_free (snapshot->bhs[i].name);
  g_free (snapshot->handlers);
  g_free (snapshot->timers);
  g_free (snapshot->bhs);
  g_free (snapshot);
}
