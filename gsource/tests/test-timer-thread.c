/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "driver.h"

/* Timers that other threads arm, disarm and free while they fire (G4), and while their context goes (G15) */

#define HOUR G_GINT64_CONSTANT (3600000000000)

static AioClock *
realtime (void)
{
  return aio_clock_get (AIO_CLOCK_REALTIME);
}

typedef struct {
  Driver *d;
  AioTimer *timer;
  int fired;
} Shared;

/* G4 */

static void
disarm (gpointer data)
{
  Shared *s = data;

  g_assert_false (aio_timer_pending (s->timer));
  aio_timer_del (s->timer);
}

static void
arm_at_once (gpointer data)
{
  Shared *s = data;

  aio_timer_mod_ns (s->timer, 0);
  g_assert_true (aio_timer_pending (s->timer));
}

static void
disarmed_by_another_thread_just_before_its_callback (Driver *d)
{
  Shared s = { .d = d };
  gboolean reached;

  s.timer = aio_timer_new (d->ctx, realtime (), AIO_TIMER_SCALE_NS, driver_count, &s.fired);

  /* It has been taken to be fired: too late. */
  aio_timer_mod_ns (s.timer, 0);
  driver_interleave (d, AIO_POINT_TIMER_BEFORE_CB, 0, disarm, &s, &reached);
  driver_turn (d, TRUE);
  g_assert_true (reached);
  g_assert_cmpint (s.fired, ==, 1);
  g_assert_false (driver_turn (d, FALSE));

  /* Armed there it is armed anew, for a later pass. */
  aio_timer_mod_ns (s.timer, 0);
  driver_interleave (d, AIO_POINT_TIMER_BEFORE_CB, 0, arm_at_once, &s, &reached);
  driver_turn (d, TRUE);
  g_assert_true (reached);
  g_assert_cmpint (s.fired, ==, 2);
  g_assert_true (aio_timer_pending (s.timer));
  driver_turn (d, TRUE);
  g_assert_cmpint (s.fired, ==, 3);
  g_assert_false (aio_timer_pending (s.timer));
  g_assert_false (driver_turn (d, FALSE));
  aio_timer_free (s.timer);
}

typedef struct {
  Shared first, second;
} Couple;

static void
disarm_the_second (gpointer data)
{
  Couple *couple = data;

  aio_timer_del (couple->second.timer);
}

static void
disarmed_by_another_thread_while_due_does_not_fire (Driver *d)
{
  Couple couple = { { .d = d }, { .d = d } };
  gboolean reached;

  couple.first.timer = aio_timer_new (d->ctx, realtime (), AIO_TIMER_SCALE_NS, driver_count, &couple.first.fired);
  couple.second.timer = aio_timer_new (d->ctx, realtime (), AIO_TIMER_SCALE_NS, driver_count, &couple.second.fired);
  aio_timer_mod_ns (couple.first.timer, 1);
  aio_timer_mod_ns (couple.second.timer, 2);
  driver_interleave (d, AIO_POINT_TIMER_BEFORE_CB, 0, disarm_the_second, &couple, &reached);
  driver_settle (d);
  g_assert_true (reached);
  g_assert_cmpint (couple.first.fired, ==, 1);
  g_assert_cmpint (couple.second.fired, ==, 0);
  aio_timer_free (couple.first.timer);
  aio_timer_free (couple.second.timer);
}

static void
have_another_thread_disarm (gpointer data)
{
  Shared *s = data;

  /* It would hang if this waited for the callback it is called in. */
  driver_on_thread (disarm, s);
  s->fired++;
}

static void
disarming_does_not_wait_for_the_callback (Driver *d)
{
  Shared s = { .d = d };

  s.timer = aio_timer_new (d->ctx, realtime (), AIO_TIMER_SCALE_NS, have_another_thread_disarm, &s);
  aio_timer_mod_ns (s.timer, 0);
  driver_turn (d, TRUE);
  g_assert_cmpint (s.fired, ==, 1);
  aio_timer_free (s.timer);
}

static void
free_it_here (gpointer data)
{
  aio_timer_free (((Shared *) data)->timer);
}

