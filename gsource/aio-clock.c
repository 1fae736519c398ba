/* SPDX-License-Identifier: MIT */
#include "aio-clock-private.h"

#include "aio-context-private.h"
#include "aio-system-private.h"

#include <time.h>

#define AIO_CLOCK_INIT(clock_type)                                                                                     \
  {                                                                                                                    \
    .type = (clock_type), .enabled = TRUE, .lock = PTHREAD_MUTEX_INITIALIZER, .pass_ended = PTHREAD_COND_INITIALIZER,  \
  }

static AioClock process_clocks[AIO_CLOCK_MANUAL] = {
  [AIO_CLOCK_REALTIME] = AIO_CLOCK_INIT (AIO_CLOCK_REALTIME),
  [AIO_CLOCK_VIRTUAL] = AIO_CLOCK_INIT (AIO_CLOCK_VIRTUAL),
  [AIO_CLOCK_HOST] = AIO_CLOCK_INIT (AIO_CLOCK_HOST),
  [AIO_CLOCK_VIRTUAL_RT] = AIO_CLOCK_INIT (AIO_CLOCK_VIRTUAL_RT),
};

/* The passes that this thread is in. */
static __thread guint own_passes[AIO_CLOCK_MANUAL] AIO_TLS;

G_DEFINE_BOXED_TYPE (AioClock, aio_clock, aio_clock_ref, aio_clock_unref)

static gboolean
aio_clock_can_be_disabled (AioClock *clock)
{
  return clock->type == AIO_CLOCK_VIRTUAL || clock->type == AIO_CLOCK_VIRTUAL_RT;
}

/* Any thread. Wakes every context that has timers on @clock, so that it looks at its deadline again. */
static void
aio_clock_notify_all (AioClock *clock)
{
  pthread_mutex_lock (&clock->lock);
  for (guint i = 0; clock->lists && i < clock->lists->len; i++)
    aio_timer_list_notify (g_ptr_array_index (clock->lists, i));
  pthread_mutex_unlock (&clock->lock);
}

/**
 * aio_clock_get:
 * @type: which one; not %AIO_CLOCK_MANUAL
 *
 * Gets one of the four clocks of the process. Any thread. It is never freed, so it need not be
 * referenced.
 *
 * Returns: (transfer none): the clock
 */
AioClock *
aio_clock_get (AioClockType type)
{
  g_return_val_if_fail (type >= AIO_CLOCK_REALTIME && type < AIO_CLOCK_MANUAL, NULL);

  return &process_clocks[type];
}

/**
 * aio_clock_new_manual:
 * @start_ns: what it shows at first, in nanoseconds
 *
 * Makes a clock that stands still until aio_clock_set_ns() or aio_clock_advance_ns(). Any thread.
 *
 * Returns: (transfer full): the clock
 */
AioClock *
aio_clock_new_manual (gint64 start_ns)
{
  static _Atomic guint last_number;
  AioClock *clock = g_new0 (AioClock, 1);

  clock->type = AIO_CLOCK_MANUAL;
  clock->manual_number = atomic_fetch_add_explicit (&last_number, 1, memory_order_relaxed) + 1;
  clock->enabled = TRUE;
  clock->manual_ns = MAX (start_ns, 0);
  g_atomic_ref_count_init (&clock->ref_count);
  pthread_mutex_init (&clock->lock, NULL);
  return clock;
}

/**
 * aio_clock_ref:
 * @clock: a clock
 *
 * Adds a reference. Any thread.
 *
 * Returns: (transfer full): @clock
 */
AioClock *
aio_clock_ref (AioClock *clock)
{
  g_return_val_if_fail (clock != NULL, NULL);

  if (clock->type == AIO_CLOCK_MANUAL)
    g_atomic_ref_count_inc (&clock->ref_count);
  return clock;
}

/**
 * aio_clock_unref:
 * @clock: (transfer full): a clock
 *
 * Drops a reference. Any thread.
 */
void
aio_clock_unref (AioClock *clock)
{
  g_return_if_fail (clock != NULL);

  if (clock->type != AIO_CLOCK_MANUAL || !g_atomic_ref_count_dec (&clock->ref_count))
    return;

  g_clear_pointer (&clock->lists, g_ptr_array_unref);
  pthread_mutex_destroy (&clock->lock);
  g_free (clock);
}

