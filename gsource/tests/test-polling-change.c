/* SPDX-License-Identifier: MIT */
#include "producer.h"

#include <fcntl.h>
#include <unistd.h>

/* Handlers that are removed and replaced, and functions that are replaced, while they are polled. */

/* D3 */
static void
removed_in_poll_mode (Driver *d)
{
  AioSnapshot *snapshot;
  Producer producer;
  AioTimer *timer;
  int fired = 0;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  producer_unwatch (&producer);
  g_assert_cmpint (producer.ends, ==, 1);
  g_assert_cmpint (producer.destroyed, ==, 1);
  g_assert_true (pthread_equal (producer.ended_on, pthread_self ()));
  g_assert_cmpint (driver_stats (d).poll_ns, ==, 0);
  /* Nobody is polled, and the thread sleeps. */
  timer = driver_deadline_new (d, 1000000, &fired);
  driver_run_until_count (d, &fired, 1, 5000);
  snapshot = aio_context_inspect (d->ctx);
  g_assert_false (snapshot->poll_started);
  aio_snapshot_free (snapshot);
  aio_timer_free (timer);
  producer_stop (&producer);
  g_assert_cmpint (producer.ends, ==, 1);
}

static void
replaced_in_poll_mode (Driver *d)
{
  Producer producer;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  producer_watch (&producer);
  g_assert_cmpint (producer.ends, ==, 1);
  producer.event = TRUE;
  g_assert_true (driver_poll (d->ctx, FALSE));
  g_assert_cmpint (producer.found, ==, 2);
  g_assert_cmpint (producer.begins, ==, 2);
  g_assert_cmpint (producer.ends, ==, 1);
  producer_stop (&producer);
  g_assert_cmpint (producer.ends, ==, 2);
}

/* The event comes while the producer is told to spare its kicks, and its handler goes before anybody looks. */
static void
replaced_with_an_event (Driver *d)
{
  for (int removed = 0; removed < 2; removed++)
    {
      Producer producer;

      producer_start (&producer, d);
      producer_enter_poll_mode (&producer);
      producer_event (&producer);
      if (removed)
        producer_unwatch (&producer);
      producer_watch (&producer);
      driver_run_until_count (d, &producer.served, 2, 5000);
      producer_stop (&producer);
    }
}

static void
event_of_other (Producer *producer)
{
  producer->on_end = NULL;
  producer_event (producer->other);
}

static void
replace_other_after_end (Producer *producer)
{
  if (producer->on_end)
    return;
  producer->on_poll = NULL;
  producer_watch (producer->other);
}

/* The last look, which is after the ends, has passed it then. */
static void
replaced_in_the_last_look (Driver *d)
{
  Producer producers[2];

  for (int i = 0; i < 2; i++)
    producer_start (&producers[i], d);
  for (int i = 0; i < 2; i++)
    producer_enter_poll_mode (&producers[i]);
  producers[0].other = &producers[1];
  producers[0].on_end = event_of_other;
  producers[0].on_poll = replace_other_after_end;
  driver_run_until_count (d, &producers[1].served, 2, 5000);
  g_assert_null (producers[0].on_poll);
  for (int i = 0; i < 2; i++)
    producer_stop (&producers[i]);
}

static void
closed_in_poll_mode (Driver *d)
{
  Producer producer;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  g_assert_true (aio_context_close (d->ctx, NULL));
  g_assert_cmpint (producer.ends, ==, 1);
  producer_stop (&producer);
}

static void
unref_it (gpointer data)
{
  aio_context_unref (data);
}

static void
finalized_in_poll_mode (Driver *d)
{
  for (guint foreign = 0; foreign < 2; foreign++)
    {
      Driver own = { .kind = DRIVER_POLL };
      Producer producer;
      AioContext *ctx = own.ctx = aio_context_new_full ("own", aio_context_get_monitor (d->ctx), NULL);

      producer_start (&producer, &own);
      producer_enter_poll_mode (&producer);
      driver_expect_warning ("*was not removed when the context ended*");
      own.ctx = NULL;
      if (foreign)
        driver_on_thread (unref_it, ctx);
      else
        aio_context_unref (ctx);
      g_assert_cmpint (producer.ends, ==, 1);
      g_assert_cmpint (pthread_equal (producer.ended_on, pthread_self ()) != 0, ==, !foreign);
      g_assert_cmpint (producer.destroyed, ==, 1);
      producer_stop (&producer);
    }
}

static void
remove_it (gpointer data)
{
  producer_unwatch (data);
}

