/* SPDX-License-Identifier: MIT */
#include "aio-lock-count.h"

#include <stdatomic.h>

/*
 * The mutex is the lock. That it is held stands in the state as well, so that a visitor can tell and come in, in one
 * step, with nobody else in and without the mutex. The state changes by read-modify-writes alone: each goes on from
 * what the release before it published, whoever made that.
 *
 * Acquire: a visitor that comes in, who locks, who finds zero. Release: a visitor that leaves, who unlocks.
 */

#define LOCKED 1u
#define VISITOR 2u

/* Not declared atomic, for the header is for C++ too. */
G_STATIC_ASSERT (sizeof (_Atomic guint) == sizeof (guint) && _Alignof(_Atomic guint) == _Alignof(guint));

static inline _Atomic guint *
state_of (AioLockCount *count)
{
  return (_Atomic guint *) &count->state;
}

/**
 * aio_lock_count_init: (skip)
 * @count: memory for a lock count
 *
 * Makes a lock count without visitors, not locked. The original's `qemu_lockcnt_init`.
 */
void
aio_lock_count_init (AioLockCount *count)
{
  g_return_if_fail (count != NULL);

  atomic_init (state_of (count), 0);
  pthread_mutex_init (&count->mutex, NULL);
}

/**
 * aio_lock_count_clear: (skip)
 * @count: a lock count that nobody visits and nobody holds or will
 *
 * Ends a lock count, not the memory that it lies in. If there are visitors or it is locked that is a critical warning,
 * and it stays as it is. The original's `qemu_lockcnt_destroy`.
 */
void
aio_lock_count_clear (AioLockCount *count)
{
  g_return_if_fail (count != NULL);
  g_return_if_fail (atomic_load_explicit (state_of (count), memory_order_acquire) == 0);

  pthread_mutex_destroy (&count->mutex);
}

/**
 * aio_lock_count_count: (skip)
 * @count: a lock count
 *
 * Any thread. With the lock held a zero stays zero until the unlock, and what visitors did before they left has
 * happened; anything else is out of date at once. The original's `qemu_lockcnt_count`.
 *
 * Returns: how many visitors there are
 */
guint
aio_lock_count_count (AioLockCount *count)
{
  g_return_val_if_fail (count != NULL, 0);

  return atomic_load_explicit (state_of (count), memory_order_acquire) / VISITOR;
}

/**
 * aio_lock_count_inc: (skip)
 * @count: a lock count
 *
 * Comes in as a visitor. It waits for who holds the lock while nobody visits; else it takes no lock, and waits for
 * nobody. Any thread, also one that visits already; not who holds the lock, but for when there are visitors. The
 * original's `qemu_lockcnt_inc`.
 */
void
aio_lock_count_inc (AioLockCount *count)
{
  guint state;

  g_return_if_fail (count != NULL);

  state = atomic_load_explicit (state_of (count), memory_order_relaxed);
  while (state != LOCKED)
    if (atomic_compare_exchange_weak_explicit (state_of (count), &state, state + VISITOR, memory_order_acquire,
                                               memory_order_relaxed))
      return;

  pthread_mutex_lock (&count->mutex);
  atomic_fetch_add_explicit (state_of (count), VISITOR, memory_order_acquire);
  pthread_mutex_unlock (&count->mutex);
}

/* Takes a visitor off, unless there are less than @least: @state is what there was then. */
static gboolean
leave_if (AioLockCount *count, guint least, guint *state)
{
  *state = atomic_load_explicit (state_of (count), memory_order_relaxed);
  while (*state / VISITOR >= least)
    if (atomic_compare_exchange_weak_explicit (state_of (count), state, *state - VISITOR, memory_order_acq_rel,
                                               memory_order_relaxed))
      return TRUE;
  return FALSE;
}

static void
report_underflow (void)
{
  g_critical ("AioLockCount: a visitor leaves, but none is in");
}

/**
 * aio_lock_count_dec: (skip)
 * @count: a lock count
 *
 * Leaves as a visitor, whatever the lock. It waits for nobody. Any thread. Without a visitor it is a critical warning,
 * and nothing changes. The original's `qemu_lockcnt_dec`.
 */
void
aio_lock_count_dec (AioLockCount *count)
{
  guint state;

  g_return_if_fail (count != NULL);

  if (!leave_if (count, 1, &state))
    report_underflow ();
}

