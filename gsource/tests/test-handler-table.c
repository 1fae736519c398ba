/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include "aio-context-private.h"

#include <fcntl.h>
#include <unistd.h>

/* The table of handlers, which the home thread reads without the lock of who changes it */

typedef struct {
  Driver *d;
  _Atomic int state; /* 1: the thread has the lock; 2: it shall give it back */
} Holder;

static void
hold_the_lock (gpointer data)
{
  Holder *h = data;

  aio_context_lock_lists (h->d->ctx);
  atomic_store (&h->state, 1);
  while (atomic_load (&h->state) != 2)
    g_thread_yield ();
  aio_context_unlock_lists (h->d->ctx);
}

static void
loop_goes_on_beside_a_thread_that_holds_the_lock (Driver *d)
{
  Holder h = { .d = d };
  pthread_t thread;
  int fds[2], runs = 0;

  driver_pipe (fds);
  driver_watch (d, fds[0], driver_count_read_drain, &runs);
  driver_settle (d);
  thread = driver_thread_start (hold_the_lock, &h);
  while (atomic_load (&h.state) != 1)
    g_thread_yield ();

  driver_write_byte (fds[1]);
  driver_run_until_count (d, &runs, 1, 5000);
  aio_context_disable_external (d->ctx);
  driver_write_byte (fds[1]);
  driver_run_until_count (d, &runs, 2, 5000);
  g_assert_true (aio_context_enable_external (d->ctx, NULL));
  driver_write_byte (fds[1]);
  driver_run_until_count (d, &runs, 3, 5000);
  g_assert_cmpuint (aio_lock_count_count (&d->ctx->list_lock), ==, 1); /* the other thread's */

  atomic_store (&h.state, 2);
  driver_thread_join (thread);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

/* Growth */

typedef struct {
  Driver *d;
  int low, high; /* file descriptors */
} Growth;

static void
ignore_read (int fd, gpointer data)
{
}

static void
watch_high (gpointer data)
{
  Growth *g = data;

  driver_watch (g->d, g->high, ignore_read, NULL);
}

static void
unwatch_high (gpointer data)
{
  Growth *g = data;

  driver_unwatch (g->d, g->high);
}

static void
a_table_is_freed_when_its_last_visitor_leaves (Driver *d)
{
  AioHandlerTable *table;
  Growth g = { .d = d };
  int fds[2];

  driver_pipe (fds);
  g.low = fds[0];
  g.high = fcntl (fds[0], F_DUPFD_CLOEXEC, 500);
  g_assert_cmpint (g.high, >=, 500);
  driver_watch (d, g.low, ignore_read, NULL);
  table = atomic_load (&d->ctx->handlers);

  aio_context_visit (d->ctx);
  aio_context_visit (d->ctx);
  driver_on_thread (watch_high, &g);
  g_assert_true (atomic_load (&d->ctx->retired_handlers) == table);
  g_assert_true (atomic_load (&d->ctx->handlers) != table);
  /* Who visits goes on in either. */
  g_assert_nonnull (atomic_load (&table->entries[g.low]));
  g_assert_true (aio_context_get_handler (d->ctx, g.low) == atomic_load (&table->entries[g.low]));
  g_assert_nonnull (aio_context_get_handler (d->ctx, g.high));
  aio_context_leave_visit (d->ctx);
  g_assert_true (atomic_load (&d->ctx->retired_handlers) == table);
  aio_context_leave_visit (d->ctx);
  g_assert_null (atomic_load (&d->ctx->retired_handlers));

  driver_on_thread (unwatch_high, &g);
  driver_unwatch (d, g.low);
  g_assert_null (aio_context_get_handler (d->ctx, g.low));
  g_assert_null (aio_context_get_handler (d->ctx, g.high));
  g_assert_no_errno (close (g.high));
  driver_close_pair (fds);
}

static void
a_table_without_visitors_is_freed_at_once (Driver *d)
{
  Growth g = { .d = d };
  int fds[2];

  driver_pipe (fds);
  g.low = fds[0];
  g.high = fcntl (fds[0], F_DUPFD_CLOEXEC, 500);
  driver_watch (d, g.low, ignore_read, NULL);
  driver_on_thread (watch_high, &g);
  g_assert_null (atomic_load (&d->ctx->retired_handlers));
  driver_unwatch (d, g.high);
  driver_unwatch (d, g.low);
  g_assert_no_errno (close (g.high));
  driver_close_pair (fds);
}

static void
a_handler_found_in_a_visit_outlives_its_removal (Driver *d)
{
  AioHandler *handler;
  Growth g = { .d = d };
  int fds[2];

  driver_pipe (fds);
  g.high = fds[0];
  driver_watch (d, g.high, ignore_read, NULL);
  aio_context_visit (d->ctx);
  handler = aio_context_get_handler (d->ctx, g.high);
  driver_on_thread (unwatch_high, &g);
  g_assert_null (aio_context_get_handler (d->ctx, g.high));
  g_assert_true (atomic_load (&d->ctx->n_changes));
  aio_context_leave_visit (d->ctx);
  /* Home alone frees it, and has not yet. */
  g_assert_cmpint (handler->poll_fd.fd, ==, g.high);
  g_assert_true (atomic_load (&handler->deleted));
  driver_settle (d);
  driver_close_pair (fds);
}

/* I7 */

#define THREADS 2
#define FDS_OF_EACH 40
#define ROUNDS 30

typedef struct {
  Driver *d;
  _Atomic int *calls, *ended;
  int fds[FDS_OF_EACH]; /* readable */
} Churn;

static void
count_call (int fd, gpointer data)
{
  Churn *c = data;

  atomic_fetch_add_explicit (c->calls, 1, memory_order_relaxed);
}

/* Until every handler has been called again, for there are no more of them. */
static void
await_calls (Churn *c)
{
  int before = atomic_load (c->calls);

  while (atomic_load (c->calls) - before < 2 * THREADS * FDS_OF_EACH)
    g_thread_yield ();
}

static void
churn (gpointer data)
{
  Churn *c = data;

  /* More and more, then fewer and fewer: the table grows, and an automatic monitor changes. */
  for (guint round = 0; round < ROUNDS; round++)
    {
      for (guint i = 0; i < FDS_OF_EACH; i++)
        {
          AioFdHandler handler = { .read = count_call, .external = i % 4 == 0 };

          g_assert_true (aio_context_set_fd_handler (c->d->ctx, c->fds[i], &handler, c, NULL, NULL));
          if (i % 3 == 0)
            g_assert_true (aio_context_set_fd_handler (c->d->ctx, c->fds[i], &handler, c, NULL, NULL));
        }
      if (round == 0)
        await_calls (c);
      for (guint i = 0; i < FDS_OF_EACH; i++)
        g_assert_true (aio_context_set_fd_handler (c->d->ctx, c->fds[i], NULL, NULL, NULL, NULL));
    }
  atomic_fetch_add (c->ended, 1);
}

static void
look_at_all (AioContext *ctx)
{
  aio_context_visit (ctx);
  for (guint fd = 0; fd < aio_context_table_size (ctx); fd++)
    {
      AioHandler *handler = aio_context_get_handler (ctx, fd);

      g_assert_true (!handler || handler->poll_fd.fd == (int) fd);
    }
  aio_context_leave_visit (ctx);
}

static void
home_reads_what_others_change (Driver *d)
{
  _Atomic int calls = 0, ended = 0;
  Churn churns[THREADS];
  pthread_t threads[THREADS];
  int fds[2];

  driver_watchdog (120);
  driver_pipe (fds);
  driver_write_byte (fds[1]);
  for (guint t = 0; t < THREADS; t++)
    {
      churns[t] = (Churn){ .d = d, .calls = &calls, .ended = &ended };
      for (guint i = 0; i < FDS_OF_EACH; i++)
        {
          churns[t].fds[i] = fcntl (fds[0], F_DUPFD_CLOEXEC, 64 + 16 * i);
          g_assert_cmpint (churns[t].fds[i], >=, 0);
        }
    }
  for (guint t = 0; t < THREADS; t++)
    threads[t] = driver_thread_start (churn, &churns[t]);
  for (guint turn = 0; atomic_load (&ended) < THREADS; turn++)
    {
      driver_turn (d, FALSE);
      look_at_all (d->ctx);
      if (turn % 4 == 0)
        aio_context_disable_external (d->ctx);
      else if (turn % 4 == 2)
        aio_context_enable_external (d->ctx, NULL);
      if (turn % 16 == 0)
        aio_snapshot_free (aio_context_inspect (d->ctx));
    }
  for (guint t = 0; t < THREADS; t++)
    driver_thread_join (threads[t]);
  driver_settle (d);
  g_assert_cmpuint (atomic_load (&d->ctx->n_handlers), ==, 0);

  for (guint t = 0; t < THREADS; t++)
    for (guint i = 0; i < FDS_OF_EACH; i++)
      g_assert_no_errno (close (churns[t].fds[i]));
  driver_close_pair (fds);
}

static void
monitor_is_changed_while_others_change_the_table (Driver *d)
{
  home_reads_what_others_change (d);
  g_assert_cmpuint (driver_stats (d).monitor_switches, >=, 1);
}

static void
add_tests (void)
{
  driver_add ("handler-table", "loop-goes-on-beside-a-thread-that-holds-the-lock",
              loop_goes_on_beside_a_thread_that_holds_the_lock);
  driver_add ("handler-table", "I7-a-table-is-freed-when-its-last-visitor-leaves",
              a_table_is_freed_when_its_last_visitor_leaves);
  driver_add_for (DRIVER_POLL, "handler-table", "I7-a-table-without-visitors-is-freed-at-once",
                  a_table_without_visitors_is_freed_at_once);
  driver_add ("handler-table", "I7-a-handler-found-in-a-visit-outlives-its-removal",
              a_handler_found_in_a_visit_outlives_its_removal);
  driver_add ("handler-table", "I7-home-reads-what-others-change", home_reads_what_others_change);
  driver_add_monitor (AIO_MONITOR_AUTO, "handler-table", "I7-monitor-is-changed-while-others-change-the-table",
                      monitor_is_changed_while_others_change_the_table);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
