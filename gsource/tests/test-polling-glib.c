/* SPDX-License-Identifier: MIT */
#include "producer.h"

/* Polling, and a main context that waits: poll mode is off while it sleeps, and nothing that was found is lost. */

/* D1 */
static void
never_called_unless_found (Driver *d)
{
  Producer producer, only_polled;
  int fds[2], reads = 0;

  producer_start (&producer, d);
  producer_init (&only_polled, d);
  only_polled.funcs.read = NULL;
  producer_watch (&only_polled);
  driver_pipe (fds);
  driver_watch (d, fds[0], driver_count_read, &reads);
  driver_write_byte (fds[1]);
  for (int i = 0; i < 1000; i++)
    g_assert_true (g_main_context_iteration (d->main_context, TRUE));
  g_assert_cmpint (reads, ==, 1000);
  g_assert_cmpint (producer.found + producer.reads, ==, 0);
  g_assert_cmpint (only_polled.found, ==, 0);
  g_assert_cmpint (only_polled.asked, >=, 1000);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
  producer_stop (&only_polled);
  producer_stop (&producer);
}

/* D2: an event in memory that comes while poll mode ends. */
static void
make_event (Producer *producer)
{
  producer->event = TRUE;
}

static void
found_at_end (Driver *d)
{
  Producer producer;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  producer.on_end = make_event;
  g_assert_true (g_main_context_iteration (d->main_context, TRUE));
  g_assert_cmpint (producer.found, ==, 2);
  g_assert_cmpint (producer.ends, ==, 1);
  producer_stop (&producer);
}

static void
found_at_end_then_polled (Driver *d)
{
  Producer producer;

  for (guint how = 0; how < 3; how++)
    {
      producer_start (&producer, d);
      producer_enter_poll_mode (&producer);
      producer.event = TRUE;
      /* prepare finds it, and somebody else dispatches */
      g_assert_true (g_main_context_pending (d->main_context));
      g_assert_cmpint (producer.ends, ==, 1);
      g_assert_true (aio_context_pending (d->ctx));
      producer.event = FALSE; /* the find is what counts */
      if (how == 0)
        g_assert_true (g_main_context_iteration (d->main_context, FALSE));
      else if (how == 1)
        g_assert_true (aio_context_dispatch (d->ctx));
      else
        {
          g_assert_true (aio_context_detach (d->ctx, NULL));
          g_assert_true (driver_poll (d->ctx, TRUE));
        }
      g_assert_cmpint (producer.found, ==, 2);
      producer_stop (&producer);
      g_main_context_iteration (d->main_context, FALSE); /* GLib still has it for ready */
    }
}

static void
found_at_end_then_held_back (Driver *d)
{
  Producer producer;

  producer_init (&producer, d);
  producer.funcs.external = TRUE;
  producer_watch (&producer);
  producer_enter_poll_mode (&producer);
  producer.event = TRUE;
  g_assert_true (g_main_context_pending (d->main_context));
  aio_context_disable_external (d->ctx);
  for (guint i = 0; i < 5; i++)
    g_main_context_iteration (d->main_context, FALSE);
  g_assert_cmpint (producer.found, ==, 1);
  producer.event = FALSE;
  g_assert_true (aio_context_enable_external (d->ctx, NULL));
  for (guint i = 0; i < 2 && producer.found == 1; i++)
    g_main_context_iteration (d->main_context, TRUE);
  g_assert_cmpint (producer.found, ==, 2);
  producer_stop (&producer);
}

/* D8: seen by what GLib calls to sleep. */
static Producer *sleeper;
static int n_sleeps;

static int
poll_without_poll_mode (GPollFD *fds, guint n, int timeout_ms)
{
  if (timeout_ms != 0)
    {
      n_sleeps++;
      g_assert_cmpint (sleeper->begins, ==, sleeper->ends);
      g_assert_false (sleeper->d->ctx->poll_started);
    }
  return g_poll (fds, n, timeout_ms);
}

