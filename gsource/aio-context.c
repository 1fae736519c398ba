/* SPDX-License-Identifier: MIT */
#include "aio-context.h"

#include "aio-context-private.h"
#include "aio-error-private.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

/* This thread's calls of aio_context_unref() on the stack, and what is to be unreferenced at their end. */
static __thread guint unref_depth AIO_TLS;
static __thread GSList *left_main_contexts AIO_TLS;

G_DEFINE_BOXED_TYPE (AioContext, aio_context, aio_context_ref, aio_context_unref)

/* Life cycle */

/**
 * aio_context_new: (skip)
 * @error: return location for an error
 *
 * aio_context_new_full() with what is best: no name of its own, any monitor. The original's
 * `aio_context_new`.
 *
 * Returns: (transfer full): the context, or %NULL with @error set
 */
AioContext *
aio_context_new (GError **error)
{
  return aio_context_new_full (NULL, AIO_MONITOR_AUTO, error);
}

/**
 * aio_context_new_full: (constructor) (rename-to aio_context_new)
 * @name: (nullable): what to call it in messages
 * @monitor: how to watch file descriptors
 * @error: return location for an error
 *
 * Makes a context whose home thread is the caller's. Any thread. Fails with %AIO_ERROR_UNAVAILABLE if
 * @monitor cannot be had, and with %AIO_ERROR_SYSTEM.
 *
 * Returns: (transfer full): the context, or %NULL with @error set
 */
AioContext *
aio_context_new_full (const char *name, AioMonitor monitor, GError **error)
{
  static _Atomic guint n_unnamed;
  AioNotifier *notifier;
  AioContext *ctx;
  int open_error;

  if ((guint) monitor > AIO_MONITOR_IO_URING)
    {
      aio_set_unavailable_error (error, ENOSYS, "This build does not have the monitor asked for");
      return NULL;
    }

  notifier = aio_notifier_new (FALSE, error);
  if (!notifier)
    return NULL;

  ctx = (AioContext *) g_source_new (&aio_source_funcs, sizeof *ctx);
  if (name)
    ctx->name = g_strdup (name);
  else
    ctx->name = g_strdup_printf ("aio-%u", atomic_fetch_add_explicit (&n_unnamed, 1, memory_order_relaxed) + 1);
  g_source_set_name (&ctx->source, ctx->name);
  g_source_set_can_recurse (&ctx->source, TRUE);

  atomic_store_explicit (&ctx->home, aio_thread_id (), memory_order_relaxed);
  ctx->notifier = notifier;
  ctx->notifier_poll_fd = (GPollFD){ .fd = aio_notifier_get_fd (notifier), .events = G_IO_IN };
  g_source_add_poll (&ctx->source, &ctx->notifier_poll_fd);
  ctx->changes_tail = &ctx->changes;
  ctx->monitor_wanted = monitor;
  aio_lock_count_init (&ctx->list_lock);
  aio_context_lock_init (ctx);
  aio_deadline_init (&ctx->deadlines[0], CLOCK_MONOTONIC);
  aio_deadline_init (&ctx->deadlines[1], CLOCK_REALTIME);
  for (AioClockType type = AIO_CLOCK_REALTIME; type < AIO_CLOCK_MANUAL; type++)
    ctx->tlg[type] = aio_timer_list_new (ctx, aio_clock_get (type));

  open_error = aio_fdmon_open (ctx, monitor);
  if (open_error)
    {
      aio_set_unavailable_error (error, open_error, "Monitor %s",
                                 monitor == AIO_MONITOR_IO_URING ? "io_uring" : "epoll");
      aio_fdmon_open (ctx, AIO_MONITOR_POLL); /* which cannot fail: the context can be freed as any other */
      aio_context_unref (ctx);
      return NULL;
    }
  return ctx;
}

/**
 * aio_context_ref:
 * @ctx: a context
 *
 * Adds a reference: g_source_ref(). Any thread. The original's `aio_context_ref`.
 *
 * Returns: (transfer full): @ctx
 */
AioContext *
aio_context_ref (AioContext *ctx)
{
  return (AioContext *) g_source_ref ((GSource *) ctx);
}

/**
 * aio_context_unref:
 * @ctx: (transfer full): a context
 *
 * Drops a reference: g_source_unref(). With the last one the context ends, on the caller's thread: what
 * it still has is cancelled and freed, with one warning for each thing that was not. Any thread. The
 * original's `aio_context_unref`.
 */
void
aio_context_unref (AioContext *ctx)
{
#ifdef __SANITIZE_THREAD__
  /* ThreadSanitizer does not see into GLib's counts of references: what came before comes before the finalize. */
  atomic_fetch_add_explicit (&ctx->pins, 0, memory_order_release);
#endif
  unref_depth++;
  g_source_unref ((GSource *) ctx);
  while (unref_depth == 1 && left_main_contexts)
    {
      GMainContext *main_context = left_main_contexts->data;

      left_main_contexts = g_slist_delete_link (left_main_contexts, left_main_contexts);
      g_main_context_unref (main_context);
    }
  unref_depth--;
}

