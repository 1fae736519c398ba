/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include <fcntl.h>
#include <unistd.h>

/* The phases of a pass one by one, and what is counted of them */

static void
prepare_pending_dispatch_by_hand (Driver *d)
{
  int fds[2], reads = 0, runs = 0, fired = 0;
  g_autoptr (AioClock) clock = aio_clock_new_manual (0);
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &fired);
  AioBh *bh = aio_bh_new (d->ctx, driver_count, &runs);

  g_assert_false (aio_context_prepare (d->ctx));
  g_assert_false (aio_context_pending (d->ctx));
  g_assert_false (aio_context_dispatch (d->ctx));

  driver_pipe (fds);
  driver_write_byte (fds[1]);
  driver_watch (d, fds[0], driver_count_read, &reads);
  aio_bh_schedule (bh);
  aio_timer_mod_ns (timer, 0);
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, 0);

  /* No fd is looked at; the rest runs. */
  g_assert_false (aio_context_pending (d->ctx));
  g_assert_true (aio_context_dispatch (d->ctx));
  g_assert_cmpint (runs, ==, 1);
  g_assert_cmpint (fired, ==, 1);
  g_assert_cmpint (reads, ==, 0);
  g_assert_false (aio_context_dispatch (d->ctx));

  aio_bh_schedule_idle (bh);
  g_assert_false (aio_context_dispatch (d->ctx));
  g_assert_cmpint (runs, ==, 2);

  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
  aio_timer_free (timer);
  aio_bh_delete (bh);
}

static void
what_the_main_context_found_is_pending_until_dispatched (Driver *d)
{
  int fds[2], reads = 0;

  driver_pipe (fds);
  driver_write_byte (fds[1]);
  driver_watch (d, fds[0], driver_count_read_drain, &reads);
  g_assert_true (g_main_context_pending (d->main_context));
  g_assert_true (aio_context_pending (d->ctx));
  g_assert_cmpint (reads, ==, 0);
  g_assert_true (aio_context_dispatch (d->ctx));
  g_assert_cmpint (reads, ==, 1);
  g_assert_false (aio_context_pending (d->ctx));
  g_main_context_iteration (d->main_context, FALSE);
  g_assert_cmpint (reads, ==, 1);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

static void
the_timeout_is_that_of_the_first_that_can_run (Driver *d)
{
  AioClock *realtime = aio_clock_get (AIO_CLOCK_REALTIME);
  int count = 0;
  AioTimer *timer = aio_timer_new (d->ctx, realtime, AIO_TIMER_SCALE_NS, driver_count, &count);
  AioBh *bh = aio_bh_new (d->ctx, driver_count, &count);
  const gint64 ms = 1000000, now = aio_clock_get_ns (realtime);

  g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, -1);
  aio_timer_mod_ns (timer, now + 3600000 * ms);
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), >, 3500000 * ms);
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), <=, 3600000 * ms);
  aio_bh_schedule_idle (bh);
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, 10 * ms);
  aio_timer_mod_ns (timer, aio_clock_get_ns (realtime) + 5 * ms);
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), <=, 5 * ms);
  aio_timer_mod_ns (timer, now);
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, 0);
  aio_timer_del (timer);
  aio_bh_cancel (bh);
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, -1);
  aio_bh_schedule (bh);
  g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, 0);
  aio_bh_cancel (bh);
  aio_bh_delete (bh);
  aio_timer_free (timer);
}

