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
extern const AioFdMonOps aio_fdmon_uring_ops;

/*
 * Home thread, with all changes applied, before a wait or in prepare: has the context use the monitor that
 * suits its handlers now.
 */
void aio_fdmon_choose (AioContext *ctx);

/* Home thread: opens the monitor of a new context; errno, or 0. */
int aio_fdmon_open (AioContext *ctx, AioMonitor monitor);

/*
 * What the kernel has for a monitor a child process shares with its parent. This process, and whether it still is: by the
 * generation of children, which costs no system call.
 */
guint aio_fdmon_process (void);
gboolean aio_fdmon_is_own (guint process);

/* Home thread: what poll(2) says of a handler's file descriptor right now; @revents if that cannot be had. */
gushort aio_fdmon_look (AioHandler *handler, gushort revents);

/* Home thread, with the epoll monitor: a child process makes a set of its own. */
void aio_fdmon_epoll_keep_own (AioContext *ctx);

/* What a kernel-side monitor has the kernel report of an fd, so that nobody else is ever given the report. */
static inline guint64
aio_fdmon_entry_data (int fd, guint32 generation)
{
  return (guint64) generation << 32 | (guint32) fd;
}

typedef struct {
  struct pollfd *fds; /* a negative fd is not watched */
  AioHandler **handlers;
  guint n, size;
} AioFdMonPoll;

typedef struct {
  GPollFD poll_fd; /* the epoll set; what GLib polls in place of all handlers' */
  guint process;   /* that has made the set: a child of it must leave it alone, and makes one of its own */
  gboolean in_source;
  int wall_clock_fd; /* the timerfd of the wall clock, once it is in the set; else -1 */
  guint32 last_generation;
  GPtrArray *always_ready; /* of AioHandler */
  gboolean stale;          /* a report came for a handler that is gone: the set has to be made anew */
  gboolean full;           /* the kernel refused an entry: this monitor has to be left */
} AioFdMonEpoll;

struct io_uring_sqe;
typedef struct _AioFdMonUring AioFdMonUring;

/*
 * A request of somebody else's in the ring of a context. The memory is the caller's, from the moment it is added until
 * @complete is called, which may free it. One SQE and one CQE: no request that goes on, or that skips its CQE.
 */
typedef struct _AioUringRequest AioUringRequest;

struct _AioUringRequest {
  /* Fills the SQE but for its user_data. Once, when the ring has room, and not at all if it is cancelled before. */
  void (*prepare) (AioUringRequest *request, struct io_uring_sqe *sqe);
  /* From dispatch, or from the close of the context: exactly once, with -ECANCELED or what the kernel says. */
  void (*complete) (AioUringRequest *request, int res, guint flags);

  GList link;
  int res;
  guint flags;
  gboolean cancelled;
};

/*
 * Home thread: has the kernel do it, from the next wait or prepare on. FALSE, and nothing is done, if the context has
 * no ring, or is closed.
 */
gboolean aio_uring_add_request (AioContext *ctx, AioUringRequest *request);

/* Home thread: whether one has been added that was not completed. */
gboolean aio_uring_has_requests (AioContext *ctx);

/* Home thread: completes those that have their result, which may be an outer loop's; whether there were any. */
gboolean aio_uring_run_completed (AioContext *ctx);

/* Home thread or finalize: has all of them end, and waits for that; aio_uring_run_completed() completes them. */
void aio_uring_cancel_requests (AioContext *ctx);

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
