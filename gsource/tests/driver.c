/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include "aio-context-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WATCHDOG_SECONDS 20

typedef struct {
  DriverBody body;
  DriverKind kind; /* 0: bare */
  AioMonitor monitor;
} Case;

static const struct {
  AioMonitor monitor;
  const char *name;
} monitors[] = {
  { AIO_MONITOR_POLL, "poll" },
  { AIO_MONITOR_EPOLL, "epoll" },
  { AIO_MONITOR_IO_URING, "io_uring" },
  { AIO_MONITOR_AUTO, "auto" }, /* no column of the matrix: it is one of the others at any time */
};

static const struct {
  DriverKind kind;
  const char *name;
} kinds_known[] = {
  { DRIVER_POLL, "poll" },
  { DRIVER_GLIB, "glib" },
  { DRIVER_MIXED, "mixed" },
};

/* The watchdog */

static void
watchdog_bark (int signum)
{
  static const char bail[] = "Bail out! the watchdog ended a hanging test: ";
  const char *path = g_test_get_path ();

  (void) signum;
  if (write (STDOUT_FILENO, bail, sizeof bail - 1) < 0 || write (STDOUT_FILENO, path, strlen (path)) < 0
      || write (STDOUT_FILENO, "\n", 1) < 0)
    _exit (98);
  _exit (99);
}

guint
driver_slowdown (void)
{
  const char *factor = g_getenv ("AIO_TEST_SLOWDOWN");

  return factor != NULL ? MAX (1, (guint) g_ascii_strtoull (factor, NULL, 10)) : 1;
}

void
driver_watchdog (guint seconds)
{
  alarm (seconds * driver_slowdown ());
}

/* What must not be left behind */

static guint
count_entries (const char *path)
{
  DIR *dir = opendir (path);
  struct dirent *entry;
  guint n = 0;

  g_assert_nonnull (dir);
  while ((entry = readdir (dir)) != NULL)
    n += entry->d_name[0] != '.';
  closedir (dir);

  return n;
}

static void
print_fds (void)
{
  for (int fd = 3; fd < 1024; fd++)
    {
      char link[32], target[256];
      ssize_t n;

      g_snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
      if ((n = readlink (link, target, sizeof target - 1)) >= 0)
        g_test_message ("open: %d -> %.*s", fd, (int) n, target);
    }
}

static void
assert_as_before (guint fds_before, guint threads_before)
{
  guint fds_after = count_entries ("/proc/self/fd");

  if (fds_after != fds_before)
    print_fds ();
  g_assert_cmpuint (fds_after, ==, fds_before);

  /* A joined thread leaves /proc a moment after it was joined; one of the case before may have been counted. */
  for (guint tries = 0; count_entries ("/proc/self/task") > threads_before && tries < 1000; tries++)
    g_usleep (1000);
  g_assert_cmpuint (count_entries ("/proc/self/task"), <=, threads_before);
}

/* A case */

static void
run_case (gconstpointer data)
{
  const Case *c = data;
  Driver d = { .kind = c->kind };
  guint fds = count_entries ("/proc/self/fd");
  guint threads = count_entries ("/proc/self/task");

  driver_watchdog (WATCHDOG_SECONDS);

  if (c->kind != 0)
    {
      g_autoptr (GError) error = NULL;

      d.ctx = aio_context_new_full ("driver", c->monitor, &error);
      if (c->monitor == AIO_MONITOR_IO_URING && g_error_matches (error, AIO_ERROR, AIO_ERROR_UNAVAILABLE))
        {
          g_autofree char *why =
              g_strdup_printf ("io_uring is missing: %s", strerrorname_np (aio_error_get_errno (error)));

          g_test_skip (why);
          driver_watchdog (0);
          return;
        }
      g_assert_no_error (error);
      g_assert_nonnull (d.ctx);
    }
  if (c->kind & DRIVER_ATTACHED)
    {
      g_autoptr (GError) error = NULL;

      d.main_context = g_main_context_new ();
      aio_context_attach (d.ctx, d.main_context, G_PRIORITY_DEFAULT, &error);
      g_assert_no_error (error);
    }

  c->body (&d);

  if (d.ctx != NULL)
    {
      aio_test_set_hook (d.ctx, NULL, NULL);
      g_assert_false (aio_context_get_dispatching (d.ctx));
      g_assert_cmpuint (aio_context_get_notify_me (d.ctx) & ~1u, ==, 0);
      /* Whatever way the callbacks ended. */
      g_assert_cmpuint (aio_lock_count_count (&d.ctx->list_lock), ==, 0);
      g_assert_null (d.ctx->bh_slice_list);
      g_assert_null (d.ctx->ready.head);
      if (aio_context_is_attached (d.ctx))
        g_assert_true (aio_context_detach (d.ctx, NULL));
      /* The fixture's is the last reference, or the file descriptors below will tell. */
      aio_context_unref (d.ctx);
    }
  g_clear_pointer (&d.main_context, g_main_context_unref);

  g_test_assert_expected_messages ();
  assert_as_before (fds, threads);
  driver_watchdog (0);
}

