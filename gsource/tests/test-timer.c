/* SPDX-License-Identifier: MIT */
#include "driver.h"

#define MS G_GINT64_CONSTANT (1000000)

static void
fires_once_when_its_time_has_come (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (1000);
  int fired = 0;
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);

  g_assert_false (aio_timer_pending (timer));
  g_assert_cmpint (aio_timer_expire_time_ns (timer), ==, -1);

  aio_timer_mod (timer, 1500);
  g_assert_true (aio_timer_pending (timer));
  g_assert_cmpint (aio_timer_expire_time_ns (timer), ==, 1500);
  driver_settle (d);
  aio_clock_set_ns (clock, 1499);
  driver_settle (d);
  g_assert_cmpint (fired, ==, 0);

  aio_clock_set_ns (clock, 1500);
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, 0);
  g_assert_true (driver_turn (d, TRUE));
  g_assert_cmpint (fired, ==, 1);
  g_assert_false (aio_timer_pending (timer));
  driver_settle (d);
  g_assert_cmpint (fired, ==, 1);
  g_assert_cmpuint (driver_stats (d).timers_fired, ==, 1);

  aio_timer_mod (timer, 1600);
  aio_timer_mod (timer, 1700);
  aio_timer_del (timer);
  aio_timer_del (timer);
  aio_clock_set_ns (clock, 5000);
  driver_settle (d);
  g_assert_cmpint (fired, ==, 1);

  /* Re-arming replaces. */
  aio_timer_mod (timer, 6000);
  aio_timer_mod (timer, 9000);
  aio_clock_set_ns (clock, 8999);
  driver_settle (d);
  g_assert_cmpint (fired, ==, 1);
  aio_clock_set_ns (clock, 9000);
  driver_settle (d);
  g_assert_cmpint (fired, ==, 2);

  aio_timer_free (timer);
}

static void
firing_is_progress (Driver *d)
{
  int fired = 0;
  AioTimer *timer =
      aio_timer_new (d->ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_MS, driver_count, &fired);

  aio_timer_mod_ns (timer, aio_clock_get_ns (aio_clock_get (AIO_CLOCK_REALTIME)) + 2 * MS);
  while (!fired)
    g_assert_cmpint (driver_poll (d->ctx, TRUE), ==, fired);
  g_assert_false (driver_poll (d->ctx, FALSE));
  aio_timer_free (timer);
}

static void
scales_multiply_and_mod_ns_does_not (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (0);
  static const AioTimerScale scales[] = { AIO_TIMER_SCALE_NS, AIO_TIMER_SCALE_US, AIO_TIMER_SCALE_MS };

  for (guint i = 0; i < G_N_ELEMENTS (scales); i++)
    {
      int fired = 0;
      AioTimer timer;

      aio_timer_init (&timer, d->ctx, clock, scales[i], driver_count, &fired);
      aio_timer_mod (&timer, 7);
      g_assert_cmpint (aio_timer_expire_time_ns (&timer), ==, 7 * (gint64) scales[i]);
      aio_timer_mod_ns (&timer, 7);
      g_assert_cmpint (aio_timer_expire_time_ns (&timer), ==, 7);
      aio_timer_mod (&timer, 9);
      aio_timer_mod_anticipate (&timer, 8);
      g_assert_cmpint (aio_timer_expire_time_ns (&timer), ==, 8 * (gint64) scales[i]);
      aio_timer_deinit (&timer);
    }
}

/* G5 */

typedef struct {
  AioTimer *timer;
  int fired;
} Suicide;

static void
free_self (gpointer data)
{
  Suicide *s = data;

  s->fired++;
  aio_timer_free (g_steal_pointer (&s->timer));
}

