/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

/*
 * aio_context_close(), also from within every kind of callback. The cast: in each kind of callback one
 * that closes and one that must not run any more, all of them ready in the same pass.
 */

typedef enum {
  FROM_OUTSIDE,
  FROM_BH,
  FROM_IDLE_BH,
  FROM_ONESHOT,
  FROM_NESTED_BH,
  FROM_READ,
  FROM_WRITE,
  FROM_ERROR,
  FROM_NOTIFIER,
  FROM_TIMER,
  FROM_MANUAL_TIMER,
  N_PLACES,
} Place;

static const char *const place_names[] = { "outside", "bh",    "idle-bh",  "oneshot", "nested-bh",   "read",
                                           "write",   "error", "notifier", "timer",   "manual-timer" };

typedef struct {
  Driver *d;
  int calls, destroyed;
} Cast;

static void
count_destroyed (gpointer data)
{
  ((Cast *) data)->destroyed++;
}

static void
close_it (gpointer data)
{
  Cast *cast = data;

  cast->calls++;
  g_assert_true (aio_context_close (cast->d->ctx, NULL));
  g_assert_true (aio_context_is_closed (cast->d->ctx));
}

static void
close_in_nested_turn (gpointer data)
{
  Cast *cast = data;

  aio_context_schedule_oneshot (cast->d->ctx, close_it, cast);
  driver_turn (cast->d, FALSE);
  g_assert_true (aio_context_is_closed (cast->d->ctx));
}

static void
close_on_fd (int fd, gpointer data)
{
  (void) fd;
  close_it (data);
}

static void
close_on_error (int fd, const GError *error, gpointer data)
{
  g_assert_cmpint (aio_error_get_errno (error), ==, EBADF);
  close_on_fd (fd, data);
}

static void
close_on_notifier (AioNotifier *notifier, gpointer data)
{
  (void) notifier;
  close_it (data);
}

static void
not_any_more (gpointer data)
{
  g_assert_not_reached ();
}

static void
add_closer (Cast *cast, Place place, int fd, AioNotifier *notifier, AioClock *clock)
{
  AioContext *ctx = cast->d->ctx;
  AioFdHandler handler = { .read = place == FROM_READ || place == FROM_ERROR ? close_on_fd : NULL,
                           .write = place == FROM_WRITE ? close_on_fd : NULL,
                           .error = close_on_error };

  switch (place)
    {
    case FROM_OUTSIDE:
    case N_PLACES:
      break;
    case FROM_BH:
      aio_bh_schedule (aio_bh_new_full (ctx, "closer", close_it, cast, NULL));
      break;
    case FROM_NESTED_BH:
      aio_bh_schedule (aio_bh_new_full (ctx, "closer", close_in_nested_turn, cast, NULL));
      break;
    case FROM_IDLE_BH:
      aio_bh_schedule_idle (aio_bh_new_full (ctx, "closer", close_it, cast, NULL));
      break;
    case FROM_ONESHOT:
      aio_context_schedule_oneshot (ctx, close_it, cast);
      break;
    case FROM_READ:
    case FROM_WRITE:
    case FROM_ERROR:
      g_assert_true (aio_context_set_fd_handler (ctx, fd, &handler, cast, NULL, NULL));
      break;
    case FROM_NOTIFIER:
      g_assert_true (aio_context_set_event_notifier (ctx, notifier, close_on_notifier, cast, NULL, NULL));
      break;
    case FROM_TIMER:
    case FROM_MANUAL_TIMER:
      aio_timer_mod_ns (aio_timer_new (ctx, clock, AIO_TIMER_SCALE_NS, close_it, cast), 1);
      break;
    }
}

