/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "aio-error-private.h"

/* Threads and their contexts: the home of a context, and the current context of a thread. */

__thread guint64 aio_thread_id_;

static void drop_current (gpointer data);

static __thread AioContext *dispatching_context AIO_TLS;
static GPrivate current_context = G_PRIVATE_INIT (drop_current);

guint64
aio_thread_id_new (void)
{
  static _Atomic guint64 last;

  return aio_thread_id_ = atomic_fetch_add_explicit (&last, 1, memory_order_relaxed) + 1;
}

static void
drop_current (gpointer data)
{
  AioContext *ctx = data;

  atomic_store_explicit (&ctx->is_current, FALSE, memory_order_release);
  aio_context_unref (ctx);
}

void
aio_context_drop_current (AioContext *ctx)
{
  if (g_private_get (&current_context) == ctx)
    aio_context_set_current (NULL, NULL);
}

/**
 * aio_context_in_home_thread:
 * @ctx: a context
 *
 * Any thread. The original's `in_aio_context_home_thread`.
 *
 * Returns: whether the caller's thread is the one that may drive @ctx
 */
gboolean
aio_context_in_home_thread (AioContext *ctx)
{
  g_return_val_if_fail (ctx != NULL, FALSE);

  return aio_context_is_home (ctx);
}

/**
 * aio_context_set_home:
 * @ctx: a context that is not attached and that nobody drives
 * @error: return location for an error
 *
 * Makes the caller's thread the home of @ctx. The caller sees to it that the old home thread does
 * nothing with @ctx at the same time. Fails with %AIO_ERROR_CLOSED, %AIO_ERROR_ATTACHED,
 * %AIO_ERROR_CURRENT_SET if @ctx is current on its old home thread, and %AIO_ERROR_WRONG_THREAD if it is
 * being driven there.
 *
 * Returns: whether the caller's thread is home
 */
gboolean
aio_context_set_home (AioContext *ctx, GError **error)
{
  g_return_val_if_fail (ctx != NULL, FALSE);

  if (!aio_context_check_open (ctx, error))
    return FALSE;
  if (aio_context_is_home (ctx))
    return TRUE;
  if (aio_context_is_attached (ctx))
    g_set_error (error, AIO_ERROR, AIO_ERROR_ATTACHED, "AioContext %s is attached and cannot move", ctx->name);
  else if (atomic_load_explicit (&ctx->is_current, memory_order_acquire))
    g_set_error (error, AIO_ERROR, AIO_ERROR_CURRENT_SET, "AioContext %s is current on another thread", ctx->name);
  else if (atomic_load_explicit (&ctx->dispatch_depth, memory_order_acquire) > 0)
    g_set_error (error, AIO_ERROR, AIO_ERROR_WRONG_THREAD, "AioContext %s is driven by another thread", ctx->name);
  else
    {
      atomic_store_explicit (&ctx->home, aio_thread_id (), memory_order_release);
      return TRUE;
    }
  return FALSE;
}

/**
 * aio_context_get_current:
 *
 * Gets the context that the caller's thread is in: the one whose callback it runs, else the one made
 * current. The original's `qemu_get_current_aio_context`.
 *
 * Returns: (transfer none) (nullable): the context
 */
AioContext *
aio_context_get_current (void)
{
  return dispatching_context ? dispatching_context : g_private_get (&current_context);
}

/**
 * aio_context_set_current:
 * @ctx: (nullable): a context whose home is the caller's thread, or %NULL for none
 * @error: return location for an error
 *
 * Makes @ctx the current context of the caller's thread, which keeps a reference to it until it is
 * closed, until %NULL is set, or until the thread ends. The original's
 * `qemu_set_current_aio_context`. Fails with %AIO_ERROR_CURRENT_SET if another one is current,
 * %AIO_ERROR_WRONG_THREAD and %AIO_ERROR_CLOSED.
 *
 * Returns: whether it is current
 */
gboolean
aio_context_set_current (AioContext *ctx, GError **error)
{
  AioContext *old = g_private_get (&current_context);

  if (ctx == old)
    return TRUE;
  if (ctx)
    {
      if (!aio_context_check (ctx, "Making current", error))
        return FALSE;
      if (old)
        {
          g_set_error (error, AIO_ERROR, AIO_ERROR_CURRENT_SET, "AioContext %s is current on this thread", old->name);
          return FALSE;
        }
      atomic_store_explicit (&ctx->is_current, TRUE, memory_order_release);
      aio_context_ref (ctx);
    }
  g_private_replace (&current_context, ctx);
  return TRUE;
}

AioContext *
aio_context_enter (AioContext *ctx)
{
  AioContext *outer = dispatching_context;
  int depth = atomic_load_explicit (&ctx->dispatch_depth, memory_order_relaxed);

  dispatching_context = ctx;
  atomic_store_explicit (&ctx->dispatch_depth, depth + 1, memory_order_release);
  return outer;
}

void
aio_context_leave (AioContext *ctx, AioContext *outer)
{
  int depth = atomic_load_explicit (&ctx->dispatch_depth, memory_order_relaxed);

  dispatching_context = outer;
  atomic_store_explicit (&ctx->dispatch_depth, depth - 1, memory_order_release);
}
