/* SPDX-License-Identifier: MIT */
#include "driver.h"

static void
name_and_references (Driver *d)
{
  int runs = 0;
  AioBh *bh = aio_bh_new (d->ctx, driver_count, &runs);
  AioBh *boxed = aio_bh_new_boxed (d->ctx, "boxed", driver_count, &runs, NULL);
  AioBh *nameless = aio_bh_new_full (d->ctx, NULL, driver_count, &runs, NULL);

  g_assert_cmpstr (aio_bh_get_name (bh), ==, "driver_count");
  g_assert_cmpstr (aio_bh_get_name (boxed), ==, "boxed");
  g_assert_null (aio_bh_get_name (nameless));

  aio_bh_call (bh);
  g_assert_cmpint (runs, ==, 1);
  aio_bh_schedule (bh);
  aio_bh_call (bh);
  g_assert_true (aio_bh_is_scheduled (bh));
  g_assert_cmpint (runs, ==, 2);
  driver_settle (d);
  g_assert_cmpint (runs, ==, 3);

  /* Deleted implies cancelled; a reference keeps the memory, and nothing comes of using it. */
  aio_bh_schedule (boxed);
  aio_bh_delete (boxed);
  g_assert_false (aio_bh_is_scheduled (boxed));
  driver_settle (d);
  aio_bh_schedule (boxed);
  aio_bh_schedule_idle (boxed);
  aio_bh_cancel (boxed);
  aio_bh_call (boxed);
  aio_bh_delete (boxed);
  g_assert_false (aio_bh_is_scheduled (boxed));
  g_assert_false (driver_turn (d, FALSE));
  g_assert_cmpint (runs, ==, 3);
  aio_bh_unref (boxed);

  aio_bh_delete (bh);
  aio_bh_delete (nameless);
}

static void
bh_poll_runs_bottom_halves_alone (Driver *d)
{
  int runs = 0, oneshots = 0;
  AioBh *bh = aio_bh_new (d->ctx, driver_count, &runs);
  int fds[2], reads = 0;

  driver_pipe (fds);
  driver_write_byte (fds[1]);
  driver_watch (d, fds[0], driver_count_read_drain, &reads);

  g_assert_false (aio_context_bh_poll (d->ctx));
  aio_bh_schedule_idle (bh);
  g_assert_false (aio_context_bh_poll (d->ctx));
  g_assert_cmpint (runs, ==, 1);
  aio_bh_schedule (bh);
  aio_context_schedule_oneshot (d->ctx, driver_count, &oneshots);
  g_assert_true (aio_context_bh_poll (d->ctx));
  g_assert_cmpint (runs, ==, 2);
  g_assert_cmpint (oneshots, ==, 1);
  g_assert_cmpint (reads, ==, 0);
  g_assert_cmpuint (driver_stats (d).bhs_run, ==, 3);

  driver_run_until_count (d, &reads, 1, 5000);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
  aio_bh_delete (bh);
}

static void
oneshot_runs_once_and_is_progress (Driver *d)
{
  int runs = 0, destroyed = 0;

  aio_context_schedule_oneshot (d->ctx, driver_count, &runs);
  g_assert_true (driver_poll (d->ctx, TRUE));
  g_assert_false (driver_poll (d->ctx, FALSE));
  g_assert_cmpint (runs, ==, 1);

  aio_context_schedule_oneshot_full (d->ctx, "named", driver_count, &destroyed, driver_count);
  driver_settle (d);
  g_assert_cmpint (destroyed, ==, 2); /* one run, one destroy notify */
}

/* B4 */

typedef struct {
  Driver *d;
  AioBh *bh;
  gboolean nest;
  int *ends;
} Suicide;

static void
suicide_end (gpointer data)
{
  Suicide *s = data;

  ++*s->ends;
  g_free (s);
}

static void
delete_self (gpointer data)
{
  Suicide *s = data;
  Driver *d = s->d;
  int *ends = s->ends;

  aio_bh_delete (s->bh);
  if (!s->nest)
    return;
  driver_turn (d, FALSE);
  /* The nested turn has freed it, and what was its data. */
  g_assert_cmpint (*ends, ==, 1);
}

