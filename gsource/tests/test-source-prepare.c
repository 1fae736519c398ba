/* SPDX-License-Identifier: MIT */
#include "eventfds.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Another source polls, or gives the context work, in its prepare (A7) */

#define MS G_GINT64_CONSTANT (1000000)

typedef struct {
  GSource source;
  void (*nested) (gpointer data);
  gpointer data;
} PreparingSource;

static gboolean
preparing_prepare (GSource *source, int *timeout_ms)
{
  PreparingSource *p = (PreparingSource *) source;
  void (*nested) (gpointer data) = g_steal_pointer (&p->nested);

  *timeout_ms = -1;
  if (nested != NULL)
    nested (p->data);
  return FALSE;
}

static void
in_another_prepare (Driver *d, void (*nested) (gpointer data), gpointer data, const int *count)
{
  static GSourceFuncs funcs = { .prepare = preparing_prepare };
  g_autoptr (GSource) source = g_source_new (&funcs, sizeof (PreparingSource));
  PreparingSource *p = (PreparingSource *) source;
  gint64 start_ms = driver_now_ms ();

  g_source_attach (source, d->main_context); /* behind ours, so prepared after it */
  g_assert_cmpint (g_source_get_priority (source), ==, G_PRIORITY_DEFAULT);
  driver_settle (d);
  for (guint i = 0; i < 3; i++)
    g_main_context_iteration (d->main_context, FALSE);

  p->nested = nested;
  p->data = data;
  while (*count == 0)
    g_main_context_iteration (d->main_context, TRUE);
  /* The main context had nothing else to wake it. */
  g_assert_cmpint (driver_now_ms () - start_ms, <, 1000);
  g_source_destroy (source);
}

typedef struct {
  Driver *d;
  AioTimer *timer;
  gint64 expire;
  int fired;
  int fd;
} Nested;

static void
arm_timer (gpointer data)
{
  Nested *n = data;

  n->expire = aio_clock_get_ns (aio_clock_get (AIO_CLOCK_REALTIME)) + 50 * MS;
  aio_timer_mod_ns (n->timer, n->expire);
}

static void
schedule_and_poll_twice (gpointer data)
{
  Nested *n = data;

  g_assert_cmpuint (aio_context_get_notify_me (n->d->ctx), ==, 1);
  aio_context_schedule_oneshot (n->d->ctx, arm_timer, n);
  driver_poll (n->d->ctx, FALSE);
  driver_poll (n->d->ctx, FALSE);
}

/* What is called in another source's prepare has a timer armed for 50 ms later, of which GLib has to hear. */
static void
timer_armed_in_another_prepare (Driver *d, void (*nested) (gpointer data))
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  gint64 shortest = G_MAXINT64;

  /* The bar is for the context, and the best of three is not about what else the machine does. */
  for (guint round = 0; round < 3; round++)
    {
      Nested n = { .d = d };

      n.timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &n.fired);
      in_another_prepare (d, nested, &n, &n.fired);
      g_assert_cmpint (n.expire, >, 0);
      g_assert_cmpint (aio_clock_get_ns (clock), >=, n.expire);
      shortest = MIN (shortest, aio_clock_get_ns (clock) - (n.expire - 50 * MS));
      aio_timer_free (n.timer);
    }
  g_assert_cmpint (shortest, <, 150 * MS * driver_slowdown ());
}

static void
timer_armed_by_a_poll_in_another_prepare (Driver *d)
{
  timer_armed_in_another_prepare (d, schedule_and_poll_twice);
}

static void
schedule_oneshot_from_thread (gpointer data)
{
  Nested *n = data;

  aio_context_schedule_oneshot (n->d->ctx, arm_timer, n);
}

static void
have_another_thread_schedule_and_poll_twice (gpointer data)
{
  Nested *n = data;

  driver_on_thread (schedule_oneshot_from_thread, n);
  driver_poll (n->d->ctx, FALSE);
  driver_poll (n->d->ctx, FALSE);
}

static void
wakeup_of_another_thread_taken_by_a_poll_in_another_prepare (Driver *d)
{
  timer_armed_in_another_prepare (d, have_another_thread_schedule_and_poll_twice);
}

static void
schedule_without_poll (gpointer data)
{
  Nested *n = data;

  aio_context_schedule_oneshot (n->d->ctx, driver_count, &n->fired);
}

static void
watch_without_poll (gpointer data)
{
  Nested *n = data;

  driver_watch (n->d, n->fd, driver_count_read_drain, &n->fired);
}

