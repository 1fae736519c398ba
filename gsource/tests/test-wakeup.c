/* SPDX-License-Identifier: MIT */
#include "driver.h"

/* No wake-up is lost, in whatever moment of a pass another thread publishes its work (A1, A2, A4, A8, A9) */

typedef struct {
  Driver *d;
  AioBh *bh; /* what another thread schedules */
  int runs;
} Late;

static void
schedule_late (gpointer data)
{
  aio_bh_schedule (((Late *) data)->bh);
}

static Late
late_new (Driver *d)
{
  return (Late){ .d = d };
}

/* A moment of a pass, and what makes the pass come by it */
typedef struct {
  AioPoint point;
  gboolean glib; /* a pass of the main context, else a poll */
  enum {
    AT_REST,  /* nothing: the pass would sleep for ever */
    NOTIFIED, /* a notification without work */
    AT_WORK,  /* a bottom half */
  } state;
  const char *name;
} Moment;

static const Moment moments[] = {
  { AIO_POINT_POLL_AFTER_TIMEOUT, FALSE, AT_REST, "poll-after-timeout" },
  { AIO_POINT_POLL_AFTER_NOTIFY_ME, FALSE, AT_REST, "poll-after-notify-me" },
  { AIO_POINT_POLL_BEFORE_WAIT, FALSE, AT_REST, "poll-before-wait" },
  { AIO_POINT_POLL_AFTER_WAIT, FALSE, NOTIFIED, "poll-after-wait" },
  { AIO_POINT_POLL_AFTER_ACCEPT, FALSE, NOTIFIED, "poll-after-accept" },
  { AIO_POINT_POLL_AFTER_BH, FALSE, AT_WORK, "A2-poll-after-bh" },
  { AIO_POINT_POLL_AFTER_DISPATCH, FALSE, AT_WORK, "poll-after-dispatch" },
  { AIO_POINT_GS_PREPARE_AFTER_BIT, TRUE, AT_REST, "prepare-after-bit" },
  { AIO_POINT_GS_PREPARE_AFTER_TIMEOUT, TRUE, AT_REST, "prepare-after-timeout" },
  { AIO_POINT_GS_CHECK_ENTER, TRUE, NOTIFIED, "check-enter" },
  { AIO_POINT_GS_DISPATCH_ENTER, TRUE, AT_WORK, "dispatch-enter" },
};

static void
blocking_pass (Driver *d, const Moment *moment)
{
  if (moment->glib)
    g_main_context_iteration (d->main_context, TRUE);
  else
    driver_poll (d->ctx, TRUE);
}

typedef struct {
  Late late;
  const Moment *moment;
} Try;

static void
try_moment (gpointer data)
{
  Try *t = data;
  Driver *d = t->late.d;
  int before = t->late.runs, work = 0;
  gboolean reached;

  driver_poll (d->ctx, FALSE); /* nothing is left to notify of */
  if (t->moment->state == NOTIFIED)
    aio_context_notify (d->ctx);
  else if (t->moment->state == AT_WORK)
    aio_context_schedule_oneshot (d->ctx, driver_count, &work);

  driver_interleave (d, t->moment->point, 0, schedule_late, &t->late, &reached);
  /* Lost, the second pass would sleep for ever. */
  for (guint pass = 0; pass < 2 && t->late.runs == before; pass++)
    blocking_pass (d, t->moment);
  g_assert_true (reached);
  g_assert_cmpint (t->late.runs, ==, before + 1);
  g_assert_cmpint (work, ==, t->moment->state == AT_WORK ? 1 : 0);
}

static void
scheduled_at_any_moment_runs_at_once (Driver *d)
{
  for (guint i = 0; i < G_N_ELEMENTS (moments); i++)
    {
      Try t = { late_new (d), &moments[i] };

      if (moments[i].glib && d->main_context == NULL)
        continue;
      g_test_message ("%s", moments[i].name);
      t.late.bh = aio_bh_new (d->ctx, driver_count, &t.late.runs);
      try_moment (&t);

      /* A1: the same in a pass that is nested in a callback. */
      for (guint turn = 0; turn < 3; turn++)
        {
          aio_context_schedule_oneshot (d->ctx, try_moment, &t);
          driver_turn (d, TRUE);
          g_assert_cmpint (t.late.runs, ==, (int) turn + 2);
        }
      aio_bh_delete (t.late.bh);
    }
}

/* A notification without work leaves no other trace: once accepted too late it is lost. */

static void
notify_from_thread (gpointer data)
{
  aio_context_notify (((Driver *) data)->ctx);
}

static void
have_another_thread_notify (gpointer data)
{
  driver_on_thread (notify_from_thread, data);
}

