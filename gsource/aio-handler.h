/* SPDX-License-Identifier: MIT */
#pragma once

#if !defined(AIO_GSOURCE_INSIDE) && !defined(AIO_GSOURCE_COMPILATION)
#error "Only <aio-gsource.h> can be included directly."
#endif

#include "aio-context.h"

G_BEGIN_DECLS

/**
 * AIO_HANDLER_MAX_DEPTH:
 *
 * How often one handler's callbacks may be on the stack at a time, through nested polls or
 * iterations. Beyond it the handler's file descriptor is left out of the nested wait.
 */
#define AIO_HANDLER_MAX_DEPTH 8

/**
 * AioHandlerFunc:
 * @fd: the file descriptor
 * @data: (closure): what was given with the handler
 *
 * A file descriptor is ready. Runs on the context's home thread, with no lock held.
 */
typedef void (*AioHandlerFunc) (int fd, gpointer data);

/**
 * AioPollFunc:
 * @fd: the file descriptor
 * @data: (closure): what was given with the handler
 *
 * Looks in memory whether there is something to do; it does nothing about it. It is called often, on the context's home
 * thread, with no lock held.
 *
 * Returns: whether there is
 */
typedef gboolean (*AioPollFunc) (int fd, gpointer data);

/**
 * AioHandlerErrorFunc:
 * @fd: the file descriptor
 * @error: what happened; of the domain %AIO_ERROR
 * @data: (closure): what was given with the handler
 *
 * A handler is dead: its file descriptor cannot be watched any more. It is called no further.
 */
typedef void (*AioHandlerErrorFunc) (int fd, const GError *error, gpointer data);

/**
 * AioFdFunc:
 * @fd: the file descriptor
 * @condition: %G_IO_IN to read, %G_IO_OUT to write, %G_IO_NVAL when the handler is dead
 * @data: (closure): what was given with the function
 *
 * A file descriptor is ready: the one callback of a handler made by aio_context_set_fd_func().
 */
typedef void (*AioFdFunc) (int fd, GIOCondition condition, gpointer data);

/**
 * AioFdHandler:
 * @read: (nullable): called when the file descriptor is readable, hung up or in error
 * @write: (nullable): called when it is writable or in error, and when it is hung up if there is no @read
 * @error: (nullable): called once when the handler died; without it a warning is logged
 * @poll: (nullable): asked whether it is ready, see aio_context_set_poll_params()
 * @poll_ready: (nullable): called when @poll said so, unless @read was called, as the file descriptor was ready too; without it
 *   there is no @poll
 * @poll_begin: (nullable): called before @poll is asked again and again: no kick by the file descriptor is needed now
 * @poll_end: (nullable): called after that, once for each @poll_begin: it is needed again. @poll is asked once more then.
 * @external: whether it serves an external client: see aio_context_disable_external()
 * @name: (nullable): what to call the handler in messages
 *
 * The callbacks of a file descriptor. A handler that has neither @read nor @write, only @poll, is asked by each
 * aio_context_poll() and by each iteration of a main context, and otherwise as often as
 * aio_context_set_poll_params() has it; nothing wakes a wait for its sake.
 */
typedef struct {
  AioHandlerFunc read;
  AioHandlerFunc write;
  AioHandlerErrorFunc error;
  AioPollFunc poll;
  AioHandlerFunc poll_ready;
  AioHandlerFunc poll_begin;
  AioHandlerFunc poll_end;
  gboolean external;
  const char *name;
} AioFdHandler;

AIO_AVAILABLE
gboolean aio_context_set_fd_handler (AioContext *ctx, int fd, const AioFdHandler *handler, gpointer data,
                                     GDestroyNotify destroy, GError **error);

AIO_AVAILABLE
gboolean aio_context_set_fd_func (AioContext *ctx, int fd, GIOCondition condition, AioFdFunc func, gpointer data,
                                  GDestroyNotify destroy, GError **error);

AIO_AVAILABLE
void aio_context_set_fd_poll (AioContext *ctx, int fd, AioHandlerFunc begin, AioHandlerFunc end);

AIO_AVAILABLE
gboolean aio_context_set_poll_params (AioContext *ctx, gint64 max_ns, gint64 grow, gint64 shrink, GError **error);

AIO_AVAILABLE
gboolean aio_context_poll_disabled (AioContext *ctx);

AIO_AVAILABLE
void aio_context_disable_external (AioContext *ctx);

AIO_AVAILABLE
gboolean aio_context_enable_external (AioContext *ctx, GError **error);

AIO_AVAILABLE
gboolean aio_context_external_disabled (AioContext *ctx);

AIO_AVAILABLE
gboolean aio_context_node_check (AioContext *ctx, gboolean external);

G_END_DECLS
