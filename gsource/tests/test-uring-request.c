/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "aio-fdmon-uring-private.h"
#include "producer.h"
#include "shims.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Requests of others in the ring: F10, F11, and how they end with the context */

typedef struct {
  AioUringRequest request; /* first */
  Driver *d;
  int fd; /* to be read; -1: nothing at all is done */
  int prepared, completed;
  int res;
  guint64 value;
  void (*then) (gpointer data);
} Request;

static void
prepare (AioUringRequest *request, struct io_uring_sqe *sqe)
{
  Request *r = (Request *) request;

  r->prepared++;
  if (r->fd < 0)
    io_uring_prep_nop (sqe);
  else
    io_uring_prep_read (sqe, r->fd, &r->value, sizeof r->value, 0);
}

static void
completed (AioUringRequest *request, int res, guint flags G_GNUC_UNUSED)
{
  Request *r = (Request *) request;

  r->completed++;
  r->res = res;
  if (r->then)
    r->then (r);
}

static Request
request_on (Driver *d, int fd)
{
  return (Request){ .request = { .prepare = prepare, .complete = completed }, .d = d, .fd = fd };
}

static void
add (Request *r)
{
  g_assert_true (aio_uring_add_request (r->d->ctx, &r->request));
}

/* F10: the CQE comes when the SQE is submitted, and nothing else will wake anybody. */
static void
nop_without_timers (Driver *d)
{
  Request r = request_on (d, -1);

  for (int i = 1; i <= 10; i++)
    {
      add (&r);
      g_assert_true (aio_context_is_armed (d->ctx));
      driver_turn_blind (d, TRUE);
      g_assert_cmpint (r.completed, ==, i);
      g_assert_cmpint (r.prepared, ==, i);
      g_assert_cmpint (r.res, ==, 0);
      g_assert_false (aio_context_is_armed (d->ctx));
    }
  /* It made prepare ready, after which GLib asks no check. */
  if (d->kind == DRIVER_GLIB)
    g_assert_cmpuint (driver_stats (d).checks, ==, 0);
  add (&r);
  driver_turn_blind (d, FALSE);
  g_assert_cmpint (r.completed, ==, 11);
  g_assert_cmpuint (driver_stats (d).empty_waits, ==, 0);
}

static void
read_that_has_to_wait (Driver *d)
{
  int fd = eventfd (0, EFD_CLOEXEC);
  Request r = request_on (d, fd);

  add (&r);
  driver_turn_blind (d, FALSE);
  g_assert_cmpint (r.prepared, ==, 1);
  g_assert_cmpint (r.completed, ==, 0);
  g_assert_no_errno (eventfd_write (fd, 7));
  driver_run_until_count (d, &r.completed, 1, 5000);
  g_assert_cmpint (r.res, ==, sizeof r.value);
  g_assert_cmpuint (r.value, ==, 7);
  close (fd);
}

/* F11: another source queues it when ours is prepared already. */

typedef struct {
  GSource source;
  Request *r;
  gboolean in_prepare, done;
} Queuer;

static void
queue_once (Queuer *q)
{
  if (!q->done)
    add (q->r);
  q->done = TRUE;
}

static gboolean
queuer_prepare (GSource *source, int *timeout)
{
  Queuer *q = (Queuer *) source;

  *timeout = -1;
  if (q->in_prepare)
    queue_once (q);
  return !q->in_prepare && !q->done;
}

static gboolean
queuer_dispatch (GSource *source, GSourceFunc callback G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  queue_once ((Queuer *) source);
  return G_SOURCE_CONTINUE;
}

static void
queued_by_another_source (Driver *d, gboolean in_prepare)
{
  static GSourceFuncs funcs = { .prepare = queuer_prepare, .dispatch = queuer_dispatch };
  Queuer *q = (Queuer *) g_source_new (&funcs, sizeof *q);
  Request r = request_on (d, -1);

  /* The wake-ups of what GLib has not polled yet are over. */
  for (guint turn = 0; turn < 3; turn++)
    driver_turn_blind (d, FALSE);
  q->r = &r;
  q->in_prepare = in_prepare;
  g_source_set_priority (&q->source, G_PRIORITY_LOW);
  g_source_attach (&q->source, d->main_context);
  driver_run_until_count (d, &r.completed, 1, 1000);
  g_assert_cmpint (r.completed, ==, 1);
  g_source_destroy (&q->source);
  g_source_unref (&q->source);
}

