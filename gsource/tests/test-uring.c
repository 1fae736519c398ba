/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "aio-fdmon-uring-private.h"
#include "eventfds.h"
#include "producer.h"
#include "shims.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Handlers and their polls in the ring (F1 to F5, F8, F12, F14) */

#define MS G_GINT64_CONSTANT (1000000)

static AioFdMonUring *
uring (Driver *d)
{
  g_assert_cmpint (aio_context_get_monitor (d->ctx), ==, AIO_MONITOR_IO_URING);
  return d->ctx->fdmon_uring;
}

/* The ring has nothing but polls of the @n handlers, and of the context's own. */
static void
assert_in_flight (Driver *d, guint n)
{
  AioStats stats = driver_stats (d);

  g_assert_cmpuint (uring (d)->to_arm->len, ==, 0);
  g_assert_cmpuint (uring (d)->to_cancel->len, ==, 0);
  g_assert_cmpuint (stats.sqes - stats.cqes, >=, n);
  g_assert_cmpuint (stats.sqes - stats.cqes, <=, n + 2);
}

static void
added_and_removed_ten_thousand_times (Driver *d)
{
  enum {
    N = 10,
    ROUNDS = 10000
  };
  EventFd *eventfds = eventfds_new (N);

  driver_watchdog (60);
  for (guint round = 0; round < ROUNDS; round++)
    {
      eventfds_watch (d, eventfds, round % N, round % N + 1);
      if (round % 100 == 0)
        eventfd_set (&eventfds[round % N]);
      driver_turn (d, FALSE);
      eventfds_unwatch (d, eventfds, round % N, round % N + 1);
    }
  driver_turn (d, FALSE);
  eventfds_watch (d, eventfds, 0, N);
  driver_settle (d);
  assert_in_flight (d, N);
  g_assert_cmpint (eventfds[0].calls, ==, ROUNDS / 100);
  g_assert_cmpuint (driver_stats (d).sqes, <=, 3 * ROUNDS);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
}

static void
eighty_are_added_and_removed (Driver *d)
{
  enum {
    N = 80
  };
  EventFd *eventfds = eventfds_new (N);

  for (guint round = 0; round < 3; round++)
    {
      eventfds_watch (d, eventfds, 0, N);
      driver_settle (d);
      eventfds_unwatch (d, eventfds, 0, N);
      driver_settle (d);
    }
  for (guint i = 0; i < N; i++)
    eventfd_set (&eventfds[i]);
  driver_assert_quiet (d, 10);
  eventfds_watch (d, eventfds, 0, N);
  driver_turn (d, FALSE);
  for (guint i = 0; i < N; i++)
    g_assert_cmpint (eventfds[i].calls, ==, 1);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
}

/* So often that each SQE which cancels a poll has been that of a poll before, one that is still there. */
static void
one_goes_while_the_others_stay (Driver *d)
{
  enum {
    N = 100,
    ROUNDS = 400
  };
  EventFd *eventfds = eventfds_new (N);

  eventfds_watch (d, eventfds, 0, N);
  driver_settle (d);
  for (guint round = 0; round < ROUNDS; round++)
    {
      guint one = round % 10;

      eventfds_unwatch (d, eventfds, one, one + 1);
      driver_turn (d, FALSE);
      eventfds_watch (d, eventfds, one, one + 1);
      driver_turn (d, FALSE);
      assert_in_flight (d, N);
    }
  g_assert_cmpint (aio_context_get_monitor (d->ctx), ==, AIO_MONITOR_IO_URING);
  eventfds_assert_all_called (d, eventfds, N, 1);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
}

/* Another thread changes the handler when its CQE is there and has not been taken. */

typedef struct {
  Driver *d;
  int fd;
  int old_calls, new_calls, destroyed;
} Raced;

static void
remove_raced (gpointer data)
{
  Raced *raced = data;

  driver_unwatch (raced->d, raced->fd);
}

static void
replace_raced (gpointer data)
{
  Raced *raced = data;

  driver_watch (raced->d, raced->fd, driver_count_read_drain, &raced->new_calls);
}

static void
count_old_read (int fd, gpointer data)
{
  (void) fd;
  ((Raced *) data)->old_calls++;
}

static void
count_destroyed (gpointer data)
{
  ((Raced *) data)->destroyed++;
}

