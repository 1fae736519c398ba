/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "aio-system-private.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

/*
 * An entry of the epoll set carries the file descriptor and the generation of its handler, so that what
 * the kernel reports for a handler that is gone is never given to another one. Such a report means that
 * the descriptor was closed while it was watched and that its open file lives on under another number:
 * the entry cannot be removed any more, and the whole set is made anew.
 */

#define MAX_EVENTS 128

/* No handler's: of the entries for the context's notifier and for the timerfd of the wall clock. */
#define OWN_GENERATION 0

static int
control (AioContext *ctx, int operation, int fd, guint32 events, guint32 generation)
{
  struct epoll_event event = { .events = events, .data.u64 = aio_fdmon_entry_data (fd, generation) };

  if (ctx->fdmon_epoll.poll_fd.fd < 0) /* it could not be made anew */
    return ENOMEM;
  return AIO_SYSTEM (epoll_ctl) (ctx->fdmon_epoll.poll_fd.fd, operation, fd, &event) == 0 ? 0 : errno;
}

/* The set with nothing but the notifier in it; errno, or 0. */
static int
open_set (AioContext *ctx)
{
  GPollFD *poll_fd = &ctx->fdmon_epoll.poll_fd;
  int error;

  *poll_fd = (GPollFD){ .fd = AIO_SYSTEM (epoll_create1) (EPOLL_CLOEXEC), .events = G_IO_IN };
  if (poll_fd->fd < 0)
    return errno;
  ctx->fdmon_epoll.process = aio_fdmon_process ();
  ctx->fdmon_epoll.wall_clock_fd = -1;
  error = control (ctx, EPOLL_CTL_ADD, ctx->notifier_poll_fd.fd, EPOLLIN, OWN_GENERATION);
  if (error)
    {
      close (poll_fd->fd);
      poll_fd->fd = -1;
    }
  return error;
}

static void
close_set (AioContext *ctx)
{
  AioFdMonEpoll *mon = &ctx->fdmon_epoll;

  if (mon->in_source && !g_source_is_destroyed (&ctx->source))
    g_source_remove_poll (&ctx->source, &mon->poll_fd);
  mon->in_source = FALSE;
  if (mon->poll_fd.fd >= 0)
    close (mon->poll_fd.fd);
  mon->poll_fd.fd = -1;
}

static int
epoll_open (AioContext *ctx)
{
  AioFdMonEpoll *mon = &ctx->fdmon_epoll;
  int error = open_set (ctx);

  if (error)
    return error;
  mon->always_ready = g_ptr_array_new ();
  mon->stale = FALSE;
  mon->full = FALSE;
  return 0;
}

static void
epoll_close (AioContext *ctx)
{
  close_set (ctx);
  g_clear_pointer (&ctx->fdmon_epoll.always_ready, g_ptr_array_unref);
}

/* The handler has no entry yet, and it is watched. */
static void
enter (AioContext *ctx, AioHandler *handler)
{
  AioFdMonEpoll *mon = &ctx->fdmon_epoll;
  int fd = handler->poll_fd.fd;
  guint32 events = handler->poll_fd.events;
  int error;

  handler->generation = ++mon->last_generation ? mon->last_generation : ++mon->last_generation;
  error = control (ctx, EPOLL_CTL_ADD, fd, events, handler->generation);
  /* An entry of the same number and file that was never removed: it becomes this handler's. */
  if (error == EEXIST)
    error = control (ctx, EPOLL_CTL_MOD, fd, events, handler->generation);
  if (error == 0)
    return;

  handler->generation = 0;
  if (error == EPERM)
    {
      handler->always_ready = TRUE;
      g_ptr_array_add (mon->always_ready, handler);
    }
  else if (error == EBADF)
    aio_handler_set_ready (ctx, handler, G_IO_NVAL);
  else
    mon->full = TRUE;
}

