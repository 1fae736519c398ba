/* SPDX-License-Identifier: MIT */
#include "driver.h"

static void
process_clocks_tell_the_time (Driver *d)
{
  static const AioClockType types[] = { AIO_CLOCK_REALTIME, AIO_CLOCK_VIRTUAL, AIO_CLOCK_HOST, AIO_CLOCK_VIRTUAL_RT };

  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    {
      AioClock *clock = aio_clock_get (types[i]);
      gint64 before = types[i] == AIO_CLOCK_HOST ? g_get_real_time () : g_get_monotonic_time ();
      gint64 now = aio_clock_get_ns (clock);
      gint64 after = types[i] == AIO_CLOCK_HOST ? g_get_real_time () : g_get_monotonic_time ();

      g_assert_true (clock == aio_clock_get (types[i]));
      g_assert_cmpint (aio_clock_get_clock_type (clock), ==, types[i]);
      g_assert_cmpint (before * 1000, <=, now);
      g_assert_cmpint (now, <, (after + 1) * 1000);
      g_assert_true (aio_clock_get_enabled (clock));
      g_assert_cmpint (aio_clock_deadline_ns_all (clock, AIO_TIMER_ATTR_EXTERNAL), ==, -1);
      /* They are nobody's to free. */
      aio_clock_unref (aio_clock_ref (clock));
      aio_clock_unref (clock);
      g_assert_cmpint (aio_clock_get_clock_type (clock), ==, types[i]);
    }
}

static void
manual_clock_moves_when_told_to (Driver *d)
{
  /* N8: more than a double holds */
  const gint64 odd = (G_GINT64_CONSTANT (1) << 53) + 1;
  g_autoptr (AioClock) clock = aio_clock_new_manual (odd);

  g_assert_cmpint (aio_clock_get_clock_type (clock), ==, AIO_CLOCK_MANUAL);
  g_assert_cmpint (aio_clock_get_ns (clock), ==, odd);
  g_usleep (2000);
  g_assert_cmpint (aio_clock_get_ns (clock), ==, odd);
  aio_clock_advance_ns (clock, 1);
  g_assert_cmpint (aio_clock_get_ns (clock), ==, odd + 1);
  aio_clock_advance_ns (clock, -2);
  g_assert_cmpint (aio_clock_get_ns (clock), ==, odd - 1);
  aio_clock_set_ns (clock, odd + 2);
  g_assert_cmpint (aio_clock_get_ns (clock), ==, odd + 2);

  /* It stops at the ends. */
  aio_clock_set_ns (clock, -7);
  g_assert_cmpint (aio_clock_get_ns (clock), ==, 0);
  aio_clock_advance_ns (clock, G_MININT64);
  g_assert_cmpint (aio_clock_get_ns (clock), ==, 0);
  aio_clock_advance_ns (clock, G_MAXINT64);
  aio_clock_advance_ns (clock, G_MAXINT64);
  g_assert_cmpint (aio_clock_get_ns (clock), ==, G_MAXINT64);

  g_assert_true (aio_clock_get_enabled (clock));
  aio_clock_set_enabled (clock, FALSE); /* for virtual clocks only */
  g_assert_true (aio_clock_get_enabled (clock));
}

static void
host_time_round_trips (Driver *d)
{
  AioClock *host = aio_clock_get (AIO_CLOCK_HOST);
  int fired = 0;
  AioTimer *timer = aio_timer_new (d->ctx, host, AIO_TIMER_SCALE_NS, driver_count, &fired);
  gint64 expire = (aio_clock_get_ns (host) + G_GINT64_CONSTANT (3600000000000)) | 1;

  aio_timer_mod (timer, expire);
  g_assert_cmpint (aio_timer_expire_time_ns (timer), ==, expire);
  aio_timer_free (timer);
}

static void
advance_by_one_second (gpointer data)
{
  aio_clock_advance_ns (data, G_GINT64_CONSTANT (1000000000));
}

typedef struct {
  AioContext *ctx;
  AioClock *clock;
} Sleeper;

static void
advance_once_asleep (gpointer data)
{
  Sleeper *s = data;

  while (aio_context_get_notify_me (s->ctx) == 0)
    g_usleep (1000);
  advance_by_one_second (s->clock);
}

