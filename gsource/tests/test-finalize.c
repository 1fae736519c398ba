/* SPDX-License-Identifier: MIT */
#include "driver.h"

/* A context whose last reference goes while work is left: one warning each, that names it; nothing leaks (B11) */

typedef struct {
  AioContext *ctx;
  int destroyed;
  int fds[2];
  AioNotifier *notifier;
} Leaky;

static void
not_any_more (gpointer data)
{
  g_assert_not_reached ();
}

static void
not_readable (int fd, gpointer data)
{
  g_assert_not_reached ();
}

static void
not_set (AioNotifier *notifier, gpointer data)
{
  g_assert_not_reached ();
}

static AioBh *
leak_bh (Leaky *l)
{
  return aio_bh_new_full (l->ctx, "the leaked one", not_any_more, &l->destroyed, driver_count);
}

static void
unscheduled_bh (Leaky *l)
{
  leak_bh (l);
}

static void
queued_bh (Leaky *l)
{
  aio_bh_schedule (leak_bh (l));
}

static void
idle_bh (Leaky *l)
{
  aio_bh_schedule_idle (leak_bh (l));
}

static void
cancelled_but_queued_bh (Leaky *l)
{
  AioBh *bh = leak_bh (l);

  aio_bh_schedule (bh);
  aio_bh_cancel (bh);
}

static void
pending_oneshot (Leaky *l)
{
  aio_context_schedule_oneshot_full (l->ctx, "the leaked one", not_any_more, &l->destroyed, driver_count);
}

static AioTimer *
leak_timer (Leaky *l, AioClock *clock)
{
  return aio_timer_new_full (l->ctx, clock, AIO_TIMER_SCALE_MS, AIO_TIMER_ATTR_NONE, "the leaked one", not_any_more,
                             &l->destroyed, driver_count);
}

static void
armed_timer (Leaky *l)
{
  aio_timer_mod (leak_timer (l, aio_clock_get (AIO_CLOCK_REALTIME)), 1);
}

static void
armed_timer_on_a_manual_clock (Leaky *l)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (0);

  aio_timer_mod (leak_timer (l, clock), 1);
}

static void
unarmed_timer (Leaky *l)
{
  leak_timer (l, aio_clock_get (AIO_CLOCK_HOST));
}

static void
fd_handler (Leaky *l)
{
  static const AioFdHandler handler = { .read = not_readable, .name = "the leaked one" };

  driver_write_byte (l->fds[1]);
  g_assert_true (aio_context_set_fd_handler (l->ctx, l->fds[0], &handler, &l->destroyed, driver_count, NULL));
}

static void
notifier_handler (Leaky *l)
{
  g_assert_true (aio_context_set_event_notifier (l->ctx, l->notifier, not_set, &l->destroyed, driver_count, NULL));
}

static const struct {
  const char *name;
  void (*leak) (Leaky *l);
  const char *warning;
} leaks[] = {
  { "unscheduled-bh", unscheduled_bh, "*leaky*bottom half*the leaked one*" },
  { "queued-bh", queued_bh, "*leaky*bottom half*the leaked one*" },
  { "idle-bh", idle_bh, "*leaky*bottom half*the leaked one*" },
  { "cancelled-but-queued-bh", cancelled_but_queued_bh, "*leaky*bottom half*the leaked one*" },
  { "pending-oneshot", pending_oneshot, "*leaky*oneshot*the leaked one*" },
  { "armed-timer", armed_timer, "*leaky*timer*the leaked one*" },
  { "armed-timer-on-a-manual-clock", armed_timer_on_a_manual_clock, "*leaky*timer*the leaked one*" },
  { "unarmed-timer", unarmed_timer, "*leaky*timer*the leaked one*" },
  { "fd-handler", fd_handler, "*leaky*handler*the leaked one*" },
  { "notifier-handler", notifier_handler, "*leaky*handler*event notifier*" },
};

static void
drop (gpointer data)
{
  aio_context_unref (data);
}

/* How the last reference goes */
typedef enum {
  NEVER_ATTACHED,
  DETACHED,
  SOURCE_DESTROYED,
  ON_ANOTHER_THREAD,
} Way;

static void
leak (Driver *d, guint which, Way way)
{
  Leaky l = { .ctx = aio_context_new_full ("leaky", AIO_MONITOR_AUTO, NULL) };
  Driver own = { .ctx = l.ctx, .kind = DRIVER_POLL };

  g_test_message ("%s, way %d", leaks[which].name, (int) way);
  if (way == DETACHED || way == SOURCE_DESTROYED)
    {
      own.kind = DRIVER_GLIB;
      own.main_context = d->main_context;
      g_assert_true (aio_context_attach (l.ctx, d->main_context, G_PRIORITY_DEFAULT, NULL));
      driver_settle (&own);
    }
  driver_pipe (l.fds);
  l.notifier = aio_notifier_new (TRUE, NULL);
  leaks[which].leak (&l);

  if (way == DETACHED)
    g_assert_true (aio_context_detach (l.ctx, NULL));
  else if (way == SOURCE_DESTROYED)
    g_source_destroy ((GSource *) l.ctx);
  driver_expect_warning (leaks[which].warning);
  if (way == ON_ANOTHER_THREAD)
    driver_on_thread (drop, l.ctx);
  else
    drop (l.ctx);
  g_test_assert_expected_messages ();
  g_assert_cmpint (l.destroyed, ==, 1);

  aio_notifier_unref (l.notifier);
  driver_close_pair (l.fds);
  while (g_main_context_iteration (NULL, FALSE))
    ;
}

