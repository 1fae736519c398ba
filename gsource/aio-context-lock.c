/* SPDX-License-Identifier: MIT */
#include "aio-context-lock-private.h"

#include "aio-context-private.h"

#include <time.h>

/* How often who waits asks whether it shall go on. */
#define ASK_INTERVAL_NS (100 * G_GINT64_CONSTANT (1000000))

/* On the stack of a thread that waits; mutex. */
struct _AioLockWaiter {
  guint64 thread;
  gboolean granted;
  pthread_cond_t granted_cond;
  AioLockWaiter *next;
};

static void release_all (gpointer data);

static __thread AioHold *held AIO_TLS;    /* what this thread owns, last first */
static __thread gboolean watched AIO_TLS; /* its end is */
static GPrivate end_of_thread = G_PRIVATE_INIT (release_all);

/*
 * The order in which contexts are acquired: pairs of those that one thread has owned together, the earlier first. Only
 * a thread that owns a context and acquires another one gets here. This lock comes before that of a context.
 */
static pthread_mutex_t order_mutex = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *order_pairs; /* of OrderPair */
static guint64 last_order_id;

typedef struct {
  guint64 before, after; /* order_id */
} OrderPair;

static guint
order_pair_hash (gconstpointer key)
{
  const OrderPair *pair = key;

  return (guint) (pair->before * 31 + pair->after);
}

static gboolean
order_pair_equal (gconstpointer a, gconstpointer b)
{
  const OrderPair *first = a, *second = b;

  return first->before == second->before && first->after == second->after;
}

static gboolean
order_pair_is_of (gpointer key, gpointer value G_GNUC_UNUSED, gpointer id)
{
  OrderPair *pair = key;

  return pair->before == *(guint64 *) id || pair->after == *(guint64 *) id;
}

/* With order_mutex held. */
static guint64
order_id (AioContextLock *lock)
{
  if (lock->order_id == 0)
    lock->order_id = ++last_order_id;
  return lock->order_id;
}

/* With order_mutex held: a warning if the other order was seen before and this one was not. */
static char *
record_order (AioContext *before, AioContext *after)
{
  OrderPair pair = { order_id (&before->lock), order_id (&after->lock) };
  OrderPair opposite = { pair.after, pair.before };

  if (!order_pairs)
    order_pairs = g_hash_table_new_full (order_pair_hash, order_pair_equal, g_free, NULL);
  if (!g_hash_table_add (order_pairs, g_memdup2 (&pair, sizeof pair))
      || !g_hash_table_contains (order_pairs, &opposite))
    return NULL;
  return g_strdup_printf (
      "AioContext %s is acquired by a thread that owns AioContext %s, and they were acquired in the "
      "other order before: two threads that do so can wait for each other for ever",
      after->name, before->name);
}

/* Before the wait, which may be the one that never ends. */
static void
check_order (AioContext *ctx)
{
  g_autoptr (GPtrArray) warnings = g_ptr_array_new_with_free_func (g_free);
  AioHold **link = &held;

  pthread_mutex_lock (&order_mutex);
  while (*link)
    {
      AioHold *hold = *link;
      char *warning;

      if (!hold->ctx)
        {
          *link = hold->next;
          g_free (hold);
          continue;
        }
      if ((warning = record_order (hold->ctx, ctx)))
        g_ptr_array_add (warnings, warning);
      link = &hold->next;
    }
  pthread_mutex_unlock (&order_mutex);

  for (guint i = 0; i < warnings->len; i++)
    g_warning ("%s", (char *) g_ptr_array_index (warnings, i));
}

guint
aio_lock_order_count_pairs (void)
{
  guint n;

  pthread_mutex_lock (&order_mutex);
  n = order_pairs ? g_hash_table_size (order_pairs) : 0;
  pthread_mutex_unlock (&order_mutex);
  return n;
}

/* The owner: it is in the list of what this thread owns, or no longer. */
static void
hold (AioContext *ctx)
{
  AioContextLock *lock = &ctx->lock;

  if (!lock->hold)
    {
      lock->hold = g_new (AioHold, 1);
      lock->hold->ctx = ctx;
    }
  lock->hold->next = held;
  held = lock->hold;
  if (!watched)
    {
      watched = TRUE;
      g_private_set (&end_of_thread, &held);
    }
}

static void
unhold (AioContextLock *lock)
{
  AioHold **link = &held;

  while (*link != lock->hold)
    link = &(*link)->next;
  *link = lock->hold->next;
}

