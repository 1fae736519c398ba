/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

/* Timers: what has to be true of them, and operations on them. */

void
fuzz_timer_note_disarm (FuzzTimer *timer)
{
  timer->fuzzy |= fuzz.in_doubt;
  timer->expire_ns = -1;
  timer->due = 0;
}

static void
note_arm (FuzzTimer *timer, gint64 expire_ns)
{
  fuzz_timer_note_disarm (timer);
  timer->expire_ns = MAX (expire_ns, 0);
  timer->sequence = ++fuzz.order;
}

static gboolean
is_before (FuzzTimer *a, FuzzTimer *b)
{
  return a->expire_ns != b->expire_ns ? a->expire_ns < b->expire_ns : a->sequence < b->sequence;
}

static gboolean
shares_list (FuzzTimer *a, FuzzTimer *b)
{
  return a->c == b->c && a->clock == b->clock;
}

/* The first one of a pass: what has expired is due from now on, in this order. */
static void
collect (FuzzTimer *timer)
{
  for (;;)
    {
      FuzzTimer *first = NULL;

      for (guint i = 0; i < fuzz.all_timers->len; i++)
        {
          FuzzTimer *other = g_ptr_array_index (fuzz.all_timers, i);

          if (shares_list (timer, other) && fuzz_timer_is_armed (other) && other->due == 0
              && other->expire_ns != G_MAXINT64 && other->expire_ns <= fuzz_clock_now (other->clock)
              && (!first || is_before (other, first)))
            first = other;
        }
      if (!first)
        return;
      first->due = ++fuzz.order;
    }
}

static gboolean
any_is_fuzzy (FuzzTimer *timer)
{
  for (guint i = 0; i < fuzz.all_timers->len; i++)
    {
      FuzzTimer *other = g_ptr_array_index (fuzz.all_timers, i);

      if (shares_list (timer, other) && other->fuzzy)
        return TRUE;
    }
  return FALSE;
}

static void
check_first_due (FuzzTimer *timer)
{
  fuzz_require (timer->due != 0, "a timer fires before its time");
  for (guint i = 0; i < fuzz.all_timers->len; i++)
    {
      FuzzTimer *other = g_ptr_array_index (fuzz.all_timers, i);

      if (shares_list (timer, other) && fuzz_timer_is_armed (other) && other->due != 0)
        fuzz_require (other->due >= timer->due, "a timer fires before one whose turn it is");
    }
}

static void
timer_called (gpointer data)
{
  FuzzTimer *timer = data;

  fuzz_trace ("timer %p of %s", data, timer->c->name);
  fuzz_enter_callback (timer->c, TRUE);
  timer->c->timers_fired++;
  fuzz_require (!timer->destroyed, "a timer fires after it was freed");
  fuzz_require (aio_clock_get_enabled (timer->clock->clock), "a timer fires while its clock is disabled");
  timer->fuzzy |= any_is_fuzzy (timer);
  if (!timer->fuzzy)
    {
      fuzz_require (fuzz_timer_is_armed (timer), "a timer fires that is not armed");
      if (timer->collected_turn != fuzz.turn->id)
        collect (timer);
      for (guint i = 0; i < fuzz.all_timers->len; i++)
        {
          FuzzTimer *other = g_ptr_array_index (fuzz.all_timers, i);

          if (shares_list (timer, other))
            other->collected_turn = fuzz.turn->id;
        }
      check_first_due (timer);
      fuzz_timer_note_disarm (timer);
      fuzz.quiet++;
      fuzz_require (!timer->timer || !aio_timer_pending (timer->timer), "a timer that fires is pending");
      fuzz.quiet--;
    }
  fuzz_run_script (timer->script);
}

static void
timer_destroyed (gpointer data)
{
  FuzzTimer *timer = data;

  fuzz_trace ("timer %p is freed", data);
  fuzz_require (!timer->destroyed, "a timer is freed twice");
  fuzz_require (timer->closed || timer->c->closed || timer->c->leaks, "a timer is freed that was not closed");
  timer->destroyed = TRUE;
  timer->expire_ns = -1;
  timer->due = 0;
  if (timer->kind != FUZZ_TIMER_BOXED)
    timer->timer = NULL;
  fuzz_run_destroy_script (timer->c, timer->script);
}

static FuzzTimer **
pick_timer (void)
{
  return &fuzz.timers[fuzz_arg (FUZZ_N_TIMERS)];
}

