/* SPDX-License-Identifier: MIT */
#include "stall.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * Signal storms (B14, A16): a timer interrupts the process four thousand times a second, a thread sends signals to
 * home and to another thread, whose handlers schedule bottom halves; and a third gives the context work, all of which
 * has to be done, exactly.
 */

#define STORM_MS 250
#define INTERVAL_NS 250000
#ifdef __SANITIZE_THREAD__
#define LEAST_SIGNALS 0
#else
#define LEAST_SIGNALS (STORM_MS / 10)
#endif

static struct {
  AioBh *bh;
  gulong handled[2]; /* signals, and what bottom halves saw of them */
  gulong interrupts;
  int lost_errno;
} storm;

static void
interrupt (int signum)
{
  __atomic_add_fetch (&storm.interrupts, 1, __ATOMIC_RELAXED);
}

static void
schedule_from_signal (int signum)
{
  int before = errno;

  /* ThreadSanitizer puts signals off, also until after the test they were sent in. */
  if (!storm.bh)
    return;
  __atomic_add_fetch (&storm.handled[0], 1, __ATOMIC_RELAXED);
  aio_bh_schedule (storm.bh);
  if (errno != before)
    __atomic_add_fetch (&storm.lost_errno, 1, __ATOMIC_RELAXED);
}

typedef struct {
  Driver *d;
  pthread_t targets[2]; /* home, and one that works */
  int fds[2];
  gboolean calm; /* the storm is over */
  guint64 sent, received, scheduled, ran;
  guint64 progress;
  int n_done;
} Weather;

static void
look_at_signals (gpointer data)
{
  Weather *w = data;

  storm.handled[1] = __atomic_load_n (&storm.handled[0], __ATOMIC_RELAXED);
  __atomic_add_fetch (&w->progress, 1, __ATOMIC_RELEASE);
}

static void
count_oneshot (gpointer data)
{
  Weather *w = data;

  __atomic_store_n (&w->ran, w->ran + 1, __ATOMIC_RELEASE);
}

static void
count_bytes (int fd, gpointer data)
{
  Weather *w = data;
  guint n = driver_drain (fd);

  g_assert_cmpuint (n, >, 0); /* never called for nothing */
  __atomic_store_n (&w->received, w->received + n, __ATOMIC_RELEASE);
}

static void
work (gpointer data)
{
  Weather *w = data;

  while (!__atomic_load_n (&w->calm, __ATOMIC_ACQUIRE))
    {
      w->scheduled++;
      aio_context_schedule_oneshot (w->d->ctx, count_oneshot, w);
      if (write (w->fds[1], "x", 1) == 1)
        w->sent++;
      /* One thing after the other, so that home has to be woken for each. */
      while (__atomic_load_n (&w->ran, __ATOMIC_ACQUIRE) < w->scheduled
             || __atomic_load_n (&w->received, __ATOMIC_ACQUIRE) < w->sent)
        sched_yield ();
    }
  driver_count (&w->n_done);
  aio_context_notify (w->d->ctx);
}

static void
send_signals (gpointer data)
{
  Weather *w = data;
  gint64 end_ms = driver_now_ms () + STORM_MS;

  for (guint i = 0; driver_now_ms () < end_ms; i++)
    {
      g_assert_cmpint (pthread_kill (w->targets[i % 2], SIGUSR1), ==, 0);
      if (i % 4 == 0)
        g_usleep (20);
    }
  __atomic_store_n (&w->calm, TRUE, __ATOMIC_RELEASE);
  driver_count (&w->n_done);
  aio_context_notify (w->d->ctx);
}

static timer_t
start_interrupts (void)
{
  struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
  struct itimerspec interval = { .it_value = { .tv_nsec = INTERVAL_NS }, .it_interval = { .tv_nsec = INTERVAL_NS } };
  timer_t timer;

  g_assert_no_errno (timer_create (CLOCK_MONOTONIC, &event, &timer));
  g_assert_no_errno (timer_settime (timer, 0, &interval, NULL));
  return timer;
}

/* ThreadSanitizer, which puts signals off, leaves them blocked now and then; threads inherit that. */
static void
unblock_signals (void)
{
  sigset_t set;

  sigemptyset (&set);
  sigaddset (&set, SIGUSR1);
  sigaddset (&set, SIGUSR2);
  g_assert_cmpint (pthread_sigmask (SIG_UNBLOCK, &set, NULL), ==, 0);
}

static void
in_a_storm_of_signals (Driver *d)
{
  Weather w = { .d = d, .targets = { pthread_self () } };
  pthread_t worker, sender;
  timer_t interrupts;
  Stall *stall;

  unblock_signals ();
  memset (&storm, 0, sizeof storm);
  storm.bh = aio_bh_new (d->ctx, look_at_signals, &w);
  driver_pipe (w.fds);
  driver_watch (d, w.fds[0], count_bytes, &w);

  stall = stall_watch (d->ctx, &w.progress);
  worker = driver_thread_start (work, &w);
  w.targets[1] = worker;
  interrupts = start_interrupts ();
  sender = driver_thread_start (send_signals, &w);
  driver_run_until_count (d, &w.n_done, 2, G_MAXUINT);
  driver_thread_join (sender);
  driver_thread_join (worker);
  g_assert_no_errno (timer_delete (interrupts));
  stall_end (stall);
  driver_settle (d);

  g_test_message ("%lu signals that schedule, %lu that interrupt, %" G_GUINT64_FORMAT " rounds of work",
                  storm.handled[0], storm.interrupts, w.scheduled);

  g_assert_cmpint (storm.lost_errno, ==, 0);
  g_assert_cmpuint (storm.handled[0], >, LEAST_SIGNALS);
  g_assert_cmpuint (storm.interrupts, >, LEAST_SIGNALS);
  g_assert_cmpuint (storm.handled[1], ==, storm.handled[0]);
  g_assert_false (aio_bh_is_scheduled (storm.bh));
  g_assert_cmpuint (w.ran, ==, w.scheduled);
  g_assert_cmpuint (w.received, ==, w.sent);
  g_assert_false (driver_turn (d, FALSE));

  aio_bh_delete (g_steal_pointer (&storm.bh));
  driver_unwatch (d, w.fds[0]);
  driver_close_pair (w.fds);
}

static void
add_tests (void)
{
  driver_add ("stress-signals", "A16-B14-in-a-storm-of-signals", in_a_storm_of_signals);
}

int
main (int argc, char **argv)
{
  struct sigaction on_schedule = { .sa_handler = schedule_from_signal }, on_interrupt = { .sa_handler = interrupt };

  sigaction (SIGUSR1, &on_schedule, NULL);
  sigaction (SIGUSR2, &on_interrupt, NULL);
  return driver_main (argc, argv, add_tests);
}