/* The owner, which is none any more: to who waits first. */
static void
hand_on (AioContextLock *lock)
{
  AioLockWaiter *next;

  pthread_mutex_lock (&lock->mutex);
  next = lock->waiters;
  if (next)
    {
      lock->waiters = next->next;
      if (!lock->waiters)
        lock->waiters_tail = &lock->waiters;
      lock->depth = 1;
      next->granted = TRUE;
      pthread_cond_signal (&next->granted_cond);
    }
  atomic_store_explicit (&lock->owner, next ? next->thread : 0, memory_order_relaxed);
  pthread_mutex_unlock (&lock->mutex);
}

/* The thread ends, and nobody else could release what it owns. */
static void
release_all (gpointer data G_GNUC_UNUSED)
{
  /* Destructors may still come that acquire one: for that there is another round. */
  watched = FALSE;
  while (held)
    {
      g_autofree char *name = NULL;
      AioHold *last;

      /* The context, to which the thread need not have a reference, does not end meanwhile. */
      pthread_mutex_lock (&order_mutex);
      last = held;
      held = last->next;
      if (last->ctx)
        {
          name = g_strdup (last->ctx->name);
          hand_on (&last->ctx->lock);
        }
      else
        g_free (last);
      pthread_mutex_unlock (&order_mutex);

      if (name)
        g_warning ("AioContext %s was not released by a thread that owned it and has ended", name);
    }
}

void
aio_context_lock_init (AioContext *ctx)
{
  pthread_mutex_init (&ctx->lock.mutex, NULL);
  ctx->lock.waiters_tail = &ctx->lock.waiters;
}

void
aio_context_lock_finalize (AioContext *ctx)
{
  AioContextLock *lock = &ctx->lock;
  guint64 owner = 0;

  if (lock->hold || lock->order_id != 0)
    {
      pthread_mutex_lock (&order_mutex);
      owner = atomic_load_explicit (&lock->owner, memory_order_relaxed);
      if (owner == aio_thread_id ())
        unhold (lock);
      else if (owner != 0)
        g_steal_pointer (&lock->hold)->ctx = NULL; /* it is in the other thread's list, which frees it */
      if (lock->order_id != 0)
        g_hash_table_foreach_remove (order_pairs, order_pair_is_of, &lock->order_id);
      pthread_mutex_unlock (&order_mutex);
    }
  if (owner != 0)
    g_warning ("AioContext %s: it was not released when the context ended", ctx->name);
  g_free (lock->hold);
  pthread_mutex_destroy (&lock->mutex);
}

guint
aio_context_lock_count_waiters (AioContext *ctx)
{
  guint n = 0;

  pthread_mutex_lock (&ctx->lock.mutex);
  for (AioLockWaiter *waiter = ctx->lock.waiters; waiter; waiter = waiter->next)
    n++;
  pthread_mutex_unlock (&ctx->lock.mutex);
  return n;
}

void
aio_wait_a_while (pthread_cond_t *cond, pthread_mutex_t *mutex)
{
  struct timespec until;

  clock_gettime (CLOCK_MONOTONIC, &until);
  until.tv_nsec += ASK_INTERVAL_NS;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  pthread_cond_clockwait (cond, mutex, CLOCK_MONOTONIC, &until);
}

/* With mutex held, and back with it. FALSE: it gave up, and does not wait any more. */
static gboolean
wait_for_grant (AioContextLock *lock, AioLockWaiter *waiter, AioConditionFunc condition, gpointer data)
{
  while (!waiter->granted)
    if (!condition)
      pthread_cond_wait (&waiter->granted_cond, &lock->mutex);
    else
      {
        gboolean go_on;

        pthread_mutex_unlock (&lock->mutex);
        go_on = condition (data);
        pthread_mutex_lock (&lock->mutex);
        if (waiter->granted)
          break;
        if (!go_on)
          {
            AioLockWaiter **link = &lock->waiters;

            while (*link != waiter)
              link = &(*link)->next;
            *link = waiter->next;
            if (lock->waiters_tail == &waiter->next)
              lock->waiters_tail = link;
            return FALSE;
          }
        aio_wait_a_while (&waiter->granted_cond, &lock->mutex);
      }
  return TRUE;
}