/* Ended by home, before it waits again. */
static void
removed_by_another_thread (Driver *d)
{
  Producer producer;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  driver_on_thread (remove_it, &producer);
  g_assert_cmpint (producer.ends, ==, 0);
  driver_turn (d, TRUE);
  g_assert_cmpint (producer.ends, ==, 1);
  g_assert_true (pthread_equal (producer.ended_on, pthread_self ()));
  g_assert_cmpint (producer.destroyed, ==, 1);
  producer_stop (&producer);
}

/* The file descriptor dies: poll(2) tells. */
static int n_errors;

static void
note_error (int fd G_GNUC_UNUSED, const GError *error, gpointer data G_GNUC_UNUSED)
{
  g_assert_error (error, AIO_ERROR, AIO_ERROR_SYSTEM);
  n_errors++;
}

static void
died_in_poll_mode (Driver *d)
{
  for (guint removed_at_end = 0; removed_at_end < 2; removed_at_end++)
    {
      Producer producer;
      int fd;

      producer_init (&producer, d);
      producer.funcs.error = note_error;
      producer_watch (&producer);
      producer_enter_poll_mode (&producer);
      fd = fcntl (producer.fd, F_DUPFD_CLOEXEC, 500);
      g_assert_no_errno (close (producer.fd));
      if (removed_at_end)
        producer.on_end = producer_unwatch;
      n_errors = 0;
      for (guint i = 0; i < 3; i++)
        driver_turn (d, FALSE);
      g_assert_cmpint (producer.ends, ==, 1);
      g_assert_cmpint (n_errors, ==, !removed_at_end);
      g_assert_cmpint (driver_stats (d).poll_ns, ==, 0);
      producer.event = TRUE;
      g_assert_false (driver_poll (d->ctx, FALSE));
      producer.on_end = NULL;
      g_assert_no_errno (dup3 (fd, producer.fd, O_CLOEXEC));
      g_assert_no_errno (close (fd));
      producer_stop (&producer);
    }
}

/* E1: changes in each of the functions, of the handler itself and of another one. */
typedef enum {
  CHANGE_REMOVE,
  CHANGE_REPLACE,
  CHANGE_REMOVE_AND_ADD,
  CHANGE_FUNCTIONS,
  N_CHANGES,
} Change;

static Change change;

static void
functions_begin (int fd, gpointer data)
{
  producer_funcs.poll_begin (fd, data);
}

static void
functions_end (int fd, gpointer data)
{
  producer_funcs.poll_end (fd, data);
}

static void
make_change (Producer *producer)
{
  Producer *changed = producer->other;

  if (producer->data-- <= 0)
    return;
  switch (change)
    {
    case CHANGE_REMOVE:
      producer_unwatch (changed);
      break;
    case CHANGE_REPLACE:
      producer_watch (changed);
      break;
    case CHANGE_REMOVE_AND_ADD:
      producer_unwatch (changed);
      producer_watch (changed);
      break;
    case CHANGE_FUNCTIONS:
    case N_CHANGES:
      aio_context_set_fd_poll (changed->d->ctx, changed->fd, functions_begin, functions_end);
      break;
    }
}

static void
change_in (Driver *d, guint place, guint changed)
{
  Producer producers[3];
  Producer *producer = &producers[1];
  void (**on[]) (Producer *) = { &producer->on_read, &producer->on_poll, &producer->on_ready, &producer->on_begin,
                                 &producer->on_end };
  int fired = 0, registered = change == CHANGE_REPLACE || change == CHANGE_REMOVE_AND_ADD ? 2 : 1;
  AioTimer *timer;

  for (guint i = 0; i < 3; i++)
    producer_start (&producers[i], d);
  producer_enter_poll_mode (producer);
  producer->other = &producers[changed];
  producer->data = 1;
  *on[place] = make_change;
  for (guint round = 0; round < 3; round++)
    {
      if (producer_handler (producer))
        producer_set_ns (producer, 10000);
      for (guint i = 0; i < 3; i++)
        producer_event (&producers[i]);
      if (place == 0)
        producer_kick (producer);
      fired = 0;
      timer = driver_deadline_new (d, 2000000, &fired);
      driver_run_until_count (d, &fired, 1, 5000);
      aio_timer_free (timer);
      driver_settle (d);
    }
  if (place != 3 || d->kind == DRIVER_POLL) /* under GLib nothing begins */
    g_assert_cmpint (producer->data, <=, 0);
  for (guint i = 0; i < 3; i++)
    if (producer_handler (&producers[i]))
      g_assert_false (producers[i].event);
  if (change == CHANGE_REMOVE && producer->data <= 0)
    g_assert_cmpint (producers[changed].destroyed, ==, 1);
  driver_assert_polling_at_rest (d);
  for (guint i = 0; i < 3; i++)
    producer_stop (&producers[i]);
  if (producer->data <= 0)
    g_assert_cmpint (producers[changed].destroyed, ==, registered);
}

