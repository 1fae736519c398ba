/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "driver.h"
#include "shims.h"

#include <errno.h>
#include <signal.h>

/* B5 */

typedef struct {
  AioBh *bh;
  int *done;
} Hammer;

static void
hammer (gpointer data)
{
  Hammer *h = data;

  for (guint i = 0; i < 200000; i++)
    aio_bh_schedule (h->bh);
  driver_count (h->done);
}

static void
scheduling_races_with_running (Driver *d)
{
  int runs = 0, done = 0, before;
  Hammer h = { aio_bh_new (d->ctx, driver_count, &runs), &done };
  pthread_t threads[2];

  for (guint i = 0; i < 2; i++)
    threads[i] = driver_thread_start (hammer, &h);
  while (__atomic_load_n (&done, __ATOMIC_ACQUIRE) < 2)
    driver_turn (d, FALSE);
  for (guint i = 0; i < 2; i++)
    driver_thread_join (threads[i]);

  driver_settle (d);
  g_assert_cmpint (runs, >=, 1);

  before = runs;
  aio_bh_schedule (h.bh);
  driver_settle (d);
  g_assert_cmpint (runs, ==, before + 1);
  g_assert_false (driver_turn (d, FALSE));

  aio_bh_delete (h.bh);
}

/* For a second, by two threads, with a look at the list: nothing is in it twice. */

#define N_HAMMERED 4

typedef struct {
  AioBh *bhs[N_HAMMERED];
  int runs[N_HAMMERED];
  gboolean stop;
} Anvil;

static void
hammer_until_told (gpointer data)
{
  Anvil *anvil = data;

  for (guint i = 0; !__atomic_load_n (&anvil->stop, __ATOMIC_ACQUIRE); i++)
    {
      AioBh *bh = anvil->bhs[i / 3 % N_HAMMERED];

      if (i % 7 == 0)
        aio_bh_schedule_idle (bh);
      else if (i % 11 == 0)
        aio_bh_cancel (bh);
      else
        aio_bh_schedule (bh);
    }
}

/* Home alone takes from the list, so that what it finds stays. */
static void
assert_nothing_is_queued_twice (Driver *d, Anvil *anvil)
{
  guint found[N_HAMMERED] = { 0 }, n = 0;

  for (AioBh *bh = atomic_load_explicit (&d->ctx->bh_list, memory_order_acquire); bh != NULL; bh = bh->next)
    {
      g_assert_cmpuint (++n, <=, N_HAMMERED);
      for (guint i = 0; i < N_HAMMERED; i++)
        found[i] += bh == anvil->bhs[i];
    }
  for (guint i = 0; i < N_HAMMERED; i++)
    g_assert_cmpuint (found[i], <=, 1);
}

static void
hammered_for_a_second_nothing_is_queued_twice (Driver *d)
{
  const gint64 end_ms = driver_now_ms () + (d->kind == DRIVER_MIXED ? 1000 : 300);
  Anvil anvil = { .stop = FALSE };
  pthread_t threads[2];
  int before[N_HAMMERED];

  for (guint i = 0; i < N_HAMMERED; i++)
    anvil.bhs[i] = aio_bh_new (d->ctx, driver_count, &anvil.runs[i]);
  for (guint i = 0; i < 2; i++)
    threads[i] = driver_thread_start (hammer_until_told, &anvil);
  while (driver_now_ms () < end_ms)
    {
      assert_nothing_is_queued_twice (d, &anvil);
      driver_turn (d, FALSE);
    }
  __atomic_store_n (&anvil.stop, TRUE, __ATOMIC_RELEASE);
  for (guint i = 0; i < 2; i++)
    driver_thread_join (threads[i]);
  driver_settle (d);

  for (guint i = 0; i < N_HAMMERED; i++)
    {
      g_assert_cmpint (anvil.runs[i], >=, 1);
      before[i] = anvil.runs[i];
      aio_bh_schedule (anvil.bhs[i]);
    }
  driver_settle (d);
  for (guint i = 0; i < N_HAMMERED; i++)
    {
      g_assert_cmpint (anvil.runs[i], ==, before[i] + 1);
      aio_bh_delete (anvil.bhs[i]);
    }
}

static void
schedule_bh (gpointer data)
{
  aio_bh_schedule (data);
}

