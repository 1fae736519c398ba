/* SPDX-License-Identifier: MIT */
#include "producer.h"

/* Polls, iterations and ends of the context inside the functions that polling calls. */

static void
poll_nested (Producer *producer)
{
  driver_poll (producer->d->ctx, FALSE);
}

/* A blocking poll that a timer ends. */
static void
block_nested (Producer *producer)
{
  int fired = 0;
  AioTimer *timer;

  if (producer->data-- <= 0)
    return;
  timer = driver_deadline_new (producer->d, 200000, &fired);
  while (fired == 0)
    driver_poll (producer->d->ctx, TRUE);
  aio_timer_free (timer);
}

/* C1: its poll function still says yes while it is called. */
static void
ready_is_not_nested (Driver *d)
{
  Producer hot;

  producer_start (&hot, d);
  producer_enter_poll_mode (&hot);
  hot.hot = hot.event = TRUE;
  hot.on_ready = poll_nested;
  for (int i = 0; i < 10; i++)
    driver_poll (d->ctx, TRUE);
  g_assert_cmpint (hot.found, ==, 11);
  g_assert_cmpint (hot.max_depth, ==, 1);
  hot.hot = hot.event = FALSE;
  hot.on_ready = NULL;
  driver_settle (d);
  driver_assert_polling_at_rest (d);
  producer_stop (&hot);
}

/* C1: the same with a read callback that leaves its file descriptor as it is, and with both at once. */
static void
read_is_nested_so_deep (Driver *d)
{
  Producer producer;

  producer_start (&producer, d);
  driver_set_poll_params (d, 1000000);
  producer.undrained = TRUE;
  producer.on_read = poll_nested;
  producer_kick (&producer);
  g_assert_true (driver_turn (d, TRUE));
  g_assert_cmpint (producer.max_depth, ==, AIO_HANDLER_MAX_DEPTH);
  producer.hot = producer.event = TRUE;
  producer.on_ready = poll_nested;
  producer.max_depth = 0;
  driver_turn (d, TRUE);
  driver_turn (d, TRUE);
  g_assert_cmpint (producer.max_depth, <=, AIO_HANDLER_MAX_DEPTH + 1);
  producer.on_read = producer.on_ready = NULL;
  producer.hot = producer.event = producer.undrained = FALSE;
  driver_settle (d);
  driver_assert_polling_at_rest (d);
  producer_stop (&producer);
}

/* C2: what an outer poll has found is called once, by the nested poll. */
static void
found_once (Driver *d)
{
  Producer producers[3];
  int total = 0;

  for (guint i = 0; i < 3; i++)
    producer_start (&producers[i], d);
  driver_settle (d);
  for (guint i = 0; i < 3; i++)
    {
      producers[i].on_ready = poll_nested;
      producers[i].event = TRUE;
    }
  g_assert_true (driver_poll (d->ctx, FALSE));
  for (guint i = 0; i < 3; i++)
    {
      g_assert_cmpint (producers[i].found, ==, 1);
      total += producers[i].max_depth;
      producers[i].on_ready = NULL;
    }
  g_assert_cmpint (total, ==, 3);
  driver_assert_polling_at_rest (d);
  for (guint i = 0; i < 3; i++)
    producer_stop (&producers[i]);
}

/* Each of the functions with each kind of nesting: polling ends paired, and no event is lost. */
static void
nest_in (Driver *d, guint place, void (*nested) (Producer *producer))
{
  Producer producer, other;
  void (**on[]) (Producer *) = { &producer.on_read, &producer.on_poll, &producer.on_ready, &producer.on_begin,
                                 &producer.on_end };
  int fired = 0;
  AioTimer *timer;

  producer_start (&producer, d);
  producer_start (&other, d);
  producer_enter_poll_mode (&producer);
  producer.data = 40;
  *on[place] = nested;
  for (int i = 0; i < 5; i++)
    {
      int served = producer.served + other.served;

      producer_event (&producer);
      producer_event (&other);
      timer = driver_deadline_new (d, 300000, &fired);
      fired = 0;
      driver_run_until_count (d, &fired, 1, 10000);
      aio_timer_free (timer);
      driver_settle (d);
      g_assert_cmpint (producer.served + other.served, ==, served + 2);
    }
  *on[place] = NULL;
  driver_settle (d);
  driver_assert_polling_at_rest (d);
  g_assert_cmpint (producer.begins, >, 0);
  producer_stop (&other);
  producer_stop (&producer);
}

