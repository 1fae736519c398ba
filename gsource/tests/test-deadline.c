/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include <stdlib.h>

#define US G_GINT64_CONSTANT (1000)
#define MS G_GINT64_CONSTANT (1000000)

/* How exactly, and with how many wake-ups, deadlines are met (G6) and changed (A12) */

static AioClock *
realtime (void)
{
  return aio_clock_get (AIO_CLOCK_REALTIME);
}

typedef struct {
  AioClock *clock;
  gint64 expire, late;
  int fired;
} Shot;

static void
note_lateness (gpointer data)
{
  Shot *shot = data;

  shot->late = aio_clock_get_ns (shot->clock) - shot->expire;
  shot->fired++;
}

static int
compare_ns (const void *a, const void *b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;

  return x < y ? -1 : x > y;
}

static void
three_hundred_microseconds (Driver *d)
{
  static const AioClockType types[] = { AIO_CLOCK_REALTIME, AIO_CLOCK_HOST };
  enum {
    ROUNDS = 51
  };

  for (guint t = 0; t < G_N_ELEMENTS (types); t++)
    {
      Shot shot = { .clock = aio_clock_get (types[t]) };
      AioTimer *timer = aio_timer_new (d->ctx, shot.clock, AIO_TIMER_SCALE_NS, note_lateness, &shot);
      gint64 late[ROUNDS];
      AioStats before, after;

      driver_settle (d);
      before = driver_stats (d);
      for (int i = 0; i < ROUNDS; i++)
        {
          shot.expire = aio_clock_get_ns (shot.clock) + 300 * US;
          aio_timer_mod_ns (timer, shot.expire);
          driver_run_until_count (d, &shot.fired, i + 1, 5000);
          g_assert_cmpint (shot.late, >=, 0);
          late[i] = shot.late;
        }
      after = driver_stats (d);
      qsort (late, ROUNDS, sizeof late[0], compare_ns);
      g_test_message ("clock %d: median %d us late, worst %d us", (int) types[t], (int) (late[ROUNDS / 2] / US),
                      (int) (late[ROUNDS - 1] / US));
      /* Rounded up to a millisecond it would be 700 us late each time. */
      g_assert_cmpint (late[ROUNDS / 2], <, 500 * US);

      /* And no busy last millisecond: one wait a shot, plus the odd one of the nested iterations. */
      g_assert_cmpuint (after.empty_iterations - before.empty_iterations, <=, ROUNDS / 10);
      g_assert_cmpuint (after.empty_waits - before.empty_waits, <=, ROUNDS / 10);
      g_assert_cmpuint (after.waits - before.waits + after.prepares - before.prepares, <=, 3 * ROUNDS);
      aio_timer_free (timer);
    }
}

static void
the_timeout_for_glib_is_rounded_up (Driver *d)
{
  int fired = 0, timeout_ms = -2;
  AioTimer *timer = aio_timer_new (d->ctx, realtime (), AIO_TIMER_SCALE_NS, driver_count, &fired);
  g_autoptr (GSource) source = aio_context_get_g_source (d->ctx);
  gint64 timeout;

  /* The clock is read later than here, so it can be due, but a timeout above zero is never cut to zero. */
  for (gint64 ahead = 1; ahead < 40 * MS; ahead = ahead * 3 + 1)
    {
      aio_timer_mod_ns (timer, aio_clock_get_ns (realtime ()) + ahead);
      aio_context_notify_accept (d->ctx);
      timeout = aio_context_compute_timeout (d->ctx);
      g_assert_cmpint (timeout, >=, 0);
      g_assert_cmpint (timeout, <=, ahead);
      if (!source->source_funcs->prepare (source, &timeout_ms))
        g_assert_cmpint (timeout_ms, !=, 0);
      source->source_funcs->check (source);
    }
  driver_run_until_count (d, &fired, 1, 5000);
  aio_timer_free (timer);
}

static gboolean
stop_by_glib (gpointer data)
{
  driver_count (data);
  return G_SOURCE_REMOVE;
}