static void
scheduled_between_dequeue_and_run_runs_again (Driver *d)
{
  int runs = 0;
  gboolean reached;
  AioBh *bh = aio_bh_new (d->ctx, driver_count, &runs);

  /* What was scheduled after the run had begun is owed a run of its own. */
  aio_bh_schedule (bh);
  driver_interleave (d, AIO_POINT_BH_AFTER_DEQUEUE, 0, schedule_bh, bh, &reached);
  driver_settle (d);
  g_assert_true (reached);
  g_assert_cmpint (runs, ==, 2);
  g_assert_false (aio_bh_is_scheduled (bh));

  aio_bh_delete (bh);
}

typedef struct {
  AioBh *bh;
  int started;
} LateHammer;

static void
hammer_with_a_reference (gpointer data)
{
  LateHammer *h = data;

  driver_count (&h->started);
  for (guint i = 0; i < 20000; i++)
    aio_bh_schedule (h->bh);
  aio_bh_delete (h->bh);
  aio_bh_unref (h->bh);
}

static void
scheduling_with_a_reference_races_with_deleting (Driver *d)
{
  int runs = 0, destroyed = 0;
  LateHammer h = { aio_bh_new_boxed (d->ctx, "boxed", driver_count, &runs, NULL), 0 };
  AioBh *bh = aio_bh_new_boxed (d->ctx, "other", driver_count, &destroyed, driver_count);
  AioBh *hammered = aio_bh_ref (h.bh);
  pthread_t thread;

  /* Whoever has a reference may come too late: nothing is to come of that. */
  thread = driver_thread_start (hammer_with_a_reference, &h);
  while (!__atomic_load_n (&h.started, __ATOMIC_ACQUIRE))
    driver_turn (d, FALSE);
  aio_bh_delete (hammered);
  for (guint i = 0; i < 100; i++)
    driver_turn (d, FALSE);
  driver_thread_join (thread);
  driver_settle (d);
  g_assert_false (aio_bh_is_scheduled (hammered));
  aio_bh_unref (hammered);

  aio_bh_delete (bh);
  aio_bh_delete (bh);
  driver_run_until_count (d, &destroyed, 1, 5000);
  aio_bh_unref (bh);
  g_assert_cmpint (destroyed, ==, 1);
}

/* B7, B8 */

static void
schedule_upgrades_a_pending_idle (Driver *d)
{
  int runs = 0;
  AioBh *bh = aio_bh_new (d->ctx, driver_count, &runs);

  aio_bh_schedule_idle (bh);
  aio_bh_schedule (bh);
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, 0);
  g_assert_true (driver_poll (d->ctx, FALSE));
  g_assert_cmpint (runs, ==, 1);

  /* The other way round it stays a normal one. */
  aio_bh_schedule (bh);
  aio_bh_schedule_idle (bh);
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, 0);
  g_assert_true (driver_poll (d->ctx, TRUE));
  g_assert_cmpint (runs, ==, 2);

  /* And under the driver at hand it does not wait. */
  aio_bh_schedule_idle (bh);
  aio_bh_schedule (bh);
  g_assert_true (driver_turn (d, TRUE));
  g_assert_cmpint (runs, ==, 3);

  /* An idle one after an upgraded one has run is idle again. */
  aio_bh_schedule_idle (bh);
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, 10 * G_GINT64_CONSTANT (1000000));
  g_assert_false (driver_poll (d->ctx, FALSE));
  g_assert_cmpint (runs, ==, 4);

  aio_bh_delete (bh);
}

static void
idle_runs_within_ten_milliseconds_and_is_no_progress (Driver *d)
{
  int runs = 0, normal_runs = 0;
  gint64 shortest_ms = G_MAXINT64;
  AioBh *bh = aio_bh_new (d->ctx, driver_count, &runs);
  AioBh *normal = aio_bh_new (d->ctx, driver_count, &normal_runs);

  /* Nothing else would end the wait. The best of three is not about what else the machine does. */
  for (int round = 1; round <= 3; round++)
    {
      gint64 start_ms;

      aio_bh_schedule_idle (bh);
      g_assert_true (aio_bh_is_scheduled (bh));
      g_assert_false (aio_context_get_notified (d->ctx));
      start_ms = driver_now_ms ();
      g_assert_false (driver_poll (d->ctx, TRUE));
      shortest_ms = MIN (shortest_ms, driver_now_ms () - start_ms);
      g_assert_cmpint (runs, ==, round);
      g_assert_cmpuint (driver_stats (d).waits, ==, round);
    }
  g_assert_cmpint (shortest_ms, <=, 15 * driver_slowdown ());

  /* Nor under the driver at hand. */
  shortest_ms = G_MAXINT64;
  for (int round = 4; round <= 6; round++)
    {
      gint64 start_ms = driver_now_ms ();

      aio_bh_schedule_idle (bh);
      driver_run_until_count (d, &runs, round, 1000);
      shortest_ms = MIN (shortest_ms, driver_now_ms () - start_ms);
    }
  g_assert_cmpint (shortest_ms, <=, 15 * driver_slowdown ());

  /* Beside other work it does not wait. */
  aio_bh_schedule_idle (bh);
  aio_bh_schedule (normal);
  driver_turn (d, TRUE);
  g_assert_cmpint (runs, ==, 7);
  g_assert_cmpint (normal_runs, ==, 1);

  aio_bh_delete (bh);
  aio_bh_delete (normal);
}