static void
moving_a_manual_clock_wakes_and_runs_nothing_itself (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (0);
  int fired = 0;
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_MS, driver_count, &fired);
  Sleeper s = { d->ctx, clock };
  pthread_t thread;

  aio_timer_mod (timer, 1000);
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, -1);
  advance_by_one_second (clock);
  g_assert_cmpint (fired, ==, 0);
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, 0);
  driver_turn (d, TRUE);
  g_assert_cmpint (fired, ==, 1);

  aio_timer_mod (timer, 2000);
  driver_settle (d);
  thread = driver_thread_start (advance_once_asleep, &s);
  driver_run_until_count (d, &fired, 2, 5000);
  driver_thread_join (thread);
  aio_timer_free (timer);
}

typedef struct {
  AioTimer *timer;
  int *next;
  int position;
} Ordered;

static void
note_position (gpointer data)
{
  Ordered *ordered = data;

  ordered->position = (*ordered->next)++;
}

static void
clocks_fire_in_a_fixed_order (Driver *d)
{
  g_autoptr (AioClock) manual = aio_clock_new_manual (0);
  Ordered ordered[AIO_CLOCK_MANUAL + 1];
  int next = 0;

  /* Armed in the opposite order. */
  for (int type = AIO_CLOCK_MANUAL; type >= AIO_CLOCK_REALTIME; type--)
    {
      AioClock *clock = type == AIO_CLOCK_MANUAL ? manual : aio_clock_get ((AioClockType) type);

      ordered[type] = (Ordered){ .next = &next, .position = -1 };
      ordered[type].timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, note_position, &ordered[type]);
      aio_timer_mod_ns (ordered[type].timer, 0);
    }
  driver_turn (d, FALSE);
  for (int type = AIO_CLOCK_REALTIME; type <= AIO_CLOCK_MANUAL; type++)
    {
      g_assert_cmpint (ordered[type].position, ==, type);
      aio_timer_free (ordered[type].timer);
    }
}

/* G2, G3 */

static void
enable_clock (gpointer data)
{
  aio_clock_set_enabled (data, TRUE);
}

static void
enable_once_asleep (gpointer data)
{
  Sleeper *s = data;

  while (aio_context_get_notify_me (s->ctx) == 0)
    g_usleep (1000);
  enable_clock (s->clock);
}

static void
disabled_clock_neither_fires_nor_ends_a_wait (Driver *d)
{
  static const AioClockType types[] = { AIO_CLOCK_VIRTUAL, AIO_CLOCK_VIRTUAL_RT };

  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    {
      AioClock *clock = aio_clock_get (types[i]);
      int fired = 0;
      AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_MS, driver_count, &fired);
      Sleeper s = { d->ctx, clock };
      gint64 now = aio_clock_get_ns (clock);
      pthread_t thread;

      aio_clock_set_enabled (clock, FALSE);
      g_assert_false (aio_clock_get_enabled (clock));
      g_assert_cmpint (aio_clock_get_ns (clock), >=, now);
      aio_timer_mod_ns (timer, 0);
      g_assert_true (aio_timer_pending (timer));
      g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, -1);
      g_assert_cmpint (aio_clock_deadline_ns_all (clock, AIO_TIMER_ATTR_NONE), ==, -1);
      driver_settle (d);
      g_assert_false (driver_turn (d, FALSE));
      g_assert_cmpint (fired, ==, 0);

      thread = driver_thread_start (enable_once_asleep, &s);
      driver_run_until_count (d, &fired, 1, 5000);
      driver_thread_join (thread);
      aio_timer_free (timer);
    }
}

typedef struct {
  AioClock *clock;
  int fired;
} Disabler;

static void
disable_clock (gpointer data)
{
  Disabler *disabler = data;

  disabler->fired++;
  aio_clock_set_enabled (disabler->clock, FALSE);
}

static void
disabled_in_its_own_timer_holds_the_rest_back (Driver *d)
{
  Disabler disabler = { aio_clock_get (AIO_CLOCK_VIRTUAL), 0 };
  int fired = 0;
  AioTimer *first = aio_timer_new (d->ctx, disabler.clock, AIO_TIMER_SCALE_NS, disable_clock, &disabler);
  AioTimer *second = aio_timer_new (d->ctx, disabler.clock, AIO_TIMER_SCALE_NS, driver_count, &fired);

  aio_timer_mod_ns (first, 1);
  aio_timer_mod_ns (second, 1);
  driver_turn (d, FALSE);
  g_assert_cmpint (disabler.fired, ==, 1);
  g_assert_cmpint (fired, ==, 0);
  g_assert_true (aio_timer_pending (second));
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, -1);

  aio_clock_set_enabled (disabler.clock, TRUE);
  driver_turn (d, TRUE);
  g_assert_cmpint (fired, ==, 1);
  aio_timer_free (first);
  aio_timer_free (second);
}

