/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"

#include <errno.h>

static void
write_notifier (AioContext *ctx)
{
  int saved_errno = errno;

  AIO_SCHEDULE_POINT (ctx, NOTIFY_BEFORE_EVENTFD);
  atomic_store_explicit (&ctx->notifier_written, TRUE, memory_order_relaxed);
  aio_counter_add_shared (&ctx->stats.eventfd_writes);
  aio_notifier_set (ctx->notifier, NULL);
  errno = saved_errno;
}

/**
 * aio_context_notify:
 * @ctx: a context
 *
 * Has the context look again: whoever waits in it, or in its main context, wakes up; if nobody does, the
 * next blocking wait returns at once, once. It is not progress. Any thread, and signal handlers; errno
 * is preserved. The original's `aio_notify`.
 */
void
aio_context_notify (AioContext *ctx)
{
  gboolean home = aio_context_is_home (ctx);

  /*
   * On other threads an exchange, so that what one notifier has published is not lost to who sees only the store of
   * another one: a store would end what the first had begun, the release sequence that the accept reads.
   */
  if (home)
    atomic_store_explicit (&ctx->notified, TRUE, memory_order_release);
  else
    atomic_exchange_explicit (&ctx->notified, TRUE, memory_order_acq_rel);
  AIO_SCHEDULE_POINT (ctx, NOTIFY_AFTER_NOTIFIED);

  /*
   * What was published and notified before, notify_me after: pairs with the fences in
   * aio_context_poll() and in prepare. The home thread sees its own stores anyway.
   */
  if (!home)
    aio_fence ();
  if (atomic_load_explicit (&ctx->notify_me, memory_order_relaxed) != 0)
    write_notifier (ctx);
}

void
aio_context_notify_waiter (AioContext *ctx)
{
  if (!aio_context_is_home (ctx) || atomic_load_explicit (&ctx->notify_me, memory_order_relaxed) != 0)
    aio_context_notify (ctx);
}

gboolean
aio_context_accept_some (AioContext *ctx, gboolean notifier_ready)
{
  gboolean any = FALSE;

  if (notifier_ready || atomic_load_explicit (&ctx->notifier_written, memory_order_relaxed))
    {
      atomic_store_explicit (&ctx->notifier_written, FALSE, memory_order_relaxed);
      if (aio_notifier_test_and_clear (ctx->notifier))
        {
          aio_counter_add (&ctx->stats.eventfd_reads, 1);
          any = TRUE;
        }
    }
  if (atomic_load_explicit (&ctx->notified, memory_order_relaxed))
    {
      aio_context_notify_accept (ctx);
      any = TRUE;
    }
  return any;
}

/**
 * aio_context_notify_accept:
 * @ctx: a context
 *
 * Takes note of all notifications so far; who calls it looks for work afterwards. The eventfd stays as
 * it is. Home thread. The original's `aio_notify_accept`.
 */
void
aio_context_notify_accept (AioContext *ctx)
{
  g_return_if_fail (ctx != NULL && aio_context_is_home (ctx));

  /*
   * An exchange, for it reads the last value there is: either it comes after a notifier's store and
   * then sees what that had published, or the store comes after it and stays.
   */
  atomic_exchange_explicit (&ctx->notified, FALSE, memory_order_acq_rel);
  ctx->n_accepted++;
}

/**
 * aio_context_get_notify_me:
 * @ctx: a context
 *
 * Any thread. The original's field `notify_me`.
 *
 * Returns: who has to be woken: bit 0 for the source, and 2 for each poll that may sleep
 */
guint
aio_context_get_notify_me (AioContext *ctx)
{
  g_return_val_if_fail (ctx != NULL, 0);

  return atomic_load_explicit (&ctx->notify_me, memory_order_relaxed);
}

/**
 * aio_context_get_notified:
 * @ctx: a context
 *
 * Any thread. The original's field `notified`.
 *
 * Returns: whether there is a notification that was not accepted yet
 */
gboolean
aio_context_get_notified (AioContext *ctx)
{
  g_return_val_if_fail (ctx != NULL, FALSE);

  return atomic_load_explicit (&ctx->notified, memory_order_relaxed);
}

/**
 * aio_context_get_dispatching:
 * @ctx: a context
 *
 * For information: no protocol depends on it. Any thread. The original's field `dispatching`.
 *
 * Returns: whether a poll or a dispatch is under way
 */
gboolean
aio_context_get_dispatching (AioContext *ctx)
{
  g_return_val_if_fail (ctx != NULL, FALSE);

  return atomic_load_explicit (&ctx->dispatch_depth, memory_order_relaxed) > 0;
}