static void
changed_when_its_cqe_has_come (Driver *d, void (*change) (gpointer data), int new_calls)
{
  static const AioFdHandler handler = { .read = count_old_read };
  EventFd *eventfds = eventfds_new (1);
  Raced raced = { .d = d, .fd = eventfds[0].fd };
  gboolean reached;

  g_assert_true (aio_context_set_fd_handler (d->ctx, raced.fd, &handler, &raced, count_destroyed, NULL));
  eventfd_set (&eventfds[0]);
  driver_interleave (d, AIO_POINT_URING_AFTER_CQE, 0, change, &raced, &reached);
  driver_turn (d, FALSE);
  g_assert_true (reached);
  g_assert_cmpint (raced.old_calls, ==, 0);
  driver_settle (d);
  g_assert_cmpint (raced.old_calls, ==, 0);
  g_assert_cmpint (raced.destroyed, ==, 1);
  g_assert_cmpint (raced.new_calls, ==, new_calls);
  driver_unwatch (d, raced.fd);
  driver_assert_quiet (d, 10);
  assert_in_flight (d, 0);
  eventfds_free (eventfds, 1);
}

static void
removed_when_its_cqe_has_come (Driver *d)
{
  changed_when_its_cqe_has_come (d, remove_raced, 0);
}

static void
replaced_when_its_cqe_has_come (Driver *d)
{
  changed_when_its_cqe_has_come (d, replace_raced, 1);
}

/* F3: the monitor has it in a list of those to be armed, for the first time or once more. */
static void
removed_before_it_is_armed (Driver *d)
{
  static const AioFdHandler handler = { .read = count_old_read };

  for (guint armed_before = 0; armed_before < 2; armed_before++)
    for (guint n = 1; n <= 3; n++)
      {
        EventFd *eventfds = eventfds_new (3);
        Raced raced = { .d = d };

        for (guint i = 0; i < 3; i++)
          g_assert_true (aio_context_set_fd_handler (d->ctx, eventfds[i].fd, &handler, &raced, count_destroyed, NULL));
        if (armed_before)
          {
            for (guint i = 0; i < n; i++)
              eventfd_set (&eventfds[i]);
            driver_turn (d, TRUE);
            g_assert_cmpint (raced.old_calls, ==, n);
          }
        for (guint i = 0; i < 3; i++)
          {
            driver_unwatch (d, eventfds[i].fd);
            g_assert_cmpuint (uring (d)->to_arm->len, <=, 2 - i);
          }
        driver_settle (d);
        g_assert_cmpint (raced.destroyed, ==, 3);
        eventfds_free (eventfds, 3);
      }
  driver_assert_quiet (d, 10);
  assert_in_flight (d, 0);
}

/* Its CQE is there, but another thread has read it: what comes next, while the home thread sleeps, is told. */

typedef struct {
  EventFd *eventfd;
  gboolean drained;
} Drained;

static void
drain_eventfd (gpointer data)
{
  Drained *drained = data;

  driver_drain (drained->eventfd->fd);
  __atomic_store_n (&drained->drained, TRUE, __ATOMIC_RELEASE);
}

static void
set_eventfd_once_drained (gpointer data)
{
  Drained *drained = data;

  while (!__atomic_load_n (&drained->drained, __ATOMIC_ACQUIRE))
    g_usleep (1000);
  g_usleep (20000);
  eventfd_set (drained->eventfd);
}

static void
drained_when_its_cqe_has_come (Driver *d)
{
  EventFd *eventfds = eventfds_new (1);
  Drained drained = { .eventfd = &eventfds[0] };
  gboolean reached;
  pthread_t thread;

  eventfds_watch (d, eventfds, 0, 1);
  driver_settle (d);
  for (guint i = 0; i < 3; i++) /* what GLib owes itself */
    driver_turn (d, FALSE);
  eventfd_set (&eventfds[0]);
  driver_interleave (d, AIO_POINT_URING_AFTER_CQE, 1, drain_eventfd, &drained, &reached);
  thread = driver_thread_start (set_eventfd_once_drained, &drained);
  driver_run_until_count (d, &eventfds[0].calls, 1, 5000);
  g_assert_true (reached);
  driver_thread_join (thread);
  driver_assert_quiet (d, 10);
  g_assert_cmpint (eventfds[0].calls, ==, 1);
  eventfds_unwatch (d, eventfds, 0, 1);
  eventfds_free (eventfds, 1);
}

