/* SPDX-License-Identifier: MIT */
#include "eventfds.h"
#include "shims.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the monitors promise about many file descriptors, and about those that cannot be watched */

#define US G_GINT64_CONSTANT (1000)
#define MS G_GINT64_CONSTANT (1000000)

static AioMonitor
monitor (Driver *d)
{
  return aio_context_get_monitor (d->ctx);
}

/* A14: what has not been told to the kernel yet is looked at by a poll that does not block. */

static void
looks_right_after_the_registration (Driver *d)
{
  static const AioFdHandler external = { .read = driver_count_read, .external = TRUE };

  for (guint disabled = 0; disabled < 2; disabled++)
    {
      EventFd *eventfds = eventfds_new (2);
      int held_back = 0;

      if (disabled)
        aio_context_disable_external (d->ctx);
      for (int round = 1; round <= 5; round++)
        {
          eventfd_set (&eventfds[0]);
          eventfd_set (&eventfds[1]);
          eventfds_watch (d, eventfds, 0, 1);
          g_assert_true (aio_context_set_fd_handler (d->ctx, eventfds[1].fd, &external, &held_back, NULL, NULL));
          g_assert_true (driver_poll (d->ctx, FALSE));
          g_assert_cmpint (eventfds[0].calls, ==, round);
          g_assert_cmpint (held_back, ==, disabled ? 0 : round);
          eventfds_unwatch (d, eventfds, 0, 2);
          g_assert_false (driver_poll (d->ctx, FALSE));
        }
      if (disabled)
        g_assert_true (aio_context_enable_external (d->ctx, NULL));
      eventfds_free (eventfds, 2);
    }
}

/* E7 */

