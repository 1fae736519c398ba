/* SPDX-License-Identifier: MIT */
#include "aio-polling-private.h"

#include "aio-context-private.h"
#include "aio-error-private.h"

#include <errno.h>

/* The polling time to begin with. */
#define FIRST_NS 4000

#define DEFAULT_GROW 2

/* A handler for which nothing has come for so long is idle. */
#define IDLE_NS (7 * G_GINT64_CONSTANT (1000000000))

static gint64
now_ns (void)
{
  return aio_clock_get_ns (aio_clock_get (AIO_CLOCK_REALTIME));
}

/* The handlers that are asked */

/* Whether nothing but a look in memory would find it ready. */
static gboolean
is_due (AioHandler *handler)
{
  return handler->poll_fd.events == 0 || handler->polling->owed;
}

static void
list_append (AioContext *ctx, AioHandler *handler)
{
  AioPolledHandlers *list = &ctx->poll_aio_handlers;

  if (list->n >= list->size)
    {
      list->size = MAX (8, list->size * 2);
      list->handlers = g_renew (AioHandler *, list->handlers, list->size);
    }
  handler->polling->index = list->n;
  handler->polling->listed = TRUE;
  list->handlers[list->n++] = handler;
  list->n_due += is_due (handler);
  list->n_appended++;
}

/* Who walks the list finds a hole, which is closed after the walk. */
static void
list_remove (AioContext *ctx, AioHandler *handler)
{
  AioPolledHandlers *list = &ctx->poll_aio_handlers;

  handler->polling->listed = FALSE;
  list->n_due -= is_due (handler);
  list->ns_stale |= handler->polling->ns > 0;
  if (list->walks > 0)
    {
      list->handlers[handler->polling->index] = NULL;
      list->n_holes++;
    }
  else
    {
      AioHandler *last = list->handlers[--list->n];

      list->handlers[handler->polling->index] = last;
      last->polling->index = handler->polling->index;
    }
  if (list->n == list->n_holes)
    aio_polling_update_ns (ctx);
}

static void
list_close_holes (AioPolledHandlers *list)
{
  guint n = 0;

  for (guint i = 0; i < list->n; i++)
    if (list->handlers[i])
      {
        list->handlers[n] = list->handlers[i];
        list->handlers[n]->polling->index = n;
        n++;
      }
  list->n = n;
  list->n_holes = 0;
}

/*
 * Calls @visit for each handler that is there from now on to the end, whatever the callbacks in it do; whether one of
 * them returned TRUE.
 */
static gboolean
for_each_polled (AioContext *ctx, gboolean (*visit) (AioContext *ctx, AioHandler *handler))
{
  AioPolledHandlers *list = &ctx->poll_aio_handlers;
  guint n = list->n;
  gboolean any = FALSE;

  list->walks++;
  for (guint i = 0; i < n; i++)
    {
      AioHandler *handler = list->handlers[i];

      if (!handler)
        continue;
      aio_handler_ref (handler);
      any |= visit (ctx, handler);
      aio_handler_unref (handler);
    }
  if (--list->walks == 0 && list->n_holes > 0)
    list_close_holes (list);
  return any;
}

/* Poll mode */

static void
set_owed (AioContext *ctx, AioHandler *handler, gboolean owed)
{
  AioPolledHandlers *list = &ctx->poll_aio_handlers;

  if (handler->polling->listed)
    list->n_due -= is_due (handler);
  handler->polling->owed = owed;
  if (handler->polling->listed)
    list->n_due += is_due (handler);
}

/* A poll() that is nested in @func does not ask the handler, and so neither begins nor ends it again and again. */
static void
call (AioHandler *handler, GCallback func)
{
  guint8 busy = handler->polling->busy;

  if (!func)
    return;
  handler->polling->busy = TRUE;
  handler->polling->call (handler, func);
  handler->polling->busy = busy;
}

static void
begin (AioContext *ctx, AioHandler *handler)
{
  handler->polling->begun = TRUE;
  ctx->poll_aio_handlers.n_begun++;
  call (handler, handler->polling->begin);
}

