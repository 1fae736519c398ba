/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "producer.h"

/*
 * C7: whatever a callback does before it returns, its pass ends as it began: nobody visits the handlers any more, no
 * slice and no ready handler of it is left, and what was removed is freed.
 */

typedef enum {
  RETURN,
  REMOVE_ALL,
  NEST,
  NEST_AND_REMOVE_ALL,
  CLOSE,
  N_WAYS,
} Way;

typedef enum {
  IN_BH,
  IN_IDLE_BH,
  IN_ONESHOT,
  IN_TIMER,
  IN_WRITE,
  IN_READ,
  IN_POLL,
  IN_READY,
  IN_BEGIN,
  IN_END,
  IN_DESTROY,
  N_PLACES,
} Place;

static const char *const way_names[] = { "return", "remove all", "nest", "nest and remove all", "close" };
static const char *const place_names[] = { "bh",   "idle bh",    "oneshot",    "timer",    "write",  "read",
                                           "poll", "poll_ready", "poll_begin", "poll_end", "destroy" };

typedef struct {
  Driver *d;
  Way way;
  Place place;
  gboolean armed; /* its callback is to do it */
  int done;
  AioBh *bhs[3];
  AioTimer *timers[3];
  int writable[3][2];
  Producer producers[3];
  int destroyed;
} Scene;

static Scene *scene;

static void
remove_all (void)
{
  for (guint i = 0; i < 3; i++)
    {
      aio_bh_cancel (scene->bhs[i]);
      aio_timer_del (scene->timers[i]);
      driver_unwatch (scene->d, scene->writable[i][1]);
      producer_unwatch (&scene->producers[i]);
    }
}

static void
come_by (Place place)
{
  if (!scene->armed || place != scene->place)
    return;
  scene->armed = FALSE;
  scene->done++;
  switch (scene->way)
    {
    case RETURN:
    case N_WAYS:
      break;
    case NEST_AND_REMOVE_ALL:
      driver_poll (scene->d->ctx, FALSE);
      remove_all ();
      break;
    case REMOVE_ALL:
      remove_all ();
      break;
    case NEST:
      driver_poll (scene->d->ctx, FALSE);
      break;
    case CLOSE:
      g_assert_true (aio_context_close (scene->d->ctx, NULL));
      break;
    }
}

static void
in_bh (gpointer data G_GNUC_UNUSED)
{
  come_by (IN_BH);
  come_by (IN_IDLE_BH);
}

static void
in_oneshot (gpointer data G_GNUC_UNUSED)
{
  come_by (IN_ONESHOT);
}

static void
in_timer (gpointer data G_GNUC_UNUSED)
{
  come_by (IN_TIMER);
}

static void
in_write (int fd, gpointer data G_GNUC_UNUSED)
{
  come_by (IN_WRITE);
  if (scene->place == IN_DESTROY && scene->armed)
    driver_unwatch (scene->d, fd);
}

static void
in_destroy (gpointer data G_GNUC_UNUSED)
{
  scene->destroyed++;
  come_by (IN_DESTROY);
}

static void
in_read (Producer *producer G_GNUC_UNUSED)
{
  come_by (IN_READ);
}

static void
in_poll (Producer *producer G_GNUC_UNUSED)
{
  come_by (IN_POLL);
}

static void
in_ready (Producer *producer G_GNUC_UNUSED)
{
  come_by (IN_READY);
}

static void
in_begin (Producer *producer G_GNUC_UNUSED)
{
  come_by (IN_BEGIN);
}

static void
in_end (Producer *producer G_GNUC_UNUSED)
{
  come_by (IN_END);
}

/* Polling needs that all can be polled, and begins and ends only with waits that may sleep. */
static gboolean
is_polled (Place place)
{
  return place == IN_POLL || place == IN_READY || place == IN_BEGIN || place == IN_END;
}

/* All have something to do, so that whichever is called has others before it and behind it. */
static void
arrange (void)
{
  AioContext *ctx = scene->d->ctx;

  for (guint i = 0; i < 3; i++)
    {
      if (scene->place == IN_READ)
        producer_kick (&scene->producers[i]);
      else
        scene->producers[i].event = TRUE;
      if (scene->place == IN_BEGIN)
        continue;
      if (scene->place == IN_IDLE_BH)
        aio_bh_schedule_idle (scene->bhs[i]);
      else
        aio_bh_schedule (scene->bhs[i]);
      aio_context_schedule_oneshot (ctx, in_oneshot, NULL);
      aio_timer_mod_ns (scene->timers[i], 0);
    }
}

