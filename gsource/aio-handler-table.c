/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"

/* The handlers of a context, by file descriptor: a table that the home thread reads while others change it. */

guint
aio_context_table_size (AioContext *ctx)
{
  AioHandlerTable *table = atomic_load_explicit (&ctx->handlers, memory_order_acquire);

  return table ? table->size : 0;
}

AioHandler *
aio_context_get_handler (AioContext *ctx, guint fd)
{
  AioHandlerTable *table = atomic_load_explicit (&ctx->handlers, memory_order_acquire);

  return table && fd < table->size ? atomic_load_explicit (&table->entries[fd], memory_order_acquire) : NULL;
}

AioHandler *
aio_context_find_handler (AioContext *ctx, int fd, guint32 generation)
{
  AioHandler *handler = aio_context_get_handler (ctx, (guint) fd);

  return handler && handler->monitored && handler->generation == generation ? handler : NULL;
}

static void
free_tables (AioHandlerTable *table)
{
  while (table)
    {
      AioHandlerTable *next = table->next_retired;

      g_free (table);
      table = next;
    }
}

void
aio_context_leave_and_free_tables (AioContext *ctx)
{
  AioHandlerTable *retired;

  if (!aio_lock_count_dec_and_lock (&ctx->list_lock))
    return;
  retired = atomic_load_explicit (&ctx->retired_handlers, memory_order_relaxed);
  atomic_store_explicit (&ctx->retired_handlers, NULL, memory_order_relaxed);
  aio_lock_count_unlock (&ctx->list_lock);
  free_tables (retired);
}

void
aio_context_free_tables (AioContext *ctx)
{
  free_tables (atomic_load_explicit (&ctx->retired_handlers, memory_order_relaxed));
  g_free (atomic_load_explicit (&ctx->handlers, memory_order_relaxed));
}

/* With list_lock held: has a table that is large enough for @fd take the place of the one there is. */
static void
grow_table (AioContext *ctx, guint fd)
{
  AioHandlerTable *old = atomic_load_explicit (&ctx->handlers, memory_order_relaxed);
  guint old_size = old ? old->size : 0, size = MAX (fd + 1, old_size * 2);
  AioHandlerTable *table = g_malloc0 (sizeof *table + (gsize) size * sizeof table->entries[0]);

  table->size = size;
  for (guint i = 0; i < old_size; i++)
    atomic_init (&table->entries[i], atomic_load_explicit (&old->entries[i], memory_order_relaxed));
  atomic_store_explicit (&ctx->handlers, table, memory_order_release);
  if (!old)
    return;
  old->next_retired = atomic_load_explicit (&ctx->retired_handlers, memory_order_relaxed);
  atomic_store_explicit (&ctx->retired_handlers, old, memory_order_relaxed);
}

void
aio_context_put_handler (AioContext *ctx, guint fd, AioHandler *old, AioHandler *handler)
{
  guint n = atomic_load_explicit (&ctx->n_handlers, memory_order_relaxed);
  guint n_disable = atomic_load_explicit (&ctx->poll_disable_cnt, memory_order_relaxed);

  n_disable += (handler && !handler->polling) - (old && !old->polling);
  atomic_store_explicit (&ctx->poll_disable_cnt, n_disable, memory_order_relaxed);
  if (fd >= aio_context_table_size (ctx))
    grow_table (ctx, fd);
  atomic_store_explicit (&atomic_load_explicit (&ctx->handlers, memory_order_relaxed)->entries[fd], handler,
                         memory_order_release);
  atomic_store_explicit (&ctx->n_handlers, n + (handler != NULL) - (old != NULL), memory_order_release);
}
