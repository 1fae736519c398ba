/* SPDX-License-Identifier: MIT */
#include "eventfds.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Processes at the end of their file descriptors (N11), and under a rain of signals (A16) */

#define MS G_GINT64_CONSTANT (1000000)

static const AioMonitor monitors[] = { AIO_MONITOR_AUTO, AIO_MONITOR_POLL, AIO_MONITOR_EPOLL, AIO_MONITOR_IO_URING };

/* No more than @n file descriptors; what it was. */
static rlim_t
limit_fds (rlim_t n)
{
  struct rlimit limit;
  rlim_t before;

  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit));
  before = limit.rlim_cur;
  limit.rlim_cur = n;
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));
  return before;
}

/* Takes all that the limit leaves; gives them back. */
static GArray *
exhaust_fds (void)
{
  GArray *taken = g_array_new (FALSE, FALSE, sizeof (int));
  int fd;

  while ((fd = fcntl (STDIN_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0)
    g_array_append_val (taken, fd);
  g_assert_cmpint (errno, ==, EMFILE);
  return taken;
}

static void
give_back_fds (GArray *taken)
{
  for (guint i = 0; i < taken->len; i++)
    close (g_array_index (taken, int, i));
  g_array_unref (taken);
}

static gboolean
has_run (gpointer data)
{
  return *(int *) data > 0;
}

static gboolean
has_not_run (gpointer data)
{
  return !has_run (data);
}

/* As much of a context's life as file descriptors suffice for. */
static void
live (AioContext *ctx, GMainContext *main_context)
{
  Driver d = { .ctx = ctx, .kind = DRIVER_POLL };
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);

  for (guint attached = 0; attached < 2; attached++)
    {
      int runs = 0, fired = 0;
      AioTimer *timer = aio_timer_new (ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);

      if (attached)
        {
          g_autoptr (GError) error = NULL;

          g_assert_true (aio_context_attach (ctx, main_context, G_PRIORITY_DEFAULT, &error));
          g_assert_no_error (error);
          d.main_context = main_context;
          d.kind = DRIVER_GLIB;
        }
      aio_context_schedule_oneshot (ctx, driver_count, &runs);
      driver_turn (&d, TRUE);
      g_assert_cmpint (runs, ==, 1);
      aio_timer_mod_ns (timer, aio_clock_get_ns (clock) + 2 * MS);
      driver_run_until (&d, has_run, &fired, 5000);
      aio_timer_free (timer);
    }
  g_assert_true (aio_context_detach (ctx, NULL));
}

static void
made_at_the_limit (Driver *d)
{
  for (guint m = 0; m < G_N_ELEMENTS (monitors); m++)
    {
      /* GLib ends a process that has no file descriptor left for this. */
      g_autoptr (GMainContext) main_context = g_main_context_new ();
      guint failures = 0, successes = 0;

      if (!driver_has_monitor (monitors[m]))
        continue;
      for (rlim_t n = 3; n <= 20; n++)
        {
          g_autoptr (GError) error = NULL;
          rlim_t before = limit_fds (n);
          AioContext *ctx = aio_context_new_full (NULL, monitors[m], &error);

          if (ctx)
            {
              successes++;
              g_assert_no_error (error);
              live (ctx, main_context);
              aio_context_unref (ctx);
            }
          else
            {
              failures++;
              g_assert_cmpuint (successes, ==, 0);
              g_assert_true (g_error_matches (error, AIO_ERROR, AIO_ERROR_SYSTEM)
                             || g_error_matches (error, AIO_ERROR, AIO_ERROR_UNAVAILABLE));
              g_assert_cmpint (aio_error_get_errno (error), ==, EMFILE);
            }
          limit_fds (before);
        }
      g_assert_cmpuint (failures, >, 0);
      g_assert_cmpuint (successes, >, 0);
    }
}

static void
attached_and_timed_without_a_fd_left (Driver *d)
{
  for (guint m = 0; m < G_N_ELEMENTS (monitors); m++)
    {
      g_autoptr (AioContext) ctx = aio_context_new_full (NULL, monitors[m], NULL);
      g_autoptr (GMainContext) main_context = g_main_context_new ();
      rlim_t before;
      GArray *taken;

      if (!driver_has_monitor (monitors[m]))
        continue;
      before = limit_fds (40);
      taken = exhaust_fds ();
      live (ctx, main_context);
      give_back_fds (taken);
      limit_fds (before);
    }
}

/* The threshold is reached when there is nothing to make an epoll set with; later there is. */
static void
outgrown_without_a_fd_left (Driver *d)
{
  enum {
    N = 40
  };
  EventFd *eventfds = eventfds_new (N);
  rlim_t before = limit_fds (N + 40);
  GArray *taken = exhaust_fds ();

  eventfds_watch (d, eventfds, 0, N);
  for (guint round = 0; round < 3; round++)
    eventfds_assert_all_called (d, eventfds, N, 1);
  g_assert_cmpint (aio_context_get_monitor (d->ctx), ==, AIO_MONITOR_POLL);
  driver_assert_quiet (d, 10);
  give_back_fds (taken);
  limit_fds (before);

  eventfds_unwatch (d, eventfds, 5, N);
  driver_turn (d, FALSE);
  eventfds_watch (d, eventfds, 5, N);
  eventfds_assert_all_called (d, eventfds, N, 1);
  g_assert_cmpint (aio_context_get_monitor (d->ctx), ==, AIO_MONITOR_EPOLL);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
}

/* The limit comes below what is watched. poll(2) refuses then, at once: that must not look like a wait that is over. */
static void
refused_by_poll (Driver *d)
{
  enum {
    N = 60
  };
  EventFd *eventfds = eventfds_new (N);
  int fired = 0, runs = 0;
  AioTimer *timer =
      aio_timer_new (d->ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_NS, driver_count, &fired);
  g_autoptr (GError) error = NULL;
  gboolean expired = FALSE;
  rlim_t before;

  eventfds_watch (d, eventfds, 0, N);
  driver_turn (d, FALSE);
  before = limit_fds (N);
  g_assert_false (aio_context_poll (d->ctx, TRUE, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_SYSTEM);
  g_assert_cmpint (aio_error_get_errno (error), ==, EINVAL);
  g_assert_cmpstr (aio_error_get_syscall (error), ==, "ppoll");
  g_assert_nonnull (strstr (error->message, aio_context_get_name (d->ctx)));
  g_clear_error (&error);
  g_assert_false (aio_context_poll_for (d->ctx, 1000 * MS, &expired, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_SYSTEM);
  g_assert_false (expired);
  g_clear_error (&error);
  g_assert_false (aio_context_wait_while (d->ctx, has_not_run, &fired, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_SYSTEM);
  g_clear_error (&error);

  /* What needs no file descriptor runs. */
  aio_context_schedule_oneshot (d->ctx, driver_count, &runs);
  aio_timer_mod_ns (timer, 0);
  g_assert_false (aio_context_poll (d->ctx, FALSE, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_SYSTEM);
  g_assert_cmpint (runs, ==, 1);
  g_assert_cmpint (fired, ==, 1);
  g_assert_false (aio_context_poll (d->ctx, FALSE, NULL));

  limit_fds (before);
  eventfds_assert_all_called (d, eventfds, N, 1);
  aio_timer_free (timer);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
}

/* The greatest number that a file descriptor may have here, beside the least. */
static void
the_highest_number (Driver *d)
{
  EventFd *low = eventfds_new (1);
  EventFd high;
  struct rlimit limit, before;

  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &before));
  limit = (struct rlimit){ .rlim_cur = 1 << 20, .rlim_max = MAX (before.rlim_max, 1 << 20) };
  if (setrlimit (RLIMIT_NOFILE, &limit) != 0)
    {
      limit = (struct rlimit){ .rlim_cur = before.rlim_max, .rlim_max = before.rlim_max };
      g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));
    }
  high = (EventFd){ .fd = fcntl (low->fd, F_DUPFD_CLOEXEC, MIN (limit.rlim_cur, 1 << 20) - 1) };
  g_test_message ("fd %d", high.fd);
  g_assert_cmpint (high.fd, >, low->fd);

  for (guint round = 0; round < 2; round++)
    {
      eventfds_watch (d, &high, 0, 1);
      eventfds_watch (d, low, 0, 1);
      eventfd_set (low);
      driver_turn (d, TRUE);
      g_assert_cmpint (low->calls + high.calls, >=, (int) round + 1); /* who comes first takes it from the other */
      aio_context_disable_external (d->ctx);
      driver_turn (d, FALSE);
      g_assert_true (aio_context_enable_external (d->ctx, NULL));
      eventfds_unwatch (d, &high, 0, 1);
      eventfds_unwatch (d, low, 0, 1);
    }
  driver_unwatch (d, G_MAXINT);
  driver_assert_quiet (d, 10);
  close (high.fd);
  eventfds_free (low, 1);
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &(struct rlimit){ before.rlim_cur, limit.rlim_max }));
}

