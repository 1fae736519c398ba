/* SPDX-License-Identifier: MIT */
#include "aio-system-private.h"
#include "producer.h"

#include <errno.h>
#include <time.h>

/* How long to poll: the arithmetic, under a clock that the test moves. */

#define US G_GINT64_CONSTANT (1000)
#define SECOND G_GINT64_CONSTANT (1000000000)

static gint64 clock_ns, step_ns;

static int
clock_gettime_standing (clockid_t clock_id G_GNUC_UNUSED, struct timespec *now)
{
  clock_ns += step_ns;
  *now = (struct timespec){ .tv_sec = clock_ns / SECOND, .tv_nsec = clock_ns % SECOND };
  return 0;
}

static void
clock_start (void)
{
  clock_ns = 1000 * SECOND;
  step_ns = 0;
  aio_system.clock_gettime = clock_gettime_standing;
}

static void
clock_stop (void)
{
  aio_system.clock_gettime = clock_gettime;
}

/* The next poll takes that long. */
static gint64 block_ns;

static void
take_long (AioContext *ctx G_GNUC_UNUSED, AioPoint point, gpointer data G_GNUC_UNUSED)
{
  if (point != AIO_POINT_POLL_AFTER_WAIT)
    return;
  clock_ns += block_ns;
  block_ns = 0;
}

static void
event_after (Producer *producer, gint64 after_ns)
{
  Driver *d = producer->d;

  aio_test_set_hook (d->ctx, take_long, NULL);
  block_ns = after_ns;
  producer->event = TRUE;
  producer_kick (producer);
  g_assert_true (driver_poll (d->ctx, TRUE));
  aio_notifier_test_and_clear (producer->kick);
  g_assert_false (producer->event);
  aio_test_set_hook (d->ctx, NULL, NULL);
}

/* D7 */
static const struct {
  gint64 ns, max, grow, shrink, took, then;
} table[] = {
  /* no longer than it polls: keep */
  { 5000, 10000, 2, 2, 5000, 5000 },
  { 5000, 10000, 2, 2, 4999, 5000 },
  { 5000, 10000, 2, 2, 0, 5000 },
  { 0, 10000, 2, 2, 0, 0 },
  /* longer: grow, from 4 µs */
  { 0, 10000, 2, 2, 1, 4000 },
  { 0, 10000, 7, 0, 9999, 4000 },
  { 0, 3000, 2, 2, 100, 3000 },
  { 4000, 100000, 2, 2, 4001, 8000 },
  { 4000, 100000, 5, 2, 99999, 20000 },
  { 4000, 100000, 0, 2, 4001, 8000 },
  { 4000, 100000, 1, 2, 4001, 4000 },
  { 1, 100000, 3, 2, 2, 3 },
  /* up to the maximum */
  { 60000, 100000, 2, 2, 70000, 100000 },
  { 50000, 100000, 2, 2, 70000, 100000 },
  { 4000, G_MAXINT64, G_MAXINT64, 2, 5000, G_MAXINT64 },
  { G_MAXINT64, G_MAXINT64, 2, 2, 5000, G_MAXINT64 },
  /* exactly as long as the maximum: neither */
  { 5000, 10000, 2, 2, 10000, 5000 },
  { 0, 10000, 2, 2, 10000, 0 },
  { 10000, 10000, 2, 2, 10000, 10000 },
  /* longer than the maximum: shrink */
  { 8000, 10000, 2, 2, 10001, 4000 },
  { 8000, 10000, 2, 3, 10001, 2666 },
  { 8000, 10000, 2, 1, 10001, 8000 },
  { 8000, 10000, 2, 0, 10001, 0 },
  { 8000, 10000, 2, G_MAXINT64, 10001, 0 },
  { 0, 10000, 2, 0, 10001, 0 },
  { 0, 10000, 2, 2, 10001, 0 },
};

