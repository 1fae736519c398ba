/* SPDX-License-Identifier: MIT */
#include "stall.h"

#include "aio-context-private.h"

/*
 * Very many schedules by other threads (A4, B15): none is lost. Bursts and quiet phases take turns, so that the loop goes
 * to sleep over and over and each of its ways into sleep meets each of theirs. AIO_STRESS is the number of
 * schedules for each driver and monitor.
 */

#define SCHEDULES 350000
#define N_PRODUCERS 3
#define N_ITEMS 4
#define LONGEST_BURST 48

/* What a producer schedules. Nobody schedules an item but its producer; home runs it. */
typedef struct {
  struct _Stress *stress;
  AioBh *bh;
  AioTimer *timer;
  guint64 published; /* before each schedule */
  guint64 seen;      /* by the last run */
} Item;

typedef struct {
  struct _Stress *stress;
  Item items[N_ITEMS];
  Item idle, timed, oneshots;
  guint64 quota;
  guint seed;
  guint64 n_bursts;
} Producer;

typedef struct _Stress {
  Driver *d;
  guint64 progress; /* runs */
  Producer producers[N_PRODUCERS];
  int n_done;
  guint nested;
} Stress;

static void
note_progress (Stress *stress)
{
  guint64 runs = __atomic_add_fetch (&stress->progress, 1, __ATOMIC_RELEASE);

  /* Every now and then a callback turns the loop itself. */
  if (runs % 256 == 0 && stress->nested < 2)
    {
      stress->nested++;
      driver_turn_blind (stress->d, FALSE);
      stress->nested--;
    }
}

static void
run_item (gpointer data)
{
  Item *item = data;
  guint64 published = __atomic_load_n (&item->published, __ATOMIC_RELAXED);

  g_assert_cmpuint (published, >=, item->seen);
  __atomic_store_n (&item->seen, published, __ATOMIC_RELEASE);
  note_progress (item->stress);
}

static void
run_oneshot (gpointer data)
{
  Item *item = data;

  __atomic_add_fetch (&item->seen, 1, __ATOMIC_RELEASE);
  note_progress (item->stress);
}

static void
publish (Item *item)
{
  __atomic_store_n (&item->published, item->published + 1, __ATOMIC_RELAXED);
}

static void
schedule_something (Producer *p, GRand *rand)
{
  AioContext *ctx = p->stress->d->ctx;
  Item *item = &p->items[g_rand_int_range (rand, 0, N_ITEMS)];

  switch (g_rand_int_range (rand, 0, 16))
    {
    case 0:
      publish (&p->oneshots);
      aio_context_schedule_oneshot (ctx, run_oneshot, &p->oneshots);
      break;
    case 1:
      aio_bh_cancel (item->bh);
      publish (item);
      aio_bh_schedule (item->bh);
      break;
    case 2:
      publish (item);
      aio_bh_schedule_idle (item->bh);
      aio_bh_schedule (item->bh);
      break;
    case 3:
      publish (&p->timed);
      aio_timer_mod_ns (p->timed.timer,
                        aio_clock_get_ns (aio_clock_get (AIO_CLOCK_REALTIME)) + g_rand_int_range (rand, -20000, 20000));
      break;
    case 4:
      aio_context_notify (ctx);
      break;
    default:
      publish (item);
      aio_bh_schedule (item->bh);
    }
}

static gboolean
is_settled (Item *item)
{
  return __atomic_load_n (&item->seen, __ATOMIC_ACQUIRE) == item->published;
}

/* Until home has run all that it was given; then it sleeps, or is about to. */
static void
await_quiet (Producer *p)
{
  gboolean settled;

  for (guint tries = 0;; tries++)
    {
      settled = is_settled (&p->idle) && is_settled (&p->timed) && is_settled (&p->oneshots);
      for (guint i = 0; i < N_ITEMS; i++)
        settled = settled && is_settled (&p->items[i]);
      if (settled)
        break;
      if (tries < 20)
        sched_yield ();
      else
        g_usleep (10);
    }
}

static void
produce (gpointer data)
{
  Producer *p = data;
  GRand *rand = g_rand_new_with_seed (p->seed);

  for (guint64 left = p->quota; left > 0; p->n_bursts++)
    {
      guint burst = g_rand_int_range (rand, 1, g_rand_boolean (rand) ? 3 : LONGEST_BURST);

      burst = MIN (burst, left);

      for (guint i = 0; i < burst; i++)
        schedule_something (p, rand);
      left -= burst;
      if (p->n_bursts % 64 == 0)
        {
          publish (&p->idle);
          aio_bh_schedule_idle (p->idle.bh);
        }
      await_quiet (p);
    }
  g_rand_free (rand);
  driver_count (&p->stress->n_done);
  aio_context_notify (p->stress->d->ctx);
}