static void
an_idle_context_causes_no_iterations (Driver *d)
{
  AioStats before, after;
  g_autoptr (GSource) timeout = g_timeout_source_new (100);
  int stopped = 0;
  int fds[2], reads = 0;
  AioTimer *timer = aio_timer_new (d->ctx, realtime (), AIO_TIMER_SCALE_NS, driver_count, &reads);

  driver_pipe (fds);
  driver_watch (d, fds[0], driver_count_read, &reads);
  aio_timer_mod_ns (timer, G_MAXINT64 / 2);
  driver_settle (d);

  before = driver_stats (d);
  g_source_set_callback (timeout, stop_by_glib, &stopped, NULL);
  g_source_attach (timeout, d->main_context);
  while (!stopped)
    g_main_context_iteration (d->main_context, TRUE);
  after = driver_stats (d);

  /* 100 ms: the iteration that slept, and perhaps one that GLib began too early. */
  g_assert_cmpuint (after.prepares - before.prepares, <=, 3);
  g_assert_cmpuint (after.empty_iterations, ==, before.empty_iterations);
  g_assert_cmpuint (after.dispatches, ==, before.dispatches);
  g_assert_cmpuint (after.eventfd_writes, ==, before.eventfd_writes);
  g_assert_cmpint (reads, ==, 0);

  aio_timer_free (timer);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

static void
one_wait_until_a_timer (Driver *d)
{
  AioStats before, after;
  int fired = 0;
  AioTimer *timer = aio_timer_new (d->ctx, realtime (), AIO_TIMER_SCALE_NS, driver_count, &fired);

  driver_settle (d);
  before = driver_stats (d);
  aio_timer_mod_ns (timer, aio_clock_get_ns (realtime ()) + 50 * MS);
  driver_run_until_count (d, &fired, 1, 5000);
  after = driver_stats (d);
  g_assert_cmpuint (after.waits - before.waits + after.checks - before.checks, <=, 2);
  g_assert_cmpuint (after.empty_waits, ==, before.empty_waits);
  g_assert_cmpuint (after.empty_iterations - before.empty_iterations, <=, 1);
  aio_timer_free (timer);
}

/* A12 */

typedef struct {
  AioContext *ctx;
  AioTimer *timer;
  gint64 expire;
} Change;

static void
modify_once_asleep (gpointer data)
{
  Change *change = data;

  while (aio_context_get_notify_me (change->ctx) == 0)
    g_usleep (1000);
  change->expire = aio_clock_get_ns (realtime ()) + 20 * MS;
  aio_timer_mod_ns (change->timer, change->expire);
}

static void
made_earlier_by_another_thread (Driver *d)
{
  int fired = 0;
  Change change = { d->ctx, aio_timer_new (d->ctx, realtime (), AIO_TIMER_SCALE_NS, driver_count, &fired), 0 };
  pthread_t thread;

  aio_timer_mod_ns (change.timer, aio_clock_get_ns (realtime ()) + 10000 * MS);
  thread = driver_thread_start (modify_once_asleep, &change);
  driver_run_until_count (d, &fired, 1, 5000);
  g_assert_cmpint (aio_clock_get_ns (realtime ()), >=, change.expire);
  driver_thread_join (thread);
  aio_timer_free (change.timer);
}

static void
modify_to_later_once_asleep (gpointer data)
{
  Change *change = data;
  AioStats before, after;

  while (aio_context_get_notify_me (change->ctx) == 0)
    g_usleep (1000);
  aio_context_get_stats (change->ctx, &before);
  aio_timer_mod_ns (change->timer, aio_clock_get_ns (realtime ()) + 20000 * MS);
  aio_timer_del (change->timer);
  aio_context_get_stats (change->ctx, &after);
  g_assert_cmpuint (after.eventfd_writes, ==, before.eventfd_writes);
}

static void
made_later_or_deleted_wakes_nobody (Driver *d)
{
  int fired = 0, late = 0;
  Change change = { d->ctx, aio_timer_new (d->ctx, realtime (), AIO_TIMER_SCALE_NS, driver_count, &late), 0 };
  AioTimer *head = aio_timer_new (d->ctx, realtime (), AIO_TIMER_SCALE_NS, driver_count, &fired);
  AioStats before, after;
  pthread_t thread;

  aio_timer_mod_ns (head, aio_clock_get_ns (realtime ()) + 100 * MS);
  aio_timer_mod_ns (change.timer, aio_clock_get_ns (realtime ()) + 5000 * MS);
  driver_settle (d);
  before = driver_stats (d);
  thread = driver_thread_start (modify_to_later_once_asleep, &change);
  driver_run_until_count (d, &fired, 1, 5000);
  driver_thread_join (thread);
  after = driver_stats (d);
  g_assert_cmpuint (after.eventfd_writes, ==, before.eventfd_writes);
  g_assert_cmpint (late, ==, 0);
  aio_timer_free (change.timer);
  aio_timer_free (head);
}

static void
deleted_head_is_at_most_one_spurious_wakeup (Driver *d)
{
  int fired = 0, never = 0;
  AioTimer *head = aio_timer_new (d->ctx, realtime (), AIO_TIMER_SCALE_NS, driver_count, &never);
  AioTimer *next = aio_timer_new (d->ctx, realtime (), AIO_TIMER_SCALE_NS, driver_count, &fired);
  AioStats before, after;

  aio_timer_mod_ns (next, aio_clock_get_ns (realtime ()) + 60 * MS);
  aio_timer_mod_ns (head, aio_clock_get_ns (realtime ()) + 20 * MS);
  /* So that the earlier deadline has been handed to the kernel. */
  driver_settle (d);
  aio_timer_del (head);
  before = driver_stats (d);
  driver_run_until_count (d, &fired, 1, 5000);
  after = driver_stats (d);
  g_assert_cmpint (never, ==, 0);
  g_assert_cmpuint (after.waits - before.waits + after.checks - before.checks, <=, 4);
  aio_timer_free (head);
  aio_timer_free (next);
}

static void
add_tests (void)
{
  driver_add ("deadline", "G6-three-hundred-microseconds", three_hundred_microseconds);
  driver_add_for (DRIVER_ATTACHED, "deadline", "G6-the-timeout-for-glib-is-rounded-up",
                  the_timeout_for_glib_is_rounded_up);
  driver_add_for (DRIVER_ATTACHED, "deadline", "an-idle-context-causes-no-iterations",
                  an_idle_context_causes_no_iterations);
  driver_add ("deadline", "one-wait-until-a-timer", one_wait_until_a_timer);
  driver_add ("deadline", "A12-made-earlier-by-another-thread", made_earlier_by_another_thread);
  driver_add ("deadline", "A12-made-later-or-deleted-wakes-nobody", made_later_or_deleted_wakes_nobody);
  driver_add ("deadline", "A12-deleted-head-is-at-most-one-spurious-wakeup",
              deleted_head_is_at_most_one_spurious_wakeup);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