static void
arithmetic (Driver *d)
{
  Producer producer;

  producer_start (&producer, d);
  clock_start ();
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    {
      g_assert_true (aio_context_set_poll_params (d->ctx, table[i].max, table[i].grow, table[i].shrink, NULL));
      producer_set_ns (&producer, table[i].ns);
      event_after (&producer, table[i].took);
      g_test_message ("row %u", i);
      g_assert_cmpint (producer_handler (&producer)->polling->ns, ==, table[i].then);
      g_assert_cmpint (driver_stats (d).poll_ns, ==, table[i].then);
    }
  clock_stop ();
  producer_stop (&producer);
}

/* Each handler has a time of its own, and the longest counts. */
static void
longest_counts (Driver *d)
{
  Producer slow, fast;

  producer_start (&slow, d);
  producer_start (&fast, d);
  clock_start ();
  g_assert_true (aio_context_set_poll_params (d->ctx, 100 * US, 2, 0, NULL));
  event_after (&fast, 5 * US);
  event_after (&fast, 5 * US);
  g_assert_cmpint (driver_stats (d).poll_ns, ==, 8 * US);
  event_after (&slow, SECOND);
  g_assert_cmpint (producer_handler (&slow)->polling->ns, ==, 0);
  g_assert_cmpint (producer_handler (&fast)->polling->ns, ==, 8 * US);
  g_assert_cmpint (driver_stats (d).poll_ns, ==, 8 * US);
  event_after (&slow, 5 * US);
  event_after (&fast, SECOND);
  g_assert_cmpint (driver_stats (d).poll_ns, ==, 4 * US);
  /* Both in one poll. */
  fast.event = TRUE;
  producer_kick (&fast);
  event_after (&slow, 7 * US);
  g_assert_cmpint (producer_handler (&slow)->polling->ns, ==, 8 * US);
  g_assert_cmpint (producer_handler (&fast)->polling->ns, ==, 4 * US);
  g_assert_cmpint (driver_stats (d).poll_ns, ==, 8 * US);
  /* With the handler goes its time. */
  producer_unwatch (&slow);
  driver_poll (d->ctx, FALSE);
  aio_context_notify (d->ctx);
  driver_poll (d->ctx, TRUE);
  g_assert_cmpint (driver_stats (d).poll_ns, ==, 4 * US);
  clock_stop ();
  producer_stop (&fast);
  g_assert_cmpint (driver_stats (d).poll_ns, ==, 0);
  producer_stop (&slow);
}

static void
parameters (Driver *d)
{
  static const gint64 bad[][3] = { { -1, 0, 0 }, { 0, -1, 0 }, { 0, 0, -1 }, { G_MININT64, 2, 2 } };
  AioSnapshot *snapshot;
  Producer producer;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      gint64 ns = driver_stats (d).poll_ns;

      g_assert_false (aio_context_set_poll_params (d->ctx, bad[i][0], bad[i][1], bad[i][2], &error));
      g_assert_error (error, AIO_ERROR, AIO_ERROR_SYSTEM);
      g_assert_cmpint (aio_error_get_errno (error), ==, EINVAL);
      g_assert_cmpint (driver_stats (d).poll_ns, ==, ns);
    }
  snapshot = aio_context_inspect (d->ctx);
  g_assert_cmpint (snapshot->poll_max_ns, ==, SECOND);
  aio_snapshot_free (snapshot);

  /* What was learned is forgotten. */
  g_assert_cmpint (driver_stats (d).poll_ns, >, 0);
  driver_set_poll_params (d, SECOND);
  g_assert_cmpint (driver_stats (d).poll_ns, ==, 0);
  g_assert_cmpint (producer_handler (&producer)->polling->ns, ==, 0);

  /* Off is off. */
  driver_set_poll_params (d, 0);
  producer_kick (&producer);
  driver_poll (d->ctx, TRUE);
  g_assert_cmpint (driver_stats (d).poll_ns, ==, 0);
  g_assert_true (aio_context_close (d->ctx, NULL));
  {
    g_autoptr (GError) error = NULL;

    g_assert_false (aio_context_set_poll_params (d->ctx, 1, 1, 1, &error));
    g_assert_error (error, AIO_ERROR, AIO_ERROR_CLOSED);
  }
  producer_stop (&producer);
}

/* Set in a poll function: what goes on by the old ones ends. */
static void
set_off (Producer *producer)
{
  driver_set_poll_params (producer->d, 0);
}