/* What came before the end and was not kicked is owed a look, which may have to wait until the handler can be asked. */
static gboolean
end_by (AioContext *ctx, AioHandler *handler, GCallback func)
{
  if (!handler->polling->begun)
    return FALSE;
  handler->polling->begun = FALSE;
  ctx->poll_aio_handlers.n_begun--;
  set_owed (ctx, handler, TRUE);
  call (handler, func);
  return TRUE;
}

static gboolean
end (AioContext *ctx, AioHandler *handler)
{
  return end_by (ctx, handler, handler->polling->end);
}

/* Whether the handler may be asked at all; a callback before may have changed that. */
static gboolean
may_be_asked (AioContext *ctx, AioHandler *handler)
{
  if (handler->external)
    aio_context_apply_external (ctx);
  return handler->polling->listed && !handler->polling->busy && !handler->held_back && !handler->dead
         && !atomic_load_explicit (&handler->deleted, memory_order_acquire);
}

/* Asks the handler, and keeps a yes until it is dispatched; whether it was one. */
static gboolean
ask (AioContext *ctx, AioHandler *handler)
{
  AioPolling *polling = handler->polling;
  gboolean found = FALSE;

  /* Once more if a poll() nested in it has ended it, and it is not polled anew: the answer may be older than that. */
  do
    {
      if (!may_be_asked (ctx, handler))
        return FALSE;
      set_owed (ctx, handler, FALSE);
      polling->busy = TRUE;
      found = polling->poll (handler->poll_fd.fd, handler->data);
      polling->busy = FALSE;
    }
  while (!found && polling->owed && !polling->begun);
  if (!found || !polling->listed)
    return FALSE;
  aio_handler_set_found (ctx, handler);
  return TRUE;
}

/* The same, with a begin before it in poll mode. */
static gboolean
begin_and_ask (AioContext *ctx, AioHandler *handler)
{
  if (ctx->poll_started && !handler->polling->begun && may_be_asked (ctx, handler))
    begin (ctx, handler);
  return ask (ctx, handler);
}

static gboolean
ask_if_due (AioContext *ctx, AioHandler *handler)
{
  return is_due (handler) && begin_and_ask (ctx, handler);
}

/* One look at memory; whether it found anything. */
static gboolean
look (AioContext *ctx, gboolean (*visit) (AioContext *ctx, AioHandler *handler))
{
  gboolean found = for_each_polled (ctx, visit);

  aio_counter_add (&ctx->stats.poll_iterations, 1);
  if (found)
    aio_counter_add (&ctx->stats.poll_successes, 1);
  return found;
}

static gboolean
look_at_due (AioContext *ctx)
{
  return ctx->poll_aio_handlers.n_due > 0 && look (ctx, ask_if_due);
}

gboolean
aio_polling_is_on (AioContext *ctx)
{
  return ctx->poll_started || ctx->poll_aio_handlers.n_begun > 0;
}

/*
 * Ends poll mode; whether the last look, at what had come before the ends, found anything. A poll() nested in one of the
 * functions may have it begin anew: who waits then does not sleep.
 */
static gboolean
leave_poll_mode (AioContext *ctx)
{
  ctx->poll_started = FALSE;
  for_each_polled (ctx, end);
  return look_at_due (ctx);
}

/* How long */

static gboolean
set_time (AioContext *ctx, AioHandler *handler, gint64 ns)
{
  ctx->poll_aio_handlers.ns_stale |= ns != handler->polling->ns;
  handler->polling->ns = ns;
  return FALSE;
}

static gboolean
reset_time (AioContext *ctx, AioHandler *handler)
{
  return set_time (ctx, handler, 0);
}

/* Not with each handler that changes its time: there may be thousands in one dispatch. */
void
aio_polling_update_ns (AioContext *ctx)
{
  AioPolledHandlers *list = &ctx->poll_aio_handlers;
  gint64 ns = 0;

  if (!list->ns_stale)
    return;
  list->ns_stale = FALSE;
  for (guint i = 0; i < list->n; i++)
    if (list->handlers[i])
      ns = MAX (ns, list->handlers[i]->polling->ns);
  atomic_store_explicit (&ctx->poll_ns, ns, memory_order_relaxed);
}