static void
work_published_in_another_prepare (Driver *d)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  Nested n = { .d = d };
  int fds[2];

  in_another_prepare (d, schedule_without_poll, &n, &n.fired);
  n.fired = 0;
  n.timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &n.fired);
  in_another_prepare (d, arm_timer, &n, &n.fired);
  aio_timer_free (n.timer);

  n.fired = 0;
  driver_pipe (fds);
  driver_write_byte (fds[1]);
  n.fd = fds[0];
  in_another_prepare (d, watch_without_poll, &n, &n.fired);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

/* The nested poll changes what GLib has to watch. */

typedef struct {
  Driver *d;
  EventFd *eventfds;
  guint n;
  int elsewhere;
} Change;

static void
have_the_set_made_anew (gpointer data)
{
  Change *change = data;

  g_assert_no_errno (eventfd_write (change->elsewhere, 1));
  driver_poll (change->d->ctx, FALSE);
  eventfd_set (&change->eventfds[0]);
}

static void
epoll_set_made_anew_by_a_poll_in_another_prepare (Driver *d)
{
  Change change = { .d = d, .eventfds = eventfds_new (2), .n = 2 };
  int number = change.eventfds[1].fd;

  /* An entry that cannot be removed any more */
  eventfds_watch (d, change.eventfds, 0, 2);
  change.elsewhere = fcntl (number, F_DUPFD_CLOEXEC, 0);
  g_assert_no_errno (close (number));
  driver_unwatch (d, number);
  g_assert_cmpint (dup3 (STDIN_FILENO, number, O_CLOEXEC), ==, number);

  in_another_prepare (d, have_the_set_made_anew, &change, &change.eventfds[0].calls);
  eventfds_unwatch (d, change.eventfds, 0, 1);
  eventfds_free (change.eventfds, 2);
  close (change.elsewhere);
}

static void
have_the_monitor_changed (gpointer data)
{
  Change *change = data;
  AioMonitor before = aio_context_get_monitor (change->d->ctx);

  eventfds_watch (change->d, change->eventfds, 1, change->n);
  driver_poll (change->d->ctx, FALSE);
  driver_poll (change->d->ctx, FALSE);
  g_assert_cmpint (aio_context_get_monitor (change->d->ctx), !=, before);
  eventfd_set (&change->eventfds[0]);
}

static void
monitor_changed_by_a_poll_in_another_prepare (Driver *d)
{
  Change change = { .d = d, .eventfds = eventfds_new (40), .n = 40 };

  eventfds_watch (d, change.eventfds, 0, 1);
  in_another_prepare (d, have_the_monitor_changed, &change, &change.eventfds[0].calls);
  eventfds_unwatch (d, change.eventfds, 0, 40);
  eventfds_free (change.eventfds, 40);
}

/* The nested call takes what the monitor has found; what comes while the main context sleeps is found again. */

typedef struct {
  Driver *d;
  EventFd *eventfds;
  void (*nested) (AioContext *ctx);
  pthread_t thread;
} Taken;

static void
poll_nested (AioContext *ctx)
{
  driver_poll (ctx, FALSE);
}

static void
look_nested (AioContext *ctx)
{
  aio_context_pending (ctx);
}

static void
dispatch_nested (AioContext *ctx)
{
  aio_context_dispatch (ctx);
}

static void
set_soon (gpointer data)
{
  g_usleep (20000);
  eventfd_set (data);
}

static void
take_and_have_it_set_again_soon (gpointer data)
{
  Taken *taken = data;

  eventfd_set (&taken->eventfds[0]);
  taken->nested (taken->d->ctx);
  driver_drain (taken->eventfds[0].fd);
  taken->eventfds[0].calls = 0;
  taken->thread = driver_thread_start (set_soon, &taken->eventfds[0]);
}

static void
ready_again_after_a_call_in_another_prepare (Driver *d)
{
  static void (*const nested[]) (AioContext * ctx) = { poll_nested, look_nested, dispatch_nested };

  for (guint i = 0; i < G_N_ELEMENTS (nested); i++)
    {
      Taken taken = { .d = d, .eventfds = eventfds_new (1), .nested = nested[i] };

      eventfds_watch (d, taken.eventfds, 0, 1);
      in_another_prepare (d, take_and_have_it_set_again_soon, &taken, &taken.eventfds[0].calls);
      driver_thread_join (taken.thread);
      driver_settle (d);
      driver_assert_quiet (d, 10);
      eventfds_unwatch (d, taken.eventfds, 0, 1);
      eventfds_free (taken.eventfds, 1);
    }
}