static void
changes_in_functions (Driver *d)
{
  for (change = 0; change < N_CHANGES; change++)
    for (guint place = 0; place < 5; place++)
      for (guint changed = 0; changed < 3; changed++)
        change_in (d, place, changed);
}

static void
changes_in_functions_with_need_wait (Driver *d)
{
  driver_give_need_wait (d);
  changes_in_functions (d);
}

/* E1 with exact counts: all are ready at once, and the first changes the rest. */
static void
change_next_when_ready (Driver *d)
{
  for (change = 0; change < N_CHANGES; change++)
    {
      Producer first, second;

      producer_start (&first, d);
      producer_start (&second, d);
      first.other = &second;
      first.data = 1;
      first.on_ready = make_change;
      first.event = second.event = TRUE;
      g_assert_true (driver_poll (d->ctx, FALSE));
      g_assert_cmpint (first.found, ==, 1);
      g_assert_cmpint (second.found, ==, change == CHANGE_FUNCTIONS);
      driver_poll (d->ctx, FALSE);
      g_assert_cmpint (second.found, ==, change != CHANGE_REMOVE);
      producer_stop (&second);
      producer_stop (&first);
    }
}

/* Many, while they are walked: holes are closed, new ones are asked from the next round on. */
static void
add_one (Producer *producer)
{
  if (producer->data-- > 0)
    producer_start (producer->other, producer->d);
}

static void
added_while_walked (Driver *d)
{
  Producer producers[40];

  for (guint i = 0; i < 20; i++)
    producer_start (&producers[i], d);
  for (guint i = 0; i < 20; i++)
    {
      producers[i].other = &producers[20 + i];
      producers[i].data = 1;
      producers[i].on_poll = add_one;
    }
  driver_poll (d->ctx, FALSE);
  for (guint i = 20; i < 40; i++)
    g_assert_cmpint (producers[i].asked, ==, 0);
  g_assert_cmpuint (d->ctx->poll_aio_handlers.n, ==, 40);
  for (guint i = 0; i < 20; i++)
    {
      producers[i].data = 1;
      producers[i].on_poll = i % 2 ? make_change : NULL;
      producers[i].other = &producers[(i * 7) % 40];
    }
  change = CHANGE_REMOVE;
  driver_poll (d->ctx, FALSE);
  driver_assert_polling_at_rest (d);
  change = CHANGE_REMOVE_AND_ADD;
  for (guint i = 0; i < 20; i++)
    producers[i].data = 1;
  driver_poll (d->ctx, FALSE);
  driver_assert_polling_at_rest (d);
  for (guint i = 0; i < 40; i++)
    producer_stop (&producers[i]);
  g_assert_cmpuint (d->ctx->poll_aio_handlers.n, ==, 0);
  g_assert_cmpuint (d->ctx->poll_aio_handlers.n_due, ==, 0);
}

/* The last one goes while it is polled for a long time. */
static void
last_one_removed_while_polled (Driver *d)
{
  Producer producer;
  int fired = 0;
  AioTimer *timer;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  producer_set_ns (&producer, 3600 * G_GINT64_CONSTANT (1000000000));
  producer.on_poll = producer_unwatch;
  timer = driver_deadline_new (d, 2000000, &fired);
  driver_run_until_count (d, &fired, 1, 10000);
  g_assert_cmpint (producer.asked, <, 5);
  aio_timer_free (timer);
  producer_stop (&producer);
}

static void
add_tests (void)
{
  driver_add ("polling-change", "D3-removed", removed_in_poll_mode);
  driver_add ("polling-change", "D3-replaced", replaced_in_poll_mode);
  driver_add ("polling-change", "D2-replaced-with-an-event", replaced_with_an_event);
  driver_add ("polling-change", "D2-replaced-in-the-last-look", replaced_in_the_last_look);
  driver_add ("polling-change", "D3-closed", closed_in_poll_mode);
  driver_add_for (DRIVER_POLL, "polling-change", "D3-finalized", finalized_in_poll_mode);
  driver_add ("polling-change", "D3-removed-by-another-thread", removed_by_another_thread);
  driver_add_monitor (AIO_MONITOR_POLL, "polling-change", "D3-died", died_in_poll_mode);
  driver_add ("polling-change", "E1-in-functions", changes_in_functions);
  driver_add ("polling-change", "E1-in-functions/need-wait", changes_in_functions_with_need_wait);
  driver_add ("polling-change", "E1-next-when-ready", change_next_when_ready);
  driver_add ("polling-change", "added-while-walked", added_while_walked);
  driver_add ("polling-change", "last-one-removed-while-polled", last_one_removed_while_polled);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
