/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"

/*
 * GLib may skip prepare (a source that was found ready stays so), check (after a prepare that returned
 * TRUE, for a source of higher priority that won, for a poll set that changed) and dispatch. So each
 * function assumes nothing of the others, and what one finds is kept in the context.
 */

/* Whether this is the home thread; if not, the source is destroyed, with one warning. */
static gboolean
check_thread (AioContext *ctx)
{
  if (G_LIKELY (aio_context_is_home (ctx)))
    return TRUE;
  if (!atomic_exchange (&ctx->foreign_thread_warned, TRUE))
    g_warning ("AioContext %s: its GMainContext is driven by another thread than its home; the source is destroyed",
               ctx->name);
  g_source_destroy (&ctx->source);
  return FALSE;
}

static void
clear_bit_0 (AioContext *ctx)
{
  guint notify_me = atomic_load_explicit (&ctx->notify_me, memory_order_relaxed);

  if (notify_me & 1)
    atomic_store_explicit (&ctx->notify_me, notify_me & ~1u, memory_order_release);
}

/* Accepts notifications and takes back what woke GLib for this source alone; whether anything did. */
static gboolean
drain (AioContext *ctx)
{
  gboolean notifier_ready = ctx->notifier_poll_fd.revents != 0;
  gboolean found = notifier_ready;

  ctx->notifier_poll_fd.revents = 0;
  aio_context_accept (ctx, notifier_ready);
  for (guint i = 0; i < G_N_ELEMENTS (ctx->deadlines); i++)
    found |= aio_deadline_check (&ctx->deadlines[i]);
  return found;
}

/* Milliseconds for GLib; rounded up, or the last millisecond would be spent spinning. */
static int
to_glib_timeout (gint64 timeout_ns)
{
  gint64 ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);

  return timeout_ns < 0 ? -1 : (int) MIN (ms, G_MAXINT32);
}

static gboolean
aio_source_prepare (GSource *source, int *timeout_ms)
{
  AioContext *ctx = (AioContext *) source;
  AioSeen before;
  guint notify_me;
  AioBhQueueState state;
  gint64 timeout;

  *timeout_ms = -1;
  if (!check_thread (ctx))
    return FALSE;
  if (!ctx->main_context)
    ctx->main_context = g_main_context_ref (g_source_get_context (source));
  aio_counter_add (&ctx->stats.prepares, 1);
  ctx->own_wakeup = FALSE;

  AIO_SCHEDULE_POINT (ctx, GS_PREPARE_ENTER);
  notify_me = atomic_load_explicit (&ctx->notify_me, memory_order_relaxed);
  atomic_store_explicit (&ctx->notify_me, notify_me | 1, memory_order_relaxed);
  AIO_SCHEDULE_POINT (ctx, GS_PREPARE_AFTER_BIT);
  /* notify_me before, the work and notified after: pairs with the fence in aio_context_notify(). */
  aio_fence ();

  /* Only in an iteration that is nested in a handler's callback is there anything left to find anew. */
  aio_context_forget_ready (ctx);
  before = aio_context_seen (ctx);
  aio_context_prepare_wait (ctx);
  AIO_SCHEDULE_POINT (ctx, GS_PREPARE_BEFORE_TIMEOUT);
  timeout = aio_context_compute_timeout (ctx);
  AIO_SCHEDULE_POINT (ctx, GS_PREPARE_AFTER_TIMEOUT);

  if (timeout == 0)
    {
      ctx->own_wakeup = TRUE;
      *timeout_ms = 0;
      return TRUE;
    }
  state = aio_context_bh_queue_state (ctx);
  if (atomic_load_explicit (&ctx->notified, memory_order_relaxed) || state & AIO_BH_QUEUE_DELETED
      || aio_context_has_seen_more (ctx, before) || aio_polling_is_on (ctx))
    {
      /*
       * A notification alone is nothing to dispatch, but check has to accept it, and what is only to be freed is ready
       * there. What was removed, or run by a poll() nested in a function of a handler, may be what the caller of the
       * iteration waits for. And poll mode is left on for what was to run, which another thread may have cancelled
       * since, without a notification: the next prepare ends it.
       */
      ctx->own_wakeup = TRUE;
      *timeout_ms = 0;
    }
  else if (!aio_context_arm_deadlines (ctx) || state & AIO_BH_QUEUE_IDLE)
    *timeout_ms = to_glib_timeout (timeout);
  return FALSE;
}

static gboolean
aio_source_check (GSource *source)
{
  AioContext *ctx = (AioContext *) source;
  gboolean ready;

  if (!check_thread (ctx))
    return FALSE;
  AIO_SCHEDULE_POINT (ctx, GS_CHECK_ENTER);
  aio_counter_add (&ctx->stats.checks, 1);

  clear_bit_0 (ctx);
  ctx->own_wakeup |= drain (ctx);
  ready = aio_context_bh_queue_state (ctx) != 0 || aio_context_pending (ctx) || aio_context_timer_timeout (ctx) == 0;
  if (!ready && ctx->own_wakeup)
    aio_counter_add (&ctx->stats.empty_iterations, 1);
  ctx->own_wakeup |= ready;
  return ready;
}

static gboolean
aio_source_dispatch (GSource *source, GSourceFunc callback G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  AioContext *ctx = (AioContext *) source;
  guint64 callbacks_before;
  gboolean own_wakeup, frees;

  if (!check_thread (ctx))
    return G_SOURCE_REMOVE;
  AIO_SCHEDULE_POINT (ctx, GS_DISPATCH_ENTER);
  aio_counter_add (&ctx->stats.dispatches, 1);

  clear_bit_0 (ctx);
  drain (ctx);
  own_wakeup = ctx->own_wakeup;
  ctx->own_wakeup = FALSE; /* what is nested in a callback keeps its own account */
  callbacks_before = aio_context_n_callbacks (ctx);
  frees = aio_context_bh_queue_state (ctx) & AIO_BH_QUEUE_DELETED;
  aio_context_dispatch (ctx);
  if (own_wakeup && !frees && aio_context_n_callbacks (ctx) == callbacks_before)
    aio_counter_add (&ctx->stats.empty_iterations, 1);
  return G_SOURCE_CONTINUE;
}

static void
aio_source_finalize (GSource *source)
{
  aio_context_finalize ((AioContext *) source);
}

GSourceFuncs aio_source_funcs = {
  .prepare = aio_source_prepare,
  .check = aio_source_check,
  .dispatch = aio_source_dispatch,
  .finalize = aio_source_finalize,
};