/* A set without entries that are stale, or are somebody else's. */
static void
make_anew (AioContext *ctx)
{
  AioFdMonEpoll *mon = &ctx->fdmon_epoll;

  close_set (ctx);
  mon->stale = FALSE;
  if (open_set (ctx) != 0)
    {
      mon->full = TRUE;
      return;
    }
  aio_context_visit (ctx);
  for (guint fd = 0; fd < aio_context_table_size (ctx); fd++)
    {
      AioHandler *handler = aio_context_get_handler (ctx, fd);

      if (handler && handler->monitored && handler->generation != 0)
        enter (ctx, handler);
    }
  aio_context_leave_visit (ctx);
}

/* The set that was inherited is the parent's: whatever is done to it is done to that. */
void
aio_fdmon_epoll_keep_own (AioContext *ctx)
{
  if (G_UNLIKELY (!aio_fdmon_is_own (ctx->fdmon_epoll.process)))
    make_anew (ctx);
}

static void
leave (AioContext *ctx, AioHandler *handler)
{
  AioFdMonEpoll *mon = &ctx->fdmon_epoll;

  aio_fdmon_epoll_keep_own (ctx);
  if (handler->always_ready)
    g_ptr_array_remove_fast (mon->always_ready, handler);
  handler->always_ready = FALSE;
  /* It fails if the descriptor was closed; then either the entry is gone or a stale report will tell. */
  if (handler->generation != 0)
    control (ctx, EPOLL_CTL_DEL, handler->poll_fd.fd, 0, 0);
  handler->generation = 0;
}

static void
epoll_update (AioContext *ctx, AioHandler *handler)
{
  gboolean entered;

  aio_fdmon_epoll_keep_own (ctx);
  entered = handler->generation != 0 || handler->always_ready;
  if (entered && !aio_handler_is_watched (handler))
    leave (ctx, handler);
  else if (!entered && aio_handler_is_watched (handler))
    enter (ctx, handler);
}

/*
 * They are in no set, where one that is closed, or whose number is another file's by now, would be silent: it would be
 * called for ever. Such another file may be one that epoll takes.
 */
static void
collect_always_ready (AioContext *ctx)
{
  GPtrArray *always_ready = ctx->fdmon_epoll.always_ready;

  for (guint i = 0, n = always_ready->len; i < n;)
    {
      AioHandler *handler = g_ptr_array_index (always_ready, i);
      gushort wanted = handler->poll_fd.events & (G_IO_IN | G_IO_OUT), revents = aio_fdmon_look (handler, wanted);

      if (revents & G_IO_NVAL || (revents & wanted) == wanted)
        {
          aio_handler_set_ready (ctx, handler, revents);
          i++;
          continue;
        }
      /* The last one takes its place, and it comes last if it is refused again. */
      leave (ctx, handler);
      enter (ctx, handler);
      if (handler->always_ready)
        aio_handler_set_ready (ctx, handler, wanted);
      n--;
    }
}

/* Hands over what the kernel reported; whether the notifier was among it. */
static gboolean
collect (AioContext *ctx, const struct epoll_event *events, int n)
{
  const guint64 notifier = aio_fdmon_entry_data (ctx->notifier_poll_fd.fd, OWN_GENERATION);
  const guint64 wall_clock = aio_fdmon_entry_data (ctx->fdmon_epoll.wall_clock_fd, OWN_GENERATION);
  gboolean notifier_ready = FALSE;

  aio_context_visit (ctx);
  for (int i = 0; i < n; i++)
    {
      guint64 data = events[i].data.u64;
      AioHandler *handler;

      if (data == notifier)
        notifier_ready = TRUE;
      else if (data == wall_clock)
        ctx->deadlines[1].poll_fd.revents = G_IO_IN;
      else if ((handler = aio_context_find_handler (ctx, (guint32) data, data >> 32)))
        aio_handler_set_ready (ctx, handler, events[i].events);
      /* With changes it may only not be removed from the set yet. */
      else if (!atomic_load_explicit (&ctx->n_changes, memory_order_acquire))
        ctx->fdmon_epoll.stale = TRUE;
    }
  aio_context_leave_visit (ctx);
  return notifier_ready;
}