static void
freed_while_armed_in_its_callback_and_as_null (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (1000);
  Suicide s = { NULL, 0 };
  int fired = 0, destroyed = 0;
  AioTimer *timer;

  s.timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, free_self, &s);
  aio_timer_mod_ns (s.timer, 900);
  timer = aio_timer_new_full (d->ctx, clock, AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_NONE, "armed", driver_count, &destroyed,
                              driver_count);
  aio_timer_mod_ns (timer, 900);
  aio_timer_free (timer);
  g_assert_cmpint (destroyed, ==, 1);
  aio_timer_free (NULL);
  timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
  aio_timer_mod_ns (timer, 900);
  driver_settle (d);
  g_assert_null (s.timer);
  g_assert_cmpint (s.fired, ==, 1);
  g_assert_cmpint (fired, ==, 1);
  g_assert_cmpint (destroyed, ==, 1);
  aio_timer_free (timer);
}

static void
a_reference_outlives_the_free (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (1000);
  int destroyed = 0;
  AioTimer *timer = aio_timer_new_boxed (d->ctx, clock, AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_NONE, "boxed", driver_count,
                                         &destroyed, driver_count);

  aio_timer_mod_ns (timer, 0);
  aio_timer_free (timer);
  g_assert_cmpint (destroyed, ==, 1);

  /* Nothing comes of using it. */
  aio_timer_mod_ns (timer, 0);
  aio_timer_mod_anticipate (timer, 0);
  aio_timer_del (timer);
  aio_timer_free (timer);
  g_assert_false (aio_timer_pending (timer));
  g_assert_false (driver_turn (d, FALSE));
  g_assert_cmpint (destroyed, ==, 1);
  aio_timer_unref (timer);
}

/* G7, G8 */

static void
far_expiries_never_fire_early (Driver *d)
{
  static const gint64 ns[] = { G_MAXINT64, G_MAXINT64 - 1, G_MAXINT64 / 2 };
  static const gint64 scaled[] = { G_GINT64_CONSTANT (1) << 60, G_MAXINT64, G_MAXINT64 / AIO_TIMER_SCALE_MS,
                                   G_MAXINT64 / AIO_TIMER_SCALE_MS + 1 };
  g_autoptr (AioClock) manual = aio_clock_new_manual (1000);

  for (AioClockType type = AIO_CLOCK_REALTIME; type <= AIO_CLOCK_MANUAL; type++)
    {
      AioClock *clock = type == AIO_CLOCK_MANUAL ? manual : aio_clock_get (type);
      int fired = 0, woken = 0;
      AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_MS, driver_count, &fired);

      for (guint i = 0; i < G_N_ELEMENTS (ns) + G_N_ELEMENTS (scaled); i++)
        {
          AioStats before = driver_stats (d), after;

          if (i < G_N_ELEMENTS (ns))
            aio_timer_mod_ns (timer, ns[i]);
          else
            aio_timer_mod (timer, scaled[i - G_N_ELEMENTS (ns)]);
          g_assert_true (aio_timer_pending (timer));
          g_assert_cmpint (aio_timer_expire_time_ns (timer), >, G_MAXINT64 / 4);
          g_assert_cmpint (aio_context_compute_timeout (d->ctx), !=, 0);

          driver_settle (d);
          aio_context_schedule_oneshot (d->ctx, driver_count, &woken);
          driver_run_until_count (d, &woken, (int) i + 1, 5000);

          /* A wait with such a deadline is a wait. */
          after = driver_stats (d);
          g_assert_cmpuint (after.empty_waits - before.empty_waits, <=, 2);
          g_assert_cmpuint (after.polls - before.polls, <=, 8);
        }
      g_assert_cmpint (fired, ==, 0);
      aio_timer_free (timer);
    }
}

static void
the_end_of_a_manual_clock (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (0);
  int last = 0, never = 0;
  AioTimer *at_the_last = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &last);
  AioTimer *after_it = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &never);

  aio_timer_mod_ns (at_the_last, G_MAXINT64 - 1);
  aio_timer_mod_ns (after_it, G_MAXINT64);
  g_assert_cmpint (aio_clock_deadline_ns_all (clock, AIO_TIMER_ATTR_NONE), ==, G_MAXINT64 - 1);
  aio_clock_set_ns (clock, G_MAXINT64 - 2);
  driver_settle (d);
  g_assert_cmpint (last, ==, 0);
  aio_clock_set_ns (clock, G_MAXINT64);
  driver_settle (d);
  g_assert_cmpint (last, ==, 1);
  g_assert_cmpint (never, ==, 0);
  g_assert_true (aio_timer_pending (after_it));
  g_assert_cmpint (aio_clock_deadline_ns_all (clock, AIO_TIMER_ATTR_NONE), ==, -1);
  aio_timer_free (at_the_last);
  aio_timer_free (after_it);
}