static void
a_file_and_a_directory_among_eventfds (Driver *d)
{
  enum {
    N = 70
  };
  const AioMonitor before = monitor (d);
  EventFd *eventfds = eventfds_new (N);
  EventFd file = { .fd = open ("/proc/self/exe", O_RDONLY | O_CLOEXEC) };
  EventFd directory = { .fd = open ("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };

  g_assert_cmpint (file.fd, >=, 0);
  g_assert_cmpint (directory.fd, >=, 0);
  eventfds_watch (d, eventfds, 0, N / 2);
  eventfds_watch_undrained (d, &file, 0, 1);
  eventfds_watch_undrained (d, &directory, 0, 1);
  eventfds_watch (d, eventfds, N / 2, N);

  /* They are ready in each turn, and nobody else is. */
  for (int turn = 1; turn <= 10; turn++)
    {
      driver_turn (d, TRUE);
      g_assert_cmpint (file.calls, ==, turn);
      g_assert_cmpint (directory.calls, ==, turn);
    }
  for (guint i = 0; i < N; i++)
    g_assert_cmpint (eventfds[i].calls, ==, 0);

  /* They keep nobody else waiting. */
  eventfds_assert_all_called (d, eventfds, N, 1);
  g_assert_cmpint (file.calls, ==, 11);

  driver_unwatch (d, file.fd);
  driver_turn (d, TRUE);
  g_assert_cmpint (file.calls, ==, 11);
  g_assert_cmpint (directory.calls, ==, 12);
  driver_unwatch (d, directory.fd);
  driver_assert_quiet (d, 10);

  g_assert_cmpint (monitor (d), ==, before);
  g_assert_cmpuint (driver_stats (d).monitor_switches, ==, 0);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
  close (file.fd);
  close (directory.fd);
}

static void
an_external_file_is_held_back (Driver *d)
{
  AioFdHandler handler = { .read = driver_count_read, .external = TRUE };
  EventFd file = { .fd = open ("/proc/self/exe", O_RDONLY | O_CLOEXEC) };

  g_assert_true (aio_context_set_fd_handler (d->ctx, file.fd, &handler, &file.calls, NULL, NULL));
  aio_context_disable_external (d->ctx);
  driver_assert_quiet (d, 10);
  g_assert_cmpint (file.calls, ==, 0);
  g_assert_true (aio_context_enable_external (d->ctx, NULL));
  driver_turn (d, TRUE);
  g_assert_cmpint (file.calls, ==, 1);
  driver_unwatch (d, file.fd);
  close (file.fd);
}

/* E12 */

static void
more_ready_than_one_wait_reports (Driver *d)
{
  enum {
    N = 500,
    A_WAIT = 128 /* MAX_EVENTS of the epoll monitor */
  };
  const guint turns = monitor (d) == AIO_MONITOR_POLL ? 1 : (N + A_WAIT - 1) / A_WAIT + 1;
  EventFd *eventfds = eventfds_new (N);

  eventfds_watch (d, eventfds, 0, N);
  for (guint round = 0; round < 3; round++)
    eventfds_assert_all_called (d, eventfds, N, turns);
  g_assert_false (driver_turn (d, FALSE));

  /* Those that stay ready do not push the others out. */
  eventfds_watch_undrained (d, eventfds, 0, N);
  for (guint i = 0; i < N; i++)
    {
      eventfds[i].calls = 0;
      eventfd_set (&eventfds[i]);
    }
  for (guint turn = 0; turn < turns; turn++)
    driver_turn (d, FALSE);
  for (guint i = 0; i < N; i++)
    g_assert_cmpint (eventfds[i].calls, >=, 1);

  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
}

/* E15 */

/* How many file descriptors GLib polls for the coming iteration. */
static guint
count_polled (Driver *d)
{
  int priority, timeout, n;

  g_assert_true (g_main_context_acquire (d->main_context));
  g_main_context_prepare (d->main_context, &priority);
  n = g_main_context_query (d->main_context, G_MAXINT, &timeout, NULL, 0);
  g_main_context_release (d->main_context);
  g_main_context_iteration (d->main_context, FALSE);
  return n;
}

static void
glib_polls_one_fd_for_all (Driver *d)
{
  enum {
    N = 300
  };
  EventFd *eventfds = eventfds_new (N);
  guint none = count_polled (d), n_polled;

  eventfds_watch (d, eventfds, 0, N);
  n_polled = count_polled (d);
  g_assert_cmpuint (n_polled, ==, monitor (d) == AIO_MONITOR_POLL ? none + N : none);
  eventfds_assert_all_called (d, eventfds, N, 4);

  /* Nor are there two for one that was replaced. */
  eventfds_watch (d, eventfds, 0, N);
  g_assert_cmpuint (count_polled (d), ==, n_polled);
  eventfds_unwatch (d, eventfds, 0, N);
  g_assert_cmpuint (count_polled (d), ==, none);
  eventfds_free (eventfds, N);
}

/* E17 */

typedef struct {
  int order[5];
  guint n;
} Order;

typedef struct {
  Order *order;
  int number;
} Place;

static void
note_place (int fd, gpointer data)
{
  Place *place = data;

  driver_drain (fd);
  g_assert_cmpuint (place->order->n, <, 5);
  place->order->order[place->order->n++] = place->number;
}

static void
order_of_calls (Driver *d)
{
  static const int set_order[] = { 3, 1, 4, 0, 2 };
  EventFd *eventfds = eventfds_new (5);
  Order order = { 0 };
  Place places[5];

  for (int i = 0; i < 5; i++)
    {
      places[i] = (Place){ &order, i };
      driver_watch (d, eventfds[i].fd, note_place, &places[i]);
    }
  for (guint round = 0; round < 3; round++)
    {
      order.n = 0;
      for (guint i = 0; i < 5; i++)
        eventfd_set (&eventfds[set_order[i]]);
      driver_turn (d, TRUE);
      g_assert_cmpuint (order.n, ==, 5);
      /* As they were registered (io_uring: armed); with epoll, as they became ready. Whatever drives the context. */
      for (int i = 0; i < 5; i++)
        g_assert_cmpint (order.order[i], ==, monitor (d) == AIO_MONITOR_EPOLL ? set_order[i] : i);
    }
  eventfds_unwatch (d, eventfds, 0, 5);
  eventfds_free (eventfds, 5);
}

/* E10 */

typedef struct {
  gint64 expire, late;
  int fired;
} Shot;

static void
note_lateness (gpointer data)
{
  Shot *shot = data;

  shot->late = aio_clock_get_ns (aio_clock_get (AIO_CLOCK_REALTIME)) - shot->expire;
  shot->fired++;
}

static void
short_timer_among_many_fds (Driver *d)
{
  enum {
    N = 80,
    ROUNDS = 10
  };
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  EventFd *eventfds = eventfds_new (N);
  Shot shot = { 0 };
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, note_lateness, &shot);
  gint64 least = G_MAXINT64;
  AioStats before, after;

  eventfds_watch (d, eventfds, 0, N);
  driver_settle (d);
  before = driver_stats (d);
  for (int i = 0; i < ROUNDS; i++)
    {
      shot.expire = aio_clock_get_ns (clock) + 300 * US;
      aio_timer_mod_ns (timer, shot.expire);
      driver_run_until_count (d, &shot.fired, i + 1, 5000);
      g_assert_cmpint (shot.late, >=, 0);
      least = MIN (least, shot.late);
    }
  after = driver_stats (d);
  /* In whole milliseconds it would be 700 us late each time. */
  g_assert_cmpint (least, <, 500 * US * driver_slowdown ());
  g_assert_cmpuint (after.waits - before.waits + after.prepares - before.prepares, <=, 3 * ROUNDS);
  g_assert_cmpuint (after.empty_waits - before.empty_waits, <=, 1);
  aio_timer_free (timer);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
}

static void
e10_by_epoll_pwait2 (Driver *d)
{
  if (epoll_pwait2 (-1, NULL, 0, NULL, NULL) < 0 && errno == ENOSYS)
    {
      g_test_skip ("this kernel does not have epoll_pwait2(2)");
      return;
    }
  shim_start ();
  short_timer_among_many_fds (d);
  if (monitor (d) == AIO_MONITOR_EPOLL && d->kind == DRIVER_POLL)
    g_assert_cmpint (shim_calls (SHIM_EPOLL_PWAIT2), >=, 10);
  shim_stop ();
}

/* Once it was missing the process asks for it no more: so this is a suite of its own, which runs after the other. */
static void
e10_without_epoll_pwait2 (Driver *d)
{
  shim_start ();
  shim_fail (SHIM_EPOLL_PWAIT2, ENOSYS, 0, SHIM_ALWAYS);
  short_timer_among_many_fds (d);
  g_assert_cmpint (shim_failures (SHIM_EPOLL_PWAIT2), <=, 1);
  if (monitor (d) == AIO_MONITOR_EPOLL && d->kind == DRIVER_POLL)
    g_assert_cmpint (shim_calls (SHIM_PPOLL), >=, 10);
  shim_stop ();
}

/* E11: whatever lay on the stack during a wait is written over before the next, at another depth. */

#define DEAD 16384

__attribute__ ((noinline)) static void
write_over_dead_frames (guint8 with)
{
  guint8 dead[DEAD];

  memset (dead, with, sizeof dead);
  __asm__ volatile("" : : "r"(dead) : "memory");
}

__attribute__ ((noinline)) static void
turn_deeper (Driver *d, gboolean blocking)
{
  guint8 deeper[1000];

  memset (deeper, 0xff, sizeof deeper);
  __asm__ volatile("" : : "r"(deeper) : "memory");
  driver_turn (d, blocking);
}

static void
a_wait_leaves_nothing_of_its_frame (Driver *d)
{
  enum {
    N = 70,
    ROUNDS = 50
  };
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  EventFd *eventfds = eventfds_new (N);
  AioTimer *timer;
  int fired = 0;

  eventfds_watch (d, eventfds, 0, N);
  timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
  for (int round = 0; round < ROUNDS; round++)
    {
      EventFd *one = &eventfds[round % N];
      const int calls = one->calls;
      gint64 expire = aio_clock_get_ns (clock) + 500 * US;

      /* One that only a timer ends, in time, each time at another depth */
      aio_timer_mod_ns (timer, expire);
      write_over_dead_frames (0xff);
      while (fired == round && round % 2)
        turn_deeper (d, TRUE);
      driver_run_until_count (d, &fired, round + 1, 5000);
      g_assert_cmpint (aio_clock_get_ns (clock), >=, expire);
      write_over_dead_frames (0);

      /* One that finds something, deeper */
      eventfd_set (one);
      turn_deeper (d, TRUE);
      g_assert_cmpint (one->calls, ==, calls + 1);
      write_over_dead_frames (0xa5);

      /* And one with a change before it */
      eventfds_unwatch (d, eventfds, round % N, round % N + 1);
      eventfds_watch (d, eventfds, round % N, round % N + 1);
      write_over_dead_frames (0x5a);
      turn_deeper (d, FALSE);
      g_assert_cmpint (one->calls, ==, calls + 1);
    }
  aio_timer_free (timer);
  driver_assert_quiet (d, 10);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
}

/* What a child does to the context that it has inherited it does not do to its parent's. */

static int
use_in_child (Driver *d, EventFd *eventfds, guint n)
{
  EventFd *own = eventfds_new (2);

  /* The ring is the parent's: F14. */
  if (aio_context_get_monitor (d->ctx) == AIO_MONITOR_IO_URING)
    return aio_context_close (d->ctx, NULL) ? 0 : 1;
  eventfds_unwatch (d, eventfds, 0, n / 2);
  eventfds_watch (d, own, 0, 2);
  eventfd_set (&own[1]);
  driver_poll (d->ctx, FALSE);
  if (own[1].calls != 1)
    return 2;
  eventfd_set (&eventfds[n / 2]);
  driver_poll (d->ctx, FALSE);
  if (eventfds[n / 2].calls != 1)
    return 3;
  return aio_context_close (d->ctx, NULL) ? 0 : 4;
}

static void
a_child_leaves_the_handlers_alone (Driver *d)
{
  enum {
    N = 40
  };
  EventFd *eventfds = eventfds_new (N);
  int status;
  pid_t child;

  eventfds_watch (d, eventfds, 0, N);
  driver_settle (d);
  if ((child = fork ()) == 0)
    driver_exit_child (use_in_child (d, eventfds, N));
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), ==, 0);
  eventfds_assert_all_called (d, eventfds, N, 5);
  driver_assert_quiet (d, 10);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
}