static void
deleted_in_its_own_callback (Driver *d)
{
  for (int nest = 0; nest < 2; nest++)
    {
      int ends = 0;
      Suicide *s = g_new (Suicide, 1);

      *s = (Suicide){ .d = d, .nest = nest, .ends = &ends };
      s->bh = aio_bh_new_full (d->ctx, "suicide", delete_self, s, suicide_end);
      aio_bh_schedule (s->bh);
      driver_turn (d, FALSE);
      driver_settle (d);
      g_assert_cmpint (ends, ==, 1);
    }
}

static void
delete_other (gpointer data)
{
  aio_bh_delete (data);
}

static void
deleted_by_a_sibling_before_its_run (Driver *d)
{
  int runs = 0;
  AioBh *victim = aio_bh_new_full (d->ctx, "victim", driver_count, &runs, NULL);
  AioBh *killer = aio_bh_new (d->ctx, delete_other, victim);

  aio_bh_schedule (killer);
  aio_bh_schedule (victim);
  driver_settle (d);
  g_assert_cmpint (runs, ==, 0);
  aio_bh_delete (killer);
}

typedef struct {
  Driver *d;
  int runs;
} Spawner;

static void
spawn_oneshots (gpointer data)
{
  Spawner *s = data;

  for (guint i = 0; i < 1000; i++)
    aio_context_schedule_oneshot (s->d->ctx, driver_count, &s->runs);
}

static void
oneshot_schedules_a_thousand (Driver *d)
{
  Spawner s = { .d = d };

  aio_context_schedule_oneshot (d->ctx, spawn_oneshots, &s);
  driver_turn (d, FALSE);
  g_assert_cmpint (s.runs, ==, 0);
  driver_turn (d, FALSE);
  g_assert_cmpint (s.runs, ==, 1000);
}

/* B6 */

typedef struct {
  AioContext *ctx; /* the oneshot's reference, or NULL if the driver of the context has the last one */
  DriverGate *gate;
  int dropping;
} LastReference;

static void
drop_last_reference (gpointer data)
{
  LastReference *last = data;

  driver_count (&last->dropping);
  if (last->ctx == NULL)
    return;
  /* Detached, the main context lets go of it too, as soon as the dispatch is over. */
  g_assert_true (aio_context_detach (last->ctx, NULL));
  aio_context_unref (g_steal_pointer (&last->ctx));
}

typedef struct {
  AioContext *ctx;
  LastReference *last;
} Scheduler;

static void
schedule_the_drop (gpointer data)
{
  Scheduler *scheduler = data;

  aio_context_schedule_oneshot (scheduler->ctx, drop_last_reference, scheduler->last);
}

static void
open_once_dropping (gpointer data)
{
  LastReference *last = data;

  while (!__atomic_load_n (&last->dropping, __ATOMIC_ACQUIRE))
    g_usleep (1000);
  /* The home thread is on its way to freeing the context, and may be waiting at its end for the notifier. */
  g_usleep (20000);
  driver_gate_open (last->gate);
}

static void
last_reference_goes_while_the_scheduler_notifies (Driver *d)
{
  LastReference last = { .ctx = d->kind == DRIVER_GLIB ? d->ctx : NULL };
  Scheduler scheduler = { d->ctx, &last };
  pthread_t scheduling, opening;

  last.gate = driver_gate_new (d->ctx, AIO_POINT_NOTIFY_AFTER_NOTIFIED);
  scheduling = driver_thread_start (schedule_the_drop, &scheduler);
  driver_gate_await (last.gate);
  opening = driver_thread_start (open_once_dropping, &last);

  driver_turn_blind (d, FALSE);
  if (d->kind != DRIVER_GLIB)
    {
      /* Who polls has a reference: it goes right after. */
      g_assert_true (aio_context_detach (d->ctx, NULL));
      aio_context_unref (d->ctx);
    }
  d->ctx = NULL;
  g_assert_cmpint (last.dropping, ==, 1);

  driver_thread_join (opening);
  driver_thread_join (scheduling);
  driver_gate_free (last.gate, NULL);
}

/* B10 */

static void
a_hundred_thousand_deleted_unscheduled (Driver *d)
{
  int destroyed = 0;

  for (guint i = 0; i < 100000; i++)
    aio_bh_delete (aio_bh_new_full (d->ctx, "unscheduled", driver_count, &destroyed, driver_count));
  g_assert_false (driver_poll (d->ctx, FALSE));
  g_assert_cmpint (destroyed, ==, 100000);

  /* Under the driver at hand the notification of the delete alone brings it about. */
  aio_bh_delete (aio_bh_new_full (d->ctx, "one more", driver_count, &destroyed, driver_count));
  driver_run_until_count (d, &destroyed, 100001, 5000);
}

