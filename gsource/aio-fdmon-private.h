/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-clock.h"
#include "aio-handler-private.h"

#include <poll.h>

/*
 * A monitor watches the file descriptors of a context, for poll() by waiting itself and for GLib by
 * what it registers with the source. All functions are for the home thread. Findings go into the
 * ready list through aio_handler_set_ready().
 */
typedef struct {
  AioMonitor type;
  const char *wait_call; /* the system call that wait() makes, for its errors */
  /* Before the first add: errno, or 0. close() undoes it, after the last remove. */
  int (*open) (AioContext *ctx);
  void (*close) (AioContext *ctx);
  void (*add) (AioContext *ctx, AioHandler *handler);
  void (*remove) (AioContext *ctx, AioHandler *handler);
  /* What aio_handler_is_watched() looks at has changed. */
  void (*update) (AioContext *ctx, AioHandler *handler);
  /* Waits for at most timeout_ns (-1: for ever); errno, or 0 and whether the context's own notifier was ready. */
  int (*wait) (AioContext *ctx, gint64 timeout_ns, gboolean *notifier_ready);
  /*
   * Before and between looks of userspace polling: whether file descriptors are ready that only wait() hands over.
   * NULL: only a wait can tell.
   */
  gboolean (*need_wait) (AioContext *ctx);
  /* Under GLib: registers what the coming poll(2) has to watch. */
  void (*gsource_prepare) (AioContext *ctx);
  /* Under GLib: whether that poll(2) found anything; takes the findings over if @collect. */
  gboolean (*gsource_check) (AioContext *ctx, gboolean collect);
} AioFdMonOps;

extern const AioFdMonOps aio_fdmon_poll_ops;
extern const AioFdMonOps aio_fdmon_epoll_ops;

/*
 * Home thread, with all changes applied, before a wait or in prepare: has the context use the monitor that
 * suits its handlers now.
 */
void aio_fdmon_choose (AioContext *ctx);

/* Home thread: opens the monitor of a new context; errno, or 0. */
int aio_fdmon_open (AioContext *ctx, AioMonitor monitor);

typedef struct {
  struct pollfd *fds; /* a negative fd is not watched */
  AioHandler **handlers;
  guint n, size;
} AioFdMonPoll;

typedef struct {
  GPollFD poll_fd; /* the epoll set; what GLib polls in place of all handlers' */
  gboolean in_source;
  int wall_clock_fd; /* the timerfd of the wall clock, once it is in the set; else -1 */
  guint32 last_generation;
  GPtrArray *always_ready; /* of AioHandler */
  gboolean stale;          /* a report came for a handler that is gone: the set has to be made anew */
  gboolean full;           /* the kernel refused an entry: this monitor has to be left */
} AioFdMonEpoll;

/*
 * A wait that signals interrupt goes on for what remains of it: -1 for without end, 0 for no wait at all,
 * which reads no clock.
 */
static inline gint64
aio_wait_deadline (gint64 timeout_ns)
{
  gint64 now;

  if (timeout_ns <= 0)
    return timeout_ns;
  now = aio_clock_get_ns (aio_clock_get (AIO_CLOCK_REALTIME));
  return timeout_ns < G_MAXINT64 - now ? now + timeout_ns : G_MAXINT64;
}

static inline gint64
aio_wait_remaining (gint64 deadline)
{
  gint64 remaining;

  if (deadline <= 0)
    return deadline;
  /* Apart from MAX(), which would read the clock twice: below zero would be without end. */
  remaining = deadline - aio_clock_get_ns (aio_clock_get (AIO_CLOCK_REALTIME));
  return MAX (remaining, 0);
}
