/* SPDX-License-Identifier: MIT */
#include "eventfds.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

EventFd *
eventfds_new (guint n)
{
  EventFd *eventfds = g_new0 (EventFd, n);

  for (guint i = 0; i < n; i++)
    {
      eventfds[i].fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
      g_assert_cmpint (eventfds[i].fd, >=, 0);
    }
  return eventfds;
}

void
eventfds_free (EventFd *eventfds, guint n)
{
  for (guint i = 0; i < n; i++)
    g_assert_no_errno (close (eventfds[i].fd));
  g_free (eventfds);
}

static void
watch (Driver *d, EventFd *eventfds, guint from, guint to, AioHandlerFunc read)
{
  for (guint i = from; i < to; i++)
    driver_watch (d, eventfds[i].fd, read, &eventfds[i].calls);
}

void
eventfds_watch (Driver *d, EventFd *eventfds, guint from, guint to)
{
  watch (d, eventfds, from, to, driver_count_read_drain);
}

void
eventfds_watch_undrained (Driver *d, EventFd *eventfds, guint from, guint to)
{
  watch (d, eventfds, from, to, driver_count_read);
}

void
eventfds_unwatch (Driver *d, EventFd *eventfds, guint from, guint to)
{
  for (guint i = from; i < to; i++)
    driver_unwatch (d, eventfds[i].fd);
}

void
eventfd_set (EventFd *eventfd)
{
  g_assert_no_errno (eventfd_write (eventfd->fd, 1));
}

void
eventfds_assert_all_called (Driver *d, EventFd *eventfds, guint n, guint turns)
{
  g_autofree int *before = g_new (int, n);

  for (guint i = 0; i < n; i++)
    {
      before[i] = eventfds[i].calls;
      eventfd_set (&eventfds[i]);
    }
  for (guint turn = 0; turn < turns; turn++)
    driver_turn (d, FALSE);
  for (guint i = 0; i < n; i++)
    g_assert_cmpint (eventfds[i].calls, ==, before[i] + 1);
}

void
driver_assert_quiet (Driver *d, guint most_waits)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  AioStats before, after;
  AioTimer *timer;
  int fired = 0;

  driver_settle (d);
  before = driver_stats (d);
  timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
  aio_timer_mod_ns (timer, aio_clock_get_ns (clock) + G_GINT64_CONSTANT (200000000));
  driver_run_until_count (d, &fired, 1, 5000);
  after = driver_stats (d);
  g_assert_cmpuint (after.waits - before.waits + after.prepares - before.prepares, <, most_waits);
  g_assert_cmpuint (after.handlers_dispatched, ==, before.handlers_dispatched);
  aio_timer_free (timer);
}

gboolean
eventfds_may_open (guint n)
{
  struct rlimit limit;

  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit));
  if (limit.rlim_cur >= n)
    return TRUE;
  if (limit.rlim_max < n)
    return FALSE;
  limit.rlim_cur = n;
  return setrlimit (RLIMIT_NOFILE, &limit) == 0;
}