static void
op_timer_new (void)
{
  static const AioTimerScale scales[] = { AIO_TIMER_SCALE_NS, AIO_TIMER_SCALE_US, AIO_TIMER_SCALE_MS };
  FuzzContext *c = fuzz_pick_context ();
  FuzzTimer **slot = pick_timer (), *timer;
  FuzzClock *clock = fuzz_pick_clock ();
  FuzzTimerKind kind = fuzz_arg (3);
  guint how = fuzz_arg (6);
  AioTimerAttributes attributes = how < 3 ? AIO_TIMER_ATTR_NONE : AIO_TIMER_ATTR_EXTERNAL;

  if (!c || !c->ctx || (*slot && !(*slot)->closed && !(*slot)->destroyed && (*slot)->timer))
    return;
  timer = g_new0 (FuzzTimer, 1);
  timer->c = c;
  timer->kind = kind;
  timer->clock = clock;
  timer->expire_ns = -1;
  timer->scale = scales[how % 3];
  timer->external = how >= 3;
  timer->script = fuzz_arg (FUZZ_N_SCRIPTS);
  fuzz_trace ("  %p of %s", (void *) timer, c->name);
  if (kind == FUZZ_TIMER_INIT)
    {
      timer->timer = &timer->memory;
      if (!timer->external)
        aio_timer_init (timer->timer, c->ctx, clock->clock, timer->scale, timer_called, timer);
      else
        aio_timer_init_with_attrs (timer->timer, c->ctx, clock->clock, timer->scale, attributes, timer_called, timer);
      timer->closed = c->closed;
    }
  else if (kind == FUZZ_TIMER_BOXED)
    timer->timer = aio_timer_new_boxed (c->ctx, clock->clock, timer->scale, attributes, "fuzz", timer_called, timer,
                                        timer_destroyed);
  else
    timer->timer =
        aio_timer_new_full (c->ctx, clock->clock, timer->scale, attributes, NULL, timer_called, timer, timer_destroyed);
  if (!timer->timer)
    {
      fuzz_require (c->closed, "no timer");
      g_free (timer);
      return;
    }
  fuzz_require (!c->closed || kind == FUZZ_TIMER_INIT, "a timer of a closed context");
  fuzz_require (aio_timer_get_clock (timer->timer) == (c->closed ? NULL : clock->clock), "another clock of a timer");
  g_ptr_array_add (fuzz.all_timers, timer);
  *slot = timer;
}

static gint64
scaled (FuzzTimer *timer, gint64 expire)
{
  gint64 ns;

  if (expire < 0)
    return 0;
  return __builtin_mul_overflow (expire, (gint64) timer->scale, &ns) ? G_MAXINT64 : ns;
}

static void
op_timer_mod (void)
{
  FuzzTimer *timer = *pick_timer ();
  guint how = fuzz_arg (6);
  gboolean anticipate = how % 2, in_ns = how > 1;
  gint64 expire, expire_ns;

  if (!timer || !timer->timer)
    return;
  expire = fuzz_pick_time (timer->clock);
  if (!in_ns)
    expire /= timer->scale;
  expire_ns = in_ns ? expire : scaled (timer, expire);
  fuzz_trace ("  %p %s %" G_GINT64_FORMAT " ns", (void *) timer, anticipate ? "anticipate" : "to", expire_ns);
  /* Of a context that has been dropped it is not known whether it still lives. */
  if (!timer->c->ctx)
    timer->fuzzy = TRUE;
  if (timer->closed || timer->destroyed || timer->c->closed)
    ;
  else if (!anticipate || timer->expire_ns < 0 || MAX (expire_ns, 0) < timer->expire_ns)
    note_arm (timer, expire_ns);
  else
    timer->fuzzy |= fuzz.in_doubt;
  if (anticipate && in_ns)
    aio_timer_mod_anticipate_ns (timer->timer, expire);
  else if (anticipate)
    aio_timer_mod_anticipate (timer->timer, expire);
  else if (in_ns)
    aio_timer_mod_ns (timer->timer, expire);
  else
    aio_timer_mod (timer->timer, expire);
}

static void
op_timer_del (void)
{
  FuzzTimer *timer = *pick_timer ();

  if (!timer || !timer->timer)
    return;
  fuzz_trace ("  %p", (void *) timer);
  fuzz_timer_note_disarm (timer);
  aio_timer_del (timer->timer);
  fuzz_require (timer->fuzzy || !aio_timer_pending (timer->timer), "a deleted timer is pending");
}

static void
op_timer_close (void)
{
  FuzzTimer *timer = *pick_timer ();
  AioTimer *gone;

  if (!timer || !timer->timer || fuzz.elsewhere)
    return;
  fuzz_trace ("  %p", (void *) timer);
  gone = timer->timer;
  if (timer->kind == FUZZ_TIMER_INIT)
    {
      timer->timer = NULL;
      fuzz_timer_note_disarm (timer);
      timer->closed = TRUE;
      aio_timer_deinit (gone);
      return;
    }
  if (!timer->destroyed)
    timer->closed = TRUE;
  fuzz_timer_note_disarm (timer);
  /* It may have been reported by now. */
  timer->fuzzy |= timer->c->ctx == NULL;
  if (timer->kind == FUZZ_TIMER_FULL)
    timer->timer = NULL;
  aio_timer_free (gone);
  fuzz_require (timer->destroyed, "a timer that was closed is not freed");
}

const FuzzOperation fuzz_timer_operations[] = {
  { "timer new", op_timer_new, 4 },
  { "timer mod", op_timer_mod, 6 },
  { "timer del", op_timer_del, 2 },
  { "timer close", op_timer_close, 2 },
  { NULL, NULL, 0 },
};