/* One of each kind that the close has to end, all behind the closer. Returns how many destroy notifies are owed. */
static int
add_victims (Cast *cast, Place place, AioClock *manual, AioTimer *embedded, int quiet_fd)
{
  static const AioFdHandler handler = { .read = driver_count_read };
  AioContext *ctx = cast->d->ctx;
  gboolean bhs_run_first = place >= FROM_NESTED_BH; /* before what closes */
  AioTimer *timer;

  if (!bhs_run_first)
    {
      aio_bh_schedule (aio_bh_new_full (ctx, "scheduled", not_any_more, cast, count_destroyed));
      aio_context_schedule_oneshot_full (ctx, "oneshot", not_any_more, cast, count_destroyed);
    }
  aio_bh_new_full (ctx, "unscheduled", not_any_more, cast, count_destroyed);
  g_assert_true (aio_context_set_fd_handler (ctx, quiet_fd, &handler, cast, count_destroyed, NULL));
  timer = aio_timer_new_full (ctx, manual, AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_NONE, "due", not_any_more, cast,
                              count_destroyed);
  aio_timer_mod_ns (timer, 2);
  aio_timer_new_full (ctx, aio_clock_get (AIO_CLOCK_HOST), AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_NONE, "not armed",
                      not_any_more, cast, count_destroyed);
  aio_timer_init (embedded, ctx, manual, AIO_TIMER_SCALE_NS, not_any_more, cast);
  aio_timer_mod_ns (embedded, 3);
  return bhs_run_first ? 4 : 6;
}