static gboolean
unref_main_context (gpointer main_context)
{
  g_main_context_unref (main_context);
  return G_SOURCE_REMOVE;
}

/*
 * Has the reference of a context that ends go once GLib has let go of the lock, which it takes again when this context is
 * finalized: when aio_context_unref() returns. If it was GLib itself that ended it, in an iteration, whoever iterates has
 * a reference; if it was g_source_unref(), it goes in the default main context.
 */
static void
unref_main_context_later (GMainContext *main_context)
{
  if (unref_depth > 0)
    left_main_contexts = g_slist_prepend (left_main_contexts, main_context);
  else if (g_main_context_is_owner (main_context))
    g_main_context_unref (main_context);
  else
    g_idle_add_full (G_PRIORITY_HIGH, unref_main_context, main_context, NULL);
}

void
aio_context_finalize (AioContext *ctx)
{
  /* What another thread made while it was being closed is not its fault. */
  gboolean report = !aio_context_is_closed (ctx);

  /* Somebody may still be between the push of what ended this context and the end of its call. */
  while (atomic_load_explicit (&ctx->pins, memory_order_acquire) != 0)
    sched_yield ();

  atomic_store_explicit (&ctx->home, aio_thread_id (), memory_order_relaxed);
  atomic_store_explicit (&ctx->closed, TRUE, memory_order_relaxed);
  aio_context_clear_bhs (ctx, report);
  aio_context_clear_handlers (ctx, report);
  aio_context_clear_timers (ctx, report);

  aio_context_free_timer_lists (ctx);
  aio_polling_clear (ctx);
  aio_context_fdmon (ctx)->close (ctx);
  aio_uring_run_completed (ctx);
  for (guint i = 0; i < G_N_ELEMENTS (ctx->deadlines); i++)
    aio_deadline_finalize (&ctx->deadlines[i]);
  aio_notifier_unref (ctx->notifier);
  aio_context_lock_finalize (ctx);
  aio_context_free_tables (ctx);
  aio_lock_count_clear (&ctx->list_lock);
  g_free (ctx->name);

  /* GLib holds on to the main context until this function has returned, but without a reference. */
  if (ctx->main_context)
    unref_main_context_later (ctx->main_context);
}

/* For an error of the home thread's rule, if it is broken. */
static gboolean
check_home (AioContext *ctx, const char *what, GError **error)
{
  if (G_LIKELY (aio_context_is_home (ctx)))
    return TRUE;
  g_set_error (error, AIO_ERROR, AIO_ERROR_WRONG_THREAD, "%s AioContext %s is for its home thread only", what,
               ctx->name);
  return FALSE;
}

gboolean
aio_context_check_open (AioContext *ctx, GError **error)
{
  if (G_LIKELY (!aio_context_is_closed (ctx)))
    return TRUE;
  g_set_error (error, AIO_ERROR, AIO_ERROR_CLOSED, "AioContext %s is closed", ctx->name);
  return FALSE;
}

gboolean
aio_context_check_slowly (AioContext *ctx, const char *what, GError **error)
{
  return check_home (ctx, what, error) && aio_context_check_open (ctx, error);
}

/**
 * aio_context_close:
 * @ctx: a context
 * @error: return location for an error
 *
 * Ends the context while references remain: handlers are removed, timers and bottom halves freed
 * without running, and the source is destroyed. Closing it again does nothing. It may be called from
 * the context's own callbacks. Home thread. Fails with %AIO_ERROR_WRONG_THREAD.
 *
 * Returns: whether it is closed
 */
gboolean
aio_context_close (AioContext *ctx, GError **error)
{
  g_return_val_if_fail (ctx != NULL, FALSE);

  if (!check_home (ctx, "Closing", error))
    return FALSE;
  if (aio_context_is_closed (ctx))
    return TRUE;

  aio_context_ref (ctx);
  atomic_store_explicit (&ctx->closed, TRUE, memory_order_release);
  /* First: a destroy notify may iterate the main context, which must not run what has not been freed yet. */
  aio_context_detach (ctx, NULL);
  aio_context_clear_handlers (ctx, FALSE);
  aio_uring_cancel_requests (ctx);
  aio_uring_run_completed (ctx);
  aio_context_clear_timers (ctx, FALSE);
  aio_context_clear_bhs (ctx, FALSE);
  aio_context_drop_current (ctx);
  aio_context_unref (ctx);
  return TRUE;
}

/**
 * aio_context_is_closed:
 * @ctx: a context
 *
 * Any thread.
 *
 * Returns: whether aio_context_close() was called
 */
