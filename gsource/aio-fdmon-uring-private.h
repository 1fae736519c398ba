/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-fdmon-private.h"

#include <liburing.h>

/* What the io_uring monitor shares with its requests. All of it is for the home thread. */

/* A one-shot poll of the context's own: of its notifier, or of the timerfd of the wall clock. */
typedef struct {
  int fd;
  guint64 data;   /* its user_data; 0: the ring does not have it */
  gboolean ready; /* it was found in the wait that is under way */
} AioUringPoll;

struct _AioFdMonUring {
  struct io_uring ring;
  guint process;   /* that has made the ring: a child of it must leave it alone */
  GPollFD poll_fd; /* the ring; what GLib polls in place of all handlers' */
  gboolean in_source;
  gboolean failed;  /* the kernel refused what it must not refuse: this monitor has to be left */
  guint64 armed_by; /* the aio_thread_id() that the kernel lets the polls end with */
  guint32 last_generation;
  GPtrArray *to_arm; /* of AioHandler, by their index: watched, but the ring has no poll of theirs */
  GArray *to_cancel; /* of guint64: user_data of polls that nobody wants any more */
  AioUringPoll notifier, wall_clock;
  GQueue queued, submitted; /* of AioUringRequest: without and with an SQE */
};

/*
 * What user_data says a CQE is of: of a poll, aio_fdmon_entry_data() with a generation of its own, which leaves the
 * highest bit free; of a cancellation, which nobody asks about, AIO_URING_IGNORED; of a request, its address and that
 * bit, which no address of a process has.
 */
#define AIO_URING_IGNORED ((guint64) 0)
#define AIO_URING_REQUEST ((guint64) 1 << 63)
#define AIO_URING_LAST_GENERATION ((guint32) G_MAXINT32)

/* An SQE to fill, but for its user_data, which is @data; NULL if the ring is full of them. */
struct io_uring_sqe *aio_uring_get_sqe (AioContext *ctx);

/* One io_uring_enter(2): submits and waits, as AioFdMonOps.wait. FALSE if the monitor has failed. */
gboolean aio_uring_enter (AioContext *ctx, gint64 timeout_ns);

/* Takes every CQE there is. Handlers' findings are kept if @found, else they are to be looked for anew. */
void aio_uring_reap (AioContext *ctx, gboolean found);

/* FALSE in a child process that has inherited the ring. */
gboolean aio_uring_is_own (AioContext *ctx);

/* Gives SQEs to requests as long as there are any; whether all have got one. */
gboolean aio_uring_queue_requests (AioContext *ctx);

/* A CQE of a request: it will be completed by aio_uring_run_completed(). */
void aio_uring_request_done (AioContext *ctx, guint64 data, int res, guint flags);
