/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"

static AioTimerList *
find_manual_list (AioContext *ctx, AioClock *clock)
{
  AioTimerList *list = ctx->manual_lists;

  while (list && list->clock != clock)
    list = list->next;
  return list;
}

static AioTimerList *
take_spare_list (AioContext *ctx)
{
  AioTimerList *list;

  aio_context_lock_lists (ctx);
  list = ctx->spare_lists;
  if (list)
    ctx->spare_lists = list->next;
  aio_context_unlock_lists (ctx);
  if (list)
    list->next = NULL;
  return list;
}

/* Kept, not freed: another thread may be about to lock it, for a timer that was in it. */
static void
lay_by (AioContext *ctx, AioTimerList *list)
{
  aio_timer_list_leave_clock (list);
  aio_context_lock_lists (ctx);
  list->next = ctx->spare_lists;
  ctx->spare_lists = list;
  aio_context_unlock_lists (ctx);
}

AioTimerList *
aio_context_get_timer_list (AioContext *ctx, AioClock *clock)
{
  AioTimerList *list, *unused = NULL;

  if (aio_context_is_closed (ctx))
    return NULL;
  if (clock->type != AIO_CLOCK_MANUAL)
    return ctx->tlg[clock->type];

  aio_context_lock_lists (ctx);
  list = find_manual_list (ctx, clock);
  if (list)
    list->users++;
  aio_context_unlock_lists (ctx);
  if (list)
    return list;

  /* The clock's lock comes before list_lock: its list is made outside, and laid by if another came first. */
  unused = take_spare_list (ctx);
  if (unused)
    aio_timer_list_join_clock (unused, clock);
  else
    unused = aio_timer_list_new (ctx, clock);
  aio_context_lock_lists (ctx);
  list = find_manual_list (ctx, clock);
  if (!list)
    {
      AioTimerList **last = &ctx->manual_lists;

      while (*last)
        last = &(*last)->next;
      *last = list = g_steal_pointer (&unused);
      list->number = atomic_fetch_add_explicit (&ctx->n_lists_made, 1, memory_order_relaxed);
      atomic_fetch_add_explicit (&ctx->n_manual_lists, 1, memory_order_release);
    }
  list->users++;
  aio_context_unlock_lists (ctx);

  if (unused)
    lay_by (ctx, unused);
  return list;
}

void
aio_context_put_timer_list (AioContext *ctx, AioTimerList *list)
{
  gboolean last;

  if (list->clock->type != AIO_CLOCK_MANUAL)
    return;

  aio_context_lock_lists (ctx);
  last = --list->users == 0;
  if (last)
    {
      AioTimerList **link = &ctx->manual_lists;

      while (*link != list)
        link = &(*link)->next;
      *link = list->next;
      atomic_fetch_sub_explicit (&ctx->n_manual_lists, 1, memory_order_release);
    }
  aio_context_unlock_lists (ctx);

  if (last)
    lay_by (ctx, list);
}

/* Home thread: the manual list after @list (the first for NULL), with a user more; @list has one less. */
static AioTimerList *
next_manual_list (AioContext *ctx, AioTimerList *list)
{
  AioTimerList *next = NULL;

  if (!list && atomic_load_explicit (&ctx->n_manual_lists, memory_order_acquire) == 0)
    return NULL;

  aio_context_lock_lists (ctx);
  next = list ? list->next : ctx->manual_lists;
  if (next)
    next->users++;
  aio_context_unlock_lists (ctx);

  if (list)
    aio_context_put_timer_list (ctx, list);
  return next;
}

gint64
aio_context_timer_timeout (AioContext *ctx)
{
  gint64 timeout = -1;

  for (AioClockType type = AIO_CLOCK_REALTIME; type < AIO_CLOCK_MANUAL; type++)
    {
      gint64 list_timeout = aio_timer_list_timeout (ctx->tlg[type]);

      if (list_timeout >= 0 && (timeout < 0 || list_timeout < timeout))
        timeout = list_timeout;
    }
  for (AioTimerList *list = next_manual_list (ctx, NULL); list; list = next_manual_list (ctx, list))
    if (aio_timer_list_timeout (list) == 0)
      timeout = 0;
  return timeout;
}