static void
assert_closed (Driver *d, AioTimer *embedded)
{
  static const AioFdHandler handler = { .read = driver_count_read };
  g_autoptr (GError) error = NULL;
  AioClock *realtime = aio_clock_get (AIO_CLOCK_REALTIME);
  Cast unused = { .d = d };
  int fds[2];

  g_assert_true (aio_context_is_closed (d->ctx));
  g_assert_false (aio_context_is_attached (d->ctx));
  g_assert_true (aio_context_close (d->ctx, &error));
  g_assert_no_error (error);

  g_assert_false (aio_context_poll (d->ctx, TRUE, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_CLOSED);
  g_clear_error (&error);
  g_assert_false (aio_context_attach (d->ctx, NULL, 0, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_CLOSED);
  g_clear_error (&error);
  driver_pipe (fds);
  g_assert_false (aio_context_set_fd_handler (d->ctx, fds[0], &handler, &unused, count_destroyed, &error));
  g_assert_error (error, AIO_ERROR, AIO_ERROR_CLOSED);
  g_assert_cmpint (unused.destroyed, ==, 1);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);

  g_assert_null (aio_bh_new_full (d->ctx, "late", not_any_more, NULL, NULL));
  g_assert_null (aio_bh_new_boxed (d->ctx, "late", not_any_more, NULL, NULL));
  g_assert_null (aio_timer_new (d->ctx, realtime, AIO_TIMER_SCALE_NS, not_any_more, NULL));
  aio_context_schedule_oneshot_full (d->ctx, "late", not_any_more, &unused, count_destroyed);
  g_assert_cmpint (unused.destroyed, ==, 2);
  aio_context_notify (d->ctx);

  /* A timer in its owner's memory is only parted from the context. */
  g_assert_false (aio_timer_pending (embedded));
  aio_timer_mod_ns (embedded, 1);
  g_assert_false (aio_timer_pending (embedded));
  aio_timer_deinit (embedded);
  if (d->main_context != NULL)
    g_assert_false (g_main_context_iteration (d->main_context, FALSE));
}

static void
close_from (Driver *d, Place place)
{
  Driver own = { .kind = d->kind, .main_context = d->main_context, .ctx = aio_context_new (NULL) };
  g_autoptr (AioClock) manual = aio_clock_new_manual (1000);
  AioNotifier *notifier = aio_notifier_new (TRUE, NULL);
  AioClock *clock = place == FROM_MANUAL_TIMER ? manual : aio_clock_get (AIO_CLOCK_VIRTUAL);
  Cast cast = { .d = &own };
  AioTimer embedded;
  int fds[2], quiet[2], owed;

  g_test_message ("%s", place_names[place]);
  if (own.main_context != NULL)
    g_assert_true (aio_context_attach (own.ctx, own.main_context, G_PRIORITY_DEFAULT, NULL));
  driver_socketpair (fds);
  driver_pipe (quiet);
  if (place == FROM_READ)
    driver_write_byte (fds[1]);

  add_closer (&cast, place, fds[0], notifier, clock);
  owed = add_victims (&cast, place, manual, &embedded, quiet[0]);
  if (place == FROM_ERROR)
    {
      close (fds[0]);
      fds[0] = -1;
    }
  if (place == FROM_OUTSIDE)
    close_it (&cast);
  else
    driver_turn (&own, FALSE);

  g_assert_cmpint (cast.calls, ==, 1);
  g_assert_cmpint (cast.destroyed, ==, owed);
  assert_closed (&own, &embedded);
  aio_context_unref (own.ctx);
  g_assert_cmpint (cast.destroyed, ==, owed);
  aio_notifier_unref (notifier);
  driver_close_pair (fds);
  driver_close_pair (quiet);
}

static void
closes_from_everywhere (Driver *d)
{
  for (Place place = FROM_OUTSIDE; place < N_PLACES; place++)
    close_from (d, place);
}

/* Handles that outlive the context */

static void
boxed_handles_outlive_the_context (Driver *d)
{
  AioContext *ctx = aio_context_new (NULL);
  int destroyed = 0;
  AioBh *bh = aio_bh_new_boxed (ctx, "bh", not_any_more, &destroyed, driver_count);
  AioTimer *timer = aio_timer_new_boxed (ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_MS,
                                         AIO_TIMER_ATTR_NONE, "timer", not_any_more, &destroyed, driver_count);

  aio_bh_schedule (bh);
  aio_timer_mod (timer, 0);
  g_assert_true (aio_context_close (ctx, NULL));
  g_assert_cmpint (destroyed, ==, 2);
  aio_context_unref (ctx);

  aio_bh_schedule (bh);
  aio_bh_call (bh);
  aio_bh_delete (bh);
  g_assert_false (aio_bh_is_scheduled (bh));
  aio_bh_unref (bh);
  aio_timer_mod (timer, 0);
  aio_timer_free (timer);
  g_assert_cmpint (aio_timer_expire_time_ns (timer), ==, -1);
  aio_timer_unref (timer);
  g_assert_cmpint (destroyed, ==, 2);
}

typedef struct {
  Driver *d;
  int destroyed;
} Recursive;

static void
use_the_context (gpointer data)
{
  Recursive *r = data;

  r->destroyed++;
  /* A destroy notify may call back in: everything is an error, nothing is a crash. */
  g_assert_true (aio_context_close (r->d->ctx, NULL));
  g_assert_false (aio_context_poll (r->d->ctx, FALSE, NULL));
  aio_context_schedule_oneshot (r->d->ctx, not_any_more, NULL);
}

static void
destroy_notifies_may_use_the_context (Driver *d)
{
  static const AioFdHandler handler = { .read = driver_count_read };
  Recursive r = { .d = d };
  int fds[2];

  driver_pipe (fds);
  g_assert_true (aio_context_set_fd_handler (d->ctx, fds[0], &handler, &r, use_the_context, NULL));
  aio_bh_new_full (d->ctx, "bh", not_any_more, &r, use_the_context);
  aio_context_schedule_oneshot_full (d->ctx, "oneshot", not_any_more, &r, use_the_context);
  aio_timer_new_full (d->ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_MS, AIO_TIMER_ATTR_NONE, "timer",
                      not_any_more, &r, use_the_context);
  g_assert_true (aio_context_close (d->ctx, NULL));
  g_assert_cmpint (r.destroyed, ==, 4);
  driver_close_pair (fds);
}

static void
embedded_timers_are_parted_armed_or_not (Driver *d)
{
  g_autoptr (AioClock) manual = aio_clock_new_manual (1000);
  AioTimer timers[4];

  for (guint i = 0; i < 4; i++)
    {
      AioClock *clock = i % 2 ? manual : aio_clock_get (AIO_CLOCK_REALTIME);

      aio_timer_init (&timers[i], d->ctx, clock, AIO_TIMER_SCALE_NS, not_any_more, NULL);
      if (i >= 2)
        aio_timer_mod_ns (&timers[i], 1);
    }
  g_assert_true (aio_context_close (d->ctx, NULL));
  for (guint i = 0; i < 4; i++)
    {
      g_assert_false (aio_timer_pending (&timers[i]));
      aio_timer_mod_ns (&timers[i], 1);
      g_assert_false (aio_timer_pending (&timers[i]));
      aio_timer_del (&timers[i]);
      aio_timer_deinit (&timers[i]);
      aio_timer_deinit (&timers[i]);
      /* One that is made too late is like that from the start. */
      aio_timer_init (&timers[i], d->ctx, manual, AIO_TIMER_SCALE_NS, not_any_more, NULL);
      aio_timer_mod_ns (&timers[i], 1);
      g_assert_false (aio_timer_pending (&timers[i]));
      aio_timer_deinit (&timers[i]);
    }
}

/* Another thread keeps making things until it is told that it is too late. */

typedef struct _Latecomer Latecomer;

struct _Latecomer {
  AioContext *ctx;
  int fd;
  AioClock *clock;
  gboolean (*make) (Latecomer *l);
  gint made, destroyed;
};

static void
count_atomically (gpointer data)
{
  g_atomic_int_inc ((gint *) data);
}

static gboolean
keep_watching (Latecomer *l)
{
  static const AioFdHandler handler = { .read = driver_count_read };
  g_autoptr (GError) error = NULL;

  g_atomic_int_inc (&l->made);
  if (aio_context_set_fd_handler (l->ctx, l->fd, &handler, &l->destroyed, count_atomically, &error))
    return TRUE;
  g_assert_error (error, AIO_ERROR, AIO_ERROR_CLOSED);
  return FALSE;
}

static gboolean
make_bh (Latecomer *l)
{
  if (!aio_bh_new_full (l->ctx, "bh", not_any_more, &l->destroyed, count_atomically))
    return FALSE;
  g_atomic_int_inc (&l->made);
  return TRUE;
}

static gboolean
make_oneshot (Latecomer *l)
{
  g_atomic_int_inc (&l->made);
  aio_context_schedule_oneshot_full (l->ctx, "oneshot", not_any_more, &l->destroyed, count_atomically);
  return !aio_context_is_closed (l->ctx);
}

static gboolean
make_timer (Latecomer *l)
{
  if (!aio_timer_new_full (l->ctx, l->clock, AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_NONE, "timer", not_any_more,
                           &l->destroyed, count_atomically))
    return FALSE;
  g_atomic_int_inc (&l->made);
  return TRUE;
}

static void
make_until_closed (gpointer data)
{
  Latecomer *l = data;

  while (l->make (l))
    ;
}

static void
nothing_comes_after_the_close (Driver *d)
{
  static gboolean (*const makes[]) (Latecomer * l) = { keep_watching, make_bh, make_oneshot, make_timer, make_timer };
  g_autoptr (AioClock) manual = aio_clock_new_manual (0);

  for (guint round = 0; round < 60 * G_N_ELEMENTS (makes); round++)
    {
      guint kind = round % G_N_ELEMENTS (makes);
      Latecomer l = { .ctx = aio_context_new (NULL), .make = makes[kind] };
      AioSnapshot *snapshot;
      pthread_t thread;
      int fds[2];

      driver_pipe (fds);
      l.fd = fds[0];
      l.clock = kind == 3 ? manual : aio_clock_get (AIO_CLOCK_REALTIME);
      thread = driver_thread_start (make_until_closed, &l);
      while (g_atomic_int_get (&l.made) <= (int) round % 7)
        sched_yield ();
      g_assert_true (aio_context_close (l.ctx, NULL));
      driver_thread_join (thread);
      snapshot = aio_context_inspect (l.ctx);
      g_assert_cmpuint (snapshot->n_handlers, ==, 0);
      aio_snapshot_free (snapshot);
      /* What came between the close and its notice goes now, and is nobody's leak. */
      aio_context_unref (l.ctx);
      g_assert_cmpint (l.destroyed, ==, l.made);
      driver_close_pair (fds);
    }
}

static void
iterate (gpointer data)
{
  Driver *d = data;

  g_main_context_iteration (d->main_context, FALSE);
}

/* What is freed later than the first one is there still when that is. */
static void
nothing_runs_while_it_is_being_closed (Driver *d)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  int destroyed = 0;

  aio_timer_new_full (d->ctx, clock, AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_NONE, NULL, not_any_more, d, iterate);
  aio_context_schedule_oneshot_full (d->ctx, NULL, not_any_more, &destroyed, driver_count);
  aio_bh_schedule (aio_bh_new_full (d->ctx, NULL, not_any_more, &destroyed, driver_count));
  g_assert_true (aio_context_close (d->ctx, NULL));
  g_assert_cmpint (destroyed, ==, 2);
}

