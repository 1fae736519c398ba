/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-atomic.h"
#include "aio-context.h"

#include <pthread.h>

typedef struct _AioLockWaiter AioLockWaiter;

/* That a thread owns a context, in that thread's list of all that it owns. */
typedef struct _AioHold AioHold;
struct _AioHold {
  AioContext *ctx; /* constant, until the context ends although it is owned: then NULL, stored under the order's lock */
  AioHold *next;   /* the owner's */
};

/*
 * The lock of aio_context_acquire(). It is handed on to who waits first, never let go while somebody waits: who comes
 * later cannot be first.
 */
typedef struct {
  pthread_mutex_t mutex;
  _Atomic guint64 owner;                  /* aio_thread_id(), 0: nobody; stored with mutex held, loaded by any */
  guint depth;                            /* the owner's: how often it has to release */
  AioLockWaiter *waiters, **waiters_tail; /* mutex: the first is next */
  AioHold *hold;                          /* the owner's; made once */
  guint64 order_id;                       /* the order's lock: in its pairs; 0: in none */
} AioContextLock;

void aio_context_lock_init (AioContext *ctx);

/* Finalize: warns if it is owned. */
void aio_context_lock_finalize (AioContext *ctx);

/* Any thread, with @mutex held: waits for @cond, at most until it is time to ask again whether to go on. */
void aio_wait_a_while (pthread_cond_t *cond, pthread_mutex_t *mutex);

/* For tests: how many threads wait for it, and how many pairs the order has. Any thread. */
guint aio_context_lock_count_waiters (AioContext *ctx);
guint aio_lock_order_count_pairs (void);
