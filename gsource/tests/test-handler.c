/* SPDX-License-Identifier: MIT */
#include "eventfds.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct {
  Driver *d;
  int fd;
  int reads, writes, errors, destroyed;
  guint bytes;
} Calls;

static void
count_read (int fd, gpointer data)
{
  Calls *calls = data;

  g_assert_cmpint (fd, ==, calls->fd);
  calls->reads++;
}

static void
count_write (int fd, gpointer data)
{
  Calls *calls = data;

  g_assert_cmpint (fd, ==, calls->fd);
  calls->writes++;
}

static void
read_all (int fd, gpointer data)
{
  Calls *calls = data;

  count_read (fd, data);
  calls->bytes += driver_drain (fd);
}

static void
count_error (int fd, const GError *error, gpointer data)
{
  Calls *calls = data;

  g_assert_cmpint (fd, ==, calls->fd);
  g_assert_error (error, AIO_ERROR, AIO_ERROR_SYSTEM);
  g_assert_cmpint (aio_error_get_errno (error), ==, EBADF);
  g_assert_nonnull (strstr (error->message, "EBADF"));
  calls->errors++;
}

static void
count_destroyed (gpointer data)
{
  ((Calls *) data)->destroyed++;
}

static void
watch (Driver *d, int fd, AioFdHandler handler, Calls *calls)
{
  g_autoptr (GError) error = NULL;

  calls->d = d;
  calls->fd = fd;
  g_assert_true (aio_context_set_fd_handler (d->ctx, fd, &handler, calls, count_destroyed, &error));
  g_assert_no_error (error);
}

/* Kinds of file descriptors */

static void
pipe_is_level_triggered (Driver *d)
{
  Calls calls = { 0 };
  int fds[2];

  driver_pipe (fds);
  watch (d, fds[0], (AioFdHandler){ .read = count_read }, &calls);
  g_assert_false (driver_turn (d, FALSE));

  driver_write_byte (fds[1]);
  for (int turn = 1; turn <= 5; turn++)
    {
      g_assert_true (driver_turn (d, TRUE));
      g_assert_cmpint (calls.reads, ==, turn);
    }
  g_assert_cmpuint (driver_stats (d).handlers_dispatched, ==, 5);
  driver_drain (fds[0]);
  g_assert_false (driver_turn (d, FALSE));
  g_assert_cmpint (calls.destroyed, ==, 0);
  driver_unwatch (d, fds[0]);
  g_assert_cmpint (calls.destroyed, ==, 1);
  driver_close_pair (fds);
}