gboolean
aio_context_is_closed (AioContext *ctx)
{
  g_return_val_if_fail (ctx != NULL, TRUE);

  return atomic_load_explicit (&ctx->closed, memory_order_acquire);
}

/**
 * aio_context_get_name:
 * @ctx: a context
 *
 * Any thread.
 *
 * Returns: what it is called in messages
 */
const char *
aio_context_get_name (AioContext *ctx)
{
  g_return_val_if_fail (ctx != NULL, NULL);

  return ctx->name;
}

/**
 * aio_context_get_monitor:
 * @ctx: a context
 *
 * Any thread.
 *
 * Returns: how it watches file descriptors; never %AIO_MONITOR_AUTO
 */
AioMonitor
aio_context_get_monitor (AioContext *ctx)
{
  g_return_val_if_fail (ctx != NULL, AIO_MONITOR_AUTO);

  return aio_context_fdmon (ctx)->type;
}

/* The source */

/**
 * aio_context_get_g_source: (skip)
 * @ctx: a context
 *
 * Gets the context as the source that it is. Any thread. The original's `aio_get_g_source`.
 *
 * Returns: (transfer full): a new reference to @ctx
 */
GSource *
aio_context_get_g_source (AioContext *ctx)
{
  g_return_val_if_fail (ctx != NULL, NULL);

  return g_source_ref (&ctx->source);
}

/**
 * aio_source_for_context:
 * @ctx: a context
 *
 * aio_context_get_g_source() for language bindings, which need a function that is not a method to make
 * a #GSource of it.
 *
 * Returns: (transfer full): a new reference to @ctx
 */
GSource *
aio_source_for_context (AioContext *ctx)
{
  return aio_context_get_g_source (ctx);
}

/**
 * aio_context_attach:
 * @ctx: a context
 * @main_context: (nullable): what shall drive it, or %NULL for the global default one
 * @priority: the priority of the source
 * @error: return location for an error
 *
 * Attaches the context to a main context, once in its life; it holds a reference to it until its own
 * end. Home thread. Fails with %AIO_ERROR_ATTACHED, %AIO_ERROR_DETACHED, %AIO_ERROR_CLOSED, and with
 * %AIO_ERROR_WRONG_THREAD also if another thread owns @main_context.
 *
 * Returns: whether it is attached
 */
gboolean
aio_context_attach (AioContext *ctx, GMainContext *main_context, int priority, GError **error)
{
  g_return_val_if_fail (ctx != NULL, FALSE);

  if (!aio_context_check (ctx, "Attaching", error))
    return FALSE;
  if (g_source_is_destroyed (&ctx->source))
    {
      g_set_error (error, AIO_ERROR, AIO_ERROR_DETACHED, "AioContext %s was detached, which is final", ctx->name);
      return FALSE;
    }
  if (aio_context_is_attached (ctx))
    {
      g_set_error (error, AIO_ERROR, AIO_ERROR_ATTACHED, "AioContext %s is attached already", ctx->name);
      return FALSE;
    }

  if (!main_context)
    main_context = g_main_context_default ();
  if (!g_main_context_acquire (main_context))
    {
      g_set_error (error, AIO_ERROR, AIO_ERROR_WRONG_THREAD,
                   "AioContext %s cannot be attached to a GMainContext that another thread owns", ctx->name);
      return FALSE;
    }
  ctx->main_context = g_main_context_ref (main_context);
  g_source_set_priority (&ctx->source, priority);
  g_source_attach (&ctx->source, main_context);
  g_main_context_release (main_context);
  return TRUE;
}

/**
 * aio_context_detach:
 * @ctx: a context
 * @error: return location for an error
 *
 * Takes the context from its main context: g_source_destroy(), which is final. aio_context_poll() goes
 * on working. Detaching it again does nothing. Home thread. Fails with %AIO_ERROR_WRONG_THREAD.
 *
 * Returns: whether it is detached
 */
gboolean
aio_context_detach (AioContext *ctx, GError **error)
{
  g_return_val_if_fail (ctx != NULL, FALSE);

  if (!check_home (ctx, "Detaching", error))
    return FALSE;

  /*
   * The main context stays: who drops a reference to a source locks the main context that it was in, and GLib does not
   * see to it that this still exists.
   */
  g_source_destroy (&ctx->source);
  atomic_fetch_and_explicit (&ctx->notify_me, ~1u, memory_order_relaxed);
  return TRUE;
}

/**
 * aio_context_is_attached:
 * @ctx: a context
 *
 * Home thread.
 *
 * Returns: whether a main context drives it
 */
gboolean
aio_context_is_attached (AioContext *ctx)
{
  g_return_val_if_fail (ctx != NULL, FALSE);

  return !g_source_is_destroyed (&ctx->source) && g_source_get_context (&ctx->source) != NULL;
}
