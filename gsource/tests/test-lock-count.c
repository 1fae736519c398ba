/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include <stdatomic.h>

/* A count of visitors and a lock in one */

typedef struct {
  AioLockCount count;
  _Atomic int progress; /* what the other thread has done so far */
  int guarded;
} Fixture;

static void
fixture_init (Fixture *f)
{
  *f = (Fixture){ .progress = 0 };
  aio_lock_count_init (&f->count);
}

/* The lock is free: another thread gets it at once, or the watchdog barks. */
static void
lock_and_unlock (gpointer data)
{
  Fixture *f = data;

  aio_lock_count_lock (&f->count);
  aio_lock_count_unlock (&f->count);
}

static void
fixture_clear (Fixture *f)
{
  driver_on_thread (lock_and_unlock, f);
  g_assert_cmpuint (aio_lock_count_count (&f->count), ==, 0);
  aio_lock_count_clear (&f->count);
}

static void
inc_and_dec_count_visitors (Driver *d)
{
  Fixture f;

  fixture_init (&f);
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 0);
  aio_lock_count_inc (&f.count);
  aio_lock_count_inc (&f.count);
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 2);
  aio_lock_count_dec (&f.count);
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 1);
  aio_lock_count_dec (&f.count);
  fixture_clear (&f);
}

static void
dec_and_lock_locks_only_for_the_last (Driver *d)
{
  Fixture f;

  fixture_init (&f);
  aio_lock_count_inc (&f.count);
  aio_lock_count_inc (&f.count);
  g_assert_false (aio_lock_count_dec_and_lock (&f.count));
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 1);
  driver_on_thread (lock_and_unlock, &f);
  g_assert_true (aio_lock_count_dec_and_lock (&f.count));
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 0);
  aio_lock_count_unlock (&f.count);
  fixture_clear (&f);
}

static void
dec_if_lock_leaves_only_as_the_last (Driver *d)
{
  Fixture f;

  fixture_init (&f);
  aio_lock_count_inc (&f.count);
  aio_lock_count_inc (&f.count);
  g_assert_false (aio_lock_count_dec_if_lock (&f.count));
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 2);
  driver_on_thread (lock_and_unlock, &f);
  aio_lock_count_dec (&f.count);
  g_assert_true (aio_lock_count_dec_if_lock (&f.count));
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 0);
  aio_lock_count_unlock (&f.count);
  fixture_clear (&f);
}

static void
inc_and_unlock_gives_the_lock_back (Driver *d)
{
  Fixture f;

  fixture_init (&f);
  aio_lock_count_lock (&f.count);
  aio_lock_count_inc_and_unlock (&f.count);
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 1);
  driver_on_thread (lock_and_unlock, &f);
  aio_lock_count_lock (&f.count);
  aio_lock_count_inc_and_unlock (&f.count);
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 2);
  aio_lock_count_dec (&f.count);
  aio_lock_count_dec (&f.count);
  fixture_clear (&f);
}

/* Who holds the lock, and other threads */

static void
visit (gpointer data)
{
  Fixture *f = data;

  aio_lock_count_inc (&f->count);
  atomic_fetch_add (&f->progress, 1);
  aio_lock_count_dec (&f->count);
}

static void
visitors_do_not_wait_for_the_lock_while_others_visit (Driver *d)
{
  Fixture f;

  fixture_init (&f);
  aio_lock_count_inc (&f.count);
  aio_lock_count_lock (&f.count);
  driver_on_thread (visit, &f);
  g_assert_cmpint (atomic_load (&f.progress), ==, 1);
  aio_lock_count_unlock (&f.count);
  aio_lock_count_dec (&f.count);
  fixture_clear (&f);
}

static void
leave_as_one_of_many (gpointer data)
{
  Fixture *f = data;

  g_assert_false (aio_lock_count_dec_if_lock (&f->count));
  g_assert_false (aio_lock_count_dec_and_lock (&f->count));
  aio_lock_count_inc (&f->count);
  aio_lock_count_dec (&f->count);
}

