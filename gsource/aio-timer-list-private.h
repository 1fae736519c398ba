/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-clock-private.h"
#include "aio-timer.h"

#define AIO_TIMER_NOT_IN_HEAP G_MAXUINT

/* The expiry of a list without timers. A timer that is armed for this very time never fires. */
#define AIO_TIMER_NEVER G_MAXINT64

/* Four to a cache line (benchmark timers). */
typedef struct {
  gint64 expire_ns;
  AioTimer *timer;
} AioTimerEntry;

/*
 * The timers that one context has on one clock. A pass over them moves what has expired from the heap
 * to the queue of due timers first, so that a timer which is armed again while the pass runs has to
 * wait for the next one; nested passes share the queue and take its oldest timers first.
 */
struct _AioTimerList {
  AioContext *ctx;
  AioClock *clock;    /* a reference; NULL in a spare list */
  AioTimerList *next; /* the context's chain of manual or of spare lists; guarded by its list_lock */
  guint64 number;     /* of a manual list: how many there had been before; stored under the list_lock */
  guint users;        /* timers made and not freed, passes under way; guarded likewise */

  pthread_mutex_t lock; /* guards what follows and the timers' own fields; never held in a callback */
  AioTimerEntry *heap;  /* 4-ary; the children of one entry share a cache line */
  guint n_heap, heap_size;
  AioTimer *due_head, *due_tail;
  AioTimer *owned; /* the timers of aio_timer_new() and its kin */
  guint64 next_sequence;
  _Atomic gint64 earliest_ns; /* stored under the lock, loaded anywhere: 0 while a timer is due */
};

/* Stored under the lock of the list, which a thread without it looks at again once it has it. */
static inline AioTimerList *
aio_timer_get_list (AioTimer *timer)
{
  return __atomic_load_n (&timer->list, __ATOMIC_ACQUIRE);
}

static inline void
aio_timer_part_from_list (AioTimer *timer)
{
  __atomic_store_n (&timer->list, NULL, __ATOMIC_RELEASE);
}

AioTimerList *aio_timer_list_new (AioContext *ctx, AioClock *clock);

/*
 * Takes @list, whose last user has gone, from its clock; then it can be freed, or used for another clock. Other
 * threads may still lock it, and find that the timer they mean is not in it.
 */
void aio_timer_list_leave_clock (AioTimerList *list);
void aio_timer_list_join_clock (AioTimerList *list, AioClock *clock);

/*
 * Home thread or finalize. Disarms every timer and frees the owned ones; @report warns of each. The
 * caller counts as a user.
 */
void aio_timer_list_clear (AioTimerList *list, gboolean report);
void aio_timer_list_free (AioTimerList *list);

/* Any thread, with list->lock held. */
void aio_timer_list_arm (AioTimerList *list, AioTimer *timer, gint64 expire_ns);
void aio_timer_list_disarm (AioTimerList *list, AioTimer *timer);

/* Any thread. */
gint64 aio_timer_list_earliest_ns (AioTimerList *list, AioTimerAttributes mask);
void aio_timer_list_notify (AioTimerList *list);

/* Home thread: runs one pass; whether a timer fired. */
gboolean aio_timer_list_run (AioTimerList *list);

/* Any thread: whether a timer could fire by itself or by a move of its clock. */
static inline gboolean
aio_timer_list_has_timers (AioTimerList *list)
{
  return G_UNLIKELY (atomic_load_explicit (&list->earliest_ns, memory_order_acquire) != AIO_TIMER_NEVER)
         && aio_clock_get_enabled (list->clock);
}

/* Home thread: nanoseconds until the first timer, 0 if one is due, -1 for never. */
static inline gint64
aio_timer_list_timeout (AioTimerList *list)
{
  gint64 earliest, now;

  if (!aio_timer_list_has_timers (list))
    return -1;
  earliest = atomic_load_explicit (&list->earliest_ns, memory_order_acquire);
  now = aio_clock_get_ns (list->clock);
  if (earliest <= now)
    return 0;
  /* A manual clock does not get there by waiting: whoever moves it wakes the context. */
  return list->clock->type == AIO_CLOCK_MANUAL ? -1 : earliest - now;
}
