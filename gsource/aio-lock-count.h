/* SPDX-License-Identifier: MIT */
#pragma once

#if !defined(AIO_GSOURCE_INSIDE) && !defined(AIO_GSOURCE_COMPILATION)
#error "Only <aio-gsource.h> can be included directly."
#endif

#include "aio-error.h"

#include <pthread.h>

G_BEGIN_DECLS

/**
 * AioLockCount: (skip)
 *
 * A count of visitors and a lock in one. Visitors of a structure read it without the lock; who holds the
 * lock while the count is zero knows that nobody visits, nor will before the unlock, and may free what visitors could
 * have found. It lies in the caller's memory. The original's `QemuLockCnt`.
 *
 * What visitors read has to be published for that: stored with release, loaded with acquire, and what is replaced freed
 * only at zero.
 *
 * |[<!-- language="C" -->
 * // a visitor                              // who takes something out
 * aio_lock_count_inc (&count);              aio_lock_count_lock (&count);
 * item = atomic_load (&list);               item = atomic_exchange (&list, NULL);
 * look_at (item);                           item->next_retired = retired;
 * if (aio_lock_count_dec_and_lock (&count)) retired = item;
 *   {                                       if (aio_lock_count_count (&count) == 0)
 *     free_all (&retired);                    free_all (&retired);
 *     aio_lock_count_unlock (&count);       aio_lock_count_unlock (&count);
 *   }
 * ]|
 */
typedef struct _AioLockCount AioLockCount;

struct _AioLockCount {
  /*< private >*/
  guint state; /* atomic: bit 0 while the lock is held, and 2 for each visitor */
  pthread_mutex_t mutex;
};

AIO_AVAILABLE
void aio_lock_count_init (AioLockCount *count);

AIO_AVAILABLE
void aio_lock_count_clear (AioLockCount *count);

AIO_AVAILABLE
guint aio_lock_count_count (AioLockCount *count);

AIO_AVAILABLE
void aio_lock_count_inc (AioLockCount *count);

AIO_AVAILABLE
void aio_lock_count_dec (AioLockCount *count);

AIO_AVAILABLE
gboolean aio_lock_count_dec_and_lock (AioLockCount *count);

AIO_AVAILABLE
gboolean aio_lock_count_dec_if_lock (AioLockCount *count);

AIO_AVAILABLE
void aio_lock_count_inc_and_unlock (AioLockCount *count);

AIO_AVAILABLE
void aio_lock_count_lock (AioLockCount *count);

AIO_AVAILABLE
void aio_lock_count_unlock (AioLockCount *count);

G_END_DECLS