static void
who_is_not_the_last_does_not_wait_for_the_lock (Driver *d)
{
  Fixture f;

  fixture_init (&f);
  aio_lock_count_inc (&f.count);
  aio_lock_count_inc (&f.count);
  aio_lock_count_lock (&f.count);
  driver_on_thread (leave_as_one_of_many, &f);
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 1);
  aio_lock_count_unlock (&f.count);
  aio_lock_count_dec (&f.count);
  fixture_clear (&f);
}

/* Not that it never comes in, which takes for ever to see, but that it had time to. */
static void
let_the_other_thread_try (void)
{
  for (int i = 0; i < 2000; i++)
    g_thread_yield ();
}

static void
the_first_visitor_waits_for_the_lock (Driver *d)
{
  Fixture f;
  pthread_t thread;

  fixture_init (&f);
  aio_lock_count_lock (&f.count);
  thread = driver_thread_start (visit, &f);
  let_the_other_thread_try ();
  g_assert_cmpint (atomic_load (&f.progress), ==, 0);
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 0);
  aio_lock_count_unlock (&f.count);
  driver_thread_join (thread);
  g_assert_cmpint (atomic_load (&f.progress), ==, 1);
  fixture_clear (&f);
}

static void
come_in_beside_another (gpointer data)
{
  Fixture *f = data;

  while (aio_lock_count_count (&f->count) == 0)
    g_thread_yield ();
  aio_lock_count_inc (&f->count);
  g_assert_cmpint (f->guarded, ==, 1);
  aio_lock_count_dec (&f->count);
}

/* With ThreadSanitizer it is seen that no mutex and nothing else orders the two. */
static void
what_the_lock_guarded_is_seen_by_visitors (Driver *d)
{
  Fixture f;
  pthread_t thread;

  fixture_init (&f);
  thread = driver_thread_start (come_in_beside_another, &f);
  aio_lock_count_lock (&f.count);
  f.guarded = 1;
  aio_lock_count_inc_and_unlock (&f.count);
  driver_thread_join (thread);
  aio_lock_count_dec (&f.count);
  fixture_clear (&f);
}

static void
leave_last (gpointer data)
{
  Fixture *f = data;

  if (aio_lock_count_dec_and_lock (&f->count))
    {
      atomic_store (&f->progress, 1);
      aio_lock_count_unlock (&f->count);
    }
  else
    atomic_store (&f->progress, 2);
}

static void
the_last_to_leave_waits_for_the_lock (Driver *d)
{
  Fixture f;
  pthread_t thread;

  fixture_init (&f);
  aio_lock_count_lock (&f.count);
  aio_lock_count_inc_and_unlock (&f.count);
  aio_lock_count_lock (&f.count);
  thread = driver_thread_start (leave_last, &f);
  let_the_other_thread_try ();
  g_assert_cmpint (atomic_load (&f.progress), ==, 0);
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 1);
  aio_lock_count_unlock (&f.count);
  driver_thread_join (thread);
  g_assert_cmpint (atomic_load (&f.progress), ==, 1);
  fixture_clear (&f);
}

/* While it waited another one came in: it is not the last any more, and hands the lock on. */
static void
who_is_not_the_last_any_more_leaves_without_the_lock (Driver *d)
{
  Fixture f;
  pthread_t thread;

  fixture_init (&f);
  aio_lock_count_inc (&f.count);
  aio_lock_count_lock (&f.count);
  thread = driver_thread_start (leave_last, &f);
  let_the_other_thread_try ();
  aio_lock_count_inc_and_unlock (&f.count);
  driver_thread_join (thread);
  g_assert_cmpint (atomic_load (&f.progress), ==, 2);
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 1);
  aio_lock_count_dec (&f.count);
  fixture_clear (&f);
}

static void
leave_if_last (gpointer data)
{
  Fixture *f = data;

  atomic_store (&f->progress, aio_lock_count_dec_if_lock (&f->count) ? 1 : 2);
  if (atomic_load (&f->progress) == 1)
    aio_lock_count_unlock (&f->count);
}