/* G3, G16: two threads, each with a context of its own */

typedef struct {
  AioClock *clock;
  pthread_t thread;
  AioContext *ctx; /* set once it is there */
  AioTimer *timer;
  gboolean stop;
  void (*in_callback) (gpointer runner);
  gboolean entered, leave; /* a callback that stands still until told to leave */
  int inside, fired;
} Runner;

static void
await (gboolean *flag)
{
  while (!__atomic_load_n (flag, __ATOMIC_ACQUIRE))
    g_usleep (200);
}

static void
raise_flag (gboolean *flag)
{
  __atomic_store_n (flag, TRUE, __ATOMIC_RELEASE);
}

static void
runner_callback (gpointer data)
{
  Runner *r = data;

  __atomic_add_fetch (&r->inside, 1, __ATOMIC_SEQ_CST);
  r->in_callback (r);
  driver_count (&r->fired);
  __atomic_sub_fetch (&r->inside, 1, __ATOMIC_SEQ_CST);
}

static void
runner_main (gpointer data)
{
  Runner *r = data;
  AioContext *ctx = aio_context_new (NULL);

  r->timer = aio_timer_new (ctx, r->clock, AIO_TIMER_SCALE_NS, runner_callback, r);
  aio_timer_mod_ns (r->timer, 0);
  __atomic_store_n (&r->ctx, ctx, __ATOMIC_RELEASE);
  while (!__atomic_load_n (&r->stop, __ATOMIC_ACQUIRE))
    driver_poll (ctx, TRUE);
  aio_timer_free (r->timer);
}

static void
runner_start (Runner *r, AioClock *clock, void (*in_callback) (gpointer runner))
{
  *r = (Runner){ .clock = clock, .in_callback = in_callback };
  r->thread = driver_thread_start (runner_main, r);
}

static void
runner_stop (Runner *r)
{
  while (!__atomic_load_n (&r->ctx, __ATOMIC_ACQUIRE))
    g_usleep (200);
  raise_flag (&r->stop);
  aio_context_notify (r->ctx);
  driver_thread_join (r->thread);
  aio_context_unref (r->ctx);
}

static void
stand_still (gpointer data)
{
  Runner *r = data;

  raise_flag (&r->entered);
  await (&r->leave);
}

static void
disable_and_stand_still (gpointer data)
{
  Runner *r = data;

  aio_clock_set_enabled (r->clock, FALSE);
  stand_still (r);
}

typedef struct {
  Runner *runner;
  gboolean returned;
  int inside; /* callbacks under way when it had returned */
} Disabling;

static void
disable_from_a_thread (gpointer data)
{
  Disabling *disabling = data;

  aio_clock_set_enabled (disabling->runner->clock, FALSE);
  disabling->inside = __atomic_load_n (&disabling->runner->inside, __ATOMIC_SEQ_CST);
  raise_flag (&disabling->returned);
}

static void
disabling_waits_for_the_callback (void (*in_callback) (gpointer runner))
{
  Runner runner;
  Disabling disabling = { &runner };
  pthread_t thread;

  runner_start (&runner, aio_clock_get (AIO_CLOCK_VIRTUAL), in_callback);
  await (&runner.entered);
  thread = driver_thread_start (disable_from_a_thread, &disabling);
  while (aio_clock_get_enabled (runner.clock))
    g_usleep (200);
  /* A call that does not wait returns in this time, and is found out by what it counted. */
  g_usleep (20000);
  g_assert_false (__atomic_load_n (&disabling.returned, __ATOMIC_ACQUIRE));
  raise_flag (&runner.leave);
  driver_thread_join (thread);
  g_assert_cmpint (disabling.inside, ==, 0);

  aio_clock_set_enabled (runner.clock, TRUE);
  runner_stop (&runner);
  g_assert_cmpint (runner.fired, ==, 1);
}

static void
disabling_waits_for_other_threads (Driver *d)
{
  disabling_waits_for_the_callback (stand_still);
}

