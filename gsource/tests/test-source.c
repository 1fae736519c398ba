/* SPDX-License-Identifier: MIT */
#include "driver.h"

/* The context as one GSource among others: GLib skips phases, and other sources do as they like (A6, A7) */

#define MS G_GINT64_CONSTANT (1000000)

typedef struct {
  AioContext *ctx;
  AioBh *bh;
  int runs;
} Ping;

static void
schedule_a_hundred (gpointer data)
{
  Ping *ping = data;

  for (int i = 0; i < 100; i++)
    {
      aio_bh_schedule (ping->bh);
      while (__atomic_load_n (&ping->runs, __ATOMIC_ACQUIRE) <= i)
        sched_yield ();
    }
}

static void
prepare_without_check (Driver *d)
{
  Ping ping = { .ctx = d->ctx };
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  int priority, fired = 0;
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
  AioStats before, after;
  pthread_t thread;

  ping.bh = aio_bh_new (d->ctx, driver_count, &ping.runs);
  g_assert_true (g_main_context_acquire (d->main_context));
  g_main_context_prepare (d->main_context, &priority);
  g_assert_cmpuint (aio_context_get_notify_me (d->ctx), ==, 1);

  thread = driver_thread_start (schedule_a_hundred, &ping);
  while (__atomic_load_n (&ping.runs, __ATOMIC_ACQUIRE) < 100)
    driver_poll (d->ctx, TRUE);
  driver_thread_join (thread);

  /* Bit 0 is stale all the while; that makes no busy loop. */
  g_assert_cmpuint (aio_context_get_notify_me (d->ctx), ==, 1);
  aio_timer_mod_ns (timer, aio_clock_get_ns (clock) + 50 * MS);
  driver_poll (d->ctx, FALSE);
  before = driver_stats (d);
  while (!fired)
    driver_poll (d->ctx, TRUE);
  after = driver_stats (d);
  g_assert_cmpuint (after.waits - before.waits, <, 5);
  g_assert_cmpuint (after.zero_waits, ==, before.zero_waits);

  g_main_context_release (d->main_context);
  driver_turn (d, FALSE);
  aio_timer_free (timer);
  aio_bh_delete (ping.bh);
}

static void
dispatch_without_prepare_and_check (Driver *d)
{
  int fds[2], runs = 0, reads = 0;
  AioBh *bh = aio_bh_new (d->ctx, driver_count, &runs);
  AioStats before, after;

  /* What pending() has found ready stays so. */
  aio_bh_schedule (bh);
  g_assert_true (g_main_context_pending (d->main_context));
  before = driver_stats (d);
  g_assert_true (g_main_context_iteration (d->main_context, TRUE));
  after = driver_stats (d);
  g_assert_cmpint (runs, ==, 1);
  g_assert_cmpuint (after.prepares, ==, before.prepares);
  g_assert_cmpuint (after.checks, ==, before.checks);
  g_assert_cmpuint (after.dispatches, ==, before.dispatches + 1);
  g_assert_cmpuint (aio_context_get_notify_me (d->ctx), ==, 0);

  /*
   * Meanwhile somebody else has done the work. poll(2) looks again; what epoll found in pending() was kept,
   * so that a callback may find nothing to read.
   */
  driver_pipe (fds);
  driver_write_byte (fds[1]);
  driver_watch (d, fds[0], driver_count_read, &reads);
  g_assert_true (g_main_context_pending (d->main_context));
  driver_drain (fds[0]);
  g_main_context_iteration (d->main_context, FALSE);
  g_assert_cmpint (reads, <=, aio_context_get_monitor (d->ctx) == AIO_MONITOR_POLL ? 0 : 1);
  g_assert_false (g_main_context_pending (d->main_context));

  aio_bh_schedule (bh);
  g_assert_true (g_main_context_pending (d->main_context));
  driver_poll (d->ctx, FALSE);
  g_assert_cmpint (runs, ==, 2);
  g_main_context_iteration (d->main_context, FALSE);
  g_assert_cmpint (runs, ==, 2);

  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
  aio_bh_delete (bh);
}

typedef struct {
  AioBh *bh;
  int runs;
} Chain;

static void
schedule_next_link (gpointer data)
{
  Chain *chain = data;

  if (++chain->runs < 1000)
    aio_bh_schedule (chain->bh);
}

static void
a_thousand_chained_bottom_halves_write_no_eventfd (Driver *d)
{
  Chain chain = { 0 };

  chain.bh = aio_bh_new (d->ctx, schedule_next_link, &chain);
  aio_bh_schedule (chain.bh);
  driver_run_until_count (d, &chain.runs, 1000, 10000);
  g_assert_cmpuint (driver_stats (d).eventfd_writes, <=, 1);
  aio_bh_delete (chain.bh);
}

typedef struct {
  AioBh *bh;
  int left;
} Hog;

static gboolean
hog (gpointer data)
{
  Hog *h = data;

  aio_bh_schedule (h->bh);
  return --h->left > 0;
}

static void
a_source_of_higher_priority_wins_for_long (Driver *d)
{
  int runs = 0;
  Hog h = { aio_bh_new (d->ctx, driver_count, &runs), 100 };
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_priority (source, G_PRIORITY_HIGH);
  g_source_set_callback (source, hog, &h, NULL);
  g_source_attach (source, d->main_context);
  for (int i = 0; i < 100; i++)
    {
      g_main_context_iteration (d->main_context, TRUE);
      g_assert_cmpint (runs, ==, 0);
    }
  g_main_context_iteration (d->main_context, TRUE);
  g_assert_cmpint (runs, ==, 1);
  aio_bh_delete (h.bh);
}

