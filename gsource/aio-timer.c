/* SPDX-License-Identifier: MIT */
#include "aio-timer.h"

#include "aio-context-private.h"
#include "aio-timer-list-private.h"

#include <string.h>

G_DEFINE_BOXED_TYPE (AioTimer, aio_timer, aio_timer_ref, aio_timer_unref)

static gint64
to_ns (AioTimer *timer, gint64 time)
{
  gint64 ns;

  if (time < 0)
    return 0;
  return __builtin_mul_overflow (time, (gint64) timer->scale, &ns) ? G_MAXINT64 : ns;
}

/*
 * Any thread: the list of @timer, locked; %NULL once the timer or its context is closed, which home may do meanwhile.
 * The memory of a list stays while the context does (aio_context_put_timer_list()).
 */
static AioTimerList *
lock_list (AioTimer *timer)
{
  AioTimerList *list = aio_timer_get_list (timer);

  if (!list)
    return NULL;
  AIO_SCHEDULE_POINT (list->ctx, TIMER_BEFORE_LOCK);
  pthread_mutex_lock (&list->lock);
  if (G_LIKELY (aio_timer_get_list (timer) == list))
    return list;
  pthread_mutex_unlock (&list->lock);
  return NULL;
}

static void
init_fields (AioTimer *timer, AioTimerList *list, AioTimerScale scale, AioTimerAttributes attributes, AioTimerFunc func,
             gpointer data)
{
  *timer = (AioTimer){
    .list = list,
    .expire_ns = -1,
    .heap_index = AIO_TIMER_NOT_IN_HEAP,
    .scale = scale,
    .attributes = attributes,
    .func = func,
    .data = data,
  };
}

/**
 * aio_timer_new: (skip)
 * @ctx: the context that runs it
 * @clock: the clock it is on
 * @scale: the unit of its expiry
 * @func: the callback
 * @data: what it is given
 *
 * Makes a timer that is not armed. Free it with aio_timer_free(); what is left when the context ends
 * is freed with a warning. Any thread. The original's `aio_timer_new`.
 *
 * Returns: (transfer none) (nullable): the timer, or %NULL if @ctx is closed
 */
AioTimer *
aio_timer_new (AioContext *ctx, AioClock *clock, AioTimerScale scale, AioTimerFunc func, gpointer data)
{
  return aio_timer_new_full (ctx, clock, scale, AIO_TIMER_ATTR_NONE, NULL, func, data, NULL);
}

/**
 * aio_timer_new_with_attrs: (skip)
 * @ctx: the context that runs it
 * @clock: the clock it is on
 * @scale: the unit of its expiry
 * @attributes: its attributes
 * @func: the callback
 * @data: what it is given
 *
 * Like aio_timer_new(), with attributes. The original's `aio_timer_new_with_attrs`.
 *
 * Returns: (transfer none) (nullable): the timer, or %NULL if @ctx is closed
 */
AioTimer *
aio_timer_new_with_attrs (AioContext *ctx, AioClock *clock, AioTimerScale scale, AioTimerAttributes attributes,
                          AioTimerFunc func, gpointer data)
{
  return aio_timer_new_full (ctx, clock, scale, attributes, NULL, func, data, NULL);
}

/**
 * aio_timer_new_full: (skip)
 * @ctx: the context that runs it
 * @clock: the clock it is on
 * @scale: the unit of its expiry
 * @attributes: its attributes
 * @name: (nullable): what to call it in messages
 * @func: the callback
 * @data: what it is given
 * @destroy: (nullable): called with @data when the timer has been freed, on the thread that does it
 *
 * Like aio_timer_new(), with all there is.
 *
 * Returns: (transfer none) (nullable): the timer, or %NULL if @ctx is closed
 */