static void
parameters_set_while_polled (Driver *d)
{
  Producer producer;
  int fired = 0;
  AioTimer *timer;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  producer_set_ns (&producer, 3600 * SECOND);
  producer.on_poll = set_off;
  producer.asked = 0;
  timer = driver_deadline_new (d, 2000 * US, &fired);
  driver_run_until_count (d, &fired, 1, 5000);
  g_assert_cmpint (producer.asked, <, 5);
  aio_timer_free (timer);
  producer_stop (&producer);
}

/* Ends what nothing else would. */
static void
notify_later (Producer *producer)
{
  if (producer->asked == 100)
    aio_context_notify (producer->d->ctx);
}

/* No end of the polling time before a timer, a slice or an event ends it. */
static void
polls_for_ever (Driver *d)
{
  Producer producer;
  gboolean expired;
  int fired = 0;
  AioTimer *timer;

  producer_start (&producer, d);
  g_assert_true (aio_context_set_poll_params (d->ctx, G_MAXINT64, G_MAXINT64, 0, NULL));
  producer_kick (&producer);
  driver_poll (d->ctx, TRUE);
  producer_set_ns (&producer, G_MAXINT64);
  producer.asked = 0;
  timer = driver_deadline_new (d, 2000 * US, &fired);
  driver_run_until_count (d, &fired, 1, 5000);
  if (d->kind == DRIVER_POLL)
    g_assert_cmpint (producer.asked, >, 3);
  g_assert_false (aio_context_poll_for (d->ctx, 500 * US, &expired, NULL));
  g_assert_true (expired);
  g_assert_cmpint (producer.ends, ==, producer.begins);
  producer.asked = 0;
  producer.on_poll = notify_later;
  g_assert_false (driver_poll (d->ctx, TRUE));
  g_assert_cmpint (producer.asked, ==, 100);
  producer.event = TRUE;
  g_assert_true (aio_context_poll_for (d->ctx, G_MAXINT64, &expired, NULL));
  g_assert_false (expired);
  aio_timer_free (timer);
  producer_stop (&producer);
}

/* The polling is a part of the slice: what is left of it is slept. */
static gint64 slept_ns;

static int
ppoll_noting (struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
  slept_ns = MAX (slept_ns, timeout->tv_sec * SECOND + timeout->tv_nsec);
  return ppoll (fds, n, timeout, mask);
}

static int
epoll_pwait2_noting (int epfd, struct epoll_event *events, int size, const struct timespec *timeout,
                     const sigset_t *mask)
{
  slept_ns = MAX (slept_ns, timeout->tv_sec * SECOND + timeout->tv_nsec);
  return epoll_pwait2 (epfd, events, size, timeout, mask);
}

static void
time_is_counted_once (Driver *d)
{
  Producer producer;
  gboolean expired;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  producer_set_ns (&producer, 30000 * US);
  slept_ns = 0;
  aio_system.ppoll = ppoll_noting;
  aio_system.epoll_pwait2 = epoll_pwait2_noting;
  g_assert_false (aio_context_poll_for (d->ctx, 40000 * US, &expired, NULL));
  g_assert_true (expired);
  g_assert_cmpint (slept_ns, <=, 10000 * US);
  aio_system.ppoll = ppoll;
  aio_system.epoll_pwait2 = epoll_pwait2;
  producer_stop (&producer);
}

/* A clock that stands does not keep a notification from being seen. */
static void
clock_stands (Driver *d)
{
  Producer producer;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  clock_start ();
  producer.asked = 0;
  producer.on_poll = notify_later;
  g_assert_false (driver_poll (d->ctx, TRUE));
  g_assert_cmpint (producer.asked, ==, 100);
  clock_stop ();
  producer_stop (&producer);
}