static void
armed_means_that_a_wait_can_end (Driver *d)
{
  AioClock *virtual = aio_clock_get (AIO_CLOCK_VIRTUAL);
  g_autoptr (AioClock) manual = aio_clock_new_manual (0);
  int fds[2], count = 0;
  AioBh *bh = aio_bh_new (d->ctx, driver_count, &count);
  AioTimer *timers[2] = { aio_timer_new (d->ctx, virtual, AIO_TIMER_SCALE_MS, driver_count, &count),
                          aio_timer_new (d->ctx, manual, AIO_TIMER_SCALE_MS, driver_count, &count) };

  driver_settle (d);
  g_assert_false (aio_context_is_armed (d->ctx));
  aio_bh_schedule (bh);
  g_assert_true (aio_context_is_armed (d->ctx));
  driver_settle (d);
  g_assert_false (aio_context_is_armed (d->ctx));

  for (guint i = 0; i < 2; i++)
    {
      aio_timer_mod (timers[i], G_MAXINT32);
      if (i == 1)
        {
          g_assert_false (aio_context_is_armed (d->ctx));
          aio_clock_set_ns (manual, G_MAXINT64);
        }
      g_assert_true (aio_context_is_armed (d->ctx));
      if (i == 0)
        {
          aio_clock_set_enabled (virtual, FALSE);
          g_assert_false (aio_context_is_armed (d->ctx));
          aio_clock_set_enabled (virtual, TRUE);
          driver_settle (d);
        }
      aio_timer_free (timers[i]);
      driver_settle (d);
      g_assert_false (aio_context_is_armed (d->ctx));
    }

  driver_pipe (fds);
  driver_watch (d, fds[0], driver_count_read, &count);
  driver_settle (d);
  g_assert_true (aio_context_is_armed (d->ctx));
  driver_unwatch (d, fds[0]);
  driver_settle (d);
  g_assert_false (aio_context_is_armed (d->ctx));
  driver_close_pair (fds);
  aio_bh_delete (bh);
}

typedef struct {
  Driver *d;
  int fd, count;
} Watch;

static void
watch (gpointer data)
{
  Watch *w = data;

  driver_watch (w->d, w->fd, driver_count_read, &w->count);
}

static void
count_error (int fd, const GError *error, gpointer data)
{
  (void) fd;
  g_assert_error (error, AIO_ERROR, AIO_ERROR_SYSTEM);
  driver_count (data);
}

static void
not_read (int fd, gpointer data)
{
  (void) fd;
  (void) data;
  g_assert_not_reached ();
}

/* A file, of which every monitor tells that it was closed. */
static void
a_dead_handler_ends_no_wait (Driver *d)
{
  static const AioFdHandler handler = { .read = not_read, .error = count_error };
  int errors = 0;
  Watch w = { .d = d };

  for (guint i = 0; i < 2; i++)
    {
      w.fd = open ("/proc/self/exe", O_RDONLY | O_CLOEXEC);
      g_assert_true (aio_context_set_fd_handler (d->ctx, w.fd, &handler, &errors, NULL, NULL));
      g_assert_true (aio_context_is_armed (d->ctx));
      close (w.fd);
      errors = 0;
      driver_run_until_count (d, &errors, 1, 5000);
      g_assert_false (aio_context_is_armed (d->ctx));
      if (i == 0)
        driver_unwatch (d, w.fd);
      else
        {
          g_assert_cmpint (open ("/proc/self/exe", O_RDONLY | O_CLOEXEC), ==, w.fd);
          driver_on_thread (watch, &w);
          g_assert_true (aio_context_is_armed (d->ctx));
          driver_turn (d, TRUE);
          g_assert_true (aio_context_is_armed (d->ctx));
          driver_unwatch (d, w.fd);
          close (w.fd);
        }
      g_assert_false (aio_context_is_armed (d->ctx));
    }
}

/* Bottom halves, then handlers, then timers */

typedef struct {
  GString *log;
  char letter;
} Letter;

static void
write_letter (gpointer data)
{
  Letter *letter = data;

  g_string_append_c (letter->log, letter->letter);
}

static void
write_letter_and_drain (int fd, gpointer data)
{
  driver_drain (fd);
  write_letter (data);
}