static void
who_is_not_the_last_any_more_stays_with_dec_if_lock (Driver *d)
{
  Fixture f;
  pthread_t thread;

  fixture_init (&f);
  aio_lock_count_inc (&f.count);
  aio_lock_count_lock (&f.count);
  thread = driver_thread_start (leave_if_last, &f);
  let_the_other_thread_try ();
  aio_lock_count_inc_and_unlock (&f.count);
  driver_thread_join (thread);
  g_assert_cmpint (atomic_load (&f.progress), ==, 2);
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 2);
  aio_lock_count_dec (&f.count);
  aio_lock_count_dec (&f.count);
  fixture_clear (&f);
}

/* Misuse */

static void
misuse_is_reported_and_changes_nothing (Driver *d)
{
  Fixture f;

  fixture_init (&f);
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_CRITICAL, "*a visitor leaves*");
  aio_lock_count_dec (&f.count);
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_CRITICAL, "*a visitor leaves*");
  g_assert_false (aio_lock_count_dec_and_lock (&f.count));
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_CRITICAL, "*a visitor leaves*");
  g_assert_false (aio_lock_count_dec_if_lock (&f.count));
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 0);
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_CRITICAL, "*is_locked*");
  aio_lock_count_unlock (&f.count);
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_CRITICAL, "*is_locked*");
  aio_lock_count_inc_and_unlock (&f.count);
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 0);

  aio_lock_count_inc (&f.count);
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_CRITICAL, "*assertion*failed*");
  aio_lock_count_clear (&f.count);
  g_assert_cmpuint (aio_lock_count_count (&f.count), ==, 1);
  aio_lock_count_dec (&f.count);
  g_test_assert_expected_messages ();
  fixture_clear (&f);
}

/* I6 */

#define VISITORS 4
#define MUTATORS 2

typedef struct _Node Node;
struct _Node {
  Node *next_retired;
  guint64 value, complement; /* plain: one the other's complement, until it is freed */
};

typedef struct {
  AioLockCount count;
  _Atomic (Node *) published;
  Node *retired;   /* the lock */
  guint64 guarded; /* the lock, or a visit of the kind that changes nothing: at zero alone it is written */
  _Atomic gboolean stop;
  _Atomic guint64 visits, mutations, freed;
} Torture;

static Node *
node_new (guint64 value)
{
  Node *node = g_new (Node, 1);

  *node = (Node){ NULL, value, ~value };
  return node;
}

/* With the lock held and nobody in. */
static void
free_retired (Torture *t)
{
  Node *node;

  g_assert_cmpuint (aio_lock_count_count (&t->count), ==, 0);
  t->guarded++;
  while ((node = t->retired))
    {
      t->retired = node->next_retired;
      node->value = node->complement = 0;
      g_free (node);
      atomic_fetch_add_explicit (&t->freed, 1, memory_order_relaxed);
    }
}

static void
look (Torture *t)
{
  Node *node = atomic_load_explicit (&t->published, memory_order_acquire);
  guint64 guarded = t->guarded;

  g_assert_cmpuint (node->value, ==, ~node->complement);
  g_assert_cmpuint (t->guarded, ==, guarded);
}

static void
visit_and_leave (gpointer data)
{
  Torture *t = data;

  for (guint i = 0; !atomic_load_explicit (&t->stop, memory_order_relaxed); i++)
    {
      gboolean last = FALSE;

      aio_lock_count_inc (&t->count);
      look (t);
      if (i % 4 == 0)
        {
          aio_lock_count_inc (&t->count); /* nested */
          look (t);
          aio_lock_count_dec (&t->count);
        }
      if (i % 3 == 0)
        last = aio_lock_count_dec_and_lock (&t->count);
      else if (!(i % 3 == 1 && (last = aio_lock_count_dec_if_lock (&t->count))))
        aio_lock_count_dec (&t->count);
      if (last)
        {
          free_retired (t);
          aio_lock_count_unlock (&t->count);
        }
      atomic_fetch_add_explicit (&t->visits, 1, memory_order_relaxed);
    }
}