static void
a_thousand_timeouts (Driver *d)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  g_autoptr (GRand) random = g_rand_new_with_seed (4);
  EventFd *eventfds = eventfds_new (3);
  guint late = 0;

  eventfds_watch (d, eventfds, 0, 3);
  shim_start ();
  for (guint i = 0; i < 1000; i++)
    {
      gint64 timeout = g_rand_int_range (random, MS / 10, 5 * MS);
      gint64 start = aio_clock_get_ns (clock), took;
      gboolean expired;

      aio_context_poll_for (d->ctx, timeout, &expired, NULL);
      took = aio_clock_get_ns (clock) - start;
      g_assert_true (expired);
      g_assert_cmpint (took, >=, timeout);
      late += took > timeout + 2 * MS;
    }
  /* None is early; late is one that the machine had no time for, which are few. */
  g_assert_cmpuint (late, <, 200 * driver_slowdown ());
  g_assert_cmpuint (driver_stats (d).waits, ==, 1000);
  g_assert_cmpuint (driver_stats (d).zero_waits, ==, 0);
  /* The kernel was told the whole time. */
  g_assert_cmpint (shim_calls (SHIM_URING_ENTER), <=, 1100);
  shim_stop ();
  eventfds_unwatch (d, eventfds, 0, 3);
  eventfds_free (eventfds, 3);
}

/* The calls return as if they had submitted something, and there is no CQE. */
static void
wait_returns_early (Driver *d)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  int fired = 0;
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
  gint64 expire = aio_clock_get_ns (clock) + 20 * MS;
  EventFd *eventfds = eventfds_new (1);

  eventfds_watch (d, eventfds, 0, 1);
  driver_settle (d);
  shim_start ();
  shim_fail (SHIM_URING_ENTER, 0, 0, 5);
  aio_timer_mod_ns (timer, expire);
  g_assert_true (driver_poll (d->ctx, TRUE));
  g_assert_cmpint (fired, ==, 1);
  g_assert_cmpint (aio_clock_get_ns (clock), >=, expire);
  g_assert_cmpint (shim_failures (SHIM_URING_ENTER), ==, 5);
  shim_stop ();
  aio_timer_free (timer);
  eventfds_unwatch (d, eventfds, 0, 1);
  eventfds_free (eventfds, 1);
}

/* A14 too: what is ready when it is added is found by the next look, which does not wait. */
static void
undrained_is_reported_each_time (Driver *d)
{
  EventFd *eventfds = eventfds_new (2);

  eventfd_set (&eventfds[0]);
  eventfds_watch_undrained (d, eventfds, 0, 2);
  for (int turn = 1; turn <= 20; turn++)
    {
      driver_turn (d, turn % 2);
      g_assert_cmpint (eventfds[0].calls, ==, turn);
      g_assert_cmpint (eventfds[1].calls, ==, 0);
    }
  driver_drain (eventfds[0].fd);
  driver_assert_quiet (d, 10);

  /* One poll for each, and one more for each time it is reported. */
  g_assert_cmpuint (driver_stats (d).sqes, <=, 2 + 2 * 20 + 8);
  eventfds_unwatch (d, eventfds, 0, 2);
  eventfds_free (eventfds, 2);
}

/* Its CQE is there, but somebody else has read it before the wait begins. */
typedef struct {
  int fd;
  guint drained;
} Thief;

static void
drain_behind (gpointer data)
{
  Thief *thief = data;

  thief->drained = driver_drain (thief->fd);
}

