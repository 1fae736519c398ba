/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "aio-fdmon-uring-private.h"
#include "eventfds.h"
#include "shims.h"

#include <errno.h>
#include <string.h>

/* A ring that is too small, a kernel that has none, or no room (F6, F7, F9) */

static AioMonitor
monitor (Driver *d)
{
  return aio_context_get_monitor (d->ctx);
}

/* The case's context is another one meanwhile, whose ring has 8 entries. Returns its own. */
static AioContext *
swap_in_small_ring (Driver *d)
{
  AioContext *own = d->ctx;

  shim_start ();
  shim_ring_entries (8);
  d->ctx = aio_context_new_full ("small", AIO_MONITOR_IO_URING, NULL);
  g_assert_nonnull (d->ctx);
  g_assert_cmpuint (d->ctx->fdmon_uring->ring.sq.ring_entries, ==, 8);
  if (d->main_context)
    g_assert_true (aio_context_attach (d->ctx, d->main_context, G_PRIORITY_DEFAULT, NULL));
  return own;
}

static void
swap_out_small_ring (Driver *d, AioContext *own)
{
  shim_stop ();
  aio_context_close (d->ctx, NULL);
  aio_context_unref (d->ctx);
  d->ctx = own;
}

/* F6, F7: all of them ready at once, before they are armed and after */
static void
ten_thousand_on_a_ring_of_eight (Driver *d)
{
  enum {
    N = 10000
  };
  AioContext *own;
  EventFd *eventfds;

  if (!eventfds_may_open (N + 100))
    {
      g_test_skip ("RLIMIT_NOFILE allows too few file descriptors");
      return;
    }
  driver_watchdog (100);
  own = swap_in_small_ring (d);
  eventfds = eventfds_new (N);
  eventfds_watch (d, eventfds, 0, N);
  eventfds_assert_all_called (d, eventfds, N, 1);
  driver_settle (d);
  g_assert_cmpuint (d->ctx->fdmon_uring->to_arm->len, ==, 0);
  eventfds_assert_all_called (d, eventfds, N, 1);
  eventfds_unwatch (d, eventfds, 0, N);
  driver_assert_quiet (d, 10);
  g_assert_cmpint (monitor (d), ==, AIO_MONITOR_IO_URING);
  eventfds_free (eventfds, N);
  swap_out_small_ring (d, own);
}

static void
a_thousand_completions_for_a_ring_of_eight (Driver *d)
{
  enum {
    N = 1000
  };
  AioContext *own = swap_in_small_ring (d);
  EventFd *eventfds = eventfds_new (N);

  eventfds_watch (d, eventfds, 0, N);
  driver_settle (d);
  for (guint round = 1; round <= 3; round++)
    {
      for (guint i = 0; i < N; i++)
        eventfd_set (&eventfds[i]);
      g_assert_true (io_uring_cq_has_overflow (&d->ctx->fdmon_uring->ring));
      driver_turn (d, TRUE);
      for (guint i = 0; i < N; i++)
        g_assert_cmpint (eventfds[i].calls, ==, round);
      driver_settle (d);
    }
  driver_assert_quiet (d, 10);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
  swap_out_small_ring (d, own);
}

/*
 * While the ring is full a poll completes that was armed just before, and somebody else has read what completed it: what
 * comes next, while the home thread sleeps, is told.
 */

typedef struct {
  EventFd *eventfd;
  pthread_t setter;
} DrainedAndSet;

static void
set_soon (gpointer data)
{
  g_usleep (20000);
  eventfd_set (data);
}

static void
drain_and_set_soon (gpointer data)
{
  DrainedAndSet *both = data;

  driver_drain (both->eventfd->fd);
  both->setter = driver_thread_start (set_soon, both->eventfd);
}

