/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "aio-system-private.h"

#include <errno.h>
#include <time.h>

/* In the arrays: the context's notifier, then the timerfd of the wall clock, then the handlers. */
#define FIRST_HANDLER 2

/* The number poll(2) is given: a negative one is passed over. */
static int
array_fd (AioHandler *handler)
{
  return aio_handler_is_watched (handler) ? handler->poll_fd.fd : -1;
}

/* Under GLib the handler's fd is in the source's poll set or not. */
static void
set_in_source (AioContext *ctx, AioHandler *handler, gboolean wanted)
{
  if (handler->in_source == wanted || g_source_is_destroyed (&ctx->source))
    return;
  handler->in_source = wanted;
  handler->poll_fd.revents = 0;
  if (wanted)
    g_source_add_poll (&ctx->source, &handler->poll_fd);
  else
    g_source_remove_poll (&ctx->source, &handler->poll_fd);
}

static int
poll_open (AioContext *ctx)
{
  ctx->fdmon_poll = (AioFdMonPoll){ .n = FIRST_HANDLER, .size = 8 };
  ctx->fdmon_poll.fds = g_new (struct pollfd, 8);
  ctx->fdmon_poll.handlers = g_new (AioHandler *, 8);
  return 0;
}

static void
poll_close (AioContext *ctx)
{
  g_free (ctx->fdmon_poll.fds);
  g_free (ctx->fdmon_poll.handlers);
}

static void
poll_add (AioContext *ctx, AioHandler *handler)
{
  AioFdMonPoll *mon = &ctx->fdmon_poll;

  if (mon->n >= mon->size)
    {
      mon->size = MAX (8, mon->size * 2);
      mon->fds = g_renew (struct pollfd, mon->fds, mon->size);
      mon->handlers = g_renew (AioHandler *, mon->handlers, mon->size);
    }
  handler->index = mon->n++;
  mon->handlers[handler->index] = handler;
  mon->fds[handler->index] = (struct pollfd){ .fd = array_fd (handler), .events = handler->poll_fd.events };
}

static void
poll_remove (AioContext *ctx, AioHandler *handler)
{
  AioFdMonPoll *mon = &ctx->fdmon_poll;
  guint last = --mon->n;

  mon->fds[handler->index] = mon->fds[last];
  mon->handlers[handler->index] = mon->handlers[last];
  mon->handlers[handler->index]->index = handler->index;
  set_in_source (ctx, handler, FALSE);
}

static void
poll_update (AioContext *ctx, AioHandler *handler)
{
  ctx->fdmon_poll.fds[handler->index].fd = array_fd (handler);
}

/* ppoll(2) until something is ready or @timeout_ns has passed; a signal does not end it. */
static int
poll_until (struct pollfd *fds, guint n, gint64 timeout_ns)
{
  gint64 deadline = aio_wait_deadline (timeout_ns);
  int n_ready;

  do
    {
      gint64 remaining = aio_wait_remaining (deadline);
      struct timespec timeout = { .tv_sec = remaining / 1000000000, .tv_nsec = remaining % 1000000000 };

      n_ready = AIO_SYSTEM (ppoll) (fds, n, remaining < 0 ? NULL : &timeout, NULL);
    }
  while (n_ready < 0 && errno == EINTR);
  return n_ready;
}

static int
poll_wait (AioContext *ctx, gint64 timeout_ns, gboolean *notifier_ready)
{
  AioFdMonPoll *mon = &ctx->fdmon_poll;
  int n_ready;

  mon->fds[0] = (struct pollfd){ .fd = ctx->notifier_poll_fd.fd, .events = POLLIN };
  mon->fds[1] =
      (struct pollfd){ .fd = ctx->deadlines[1].armed_ns < 0 ? -1 : ctx->deadlines[1].poll_fd.fd, .events = POLLIN };
  n_ready = poll_until (mon->fds, mon->n, timeout_ns);
  if (n_ready < 0)
    return errno;

  for (guint i = FIRST_HANDLER; i < mon->n; i++)
    {
      /* What GLib found before is out of date now. */
      mon->handlers[i]->poll_fd.revents = 0;
      aio_handler_set_ready (ctx, mon->handlers[i], n_ready > 0 && mon->fds[i].fd >= 0 ? mon->fds[i].revents : 0);
    }
  ctx->deadlines[1].poll_fd.revents = mon->fds[1].revents;
  *notifier_ready = mon->fds[0].revents != 0;
  return 0;
}

static void
poll_gsource_prepare (AioContext *ctx)
{
  for (guint i = FIRST_HANDLER; i < ctx->fdmon_poll.n; i++)
    set_in_source (ctx, ctx->fdmon_poll.handlers[i], aio_handler_is_watched (ctx->fdmon_poll.handlers[i]));
}

static gboolean
poll_gsource_check (AioContext *ctx, gboolean collect)
{
  gboolean found = FALSE;

  for (guint i = FIRST_HANDLER; i < ctx->fdmon_poll.n; i++)
    {
      AioHandler *handler = ctx->fdmon_poll.handlers[i];
      gushort revents = handler->poll_fd.revents & (handler->poll_fd.events | G_IO_NVAL);

      /* Until the next prepare, which may be skipped, GLib looks at what is not watched any more, too. */
      if (!revents || !aio_handler_is_watched (handler))
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
  .wait_call = "ppoll",
  .open = poll_open,
  .close = poll_close,
  .add = poll_add,
  .remove = poll_remove,
  .update = poll_update,
  .wait = poll_wait,
  .gsource_prepare = poll_gsource_prepare,
  .gsource_check = poll_gsource_check,
};