AioTimer *
aio_timer_new_full (AioContext *ctx, AioClock *clock, AioTimerScale scale, AioTimerAttributes attributes,
                    const char *name, AioTimerFunc func, gpointer data, GDestroyNotify destroy)
{
  gsize name_size = name ? strlen (name) + 1 : 0;
  AioTimer *timer;
  AioTimerList *list;

  g_return_val_if_fail (ctx != NULL && clock != NULL && func != NULL, NULL);

  list = aio_context_get_timer_list (ctx, clock);
  if (!list)
    return NULL;

  /* In one piece, for there may be a hundred thousand (benchmark memory). */
  timer = g_malloc (sizeof *timer + name_size);
  init_fields (timer, list, scale, attributes, func, data);
  timer->ref_count = 1;
  timer->destroy = destroy;
  timer->named = name != NULL;
  if (name)
    memcpy (timer + 1, name, name_size);

  pthread_mutex_lock (&list->lock);
  timer->owned_next = list->owned;
  if (list->owned)
    list->owned->owned_prev = timer;
  list->owned = timer;
  pthread_mutex_unlock (&list->lock);
  return timer;
}

/**
 * aio_timer_new_boxed: (rename-to aio_timer_new)
 * @ctx: the context that runs it
 * @clock: the clock it is on
 * @scale: the unit of its expiry
 * @attributes: its attributes
 * @name: (nullable): what to call it in messages
 * @func: (scope notified) (closure data) (destroy destroy): the callback
 * @data: what it is given
 * @destroy: called with @data when the timer has been closed, on the thread that does it
 *
 * Like aio_timer_new_full(), for language bindings: the caller gets a reference of its own, so that
 * the timer's memory outlives aio_timer_close() and the context.
 *
 * Returns: (transfer full) (nullable): the timer, or %NULL if @ctx is closed
 */
AioTimer *
aio_timer_new_boxed (AioContext *ctx, AioClock *clock, AioTimerScale scale, AioTimerAttributes attributes,
                     const char *name, AioTimerFunc func, gpointer data, GDestroyNotify destroy)
{
  AioTimer *timer = aio_timer_new_full (ctx, clock, scale, attributes, name, func, data, destroy);

  return timer ? aio_timer_ref (timer) : NULL;
}

/**
 * aio_timer_ref:
 * @timer: a timer that was not made by aio_timer_init()
 *
 * Adds a reference to its memory; it does not keep the timer from being closed. Any thread.
 *
 * Returns: (transfer full): @timer
 */
AioTimer *
aio_timer_ref (AioTimer *timer)
{
  g_return_val_if_fail (timer != NULL && timer->ref_count > 0, NULL);

  g_atomic_int_inc (&timer->ref_count);
  return timer;
}

/**
 * aio_timer_unref:
 * @timer: (transfer full): a timer
 *
 * Drops a reference of aio_timer_ref(). Any thread.
 */
void
aio_timer_unref (AioTimer *timer)
{
  g_return_if_fail (timer != NULL && timer->ref_count > 0);

  if (!g_atomic_int_dec_and_test (&timer->ref_count))
    return;
  g_free (timer);
}

/**
 * aio_timer_init: (skip)
 * @timer: memory of the caller
 * @ctx: the context that runs it
 * @clock: the clock it is on
 * @scale: the unit of its expiry
 * @func: the callback
 * @data: what it is given
 *
 * Makes a timer in the caller's memory, not armed. Call aio_timer_deinit() before the memory or the
 * context goes. Any thread. The original's `aio_timer_init`.
 */
void
aio_timer_init (AioTimer *timer, AioContext *ctx, AioClock *clock, AioTimerScale scale, AioTimerFunc func,
                gpointer data)
{
  aio_timer_init_with_attrs (timer, ctx, clock, scale, AIO_TIMER_ATTR_NONE, func, data);
}

/**
 * aio_timer_init_with_attrs: (skip)
 * @timer: memory of the caller
 * @ctx: the context that runs it
 * @clock: the clock it is on
 * @scale: the unit of its expiry
 * @attributes: its attributes
 * @func: the callback
 * @data: what it is given
 *
 * Like aio_timer_init(), with attributes. The original's `aio_timer_init_with_attrs`.
 */
void
aio_timer_init_with_attrs (AioTimer *timer, AioContext *ctx, AioClock *clock, AioTimerScale scale,
                           AioTimerAttributes attributes, AioTimerFunc func, gpointer data)
{
  g_return_if_fail (timer != NULL && ctx != NULL && clock != NULL && func != NULL);

  init_fields (timer, aio_context_get_timer_list (ctx, clock), scale, attributes, func, data);
}

