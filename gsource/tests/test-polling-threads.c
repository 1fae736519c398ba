/* SPDX-License-Identifier: MIT */
#include "eventfds.h"
#include "producer.h"

/* Other threads, while home polls. */

/* E16: functions are replaced while handlers come and go and are polled. */
typedef struct {
  Driver *d;
  Producer *producers;
  guint n;
  int stop;
  guint rounds; /* of the meddler */
} Meddler;

static void
paired_begin (int fd, gpointer data)
{
  producer_funcs.poll_begin (fd, data);
}

static void
paired_end (int fd, gpointer data)
{
  producer_funcs.poll_end (fd, data);
}

static void
meddle (gpointer data)
{
  Meddler *m = data;

  for (guint i = 0; !__atomic_load_n (&m->stop, __ATOMIC_ACQUIRE); i++)
    {
      int fd = m->producers[i % m->n].fd;

      if (i % 3 == 0)
        aio_context_set_fd_poll (m->d->ctx, fd, paired_begin, paired_end);
      else if (i % 3 == 1)
        aio_context_set_fd_poll (m->d->ctx, fd, producer_funcs.poll_begin, producer_funcs.poll_end);
      else
        g_assert_true (aio_context_set_poll_params (m->d->ctx, 20000 + i % 7, 2, i % 2, NULL));
      (void) aio_context_poll_disabled (m->d->ctx);
      __atomic_store_n (&m->rounds, i + 1, __ATOMIC_RELAXED);
    }
}

static void
functions_replaced_by_another_thread (Driver *d)
{
  Producer producers[4];
  Meddler meddler = { .d = d, .producers = producers, .n = 4 };
  pthread_t thread;

  driver_set_poll_params (d, 20000);
  for (guint i = 0; i < 4; i++)
    producer_start (&producers[i], d);
  thread = driver_thread_start (meddle, &meddler);
  for (guint i = 0; i < 300 || __atomic_load_n (&meddler.rounds, __ATOMIC_RELAXED) < 300; i++)
    {
      Producer *producer = &producers[i % 4];

      producer_event (producer);
      driver_turn (d, i % 2);
      if (i % 5 == 0)
        producer_unwatch (&producers[(i + 1) % 4]);
      if (i % 5 == 1)
        producer_watch (&producers[i % 4]);
    }
  __atomic_store_n (&meddler.stop, 1, __ATOMIC_RELEASE);
  driver_thread_join (thread);
  driver_settle (d);
  driver_assert_polling_at_rest (d);
  for (guint i = 0; i < 4; i++)
    producer_stop (&producers[i]);
}

/* Handlers that another thread adds and removes: begun and ended by home alone, and gone in the end. */
static void
add_and_remove (gpointer data)
{
  Meddler *m = data;

  for (guint i = 0; i < 400; i++)
    {
      Producer *producer = &m->producers[i % m->n];

      if (i / m->n % 2 == 0)
        g_assert_true (aio_context_set_fd_handler (m->d->ctx, producer->fd, &producer_funcs, producer, NULL, NULL));
      else
        producer_unwatch (producer);
    }
  __atomic_store_n (&m->stop, 1, __ATOMIC_RELEASE);
  aio_context_notify (m->d->ctx);
}

static gboolean
stopped (gpointer data)
{
  return __atomic_load_n (&((Meddler *) data)->stop, __ATOMIC_ACQUIRE);
}

static void
handlers_of_another_thread (Driver *d)
{
  Producer producers[4], own;
  Meddler meddler = { .d = d, .producers = producers, .n = 4 };
  pthread_t thread;

  producer_start (&own, d);
  producer_enter_poll_mode (&own);
  for (guint i = 0; i < 4; i++)
    producer_init (&producers[i], d);
  thread = driver_thread_start (add_and_remove, &meddler);
  driver_run_until (d, stopped, &meddler, 15000);
  driver_thread_join (thread);
  driver_settle (d);
  for (guint i = 0; i < 4; i++)
    producer_stop (&producers[i]);
  driver_assert_polling_at_rest (d);
  producer_stop (&own);
}

