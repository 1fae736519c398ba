/* SPDX-License-Identifier: MIT */
#pragma once

#if !defined(AIO_GSOURCE_INSIDE) && !defined(AIO_GSOURCE_COMPILATION)
#error "Only <aio-gsource.h> can be included directly."
#endif

#include "aio-context.h"

G_BEGIN_DECLS

/**
 * AioStats:
 * @polls: calls of aio_context_poll()
 * @prepares: runs of the source's prepare
 * @checks: runs of the source's check
 * @dispatches: runs of the source's dispatch
 * @empty_iterations: iterations of a main context whose zero timeout or wake-up came from this source
 *   and in which it then ran nothing
 * @waits: system calls of aio_context_poll() that wait for file descriptors
 * @zero_waits: those of @waits that had a timeout of zero
 * @empty_waits: those of @waits that could block, yet ended before their deadline with nothing to run
 * @eventfd_writes: wake-ups written by aio_context_notify()
 * @eventfd_reads: times the written wake-ups were read again
 * @bhs_run: bottom halves run
 * @handlers_dispatched: callbacks of file descriptor handlers and notifiers run
 * @timers_fired: timers fired
 * @poll_iterations: times all that can be polled was asked whether it is ready
 * @poll_successes: those of @poll_iterations in which something was
 * @poll_ns: for how many nanoseconds a wait polls before it sleeps, by now; no counter
 * @monitor_switches: changes from one monitor to another
 * @sqes: what the monitor io_uring asked of the kernel: submission queue entries
 * @cqes: what the kernel answered: completion queue entries
 *
 * Counters of a context, each since it was made. @bhs_run, @handlers_dispatched and @timers_fired count
 * callbacks; @waits, @eventfd_writes and @eventfd_reads count system calls.
 */
typedef struct {
  guint64 polls;
  guint64 prepares;
  guint64 checks;
  guint64 dispatches;
  guint64 empty_iterations;
  guint64 waits;
  guint64 zero_waits;
  guint64 empty_waits;
  guint64 eventfd_writes;
  guint64 eventfd_reads;
  guint64 bhs_run;
  guint64 handlers_dispatched;
  guint64 timers_fired;
  guint64 poll_iterations;
  guint64 poll_successes;
  gint64 poll_ns;
  guint64 monitor_switches;
  guint64 sqes;
  guint64 cqes;
} AioStats;

AIO_AVAILABLE
void aio_context_get_stats (AioContext *ctx, AioStats *stats);

G_END_DECLS
