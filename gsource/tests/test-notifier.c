/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include "aio-system-private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct {
  AioNotifier *notifier;
  int calls, destroyed;
  gboolean leave_set;
} Calls;

static void
count_and_clear (AioNotifier *notifier, gpointer data)
{
  Calls *calls = data;

  g_assert_true (notifier == calls->notifier);
  if (!calls->leave_set)
    g_assert_true (aio_notifier_test_and_clear (notifier));
  __atomic_add_fetch (&calls->calls, 1, __ATOMIC_RELEASE);
}

static void
count_destroyed (gpointer data)
{
  ((Calls *) data)->destroyed++;
}

static void
watch (Driver *d, Calls *calls)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (
      aio_context_set_event_notifier (d->ctx, calls->notifier, count_and_clear, calls, count_destroyed, &error));
  g_assert_no_error (error);
}

static void
unwatch (Driver *d, Calls *calls)
{
  g_assert_true (aio_context_set_event_notifier (d->ctx, calls->notifier, NULL, NULL, NULL, NULL));
}

static void
set_and_clear (Driver *d)
{
  AioNotifier *notifier = aio_notifier_new (FALSE, NULL), *active = aio_notifier_new (TRUE, NULL);

  g_assert_cmpint (aio_notifier_get_fd (notifier), >=, 0);
  g_assert_false (aio_notifier_test_and_clear (notifier));
  g_assert_true (aio_notifier_set (notifier, NULL));
  g_assert_true (aio_notifier_set (notifier, NULL));
  g_assert_true (aio_notifier_test_and_clear (notifier));
  g_assert_false (aio_notifier_test_and_clear (notifier));
  g_assert_true (aio_notifier_test_and_clear (active));

  g_assert_true (aio_notifier_ref (notifier) == notifier);
  aio_notifier_unref (notifier);
  aio_notifier_unref (notifier);
  aio_notifier_unref (active);
}