static void
add_tests (void)
{
  driver_add ("fdmon", "a-child-leaves-the-handlers-alone", a_child_leaves_the_handlers_alone);
  driver_add_monitor (AIO_MONITOR_AUTO, "fdmon", "a-child-leaves-the-handlers-alone",
                      a_child_leaves_the_handlers_alone);
  driver_add ("fdmon", "A14-looks-right-after-the-registration", looks_right_after_the_registration);
  driver_add ("fdmon", "E7-a-file-and-a-directory-among-eventfds", a_file_and_a_directory_among_eventfds);
  driver_add ("fdmon", "E7-H6-an-external-file-is-held-back", an_external_file_is_held_back);
  driver_add ("fdmon", "E12-more-ready-than-one-wait-reports", more_ready_than_one_wait_reports);
  driver_add_for (DRIVER_ATTACHED, "fdmon", "E15-glib-polls-one-fd-for-all", glib_polls_one_fd_for_all);
  driver_add ("fdmon", "E17-order-of-calls", order_of_calls);
  driver_add ("fdmon", "E11-a-wait-leaves-nothing-of-its-frame", a_wait_leaves_nothing_of_its_frame);
  driver_add ("fdmon", "E10-short-timer-among-many-fds", e10_by_epoll_pwait2);
  driver_add ("fdmon-without-epoll_pwait2", "E10-short-timer-among-many-fds", e10_without_epoll_pwait2);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