static void
apply_params (AioContext *ctx)
{
  if (!atomic_load_explicit (&ctx->poll_params_changed, memory_order_acquire))
    return;
  aio_context_lock_lists (ctx);
  atomic_store_explicit (&ctx->poll_params_changed, FALSE, memory_order_relaxed);
  ctx->poll_params = ctx->poll_params_wanted;
  aio_context_unlock_lists (ctx);
  for_each_polled (ctx, reset_time);
  aio_polling_update_ns (ctx);
}

/*
 * An idle handler lengthens nobody's polling. Where a wait is not needed to see file descriptors (need_wait), it is not
 * asked any more either until its file descriptor becomes ready.
 */
static gboolean
retire_if_idle (AioContext *ctx, AioHandler *handler)
{
  AioPolling *polling = handler->polling;
  gint64 now = ctx->poll_aio_handlers.now_ns;

  if (polling->idle_at_ns == 0)
    polling->idle_at_ns = now + IDLE_NS;
  if (now < polling->idle_at_ns)
    return FALSE;
  reset_time (ctx, handler);
  if (!aio_context_fdmon (ctx)->need_wait || handler->poll_fd.events == 0)
    return FALSE;
  if (end (ctx, handler) && ask (ctx, handler))
    return TRUE;
  /* Not while it is asked: the answer that it is about to give would be dropped. */
  if (polling->listed && !polling->owed && !polling->busy)
    list_remove (ctx, handler);
  return FALSE;
}

/* Whether one of them turned out to be ready after all. */
static gboolean
retire_idle (AioContext *ctx, gint64 now)
{
  gboolean found;

  if (atomic_load_explicit (&ctx->poll_ns, memory_order_relaxed) == 0)
    return FALSE;
  ctx->poll_aio_handlers.now_ns = now;
  found = for_each_polled (ctx, retire_if_idle);
  aio_polling_update_ns (ctx);
  return found;
}

/* What to do about the time after a wait, polling included, of @block_ns. */
static gint64
adjusted (const AioPollParams *params, gint64 ns, gint64 block_ns)
{
  gint64 grow = params->grow > 0 ? params->grow : DEFAULT_GROW;

  if (block_ns <= ns)
    return ns;
  if (block_ns > params->max_ns)
    return params->shrink > 0 ? ns / params->shrink : 0;
  if (ns >= params->max_ns || block_ns == params->max_ns)
    return ns;
  if (ns == 0)
    return MIN (FIRST_NS, params->max_ns);
  return ns > params->max_ns / grow ? params->max_ns : ns * grow;
}

void
aio_polling_note_dispatch (AioContext *ctx, AioHandler *handler, gint64 block_ns)
{
  AioPolling *polling = handler->polling;

  polling->idle_at_ns = 0;
  if (!polling->listed && handler->monitored && !handler->dead)
    list_append (ctx, handler);
  if (block_ns >= 0)
    set_time (ctx, handler, adjusted (&ctx->poll_params, polling->ns, block_ns));
}

/* Registrations */

void
aio_polling_add (AioContext *ctx, AioHandler *handler)
{
  list_append (ctx, handler);
}

void
aio_polling_apply_functions (AioContext *ctx, AioHandler *handler)
{
  AioPolling *polling = handler->polling;
  GCallback old_end = polling->end;
  gboolean replaced;

  aio_context_lock_lists (ctx);
  replaced = polling->replaced;
  polling->replaced = FALSE;
  if (replaced)
    {
      polling->begin = polling->next_begin;
      polling->end = polling->next_end;
    }
  aio_context_unlock_lists (ctx);
  if (!replaced)
    return;

  /*
   * Each end function belongs to the begin function that was called. It may replace or remove the handler again, or all of
   * them are about to be removed.
   */
  aio_handler_ref (handler);
  if (end_by (ctx, handler, old_end) && ctx->poll_started && polling->listed && !polling->begun
      && !aio_context_is_closed (ctx))
    begin (ctx, handler);
  aio_handler_unref (handler);
}