static void
bottom_halves_then_handlers_then_timers (Driver *d)
{
  g_autoptr (GString) log = g_string_new (NULL);
  Letter bh = { log, 'b' }, handler = { log, 'h' }, due = { log, 't' };
  AioTimer *timer = aio_timer_new (d->ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_MS, write_letter, &due);
  int fds[2];

  driver_pipe (fds);
  driver_watch (d, fds[0], write_letter_and_drain, &handler);
  for (guint turn = 0; turn < 3; turn++)
    {
      driver_write_byte (fds[1]);
      aio_timer_mod (timer, 0);
      aio_context_schedule_oneshot (d->ctx, write_letter, &bh);
      driver_turn (d, TRUE);
      g_assert_cmpstr (log->str, ==, "bht");
      g_string_truncate (log, 0);
    }
  aio_timer_free (timer);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
}

/*
 * A bottom half that is only to be freed ends one wait, whoever has accepted the notification of that; it is no reason to
 * run anything.
 */

static gboolean
is_zero (gpointer data)
{
  return *(int *) data == 0;
}

static void
deleted_is_freed_by_the_next_wait (Driver *d)
{
  gboolean attached = d->kind != DRIVER_POLL;

  for (gboolean by_glib = FALSE; by_glib <= attached; by_glib++)
    for (gboolean taken_by_check = FALSE; taken_by_check <= attached; taken_by_check++)
      {
        int destroyed = 0;
        AioBh *bh;

        driver_settle (d);
        bh = aio_bh_new_full (d->ctx, NULL, driver_count, &destroyed, driver_count);
        aio_bh_delete (bh);
        if (taken_by_check)
          g_assert_true (g_main_context_pending (d->main_context));
        else
          aio_context_notify_accept (d->ctx);
        g_assert_cmpint (aio_context_compute_timeout (d->ctx), ==, -1);
        while (by_glib && destroyed == 0)
          g_main_context_iteration (d->main_context, TRUE);
        g_assert_true (aio_context_wait_while (d->ctx, is_zero, &destroyed, NULL));
        g_assert_cmpint (destroyed, ==, 1);
        g_assert_cmpuint (driver_stats (d).bhs_run, ==, 0);
      }
}

/* Counters */

static void
polls_and_waits_are_counted (Driver *d)
{
  AioClock *clock = aio_clock_get (AIO_CLOCK_REALTIME);
  int fds[2], count = 0;
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_NS, driver_count, &count);
  AioStats s = driver_stats (d);

  g_assert_cmpuint (s.polls + s.waits + s.prepares + s.bhs_run + s.timers_fired + s.eventfd_writes, ==, 0);
  driver_pipe (fds);
  driver_watch (d, fds[0], driver_count_read_drain, &count);

  driver_poll (d->ctx, FALSE);
  s = driver_stats (d);
  g_assert_cmpuint (s.polls, ==, 1);
  g_assert_cmpuint (s.waits, ==, 1);
  g_assert_cmpuint (s.zero_waits, ==, 1);
  g_assert_cmpuint (s.empty_waits, ==, 0); /* it could not block */

  aio_timer_mod_ns (timer, aio_clock_get_ns (clock) + 2000000);
  aio_context_notify_accept (d->ctx);
  driver_poll (d->ctx, TRUE);
  s = driver_stats (d);
  g_assert_cmpuint (s.waits, ==, 2);
  g_assert_cmpuint (s.zero_waits, ==, 1);
  g_assert_cmpuint (s.empty_waits, ==, 0);
  g_assert_cmpuint (s.timers_fired, ==, 1);

  driver_write_byte (fds[1]);
  driver_poll (d->ctx, TRUE);
  aio_context_schedule_oneshot (d->ctx, driver_count, &count);
  driver_poll (d->ctx, TRUE);
  s = driver_stats (d);
  g_assert_cmpuint (s.polls, ==, 4);
  g_assert_cmpuint (s.handlers_dispatched, ==, 1);
  g_assert_cmpuint (s.bhs_run, ==, 1);
  g_assert_cmpuint (s.eventfd_writes, ==, 0);
  g_assert_cmpuint (s.eventfd_reads, ==, 0);
  g_assert_cmpuint (s.prepares + s.checks + s.dispatches + s.empty_iterations, ==, 0);
  g_assert_cmpint (count, ==, 3);

  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
  aio_timer_free (timer);
}