static void
none_is_lost (Driver *d)
{
  const guint64 size = stress_size (SCHEDULES);
  Stress *stress = g_new0 (Stress, 1);
  pthread_t threads[N_PRODUCERS];
  guint64 n_bursts = 0;
  gint64 start_ms = driver_now_ms ();
  AioStats stats;
  Stall *stall;

  stress->d = d;
  for (guint i = 0; i < N_PRODUCERS; i++)
    {
      Producer *p = &stress->producers[i];

      p->stress = stress;
      p->seed = i;
      p->quota = size / N_PRODUCERS + 1;
      p->idle.stress = p->timed.stress = p->oneshots.stress = stress;
      p->idle.bh = aio_bh_new (d->ctx, run_item, &p->idle);
      p->timed.timer =
          aio_timer_new (d->ctx, aio_clock_get (AIO_CLOCK_REALTIME), AIO_TIMER_SCALE_NS, run_item, &p->timed);
      for (guint k = 0; k < N_ITEMS; k++)
        {
          p->items[k].stress = stress;
          p->items[k].bh = aio_bh_new (d->ctx, run_item, &p->items[k]);
        }
    }
  stall = stall_watch (d->ctx, &stress->progress);
  for (guint i = 0; i < N_PRODUCERS; i++)
    threads[i] = driver_thread_start (produce, &stress->producers[i]);
  driver_run_until_count (d, &stress->n_done, N_PRODUCERS, G_MAXUINT);
  for (guint i = 0; i < N_PRODUCERS; i++)
    driver_thread_join (threads[i]);
  stall_end (stall);

  driver_settle (d);
  for (guint i = 0; i < N_PRODUCERS; i++)
    {
      Producer *p = &stress->producers[i];

      n_bursts += p->n_bursts;
      g_assert_cmpuint (p->oneshots.seen, ==, p->oneshots.published);
      g_assert_cmpuint (p->timed.seen, ==, p->timed.published);
      g_assert_false (aio_timer_pending (p->timed.timer));
      for (guint k = 0; k < N_ITEMS; k++)
        {
          g_assert_cmpuint (p->items[k].seen, ==, p->items[k].published);
          g_assert_false (aio_bh_is_scheduled (p->items[k].bh));
          aio_bh_delete (p->items[k].bh);
        }
      aio_bh_delete (p->idle.bh);
      aio_timer_free (p->timed.timer);
    }
  /* A loop that never sleeps proves nothing: others found it on its way into sleep, or there, often enough. */
  stats = driver_stats (d);
  g_assert_cmpuint (stats.eventfd_writes, >, n_bursts / 50);
  g_assert_cmpuint (stats.waits - stats.zero_waits + stats.checks, >, n_bursts / 50);
  g_test_message ("%" G_GUINT64_FORMAT " schedules in %" G_GUINT64_FORMAT " bursts, %" G_GUINT64_FORMAT
                  " runs, %" G_GUINT64_FORMAT " waits or checks, %" G_GUINT64_FORMAT " eventfd writes, %d ms",
                  size, n_bursts, stress->progress, stats.waits - stats.zero_waits + stats.checks, stats.eventfd_writes,
                  (int) (driver_now_ms () - start_ms));
  g_free (stress);
}

/* Ping-pong: two contexts, each asleep while the other one runs. The payload is no atomic: the schedule publishes it. */

typedef struct {
  Driver *d;
  AioContext *peer;
  AioBh *ping, *pong;
  guint64 payload; /* of whose turn it is */
  guint64 rounds, round;
  guint64 progress;
  gboolean done;
} Table;

static void
ping (gpointer data) /* at home */
{
  Table *t = data;

  g_assert_cmpuint (t->payload, ==, 2 * t->round + 1);
  t->round++;
  t->payload = 2 * t->round;
  __atomic_store_n (&t->progress, t->round, __ATOMIC_RELEASE);
  if (t->round < t->rounds)
    aio_bh_schedule (t->pong);
  else
    {
      __atomic_store_n (&t->done, TRUE, __ATOMIC_RELEASE);
      aio_context_notify (t->peer);
    }
}

static void
pong (gpointer data) /* at the peer's */
{
  Table *t = data;

  g_assert_cmpuint (t->payload, ==, 2 * t->round);
  t->payload++;
  aio_bh_schedule (t->ping);
}

static gboolean
not_done (gpointer data)
{
  return !__atomic_load_n (&((Table *) data)->done, __ATOMIC_ACQUIRE);
}

static gboolean
is_done (gpointer data)
{
  return !not_done (data);
}

static void
be_the_peer (gpointer data)
{
  Table *t = data;

  g_assert_true (aio_context_set_home (t->peer, NULL));
  g_assert_true (aio_context_wait_while (t->peer, not_done, t, NULL));
}

static void
ping_pong (Driver *d)
{
  Table t = { .d = d, .peer = aio_context_new (NULL), .rounds = stress_size (SCHEDULES) / 8 };
  AioStats stats;
  pthread_t thread;
  Stall *stall;

  t.ping = aio_bh_new (d->ctx, ping, &t);
  t.pong = aio_bh_new (t.peer, pong, &t);
  aio_bh_schedule (t.pong);
  stall = stall_watch (d->ctx, &t.progress);
  thread = driver_thread_start (be_the_peer, &t);
  driver_run_until (d, is_done, &t, G_MAXUINT);
  driver_thread_join (thread);
  stall_end (stall);
  g_assert_cmpuint (t.round, ==, t.rounds);

  /* Both really sleep: most of what is scheduled has to wake somebody. */
  aio_context_get_stats (t.peer, &stats);
  g_assert_cmpuint (stats.bhs_run, ==, t.rounds);
  g_assert_cmpuint (stats.eventfd_writes + driver_stats (d).eventfd_writes, >, t.rounds / 4);

  aio_bh_delete (t.ping);
  g_assert_true (aio_context_set_home (t.peer, NULL));
  aio_bh_delete (t.pong);
  driver_poll (t.peer, FALSE);
  aio_context_unref (t.peer);
}

static void
add_tests (void)
{
  driver_add ("stress", "A4-B15-none-is-lost", none_is_lost);
  driver_add ("stress", "A4-B15-ping-pong", ping_pong);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