static gboolean
asleep (AioContext *ctx)
{
  return aio_context_get_notify_me (ctx) != 0;
}

typedef struct {
  AioContext *ctx;
  AioBh *bh;
  gint64 deleted_ms;
} Deletion;

static void
delete_once_asleep (gpointer data)
{
  Deletion *deletion = data;

  while (!asleep (deletion->ctx))
    g_usleep (1000);
  deletion->deleted_ms = driver_now_ms ();
  aio_bh_delete (deletion->bh);
}

static void
deleted_by_another_thread_while_the_loop_sleeps (Driver *d)
{
  gint64 shortest_ms = G_MAXINT64;
  int destroyed = 0;

  /* The bar is for the context, and the best of three is not about what else the machine does. */
  for (int round = 1; round <= 3; round++)
    {
      Deletion deletion = { d->ctx, aio_bh_new_full (d->ctx, "victim", driver_count, &destroyed, driver_count), 0 };
      pthread_t thread;

      driver_settle (d);
      thread = driver_thread_start (delete_once_asleep, &deletion);
      driver_run_until_count (d, &destroyed, round, 5000);
      driver_thread_join (thread);
      shortest_ms = MIN (shortest_ms, driver_now_ms () - deletion.deleted_ms);
    }
  g_assert_cmpint (shortest_ms, <, 50 * driver_slowdown ());
  g_assert_cmpuint (driver_stats (d).eventfd_writes, <=, 3);
}

static void
open_until_it_or_its_context_ends (Driver *d)
{
  int runs = 0;
  AioBh *deleted = (aio_bh_new) (d->ctx, driver_count, &runs);
  AioBh *left = aio_bh_new (d->ctx, driver_count, &runs);

  /* The function, which is no macro, has no name to give it. */
  g_assert_null (aio_bh_get_name (deleted));
  aio_bh_ref (deleted);
  aio_bh_ref (left);
  g_assert_true (aio_bh_is_open (deleted));
  aio_bh_schedule (deleted);
  g_assert_true (driver_turn (d, FALSE));
  g_assert_true (aio_bh_is_open (deleted));
  aio_bh_delete (deleted);
  g_assert_false (aio_bh_is_open (deleted));
  driver_settle (d);
  g_assert_false (aio_bh_is_open (deleted));

  g_assert_true (aio_bh_is_open (left));
  g_assert_true (aio_context_close (d->ctx, NULL));
  g_assert_false (aio_bh_is_open (left));
  g_assert_null ((aio_bh_new) (d->ctx, driver_count, &runs));
  g_assert_cmpint (runs, ==, 1);
  aio_bh_unref (deleted);
  aio_bh_unref (left);
}

static void
add_tests (void)
{
  driver_add ("bh-lifetime", "name-and-references", name_and_references);
  driver_add ("bh-lifetime", "open-until-it-or-its-context-ends", open_until_it_or_its_context_ends);
  driver_add ("bh-lifetime", "bh-poll-runs-bottom-halves-alone", bh_poll_runs_bottom_halves_alone);
  driver_add ("bh-lifetime", "oneshot-runs-once-and-is-progress", oneshot_runs_once_and_is_progress);
  driver_add ("bh-lifetime", "B4-deleted-in-its-own-callback", deleted_in_its_own_callback);
  driver_add ("bh-lifetime", "B4-deleted-by-a-sibling-before-its-run", deleted_by_a_sibling_before_its_run);
  driver_add ("bh-lifetime", "B4-oneshot-schedules-a-thousand", oneshot_schedules_a_thousand);
  driver_add ("bh-lifetime", "B6-last-reference-goes-while-the-scheduler-notifies",
              last_reference_goes_while_the_scheduler_notifies);
  driver_add ("bh-lifetime", "B10-a-hundred-thousand-deleted-unscheduled", a_hundred_thousand_deleted_unscheduled);
  driver_add ("bh-lifetime", "B10-deleted-by-another-thread-while-the-loop-sleeps",
              deleted_by_another_thread_while_the_loop_sleeps);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
