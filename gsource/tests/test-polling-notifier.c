/* SPDX-License-Identifier: MIT */
#include "producer.h"

/* Event notifiers that are polled. */

typedef struct {
  AioNotifier *notifier;
  gboolean event;
  int called, asked, found, begins, ends, other_begins;
} Watched;

static void
watched_func (AioNotifier *notifier, gpointer data)
{
  Watched *watched = data;

  g_assert_true (notifier == watched->notifier);
  aio_notifier_test_and_clear (notifier);
  watched->called++;
}

static gboolean
watched_poll (AioNotifier *notifier, gpointer data)
{
  Watched *watched = data;

  g_assert_true (notifier == watched->notifier);
  watched->asked++;
  return watched->event;
}

static void
watched_ready (AioNotifier *notifier, gpointer data)
{
  Watched *watched = data;

  g_assert_true (notifier == watched->notifier);
  watched->event = FALSE;
  watched->found++;
}

static void
watched_begin (AioNotifier *notifier, gpointer data)
{
  Watched *watched = data;

  g_assert_true (notifier == watched->notifier);
  watched->begins++;
}

static void
watched_end (AioNotifier *notifier, gpointer data)
{
  Watched *watched = data;

  g_assert_true (notifier == watched->notifier);
  watched->ends++;
}

static void
other_begin (AioNotifier *notifier, gpointer data)
{
  Watched *watched = data;

  g_assert_true (notifier == watched->notifier);
  watched->other_begins++;
}

static void
fd_function (int fd G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  g_assert_not_reached ();
}

static void
not_of_a_notifier (AioNotifier *notifier G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
  g_assert_not_reached ();
}

static const AioNotifierHandler polled = {
  .func = watched_func,
  .poll = watched_poll,
  .poll_ready = watched_ready,
  .poll_begin = watched_begin,
  .poll_end = watched_end,
};

static void
watch (Driver *d, Watched *watched, const AioNotifierHandler *handler)
{
  g_assert_true (aio_context_set_event_notifier_full (d->ctx, watched->notifier, handler, watched, NULL, NULL));
}

static void
all_functions (Driver *d)
{
  Watched watched = { .notifier = aio_notifier_new (FALSE, NULL) };

  watch (d, &watched, &polled);
  g_assert_false (aio_context_poll_disabled (d->ctx));
  driver_set_poll_params (d, G_GINT64_CONSTANT (1000000000));
  aio_notifier_set (watched.notifier, NULL);
  g_assert_true (driver_turn (d, TRUE));
  g_assert_cmpint (watched.called, ==, 1);
  aio_notifier_set (watched.notifier, NULL);
  g_assert_true (driver_poll (d->ctx, TRUE));
  watched.event = TRUE;
  g_assert_true (driver_poll (d->ctx, TRUE));
  g_assert_cmpint (watched.found, ==, 1);
  g_assert_cmpint (watched.begins, ==, watched.ends + 1);
  watched.begins = 1;
  watched.ends = 0;

  /* Each kind of registration has its own functions; the other kind's would be called with the wrong arguments. */
  aio_context_set_fd_poll (d->ctx, aio_notifier_get_fd (watched.notifier), fd_function, fd_function);
  g_assert_cmpint (watched.ends, ==, 0);
  aio_context_set_event_notifier_poll (d->ctx, watched.notifier, other_begin, NULL);
  g_assert_cmpint (watched.ends, ==, 1);
  g_assert_cmpint (watched.other_begins, ==, 1);
  aio_context_set_event_notifier_poll (d->ctx, watched.notifier, watched_begin, watched_end);
  g_assert_cmpint (watched.begins, ==, 2);
  watch (d, &watched, NULL);
  g_assert_cmpint (watched.ends, ==, 2);
  aio_notifier_unref (watched.notifier);
}

static void
of_a_file_descriptor (Driver *d)
{
  Producer producer;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  aio_context_set_event_notifier_poll (d->ctx, producer.kick, not_of_a_notifier, not_of_a_notifier);
  g_assert_cmpint (producer.ends, ==, 0);
  producer_stop (&producer);
  g_assert_cmpint (producer.ends, ==, 1);
}

static void
only_polled (Driver *d)
{
  Watched watched = { .notifier = aio_notifier_new (TRUE, NULL) };
  AioNotifierHandler handler = polled;

  handler.func = NULL;
  watch (d, &watched, &handler);
  g_assert_false (driver_turn (d, FALSE));
  watched.event = TRUE;
  g_assert_true (driver_turn (d, FALSE));
  g_assert_cmpint (watched.found, ==, 1);
  /* Half a pair is none: without a function that is a removal. */
  handler.poll_ready = NULL;
  watch (d, &watched, &handler);
  g_assert_null (aio_context_get_handler (d->ctx, (guint) aio_notifier_get_fd (watched.notifier)));
  handler.func = watched_func;
  watch (d, &watched, &handler);
  g_assert_true (aio_context_poll_disabled (d->ctx));
  watch (d, &watched, NULL);
  aio_notifier_unref (watched.notifier);
}

static void
external (Driver *d)
{
  Watched watched = { .notifier = aio_notifier_new (FALSE, NULL) };
  AioNotifierHandler handler = polled;
  int asked;

  handler.external = TRUE;
  watch (d, &watched, &handler);
  driver_poll (d->ctx, FALSE);
  asked = watched.asked;
  g_assert_cmpint (asked, >, 0);
  aio_context_disable_external (d->ctx);
  watched.event = TRUE;
  for (guint i = 0; i < 5; i++)
    g_assert_false (driver_turn (d, FALSE));
  g_assert_cmpint (watched.asked, ==, asked);
  g_assert_true (aio_context_enable_external (d->ctx, NULL));
  driver_poll (d->ctx, FALSE);
  g_assert_cmpint (watched.found, ==, 1);
  watch (d, &watched, NULL);
  aio_notifier_unref (watched.notifier);
}

static void
add_tests (void)
{
  driver_add ("polling-notifier", "all-functions", all_functions);
  driver_add ("polling-notifier", "of-a-file-descriptor", of_a_file_descriptor);
  driver_add ("polling-notifier", "only-polled", only_polled);
  driver_add ("polling-notifier", "external", external);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
