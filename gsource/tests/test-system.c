/* SPDX-License-Identifier: MIT */
#include "eventfds.h"
#include "shims.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Each system call of the library fails on cue */

#define MS G_GINT64_CONSTANT (1000000)

/* eventfd, its write and read (A15) */

static void
no_eventfd (Driver *d)
{
  static const AioMonitor monitors[] = { AIO_MONITOR_AUTO, AIO_MONITOR_POLL, AIO_MONITOR_EPOLL, AIO_MONITOR_IO_URING };
  static const int errors[] = { EMFILE, ENFILE, ENOSYS, EPERM };

  shim_start ();
  for (guint i = 0; i < G_N_ELEMENTS (errors); i++)
    {
      g_autoptr (GError) notifier_error = NULL;

      shim_fail (SHIM_EVENTFD, errors[i], 0, SHIM_ALWAYS);
      g_assert_null (aio_notifier_new (FALSE, &notifier_error));
      g_assert_error (notifier_error, AIO_ERROR, AIO_ERROR_SYSTEM);
      g_assert_cmpint (aio_error_get_errno (notifier_error), ==, errors[i]);
      g_assert_cmpstr (aio_error_get_syscall (notifier_error), ==, "eventfd");
      for (guint m = 0; m < G_N_ELEMENTS (monitors); m++)
        {
          g_autoptr (GError) error = NULL;

          g_assert_null (aio_context_new_full (NULL, monitors[m], &error));
          g_assert_error (error, AIO_ERROR, AIO_ERROR_SYSTEM);
          g_assert_cmpint (aio_error_get_errno (error), ==, errors[i]);
        }
    }
  shim_stop ();
}

