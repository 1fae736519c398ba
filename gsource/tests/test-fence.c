/* SPDX-License-Identifier: MIT */
#include "stall.h"

#include "aio-context-private.h"

#include <sched.h>
#include <stdlib.h>

/*
 * The fences between the store of notify_me and the load of notified (A4). Without them a processor may do the load
 * first, x86 too, for a store waits until its cache line is there, and until those before it are done. So home stores to
 * many lines that the other thread has in its cache, and that one publishes and notifies as soon as it sees the first of
 * them: then home has loaded notified by now, and its notify_me cannot be seen yet. Each is on a processor of its own.
 */

#define ROUNDS 1000
#define N_LINES 48 /* fewer than x86 can have stores under way */
#define LINE 128   /* two: they are fetched in pairs */

typedef struct {
  _Alignas(LINE) _Atomic guint64 round;
} Line;

typedef struct {
  Line go; /* home goes to sleep */
  Line lines[N_LINES];
  Line run; /* it has run what was published */
  AioContext *ctx;
  AioBh *bh;
  pthread_t home;
  AioPoint point;
  guint64 rounds;
  cpu_set_t cpus[2]; /* one each, home's first */
  int n_done;
} Race;

/* The first one and the last that the thread may be on: those in between may be halves of the same. */
static gboolean
choose_cpus (Race *race, const cpu_set_t *all)
{
  guint cpu, last = CPU_SETSIZE - 1;

  if (CPU_COUNT (all) < 2)
    return FALSE;
  for (cpu = 0; !CPU_ISSET (cpu, all); cpu++)
    ;
  for (; !CPU_ISSET (last, all); last--)
    ;
  CPU_SET (cpu, &race->cpus[0]);
  CPU_SET (last, &race->cpus[1]);
  return TRUE;
}

static void
store_to_lines (Race *race, guint64 round)
{
  for (guint i = 0; i < N_LINES; i++)
    atomic_store_explicit (&race->lines[i].round, round, memory_order_relaxed);
}

/* Not for long: there may be less processors free than one thinks. */
static void
await_round (Line *line, guint64 round)
{
  for (guint tries = 0; atomic_load_explicit (&line->round, memory_order_acquire) < round; tries++)
    if (tries > 5000)
      sched_yield ();
}

static void
before_the_store (AioContext *ctx G_GNUC_UNUSED, AioPoint point, gpointer data)
{
  Race *race = data;
  guint64 round = atomic_load_explicit (&race->run.round, memory_order_relaxed) + 1;

  if (point != race->point || !pthread_equal (pthread_self (), race->home))
    return;
  atomic_store_explicit (&race->go.round, round, memory_order_relaxed);
  store_to_lines (race, round);
}

static void
note_run (gpointer data)
{
  Race *race = data;

  atomic_fetch_add_explicit (&race->run.round, 1, memory_order_release);
}

static void
notify_in_time (gpointer data)
{
  Race *race = data;

  g_assert_cmpint (sched_setaffinity (0, sizeof race->cpus[1], &race->cpus[1]), ==, 0);
  for (guint64 round = 1; round <= race->rounds; round++)
    {
      store_to_lines (race, round);
      await_round (&race->go, round);
      aio_bh_schedule (race->bh);
      await_round (&race->run, round);
    }
  driver_count (&race->n_done);
  aio_context_notify (race->ctx);
}

static void
notified_on_its_way_into_sleep (Driver *d)
{
  Race *race = aligned_alloc (LINE, sizeof *race);
  cpu_set_t all;
  pthread_t thread;
  Stall *stall;

  *race = (Race){
    .ctx = d->ctx,
    .home = pthread_self (),
    .point = d->kind == DRIVER_POLL ? AIO_POINT_POLL_AFTER_TIMEOUT : AIO_POINT_GS_PREPARE_ENTER,
    .rounds = stress_size (ROUNDS),
  };
  g_assert_cmpint (sched_getaffinity (0, sizeof all, &all), ==, 0);
  if (choose_cpus (race, &all))
    {
      race->bh = aio_bh_new (d->ctx, note_run, race);
      g_assert_cmpint (sched_setaffinity (0, sizeof race->cpus[0], &race->cpus[0]), ==, 0);
      aio_test_set_hook (d->ctx, before_the_store, race);
      stall = stall_watch (d->ctx, (const guint64 *) &race->run.round);
      thread = driver_thread_start (notify_in_time, race);
      driver_run_until_count (d, &race->n_done, 1, G_MAXUINT);
      driver_thread_join (thread);
      stall_end (stall);
      aio_test_set_hook (d->ctx, NULL, NULL);
      g_assert_cmpint (sched_setaffinity (0, sizeof all, &all), ==, 0);

      g_assert_cmpuint (race->run.round, ==, race->rounds);
      g_test_message ("%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " came before home's notify_me was seen",
                      race->rounds + 1 - MIN (driver_stats (d).eventfd_writes, race->rounds + 1), race->rounds);
      aio_bh_delete (race->bh);
    }
  else
    g_test_skip ("there is only one processor");
  free (race);
}

/*
 * Between bit 0 and notified there is more in prepare than a processor always has under way at a time, so that it may
 * take luck to see that the fence is not there. That it is there is seen at once.
 */

typedef struct {
  guint64 n_fences;
  int prepares;
} Passed;

static void
count_fences (AioContext *ctx G_GNUC_UNUSED, AioPoint point, gpointer data)
{
  Passed *passed = data;

  if (point == AIO_POINT_GS_PREPARE_AFTER_BIT)
    passed->n_fences = aio_test_n_fences;
  else if (point == AIO_POINT_GS_PREPARE_BEFORE_TIMEOUT)
    {
      g_assert_cmpuint (aio_test_n_fences, ==, passed->n_fences + 1);
      passed->prepares++;
    }
}

static void
a_fence_between_bit_0_and_the_timeout (Driver *d)
{
  Passed passed = { 0 };

  aio_test_set_hook (d->ctx, count_fences, &passed);
  g_main_context_iteration (d->main_context, FALSE);
  aio_test_set_hook (d->ctx, NULL, NULL);
  g_assert_cmpint (passed.prepares, ==, 1);
}

static void
add_tests (void)
{
  driver_add_for (DRIVER_ATTACHED, "fence", "A4-a-fence-between-bit-0-and-the-timeout",
                  a_fence_between_bit_0_and_the_timeout);
  driver_add_for (DRIVER_POLL | DRIVER_GLIB, "fence", "A4-notified-on-its-way-into-sleep",
                  notified_on_its_way_into_sleep);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
