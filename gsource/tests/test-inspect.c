/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MS G_GINT64_CONSTANT (1000000)

/* What a snapshot says of handlers */

static void
nothing_read (int fd, gpointer data)
{
}

static AioHandlerInfo *
find_handler (AioSnapshot *snapshot, int fd)
{
  for (guint i = 0; i < snapshot->n_handlers; i++)
    if (snapshot->handlers[i].fd == fd)
      return &snapshot->handlers[i];
  return NULL;
}

/* Watches @fd, sees what the snapshot calls it, and closes it. */
static void
assert_kind (Driver *d, int fd, const char *kind, const char *target)
{
  g_autoptr (AioSnapshot) snapshot = NULL;
  AioHandlerInfo *info;

  g_assert_cmpint (fd, >=, 0);
  driver_watch (d, fd, nothing_read, NULL);
  snapshot = aio_context_inspect (d->ctx);
  info = find_handler (snapshot, fd);
  g_assert_nonnull (info);
  g_assert_cmpstr (info->fd_kind, ==, kind);
  g_assert_nonnull (info->fd_target);
  if (!g_str_has_prefix (info->fd_target, target))
    g_assert_cmpstr (info->fd_target, ==, target);
  driver_unwatch (d, fd);
  close (fd);
}

/* One of this machine, or a node at @path; -1 where there is none, and none can be made. */
static int
open_block_device (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open ("/dev", 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    {
      g_autofree char *device = g_build_filename ("/dev", name, NULL);
      struct stat status;

      if (lstat (device, &status) == 0 && S_ISBLK (status.st_mode))
        return open (device, O_PATH | O_CLOEXEC);
    }
  unlink (path);
  return mknod (path, S_IFBLK | 0600, makedev (7, 0)) == 0 ? open (path, O_PATH | O_CLOEXEC) : -1;
}

static void
kinds_of_file_descriptors (Driver *d)
{
  g_autofree char *directory = g_dir_make_tmp ("aio-inspect-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "a file", NULL);
  g_autofree char *fifo = g_build_filename (directory, "fifo", NULL);
  g_autofree char *link = g_build_filename (directory, "link", NULL);
  sigset_t none;
  int fds[2], pidfd, tty, block;

  sigemptyset (&none);
  assert_kind (d, open (path, O_CREAT | O_RDWR | O_CLOEXEC, 0600), "file", path);
  assert_kind (d, open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "directory", directory);
  g_assert_no_errno (mkfifo (fifo, 0600));
  assert_kind (d, open (fifo, O_RDWR | O_CLOEXEC), "pipe", fifo);
  assert_kind (d, memfd_create ("scratch", MFD_CLOEXEC), "file", "/memfd:scratch");
  assert_kind (d, open ("/dev/null", O_RDWR | O_CLOEXEC), "character-device", "/dev/null");
  assert_kind (d, eventfd (0, EFD_CLOEXEC), "eventfd", "anon_inode:[eventfd]");
  assert_kind (d, timerfd_create (CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd", "anon_inode:[timerfd]");
  assert_kind (d, signalfd (-1, &none, SFD_CLOEXEC), "signalfd", "anon_inode:[signalfd]");
  assert_kind (d, epoll_create1 (EPOLL_CLOEXEC), "epoll", "anon_inode:[eventpoll]");
  assert_kind (d, inotify_init1 (IN_CLOEXEC), "inotify", "anon_inode:inotify");

  /* valgrind 3.19 has no such system call. */
  pidfd = (int) syscall (SYS_pidfd_open, getpid (), 0);
  if (pidfd >= 0 || errno != ENOSYS)
    assert_kind (d, pidfd, "pidfd", "anon_inode:[pidfd]");
  tty = posix_openpt (O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (tty >= 0)
    assert_kind (d, tty, "tty", "/dev/");
  driver_pipe (fds);
  assert_kind (d, fds[0], "pipe", "pipe:[");
  close (fds[1]);
  driver_socketpair (fds);
  assert_kind (d, fds[0], "socket", "socket:[");
  close (fds[1]);

  /* What is not open for use has a kind as well. */
  g_assert_no_errno (symlink ("nowhere", link));
  assert_kind (d, open (link, O_PATH | O_NOFOLLOW | O_CLOEXEC), "unknown", link);
  if ((block = open_block_device (link)) >= 0)
    assert_kind (d, block, "block-device", "/");

  unlink (link);
  unlink (path);
  unlink (fifo);
  rmdir (directory);
}

static void
count_write (int fd, gpointer data)
{
  driver_count (data);
}

static void
handlers_with_what_they_are (Driver *d)
{
  AioFdHandler named = { .write = count_write, .external = TRUE, .name = "door" };
  g_autoptr (AioSnapshot) before = aio_context_inspect (d->ctx), snapshot = NULL, held_back = NULL;
  AioHandlerInfo *info;
  int fds[2], calls = 0;

  g_assert_cmpuint (before->n_handlers, ==, 0);
  driver_socketpair (fds);
  driver_watch (d, fds[0], nothing_read, NULL);
  g_assert_true (aio_context_set_fd_handler (d->ctx, fds[1], &named, &calls, NULL, NULL));

  snapshot = aio_context_inspect (d->ctx);
  g_assert_cmpuint (snapshot->n_handlers, ==, 2);
  g_assert_cmpint (snapshot->handlers[0].fd, <, snapshot->handlers[1].fd);
  info = find_handler (snapshot, fds[0]);
  g_assert_null (info->name);
  g_assert_true (info->read);
  g_assert_false (info->write || info->external || info->dead || info->parked || info->held_back);
  info = find_handler (snapshot, fds[1]);
  g_assert_cmpstr (info->name, ==, "door");
  g_assert_true (info->write && info->external);
  g_assert_false (info->read || info->dead || info->parked || info->held_back);

  /* From the moment on that it is said, no matter whether anybody has waited since. */
  aio_context_disable_external (d->ctx);
  held_back = aio_context_inspect (d->ctx);
  g_assert_true (find_handler (held_back, fds[1])->held_back);
  g_assert_false (find_handler (held_back, fds[0])->held_back);
  g_assert_true (aio_context_enable_external (d->ctx, NULL));

  driver_unwatch (d, fds[0]);
  driver_unwatch (d, fds[1]);
  driver_close_pair (fds);
}

static void
count_error (int fd, const GError *error, gpointer data)
{
  driver_count (data);
}

static void
dead_and_closed (Driver *d)
{
  AioFdHandler handler = { .read = nothing_read, .error = count_error };
  g_autoptr (AioSnapshot) closed = NULL, dead = NULL;
  int fds[2], fd, errors = 0;

  driver_pipe (fds);
  fd = fds[0];
  g_assert_true (aio_context_set_fd_handler (d->ctx, fd, &handler, &errors, NULL, NULL));
  driver_close_pair (fds);
  closed = aio_context_inspect (d->ctx);
  g_assert_cmpstr (closed->handlers[0].fd_kind, ==, "closed");
  g_assert_null (closed->handlers[0].fd_target);
  g_assert_false (closed->handlers[0].dead);

  /* Epoll does not tell. */
  if (aio_context_get_monitor (d->ctx) != AIO_MONITOR_EPOLL)
    {
      driver_run_until_count (d, &errors, 1, 5000);
      dead = aio_context_inspect (d->ctx);
      g_assert_true (dead->handlers[0].dead);
    }
  driver_unwatch (d, fd);
}

typedef struct {
  Driver *d;
  int depth, n_parked;
} Nest;

static void
nest_to_the_end (int fd, gpointer data)
{
  Nest *nest = data;
  g_autoptr (AioSnapshot) snapshot = aio_context_inspect (nest->d->ctx);

  nest->depth++;
  nest->n_parked += snapshot->handlers[0].parked;
  g_assert_cmpint (snapshot->handlers[0].parked, ==, nest->depth == AIO_HANDLER_MAX_DEPTH);
  if (nest->depth < AIO_HANDLER_MAX_DEPTH)
    driver_poll (nest->d->ctx, TRUE);
  else
    driver_drain (fd);
  nest->depth--;
}

static void
parked_at_the_greatest_depth (Driver *d)
{
  Nest nest = { d, 0, 0 };
  int fds[2];

  driver_pipe (fds);
  driver_watch (d, fds[0], nest_to_the_end, &nest);
  driver_write_byte (fds[1]);
  driver_turn (d, TRUE);
  g_assert_cmpint (nest.n_parked, ==, 1);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

/* Timers */

static AioTimerInfo *
find_timer (AioSnapshot *snapshot, const char *name)
{
  for (guint i = 0; i < snapshot->n_timers; i++)
    if (g_strcmp0 (snapshot->timers[i].name, name) == 0)
      return &snapshot->timers[i];
  return NULL;
}

static void
timers_with_what_remains (Driver *d)
{
  g_autoptr (AioClock) first = aio_clock_new_manual (1000), second = aio_clock_new_manual (2000);
  AioClock *clocks[] = { second,
                         first,
                         first,
                         first,
                         aio_clock_get (AIO_CLOCK_HOST),
                         aio_clock_get (AIO_CLOCK_VIRTUAL),
                         aio_clock_get (AIO_CLOCK_REALTIME) };
  static const char *names[] = { "a", "b", "late", "idle", "host", "virtual", "realtime" };
  static const char *order[] = { "realtime", "virtual", "host", "a", "late", "b" };
  g_autoptr (AioSnapshot) snapshot = NULL;
  AioTimer *timers[G_N_ELEMENTS (clocks)];
  AioTimerInfo *info;
  int fired = 0;

  for (guint i = 0; i < G_N_ELEMENTS (clocks); i++)
    {
      timers[i] = aio_timer_new_full (d->ctx, clocks[i], AIO_TIMER_SCALE_NS,
                                      i == 0 ? AIO_TIMER_ATTR_EXTERNAL : AIO_TIMER_ATTR_NONE, names[i], driver_count,
                                      &fired, NULL);
      if (strcmp (names[i], "idle") != 0)
        aio_timer_mod_ns (timers[i], aio_clock_get_ns (clocks[i]) + (i == 2 ? -100 : 60000 * MS));
    }
  aio_clock_set_enabled (aio_clock_get (AIO_CLOCK_VIRTUAL), FALSE);
  snapshot = aio_context_inspect (d->ctx);
  aio_clock_set_enabled (aio_clock_get (AIO_CLOCK_VIRTUAL), TRUE);

  g_assert_cmpuint (snapshot->n_timers, ==, G_N_ELEMENTS (order));
  for (guint i = 0; i < G_N_ELEMENTS (order); i++)
    g_assert_cmpstr (snapshot->timers[i].name, ==, order[i]);
  for (guint i = 0; i < G_N_ELEMENTS (clocks); i++)
    if ((info = find_timer (snapshot, names[i])))
      {
        gboolean manual = clocks[i] == first || clocks[i] == second;

        g_assert_cmpint (info->clock, ==, aio_clock_get_clock_type (clocks[i]));
        g_assert_cmpint (info->expire_ns, ==, aio_timer_expire_time_ns (timers[i]));
        g_assert_cmpint (info->enabled, ==, strcmp (names[i], "virtual") != 0);
        g_assert_cmpint (info->external, ==, i == 0);
        g_assert_cmpint (info->manual_clock != 0, ==, manual);
        if (manual)
          g_assert_cmpint (info->remaining_ns, ==, i == 2 ? -100 : 60000 * MS);
        else
          {
            g_assert_cmpint (info->remaining_ns, >, 0);
            g_assert_cmpint (info->remaining_ns, <=, 60000 * MS);
          }
      }
  g_assert_cmpuint (find_timer (snapshot, "b")->manual_clock, ==, find_timer (snapshot, "late")->manual_clock);
  g_assert_cmpuint (find_timer (snapshot, "a")->manual_clock, !=, find_timer (snapshot, "b")->manual_clock);

  for (guint i = 0; i < G_N_ELEMENTS (clocks); i++)
    aio_timer_free (timers[i]);
}

typedef struct {
  Driver *d;
  AioSnapshot *seen;
  int calls;
} Looker;

static void
look_in (gpointer data)
{
  Looker *looker = data;

  looker->seen = aio_context_inspect (looker->d->ctx);
}

static void
due_timers_of_a_pass_under_way (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (1000);
  Looker looker = { d, NULL, 0 };
  int fired = 0;
  AioTimer *first = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, look_in, &looker);
  AioTimer *second = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);

  aio_timer_mod_ns (first, 900);
  aio_timer_mod_ns (second, 950);
  driver_turn (d, FALSE);
  g_assert_cmpint (fired, ==, 1);
  g_assert_cmpuint (looker.seen->n_timers, ==, 1);
  g_assert_cmpint (looker.seen->timers[0].expire_ns, ==, 950);
  g_assert_cmpint (looker.seen->timers[0].remaining_ns, ==, -50);
  aio_snapshot_free (looker.seen);
  aio_timer_free (first);
  aio_timer_free (second);
}

/* Bottom halves */

static char *
bhs_as_text (AioSnapshot *snapshot)
{
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < snapshot->n_bhs; i++)
    {
      AioBhInfo *info = &snapshot->bhs[i];

      g_string_append_printf (text, "%s%s%s%s%s", i ? " " : "", info->name ? info->name : "?",
                              info->scheduled ? "+" : "", info->idle ? "~" : "", info->oneshot ? "!" : "");
    }
  return g_string_free (text, FALSE);
}

static void
assert_bhs (AioSnapshot *snapshot, const char *expected)
{
  g_autofree char *text = bhs_as_text (snapshot);

  g_assert_cmpstr (text, ==, expected);
  aio_snapshot_free (snapshot);
}

static void
bottom_halves_and_oneshots (Driver *d)
{
  int calls = 0;
  AioBh *plain = aio_bh_new_full (d->ctx, "plain", driver_count, &calls, NULL);
  AioBh *idle = aio_bh_new_full (d->ctx, "idle", driver_count, &calls, NULL);
  AioBh *both = aio_bh_new_full (d->ctx, "both", driver_count, &calls, NULL);
  AioBh *deleted = aio_bh_new_full (d->ctx, "deleted", driver_count, &calls, NULL);

  assert_bhs (aio_context_inspect (d->ctx), "deleted both idle plain");
  aio_bh_schedule (plain);
  aio_bh_schedule_idle (idle);
  aio_bh_schedule_idle (both);
  aio_bh_schedule (both);
  aio_bh_schedule (deleted);
  aio_bh_delete (deleted);
  for (guint i = 0; i < 4; i++)
    {
      static const char *names[] = { "one", "two", NULL, "four" };

      aio_context_schedule_oneshot_full (d->ctx, names[i], driver_count, &calls, NULL);
      aio_bh_schedule (plain);
    }
  assert_bhs (aio_context_inspect (d->ctx), "both+ idle+~ plain+ one+! two+! ?+! four+!");

  aio_bh_cancel (plain);
  assert_bhs (aio_context_inspect (d->ctx), "both+ idle+~ plain one+! two+! ?+! four+!");
  driver_settle (d);
  aio_bh_delete (plain);
  aio_bh_delete (both);
  aio_bh_delete (idle);
  driver_settle (d);
  assert_bhs (aio_context_inspect (d->ctx), "");
  g_assert_cmpint (calls, >=, 6);
}

static void
oneshots_that_a_pass_has_taken (Driver *d)
{
  Looker looker = { d, NULL, 0 };
  int calls = 0;

  aio_context_schedule_oneshot_full (d->ctx, "running", look_in, &looker, NULL);
  aio_context_schedule_oneshot_full (d->ctx, "taken", driver_count, &calls, NULL);
  aio_context_schedule_oneshot_full (d->ctx, "taken too", driver_count, &calls, NULL);
  driver_turn (d, FALSE);
  assert_bhs (looker.seen, "taken+! taken too+!");
}

static void
schedule_another (gpointer data)
{
  Looker *looker = data;

  aio_context_schedule_oneshot_full (looker->d->ctx, "new", driver_count, &looker->calls, NULL);
  look_in (looker);
}

static void
oneshots_of_two_passes (Driver *d)
{
  Looker looker = { d, NULL, 0 };
  int calls = 0;

  aio_context_schedule_oneshot_full (d->ctx, "running", schedule_another, &looker, NULL);
  aio_context_schedule_oneshot_full (d->ctx, "taken", driver_count, &calls, NULL);
  driver_settle (d);
  assert_bhs (looker.seen, "taken+! new+!");
}

/* Counters */

static void
wait_and_notify (gpointer data)
{
  while (aio_context_get_notify_me (data) == 0)
    g_usleep (1000);
  aio_context_notify (data);
}

static void
counters (Driver *d)
{
  AioContext *ctx = aio_context_new_full ("counters", AIO_MONITOR_AUTO, NULL);
  AioClock *realtime = aio_clock_get (AIO_CLOCK_REALTIME);
  int pipes[64][2], calls = 0;
  AioTimer *timer = aio_timer_new (ctx, realtime, AIO_TIMER_SCALE_NS, driver_count, &calls);
  AioFdHandler handler = { .read = driver_count_read_drain };
  pthread_t thread;
  AioStats s;

  aio_context_get_stats (ctx, &s);
  g_assert_cmpmem (&s, sizeof s, &(AioStats){ 0 }, sizeof s);

  /* Nothing to do at all: no system call. */
  driver_poll (ctx, FALSE);
  aio_context_get_stats (ctx, &s);
  g_assert_cmpuint (s.polls, ==, 1);
  g_assert_cmpuint (s.waits, ==, 0);

  aio_context_schedule_oneshot (ctx, driver_count, &calls);
  aio_context_schedule_oneshot (ctx, driver_count, &calls);
  driver_poll (ctx, FALSE);
  aio_timer_mod_ns (timer, aio_clock_get_ns (realtime) + MS);
  while (calls < 3)
    driver_poll (ctx, TRUE);
  aio_context_get_stats (ctx, &s);
  g_assert_cmpuint (s.bhs_run, ==, 2);
  g_assert_cmpuint (s.timers_fired, ==, 1);
  g_assert_cmpuint (s.zero_waits, ==, 0);

  thread = driver_thread_start (wait_and_notify, ctx);
  driver_poll (ctx, TRUE);
  driver_thread_join (thread);
  aio_context_get_stats (ctx, &s);
  g_assert_cmpuint (s.eventfd_writes, ==, 1);
  g_assert_cmpuint (s.eventfd_reads, ==, 1);
  g_assert_cmpuint (s.empty_waits, ==, 1);
  g_assert_cmpuint (s.monitor_switches, ==, 0);

  for (guint i = 0; i < G_N_ELEMENTS (pipes); i++)
    {
      driver_pipe (pipes[i]);
      aio_context_set_fd_handler (ctx, pipes[i][0], &handler, &calls, NULL, NULL);
    }
  driver_write_byte (pipes[7][1]);
  driver_poll (ctx, FALSE);
  aio_context_get_stats (ctx, &s);
  g_assert_cmpuint (s.handlers_dispatched, ==, 1);
  g_assert_cmpuint (s.zero_waits, ==, 1);
  g_assert_cmpuint (s.monitor_switches, ==, 1); /* to epoll */

  for (guint i = 0; i < G_N_ELEMENTS (pipes); i++)
    {
      aio_context_set_fd_handler (ctx, pipes[i][0], NULL, NULL, NULL, NULL);
      driver_close_pair (pipes[i]);
    }
  aio_timer_free (timer);
  aio_context_unref (ctx);
}

static void
counters_under_glib (Driver *d)
{
  AioStats before, after;
  int calls = 0;

  driver_settle (d);
  before = driver_stats (d);
  aio_context_schedule_oneshot (d->ctx, driver_count, &calls);
  g_main_context_iteration (d->main_context, FALSE);
  after = driver_stats (d);
  g_assert_cmpuint (after.prepares, ==, before.prepares + 1);
  g_assert_cmpuint (after.checks, ==, before.checks); /* prepare has found it ready */
  g_assert_cmpuint (after.dispatches, ==, before.dispatches + 1);
  g_assert_cmpuint (after.polls, ==, before.polls);
  g_assert_cmpuint (after.empty_iterations, ==, before.empty_iterations);

  aio_context_notify (d->ctx);
  g_main_context_iteration (d->main_context, FALSE);
  before = driver_stats (d);
  g_assert_cmpuint (before.checks, ==, after.checks + 1);
  g_assert_cmpuint (before.dispatches, ==, after.dispatches);
  g_assert_cmpuint (before.empty_iterations, ==, after.empty_iterations + 1);
}

static void
add_tests (void)
{
  driver_add ("inspect", "kinds-of-file-descriptors", kinds_of_file_descriptors);
  driver_add ("inspect", "handlers-with-what-they-are", handlers_with_what_they_are);
  driver_add ("inspect", "dead-and-closed", dead_and_closed);
  driver_add ("inspect", "parked-at-the-greatest-depth", parked_at_the_greatest_depth);
  driver_add ("inspect", "timers-with-what-remains", timers_with_what_remains);
  driver_add ("inspect", "due-timers-of-a-pass-under-way", due_timers_of_a_pass_under_way);
  driver_add ("inspect", "bottom-halves-and-oneshots", bottom_halves_and_oneshots);
  driver_add ("inspect", "oneshots-that-a-pass-has-taken", oneshots_that_a_pass_has_taken);
  driver_add ("inspect", "oneshots-of-two-passes", oneshots_of_two_passes);
  driver_add_bare ("inspect", "counters", counters);
  driver_add_for (DRIVER_GLIB, "inspect", "counters-under-glib", counters_under_glib);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
