/* SPDX-License-Identifier: MIT */
#include "producer.h"

#include <unistd.h>

static void
enter (Producer *producer)
{
  producer->depth++;
  producer->max_depth = MAX (producer->max_depth, producer->depth);
}

static void
producer_read (int fd G_GNUC_UNUSED, gpointer data)
{
  Producer *producer = data;

  producer->reads++;
  enter (producer);
  if (!producer->undrained)
    aio_notifier_test_and_clear (producer->kick);
  if (producer->event)
    producer->served++;
  producer->event = producer->hot;
  if (producer->on_read)
    producer->on_read (producer);
  producer->depth--;
}

static gboolean
producer_poll (int fd, gpointer data)
{
  Producer *producer = data;
  GPollFD poll_fd = { .fd = fd, .events = G_IO_IN };

  producer->asked++;
  if (producer->on_poll)
    producer->on_poll (producer);
  return producer->event || (producer->knows_all && g_poll (&poll_fd, 1, 0) > 0);
}

static void
producer_ready (int fd G_GNUC_UNUSED, gpointer data)
{
  Producer *producer = data;

  producer->found++;
  enter (producer);
  if (producer->event)
    producer->served++;
  producer->event = producer->hot;
  if (producer->knows_all)
    aio_notifier_test_and_clear (producer->kick);
  if (producer->on_ready)
    producer->on_ready (producer);
  producer->depth--;
}

static void
producer_begin (int fd G_GNUC_UNUSED, gpointer data)
{
  Producer *producer = data;

  g_assert_cmpint (producer->begins, ==, producer->ends);
  producer->begins++;
  if (producer->on_begin)
    producer->on_begin (producer);
}

static void
producer_end (int fd G_GNUC_UNUSED, gpointer data)
{
  Producer *producer = data;

  producer->ends++;
  producer->ended_on = pthread_self ();
  g_assert_cmpint (producer->begins, ==, producer->ends);
  if (producer->on_end)
    producer->on_end (producer);
}

const AioFdHandler producer_funcs = {
  .read = producer_read,
  .poll = producer_poll,
  .poll_ready = producer_ready,
  .poll_begin = producer_begin,
  .poll_end = producer_end,
};

static void
producer_destroyed (gpointer data)
{
  Producer *producer = data;

  g_assert_cmpint (producer->begins, ==, producer->ends);
  producer->destroyed++;
}

void
producer_init (Producer *producer, Driver *d)
{
  *producer = (Producer){ .d = d, .kick = aio_notifier_new (FALSE, NULL), .funcs = producer_funcs };
  producer->fd = aio_notifier_get_fd (producer->kick);
}

void
producer_watch (Producer *producer)
{
  g_autoptr (GError) error = NULL;

  aio_context_set_fd_handler (producer->d->ctx, producer->fd, &producer->funcs, producer, producer_destroyed, &error);
  g_assert_no_error (error);
}

void
producer_unwatch (Producer *producer)
{
  g_assert_true (aio_context_set_fd_handler (producer->d->ctx, producer->fd, NULL, NULL, NULL, NULL));
}

void
producer_start (Producer *producer, Driver *d)
{
  producer_init (producer, d);
  producer_watch (producer);
}

void
producer_stop (Producer *producer)
{
  if (producer->d->ctx)
    producer_unwatch (producer);
  g_assert_cmpint (producer->begins, ==, producer->ends);
  aio_notifier_unref (producer->kick);
}

void
producer_kick (Producer *producer)
{
  g_assert_true (aio_notifier_set (producer->kick, NULL));
}

void
producer_event (Producer *producer)
{
  producer->event = TRUE;
  if (producer->begins == producer->ends)
    producer_kick (producer);
}

AioHandler *
producer_handler (Producer *producer)
{
  return aio_context_get_handler (producer->d->ctx, (guint) producer->fd);
}

void
producer_set_ns (Producer *producer, gint64 ns)
{
  producer_handler (producer)->polling->ns = ns;
  atomic_store (&producer->d->ctx->poll_ns, ns);
}

void
driver_set_poll_params (Driver *d, gint64 max_ns)
{
  g_assert_true (aio_context_set_poll_params (d->ctx, max_ns, 0, 0, NULL));
}

void
producer_enter_poll_mode (Producer *producer)
{
  AioContext *ctx = producer->d->ctx;
  Producer before;

  driver_set_poll_params (producer->d, G_GINT64_CONSTANT (1000000000));
  before = *producer;
  producer_kick (producer);
  g_assert_true (driver_poll (ctx, TRUE));
  g_assert_cmpint (producer->reads, ==, before.reads + 1);
  g_assert_cmpint (driver_stats (producer->d).poll_ns, >=, 4000);
  producer->event = TRUE;
  g_assert_true (driver_poll (ctx, TRUE));
  g_assert_cmpint (producer->found, ==, before.found + 1);
  g_assert_cmpint (producer->begins, ==, producer->ends + 1);
}

AioTimer *
driver_deadline_new (Driver *d, gint64 after_ns, int *fired)
{
  AioTimer *timer = aio_timer_new (d->ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_NS, driver_count, fired);

  aio_timer_mod_ns (timer, aio_clock_get_ns (aio_clock_get (AIO_CLOCK_REALTIME)) + after_ns);
  return timer;
}

static gboolean
some_fd_is_ready (AioContext *ctx)
{
  gboolean ready = FALSE;

  aio_context_visit (ctx);
  for (guint fd = 0; fd < aio_context_table_size (ctx) && !ready; fd++)
    {
      AioHandler *handler = aio_context_get_handler (ctx, fd);
      GPollFD poll_fd;

      if (!handler || !handler->monitored || !aio_handler_is_watched (handler))
        continue;
      poll_fd = handler->poll_fd;
      ready = g_poll (&poll_fd, 1, 0) > 0;
    }
  aio_context_leave_visit (ctx);
  return ready;
}

void
driver_give_need_wait (Driver *d)
{
  static AioFdMonOps with_need_wait[AIO_MONITOR_IO_URING + 1];
  const AioFdMonOps *ops = aio_context_fdmon (d->ctx);

  if (ops->need_wait)
    return;
  with_need_wait[ops->type] = *ops;
  with_need_wait[ops->type].need_wait = some_fd_is_ready;
  atomic_store (&d->ctx->fdmon_ops, &with_need_wait[ops->type]);
}

void
driver_assert_polling_at_rest (Driver *d)
{
  AioPolledHandlers *list = &d->ctx->poll_aio_handlers;

  g_assert_cmpuint (list->walks, ==, 0);
  g_assert_cmpuint (list->n_holes, ==, 0);
  for (guint i = 0; i < list->n; i++)
    {
      g_assert_nonnull (list->handlers[i]);
      g_assert_cmpuint (list->handlers[i]->polling->index, ==, i);
      g_assert_true (list->handlers[i]->polling->listed);
      g_assert_false (list->handlers[i]->polling->busy);
    }
  g_assert_null (d->ctx->ready.head);
  g_assert_null (d->ctx->bh_slice_list);
}
