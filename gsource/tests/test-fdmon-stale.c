/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "eventfds.h"
#include "shims.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Numbers of file descriptors that are closed, shared and used again while handlers watch them (E4, E5, E8) */

#define N_OTHERS 70

static AioMonitor
monitor (Driver *d)
{
  return aio_context_get_monitor (d->ctx);
}

static void
count_error (int fd, const GError *error, gpointer data)
{
  (void) fd;
  g_assert_cmpint (aio_error_get_errno (error), ==, EBADF);
  driver_count (data);
}

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
count_counts_error (int fd, const GError *error, gpointer data)
{
  count_error (fd, error, &((Counts *) data)->errors);
}

static const AioFdHandler counting = { .read = count_call, .error = count_counts_error };

static void
watch (Driver *d, int fd, Counts *counts)
{
  g_autoptr (GError) error = NULL;

  aio_context_set_fd_handler (d->ctx, fd, &counting, counts, NULL, &error);
  g_assert_no_error (error);
}

/* A new eventfd of that number, which is free. */
static void
reopen (int number, guint value)
{
  int fd = eventfd (value, EFD_CLOEXEC | EFD_NONBLOCK);

  g_assert_cmpint (fd, >=, 0);
  if (fd != number)
    {
      g_assert_cmpint (dup3 (fd, number, O_CLOEXEC), ==, number);
      close (fd);
    }
}

/* E4: the number is closed, the open file lives on under another one. */
static void
closed_but_open_elsewhere (Driver *d)
{
  EventFd *others = eventfds_new (3);
  EventFd file = { .fd = open ("/proc/self/exe", O_RDONLY | O_CLOEXEC) };
  int number = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  int elsewhere = fcntl (number, F_DUPFD_CLOEXEC, 0);
  const AioMonitor before = monitor (d);
  gboolean is_epoll = before == AIO_MONITOR_EPOLL;
  Counts counts = { 0 };

  eventfds_watch (d, others, 0, 3);
  watch (d, number, &counts);
  driver_settle (d);
  close (number);
  eventfd_write (elsewhere, 1);

  /* poll(2) tells at once, io_uring when it arms; of epoll the old file is still reported, until the handler is removed. */
  for (guint turn = 1; turn <= 3; turn++)
    {
      driver_turn (d, FALSE);
      g_assert_cmpint (counts.calls, ==, is_epoll ? turn : 0);
      g_assert_cmpint (counts.errors, ==, is_epoll ? 0 : 1);
    }
  driver_unwatch (d, number);
  driver_assert_quiet (d, 10);
  g_assert_cmpint (counts.calls, ==, is_epoll ? 3 : 0);
  g_assert_cmpint (counts.errors, ==, is_epoll ? 0 : 1);

  /* The set that was made anew has all the others in it, files too. */
  eventfds_assert_all_called (d, others, 3, 1);
  eventfds_watch_undrained (d, &file, 0, 1);
  watch (d, elsewhere, &counts);
  counts.calls = 0;
  driver_turn (d, TRUE);
  driver_turn (d, TRUE);
  g_assert_cmpint (counts.calls, ==, 2);
  g_assert_cmpint (file.calls, ==, 2);
  g_assert_cmpint (monitor (d), ==, before);

  driver_unwatch (d, file.fd);
  driver_unwatch (d, elsewhere);
  eventfds_unwatch (d, others, 0, 3);
  eventfds_free (others, 3);
  close (file.fd);
  close (elsewhere);
}

