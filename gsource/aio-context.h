/* SPDX-License-Identifier: MIT */
#pragma once

#if !defined(AIO_GSOURCE_INSIDE) && !defined(AIO_GSOURCE_COMPILATION)
#error "Only <aio-gsource.h> can be included directly."
#endif

#include "aio-error.h"

G_BEGIN_DECLS

/**
 * AioContext:
 *
 * An event loop that can be waited on with aio_context_poll() and that is a #GSource of a
 * #GMainContext as well: either way of driving it runs the same handlers, timers and bottom halves.
 */
typedef struct _AioContext AioContext;

/**
 * AioMonitor:
 * @AIO_MONITOR_AUTO: the best that this kernel and this build have
 * @AIO_MONITOR_POLL: ppoll(2)
 * @AIO_MONITOR_EPOLL: epoll(7)
 * @AIO_MONITOR_IO_URING: io_uring(7), of Linux 5.11 or newer
 *
 * The ways a context can watch file descriptors.
 */
typedef enum {
  AIO_MONITOR_AUTO,
  AIO_MONITOR_POLL,
  AIO_MONITOR_EPOLL,
  AIO_MONITOR_IO_URING,
} AioMonitor;

/**
 * AioConditionFunc:
 * @data: (closure): what was given with the function
 *
 * Returns: whether the wait has to go on
 */
typedef gboolean (*AioConditionFunc) (gpointer data);

#define AIO_TYPE_CONTEXT (aio_context_get_type ())

AIO_AVAILABLE
GType aio_context_get_type (void) G_GNUC_CONST;

/* Life cycle */

AIO_AVAILABLE
AioContext *aio_context_new (GError **error);

AIO_AVAILABLE
AioContext *aio_context_new_full (const char *name, AioMonitor monitor, GError **error);

AIO_AVAILABLE
AioContext *aio_context_ref (AioContext *ctx);

AIO_AVAILABLE
void aio_context_unref (AioContext *ctx);

AIO_AVAILABLE
gboolean aio_context_close (AioContext *ctx, GError **error);

AIO_AVAILABLE
gboolean aio_context_is_closed (AioContext *ctx);

AIO_AVAILABLE
const char *aio_context_get_name (AioContext *ctx);

AIO_AVAILABLE
AioMonitor aio_context_get_monitor (AioContext *ctx);

/* The source */

AIO_AVAILABLE
GSource *aio_context_get_g_source (AioContext *ctx);

AIO_AVAILABLE
GSource *aio_source_for_context (AioContext *ctx);

AIO_AVAILABLE
gboolean aio_context_attach (AioContext *ctx, GMainContext *main_context, int priority, GError **error);

AIO_AVAILABLE
gboolean aio_context_detach (AioContext *ctx, GError **error);

AIO_AVAILABLE
gboolean aio_context_is_attached (AioContext *ctx);

/* Threads */

AIO_AVAILABLE
gboolean aio_context_in_home_thread (AioContext *ctx);

AIO_AVAILABLE
gboolean aio_context_set_home (AioContext *ctx, GError **error);

AIO_AVAILABLE
AioContext *aio_context_get_current (void);

AIO_AVAILABLE
gboolean aio_context_set_current (AioContext *ctx, GError **error);

/* Ownership */

AIO_AVAILABLE
void aio_context_acquire (AioContext *ctx);

AIO_AVAILABLE
gboolean aio_context_acquire_while (AioContext *ctx, AioConditionFunc condition, gpointer data);

AIO_AVAILABLE
gboolean aio_context_release (AioContext *ctx, GError **error);

/* Driving and waking */

AIO_AVAILABLE
gboolean aio_context_poll (AioContext *ctx, gboolean blocking, GError **error);

AIO_AVAILABLE
gboolean aio_context_poll_for (AioContext *ctx, gint64 max_ns, gboolean *expired, GError **error);

AIO_AVAILABLE
gboolean aio_context_wait_while (AioContext *ctx, AioConditionFunc condition, gpointer data, GError **error);

AIO_AVAILABLE
void aio_context_notify (AioContext *ctx);

AIO_AVAILABLE
void aio_context_notify_accept (AioContext *ctx);

AIO_AVAILABLE
guint aio_context_get_notify_me (AioContext *ctx);

AIO_AVAILABLE
gboolean aio_context_get_notified (AioContext *ctx);

AIO_AVAILABLE
gboolean aio_context_get_dispatching (AioContext *ctx);

AIO_AVAILABLE
gboolean aio_context_prepare (AioContext *ctx);

AIO_AVAILABLE
gboolean aio_context_pending (AioContext *ctx);

AIO_AVAILABLE
gboolean aio_context_dispatch (AioContext *ctx);

AIO_AVAILABLE
gint64 aio_context_compute_timeout (AioContext *ctx);

AIO_AVAILABLE
gboolean aio_context_is_armed (AioContext *ctx);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AioContext, aio_context_unref)

G_END_DECLS