/* G13 */

typedef struct {
  GString *log;
  char letter;
  gint64 last_us; /* how long it takes */
} Step;

static void
take_step (gpointer data)
{
  Step *step = data;
  gint64 end = g_get_monotonic_time () + step->last_us;

  g_string_append_c (step->log, step->letter);
  while (g_get_monotonic_time () < end)
    ;
}

static void
take_step_and_drain (int fd, gpointer data)
{
  driver_drain (fd);
  take_step (data);
}

static void
timers_run_after_bottom_halves_and_handlers (Driver *d)
{
  g_autoptr (GString) log = g_string_new (NULL);
  Step bh = { log, 'B', 3000 }, read = { log, 'R', 0 }, due = { log, 'T', 0 }, late = { log, 'L', 0 };
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, take_step, &due);
  AioTimer *becomes_due = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, take_step, &late);
  int fds[2];

  driver_pipe (fds);
  driver_watch (d, fds[0], take_step_and_drain, &read);
  driver_settle (d);
  driver_write_byte (fds[1]);
  aio_timer_mod_ns (timer, 0);
  aio_timer_mod_ns (becomes_due, aio_clock_get_ns (clock) + MS);
  aio_context_schedule_oneshot (d->ctx, take_step, &bh);
  g_assert_true (driver_turn (d, TRUE));
  /* The slow bottom half has put the timer off until after its deadline, in the same pass. */
  g_assert_cmpstr (log->str, ==, "BRTL");
  g_assert_false (driver_turn (d, FALSE));

  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
  aio_timer_free (timer);
  aio_timer_free (becomes_due);
}

static void
negative_expiries_count_as_zero (Driver *d)
{
  static const gint64 expiries[] = { 0, -1, -5, G_MININT64 };
  g_autoptr (AioClock) clock = aio_clock_new_manual (1000);
  int fired = 0;
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_MS, driver_count, &fired);

  for (int i = 0; i < (int) G_N_ELEMENTS (expiries); i++)
    {
      if (i % 2)
        aio_timer_mod (timer, expiries[i]);
      else
        aio_timer_mod_ns (timer, expiries[i]);
      g_assert_true (aio_timer_pending (timer));
      g_assert_cmpint (aio_timer_expire_time_ns (timer), ==, 0);
      g_assert_true (driver_turn (d, TRUE));
      g_assert_cmpint (fired, ==, i + 1);
    }
  aio_timer_free (timer);
}

/* G9 */

static void
anticipate_only_moves_earlier (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (0);
  int fired = 0;
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_US, driver_count, &fired);

  aio_timer_mod_anticipate (timer, 5);
  g_assert_cmpint (aio_timer_expire_time_ns (timer), ==, 5000);
  aio_timer_mod_anticipate (timer, 6);
  g_assert_cmpint (aio_timer_expire_time_ns (timer), ==, 5000);
  aio_timer_mod_anticipate (timer, 4);
  g_assert_cmpint (aio_timer_expire_time_ns (timer), ==, 4000);
  aio_timer_mod_anticipate_ns (timer, 4001);
  g_assert_cmpint (aio_timer_expire_time_ns (timer), ==, 4000);
  aio_timer_mod_anticipate_ns (timer, 3999);
  g_assert_cmpint (aio_timer_expire_time_ns (timer), ==, 3999);

  aio_clock_set_ns (clock, 3999);
  driver_settle (d);
  g_assert_cmpint (fired, ==, 1);
  aio_timer_mod_anticipate_ns (timer, 9999);
  g_assert_cmpint (aio_timer_expire_time_ns (timer), ==, 9999);
  aio_timer_free (timer);
}

