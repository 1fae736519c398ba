/* SPDX-License-Identifier: MIT */
#include "driver.h"

/* A binding that runs bottom halves many at a time, and writes down how: "[" and "]" around each call. */

typedef struct {
  Driver *d;
  GString *log;
  GQueue rest; /* of Item */
  AioBh *other;
  void (*then) (gpointer binding); /* what the first does after its letter */
} Binding;

typedef struct {
  Binding *binding;
  char letter;
  AioBh *bh;
} Item;

static void
item_run (gpointer data)
{
  Item *item = data;
  Binding *binding = item->binding;

  g_string_append_c (binding->log, item->letter);
  if (binding->then)
    g_steal_pointer (&binding->then) (binding);
}

static guint
binding_run (gpointer *items, guint n_items, gpointer data)
{
  Binding *binding = data;
  guint n_run = 0;
  Item *item;

  g_string_append_c (binding->log, '[');
  for (guint i = 0; i < n_items; i++)
    g_queue_push_tail (&binding->rest, items[i]);
  while ((item = g_queue_pop_head (&binding->rest)))
    {
      item_run (item);
      n_run++;
    }
  g_string_append_c (binding->log, ']');
  return n_run;
}

static gboolean
binding_has_rest (gpointer data)
{
  return ((Binding *) data)->rest.length > 0;
}

static void
binding_init (Binding *binding, Driver *d, Item *items, guint n)
{
  *binding = (Binding){ .d = d, .log = g_string_new (NULL) };
  aio_context_set_bh_batch (d->ctx, item_run, binding_run, binding_has_rest, binding);
  for (guint i = 0; i < n; i++)
    {
      items[i] = (Item){ .binding = binding, .letter = (char) ('A' + i) };
      items[i].bh = aio_bh_new (d->ctx, item_run, &items[i]);
    }
}

static void
binding_clear (Binding *binding, Item *items, guint n)
{
  for (guint i = 0; i < n; i++)
    aio_bh_delete (items[i].bh);
  driver_settle (binding->d);
  aio_context_set_bh_batch (binding->d->ctx, NULL, NULL, NULL, NULL);
  g_string_free (binding->log, TRUE);
}

static void
write_x (gpointer data)
{
  g_string_append_c (((Binding *) data)->log, 'x');
}

static void
runs_many_in_one_call_in_their_order (Driver *d)
{
  Binding binding;
  Item items[3];

  binding_init (&binding, d, items, 3);
  aio_bh_schedule (items[1].bh);
  aio_bh_schedule (items[0].bh);
  aio_bh_schedule (items[2].bh);
  g_assert_true (driver_turn (d, FALSE));
  g_assert_cmpstr (binding.log->str, ==, "[BAC]");
  g_assert_cmpuint (driver_stats (d).bhs_run, ==, 3);

  g_assert_false (driver_turn (d, FALSE));
  g_assert_cmpstr (binding.log->str, ==, "[BAC]");
  binding_clear (&binding, items, 3);
}

static void
others_keep_their_place (Driver *d)
{
  Binding binding;
  Item items[3];
  AioBh *other;

  binding_init (&binding, d, items, 3);
  other = aio_bh_new (d->ctx, write_x, &binding);
  aio_bh_schedule (items[0].bh);
  aio_bh_schedule (items[1].bh);
  aio_bh_schedule (other);
  aio_bh_schedule (items[2].bh);
  aio_context_schedule_oneshot (d->ctx, write_x, &binding);
  g_assert_true (driver_turn (d, FALSE));
  g_assert_cmpstr (binding.log->str, ==, "[AB]xCx");

  aio_bh_delete (other);
  binding_clear (&binding, items, 3);
}

static void
turn (gpointer data)
{
  g_assert_true (driver_turn (((Binding *) data)->d, FALSE));
}

static void
nested_turn_runs_the_rest_first (Driver *d)
{
  Binding binding;
  Item items[4];

  binding_init (&binding, d, items, 4);
  for (guint i = 0; i < 3; i++)
    aio_bh_schedule (items[i].bh);
  binding.then = turn;
  g_assert_true (driver_turn (d, FALSE));
  g_assert_cmpstr (binding.log->str, ==, "[A[BC]]");
  binding_clear (&binding, items, 4);
}

static void
turn_again (gpointer data)
{
  Binding *binding = data;

  g_assert_cmpint (aio_context_compute_timeout (binding->d->ctx), ==, 0);
  g_assert_true (driver_turn (binding->d, FALSE));
  g_assert_nonnull (strchr (binding->log->str, 'C'));
}

static void
schedule_the_other_and_turn (gpointer data)
{
  Binding *binding = data;

  aio_bh_schedule (binding->other);
  binding->then = turn_again; /* in the first one of the rest */
  driver_turn (binding->d, FALSE);
}

static void
turn_nested_in_the_rest_runs_what_the_outer_has_taken (Driver *d)
{
  Binding binding;
  Item items[3];

  binding_init (&binding, d, items, 3);
  binding.other = items[2].bh;
  binding.then = schedule_the_other_and_turn;
  aio_bh_schedule (items[0].bh);
  aio_bh_schedule (items[1].bh);
  g_assert_true (driver_turn (d, FALSE));
  g_assert_cmpstr (binding.log->str, ==, "[A[BC]]");
  binding_clear (&binding, items, 3);
}

