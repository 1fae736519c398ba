/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

/* Operations on contexts: their life and their end. */

gboolean
fuzz_is_alive (FuzzContext *c)
{
  return c && c->ctx && !c->closed;
}

gboolean
fuzz_may_drive (FuzzContext *c)
{
  return fuzz_is_alive (c) && aio_context_in_home_thread (c->ctx);
}

gboolean
fuzz_drop_context (FuzzContext *c)
{
  AioContext *ctx = c->ctx;

  if (!aio_context_in_home_thread (ctx) && !c->closed)
    return FALSE;
  if (c->attached && !c->detached)
    {
      fuzz_require (aio_context_detach (ctx, NULL), "%s could not be detached", c->name);
      c->detached = TRUE;
    }
  for (guint i = 0; i < fuzz.all_timers->len; i++)
    {
      FuzzTimer *timer = g_ptr_array_index (fuzz.all_timers, i);

      if (timer->c != c || timer->closed || timer->kind == FUZZ_TIMER_BOXED)
        continue;
      if (timer->kind == FUZZ_TIMER_INIT && (c->closed || timer->expire_ns < 0))
        {
          aio_timer_deinit (timer->timer);
          timer->closed = TRUE;
        }
      timer->timer = NULL;
    }
  for (guint i = 0; i < fuzz.all_bhs->len; i++)
    {
      FuzzBh *bh = g_ptr_array_index (fuzz.all_bhs, i);

      if (bh->c == c && bh->kind != FUZZ_BH_BOXED)
        bh->bh = NULL;
    }
  c->ctx = NULL;
  c->leaks = !c->closed;
  aio_context_unref (ctx);
  return TRUE;
}

static void
op_context_new (void)
{
  static const AioMonitor monitors[] = { AIO_MONITOR_POLL, AIO_MONITOR_EPOLL, AIO_MONITOR_IO_URING, AIO_MONITOR_AUTO,
                                         (AioMonitor) 77 };
  guint slot = fuzz_arg (FUZZ_N_CONTEXTS);
  guint how = fuzz_arg (G_N_ELEMENTS (monitors) + 1);
  AioMonitor monitor = how < G_N_ELEMENTS (monitors) ? monitors[how] : AIO_MONITOR_AUTO;
  g_autoptr (GError) error = NULL;
  FuzzContext *c;

  if (fuzz.elsewhere || (fuzz.contexts[slot] && fuzz.contexts[slot]->ctx) || fuzz.all_contexts->len >= 8)
    return;
  c = g_new0 (FuzzContext, 1);
  c->number = fuzz.all_contexts->len;
  g_snprintf (c->name, sizeof c->name, "fuzz-%u", c->number);
  if (how < G_N_ELEMENTS (monitors))
    c->ctx = aio_context_new_full (c->name, monitor, &error);
  else if ((c->ctx = aio_context_new (&error)))
    g_strlcpy (c->name, aio_context_get_name (c->ctx), sizeof c->name);
  c->raw = c->ctx;
  if (!c->ctx)
    {
      fuzz_require (error && (fuzz.faults || monitor > AIO_MONITOR_EPOLL), "no context");
      fuzz_require_error (error, error->code == AIO_ERROR_SYSTEM ? AIO_ERROR_SYSTEM : AIO_ERROR_UNAVAILABLE);
      g_free (c);
      return;
    }
  fuzz_require (monitor <= AIO_MONITOR_IO_URING, "a context with no known monitor");
  fuzz_trace ("  %s, monitor %u", c->name, monitor);
  g_ptr_array_add (fuzz.all_contexts, c);
  fuzz.contexts[slot] = c;
  fuzz_context_hook (c);
}

/* What ends with the context. */
static void
note_closed (FuzzContext *c)
{
  c->closed = TRUE;
  c->detached = TRUE;
  for (guint i = 0; i < fuzz.all_bhs->len; i++)
    {
      FuzzBh *bh = g_ptr_array_index (fuzz.all_bhs, i);

      if (bh->c != c)
        continue;
      bh->scheduled = bh->idle = bh->queued = bh->in_batch = FALSE;
      if (bh->kind != FUZZ_BH_BOXED)
        bh->bh = NULL;
    }
  for (guint i = 0; i < fuzz.all_timers->len; i++)
    {
      FuzzTimer *timer = g_ptr_array_index (fuzz.all_timers, i);

      if (timer->c == c)
        fuzz_timer_note_disarm (timer);
    }
  for (guint i = 0; i < fuzz.all_watches->len; i++)
    {
      FuzzWatch *watch = g_ptr_array_index (fuzz.all_watches, i);

      if (watch->c == c)
        watch->live = FALSE;
    }
}

void
fuzz_close_context (FuzzContext *c)
{
  g_autoptr (AioContext) ctx = aio_context_ref (c->ctx);
  g_autoptr (GError) error = NULL;
  FuzzContext *outer = fuzz.closing;
  gboolean again = c->closed;

  if (!again)
    note_closed (c);
  if (fuzz.turn)
    fuzz.turn->unsure = TRUE;
  fuzz.closing = c;
  fuzz_require (aio_context_close (ctx, &error) && !error, "%s could not be closed", c->name);
  fuzz.closing = outer;
  fuzz_require (aio_context_is_closed (ctx), "%s is not closed", c->name);
  if (!again && fuzz.current[fuzz.elsewhere] == c)
    fuzz.current[fuzz.elsewhere] = NULL;
}