static void
its_clock_until_it_or_its_context_ends (Driver *d)
{
  g_autoptr (AioClock) manual = aio_clock_new_manual (0);
  AioTimer *freed = aio_timer_new (d->ctx, manual, AIO_TIMER_SCALE_MS, driver_count, NULL);
  AioTimer *left = aio_timer_new (d->ctx, aio_clock_get (AIO_CLOCK_HOST), AIO_TIMER_SCALE_MS, driver_count, NULL);
  AioTimer embedded;

  aio_timer_init (&embedded, d->ctx, manual, AIO_TIMER_SCALE_MS, driver_count, NULL);
  g_assert_true (aio_timer_get_clock (freed) == manual);
  g_assert_true (aio_timer_get_clock (left) == aio_clock_get (AIO_CLOCK_HOST));
  aio_timer_ref (freed);
  aio_timer_ref (left);
  aio_timer_free (freed);
  g_assert_null (aio_timer_get_clock (freed));
  aio_timer_unref (freed);
  g_assert_true (aio_context_close (d->ctx, NULL));
  g_assert_null (aio_timer_get_clock (left));
  g_assert_null (aio_timer_get_clock (&embedded));
  aio_timer_unref (left);
  aio_timer_deinit (&embedded);
}

/* A context has a list for each manual clock, as long as a timer is on it. */
static void
clocks_come_and_go_in_any_order (Driver *d)
{
  enum {
    N = 4
  };
  static const guint orders[][N] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 3, 0, 2 } };
  int fired = 0, expected = 0;

  for (guint which = 0; which < G_N_ELEMENTS (orders); which++)
    {
      AioClock *clocks[N];
      AioTimer *timers[N];

      for (guint i = 0; i < N; i++)
        {
          clocks[i] = aio_clock_new_manual (0);
          timers[i] = aio_timer_new (d->ctx, clocks[i], AIO_TIMER_SCALE_NS, driver_count, &fired);
          aio_timer_mod_ns (timers[i], 1);
        }
      for (guint i = 0; i < N; i++)
        {
          guint gone = orders[which][i];

          aio_timer_free (timers[gone]);
          aio_clock_set_ns (clocks[gone], 1);
          driver_settle (d);
          g_assert_cmpint (fired, ==, expected);
          /* Those that are left still fire. */
          for (guint k = i + 1; k < N; k++)
            {
              aio_clock_advance_ns (clocks[orders[which][k]], 1);
              driver_settle (d);
              g_assert_cmpint (fired, ==, ++expected);
              aio_timer_mod_ns (timers[orders[which][k]], i + 2);
            }
          aio_clock_unref (clocks[gone]);
        }
    }
}

static void
add_tests (void)
{
  driver_add ("timer", "fires-once-when-its-time-has-come", fires_once_when_its_time_has_come);
  driver_add ("timer", "G13-firing-is-progress", firing_is_progress);
  driver_add ("timer", "scales-multiply-and-mod-ns-does-not", scales_multiply_and_mod_ns_does_not);
  driver_add ("timer", "G5-freed-while-armed-in-its-callback-and-as-null",
              freed_while_armed_in_its_callback_and_as_null);
  driver_add ("timer", "a-reference-outlives-the-free", a_reference_outlives_the_free);
  driver_add ("timer", "G7-far-expiries-never-fire-early", far_expiries_never_fire_early);
  driver_add ("timer", "G7-the-end-of-a-manual-clock", the_end_of_a_manual_clock);
  driver_add ("timer", "G13-timers-run-after-bottom-halves-and-handlers", timers_run_after_bottom_halves_and_handlers);
  driver_add ("timer", "G8-negative-expiries-count-as-zero", negative_expiries_count_as_zero);
  driver_add ("timer", "G9-anticipate-only-moves-earlier", anticipate_only_moves_earlier);
  driver_add ("timer", "its-clock-until-it-or-its-context-ends", its_clock_until_it_or_its_context_ends);
  driver_add ("timer", "clocks-come-and-go-in-any-order", clocks_come_and_go_in_any_order);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
