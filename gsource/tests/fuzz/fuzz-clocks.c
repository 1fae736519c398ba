/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

/* Operations on clocks. */

gint64
fuzz_clock_now (FuzzClock *clock)
{
  return clock->manual ? aio_clock_get_ns (clock->clock) : fuzz_kernel_now (clock->wall);
}

FuzzClock *
fuzz_pick_clock (void)
{
  /* Manual ones more often: they are what can be told. */
  guint n = fuzz_arg (FUZZ_N_CLOCKS + 2);

  return &fuzz.clocks[n < FUZZ_N_CLOCKS ? n : AIO_CLOCK_MANUAL];
}

gint64
fuzz_pick_time (FuzzClock *clock)
{
  static const gint64 fixed[] = { 0, -1, G_MININT64, G_MAXINT64, G_MAXINT64 - 1, G_MAXINT64 / 2, 1, 1000 };
  static const gint64 relative[] = { 0, 1, -1, 1000, 100000, 300000, 1000000, 5000000, 10000000, 20000000, 1000000000 };
  guint n = fuzz_arg (G_N_ELEMENTS (fixed) + 2 * G_N_ELEMENTS (relative));

  if (n < G_N_ELEMENTS (fixed))
    return fixed[n];
  return MIN (fuzz_clock_now (clock), G_MAXINT64 / 2) + relative[(n - G_N_ELEMENTS (fixed)) % G_N_ELEMENTS (relative)];
}

/* What is due is known no more if the home thread is just looking. */
static void
note_time (FuzzClock *clock)
{
  for (guint i = 0; i < fuzz.all_timers->len; i++)
    {
      FuzzTimer *timer = g_ptr_array_index (fuzz.all_timers, i);

      if (!clock || timer->clock == clock)
        timer->fuzzy |= fuzz.in_doubt;
    }
}

static void
op_clock_move (void)
{
  FuzzClock *clock = &fuzz.clocks[AIO_CLOCK_MANUAL + fuzz_arg (FUZZ_N_CLOCKS - AIO_CLOCK_MANUAL)];
  gboolean set = fuzz_arg (2);
  gint64 ns = fuzz_pick_time (clock);

  note_time (clock);
  fuzz.quiet++;
  if (set)
    {
      aio_clock_set_ns (clock->clock, ns);
      fuzz_require (aio_clock_get_ns (clock->clock) == MAX (ns, 0), "a clock was not set");
    }
  else
    aio_clock_advance_ns (clock->clock, ns);
  fuzz.quiet--;
}

static void
op_pass_time (void)
{
  static const gint64 ns[] = { 1, 1000, 300000, 1000000, 20000000, 1000000000, 10000000000 };

  note_time (NULL);
  fuzz_kernel_pass_time (ns[fuzz_arg (G_N_ELEMENTS (ns))]);
}

static void
op_set_wall_clock (void)
{
  static const gint64 ns[] = { 0, 1000000000, 1700000000000000000, 1700000000001000000, 1600000000000000000 };

  note_time (NULL);
  fuzz.jumped = TRUE;
  fuzz_kernel_set_wall_clock (ns[fuzz_arg (G_N_ELEMENTS (ns))]);
}

/* Not elsewhere: it would wait until the home thread is through with its timers. */
static void
op_clock_enable (void)
{
  FuzzClock *clock = &fuzz.clocks[fuzz_arg (FUZZ_N_CLOCKS)];
  gboolean enabled = fuzz_arg (2), may_change = clock == &fuzz.clocks[1] || clock == &fuzz.clocks[3];

  if (fuzz.elsewhere && !enabled)
    return;
  fuzz.quiet++;
  aio_clock_set_enabled (clock->clock, enabled);
  fuzz.quiet--;
  fuzz_require (aio_clock_get_enabled (clock->clock) == (enabled || !may_change), "a clock is %s",
                enabled ? "disabled" : "enabled");
}

static void
op_clock_deadline (void)
{
  FuzzClock *clock = fuzz_pick_clock ();
  gboolean external = fuzz_arg (2);
  gint64 deadline = aio_clock_deadline_ns_all (clock->clock, external ? AIO_TIMER_ATTR_EXTERNAL : AIO_TIMER_ATTR_NONE);
  gint64 earliest = G_MAXINT64;

  fuzz_require (aio_clock_get_clock_type (clock->clock) == (clock->manual ? AIO_CLOCK_MANUAL : clock - fuzz.clocks),
                "another kind of clock");
  if (fuzz.in_doubt) /* It may be one that the home thread is just arming. */
    return;

  for (guint i = 0; i < fuzz.all_timers->len; i++)
    {
      FuzzTimer *timer = g_ptr_array_index (fuzz.all_timers, i);

      /* Of a context that is being closed some may still be there. */
      if (timer->fuzzy || timer->c->leaks || timer->c->closed)
        return;
      if (timer->clock == clock && timer->expire_ns >= 0 && !timer->closed && (external || !timer->external))
        earliest = MIN (earliest, timer->expire_ns);
    }
  if (earliest == G_MAXINT64 || !aio_clock_get_enabled (clock->clock))
    fuzz_require (deadline == -1, "a deadline where nothing is armed");
  else
    fuzz_require (deadline == MAX (earliest - fuzz_clock_now (clock), 0), "another deadline than the first timer's");
}

const FuzzOperation fuzz_clock_operations[] = {
  { "clock move", op_clock_move, 3 },         { "clock enable", op_clock_enable, 2 },
  { "clock deadline", op_clock_deadline, 1 }, { "pass time", op_pass_time, 2 },
  { "set wall clock", op_set_wall_clock, 1 }, { NULL, NULL, 0 },
};