/* While home polls for an hour: whatever another thread does ends that. */
static void
add_readable (gpointer data)
{
  Producer *producer = data;

  producer_kick (producer);
  producer_watch (producer);
}

static void
set_off (gpointer data)
{
  driver_set_poll_params (((Producer *) data)->d, 0);
}

static void
arm_timer (gpointer data)
{
  Producer *producer = data;

  aio_context_schedule_oneshot (producer->d->ctx, driver_count, &producer->data);
}

static void (*foreign) (gpointer data);

static void
start_when_polled (Producer *producer)
{
  if (producer->asked == 3)
    driver_on_thread (foreign, producer->other);
}

static void
polling_is_ended (Driver *d)
{
  void (*all[]) (gpointer data) = { add_readable, set_off, arm_timer };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    {
      Producer producer, other;

      producer_start (&producer, d);
      producer_init (&other, d);
      producer_enter_poll_mode (&producer);
      producer_set_ns (&producer, 3600 * G_GINT64_CONSTANT (1000000000));
      producer.asked = 0;
      producer.other = &other;
      producer.on_poll = start_when_polled;
      foreign = all[i];
      driver_poll (d->ctx, TRUE);
      g_assert_cmpint (producer.asked, >=, 3);
      producer.on_poll = NULL;
      driver_poll (d->ctx, FALSE);
      if (i == 0)
        g_assert_cmpint (other.reads, ==, 1);
      if (i == 1)
        g_assert_cmpint (driver_stats (d).poll_ns, ==, 0);
      if (i == 2)
        g_assert_cmpint (other.data, ==, 1);
      producer_stop (&other);
      producer_stop (&producer);
    }
}

/* Parameters set by another thread end a wait. */
static void
parameters_end_a_wait (Driver *d)
{
  Producer producer;
  gboolean reached;

  producer_start (&producer, d);
  driver_interleave (d, AIO_POINT_POLL_AFTER_NOTIFY_ME, 0, set_off, &producer, &reached);
  g_assert_false (driver_poll (d->ctx, TRUE));
  g_assert_true (reached);
  driver_interleave (d, AIO_POINT_POLL_BEFORE_WAIT, 0, set_off, &producer, &reached);
  g_assert_false (driver_poll (d->ctx, TRUE));
  g_assert_true (reached);
  aio_test_set_hook (d->ctx, NULL, NULL);
  producer_stop (&producer);
}

/* An event and its kick at each point on the way to sleep, as its producer makes it. */
static void
event_from_thread (gpointer data)
{
  producer_event (data);
}

static void
event_at_each_point (Driver *d)
{
  static const AioPoint points[] = { AIO_POINT_POLL_AFTER_TIMEOUT, AIO_POINT_POLL_AFTER_NOTIFY_ME,
                                     AIO_POINT_POLL_BEFORE_WAIT,   AIO_POINT_POLL_AFTER_WAIT,
                                     AIO_POINT_POLL_AFTER_ACCEPT,  AIO_POINT_POLL_AFTER_BH,
                                     AIO_POINT_POLL_AFTER_DISPATCH };
  static const AioPoint glib_points[] = { AIO_POINT_GS_PREPARE_AFTER_BIT, AIO_POINT_GS_PREPARE_AFTER_TIMEOUT };
  Producer producer;

  producer_start (&producer, d);
  for (guint i = 0; i < G_N_ELEMENTS (points) + G_N_ELEMENTS (glib_points); i++)
    {
      gboolean glib = i >= G_N_ELEMENTS (points);
      int served, fired = 0;
      gboolean reached;
      AioTimer *timer;

      if (glib && d->kind == DRIVER_POLL)
        break;
      producer_enter_poll_mode (&producer);
      served = producer.served;
      timer = driver_deadline_new (d, 2000000, &fired);
      driver_interleave (d, glib ? glib_points[i - G_N_ELEMENTS (points)] : points[i], 0, event_from_thread, &producer,
                         &reached);
      if (glib)
        while (!reached)
          g_main_context_iteration (d->main_context, TRUE);
      else
        while (!reached)
          driver_poll (d->ctx, TRUE);
      for (guint turn = 0; turn < 3 && producer.served == served; turn++)
        {
          aio_timer_mod_ns (timer, aio_clock_get_ns (aio_clock_get (AIO_CLOCK_REALTIME)) + 2000000);
          driver_turn (d, TRUE);
        }
      g_assert_cmpint (producer.served, ==, served + 1);
      aio_test_set_hook (d->ctx, NULL, NULL);
      aio_timer_free (timer);
      driver_settle (d);
    }
  producer_stop (&producer);
}