gboolean
aio_context_run_timers (AioContext *ctx)
{
  gboolean progress = FALSE;
  AioTimerList *list;
  guint64 end;

  for (AioClockType type = AIO_CLOCK_REALTIME; type < AIO_CLOCK_MANUAL; type++)
    if (aio_timer_list_has_timers (ctx->tlg[type]))
      progress |= aio_timer_list_run (ctx->tlg[type]);
  /* The lists that are made meanwhile come last, and have to wait for the next pass: a callback may make one each time. */
  end = atomic_load_explicit (&ctx->n_lists_made, memory_order_relaxed);
  for (list = next_manual_list (ctx, NULL); list && list->number < end; list = next_manual_list (ctx, list))
    progress |= aio_timer_list_run (list);
  if (list)
    aio_context_put_timer_list (ctx, list);
  return progress;
}

gboolean
aio_context_has_timers (AioContext *ctx)
{
  gboolean any = FALSE;

  for (AioClockType type = AIO_CLOCK_REALTIME; type < AIO_CLOCK_MANUAL; type++)
    any |= aio_timer_list_has_timers (ctx->tlg[type]);
  for (AioTimerList *list = next_manual_list (ctx, NULL); list; list = next_manual_list (ctx, list))
    any |= aio_timer_list_timeout (list) == 0; /* others fire only once somebody has moved their clock */
  return any;
}

void
aio_context_for_each_timer_list (AioContext *ctx, void (*function) (AioTimerList *list, gpointer data), gpointer data)
{
  for (AioClockType type = AIO_CLOCK_REALTIME; type < AIO_CLOCK_MANUAL; type++)
    function (ctx->tlg[type], data);
  for (AioTimerList *list = next_manual_list (ctx, NULL); list; list = next_manual_list (ctx, list))
    function (list, data);
}

void
aio_context_clear_timers (AioContext *ctx, gboolean report)
{
  for (AioClockType type = AIO_CLOCK_REALTIME; type < AIO_CLOCK_MANUAL; type++)
    aio_timer_list_clear (ctx->tlg[type], report);
  for (AioTimerList *list = next_manual_list (ctx, NULL); list; list = next_manual_list (ctx, list))
    aio_timer_list_clear (list, report);
}

void
aio_context_free_timer_lists (AioContext *ctx)
{
  AioTimerList *list;

  for (AioClockType type = AIO_CLOCK_REALTIME; type < AIO_CLOCK_MANUAL; type++)
    aio_timer_list_free (ctx->tlg[type]);
  /* Timers in their owners' memory that were not deinitialised still count as users. */
  while ((list = ctx->manual_lists))
    {
      ctx->manual_lists = list->next;
      aio_timer_list_free (list);
    }
  while ((list = take_spare_list (ctx)))
    aio_timer_list_free (list);
}

/* Home thread: has @deadline wake GLib for the first timer of @lists; whether that can be done. */
static gboolean
arm_deadline (AioContext *ctx, AioDeadline *deadline, const AioClockType *types, guint n_types)
{
  gint64 earliest = -1;

  for (guint i = 0; i < n_types; i++)
    {
      AioTimerList *list = ctx->tlg[types[i]];
      gint64 list_earliest = atomic_load_explicit (&list->earliest_ns, memory_order_acquire);

      if (aio_timer_list_has_timers (list) && (earliest < 0 || list_earliest < earliest))
        earliest = list_earliest;
    }
  if (earliest < 0 && deadline->armed_ns < 0)
    return TRUE;
  return aio_deadline_arm (deadline, ctx, earliest, aio_clock_get_ns (ctx->tlg[types[0]]->clock));
}

gboolean
aio_context_arm_wall_clock (AioContext *ctx)
{
  static const AioClockType wall[] = { AIO_CLOCK_HOST };

  return arm_deadline (ctx, &ctx->deadlines[1], wall, G_N_ELEMENTS (wall));
}

gboolean
aio_context_arm_deadlines (AioContext *ctx)
{
  static const AioClockType monotonic[] = { AIO_CLOCK_REALTIME, AIO_CLOCK_VIRTUAL, AIO_CLOCK_VIRTUAL_RT };
  gboolean armed = arm_deadline (ctx, &ctx->deadlines[0], monotonic, G_N_ELEMENTS (monotonic));

  return aio_context_arm_wall_clock (ctx) && armed;
}