static void
mutate (gpointer data)
{
  Torture *t = data;

  for (guint i = 0; !atomic_load_explicit (&t->stop, memory_order_relaxed); i++)
    {
      Node *node = node_new (i), *old;

      aio_lock_count_lock (&t->count);
      old = atomic_exchange_explicit (&t->published, node, memory_order_acq_rel);
      old->next_retired = t->retired;
      t->retired = old;
      if (aio_lock_count_count (&t->count) == 0)
        free_retired (t);
      if (i % 2 == 0)
        aio_lock_count_unlock (&t->count);
      else
        {
          aio_lock_count_inc_and_unlock (&t->count);
          g_thread_yield (); /* others come in beside it */
          look (t);
          aio_lock_count_dec (&t->count);
        }
      atomic_fetch_add_explicit (&t->mutations, 1, memory_order_relaxed);
      if (i % 64 == 0)
        g_thread_yield ();
    }
}

static void
four_visit_while_two_mutate (Driver *d)
{
  pthread_t threads[VISITORS + MUTATORS];
  Torture t = { .guarded = 0 };
  gint64 end_ms = driver_now_ms () + 2000;

  aio_lock_count_init (&t.count);
  atomic_init (&t.published, node_new (0));
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = driver_thread_start (i < VISITORS ? visit_and_leave : mutate, &t);
  /* Two seconds, and longer if one kind has not had its turn yet. */
  while (driver_now_ms () < end_ms || atomic_load (&t.visits) < 1000 || atomic_load (&t.mutations) < 1000)
    g_usleep (10000);
  atomic_store (&t.stop, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    driver_thread_join (threads[i]);

  g_assert_cmpuint (aio_lock_count_count (&t.count), ==, 0);
  aio_lock_count_lock (&t.count);
  free_retired (&t);
  aio_lock_count_unlock (&t.count);
  g_assert_cmpuint (atomic_load (&t.freed), ==, atomic_load (&t.mutations));
  g_free (atomic_load (&t.published));
  aio_lock_count_clear (&t.count);
}

static void
add_tests (void)
{
  driver_add_bare ("lock-count", "inc-and-dec-count-visitors", inc_and_dec_count_visitors);
  driver_add_bare ("lock-count", "dec-and-lock-locks-only-for-the-last", dec_and_lock_locks_only_for_the_last);
  driver_add_bare ("lock-count", "dec-if-lock-leaves-only-as-the-last", dec_if_lock_leaves_only_as_the_last);
  driver_add_bare ("lock-count", "inc-and-unlock-gives-the-lock-back", inc_and_unlock_gives_the_lock_back);
  driver_add_bare ("lock-count", "visitors-do-not-wait-for-the-lock-while-others-visit",
                   visitors_do_not_wait_for_the_lock_while_others_visit);
  driver_add_bare ("lock-count", "who-is-not-the-last-does-not-wait-for-the-lock",
                   who_is_not_the_last_does_not_wait_for_the_lock);
  driver_add_bare ("lock-count", "the-first-visitor-waits-for-the-lock", the_first_visitor_waits_for_the_lock);
  driver_add_bare ("lock-count", "what-the-lock-guarded-is-seen-by-visitors",
                   what_the_lock_guarded_is_seen_by_visitors);
  driver_add_bare ("lock-count", "the-last-to-leave-waits-for-the-lock", the_last_to_leave_waits_for_the_lock);
  driver_add_bare ("lock-count", "who-is-not-the-last-any-more-leaves-without-the-lock",
                   who_is_not_the_last_any_more_leaves_without_the_lock);
  driver_add_bare ("lock-count", "who-is-not-the-last-any-more-stays-with-dec-if-lock",
                   who_is_not_the_last_any_more_stays_with_dec_if_lock);
  driver_add_bare ("lock-count", "misuse-is-reported-and-changes-nothing", misuse_is_reported_and_changes_nothing);
  driver_add_bare ("lock-count", "I6-four-visit-while-two-mutate", four_visit_while_two_mutate);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
