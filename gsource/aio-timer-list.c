/* SPDX-License-Identifier: MIT */
#include "aio-timer-list-private.h"

#include "aio-context-private.h"

#include <stdlib.h>
#include <string.h>

#define HEAP_ARITY 4
#define CACHE_LINE_ENTRIES 4 /* of 16 bytes */

static gboolean
entry_before (const AioTimerEntry *a, const AioTimerEntry *b)
{
  return a->expire_ns != b->expire_ns ? a->expire_ns < b->expire_ns : a->timer->sequence < b->timer->sequence;
}

static void
heap_place (AioTimerList *list, guint index, AioTimerEntry entry)
{
  list->heap[index] = entry;
  entry.timer->heap_index = index;
}

static void
heap_sift_up (AioTimerList *list, guint index, AioTimerEntry entry)
{
  while (index > 0)
    {
      guint parent = (index - 1) / HEAP_ARITY;

      if (!entry_before (&entry, &list->heap[parent]))
        break;
      heap_place (list, index, list->heap[parent]);
      index = parent;
    }
  heap_place (list, index, entry);
}

static void
heap_sift_down (AioTimerList *list, guint index, AioTimerEntry entry)
{
  for (;;)
    {
      guint first = index * HEAP_ARITY + 1;
      guint last = MIN (first + HEAP_ARITY, list->n_heap);
      guint best = first;

      if (first >= list->n_heap)
        break;
      for (guint child = first + 1; child < last; child++)
        if (entry_before (&list->heap[child], &list->heap[best]))
          best = child;
      if (!entry_before (&list->heap[best], &entry))
        break;
      heap_place (list, index, list->heap[best]);
      index = best;
    }
  heap_place (list, index, entry);
}

/* @entry takes the place of what is at @index. */
static void
heap_replace (AioTimerList *list, guint index, AioTimerEntry entry)
{
  if (index > 0 && entry_before (&entry, &list->heap[(index - 1) / HEAP_ARITY]))
    heap_sift_up (list, index, entry);
  else
    heap_sift_down (list, index, entry);
}

/* What lies before the heap, so that entry 1, and with it the first child of each entry, begins a cache line. */
#define HEAP_OFFSET (CACHE_LINE_ENTRIES - 1)

static void
heap_free (AioTimerList *list)
{
  if (list->heap)
    free (list->heap - HEAP_OFFSET);
}

static void
heap_grow (AioTimerList *list)
{
  guint size = MAX (CACHE_LINE_ENTRIES, list->heap_size * 2);
  gsize line = CACHE_LINE_ENTRIES * sizeof (AioTimerEntry);
  AioTimerEntry *heap = aligned_alloc (line, size * sizeof (AioTimerEntry) + line);

  if (!heap)
    g_error ("No memory for %u timers", size);
  heap += HEAP_OFFSET;
  if (list->n_heap > 0)
    memcpy (heap, list->heap, list->n_heap * sizeof *heap);
  heap_free (list);
  list->heap = heap;
  list->heap_size = size;
}

static void
heap_insert (AioTimerList *list, AioTimerEntry entry)
{
  if (list->n_heap == list->heap_size)
    heap_grow (list);
  heap_sift_up (list, list->n_heap++, entry);
}

static void
heap_remove (AioTimerList *list, AioTimer *timer)
{
  guint index = timer->heap_index;
  AioTimerEntry last = list->heap[--list->n_heap];

  timer->heap_index = AIO_TIMER_NOT_IN_HEAP;
  if (last.timer != timer)
    heap_replace (list, index, last);
}

static void
due_append (AioTimerList *list, AioTimer *timer)
{
  timer->due.prev = list->due_tail;
  timer->due.next = NULL;
  if (list->due_tail)
    list->due_tail->due.next = timer;
  else
    list->due_head = timer;
  list->due_tail = timer;
}

static void
due_remove (AioTimerList *list, AioTimer *timer)
{
  if (timer->due.prev)
    timer->due.prev->due.next = timer->due.next;
  else
    list->due_head = timer->due.next;
  if (timer->due.next)
    timer->due.next->due.prev = timer->due.prev;
  else
    list->due_tail = timer->due.prev;
}

static void
publish_earliest (AioTimerList *list)
{
  gint64 earliest = AIO_TIMER_NEVER;

  if (list->due_head)
    earliest = 0;
  else if (list->n_heap > 0)
    earliest = list->heap[0].expire_ns;
  atomic_store_explicit (&list->earliest_ns, earliest, memory_order_release);
}

AioTimerList *
aio_timer_list_new (AioContext *ctx, AioClock *clock)
{
  AioTimerList *list = g_new0 (AioTimerList, 1);

  list->ctx = ctx;
  list->earliest_ns = AIO_TIMER_NEVER;
  pthread_mutex_init (&list->lock, NULL);
  aio_timer_list_join_clock (list, clock);
  return list;
}

void
aio_timer_list_join_clock (AioTimerList *list, AioClock *clock)
{
  list->clock = aio_clock_ref (clock);
  aio_clock_add_list (clock, list);
}

void
aio_timer_list_leave_clock (AioTimerList *list)
{
  aio_clock_remove_list (list->clock, list);
  g_clear_pointer (&list->clock, aio_clock_unref);
}

static void
add_leak (AioTimerList *list, AioTimer *timer, GPtrArray *leaks)
{
  const char *name = aio_timer_get_name (timer);

  g_ptr_array_add (leaks, g_strdup_printf ("AioContext %s: timer %s was still %s when the context ended",
                                           aio_context_get_name (list->ctx), name ? name : "(unnamed)",
                                           timer->expire_ns >= 0 ? "armed" : "allocated"));
}