static void
disabling_again_waits_too (Driver *d)
{
  disabling_waits_for_the_callback (disable_and_stand_still);
}

static void
enabling_ends_the_wait_of_a_disable (Driver *d)
{
  Runner runner;
  Disabling disabling = { &runner };
  pthread_t thread;

  runner_start (&runner, aio_clock_get (AIO_CLOCK_VIRTUAL_RT), stand_still);
  await (&runner.entered);
  thread = driver_thread_start (disable_from_a_thread, &disabling);
  while (aio_clock_get_enabled (runner.clock))
    g_usleep (200);
  aio_clock_set_enabled (runner.clock, TRUE);
  driver_thread_join (thread); /* the callback is still standing */
  raise_flag (&runner.leave);
  runner_stop (&runner);
}

static gboolean
goes_on (gpointer data)
{
  int *calls_left = data;

  /* Locks each clock. */
  aio_context_unref (aio_context_new (NULL));
  return (*calls_left)-- > 0;
}

static void
disabling_waits_while_its_condition_holds (Driver *d)
{
  Runner runner;
  int calls_left = 2;

  runner_start (&runner, aio_clock_get (AIO_CLOCK_VIRTUAL), stand_still);
  await (&runner.entered);
  aio_clock_set_enabled_while (runner.clock, FALSE, goes_on, &calls_left);
  g_assert_cmpint (calls_left, ==, -1);
  g_assert_false (aio_clock_get_enabled (runner.clock));
  raise_flag (&runner.leave);

  calls_left = 1000; /* of a tenth of a second: the end of the pass ends the wait */
  aio_clock_set_enabled_while (runner.clock, FALSE, goes_on, &calls_left);
  g_assert_cmpint (calls_left, >, 0);
  g_assert_cmpint (__atomic_load_n (&runner.inside, __ATOMIC_SEQ_CST), ==, 0);
  aio_clock_set_enabled_while (runner.clock, TRUE, goes_on, &calls_left);
  runner_stop (&runner);
}

static void
disabling_in_a_callback_does_not_wait_for_other_threads (Driver *d)
{
  Runner runner;
  Disabler disabler = { aio_clock_get (AIO_CLOCK_VIRTUAL), 0 };
  AioTimer *timer = aio_timer_new (d->ctx, disabler.clock, AIO_TIMER_SCALE_NS, disable_clock, &disabler);

  runner_start (&runner, disabler.clock, stand_still);
  await (&runner.entered);
  aio_timer_mod_ns (timer, 0);
  driver_turn (d, FALSE);
  g_assert_cmpint (disabler.fired, ==, 1);
  g_assert_false (aio_clock_get_enabled (disabler.clock));
  raise_flag (&runner.leave);
  aio_clock_set_enabled (disabler.clock, TRUE);
  runner_stop (&runner);
  aio_timer_free (timer);
}

static void
rearm_at_once (gpointer data)
{
  Runner *r = data;

  aio_timer_mod_ns (r->timer, 0);
}

static void
nothing_runs_once_disable_has_returned (Driver *d)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_VIRTUAL);
  Runner runners[2];
  gint64 start_ms, longest_ms = 0;
  int before[2];

  for (guint i = 0; i < 2; i++)
    runner_start (&runners[i], clock, rearm_at_once);
  for (guint round = 0; round < 200; round++)
    {
      for (guint i = 0; i < 2; i++)
        for (int seen = __atomic_load_n (&runners[i].fired, __ATOMIC_ACQUIRE);
             __atomic_load_n (&runners[i].fired, __ATOMIC_ACQUIRE) == seen;)
          g_usleep (100);
      start_ms = driver_now_ms ();
      aio_clock_set_enabled (clock, FALSE);
      longest_ms = MAX (longest_ms, driver_now_ms () - start_ms);
      for (guint i = 0; i < 2; i++)
        {
          g_assert_cmpint (__atomic_load_n (&runners[i].inside, __ATOMIC_SEQ_CST), ==, 0);
          before[i] = __atomic_load_n (&runners[i].fired, __ATOMIC_ACQUIRE);
        }
      g_usleep (100);
      for (guint i = 0; i < 2; i++)
        g_assert_cmpint (__atomic_load_n (&runners[i].fired, __ATOMIC_ACQUIRE), ==, before[i]);
      aio_clock_set_enabled (clock, TRUE);
    }
  g_test_message ("the longest disable took %d ms", (int) longest_ms);
  g_assert_cmpint (longest_ms, <, 1000);
  for (guint i = 0; i < 2; i++)
    runner_stop (&runners[i]);
}