static void
no_poll_mode_asleep (Driver *d)
{
  Producer producer;
  AioTimer *timer;
  int fired = 0;

  producer_start (&producer, d);
  sleeper = &producer;
  n_sleeps = 0;
  g_main_context_set_poll_func (d->main_context, poll_without_poll_mode);
  for (int i = 1; i <= 10; i++)
    {
      producer_enter_poll_mode (&producer);
      timer = driver_deadline_new (d, 1000000, &fired);
      driver_run_until_count (d, &fired, i, 5000);
      aio_timer_free (timer);
      driver_settle (d);
      if (producer.begins > producer.ends)
        g_main_context_pending (d->main_context);
    }
  g_assert_cmpint (n_sleeps, >, 0);
  producer_stop (&producer);
}

/* A7, D8: a poll nested in another source's prepare has poll mode begin after this source was prepared. */
typedef struct {
  GSource source;
  Producer *producer;
  gboolean done;
} Nesting;

static gboolean
nesting_prepare (GSource *source, int *timeout_ms)
{
  Nesting *nesting = (Nesting *) source;

  *timeout_ms = -1;
  if (nesting->done)
    return FALSE;
  nesting->done = TRUE;
  producer_kick (nesting->producer);
  driver_poll (nesting->producer->d->ctx, TRUE);
  nesting->producer->event = TRUE;
  driver_poll (nesting->producer->d->ctx, TRUE);
  g_assert_true (nesting->producer->d->ctx->poll_started);
  return FALSE;
}

static gboolean
nesting_dispatch (GSource *source G_GNUC_UNUSED, GSourceFunc callback G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  return G_SOURCE_CONTINUE;
}

/* An event that is not kicked for, as it comes while GLib is asleep and the producer was told so. */
static int
poll_with_event (GPollFD *fds, guint n, int timeout_ms)
{
  if (timeout_ms != 0 && sleeper->served == 1)
    producer_event (sleeper);
  return g_poll (fds, n, timeout_ms);
}

static void
begun_in_another_prepare (Driver *d)
{
  static GSourceFuncs funcs = { .prepare = nesting_prepare, .dispatch = nesting_dispatch };
  GSource *source = g_source_new (&funcs, sizeof (Nesting));
  Producer producer;

  driver_set_poll_params (d, G_GINT64_CONSTANT (1000000000));
  producer_start (&producer, d);
  sleeper = &producer;
  ((Nesting *) source)->producer = &producer;
  g_source_set_priority (source, G_PRIORITY_LOW);
  for (guint i = 0; i < 3; i++) /* a file descriptor that is new to GLib wakes it once */
    g_main_context_iteration (d->main_context, FALSE);
  g_source_attach (source, d->main_context);
  g_main_context_set_poll_func (d->main_context, poll_with_event);
  for (guint i = 0; i < 3 && producer.served < 2; i++)
    g_main_context_iteration (d->main_context, TRUE);
  g_assert_cmpint (producer.served, ==, 2);
  g_source_destroy (source);
  g_source_unref (source);
  producer_stop (&producer);
}

/* D8: poll mode is left on for a timer that is due, which another thread disarms before the timeout is computed. */
static void
disarm_and_event (gpointer data)
{
  AioTimer **timer = data;

  aio_timer_del (*timer);
  producer_event (sleeper); /* which kicks nobody, for it is polled */
}

