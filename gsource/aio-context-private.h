/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-atomic.h"
#include "aio-bh-private.h"
#include "aio-context-lock-private.h"
#include "aio-context.h"
#include "aio-deadline-private.h"
#include "aio-fdmon-private.h"
#include "aio-handler-private.h"
#include "aio-lock-count.h"
#include "aio-notifier.h"
#include "aio-polling-private.h"
#include "aio-stats.h"
#include "aio-test-hooks-private.h"
#include "aio-timer-list-private.h"

#include <pthread.h>

/* The fields of AioStats, as they are counted. Home thread writes, but for eventfd_writes. */
typedef struct {
  AioCounter polls, prepares, checks, dispatches, empty_iterations;
  AioCounter waits, zero_waits, empty_waits;
  AioCounter eventfd_writes, eventfd_reads;
  AioCounter bhs_run, handlers_dispatched, timers_fired;
  AioCounter poll_iterations, poll_successes;
  AioCounter monitor_switches;
  AioCounter sqes, cqes;
  AioCounter requests_completed; /* in none of them: the callbacks of AioUringRequest */
} AioCounters;

/*
 * Which thread may touch what: "home" is the home thread, which alone polls and dispatches; "any"
 * needs no lock because it is atomic; the rest names its lock.
 */
struct _AioContext {
  GSource source; /* first: the context is the source */

  char *name;
  _Atomic guint64 home;                   /* the home thread's aio_thread_id(); stored while the context is idle */
  _Atomic gboolean closed;                /* stored by home */
  _Atomic guint pins;                     /* any: foreign threads inside a call that outlives what it publishes */
  AioContextLock lock;                    /* of aio_context_acquire() */
  GMainContext *main_context;             /* home: a reference, from the attach or the first prepare to the end */
  _Atomic gboolean foreign_thread_warned; /* any, once */
  _Atomic gboolean is_current;            /* stored by home: set as its thread's current context */
  _Atomic int dispatch_depth;             /* stored by home: polls and dispatches on the stack */

  /*
   * The wake-up protocol. notify_me: bit 0 from prepare to check or dispatch, and 2 for each poll that
   * may sleep; stored by home, loaded by any. notified: stored by any, cleared by home.
   */
  _Atomic guint notify_me;
  _Atomic gboolean notified;
  guint n_accepted;                  /* home: notifications accepted */
  _Atomic gboolean notifier_written; /* the eventfd may be set: spares a read when it is not */
  AioNotifier *notifier;
  GPollFD notifier_poll_fd;
  gboolean own_wakeup; /* home: this GLib iteration came about through this source */

  _Atomic (AioBh *) bh_list; /* any pushes, home takes all; newest first */
  AioBhSlice *bh_slice_list; /* home: what was taken and has not run, oldest first */
  AioBh *bhs;                /* list_lock: every bottom half but the oneshots */
  AioBhBatch bh_batch;       /* home: who runs many at a time */

  /*
   * Its lock guards the tables of handlers, bottom halves and manual timer lists; who takes it visits besides, see
   * aio_context_lock_lists(). The home thread reads the table of handlers as a visitor, without the lock.
   */
  AioLockCount list_lock;
  _Atomic (AioHandlerTable *) handlers;         /* stored under list_lock, loaded by who visits */
  _Atomic (AioHandlerTable *) retired_handlers; /* list_lock; loaded by any: tables that a visitor may still read */
  _Atomic guint n_handlers;                     /* stored under list_lock, loaded by any */
  AioHandler *changes;                          /* list_lock: handlers added or deleted that the monitor has not seen */
  AioHandler **changes_tail;                    /* list_lock */
  _Atomic guint n_changes;                      /* how many; stored under list_lock, loaded by home */
  guint n_removed;                              /* home: handlers that were let go of */
  guint n_dead;                                 /* home: handlers that are dead and were not let go of */

  _Atomic guint external_disable_cnt; /* any */
  gboolean external_held_back;        /* home: what the handlers were last told of it */

  AioMonitor monitor_wanted;               /* as the context was made */
  _Atomic (const AioFdMonOps *) fdmon_ops; /* stored by home */
  AioFdMonPoll fdmon_poll;                 /* home */
  AioFdMonEpoll fdmon_epoll;               /* home */
  AioFdMonUring *fdmon_uring;              /* home: NULL but for the io_uring monitor */
  GQueue completed;                        /* home: AioUringRequests that have their result */
  guint epoll_refused_at; /* home: how many handlers there were when the kernel had no room for them; 0: it had */
  AioReadyList ready;     /* home: handlers that were found ready and have not been called */
  gboolean walk_mark;     /* home: what the last walk over the monitored handlers left in each */