static void
write_is_interrupted_or_finds_the_counter_full (Driver *d)
{
  g_autoptr (GError) error = NULL;
  AioNotifier *notifier = aio_notifier_new (FALSE, NULL);

  shim_start ();
  shim_fail (SHIM_WRITE, EINTR, 0, 2);
  g_assert_true (aio_notifier_set (notifier, &error));
  g_assert_no_error (error);
  g_assert_cmpint (shim_calls (SHIM_WRITE), ==, 3);
  g_assert_true (aio_notifier_test_and_clear (notifier));

  shim_fail (SHIM_WRITE, EAGAIN, 0, 1);
  g_assert_true (aio_notifier_set (notifier, &error));
  g_assert_no_error (error);
  g_assert_cmpint (shim_calls (SHIM_WRITE), ==, 4);

  shim_fail (SHIM_WRITE, EPERM, 0, 1);
  g_assert_false (aio_notifier_set (notifier, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_SYSTEM);
  g_assert_cmpint (aio_error_get_errno (error), ==, EPERM);
  g_assert_cmpstr (aio_error_get_syscall (error), ==, "write");
  shim_stop ();
  aio_notifier_unref (notifier);
}

static void
read_is_interrupted_or_finds_nothing (Driver *d)
{
  AioNotifier *notifier = aio_notifier_new (TRUE, NULL);

  shim_start ();
  shim_fail (SHIM_READ, EAGAIN, 0, 1);
  g_assert_false (aio_notifier_test_and_clear (notifier));
  g_assert_cmpint (shim_calls (SHIM_READ), ==, 1);
  shim_fail (SHIM_READ, EINTR, 0, 2);
  g_assert_true (aio_notifier_test_and_clear (notifier));
  g_assert_cmpint (shim_calls (SHIM_READ), ==, 4);
  g_assert_false (aio_notifier_test_and_clear (notifier));
  shim_stop ();
  aio_notifier_unref (notifier);
}

typedef struct {
  Driver *d;
  int runs;
} Wake;

static void
schedule_once_asleep (gpointer data)
{
  Wake *wake = data;

  while (aio_context_get_notify_me (wake->d->ctx) == 0)
    g_usleep (1000);
  aio_context_schedule_oneshot (wake->d->ctx, driver_count, &wake->runs);
}

static void
wake_a_sleeper (Driver *d, ShimCall call, int error, int times)
{
  Wake wake = { .d = d };
  pthread_t thread;

  shim_start ();
  shim_fail (call, error, 0, times);
  thread = driver_thread_start (schedule_once_asleep, &wake);
  driver_run_until_count (d, &wake.runs, 1, 5000);
  driver_thread_join (thread);
  driver_settle (d);
  g_assert_cmpint (shim_failures (call), ==, times);
  shim_stop ();
  g_assert_cmpint (wake.runs, ==, 1);
}

static void
wake_up_is_interrupted (Driver *d)
{
  wake_a_sleeper (d, SHIM_WRITE, EINTR, 2);
  wake_a_sleeper (d, SHIM_READ, EINTR, 2);
  /* It was ready, and is not any more: then it is ready no more, or will be again. */
  wake_a_sleeper (d, SHIM_READ, EAGAIN, 1);
  driver_assert_quiet (d, 10);
}

/* A wake-up into a counter that has no room for it: the sleeper is awake already. */
static void
wake_up_finds_the_counter_full (Driver *d)
{
  const guint64 nearly_full = 0xfffffffffffffffe;
  int fd, runs = 0;
  AioContext *old = d->ctx;
  g_autoptr (AioContext) ctx = NULL;

  /* The number of the next context's notifier */
  fd = dup (STDIN_FILENO);
  close (fd);
  ctx = aio_context_new_full ("full", aio_context_get_monitor (d->ctx), NULL);
  g_assert_nonnull (ctx);
  g_assert_cmpint (write (fd, &nearly_full, sizeof nearly_full), ==, sizeof nearly_full);
  d->ctx = ctx;
  if (d->main_context)
    g_assert_true (aio_context_attach (ctx, d->main_context, G_PRIORITY_DEFAULT, NULL));
  if (d->main_context)
    {
      int priority;

      /* From here on notifications are written. */
      g_assert_true (g_main_context_acquire (d->main_context));
      g_main_context_prepare (d->main_context, &priority);
      g_main_context_release (d->main_context);
      g_assert_cmpuint (aio_context_get_notify_me (ctx), ==, 1);
    }
  aio_context_notify (ctx);
  aio_context_notify (ctx);
  g_assert_cmpuint (driver_stats (d).eventfd_writes, ==, d->main_context ? 2 : 0);
  aio_context_schedule_oneshot (ctx, driver_count, &runs);
  driver_turn (d, TRUE);
  g_assert_cmpint (runs, ==, 1);
  driver_assert_quiet (d, 10);
  g_assert_cmpuint (driver_stats (d).eventfd_reads, ==, 1);
  if (d->main_context)
    g_assert_true (aio_context_detach (ctx, NULL));
  d->ctx = old;
}

/* epoll */

static void
no_epoll_for_who_asks_for_it (Driver *d)
{
  static const int errors[] = { EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM };

  shim_start ();
  for (guint i = 0; i < G_N_ELEMENTS (errors); i++)
    {
      g_autoptr (GError) error = NULL;

      shim_fail (SHIM_EPOLL_CREATE1, errors[i], 0, 1);
      g_assert_null (aio_context_new_full (NULL, AIO_MONITOR_EPOLL, &error));
      g_assert_error (error, AIO_ERROR, AIO_ERROR_UNAVAILABLE);
      g_assert_cmpint (aio_error_get_errno (error), ==, errors[i]);
    }
  for (guint i = 0; i < 2; i++)
    {
      g_autoptr (GError) error = NULL;

      shim_fail (SHIM_EPOLL_CTL, i == 0 ? ENOSPC : ENOMEM, 0, 1);
      g_assert_null (aio_context_new_full (NULL, AIO_MONITOR_EPOLL, &error));
      g_assert_error (error, AIO_ERROR, AIO_ERROR_UNAVAILABLE);
      g_assert_cmpint (aio_error_get_errno (error), ==, i == 0 ? ENOSPC : ENOMEM);
    }
  shim_stop ();
}

/* What epoll does not take but is no file: like a file it is ready, that one alone, until epoll takes it. */
static void
epoll_refuses_one_with_eperm (Driver *d)
{
  EventFd *eventfds = eventfds_new (10);

  shim_start ();
  eventfds_watch (d, eventfds, 0, 5);
  eventfds_watch (d, eventfds, 6, 10);
  shim_fail (SHIM_EPOLL_CTL, EPERM, 0, SHIM_ALWAYS);
  eventfds_watch_undrained (d, eventfds, 5, 6);
  g_assert_cmpint (shim_failures (SHIM_EPOLL_CTL), ==, 1);
  for (int turn = 1; turn <= 3; turn++)
    {
      driver_turn (d, TRUE);
      for (int i = 0; i < 10; i++)
        g_assert_cmpint (eventfds[i].calls, ==, i == 5 ? turn : 0);
    }
  g_assert_cmpint (aio_context_get_monitor (d->ctx), ==, AIO_MONITOR_EPOLL);
  shim_stop ();
  driver_assert_quiet (d, 10);
  eventfd_set (&eventfds[5]);
  driver_turn (d, TRUE);
  g_assert_cmpint (eventfds[5].calls, ==, 4);
  eventfds_unwatch (d, eventfds, 5, 6);
  driver_assert_quiet (d, 10);
  eventfds_unwatch (d, eventfds, 0, 10);
  eventfds_free (eventfds, 10);
}

/* Waiting */

static void
wait_fails (Driver *d, int error, gboolean retried)
{
  static const ShimCall calls[] = { SHIM_EPOLL_WAIT, SHIM_EPOLL_PWAIT2, SHIM_PPOLL, SHIM_URING_ENTER };
  int failures = 0;
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  EventFd *eventfds = eventfds_new (3);
  int fired = 0;
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
  gint64 expire;

  eventfds_watch (d, eventfds, 0, 3);
  driver_settle (d);
  shim_start ();

  /* Without a timeout, with a file descriptor that is ready and others that are not */
  for (guint i = 0; i < G_N_ELEMENTS (calls); i++)
    shim_fail (calls[i], error, 0, 3);
  eventfd_set (&eventfds[1]);
  driver_run_until_count (d, &eventfds[1].calls, 1, 5000);
  g_assert_cmpint (eventfds[1].calls, ==, 1);
  if (retried && d->kind == DRIVER_POLL)
    g_assert_cmpuint (driver_stats (d).polls, ==, 2);

  /* With one: the time is honoured, and nothing is called before it. */
  for (guint i = 0; i < G_N_ELEMENTS (calls); i++)
    shim_fail (calls[i], error, 0, 3);
  expire = aio_clock_get_ns (clock) + 20 * MS;
  aio_timer_mod_ns (timer, expire);
  driver_run_until_count (d, &fired, 1, 5000);
  g_assert_cmpint (aio_clock_get_ns (clock), >=, expire);
  g_assert_cmpint (eventfds[0].calls, ==, 0);
  g_assert_cmpint (eventfds[1].calls, ==, 1);
  g_assert_cmpint (eventfds[2].calls, ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (calls); i++)
    failures += shim_failures (calls[i]);
  if (d->kind == DRIVER_POLL)
    g_assert_cmpint (failures, >=, 6);
  if (retried)
    g_assert_cmpuint (driver_stats (d).empty_waits, ==, 0);
  shim_stop ();

  aio_timer_free (timer);
  eventfds_unwatch (d, eventfds, 0, 3);
  eventfds_free (eventfds, 3);
}

static void
wait_is_interrupted (Driver *d)
{
  wait_fails (d, EINTR, TRUE);
}

/* poll(2) may lack memory for a moment. */
static void
wait_fails_for_a_moment (Driver *d)
{
  wait_fails (d, EAGAIN, FALSE);
}

/* What has not waited has not waited its time either. */
static void
limited_wait_fails_for_a_moment (Driver *d)
{
  gboolean expired = TRUE;

  shim_start ();
  shim_fail (SHIM_PPOLL, EAGAIN, 0, 1);
  g_assert_false (aio_context_poll_for (d->ctx, 60 * 1000 * MS, &expired, NULL));
  g_assert_cmpint (shim_failures (SHIM_PPOLL), ==, 1);
  g_assert_false (expired);
  g_assert_false (aio_context_poll_for (d->ctx, 1000, &expired, NULL));
  g_assert_true (expired);
  shim_stop ();
}

/*
 * A filter of system calls that does not know epoll_pwait2(2). The process asks for it once: so this is a suite of
 * its own, which runs after the other.
 */
static void
epoll_pwait2_is_forbidden (Driver *d)
{
  shim_start ();
  shim_fail (SHIM_EPOLL_PWAIT2, EPERM, 0, SHIM_ALWAYS);
  driver_assert_quiet (d, 10);
  g_assert_cmpint (shim_failures (SHIM_EPOLL_PWAIT2), <=, 1);
  if (d->kind == DRIVER_POLL)
    g_assert_cmpint (shim_calls (SHIM_PPOLL), >=, 1);
  shim_stop ();
}

/* timerfd: GLib's own timeouts, of whole milliseconds, take its place. */
static void
timers_fire_in_time (Driver *d)
{
  static const AioClockType types[] = { AIO_CLOCK_REALTIME, AIO_CLOCK_HOST };

  for (guint t = 0; t < G_N_ELEMENTS (types); t++)
    {
      AioClock *clock = aio_clock_get (types[t]);
      int fired = 0;
      AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
      AioStats before = driver_stats (d), after;
      gint64 least = G_MAXINT64;

      for (int i = 0; i < 6; i++)
        {
          gint64 expire = aio_clock_get_ns (clock) + 3 * MS;

          aio_timer_mod_ns (timer, expire);
          driver_run_until_count (d, &fired, i + 1, 5000);
          g_assert_cmpint (aio_clock_get_ns (clock), >=, expire);
          least = MIN (least, aio_clock_get_ns (clock) - expire);
        }
      after = driver_stats (d);
      g_assert_cmpint (least, <, 2 * MS);
      g_assert_cmpuint (after.waits - before.waits + after.prepares - before.prepares, <=, 24);
      aio_timer_free (timer);
    }
}

static void
no_timerfd (Driver *d)
{
  static const int errors[] = { EMFILE, ENFILE, ENOSYS, EPERM };

  shim_start ();
  for (guint i = 0; i < G_N_ELEMENTS (errors); i++)
    {
      shim_fail (SHIM_TIMERFD_CREATE, errors[i], 0, SHIM_ALWAYS);
      timers_fire_in_time (d);
      g_assert_cmpint (shim_failures (SHIM_TIMERFD_CREATE), >, 0);
    }
  g_assert_cmpint (shim_calls (SHIM_TIMERFD_SETTIME), ==, 0);

  /* Once there is one again it is used. */
  shim_fail (SHIM_TIMERFD_CREATE, 0, 0, 0);
  timers_fire_in_time (d);
  g_assert_cmpint (shim_calls (SHIM_TIMERFD_SETTIME), >, 0);
  shim_stop ();
}

static void
timerfd_cannot_be_set (Driver *d)
{
  static const int errors[] = { ENOSYS, EPERM };

  shim_start ();
  for (guint i = 0; i < G_N_ELEMENTS (errors); i++)
    {
      shim_fail (SHIM_TIMERFD_SETTIME, errors[i], 0, SHIM_ALWAYS);
      timers_fire_in_time (d);
      shim_fail (SHIM_TIMERFD_SETTIME, errors[i], 1, 1);
      timers_fire_in_time (d);
    }
  g_assert_cmpint (shim_failures (SHIM_TIMERFD_SETTIME), >, 0);
  shim_stop ();
}

static void
add_tests (void)
{
  driver_add_bare ("system", "no-eventfd", no_eventfd);
  driver_add_bare ("system", "A15-write-is-interrupted-or-finds-the-counter-full",
                   write_is_interrupted_or_finds_the_counter_full);
  driver_add_bare ("system", "A15-read-is-interrupted-or-finds-nothing", read_is_interrupted_or_finds_nothing);
  driver_add ("system", "A15-wake-up-is-interrupted", wake_up_is_interrupted);
  driver_add ("system", "A15-wake-up-finds-the-counter-full", wake_up_finds_the_counter_full);
  driver_add_bare ("system", "no-epoll-for-who-asks-for-it", no_epoll_for_who_asks_for_it);
  driver_add_monitor (AIO_MONITOR_EPOLL, "system", "epoll-refuses-one-with-EPERM", epoll_refuses_one_with_eperm);
  driver_add ("system", "A16-wait-is-interrupted", wait_is_interrupted);
  driver_add ("system", "wait-fails-for-a-moment", wait_fails_for_a_moment);
  driver_add_monitor_for (AIO_MONITOR_POLL, DRIVER_POLL, "system", "limited-wait-fails-for-a-moment",
                          limited_wait_fails_for_a_moment);
  driver_add ("system", "no-timerfd", no_timerfd);
  driver_add ("system", "timerfd-cannot-be-set", timerfd_cannot_be_set);
  driver_add_monitor (AIO_MONITOR_EPOLL, "system-filtered", "epoll_pwait2-is-forbidden", epoll_pwait2_is_forbidden);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