/* E4: a file has no entry in an epoll set, from which the kernel would take it; no monitor holds it open. */
static void
closed_file (Driver *d)
{
  int number = open ("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  Counts counts = { 0 };

  watch (d, number, &counts);
  driver_turn (d, FALSE);
  g_assert_cmpint (counts.calls, ==, 1);
  close (number);
  driver_turn (d, FALSE);
  driver_turn (d, FALSE);
  g_assert_cmpint (counts.calls, ==, 1);
  g_assert_cmpint (counts.errors, ==, 1);
  driver_assert_quiet (d, 10);
  driver_unwatch (d, number);
}

/* E4: as above, but the number is that of something that is not always ready. */
static void
file_whose_number_is_used_again (Driver *d)
{
  int number = open ("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  Counts counts = { 0 };

  watch (d, number, &counts);
  driver_turn (d, FALSE);
  g_assert_cmpint (counts.calls, ==, 1);
  close (number);
  reopen (number, 0);
  driver_assert_quiet (d, 10);
  g_assert_cmpint (counts.calls, ==, 1);
  eventfd_write (number, 1);
  driver_turn (d, TRUE);
  g_assert_cmpint (counts.calls, ==, 2);
  g_assert_cmpint (counts.errors, ==, 0);
  driver_unwatch (d, number);
  close (number);
}

/* What becomes of a number that is closed with its handler in place */
typedef enum {
  GONE,              /* nothing but a new file */
  ELSEWHERE,         /* its old file is open under another number, and ready */
  BACK,              /* the old file comes back to it */
  REMOVED_ELSEWHERE, /* as ELSEWHERE, but the handler is removed before the number is used again */
  REMOVED_BACK,      /* as BACK likewise: the kernel still has what cannot be removed of a closed number */
  N_FATES,
} Fate;

/* E5 */
static void
a_thousand_rounds_of_reuse (Driver *d)
{
  const AioMonitor before = monitor (d);
  EventFd *others = eventfds_new (N_OTHERS);
  int number = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);

  eventfds_watch (d, others, 0, N_OTHERS);
  driver_turn (d, FALSE);
  for (guint round = 0; round < 1000; round++)
    {
      Counts old = { 0 }, new = { 0 };
      Fate fate = round % N_FATES;
      gboolean back = fate == BACK || fate == REMOVED_BACK;
      int elsewhere = -1, calls;

      watch (d, number, &old);
      if (round % 3 == 0)
        driver_turn (d, FALSE);
      if (fate != GONE)
        elsewhere = fcntl (number, F_DUPFD_CLOEXEC, 0);
      close (number);
      if (fate == REMOVED_ELSEWHERE || fate == REMOVED_BACK)
        driver_unwatch (d, number);
      if (back)
        g_assert_cmpint (dup3 (elsewhere, number, O_CLOEXEC), ==, number);
      else
        reopen (number, 0);

      watch (d, number, &new);
      if (elsewhere >= 0 && !back)
        eventfd_write (elsewhere, 1); /* nobody's any more */
      driver_turn (d, FALSE);
      driver_turn (d, FALSE);
      g_assert_cmpint (old.calls + old.errors + new.calls + new.errors, ==, 0);

      eventfd_write (number, 1);
      calls = others[round % N_OTHERS].calls;
      eventfd_set (&others[round % N_OTHERS]);
      driver_turn (d, TRUE);
      g_assert_cmpint (new.calls, ==, 1);
      g_assert_cmpint (others[round % N_OTHERS].calls, ==, calls + 1);
      g_assert_cmpint (old.calls + old.errors + new.errors, ==, 0);
      driver_unwatch (d, number);
      driver_drain (number);
      if (elsewhere >= 0)
        close (elsewhere);
    }
  driver_assert_quiet (d, 10);
  g_assert_cmpint (monitor (d), ==, before);
  g_assert_cmpuint (driver_stats (d).monitor_switches, ==, 0);
  eventfds_assert_all_called (d, others, N_OTHERS, 1);
  close (number);
  eventfds_unwatch (d, others, 0, N_OTHERS);
  eventfds_free (others, N_OTHERS);
}

/* A set that has to be made anew, when there are no file descriptors left to make it with */
static void
no_set_to_be_had_when_one_is_stale (Driver *d)
{
  EventFd *others = eventfds_new (3);
  int number = eventfd (1, EFD_CLOEXEC | EFD_NONBLOCK);
  int elsewhere = fcntl (number, F_DUPFD_CLOEXEC, 0);
  Counts counts = { 0 };

  eventfds_watch (d, others, 0, 3);
  watch (d, number, &counts);
  close (number);
  driver_unwatch (d, number);

  shim_start ();
  shim_fail (SHIM_EPOLL_CREATE1, EMFILE, 0, 1);
  driver_assert_quiet (d, 10);
  g_assert_cmpint (shim_failures (SHIM_EPOLL_CREATE1), ==, 1);
  g_assert_cmpint (monitor (d), ==, AIO_MONITOR_POLL);
  shim_stop ();
  eventfds_assert_all_called (d, others, 3, 1);
  g_assert_cmpint (counts.calls, ==, 0);

  eventfds_unwatch (d, others, 0, 3);
  eventfds_free (others, 3);
  close (elsewhere);
}

/* E8: another thread changes handlers while the home thread goes over from one monitor to the other. */

typedef struct {
  Driver *d;
  EventFd *eventfds;
  int new_calls;
  guint changes;
} Meddler;

static void
meddle (gpointer data)
{
  Meddler *m = data;

  m->changes++;
  driver_unwatch (m->d, m->eventfds[0].fd);
  driver_watch (m->d, m->eventfds[1].fd, driver_count_read_drain, &m->new_calls);
  driver_unwatch (m->d, m->eventfds[2].fd);
  driver_watch (m->d, m->eventfds[2].fd, driver_count_read_drain, &m->new_calls);
  driver_watch (m->d, m->eventfds[40].fd, driver_count_read_drain, &m->new_calls);
}

static void
changed_by_another_thread_in_a_switch (Driver *d)
{
  enum {
    N = 41
  };
  Meddler m = { .d = d, .eventfds = eventfds_new (N) };
  gboolean reached;

  /* Up: the first 31 are known to the poll monitor, and in GLib's set. */
  eventfds_watch (d, m.eventfds, 0, 31);
  driver_turn (d, FALSE);
  g_assert_cmpint (monitor (d), ==, AIO_MONITOR_POLL);
  eventfds_watch (d, m.eventfds, 31, 40);
  driver_interleave (d, AIO_POINT_FDMON_BEFORE_UPDATE, 0, meddle, &m, &reached);
  driver_turn (d, FALSE);
  g_assert_true (reached);
  g_assert_cmpint (monitor (d), ==, AIO_MONITOR_EPOLL);
  driver_turn (d, FALSE);
  for (guint i = 0; i < N; i++)
    eventfd_set (&m.eventfds[i]);
  driver_turn (d, FALSE);
  driver_turn (d, FALSE);
  g_assert_cmpint (m.eventfds[0].calls, ==, 0);
  g_assert_cmpint (m.new_calls, ==, 3);
  for (guint i = 3; i < 40; i++)
    g_assert_cmpint (m.eventfds[i].calls, ==, 1);

  /* And down. */
  driver_drain (m.eventfds[0].fd);
  eventfds_watch (d, m.eventfds, 0, 3);
  eventfds_unwatch (d, m.eventfds, 15, N);
  driver_interleave (d, AIO_POINT_FDMON_BEFORE_UPDATE, 0, meddle, &m, &reached);
  driver_turn (d, FALSE);
  g_assert_true (reached);
  g_assert_cmpint (monitor (d), ==, AIO_MONITOR_POLL);
  driver_turn (d, FALSE);
  for (guint i = 0; i < 15; i++)
    eventfd_set (&m.eventfds[i]);
  eventfd_set (&m.eventfds[40]);
  driver_turn (d, FALSE);
  g_assert_cmpint (m.eventfds[0].calls, ==, 0);
  g_assert_cmpint (m.new_calls, ==, 6);
  for (guint i = 3; i < 15; i++)
    g_assert_cmpint (m.eventfds[i].calls, ==, 2);

  g_assert_cmpuint (m.changes, ==, 2);
  eventfds_unwatch (d, m.eventfds, 1, N);
  driver_assert_quiet (d, 10);
  eventfds_free (m.eventfds, N);
}

static void
meddle_on_a_thread (gpointer data)
{
  driver_on_thread (meddle, data);
}

static void
changed_by_another_thread_while_the_set_is_made_anew (Driver *d)
{
  enum {
    N = 41
  };
  Meddler m = { .d = d, .eventfds = eventfds_new (N) };
  int number = eventfd (1, EFD_CLOEXEC | EFD_NONBLOCK);
  int elsewhere = fcntl (number, F_DUPFD_CLOEXEC, 0);
  Counts counts = { 0 };

  eventfds_watch (d, m.eventfds, 0, 40);
  watch (d, number, &counts);
  close (number);
  driver_unwatch (d, number);

  shim_start ();
  shim_before_epoll_create1 (meddle_on_a_thread, &m);
  driver_turn (d, FALSE);
  g_assert_cmpint (shim_calls (SHIM_EPOLL_CREATE1), ==, 1);
  shim_stop ();
  driver_turn (d, FALSE);
  for (guint i = 0; i < N; i++)
    eventfd_set (&m.eventfds[i]);
  driver_turn (d, FALSE);
  g_assert_cmpint (m.eventfds[0].calls + m.eventfds[1].calls + m.eventfds[2].calls, ==, 0);
  g_assert_cmpint (m.new_calls, ==, 3);
  for (guint i = 3; i < 40; i++)
    g_assert_cmpint (m.eventfds[i].calls, ==, 1);
  driver_assert_quiet (d, 10);
  g_assert_cmpint (counts.calls + counts.errors, ==, 0);
  g_assert_cmpuint (driver_stats (d).monitor_switches, ==, 0);

  eventfds_unwatch (d, m.eventfds, 1, N);
  eventfds_free (m.eventfds, N);
  close (elsewhere);
}

/* After 2^32 registrations the numbers begin again; the one that stands for no entry is left out. */
static void
generations_begin_again (Driver *d)
{
  enum {
    N = 6
  };
  EventFd *eventfds = eventfds_new (N);

  eventfds_watch (d, eventfds, 0, 1);
  driver_turn (d, FALSE);
  d->ctx->fdmon_epoll.last_generation = G_MAXUINT32 - 2;
  eventfds_watch (d, eventfds, 1, N);
  for (guint round = 0; round < 2; round++)
    eventfds_assert_all_called (d, eventfds, N, 1);
  g_assert_cmpuint (d->ctx->fdmon_epoll.last_generation, ==, 3);
  driver_assert_quiet (d, 10);
  eventfds_unwatch (d, eventfds, 0, N);
  driver_turn (d, FALSE);
  for (guint i = 0; i < N; i++)
    eventfd_set (&eventfds[i]);
  driver_assert_quiet (d, 10);
  eventfds_free (eventfds, N);
}

static void
add_tests (void)
{
  driver_add ("fdmon-stale", "E4-closed-but-open-elsewhere", closed_but_open_elsewhere);
  driver_add ("fdmon-stale", "E4-closed-file", closed_file);
  driver_add ("fdmon-stale", "E4-file-whose-number-is-used-again", file_whose_number_is_used_again);
  driver_add ("fdmon-stale", "E5-a-thousand-rounds-of-reuse", a_thousand_rounds_of_reuse);
  driver_add_monitor (AIO_MONITOR_EPOLL, "fdmon-stale", "generations-begin-again", generations_begin_again);
  driver_add_monitor (AIO_MONITOR_EPOLL, "fdmon-stale", "no-set-to-be-had-when-one-is-stale",
                      no_set_to_be_had_when_one_is_stale);
  driver_add_monitor (AIO_MONITOR_EPOLL, "fdmon-stale", "E8-changed-by-another-thread-while-the-set-is-made-anew",
                      changed_by_another_thread_while_the_set_is_made_anew);
  driver_add_monitor (AIO_MONITOR_AUTO, "fdmon-stale", "E8-changed-by-another-thread-in-a-switch",
                      changed_by_another_thread_in_a_switch);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
