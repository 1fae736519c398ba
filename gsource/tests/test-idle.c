/* SPDX-License-Identifier: MIT */
#include "eventfds.h"
#include "producer.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

/*
 * A context with nothing to do sleeps, whatever it has: one wait, no wait of length zero, no processor time. Each test
 * sets something up, and another thread ends the sleep.
 */

#define WINDOW_US 30000
#define HOUR_NS G_GINT64_CONSTANT (3600000000000)

typedef struct {
  Driver *d;
  AioBh *wake;
  int wakes;
} Window;

static void
wake_after_the_window (gpointer data)
{
  Window *window = data;

  while (aio_context_get_notify_me (window->d->ctx) == 0)
    g_usleep (1000);
  g_usleep (WINDOW_US);
  aio_bh_schedule (window->wake);
}

static gint64
thread_cpu_us (void)
{
  struct rusage usage;

  g_assert_no_errno (getrusage (RUSAGE_THREAD, &usage));
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_USEC_PER_SEC + usage.ru_utime.tv_usec
         + usage.ru_stime.tv_usec;
}

/* What GLib sleeps with. */
static guint n_glib_sleeps, n_glib_looks;

static int
count_poll (GPollFD *fds, guint n, int timeout_ms)
{
  n_glib_sleeps += timeout_ms != 0;
  n_glib_looks += timeout_ms == 0;
  return g_poll (fds, n, timeout_ms);
}

/* One turn, of that kind under DRIVER_MIXED, which sleeps until it is woken. */
static void
sleep_once (Window *window, guint turn)
{
  Driver *d = window->d;
  gboolean by_glib = d->kind == DRIVER_GLIB || (d->kind == DRIVER_MIXED && turn == 1);
  AioStats before, after;
  pthread_t thread;
  gint64 cpu_us;
  int wakes;

  driver_settle (d);
  for (guint i = 0; d->main_context && i < 3; i++) /* a file descriptor that is new to GLib wakes it once */
    g_main_context_iteration (d->main_context, FALSE);
  driver_poll (d->ctx, FALSE);
  d->turns = turn;

  wakes = window->wakes;
  n_glib_sleeps = n_glib_looks = 0;
  thread = driver_thread_start (wake_after_the_window, window);
  before = driver_stats (d);
  cpu_us = thread_cpu_us ();
  driver_turn_blind (d, TRUE);
  cpu_us = thread_cpu_us () - cpu_us;
  after = driver_stats (d);
  driver_thread_join (thread);

  g_assert_cmpint (window->wakes, ==, wakes + 1);
  g_assert_cmpuint (after.bhs_run, ==, before.bhs_run + 1);
  g_assert_cmpuint (after.handlers_dispatched, ==, before.handlers_dispatched);
  g_assert_cmpuint (after.timers_fired, ==, before.timers_fired);
  g_assert_cmpuint (after.eventfd_writes, ==, before.eventfd_writes + 1);
  g_assert_cmpuint (after.eventfd_reads, ==, before.eventfd_reads + 1);
  g_assert_cmpuint (after.zero_waits, ==, before.zero_waits);
  g_assert_cmpuint (after.empty_waits, ==, before.empty_waits);
  g_assert_cmpuint (after.empty_iterations, ==, before.empty_iterations);
  g_assert_cmpuint (after.waits, ==, before.waits + !by_glib);
  if (by_glib)
    {
      g_assert_cmpuint (n_glib_sleeps, ==, 1);
      g_assert_cmpuint (n_glib_looks, ==, 0);
    }
  /* A loop that spins takes all there is, or a good part of it. */
  g_assert_cmpint (cpu_us, <, WINDOW_US / 5 * driver_slowdown ());
}

static void
assert_sleeps (Driver *d)
{
  Window window = { .d = d };

  if (d->main_context)
    g_main_context_set_poll_func (d->main_context, count_poll);
  window.wake = aio_bh_new (d->ctx, driver_count, &window.wakes);
  for (guint turn = 0; turn < (d->kind == DRIVER_MIXED ? 3 : 1); turn++)
    sleep_once (&window, turn);
  aio_bh_delete (window.wake);
}

static void
with_nothing (Driver *d)
{
  assert_sleeps (d);
}

static void
with_handlers (Driver *d)
{
  EventFd *eventfds = eventfds_new (40);
  int fds[2], calls = 0;

  /* Quiet from the start, and after they have been called. */
  eventfds_watch (d, eventfds, 0, 40);
  driver_pipe (fds);
  driver_watch (d, fds[0], driver_count_read, &calls);
  assert_sleeps (d);
  eventfds_assert_all_called (d, eventfds, 40, 2);
  assert_sleeps (d);

  eventfds_unwatch (d, eventfds, 0, 40);
  driver_unwatch (d, fds[0]);
  assert_sleeps (d);
  driver_close_pair (fds);
  eventfds_free (eventfds, 40);
}

