/* SPDX-License-Identifier: MIT */
#include "driver.h"

/* Bottom halves that write down a letter when they run */

typedef struct {
  GString *log;
  char letter;
  AioBh *bh;
} Letter;

static void
write_letter (gpointer data)
{
  Letter *letter = data;

  g_string_append_c (letter->log, letter->letter);
}

static void
letters_new (Driver *d, GString *log, Letter *letters, guint n)
{
  for (guint i = 0; i < n; i++)
    {
      letters[i] = (Letter){ .log = log, .letter = (char) ('A' + i) };
      letters[i].bh = aio_bh_new (d->ctx, write_letter, &letters[i]);
    }
}

static void
letters_delete (Letter *letters, guint n)
{
  for (guint i = 0; i < n; i++)
    aio_bh_delete (letters[i].bh);
}

static void
assert_log (GString *log, const char *expected)
{
  g_assert_cmpstr (log->str, ==, expected);
  g_string_truncate (log, 0);
}

static void
order_is_that_of_scheduling (Driver *d)
{
  g_autoptr (GString) log = g_string_new (NULL);
  Letter l[3];

  letters_new (d, log, l, 3);

  aio_bh_schedule (l[0].bh);
  aio_bh_schedule (l[1].bh);
  aio_bh_schedule (l[2].bh);
  g_assert_true (driver_turn (d, FALSE));
  assert_log (log, "ABC");

  aio_bh_schedule (l[2].bh);
  aio_bh_schedule (l[0].bh);
  aio_bh_schedule (l[1].bh);
  aio_bh_schedule (l[2].bh);
  g_assert_true (driver_turn (d, TRUE));
  assert_log (log, "CAB");

  letters_delete (l, 3);
}

typedef struct {
  Driver *d;
  Letter *letters;
} NestedOrder;

static void
schedule_three_and_nest (gpointer data)
{
  NestedOrder *n = data;

  aio_bh_schedule (n->letters[1].bh);
  aio_bh_schedule (n->letters[2].bh);
  aio_bh_schedule (n->letters[3].bh);
  g_assert_true (driver_turn (n->d, FALSE));
}

static void
order_holds_in_nested_turns (Driver *d)
{
  g_autoptr (GString) log = g_string_new (NULL);
  Letter l[4];
  NestedOrder n = { d, l };
  AioBh *nest;

  letters_new (d, log, l, 4);
  nest = aio_bh_new (d->ctx, schedule_three_and_nest, &n);

  /* The rest of the outer slice (A) is older than what the nested turn adds. */
  aio_bh_schedule (nest);
  aio_bh_schedule (l[0].bh);
  driver_turn (d, FALSE);
  assert_log (log, "ABCD");
  g_assert_false (driver_turn (d, FALSE));

  aio_bh_delete (nest);
  letters_delete (l, 4);
}

static void
many_schedules_are_one_run (Driver *d)
{
  int runs = 0;
  AioBh *bh = aio_bh_new (d->ctx, driver_count, &runs);

  for (guint i = 0; i < 1000; i++)
    aio_bh_schedule (bh);
  g_assert_true (aio_bh_is_scheduled (bh));
  driver_settle (d);
  g_assert_false (aio_bh_is_scheduled (bh));
  g_assert_cmpint (runs, ==, 1);
  aio_bh_delete (bh);
}

/* B2 */

typedef struct {
  AioBh *bh;
  AioTimer *timer;
  AioClock *clock;
  int bh_runs, timer_runs;
} SelfScheduler;

static void
reschedule_self (gpointer data)
{
  SelfScheduler *s = data;

  if (++s->bh_runs < 10)
    aio_bh_schedule (s->bh);
}

static void
rearm_self (gpointer data)
{
  SelfScheduler *s = data;

  s->timer_runs++;
  aio_timer_mod_ns (s->timer, aio_clock_get_ns (s->clock));
}

static void
rescheduled_in_its_callback_runs_once_a_turn (Driver *d)
{
  SelfScheduler s = { .clock = aio_clock_new_manual (1000) };
  int fds[2], fd_runs = 0;

  s.bh = aio_bh_new (d->ctx, reschedule_self, &s);
  s.timer = aio_timer_new (d->ctx, s.clock, AIO_TIMER_SCALE_NS, rearm_self, &s);
  driver_pipe (fds);
  driver_write_byte (fds[1]);
  driver_watch (d, fds[0], driver_count_read, &fd_runs);

  aio_bh_schedule (s.bh);
  aio_timer_mod_ns (s.timer, 1000);
  for (int turn = 1; turn <= 10; turn++)
    {
      driver_turn (d, FALSE);
      g_assert_cmpint (s.bh_runs, ==, turn);
      g_assert_cmpint (fd_runs, ==, turn);
      g_assert_cmpint (s.timer_runs, ==, turn);
    }
  driver_turn (d, FALSE);
  g_assert_cmpint (s.bh_runs, ==, 10);

  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
  aio_timer_free (s.timer);
  aio_clock_unref (s.clock);
  aio_bh_delete (s.bh);
}