/**
 * aio_lock_count_dec_and_lock: (skip)
 * @count: a lock count
 *
 * Leaves as a visitor, and the last one takes the lock with it: nobody comes in before aio_lock_count_unlock().
 * It waits only if it seems to be the last, and then for who holds the lock. Any thread that does not hold it. Without
 * a visitor it is a critical warning, and nothing changes. The original's `qemu_lockcnt_dec_and_lock`.
 *
 * Returns: whether it was the last and holds the lock now
 */
gboolean
aio_lock_count_dec_and_lock (AioLockCount *count)
{
  gboolean left = FALSE;
  guint state;

  g_return_val_if_fail (count != NULL, FALSE);

  if (leave_if (count, 2, &state))
    return FALSE;
  if (state >= VISITOR)
    {
      aio_lock_count_lock (count);
      left = leave_if (count, 1, &state);
      if (left && state / VISITOR == 1)
        return TRUE;
      aio_lock_count_unlock (count);
    }
  if (!left)
    report_underflow ();
  return FALSE;
}

/**
 * aio_lock_count_dec_if_lock: (skip)
 * @count: a lock count
 *
 * Leaves as a visitor only if it is the last one, which then takes the lock with it; otherwise nothing changes. It
 * waits as aio_lock_count_dec_and_lock() does. Any thread that does not hold the lock. Without a visitor it is a
 * critical warning. The original's `qemu_lockcnt_dec_if_lock`.
 *
 * Returns: whether it left and holds the lock now
 */
gboolean
aio_lock_count_dec_if_lock (AioLockCount *count)
{
  guint state;

  g_return_val_if_fail (count != NULL, FALSE);

  state = atomic_load_explicit (state_of (count), memory_order_relaxed);
  if (state < VISITOR)
    report_underflow ();
  if (state / VISITOR != 1)
    return FALSE;

  aio_lock_count_lock (count);
  state = VISITOR | LOCKED;
  if (atomic_compare_exchange_strong_explicit (state_of (count), &state, LOCKED, memory_order_acq_rel,
                                               memory_order_relaxed))
    return TRUE;
  aio_lock_count_unlock (count);
  return FALSE;
}

/* Any thread may ask, but only the one that holds the lock can rely on the answer. */
static gboolean
is_locked (AioLockCount *count)
{
  return (atomic_load_explicit (state_of (count), memory_order_relaxed) & LOCKED) != 0;
}

/**
 * aio_lock_count_inc_and_unlock: (skip)
 * @count: a lock count
 *
 * Comes in as a visitor and gives the lock back, in one step: nobody finds the count at zero in between. For the thread
 * that holds the lock. If nobody does it is a critical warning, and nothing changes. The original's
 * `qemu_lockcnt_inc_and_unlock`.
 */
void
aio_lock_count_inc_and_unlock (AioLockCount *count)
{
  g_return_if_fail (count != NULL);
  g_return_if_fail (is_locked (count));

  atomic_fetch_add_explicit (state_of (count), VISITOR - LOCKED, memory_order_release);
  pthread_mutex_unlock (&count->mutex);
}

/**
 * aio_lock_count_lock: (skip)
 * @count: a lock count
 *
 * Takes the lock. It waits for who holds it, not for visitors, and keeps them out only while there are none: look at
 * aio_lock_count_count(). Any thread that does not hold it. The original's `qemu_lockcnt_lock`.
 */
void
aio_lock_count_lock (AioLockCount *count)
{
  g_return_if_fail (count != NULL);

  pthread_mutex_lock (&count->mutex);
  atomic_fetch_or_explicit (state_of (count), LOCKED, memory_order_acquire);
}

/**
 * aio_lock_count_unlock: (skip)
 * @count: a lock count
 *
 * Gives the lock back. For the thread that holds it. If nobody does it is a critical warning, and nothing changes. The
 * original's `qemu_lockcnt_unlock`.
 */
void
aio_lock_count_unlock (AioLockCount *count)
{
  g_return_if_fail (count != NULL);
  g_return_if_fail (is_locked (count));

  atomic_fetch_and_explicit (state_of (count), ~LOCKED, memory_order_release);
  pthread_mutex_unlock (&count->mutex);
}
