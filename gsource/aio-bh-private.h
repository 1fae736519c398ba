/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-atomic.h"
#include "aio-bh.h"

/*
 * AIO_BH_PENDING: in bh_list or a slice; whoever sets it pushes, only the home thread clears it
 * AIO_BH_SCHEDULED, AIO_BH_IDLE: shall run; idle ones only if the former is not set too
 * AIO_BH_DELETED: shall be freed when it leaves its queue; never cleared
 * AIO_BH_ONESHOT: is freed after its run
 * AIO_BH_NAMED: has a name; the last two never change
 */
enum {
  AIO_BH_PENDING = 1 << 0,
  AIO_BH_SCHEDULED = 1 << 1,
  AIO_BH_IDLE = 1 << 2,
  AIO_BH_DELETED = 1 << 3,
  AIO_BH_ONESHOT = 1 << 4,
  AIO_BH_NAMED = 1 << 5,
};

struct _AioBh {
  _Atomic guint flags;
  gint ref_count;             /* one is the context's; a oneshot has no other */
  _Atomic (AioContext *) ctx; /* NULL once the context let go of it; stored by home, loaded by any */
  AioBhFunc func;
  gpointer data;
  AioBh *next;              /* in its queue; whoever set PENDING stores it */
  AioBh *prev_bh, *next_bh; /* the context's list of all, under its list_lock */
  GDestroyNotify destroy;
  char name[]; /* if AIO_BH_NAMED; in here because there may be a hundred thousand (benchmark memory) */
};

/* What one run of aio_context_bh_poll() took from bh_list; it lies in that call's stack frame. */
typedef struct _AioBhSlice AioBhSlice;
struct _AioBhSlice {
  AioBh *head;
  AioBhSlice *next;
};

/* Of aio_context_set_bh_batch(): bottom halves with the callback func are run by run instead. */
typedef struct {
  AioBhFunc func; /* NULL: none are */
  AioBhBatchFunc run;
  AioConditionFunc has_rest;
  gpointer data;
  guint depth; /* calls of run on the stack: only then can there be a rest */
} AioBhBatch;

/* Home thread: whether an outer pass was given bottom halves as a batch that it has not run yet. */
static inline gboolean
aio_bh_batch_has_rest (AioBhBatch *batch)
{
  return batch->depth > 0 && batch->func && batch->has_rest (batch->data);
}

typedef enum {
  AIO_BH_QUEUE_IDLE = 1 << 0,    /* an idle bottom half wants to run */
  AIO_BH_QUEUE_DELETED = 1 << 1, /* one wants to be freed */
  AIO_BH_QUEUE_READY = 1 << 2,   /* one wants to run now; nothing further was looked for */
} AioBhQueueState;

/* Home thread or finalize: the context lets go of @bh, which is in no queue any more. */
void aio_bh_release (AioContext *ctx, AioBh *bh);

/* Home thread: what the queues hold. */
AioBhQueueState aio_context_bh_queue_state (AioContext *ctx);

/* Home thread or finalize: deletes all bottom halves and frees what is queued; @report warns of each. */
void aio_context_clear_bhs (AioContext *ctx, gboolean report);