/* B3 */

typedef struct {
  Driver *d;
  int flag;
} Waiter;

static void
wait_for_sibling (gpointer data)
{
  Waiter *w = data;

  /* The sibling is in a slice that an outer turn took: nothing may sleep. */
  if (!w->flag)
    g_assert_cmpint (aio_context_compute_timeout (w->d->ctx), ==, 0);
  driver_run_until_count (w->d, &w->flag, 1, 5000);
}

static void
nested_turn_sees_the_rest_of_the_outer_slice (Driver *d)
{
  Waiter w = { .d = d };
  AioBh *levels[3], *sibling;

  sibling = aio_bh_new (d->ctx, driver_count, &w.flag);
  for (guint i = 0; i < G_N_ELEMENTS (levels); i++)
    {
      levels[i] = aio_bh_new (d->ctx, wait_for_sibling, &w);
      aio_bh_schedule (levels[i]);
    }
  aio_bh_schedule (sibling);

  driver_turn (d, FALSE);
  g_assert_cmpint (w.flag, ==, 1);

  for (guint i = 0; i < G_N_ELEMENTS (levels); i++)
    aio_bh_delete (levels[i]);
  aio_bh_delete (sibling);
}

/* B9 */

static void
cancel_keeps_the_place_in_the_queue (Driver *d)
{
  g_autoptr (GString) log = g_string_new (NULL);
  Letter l[2];

  letters_new (d, log, l, 2);

  aio_bh_schedule (l[0].bh);
  aio_bh_schedule (l[1].bh);
  aio_bh_cancel (l[0].bh);
  g_assert_false (aio_bh_is_scheduled (l[0].bh));
  driver_settle (d);
  assert_log (log, "B");

  aio_bh_schedule (l[0].bh);
  aio_bh_schedule (l[1].bh);
  aio_bh_cancel (l[0].bh);
  aio_bh_schedule (l[0].bh);
  driver_settle (d);
  assert_log (log, "AB");

  /* What was cancelled is no progress. */
  aio_bh_schedule (l[0].bh);
  aio_bh_cancel (l[0].bh);
  g_assert_false (driver_poll (d->ctx, FALSE));
  assert_log (log, "");

  letters_delete (l, 2);
}

static void
cancel_sibling_then_self (gpointer data)
{
  Letter *letters = data;

  write_letter (&letters[0]);
  aio_bh_cancel (letters[1].bh);
  aio_bh_schedule (letters[0].bh);
  aio_bh_cancel (letters[0].bh);
}

static void
cancel_in_a_callback (Driver *d)
{
  g_autoptr (GString) log = g_string_new (NULL);
  Letter l[2];

  letters_new (d, log, l, 2);
  aio_bh_delete (l[0].bh);
  l[0].bh = aio_bh_new (d->ctx, cancel_sibling_then_self, l);

  aio_bh_schedule (l[0].bh);
  aio_bh_schedule (l[1].bh);
  driver_settle (d);
  assert_log (log, "A");

  letters_delete (l, 2);
}

static void
add_tests (void)
{
  driver_add ("bh", "B1-order-is-that-of-scheduling", order_is_that_of_scheduling);
  driver_add ("bh", "B1-B3-order-holds-in-nested-turns", order_holds_in_nested_turns);
  driver_add ("bh", "many-schedules-are-one-run", many_schedules_are_one_run);
  driver_add ("bh", "B2-rescheduled-in-its-callback-runs-once-a-turn", rescheduled_in_its_callback_runs_once_a_turn);
  driver_add ("bh", "B3-nested-turn-sees-the-rest-of-the-outer-slice", nested_turn_sees_the_rest_of_the_outer_slice);
  driver_add ("bh", "B9-cancel-keeps-the-place-in-the-queue", cancel_keeps_the_place_in_the_queue);
  driver_add ("bh", "B9-cancel-in-a-callback", cancel_in_a_callback);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