void
aio_polling_remove (AioContext *ctx, AioHandler *handler)
{
  if (handler->polling->listed)
    list_remove (ctx, handler);
  end (ctx, handler);
}

void
aio_polling_clear (AioContext *ctx)
{
  g_free (ctx->poll_aio_handlers.handlers);
}

/* Around waits */

/* Whether only a wait can tell what is ready. */
static gboolean
need_wait (AioContext *ctx)
{
  const AioFdMonOps *ops = aio_context_fdmon (ctx);

  /* Those that are not held back any more have to be known to the monitor that is asked. */
  aio_context_apply_external (ctx);
  return ops->need_wait ? ops->need_wait (ctx) : aio_context_poll_disabled (ctx);
}

/*
 * Whether a wait would not block whatever its timeout; also if a poll() that is nested in one of the functions has taken
 * the notification, or run the callback, that the caller of this one blocks for, or if one of them has registered a
 * handler, which has not been asked, or has scheduled an idle bottom half, which notifies nobody.
 */
static gboolean
wait_is_over (AioContext *ctx, const AioPollingPass *pass)
{
  return ctx->ready.head || ctx->completed.head || atomic_load_explicit (&ctx->notified, memory_order_relaxed)
         || aio_context_has_seen_more (ctx, pass->before) || ctx->poll_aio_handlers.n_appended != pass->n_appended
         || atomic_load_explicit (&ctx->bh_list, memory_order_relaxed) != pass->bh_list || aio_context_is_closed (ctx);
}

static gint64
later (gint64 now, gint64 ns)
{
  return ns < G_MAXINT64 - now ? now + ns : G_MAXINT64;
}

/* Asks again and again until @until_ns; whether one was ready. */
static gboolean
poll_handlers (AioContext *ctx, const AioPollingPass *pass, gint64 until_ns)
{
  gboolean found = FALSE;

  ctx->poll_started = TRUE;
  /* Callbacks may have removed those for whose sake it is done, or set other parameters. */
  while (!found && !wait_is_over (ctx, pass) && !need_wait (ctx)
         && atomic_load_explicit (&ctx->poll_ns, memory_order_relaxed) > 0)
    {
      found = look (ctx, begin_and_ask);
      /* One of the functions may have armed a timer. */
      if (now_ns () >= until_ns || aio_context_timer_timeout (ctx) == 0)
        break;
    }
  return found;
}

gboolean
aio_polling_before_wait (AioContext *ctx, gint64 timeout_ns, AioSeen before, AioPollingPass *pass)
{
  gint64 ns = 0;
  gboolean found = FALSE;

  apply_params (ctx);
  *pass = (AioPollingPass){
    .before = before,
    .start_ns = ctx->poll_params.max_ns > 0 ? now_ns () : -1,
    .n_appended = ctx->poll_aio_handlers.n_appended,
    .bh_list = atomic_load_explicit (&ctx->bh_list, memory_order_relaxed),
    .had_ready = ctx->ready.head != NULL,
    .asked_all = TRUE,
  };

  if (timeout_ns != 0)
    {
      found = retire_idle (ctx, pass->start_ns);
      ns = atomic_load_explicit (&ctx->poll_ns, memory_order_relaxed);
    }
  if (timeout_ns == 0)
    found = look (ctx, begin_and_ask);
  else if (!found && ns > 0 && !need_wait (ctx))
    found = poll_handlers (ctx, pass, later (pass->start_ns, timeout_ns < 0 ? ns : MIN (timeout_ns, ns)));
  else
    {
      pass->asked_all = FALSE;
      /* In poll mode it is done with the end of that, below: who is new does not have to be begun for it. */
      if (!aio_polling_is_on (ctx))
        found |= look_at_due (ctx);
    }

  if (timeout_ns == 0 || found || wait_is_over (ctx, pass))
    return FALSE;
  if (!aio_polling_is_on (ctx))
    return TRUE;
  /* What the thread might sleep through has to kick from now on. */
  return aio_context_compute_timeout (ctx) != 0 && !leave_poll_mode (ctx) && !wait_is_over (ctx, pass);
}