static void
work_left_is_a_warning_and_no_leak (Driver *d)
{
  for (guint which = 0; which < G_N_ELEMENTS (leaks); which++)
    {
      leak (d, which, NEVER_ATTACHED);
      leak (d, which, ON_ANOTHER_THREAD);
      if (d->main_context != NULL)
        {
          leak (d, which, DETACHED);
          leak (d, which, SOURCE_DESTROYED);
        }
    }
}

static void
each_leak_is_a_warning_of_its_own (Driver *d)
{
  AioContext *ctx = aio_context_new_full ("leaky", AIO_MONITOR_AUTO, NULL);
  int destroyed = 0;
  AioTimer embedded;

  aio_context_schedule_oneshot_full (ctx, "first", not_any_more, &destroyed, driver_count);
  aio_context_schedule_oneshot_full (ctx, "second", not_any_more, &destroyed, driver_count);
  aio_timer_init (&embedded, ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_MS, not_any_more, NULL);
  aio_timer_mod (&embedded, 1);
  driver_expect_warning ("*first*");
  driver_expect_warning ("*second*");
  driver_expect_warning ("*timer*armed*");
  aio_context_unref (ctx);
  g_test_assert_expected_messages ();
  g_assert_cmpint (destroyed, ==, 2);
  aio_timer_deinit (&embedded);
}

static void
deleted_work_is_no_leak (Driver *d)
{
  AioContext *ctx = aio_context_new_full ("tidy", AIO_MONITOR_AUTO, NULL);
  int destroyed = 0;
  AioBh *bh = aio_bh_new_full (ctx, "deleted", not_any_more, &destroyed, driver_count);
  AioTimer embedded;

  aio_bh_schedule (bh);
  aio_bh_delete (bh);
  aio_timer_init (&embedded, ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_MS, not_any_more, NULL);
  aio_timer_mod (&embedded, 1);
  aio_timer_deinit (&embedded);
  /* Freed by the finalize, for no pass came; and no warning, which would be fatal here. */
  aio_context_unref (ctx);
  g_assert_cmpint (destroyed, ==, 1);
}

static void
closed_with_work_is_no_leak (Driver *d)
{
  for (guint which = 0; which < G_N_ELEMENTS (leaks); which++)
    {
      Leaky l = { .ctx = aio_context_new_full ("leaky", AIO_MONITOR_AUTO, NULL) };

      g_test_message ("%s", leaks[which].name);
      driver_pipe (l.fds);
      l.notifier = aio_notifier_new (TRUE, NULL);
      leaks[which].leak (&l);
      g_assert_true (aio_context_close (l.ctx, NULL));
      g_assert_cmpint (l.destroyed, ==, 1);
      aio_context_unref (l.ctx);
      g_assert_cmpint (l.destroyed, ==, 1);
      aio_notifier_unref (l.notifier);
      driver_close_pair (l.fds);
    }
}

/* No lock is held while it is logged. */

static void
ask_clocks (const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
  int *logged = data;

  for (AioClockType type = AIO_CLOCK_REALTIME; type < AIO_CLOCK_MANUAL; type++)
    aio_clock_deadline_ns_all (aio_clock_get (type), AIO_TIMER_ATTR_NONE);
  ++*logged;
}

static void
log_handler_may_ask_clocks (Driver *d)
{
  GLogLevelFlags fatal = g_log_set_always_fatal (G_LOG_FATAL_MASK);
  int logged = 0;
  guint handler = g_log_set_handler (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, ask_clocks, &logged);

  for (guint which = 0; which < G_N_ELEMENTS (leaks); which++)
    {
      Leaky l = { .ctx = aio_context_new_full ("leaky", AIO_MONITOR_AUTO, NULL) };

      g_test_message ("%s", leaks[which].name);
      driver_pipe (l.fds);
      l.notifier = aio_notifier_new (TRUE, NULL);
      leaks[which].leak (&l);
      aio_context_unref (l.ctx);
      g_assert_cmpint (logged, ==, which + 1);
      aio_notifier_unref (l.notifier);
      driver_close_pair (l.fds);
    }
  g_log_remove_handler (G_LOG_DOMAIN, handler);
  g_log_set_always_fatal (fatal);
}

static void
drop_in_dispatch (gpointer data)
{
  AioContext *ctx = data;

  g_assert_true (aio_context_detach (ctx, NULL));
  aio_context_unref (ctx);
}