/* A16 */

static int n_signals;

static void
count_signal (int signum)
{
  (void) signum;
  __atomic_add_fetch (&n_signals, 1, __ATOMIC_RELAXED);
}

static timer_t
start_signals (void)
{
  struct sigaction action = { .sa_handler = count_signal };
  struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
  struct itimerspec interval = { .it_value = { .tv_nsec = MS }, .it_interval = { .tv_nsec = MS } };
  timer_t timer;

  n_signals = 0;
  g_assert_no_errno (sigaction (SIGUSR2, &action, NULL));
  g_assert_no_errno (timer_create (CLOCK_MONOTONIC, &event, &timer));
  g_assert_no_errno (timer_settime (timer, 0, &interval, NULL));
  return timer;
}

static void
a_thousand_signals_a_second (Driver *d)
{
  const gint64 duration = d->kind == DRIVER_POLL ? 1000 * MS : 200 * MS;
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  EventFd *eventfds = eventfds_new (40);
  int fired = 0;
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
  gint64 least = G_MAXINT64;

  for (guint attempt = 0; attempt < 3 && least > 5 * MS; attempt++)
    {
      gint64 expire = aio_clock_get_ns (clock) + duration;
      AioStats before, after;
      timer_t signals;

      /* Without handlers, and with some that are not ready */
      if (attempt == 0 && d->kind != DRIVER_POLL)
        eventfds_watch (d, eventfds, 0, 40);
      driver_settle (d);
      before = driver_stats (d);
      signals = start_signals ();
      fired = 0;
      aio_timer_mod_ns (timer, expire);
      driver_run_until_count (d, &fired, 1, 5000);
      least = MIN (least, aio_clock_get_ns (clock) - expire);
      g_assert_no_errno (timer_delete (signals));
      after = driver_stats (d);

      g_assert_cmpint (least, >=, 0);
      g_assert_cmpuint (after.handlers_dispatched, ==, before.handlers_dispatched);
      g_assert_cmpint (n_signals, >, duration / MS / 10);
      /* One wait is interrupted often, but it is one; GLib's iterations end with each signal. */
      if (d->kind == DRIVER_POLL)
        g_assert_cmpuint (after.polls - before.polls, <=, 2);
    }
  g_assert_cmpint (least, <, 5 * MS);
  aio_timer_free (timer);
  eventfds_unwatch (d, eventfds, 0, 40);
  eventfds_free (eventfds, 40);
}

static void
add_tests (void)
{
  driver_add_bare ("limits", "N11-made-at-the-limit", made_at_the_limit);
  driver_add_bare ("limits", "N11-attached-and-timed-without-a-fd-left", attached_and_timed_without_a_fd_left);
  driver_add_monitor (AIO_MONITOR_AUTO, "limits", "N11-E9-outgrown-without-a-fd-left", outgrown_without_a_fd_left);
  driver_add ("limits", "the-highest-number", the_highest_number);
  driver_add_monitor_for (AIO_MONITOR_POLL, DRIVER_POLL, "limits", "refused-by-poll", refused_by_poll);
  driver_add ("limits", "A16-F5-a-thousand-signals-a-second", a_thousand_signals_a_second);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