static void
assert_unwound (AioContext *ctx)
{
  g_assert_cmpuint (aio_lock_count_count (&ctx->list_lock), ==, 0);
  g_assert_null (ctx->bh_slice_list);
  g_assert_false (aio_context_get_dispatching (ctx));
  g_assert_true (aio_context_get_current () == NULL);
}

static void
leave (Driver *d, Place place, Way way)
{
  static const AioFdHandler writer = { .write = in_write };
  AioContext *own = d->ctx;
  Scene s = { .d = d, .way = way, .place = place };
  int fired = 0;

  g_test_message ("%s in %s", way_names[way], place_names[place]);
  scene = &s;
  d->ctx = aio_context_new_full ("left", aio_context_get_monitor (own), NULL);
  if (d->main_context)
    g_assert_true (aio_context_attach (d->ctx, d->main_context, G_PRIORITY_DEFAULT, NULL));
  for (guint i = 0; i < 3; i++)
    {
      s.bhs[i] = aio_bh_new (d->ctx, in_bh, NULL);
      s.timers[i] = aio_timer_new (d->ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_NS, in_timer, NULL);
      driver_pipe (s.writable[i]);
      producer_start (&s.producers[i], d);
    }
  /* A begin and an end are to come by. */
  producer_enter_poll_mode (&s.producers[0]);
  for (guint i = 0; i < 3; i++)
    {
      s.producers[i].on_read = in_read;
      s.producers[i].on_poll = in_poll;
      s.producers[i].on_ready = in_ready;
      s.producers[i].on_begin = in_begin;
      s.producers[i].on_end = in_end;
    }
  if (place == IN_BEGIN)
    {
      AioTimer *timer = driver_deadline_new (d, 1000000, &fired);

      while (s.producers[0].ends == 0)
        driver_turn (d, TRUE);
      aio_timer_free (timer);
    }
  for (guint i = 0; i < 3 && !is_polled (place); i++)
    g_assert_true (aio_context_set_fd_handler (d->ctx, s.writable[i][1], &writer, NULL, in_destroy, NULL));

  s.armed = TRUE;
  for (guint turn = 0; turn < 20 && s.done == 0; turn++)
    {
      AioTimer *deadline = driver_deadline_new (d, 1000000, &fired);

      if (place != IN_END) /* which begins a wait that nothing but the deadline ends */
        arrange ();
      if (is_polled (place))
        driver_poll (d->ctx, TRUE);
      else
        driver_turn_blind (d, TRUE);
      if (!aio_context_is_closed (d->ctx))
        aio_timer_free (deadline);
      assert_unwound (d->ctx);
    }
  g_assert_cmpint (s.done, ==, 1);

  if (way == CLOSE)
    g_assert_true (aio_context_is_closed (d->ctx));
  else
    {
      /* And the next ones are like any other. */
      for (guint turn = 0; turn < 3; turn++)
        {
          driver_turn_blind (d, FALSE);
          assert_unwound (d->ctx);
        }
      for (guint i = 0; i < 3; i++)
        {
          driver_unwatch (d, s.writable[i][1]);
          aio_bh_delete (s.bhs[i]);
          aio_timer_free (s.timers[i]);
        }
    }
  for (guint i = 0; i < 3; i++)
    {
      producer_stop (&s.producers[i]);
      g_assert_cmpint (s.producers[i].begins, ==, s.producers[i].ends);
      g_assert_cmpint (s.producers[i].destroyed, ==, 1);
      driver_close_pair (s.writable[i]);
    }
  if (way != CLOSE)
    {
      driver_settle (d);
      driver_assert_polling_at_rest (d);
    }
  assert_unwound (d->ctx);
  g_assert_null (d->ctx->ready.head);
  g_assert_cmpint (s.destroyed, ==, is_polled (place) ? 0 : 3);
  g_assert_true (aio_context_close (d->ctx, NULL));
  aio_context_unref (d->ctx);
  d->ctx = own;
}

static void
left_in_any_way (Driver *d)
{
  for (Place place = 0; place < N_PLACES; place++)
    for (Way way = 0; way < N_WAYS; way++)
      leave (d, place, way);
}

static void
add_tests (void)
{
  driver_add ("unwind", "C7-left-in-any-way", left_in_any_way);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
