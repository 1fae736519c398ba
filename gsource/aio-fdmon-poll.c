/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

static gint64
monotonic_ns (void)
{
  return aio_clock_get_ns (aio_clock_get (AIO_CLOCK_REALTIME));
}

/* The number poll(2) is given: a negative one is passed over. */
static int
array_fd (AioHandler *handler)
{
  return aio_handler_is_watched (handler) ? handler->poll_fd.fd : -1;
}

/* Under GLib the handler's fd is in the source's poll set exactly while it is watched. */
static void
sync_source (AioContext *ctx, AioHandler *handler)
{
  gboolean wanted = handler->monitored && aio_handler_is_watched (handler);

  if (handler->in_source == wanted || g_source_is_destroyed (&ctx->source))
    return;
  handler->in_source = wanted;
  handler->poll_fd.revents = 0;
  if (wanted)
    g_source_add_poll (&ctx->source, &handler->poll_fd);
  else
    g_source_remove_poll (&ctx->source, &handler->poll_fd);
}

static void
poll_finalize (AioContext *ctx)
{
  g_free (ctx->fdmon_poll.fds);
  g_free (ctx->fdmon_poll.handlers);
}

static void
poll_add (AioContext *ctx, AioHandler *handler)
{
  AioFdMonPoll *mon = &ctx->fdmon_poll;

  if (mon->n == 0)
    mon->n = 1; /* [0] is the notifier */
  if (mon->n >= mon->size)
    {
      mon->size = MAX (8, mon->size * 2);
      mon->fds = g_renew (struct pollfd, mon->fds, mon->size);
      mon->handlers = g_renew (AioHandler *, mon->handlers, mon->size);
    }
  handler->index = mon->n++;
  mon->handlers[handler->index] = handler;
  mon->fds[handler->index] = (struct pollfd){ .fd = array_fd (handler), .events = handler->poll_fd.events };
  if (ctx->main_context)
    sync_source (ctx, handler);
}

static void
poll_remove (AioContext *ctx, AioHandler *handler)
{
  AioFdMonPoll *mon = &ctx->fdmon_poll;
  guint last = --mon->n;

  mon->fds[handler->index] = mon->fds[last];
  mon->handlers[handler->index] = mon->handlers[last];
  mon->handlers[handler->index]->index = handler->index;
  sync_source (ctx, handler);
}

static void
poll_update (AioContext *ctx, AioHandler *handler)
{
  ctx->fdmon_poll.fds[handler->index].fd = array_fd (handler);
  if (ctx->main_context)
    sync_source (ctx, handler);
}

/* ppoll(2) until something is ready or @timeout_ns has passed; a signal does not end it. */
static int
poll_until (struct pollfd *fds, guint n, gint64 timeout_ns)
{
  gint64 deadline = timeout_ns > 0 ? monotonic_ns () + MIN (timeout_ns, G_MAXINT64 / 2) : 0;
  int n_ready;

  for (;;)
    {
      struct timespec timeout = { .tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000 };

      n_ready = ppoll (fds, n, timeout_ns < 0 ? NULL : &timeout, NULL);
      if (n_ready >= 0 || errno != EINTR)
        return n_ready;
      if (timeout_ns > 0)
        timeout_ns = MAX (deadline - monotonic_ns (), 0);
    }
}

static gboolean
poll_wait (AioContext *ctx, gint64 timeout_ns)
{
  AioFdMonPoll *mon = &ctx->fdmon_poll;
  struct pollfd only_notifier;
  struct pollfd *fds = mon->n > 0 ? mon->fds : &only_notifier;
  int n_ready;

  fds[0] = (struct pollfd){ .fd = ctx->notifier_poll_fd.fd, .events = POLLIN };
  n_ready = poll_until (fds, MAX (mon->n, 1), timeout_ns);
  if (n_ready < 0)
    return FALSE;

  for (guint i = 1; i < mon->n; i++)
    {
      /* What GLib found before is out of date now. */
      mon->handlers[i]->poll_fd.revents = 0;
      aio_handler_set_ready (ctx, mon->handlers[i], n_ready > 0 && mon->fds[i].fd >= 0 ? mon->fds[i].revents : 0);
    }
  return fds[0].revents != 0;
}

static void
poll_gsource_prepare (AioContext *ctx)
{
  for (guint i = 1; i < ctx->fdmon_poll.n; i++)
    sync_source (ctx, ctx->fdmon_poll.handlers[i]);
}

static gboolean
poll_gsource_check (AioContext *ctx, gboolean collect)
{
  gboolean found = FALSE;

  for (guint i = 1; i < ctx->fdmon_poll.n; i++)
    {
      AioHandler *handler = ctx->fdmon_poll.handlers[i];
      gushort revents = handler->poll_fd.revents & (handler->poll_fd.events | G_IO_NVAL);

      if (!revents)
        continue;
      found = TRUE;
      if (!collect)
        break;
      handler->poll_fd.revents = 0;
      aio_handler_set_ready (ctx, handler, handler->revents | revents);
    }
  return found;
}

const AioFdMonOps aio_fdmon_poll_ops = {
  .type = AIO_MONITOR_POLL,
  .finalize = poll_finalize,
  .add = poll_add,
  .remove = poll_remove,
  .update = poll_update,
  .wait = poll_wait,
  .gsource_prepare = poll_gsource_prepare,
  .gsource_check = poll_gsource_check,
};
