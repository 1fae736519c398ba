/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* File descriptors of every kind: watched, made ready, called, removed */

typedef struct {
  int fd;    /* the one that is watched */
  int other; /* what makes it ready; -1: nothing that would have to be closed */
  pid_t child;
  char *path;
} Subject;

typedef struct {
  const char *name;
  void (*open) (Subject *s); /* fd -1: this kernel has none */
  void (*make_ready) (Subject *s);
  void (*finish) (Subject *s);
  gboolean always_ready;
  gboolean takes_time; /* it may be ready only a moment after it was made so */
} Kind;

static void
write_to_other (Subject *s)
{
  driver_write_byte (s->other);
}

static void
open_file (Subject *s)
{
  s->fd = open ("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

static void
open_directory (Subject *s)
{
  s->fd = open ("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void
open_fifo (Subject *s)
{
  s->path = g_strdup_printf ("%s/aio-fifo-%d", g_get_tmp_dir (), (int) getpid ());
  g_assert_no_errno (mkfifo (s->path, 0600));
  s->fd = open (s->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  s->other = open (s->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
}

static void
open_pipe (Subject *s)
{
  int fds[2];

  driver_pipe (fds);
  s->fd = fds[0];
  s->other = fds[1];
}

static void
open_socket (Subject *s)
{
  int fds[2];

  driver_socketpair (fds);
  s->fd = fds[0];
  s->other = fds[1];
}

static void
open_tty (Subject *s)
{
  g_assert_no_errno (openpty (&s->other, &s->fd, NULL, NULL, NULL));
  g_assert_no_errno (fcntl (s->fd, F_SETFL, O_NONBLOCK));
}

static void
type_a_line (Subject *s)
{
  g_assert_cmpint (write (s->other, "line\n", 5), ==, 5);
}

static void
open_pidfd (Subject *s)
{
  int fds[2];
  char byte;

  driver_pipe (fds);
  g_assert_no_errno (fcntl (fds[0], F_SETFL, 0));
  s->child = fork ();
  if (s->child == 0)
    {
      close (fds[1]);
      _exit (read (fds[0], &byte, 1) == 1 ? 0 : 1);
    }
  g_assert_cmpint (s->child, >, 0);
  close (fds[0]);
  s->other = fds[1];
  s->fd = syscall (SYS_pidfd_open, s->child, 0);
}

static void
open_signalfd (Subject *s)
{
  sigset_t set;

  sigemptyset (&set);
  sigaddset (&set, SIGUSR1);
  g_assert_cmpint (pthread_sigmask (SIG_BLOCK, &set, NULL), ==, 0);
  s->fd = signalfd (-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void
signal_oneself (Subject *s)
{
  g_assert_cmpint (raise (SIGUSR1), ==, 0);
}

/* Nobody else takes it. */
static void
take_signal (Subject *s)
{
  struct signalfd_siginfo info;

  g_assert_cmpint (read (s->fd, &info, sizeof info), ==, sizeof info);
}

static void
open_timerfd (Subject *s)
{
  s->fd = timerfd_create (CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}

static void
set_timerfd (Subject *s)
{
  struct itimerspec when = { .it_value = { .tv_nsec = 1000000 } };

  g_assert_no_errno (timerfd_settime (s->fd, 0, &when, NULL));
}

static void
open_eventfd (Subject *s)
{
  s->fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void
set_eventfd (Subject *s)
{
  g_assert_no_errno (eventfd_write (s->fd, 1));
}

static void
open_epoll (Subject *s)
{
  struct epoll_event event = { .events = EPOLLIN };

  s->fd = epoll_create1 (EPOLL_CLOEXEC);
  s->other = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  g_assert_no_errno (epoll_ctl (s->fd, EPOLL_CTL_ADD, s->other, &event));
}

static void
set_other_eventfd (Subject *s)
{
  g_assert_no_errno (eventfd_write (s->other, 1));
}

static void
open_inotify (Subject *s)
{
  s->path = g_strdup_printf ("%s/aio-inotify-%d", g_get_tmp_dir (), (int) getpid ());
  s->other = open (s->path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  s->fd = inotify_init1 (IN_CLOEXEC | IN_NONBLOCK);
  g_assert_cmpint (inotify_add_watch (s->fd, s->path, IN_MODIFY), >=, 0);
}

static const Kind kinds[] = {
  { "file", open_file, NULL, .always_ready = TRUE },
  { "directory", open_directory, NULL, .always_ready = TRUE },
  { "fifo", open_fifo, write_to_other },
  { "pipe", open_pipe, write_to_other },
  { "socket", open_socket, write_to_other },
  { "tty", open_tty, type_a_line, .takes_time = TRUE },
  { "pidfd", open_pidfd, write_to_other, .takes_time = TRUE },
  { "signalfd", open_signalfd, signal_oneself, take_signal },
  { "timerfd", open_timerfd, set_timerfd, .takes_time = TRUE },
  { "eventfd", open_eventfd, set_eventfd },
  { "epoll", open_epoll, set_other_eventfd },
  { "inotify", open_inotify, write_to_other },
};

static void
close_subject (Subject *s)
{
  if (s->fd >= 0)
    close (s->fd);
  if (s->other >= 0)
    close (s->other);
  if (s->child > 0)
    g_assert_cmpint (waitpid (s->child, NULL, 0), ==, s->child);
  if (s->path)
    unlink (s->path);
  g_free (s->path);
}

static void
watch_one (Driver *d, const Kind *kind)
{
  Subject s = { .other = -1 };
  AioStats before;
  int calls = 0, called;

  kind->open (&s);
  if (s.fd < 0)
    {
      g_test_message ("%s: %s", kind->name, g_strerror (errno));
      g_assert_cmpint (errno, ==, ENOSYS);
      close_subject (&s);
      return;
    }
  g_test_message ("%s", kind->name);
  before = driver_stats (d);
  driver_watch (d, s.fd, driver_count_read, &calls);
  g_assert_cmpint (driver_turn (d, FALSE), ==, kind->always_ready);
  g_assert_cmpint (calls, ==, kind->always_ready ? 1 : 0);
  if (kind->make_ready)
    kind->make_ready (&s);
  if (kind->takes_time)
    driver_run_until_count (d, &calls, 1, 5000);
  else
    driver_turn (d, TRUE);
  g_assert_cmpint (calls, >=, 1);

  /* It stays ready as long as nobody takes what is there. */
  called = calls;
  driver_turn (d, TRUE);
  g_assert_cmpint (calls, ==, called + 1);
  driver_unwatch (d, s.fd);
  g_assert_false (driver_turn (d, FALSE));
  g_assert_cmpint (calls, ==, called + 1);

  /* And a second time, by who finds it ready. */
  driver_watch (d, s.fd, driver_count_read, &calls);
  driver_turn (d, TRUE);
  g_assert_cmpint (calls, ==, called + 2);
  driver_unwatch (d, s.fd);
  g_assert_cmpuint (driver_stats (d).monitor_switches, ==, before.monitor_switches);
  if (kind->finish)
    kind->finish (&s);
  close_subject (&s);
}

static void
every_kind (Driver *d)
{
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    watch_one (d, &kinds[i]);
}

typedef struct {
  AioContext *ctx;
  int runs;
} Sleeper;

static void
schedule_once_asleep (gpointer data)
{
  Sleeper *sleeper = data;

  while (aio_context_get_notify_me (sleeper->ctx) == 0)
    g_usleep (1000);
  aio_context_schedule_oneshot (sleeper->ctx, driver_count, &sleeper->runs);
}

/* A stale number may be that of the context's own eventfd by now: its entry is not to be given away. */
static void
the_contexts_own (Driver *d)
{
  static const AioFdHandler handler = { .read = driver_count_read };
  g_autoptr (GError) error = NULL;
  g_autoptr (AioContext) ctx = NULL;
  int own = dup (STDIN_FILENO), destroyed = 0;
  pthread_t thread;
  Sleeper sleeper = { 0 };

  close (own); /* the number of what is made next */
  ctx = aio_context_new_full ("owner", aio_context_get_monitor (d->ctx), NULL);
  g_assert_false (aio_context_set_fd_handler (ctx, own, &handler, &destroyed, driver_count, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_FD_BUSY);
  g_assert_cmpint (destroyed, ==, 1);
  g_assert_true (aio_context_set_fd_handler (ctx, own, NULL, NULL, NULL, NULL));

  /* Other threads wake it nevertheless. */
  sleeper.ctx = ctx;
  thread = driver_thread_start (schedule_once_asleep, &sleeper);
  while (sleeper.runs == 0)
    driver_poll (ctx, TRUE);
  driver_thread_join (thread);
}

static void
add_tests (void)
{
  driver_add ("fd-kinds", "every-kind", every_kind);
  driver_add_for (DRIVER_POLL, "fd-kinds", "the-contexts-own", the_contexts_own);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