static void
notified_after_the_accept_ends_the_next_wait (Driver *d)
{
  static const AioPoint points[] = { AIO_POINT_POLL_AFTER_ACCEPT, AIO_POINT_POLL_AFTER_BH,
                                     AIO_POINT_POLL_AFTER_DISPATCH };
  int work = 0;
  gboolean reached;

  for (guint i = 0; i < G_N_ELEMENTS (points); i++)
    {
      aio_context_schedule_oneshot (d->ctx, driver_count, &work);
      driver_interleave (d, points[i], 0, notify_from_thread, d, &reached);
      g_assert_true (driver_poll (d->ctx, TRUE));
      g_assert_true (reached);
      g_assert_true (aio_context_get_notified (d->ctx));
      g_assert_false (driver_poll (d->ctx, TRUE));
    }

  /* The same from a callback, under the driver at hand. */
  for (guint turn = 0; turn < 6; turn++)
    {
      aio_context_schedule_oneshot (d->ctx, have_another_thread_notify, d);
      driver_turn (d, TRUE);
      g_assert_true (aio_context_get_notified (d->ctx));
      driver_turn (d, TRUE);
      g_assert_false (aio_context_get_notified (d->ctx));
    }
}

/* The notifier stands still in the middle */

static void
nested_until_late_ran (gpointer data)
{
  Late *late = data;

  driver_run_until_count (late->d, &late->runs, 1, 5000);
}

static void
notifier_held_after_notified (Driver *d)
{
  for (int nested = 0; nested < 2; nested++)
    {
      Late late = late_new (d);
      DriverGate *gate;
      pthread_t thread;

      late.bh = aio_bh_new (d->ctx, driver_count, &late.runs);
      gate = driver_gate_new (d->ctx, AIO_POINT_NOTIFY_AFTER_NOTIFIED);
      thread = driver_thread_start (schedule_late, &late);
      driver_gate_await (gate);
      if (nested)
        {
          aio_context_schedule_oneshot (d->ctx, nested_until_late_ran, &late);
          driver_turn (d, TRUE);
        }
      else
        nested_until_late_ran (&late);
      g_assert_cmpint (late.runs, ==, 1);
      driver_gate_open (gate);
      driver_thread_join (thread);
      driver_gate_free (gate, d->ctx);
      driver_settle (d);
      g_assert_cmpint (late.runs, ==, 1);
      aio_bh_delete (late.bh);
    }
}

typedef struct {
  Late first, second;
  DriverGate *gate;
} Overtaking;

static void
schedule_first_once_asleep (gpointer data)
{
  Overtaking *o = data;

  /* Once more if bit 0 was left from before: then home may have been awake, and nobody was at the gate. */
  do
    {
      while (aio_context_get_notify_me (o->first.d->ctx) == 0)
        g_usleep (1000);
      schedule_late (&o->first);
    }
  while (!driver_gate_was_reached (o->gate));
}

static void
overtake (gpointer data)
{
  Overtaking *o = data;

  driver_gate_await (o->gate);
  schedule_late (&o->second);
}

static void
notifier_held_before_the_eventfd_is_overtaken (Driver *d)
{
  Overtaking o = { .first = late_new (d), .second = late_new (d) };
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  AioTimer *timer;
  int fired = 0;
  pthread_t threads[2];
  AioStats before, after;

  o.first.bh = aio_bh_new (d->ctx, driver_count, &o.first.runs);
  o.second.bh = aio_bh_new (d->ctx, driver_count, &o.second.runs);
  driver_settle (d);
  o.gate = driver_gate_new (d->ctx, AIO_POINT_NOTIFY_BEFORE_EVENTFD);
  threads[0] = driver_thread_start (schedule_first_once_asleep, &o);
  threads[1] = driver_thread_start (overtake, &o);
  driver_run_until_count (d, &o.second.runs, 1, 5000);
  g_assert_cmpint (o.first.runs, >=, 1);

  /* The eventfd that is written too late costs one wake-up and no more. */
  driver_gate_open (o.gate);
  for (guint i = 0; i < 2; i++)
    driver_thread_join (threads[i]);
  driver_gate_free (o.gate, d->ctx);
  timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
  aio_timer_mod_ns (timer, aio_clock_get_ns (clock) + G_GINT64_CONSTANT (50000000));
  before = driver_stats (d);
  driver_run_until_count (d, &fired, 1, 5000);
  after = driver_stats (d);
  g_assert_cmpuint (after.waits + after.checks, <=, before.waits + before.checks + 5);

  aio_timer_free (timer);
  aio_bh_delete (o.first.bh);
  aio_bh_delete (o.second.bh);
}

/* A4 */

#define ROUNDS 20000

static void
ping (gpointer data)
{
  Late *late = data;

  for (int i = 0; i < ROUNDS; i++)
    {
      aio_bh_schedule (late->bh);
      while (__atomic_load_n (&late->runs, __ATOMIC_ACQUIRE) <= i)
        sched_yield ();
    }
}

