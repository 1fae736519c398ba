/* SPDX-License-Identifier: MIT */
/*
 * One of N file descriptors gets ready, is found, and its callback reads it: among 10,000 as among few, and
 * with each monitor for the numbers between which the threshold lies. bench/README.md says why the peers
 * are fair.
 */
#include <aio-gsource.h>
#include <glib-unix.h>

#include "bench.h"
#include "fd-set.h"

#define MANY 10000
#define ITERATIONS 5000
#define GLIB_ITERATIONS 100 /* among MANY sources of GLib's own */
#define FAR 7919            /* a prime: so far apart no cache knows the next */

static guint n_calls;
static guint n_expected;

/* A context with handlers, in a GMainContext of its own. */
typedef struct {
  FdSet set;
  AioContext *ctx;
  GMainContext *main_context;
} Watched;

static Watched many, one, at_threshold, by_poll, by_epoll, by_uring;
static GMainContext *many_sources, *one_source;
static FdSet one_source_set;

static Watched
watch (guint n_fds, AioMonitor monitor)
{
  GError *error = NULL;
  Watched watched = { fd_set_new (n_fds), aio_context_new_full (NULL, monitor, &error), g_main_context_new () };

  if (!watched.ctx || !aio_context_attach (watched.ctx, watched.main_context, G_PRIORITY_DEFAULT, &error))
    g_error ("%s", error->message);
  for (guint i = 0; i < n_fds; i++)
    fd_set_watch (&watched.set, i, watched.ctx, &n_calls);
  return watched;
}

static void
unwatch (Watched *watched)
{
  aio_context_close (watched->ctx, NULL);
  aio_context_unref (watched->ctx);
  g_main_context_unref (watched->main_context);
  fd_set_free (&watched->set);
}

/* The least number of handlers for which a context takes epoll by itself. */
static guint
find_threshold (void)
{
  Watched watched = watch (1, AIO_MONITOR_AUTO);
  FdSet more = fd_set_new (MANY / 10);
  guint n = 1;

  for (g_main_context_iteration (watched.main_context, FALSE);
       aio_context_get_monitor (watched.ctx) != AIO_MONITOR_EPOLL;
       g_main_context_iteration (watched.main_context, FALSE))
    {
      if (n > more.n_fds)
        g_error ("no epoll with %u file descriptors", n);
      fd_set_watch (&more, n++ - 1, watched.ctx, &n_calls);
    }
  unwatch (&watched);
  fd_set_free (&more);
  return n;
}

static gboolean
source_ready (int fd, GIOCondition condition G_GNUC_UNUSED, gpointer data)
{
  fd_set_read (fd, data);
  return G_SOURCE_CONTINUE;
}

static GMainContext *
add_sources (const FdSet *set)
{
  GMainContext *main_context = g_main_context_new ();

  for (guint i = 0; i < set->n_fds; i++)
    {
      GSource *source = g_unix_fd_source_new (set->fds[i], G_IO_IN);

      g_source_set_callback (source, G_SOURCE_FUNC (source_ready), &n_calls, NULL);
      g_source_attach (source, main_context);
      g_source_unref (source);
    }
  return main_context;
}

static void
iterate (FdSet *set, GMainContext *main_context, guint n)
{
  for (guint i = 0; i < n; i++)
    {
      fd_set_signal (set);
      g_main_context_iteration (main_context, FALSE);
    }
  n_expected += n;
}

static void
poll_context (Watched *watched, guint n)
{
  for (guint i = 0; i < n; i++)
    {
      fd_set_signal (&watched->set);
      aio_context_poll (watched->ctx, FALSE, NULL);
    }
  n_expected += n;
}

static void
iterate_many (guint n)
{
  iterate (&many.set, many.main_context, n);
}

static void
iterate_many_far (guint n)
{
  many.set.stride = FAR;
  iterate_many (n);
  many.set.stride = 1;
}

static void
iterate_one (guint n)
{
  iterate (&one.set, one.main_context, n);
}

static void
iterate_at_threshold (guint n)
{
  iterate (&at_threshold.set, at_threshold.main_context, n);
}

static void
iterate_many_sources (guint n)
{
  iterate (&many.set, many_sources, n);
  /* They share their file descriptors with ours, there are not enough: its epoll forgets what it saw. */
  g_main_context_iteration (many.main_context, FALSE);
}

static void
iterate_one_source (guint n)
{
  iterate (&one_source_set, one_source, n);
}

static void
iterate_by_poll (guint n)
{
  iterate (&by_poll.set, by_poll.main_context, n);
}

static void
iterate_by_epoll (guint n)
{
  iterate (&by_epoll.set, by_epoll.main_context, n);
}

static void
iterate_by_uring (guint n)
{
  iterate (&by_uring.set, by_uring.main_context, n);
}

static void
poll_by_poll (guint n)
{
  poll_context (&by_poll, n);
}

static void
poll_by_epoll (guint n)
{
  poll_context (&by_epoll, n);
}