static void
event_of_the_other_then_block (Producer *producer)
{
  Producer *other = producer->other;

  if (producer->data-- <= 0)
    return;
  driver_set_poll_params (producer->d, 0);
  g_assert_cmpint (other->begins, ==, other->ends + 1);
  producer_event (other); /* which kicks nobody, for it is polled */
  g_assert_true (driver_poll (producer->d->ctx, TRUE));
  g_assert_cmpint (other->served, ==, 1);
}

/* Poll mode is over, but the other one is not told yet: what is nested there tells it, and looks, before it sleeps. */
static void
an_end_does_not_sleep_over_another (Driver *d)
{
  Producer producer, other;
  AioTimer *backstop;
  int fired = 0;

  producer_start (&producer, d);
  producer_start (&other, d);
  producer_enter_poll_mode (&producer);
  backstop = driver_deadline_new (d, 5000000000, &fired);
  producer.other = &other;
  producer.data = 1;
  producer.on_end = event_of_the_other_then_block;
  driver_poll (d->ctx, TRUE);
  g_assert_cmpint (producer.data, <=, 0);
  g_assert_cmpint (fired, ==, 0);
  producer.on_end = NULL;
  aio_timer_free (backstop);
  driver_settle (d);
  driver_assert_polling_at_rest (d);
  producer_stop (&other);
  producer_stop (&producer);
}

static void
nested_polls (Driver *d)
{
  for (guint place = 0; place < 5; place++)
    nest_in (d, place, poll_nested);
}

static void
nested_blocking_polls (Driver *d)
{
  for (guint place = 0; place < 5; place++)
    nest_in (d, place, block_nested);
}

static void
iterate_nested (Producer *producer)
{
  if (producer->data-- > 0)
    g_main_context_iteration (producer->d->main_context, FALSE);
}

static void
nested_iterations (Driver *d)
{
  /* The others run in prepare, where GLib allows no iteration. */
  nest_in (d, 0, iterate_nested);
  nest_in (d, 2, iterate_nested);
}

/* An event that came while the handler was busy and told that it is polled, before a nested poll ended that. */
static void
event_then_block (Producer *producer)
{
  void (*on_poll) (Producer *) = producer->on_poll;

  if (producer->data <= 0)
    return;
  producer->event = TRUE;
  g_assert_cmpint (producer->begins, ==, producer->ends + 1);
  producer->on_poll = NULL;
  block_nested (producer);
  producer->on_poll = on_poll;
  g_assert_cmpint (producer->begins, ==, producer->ends);
}

static void
event_of_a_busy_handler (Driver *d)
{
  Producer producer;
  int fds[2], reads = 0;

  driver_pipe (fds);
  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  producer.on_ready = event_then_block;
  producer.data = 1;
  producer_event (&producer);
  g_assert_true (driver_poll (d->ctx, TRUE));
  g_assert_true (producer.event);
  /* Nothing is polled for a while any more: nothing but what is owed to it has it asked. */
  driver_watch (d, fds[0], driver_count_read, &reads);
  g_assert_true (driver_turn (d, TRUE));
  g_assert_cmpint (producer.served, ==, 3);
  driver_unwatch (d, fds[0]);
  driver_close_pair (fds);
  producer_stop (&producer);
}

/* The answer of a poll function that was interrupted is too old. */
static gboolean
poll_with_an_old_answer (int fd G_GNUC_UNUSED, gpointer data)
{
  Producer *producer = data;
  gboolean answer = producer->event;

  if (producer->data == 1)
    {
      producer->event = TRUE;
      block_nested (producer);
      g_assert_cmpint (producer->begins, ==, producer->ends);
    }
  return answer;
}