/* As when the kernel reports late what woke it: the CQE is of what has been read. */
static void
read_behind_its_cqe (Driver *d, int n_signals)
{
  Thief thief = { 0 };
  gboolean reached;
  int fds[2], count = 0;

  driver_pipe (fds);
  thief.fd = fds[0];
  driver_watch (d, fds[0], driver_count_read, &count);
  driver_settle (d);
  driver_write_byte (fds[1]);
  driver_interleave (d, AIO_POINT_URING_AFTER_CQE, 1, drain_behind, &thief,
                     &reached); /* not what came before the wait */
  shim_start ();
  shim_fail (SHIM_PPOLL, EINTR, 0, n_signals);
  driver_turn (d, FALSE);
  g_assert_true (reached);
  g_assert_cmpuint (thief.drained, ==, 1);
  g_assert_cmpint (count, ==, 0);
  g_assert_cmpint (shim_failures (SHIM_PPOLL), ==, n_signals);
  shim_stop ();

  driver_write_byte (fds[1]);
  driver_turn (d, FALSE);
  g_assert_cmpint (count, ==, 1);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

static void
what_is_gone_is_not_reported (Driver *d)
{
  read_behind_its_cqe (d, 0);
}

/* A look at nothing is interrupted by a signal although it does not wait. */
static void
what_is_gone_is_not_reported_for_a_signal (Driver *d)
{
  read_behind_its_cqe (d, 3);
}

static void
what_was_read_before_the_wait_is_not_reported (Driver *d)
{
  EventFd *eventfds = eventfds_new (2);

  eventfds_watch (d, eventfds, 0, 2);
  driver_settle (d);
  for (guint round = 0; round < 10; round++)
    {
      eventfd_set (&eventfds[0]);
      g_assert_cmpuint (io_uring_cq_ready (&uring (d)->ring), >, 0);
      driver_drain (eventfds[0].fd);
      g_assert_false (driver_turn (d, FALSE));
    }
  g_assert_cmpint (eventfds[0].calls, ==, 0);
  eventfds_assert_all_called (d, eventfds, 2, 1);
  eventfds_unwatch (d, eventfds, 0, 2);
  eventfds_free (eventfds, 2);
}

/* E4: while GLib or the ring waits the old file is watched, but not told of under the number it had. */

typedef struct {
  int calls, errors;
} Counts;

static void
count_call (int fd, gpointer data)
{
  (void) fd;
  ((Counts *) data)->calls++;
}

static void
count_error (int fd, const GError *error, gpointer data)
{
  (void) fd;
  g_assert_cmpint (aio_error_get_errno (error), ==, EBADF);
  ((Counts *) data)->errors++;
}

static gboolean
has_died (gpointer data)
{
  return ((Counts *) data)->errors > 0;
}

static void
write_soon (gpointer data)
{
  g_usleep (20000);
  g_assert_no_errno (eventfd_write (*(int *) data, 1));
}

static void
closed_but_open_elsewhere_while_waiting (Driver *d)
{
  static const AioFdHandler handler = { .read = count_call, .error = count_error };
  int number = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  int elsewhere = fcntl (number, F_DUPFD_CLOEXEC, 0);
  Counts counts = { 0 };
  pthread_t thread;

  g_assert_true (aio_context_set_fd_handler (d->ctx, number, &handler, &counts, NULL, NULL));
  driver_settle (d);
  close (number);
  thread = driver_thread_start (write_soon, &elsewhere);
  driver_run_until (d, has_died, &counts, 5000);
  driver_thread_join (thread);
  g_assert_cmpint (counts.calls, ==, 0);
  driver_assert_quiet (d, 10);
  g_assert_cmpint (counts.errors, ==, 1);
  driver_unwatch (d, number);
  close (elsewhere);
}

/* A poll holds its file open: not beyond the removal of the handler. */
static void
removed_and_closed_is_closed (Driver *d)
{
  int calls = 0, fds[2], reader;

  driver_pipe (fds);
  reader = fds[0];
  driver_watch (d, reader, driver_count_read, &calls);
  driver_settle (d);
  driver_unwatch (d, reader);
  close (reader);
  fds[0] = -1;
  g_assert_cmpint (write (fds[1], "x", 1), ==, -1);
  g_assert_cmpint (errno, ==, EPIPE);
  driver_close_pair (fds);
}

/* The kernel cancels what a thread has in a ring when the thread ends. */
static void
poll_once (gpointer data)
{
  g_assert_true (aio_context_set_home (((Driver *) data)->ctx, NULL));
  driver_poll (((Driver *) data)->ctx, FALSE);
}

static void
the_thread_that_armed_them_ends (Driver *d)
{
  enum {
    N = 10
  };
  EventFd *eventfds = eventfds_new (N);
  int fired = 0;
  AioTimer *timer =
      aio_timer_new (d->ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_MS, driver_count, &fired);

  eventfds_watch (d, eventfds, 0, N);
  for (guint round = 0; round < 20; round++)
    {
      driver_on_thread (poll_once, d);
      g_assert_true (aio_context_set_home (d->ctx, NULL));
      /* This wait begins with them or gets them. */
      if (round % 2)
        {
          aio_timer_mod (timer, g_get_monotonic_time () / 1000 + 2);
          driver_poll (d->ctx, TRUE);
        }
      eventfds_assert_all_called (d, eventfds, N, 1);
    }
  g_assert_cmpint (aio_context_get_monitor (d->ctx), ==, AIO_MONITOR_IO_URING);
  aio_timer_free (timer);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
}

static void
need_wait_looks_without_a_system_call (Driver *d)
{
  gboolean (*need_wait) (AioContext * ctx) = aio_context_fdmon (d->ctx)->need_wait;
  EventFd *eventfds = eventfds_new (3);
  AioStats before;

  eventfds_watch (d, eventfds, 0, 3);
  shim_start ();
  /* What is new is submitted, once. */
  g_assert_false (need_wait (d->ctx));
  g_assert_cmpint (shim_calls (SHIM_URING_SUBMIT), ==, 1);
  assert_in_flight (d, 3);
  before = driver_stats (d);
  for (guint i = 0; i < 1000; i++)
    g_assert_false (need_wait (d->ctx));
  g_assert_cmpint (shim_calls (SHIM_URING_SUBMIT), ==, 1);
  g_assert_cmpint (shim_calls (SHIM_URING_ENTER), ==, 0);
  g_assert_cmpuint (driver_stats (d).sqes, ==, before.sqes);

  eventfd_set (&eventfds[1]);
  g_assert_true (need_wait (d->ctx));
  g_assert_cmpint (shim_calls (SHIM_URING_SUBMIT), ==, 1);
  shim_stop ();
  driver_turn (d, FALSE);
  g_assert_cmpint (eventfds[1].calls, ==, 1);
  g_assert_false (need_wait (d->ctx));
  aio_context_notify (d->ctx);
  eventfds_unwatch (d, eventfds, 0, 3);
  eventfds_free (eventfds, 3);
}

static gboolean
never (int fd G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  return FALSE;
}

/* Another handler comes or goes before each poll, so that there is always something to be submitted. */
static void
something_queued_leaves_poll_mode_on (Driver *d)
{
  EventFd *eventfds = eventfds_new (3);
  Producer producer;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  for (int i = 0; i < 100; i++)
    {
      static const AioFdHandler quiet = { .read = driver_count_read, .poll = never, .poll_ready = driver_count_read };
      const guint64 waits = driver_stats (d).waits;
      const int found = producer.found;
      EventFd *other = &eventfds[i % 3];

      g_assert_true (
          aio_context_set_fd_handler (d->ctx, other->fd, i % 6 < 3 ? &quiet : NULL, &other->calls, NULL, NULL));
      producer_event (&producer);
      g_assert_true (driver_poll (d->ctx, TRUE));
      g_assert_cmpint (producer.found, ==, found + 1);
      g_assert_cmpuint (driver_stats (d).waits, ==, waits);
    }
  g_assert_cmpint (producer.begins, ==, 1);
  g_assert_cmpint (producer.ends, ==, 0);
  g_assert_cmpint (eventfds[0].calls + eventfds[1].calls + eventfds[2].calls, ==, 0);
  g_assert_cmpuint (uring (d)->to_arm->len, ==, 0);
  g_assert_cmpuint (uring (d)->to_cancel->len, ==, 0);

  eventfds_unwatch (d, eventfds, 0, 3);
  producer_stop (&producer);
  eventfds_free (eventfds, 3);
}

static void
generations_begin_again (Driver *d)
{
  enum {
    N = 6
  };
  EventFd *eventfds = eventfds_new (N);

  eventfds_watch (d, eventfds, 0, N);
  driver_settle (d);
  uring (d)->last_generation = AIO_URING_LAST_GENERATION - 2;
  for (guint round = 0; round < 4; round++)
    eventfds_assert_all_called (d, eventfds, N, 1);
  g_assert_cmpuint (uring (d)->last_generation, <, 100);
  g_assert_cmpuint (uring (d)->last_generation, >, 0);
  driver_assert_quiet (d, 10);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
}

/* fork() */

static void
await_child (pid_t child)
{
  int status;

  g_assert_cmpint (child, >, 0);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), ==, 0);
}