static void
phases_are_counted (Driver *d)
{
  int count = 0;
  AioStats s;

  aio_context_schedule_oneshot (d->ctx, driver_count, &count);
  g_main_context_iteration (d->main_context, TRUE);
  s = driver_stats (d);
  g_assert_cmpuint (s.prepares, ==, 1);
  g_assert_cmpuint (s.checks, ==, 0); /* prepare was enough */
  g_assert_cmpuint (s.dispatches, ==, 1);
  g_assert_cmpuint (s.empty_iterations, ==, 0);

  /* A notification without work is an iteration for nothing, and is called that. */
  aio_context_notify (d->ctx);
  g_main_context_iteration (d->main_context, TRUE);
  s = driver_stats (d);
  g_assert_cmpuint (s.prepares, ==, 2);
  g_assert_cmpuint (s.checks, ==, 1);
  g_assert_cmpuint (s.dispatches, ==, 1);
  g_assert_cmpuint (s.empty_iterations, ==, 1);

  /* One that somebody else asked for is not. */
  g_main_context_wakeup (d->main_context);
  g_main_context_iteration (d->main_context, TRUE);
  s = driver_stats (d);
  g_assert_cmpuint (s.checks, ==, 2);
  g_assert_cmpuint (s.empty_iterations, ==, 1);
  g_assert_cmpuint (s.polls + s.waits, ==, 0);
}

/* Boxed types, for bindings */

static void
boxed_types_copy_by_reference (Driver *d)
{
  int count = 0;
  AioClock *clock = aio_clock_new_manual (0);
  AioNotifier *notifier = aio_notifier_new (FALSE, NULL);
  AioBh *bh = aio_bh_new (d->ctx, driver_count, &count);
  AioTimer *timer = aio_timer_new (d->ctx, clock, AIO_TIMER_SCALE_MS, driver_count, &count);
  const struct {
    GType type;
    gpointer boxed;
  } boxed[] = { { AIO_TYPE_CONTEXT, d->ctx },
                { AIO_TYPE_CLOCK, clock },
                { AIO_TYPE_NOTIFIER, notifier },
                { AIO_TYPE_BH, bh },
                { AIO_TYPE_TIMER, timer } };

  for (guint i = 0; i < G_N_ELEMENTS (boxed); i++)
    {
      gpointer copy = g_boxed_copy (boxed[i].type, boxed[i].boxed);

      g_assert_true (copy == boxed[i].boxed);
      g_boxed_free (boxed[i].type, copy);
    }
  aio_bh_unref (aio_bh_ref (bh));
  aio_timer_unref (aio_timer_ref (timer));
  aio_bh_delete (bh);
  aio_timer_free (timer);
  aio_notifier_unref (notifier);
  aio_clock_unref (clock);
}

static void
add_tests (void)
{
  driver_add ("phases", "prepare-pending-dispatch-by-hand", prepare_pending_dispatch_by_hand);
  driver_add_for (DRIVER_ATTACHED, "phases", "what-the-main-context-found-is-pending-until-dispatched",
                  what_the_main_context_found_is_pending_until_dispatched);
  driver_add ("phases", "the-timeout-is-that-of-the-first-that-can-run", the_timeout_is_that_of_the_first_that_can_run);
  driver_add ("phases", "armed-means-that-a-wait-can-end", armed_means_that_a_wait_can_end);
  driver_add ("phases", "E4-a-dead-handler-ends-no-wait", a_dead_handler_ends_no_wait);
  driver_add ("phases", "B10-deleted-is-freed-by-the-next-wait", deleted_is_freed_by_the_next_wait);
  driver_add ("phases", "bottom-halves-then-handlers-then-timers", bottom_halves_then_handlers_then_timers);
  driver_add_for (DRIVER_POLL, "phases", "polls-and-waits-are-counted", polls_and_waits_are_counted);
  driver_add_for (DRIVER_GLIB, "phases", "phases-are-counted", phases_are_counted);
  driver_add ("phases", "boxed-types-copy-by-reference", boxed_types_copy_by_reference);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