static void
event_while_it_is_asked (Driver *d)
{
  Producer producer;

  producer_init (&producer, d);
  producer.funcs.poll = poll_with_an_old_answer;
  producer_watch (&producer);
  producer_enter_poll_mode (&producer);
  producer.data = 1;
  driver_turn (d, TRUE);
  g_assert_cmpint (producer.served, ==, 2);
  producer_stop (&producer);
}

/* Each blocking poll in an end function ends polling, but not of the handler whose function it is. */
static int end_depth;

static void
block_in_end (Producer *producer)
{
  producer_set_ns (producer, 1000);
  g_assert_cmpint (end_depth++, ==, 0);
  producer->data = 1;
  block_nested (producer);
  end_depth--;
}

/* Nor is it asked, or told of an end, between the two. */
static void
poll_in_begin (Producer *producer)
{
  int asked = producer->asked;

  driver_poll (producer->d->ctx, FALSE);
  g_assert_cmpint (producer->asked, ==, asked);
}

static void
not_asked_in_begin_and_end (Driver *d)
{
  Producer producer;
  int fired = 0;
  AioTimer *timer;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  producer.on_begin = poll_in_begin;
  producer.on_end = block_in_end;
  for (guint i = 0; i < 3; i++)
    {
      producer_set_ns (&producer, 1000);
      fired = 0;
      timer = driver_deadline_new (d, 1000000, &fired);
      driver_run_until_count (d, &fired, 1, 5000);
      aio_timer_free (timer);
    }
  g_assert_cmpint (producer.ends, >=, 1);
  producer.on_begin = producer.on_end = NULL;
  driver_settle (d);
  driver_assert_polling_at_rest (d);
  producer_stop (&producer);
}

/* A notification that a nested poll takes was meant for the outer one. */
static void
notify_and_take (Producer *producer)
{
  if (producer->data-- <= 0)
    return;
  aio_context_notify (producer->d->ctx);
  driver_poll (producer->d->ctx, FALSE);
}

static void
notification_taken_by_a_nested_poll (Driver *d)
{
  Producer producer;

  producer_start (&producer, d);
  producer_enter_poll_mode (&producer);
  producer_set_ns (&producer, 1000000);
  producer.data = 1;
  producer.on_poll = notify_and_take;
  g_assert_false (driver_poll (d->ctx, TRUE)); /* or it would sleep for ever */
  producer_set_ns (&producer, 1000);
  producer.data = 1;
  producer.on_end = notify_and_take;
  producer.on_poll = NULL;
  g_assert_false (driver_poll (d->ctx, TRUE));
  producer_stop (&producer);
}

/* What is armed in a poll function is in the timeout. */
static AioTimer *armed;

static void
arm_timer (Producer *producer)
{
  if (producer->data-- != 1)
    return;
  aio_timer_mod_ns (armed, aio_clock_get_ns (aio_clock_get (AIO_CLOCK_REALTIME)) + 1000000);
}

static void
work_made_while_polling (Driver *d)
{
  Producer producer;
  int fired = 0;
  void (**on[]) (Producer *) = { &producer.on_poll, &producer.on_begin, &producer.on_end };

  armed = aio_timer_new (d->ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_NS, driver_count, &fired);
  for (guint i = 0; i < G_N_ELEMENTS (on); i++)
    {
      producer_start (&producer, d);
      producer_enter_poll_mode (&producer);
      fired = 0;
      producer.data = 1;
      *on[i] = arm_timer;
      if (i == 1 || (i == 0 && d->kind == DRIVER_GLIB))
        {
          int other = 0;
          AioTimer *timer = driver_deadline_new (d, 300000, &other);

          driver_run_until_count (d, &other, 1, 5000);
          aio_timer_free (timer);
          producer_event (&producer);
          driver_poll (d->ctx, TRUE);
          producer.event = TRUE;
          driver_poll (d->ctx, TRUE);
        }
      driver_run_until_count (d, &fired, 1, 5000);
      producer_stop (&producer);
    }
  aio_timer_free (armed);
}