static void
drained_while_others_are_armed (Driver *d)
{
  enum {
    N = 20
  };
  AioContext *own = swap_in_small_ring (d);
  EventFd *eventfds = eventfds_new (N);
  DrainedAndSet both = { .eventfd = &eventfds[0] };
  gboolean reached = FALSE;

  eventfds_watch (d, eventfds, 0, N);
  eventfd_set (&eventfds[0]);
  driver_interleave (d, AIO_POINT_URING_AFTER_CQE, 0, drain_and_set_soon, &both, &reached);
  driver_run_until_count (d, &eventfds[0].calls, 1, 5000);
  g_assert_true (reached);
  driver_thread_join (both.setter);
  driver_settle (d);
  g_assert_cmpint (eventfds[0].calls, ==, 1);
  eventfds_unwatch (d, eventfds, 0, N);
  driver_assert_quiet (d, 10);
  eventfds_free (eventfds, N);
  swap_out_small_ring (d, own);
}

/* The kernel has no room for a moment. */
static void
refused_for_a_moment (Driver *d)
{
  static const int errors[] = { EBUSY, EAGAIN, EINTR };
  enum {
    N = 100
  };
  AioContext *own = swap_in_small_ring (d);
  EventFd *eventfds = eventfds_new (N);

  for (guint i = 0; i < G_N_ELEMENTS (errors); i++)
    {
      int failures = shim_failures (SHIM_URING_SUBMIT);

      eventfds_watch (d, eventfds, 0, N);
      shim_fail (SHIM_URING_SUBMIT, errors[i], 3, 10);
      shim_fail (SHIM_URING_ENTER, errors[i], 0, 10);
      eventfds_assert_all_called (d, eventfds, N, 1);
      g_assert_cmpint (shim_failures (SHIM_URING_SUBMIT), ==, failures + 10);
      driver_settle (d);
      /* Nor is a removal lost. */
      shim_fail (SHIM_URING_SUBMIT, errors[i], 0, 10);
      eventfds_unwatch (d, eventfds, 0, N);
      shim_fail (SHIM_URING_ENTER, 0, 0, 0);
      driver_settle (d);
      g_assert_cmpuint (d->ctx->fdmon_uring->to_cancel->len, ==, 0);
    }
  g_assert_cmpint (monitor (d), ==, AIO_MONITOR_IO_URING);
  eventfds_free (eventfds, N);
  swap_out_small_ring (d, own);
}

/* The kernel refuses for good: the handlers go to poll(2), in the very wait that sees it. */
static void
refused_for_good (Driver *d, ShimCall call, int error)
{
  enum {
    N = 20
  };
  EventFd *eventfds = eventfds_new (N);

  eventfds_watch (d, eventfds, 0, N / 2);
  driver_settle (d);
  eventfds_watch (d, eventfds, N / 2, N);
  shim_start ();
  shim_fail (call, error, 0, SHIM_ALWAYS);
  for (guint i = 0; i < N; i++)
    eventfd_set (&eventfds[i]);
  driver_turn (d, TRUE);
  g_assert_cmpint (shim_failures (call), >, 0);
  g_assert_cmpint (monitor (d), ==, AIO_MONITOR_POLL);
  for (guint i = 0; i < N; i++)
    g_assert_cmpint (eventfds[i].calls, ==, 1);
  shim_stop ();

  driver_assert_quiet (d, 10);
  eventfds_assert_all_called (d, eventfds, N, 1);
  g_assert_cmpint (monitor (d), ==, AIO_MONITOR_POLL);
  g_assert_cmpuint (driver_stats (d).monitor_switches, ==, 1);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
}

static void
submit_fails (Driver *d)
{
  refused_for_good (d, SHIM_URING_SUBMIT, EBADF);
}

static void
submit_has_no_memory_for_long (Driver *d)
{
  refused_for_good (d, SHIM_URING_SUBMIT, EAGAIN);
}

static void
wait_fails (Driver *d)
{
  refused_for_good (d, SHIM_URING_ENTER, EBADF);
}