static void
queued_in_anothers_prepare (Driver *d)
{
  queued_by_another_source (d, TRUE);
}

static void
queued_in_anothers_dispatch (Driver *d)
{
  queued_by_another_source (d, FALSE);
}

/* An inner loop completes what the outer one has found; a completion may queue the next. */

static void
poll_and_add_again (gpointer data)
{
  Request *r = data;

  if (r->completed < 5)
    add (r);
  driver_poll (r->d->ctx, FALSE);
}

static void
poll_inside (gpointer data)
{
  driver_poll (((Request *) data)->d->ctx, FALSE);
}

static void
nested (Driver *d)
{
  Request chain = request_on (d, -1), others[10];

  chain.then = poll_and_add_again;
  add (&chain);
  for (guint i = 0; i < G_N_ELEMENTS (others); i++)
    {
      others[i] = request_on (d, -1);
      others[i].then = poll_inside;
      add (&others[i]);
    }
  driver_run_until_count (d, &chain.completed, 5, 1000);
  for (guint i = 0; i < G_N_ELEMENTS (others); i++)
    g_assert_cmpint (others[i].completed, ==, 1);
  g_assert_cmpint (chain.completed, ==, 5);
}

/* C4: they complete together, and each waits for the one behind it. */

#define LINKS 4

typedef struct {
  Request request; /* first */
  Request *next;
  int *order;
  int number;
} Link;

static void
await_next (gpointer data)
{
  Link *link = data;
  AioStats stats = driver_stats (link->request.d);

  /* All have come in one batch. */
  g_assert_cmpuint (stats.cqes, >=, LINKS);
  if (link->next)
    driver_run_until_count (link->request.d, &link->next->completed, 1, 1000);
  g_assert_cmpint ((*link->order)++, ==, LINKS - 1 - link->number);
}

static void
a_completion_waits_for_others_of_its_batch (Driver *d)
{
  Link links[LINKS];
  int order = 0;

  for (int i = 0; i < LINKS; i++)
    {
      links[i] = (Link){ request_on (d, -1), i + 1 < LINKS ? &links[i + 1].request : NULL, &order, i };
      links[i].request.then = await_next;
      add (&links[i].request);
    }
  /* The outermost is called first, and returns last. */
  driver_run_until_count (d, &order, LINKS, 1000);
  for (guint i = 0; i < LINKS; i++)
    g_assert_cmpint (links[i].request.completed, ==, 1);
  g_assert_false (aio_uring_has_requests (d->ctx));
}

/* The case's context is another one meanwhile, whose ring has 8 entries. Returns its own. */
static AioContext *
swap_in_small_ring (Driver *d)
{
  AioContext *own = d->ctx;

  shim_start ();
  shim_ring_entries (8);
  d->ctx = aio_context_new_full ("small", AIO_MONITOR_IO_URING, NULL);
  if (d->main_context)
    g_assert_true (aio_context_attach (d->ctx, d->main_context, G_PRIORITY_DEFAULT, NULL));
  return own;
}

static void
swap_out_small_ring (Driver *d, AioContext *own)
{
  shim_stop ();
  g_assert_true (aio_context_close (d->ctx, NULL));
  aio_context_unref (d->ctx);
  d->ctx = own;
}

static void
many_on_a_small_ring (Driver *d)
{
  enum {
    N = 1000
  };
  AioContext *own = swap_in_small_ring (d);
  Request *requests = g_new (Request, N);

  for (guint i = 0; i < N; i++)
    {
      requests[i] = request_on (d, -1);
      add (&requests[i]);
    }
  driver_turn_blind (d, TRUE);
  for (guint i = 0; i < N; i++)
    g_assert_cmpint (requests[i].completed, ==, 1);
  swap_out_small_ring (d, own);
  g_free (requests);
}

/* The end of the context, or of its ring */

