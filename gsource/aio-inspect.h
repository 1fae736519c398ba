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
 * @read: whether it reads
 * @write: whether it writes
 * @external: whether it serves an external client
 * @dead: whether it died because its file descriptor was closed
 *
 * A handler in a snapshot.
 */
typedef struct {
  int fd;
  char *name;
  gboolean read;
  gboolean write;
  gboolean external;
  gboolean dead;
} AioHandlerInfo;

/**
 * AioTimerInfo:
 * @name: (nullable): what the timer was named
 * @clock: the kind of its clock
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
 *
 * A bottom half in a snapshot. Oneshots are not among them: they are known only to their queue.
 */
typedef struct {
  char *name;
  gboolean scheduled;
  gboolean idle;
} AioBhInfo;

/**
 * AioSnapshot:
 * @handlers: (array length=n_handlers): the handlers, by file descriptor
 * @n_handlers: how many
 * @timers: (array length=n_timers): the armed timers, by clock and expiry
 * @n_timers: how many
 * @bhs: (array length=n_bhs): the bottom halves, the newest first
 * @n_bhs: how many
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
} AioSnapshot;

AIO_AVAILABLE
AioSnapshot *aio_context_inspect (AioContext *ctx);

AIO_AVAILABLE
void aio_snapshot_free (AioSnapshot *snapshot);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AioSnapshot, aio_snapshot_free)

G_END_DECLS
