/* SPDX-License-Identifier: MIT */
#pragma once

#if !defined(AIO_GSOURCE_INSIDE) && !defined(AIO_GSOURCE_COMPILATION)
#error "Only <aio-gsource.h> can be included directly."
#endif

#include "aio-handler.h"

G_BEGIN_DECLS

/**
 * AioNotifier:
 *
 * An event notifier: a flag that any thread or process that has its file descriptor can set, and
 * that a context can watch. It is a non-blocking eventfd(2).
 */
typedef struct _AioNotifier AioNotifier;

/**
 * AioNotifierFunc:
 * @notifier: the notifier, still set: the callback clears it with aio_notifier_test_and_clear()
 * @data: (closure): what was given with the function
 *
 * A notifier is set. Runs on the context's home thread, with no lock held.
 */
typedef void (*AioNotifierFunc) (AioNotifier *notifier, gpointer data);

/**
 * AioNotifierPollFunc:
 * @notifier: the notifier
 * @data: (closure): what was given with the function
 *
 * Looks in memory whether there is something to do: what #AioPollFunc is for a file descriptor.
 *
 * Returns: whether there is
 */
typedef gboolean (*AioNotifierPollFunc) (AioNotifier *notifier, gpointer data);

/**
 * AioNotifierErrorFunc:
 * @notifier: the notifier
 * @error: what happened; of the domain %AIO_ERROR
 * @data: (closure): what was given with the function
 *
 * A notifier's handler is dead: its file descriptor cannot be watched any more. It is called no further.
 */
typedef void (*AioNotifierErrorFunc) (AioNotifier *notifier, const GError *error, gpointer data);

/**
 * AioNotifierHandler:
 * @func: called when the notifier is set
 * @error: (nullable): called once when the handler died; without it a warning is logged
 * @poll: (nullable): like #AioFdHandler.poll
 * @poll_ready: (nullable): like #AioFdHandler.poll_ready
 * @poll_begin: (nullable): like #AioFdHandler.poll_begin
 * @poll_end: (nullable): like #AioFdHandler.poll_end
 * @external: whether it serves an external client: see aio_context_disable_external()
 * @name: (nullable): what to call the handler in messages
 *
 * The callbacks of a notifier: what #AioFdHandler is for a file descriptor.
 */
typedef struct {
  AioNotifierFunc func;
  AioNotifierErrorFunc error;
  AioNotifierPollFunc poll;
  AioNotifierFunc poll_ready;
  AioNotifierFunc poll_begin;
  AioNotifierFunc poll_end;
  gboolean external;
  const char *name;
} AioNotifierHandler;

#define AIO_TYPE_NOTIFIER (aio_notifier_get_type ())

AIO_AVAILABLE
GType aio_notifier_get_type (void) G_GNUC_CONST;

AIO_AVAILABLE
AioNotifier *aio_notifier_new (gboolean active, GError **error);

AIO_AVAILABLE
AioNotifier *aio_notifier_ref (AioNotifier *notifier);

AIO_AVAILABLE
void aio_notifier_unref (AioNotifier *notifier);

AIO_AVAILABLE
int aio_notifier_get_fd (AioNotifier *notifier);

AIO_AVAILABLE
gboolean aio_notifier_set (AioNotifier *notifier, GError **error);

AIO_AVAILABLE
gboolean aio_notifier_test_and_clear (AioNotifier *notifier);

AIO_AVAILABLE
void aio_notifier_close (AioNotifier *notifier);

AIO_AVAILABLE
gboolean aio_context_set_event_notifier (AioContext *ctx, AioNotifier *notifier, AioNotifierFunc func, gpointer data,
                                         GDestroyNotify destroy, GError **error);

AIO_AVAILABLE
gboolean aio_context_set_event_notifier_full (AioContext *ctx, AioNotifier *notifier, const AioNotifierHandler *handler,
                                              gpointer data, GDestroyNotify destroy, GError **error);

AIO_AVAILABLE
void aio_context_set_event_notifier_poll (AioContext *ctx, AioNotifier *notifier, AioNotifierFunc begin,
                                          AioNotifierFunc end);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AioNotifier, aio_notifier_unref)

G_END_DECLS