/* Poll mode is left before the sleep, and is what the sleep began with. */
static void
with_polled_handlers (Driver *d)
{
  Producer producers[3];

  for (guint i = 0; i < G_N_ELEMENTS (producers); i++)
    producer_start (&producers[i], d);
  assert_sleeps (d);
  producer_enter_poll_mode (&producers[0]);
  assert_sleeps (d);
  g_assert_false (d->ctx->poll_started);
  for (guint i = 0; i < G_N_ELEMENTS (producers); i++)
    {
      g_assert_cmpint (producers[i].begins, >=, i == 0 ? 1 : 0);
      g_assert_cmpint (producers[i].begins, ==, producers[i].ends);
      producer_stop (&producers[i]);
    }
}

/* Far away, on each clock: the wall clock's has a timerfd of its own under GLib, and a manual clock stands still. */
static void
with_far_timers (Driver *d)
{
  static const AioClockType types[] = { AIO_CLOCK_REALTIME, AIO_CLOCK_VIRTUAL, AIO_CLOCK_HOST, AIO_CLOCK_VIRTUAL_RT };
  g_autoptr (AioClock) manual = aio_clock_new_manual (1000);
  AioTimer *timers[G_N_ELEMENTS (types) + 1];
  int fired = 0;

  for (guint i = 0; i < G_N_ELEMENTS (timers); i++)
    {
      AioClock *clock = i < G_N_ELEMENTS (types) ? aio_clock_get (types[i]) : manual;

      timers[i] = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
      aio_timer_mod_ns (timers[i], aio_clock_get_ns (clock) + HOUR_NS);
    }
  assert_sleeps (d);
  /* Nearer, farther, and one that is due on a clock that is disabled. */
  aio_timer_mod_ns (timers[0], aio_clock_get_ns (aio_clock_get (AIO_CLOCK_REALTIME)) + HOUR_NS / 2);
  aio_timer_mod_ns (timers[2], aio_clock_get_ns (aio_clock_get (AIO_CLOCK_HOST)) + 2 * HOUR_NS);
  aio_clock_set_enabled (aio_clock_get (AIO_CLOCK_VIRTUAL), FALSE);
  aio_timer_mod_ns (timers[1], 0);
  assert_sleeps (d);
  aio_timer_del (timers[1]);
  aio_clock_set_enabled (aio_clock_get (AIO_CLOCK_VIRTUAL), TRUE);
  g_assert_cmpint (fired, ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (timers); i++)
    aio_timer_free (timers[i]);
}

/* Readable, always ready and in memory: all of it held back. */
static void
with_external_disabled (Driver *d)
{
  static const AioFdHandler external = { .read = driver_count_read, .external = TRUE };
  Producer producer;
  int fds[2], quiet[2], calls = 0, quiet_calls = 0, file = open ("/proc/self/exe", O_RDONLY | O_CLOEXEC);

  driver_pipe (fds);
  driver_pipe (quiet);
  driver_write_byte (fds[1]);
  driver_watch (d, quiet[0], driver_count_read, &quiet_calls);
  g_assert_true (aio_context_set_fd_handler (d->ctx, fds[0], &external, &calls, NULL, NULL));
  g_assert_true (aio_context_set_fd_handler (d->ctx, file, &external, &calls, NULL, NULL));
  producer_init (&producer, d);
  producer.funcs.external = TRUE;
  producer_watch (&producer);
  aio_context_disable_external (d->ctx);
  producer.event = TRUE;
  producer_kick (&producer);
  assert_sleeps (d);
  g_assert_cmpint (calls + quiet_calls + producer.asked + producer.reads, ==, 0);

  g_assert_true (aio_context_enable_external (d->ctx, NULL));
  driver_run_until_count (d, &calls, 2, 5000);
  driver_unwatch (d, fds[0]);
  driver_unwatch (d, file);
  driver_unwatch (d, quiet[0]);
  driver_close_pair (fds);
  driver_close_pair (quiet);
  close (file);
  producer_stop (&producer);
}

/* What was scheduled, armed or registered, and then taken back. */
static void
with_what_was_taken_back (Driver *d)
{
  int runs = 0, fds[2];
  AioBh *cancelled = aio_bh_new (d->ctx, driver_count, &runs);
  AioTimer *timer = aio_timer_new (d->ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_NS, driver_count, &runs);

  driver_pipe (fds);
  driver_write_byte (fds[1]);
  driver_watch (d, fds[0], driver_count_read, &runs);
  driver_unwatch (d, fds[0]);
  aio_bh_schedule (cancelled);
  aio_bh_cancel (cancelled);
  aio_timer_mod_ns (timer, 0);
  aio_timer_del (timer);
  aio_context_notify (d->ctx);
  assert_sleeps (d);
  g_assert_cmpint (runs, ==, 0);
  aio_bh_delete (cancelled);
  aio_timer_free (timer);
  assert_sleeps (d);
  driver_close_pair (fds);
}

static void
add_tests (void)
{
  driver_add ("idle", "with-nothing", with_nothing);
  driver_add ("idle", "with-handlers", with_handlers);
  driver_add ("idle", "D8-with-polled-handlers", with_polled_handlers);
  driver_add ("idle", "with-far-timers", with_far_timers);
  driver_add ("idle", "H6-with-external-disabled", with_external_disabled);
  driver_add ("idle", "with-what-was-taken-back", with_what_was_taken_back);
  driver_add_monitor (AIO_MONITOR_AUTO, "idle", "with-handlers", with_handlers);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