static void
add_case (const char *path, DriverBody body, DriverKind kind, AioMonitor monitor)
{
  Case *c = g_new (Case, 1);

  *c = (Case){ .body = body, .kind = kind, .monitor = monitor };
  g_test_add_data_func_full (path, c, run_case, g_free);
}

void
driver_add_monitor_for (AioMonitor monitor, DriverKind kinds, const char *suite, const char *name, DriverBody body)
{
  const char *monitor_name = "";

  for (guint m = 0; m < G_N_ELEMENTS (monitors); m++)
    if (monitors[m].monitor == monitor)
      monitor_name = monitors[m].name;
  for (guint k = 0; k < G_N_ELEMENTS (kinds_known); k++)
    if (kinds & kinds_known[k].kind)
      {
        g_autofree char *path =
            g_strdup_printf ("/%s/%s-monitor/%s/%s", suite, monitor_name, kinds_known[k].name, name);

        add_case (path, body, kinds_known[k].kind, monitor);
      }
}

void
driver_add_for (DriverKind kinds, const char *suite, const char *name, DriverBody body)
{
  for (guint m = 0; m < G_N_ELEMENTS (monitors); m++)
    if (monitors[m].monitor != AIO_MONITOR_AUTO)
      driver_add_monitor_for (monitors[m].monitor, kinds, suite, name, body);
}

void
driver_add_bare (const char *suite, const char *name, DriverBody body)
{
  g_autofree char *path = g_strdup_printf ("/%s/%s", suite, name);

  add_case (path, body, 0, AIO_MONITOR_AUTO);
}

static void
nothing (gpointer data)
{
}

int
driver_main (int argc, char **argv, void (*add_tests) (void))
{
  struct sigaction bark = { .sa_handler = watchdog_bark };
  g_autoptr (GMainContext) main_context = NULL;
  AioContext *ctx;

  g_test_init (&argc, &argv, NULL);
  sigaction (SIGALRM, &bark, NULL);
  signal (SIGPIPE, SIG_IGN);

  /* What the process opens once and for all is opened before the first count. */
  main_context = g_main_context_ref (g_main_context_default ());
  ctx = aio_context_new (NULL);
  g_assert_nonnull (ctx);
  aio_context_unref (ctx);
  /* ThreadSanitizer starts a thread of its own with the first of the program's. */
  driver_on_thread (nothing, NULL);

  add_tests ();
  return g_test_run ();
}

gboolean
driver_has_monitor (AioMonitor monitor)
{
  g_autoptr (AioContext) ctx = aio_context_new_full (NULL, monitor, NULL);

  return ctx != NULL;
}

#ifdef AIO_COVERAGE
void __gcov_dump (void);
#endif

void
driver_exit_child (int status)
{
#ifdef AIO_COVERAGE
  __gcov_dump ();
#endif
  _exit (status);
}

/* Driving */

gboolean
driver_poll (AioContext *ctx, gboolean blocking)
{
  g_autoptr (GError) error = NULL;
  gboolean progress = aio_context_poll (ctx, blocking, &error);

  g_assert_no_error (error);
  return progress;
}

typedef struct {
  AioContext *ctx;
  gboolean blocking;
} NestedPoll;

static gboolean
poll_from_dispatch (gpointer data)
{
  NestedPoll *nested = data;

  driver_poll (nested->ctx, nested->blocking);
  return G_SOURCE_REMOVE;
}

static void
iterate_around_poll (Driver *d, gboolean blocking)
{
  /* Another source that wins by its priority: the context's own is not even prepared. */
  NestedPoll nested = { d->ctx, blocking };
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_priority (source, G_PRIORITY_HIGH - 1);
  g_source_set_callback (source, poll_from_dispatch, &nested, NULL);
  g_source_attach (source, d->main_context);
  while (!g_source_is_destroyed (source))
    g_main_context_iteration (d->main_context, FALSE);
}

