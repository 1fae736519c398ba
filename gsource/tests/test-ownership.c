/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include "aio-context-private.h"

#include <stdatomic.h>
#include <string.h>

/* aio_context_acquire() and aio_context_release() */

#define ASSERT_RELEASE_FAILS(ctx, code)                                                                                \
  G_STMT_START                                                                                                         \
  {                                                                                                                    \
    g_autoptr (GError) error = NULL;                                                                                   \
                                                                                                                       \
    g_assert_false (aio_context_release ((ctx), &error));                                                              \
    g_assert_error (error, AIO_ERROR, (code));                                                                         \
    g_assert_nonnull (strstr (error->message, aio_context_get_name (ctx)));                                            \
  }                                                                                                                    \
  G_STMT_END

static AioContext *
context_new (const char *name)
{
  g_autoptr (GError) error = NULL;
  AioContext *ctx = aio_context_new_full (name, AIO_MONITOR_AUTO, &error);

  g_assert_no_error (error);
  return ctx;
}

static void
release (AioContext *ctx)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (aio_context_release (ctx, &error));
  g_assert_no_error (error);
}

static void
await_waiters (AioContext *ctx, guint n)
{
  while (aio_context_lock_count_waiters (ctx) < n)
    g_thread_yield ();
}

static gboolean
never (gpointer data)
{
  return FALSE;
}

static void
cannot_get_in (gpointer data)
{
  g_assert_false (aio_context_acquire_while (data, never, NULL));
  ASSERT_RELEASE_FAILS (data, AIO_ERROR_NOT_OWNER);
}

static void
get_in (gpointer data)
{
  aio_context_acquire (data);
  release (data);
}

static void
is_recursive (Driver *d)
{
  aio_context_acquire (d->ctx);
  aio_context_acquire (d->ctx);
  g_assert_true (aio_context_acquire_while (d->ctx, never, NULL));
  for (guint levels = 3; levels > 0; levels--)
    {
      driver_on_thread (cannot_get_in, d->ctx);
      release (d->ctx);
    }
  driver_on_thread (get_in, d->ctx);
  ASSERT_RELEASE_FAILS (d->ctx, AIO_ERROR_NOT_HELD);
}

static void
release_without_ownership_changes_nothing (Driver *d)
{
  ASSERT_RELEASE_FAILS (d->ctx, AIO_ERROR_NOT_HELD);
  g_assert_false (aio_context_release (d->ctx, NULL));
  aio_context_acquire (d->ctx);
  driver_on_thread (cannot_get_in, d->ctx);
  driver_on_thread (cannot_get_in, d->ctx);
  g_assert_cmpuint (aio_context_lock_count_waiters (d->ctx), ==, 0);
  release (d->ctx);
  ASSERT_RELEASE_FAILS (d->ctx, AIO_ERROR_NOT_HELD);
}

/* Who waits */

typedef struct {
  AioContext *ctx;
  int number;
  int *order, *n_entered; /* by who owns the context */
} Entrant;

static void
enter (gpointer data)
{
  Entrant *e = data;

  aio_context_acquire (e->ctx);
  e->order[(*e->n_entered)++] = e->number;
  release (e->ctx);
}

#define ENTRANTS 4

static void
waiters_are_served_in_the_order_of_coming (Driver *d)
{
  Entrant entrants[ENTRANTS];
  pthread_t threads[ENTRANTS];
  int order[ENTRANTS], n = 0;

  aio_context_acquire (d->ctx);
  for (int i = 0; i < ENTRANTS; i++)
    {
      entrants[i] = (Entrant){ d->ctx, i, order, &n };
      threads[i] = driver_thread_start (enter, &entrants[i]);
      await_waiters (d->ctx, i + 1);
    }
  release (d->ctx);
  /* Who was in the queue is in before who comes now, however fast. */
  aio_context_acquire (d->ctx);
  g_assert_cmpint (n, ==, ENTRANTS);
  release (d->ctx);
  for (int i = 0; i < ENTRANTS; i++)
    {
      driver_thread_join (threads[i]);
      g_assert_cmpint (order[i], ==, i);
    }
}

typedef struct {
  AioContext *ctx;
  _Atomic gboolean give_up;
} Quitter;

static gboolean
goes_on (gpointer data)
{
  return !atomic_load (&((Quitter *) data)->give_up);
}

static void
quit (gpointer data)
{
  Quitter *q = data;

  g_assert_false (aio_context_acquire_while (q->ctx, goes_on, q));
}

typedef struct {
  AioContext *ctx;
  gboolean asked, released;
} Late;