  AioPolledHandlers poll_aio_handlers;  /* home: those that are asked */
  gboolean poll_started;                /* home: the context is in poll mode */
  gboolean wait_spared;                 /* home: the last poll() did not look at file descriptors */
  gint64 block_ns;                      /* home: what the poll() has taken whose handlers are called next; -1: none */
  AioPollParams poll_params;            /* home: in force */
  AioPollParams poll_params_wanted;     /* list_lock */
  _Atomic gboolean poll_params_changed; /* stored under list_lock and by home */
  _Atomic gint64 poll_ns;               /* stored by home: the longest polling time of those that are asked */
  _Atomic guint poll_disable_cnt;       /* stored under list_lock: handlers without a poll function */

  AioTimerList *tlg[AIO_CLOCK_MANUAL]; /* the timer list group: one list for each clock of the process */
  AioTimerList *manual_lists;          /* list_lock: one for each manual clock in use */
  AioTimerList *spare_lists;           /* list_lock: those of clocks that are not in use any more */
  _Atomic guint n_manual_lists;        /* stored under list_lock, loaded by home */
  _Atomic guint64 n_lists_made;        /* the same: manual lists there have ever been */
  AioDeadline deadlines[2];            /* home: the timerfds for GLib, monotonic and wall-clock */

  AioCounters stats;

#ifdef AIO_TEST_HOOKS
  AioTestHook test_hook;
  gpointer test_hook_data;
#endif
};

/* Reached without a call, which a dynamically loaded library has to ask for (benchmark core-bh). */
#define AIO_TLS __attribute__ ((tls_model ("initial-exec")))

static inline const AioFdMonOps *
aio_context_fdmon (AioContext *ctx)
{
  return atomic_load_explicit (&ctx->fdmon_ops, memory_order_relaxed);
}

/* A number that no other thread of the process has or will have. */
extern __thread guint64 aio_thread_id_ AIO_TLS __attribute__ ((visibility ("hidden")));
guint64 aio_thread_id_new (void);

static inline guint64
aio_thread_id (void)
{
  return G_LIKELY (aio_thread_id_) ? aio_thread_id_ : aio_thread_id_new ();
}

static inline gboolean
aio_context_is_home (AioContext *ctx)
{
  return atomic_load_explicit (&ctx->home, memory_order_relaxed) == aio_thread_id ();
}

/*
 * Any thread, signal handlers too. Between pin and unpin the context is not freed, although what the
 * caller publishes in between may drop the last reference. On the home thread nothing of the kind can
 * happen in between, so nothing is done. Returns what unpin needs.
 */
static inline gboolean
aio_context_pin (AioContext *ctx)
{
  if (aio_context_is_home (ctx))
    return FALSE;
  atomic_fetch_add_explicit (&ctx->pins, 1, memory_order_relaxed);
  return TRUE;
}

static inline void
aio_context_unpin (AioContext *ctx, gboolean pinned)
{
  if (pinned)
    atomic_fetch_sub_explicit (&ctx->pins, 1, memory_order_release);
}

/*
 * Any thread that has a reference. Between these the tables of handlers that it finds are not freed; other threads go
 * on changing them. Visits may be nested. They wait for no lock, but for who frees a table at the same time.
 */
static inline void
aio_context_visit (AioContext *ctx)
{
  aio_lock_count_inc (&ctx->list_lock);
}

static inline void
aio_context_leave_visit (AioContext *ctx)
{
  /* Who retires a table visits, and looks when it leaves: what is missed here is found then, or by the next visit. */
  if (G_LIKELY (!atomic_load_explicit (&ctx->retired_handlers, memory_order_relaxed)))
    aio_lock_count_dec (&ctx->list_lock);
  else
    aio_context_leave_and_free_tables (ctx);
}

/*
 * Any thread that has a reference. Who has the lock is a visitor too: so there are visitors whenever tables are
 * changed, and the home thread comes in beside a thread that was preempted with the lock held.
 */
static inline void
aio_context_lock_lists (AioContext *ctx)
{
  aio_lock_count_inc (&ctx->list_lock);
  aio_lock_count_lock (&ctx->list_lock);
}

static inline void
aio_context_unlock_lists (AioContext *ctx)
{
  aio_lock_count_unlock (&ctx->list_lock);
  aio_context_leave_visit (ctx);
}

/* Home thread: what runs in between has @ctx for its current context. Enter returns what leave needs. */
AioContext *aio_context_enter (AioContext *ctx);
void aio_context_leave (AioContext *ctx, AioContext *outer);

