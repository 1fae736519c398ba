/* SPDX-License-Identifier: MIT */
/* A timer is armed anew, to any time, among many others that are armed as among few. */
#include <aio-gsource.h>

#include "bench.h"

#define MANY 100000
#define FEW 100
#define OPERATIONS 200000
/* In nanoseconds, powers of two: 18 minutes on, the first; 37 minutes on, the last. */
#define EARLIEST (G_GINT64_CONSTANT (1) << 40)
#define LATEST (G_GINT64_CONSTANT (1) << 41)

typedef struct {
  AioContext *ctx;
  AioTimer **timers;
  guint n_timers;
} Armed;

static Armed many, few;
static AioClock *clock_of_all;
static guint n_calls;
static guint64 random_state = 88172645463325252; /* xorshift64 is as good from any start but 0 */

static guint64
next_random (void)
{
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return random_state;
}

static void
callback (gpointer data)
{
  ++*(guint *) data;
}

static void
rearm (const Armed *armed, guint i)
{
  aio_timer_mod_ns (armed->timers[i], EARLIEST + (gint64) (next_random () % EARLIEST));
}

static void
rearm_at_random (const Armed *armed, guint n)
{
  for (guint i = 0; i < n; i++)
    rearm (armed, (guint) ((next_random () >> 32) * armed->n_timers >> 32));
}

static void
among_many (guint n)
{
  rearm_at_random (&many, n);
}

static void
among_few (guint n)
{
  rearm_at_random (&few, n);
}

static Armed
arm (guint n_timers)
{
  GError *error = NULL;
  Armed armed = { aio_context_new (&error), g_new (AioTimer *, n_timers), n_timers };

  if (!armed.ctx)
    g_error ("%s", error->message);
  for (guint i = 0; i < n_timers; i++)
    {
      armed.timers[i] = aio_timer_new (armed.ctx, clock_of_all, AIO_TIMER_SCALE_NS, callback, &n_calls);
      rearm (&armed, i);
    }
  return armed;
}

/* None has fired, and all do once it is time. */
static void
check_and_free (Armed *armed)
{
  n_calls = 0;
  while (aio_context_poll (armed->ctx, FALSE, NULL))
    ;
  if (n_calls != armed->n_timers)
    g_error ("%u of %u timers fired", n_calls, armed->n_timers);
  for (guint i = 0; i < armed->n_timers; i++)
    aio_timer_free (armed->timers[i]);
  g_free (armed->timers);
  aio_context_close (armed->ctx, NULL);
  aio_context_unref (armed->ctx);
}

int
main (void)
{
  static const BenchCase cases[] = {
    { "C: re-arm among 100,000", "ours", among_many, OPERATIONS },
    { "C: re-arm among 100,000", "among 100", among_few, OPERATIONS },
  };

  clock_of_all = aio_clock_new_manual (0);
  many = arm (MANY);
  few = arm (FEW);

  bench_run (cases, G_N_ELEMENTS (cases));

  if (n_calls != 0)
    g_error ("%u timers fired too early", n_calls);
  aio_clock_set_ns (clock_of_all, LATEST);
  check_and_free (&many);
  check_and_free (&few);
  aio_clock_unref (clock_of_all);
  return 0;
}