static void
disabled_and_enabled_at_once (Driver *d)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_VIRTUAL);
  int fired = 0;
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
  gint64 start_ms;

  for (int round = 1; round <= 10; round++)
    {
      aio_timer_mod_ns (timer, 0);
      start_ms = driver_now_ms ();
      aio_clock_set_enabled (clock, FALSE);
      /* A pass over timers that may not fire: nothing of it is left for the next disable to wait for. */
      g_assert_false (driver_turn (d, FALSE));
      aio_clock_set_enabled (clock, FALSE);
      aio_clock_set_enabled (clock, TRUE);
      g_assert_cmpint (driver_now_ms () - start_ms, <, 50);
      driver_run_until_count (d, &fired, round, 5000);
    }
  aio_timer_free (timer);
}

static void
disable_on_another_thread (gpointer data)
{
  aio_clock_set_enabled (data, FALSE);
}

static void
disabled_between_the_deadline_and_the_pass (Driver *d)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_VIRTUAL);
  int fired = 0;
  gboolean reached;
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);

  aio_timer_mod_ns (timer, 0);
  driver_interleave (d, AIO_POINT_POLL_AFTER_BH, 0, disable_on_another_thread, clock, &reached);
  driver_turn (d, FALSE);
  g_assert_true (reached);
  g_assert_cmpint (fired, ==, 0);
  g_assert_true (aio_timer_pending (timer));
  aio_clock_set_enabled (clock, TRUE);
  driver_run_until_count (d, &fired, 1, 5000);
  aio_timer_free (timer);
}

static void
enabling_wakes_every_context (Driver *d)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_VIRTUAL);
  Runner runners[2];
  int fired = 0;
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
  Sleeper s = { d->ctx, clock };
  pthread_t thread;

  aio_clock_set_enabled (clock, FALSE);
  for (guint i = 0; i < 2; i++)
    {
      runner_start (&runners[i], clock, rearm_at_once);
      while (!__atomic_load_n (&runners[i].ctx, __ATOMIC_ACQUIRE)
             || aio_context_get_notify_me (__atomic_load_n (&runners[i].ctx, __ATOMIC_ACQUIRE)) == 0)
        g_usleep (200);
      g_assert_cmpint (runners[i].fired, ==, 0);
    }
  aio_timer_mod_ns (timer, 0);
  thread = driver_thread_start (enable_once_asleep, &s);
  driver_run_until_count (d, &fired, 1, 5000);
  for (guint i = 0; i < 2; i++)
    while (__atomic_load_n (&runners[i].fired, __ATOMIC_ACQUIRE) == 0)
      g_usleep (200);
  driver_thread_join (thread);
  for (guint i = 0; i < 2; i++)
    runner_stop (&runners[i]);
  aio_timer_free (timer);
}

/* G14 */

static void
deadline_over_all_contexts (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (1000);
  AioContext *other = aio_context_new (NULL);
  int fired = 0;
  AioTimer *external =
      aio_timer_new_with_attrs (d->ctx, clock, AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_EXTERNAL, driver_count, &fired);
  AioTimer *far = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
  AioTimer *nearer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
  AioTimer near;

  aio_timer_init_with_attrs (&near, other, clock, AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_NONE, driver_count, &fired);
  g_assert_cmpint (aio_clock_deadline_ns_all (clock, AIO_TIMER_ATTR_NONE), ==, -1);

  /* The external one sorts first and is passed over, not stopped at. */
  aio_timer_mod (external, 1100);
  g_assert_cmpint (aio_clock_deadline_ns_all (clock, AIO_TIMER_ATTR_NONE), ==, -1);
  g_assert_cmpint (aio_clock_deadline_ns_all (clock, AIO_TIMER_ATTR_EXTERNAL), ==, 100);
  aio_timer_mod (far, 1900);
  g_assert_cmpint (aio_clock_deadline_ns_all (clock, AIO_TIMER_ATTR_NONE), ==, 900);
  /* Those behind it are in no order: all are looked at. */
  aio_timer_mod (nearer, 1600);
  g_assert_cmpint (aio_clock_deadline_ns_all (clock, AIO_TIMER_ATTR_NONE), ==, 600);
  aio_timer_mod (&near, 1500);
  g_assert_cmpint (aio_clock_deadline_ns_all (clock, AIO_TIMER_ATTR_NONE), ==, 500);
  g_assert_cmpint (aio_clock_deadline_ns_all (clock, AIO_TIMER_ATTR_EXTERNAL), ==, 100);
  aio_clock_set_ns (clock, 3000);
  g_assert_cmpint (aio_clock_deadline_ns_all (clock, AIO_TIMER_ATTR_NONE), ==, 0);

  /* The attribute changes nothing about firing. */
  driver_turn (d, TRUE);
  g_assert_cmpint (fired, ==, 3);

  aio_timer_deinit (&near);
  aio_context_unref (other);
  aio_timer_free (external);
  aio_timer_free (far);
  aio_timer_free (nearer);
}

