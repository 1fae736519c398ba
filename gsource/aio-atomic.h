/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>
#include <stdatomic.h>

#ifdef AIO_TEST_HOOKS
/* For tests: how many fences the thread has come by. */
extern _Thread_local guint64 aio_test_n_fences;
#endif

/*
 * The full fence of the wake-up protocol. Each use names its pair: it orders the stores before it
 * against the loads after it, which neither acquire nor release nor a read-modify-write does on its
 * own.
 */
static inline void
aio_fence (void)
{
#ifdef AIO_TEST_HOOKS
  aio_test_n_fences++;
#endif
#ifdef __SANITIZE_THREAD__
  /* ThreadSanitizer does not know fences; a read-modify-write of one variable orders the same for it. */
  static _Atomic int order;
  atomic_fetch_add (&order, 1);
#else
  atomic_thread_fence (memory_order_seq_cst);
#endif
}

/* A counter with one writer at a time: readers of any thread see whole values. */
typedef _Atomic guint64 AioCounter;

static inline void
aio_counter_add (AioCounter *counter, guint n)
{
  guint64 value = atomic_load_explicit (counter, memory_order_relaxed);

  atomic_store_explicit (counter, value + n, memory_order_relaxed);
}

/* The same for a counter with many writers. */
static inline void
aio_counter_add_shared (AioCounter *counter)
{
  atomic_fetch_add_explicit (counter, 1, memory_order_relaxed);
}

static inline guint64
aio_counter_get (AioCounter *counter)
{
  return atomic_load_explicit (counter, memory_order_relaxed);
}