static void
ended_by (Driver *d, void (*end) (Driver *d))
{
  int fd = eventfd (0, EFD_CLOEXEC);
  Request submitted[20], done = request_on (d, -1), queued = request_on (d, -1);

  for (guint i = 0; i < G_N_ELEMENTS (submitted); i++)
    {
      submitted[i] = request_on (d, fd);
      add (&submitted[i]);
    }
  driver_turn_blind (d, FALSE);
  add (&done);
  aio_fdmon_uring_ops.need_wait (d->ctx); /* submits it */
  add (&queued);
  end (d);
  for (guint i = 0; i < G_N_ELEMENTS (submitted); i++)
    {
      g_assert_cmpint (submitted[i].completed, ==, 1);
      g_assert_cmpint (submitted[i].res, ==, -ECANCELED);
    }
  g_assert_cmpint (done.completed, ==, 1);
  g_assert_cmpint (done.res, ==, 0);
  g_assert_cmpint (queued.completed, ==, 1);
  g_assert_cmpint (queued.prepared, ==, 0);
  g_assert_cmpint (queued.res, ==, -ECANCELED);
  close (fd);
}

static void
close_context (Driver *d)
{
  Request late = request_on (d, -1);

  g_assert_true (aio_context_close (d->ctx, NULL));
  g_assert_false (aio_uring_add_request (d->ctx, &late.request));
  g_assert_false (aio_uring_has_requests (d->ctx));
}

static void
ended_by_close (Driver *d)
{
  ended_by (d, close_context);
}

static void
drop_context (Driver *d)
{
  if (d->main_context)
    g_assert_true (aio_context_detach (d->ctx, NULL));
  g_clear_pointer (&d->ctx, aio_context_unref);
}

static void
ended_by_the_last_reference (Driver *d)
{
  ended_by (d, drop_context);
}

static void
drop_on_a_thread (gpointer data)
{
  drop_context (data);
}

static void
drop_elsewhere (Driver *d)
{
  if (d->main_context)
    g_assert_true (aio_context_detach (d->ctx, NULL));
  driver_on_thread (drop_on_a_thread, d);
}

static void
ended_on_another_thread (Driver *d)
{
  if (d->kind == DRIVER_POLL)
    ended_by (d, drop_elsewhere);
}

/* The ring goes, the context goes on. */
static void
fail_ring (Driver *d)
{
  d->ctx->fdmon_uring->failed = TRUE;
  driver_turn_blind (d, FALSE);
  g_assert_cmpint (aio_context_get_monitor (d->ctx), ==, AIO_MONITOR_POLL);
  g_assert_false (aio_uring_has_requests (d->ctx));
}

static void
ended_by_a_ring_that_fails (Driver *d)
{
  ended_by (d, fail_ring);
}

/* Nothing else is ready: what the end of the ring completes is not slept over. */
static void
complete_in_a_wait (Driver *d, guint refusals)
{
  int fd = eventfd (0, EFD_CLOEXEC), fired = 0;
  Request r = request_on (d, fd);
  AioTimer *backstop = driver_deadline_new (d, G_GINT64_CONSTANT (5000000000), &fired);

  add (&r);
  driver_turn_blind (d, FALSE);
  g_assert_cmpint (r.prepared, ==, 1);
  shim_start ();
  shim_fail (SHIM_URING_ENTER, EBADF, 0, refusals);
  d->ctx->fdmon_uring->failed = refusals == 0;
  for (guint i = 0; i < 3 && r.completed == 0; i++)
    driver_turn_blind (d, TRUE);
  shim_stop ();
  g_assert_cmpint (r.completed, ==, 1);
  g_assert_cmpint (r.res, ==, -ECANCELED);
  g_assert_cmpint (fired, ==, 0);
  aio_timer_free (backstop);
  close (fd);
}

static void
completed_by_a_wait_that_is_refused (Driver *d)
{
  complete_in_a_wait (d, 1);
}

static void
completed_by_a_wait_after_the_ring_has_failed (Driver *d)
{
  complete_in_a_wait (d, 0);
}

/* More of them than there are SQEs for their cancellations. */
static void
ended_on_a_small_ring (Driver *d)
{
  AioContext *own = swap_in_small_ring (d);

  ended_by (d, close_context);
  swap_out_small_ring (d, own);
}

