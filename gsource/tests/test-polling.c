/* SPDX-License-Identifier: MIT */
#include "producer.h"

/* Polling finds an event without a system call, and ends before the thread sleeps. */
static void
spares_wait (Driver *d)
{
  Producer producer;
  AioTimer *timer;
  guint64 waits;
  int fired = 0;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);

  if (!aio_context_fdmon (d->ctx)->need_wait)
    driver_poll (d->ctx, FALSE); /* a monitor that cannot tell looks at file descriptors every second time at least */
  waits = driver_stats (d).waits;
  producer_event (&producer);
  g_assert_true (driver_poll (d->ctx, TRUE));
  g_assert_cmpint (producer.found, ==, 2);
  g_assert_cmpint (producer.reads, ==, 1);
  g_assert_cmpuint (driver_stats (d).waits, ==, waits);

  timer = driver_deadline_new (d, 2000000, &fired);
  while (fired == 0)
    driver_turn (d, TRUE);
  g_assert_cmpint (producer.ends, ==, 1);
  aio_timer_free (timer);
  producer_stop (&producer);
}

static void
spares_wait_with_need_wait (Driver *d)
{
  driver_give_need_wait (d);
  spares_wait (d);
}

/* A9: a notification is no progress, and polling sees it in memory. */
static void
notification_is_no_progress (Driver *d)
{
  Producer producer;
  guint64 waits;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  for (guint i = 0; i < 4; i++)
    {
      aio_context_notify (d->ctx);
      g_assert_false (driver_poll (d->ctx, FALSE));
      waits = driver_stats (d).waits;
      aio_context_notify (d->ctx);
      g_assert_false (driver_poll (d->ctx, TRUE));
      g_assert_cmpuint (driver_stats (d).waits, ==, waits);
    }
  aio_context_notify (d->ctx);
  g_assert_false (driver_turn (d, TRUE));
  g_assert_cmpint (producer.found + producer.reads, ==, 2);
  producer_stop (&producer);
}

static void
notification_is_no_progress_with_need_wait (Driver *d)
{
  driver_give_need_wait (d);
  notification_is_no_progress (d);
}

/* A14, D5: a poll that does not block has looked at the file descriptors when it says that there was nothing. */
static void
looks_at_fds (Driver *d)
{
  for (guint on = 0; on < 2; on++)
    {
      Producer blind;

      producer_start (&blind, d);
      if (on)
        producer_enter_poll_mode (&blind);
      driver_settle (d);
      for (int i = 0; i < 10; i++)
        {
          int before = blind.reads;

          producer_kick (&blind);
          if (i % 2 == 1)
            aio_context_notify (d->ctx);
          driver_poll (d->ctx, FALSE);
          g_assert_cmpint (blind.reads, ==, before + 1);
        }
      producer_stop (&blind);
    }
}

static void
looks_at_fds_with_need_wait (Driver *d)
{
  driver_give_need_wait (d);
  looks_at_fds (d);
}

/* A14: the same while external handlers are disabled, and right after the registration. */
static void
looks_while_external_is_disabled (Driver *d)
{
  Producer producer;

  aio_context_disable_external (d->ctx);
  producer_init (&producer, d);
  producer_kick (&producer);
  producer_watch (&producer);
  g_assert_true (driver_poll (d->ctx, FALSE));
  g_assert_cmpint (producer.reads, ==, 1);
  g_assert_true (aio_context_enable_external (d->ctx, NULL));
  producer_stop (&producer);
}

/* D4: a handler that is always ready, beside a file descriptor that is. */
static void
starvation (Driver *d, gboolean with_poll, gboolean truthful, gint64 max_ns)
{
  Producer hot, other;
  int fds[2], reads = 0;

  driver_set_poll_params (d, max_ns);
  producer_start (&hot, d);
  hot.hot = hot.event = TRUE;
  producer_init (&other, d);
  other.knows_all = truthful;
  driver_pipe (fds);
  if (with_poll)
    producer_watch (&other);
  else
    driver_watch (d, fds[0], driver_count_read_drain, &reads);

  for (int i = 1; i <= 20; i++)
    {
      for (int turn = i % 3; turn > 0; turn--)
        driver_turn (d, FALSE);
      if (with_poll)
        producer_kick (&other);
      else
        driver_write_byte (fds[1]);
      /* Where one has no poll function, every turn looks at file descriptors. */
      for (int turn = 0; turn < 1 + with_poll && other.reads + other.found + reads < i; turn++)
        driver_turn (d, i % 2);
      g_assert_cmpint (other.reads + other.found + reads, ==, i);
    }
  g_assert_cmpint (hot.found, >, 5);

  hot.hot = hot.event = FALSE;
  if (!with_poll)
    driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
  producer_stop (&other);
  producer_stop (&hot);
}