static void
freed_by_another_thread_is_refused (Driver *d)
{
  Shared s = { .d = d };

  s.timer = aio_timer_new_full (d->ctx, realtime (), AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_NONE, "timer", driver_count,
                                &s.fired, driver_count);
  aio_timer_mod_ns (s.timer, 0);
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_CRITICAL, "*aio_timer_close*home*");
  driver_on_thread (free_it_here, &s);
  g_test_assert_expected_messages ();
  g_assert_cmpint (s.fired, ==, 0);
  g_assert_true (aio_timer_pending (s.timer));
  driver_turn (d, TRUE);
  g_assert_cmpint (s.fired, ==, 1);
  aio_timer_free (s.timer);
  g_assert_cmpint (s.fired, ==, 2); /* by the destroy notify */
}

/* G15 */

typedef enum {
  MOD,
  MOD_NS,
  ANTICIPATE,
  DEL,
  ASK,
  N_CALLS,
} Call;

typedef struct {
  AioContext *ctx; /* a reference */
  AioTimer *timer; /* likewise, or in our memory */
  Call call;
  int done;
} Late;

static void
call_it (AioTimer *timer, Call call)
{
  if (call == MOD)
    aio_timer_mod (timer, 0);
  else if (call == MOD_NS)
    aio_timer_mod_ns (timer, HOUR);
  else if (call == ANTICIPATE)
    aio_timer_mod_anticipate_ns (timer, 0);
  else if (call == DEL)
    aio_timer_del (timer);
  else
    g_assert_cmpint (aio_timer_expire_time_ns (timer), ==, -1);
}

static void
call_late (gpointer data)
{
  Late *late = data;

  call_it (late->timer, late->call);
  g_assert_cmpint (aio_timer_expire_time_ns (late->timer), ==, -1);
  aio_context_unref (late->ctx);
}