/**
 * aio_timer_deinit: (skip)
 * @timer: a timer of aio_timer_init()
 *
 * Disarms the timer and parts it from its context; its memory can go. No callback runs any more on
 * the home thread. The original's `timer_deinit`.
 */
void
aio_timer_deinit (AioTimer *timer)
{
  AioTimerList *list;

  g_return_if_fail (timer != NULL && timer->ref_count == 0);

  list = lock_list (timer);
  if (!list)
    return;
  aio_timer_list_disarm (list, timer);
  aio_timer_part_from_list (timer);
  pthread_mutex_unlock (&list->lock);
  aio_context_put_timer_list (list->ctx, list);
}

/* Arms @timer, or with @anticipate only if that makes it earlier; kicks iff the deadline got earlier. */
static void
modify (AioTimer *timer, gint64 expire_ns, gboolean anticipate)
{
  AioTimerList *list = lock_list (timer);
  AioContext *ctx;
  gint64 before, after;

  if (!list)
    return;

  /* Under the lock: aio_timer_list_clear(), which comes after the close, leaves none armed. */
  ctx = list->ctx;
  if (aio_context_is_closed (ctx))
    {
      pthread_mutex_unlock (&list->lock);
      return;
    }
  expire_ns = MAX (expire_ns, 0);
  before = atomic_load_explicit (&list->earliest_ns, memory_order_relaxed);
  if (!anticipate || timer->expire_ns < 0 || expire_ns < timer->expire_ns)
    aio_timer_list_arm (list, timer, expire_ns);
  after = atomic_load_explicit (&list->earliest_ns, memory_order_relaxed);
  pthread_mutex_unlock (&list->lock);

  if (after < before)
    aio_context_notify_waiter (ctx);
}

/**
 * aio_timer_mod:
 * @timer: a timer
 * @expire: when it shall fire, on its clock and in its scale; a time in the past: on the next pass
 *
 * Arms the timer, or arms it again. A product beyond the range of nanoseconds counts as never. A pass goes from clock to
 * clock: a time in the past fires in the one that is under way if it has not come to the timer's clock yet. Any
 * thread that holds a reference to the context. The original's `timer_mod`.
 */
void
aio_timer_mod (AioTimer *timer, gint64 expire)
{
  g_return_if_fail (timer != NULL);

  modify (timer, to_ns (timer, expire), FALSE);
}

/**
 * aio_timer_mod_ns:
 * @timer: a timer
 * @expire_ns: when it shall fire, on its clock, in nanoseconds; a time in the past: on the next pass
 *
 * Arms the timer, or arms it again. Any thread that holds a reference to the context. The original's
 * `timer_mod_ns`.
 */
void
aio_timer_mod_ns (AioTimer *timer, gint64 expire_ns)
{
  g_return_if_fail (timer != NULL);

  modify (timer, expire_ns, FALSE);
}

/**
 * aio_timer_mod_anticipate:
 * @timer: a timer
 * @expire: when it shall fire at the latest, on its clock and in its scale
 *
 * Arms the timer if it is not pending, or moves it to an earlier time, never to a later one. Any
 * thread that holds a reference to the context. The original's `timer_mod_anticipate`.
 */
void
aio_timer_mod_anticipate (AioTimer *timer, gint64 expire)
{
  g_return_if_fail (timer != NULL);

  modify (timer, to_ns (timer, expire), TRUE);
}

/**
 * aio_timer_mod_anticipate_ns:
 * @timer: a timer
 * @expire_ns: when it shall fire at the latest, on its clock, in nanoseconds
 *
 * Like aio_timer_mod_anticipate(), in nanoseconds. The original's `timer_mod_anticipate_ns`.
 */
void
aio_timer_mod_anticipate_ns (AioTimer *timer, gint64 expire_ns)
{
  g_return_if_fail (timer != NULL);

  modify (timer, expire_ns, TRUE);
}