/* One that is due, and whose turn in the pass has not come, counts. */

typedef struct {
  AioClock *clock;
  int fired;
  gint64 seen[3];
} DeadlineSeen;

static void
look_at_deadline (gpointer data)
{
  DeadlineSeen *s = data;

  s->seen[s->fired++] = aio_clock_deadline_ns_all (s->clock, AIO_TIMER_ATTR_NONE);
}

static void
deadline_in_the_middle_of_a_pass (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (0);
  DeadlineSeen s = { clock, 0 };
  AioTimer *timers[3];

  for (guint i = 0; i < 3; i++)
    {
      timers[i] = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, look_at_deadline, &s);
      aio_timer_mod_ns (timers[i], i + 1);
    }
  aio_clock_set_ns (clock, 2);
  driver_turn (d, TRUE);
  g_assert_cmpint (s.fired, ==, 2);
  g_assert_cmpint (s.seen[0], ==, 0); /* the second is due */
  g_assert_cmpint (s.seen[1], ==, 1);
  aio_clock_set_ns (clock, 3);
  driver_turn (d, TRUE);
  g_assert_cmpint (s.seen[2], ==, -1);
  for (guint i = 0; i < 3; i++)
    aio_timer_free (timers[i]);
}

static void
add_tests (void)
{
  driver_add_bare ("clock", "process-clocks-tell-the-time", process_clocks_tell_the_time);
  driver_add_bare ("clock", "N8-manual-clock-moves-when-told-to", manual_clock_moves_when_told_to);
  driver_add ("clock", "N8-host-time-round-trips", host_time_round_trips);
  driver_add ("clock", "moving-a-manual-clock-wakes-and-runs-nothing-itself",
              moving_a_manual_clock_wakes_and_runs_nothing_itself);
  driver_add ("clock", "clocks-fire-in-a-fixed-order", clocks_fire_in_a_fixed_order);
  driver_add ("clock", "G2-disabled-clock-neither-fires-nor-ends-a-wait", disabled_clock_neither_fires_nor_ends_a_wait);
  driver_add ("clock", "G3-disabled-in-its-own-timer-holds-the-rest-back",
              disabled_in_its_own_timer_holds_the_rest_back);
  driver_add_bare ("clock", "G16-disabling-waits-for-other-threads", disabling_waits_for_other_threads);
  driver_add_bare ("clock", "G16-disabling-again-waits-too", disabling_again_waits_too);
  driver_add_bare ("clock", "G16-enabling-ends-the-wait-of-a-disable", enabling_ends_the_wait_of_a_disable);
  driver_add_bare ("clock", "G16-disabling-waits-while-its-condition-holds", disabling_waits_while_its_condition_holds);
  driver_add ("clock", "G3-disabling-in-a-callback-does-not-wait-for-other-threads",
              disabling_in_a_callback_does_not_wait_for_other_threads);
  driver_add_bare ("clock", "G16-nothing-runs-once-disable-has-returned", nothing_runs_once_disable_has_returned);
  driver_add ("clock", "G16-disabled-and-enabled-at-once", disabled_and_enabled_at_once);
  driver_add ("clock", "G16-disabled-between-the-deadline-and-the-pass", disabled_between_the_deadline_and_the_pass);
  driver_add ("clock", "G2-enabling-wakes-every-context", enabling_wakes_every_context);
  driver_add ("clock", "G14-deadline-over-all-contexts", deadline_over_all_contexts);
  driver_add ("clock", "G14-deadline-in-the-middle-of-a-pass", deadline_in_the_middle_of_a_pass);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