static void
set_and_poll (gpointer data)
{
  Taken *taken = data;

  eventfd_set (&taken->eventfds[0]);
  driver_poll (taken->d->ctx, FALSE);
  g_assert_cmpint (taken->eventfds[0].calls, ==, 1);
}

static void
set_and_prepare (gpointer data)
{
  Taken *taken = data;

  eventfd_set (&taken->eventfds[0]);
  aio_context_prepare (taken->d->ctx);
}

static void
set_in_another_prepare (Driver *d, void (*set) (gpointer data))
{
  Taken taken = { .d = d, .eventfds = eventfds_new (1) };

  eventfds_watch (d, taken.eventfds, 0, 1);
  in_another_prepare (d, set, &taken, &taken.eventfds[0].calls);
  eventfds_unwatch (d, taken.eventfds, 0, 1);
  eventfds_free (taken.eventfds, 1);
}

/* It may be what the caller of the iteration waits for. */
static void
called_by_a_poll_in_another_prepare (Driver *d)
{
  set_in_another_prepare (d, set_and_poll);
}

/* What is found is in memory then, and in no file descriptor that GLib waits for. */
static void
prepared_by_hand_in_another_prepare (Driver *d)
{
  set_in_another_prepare (d, set_and_prepare);
}

/* A program that calls GLib's phases by itself comes to the wait in a callback. */

static void
wait_for_the_main_context (gpointer data)
{
  Driver *d = data;
  GPollFD fds[16];
  int timeout, n = g_main_context_query (d->main_context, G_MAXINT, &timeout, fds, G_N_ELEMENTS (fds));

  g_assert_cmpint (n, <=, (int) G_N_ELEMENTS (fds));
  g_assert_cmpint (g_poll (fds, (guint) n, 5000), >, 0);
}

static void
slept_in_a_callback_of_the_poll_that_took_it (Driver *d)
{
  int fired = 0, priority;

  for (guint i = 0; i < 3; i++) /* a file descriptor that is new to GLib wakes it once */
    g_main_context_iteration (d->main_context, FALSE);
  g_assert_true (g_main_context_acquire (d->main_context));
  g_assert_false (g_main_context_prepare (d->main_context, &priority));
  aio_context_schedule_oneshot (d->ctx, wait_for_the_main_context, d);
  aio_context_schedule_oneshot (d->ctx, driver_count, &fired);
  driver_poll (d->ctx, TRUE);
  g_assert_cmpint (fired, ==, 1);
  g_main_context_release (d->main_context);
  driver_settle (d);
}

static void
add_tests (void)
{
  driver_add_for (DRIVER_GLIB, "source-prepare", "A7-slept-in-a-callback-of-the-poll-that-took-it",
                  slept_in_a_callback_of_the_poll_that_took_it);
  driver_add_for (DRIVER_ATTACHED, "source-prepare", "A7-timer-armed-by-a-poll-in-another-prepare",
                  timer_armed_by_a_poll_in_another_prepare);
  driver_add_for (DRIVER_ATTACHED, "source-prepare", "A7-wakeup-of-another-thread-taken-by-a-poll-in-another-prepare",
                  wakeup_of_another_thread_taken_by_a_poll_in_another_prepare);
  driver_add_for (DRIVER_ATTACHED, "source-prepare", "A7-work-published-in-another-prepare",
                  work_published_in_another_prepare);
  driver_add_monitor_for (AIO_MONITOR_EPOLL, DRIVER_ATTACHED, "source-prepare",
                          "A7-epoll-set-made-anew-by-a-poll-in-another-prepare",
                          epoll_set_made_anew_by_a_poll_in_another_prepare);
  driver_add_monitor_for (AIO_MONITOR_AUTO, DRIVER_ATTACHED, "source-prepare",
                          "A7-monitor-changed-by-a-poll-in-another-prepare",
                          monitor_changed_by_a_poll_in_another_prepare);
  driver_add_for (DRIVER_ATTACHED, "source-prepare", "A7-called-by-a-poll-in-another-prepare",
                  called_by_a_poll_in_another_prepare);
  driver_add_for (DRIVER_ATTACHED, "source-prepare", "A7-prepared-by-hand-in-another-prepare",
                  prepared_by_hand_in_another_prepare);
  driver_add_for (DRIVER_ATTACHED, "source-prepare", "A7-ready-again-after-a-call-in-another-prepare",
                  ready_again_after_a_call_in_another_prepare);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