static gboolean
goes_on_until_released (gpointer data)
{
  Late *late = data;

  __atomic_store_n (&late->asked, TRUE, __ATOMIC_RELEASE);
  while (!__atomic_load_n (&late->released, __ATOMIC_ACQUIRE))
    g_usleep (100);
  return FALSE;
}

static void
give_up_too_late (gpointer data)
{
  Late *late = data;

  g_assert_true (aio_context_acquire_while (late->ctx, goes_on_until_released, late));
  release (late->ctx);
}

static void
who_is_granted_it_while_giving_up_has_it (Driver *d)
{
  Late late = { .ctx = d->ctx };
  pthread_t thread;

  aio_context_acquire (d->ctx);
  thread = driver_thread_start (give_up_too_late, &late);
  while (!__atomic_load_n (&late.asked, __ATOMIC_ACQUIRE))
    g_usleep (100);
  release (d->ctx);
  __atomic_store_n (&late.released, TRUE, __ATOMIC_RELEASE);
  driver_thread_join (thread);
  g_assert_cmpuint (aio_context_lock_count_waiters (d->ctx), ==, 0);
  /* It released what it had been granted. */
  aio_context_acquire (d->ctx);
  release (d->ctx);
}

static void
who_gives_up_leaves_the_queue (Driver *d)
{
  Quitter quitters[3];
  Entrant entrants[2];
  pthread_t quitting[3], entering[2];
  int order[2], n = 0;

  aio_context_acquire (d->ctx);
  /* One before the first, one between, one after the last, which others come after. */
  for (guint i = 0; i < 3; i++)
    {
      quitters[i] = (Quitter){ .ctx = d->ctx };
      quitting[i] = driver_thread_start (quit, &quitters[i]);
      await_waiters (d->ctx, 2 * i + 1);
      if (i == 2)
        break;
      entrants[i] = (Entrant){ d->ctx, (int) i, order, &n };
      entering[i] = driver_thread_start (enter, &entrants[i]);
      await_waiters (d->ctx, 2 * i + 2);
    }
  for (guint i = 0; i < 3; i++)
    {
      atomic_store (&quitters[i].give_up, TRUE);
      driver_thread_join (quitting[i]);
    }
  g_assert_cmpuint (aio_context_lock_count_waiters (d->ctx), ==, 2);
  release (d->ctx);
  aio_context_acquire (d->ctx);
  g_assert_cmpint (n, ==, 2);
  g_assert_cmpint (order[0], ==, 0);
  release (d->ctx);
  for (guint i = 0; i < 2; i++)
    driver_thread_join (entering[i]);
}

/* The kick */

static void
waiter_wakes_the_owner_who_polls (Driver *d)
{
  pthread_t thread;

  aio_context_acquire (d->ctx);
  thread = driver_thread_start (get_in, d->ctx);
  g_assert_false (driver_turn (d, TRUE)); /* with nothing to wait for: the watchdog would end it */
  await_waiters (d->ctx, 1);
  release (d->ctx);
  driver_thread_join (thread);
}

static void
a_kick_before_the_wait_is_remembered (Driver *d)
{
  pthread_t thread;

  aio_context_acquire (d->ctx);
  thread = driver_thread_start (get_in, d->ctx);
  while (!aio_context_get_notified (d->ctx))
    g_thread_yield ();
  g_assert_false (driver_turn (d, TRUE));
  g_assert_false (aio_context_get_notified (d->ctx));
  release (d->ctx);
  driver_thread_join (thread);
}

typedef struct {
  AioContext *ctx;
  _Atomic gboolean entered;
} Visitor;

static void
enter_once (gpointer data)
{
  Visitor *v = data;

  aio_context_acquire (v->ctx);
  atomic_store (&v->entered, TRUE);
  release (v->ctx);
}

