/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

static AioContext *
context_new (const char *name)
{
  g_autoptr (GError) error = NULL;
  AioContext *ctx = aio_context_new_full (name, AIO_MONITOR_AUTO, &error);

  g_assert_no_error (error);
  g_assert_nonnull (ctx);
  return ctx;
}

static void
assert_fails (gboolean result, GError *error, AioError code)
{
  g_assert_false (result);
  g_assert_error (error, AIO_ERROR, (int) code);
  g_assert_cmpint (aio_error_get_errno (error), ==, code == AIO_ERROR_UNAVAILABLE ? ENOSYS : 0);
  g_assert_null (aio_error_get_syscall (error));
  g_error_free (error);
}

/* assert_fails (CALL (..., &error), CODE) with an error of its own */
#define ASSERT_FAILS(code, call)                                                                                       \
  G_STMT_START                                                                                                         \
  {                                                                                                                    \
    GError *error = NULL;                                                                                              \
    gboolean result = (call);                                                                                          \
                                                                                                                       \
    assert_fails (result, error, (code));                                                                              \
  }                                                                                                                    \
  G_STMT_END

/* Making one */

static void
names_and_monitors (Driver *d)
{
  static const AioMonitor absent[] = { (AioMonitor) 4, (AioMonitor) 99, (AioMonitor) -1 };
  AioContext *epoll = aio_context_new_full (NULL, AIO_MONITOR_EPOLL, NULL);
  AioContext *named = context_new ("the name"), *first = context_new (NULL), *second = context_new (NULL);
  g_autoptr (GSource) source = aio_context_get_g_source (named);

  g_assert_cmpstr (aio_context_get_name (named), ==, "the name");
  g_assert_cmpstr (g_source_get_name (source), ==, "the name");
  g_assert_nonnull (aio_context_get_name (first));
  g_assert_cmpstr (aio_context_get_name (first), !=, aio_context_get_name (second));
  g_assert_cmpint (aio_context_get_monitor (named), ==, AIO_MONITOR_POLL);

  for (guint i = 0; i < G_N_ELEMENTS (absent); i++)
    ASSERT_FAILS (AIO_ERROR_UNAVAILABLE, aio_context_new_full (NULL, absent[i], &error) != NULL);
  g_assert_null (aio_context_new_full (NULL, (AioMonitor) 99, NULL));
  g_assert_cmpint (aio_context_get_monitor (epoll), ==, AIO_MONITOR_EPOLL);

  aio_context_unref (epoll);
  aio_context_unref (named);
  aio_context_unref (first);
  aio_context_unref (second);
}

static void
no_file_descriptor_left_is_an_error (Driver *d)
{
  struct rlimit limit, none = { 3, 0 };
  GError *error = NULL;

  g_assert_no_errno (getrlimit (RLIMIT_NOFILE, &limit));
  none.rlim_max = limit.rlim_max;
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &none));
  g_assert_null (aio_context_new (&error));
  g_assert_null (aio_context_new (NULL));
  g_assert_null (aio_notifier_new (FALSE, NULL));
  g_assert_no_errno (setrlimit (RLIMIT_NOFILE, &limit));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_SYSTEM);
  g_assert_cmpint (aio_error_get_errno (error), ==, EMFILE);
  g_assert_cmpstr (aio_error_get_syscall (error), ==, "eventfd");
  g_assert_nonnull (strstr (error->message, "EMFILE"));
  g_error_free (error);
}

static void
errors_of_others_have_no_errno (Driver *d)
{
  g_autoptr (GError) foreign = g_error_new (g_quark_from_static_string ("other"), 0, "other");
  g_autoptr (GError) error = NULL, copy = NULL;
  AioContext *ctx = context_new (NULL);
  AioFdHandler handler = { .read = driver_count_read };

  g_assert_cmpint (aio_error_get_errno (NULL), ==, 0);
  g_assert_null (aio_error_get_syscall (NULL));
  g_assert_cmpint (aio_error_get_errno (foreign), ==, 0);
  g_assert_null (aio_error_get_syscall (foreign));

  g_assert_false (aio_context_set_fd_handler (ctx, -1, &handler, NULL, NULL, &error));
  copy = g_error_copy (error);
  g_assert_cmpint (aio_error_get_errno (copy), ==, EBADF);
  g_assert_cmpstr (aio_error_get_syscall (copy), ==, "fcntl");
  aio_context_unref (ctx);
}

