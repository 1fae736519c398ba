/* SPDX-License-Identifier: MIT */
#include "producer.h"

#include <string.h>

/* set_fd_poll */

static int begins[2], ends[2];

static void
begin_0 (int fd G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  begins[0]++;
}

static void
end_0 (int fd G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  ends[0]++;
}

static void
begin_1 (int fd G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  begins[1]++;
}

static void
end_1 (int fd G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  ends[1]++;
}

static void
functions_replaced_in_poll_mode (Driver *d)
{
  Producer producer;

  memset (begins, 0, sizeof begins);
  memset (ends, 0, sizeof ends);
  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  aio_context_set_fd_poll (d->ctx, producer.fd, begin_0, end_0);
  g_assert_cmpint (producer.ends, ==, 1);
  g_assert_cmpint (begins[0], ==, 1);
  aio_context_set_fd_poll (d->ctx, producer.fd, begin_1, NULL);
  g_assert_cmpint (ends[0], ==, 1);
  g_assert_cmpint (begins[1], ==, 1);
  aio_context_set_fd_poll (d->ctx, producer.fd, NULL, end_1);
  g_assert_cmpint (ends[1], ==, 0);
  aio_context_set_fd_poll (d->ctx, producer.fd, NULL, NULL);
  g_assert_cmpint (ends[1], ==, 1);
  aio_context_set_fd_poll (d->ctx, 9999, begin_0, end_0);
  aio_context_set_fd_poll (d->ctx, -1, begin_0, end_0);
  producer_unwatch (&producer);
  aio_context_set_fd_poll (d->ctx, producer.fd, begin_0, end_0);
  g_assert_cmpint (begins[0], ==, 1);
  producer_stop (&producer);
}

/* The end function replaces the functions once more: the last ones stay. */
static void
end_and_replace (Producer *producer)
{
  aio_context_set_fd_poll (producer->d->ctx, producer->fd, begin_1, end_1);
}

static void
functions_replaced_in_end (Driver *d)
{
  Producer producer;

  memset (begins, 0, sizeof begins);
  memset (ends, 0, sizeof ends);
  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  producer.on_end = end_and_replace;
  aio_context_set_fd_poll (d->ctx, producer.fd, begin_0, end_0);
  g_assert_cmpint (begins[0], ==, 0);
  g_assert_cmpint (begins[1], ==, 1);
  producer_stop (&producer);
  g_assert_cmpint (ends[0], ==, 0);
  g_assert_cmpint (ends[1], ==, 1);
}

static void
removed_in_end_of_replaced_functions (Driver *d)
{
  Producer producer;

  memset (begins, 0, sizeof begins);
  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  producer.on_end = producer_unwatch;
  aio_context_set_fd_poll (d->ctx, producer.fd, begin_0, end_0);
  g_assert_cmpint (begins[0], ==, 0);
  g_assert_cmpint (producer.destroyed, ==, 1);
  producer.on_end = NULL;
  producer_stop (&producer);
}

/* Those of another handler, in the end that a close brings: it begins no more. */
static void
end_and_replace_of_other (Producer *producer)
{
  aio_context_set_fd_poll (producer->d->ctx, producer->other->fd, begin_0, end_0);
}

static void
functions_replaced_in_a_close (Driver *d)
{
  Producer producers[2];

  memset (begins, 0, sizeof begins);
  memset (ends, 0, sizeof ends);
  for (int i = 0; i < 2; i++)
    producer_start (&producers[i], d);
  producer_enter_poll_mode (&producers[0]);
  g_assert_cmpint (producers[1].begins, ==, producers[1].ends + 1);
  producers[0].on_end = end_and_replace_of_other;
  producers[0].other = &producers[1];
  g_assert_true (aio_context_close (d->ctx, NULL));
  g_assert_cmpint (producers[1].begins, ==, producers[1].ends);
  g_assert_cmpint (begins[0], ==, 0);
  g_assert_cmpint (ends[0], ==, 0);
  for (int i = 0; i < 2; i++)
    producer_stop (&producers[i]);
}