static void
others_stay_out_of_a_poll_that_is_owned (Driver *d)
{
  Visitor v = { .ctx = d->ctx };
  int fds[2], runs = 0;
  pthread_t thread;

  driver_pipe (fds);
  driver_watch (d, fds[0], driver_count_read_drain, &runs);
  aio_context_acquire (d->ctx);
  thread = driver_thread_start (enter_once, &v);
  await_waiters (d->ctx, 1);
  driver_write_byte (fds[1]);
  driver_run_until_count (d, &runs, 1, 5000);
  g_assert_false (atomic_load (&v.entered));
  release (d->ctx);
  driver_thread_join (thread);
  g_assert_true (atomic_load (&v.entered));
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

typedef struct {
  AioContext *ctx;
  _Atomic int state; /* 1: owned; 2: enough */
} Owner;

static void
own (gpointer data)
{
  Owner *o = data;

  aio_context_acquire (o->ctx);
  atomic_store (&o->state, 1);
  while (atomic_load (&o->state) != 2)
    g_thread_yield ();
  release (o->ctx);
}

static void
home_drives_what_another_thread_owns (Driver *d)
{
  Owner o = { .ctx = d->ctx };
  pthread_t thread = driver_thread_start (own, &o);
  int runs = 0;

  while (atomic_load (&o.state) != 1)
    g_thread_yield ();
  aio_context_schedule_oneshot (d->ctx, driver_count, &runs);
  g_assert_true (driver_turn (d, TRUE));
  g_assert_cmpint (runs, ==, 1);
  atomic_store (&o.state, 2);
  driver_thread_join (thread);
}

#define CONTENDERS 4
#define WINDOW 100
#define WINDOWS 5

typedef struct {
  AioContext *ctx;
  _Atomic gboolean *stop;
  guint entered; /* by who owns the context */
} Contender;

static void
contend (gpointer data)
{
  Contender *c = data;

  while (!atomic_load (c->stop))
    {
      aio_context_acquire (c->ctx);
      c->entered++;
      release (c->ctx);
    }
}

static void
each_contender_gets_in (Driver *d)
{
  _Atomic gboolean stop = FALSE;
  Contender contenders[CONTENDERS];
  pthread_t threads[CONTENDERS];
  guint before[CONTENDERS];

  driver_watchdog (120);
  for (guint i = 0; i < CONTENDERS; i++)
    {
      contenders[i] = (Contender){ .ctx = d->ctx, .stop = &stop };
      threads[i] = driver_thread_start (contend, &contenders[i]);
    }
  for (guint window = 0; window < WINDOWS; window++)
    {
      /* All are there, which with fewer processors than threads may take its time. */
      aio_context_acquire (d->ctx);
      await_waiters (d->ctx, CONTENDERS);
      for (guint i = 0; i < CONTENDERS; i++)
        before[i] = contenders[i].entered;
      release (d->ctx);
      for (guint i = 0; i < WINDOW; i++)
        {
          aio_context_acquire (d->ctx);
          driver_turn (d, TRUE);
          release (d->ctx);
        }
      aio_context_acquire (d->ctx);
      for (guint i = 0; i < CONTENDERS; i++)
        g_assert_cmpuint (contenders[i].entered, >, before[i]);
      release (d->ctx);
    }
  atomic_store (&stop, TRUE);
  for (guint i = 0; i < CONTENDERS; i++)
    driver_thread_join (threads[i]);
}

/* The order of two contexts */

static void
acquire_both (AioContext *first, AioContext *second)
{
  aio_context_acquire (first);
  aio_context_acquire (second);
  aio_context_acquire (first);
  release (first);
  release (first); /* not the last one first */
  release (second);
}

typedef struct {
  AioContext *first, *second;
} Both;

static void
acquire_in_this_order (gpointer data)
{
  Both *both = data;

  acquire_both (both->first, both->second);
}

static void
acquiring_in_both_orders_is_one_warning (Driver *d)
{
  AioContext *a = context_new ("alpha"), *b = context_new ("beta");
  Both opposite = { b, a };

  g_assert_cmpuint (aio_lock_order_count_pairs (), ==, 0);
  acquire_both (a, b);
  acquire_both (a, b);
  g_assert_cmpuint (aio_lock_order_count_pairs (), ==, 1);
  driver_expect_warning ("*alpha*beta*other order*");
  driver_on_thread (acquire_in_this_order, &opposite);
  g_test_assert_expected_messages ();
  acquire_both (b, a);
  acquire_both (a, b);
  g_assert_cmpuint (aio_lock_order_count_pairs (), ==, 2);

  /* One at a time is no order. */
  get_in (b);
  get_in (a);
  aio_context_unref (a);
  g_assert_cmpuint (aio_lock_order_count_pairs (), ==, 0);
  aio_context_unref (b);
}

static void
each_context_that_is_owned_counts (Driver *d)
{
  AioContext *a = context_new ("alpha"), *b = context_new ("beta"), *c = context_new ("gamma");

  aio_context_acquire (a);
  aio_context_acquire (b);
  aio_context_acquire (c);
  release (a);
  release (b);
  release (c);
  g_assert_cmpuint (aio_lock_order_count_pairs (), ==, 3);
  aio_context_acquire (c);
  driver_expect_warning ("*alpha*gamma*");
  aio_context_acquire (a);
  g_test_assert_expected_messages ();
  release (a);
  release (c);
  aio_context_unref (b);
  g_assert_cmpuint (aio_lock_order_count_pairs (), ==, 2);
  aio_context_unref (a);
  aio_context_unref (c);
  g_assert_cmpuint (aio_lock_order_count_pairs (), ==, 0);
}

/* Ends */

static void
ending_while_owned_is_a_warning (Driver *d)
{
  AioContext *a = context_new ("alpha"), *b = context_new ("beta");

  aio_context_acquire (a);
  driver_expect_warning ("*alpha*not released*");
  aio_context_unref (a);
  g_test_assert_expected_messages ();
  /* It is nothing that this thread still owns. */
  get_in (b);
  g_assert_cmpuint (aio_lock_order_count_pairs (), ==, 0);
  aio_context_unref (b);
}

static void
unref (gpointer data)
{
  aio_context_unref (data);
}

static void
ending_on_another_thread_than_the_owner_is_a_warning (Driver *d)
{
  AioContext *a = context_new ("alpha"), *b = context_new ("beta");

  aio_context_acquire (a);
  driver_expect_warning ("*alpha*not released*");
  driver_on_thread (unref, a);
  g_test_assert_expected_messages ();
  get_in (b);
  g_assert_cmpuint (aio_lock_order_count_pairs (), ==, 0);
  aio_context_unref (b);
}

static void
acquire_and_end (gpointer data)
{
  aio_context_acquire (data);
  aio_context_acquire (data);
}

static void
a_thread_that_ends_hands_on_what_it_owns (Driver *d)
{
  driver_expect_warning ("*driver*thread*ended*");
  driver_on_thread (acquire_and_end, d->ctx);
  g_test_assert_expected_messages ();
  get_in (d->ctx);
}

/* The destructor of a key that is younger than what the end of the thread is watched with, and so called later. */
static pthread_key_t younger;

static void
acquire_at_the_end (gpointer data)
{
  aio_context_acquire (data);
}

static void
acquire_twice (gpointer data)
{
  get_in (data);
  g_assert_cmpint (pthread_key_create (&younger, acquire_at_the_end), ==, 0);
  g_assert_cmpint (pthread_setspecific (younger, data), ==, 0);
}

static void
a_destructor_that_acquires (Driver *d)
{
  driver_expect_warning ("*driver*thread*ended*");
  driver_on_thread (acquire_twice, d->ctx);
  g_test_assert_expected_messages ();
  get_in (d->ctx);
  pthread_key_delete (younger);
}

static void
acquire_end_and_leave_behind (gpointer data)
{
  aio_context_acquire (data);
  driver_on_thread (unref, data);
}

static void
a_thread_that_ends_after_what_it_owned (Driver *d)
{
  driver_expect_warning ("*alpha*not released*");
  driver_on_thread (acquire_end_and_leave_behind, context_new ("alpha"));
}

static void
a_closed_context_is_acquired_like_any_other (Driver *d)
{
  aio_context_acquire (d->ctx);
  g_assert_true (aio_context_close (d->ctx, NULL));
  driver_on_thread (cannot_get_in, d->ctx);
  release (d->ctx);
  get_in (d->ctx);
}

/* I8 */

static void
misuse_elsewhere (gpointer data)
{
  Driver *d = data;
  g_autoptr (GError) error = NULL;

  /* Not even the owner drives what is not at home here. */
  aio_context_acquire (d->ctx);
  g_assert_false (aio_context_poll (d->ctx, TRUE, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_WRONG_THREAD);
  release (d->ctx);
}

/* I1: who waits would keep home, which has to get in, from ever doing what is waited for. */
static gboolean
always (gpointer data)
{
  return TRUE;
}

static void
wait_as_the_owner_elsewhere (gpointer data)
{
  Driver *d = data;
  gint64 start_ms = driver_now_ms ();

  aio_context_acquire (d->ctx);
  aio_context_acquire (d->ctx);
  for (guint how = 0; how < 3; how++)
    {
      g_autoptr (GError) error = NULL;

      if (how == 0)
        g_assert_false (aio_context_wait_while (d->ctx, always, NULL, &error));
      else if (how == 1)
        g_assert_false (aio_context_poll (d->ctx, TRUE, &error));
      else
        g_assert_false (aio_context_poll_for (d->ctx, -1, NULL, &error));
      g_assert_error (error, AIO_ERROR, AIO_ERROR_WRONG_THREAD);
    }
  g_assert_cmpint (driver_now_ms () - start_ms, <, 2000);

  /* It owns the context as often as before. */
  release (d->ctx);
  driver_on_thread (cannot_get_in, d->ctx);
  release (d->ctx);
  ASSERT_RELEASE_FAILS (d->ctx, AIO_ERROR_NOT_HELD);
}

static void
waiting_as_the_owner_elsewhere_is_an_error (Driver *d)
{
  int runs = 0;

  aio_context_schedule_oneshot (d->ctx, driver_count, &runs);
  driver_on_thread (wait_as_the_owner_elsewhere, d);
  g_assert_cmpint (runs, ==, 0);
  driver_on_thread (get_in, d->ctx);
  g_assert_true (driver_turn (d, TRUE));
  g_assert_cmpint (runs, ==, 1);
}

static void
foreign_poll_and_second_current_are_errors (Driver *d)
{
  g_autoptr (AioContext) other = context_new ("other");
  g_autoptr (GError) error = NULL;
  int runs = 0;

  aio_context_schedule_oneshot (d->ctx, driver_count, &runs);
  driver_on_thread (misuse_elsewhere, d);
  g_assert_cmpint (runs, ==, 0);
  g_assert_cmpuint (driver_stats (d).polls, ==, 0);

  g_assert_true (aio_context_set_current (d->ctx, NULL));
  g_assert_false (aio_context_set_current (other, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_CURRENT_SET);
  g_assert_true (aio_context_get_current () == d->ctx);
  g_assert_true (driver_turn (d, TRUE));
  g_assert_cmpint (runs, ==, 1);
  g_assert_true (aio_context_set_current (NULL, NULL));
}

static void
add_tests (void)
{
  driver_add_for (DRIVER_POLL, "ownership", "I5-is-recursive", is_recursive);
  driver_add_for (DRIVER_POLL, "ownership", "release-without-ownership-changes-nothing",
                  release_without_ownership_changes_nothing);
  driver_add_for (DRIVER_POLL, "ownership", "waiters-are-served-in-the-order-of-coming",
                  waiters_are_served_in_the_order_of_coming);
  driver_add_for (DRIVER_POLL, "ownership", "who-gives-up-leaves-the-queue", who_gives_up_leaves_the_queue);
  driver_add_for (DRIVER_POLL, "ownership", "who-is-granted-it-while-giving-up-has-it",
                  who_is_granted_it_while_giving_up_has_it);
  driver_add ("ownership", "I3-waiter-wakes-the-owner-who-polls", waiter_wakes_the_owner_who_polls);
  driver_add ("ownership", "A8-a-kick-before-the-wait-is-remembered", a_kick_before_the_wait_is_remembered);
  driver_add ("ownership", "I4-others-stay-out-of-a-poll-that-is-owned", others_stay_out_of_a_poll_that_is_owned);
  driver_add ("ownership", "home-drives-what-another-thread-owns", home_drives_what_another_thread_owns);
  driver_add ("ownership", "I3-each-contender-gets-in", each_contender_gets_in);
  driver_add_bare ("ownership", "I2-acquiring-in-both-orders-is-one-warning", acquiring_in_both_orders_is_one_warning);
  driver_add_bare ("ownership", "I2-each-context-that-is-owned-counts", each_context_that_is_owned_counts);
  driver_add_bare ("ownership", "ending-while-owned-is-a-warning", ending_while_owned_is_a_warning);
  driver_add_bare ("ownership", "ending-on-another-thread-than-the-owner-is-a-warning",
                   ending_on_another_thread_than_the_owner_is_a_warning);
  driver_add_for (DRIVER_POLL, "ownership", "a-thread-that-ends-hands-on-what-it-owns",
                  a_thread_that_ends_hands_on_what_it_owns);
  driver_add_for (DRIVER_POLL, "ownership", "a-destructor-that-acquires", a_destructor_that_acquires);
  driver_add_bare ("ownership", "a-thread-that-ends-after-what-it-owned", a_thread_that_ends_after_what_it_owned);
  driver_add_for (DRIVER_POLL, "ownership", "a-closed-context-is-acquired-like-any-other",
                  a_closed_context_is_acquired_like_any_other);
  driver_add ("ownership", "I1-waiting-as-the-owner-elsewhere-is-an-error", waiting_as_the_owner_elsewhere_is_an_error);
  driver_add ("ownership", "I8-foreign-poll-and-second-current-are-errors", foreign_poll_and_second_current_are_errors);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
