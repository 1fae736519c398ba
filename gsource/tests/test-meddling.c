/* SPDX-License-Identifier: MIT */
#include "eventfds.h"

/*
 * All that any thread may do, by three threads at once, while the home thread drives: for ThreadSanitizer, and for what
 * is left when they are done. Handlers come and go across the number at which 'auto' changes its monitor.
 */

#define N_THREADS 3
#define N_OWN 20
#define N_ROUNDS 1000

typedef struct {
  Driver *d;
  EventFd *eventfds;
  AioTimer *timers[4];
  AioClock *manual; /* one for all */
  AioTimer *manual_timer;
  guint seed;
  int fired, scheduled, ran;
  int *n_done;
} Meddler;

static void
called (int fd, gpointer data)
{
  (void) data;
  driver_drain (fd);
}

static void
meddle_once (Meddler *m, GRand *rand)
{
  static const AioFdHandler handlers[] = { { .read = called }, { .read = called, .external = TRUE } };
  AioContext *ctx = m->d->ctx;
  EventFd *eventfd = &m->eventfds[g_rand_int_range (rand, 0, N_OWN)];
  AioTimer *timer = m->timers[g_rand_int_range (rand, 0, G_N_ELEMENTS (m->timers))];
  AioClock *virtual_clock = aio_clock_get (AIO_CLOCK_VIRTUAL);

  switch (g_rand_int_range (rand, 0, 12))
    {
    case 0:
    case 1:
    case 2:
      aio_context_set_fd_handler (ctx, eventfd->fd, &handlers[g_rand_int_range (rand, 0, 2)], NULL, NULL, NULL);
      break;
    case 3:
      driver_unwatch (m->d, eventfd->fd);
      break;
    case 4:
      eventfd_set (eventfd);
      break;
    case 5:
      aio_context_disable_external (ctx);
      aio_context_notify (ctx);
      g_assert_true (aio_context_enable_external (ctx, NULL));
      break;
    case 6:
      aio_clock_set_enabled (virtual_clock, FALSE);
      aio_clock_set_enabled (virtual_clock, TRUE);
      break;
    case 7:
      aio_timer_del (timer);
      break;
    case 8:
      m->scheduled++;
      aio_context_schedule_oneshot (ctx, driver_count, &m->ran);
      break;
    case 9:
      aio_clock_advance_ns (m->manual, 100);
      aio_timer_mod_ns (m->manual_timer, aio_clock_get_ns (m->manual) + g_rand_int_range (rand, -100, 1000));
      break;
    default:
      aio_timer_mod_ns (timer, aio_clock_get_ns (virtual_clock) + g_rand_int_range (rand, -100000, 100000));
    }
}

static void
meddle (gpointer data)
{
  Meddler *m = data;
  GRand *rand = g_rand_new_with_seed (m->seed);

  for (guint i = 0; i < N_ROUNDS; i++)
    {
      meddle_once (m, rand);
      if (i % 8 == 0)
        g_usleep (20); /* has the home thread take part */
    }
  for (guint i = 0; i < N_OWN; i++)
    driver_unwatch (m->d, m->eventfds[i].fd);
  for (guint i = 0; i < G_N_ELEMENTS (m->timers); i++)
    aio_timer_del (m->timers[i]);
  aio_timer_del (m->manual_timer);
  g_rand_free (rand);
  __atomic_add_fetch (m->n_done, 1, __ATOMIC_SEQ_CST);
  aio_context_notify (m->d->ctx);
}

static void
three_threads (Driver *d)
{
  EventFd *eventfds = eventfds_new (N_THREADS * N_OWN + 1);
  g_autoptr (AioClock) manual = aio_clock_new_manual (1000);
  Meddler meddlers[N_THREADS];
  pthread_t threads[N_THREADS];
  int n_done = 0;

  for (guint t = 0; t < N_THREADS; t++)
    {
      meddlers[t] =
          (Meddler){ .d = d, .eventfds = &eventfds[t * N_OWN], .manual = manual, .seed = t, .n_done = &n_done };
      meddlers[t].manual_timer = aio_timer_new (d->ctx, manual, AIO_TIMER_SCALE_NS, driver_count, &meddlers[t].fired);
      for (guint i = 0; i < G_N_ELEMENTS (meddlers[t].timers); i++)
        meddlers[t].timers[i] = aio_timer_new (d->ctx, aio_clock_get (AIO_CLOCK_VIRTUAL), AIO_TIMER_SCALE_NS,
                                               driver_count, &meddlers[t].fired);
    }
  for (guint t = 0; t < N_THREADS; t++)
    threads[t] = driver_thread_start (meddle, &meddlers[t]);
  driver_run_until_count (d, &n_done, N_THREADS, 60000);
  for (guint t = 0; t < N_THREADS; t++)
    driver_thread_join (threads[t]);

  /* Nothing is left of it, and what comes now works. */
  driver_settle (d);
  eventfds_watch (d, eventfds, N_THREADS * N_OWN, N_THREADS * N_OWN + 1);
  eventfds_assert_all_called (d, &eventfds[N_THREADS * N_OWN], 1, 1);
  driver_assert_quiet (d, 10);
  for (guint t = 0; t < N_THREADS; t++)
    {
      for (guint i = 0; i < G_N_ELEMENTS (meddlers[t].timers); i++)
        aio_timer_free (meddlers[t].timers[i]);
      aio_timer_free (meddlers[t].manual_timer);
      g_assert_cmpint (meddlers[t].ran, ==, meddlers[t].scheduled);
    }
  eventfds_unwatch (d, eventfds, N_THREADS * N_OWN, N_THREADS * N_OWN + 1);
  eventfds_free (eventfds, N_THREADS * N_OWN + 1);
}

static void
add_tests (void)
{
  driver_add ("meddling", "three-threads", three_threads);
  driver_add_monitor (AIO_MONITOR_AUTO, "meddling", "three-threads", three_threads);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