/* The same where not even the SQEs fit. */
static void
submit_fails_on_a_ring_of_eight (Driver *d)
{
  enum {
    N = 100
  };
  AioContext *own = swap_in_small_ring (d);
  EventFd *eventfds = eventfds_new (N);

  eventfds_watch (d, eventfds, 0, N);
  shim_fail (SHIM_URING_SUBMIT, EBADF, 0, SHIM_ALWAYS);
  eventfds_assert_all_called (d, eventfds, N, 1);
  g_assert_cmpint (monitor (d), !=, AIO_MONITOR_IO_URING);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
  swap_out_small_ring (d, own);
}

/* Who polls without a wait is told to make one, which sees it. */
static void
submit_fails_where_nobody_waits (Driver *d)
{
  EventFd *eventfds = eventfds_new (1);

  eventfds_watch (d, eventfds, 0, 1);
  shim_start ();
  shim_fail (SHIM_URING_SUBMIT, EBADF, 0, SHIM_ALWAYS);
  g_assert_true (aio_fdmon_uring_ops.need_wait (d->ctx));
  g_assert_cmpint (shim_failures (SHIM_URING_SUBMIT), ==, 1);
  shim_stop ();
  eventfds_assert_all_called (d, eventfds, 1, 1);
  g_assert_cmpint (monitor (d), ==, AIO_MONITOR_POLL);
  eventfds_unwatch (d, eventfds, 0, 1);
  eventfds_free (eventfds, 1);
}

/* What did not fit into the ring cannot be fetched. */
static void
completions_that_cannot_be_fetched (Driver *d)
{
  enum {
    N = 1000
  };
  AioContext *own = swap_in_small_ring (d);
  EventFd *eventfds = eventfds_new (N);

  eventfds_watch (d, eventfds, 0, N);
  driver_settle (d);
  for (guint i = 0; i < N; i++)
    eventfd_set (&eventfds[i]);
  g_assert_true (io_uring_cq_has_overflow (&d->ctx->fdmon_uring->ring));
  shim_fail (SHIM_URING_ENTER, EBADF, 0, SHIM_ALWAYS);
  /* Some of them have been found in the ring before, the others the next pass finds. */
  driver_settle (d);
  g_assert_cmpint (shim_failures (SHIM_URING_ENTER), >, 0);
  g_assert_cmpint (monitor (d), !=, AIO_MONITOR_IO_URING);
  for (guint i = 0; i < N; i++)
    g_assert_cmpint (eventfds[i].calls, ==, 1);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
  swap_out_small_ring (d, own);
}

/* A CQE for @data with an error that no poll has: of an operation that no kernel has. */
static void
complete_with_error (Driver *d, guint64 data)
{
  struct io_uring_sqe *sqe = aio_uring_get_sqe (d->ctx);

  g_assert_nonnull (sqe);
  g_assert_cmpuint (data, !=, 0);
  io_uring_prep_nop (sqe);
  sqe->opcode = 255;
  sqe->user_data = data;
  g_assert_cmpint (io_uring_submit (&d->ctx->fdmon_uring->ring), ==, 1);
}

static guint64
poll_of_first_handler (Driver *d, EventFd *eventfds)
{
  AioHandler *handler = aio_context_get_handler (d->ctx, eventfds[0].fd);

  return aio_fdmon_entry_data (eventfds[0].fd, handler->generation);
}

static guint64
poll_of_notifier (Driver *d, EventFd *eventfds G_GNUC_UNUSED)
{
  return d->ctx->fdmon_uring->notifier.data;
}

static void
a_poll_fails (Driver *d, guint64 (*which) (Driver *d, EventFd *eventfds))
{
  enum {
    N = 4
  };
  EventFd *eventfds = eventfds_new (N);
  int notified = 0;

  eventfds_watch (d, eventfds, 0, N);
  driver_settle (d);
  complete_with_error (d, which (d, eventfds));
  eventfds_assert_all_called (d, eventfds, N, 2);
  g_assert_cmpint (monitor (d), ==, AIO_MONITOR_POLL);
  g_assert_cmpuint (driver_stats (d).monitor_switches, ==, 1);
  driver_assert_quiet (d, 10);
  eventfds_assert_all_called (d, eventfds, N, 1);
  aio_context_schedule_oneshot (d->ctx, driver_count, &notified);
  g_assert_true (driver_turn (d, TRUE));
  g_assert_cmpint (notified, ==, 1);
  eventfds_unwatch (d, eventfds, 0, N);
  eventfds_free (eventfds, N);
}