/**
 * aio_clock_get_clock_type:
 * @clock: a clock
 *
 * Any thread.
 *
 * Returns: what kind of clock it is
 */
AioClockType
aio_clock_get_clock_type (AioClock *clock)
{
  g_return_val_if_fail (clock != NULL, AIO_CLOCK_MANUAL);

  return clock->type;
}

/**
 * aio_clock_get_ns:
 * @clock: a clock
 *
 * Reads the clock. Any thread.
 *
 * Returns: nanoseconds: since the epoch for %AIO_CLOCK_HOST, since an arbitrary start otherwise
 */
gint64
aio_clock_get_ns (AioClock *clock)
{
  struct timespec now;

  g_return_val_if_fail (clock != NULL, 0);

  if (clock->type == AIO_CLOCK_MANUAL)
    return atomic_load_explicit (&clock->manual_ns, memory_order_acquire);

  AIO_SYSTEM (clock_gettime) (clock->type == AIO_CLOCK_HOST ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now);
  return (gint64) now.tv_sec * G_GINT64_CONSTANT (1000000000) + now.tv_nsec;
}

/**
 * aio_clock_set_ns:
 * @clock: a manual clock
 * @now_ns: what it shows from now on, in nanoseconds; below zero counts as zero
 *
 * Moves a manual clock and wakes the contexts that have timers on it. It runs no timer itself: they
 * fire when their context is driven next. Any thread.
 */
void
aio_clock_set_ns (AioClock *clock, gint64 now_ns)
{
  g_return_if_fail (clock != NULL && clock->type == AIO_CLOCK_MANUAL);

  atomic_store_explicit (&clock->manual_ns, MAX (now_ns, 0), memory_order_release);
  aio_clock_notify_all (clock);
}

/**
 * aio_clock_advance_ns:
 * @clock: a manual clock
 * @delta_ns: how far, in nanoseconds; it stops at the ends of the range
 *
 * Moves a manual clock by a distance, like aio_clock_set_ns(). Any thread.
 */
void
aio_clock_advance_ns (AioClock *clock, gint64 delta_ns)
{
  gint64 now, next;

  g_return_if_fail (clock != NULL && clock->type == AIO_CLOCK_MANUAL);

  now = atomic_load_explicit (&clock->manual_ns, memory_order_relaxed);
  do
    {
      if (__builtin_add_overflow (now, delta_ns, &next))
        next = G_MAXINT64;
      next = MAX (next, 0);
    }
  while (!atomic_compare_exchange_weak_explicit (&clock->manual_ns, &now, next, memory_order_acq_rel,
                                                 memory_order_relaxed));
  aio_clock_notify_all (clock);
}

/**
 * aio_clock_get_enabled:
 * @clock: a clock
 *
 * Any thread.
 *
 * Returns: whether its timers fire
 */
gboolean
aio_clock_get_enabled (AioClock *clock)
{
  g_return_val_if_fail (clock != NULL, FALSE);

  return atomic_load_explicit (&clock->enabled, memory_order_acquire);
}

/**
 * aio_clock_set_enabled:
 * @clock: a virtual clock; for any other the call has no effect
 * @enabled: whether its timers shall fire
 *
 * Disables or enables a clock for the whole process. While it is disabled its time goes on and its
 * timers stay armed, but they neither fire nor end a wait. Disabling waits for callbacks of its timers
 * that other threads are running, also when the clock was disabled already, unless it is done in such a
 * callback itself or the clock is enabled again meanwhile. So callbacks of two clocks, each on a thread of
 * its own, must not disable the other's. Enabling wakes every context that has timers on it. Any thread.
 */
void
aio_clock_set_enabled (AioClock *clock, gboolean enabled)
{
  aio_clock_set_enabled_while (clock, enabled, NULL, NULL);
}

