/* SPDX-License-Identifier: MIT */
#include "producer.h"

/*
 * Random sequences of all that can be done, against a model: an event is served by the next pass that looks, begin and
 * end are paired (which producers assert themselves), and nothing is asked or called that must not be.
 */

#define N 6

typedef struct {
  Driver *d;
  GRand *rand;
  Producer producers[N];
  gboolean watched[N];
  int disables;
} Model;

static void
check_not_held_back (Producer *producer)
{
  g_assert_true (aio_context_node_check (producer->d->ctx, producer->funcs.external));
}

static void
poll_nested (Producer *producer)
{
  check_not_held_back (producer);
  if (producer->data > 0)
    {
      producer->data--;
      driver_poll (producer->d->ctx, FALSE);
    }
}

static void
plain_begin (int fd, gpointer data)
{
  producer_funcs.poll_begin (fd, data);
}

static void
plain_end (int fd, gpointer data)
{
  producer_funcs.poll_end (fd, data);
}

/* After passes that did not block and found nothing more, each event that may be served has been. */
static void
assert_served (Model *m)
{
  driver_settle (m->d);
  for (guint i = 0; i < N; i++)
    {
      Producer *producer = &m->producers[i];
      gboolean may_be = m->watched[i] && (m->disables == 0 || !producer->funcs.external);

      if (may_be)
        g_assert_false (producer->event);
    }
  driver_assert_polling_at_rest (m->d);
}

static void
block (Model *m)
{
  int fired = 0;
  AioTimer *timer = driver_deadline_new (m->d, 100000, &fired);

  driver_turn (m->d, TRUE);
  aio_timer_free (timer);
}

static void
step (Model *m)
{
  guint i = (guint) g_rand_int_range (m->rand, 0, N);
  Producer *producer = &m->producers[i];

  switch (g_rand_int_range (m->rand, 0, 14))
    {
    case 0:
    case 1:
    case 2:
      if (m->watched[i])
        producer_event (producer);
      break;
    case 3:
      producer_watch (producer);
      /* A new handler was told nothing: what its device has is announced anew, as with any driver that starts. */
      if (producer->event)
        producer_kick (producer);
      m->watched[i] = TRUE;
      break;
    case 4:
      producer_unwatch (producer);
      m->watched[i] = FALSE;
      producer->event = FALSE;
      aio_notifier_test_and_clear (producer->kick);
      break;
    case 5:
      if (g_rand_boolean (m->rand))
        aio_context_set_fd_poll (m->d->ctx, producer->fd, plain_begin, plain_end);
      else
        aio_context_set_fd_poll (m->d->ctx, producer->fd, producer_funcs.poll_begin, producer_funcs.poll_end);
      break;
    case 6:
      m->disables++;
      aio_context_disable_external (m->d->ctx);
      break;
    case 7:
      if (m->disables > 0)
        {
          m->disables--;
          g_assert_true (aio_context_enable_external (m->d->ctx, NULL));
        }
      break;
    case 8:
      producer->data = g_rand_int_range (m->rand, 0, 3);
      break;
    case 9:
      driver_set_poll_params (m->d, g_rand_int_range (m->rand, 0, 4) * 10000);
      break;
    case 10:
      aio_context_notify (m->d->ctx);
      break;
    case 11:
      driver_turn (m->d, FALSE);
      break;
    case 12:
      block (m);
      break;
    case 13:
      assert_served (m);
      break;
    }
}

static void
run (Driver *d)
{
  Model m = { .d = d };

  for (guint seed = 1; seed <= 30; seed++)
    {
      m.rand = g_rand_new_with_seed (seed);
      m.disables = 0;
      for (guint i = 0; i < N; i++)
        {
          Producer *producer = &m.producers[i];

          producer_init (producer, d);
          producer->funcs.external = i % 3 == 0;
          if (i == N - 1)
            producer->funcs.read = NULL;
          producer->on_poll = poll_nested;
          producer->on_ready = poll_nested;
          producer->on_read = poll_nested;
          m.watched[i] = FALSE;
        }
      for (guint i = 0; i < 200; i++)
        {
          step (&m);
          for (guint p = 0; p < N; p++)
            g_assert_cmpint (m.producers[p].begins - m.producers[p].ends, <=, m.watched[p]);
        }
      while (m.disables-- > 0)
        g_assert_true (aio_context_enable_external (d->ctx, NULL));
      m.disables = 0;
      assert_served (&m);
      for (guint i = 0; i < N; i++)
        producer_stop (&m.producers[i]);
      g_assert_cmpuint (d->ctx->poll_aio_handlers.n, ==, 0);
      g_assert_cmpuint (d->ctx->poll_aio_handlers.n_due, ==, 0);
      g_rand_free (m.rand);
    }
}

static void
run_with_need_wait (Driver *d)
{
  driver_give_need_wait (d);
  run (d);
}

static void
add_tests (void)
{
  driver_add ("polling-random", "sequences", run);
  driver_add ("polling-random", "sequences/need-wait", run_with_need_wait);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