static void
the_poll_of_a_handler_fails (Driver *d)
{
  a_poll_fails (d, poll_of_first_handler);
}

static void
the_poll_of_the_notifier_fails (Driver *d)
{
  a_poll_fails (d, poll_of_notifier);
}

/* F9 */

static void
no_ring_for_who_asks_for_it (Driver *d)
{
  static const int errors[] = { ENOSYS, EPERM, EMFILE, ENOMEM };

  shim_start ();
  for (guint i = 0; i < G_N_ELEMENTS (errors); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (AioContext) any = NULL;

      shim_fail (SHIM_URING_INIT, errors[i], 0, SHIM_ALWAYS);
      g_assert_null (aio_context_new_full ("mine", AIO_MONITOR_IO_URING, &error));
      g_assert_error (error, AIO_ERROR, AIO_ERROR_UNAVAILABLE);
      g_assert_cmpint (aio_error_get_errno (error), ==, errors[i]);
      g_assert_nonnull (strstr (error->message, "io_uring"));
      g_assert_nonnull (strstr (error->message, strerrorname_np (errors[i])));
      any = aio_context_new (NULL);
      g_assert_nonnull (any);
    }
  shim_stop ();
}

static void
a_kernel_that_is_too_old (Driver *d)
{
  static const guint features[] = { IORING_FEAT_NODROP, IORING_FEAT_EXT_ARG };

  if (!driver_has_monitor (AIO_MONITOR_IO_URING))
    {
      g_test_skip ("io_uring is missing");
      return;
    }
  shim_start ();
  for (guint i = 0; i < G_N_ELEMENTS (features); i++)
    {
      g_autoptr (GError) error = NULL;

      shim_ring_lacks (features[i]);
      g_assert_null (aio_context_new_full (NULL, AIO_MONITOR_IO_URING, &error));
      g_assert_error (error, AIO_ERROR, AIO_ERROR_UNAVAILABLE);
      g_assert_cmpint (aio_error_get_errno (error), ==, ENOSYS);
    }
  shim_stop ();
}

static void
add_for (DriverKind kinds, const char *name, DriverBody body)
{
  driver_add_monitor_for (AIO_MONITOR_IO_URING, kinds, "uring-limits", name, body);
}

static void
add (const char *name, DriverBody body)
{
  add_for (DRIVER_ANY, name, body);
}

static void
add_tests (void)
{
  add ("F6-F7-ten-thousand-on-a-ring-of-eight", ten_thousand_on_a_ring_of_eight);
  add ("F7-a-thousand-completions-for-a-ring-of-eight", a_thousand_completions_for_a_ring_of_eight);
  add ("F6-drained-while-others-are-armed", drained_while_others_are_armed);
  add ("F6-refused-for-a-moment", refused_for_a_moment);
  add_for (DRIVER_GLIB, "submit-fails", submit_fails);
  add_for (DRIVER_GLIB, "submit-has-no-memory-for-long", submit_has_no_memory_for_long);
  add_for (DRIVER_POLL, "wait-fails", wait_fails);
  add ("submit-fails-on-a-ring-of-eight", submit_fails_on_a_ring_of_eight);
  add ("submit-fails-where-nobody-waits", submit_fails_where_nobody_waits);
  add ("F7-completions-that-cannot-be-fetched", completions_that_cannot_be_fetched);
  add ("the-poll-of-a-handler-fails", the_poll_of_a_handler_fails);
  add_for (DRIVER_POLL, "the-poll-of-the-notifier-fails", the_poll_of_the_notifier_fails);
  driver_add_bare ("uring-limits", "F9-no-ring-for-who-asks-for-it", no_ring_for_who_asks_for_it);
  driver_add_bare ("uring-limits", "F9-a-kernel-that-is-too-old", a_kernel_that_is_too_old);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
