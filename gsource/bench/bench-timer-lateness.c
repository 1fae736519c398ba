/* SPDX-License-Identifier: MIT */
/* How late timers fire under a GLib loop, and what CPU time they take: bench/README.md. */
#include <aio-gsource.h>
#include <stdlib.h>

#include "bench.h"
#include "timerfd-source.h"

#define DELAY_NS 300000
#define FIRINGS 1000
#define ROUNDS 9

static GMainContext *main_context, *peer_context;
static AioContext *ctx;
static AioTimer *timer;
static TimerfdSource *peer;
static gint64 expire_ns;
static double lateness[FIRINGS];
static guint n_fired;

static void
arm (gint64 now_ns)
{
  expire_ns = now_ns + DELAY_NS;
  aio_timer_mod_ns (timer, expire_ns);
}

static void
fired (gpointer data G_GNUC_UNUSED)
{
  gint64 now_ns = bench_now_ns ();

  lateness[n_fired++] = (double) (now_ns - expire_ns);
  if (n_fired < FIRINGS)
    arm (now_ns);
}

static void
run_ours (void)
{
  n_fired = 0;
  arm (bench_now_ns ());
  while (n_fired < FIRINGS)
    g_main_context_iteration (main_context, TRUE);
}

static void
run_peer (void)
{
  timerfd_source_run (peer, DELAY_NS, lateness, FIRINGS);
}

static int
compare (gconstpointer a, gconstpointer b)
{
  double first = *(const double *) a, second = *(const double *) b;

  return (first > second) - (first < second);
}

static void
measure (const char *subject, void (*run) (void), gboolean print)
{
  gint64 start = bench_cpu_ns ();
  double cpu;

  run ();
  cpu = (double) (bench_cpu_ns () - start) / FIRINGS;
  qsort (lateness, FIRINGS, sizeof *lateness, compare);
  if (lateness[0] < 0)
    g_error ("%s: %.0f ns early", subject, -lateness[0]);
  if (!print)
    return;
  bench_print ("C: lateness, p50", subject, lateness[FIRINGS * 50 / 100]);
  bench_print ("C: lateness, p99", subject, lateness[FIRINGS * 99 / 100]);
  bench_print ("C: CPU time", subject, cpu);
}

int
main (void)
{
  GError *error = NULL;

  main_context = g_main_context_new ();
  peer_context = g_main_context_new ();
  ctx = aio_context_new (&error);
  if (!ctx || !aio_context_attach (ctx, main_context, G_PRIORITY_DEFAULT, &error))
    g_error ("%s", error->message);
  timer = aio_timer_new (ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_NS, fired, NULL);
  peer = timerfd_source_new (peer_context);

  for (int round = -1; round < ROUNDS; round++)
    {
      measure ("ours", run_ours, round >= 0);
      measure ("bare timerfd source", run_peer, round >= 0);
    }

  timerfd_source_free (peer);
  aio_timer_free (timer);
  aio_context_close (ctx, NULL);
  aio_context_unref (ctx);
  g_main_context_unref (peer_context);
  g_main_context_unref (main_context);
  return 0;
}
