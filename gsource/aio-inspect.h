/* SPDX-License-Identifier: MIT */
#pragma once

#if !defined(AIO_GSOURCE_INSIDE) && !defined(AIO_GSOURCE_COMPILATION)
#error "Only <aio-gsource.h> can be included directly."
#endif

#include "aio-clock.h"
#include "aio-context.h"

G_BEGIN_DECLS

/**
 * AioHandlerInfo:
 * @fd: the file descriptor
 * @name: (nullable): what the handler was named
 * @fd_kind: what the file descriptor is: `file`, `directory`, `pipe` (a FIFO too), `socket`, `tty`, `character-device`,
 *   `block-device`, `eventfd`, `timerfd`, `signalfd`, `pidfd`, `epoll`, `inotify` or what else the kernel calls it;
 *   `closed` if it is not open any more, `unknown` if the kernel does not tell
 * @fd_target: (nullable): what it leads to, as /proc/self/fd tells: a path, `socket:[12345]`, `anon_inode:[eventfd]`
 * @read: whether it reads
 * @write: whether it writes
 * @poll: whether it has a poll function
 * @poll_started: whether it is being polled: its poll_begin was called, and its poll_end was not
 * @poll_ns: for how many nanoseconds a wait polls for its sake
 * @external: whether it serves an external client
 * @dead: whether it died because its file descriptor was closed
 * @parked: whether it is left out of nested waits, because %AIO_HANDLER_MAX_DEPTH of its callbacks are on the stack
 * @held_back: whether it is external and external clients are disabled
 *
 * A handler in a snapshot. It is watched unless it is dead, parked or held back.
 */
typedef struct {
  int fd;
  char *name;
  char *fd_kind;
  char *fd_target;
  gboolean read;
  gboolean write;
  gboolean poll;
  gboolean poll_started;
  gint64 poll_ns;
  gboolean external;
  gboolean dead;
  gboolean parked;
  gboolean held_back;
} AioHandlerInfo;

/**
 * AioTimerInfo:
 * @name: (nullable): what the timer was named
 * @clock: the kind of its clock
 * @manual_clock: which manual clock it is on: a number that no other of the process has; 0 if @clock is another kind
 * @enabled: whether its clock is enabled
 * @external: whether it has %AIO_TIMER_ATTR_EXTERNAL
 * @expire_ns: when it will fire, on its clock
 * @remaining_ns: nanoseconds until then; below zero if it is late
 *
 * An armed timer in a snapshot.
 */
typedef struct {
  char *name;
  AioClockType clock;
  guint manual_clock;
  gboolean enabled;
  gboolean external;
  gint64 expire_ns;
  gint64 remaining_ns;
} AioTimerInfo;

/**
 * AioBhInfo:
 * @name: (nullable): what the bottom half was named
 * @scheduled: whether it will run
 * @idle: whether it will run as an idle one
 * @oneshot: whether it is of aio_context_schedule_oneshot(); those that a batch (aio_context_set_bh_batch()) has
 *   taken are not in the snapshot
 *
 * A bottom half in a snapshot.
 */
typedef struct {
  char *name;
  gboolean scheduled;
  gboolean idle;
  gboolean oneshot;
} AioBhInfo;

/**
 * AioSnapshot:
 * @handlers: (array length=n_handlers): the handlers, by file descriptor
 * @n_handlers: how many
 * @timers: (array length=n_timers): the armed timers, by clock and expiry
 * @n_timers: how many
 * @bhs: (array length=n_bhs): the bottom halves, the newest first, then the pending oneshots in the order of their run
 * @n_bhs: how many
 * @poll_started: whether it is in poll mode: the handlers with a poll function are asked, and need not be kicked
 * @poll_max_ns: for how many nanoseconds a wait polls at most, see aio_context_set_poll_params()
 *
 * What a context had at one moment.
 */
typedef struct {
  AioHandlerInfo *handlers;
  guint n_handlers;
  AioTimerInfo *timers;
  guint n_timers;
  AioBhInfo *bhs;
  guint n_bhs;
  gboolean poll_started;
  gint64 poll_max_ns;
} AioSnapshot;

AIO_AVAILABLE
AioSnapshot *aio_context_inspect (AioContext *ctx);

AIO_AVAILABLE
void aio_snapshot_free (AioSnapshot *snapshot);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AioSnapshot, aio_snapshot_free)

G_END_DECLS