/* A thread has looked where the timer is, and then that is no more. */
static void
closed_in_the_middle_of_a_call (Driver *d, Call call, gboolean manual, gboolean embedded, gboolean armed,
                                gboolean timer_alone)
{
  g_autoptr (AioClock) own = aio_clock_new_manual (0);
  AioClock *clock = manual ? own : realtime ();
  AioContext *ctx = aio_context_new (NULL);
  Late late = { .ctx = ctx, .call = call };
  int fired = 0, destroyed = 0, other_fired = 0;
  AioTimer memory, *other = NULL;
  DriverGate *gate;
  pthread_t thread;

  if (embedded)
    {
      late.timer = &memory;
      aio_timer_init (late.timer, ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
    }
  else
    late.timer = aio_timer_new_boxed (ctx, clock, AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_NONE, "late", driver_count,
                                      &destroyed, driver_count);
  if (armed)
    aio_timer_mod_ns (late.timer, G_MAXINT64 - 1);

  aio_context_ref (ctx);
  gate = driver_gate_new (ctx, AIO_POINT_TIMER_BEFORE_LOCK);
  thread = driver_thread_start (call_late, &late);
  driver_gate_await (gate);

  if (timer_alone)
    {
      g_autoptr (AioClock) another = aio_clock_new_manual (0);

      /* What it had is used for others right away. */
      if (embedded)
        aio_timer_deinit (late.timer);
      else
        aio_timer_close (late.timer);
      other = aio_timer_new (ctx, manual ? another : realtime (), AIO_TIMER_SCALE_NS, driver_count, &other_fired);
    }
  else
    g_assert_true (aio_context_close (ctx, NULL));
  driver_gate_open (gate);

  if (other != NULL)
    {
      driver_thread_join (thread);
      driver_poll (ctx, FALSE);
      g_assert_cmpint (other_fired, ==, 0);
      g_assert_false (aio_timer_pending (other));
      aio_timer_free (other);
      aio_context_unref (ctx);
    }
  else
    {
      aio_context_unref (ctx);
      driver_thread_join (thread); /* with whose reference the context has gone, if it was the last */
    }
  driver_gate_free (gate, NULL);

  g_assert_cmpint (aio_timer_expire_time_ns (late.timer), ==, -1);
  g_assert_cmpint (fired, ==, 0);
  g_assert_cmpint (destroyed, ==, embedded ? 0 : 1);
  if (!embedded)
    aio_timer_unref (late.timer);
}

static void
context_closed_while_another_thread_calls (Driver *d)
{
  for (Call call = MOD; call < N_CALLS; call++)
    for (guint flags = 0; flags < 16; flags++)
      {
        gboolean manual = flags & 1, embedded = flags & 2, armed = flags & 4, timer_alone = flags & 8;

        /* Nobody knows of a timer in its owner's memory that is not armed. */
        if (embedded && !armed && !timer_alone)
          continue;
        g_test_message ("call %d, %s%s%s%s", call, manual ? "manual " : "", embedded ? "embedded " : "",
                        armed ? "armed " : "", timer_alone ? "timer alone" : "");
        closed_in_the_middle_of_a_call (d, call, manual, embedded, armed, timer_alone);
      }
}

/* The context is closed, and left by home, while another thread is about to wake it. */

static void
arm_and_unref (gpointer data)
{
  Late *late = data;

  aio_timer_mod_ns (late->timer, 0);
  aio_timer_unref (late->timer);
  aio_context_unref (late->ctx);
  driver_count (&late->done);
}

static void
context_goes_while_another_thread_notifies (Driver *d)
{
  for (guint round = 0; round < 20; round++)
    {
      AioContext *ctx = aio_context_new (NULL);
      Late late = { .ctx = aio_context_ref (ctx) };
      int destroyed = 0;
      DriverGate *gate;
      pthread_t thread;

      late.timer = aio_timer_new_boxed (ctx, realtime (), AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_NONE, "late", driver_count,
                                        &destroyed, driver_count);
      gate = driver_gate_new (ctx, AIO_POINT_NOTIFY_AFTER_NOTIFIED);
      thread = driver_thread_start (arm_and_unref, &late);
      driver_gate_await (gate);
      if (round % 2)
        {
          g_assert_true (aio_context_close (ctx, NULL));
          g_assert_cmpint (destroyed, ==, 1);
        }
      else
        driver_expect_warning ("*timer late was still armed*");
      aio_context_unref (ctx);
      g_assert_cmpint (late.done, ==, 0);
      driver_gate_open (gate);
      driver_thread_join (thread);
      driver_gate_free (gate, NULL);
      g_test_assert_expected_messages ();
      g_assert_cmpint (late.done, ==, 1);
      g_assert_cmpint (destroyed, ==, 1);
    }
}

/* The same without gates, many times */

typedef struct {
  AioContext *ctx;
  AioTimer *timers[2];
  AioClock *manual;
  int calls;
} Hammer;

static void
call_until_closed (gpointer data)
{
  Hammer *h = data;

  for (guint i = 0; !aio_context_is_closed (h->ctx); i++)
    {
      call_it (h->timers[i % 2], i / 2 % ASK);
      if (i % 5 == 0)
        aio_clock_advance_ns (h->manual, 1);
      driver_count (&h->calls);
    }
  for (guint i = 0; i < 2; i++)
    aio_timer_mod (h->timers[i], 0);
  aio_context_unref (h->ctx);
}

static void
closed_under_fire (Driver *d)
{
  for (int round = 0; round < 300; round++)
    {
      g_autoptr (AioClock) manual = aio_clock_new_manual (0);
      Hammer h = { .ctx = aio_context_new (NULL), .manual = manual };
      AioContext *ctx = aio_context_ref (h.ctx);
      int counts[2] = { 0, 0 };
      pthread_t thread;

      for (guint i = 0; i < 2; i++)
        h.timers[i] = aio_timer_new_boxed (h.ctx, i ? manual : realtime (), AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_NONE,
                                           "hammered", driver_count, &counts[i], NULL);
      thread = driver_thread_start (call_until_closed, &h);
      while (__atomic_load_n (&h.calls, __ATOMIC_ACQUIRE) < round % 50)
        driver_poll (ctx, FALSE);
      g_assert_true (aio_context_close (ctx, NULL));
      aio_context_unref (ctx);
      driver_thread_join (thread);
      for (guint i = 0; i < 2; i++)
        {
          g_assert_false (aio_timer_pending (h.timers[i]));
          aio_timer_unref (h.timers[i]);
        }
    }
}

/* Two threads are the first on a clock, at once: the context has one list for it, of which both are users. */

enum {
  FIRST_ROUNDS = 500
};

typedef struct {
  AioContext *ctx;
  AioClock **clocks;
  int *arrived; /* of both, in all rounds: they set out together */
  AioTimer *timers[FIRST_ROUNDS];
  int *fired;
} First;

static void
make_timers (gpointer data)
{
  First *first = data;

  for (guint i = 0; i < FIRST_ROUNDS; i++)
    {
      driver_count (first->arrived);
      while (__atomic_load_n (first->arrived, __ATOMIC_ACQUIRE) < 2 * ((int) i + 1))
        ;
      first->timers[i] =
          aio_timer_new (first->ctx, first->clocks[i], AIO_TIMER_SCALE_NS, driver_count, &first->fired[i]);
    }
}

static void
two_threads_are_first_on_a_clock (Driver *d)
{
  g_autofree First *first = g_new0 (First, 2);
  AioClock *clocks[FIRST_ROUNDS];
  int fired[FIRST_ROUNDS] = { 0 };
  pthread_t threads[2];
  int arrived = 0;

  for (guint i = 0; i < FIRST_ROUNDS; i++)
    clocks[i] = aio_clock_new_manual (0);
  for (guint t = 0; t < 2; t++)
    {
      first[t] = (First){ .ctx = d->ctx, .clocks = clocks, .arrived = &arrived, .fired = fired };
      threads[t] = driver_thread_start (make_timers, &first[t]);
    }
  for (guint t = 0; t < 2; t++)
    driver_thread_join (threads[t]);
  g_assert_cmpuint (atomic_load (&d->ctx->n_manual_lists), ==, FIRST_ROUNDS);

  for (guint i = 0; i < FIRST_ROUNDS; i++)
    for (guint t = 0; t < 2; t++)
      aio_timer_mod_ns (first[t].timers[i], 1);
  for (guint i = 0; i < FIRST_ROUNDS; i++)
    aio_clock_set_ns (clocks[i], 1);
  driver_settle (d);
  for (guint i = 0; i < FIRST_ROUNDS; i++)
    {
      g_assert_cmpint (fired[i], ==, 2);
      aio_timer_free (first[0].timers[i]);
      g_assert_cmpint (aio_clock_deadline_ns_all (clocks[i], AIO_TIMER_ATTR_NONE), ==, -1);
      aio_timer_free (first[1].timers[i]);
      aio_clock_unref (clocks[i]);
    }
  g_assert_cmpuint (atomic_load (&d->ctx->n_manual_lists), ==, 0);
}

static void
add_tests (void)
{
  driver_add ("timer-thread", "G4-disarmed-by-another-thread-just-before-its-callback",
              disarmed_by_another_thread_just_before_its_callback);
  driver_add ("timer-thread", "G4-disarmed-by-another-thread-while-due-does-not-fire",
              disarmed_by_another_thread_while_due_does_not_fire);
  driver_add ("timer-thread", "G4-disarming-does-not-wait-for-the-callback", disarming_does_not_wait_for_the_callback);
  driver_add ("timer-thread", "G4-freed-by-another-thread-is-refused", freed_by_another_thread_is_refused);
  driver_add_bare ("timer-thread", "G15-context-closed-while-another-thread-calls",
                   context_closed_while_another_thread_calls);
  driver_add_bare ("timer-thread", "G15-context-goes-while-another-thread-notifies",
                   context_goes_while_another_thread_notifies);
  driver_add_bare ("timer-thread", "G15-closed-under-fire", closed_under_fire);
  driver_add_for (DRIVER_POLL, "timer-thread", "two-threads-are-first-on-a-clock", two_threads_are_first_on_a_clock);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