static void
idle_ones_come_alone_and_are_no_progress (Driver *d)
{
  Binding binding;
  Item items[5];

  binding_init (&binding, d, items, 5);
  aio_bh_schedule_idle (items[0].bh);
  aio_bh_schedule_idle (items[1].bh);
  g_assert_false (aio_context_poll (d->ctx, FALSE, NULL));
  g_assert_cmpstr (binding.log->str, ==, "AB");

  aio_bh_schedule (items[0].bh);
  aio_bh_schedule (items[1].bh);
  aio_bh_schedule_idle (items[2].bh);
  aio_bh_schedule (items[3].bh);
  aio_bh_schedule (items[4].bh);
  aio_bh_schedule_idle (items[4].bh);
  g_assert_true (driver_turn (d, FALSE));
  g_assert_cmpstr (binding.log->str, ==, "AB[AB]C[DE]");
  g_assert_cmpuint (driver_stats (d).bhs_run, ==, 7);
  binding_clear (&binding, items, 5);
}

static void
wait_with_a_rest (gpointer data)
{
  Binding *binding = data;

  g_assert_cmpint (aio_context_compute_timeout (binding->d->ctx), ==, 0);
  g_assert_true (driver_turn (binding->d, TRUE));
  g_assert_cmpint (aio_context_compute_timeout (binding->d->ctx), ==, -1);
}

static void
rest_keeps_a_wait_from_blocking (Driver *d)
{
  Binding binding;
  Item items[3];

  binding_init (&binding, d, items, 3);
  binding.then = wait_with_a_rest;
  for (guint i = 0; i < 3; i++)
    aio_bh_schedule (items[i].bh);
  g_assert_true (driver_turn (d, FALSE));
  g_assert_cmpstr (binding.log->str, ==, "[A[BC]]");
  binding_clear (&binding, items, 3);
}

static void
delete_the_other_and_turn (gpointer data)
{
  Binding *binding = data;

  aio_bh_delete (g_steal_pointer (&binding->other));
  driver_turn (binding->d, FALSE);
}

static void
may_delete_another_that_comes_next (Driver *d)
{
  Binding binding;
  Item items[2];

  binding_init (&binding, d, items, 2);
  binding.other = aio_bh_new (d->ctx, write_x, &binding);
  binding.then = delete_the_other_and_turn;
  aio_bh_schedule (items[0].bh);
  aio_bh_schedule (items[1].bh);
  aio_bh_schedule (binding.other);
  g_assert_true (driver_turn (d, FALSE));
  driver_settle (d);
  g_assert_cmpstr (binding.log->str, ==, "[A[B]]");
  binding_clear (&binding, items, 2);
}

static void
one_alone_is_called (Driver *d)
{
  Binding binding;
  Item items[1];

  binding_init (&binding, d, items, 1);
  aio_bh_schedule (items[0].bh);
  g_assert_true (driver_turn (d, FALSE));
  g_assert_cmpstr (binding.log->str, ==, "A");
  binding_clear (&binding, items, 1);
}

static void
more_than_fit_and_oneshots_all_run_once (Driver *d)
{
  enum {
    N = 3 * AIO_BH_BATCH_MAX + 1
  };
  Binding binding;
  Item oneshot, none;

  binding_init (&binding, d, &none, 0);
  oneshot = (Item){ .binding = &binding, .letter = 'o' };
  for (guint i = 0; i < N; i++)
    aio_context_schedule_oneshot (d->ctx, item_run, &oneshot);
  g_assert_true (driver_turn (d, FALSE));
  g_assert_cmpuint (binding.log->len, ==, N + 3 * strlen ("[]"));
  g_assert_cmpuint (driver_stats (d).bhs_run, ==, N);
  binding_clear (&binding, &none, 0);
}

static void
poll_for_says_what_ended_it (Driver *d)
{
  const gint64 slice_ns = 20 * G_GINT64_CONSTANT (1000000);
  gboolean expired = FALSE;
  AioBh *bh;
  int n = 0;

  g_assert_false (aio_context_poll_for (d->ctx, slice_ns, &expired, NULL));
  g_assert_true (expired);
  g_assert_cmpuint (driver_stats (d).empty_waits, ==, 0);

  bh = aio_bh_new (d->ctx, driver_count, &n);
  aio_bh_schedule (bh);
  g_assert_true (aio_context_poll_for (d->ctx, slice_ns, &expired, NULL));
  g_assert_false (expired);
  g_assert_cmpint (n, ==, 1);

  aio_context_notify (d->ctx);
  g_assert_false (aio_context_poll_for (d->ctx, -1, &expired, NULL));
  g_assert_false (expired);
  aio_bh_delete (bh);
}

static void
add_tests (void)
{
  driver_add ("bh-batch", "many-in-one-call-in-their-order", runs_many_in_one_call_in_their_order);
  driver_add ("bh-batch", "others-keep-their-place", others_keep_their_place);
  driver_add ("bh-batch", "B3-nested-turn-runs-the-rest-first", nested_turn_runs_the_rest_first);
  driver_add ("bh-batch", "B3-turn-nested-in-the-rest-runs-what-the-outer-has-taken",
              turn_nested_in_the_rest_runs_what_the_outer_has_taken);
  driver_add ("bh-batch", "B8-idle-ones-come-alone-and-are-no-progress", idle_ones_come_alone_and_are_no_progress);
  driver_add ("bh-batch", "B3-rest-keeps-a-wait-from-blocking", rest_keeps_a_wait_from_blocking);
  driver_add ("bh-batch", "B4-may-delete-another-that-comes-next", may_delete_another_that_comes_next);
  driver_add ("bh-batch", "one-alone-is-called", one_alone_is_called);
  driver_add ("bh-batch", "more-than-fit-and-oneshots-all-run-once", more_than_fit_and_oneshots_all_run_once);
  driver_add_for (DRIVER_POLL, "poll-for", "says-what-ended-it", poll_for_says_what_ended_it);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