gboolean
aio_polling_spares_wait (AioContext *ctx, const AioPollingPass *pass, gboolean blocking)
{
  gboolean notified = atomic_load_explicit (&ctx->notified, memory_order_relaxed);

  /* What an outer wait found may be out of date, which only another wait can tell. */
  if (pass->had_ready || !pass->asked_all)
    return FALSE;
  /* A look that found nothing is no look at the file descriptors, unless it was ended early. */
  if (!ctx->ready.head && !ctx->completed.head && !notified)
    return FALSE;
  if (aio_context_fdmon (ctx)->need_wait)
    return !need_wait (ctx);
  /* Who does not block takes a FALSE for an answer: no file descriptor was ready. */
  if (!ctx->ready.head && !ctx->completed.head && !blocking)
    return FALSE;
  /* Not twice in a row: a handler whose poll function knows less than its file descriptor has its turn too. */
  return !ctx->wait_spared && !aio_context_poll_disabled (ctx);
}

gint64
aio_polling_block_ns (const AioPollingPass *pass)
{
  return pass->start_ns >= 0 ? now_ns () - pass->start_ns : -1;
}

void
aio_polling_prepare (AioContext *ctx)
{
  look_at_due (ctx);
  /* A nested poll() may run what was found, and have poll mode begin anew. */
  while (aio_polling_is_on (ctx) && aio_context_compute_timeout (ctx) != 0)
    leave_poll_mode (ctx);
}

/**
 * aio_context_set_poll_params:
 * @ctx: a context
 * @max_ns: for how many nanoseconds a wait polls at most before it sleeps; 0 for not at all, which is the default
 * @grow: by what the polling time is multiplied when a longer one would have spared a sleep; 0 for 2
 * @shrink: by what it is divided when it was in vain; 0 to have it begin from nothing again
 * @error: return location for an error
 *
 * Has aio_context_poll() ask the handlers that have a poll function for a while before it sleeps: how long, each of
 * them learns from how soon its events come, between 4 µs and @max_ns. That spares system calls, and costs the time
 * of a processor. Nothing is polled for longer than a timer allows, and nothing at all under a main context.
 *
 * What was learned is forgotten. Any thread; a wait that is under way ends. The original's
 * `aio_context_set_poll_params`. Fails with %AIO_ERROR_SYSTEM and `EINVAL` if a number is below zero, and with
 * %AIO_ERROR_CLOSED.
 *
 * Returns: whether the parameters were taken
 */
gboolean
aio_context_set_poll_params (AioContext *ctx, gint64 max_ns, gint64 grow, gint64 shrink, GError **error)
{
  g_return_val_if_fail (ctx != NULL, FALSE);

  if (max_ns < 0 || grow < 0 || shrink < 0)
    {
      aio_set_system_error (error, EINVAL, "aio_context_set_poll_params",
                            "AioContext %s: polling for %" G_GINT64_FORMAT " ns, growing by %" G_GINT64_FORMAT
                            ", shrinking by %" G_GINT64_FORMAT,
                            ctx->name, max_ns, grow, shrink);
      return FALSE;
    }
  if (aio_context_is_closed (ctx))
    {
      g_set_error (error, AIO_ERROR, AIO_ERROR_CLOSED, "AioContext %s is closed", ctx->name);
      return FALSE;
    }

  aio_context_lock_lists (ctx);
  ctx->poll_params_wanted = (AioPollParams){ max_ns, grow, shrink };
  atomic_store_explicit (&ctx->poll_params_changed, TRUE, memory_order_release);
  aio_context_unlock_lists (ctx);
  if (aio_context_is_home (ctx))
    apply_params (ctx);
  aio_context_notify_waiter (ctx);
  return TRUE;
}

/**
 * aio_context_poll_disabled:
 * @ctx: a context
 *
 * Any thread. The original's `aio_poll_disabled`.
 *
 * Returns: whether there is a handler without a poll function. Then only the io_uring monitor, which sees in memory what
 *   is ready, can poll.
 */
gboolean
aio_context_poll_disabled (AioContext *ctx)
{
  g_return_val_if_fail (ctx != NULL, TRUE);

  return atomic_load_explicit (&ctx->poll_disable_cnt, memory_order_relaxed) > 0;
}