static void
op_close (void)
{
  FuzzContext *c = fuzz_pick_context ();
  g_autoptr (GError) error = NULL;
  gboolean ok;

  /* Rare, for little can be done afterwards. */
  if (!c || !c->ctx || fuzz_arg (4) > 0)
    return;
  if (!aio_context_in_home_thread (c->ctx))
    {
      ok = aio_context_close (c->ctx, &error);
      fuzz_require (!ok, "closed elsewhere");
      fuzz_require_error (error, AIO_ERROR_WRONG_THREAD);
      return;
    }
  fuzz_trace ("  %s", c->name);
  fuzz_close_context (c);
}

static void
op_drop (void)
{
  FuzzContext *c = fuzz_pick_context ();

  if (!c || !c->ctx || fuzz.elsewhere || fuzz_arg (4) > 0)
    return;
  fuzz_trace ("  %s", c->name);
  fuzz_drop_context (c);
}

static void
op_ref (void)
{
  FuzzContext *c = fuzz_pick_context ();

  if (!c || !c->ctx)
    return;
  fuzz_require (aio_context_ref (c->ctx) == c->ctx, "another context");
  g_source_unref (aio_source_for_context (c->ctx));
  aio_context_unref (c->ctx);
  fuzz_require (g_str_equal (aio_context_get_name (c->ctx), c->name), "another name");
  fuzz_require (aio_context_get_monitor (c->ctx) != AIO_MONITOR_AUTO, "no monitor");
  fuzz_require (aio_context_is_closed (c->ctx) == c->closed, "closed, or not");
}

static void
op_attach (void)
{
  static const int priorities[] = { G_PRIORITY_DEFAULT, G_PRIORITY_HIGH, G_PRIORITY_DEFAULT_IDLE };
  FuzzContext *c = fuzz_pick_context ();
  int priority = priorities[fuzz_arg (G_N_ELEMENTS (priorities))];
  gboolean plainly = fuzz_arg (4) == 0;
  g_autoptr (GError) error = NULL;
  gboolean ok;

  /* Attached elsewhere it could not come home again; but that is refused while GLib is at work here. */
  if (!c || !c->ctx || (fuzz.elsewhere && aio_context_in_home_thread (c->ctx) && !fuzz_glib_is_at_work ()))
    return;
  if (!fuzz.main_context)
    {
      fuzz.main_context = g_main_context_new ();
      g_main_context_set_poll_func (fuzz.main_context, (GPollFunc) fuzz_kernel_g_poll);
    }
  if (plainly && fuzz_may_drive (c) && !c->attached && !c->detached && !fuzz.elsewhere)
    {
      GSource *source = aio_context_get_g_source (c->ctx);

      fuzz_trace ("  %s, plainly", c->name);
      g_source_set_priority (source, priority);
      g_source_attach (source, fuzz.main_context);
      g_source_unref (source);
      c->attached = TRUE;
      return;
    }
  ok = aio_context_attach (c->ctx, fuzz.main_context, priority, &error);
  fuzz_require (ok == !error, "attached, and an error, or neither");
  if (ok)
    {
      fuzz_require (!fuzz.elsewhere && !c->closed && !c->attached, "%s was attached", c->name);
      fuzz_trace ("  %s", c->name);
      c->attached = TRUE;
      return;
    }
  fuzz_require_error (error, !aio_context_in_home_thread (c->ctx) ? AIO_ERROR_WRONG_THREAD
                             : c->closed                          ? AIO_ERROR_CLOSED
                             : c->detached                        ? AIO_ERROR_DETACHED
                             : c->attached                        ? AIO_ERROR_ATTACHED
                                                                  : AIO_ERROR_WRONG_THREAD);
  fuzz_require (error->code != AIO_ERROR_WRONG_THREAD || fuzz.elsewhere || c->closed, "%s: %s", c->name,
                error->message);
}

static void
op_detach (void)
{
  FuzzContext *c = fuzz_pick_context ();
  g_autoptr (GError) error = NULL;
  gboolean ok;

  if (!c || !c->ctx || fuzz_arg (3) > 0)
    return;
  ok = aio_context_detach (c->ctx, &error);
  fuzz_require (ok == aio_context_in_home_thread (c->ctx) && ok == !error, "%s was detached, or not", c->name);
  if (!ok)
    fuzz_require_error (error, AIO_ERROR_WRONG_THREAD);
  if (ok)
    c->detached = TRUE;
}

const FuzzOperation fuzz_context_operations[] = {
  { "context new", op_context_new, 3 }, { "close", op_close, 2 },   { "drop", op_drop, 2 }, { "ref", op_ref, 1 },
  { "attach", op_attach, 3 },           { "detach", op_detach, 1 }, { NULL, NULL, 0 },
};