/* It is a GSource */

static void
is_a_source (Driver *d)
{
  GSource *source = aio_context_get_g_source (d->ctx), *again = aio_source_for_context (d->ctx);

  g_assert_true ((gpointer) source == (gpointer) d->ctx);
  g_assert_true (again == source);
  g_assert_true (g_source_get_can_recurse (source));
  g_source_unref (again);
  g_source_unref (source);

  g_assert_true (aio_context_ref (d->ctx) == d->ctx);
  aio_context_unref (d->ctx);
}

static void
attaches_once (Driver *d)
{
  AioContext *ctx = context_new (NULL);
  g_autoptr (GMainContext) main_context = g_main_context_new ();
  GSource *source = aio_context_get_g_source (ctx);
  int runs = 0;

  g_assert_false (aio_context_is_attached (ctx));
  g_assert_true (aio_context_attach (ctx, main_context, 42, NULL));
  g_assert_true (aio_context_is_attached (ctx));
  g_assert_cmpint (g_source_get_priority (source), ==, 42);
  g_assert_true (g_source_get_context (source) == main_context);
  ASSERT_FAILS (AIO_ERROR_ATTACHED, aio_context_attach (ctx, main_context, 0, &error));
  ASSERT_FAILS (AIO_ERROR_ATTACHED, aio_context_attach (ctx, NULL, 0, &error));
  g_assert_cmpint (g_source_get_priority (source), ==, 42);

  g_assert_true (aio_context_detach (ctx, NULL));
  g_assert_true (aio_context_detach (ctx, NULL));
  g_assert_false (aio_context_is_attached (ctx));
  g_assert_true (g_source_is_destroyed (source));
  ASSERT_FAILS (AIO_ERROR_DETACHED, aio_context_attach (ctx, main_context, 0, &error));

  /* Final for GLib, but poll goes on. */
  aio_context_schedule_oneshot (ctx, driver_count, &runs);
  g_assert_false (g_main_context_iteration (main_context, FALSE));
  g_assert_true (driver_poll (ctx, TRUE));
  g_assert_cmpint (runs, ==, 1);
  g_source_unref (source);
  aio_context_unref (ctx); /* and with the last reference goes what it held of the main context */
}

static void
attaches_to_the_default_main_context (Driver *d)
{
  AioContext *ctx = context_new (NULL);
  int runs = 0;

  g_assert_true (aio_context_attach (ctx, NULL, G_PRIORITY_DEFAULT, NULL));
  aio_context_schedule_oneshot (ctx, driver_count, &runs);
  while (runs == 0)
    g_main_context_iteration (NULL, TRUE);
  g_assert_true (aio_context_detach (ctx, NULL));
  aio_context_unref (ctx);
}