static void
twenty_thousand_rounds_with_another_thread (Driver *d)
{
  Late late = late_new (d);
  pthread_t thread;

  late.bh = aio_bh_new (d->ctx, driver_count, &late.runs);
  thread = driver_thread_start (ping, &late);
  driver_watchdog (60);
  driver_run_until_count (d, &late.runs, ROUNDS, 60000);
  driver_thread_join (thread);
  g_assert_cmpint (late.runs, ==, ROUNDS);
  aio_bh_delete (late.bh);
}

/* A8 */

static void
notification_sticks_and_is_consumed_once (Driver *d)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  int fired = 0;
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
  AioStats before, after;
  gint64 expire;

  for (guint round = 0; round < 2; round++)
    {
      driver_settle (d);
      g_assert_false (aio_context_get_notified (d->ctx));
      g_assert_cmpuint (aio_context_get_notify_me (d->ctx) & ~1u, ==, 0);
      aio_context_notify (d->ctx);
      aio_context_notify (d->ctx);
      g_assert_true (aio_context_get_notified (d->ctx));

      /* At once, without a system call, and although nothing else could end it. */
      before = driver_stats (d);
      g_assert_false (driver_turn (d, TRUE));
      g_assert_false (aio_context_get_notified (d->ctx));
      after = driver_stats (d);
      g_assert_cmpuint (after.waits, ==, before.waits);

      /* The next one sleeps until the timer. */
      fired = 0;
      expire = aio_clock_get_ns (clock) + G_GINT64_CONSTANT (50000000);
      aio_timer_mod_ns (timer, expire);
      aio_context_notify_accept (d->ctx);
      before = driver_stats (d);
      driver_run_until_count (d, &fired, 1, 5000);
      after = driver_stats (d);
      g_assert_cmpint (aio_clock_get_ns (clock), >=, expire);
      g_assert_cmpuint (after.waits + after.checks, <=, before.waits + before.checks + 3);
      driver_turn (d, FALSE);
    }
  aio_timer_free (timer);
}

/* A9 */

static void
notification_is_no_progress (Driver *d)
{
  AioStats before, after;
  int fds[2], reads = 0;

  for (guint with_fd = 0; with_fd < 2; with_fd++)
    {
      if (with_fd)
        {
          driver_pipe (fds);
          driver_watch (d, fds[0], driver_count_read, &reads);
        }
      driver_settle (d);
      before = driver_stats (d);
      for (guint i = 0; i < 6; i++)
        {
          aio_context_notify (d->ctx);
          g_assert_false (driver_poll (d->ctx, i % 2));
          aio_context_notify (d->ctx);
          g_assert_false (driver_turn (d, i % 2));
        }
      after = driver_stats (d);
      g_assert_cmpuint (after.handlers_dispatched, ==, before.handlers_dispatched);
      g_assert_cmpuint (after.dispatches, ==, before.dispatches);
    }
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

static void
notify_once_asleep (gpointer data)
{
  Driver *d = data;

  while (aio_context_get_notify_me (d->ctx) == 0)
    g_usleep (1000);
  aio_context_notify (d->ctx);
}

static void
notification_while_asleep_ends_the_wait_without_progress (Driver *d)
{
  pthread_t thread;
  AioStats stats;

  thread = driver_thread_start (notify_once_asleep, d);
  g_assert_false (driver_poll (d->ctx, TRUE));
  driver_thread_join (thread);
  stats = driver_stats (d);
  g_assert_cmpuint (stats.waits, ==, 1);
  g_assert_cmpuint (stats.empty_waits, ==, 1);
  g_assert_cmpuint (stats.eventfd_writes, ==, 1);
  g_assert_cmpuint (stats.eventfd_reads, ==, 1);
  g_assert_cmpuint (stats.handlers_dispatched, ==, 0);
}

static void
add_tests (void)
{
  driver_add ("wakeup", "A1-A2-scheduled-at-any-moment-runs-at-once", scheduled_at_any_moment_runs_at_once);
  driver_add ("wakeup", "A2-notified-after-the-accept-ends-the-next-wait",
              notified_after_the_accept_ends_the_next_wait);
  driver_add ("wakeup", "A1-notifier-held-after-notified", notifier_held_after_notified);
  driver_add ("wakeup", "A1-notifier-held-before-the-eventfd-is-overtaken",
              notifier_held_before_the_eventfd_is_overtaken);
  driver_add ("wakeup", "A4-twenty-thousand-rounds-with-another-thread", twenty_thousand_rounds_with_another_thread);
  driver_add ("wakeup", "A8-notification-sticks-and-is-consumed-once", notification_sticks_and_is_consumed_once);
  driver_add ("wakeup", "A9-notification-is-no-progress", notification_is_no_progress);
  driver_add ("wakeup", "A9-notification-while-asleep-ends-the-wait-without-progress",
              notification_while_asleep_ends_the_wait_without_progress);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