static void
socket_is_read_before_it_is_written (Driver *d)
{
  Calls calls = { 0 };
  int fds[2];

  driver_socketpair (fds);
  watch (d, fds[0], (AioFdHandler){ .read = read_all, .write = count_write }, &calls);
  driver_turn (d, TRUE);
  g_assert_cmpint (calls.reads, ==, 0);
  g_assert_cmpint (calls.writes, ==, 1);
  driver_write_byte (fds[1]);
  driver_turn (d, TRUE);
  g_assert_cmpint (calls.reads, ==, 1);
  g_assert_cmpint (calls.writes, ==, 2);
  g_assert_cmpuint (calls.bytes, ==, 1);

  /* A second registration replaces all of the first. */
  watch (d, fds[0], (AioFdHandler){ .read = read_all }, &calls);
  g_assert_cmpint (calls.destroyed, ==, 1);
  g_assert_false (driver_turn (d, FALSE));
  g_assert_cmpint (calls.writes, ==, 2);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

static void
regular_file_is_always_ready (Driver *d)
{
  Calls calls = { 0 };
  g_autofree char *path = g_build_filename (g_get_tmp_dir (), "aio-test-XXXXXX", NULL);
  int fd = mkostemp (path, O_CLOEXEC);

  g_assert_cmpint (fd, >=, 0);
  unlink (path);
  watch (d, fd, (AioFdHandler){ .read = count_read, .write = count_write }, &calls);
  for (int turn = 1; turn <= 3; turn++)
    {
      driver_turn (d, TRUE);
      g_assert_cmpint (calls.reads, ==, turn);
      g_assert_cmpint (calls.writes, ==, turn);
    }
  g_assert_cmpint (calls.errors, ==, 0);
  driver_unwatch (d, fd);
  close (fd);
}

static void
pty_echoes_and_hangs_up (Driver *d)
{
  Calls calls = { 0 };
  int master, slave;

  g_assert_no_errno (openpty (&master, &slave, NULL, NULL, NULL));
  fcntl (master, F_SETFL, O_NONBLOCK);
  watch (d, master, (AioFdHandler){ .read = read_all }, &calls);
  g_assert_false (driver_turn (d, FALSE));
  g_assert_cmpint (write (slave, "hello", 5), ==, 5);
  /* The kernel passes it on in a thread of its own, which may wake us first. */
  while (calls.bytes < 5)
    driver_turn (d, TRUE);
  g_assert_cmpint (calls.reads, ==, 1);

  close (slave);
  while (calls.reads < 2)
    driver_turn (d, TRUE);
  driver_unwatch (d, master);
  close (master);
}

/* HUP and ERR */

static void
hangup_is_read (Driver *d)
{
  Calls calls = { 0 };
  int fds[2];

  driver_pipe (fds);
  watch (d, fds[0], (AioFdHandler){ .read = count_read }, &calls);
  close (fds[1]);
  fds[1] = -1;
  driver_turn (d, TRUE);
  g_assert_cmpint (calls.reads, ==, 1);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

static void
error_is_written_by_a_writer (Driver *d)
{
  Calls calls = { 0 };
  int fds[2];

  driver_pipe (fds);
  while (write (fds[1], &calls, sizeof calls) > 0)
    ;
  watch (d, fds[1], (AioFdHandler){ .write = count_write }, &calls);
  g_assert_false (driver_turn (d, FALSE));
  close (fds[0]);
  fds[0] = -1;
  driver_turn (d, TRUE);
  g_assert_cmpint (calls.writes, ==, 1);
  driver_unwatch (d, fds[1]);
  driver_close_pair (fds);
}

static void
error_calls_both (Driver *d)
{
  Calls calls = { 0 };
  int fds[2];

  driver_pipe (fds);
  watch (d, fds[1], (AioFdHandler){ .read = count_read, .write = count_write }, &calls);
  close (fds[0]);
  fds[0] = -1;
  driver_turn (d, TRUE);
  g_assert_cmpint (calls.reads, ==, 1);
  g_assert_cmpint (calls.writes, ==, 1);
  driver_unwatch (d, fds[1]);
  driver_close_pair (fds);
}

static void
hangup_of_a_write_only_handler_is_written (Driver *d)
{
  Calls calls = { 0 };
  int fds[2];

  /* The end to read of a pipe can hang up, and is never writable. */
  driver_pipe (fds);
  watch (d, fds[0], (AioFdHandler){ .write = count_write }, &calls);
  g_assert_false (driver_turn (d, FALSE));
  close (fds[1]);
  fds[1] = -1;
  driver_turn (d, TRUE);
  g_assert_cmpint (calls.writes, ==, 1);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);

  /* A socket is both at once. */
  driver_socketpair (fds);
  while (write (fds[0], &calls, sizeof calls) > 0)
    ;
  watch (d, fds[0], (AioFdHandler){ .write = count_write }, &calls);
  g_assert_false (driver_turn (d, FALSE));
  close (fds[1]);
  fds[1] = -1;
  driver_turn (d, TRUE);
  g_assert_cmpint (calls.writes, ==, 2);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

/* E6 */

static void
invalid_fd_is_refused (Driver *d)
{
  static const int invalid[] = { -1, -2, G_MININT, 999, G_MAXINT };
  AioFdHandler handler = { .read = count_read };

  for (guint i = 0; i < G_N_ELEMENTS (invalid); i++)
    {
      g_autoptr (GError) error = NULL;
      Calls calls = { 0 };

      g_assert_false (aio_context_set_fd_handler (d->ctx, invalid[i], &handler, &calls, count_destroyed, &error));
      g_assert_error (error, AIO_ERROR, AIO_ERROR_SYSTEM);
      g_assert_cmpint (aio_error_get_errno (error), ==, EBADF);
      g_assert_cmpstr (aio_error_get_syscall (error), ==, "fcntl");
      g_assert_cmpint (calls.destroyed, ==, 1);
      g_assert_false (driver_turn (d, FALSE));
      /* Removing what is not there is no error. */
      driver_unwatch (d, invalid[i]);
    }
}

/* E4 */

static void
closed_while_watched_is_one_error_and_no_busy_loop (Driver *d)
{
  /* Epoll forgets the descriptor silently. In the ring it is the hangup that has it armed anew, which fails. */
  const int errors = aio_context_get_monitor (d->ctx) == AIO_MONITOR_EPOLL ? 0 : 1;
  Calls calls = { 0 };
  int fds[2];

  driver_pipe (fds);
  watch (d, fds[0], (AioFdHandler){ .read = count_read, .write = count_write, .error = count_error }, &calls);
  driver_settle (d);
  driver_close_pair (fds);

  driver_assert_quiet (d, 10);
  g_assert_cmpint (calls.errors, ==, errors);
  g_assert_cmpint (calls.reads + calls.writes, ==, 0);

  driver_unwatch (d, calls.fd);
  g_assert_cmpint (calls.destroyed, ==, 1);
  g_assert_cmpint (calls.errors, ==, errors);
}

static void
closed_while_watched_warns_where_there_is_no_error_callback (Driver *d)
{
  Calls calls = { 0 };
  int fds[2];

  driver_pipe (fds);
  watch (d, fds[0], (AioFdHandler){ .read = count_read, .name = "the doomed one" }, &calls);
  driver_close_pair (fds);
  if (aio_context_get_monitor (d->ctx) != AIO_MONITOR_EPOLL)
    driver_expect_warning ("*the doomed one*EBADF*");
  driver_turn (d, FALSE);
  driver_settle (d);
  g_test_assert_expected_messages ();
  driver_unwatch (d, calls.fd);
  g_assert_cmpint (calls.reads, ==, 0);
}

static void
close_and_turn (int fd, gpointer data)
{
  Calls *calls = data;

  count_read (fd, data);
  close (fd);
  driver_turn (calls->d, FALSE);
}

/* In the middle of an event: the turn in its read function has found it dead. */
static void
is_called_no_further_once_it_is_dead (Driver *d)
{
  const int errors = aio_context_get_monitor (d->ctx) == AIO_MONITOR_EPOLL ? 0 : 1;
  Calls calls = { 0 };
  int fds[2];

  driver_socketpair (fds);
  driver_write_byte (fds[1]);
  watch (d, fds[0], (AioFdHandler){ .read = close_and_turn, .write = count_write, .error = count_error }, &calls);
  driver_turn (d, FALSE);
  g_assert_cmpint (calls.reads, ==, 1);
  g_assert_cmpint (calls.errors, ==, errors);
  g_assert_cmpint (calls.writes, ==, 1 - errors);
  driver_unwatch (d, calls.fd);
  close (fds[1]);
}

/* GLib has found it dead twice, and prepared the source once: as long as that is ready it is not asked what to look at. */
static void
dies_once_however_often_glib_finds_it_dead (Driver *d)
{
  const int errors = aio_context_get_monitor (d->ctx) == AIO_MONITOR_EPOLL ? 0 : 1;
  Calls calls = { 0 };
  int fds[2];

  driver_pipe (fds);
  watch (d, fds[0], (AioFdHandler){ .read = count_read, .error = count_error }, &calls);
  driver_settle (d);
  driver_close_pair (fds);
  g_main_context_pending (d->main_context);
  driver_poll (d->ctx, FALSE);
  g_assert_cmpint (calls.errors, ==, errors);
  g_main_context_iteration (d->main_context, FALSE);
  g_assert_cmpint (calls.errors, ==, errors);
  driver_unwatch (d, calls.fd);
}

static void
reused_number_belongs_to_the_new_handler (Driver *d)
{
  for (guint round = 0; round < 100; round++)
    {
      Calls old = { 0 }, new = { 0 };
      int fds[2], number;

      driver_pipe (fds);
      number = fds[0];
      driver_write_byte (fds[1]);
      watch (d, number, (AioFdHandler){ .read = count_read, .error = count_error }, &old);
      if (round % 2)
        driver_turn (d, TRUE);
      driver_close_pair (fds);
      if (round % 4 >= 2)
        driver_turn (d, FALSE);

      driver_pipe (fds);
      g_assert_cmpint (fds[0], ==, number);
      old.reads = 0;
      watch (d, number, (AioFdHandler){ .read = read_all, .error = count_error }, &new);
      g_assert_cmpint (old.destroyed, ==, 1);
      g_assert_false (driver_turn (d, FALSE));
      driver_write_byte (fds[1]);
      driver_turn (d, TRUE);
      g_assert_cmpint (new.reads, ==, 1);
      g_assert_cmpint (new.errors, ==, 0);
      g_assert_cmpint (old.reads, ==, 0);
      driver_unwatch (d, number);
      driver_close_pair (fds);
    }
}

/* aio_context_set_fd_func() */

typedef struct {
  int in, out, nval;
  int gone;
} Conditions;

static void
count_condition (int fd, GIOCondition condition, gpointer data)
{
  Conditions *c = data;

  (void) fd;
  c->in += condition == G_IO_IN;
  c->out += condition == G_IO_OUT;
  c->nval += condition == G_IO_NVAL;
}

static void
conditions_gone (gpointer data)
{
  ((Conditions *) data)->gone++;
}

static void
one_function_for_all_conditions (Driver *d)
{
  g_autoptr (GError) error = NULL;
  Conditions c = { 0 };
  int fds[2], number;

  driver_socketpair (fds);
  number = fds[0];
  driver_write_byte (fds[1]);
  g_assert_true (
      aio_context_set_fd_func (d->ctx, fds[0], G_IO_IN | G_IO_OUT, count_condition, &c, conditions_gone, &error));
  driver_turn (d, TRUE);
  g_assert_cmpint (c.in, ==, 1);
  g_assert_cmpint (c.out, ==, 1);
  g_assert_cmpint (c.gone, ==, 0);
  g_assert_true (aio_context_set_fd_func (d->ctx, fds[0], G_IO_IN, count_condition, &c, conditions_gone, &error));
  driver_turn (d, TRUE);
  g_assert_cmpint (c.gone, ==, 1);
  g_assert_cmpint (c.in, ==, 2);
  g_assert_cmpint (c.out, ==, 1);

  driver_close_pair (fds);
  driver_turn (d, FALSE);
  driver_settle (d);
  g_assert_cmpint (c.nval, ==, aio_context_get_monitor (d->ctx) == AIO_MONITOR_EPOLL ? 0 : 1);
  /* No longer watched: the function that was, and the one of the call itself. */
  g_assert_true (aio_context_set_fd_func (d->ctx, number, 0, count_condition, &c, conditions_gone, &error));
  g_assert_no_error (error);
  driver_settle (d);
  g_assert_cmpint (c.gone, ==, 3);
  g_assert_false (aio_context_set_fd_func (d->ctx, 999, G_IO_IN, count_condition, &c, conditions_gone, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_SYSTEM);
  g_assert_cmpint (c.gone, ==, 4);
}

static void
add_tests (void)
{
  driver_add ("handler", "pipe-is-level-triggered", pipe_is_level_triggered);
  driver_add ("handler", "socket-is-read-before-it-is-written", socket_is_read_before_it_is_written);
  driver_add ("handler", "regular-file-is-always-ready", regular_file_is_always_ready);
  driver_add ("handler", "pty-echoes-and-hangs-up", pty_echoes_and_hangs_up);
  driver_add ("handler", "E13-hangup-is-read", hangup_is_read);
  driver_add ("handler", "E13-error-is-written-by-a-writer", error_is_written_by_a_writer);
  driver_add ("handler", "E13-error-calls-both", error_calls_both);
  driver_add ("handler", "E13-hangup-of-a-write-only-handler-is-written", hangup_of_a_write_only_handler_is_written);
  driver_add ("handler", "E6-invalid-fd-is-refused", invalid_fd_is_refused);
  driver_add ("handler", "E4-closed-while-watched-is-one-error-and-no-busy-loop",
              closed_while_watched_is_one_error_and_no_busy_loop);
  driver_add ("handler", "E4-closed-while-watched-warns-where-there-is-no-error-callback",
              closed_while_watched_warns_where_there_is_no_error_callback);
  driver_add ("handler", "E4-is-called-no-further-once-it-is-dead", is_called_no_further_once_it_is_dead);
  driver_add_for (DRIVER_ATTACHED, "handler", "E4-dies-once-however-often-glib-finds-it-dead",
                  dies_once_however_often_glib_finds_it_dead);
  driver_add ("handler", "E5-reused-number-belongs-to-the-new-handler", reused_number_belongs_to_the_new_handler);
  driver_add ("handler", "one-function-for-all-conditions", one_function_for_all_conditions);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