/* With mutex held, and back with it: waits at the end of the queue. */
static gboolean
queue_up (AioContext *ctx, AioConditionFunc condition, gpointer data)
{
  AioContextLock *lock = &ctx->lock;
  AioLockWaiter waiter = { .thread = aio_thread_id () };
  gboolean granted;

  pthread_cond_init (&waiter.granted_cond, NULL);
  *lock->waiters_tail = &waiter;
  lock->waiters_tail = &waiter.next;

  /* After it is in the queue: who polls as the owner comes back and releases. On the home thread nobody polls now. */
  if (!aio_context_is_home (ctx))
    {
      pthread_mutex_unlock (&lock->mutex);
      aio_context_notify (ctx);
      pthread_mutex_lock (&lock->mutex);
    }
  granted = wait_for_grant (lock, &waiter, condition, data);
  pthread_cond_destroy (&waiter.granted_cond);
  return granted;
}

/**
 * aio_context_acquire:
 * @ctx: a context
 *
 * Makes the caller's thread the owner of @ctx, and waits until no other thread is. Who waits is served in the order of
 * coming. Once it owns the context, a thread may acquire it again, and releases it as often.
 *
 * What owning protects is up to the program: nothing in this library acquires a context by itself. aio_context_poll(),
 * GLib's iterations and callbacks run whoever owns it, unless the program acquires it there too.
 *
 * Who has to wait wakes the context as aio_context_notify() does, once: an owner that blocks in aio_context_poll()
 * comes back and can release. So a loop that acquires, polls and releases lets everybody in who came meanwhile, before it
 * acquires again.
 *
 * If a thread acquires a context while it owns another one, and the two were acquired in the other order before, that
 * is one warning: two threads that do so may wait for each other for ever.
 *
 * Any thread that has a reference; owning is none. It works the same on a context that is closed. A context that
 * ends while it is owned is a warning; so is a thread that ends while it owns one, which goes to who waits next then. The
 * original's `aio_context_acquire`.
 */
void
aio_context_acquire (AioContext *ctx)
{
  aio_context_acquire_while (ctx, NULL, NULL);
}

/**
 * aio_context_acquire_while: (skip)
 * @ctx: a context
 * @condition: (nullable): called when the wait begins and then ten times a second, with no lock held, or %NULL
 * @data: what it is given
 *
 * aio_context_acquire() that gives up once @condition is %FALSE, for who may be told to end while it waits; until then it
 * keeps its place. Any thread.
 *
 * Returns: whether the caller's thread owns the context
 */
gboolean
aio_context_acquire_while (AioContext *ctx, AioConditionFunc condition, gpointer data)
{
  AioContextLock *lock;
  gboolean granted = TRUE;

  g_return_val_if_fail (ctx != NULL, FALSE);

  lock = &ctx->lock;
  if (atomic_load_explicit (&lock->owner, memory_order_relaxed) == aio_thread_id ())
    {
      lock->depth++;
      return TRUE;
    }
  if (held)
    check_order (ctx);

  pthread_mutex_lock (&lock->mutex);
  if (atomic_load_explicit (&lock->owner, memory_order_relaxed) != 0)
    granted = queue_up (ctx, condition, data);
  else
    {
      atomic_store_explicit (&lock->owner, aio_thread_id (), memory_order_relaxed);
      lock->depth = 1;
    }
  pthread_mutex_unlock (&lock->mutex);
  if (granted)
    hold (ctx);
  return granted;
}

/**
 * aio_context_release:
 * @ctx: a context
 * @error: return location for an error
 *
 * Takes one aio_context_acquire() back. With the last one the context belongs to who waits first, or to nobody. For the
 * thread that owns it. The original's `aio_context_release`. Fails with %AIO_ERROR_NOT_OWNER if another thread owns it,
 * with %AIO_ERROR_NOT_HELD if nobody does; then nothing has changed.
 *
 * Returns: whether one was taken back
 */
gboolean
aio_context_release (AioContext *ctx, GError **error)
{
  AioContextLock *lock;
  guint64 owner;

  g_return_val_if_fail (ctx != NULL, FALSE);

  lock = &ctx->lock;
  owner = atomic_load_explicit (&lock->owner, memory_order_relaxed);
  if (owner != aio_thread_id ())
    {
      if (owner != 0)
        g_set_error (error, AIO_ERROR, AIO_ERROR_NOT_OWNER, "AioContext %s is owned by another thread", ctx->name);
      else
        g_set_error (error, AIO_ERROR, AIO_ERROR_NOT_HELD, "AioContext %s is not acquired", ctx->name);
      return FALSE;
    }
  if (--lock->depth > 0)
    return TRUE;
  unhold (lock);
  hand_on (lock);
  return TRUE;
}