void
driver_turn_blind (Driver *d, gboolean blocking)
{
  guint turn = d->turns++;

  if (d->kind == DRIVER_POLL || (d->kind == DRIVER_MIXED && turn % 3 == 0))
    driver_poll (d->ctx, blocking);
  else if (d->kind == DRIVER_GLIB || turn % 3 == 1)
    g_main_context_iteration (d->main_context, blocking);
  else
    iterate_around_poll (d, blocking);
}

AioStats
driver_stats (Driver *d)
{
  AioStats stats;

  aio_context_get_stats (d->ctx, &stats);
  return stats;
}

static guint64
callbacks_run (Driver *d)
{
  AioStats stats = driver_stats (d);

  return stats.bhs_run + stats.handlers_dispatched + stats.timers_fired;
}

gboolean
driver_turn (Driver *d, gboolean blocking)
{
  guint64 before = callbacks_run (d);

  driver_turn_blind (d, blocking);
  return callbacks_run (d) != before;
}

void
driver_settle (Driver *d)
{
  while (driver_turn (d, FALSE))
    ;
}

static void
iterate_from_bh (gpointer data)
{
  Driver *d = data;

  g_main_context_iteration (d->main_context, FALSE);
}

void
driver_run_until (Driver *d, DriverCondition condition, gpointer data, guint timeout_ms)
{
  gint64 start_ms = driver_now_ms ();

  for (guint turn = 0; !condition (data); turn++)
    {
      /* The other nesting: an iteration inside a poll. It is no turn: it makes two passes. */
      if (d->kind == DRIVER_MIXED && turn % 8 == 5)
        {
          aio_context_schedule_oneshot (d->ctx, iterate_from_bh, d);
          driver_poll (d->ctx, FALSE);
        }
      else
        driver_turn_blind (d, TRUE);
    }

  g_assert_cmpint (driver_now_ms () - start_ms, <, (gint64) timeout_ms * driver_slowdown ());
}

typedef struct {
  const int *count;
  int goal;
} CountGoal;

static gboolean
count_reached (gpointer data)
{
  CountGoal *goal = data;

  return __atomic_load_n (goal->count, __ATOMIC_ACQUIRE) >= goal->goal;
}

void
driver_run_until_count (Driver *d, const int *count, int goal, guint timeout_ms)
{
  CountGoal data = { count, goal };

  driver_run_until (d, count_reached, &data, timeout_ms);
}

void
driver_expect_warning (const char *pattern)
{
  g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, pattern);
}

gint64
driver_now_ms (void)
{
  return g_get_monotonic_time () / 1000;
}

/* File descriptors */

void
driver_pipe (int fds[2])
{
  g_assert_no_errno (pipe2 (fds, O_CLOEXEC | O_NONBLOCK));
}

void
driver_socketpair (int fds[2])
{
  g_assert_no_errno (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
}

void
driver_close_pair (int fds[2])
{
  for (guint i = 0; i < 2; i++)
    if (fds[i] >= 0)
      {
        g_assert_no_errno (close (fds[i]));
        fds[i] = -1;
      }
}

void
driver_write_byte (int fd)
{
  g_assert_cmpint (write (fd, "x", 1), ==, 1);
}

guint
driver_drain (int fd)
{
  char buffer[512];
  guint total = 0;
  ssize_t n;

  while ((n = read (fd, buffer, sizeof buffer)) > 0)
    total += n;
  return total;
}

void
driver_watch (Driver *d, int fd, AioHandlerFunc read, gpointer data)
{
  g_autoptr (GError) error = NULL;
  AioFdHandler handler = { .read = read };

  aio_context_set_fd_handler (d->ctx, fd, &handler, data, NULL, &error);
  g_assert_no_error (error);
}

void
driver_unwatch (Driver *d, int fd)
{
  g_autoptr (GError) error = NULL;

  aio_context_set_fd_handler (d->ctx, fd, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
}

void
driver_count (gpointer data)
{
  int *count = data;

  __atomic_add_fetch (count, 1, __ATOMIC_RELEASE);
}

void
driver_count_read (int fd, gpointer data)
{
  (void) fd;
  driver_count (data);
}

void
driver_count_read_drain (int fd, gpointer data)
{
  driver_drain (fd);
  driver_count (data);
}