/* Collected with the lock held, and told without it: who logs them may look at the timers there are. */
static void
report_leaks (AioTimerList *list)
{
  g_autoptr (GPtrArray) leaks = g_ptr_array_new_with_free_func (g_free);

  pthread_mutex_lock (&list->lock);
  for (AioTimer *timer = list->owned; timer; timer = timer->owned_next)
    add_leak (list, timer, leaks);
  /* Those in their owner's memory are known only while they are armed. */
  for (AioTimer *timer = list->due_head; timer; timer = timer->due.next)
    if (timer->ref_count == 0)
      add_leak (list, timer, leaks);
  for (guint i = 0; i < list->n_heap; i++)
    if (list->heap[i].timer->ref_count == 0)
      add_leak (list, list->heap[i].timer, leaks);
  pthread_mutex_unlock (&list->lock);

  for (guint i = 0; i < leaks->len; i++)
    g_warning ("%s", (char *) leaks->pdata[i]);
}

void
aio_timer_list_clear (AioTimerList *list, gboolean report)
{
  guint n_parted = 0;
  AioTimer *timer;

  if (report)
    report_leaks (list);
  pthread_mutex_lock (&list->lock);
  while ((timer = list->due_head ? list->due_head : list->n_heap > 0 ? list->heap[0].timer : NULL))
    {
      aio_timer_list_disarm (list, timer);
      if (timer->ref_count > 0)
        continue;
      aio_timer_part_from_list (timer);
      n_parted++;
    }
  while ((timer = list->owned))
    {
      pthread_mutex_unlock (&list->lock);
      aio_timer_close (timer);
      pthread_mutex_lock (&list->lock);
    }
  pthread_mutex_unlock (&list->lock);

  while (n_parted-- > 0)
    aio_context_put_timer_list (list->ctx, list);
}

void
aio_timer_list_free (AioTimerList *list)
{
  if (list->clock)
    aio_timer_list_leave_clock (list);
  pthread_mutex_destroy (&list->lock);
  heap_free (list);
  g_free (list);
}

void
aio_timer_list_arm (AioTimerList *list, AioTimer *timer, gint64 expire_ns)
{
  AioTimerEntry entry = { expire_ns, timer };

  /* Moved rather than removed and inserted: half the work (benchmark timers). */
  if (timer->heap_index != AIO_TIMER_NOT_IN_HEAP)
    {
      timer->sequence = list->next_sequence++;
      heap_replace (list, timer->heap_index, entry);
    }
  else
    {
      if (timer->expire_ns >= 0)
        due_remove (list, timer);
      timer->sequence = list->next_sequence++;
      heap_insert (list, entry);
    }
  timer->expire_ns = expire_ns;
  publish_earliest (list);
}

void
aio_timer_list_disarm (AioTimerList *list, AioTimer *timer)
{
  if (timer->expire_ns < 0)
    return;
  if (timer->heap_index != AIO_TIMER_NOT_IN_HEAP)
    heap_remove (list, timer);
  else
    due_remove (list, timer);
  timer->expire_ns = -1;
  publish_earliest (list);
}

/* Whether the timer will fire, and is one of those that count. */
static gboolean
counts (AioTimer *timer, AioTimerAttributes mask)
{
  return !(timer->attributes & ~mask) && timer->expire_ns != AIO_TIMER_NEVER;
}

gint64
aio_timer_list_earliest_ns (AioTimerList *list, AioTimerAttributes mask)
{
  gint64 earliest = -1;

  pthread_mutex_lock (&list->lock);
  for (AioTimer *timer = list->due_head; timer; timer = timer->due.next)
    if (counts (timer, mask) && (earliest < 0 || timer->expire_ns < earliest))
      earliest = timer->expire_ns;
  for (guint i = 0; i < list->n_heap; i++)
    if (counts (list->heap[i].timer, mask) && (earliest < 0 || list->heap[i].expire_ns < earliest))
      {
        earliest = list->heap[i].expire_ns;
        if (i == 0)
          break;
      }
  pthread_mutex_unlock (&list->lock);
  return earliest;
}

void
aio_timer_list_notify (AioTimerList *list)
{
  if (atomic_load_explicit (&list->earliest_ns, memory_order_acquire) != AIO_TIMER_NEVER)
    aio_context_notify_waiter (list->ctx);
}

/* With the lock held: what has expired becomes due, in the order in which it shall fire. */
static void
collect_due (AioTimerList *list, gint64 now)
{
  while (list->n_heap > 0 && list->heap[0].expire_ns <= now && list->heap[0].expire_ns != AIO_TIMER_NEVER)
    {
      AioTimer *timer = list->heap[0].timer;

      heap_remove (list, timer);
      due_append (list, timer);
    }
}

gboolean
aio_timer_list_run (AioTimerList *list)
{
  gboolean progress = FALSE;

  if (aio_timer_list_timeout (list) != 0)
    return FALSE;

  aio_clock_begin_pass (list->clock);
  pthread_mutex_lock (&list->lock);
  collect_due (list, aio_clock_get_ns (list->clock));
  publish_earliest (list);
  /* The callback may have disabled the clock: what is still due then waits until it is enabled. */
  while (list->due_head && aio_clock_get_enabled (list->clock))
    {
      AioTimer *timer = list->due_head;
      AioTimerFunc func = timer->func;
      gpointer data = timer->data;

      aio_timer_list_disarm (list, timer);
      pthread_mutex_unlock (&list->lock);

      AIO_SCHEDULE_POINT (list->ctx, TIMER_BEFORE_CB);
      aio_counter_add (&list->ctx->stats.timers_fired, 1);
      progress = TRUE;
      func (data); /* may have freed the timer */

      pthread_mutex_lock (&list->lock);
    }
  pthread_mutex_unlock (&list->lock);
  aio_clock_end_pass (list->clock);
  return progress;
}