static void
poll_by_uring (guint n)
{
  poll_context (&by_uring, n);
}

/* Whether this kernel has it. */
static gboolean
has_uring (void)
{
  AioContext *ctx = aio_context_new_full (NULL, AIO_MONITOR_IO_URING, NULL);
  gboolean has = ctx != NULL;

  g_clear_pointer (&ctx, aio_context_unref);
  return has;
}

static void
compare_numbers (void)
{
  static const BenchCase cases[] = {
    { "C: one of 10,000 fds", "ours", iterate_many, ITERATIONS },
    { "C: one of 10,000 fds", "one of 1", iterate_one, ITERATIONS },
    { "C: one of 10,000 fds", "one at the threshold", iterate_at_threshold, ITERATIONS },
    { "C: one of 10,000 fds", "10,000 g_unix_fd sources", iterate_many_sources, GLIB_ITERATIONS },
    { "C: one of 10,000 fds, far apart", "ours", iterate_many_far, ITERATIONS },
    { "C: one of 10,000 fds, far apart", "one of 1", iterate_one, ITERATIONS },
    { "C: one of 10,000 fds, far apart", "one at the threshold", iterate_at_threshold, ITERATIONS },
    { "C: one of 1 fd", "ours", iterate_one, ITERATIONS },
    { "C: one of 1 fd", "one g_unix_fd source", iterate_one_source, ITERATIONS },
  };
  const guint threshold = find_threshold ();

  one = watch (1, AIO_MONITOR_AUTO);
  at_threshold = watch (threshold, AIO_MONITOR_AUTO);
  one_source_set = fd_set_new (1);
  one_source = add_sources (&one_source_set);
  many = watch (fd_set_allow (MANY), AIO_MONITOR_AUTO);
  many_sources = add_sources (&many.set);

  bench_run (cases, G_N_ELEMENTS (cases));

  g_main_context_unref (many_sources);
  g_main_context_unref (one_source);
  fd_set_free (&one_source_set);
  unwatch (&many);
  unwatch (&at_threshold);
  unwatch (&one);
}

static void
compare_uring (guint n_fds)
{
  g_autofree char *by_glib = g_strdup_printf ("C: io_uring, %u fds, iteration()", n_fds);
  g_autofree char *by_itself = g_strdup_printf ("C: io_uring, %u fds, poll()", n_fds);
  const BenchCase cases[] = {
    { by_glib, "ours", iterate_by_uring, ITERATIONS },
    { by_glib, "monitor epoll", iterate_by_epoll, ITERATIONS },
    { by_itself, "ours", poll_by_uring, ITERATIONS },
    { by_itself, "monitor epoll", poll_by_epoll, ITERATIONS },
  };

  by_uring = watch (n_fds, AIO_MONITOR_IO_URING);
  by_epoll = watch (n_fds, AIO_MONITOR_EPOLL);
  bench_run (cases, G_N_ELEMENTS (cases));
  if (aio_context_get_monitor (by_uring.ctx) != AIO_MONITOR_IO_URING)
    g_error ("%u file descriptors are not monitored as was asked for", n_fds);
  unwatch (&by_uring);
  unwatch (&by_epoll);
}

static void
compare_monitors (guint n_fds)
{
  g_autofree char *by_glib = g_strdup_printf ("C: epoll, %u fds, iteration()", n_fds);
  g_autofree char *by_itself = g_strdup_printf ("C: epoll, %u fds, poll()", n_fds);
  const BenchCase cases[] = {
    { by_glib, "ours", iterate_by_epoll, ITERATIONS },
    { by_glib, "monitor poll", iterate_by_poll, ITERATIONS },
    { by_itself, "ours", poll_by_epoll, ITERATIONS },
    { by_itself, "monitor poll", poll_by_poll, ITERATIONS },
  };

  by_epoll = watch (n_fds, AIO_MONITOR_EPOLL);
  by_poll = watch (n_fds, AIO_MONITOR_POLL);
  bench_run (cases, G_N_ELEMENTS (cases));
  if (aio_context_get_monitor (by_epoll.ctx) != AIO_MONITOR_EPOLL
      || aio_context_get_monitor (by_poll.ctx) != AIO_MONITOR_POLL)
    g_error ("%u file descriptors are not monitored as was asked for", n_fds);
  unwatch (&by_epoll);
  unwatch (&by_poll);
}

int
main (void)
{
  static const guint monitored[] = { 1, 8, 16, 32, 64, 128, 1000 };

  fd_set_allow (MANY);
  compare_numbers ();
  for (guint i = 0; i < G_N_ELEMENTS (monitored); i++)
    compare_monitors (monitored[i]);
  for (guint i = 0; has_uring () && i < G_N_ELEMENTS (monitored); i++)
    compare_uring (monitored[i]);
  if (n_calls != n_expected)
    g_error ("%u callbacks ran, not %u", n_calls, n_expected);
  return 0;
}