/**
 * aio_timer_del:
 * @timer: a timer
 *
 * Disarms the timer. It wakes nobody and does not wait for a callback that is running. Any thread
 * that holds a reference to the context. The original's `timer_del`.
 */
void
aio_timer_del (AioTimer *timer)
{
  AioTimerList *list;

  g_return_if_fail (timer != NULL);

  list = lock_list (timer);
  if (!list)
    return;
  aio_timer_list_disarm (list, timer);
  pthread_mutex_unlock (&list->lock);
}

/**
 * aio_timer_close: (rename-to aio_timer_free)
 * @timer: a timer that was not made by aio_timer_init()
 *
 * Disarms the timer for good and parts it from its context. Closing it again does nothing, if the
 * caller has a reference. Another thread that has one, to the timer and to the context, may arm it
 * meanwhile, to no effect. Home thread, also from the timer's own callback.
 */
void
aio_timer_close (AioTimer *timer)
{
  AioTimerList *list;
  GDestroyNotify destroy;

  g_return_if_fail (timer != NULL && timer->ref_count > 0);

  list = aio_timer_get_list (timer);
  if (!list)
    return;
  g_return_if_fail (aio_context_is_home (list->ctx));

  pthread_mutex_lock (&list->lock);
  aio_timer_list_disarm (list, timer);
  if (timer->owned_prev)
    timer->owned_prev->owned_next = timer->owned_next;
  else
    list->owned = timer->owned_next;
  if (timer->owned_next)
    timer->owned_next->owned_prev = timer->owned_prev;
  aio_timer_part_from_list (timer);
  pthread_mutex_unlock (&list->lock);

  aio_context_put_timer_list (list->ctx, list);
  destroy = g_steal_pointer (&timer->destroy);
  if (destroy)
    destroy (timer->data);
  aio_timer_unref (timer);
}

/**
 * aio_timer_free: (skip)
 * @timer: (nullable): a timer of aio_timer_new() and its kin
 *
 * Disarms and frees the timer; what the C program does where a binding closes. Home thread, also from
 * the timer's own callback, while no other thread uses it. The original's `timer_free`.
 */
void
aio_timer_free (AioTimer *timer)
{
  if (timer)
    aio_timer_close (timer);
}

/**
 * aio_timer_get_name:
 * @timer: a timer
 *
 * Any thread.
 *
 * Returns: (nullable): what it was named
 */
const char *
aio_timer_get_name (AioTimer *timer)
{
  g_return_val_if_fail (timer != NULL, NULL);

  return timer->named ? (const char *) (timer + 1) : NULL;
}

/**
 * aio_timer_get_clock:
 * @timer: a timer
 *
 * Home thread.
 *
 * Returns: (transfer none) (nullable): the clock it is on; %NULL once the timer or its context is closed
 */
AioClock *
aio_timer_get_clock (AioTimer *timer)
{
  AioTimerList *list;

  g_return_val_if_fail (timer != NULL, NULL);

  list = aio_timer_get_list (timer);
  return list && !aio_context_is_closed (list->ctx) ? list->clock : NULL;
}

/**
 * aio_timer_pending:
 * @timer: a timer
 *
 * Any thread that holds a reference to the context. The original's `timer_pending`.
 *
 * Returns: whether the timer is armed and has not fired; %FALSE inside its callback
 */
gboolean
aio_timer_pending (AioTimer *timer)
{
  return aio_timer_expire_time_ns (timer) >= 0;
}

/**
 * aio_timer_expire_time_ns:
 * @timer: a timer
 *
 * Any thread that holds a reference to the context. The original's `timer_expire_time_ns`.
 *
 * Returns: when it will fire, on its clock, in nanoseconds; -1 if it is not pending
 */
gint64
aio_timer_expire_time_ns (AioTimer *timer)
{
  AioTimerList *list;
  gint64 expire_ns;

  g_return_val_if_fail (timer != NULL, -1);

  list = lock_list (timer);
  if (!list)
    return -1;
  expire_ns = timer->expire_ns;
  pthread_mutex_unlock (&list->lock);
  return expire_ns;
}
