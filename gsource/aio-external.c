/* SPDX-License-Identifier: MIT */
#include "aio-handler.h"

#include "aio-context-private.h"

/* External clients: the handlers that serve them can be held back. */

void
aio_context_apply_external (AioContext *ctx)
{
  gboolean disabled = aio_context_external_disabled (ctx);

  if (G_LIKELY (disabled == ctx->external_held_back))
    return;
  ctx->external_held_back = disabled;
  aio_context_visit (ctx);
  for (guint fd = 0; fd < aio_context_table_size (ctx); fd++)
    {
      AioHandler *handler = aio_context_get_handler (ctx, fd);

      if (!handler || !handler->external || !handler->monitored)
        continue;
      aio_handler_set_held_back (ctx, handler, disabled);
    }
  aio_context_leave_visit (ctx);
}

/**
 * aio_context_disable_external:
 * @ctx: a context
 *
 * Holds back the handlers that serve external clients, until aio_context_enable_external() was called as
 * often. Their readiness is not lost: it is looked at again then. Bottom halves, timers and coroutines are
 * not held back. Any thread; a callback that is running ends. The original's `aio_disable_external`.
 */
void
aio_context_disable_external (AioContext *ctx)
{
  g_return_if_fail (ctx != NULL);

  atomic_fetch_add_explicit (&ctx->external_disable_cnt, 1, memory_order_acq_rel);
}

/**
 * aio_context_enable_external:
 * @ctx: a context
 * @error: return location for an error
 *
 * Takes one aio_context_disable_external() back; the last one wakes the context. Any thread. The original's
 * `aio_enable_external`. Fails with %AIO_ERROR_UNDERFLOW if there is none to take back.
 *
 * Returns: whether one was taken back
 */
gboolean
aio_context_enable_external (AioContext *ctx, GError **error)
{
  guint count;

  g_return_val_if_fail (ctx != NULL, FALSE);

  count = atomic_load_explicit (&ctx->external_disable_cnt, memory_order_relaxed);
  do
    if (count == 0)
      {
        g_set_error (error, AIO_ERROR, AIO_ERROR_UNDERFLOW, "AioContext %s: external clients are not disabled",
                     ctx->name);
        return FALSE;
      }
  while (!atomic_compare_exchange_weak_explicit (&ctx->external_disable_cnt, &count, count - 1, memory_order_acq_rel,
                                                 memory_order_relaxed));
  if (count == 1)
    aio_context_notify (ctx);
  return TRUE;
}

/**
 * aio_context_external_disabled:
 * @ctx: a context
 *
 * Any thread. The original's `aio_external_disabled`.
 *
 * Returns: whether external clients are held back
 */
gboolean
aio_context_external_disabled (AioContext *ctx)
{
  g_return_val_if_fail (ctx != NULL, FALSE);

  return atomic_load_explicit (&ctx->external_disable_cnt, memory_order_acquire) > 0;
}

/**
 * aio_context_node_check:
 * @ctx: a context
 * @external: whether the handler in question is external
 *
 * Any thread. The original's `aio_node_check`.
 *
 * Returns: whether a handler would be called now
 */
gboolean
aio_context_node_check (AioContext *ctx, gboolean external)
{
  return !external || !aio_context_external_disabled (ctx);
}