/* H5: a handler that is held back is not asked, and what it owes is not lost. */
static void
external_is_not_asked (Driver *d)
{
  Producer producer, other;
  int fired = 0, asked;
  AioTimer *timer;

  producer_init (&producer, d);
  producer.funcs.external = TRUE;
  producer_watch (&producer);
  producer_start (&other, d);
  producer_enter_poll_mode (&producer);

  /* An event that it was told not to kick for. */
  producer_event (&producer);
  aio_context_disable_external (d->ctx);
  asked = producer.asked;
  timer = driver_deadline_new (d, 1000000, &fired);
  driver_run_until_count (d, &fired, 1, 5000);
  for (guint i = 0; i < 5; i++)
    driver_turn (d, FALSE);
  g_assert_cmpint (producer.asked, ==, asked);
  g_assert_cmpint (producer.begins, ==, producer.ends);
  aio_timer_free (timer);

  g_assert_true (aio_context_set_poll_params (d->ctx, 0, 0, 0, NULL));
  g_assert_true (aio_context_enable_external (d->ctx, NULL));
  for (guint i = 0; i < 2 && producer.served == 1; i++)
    driver_turn (d, TRUE);
  g_assert_cmpint (producer.served, ==, 2);
  producer_stop (&other);
  producer_stop (&producer);
}

/* Held back between the find and the call. */
static void
disable (Producer *producer)
{
  aio_context_disable_external (producer->d->ctx);
}

/*
 * A wait nested in the end of one has poll mode begin anew, finds what is held back from then on, and returns with nothing
 * to show for it. Whom it has begun is told before the outer one sleeps.
 */
static void
poll_then_find_nothing (Producer *producer)
{
  Producer *held = producer->other;

  if (producer->data-- <= 0)
    return;
  held->event = TRUE;
  held->on_poll = disable;
  g_assert_false (driver_poll (producer->d->ctx, TRUE));
  g_assert_true (producer->d->ctx->poll_started);
}

static void
event_that_needs_no_kick (gpointer data)
{
  producer_event (data);
}

static void
an_end_has_poll_mode_begin_anew (Driver *d)
{
  Producer first, producer, held;
  AioTimer *backstop;
  gboolean reached;
  int fired = 0;

  producer_start (&first, d);
  producer_start (&producer, d);
  producer_init (&held, d);
  held.funcs.external = TRUE;
  producer_watch (&held);
  producer_enter_poll_mode (&first);
  producer_set_ns (&first, 100000);
  backstop = driver_deadline_new (d, 5000000000, &fired);
  producer.other = &held;
  producer.data = 1;
  producer.on_end = poll_then_find_nothing;
  driver_interleave (d, AIO_POINT_POLL_BEFORE_WAIT, 1, event_that_needs_no_kick, &first, &reached);
  for (guint i = 0; i < 3 && first.served < 2; i++)
    driver_poll (d->ctx, TRUE);
  g_assert_true (reached);
  g_assert_cmpint (producer.data, <=, 0);
  g_assert_cmpint (first.served, ==, 2);
  g_assert_cmpint (fired, ==, 0);
  aio_timer_free (backstop);
  held.on_poll = NULL;
  g_assert_true (aio_context_enable_external (d->ctx, NULL));
  driver_settle (d);
  driver_assert_polling_at_rest (d);
  producer_stop (&held);
  producer_stop (&producer);
  producer_stop (&first);
}

static void
external_is_held_back_after_the_find (Driver *d)
{
  Producer producer, other;

  producer_start (&other, d);
  producer_init (&producer, d);
  producer.funcs.external = TRUE;
  producer_watch (&producer);
  other.event = producer.event = TRUE;
  other.on_ready = disable;
  producer.on_poll = NULL;
  g_assert_true (driver_poll (d->ctx, FALSE));
  g_assert_cmpint (other.found, ==, 1);
  g_assert_cmpint (producer.found, ==, 0);
  g_assert_true (producer_handler (&producer)->polling->found);
  for (guint i = 0; i < 3; i++)
    g_assert_false (driver_turn (d, FALSE));
  producer.event = FALSE; /* the find is what counts */
  g_assert_true (aio_context_enable_external (d->ctx, NULL));
  for (guint i = 0; i < 2 && producer.found == 0; i++)
    driver_turn (d, TRUE);
  g_assert_cmpint (producer.found, ==, 1);
  producer_stop (&producer);
  producer_stop (&other);
}