/* What is seen is looked at once each 10 ms, not all the time. */

typedef struct {
  AioBh *bh;
  int runs;
} Endless;

static void
schedule_idle_again (gpointer data)
{
  Endless *endless = data;

  endless->runs++;
  aio_bh_schedule_idle (endless->bh);
}

static void
idle_that_schedules_itself_takes_no_processor (Driver *d)
{
  Endless endless[2] = { { NULL, 0 }, { NULL, 0 } };
  int turns = 0, start_runs;
  gint64 end_us;

  for (guint i = 0; i < G_N_ELEMENTS (endless); i++)
    {
      endless[i].bh = aio_bh_new (d->ctx, schedule_idle_again, &endless[i]);
      aio_bh_schedule_idle (endless[i].bh);
    }
  driver_turn (d, TRUE);
  start_runs = endless[0].runs;
  end_us = g_get_monotonic_time () + 100000;
  for (; g_get_monotonic_time () < end_us; turns++)
    driver_turn (d, TRUE);
  g_assert_cmpint (turns, <=, 20); /* 10, and who is new to GLib wakes it a few times */
  for (guint i = 0; i < G_N_ELEMENTS (endless); i++)
    {
      g_assert_cmpint (endless[i].runs - start_runs, >=, turns);
      aio_bh_delete (endless[i].bh);
    }
  g_assert_cmpuint (driver_stats (d).eventfd_writes, ==, 0);
}

/* B14 */

static AioBh *bh_of_signal;

static void
schedule_from_signal (int signum)
{
  aio_bh_schedule (bh_of_signal);
}

static void
raise_and_look_at_errno (void)
{
  errno = E2BIG;
  raise (SIGUSR1);
  g_assert_cmpint (errno, ==, E2BIG);
}

static void
scheduled_in_a_signal_handler (Driver *d)
{
  struct sigaction action = { .sa_handler = schedule_from_signal }, previous;
  int runs = 0;

  bh_of_signal = aio_bh_new (d->ctx, driver_count, &runs);
  sigaction (SIGUSR1, &action, &previous);
  for (guint i = 0; i < 10000; i++)
    {
      raise_and_look_at_errno ();
      if (i % 100 == 99)
        g_assert_true (driver_turn (d, TRUE));
    }
  g_assert_cmpint (runs, ==, 100);
  sigaction (SIGUSR1, &previous, NULL);
  aio_bh_delete (bh_of_signal);
}

static void
raise_before_the_wait (AioContext *ctx, AioPoint point, gpointer data)
{
  int *left = data;

  if ((point != AIO_POINT_POLL_BEFORE_WAIT && point != AIO_POINT_GS_PREPARE_AFTER_TIMEOUT) || *left == 0)
    return;
  --*left;
  /* Here the eventfd is written, which is interrupted once. */
  shim_fail (SHIM_WRITE, EINTR, 0, 1);
  raise_and_look_at_errno ();
}

static void
scheduled_in_a_signal_handler_just_before_the_wait (Driver *d)
{
  struct sigaction action = { .sa_handler = schedule_from_signal }, previous;
  int runs = 0, left = 100;

  bh_of_signal = aio_bh_new (d->ctx, driver_count, &runs);
  sigaction (SIGUSR1, &action, &previous);
  shim_start ();
  aio_test_set_hook (d->ctx, raise_before_the_wait, &left);
  for (int turn = 1; turn <= 200 && __atomic_load_n (&left, __ATOMIC_RELAXED) > 0; turn++)
    {
      driver_turn (d, TRUE);
      g_assert_cmpint (runs, ==, turn);
    }
  g_assert_cmpint (left, ==, 0);
  aio_test_set_hook (d->ctx, NULL, NULL);
  g_assert_cmpuint (driver_stats (d).eventfd_writes, >=, 100);
  g_assert_cmpint (shim_failures (SHIM_WRITE), ==, 100);
  shim_stop ();
  sigaction (SIGUSR1, &previous, NULL);
  aio_bh_delete (bh_of_signal);
}

