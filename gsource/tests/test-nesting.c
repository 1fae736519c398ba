/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include <malloc.h>

/* Turns inside callbacks */

/* C1 */

typedef struct {
  Driver *d;
  int depth, deepest, calls;
} Recursion;

static void
recurse (int fd, gpointer data)
{
  Recursion *r = data;

  (void) fd;
  r->calls++;
  r->depth++;
  r->deepest = MAX (r->deepest, r->depth);
  g_assert_cmpint (r->depth, <=, AIO_HANDLER_MAX_DEPTH);
  driver_turn (r->d, FALSE); /* the fd is not drained: it is still ready */
  r->depth--;
}

static void
undrained_handler_recurses_to_a_bound (Driver *d)
{
  Recursion r = { .d = d };
  int fds[2];

  driver_pipe (fds);
  driver_write_byte (fds[1]);
  driver_watch (d, fds[0], recurse, &r);

  for (int turn = 1; turn <= 3; turn++)
    {
      driver_turn (d, TRUE);
      g_assert_cmpint (r.depth, ==, 0);
      g_assert_cmpint (r.deepest, ==, AIO_HANDLER_MAX_DEPTH);
      g_assert_cmpint (r.calls, ==, turn * AIO_HANDLER_MAX_DEPTH);
    }

  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

static void
recurse_unprepared (int fd, gpointer data)
{
  Recursion *r = data;

  (void) fd;
  r->calls++;
  r->depth++;
  g_assert_cmpint (r->depth, <=, AIO_HANDLER_MAX_DEPTH);
  /* The source is ready from here on, and its file descriptor is in GLib's set. */
  if (r->depth == AIO_HANDLER_MAX_DEPTH - 1)
    g_main_context_pending (r->d->main_context);
  if (r->depth < AIO_HANDLER_MAX_DEPTH)
    driver_poll (r->d->ctx, FALSE);
  else
    g_main_context_iteration (r->d->main_context, FALSE);
  r->depth--;
}

/* What GLib finds of a file descriptor that is left out by now is nothing. */
static void
the_bound_holds_without_a_prepare (Driver *d)
{
  Recursion r = { .d = d };
  int fds[2];

  driver_pipe (fds);
  driver_write_byte (fds[1]);
  driver_watch (d, fds[0], recurse_unprepared, &r);
  driver_poll (d->ctx, FALSE);
  g_assert_cmpint (r.calls, ==, AIO_HANDLER_MAX_DEPTH);

  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

static void
recurse_and_prepare (int fd, gpointer data)
{
  Recursion *r = data;
  GMainContext *main_context = r->d->main_context;
  GPollFD fds[8];
  int timeout, n;

  (void) fd;
  r->depth++;
  if (r->depth < AIO_HANDLER_MAX_DEPTH)
    driver_poll (r->d->ctx, FALSE);
  g_assert_true (g_main_context_acquire (main_context));
  if (r->depth == AIO_HANDLER_MAX_DEPTH)
    g_main_context_prepare (main_context, &timeout);
  else if (r->depth == AIO_HANDLER_MAX_DEPTH - 1)
    {
      n = g_main_context_query (main_context, G_MAXINT, &timeout, fds, G_N_ELEMENTS (fds));
      g_assert_cmpint (n, <=, G_N_ELEMENTS (fds));
      r->calls = g_poll (fds, (guint) n, 0);
    }
  g_main_context_release (main_context);
  r->depth--;
}

/* GLib was asked for nothing at the bound. */
static void
who_comes_back_from_the_bound_is_not_slept_over (Driver *d)
{
  Recursion r = { .d = d };
  int fds[2];

  driver_pipe (fds);
  driver_watch (d, fds[0], recurse_and_prepare, &r);
  driver_settle (d);
  g_main_context_iteration (d->main_context, FALSE);
  driver_write_byte (fds[1]);
  driver_poll (d->ctx, FALSE);
  g_assert_cmpint (r.calls, >, 0);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

typedef struct {
  Recursion r;
  int timer_fired;
  AioTimer *timer;
} BlockedRecursion;

static void
recurse_blocking (int fd, gpointer data)
{
  BlockedRecursion *b = data;

  b->r.calls++;
  b->r.depth++;
  b->r.deepest = MAX (b->r.deepest, b->r.depth);
  /* At the bottom only the timer can end this: the fd is left out, and that must be no busy loop. */
  driver_run_until_count (b->r.d, &b->timer_fired, 1, 5000);
  b->r.depth--;
}

static void
at_the_bound_a_wait_sleeps (Driver *d)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  BlockedRecursion b = { .r = { .d = d } };
  AioStats stats;
  int fds[2];

  driver_pipe (fds);
  driver_write_byte (fds[1]);
  driver_watch (d, fds[0], recurse_blocking, &b);
  b.timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &b.timer_fired);
  aio_timer_mod_ns (b.timer, aio_clock_get_ns (clock) + G_GINT64_CONSTANT (100000000));

  driver_turn (d, TRUE);
  g_assert_cmpint (b.timer_fired, ==, 1);
  g_assert_cmpint (b.r.deepest, ==, AIO_HANDLER_MAX_DEPTH);
  stats = driver_stats (d);
  g_assert_cmpuint (stats.waits + stats.checks, <, 6 * AIO_HANDLER_MAX_DEPTH);

  aio_timer_free (b.timer);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

static void
recurse_and_remove (int fd, gpointer data)
{
  Recursion *r = data;

  if (++r->depth == AIO_HANDLER_MAX_DEPTH)
    driver_unwatch (r->d, fd);
  else
    driver_turn (r->d, FALSE);
}

static void
removed_at_the_bound (Driver *d)
{
  Recursion r = { .d = d };
  int fds[2];

  driver_pipe (fds);
  driver_write_byte (fds[1]);
  driver_watch (d, fds[0], recurse_and_remove, &r);
  driver_turn (d, TRUE);
  g_assert_cmpint (r.depth, ==, AIO_HANDLER_MAX_DEPTH);
  g_assert_false (driver_turn (d, FALSE));
  driver_close_pair (fds);
}

/* C2 */

typedef struct _Pair Pair;

typedef struct {
  Pair *pair;
  int calls;
} Half;

struct _Pair {
  Driver *d;
  gboolean nested;
  Half halves[2];
};

static void
drain_and_nest_once (int fd, gpointer data)
{
  Half *half = data;

  half->calls++;
  driver_drain (fd);
  if (half->pair->nested)
    return;
  half->pair->nested = TRUE;
  driver_turn (half->pair->d, FALSE);
  /* The sibling was found ready by the outer wait: the nested one has taken it over. */
  g_assert_cmpint (half->pair->halves[0].calls + half->pair->halves[1].calls, ==, 2);
}

static void
nested_turn_takes_over_the_ready_list (Driver *d)
{
  for (guint round = 0; round < 3; round++)
    {
      Pair pair = { .d = d };
      int fds[2][2];

      for (guint i = 0; i < 2; i++)
        {
          pair.halves[i].pair = &pair;
          driver_pipe (fds[i]);
          driver_write_byte (fds[i][1]);
          driver_watch (d, fds[i][0], drain_and_nest_once, &pair.halves[i]);
        }
      driver_turn (d, TRUE);
      g_assert_cmpint (pair.halves[0].calls, ==, 1);
      g_assert_cmpint (pair.halves[1].calls, ==, 1);
      g_assert_false (driver_turn (d, FALSE));
      for (guint i = 0; i < 2; i++)
        {
          driver_unwatch (d, fds[i][0]);
          driver_close_pair (fds[i]);
        }
    }
}

typedef struct {
  Driver *d;
  int fds[2][2];
  int calls;
} Thief;

static void
drain_the_other_and_nest (int fd, gpointer data)
{
  Thief *t = data;

  t->calls++;
  for (guint i = 0; i < 2; i++)
    driver_drain (t->fds[i][0]);
  driver_turn (t->d, FALSE);
  (void) fd;
}

static void
drained_by_a_sibling_and_looked_at_anew_is_not_called (Driver *d)
{
  Thief t = { .d = d };

  for (guint i = 0; i < 2; i++)
    {
      driver_pipe (t.fds[i]);
      driver_write_byte (t.fds[i][1]);
      driver_watch (d, t.fds[i][0], drain_the_other_and_nest, &t);
    }
  driver_turn (d, TRUE);
  g_assert_cmpint (t.calls, ==, 1);
  for (guint i = 0; i < 2; i++)
    {
      driver_unwatch (d, t.fds[i][0]);
      driver_close_pair (t.fds[i]);
    }
}

/* C3 */

typedef struct {
  Driver *d;
  AioBh *bh;
  int runs;
} Late;

static void
schedule_late (gpointer data)
{
  aio_bh_schedule (((Late *) data)->bh);
}

static void
nest_then_have_another_thread_schedule (gpointer data)
{
  Late *late = data;

  driver_poll (late->d->ctx, FALSE);
  driver_on_thread (schedule_late, late);
}

static void
scheduled_after_a_nested_turn_runs_in_the_next (Driver *d)
{
  Late late = { .d = d };

  late.bh = aio_bh_new (d->ctx, driver_count, &late.runs);
  for (int round = 1; round <= 4; round++)
    {
      aio_context_schedule_oneshot (d->ctx, nest_then_have_another_thread_schedule, &late);
      driver_turn (d, TRUE);
      g_assert_cmpint (late.runs, ==, round - 1);
      /* Lost, this would sleep for ever. */
      driver_turn (d, TRUE);
      g_assert_cmpint (late.runs, ==, round);
    }
  aio_bh_delete (late.bh);
}

/* C5 */

typedef struct {
  Driver *d;
  int *reads;
  gboolean done;
} Recursive;

static void
iterate_until_read (gpointer data)
{
  Recursive *r = data;

  while (*r->reads == 0)
    g_main_context_iteration (r->d->main_context, TRUE);
  r->done = TRUE;
}

static void
nested_iteration_serves_the_same_source (Driver *d)
{
  int fds[2], reads = 0;
  Recursive r = { d, &reads, FALSE };
  g_autoptr (GSource) source = aio_context_get_g_source (d->ctx);

  g_assert_true (g_source_get_can_recurse (source));
  driver_pipe (fds);
  driver_write_byte (fds[1]);
  driver_watch (d, fds[0], driver_count_read_drain, &reads);
  aio_context_schedule_oneshot (d->ctx, iterate_until_read, &r);
  driver_turn (d, TRUE);
  g_assert_true (r.done);
  g_assert_cmpint (reads, ==, 1);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

/* In each of its calls GLib asks the source anew, and what it had found for others with it: they have their turn. */

static void
ask_for_more (int fd G_GNUC_UNUSED, gpointer data)
{
  Driver *d = data;
  int priority;

  /* Without the second one GLib would keep its references to what is pending. */
  if (g_main_context_pending (d->main_context))
    g_main_context_prepare (d->main_context, &priority);
}

/* Ready as a file descriptor is: when it is checked, not when it is prepared. */

static gboolean
other_prepare (GSource *source G_GNUC_UNUSED, int *timeout_ms)
{
  *timeout_ms = 0;
  return FALSE;
}

static gboolean
other_check (GSource *source G_GNUC_UNUSED)
{
  return TRUE;
}

static gboolean
other_dispatch (GSource *source G_GNUC_UNUSED, GSourceFunc callback G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  return G_SOURCE_CONTINUE;
}

static void
iterate_for_another (int fd G_GNUC_UNUSED, gpointer data)
{
  static GSourceFuncs funcs = { .prepare = other_prepare, .check = other_check, .dispatch = other_dispatch };
  Driver *d = data;
  GSource *source = g_source_new (&funcs, sizeof (GSource));

  g_source_set_priority (source, G_PRIORITY_HIGH);
  g_source_attach (source, d->main_context);
  g_main_context_iteration (d->main_context, FALSE);
  g_source_destroy (source);
  g_source_unref (source);
}

static void
others_have_their_turn (Driver *d, AioHandlerFunc read)
{
  enum {
    N = 4
  };
  int undrained[2], fds[N][2], reads = 0;

  driver_pipe (undrained);
  driver_write_byte (undrained[1]);
  driver_watch (d, undrained[0], read, d);
  for (guint i = 0; i < N; i++)
    {
      driver_pipe (fds[i]);
      driver_write_byte (fds[i][1]);
      driver_watch (d, fds[i][0], driver_count_read_drain, &reads);
    }
  for (guint i = 0; i < 3 * N && reads < N; i++)
    driver_turn (d, FALSE);
  g_assert_cmpint (reads, ==, N);
  for (guint i = 0; i < N; i++)
    {
      driver_unwatch (d, fds[i][0]);
      driver_close_pair (fds[i]);
    }
  driver_unwatch (d, undrained[0]);
  driver_close_pair (undrained);
}

static void
others_beside_one_that_asks_for_more (Driver *d)
{
  others_have_their_turn (d, ask_for_more);
}

static void
others_beside_one_that_iterates_for_another (Driver *d)
{
  others_have_their_turn (d, iterate_for_another);
}

/* C6: a program that lives in a callback */

static int
n_changes (Driver *d)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  return 5000;
#else
  return d->kind == DRIVER_POLL ? 100000 : 20000;
#endif
}

typedef struct {
  Driver *d;
  int destroyed;
} Resident;

static void
count_resident (gpointer data)
{
  ((Resident *) data)->destroyed++;
}

static void
add_and_remove_for_long (gpointer data)
{
  static const AioFdHandler handler = { .read = driver_count_read };
  Resident *r = data;
  int fds[2];

  driver_pipe (fds);
  for (int i = 1; i <= n_changes (r->d); i++)
    {
      g_assert_true (aio_context_set_fd_handler (r->d->ctx, fds[0], &handler, r, count_resident, NULL));
      driver_turn (r->d, FALSE);
      driver_unwatch (r->d, fds[0]);
      driver_turn (r->d, FALSE);
      /* Freed although the outermost turn goes on and on. */
      g_assert_cmpint (r->destroyed, ==, i);
    }
  driver_close_pair (fds);
}

/* The same by another thread, which goes no further ahead than LEAD. */

#define LEAD 100

typedef struct {
  Driver *d;
  int fds[2];
  int made, destroyed;
  gboolean done;
} Tenant;

static void
count_moved_out (gpointer data)
{
  driver_count (&((Tenant *) data)->destroyed);
}

static void
add_and_remove_from_a_thread (gpointer data)
{
  static const AioFdHandler handler = { .read = driver_count_read };
  Tenant *t = data;

  for (t->made = 1; t->made <= n_changes (t->d); t->made++)
    {
      g_assert_true (aio_context_set_fd_handler (t->d->ctx, t->fds[0], &handler, t, count_moved_out, NULL));
      if (t->made % 3)
        driver_unwatch (t->d, t->fds[0]);
      /* It would wait for ever for what is not freed inside the callback. */
      while (t->made - __atomic_load_n (&t->destroyed, __ATOMIC_ACQUIRE) > LEAD)
        g_usleep (10);
    }
  driver_unwatch (t->d, t->fds[0]);
  __atomic_store_n (&t->done, TRUE, __ATOMIC_RELEASE);
  aio_context_notify (t->d->ctx);
}

static void
live_in_a_callback (gpointer data)
{
  Tenant *t = data;
  pthread_t thread = driver_thread_start (add_and_remove_from_a_thread, t);

  while (!__atomic_load_n (&t->done, __ATOMIC_ACQUIRE))
    driver_turn (t->d, TRUE);
  driver_thread_join (thread);
  driver_turn (t->d, FALSE);
  g_assert_cmpint (t->destroyed, ==, n_changes (t->d));
}

static gsize
allocated (void)
{
  struct mallinfo2 info = mallinfo2 ();

  return info.uordblks + info.hblkhd;
}

static void
removed_by_another_thread_are_freed_inside_a_callback (Driver *d)
{
  Tenant t = { .d = d };
  gsize before;

  driver_pipe (t.fds);
  driver_turn (d, FALSE);
  before = allocated ();
  aio_context_schedule_oneshot (d->ctx, live_in_a_callback, &t);
  driver_watchdog (60);
  driver_turn (d, FALSE);
  g_assert_cmpint (t.destroyed, ==, n_changes (d));
  /* A handler is 100 bytes and more. */
  g_assert_cmpuint (allocated (), <, before + n_changes (d) * 10);
  driver_close_pair (t.fds);
}

static void
removed_handlers_are_freed_inside_a_callback (Driver *d)
{
  Resident r = { .d = d };

  aio_context_schedule_oneshot (d->ctx, add_and_remove_for_long, &r);
  driver_turn (d, FALSE);
  g_assert_cmpint (r.destroyed, ==, n_changes (d));
}

static void
add_tests (void)
{
  driver_add ("nesting", "C1-undrained-handler-recurses-to-a-bound", undrained_handler_recurses_to_a_bound);
  driver_add_for (DRIVER_ATTACHED, "nesting", "C1-the-bound-holds-without-a-prepare",
                  the_bound_holds_without_a_prepare);
  driver_add_for (DRIVER_ATTACHED, "nesting", "C1-who-comes-back-from-the-bound-is-not-slept-over",
                  who_comes_back_from_the_bound_is_not_slept_over);
  driver_add ("nesting", "C1-at-the-bound-a-wait-sleeps", at_the_bound_a_wait_sleeps);
  driver_add ("nesting", "C1-removed-at-the-bound", removed_at_the_bound);
  driver_add ("nesting", "C2-nested-turn-takes-over-the-ready-list", nested_turn_takes_over_the_ready_list);
  driver_add ("nesting", "C2-drained-by-a-sibling-and-looked-at-anew-is-not-called",
              drained_by_a_sibling_and_looked_at_anew_is_not_called);
  driver_add ("nesting", "C3-scheduled-after-a-nested-turn-runs-in-the-next",
              scheduled_after_a_nested_turn_runs_in_the_next);
  driver_add_for (DRIVER_ATTACHED, "nesting", "C5-nested-iteration-serves-the-same-source",
                  nested_iteration_serves_the_same_source);
  driver_add_for (DRIVER_GLIB, "nesting", "others-beside-one-that-asks-for-more", others_beside_one_that_asks_for_more);
  driver_add_for (DRIVER_GLIB, "nesting", "others-beside-one-that-iterates-for-another",
                  others_beside_one_that_iterates_for_another);
  driver_add ("nesting", "C6-removed-handlers-are-freed-inside-a-callback",
              removed_handlers_are_freed_inside_a_callback);
  driver_add ("nesting", "C6-removed-by-another-thread-are-freed-inside-a-callback",
              removed_by_another_thread_are_freed_inside_a_callback);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