/* Under GLib nothing but a kick makes the hot one ready, and a blocking turn would sleep. */
static void
hot_read (Producer *producer)
{
  producer_kick (producer);
}

static void
starvation_under_glib (Driver *d)
{
  for (guint with_poll = 0; with_poll < 2; with_poll++)
    {
      Producer hot, other;

      producer_start (&hot, d);
      hot.on_read = hot_read;
      producer_kick (&hot);
      producer_init (&other, d);
      if (!with_poll)
        other.funcs = (AioFdHandler){ .read = producer_funcs.read };
      producer_watch (&other);
      for (int i = 1; i <= 10; i++)
        {
          producer_kick (&other);
          driver_turn (d, TRUE);
          driver_turn (d, TRUE);
          g_assert_cmpint (other.reads, ==, i);
        }
      producer_stop (&other);
      producer_stop (&hot);
    }
}

static void
hot_starves_nobody (Driver *d)
{
  static const gint64 max_ns[] = { 0, 1000000 };

  for (guint i = 0; i < G_N_ELEMENTS (max_ns); i++)
    {
      starvation (d, FALSE, FALSE, max_ns[i]);
      starvation (d, TRUE, FALSE, max_ns[i]);
      starvation (d, TRUE, TRUE, max_ns[i]);
    }
}

static void
hot_starves_nobody_with_need_wait (Driver *d)
{
  driver_give_need_wait (d);
  hot_starves_nobody (d);
}

/* D10 */
static void
only_polled (Driver *d)
{
  Producer producer;

  producer_init (&producer, d);
  producer.funcs.read = NULL;
  producer_watch (&producer);
  producer.event = TRUE;
  g_assert_true (driver_turn (d, TRUE));
  g_assert_cmpint (producer.found, ==, 1);
  producer_kick (&producer);
  g_assert_false (driver_turn (d, FALSE));
  producer.event = TRUE;
  g_assert_true (driver_turn (d, FALSE));
  g_assert_cmpint (producer.found, ==, 2);
  g_assert_cmpint (producer.reads, ==, 0);
  producer_stop (&producer);
}

static void
watch (gpointer data)
{
  producer_watch (data);
}

/* Nothing but a look would find it, and a wait without an end comes next. */
static void
only_polled_and_added_by_another_thread (Driver *d)
{
  Producer producer;

  producer_init (&producer, d);
  producer.funcs.read = NULL;
  producer.event = TRUE;
  driver_on_thread (watch, &producer);
  aio_context_notify_accept (d->ctx); /* as check does, in an iteration that is under way */
  g_assert_true (driver_turn (d, TRUE));
  g_assert_cmpint (producer.found, ==, 1);
  producer_stop (&producer);
}

static gboolean
never (int fd G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  return FALSE;
}

static void
expect_disabled (Driver *d, gboolean disabled)
{
  g_assert_cmpint (aio_context_poll_disabled (d->ctx), ==, disabled);
}

/* Handlers without a poll function are counted through adding, replacing and removing. */
static void
disabled_is_counted (Driver *d)
{
  Producer producer;
  AioFdHandler half = producer_funcs;
  int fds[2], reads = 0;

  driver_pipe (fds);
  producer_init (&producer, d);
  expect_disabled (d, FALSE);
  producer_watch (&producer);
  expect_disabled (d, FALSE);
  driver_watch (d, fds[0], driver_count_read, &reads);
  expect_disabled (d, TRUE);
  driver_watch (d, fds[0], driver_count_read, &reads);
  driver_unwatch (d, fds[0]);
  expect_disabled (d, FALSE);

  /* One half of the pair is none, and alone it is a removal. */
  half.poll_ready = NULL;
  producer.funcs = half;
  producer_watch (&producer);
  expect_disabled (d, TRUE);
  producer.event = TRUE;
  g_assert_false (driver_turn (d, FALSE));
  g_assert_cmpint (producer.asked, ==, 0);
  producer.funcs = producer_funcs;
  producer_watch (&producer);
  expect_disabled (d, FALSE);
  producer.funcs = (AioFdHandler){ .poll = never };
  producer_watch (&producer);
  g_assert_null (producer_handler (&producer));
  producer.funcs = (AioFdHandler){ .read = producer_funcs.read };
  producer_watch (&producer);
  expect_disabled (d, TRUE);
  producer_unwatch (&producer);
  expect_disabled (d, FALSE);
  driver_close_pair (fds);
  producer_stop (&producer);
}

static const AioHandlerInfo *
info_of (const AioSnapshot *snapshot, int fd)
{
  for (guint i = 0; i < snapshot->n_handlers; i++)
    if (snapshot->handlers[i].fd == fd)
      return &snapshot->handlers[i];
  g_assert_not_reached ();
}