/* D6 */
static void
idle (Driver *d)
{
  gboolean leaves = aio_context_fdmon (d->ctx)->need_wait != NULL;
  Producer producer, hot;
  int ends, begins, asked;

  producer_start (&hot, d);
  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  clock_start ();
  producer_set_ns (&producer, 50 * US);
  producer_handler (&hot)->polling->ns = 1;
  /* Time goes on while nothing comes for it. */
  hot.event = TRUE;
  driver_poll (d->ctx, TRUE);
  clock_ns += 7 * SECOND - 1;
  hot.event = TRUE;
  driver_poll (d->ctx, TRUE);
  g_assert_true (producer_handler (&producer)->polling->listed);
  g_assert_cmpint (producer_handler (&producer)->polling->ns, ==, 50 * US);
  ends = producer.ends;
  begins = producer.begins;
  asked = producer.asked;
  clock_ns += 1;
  hot.event = TRUE;
  driver_poll (d->ctx, TRUE);
  g_assert_cmpint (producer_handler (&producer)->polling->ns, ==, 0);
  g_assert_cmpint (driver_stats (d).poll_ns, ==, producer_handler (&hot)->polling->ns);
  g_assert_cmpint (producer_handler (&producer)->polling->listed, ==, !leaves);
  g_assert_cmpint (producer.ends, ==, ends + leaves);
  g_assert_cmpint (producer.asked, ==, asked + 1);
  asked = producer.asked;
  hot.event = TRUE;
  driver_poll (d->ctx, TRUE);
  g_assert_cmpint (producer.asked, ==, asked + !leaves);

  /* Its next event has it asked again. */
  producer_event (&producer);
  hot.event = FALSE;
  driver_poll (d->ctx, TRUE);
  driver_poll (d->ctx, FALSE);
  g_assert_cmpint (producer.served, ==, 2);
  g_assert_true (producer_handler (&producer)->polling->listed);
  producer_set_ns (&producer, 50 * US);
  hot.event = TRUE;
  driver_poll (d->ctx, TRUE);
  driver_poll (d->ctx, FALSE);
  g_assert_cmpint (producer.begins, ==, begins + leaves);
  clock_stop ();
  producer_stop (&producer);
  producer_stop (&hot);
}

static void
idle_with_need_wait (Driver *d)
{
  driver_give_need_wait (d);
  idle (d);
}

/* An event that was not kicked for is honoured when the handler retires, also while it is held back. */
static void
event_at_retirement (Driver *d)
{
  Producer producer, other;

  driver_give_need_wait (d);
  producer_start (&other, d);
  producer_init (&producer, d);
  producer.funcs.external = TRUE;
  producer_watch (&producer);
  for (guint held_back = 0; held_back < 2; held_back++)
    {
      int served = producer.served;

      producer_enter_poll_mode (&producer);
      served = producer.served;
      clock_start ();
      other.event = TRUE;
      driver_poll (d->ctx, TRUE);
      clock_ns += 8 * SECOND;
      producer_event (&producer);
      if (held_back)
        aio_context_disable_external (d->ctx);
      other.event = TRUE;
      producer_set_ns (&other, 50 * US);
      driver_poll (d->ctx, TRUE);
      if (held_back)
        {
          g_assert_cmpint (producer.served, ==, served);
          g_assert_cmpint (producer.begins, ==, producer.ends);
          driver_set_poll_params (d, 0);
          g_assert_true (aio_context_enable_external (d->ctx, NULL));
          driver_poll (d->ctx, TRUE); /* for the notification */
          driver_poll (d->ctx, FALSE);
        }
      g_assert_cmpint (producer.served, ==, served + 1);
      clock_stop ();
    }
  producer_stop (&producer);
  producer_stop (&other);
}

/* It does not retire while its own poll function nests a poll: the yes that it then says is kept. */
static gboolean
look_and_nest (int fd G_GNUC_UNUSED, gpointer data)
{
  Producer *producer = data;
  gboolean event = producer->event;

  producer->asked++;
  if (event)
    {
      clock_ns += 8 * SECOND;
      aio_context_notify (producer->d->ctx);
      driver_poll (producer->d->ctx, TRUE);
    }
  return event;
}

