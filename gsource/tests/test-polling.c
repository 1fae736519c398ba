/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "driver.h"

/* A source of events in memory, with an eventfd by which it can be kicked: what polling is for. */
typedef struct {
  Driver *d;
  AioNotifier *kick;
  gboolean event; /* there is something to do */
  int reads, asked, found, begins, ends;
} Producer;

static void
producer_read (int fd G_GNUC_UNUSED, gpointer data)
{
  Producer *producer = data;

  producer->reads++;
  aio_notifier_test_and_clear (producer->kick);
}

static gboolean
producer_poll (int fd G_GNUC_UNUSED, gpointer data)
{
  Producer *producer = data;

  producer->asked++;
  return producer->event;
}

static void
producer_ready (int fd G_GNUC_UNUSED, gpointer data)
{
  Producer *producer = data;

  producer->found++;
  producer->event = FALSE;
}

static void
producer_begin (int fd G_GNUC_UNUSED, gpointer data)
{
  Producer *producer = data;

  g_assert_cmpint (producer->begins, ==, producer->ends);
  producer->begins++;
}

static void
producer_end (int fd G_GNUC_UNUSED, gpointer data)
{
  Producer *producer = data;

  producer->ends++;
  g_assert_cmpint (producer->begins, ==, producer->ends);
}

static const AioFdHandler polled = {
  .read = producer_read,
  .poll = producer_poll,
  .poll_ready = producer_ready,
  .poll_begin = producer_begin,
  .poll_end = producer_end,
};

static void
producer_start (Producer *producer, Driver *d)
{
  *producer = (Producer){ .d = d, .kick = aio_notifier_new (FALSE, NULL) };
  g_assert_true (
      aio_context_set_fd_handler (d->ctx, aio_notifier_get_fd (producer->kick), &polled, producer, NULL, NULL));
}

static void
producer_stop (Producer *producer)
{
  g_assert_true (
      aio_context_set_fd_handler (producer->d->ctx, aio_notifier_get_fd (producer->kick), NULL, NULL, NULL, NULL));
  g_assert_cmpint (producer->begins, ==, producer->ends);
  aio_notifier_unref (producer->kick);
}

static void
set_params (Driver *d, gint64 max_ns)
{
  g_assert_true (aio_context_set_poll_params (d->ctx, max_ns, 0, 0, NULL));
}

static AioTimer *
deadline_new (Driver *d, gint64 after_ns, int *fired)
{
  AioTimer *timer = aio_timer_new (d->ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_NS, driver_count, fired);

  aio_timer_mod_ns (timer, aio_clock_get_ns (aio_clock_get (AIO_CLOCK_REALTIME)) + after_ns);
  return timer;
}

/* Brings the context into poll mode, and leaves it there: an event by the kick, then one in memory. */
static void
enter_poll_mode (Producer *producer)
{
  AioContext *ctx = producer->d->ctx;

  set_params (producer->d, G_GINT64_CONSTANT (1000000000));
  aio_notifier_set (producer->kick, NULL);
  g_assert_true (driver_poll (ctx, TRUE));
  g_assert_cmpint (producer->reads, ==, 1);
  g_assert_cmpint (driver_stats (producer->d).poll_ns, >=, 4000);
  producer->event = TRUE;
  g_assert_true (driver_poll (ctx, TRUE));
  g_assert_cmpint (producer->found, ==, 1);
  g_assert_cmpint (producer->begins, ==, 1);
  g_assert_cmpint (producer->ends, ==, 0);
}

/* Polling finds an event without a system call, and ends before the thread sleeps. */
static void
test_spares_wait (Driver *d)
{
  Producer producer;
  AioTimer *timer;
  guint64 waits;
  int fired = 0;

  producer_start (&producer, d);
  enter_poll_mode (&producer);

  waits = driver_stats (d).waits;
  if (aio_context_get_monitor (d->ctx) != AIO_MONITOR_IO_URING)
    driver_poll (d->ctx, FALSE); /* the other monitors look at file descriptors every second time at least */
  waits = driver_stats (d).waits;
  producer.event = TRUE;
  g_assert_true (driver_poll (d->ctx, TRUE));
  g_assert_cmpint (producer.found, ==, 2);
  g_assert_cmpuint (driver_stats (d).waits, ==, waits);

  timer = deadline_new (d, 2000000, &fired);
  while (fired == 0)
    driver_turn (d, TRUE);
  g_assert_cmpint (producer.ends, ==, 1);
  aio_timer_free (timer);
  producer_stop (&producer);
}

/* D2: an event in memory that came while poll mode ends under GLib. */
static void
ask_at_end (int fd, gpointer data)
{
  Producer *producer = data;

  producer_end (fd, data);
  producer->event = TRUE;
}

static void
test_found_at_end (Driver *d)
{
  Producer producer;

  producer_start (&producer, d);
  enter_poll_mode (&producer);
  aio_context_set_fd_poll (d->ctx, aio_notifier_get_fd (producer.kick), producer_begin, ask_at_end);
  g_assert_cmpint (producer.begins, ==, 2);
  g_assert_cmpint (producer.ends, ==, 1);

  g_assert_true (g_main_context_iteration (d->main_context, TRUE));
  g_assert_cmpint (producer.found, ==, 2);
  g_assert_cmpint (producer.ends, ==, 2);
  producer.event = FALSE;
  producer_stop (&producer);
}

/* D3: a handler that is removed or replaced while it is polled. */
static void
test_pairs (Driver *d)
{
  Producer producer;
  int fd;

  producer_start (&producer, d);
  fd = aio_notifier_get_fd (producer.kick);
  enter_poll_mode (&producer);
  g_assert_true (aio_context_set_fd_handler (d->ctx, fd, &polled, &producer, NULL, NULL));
  g_assert_cmpint (producer.ends, ==, 1);
  producer.event = TRUE;
  g_assert_true (driver_poll (d->ctx, FALSE));
  g_assert_cmpint (producer.begins, ==, 2);
  g_assert_cmpint (producer.ends, ==, 1);
  producer_stop (&producer);
  g_assert_cmpint (producer.ends, ==, 2);
}

/* D10 */
static void
test_only_polled (Driver *d)
{
  AioFdHandler only_polled = polled;
  Producer producer;
  int fd;

  only_polled.read = NULL;
  producer_start (&producer, d);
  fd = aio_notifier_get_fd (producer.kick);
  g_assert_true (aio_context_set_fd_handler (d->ctx, fd, &only_polled, &producer, NULL, NULL));
  producer.event = TRUE;
  g_assert_true (driver_turn (d, TRUE));
  g_assert_cmpint (producer.found, ==, 1);
  aio_notifier_set (producer.kick, NULL);
  g_assert_false (driver_turn (d, FALSE));
  producer.event = TRUE;
  g_assert_true (driver_turn (d, FALSE));
  g_assert_cmpint (producer.found, ==, 2);
  g_assert_cmpint (producer.reads, ==, 0);
  producer_stop (&producer);
}

static void
add_tests (void)
{
  driver_add_for (DRIVER_POLL | DRIVER_MIXED, "polling", "spares-wait", test_spares_wait);
  driver_add_for (DRIVER_ATTACHED, "polling", "D2-found-at-end", test_found_at_end);
  driver_add ("polling", "D3-pairs", test_pairs);
  driver_add ("polling", "D10-only-polled", test_only_polled);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