/* A7: another source polls in its prepare */

typedef struct {
  GSource source;
  void (*nested) (gpointer data);
  gpointer data;
} PreparingSource;

static gboolean
preparing_prepare (GSource *source, int *timeout_ms)
{
  PreparingSource *p = (PreparingSource *) source;
  void (*nested) (gpointer data) = g_steal_pointer (&p->nested);

  *timeout_ms = -1;
  if (nested != NULL)
    nested (p->data);
  return FALSE;
}

static void
in_another_prepare (Driver *d, void (*nested) (gpointer data), gpointer data, const int *count)
{
  static GSourceFuncs funcs = { .prepare = preparing_prepare };
  g_autoptr (GSource) source = g_source_new (&funcs, sizeof (PreparingSource));
  PreparingSource *p = (PreparingSource *) source;
  gint64 start_ms = driver_now_ms ();

  g_source_attach (source, d->main_context); /* behind ours, so prepared after it */
  g_assert_cmpint (g_source_get_priority (source), ==, G_PRIORITY_DEFAULT);
  driver_settle (d);
  for (guint i = 0; i < 3; i++)
    g_main_context_iteration (d->main_context, FALSE);

  p->nested = nested;
  p->data = data;
  while (*count == 0)
    g_main_context_iteration (d->main_context, TRUE);
  /* The main context had nothing else to wake it. */
  g_assert_cmpint (driver_now_ms () - start_ms, <, 1000);
  g_source_destroy (source);
}

typedef struct {
  Driver *d;
  AioTimer *timer;
  gint64 expire;
  int fired;
  int fd;
} Nested;

static void
arm_timer (gpointer data)
{
  Nested *n = data;

  n->expire = aio_clock_get_ns (aio_clock_get (AIO_CLOCK_REALTIME)) + 50 * MS;
  aio_timer_mod_ns (n->timer, n->expire);
}

static void
schedule_and_poll_twice (gpointer data)
{
  Nested *n = data;

  g_assert_cmpuint (aio_context_get_notify_me (n->d->ctx), ==, 1);
  aio_context_schedule_oneshot (n->d->ctx, arm_timer, n);
  driver_poll (n->d->ctx, FALSE);
  driver_poll (n->d->ctx, FALSE);
}

static void
timer_armed_by_a_poll_in_another_prepare (Driver *d)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  Nested n = { .d = d };

  n.timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &n.fired);
  in_another_prepare (d, schedule_and_poll_twice, &n, &n.fired);
  g_assert_cmpint (n.expire, >, 0);
  aio_timer_free (n.timer);
}

static void
schedule_oneshot_from_thread (gpointer data)
{
  Nested *n = data;

  aio_context_schedule_oneshot (n->d->ctx, arm_timer, n);
}

static void
have_another_thread_schedule_and_poll_twice (gpointer data)
{
  Nested *n = data;

  driver_on_thread (schedule_oneshot_from_thread, n);
  driver_poll (n->d->ctx, FALSE);
  driver_poll (n->d->ctx, FALSE);
}

static void
wakeup_of_another_thread_taken_by_a_poll_in_another_prepare (Driver *d)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  Nested n = { .d = d };

  n.timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &n.fired);
  in_another_prepare (d, have_another_thread_schedule_and_poll_twice, &n, &n.fired);
  aio_timer_free (n.timer);
}

static void
schedule_without_poll (gpointer data)
{
  Nested *n = data;

  aio_context_schedule_oneshot (n->d->ctx, driver_count, &n->fired);
}

static void
watch_without_poll (gpointer data)
{
  Nested *n = data;

  driver_watch (n->d, n->fd, driver_count_read_drain, &n->fired);
}

static void
work_published_in_another_prepare (Driver *d)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  Nested n = { .d = d };
  int fds[2];

  in_another_prepare (d, schedule_without_poll, &n, &n.fired);
  n.fired = 0;
  n.timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &n.fired);
  in_another_prepare (d, arm_timer, &n, &n.fired);
  aio_timer_free (n.timer);

  n.fired = 0;
  driver_pipe (fds);
  driver_write_byte (fds[1]);
  n.fd = fds[0];
  in_another_prepare (d, watch_without_poll, &n, &n.fired);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

static void
add_tests (void)
{
  driver_add_for (DRIVER_ATTACHED, "source", "A6-prepare-without-check", prepare_without_check);
  driver_add_for (DRIVER_ATTACHED, "source", "A6-dispatch-without-prepare-and-check",
                  dispatch_without_prepare_and_check);
  driver_add ("source", "A6-a-thousand-chained-bottom-halves-write-no-eventfd",
              a_thousand_chained_bottom_halves_write_no_eventfd);
  driver_add_for (DRIVER_ATTACHED, "source", "A6-a-source-of-higher-priority-wins-for-long",
                  a_source_of_higher_priority_wins_for_long);
  driver_add_for (DRIVER_ATTACHED, "source", "A7-timer-armed-by-a-poll-in-another-prepare",
                  timer_armed_by_a_poll_in_another_prepare);
  driver_add_for (DRIVER_ATTACHED, "source", "A7-wakeup-of-another-thread-taken-by-a-poll-in-another-prepare",
                  wakeup_of_another_thread_taken_by_a_poll_in_another_prepare);
  driver_add_for (DRIVER_ATTACHED, "source", "A7-work-published-in-another-prepare", work_published_in_another_prepare);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
