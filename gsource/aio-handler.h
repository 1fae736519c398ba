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
 * @external: whether it serves an external client: see aio_context_disable_external()
 * @name: (nullable): what to call the handler in messages
 *
 * The callbacks of a file descriptor.
 */
typedef struct {
  AioHandlerFunc read;
  AioHandlerFunc write;
  AioHandlerErrorFunc error;
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
void aio_context_disable_external (AioContext *ctx);

AIO_AVAILABLE
gboolean aio_context_enable_external (AioContext *ctx, GError **error);

AIO_AVAILABLE
gboolean aio_context_external_disabled (AioContext *ctx);

AIO_AVAILABLE
gboolean aio_context_node_check (AioContext *ctx, gboolean external);

G_END_DECLS