static void
plain_g_source_attach_and_destroy (Driver *d)
{
  AioContext *ctx = context_new (NULL);
  GMainContext *main_context = g_main_context_new ();
  GSource *source = aio_context_get_g_source (ctx);
  int fds[2], reads = 0;
  Driver own = { .ctx = ctx, .main_context = main_context, .kind = DRIVER_GLIB };

  g_source_attach (source, main_context);
  g_assert_true (aio_context_is_attached (ctx));
  driver_pipe (fds);
  driver_write_byte (fds[1]);
  driver_watch (&own, fds[0], driver_count_read, &reads);
  driver_run_until_count (&own, &reads, 2, 5000);

  /* E14: the source goes while handlers remain. */
  g_source_destroy (source);
  g_assert_false (aio_context_is_attached (ctx));
  g_main_context_iteration (main_context, FALSE);
  g_assert_cmpint (reads, ==, 2);
  g_assert_true (driver_poll (ctx, TRUE));
  g_assert_cmpint (reads, ==, 3);
  driver_unwatch (&own, fds[0]);
  driver_close_pair (fds);
  ASSERT_FAILS (AIO_ERROR_DETACHED, aio_context_attach (ctx, main_context, 0, &error));

  g_source_unref (source);
  aio_context_unref (ctx);
  g_main_context_unref (main_context);
  /* What the context held of the main context may be let go of by an idle source. */
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
the_main_context_goes_first (Driver *d)
{
  AioContext *ctx = context_new (NULL);
  GMainContext *main_context = g_main_context_new ();
  int runs = 0;

  g_assert_true (aio_context_attach (ctx, main_context, G_PRIORITY_DEFAULT, NULL));
  g_main_context_unref (main_context); /* the context keeps it */
  aio_context_schedule_oneshot (ctx, driver_count, &runs);
  g_main_context_iteration (main_context, TRUE);
  g_assert_cmpint (runs, ==, 1);
  g_assert_true (aio_context_detach (ctx, NULL));
  aio_context_unref (ctx);
}

/* The current context */

static void
note_current (gpointer data)
{
  AioContext **current = data;

  *current = aio_context_get_current ();
}

typedef struct {
  Driver *d;
  int fd;
  AioContext *seen;
} Removed;

static void
note_current_at_destroy (gpointer data)
{
  Removed *removed = data;

  removed->seen = aio_context_get_current ();
}

static void
unwatch (gpointer data)
{
  Removed *removed = data;

  driver_unwatch (removed->d, removed->fd);
}

/* What another thread has removed goes in the next pass. */
static void
current_is_what_a_removed_handler_was_of (Driver *d)
{
  const AioFdHandler handler = { .read = driver_count_read };
  Removed removed = { .d = d };
  int fds[2];

  driver_pipe (fds);
  removed.fd = fds[0];
  g_assert_true (aio_context_set_fd_handler (d->ctx, fds[0], &handler, &removed, note_current_at_destroy, NULL));
  driver_turn (d, FALSE);
  driver_on_thread (unwatch, &removed);
  g_assert_null (removed.seen);
  driver_turn (d, FALSE);
  g_assert_true (removed.seen == d->ctx);
  driver_close_pair (fds);
}

static void
current_is_what_is_dispatched_else_what_was_set (Driver *d)
{
  AioContext *other = context_new ("other"), *seen = NULL;

  g_assert_null (aio_context_get_current ());
  aio_context_schedule_oneshot (d->ctx, note_current, &seen);
  driver_settle (d);
  g_assert_true (seen == d->ctx);
  g_assert_null (aio_context_get_current ());

  g_assert_true (aio_context_set_current (other, NULL));
  g_assert_true (aio_context_set_current (other, NULL));
  g_assert_true (aio_context_get_current () == other);
  ASSERT_FAILS (AIO_ERROR_CURRENT_SET, aio_context_set_current (d->ctx, &error));
  g_assert_true (aio_context_get_current () == other);
  aio_context_schedule_oneshot (d->ctx, note_current, &seen);
  driver_settle (d);
  g_assert_true (seen == d->ctx);
  g_assert_true (aio_context_get_current () == other);

  /* Closing it clears it. */
  g_assert_true (aio_context_close (other, NULL));
  g_assert_null (aio_context_get_current ());
  ASSERT_FAILS (AIO_ERROR_CLOSED, aio_context_set_current (other, &error));
  aio_context_unref (other);

  g_assert_true (aio_context_set_current (d->ctx, NULL));
  g_assert_true (aio_context_set_current (NULL, NULL));
  g_assert_true (aio_context_set_current (NULL, NULL));
  g_assert_null (aio_context_get_current ());
}

/* Waiting */

static gboolean
still_waiting (gpointer data)
{
  return __atomic_load_n ((int *) data, __ATOMIC_ACQUIRE) == 0;
}

typedef struct {
  AioContext *ctx;
  int done;
  int reads; /* of the condition */
} Waiting;

static void
finish_without_work (gpointer data)
{
  Waiting *w = data;

  while (aio_context_get_notify_me (w->ctx) == 0)
    g_usleep (1000);
  __atomic_store_n (&w->done, 1, __ATOMIC_RELEASE);
  aio_context_notify (w->ctx);
}

static void
wait_while_polls_until_the_condition_is_met (Driver *d)
{
  Waiting w = { .ctx = d->ctx };
  pthread_t thread;
  int done = 0;

  aio_context_schedule_oneshot (d->ctx, driver_count, &done);
  g_assert_true (aio_context_wait_while (d->ctx, still_waiting, &done, NULL));
  g_assert_true (aio_context_wait_while (d->ctx, still_waiting, &done, NULL));
  g_assert_cmpint (done, ==, 1);

  /* A13 */
  thread = driver_thread_start (finish_without_work, &w);
  g_assert_true (aio_context_wait_while (d->ctx, still_waiting, &w.done, NULL));
  driver_thread_join (thread);
}

/* A13: the condition was read, and only then it changes. */

static void
finish (gpointer data)
{
  Waiting *w = data;

  __atomic_store_n (&w->done, 1, __ATOMIC_RELEASE);
  aio_context_notify (w->ctx);
}

static gboolean
was_waiting (gpointer data)
{
  Waiting *w = data;
  gboolean waiting = still_waiting (&w->done);

  w->reads++;
  if (waiting)
    driver_on_thread (finish, w);
  return waiting;
}

static void
wait_while_is_kicked_after_its_look_at_the_condition (Driver *d)
{
  gint64 shortest_ms = G_MAXINT64;

  for (guint round = 0; round < 3; round++)
    {
      Waiting w = { .ctx = d->ctx };
      gint64 start_ms = driver_now_ms ();

      /* Lost, it would sleep for ever. */
      g_assert_true (aio_context_wait_while (d->ctx, was_waiting, &w, NULL));
      shortest_ms = MIN (shortest_ms, driver_now_ms () - start_ms);
      g_assert_cmpint (w.reads, ==, 2);
    }
  g_assert_cmpint (shortest_ms, <, 50);
  /* Nobody slept, so that nobody had to be woken by a system call. */
  g_assert_cmpuint (driver_stats (d).eventfd_writes, ==, 0);
}

static void
close_the_context (gpointer data)
{
  g_assert_true (aio_context_close (data, NULL));
}

static void
wait_while_ends_with_an_error_when_closed (Driver *d)
{
  int done = 0;

  aio_context_schedule_oneshot (d->ctx, close_the_context, d->ctx);
  ASSERT_FAILS (AIO_ERROR_CLOSED, aio_context_wait_while (d->ctx, still_waiting, &done, &error));
}

static void
add_tests (void)
{
  driver_add_bare ("context", "names-and-monitors", names_and_monitors);
  driver_add_bare ("context", "no-file-descriptor-left-is-an-error", no_file_descriptor_left_is_an_error);
  driver_add_bare ("context", "errors-of-others-have-no-errno", errors_of_others_have_no_errno);
  driver_add ("context", "is-a-source", is_a_source);
  driver_add_bare ("context", "attaches-once", attaches_once);
  driver_add_bare ("context", "attaches-to-the-default-main-context", attaches_to_the_default_main_context);
  driver_add_bare ("context", "E14-plain-g-source-attach-and-destroy", plain_g_source_attach_and_destroy);
  driver_add_bare ("context", "the-main-context-goes-first", the_main_context_goes_first);
  driver_add ("context", "current-is-what-a-removed-handler-was-of", current_is_what_a_removed_handler_was_of);
  driver_add ("context", "current-is-what-is-dispatched-else-what-was-set",
              current_is_what_is_dispatched_else_what_was_set);
  driver_add ("context", "wait-while-polls-until-the-condition-is-met", wait_while_polls_until_the_condition_is_met);
  driver_add ("context", "A13-wait-while-is-kicked-after-its-look-at-the-condition",
              wait_while_is_kicked_after_its_look_at_the_condition);
  driver_add ("context", "wait-while-ends-with-an-error-when-closed", wait_while_ends_with_an_error_when_closed);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
