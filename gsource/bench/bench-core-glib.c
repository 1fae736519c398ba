/* SPDX-License-Identifier: MIT */
/*
 * A bottom half run by one iteration of a GMainContext, against what GLib itself takes for an iteration
 * that dispatches a source with nothing in it. Each has a GMainContext of its own.
 */
#include <aio-gsource.h>

#include "bench.h"

#define ITERATIONS 20000

static GMainContext *none, *ready, *idle, *ours, *ours_idle;
static AioContext *ctx, *quiet_ctx;
static AioBh *bh;
static guint n_calls, n_dispatches;

static void
callback (gpointer data)
{
  ++*(guint *) data;
}

static gboolean
ready_prepare (GSource *source G_GNUC_UNUSED, int *timeout_ms)
{
  *timeout_ms = 0;
  return TRUE;
}

static gboolean
ready_check (GSource *source G_GNUC_UNUSED)
{
  return TRUE;
}

static gboolean
idle_prepare (GSource *source G_GNUC_UNUSED, int *timeout_ms)
{
  *timeout_ms = -1;
  return FALSE;
}

static gboolean
idle_check (GSource *source G_GNUC_UNUSED)
{
  return FALSE;
}

static gboolean
dispatch (GSource *source G_GNUC_UNUSED, GSourceFunc func G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  n_dispatches++;
  return G_SOURCE_CONTINUE;
}

static void
attach (GMainContext *main_context, GSourceFuncs *funcs)
{
  GSource *source = g_source_new (funcs, sizeof *source);

  g_source_attach (source, main_context);
  g_source_unref (source);
}

static AioContext *
attach_context (GMainContext *main_context)
{
  GError *error = NULL;
  AioContext *attached = aio_context_new (&error);

  if (!attached || !aio_context_attach (attached, main_context, G_PRIORITY_DEFAULT, &error))
    g_error ("%s", error->message);
  return attached;
}

static void
schedule_and_iterate (guint n)
{
  for (guint i = 0; i < n; i++)
    {
      aio_bh_schedule (bh);
      g_main_context_iteration (ours, FALSE);
    }
}

static void
iterate (GMainContext *main_context, guint n)
{
  for (guint i = 0; i < n; i++)
    g_main_context_iteration (main_context, FALSE);
}

static void
iterate_ready (guint n)
{
  iterate (ready, n);
}

static void
iterate_ours_idle (guint n)
{
  iterate (ours_idle, n);
}

static void
iterate_idle (guint n)
{
  iterate (idle, n);
}

static void
iterate_none (guint n)
{
  iterate (none, n);
}

int
main (void)
{
  static GSourceFuncs ready_funcs = { ready_prepare, ready_check, dispatch, NULL, NULL, NULL };
  static GSourceFuncs idle_funcs = { idle_prepare, idle_check, dispatch, NULL, NULL, NULL };
  static const BenchCase cases[] = {
    { "schedule + iteration", "ours", schedule_and_iterate, ITERATIONS },
    { "schedule + iteration", "empty ready GSource", iterate_ready, ITERATIONS },
    { "schedule + iteration", "no source", iterate_none, ITERATIONS },
    { "idle iteration", "ours", iterate_ours_idle, ITERATIONS },
    { "idle iteration", "empty idle GSource", iterate_idle, ITERATIONS },
    { "idle iteration", "no source", iterate_none, ITERATIONS },
  };
  const guint expected = (BENCH_WARM_UP_ROUNDS + BENCH_ROUNDS) * ITERATIONS;

  none = g_main_context_new ();
  ready = g_main_context_new ();
  attach (ready, &ready_funcs);
  idle = g_main_context_new ();
  attach (idle, &idle_funcs);
  ours = g_main_context_new ();
  ctx = attach_context (ours);
  bh = aio_bh_new (ctx, callback, &n_calls);
  ours_idle = g_main_context_new ();
  quiet_ctx = attach_context (ours_idle);

  bench_run (cases, G_N_ELEMENTS (cases));

  if (n_calls != expected || n_dispatches != expected)
    g_error ("%u callbacks, %u dispatches", n_calls, n_dispatches);
  aio_context_close (ctx, NULL);
  aio_context_close (quiet_ctx, NULL);
  aio_context_unref (ctx);
  aio_context_unref (quiet_ctx);
  g_main_context_unref (none);
  g_main_context_unref (ready);
  g_main_context_unref (idle);
  g_main_context_unref (ours);
  g_main_context_unref (ours_idle);
  return 0;
}