/* With the lock held, and back with it. Under a clock that is enabled again there is always another pass. */
static void
wait_for_passes (AioClock *clock, AioConditionFunc condition, gpointer data)
{
  while (clock->n_passes > 0 && !aio_clock_get_enabled (clock))
    if (!condition)
      pthread_cond_wait (&clock->pass_ended, &clock->lock);
    else
      {
        gboolean go_on;

        pthread_mutex_unlock (&clock->lock);
        go_on = condition (data);
        pthread_mutex_lock (&clock->lock);
        if (!go_on)
          break;
        if (clock->n_passes > 0 && !aio_clock_get_enabled (clock))
          aio_wait_a_while (&clock->pass_ended, &clock->lock);
      }
}

/**
 * aio_clock_set_enabled_while: (skip)
 * @clock: a clock
 * @enabled: whether its timers shall fire
 * @condition: (nullable): called when a wait begins and then ten times a second, with no lock held, or %NULL
 * @data: what it is given
 *
 * aio_clock_set_enabled() that does not wait any longer once @condition is %FALSE, for who may be told to end while it
 * waits. Any thread.
 */
void
aio_clock_set_enabled_while (AioClock *clock, gboolean enabled, AioConditionFunc condition, gpointer data)
{
  gboolean was_enabled;

  g_return_if_fail (clock != NULL);

  if (!aio_clock_can_be_disabled (clock))
    return;

  pthread_mutex_lock (&clock->lock);
  was_enabled = atomic_exchange_explicit (&clock->enabled, !!enabled, memory_order_acq_rel);
  if (enabled)
    pthread_cond_broadcast (&clock->pass_ended);
  else if (own_passes[clock->type] == 0)
    wait_for_passes (clock, condition, data);
  pthread_mutex_unlock (&clock->lock);

  if (enabled && !was_enabled)
    aio_clock_notify_all (clock);
}

void
aio_clock_begin_pass (AioClock *clock)
{
  if (!aio_clock_can_be_disabled (clock))
    return;
  own_passes[clock->type]++;
  pthread_mutex_lock (&clock->lock);
  clock->n_passes++;
  pthread_mutex_unlock (&clock->lock);
}

void
aio_clock_end_pass (AioClock *clock)
{
  if (!aio_clock_can_be_disabled (clock))
    return;
  own_passes[clock->type]--;
  pthread_mutex_lock (&clock->lock);
  clock->n_passes--;
  pthread_cond_broadcast (&clock->pass_ended);
  pthread_mutex_unlock (&clock->lock);
}

/**
 * aio_clock_deadline_ns_all:
 * @clock: a clock
 * @mask: which timers count beside the ordinary ones: with %AIO_TIMER_ATTR_EXTERNAL those too
 *
 * Gets the time until the earliest timer on @clock, over all contexts. Any thread.
 *
 * Returns: nanoseconds, 0 if one is due, -1 if there is none or the clock is disabled
 */
gint64
aio_clock_deadline_ns_all (AioClock *clock, AioTimerAttributes mask)
{
  gint64 expire = G_MAXINT64, now;
  gboolean found = FALSE;

  g_return_val_if_fail (clock != NULL, -1);

  if (!aio_clock_get_enabled (clock))
    return -1;

  pthread_mutex_lock (&clock->lock);
  for (guint i = 0; clock->lists && i < clock->lists->len; i++)
    {
      gint64 earliest = aio_timer_list_earliest_ns (g_ptr_array_index (clock->lists, i), mask);

      if (earliest < 0)
        continue;
      expire = MIN (expire, earliest);
      found = TRUE;
    }
  pthread_mutex_unlock (&clock->lock);

  if (!found)
    return -1;
  now = aio_clock_get_ns (clock);
  return MAX (expire - now, 0);
}

void
aio_clock_add_list (AioClock *clock, AioTimerList *list)
{
  pthread_mutex_lock (&clock->lock);
  if (!clock->lists)
    clock->lists = g_ptr_array_new ();
  g_ptr_array_add (clock->lists, list);
  pthread_mutex_unlock (&clock->lock);
}

void
aio_clock_remove_list (AioClock *clock, AioTimerList *list)
{
  pthread_mutex_lock (&clock->lock);
  g_ptr_array_remove_fast (clock->lists, list);
  pthread_mutex_unlock (&clock->lock);
}