static void
idle_while_it_is_asked (Driver *d)
{
  Producer producer, other;

  driver_give_need_wait (d);
  producer_start (&other, d);
  producer_init (&producer, d);
  producer.funcs.poll = look_and_nest;
  producer_watch (&producer);
  driver_set_poll_params (d, 50 * US);
  clock_start ();
  other.event = TRUE;
  driver_poll (d->ctx, FALSE);
  producer_set_ns (&other, 50 * US);
  aio_context_notify (d->ctx);
  driver_poll (d->ctx, TRUE);   /* counts from now on */
  aio_context_prepare (d->ctx); /* which ends poll mode */
  g_assert_cmpint (producer_handler (&producer)->polling->idle_at_ns, !=, 0);

  producer.event = TRUE;
  driver_poll (d->ctx, FALSE);
  g_assert_cmpint (producer.asked, >, 0);
  g_assert_cmpint (producer.found, ==, 1);
  clock_stop ();
  producer_stop (&producer);
  producer_stop (&other);
}

/* The time that is left is looked at anew. */
static AioTimer *timer_to_arm;

static void
arm (Producer *producer)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);

  if (producer->data++ == 0)
    aio_timer_mod_ns (timer_to_arm, aio_clock_get_ns (clock) + 1000 * US);
}

static void
timer_armed_by (Driver *d, gboolean in_begin)
{
  Producer producer;
  gint64 start;
  int fired = 0;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  aio_context_prepare (d->ctx); /* which ends poll mode */
  producer_set_ns (&producer, 3 * SECOND);
  timer_to_arm = driver_deadline_new (d, 3600 * SECOND, &fired);
  *(in_begin ? &producer.on_begin : &producer.on_poll) = arm;
  start = g_get_monotonic_time ();
  while (fired == 0)
    driver_poll (d->ctx, TRUE);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 2000000);
  aio_timer_free (timer_to_arm);
  producer_stop (&producer);
}

static void
timer_armed_in_begin (Driver *d)
{
  timer_armed_by (d, TRUE);
}

static void
timer_armed_in_poll (Driver *d)
{
  timer_armed_by (d, FALSE);
}

static AioBh *bh_to_schedule;

/* B8: nor is an idle bottom half kept waiting. */
static void
schedule_idle (Producer *producer)
{
  if (producer->data++ == 0)
    aio_bh_schedule_idle (bh_to_schedule);
}

static void
idle_scheduled_in_poll (Driver *d)
{
  Producer producer;
  gint64 start;
  int runs = 0;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  aio_context_prepare (d->ctx);
  producer_set_ns (&producer, 3 * SECOND);
  bh_to_schedule = aio_bh_new (d->ctx, driver_count, &runs);
  producer.on_poll = schedule_idle;
  start = g_get_monotonic_time ();
  while (runs == 0)
    driver_poll (d->ctx, TRUE);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 2000000);
  aio_bh_delete (bh_to_schedule);
  producer_stop (&producer);
}

static void
add_tests (void)
{
  const DriverKind polls = DRIVER_POLL | DRIVER_MIXED;

  driver_add ("polling-time", "D7-arithmetic", arithmetic);
  driver_add ("polling-time", "D7-longest-counts", longest_counts);
  driver_add ("polling-time", "D7-parameters", parameters);
  driver_add_for (polls, "polling-time", "D7-parameters-set-while-polled", parameters_set_while_polled);
  driver_add_for (polls, "polling-time", "polls-for-ever", polls_for_ever);
  driver_add ("polling-time", "time-is-counted-once", time_is_counted_once);
  driver_add_for (DRIVER_POLL, "polling-time", "timer-armed-in-begin", timer_armed_in_begin);
  driver_add_for (DRIVER_POLL, "polling-time", "timer-armed-in-poll", timer_armed_in_poll);
  driver_add_for (DRIVER_POLL, "polling-time", "B8-idle-scheduled-in-poll", idle_scheduled_in_poll);
  driver_add_for (DRIVER_POLL, "polling-time", "clock-stands", clock_stands);
  driver_add_for (DRIVER_POLL, "polling-time", "D6-idle", idle);
  driver_add_for (DRIVER_POLL, "polling-time", "D6-idle/need-wait", idle_with_need_wait);
  driver_add_for (DRIVER_POLL, "polling-time", "D6-event-at-retirement", event_at_retirement);
  driver_add_for (DRIVER_POLL, "polling-time", "D6-idle-while-it-is-asked", idle_while_it_is_asked);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
