/* SPDX-License-Identifier: MIT */
#include "eventfds.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/*
 * Whatever callbacks, and the prepare of another source, do with a context, in any order and nested: what becomes ready
 * while GLib or poll() sleeps is called (A7, C3, D8), and with nothing ready both sleep (A6, H6).
 */

#define N 12
#define ROUNDS 100
#define MAX_DEPTH 4

typedef struct {
  Driver *d;
  GRand *random;
  EventFd *eventfds;
  guint watched; /* a bit for each */
  guint n_disabled;
  int target;      /* of this one nothing but its handler may take what is there; -1: none */
  int is_set;      /* another thread is setting it */
  gboolean called; /* since then */
  guint budget;    /* actions left */
  guint depth;     /* of callbacks */
  guint preparing; /* prepares that are, or may be, on the stack, where GLib must not be called */
} Run;

typedef struct {
  Run *run;
  guint i;
} Watch;

typedef struct {
  GSource source;
  Run *run;
} ActingSource;

static void act (Run *run);

static void
act_nested (Run *run)
{
  if (run->depth == MAX_DEPTH)
    return;
  run->depth++;
  act (run);
  run->depth--;
}

static void
read_and_act (int fd, gpointer data)
{
  Watch *watch = data;
  Run *run = watch->run;

  run->called |= (int) watch->i == run->target && __atomic_load_n (&run->is_set, __ATOMIC_ACQUIRE);
  if (g_rand_int_range (run->random, 0, 3) > 0)
    driver_drain (fd);
  act_nested (run);
}

static gboolean
is_readable (int fd, gpointer data)
{
  struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

  (void) data;
  return poll (&poll_fd, 1, 0) > 0;
}

static void
act_rarely (int fd, gpointer data)
{
  Run *run = ((Watch *) data)->run;

  (void) fd;
  /* It may be the prepare of the context itself that ends polling. */
  run->preparing++;
  if (g_rand_int_range (run->random, 0, 8) == 0)
    act_nested (run);
  run->preparing--;
}

static void
act_in_bh (gpointer data)
{
  act_nested (data);
}

static gboolean
is_external (int i)
{
  return i % 4 == 3;
}

static void
watch (Run *run, int i)
{
  AioFdHandler handler = { .read = read_and_act, .external = is_external (i) };
  Watch *data = g_new (Watch, 1);

  if (i % 3 == 2)
    {
      handler.poll = is_readable;
      handler.poll_ready = read_and_act;
      handler.poll_begin = handler.poll_end = act_rarely;
    }
  *data = (Watch){ run, i };
  g_assert_true (aio_context_set_fd_handler (run->d->ctx, run->eventfds[i].fd, &handler, data, g_free, NULL));
  run->watched |= 1u << i;
}

static void
unwatch (Run *run, int i)
{
  driver_unwatch (run->d, run->eventfds[i].fd);
  run->watched &= ~(1u << i);
}

static void
enable_external (Run *run)
{
  if (run->n_disabled == 0)
    return;
  run->n_disabled--;
  g_assert_true (aio_context_enable_external (run->d->ctx, NULL));
}

static void
act (Run *run)
{
  AioContext *ctx = run->d->ctx;
  int i = g_rand_int_range (run->random, 0, N);

  if (run->budget == 0)
    return;
  if (run->target >= 0 && g_rand_int_range (run->random, 0, 3) == 0)
    i = run->target;
  run->budget--;
  switch (g_rand_int_range (run->random, 0, 14))
    {
    case 0:
    case 1:
      eventfd_set (&run->eventfds[i]);
      break;
    case 2:
      if (i != run->target)
        driver_drain (run->eventfds[i].fd);
      break;
    case 3:
      watch (run, i);
      break;
    case 4:
      if (i != run->target)
        unwatch (run, i);
      break;
    case 5:
    case 6:
      driver_poll (ctx, FALSE);
      break;
    case 7:
      if (run->preparing == 0)
        g_main_context_iteration (run->d->main_context, FALSE);
      break;
    case 8:
      aio_context_pending (ctx);
      break;
    case 9:
      aio_context_dispatch (ctx);
      break;
    case 10:
      if (run->target >= 0 && is_external (run->target))
        break;
      run->n_disabled++;
      aio_context_disable_external (ctx);
      break;
    case 11:
      enable_external (run);
      break;
    case 12:
      aio_context_schedule_oneshot (ctx, act_in_bh, run);
      break;
    case 13:
      aio_context_set_poll_params (ctx, g_rand_int_range (run->random, 0, 2) * 100000, 0, 0, NULL);
      break;
    }
}

static gboolean
acting_prepare (GSource *source, int *timeout_ms)
{
  Run *run = ((ActingSource *) source)->run;

  *timeout_ms = -1;
  run->preparing++;
  for (int n = g_rand_int_range (run->random, 0, 4); n > 0; n--)
    act (run);
  run->preparing--;
  return FALSE;
}

static void
set_soon (gpointer data)
{
  Run *run = data;

  g_usleep (2000);
  __atomic_store_n (&run->is_set, TRUE, __ATOMIC_RELEASE);
  eventfd_set (&run->eventfds[run->target]);
}

/* The other source acts, and each callback, until @target is called. */
static void
await (Run *run, int target)
{
  gboolean polls = g_rand_int_range (run->random, 0, 4) == 0;
  pthread_t thread;

  while (run->n_disabled > 0)
    enable_external (run);
  if (!(run->watched & 1u << target))
    watch (run, target);
  run->target = target;
  run->is_set = run->called = FALSE;
  run->budget = g_rand_int_range (run->random, 0, 20);
  thread = driver_thread_start (set_soon, run);
  while (!run->called)
    if (polls)
      driver_poll (run->d->ctx, TRUE);
    else
      g_main_context_iteration (run->d->main_context, TRUE);
  driver_thread_join (thread);
  run->target = -1;
  run->budget = 0;
  for (guint i = 0; i < N; i++)
    driver_drain (run->eventfds[i].fd);
  driver_settle (run->d);
}

static void
whatever_was_done_before_it_is_called (Driver *d)
{
  static GSourceFuncs funcs = { .prepare = acting_prepare };
  g_autoptr (GSource) source = g_source_new (&funcs, sizeof (ActingSource));
  Run run = { .d = d, .random = g_rand_new_with_seed (g_test_rand_int ()), .target = -1 };

  run.eventfds = eventfds_new (N);
  ((ActingSource *) source)->run = &run;
  g_source_attach (source, d->main_context);
  for (guint round = 0; round < ROUNDS; round++)
    {
      run.budget = 60;
      for (int n = g_rand_int_range (run.random, 0, 6); n > 0; n--)
        act (&run);
      await (&run, g_rand_int_range (run.random, 0, N));
    }
  g_source_destroy (source);
  driver_assert_quiet (d, 10);
  eventfds_unwatch (d, run.eventfds, 0, N);
  eventfds_free (run.eventfds, N);
  while (run.n_disabled > 0)
    enable_external (&run);
  g_rand_free (run.random);
}

static void
add_tests (void)
{
  driver_add_for (DRIVER_ATTACHED, "source-random", "A6-A7-C3-D8-H6-whatever-was-done-before-it-is-called",
                  whatever_was_done_before_it_is_called);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