static void
inspect (Driver *d)
{
  AioSnapshot *snapshot;
  Producer producer;
  int fds[2], reads = 0, fired = 0;
  AioTimer *timer;

  driver_pipe (fds);
  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  snapshot = aio_context_inspect (d->ctx);
  g_assert_true (snapshot->poll_started);
  g_assert_cmpint (snapshot->poll_max_ns, ==, 1000000000);
  g_assert_true (info_of (snapshot, producer.fd)->poll);
  g_assert_true (info_of (snapshot, producer.fd)->poll_started);
  g_assert_cmpint (info_of (snapshot, producer.fd)->poll_ns, ==, driver_stats (d).poll_ns);
  aio_snapshot_free (snapshot);

  driver_watch (d, fds[0], driver_count_read, &reads);
  timer = driver_deadline_new (d, 1000000, &fired);
  driver_run_until_count (d, &fired, 1, 5000);
  snapshot = aio_context_inspect (d->ctx);
  g_assert_false (snapshot->poll_started);
  g_assert_false (info_of (snapshot, producer.fd)->poll_started);
  g_assert_true (info_of (snapshot, producer.fd)->poll);
  g_assert_false (info_of (snapshot, fds[0])->poll);
  aio_snapshot_free (snapshot);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
  aio_timer_free (timer);
  producer_stop (&producer);
}

static void
stats (Driver *d)
{
  AioStats before, after;
  Producer producer, asleep;

  producer_start (&producer, d);
  producer_start (&asleep, d);
  before = driver_stats (d);
  g_assert_cmpuint (before.poll_iterations, ==, 0);
  g_assert_false (driver_poll (d->ctx, FALSE));
  after = driver_stats (d);
  g_assert_cmpuint (after.poll_iterations, ==, 1);
  g_assert_cmpuint (after.poll_successes, ==, 0);
  g_assert_cmpuint (after.zero_waits, ==, before.zero_waits + 1);
  g_assert_cmpint (producer.asked, ==, 1);
  producer.event = TRUE;
  g_assert_true (driver_poll (d->ctx, FALSE));
  after = driver_stats (d);
  g_assert_cmpuint (after.poll_iterations, ==, 2);
  g_assert_cmpuint (after.poll_successes, ==, 1);
  g_assert_cmpuint (after.handlers_dispatched, ==, 1);
  g_assert_cmpint (after.poll_ns, ==, 0);
  g_assert_cmpint (asleep.asked, ==, 2);
  producer_stop (&asleep);
  producer_stop (&producer);
}

/* D11: what a new handler's first event has taught is there for its second. */
static void
second_event_is_polled (Driver *d)
{
  Producer producer;
  guint64 waits;

  driver_set_poll_params (d, G_GINT64_CONSTANT (1000000000));
  producer_init (&producer, d);
  producer_kick (&producer);
  producer_watch (&producer);
  g_assert_true (driver_poll (d->ctx, TRUE));
  waits = driver_stats (d).waits;
  producer.event = TRUE;
  g_assert_true (driver_poll (d->ctx, TRUE));
  g_assert_cmpuint (driver_stats (d).waits, ==, waits);
  g_assert_cmpint (producer.found, ==, 1);
  producer_stop (&producer);
}

static void
add_tests (void)
{
  const DriverKind polls = DRIVER_POLL | DRIVER_MIXED;

  driver_add_for (polls, "polling", "spares-wait", spares_wait);
  driver_add_for (polls, "polling", "spares-wait/need-wait", spares_wait_with_need_wait);
  driver_add ("polling", "A9-notification-is-no-progress", notification_is_no_progress);
  driver_add ("polling", "A9-notification-is-no-progress/need-wait", notification_is_no_progress_with_need_wait);
  driver_add ("polling", "D5-looks-at-fds", looks_at_fds);
  driver_add ("polling", "D5-looks-at-fds/need-wait", looks_at_fds_with_need_wait);
  driver_add ("polling", "A14-looks-while-external-is-disabled", looks_while_external_is_disabled);
  driver_add_for (DRIVER_POLL, "polling", "D4-hot-starves-nobody", hot_starves_nobody);
  driver_add_for (DRIVER_POLL, "polling", "D4-hot-starves-nobody/need-wait", hot_starves_nobody_with_need_wait);
  driver_add_for (DRIVER_ATTACHED, "polling", "D4-hot-starves-nobody", starvation_under_glib);
  driver_add ("polling", "D10-only-polled", only_polled);
  driver_add ("polling", "D10-only-polled-and-added-by-another-thread", only_polled_and_added_by_another_thread);
  driver_add ("polling", "disabled-is-counted", disabled_is_counted);
  driver_add ("polling", "inspect", inspect);
  driver_add ("polling", "stats", stats);
  driver_add ("polling", "D11-second-event-is-polled", second_event_is_polled);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