/* The kernel does not take the cancellation: they are over all the same, and the ring ends with the context. */
static void
ended_where_none_can_be_cancelled (Driver *d)
{
  int fd = eventfd (0, EFD_CLOEXEC);
  Request *r = g_new (Request, 1);

  *r = request_on (d, fd);
  add (r);
  driver_turn_blind (d, FALSE);
  g_assert_cmpint (r->prepared, ==, 1);
  shim_start ();
  shim_fail (SHIM_URING_ENTER, EBADF, 0, SHIM_ALWAYS);
  g_assert_true (aio_context_close (d->ctx, NULL));
  g_assert_cmpint (shim_failures (SHIM_URING_ENTER), ==, 1);
  shim_stop ();
  g_assert_cmpint (r->completed, ==, 1);
  g_assert_cmpint (r->res, ==, -ECANCELED);
  drop_context (d);
  close (fd);
  g_free (r);
}

/* In the child the context has none of them any more; the parent's go on. */
static void
a_child_ends_its_own (Driver *d)
{
  int fd = eventfd (0, EFD_CLOEXEC), status;
  Request r = request_on (d, fd);
  pid_t child;

  add (&r);
  driver_turn_blind (d, FALSE);
  if ((child = fork ()) == 0)
    {
      aio_context_close (d->ctx, NULL);
      driver_exit_child (r.completed == 1 && r.res == -ECANCELED && !aio_uring_has_requests (d->ctx) ? 0 : 1);
    }
  g_assert_cmpint (child, >, 0);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_cmpint (status, ==, 0);
  g_assert_cmpint (r.completed, ==, 0);
  g_assert_no_errno (eventfd_write (fd, 7));
  driver_run_until_count (d, &r.completed, 1, 5000);
  g_assert_cmpuint (r.value, ==, 7);
  close (fd);
}

static void
no_ring (Driver *d)
{
  Request r = request_on (d, -1);

  g_assert_false (aio_uring_add_request (d->ctx, &r.request));
  g_assert_false (aio_uring_has_requests (d->ctx));
  driver_turn_blind (d, FALSE);
  g_assert_cmpint (r.completed, ==, 0);
}

static void
add_case (DriverKind kinds, const char *name, DriverBody body)
{
  driver_add_monitor_for (AIO_MONITOR_IO_URING, kinds, "uring-request", name, body);
}

static void
add_tests (void)
{
  add_case (DRIVER_ANY, "F10-nop-without-timers", nop_without_timers);
  add_case (DRIVER_ANY, "read-that-has-to-wait", read_that_has_to_wait);
  add_case (DRIVER_GLIB, "F11-queued-in-anothers-prepare", queued_in_anothers_prepare);
  add_case (DRIVER_GLIB, "F11-queued-in-anothers-dispatch", queued_in_anothers_dispatch);
  add_case (DRIVER_ANY, "nested", nested);
  add_case (DRIVER_ANY, "C4-a-completion-waits-for-others-of-its-batch", a_completion_waits_for_others_of_its_batch);
  add_case (DRIVER_ANY, "F6-many-on-a-small-ring", many_on_a_small_ring);
  add_case (DRIVER_ANY, "ended-by-close", ended_by_close);
  add_case (DRIVER_ANY, "ended-by-the-last-reference", ended_by_the_last_reference);
  add_case (DRIVER_POLL, "ended-on-another-thread", ended_on_another_thread);
  add_case (DRIVER_ANY, "ended-by-a-ring-that-fails", ended_by_a_ring_that_fails);
  add_case (DRIVER_POLL, "completed-by-a-wait-that-is-refused", completed_by_a_wait_that_is_refused);
  add_case (DRIVER_ANY, "completed-by-a-wait-after-the-ring-has-failed", completed_by_a_wait_after_the_ring_has_failed);
  add_case (DRIVER_ANY, "F6-ended-on-a-small-ring", ended_on_a_small_ring);
  add_case (DRIVER_ANY, "ended-where-none-can-be-cancelled", ended_where_none_can_be_cancelled);
  add_case (DRIVER_ANY, "F14-a-child-ends-its-own", a_child_ends_its_own);
  driver_add_monitor (AIO_MONITOR_POLL, "uring-request", "no-ring", no_ring);
  driver_add_monitor (AIO_MONITOR_EPOLL, "uring-request", "no-ring", no_ring);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
