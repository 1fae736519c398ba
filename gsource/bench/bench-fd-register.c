/* SPDX-License-Identifier: MIT */
/*
 * One file descriptor is registered and removed again, among many others that are watched. Alone that is
 * noted only; with a poll after each the monitor has been told.
 */
#include <aio-gsource.h>

#include "bench.h"
#include "fd-set.h"

#define MANY 10000
#define FEW 100
#define OPERATIONS 20000

static AioContext *many, *few;
static FdSet many_set, few_set, own_set;
static guint n_calls;

static AioContext *
watch (FdSet *set)
{
  GError *error = NULL;
  AioContext *ctx = aio_context_new (&error);

  if (!ctx)
    g_error ("%s", error->message);
  for (guint i = 0; i < set->n_fds; i++)
    fd_set_watch (set, i, ctx, &n_calls);
  aio_context_poll (ctx, FALSE, NULL);
  if (aio_context_get_monitor (ctx) != AIO_MONITOR_EPOLL)
    g_error ("%u file descriptors, and no epoll", set->n_fds);
  return ctx;
}

static void
unwatch (AioContext *ctx, FdSet *set)
{
  aio_context_close (ctx, NULL);
  aio_context_unref (ctx);
  fd_set_free (set);
}

static void
add (AioContext *ctx)
{
  fd_set_watch (&own_set, 0, ctx, &n_calls);
}

static void
drop (AioContext *ctx)
{
  aio_context_set_fd_handler (ctx, own_set.fds[0], NULL, NULL, NULL, NULL);
}

static void
register_remove (AioContext *ctx, guint n)
{
  for (guint i = 0; i < n; i++)
    {
      add (ctx);
      drop (ctx);
    }
  aio_context_poll (ctx, FALSE, NULL);
}

static void
register_poll_remove_poll (AioContext *ctx, guint n)
{
  for (guint i = 0; i < n; i++)
    {
      add (ctx);
      aio_context_poll (ctx, FALSE, NULL);
      drop (ctx);
      aio_context_poll (ctx, FALSE, NULL);
    }
}

static void
among_many (guint n)
{
  register_remove (many, n);
}

static void
among_few (guint n)
{
  register_remove (few, n);
}

static void
among_many_polled (guint n)
{
  register_poll_remove_poll (many, n);
}

static void
among_few_polled (guint n)
{
  register_poll_remove_poll (few, n);
}

/* It is really watched among the others, and no longer once it is removed. */
static void
check_watched (AioContext *ctx, guint n_expected)
{
  add (ctx);
  fd_set_signal (&own_set);
  aio_context_poll (ctx, FALSE, NULL);
  drop (ctx);
  fd_set_signal (&own_set);
  aio_context_poll (ctx, FALSE, NULL);
  fd_set_read (own_set.fds[0], &n_calls);
  if (n_calls != n_expected)
    g_error ("%u reads, not %u", n_calls, n_expected);
}

int
main (void)
{
  static const BenchCase cases[] = {
    { "C: register, remove among 10,000", "ours", among_many, OPERATIONS },
    { "C: register, remove among 10,000", "among 100", among_few, OPERATIONS },
    { "C: register, poll, remove, poll among 10,000", "ours", among_many_polled, OPERATIONS },
    { "C: register, poll, remove, poll among 10,000", "among 100", among_few_polled, OPERATIONS },
  };
  const guint n_many = fd_set_allow (MANY + FEW) - FEW;

  own_set = fd_set_new (1);
  few_set = fd_set_new (FEW);
  many_set = fd_set_new (n_many);
  many = watch (&many_set);
  few = watch (&few_set);

  bench_run (cases, G_N_ELEMENTS (cases));

  check_watched (many, 2);
  check_watched (few, 4);
  unwatch (many, &many_set);
  unwatch (few, &few_set);
  fd_set_free (&own_set);
  return 0;
}
