/* SPDX-License-Identifier: MIT */
#include "driver.h"
#include "eventfds.h"

/* The context as one GSource among others: GLib skips phases, and other sources do as they like (A6) */

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

/* B12 */

static gboolean
count_idle (gpointer data)
{
  driver_count (data);
  return G_SOURCE_CONTINUE;
}

static void
storm (gpointer data)
{
  aio_bh_schedule (*(AioBh **) data);
}

static void
others_run_in_a_storm_of_bottom_halves (Driver *d)
{
  AioBh *bh = aio_bh_new (d->ctx, storm, &bh);
  g_autoptr (GSource) source = g_idle_source_new ();
  int idles = 0;
  guint64 bhs_run;

  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, count_idle, &idles, NULL);
  g_source_attach (source, d->main_context);
  aio_bh_schedule (bh);
  for (int i = 0; i < 100; i++)
    g_main_context_iteration (d->main_context, TRUE);
  /* Each has its turn: a dispatch is one slice. */
  bhs_run = driver_stats (d).bhs_run;
  g_assert_cmpint (idles, >=, 99);
  g_assert_cmpuint (bhs_run, >=, 99);
  g_assert_cmpuint (bhs_run, <=, 101);
  g_source_destroy (source);
  aio_bh_delete (bh);
}

/* E14 */

static void
destroyed_with_handlers_in_place (Driver *d)
{
  EventFd *eventfds = eventfds_new (40);

  eventfds_watch (d, eventfds, 0, 40);
  eventfds_assert_all_called (d, eventfds, 40, 1);
  g_source_destroy ((GSource *) d->ctx);
  g_assert_false (aio_context_is_attached (d->ctx));

  /* Removed, replaced, added, and no more under GLib */
  eventfds_unwatch (d, eventfds, 0, 10);
  eventfds_watch (d, eventfds, 5, 20);
  for (guint i = 0; i < 40; i++)
    eventfd_set (&eventfds[i]);
  g_assert_false (g_main_context_iteration (d->main_context, FALSE));
  g_assert_cmpint (eventfds[20].calls, ==, 1);
  driver_poll (d->ctx, FALSE);
  for (guint i = 0; i < 40; i++)
    g_assert_cmpint (eventfds[i].calls, ==, i < 5 ? 1 : 2);
  eventfds_unwatch (d, eventfds, 5, 40);
  eventfds_free (eventfds, 40);

  /* Its reference to the main context outlives it by an iteration of the default one. */
  aio_context_unref (g_steal_pointer (&d->ctx));
  g_clear_pointer (&d->main_context, g_main_context_unref);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

/* N3 */

static void
idle_context_sleeps (Driver *d)
{
  EventFd *eventfds = eventfds_new (40);
  AioStats before, after;

  for (guint n = 0; n <= 40; n += 20)
    {
      eventfds_watch (d, eventfds, 0, n);
      driver_settle (d);
      before = driver_stats (d);
      driver_assert_quiet (d, 5);
      after = driver_stats (d);
      g_assert_cmpuint (after.empty_waits, ==, before.empty_waits);
      g_assert_cmpuint (after.empty_iterations, ==, before.empty_iterations);
    }
  eventfds_unwatch (d, eventfds, 0, 40);
  eventfds_free (eventfds, 40);
}

/* By g_source_destroy(), which tells the context nothing: it is a context that nobody has prepared. */
static void
destroyed_between_prepare_and_check (Driver *d)
{
  g_autoptr (GSource) source = aio_context_get_g_source (d->ctx);
  int priority, fired = 0;
  AioStats before, after;

  g_assert_true (g_main_context_acquire (d->main_context));
  g_main_context_prepare (d->main_context, &priority);
  g_assert_cmpuint (aio_context_get_notify_me (d->ctx), ==, 1);
  g_source_destroy (source);
  g_main_context_release (d->main_context);

  aio_context_notify (d->ctx);
  driver_poll (d->ctx, TRUE);
  before = driver_stats (d);
  for (int i = 1; i <= 50; i++)
    {
      AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
      AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);

      aio_timer_mod_ns (timer, aio_clock_get_ns (clock) + MS);
      driver_poll (d->ctx, TRUE);
      g_assert_cmpint (fired, ==, i);
      aio_timer_free (timer);
    }
  after = driver_stats (d);
  g_assert_cmpuint (aio_context_get_notify_me (d->ctx), ==, 0);
  g_assert_cmpuint (after.eventfd_writes, ==, before.eventfd_writes);
  g_assert_cmpuint (after.waits, ==, before.waits + 50);
}

static void
add_tests (void)
{
  driver_add_for (DRIVER_ATTACHED, "source", "B12-others-run-in-a-storm-of-bottom-halves",
                  others_run_in_a_storm_of_bottom_halves);
  driver_add_for (DRIVER_ATTACHED, "source", "E14-destroyed-with-handlers-in-place", destroyed_with_handlers_in_place);
  driver_add ("source", "N3-idle-context-sleeps", idle_context_sleeps);
  driver_add_for (DRIVER_ATTACHED, "source", "A6-prepare-without-check", prepare_without_check);
  driver_add_for (DRIVER_ATTACHED, "source", "A6-destroyed-between-prepare-and-check",
                  destroyed_between_prepare_and_check);
  driver_add_for (DRIVER_ATTACHED, "source", "A6-dispatch-without-prepare-and-check",
                  dispatch_without_prepare_and_check);
  driver_add ("source", "A6-a-thousand-chained-bottom-halves-write-no-eventfd",
              a_thousand_chained_bottom_halves_write_no_eventfd);
  driver_add_for (DRIVER_ATTACHED, "source", "A6-a-source-of-higher-priority-wins-for-long",
                  a_source_of_higher_priority_wins_for_long);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