static void
closed_notifier_is_an_error (Driver *d)
{
  AioNotifier *notifier = aio_notifier_new (TRUE, NULL);
  g_autoptr (GError) error = NULL;

  aio_notifier_close (notifier);
  aio_notifier_close (notifier);
  g_assert_cmpint (aio_notifier_get_fd (notifier), ==, -1);
  g_assert_false (aio_notifier_set (notifier, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_CLOSED);
  g_assert_false (aio_notifier_set (notifier, NULL));
  g_assert_false (aio_notifier_test_and_clear (notifier));
  aio_notifier_unref (notifier);
}

static void
full_counter_counts_as_set (Driver *d)
{
  const guint64 nearly_full = 0xfffffffffffffffe;
  AioNotifier *notifier = aio_notifier_new (FALSE, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (write (aio_notifier_get_fd (notifier), &nearly_full, sizeof nearly_full), ==, sizeof nearly_full);
  g_assert_true (aio_notifier_set (notifier, &error));
  g_assert_no_error (error);
  g_assert_true (aio_notifier_test_and_clear (notifier));
  aio_notifier_unref (notifier);
}

static void
watched_notifier_calls (Driver *d)
{
  Calls calls = { .notifier = aio_notifier_new (FALSE, NULL) };

  watch (d, &calls);
  g_assert_false (driver_turn (d, FALSE));
  aio_notifier_set (calls.notifier, NULL);
  aio_notifier_set (calls.notifier, NULL);
  g_assert_true (driver_turn (d, TRUE));
  g_assert_cmpint (calls.calls, ==, 1);
  g_assert_cmpuint (driver_stats (d).handlers_dispatched, ==, 1);
  g_assert_false (driver_turn (d, FALSE));

  /* It is progress, unlike the context's own notifier. */
  aio_notifier_set (calls.notifier, NULL);
  g_assert_true (driver_poll (d->ctx, TRUE));

  /* The handler has to clear it. */
  calls.leave_set = TRUE;
  aio_notifier_set (calls.notifier, NULL);
  for (int turn = 1; turn <= 3; turn++)
    {
      driver_turn (d, TRUE);
      g_assert_cmpint (calls.calls, ==, 2 + turn);
    }

  watch (d, &calls);
  g_assert_cmpint (calls.destroyed, ==, 1);
  unwatch (d, &calls);
  g_assert_cmpint (calls.destroyed, ==, 2);
  g_assert_false (driver_turn (d, FALSE));
  unwatch (d, &calls);
  aio_notifier_unref (calls.notifier);
}

static void
watching_keeps_a_reference (Driver *d)
{
  Calls calls = { .notifier = aio_notifier_new (FALSE, NULL) };

  watch (d, &calls);
  aio_notifier_unref (calls.notifier);
  aio_notifier_set (calls.notifier, NULL);
  driver_turn (d, TRUE);
  g_assert_cmpint (calls.calls, ==, 1);
  unwatch (d, &calls);
  g_assert_cmpint (calls.destroyed, ==, 1);
}

static void
set_many_times (gpointer data)
{
  Calls *calls = data;

  for (int i = 0; i < 200; i++)
    {
      g_assert_true (aio_notifier_set (calls->notifier, NULL));
      while (__atomic_load_n (&calls->calls, __ATOMIC_ACQUIRE) <= i)
        sched_yield ();
    }
}

static void
set_by_another_thread_wakes_the_loop (Driver *d)
{
  Calls calls = { .notifier = aio_notifier_new (FALSE, NULL) };
  pthread_t thread;

  watch (d, &calls);
  thread = driver_thread_start (set_many_times, &calls);
  driver_run_until_count (d, &calls.calls, 200, 10000);
  driver_thread_join (thread);
  g_assert_cmpint (calls.calls, ==, 200);
  unwatch (d, &calls);
  aio_notifier_unref (calls.notifier);
}

static void
cannot_be_watched_when_closed (Driver *d)
{
  Calls calls = { .notifier = aio_notifier_new (FALSE, NULL) };
  g_autoptr (GError) error = NULL;

  aio_notifier_close (calls.notifier);
  g_assert_false (
      aio_context_set_event_notifier (d->ctx, calls.notifier, count_and_clear, &calls, count_destroyed, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_CLOSED);
  g_assert_cmpint (calls.destroyed, ==, 1);
  aio_notifier_unref (calls.notifier);
}

static void
cannot_be_watched_by_a_closed_context (Driver *d)
{
  Calls calls = { .notifier = aio_notifier_new (FALSE, NULL) };
  g_autoptr (GError) error = NULL;

  g_assert_true (aio_context_close (d->ctx, NULL));
  g_assert_false (
      aio_context_set_event_notifier (d->ctx, calls.notifier, count_and_clear, &calls, count_destroyed, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_CLOSED);
  g_assert_cmpint (calls.destroyed, ==, 1);
  aio_notifier_unref (calls.notifier);
}

/* A call that is under way when another thread closes the notifier still has its file descriptor. */

static AioNotifier *closing;
static int n_closed_in_calls;

static void
close_it (gpointer data)
{
  aio_notifier_close (data);
}

static void
close_meanwhile (int fd)
{
  AioNotifier *notifier = g_steal_pointer (&closing);

  if (notifier == NULL)
    return;
  driver_on_thread (close_it, notifier);
  g_assert_cmpint (aio_notifier_get_fd (notifier), ==, -1);
  g_assert_cmpint (fcntl (fd, F_GETFD), >=, 0);
  n_closed_in_calls++;
}

static ssize_t
write_closed_meanwhile (int fd, const void *buffer, size_t size)
{
  close_meanwhile (fd);
  return write (fd, buffer, size);
}

static ssize_t
read_closed_meanwhile (int fd, void *buffer, size_t size)
{
  close_meanwhile (fd);
  return read (fd, buffer, size);
}

static void
closed_while_it_is_set_or_cleared (Driver *d)
{
  aio_system.write = write_closed_meanwhile;
  aio_system.read = read_closed_meanwhile;
  n_closed_in_calls = 0;
  for (guint i = 0; i < 2; i++)
    {
      AioNotifier *notifier = aio_notifier_new (TRUE, NULL);
      int fd = aio_notifier_get_fd (notifier);

      closing = notifier;
      g_assert_true (i == 0 ? aio_notifier_set (notifier, NULL) : aio_notifier_test_and_clear (notifier));
      g_assert_cmpint (n_closed_in_calls, ==, i + 1);
      g_assert_cmpint (fcntl (fd, F_GETFD), ==, -1);
      /* Whoever has the number now is left alone. */
      g_assert_cmpint (fcntl (STDIN_FILENO, F_DUPFD_CLOEXEC, fd), ==, fd);
      g_assert_false (aio_notifier_set (notifier, NULL));
      g_assert_false (aio_notifier_test_and_clear (notifier));
      aio_notifier_close (notifier);
      aio_notifier_unref (notifier);
      g_assert_no_errno (close (fd));
    }
  aio_system.write = write;
  aio_system.read = read;
}

static void
add_tests (void)
{
  driver_add_bare ("notifier", "set-and-clear", set_and_clear);
  driver_add_bare ("notifier", "closed-notifier-is-an-error", closed_notifier_is_an_error);
  driver_add_bare ("notifier", "closed-while-it-is-set-or-cleared", closed_while_it_is_set_or_cleared);
  driver_add_bare ("notifier", "A15-full-counter-counts-as-set", full_counter_counts_as_set);
  driver_add ("notifier", "watched-notifier-calls", watched_notifier_calls);
  driver_add ("notifier", "watching-keeps-a-reference", watching_keeps_a_reference);
  driver_add ("notifier", "set-by-another-thread-wakes-the-loop", set_by_another_thread_wakes_the_loop);
  driver_add ("notifier", "cannot-be-watched-when-closed", cannot_be_watched_when_closed);
  driver_add ("notifier", "cannot-be-watched-by-a-closed-context", cannot_be_watched_by_a_closed_context);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