static void
disarmed_after_prepare (Driver *d)
{
  Producer producer;
  AioTimer *due, *backstop;
  int fired = 0;
  gboolean reached;

  producer_start (&producer, d);
  sleeper = &producer;
  backstop = driver_deadline_new (d, G_GINT64_CONSTANT (5000000000), &fired);
  for (guint i = 0; i < 3; i++) /* a file descriptor that is new to GLib wakes it once */
    g_main_context_iteration (d->main_context, FALSE);
  producer_enter_poll_mode (&producer);
  due = driver_deadline_new (d, 0, &fired);
  while (aio_context_compute_timeout (d->ctx) != 0)
    ;
  aio_context_accept (d->ctx, FALSE); /* that it was armed */
  driver_interleave (d, AIO_POINT_GS_PREPARE_BEFORE_TIMEOUT, 0, disarm_and_event, &due, &reached);
  for (guint i = 0; i < 3 && producer.served < 2; i++)
    g_main_context_iteration (d->main_context, TRUE);
  g_assert_true (reached);
  g_assert_cmpint (producer.served, ==, 2);
  g_assert_cmpint (fired, ==, 0);
  aio_timer_free (due);
  aio_timer_free (backstop);
  producer_stop (&producer);
}

/* A poll nested in prepare has run what the caller of the iteration waits for. */
static void
poll_nested (Producer *producer)
{
  driver_poll (producer->d->ctx, FALSE);
}

static void
run_in_prepare (Driver *d)
{
  Producer producer, other;

  producer_start (&producer, d);
  producer_start (&other, d);
  for (guint i = 0; i < 3; i++)
    g_main_context_iteration (d->main_context, FALSE);
  producer_enter_poll_mode (&producer);
  producer.on_end = poll_nested;
  producer_kick (&other);
  while (other.reads == 0)
    g_main_context_iteration (d->main_context, TRUE);
  g_assert_cmpint (producer.ends, ==, 1);
  producer.on_end = NULL;
  producer_stop (&other);
  producer_stop (&producer);
}

/* D9 */
static void
busy_loop_stays_in_poll_mode (Driver *d)
{
  Producer producer;
  int fired = 0;
  AioTimer *timer;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  for (int i = 0; i < 1000; i++)
    {
      if (i % 3 != 0)
        aio_context_schedule_oneshot (d->ctx, driver_count, &fired);
      if (i % 3 != 1)
        producer.event = TRUE;
      if (i % 3 == 2 && d->kind != DRIVER_GLIB)
        driver_turn (d, TRUE);
      else
        driver_poll (d->ctx, i % 2);
    }
  g_assert_cmpint (producer.begins, ==, 1);
  g_assert_cmpint (producer.ends, ==, 0);
  g_assert_cmpint (fired, >=, 600);
  driver_settle (d);

  /* A timer that is due by then needs no end either. */
  for (int i = 0; i < 20 && d->kind == DRIVER_POLL; i++)
    {
      producer_set_ns (&producer, 100000000);
      fired = 0;
      timer = driver_deadline_new (d, 50000, &fired);
      driver_run_until_count (d, &fired, 1, 5000);
      aio_timer_free (timer);
    }
  g_assert_cmpint (producer.ends, <=, 1);
  g_assert_cmpint (producer.begins, ==, 1);
  producer_stop (&producer);
}

static void
add_tests (void)
{
  driver_add_for (DRIVER_ATTACHED, "polling-glib", "D1-never-called-unless-found", never_called_unless_found);
  driver_add_for (DRIVER_ATTACHED, "polling-glib", "D2-found-at-end", found_at_end);
  driver_add_for (DRIVER_ATTACHED, "polling-glib", "D2-found-at-end-then-polled", found_at_end_then_polled);
  driver_add_for (DRIVER_ATTACHED, "polling-glib", "D2-found-at-end-then-held-back", found_at_end_then_held_back);
  driver_add_for (DRIVER_ATTACHED, "polling-glib", "D8-no-poll-mode-asleep", no_poll_mode_asleep);
  driver_add_for (DRIVER_GLIB, "polling-glib", "A7-D8-begun-in-another-prepare", begun_in_another_prepare);
  driver_add_for (DRIVER_GLIB, "polling-glib", "D8-disarmed-after-prepare", disarmed_after_prepare);
  driver_add_for (DRIVER_GLIB, "polling-glib", "run-in-prepare", run_in_prepare);
  driver_add_for (DRIVER_POLL | DRIVER_MIXED, "polling-glib", "D9-busy-loop", busy_loop_stays_in_poll_mode);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
