/* SPDX-License-Identifier: MIT */
#pragma once

#if !defined(AIO_GSOURCE_INSIDE) && !defined(AIO_GSOURCE_COMPILATION)
#error "Only <aio-gsource.h> can be included directly."
#endif

#include "aio-context.h"

G_BEGIN_DECLS

/**
 * AioBh:
 *
 * A bottom half: a callback that is run as soon as possible on its context's home thread, and that
 * can be scheduled from any thread and from a signal handler.
 */
typedef struct _AioBh AioBh;

/**
 * AioBhFunc:
 * @data: (closure): what was given with the function
 *
 * The callback of a bottom half. It runs on the context's home thread, with no lock held; it may
 * schedule, cancel and delete any bottom half, itself too, and nest aio_context_poll().
 */
typedef void (*AioBhFunc) (gpointer data);

#define AIO_TYPE_BH (aio_bh_get_type ())

AIO_AVAILABLE
GType aio_bh_get_type (void) G_GNUC_CONST;

AIO_AVAILABLE
AioBh *aio_bh_new (AioContext *ctx, AioBhFunc func, gpointer data);

/* In C the bottom half is named after its callback. */
#define aio_bh_new(ctx, func, data) aio_bh_new_full ((ctx), #func, (func), (data), NULL)

AIO_AVAILABLE
AioBh *aio_bh_new_full (AioContext *ctx, const char *name, AioBhFunc func, gpointer data, GDestroyNotify destroy);

AIO_AVAILABLE
AioBh *aio_bh_new_boxed (AioContext *ctx, const char *name, AioBhFunc func, gpointer data, GDestroyNotify destroy);

AIO_AVAILABLE
AioBh *aio_bh_ref (AioBh *bh);

AIO_AVAILABLE
void aio_bh_unref (AioBh *bh);

AIO_AVAILABLE
const char *aio_bh_get_name (AioBh *bh);

AIO_AVAILABLE
gboolean aio_bh_is_open (AioBh *bh);

AIO_AVAILABLE
gboolean aio_bh_is_scheduled (AioBh *bh);

AIO_AVAILABLE
void aio_bh_schedule (AioBh *bh);

AIO_AVAILABLE
void aio_bh_schedule_idle (AioBh *bh);

AIO_AVAILABLE
void aio_bh_cancel (AioBh *bh);

AIO_AVAILABLE
void aio_bh_delete (AioBh *bh);

AIO_AVAILABLE
void aio_bh_call (AioBh *bh);

AIO_AVAILABLE
void aio_context_schedule_oneshot (AioContext *ctx, AioBhFunc func, gpointer data);

AIO_AVAILABLE
void aio_context_schedule_oneshot_full (AioContext *ctx, const char *name, AioBhFunc func, gpointer data,
                                        GDestroyNotify destroy);

AIO_AVAILABLE
gboolean aio_context_bh_poll (AioContext *ctx);

/**
 * AIO_BH_BATCH_MAX:
 *
 * How many bottom halves an #AioBhBatchFunc is given at a time at most.
 */
#define AIO_BH_BATCH_MAX 64

/**
 * AioBhBatchFunc:
 * @items: (array length=n_items): the data of bottom halves whose turn it is, in their order
 * @n_items: how many; 0 to go on with those that an outer call was given and has not run
 * @data: (closure): what was given with the function
 *
 * Runs bottom halves in place of their callback. A callback that it runs may nest polls, which first have
 * it go on with the rest. What is in @items may be freed by then.
 *
 * Returns: how many it has run; those that a nested call has run are that call's
 */
typedef guint (*AioBhBatchFunc) (gpointer *items, guint n_items, gpointer data);

AIO_AVAILABLE
void aio_context_set_bh_batch (AioContext *ctx, AioBhFunc func, AioBhBatchFunc run, AioConditionFunc has_rest,
                               gpointer data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AioBh, aio_bh_unref)

G_END_DECLS