/* In each of its answers, as long as the wait polls: it is ended and begun each time, and asked once more when it ends. */
static void
poll_and_replace (Producer *producer)
{
  aio_context_set_fd_poll (producer->d->ctx, producer->fd, begin_0, end_0);
}

static void
functions_replaced_in_poll (Driver *d)
{
  Producer producer;
  AioTimer *timer;
  int fired = 0;

  memset (begins, 0, sizeof begins);
  memset (ends, 0, sizeof ends);
  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  producer.on_poll = poll_and_replace;
  timer = driver_deadline_new (d, 1000000, &fired);
  while (fired == 0)
    driver_poll (d->ctx, TRUE);
  aio_timer_free (timer);
  g_assert_cmpint (producer.ends, ==, 1);
  g_assert_cmpint (begins[0], >, 0);
  producer_stop (&producer);
  g_assert_cmpint (ends[0], ==, begins[0]);
}

/* What a producer has in memory is told although its file descriptor can be written all the time. */

static int writes;

static void
count_write (int fd G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  writes++;
}

static void
told_beside_write (Driver *d)
{
  Producer producer;

  writes = 0;
  producer_init (&producer, d);
  producer.funcs.read = NULL;
  producer.funcs.write = count_write;
  producer_watch (&producer);
  producer.event = TRUE;
  for (guint turn = 1; turn <= 3; turn++)
    g_assert_true (driver_poll (d->ctx, FALSE));
  g_assert_cmpint (producer.found, ==, 1);
  g_assert_cmpint (writes, >=, 1);
  producer_stop (&producer);
}

/* Held back by the callback before it, what poll has found is told afterwards: poll may not find it a second time. */

static void
disable_in_write (int fd G_GNUC_UNUSED, gpointer data)
{
  Producer *producer = data;

  if (writes++ > 0)
    return;
  aio_context_disable_external (producer->d->ctx);
  producer->event = producer->hot = FALSE;
}

static void
found_and_held_back_by_write (Driver *d)
{
  Producer producer;
  int asked = 0, found = 0;

  writes = 0;
  producer_init (&producer, d);
  producer.funcs.read = NULL;
  producer.funcs.write = disable_in_write;
  producer.funcs.external = TRUE;
  producer_watch (&producer);
  producer.event = producer.hot = TRUE;
  /* Not each pass looks at the file descriptor too. */
  for (guint turn = 0; turn < 4 && writes == 0; turn++)
    {
      asked = producer.asked;
      found = producer.found;
      driver_poll (d->ctx, FALSE);
    }
  g_assert_cmpint (writes, ==, 1);
  g_assert_cmpint (producer.asked, >, asked);
  g_assert_cmpint (producer.found, ==, found);
  driver_settle (d);
  g_assert_cmpint (producer.found, ==, found);

  g_assert_true (aio_context_enable_external (d->ctx, NULL));
  for (guint turn = 0; turn < 4; turn++)
    driver_turn (d, FALSE);
  g_assert_cmpint (producer.found, ==, found + 1);
  g_assert_cmpint (writes, >, 1);
  producer_stop (&producer);
}

static void
add_tests (void)
{
  driver_add ("polling-functions", "D2-told-beside-write", told_beside_write);
  driver_add ("polling-functions", "H3-found-and-held-back-by-write", found_and_held_back_by_write);
  driver_add ("polling-functions", "functions-in-poll-mode", functions_replaced_in_poll_mode);
  driver_add ("polling-functions", "functions-replaced-in-end", functions_replaced_in_end);
  driver_add ("polling-functions", "functions-replaced-in-a-close", functions_replaced_in_a_close);
  driver_add ("polling-functions", "functions-replaced-in-poll", functions_replaced_in_poll);
  driver_add ("polling-functions", "removed-in-end-of-replaced-functions", removed_in_end_of_replaced_functions);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
