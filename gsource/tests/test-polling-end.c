/* SPDX-License-Identifier: MIT */
#include "producer.h"

/* C7: the context ends in the middle. */

/* Ends every wait of the next tests, whatever comes of it. */
static AioTimer *backstop;
static gboolean is_last_reference;

static void
close_it (Producer *producer)
{
  producer->data++;
  g_clear_pointer (&backstop, aio_timer_free);
  g_assert_true (aio_context_close (producer->d->ctx, NULL));
}

static void
detach_it (Producer *producer)
{
  producer->data++;
  g_assert_true (aio_context_detach (producer->d->ctx, NULL));
}

/* Under GLib the last reference but that of the iteration; a poll needs its caller's. */
static void
drop_it (Producer *producer)
{
  if (producer->data++ > 0)
    return;
  if (aio_context_is_attached (producer->d->ctx))
    g_assert_true (aio_context_detach (producer->d->ctx, NULL));
  if (is_last_reference)
    g_clear_pointer (&backstop, aio_timer_free);
  aio_context_unref (producer->d->ctx);
}

static void
end_in (Driver *fixture, guint place, void (*ending) (Producer *producer))
{
  Driver own = { .kind = fixture->kind };
  gboolean iterate = fixture->kind != DRIVER_POLL && place != 3; /* nothing begins under GLib */
  Producer producer, other;
  void (**on[]) (Producer *) = { &producer.on_read, &producer.on_poll, &producer.on_ready, &producer.on_begin,
                                 &producer.on_end };
  int fired = 0;

  own.ctx = aio_context_new_full ("own", aio_context_get_monitor (fixture->ctx), NULL);
  if (fixture->main_context)
    {
      own.main_context = g_main_context_new ();
      g_assert_true (aio_context_attach (own.ctx, own.main_context, G_PRIORITY_DEFAULT, NULL));
    }
  producer_start (&producer, &own);
  producer_start (&other, &own);
  if (place != 3)
    producer_enter_poll_mode (&producer);
  else
    {
      driver_set_poll_params (&own, 1000000);
      producer_kick (&producer);
      driver_poll (own.ctx, TRUE);
    }
  is_last_reference = iterate && ending == drop_it;
  if (!iterate && ending == drop_it)
    aio_context_ref (own.ctx);
  backstop = driver_deadline_new (&own, 1000000, &fired);
  producer.data = 0;
  *on[place] = ending;
  producer.event = place == 2;
  if (place == 0)
    producer_kick (&producer);
  if (iterate)
    g_main_context_iteration (own.main_context, TRUE);
  else
    aio_context_poll (own.ctx, TRUE, NULL);
  *on[place] = NULL;
  g_assert_cmpint (producer.data, >=, 1);

  if (iterate && ending == drop_it)
    own.ctx = NULL;
  else if (ending == drop_it)
    producer_unwatch (&other);
  if (own.ctx && aio_context_is_attached (own.ctx))
    g_assert_true (aio_context_detach (own.ctx, NULL));
  producer_stop (&other);
  producer_stop (&producer);
  g_clear_pointer (&backstop, aio_timer_free);
  if (own.ctx)
    aio_context_unref (own.ctx);
  g_assert_cmpint (producer.destroyed, ==, 1);
  g_assert_cmpint (other.destroyed, ==, 1);
  g_clear_pointer (&own.main_context, g_main_context_unref);
}

static void
closed_in_the_middle (Driver *d)
{
  for (guint place = 0; place < 5; place++)
    end_in (d, place, close_it);
}

static void
detached_in_the_middle (Driver *d)
{
  for (guint place = 0; place < 5; place++)
    end_in (d, place, detach_it);
}

static void
dropped_in_the_middle (Driver *d)
{
  for (guint place = 0; place < 5; place++)
    {
      if (d->kind != DRIVER_POLL && place != 3)
        for (guint handler = 0; handler < 2; handler++)
          driver_expect_warning ("*was not removed when the context ended*");
      end_in (d, place, drop_it);
    }
}

static void
add_tests (void)
{
  driver_add ("polling-end", "closed-in-the-middle", closed_in_the_middle);
  driver_add ("polling-end", "detached-in-the-middle", detached_in_the_middle);
  driver_add ("polling-end", "dropped-in-the-middle", dropped_in_the_middle);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