/* In the child: whatever it does with the context it has no ring. What is wrong, or 0. */
static int
use_in_child (Driver *d, EventFd *eventfds, guint n)
{
  GError *error = NULL;
  int priority;

  if (aio_context_poll (d->ctx, FALSE, &error))
    return 1;
  if (!g_error_matches (error, AIO_ERROR, AIO_ERROR_SYSTEM) || aio_error_get_errno (error) != EPERM)
    return 2;
  if (d->main_context
      && (!g_main_context_acquire (d->main_context) || g_main_context_prepare (d->main_context, &priority)))
    return 3;
  if (aio_context_pending (d->ctx))
    return 4;
  if (!aio_fdmon_uring_ops.need_wait (d->ctx))
    return 5;
  eventfds_unwatch (d, eventfds, 0, n / 2);
  aio_context_close (d->ctx, NULL);
  aio_context_unref (d->ctx);
  return 0;
}

static void
a_child_leaves_the_ring_alone (Driver *d)
{
  enum {
    N = 20
  };
  EventFd *eventfds = eventfds_new (N);
  guint sq_tail, cq_head;
  AioStats before;
  pid_t child;

  eventfds_watch (d, eventfds, 0, N);
  driver_settle (d);
  g_assert_cmpint (fcntl (uring (d)->ring.ring_fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);

  if ((child = fork ()) == 0)
    driver_exit_child (0);
  await_child (child);
  eventfds_assert_all_called (d, eventfds, N, 1);

  driver_settle (d);
  before = driver_stats (d);
  sq_tail = *uring (d)->ring.sq.ktail;
  cq_head = *uring (d)->ring.cq.khead;
  if ((child = fork ()) == 0)
    driver_exit_child (use_in_child (d, eventfds, N));
  await_child (child);
  g_assert_cmpuint (io_uring_sq_ready (&uring (d)->ring), ==, 0);
  g_assert_cmpuint (*uring (d)->ring.sq.ktail, ==, sq_tail);
  g_assert_cmpuint (*uring (d)->ring.cq.khead, ==, cq_head);
  g_assert_cmpuint (driver_stats (d).cqes, ==, before.cqes);
  eventfds_assert_all_called (d, eventfds, N, 1);
  driver_assert_quiet (d, 10);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
}

static void
add (const char *name, DriverBody body)
{
  driver_add_monitor (AIO_MONITOR_IO_URING, "uring", name, body);
}

static void
add_polled (const char *name, DriverBody body)
{
  driver_add_monitor_for (AIO_MONITOR_IO_URING, DRIVER_POLL, "uring", name, body);
}

static void
add_tests (void)
{
  add ("F1-added-and-removed-ten-thousand-times", added_and_removed_ten_thousand_times);
  add ("F2-eighty-are-added-and-removed", eighty_are_added_and_removed);
  add ("F2-one-goes-while-the-others-stay", one_goes_while_the_others_stay);
  add ("F3-removed-when-its-cqe-has-come", removed_when_its_cqe_has_come);
  add ("F3-E3-replaced-when-its-cqe-has-come", replaced_when_its_cqe_has_come);
  add ("F3-removed-before-it-is-armed", removed_before_it_is_armed);
  add ("F8-drained-when-its-cqe-has-come", drained_when_its_cqe_has_come);
  add_polled ("F4-a-thousand-timeouts", a_thousand_timeouts);
  add_polled ("F5-wait-returns-early", wait_returns_early);
  add ("F8-A14-undrained-is-reported-each-time", undrained_is_reported_each_time);
  add ("F8-what-was-read-before-the-wait-is-not-reported", what_was_read_before_the_wait_is_not_reported);
  add ("F8-what-is-gone-is-not-reported", what_is_gone_is_not_reported);
  add ("F8-A16-what-is-gone-is-not-reported-for-a-signal", what_is_gone_is_not_reported_for_a_signal);
  add ("E4-closed-but-open-elsewhere-while-waiting", closed_but_open_elsewhere_while_waiting);
  add ("E4-removed-and-closed-is-closed", removed_and_closed_is_closed);
  add_polled ("the-thread-that-armed-them-ends", the_thread_that_armed_them_ends);
  add_polled ("F12-need-wait-looks-without-a-system-call", need_wait_looks_without_a_system_call);
  add ("F12-something-queued-leaves-poll-mode-on", something_queued_leaves_poll_mode_on);
  add ("E5-generations-begin-again", generations_begin_again);
  add ("F14-a-child-leaves-the-ring-alone", a_child_leaves_the_ring_alone);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