/* Enabled when the wait has looked, and before it takes note of that. */
static void
enable (gpointer data)
{
  Driver *d = data;

  g_assert_true (aio_context_enable_external (d->ctx, NULL));
}

/* What it has found is to be called once it is not held back any more; by a poll() that the notification does not end. */
static void
is_enabled_at (Driver *d, AioPoint point, gboolean (*drive) (Driver *d))
{
  Producer producer, other;
  gboolean reached;

  producer_start (&other, d);
  producer_init (&producer, d);
  producer.funcs.external = TRUE;
  producer_watch (&producer);
  other.event = producer.event = TRUE;
  other.on_ready = disable;
  g_assert_true (driver_poll (d->ctx, FALSE));
  g_assert_cmpint (producer.found, ==, 0);
  g_assert_true (producer_handler (&producer)->polling->found);
  producer.event = FALSE;
  driver_interleave (d, point, 0, enable, d, &reached);
  drive (d);
  g_assert_true (reached);
  for (guint i = 0; i < 2 && producer.found == 0; i++)
    driver_poll (d->ctx, TRUE);
  g_assert_cmpint (producer.found, ==, 1);
  producer_stop (&producer);
  producer_stop (&other);
}

static gboolean
look_once (Driver *d)
{
  return driver_poll (d->ctx, FALSE);
}

static gboolean
iterate_once (Driver *d)
{
  return g_main_context_iteration (d->main_context, FALSE);
}

static void
external_is_enabled_after_the_wait (Driver *d)
{
  is_enabled_at (d, AIO_POINT_POLL_AFTER_WAIT, look_once);
}

static void
external_is_enabled_after_prepare (Driver *d)
{
  is_enabled_at (d, AIO_POINT_GS_PREPARE_AFTER_TIMEOUT, iterate_once);
}

static void
add_tests (void)
{
  driver_add ("polling-nested", "D8-an-end-does-not-sleep-over-another", an_end_does_not_sleep_over_another);
  driver_add ("polling-nested", "D8-an-end-has-poll-mode-begin-anew", an_end_has_poll_mode_begin_anew);
  driver_add ("polling-nested", "C1-ready-is-not-nested", ready_is_not_nested);
  driver_add ("polling-nested", "C1-read-is-nested-so-deep", read_is_nested_so_deep);
  driver_add ("polling-nested", "C2-found-once", found_once);
  driver_add ("polling-nested", "polls", nested_polls);
  driver_add ("polling-nested", "blocking-polls", nested_blocking_polls);
  driver_add_for (DRIVER_ATTACHED, "polling-nested", "iterations", nested_iterations);
  driver_add ("polling-nested", "event-of-a-busy-handler", event_of_a_busy_handler);
  driver_add_for (DRIVER_POLL, "polling-nested", "event-while-it-is-asked", event_while_it_is_asked);
  driver_add ("polling-nested", "not-asked-in-begin-and-end", not_asked_in_begin_and_end);
  driver_add ("polling-nested", "notification-taken-by-a-nested-poll", notification_taken_by_a_nested_poll);
  driver_add ("polling-nested", "work-made-while-polling", work_made_while_polling);
  driver_add ("polling-nested", "H5-external-is-not-asked", external_is_not_asked);
  driver_add ("polling-nested", "external-held-back-after-the-find", external_is_held_back_after_the_find);
  driver_add ("polling-nested", "external-enabled-after-the-wait", external_is_enabled_after_the_wait);
  driver_add_for (DRIVER_ATTACHED, "polling-nested", "external-enabled-after-prepare",
                  external_is_enabled_after_prepare);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