static void
finalized_right_after_its_own_dispatch (Driver *d)
{
  AioContext *ctx = aio_context_new_full ("leaky", AIO_MONITOR_AUTO, NULL);
  int destroyed = 0;
  AioBh *bh;

  g_assert_true (aio_context_attach (ctx, d->main_context, G_PRIORITY_DEFAULT, NULL));
  aio_context_schedule_oneshot (ctx, drop_in_dispatch, ctx);
  bh = aio_bh_new_full (ctx, "the leaked one", not_any_more, &destroyed, driver_count);
  g_assert_nonnull (bh);
  driver_expect_warning ("*the leaked one*");
  g_main_context_iteration (d->main_context, FALSE);
  g_test_assert_expected_messages ();
  g_assert_cmpint (destroyed, ==, 1);
}

/* What a pass has left due, for its clock was disabled in it, is armed. */

static void
disable_clock (gpointer clock)
{
  aio_clock_set_enabled (clock, FALSE);
}

static void
timers_that_are_due_are_leaks (Driver *d)
{
  AioContext *ctx = aio_context_new_full ("leaky", AIO_MONITOR_AUTO, NULL);
  AioClock *clock = aio_clock_get (AIO_CLOCK_VIRTUAL);
  AioTimer first, embedded;
  AioTimer *owned;
  int destroyed = 0;

  aio_timer_init (&first, ctx, clock, AIO_TIMER_SCALE_NS, disable_clock, clock);
  aio_timer_init (&embedded, ctx, clock, AIO_TIMER_SCALE_NS, not_any_more, NULL);
  owned = aio_timer_new_full (ctx, clock, AIO_TIMER_SCALE_NS, AIO_TIMER_ATTR_NONE, "the owned one", not_any_more,
                              &destroyed, driver_count);
  aio_timer_mod_ns (&first, 1);
  aio_timer_mod_ns (&embedded, 2);
  aio_timer_mod_ns (owned, 3);
  g_assert_true (driver_poll (ctx, FALSE));
  g_assert_true (aio_timer_pending (&embedded));

  driver_expect_warning ("*timer the owned one*armed*");
  driver_expect_warning ("*timer (unnamed)*armed*");
  aio_context_unref (ctx);
  g_test_assert_expected_messages ();
  g_assert_cmpint (destroyed, ==, 1);
  g_assert_false (aio_timer_pending (&embedded));
  aio_timer_deinit (&embedded);
  aio_clock_set_enabled (clock, TRUE);
}

/* In its owner's memory and not armed it is known to nobody: its list goes all the same. */
static void
a_list_with_a_timer_that_was_not_deinitialised (Driver *d)
{
  g_autoptr (AioClock) clock = aio_clock_new_manual (0);
  AioContext *ctx = aio_context_new (NULL);
  AioTimer embedded;

  aio_timer_init (&embedded, ctx, clock, AIO_TIMER_SCALE_NS, not_any_more, NULL);
  aio_context_unref (ctx);
  g_assert_cmpint (aio_clock_deadline_ns_all (clock, AIO_TIMER_ATTR_NONE), ==, -1);
}

/* The main context of a context, where both end with g_source_unref(), which holds the lock of the former. */
static void
its_main_context_ends_after_it (Driver *d)
{
  AioContext *ctx = aio_context_new (NULL);
  GMainContext *main_context = g_main_context_new ();
  GSource *source = g_timeout_source_new_seconds (1000);
  int destroyed = 0;

  g_source_set_callback (source, G_SOURCE_FUNC (not_any_more), &destroyed, driver_count);
  g_source_attach (source, main_context);
  g_source_unref (source);
  g_assert_true (aio_context_attach (ctx, main_context, G_PRIORITY_DEFAULT, NULL));
  g_assert_true (aio_context_detach (ctx, NULL));
  g_main_context_unref (main_context);
  g_assert_cmpint (destroyed, ==, 0);
  g_source_unref ((GSource *) ctx);
  g_assert_cmpint (destroyed, ==, 0);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  g_assert_cmpint (destroyed, ==, 1);
}

static void
add_tests (void)
{
  driver_add_for (DRIVER_POLL | DRIVER_GLIB, "finalize", "B11-work-left-is-a-warning-and-no-leak",
                  work_left_is_a_warning_and_no_leak);
  driver_add_bare ("finalize", "B11-each-leak-is-a-warning-of-its-own", each_leak_is_a_warning_of_its_own);
  driver_add_bare ("finalize", "B11-log-handler-may-ask-clocks", log_handler_may_ask_clocks);
  driver_add_bare ("finalize", "B11-deleted-work-is-no-leak", deleted_work_is_no_leak);
  driver_add_bare ("finalize", "B11-closed-with-work-is-no-leak", closed_with_work_is_no_leak);
  driver_add_bare ("finalize", "B11-timers-that-are-due-are-leaks", timers_that_are_due_are_leaks);
  driver_add_bare ("finalize", "B11-a-list-with-a-timer-that-was-not-deinitialised",
                   a_list_with_a_timer_that_was_not_deinitialised);
  driver_add_bare ("finalize", "its-main-context-ends-after-it", its_main_context_ends_after_it);
  driver_add_for (DRIVER_GLIB, "finalize", "finalized-right-after-its-own-dispatch",
                  finalized_right_after_its_own_dispatch);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