static int
wait_until (int epfd, struct epoll_event *events, gint64 timeout_ns)
{
  static _Atomic gboolean no_pwait2;
  struct timespec timeout = { .tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000 };
  struct pollfd set = { .fd = epfd, .events = POLLIN };
  int n;

  if (timeout_ns <= 0)
    return AIO_SYSTEM (epoll_wait) (epfd, events, MAX_EVENTS, timeout_ns < 0 ? -1 : 0);
  if (!atomic_load_explicit (&no_pwait2, memory_order_relaxed))
    {
      n = AIO_SYSTEM (epoll_pwait2) (epfd, events, MAX_EVENTS, &timeout, NULL);
      /* EPERM: filters of system calls that are older than the call give it. */
      if (n >= 0 || (errno != ENOSYS && errno != EPERM))
        return n;
      atomic_store_explicit (&no_pwait2, TRUE, memory_order_relaxed);
    }
  n = AIO_SYSTEM (ppoll) (&set, 1, &timeout, NULL);
  return n > 0 ? AIO_SYSTEM (epoll_wait) (epfd, events, MAX_EVENTS, 0) : n;
}

static int
epoll_wait_for (AioContext *ctx, gint64 timeout_ns, gboolean *notifier_ready)
{
  AioFdMonEpoll *mon = &ctx->fdmon_epoll;
  struct epoll_event events[MAX_EVENTS];
  gint64 deadline;
  int n;

  if (mon->wall_clock_fd < 0 && ctx->deadlines[1].armed_ns >= 0
      && control (ctx, EPOLL_CTL_ADD, ctx->deadlines[1].poll_fd.fd, EPOLLIN, OWN_GENERATION) == 0)
    mon->wall_clock_fd = ctx->deadlines[1].poll_fd.fd;
  aio_context_forget_ready (ctx);
  collect_always_ready (ctx);
  if (ctx->ready.head)
    timeout_ns = 0;

  deadline = aio_wait_deadline (timeout_ns);
  do
    n = wait_until (mon->poll_fd.fd, events, aio_wait_remaining (deadline));
  while (n < 0 && errno == EINTR);
  if (n < 0)
    return errno;
  *notifier_ready = n > 0 && collect (ctx, events, n);
  if (mon->stale)
    make_anew (ctx);
  return 0;
}

static void
epoll_gsource_prepare (AioContext *ctx)
{
  AioFdMonEpoll *mon = &ctx->fdmon_epoll;

  if (!mon->in_source && !g_source_is_destroyed (&ctx->source))
    {
      mon->in_source = TRUE;
      g_source_add_poll (&ctx->source, &mon->poll_fd);
    }
  collect_always_ready (ctx);
}

static gboolean
epoll_gsource_check (AioContext *ctx, gboolean take G_GNUC_UNUSED)
{
  AioFdMonEpoll *mon = &ctx->fdmon_epoll;
  struct epoll_event events[MAX_EVENTS];

  /* What is found is kept in the ready list either way. */
  if (mon->poll_fd.revents)
    {
      int n = AIO_SYSTEM (epoll_wait) (mon->poll_fd.fd, events, MAX_EVENTS, 0);

      mon->poll_fd.revents = 0;
      if (n > 0)
        collect (ctx, events, n);
      if (mon->stale)
        make_anew (ctx);
    }
  return ctx->ready.head != NULL;
}

const AioFdMonOps aio_fdmon_epoll_ops = {
  .type = AIO_MONITOR_EPOLL,
  .wait_call = "epoll_wait",
  .open = epoll_open,
  .close = epoll_close,
  .add = epoll_update,
  .remove = leave,
  .update = epoll_update,
  .wait = epoll_wait_for,
  .gsource_prepare = epoll_gsource_prepare,
  .gsource_check = epoll_gsource_check,
};