/*
 * A handler whose functions another thread replaces is among the changes while the monitor is changed: it is taken
 * over once.
 */
static void
replace_functions (gpointer data)
{
  Producer *producer = data;

  aio_context_set_fd_poll (producer->d->ctx, producer->fd, paired_begin, paired_end);
}

static void
functions_replaced_while_the_monitor_changes (Driver *d)
{
  const guint n = 40;
  EventFd *eventfds = eventfds_new (n);
  Producer producer;
  gboolean reached;

  producer_start (&producer, d);
  for (guint round = 0; round < 3; round++)
    {
      g_assert_cmpint (aio_context_get_monitor (d->ctx), ==, AIO_MONITOR_POLL);
      eventfds_watch (d, eventfds, 0, n);
      driver_interleave (d, AIO_POINT_FDMON_BEFORE_UPDATE, 0, replace_functions, &producer, &reached);
      driver_settle (d);
      g_assert_true (reached);
      eventfds_assert_all_called (d, eventfds, n, 2);
      eventfds_unwatch (d, eventfds, 0, n);
      driver_interleave (d, AIO_POINT_FDMON_BEFORE_UPDATE, 0, replace_functions, &producer, &reached);
      driver_settle (d);
      g_assert_true (reached);
      producer_kick (&producer);
      driver_turn (d, TRUE);
      driver_turn (d, FALSE);
      g_assert_cmpint (producer.reads, ==, (int) round + 1);
    }
  aio_test_set_hook (d->ctx, NULL, NULL);
  producer_stop (&producer);
  eventfds_free (eventfds, n);
}

/* A nested poll in an end function that runs inside a wait: one that does not block, as poll mode goes on. */
static int nested_fired;

static void
poll_and_take (Producer *producer)
{
  aio_context_schedule_oneshot (producer->d->ctx, driver_count, &nested_fired);
  driver_poll (producer->d->ctx, FALSE);
}

static void
ended_inside_a_wait (Driver *d)
{
  Producer producer, other;
  gboolean reached;

  producer_start (&producer, d);
  producer_start (&other, d);
  producer_enter_poll_mode (&producer);
  nested_fired = 0;
  producer.event = TRUE; /* so that poll mode goes on */
  producer.on_end = poll_and_take;
  producer.hot = TRUE;
  driver_interleave (d, AIO_POINT_POLL_BEFORE_WAIT, 0, replace_functions, &producer, &reached);
  driver_poll (d->ctx, TRUE);
  g_assert_true (reached);
  aio_test_set_hook (d->ctx, NULL, NULL);
  producer.hot = producer.event = FALSE;
  driver_settle (d);
  g_assert_cmpint (nested_fired, >=, 1);
  producer.on_end = NULL;
  producer_stop (&other);
  producer_stop (&producer);
}

static void
add_tests (void)
{
  driver_add ("polling-threads", "E16-functions-replaced", functions_replaced_by_another_thread);
  driver_add ("polling-threads", "handlers-added-and-removed", handlers_of_another_thread);
  driver_add_for (DRIVER_POLL | DRIVER_MIXED, "polling-threads", "polling-is-ended", polling_is_ended);
  driver_add ("polling-threads", "parameters-end-a-wait", parameters_end_a_wait);
  driver_add ("polling-threads", "event-at-each-point", event_at_each_point);
  driver_add_monitor (AIO_MONITOR_AUTO, "polling-threads", "functions-replaced-while-the-monitor-changes",
                      functions_replaced_while_the_monitor_changes);
  driver_add ("polling-threads", "ended-inside-a-wait", ended_inside_a_wait);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