/* What is not freed yet when a destroy notify comes is not run either, by whatever it calls. */

typedef struct {
  Driver *d;
  int runs, destroyed;
} Remains;

static void
count_run (gpointer data)
{
  ((Remains *) data)->runs++;
}

static void
ignore_read (int fd, gpointer data)
{
}

static void
run_what_there_is (gpointer data)
{
  Remains *remains = data;

  remains->destroyed++;
  g_assert_false (aio_context_dispatch (remains->d->ctx));
  g_assert_false (aio_context_bh_poll (remains->d->ctx));
  g_assert_false (aio_context_poll (remains->d->ctx, FALSE, NULL));
}

static void
a_destroy_notify_runs_nothing_that_is_left (Driver *d)
{
  static const AioFdHandler handler = { .read = ignore_read };
  Remains remains = { .d = d };
  AioTimer *timer;
  int fds[2];

  driver_pipe (fds);
  g_assert_true (aio_context_set_fd_handler (d->ctx, fds[0], &handler, &remains, run_what_there_is, NULL));
  timer = aio_timer_new_full (d->ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_NONE, NULL,
                              count_run, &remains, run_what_there_is);
  aio_timer_mod_ns (timer, 0);
  for (guint i = 0; i < 2; i++)
    aio_bh_schedule (aio_bh_new_full (d->ctx, NULL, count_run, &remains, run_what_there_is));
  aio_context_schedule_oneshot_full (d->ctx, NULL, count_run, &remains, run_what_there_is);
  g_assert_true (aio_context_close (d->ctx, NULL));
  g_assert_cmpint (remains.runs, ==, 0);
  g_assert_cmpint (remains.destroyed, ==, 5);
  driver_close_pair (fds);
}

static void
add_tests (void)
{
  driver_add ("close", "a-destroy-notify-runs-nothing-that-is-left", a_destroy_notify_runs_nothing_that_is_left);
  driver_add ("close", "N5-closes-from-everywhere", closes_from_everywhere);
  driver_add ("close", "embedded-timers-are-parted-armed-or-not", embedded_timers_are_parted_armed_or_not);
  driver_add_bare ("close", "boxed-handles-outlive-the-context", boxed_handles_outlive_the_context);
  driver_add_bare ("close", "nothing-comes-after-the-close", nothing_comes_after_the_close);
  driver_add_for (DRIVER_ATTACHED, "close", "nothing-runs-while-it-is-being-closed",
                  nothing_runs_while_it_is_being_closed);
  driver_add ("close", "destroy-notifies-may-use-the-context", destroy_notifies_may_use_the_context);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