/*
 * Home thread: takes note of all notifications so far and reads the eventfd back, if @notifier_ready or
 * if it is known to be written. Whether there was anything.
 */
gboolean aio_context_accept_some (AioContext *ctx, gboolean notifier_ready);

static inline gboolean
aio_context_accept (AioContext *ctx, gboolean notifier_ready)
{
  if (!notifier_ready && !atomic_load_explicit (&ctx->notifier_written, memory_order_relaxed)
      && !atomic_load_explicit (&ctx->notified, memory_order_relaxed))
    return FALSE;
  return aio_context_accept_some (ctx, notifier_ready);
}

/* Home thread: aio_context_prepare() of the source itself, where GLib has prepared nothing that would have to be woken. */
gboolean aio_context_prepare_wait (AioContext *ctx);

/* Any thread: the context's list for @clock, with one more user; %NULL if the context is closed. */
AioTimerList *aio_context_get_timer_list (AioContext *ctx, AioClock *clock);
void aio_context_put_timer_list (AioContext *ctx, AioTimerList *list);

/* Home thread: over all timer lists: as aio_timer_list_timeout(), aio_timer_list_run(); whether one can fire. */
gint64 aio_context_timer_timeout (AioContext *ctx);
gboolean aio_context_run_timers (AioContext *ctx);
gboolean aio_context_has_timers (AioContext *ctx);
void aio_context_for_each_timer_list (AioContext *ctx, void (*function) (AioTimerList *list, gpointer data),
                                      gpointer data);

/* Home thread or finalize: as aio_timer_list_clear() for all lists; then, at the very end, they go. */
void aio_context_clear_timers (AioContext *ctx, gboolean report);
void aio_context_free_timer_lists (AioContext *ctx);

/* Home thread: has the timerfds wake GLib for the first timer; FALSE if that cannot be had. */
gboolean aio_context_arm_deadlines (AioContext *ctx);

/* Home thread: the same for the wall clock alone, which may be set while poll() waits for a while. */
gboolean aio_context_arm_wall_clock (AioContext *ctx);

/* Callbacks of all kinds that have been run so far. */
static inline guint64
aio_context_n_callbacks (AioContext *ctx)
{
  return aio_counter_get (&ctx->stats.bhs_run) + aio_counter_get (&ctx->stats.handlers_dispatched)
         + aio_counter_get (&ctx->stats.timers_fired) + aio_counter_get (&ctx->stats.requests_completed);
}

/*
 * Home thread: what the context has seen so far; whether that is more than @before. Then who is about to sleep does not:
 * it may be what its caller waits for, and nothing else would tell.
 */
static inline AioSeen
aio_context_seen (AioContext *ctx)
{
  return (AioSeen){ ctx->n_accepted, ctx->n_removed, aio_context_n_callbacks (ctx) };
}

static inline gboolean
aio_context_has_seen_more (AioContext *ctx, AioSeen before)
{
  return ctx->n_accepted != before.n_accepted || ctx->n_removed != before.n_removed
         || aio_context_n_callbacks (ctx) != before.n_callbacks;
}

/* Home thread: it is not the thread's current context any more, if it was. */
void aio_context_drop_current (AioContext *ctx);

gboolean aio_context_check_open (AioContext *ctx, GError **error);

/* For an error, if this is not the home thread or the context is closed; @what is "Polling", … */
gboolean aio_context_check_slowly (AioContext *ctx, const char *what, GError **error);

static inline gboolean
aio_context_check (AioContext *ctx, const char *what, GError **error)
{
  if (G_LIKELY (aio_context_is_home (ctx) && !atomic_load_explicit (&ctx->closed, memory_order_acquire)))
    return TRUE;
  return aio_context_check_slowly (ctx, what, error);
}

/*
 * Any thread: wakes who waits, after a change that every wait looks at when it begins; in a signal handler, after one
 * that a wait looks at once it has raised notify_me. Spares the home thread the wait that aio_context_notify() would cut
 * short.
 */
void aio_context_notify_waiter (AioContext *ctx);

/*
 * Home thread. A source that is prepared may have computed its timeout before what is taken now, and its GMainContext
 * waits for the very event that was consumed: it is told through its own wake-up.
 */
static inline void
aio_context_wake_prepared_source (AioContext *ctx)
{
  if (ctx->main_context && atomic_load_explicit (&ctx->notify_me, memory_order_relaxed) & 1)
    g_main_context_wakeup (ctx->main_context);
}

void aio_context_finalize (AioContext *ctx);

extern GSourceFuncs aio_source_funcs;