/* An idle one notifies nobody but who waits already: at each point of the way to there it is seen. */

static void
schedule_idle_from_signal (int signum)
{
  aio_bh_schedule_idle (bh_of_signal);
}

typedef struct {
  AioPoint point;
  gboolean raised;
} Raise;

static void
raise_at (AioContext *ctx, AioPoint point, gpointer data)
{
  Raise *r = data;

  if (point != r->point || r->raised)
    return;
  r->raised = TRUE;
  raise_and_look_at_errno ();
}

static void
idle_scheduled_in_a_signal_handler_on_the_way_to_the_wait (Driver *d)
{
  static const AioPoint points[] = { AIO_POINT_POLL_AFTER_TIMEOUT, AIO_POINT_POLL_AFTER_NOTIFY_ME,
                                     AIO_POINT_POLL_BEFORE_WAIT, AIO_POINT_GS_PREPARE_AFTER_BIT,
                                     AIO_POINT_GS_PREPARE_AFTER_TIMEOUT };
  struct sigaction action = { .sa_handler = schedule_idle_from_signal }, previous;
  int runs = 0;

  bh_of_signal = aio_bh_new (d->ctx, driver_count, &runs);
  sigaction (SIGUSR1, &action, &previous);
  for (guint i = 0; i < G_N_ELEMENTS (points); i++)
    {
      gboolean in_prepare = i >= 3;
      Raise r = { points[i], FALSE };

      if (in_prepare && d->kind == DRIVER_POLL)
        break;
      driver_settle (d);
      runs = 0;
      aio_test_set_hook (d->ctx, raise_at, &r);
      while (runs == 0)
        if (in_prepare)
          g_main_context_iteration (d->main_context, TRUE);
        else
          driver_poll (d->ctx, TRUE);
      g_assert_true (r.raised);
      aio_test_set_hook (d->ctx, NULL, NULL);
    }
  sigaction (SIGUSR1, &previous, NULL);
  aio_bh_delete (bh_of_signal);
}

static void
signal_home (gpointer data)
{
  pthread_t home = *(pthread_t *) data;

  for (guint i = 0; i < 100; i++)
    {
      pthread_kill (home, SIGUSR1);
      g_usleep (100);
    }
}

static void
scheduled_in_a_signal_handler_while_asleep (Driver *d)
{
  struct sigaction action = { .sa_handler = schedule_from_signal }, previous;
  int runs = 0;
  pthread_t home = pthread_self (), thread;

  bh_of_signal = aio_bh_new (d->ctx, driver_count, &runs);
  sigaction (SIGUSR1, &action, &previous);
  thread = driver_thread_start (signal_home, &home);
  driver_run_until_count (d, &runs, 1, 5000);
  driver_thread_join (thread);
  driver_settle (d);
  sigaction (SIGUSR1, &previous, NULL);
  aio_bh_delete (bh_of_signal);
}

static void
add_tests (void)
{
  driver_add ("bh-schedule", "B5-scheduling-races-with-running", scheduling_races_with_running);
  driver_add ("bh-schedule", "B5-hammered-for-a-second-nothing-is-queued-twice",
              hammered_for_a_second_nothing_is_queued_twice);
  driver_add ("bh-schedule", "B5-scheduled-between-dequeue-and-run-runs-again",
              scheduled_between_dequeue_and_run_runs_again);
  driver_add ("bh-schedule", "B5-scheduling-with-a-reference-races-with-deleting",
              scheduling_with_a_reference_races_with_deleting);
  driver_add ("bh-schedule", "B7-schedule-upgrades-a-pending-idle", schedule_upgrades_a_pending_idle);
  driver_add ("bh-schedule", "B8-idle-runs-within-10ms-and-is-no-progress",
              idle_runs_within_ten_milliseconds_and_is_no_progress);
  driver_add ("bh-schedule", "B8-idle-that-schedules-itself-takes-no-processor",
              idle_that_schedules_itself_takes_no_processor);
  driver_add ("bh-schedule", "B8-B14-idle-scheduled-in-a-signal-handler-on-the-way-to-the-wait",
              idle_scheduled_in_a_signal_handler_on_the_way_to_the_wait);
  driver_add ("bh-schedule", "B14-scheduled-in-a-signal-handler", scheduled_in_a_signal_handler);
  driver_add ("bh-schedule", "B14-scheduled-in-a-signal-handler-just-before-the-wait",
              scheduled_in_a_signal_handler_just_before_the_wait);
  driver_add ("bh-schedule", "B14-scheduled-in-a-signal-handler-while-asleep",
              scheduled_in_a_signal_handler_while_asleep);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
