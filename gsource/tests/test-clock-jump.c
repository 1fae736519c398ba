/* SPDX-License-Identifier: MIT */
#include "driver.h"

#include "aio-system-private.h"

#include <errno.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MS G_GINT64_CONSTANT (1000000)
#define SECOND (1000 * MS)

/*
 * G12: the wall clock is set. What stands in for it is a shift between the kernel's wall clock and the one
 * that the library sees, through clock_gettime and the timerfd that TFD_TIMER_CANCEL_ON_SET is asked for:
 * a jump makes that readable, and the next read or settime fails with ECANCELED, as in the kernel.
 */
static struct {
  pthread_mutex_t lock;
  gint64 shift_ns;
  int fd;            /* the timerfd that is told of jumps; -1: none */
  gint64 expire_ns;  /* what it was armed for; 0: not */
  gboolean canceled; /* nobody has been told of the last jump */
  int n_canceled;    /* how often somebody was */
  int n_sets;        /* of it */
  int home_tid;
} wall = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

static struct timespec
to_timespec (gint64 ns)
{
  return (struct timespec){ .tv_sec = ns / SECOND, .tv_nsec = ns % SECOND };
}

static int
clock_gettime_shifted (clockid_t clock_id, struct timespec *now)
{
  int result = clock_gettime (clock_id, now);

  if (clock_id == CLOCK_REALTIME)
    {
      pthread_mutex_lock (&wall.lock);
      *now = to_timespec (now->tv_sec * SECOND + now->tv_nsec + wall.shift_ns);
      pthread_mutex_unlock (&wall.lock);
    }
  return result;
}

/* With the lock held: arms the timerfd for what the kernel's wall clock will then show. */
static void
rearm (void)
{
  struct itimerspec when = { .it_value = to_timespec (wall.expire_ns ? MAX (wall.expire_ns - wall.shift_ns, 1) : 0) };

  g_assert_no_errno (timerfd_settime (wall.fd, TFD_TIMER_ABSTIME, &when, NULL));
}

static int
timerfd_settime_shifted (int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
  gboolean canceled;

  if (!(flags & TFD_TIMER_CANCEL_ON_SET))
    return timerfd_settime (fd, flags, value, old);

  pthread_mutex_lock (&wall.lock);
  wall.fd = fd;
  wall.expire_ns = value->it_value.tv_sec * SECOND + value->it_value.tv_nsec;
  wall.n_sets++;
  rearm ();
  canceled = wall.canceled;
  wall.canceled = FALSE;
  wall.n_canceled += canceled;
  pthread_mutex_unlock (&wall.lock);
  errno = ECANCELED;
  return canceled ? -1 : 0;
}

static ssize_t
read_shifted (int fd, void *buffer, size_t size)
{
  ssize_t result = -1;
  int error = ECANCELED;

  pthread_mutex_lock (&wall.lock);
  if (fd == wall.fd && wall.canceled)
    {
      wall.canceled = FALSE;
      wall.n_canceled++;
      rearm ();
    }
  else
    {
      result = read (fd, buffer, size);
      error = errno;
      if (fd == wall.fd && result > 0)
        wall.expire_ns = 0;
    }
  pthread_mutex_unlock (&wall.lock);
  errno = error;
  return result;
}

static void
jump (gint64 delta_ns)
{
  struct itimerspec at_once = { .it_value = { .tv_nsec = 1 } };
  struct timespec now;

  pthread_mutex_lock (&wall.lock);
  /* What has fired already does not do so again when the clock is set back. */
  clock_gettime (CLOCK_REALTIME, &now);
  if (wall.expire_ns <= now.tv_sec * SECOND + now.tv_nsec + wall.shift_ns)
    wall.expire_ns = 0;
  wall.shift_ns += delta_ns;
  if (wall.fd >= 0)
    {
      wall.canceled = TRUE;
      g_assert_no_errno (timerfd_settime (wall.fd, TFD_TIMER_ABSTIME, &at_once, NULL));
    }
  pthread_mutex_unlock (&wall.lock);
}

static void
wall_clock_begin (void)
{
  wall.shift_ns = wall.expire_ns = 0;
  wall.fd = -1;
  wall.canceled = FALSE;
  wall.n_canceled = wall.n_sets = 0;
  wall.home_tid = gettid ();
  aio_system.clock_gettime = clock_gettime_shifted;
  aio_system.timerfd_settime = timerfd_settime_shifted;
  aio_system.read = read_shifted;
}

static void
wall_clock_end (void)
{
  aio_system.clock_gettime = clock_gettime;
  aio_system.timerfd_settime = timerfd_settime;
  aio_system.read = read;
}

/* A timer of the wall clock that notes what it shows */

static AioClock *
host (void)
{
  return aio_clock_get (AIO_CLOCK_HOST);
}

typedef struct {
  AioTimer *timer;
  gint64 expire, shown;
  int fired;
} Alarm;

static void
alarm_rings (gpointer data)
{
  Alarm *alarm = data;

  alarm->shown = aio_clock_get_ns (host ());
  alarm->fired++;
}

static void
alarm_set (Driver *d, Alarm *alarm, gint64 delay_ns)
{
  if (!alarm->timer)
    alarm->timer = aio_timer_new (d->ctx, host (), AIO_TIMER_SCALE_NS, alarm_rings, alarm);
  alarm->expire = aio_clock_get_ns (host ()) + delay_ns;
  aio_timer_mod_ns (alarm->timer, alarm->expire);
}

static void
assert_on_time (const Alarm *alarm, gint64 tolerance_ns)
{
  g_assert_cmpint (alarm->shown, >=, alarm->expire);
  g_assert_cmpint (alarm->shown, <, alarm->expire + tolerance_ns);
}

typedef struct {
  AioContext *ctx;
  gint64 delta_ns;
  guint n_jumps;
} Jumper;

/* Whether the home thread stands still in the kernel, as /proc tells. */
static gboolean
stands_still (void)
{
  char path[64], state = 0;
  FILE *stat;

  g_snprintf (path, sizeof path, "/proc/self/task/%d/stat", wall.home_tid);
  stat = fopen (path, "re");
  g_assert_nonnull (stat);
  g_assert_cmpint (fscanf (stat, "%*d (%*[^)]) %c", &state), ==, 1);
  fclose (stat);
  return state == 'S';
}

/* notify_me alone is set before the timerfd is, and before the wait. */
static gboolean
is_asleep (AioContext *ctx)
{
  gboolean armed;

  pthread_mutex_lock (&wall.lock);
  armed = wall.fd >= 0 && !wall.canceled;
  pthread_mutex_unlock (&wall.lock);
  return armed && aio_context_get_notify_me (ctx) != 0 && stands_still ();
}

static void
jump_once_asleep (gpointer data)
{
  Jumper *j = data;

  for (guint i = 0; i < j->n_jumps; i++)
    {
      while (!is_asleep (j->ctx))
        g_usleep (1000);
      jump (j->delta_ns);
    }
}

/* The ways to look at what there is that the driver had: waits of its own, and iterations of GLib. */
static guint64
n_passes (AioStats *stats)
{
  return stats->waits + stats->prepares;
}

static void
forward_wakes_the_sleeper (Driver *d)
{
  Alarm alarm = { NULL };
  Jumper jumper = { d->ctx, 20 * SECOND, 1 };
  AioStats before, after;
  pthread_t thread;

  wall_clock_begin ();
  alarm_set (d, &alarm, 15 * SECOND);
  before = driver_stats (d);
  thread = driver_thread_start (jump_once_asleep, &jumper);
  driver_run_until_count (d, &alarm.fired, 1, 5000);
  driver_thread_join (thread);
  after = driver_stats (d);

  g_assert_cmpint (alarm.shown, >=, alarm.expire + 5 * SECOND);
  /* Not at all if the jump came just before the wait: then the timer is due without one. */
  g_assert_cmpint (wall.n_canceled, <=, 1);
  g_assert_cmpuint (n_passes (&after) - n_passes (&before), <=, 6);
  aio_timer_free (alarm.timer);
  wall_clock_end ();
}

static void
backward_delays_and_does_not_spin (Driver *d)
{
  Alarm alarm = { NULL };
  Jumper jumper = { d->ctx, -80 * MS, 1 };
  AioStats before, after;
  pthread_t thread;

  wall_clock_begin ();
  alarm_set (d, &alarm, 300 * MS); /* the thread is there by then */
  before = driver_stats (d);
  thread = driver_thread_start (jump_once_asleep, &jumper);
  driver_run_until_count (d, &alarm.fired, 1, 5000);
  driver_thread_join (thread);
  after = driver_stats (d);

  /* It comes 80 ms later for everybody else, after no more than the wait that was cut short and a new one. */
  assert_on_time (&alarm, SECOND);
  g_assert_cmpint (wall.n_canceled, ==, 1);
  g_assert_cmpint (wall.n_sets, <=, 3);
  g_assert_cmpuint (n_passes (&after) - n_passes (&before), <=, 8);
  g_assert_cmpuint (after.empty_waits - before.empty_waits + after.empty_iterations - before.empty_iterations, <=, 3);
  aio_timer_free (alarm.timer);
  wall_clock_end ();
}

static void
ten_jumps_are_ten_wakeups (Driver *d)
{
  Alarm alarm = { NULL };
  Jumper jumper = { d->ctx, 2 * SECOND, 10 };
  AioStats before, after;
  pthread_t thread;

  wall_clock_begin ();
  alarm_set (d, &alarm, 19 * SECOND);
  before = driver_stats (d);
  thread = driver_thread_start (jump_once_asleep, &jumper);
  driver_run_until_count (d, &alarm.fired, 1, 5000);
  driver_thread_join (thread);
  after = driver_stats (d);

  assert_on_time (&alarm, 2 * SECOND);
  g_assert_cmpint (wall.n_canceled, ==, 10);
  g_assert_cmpint (wall.n_sets, <=, 11);
  g_assert_cmpuint (n_passes (&after) - n_passes (&before), <=, 40);
  aio_timer_free (alarm.timer);
  wall_clock_end ();
}

static void
set_while_awake (Driver *d)
{
  Alarm alarm = { NULL };
  int before_sets;

  wall_clock_begin ();

  /* Before the timerfd is made, and between two waits. */
  alarm_set (d, &alarm, 15 * SECOND);
  jump (20 * SECOND);
  driver_settle (d);
  g_assert_cmpint (alarm.fired, ==, 1);

  alarm_set (d, &alarm, 20 * MS);
  driver_run_until_count (d, &alarm.fired, 2, 5000);
  assert_on_time (&alarm, SECOND);
  alarm_set (d, &alarm, 20 * MS);
  jump (-30 * MS);
  before_sets = wall.n_sets;
  driver_run_until_count (d, &alarm.fired, 3, 5000);
  assert_on_time (&alarm, SECOND);
  /* The settime that is told ECANCELED has armed it, and is not done again: it fails once a jump. */
  g_assert_cmpint (wall.n_sets - before_sets, <=, 2);
  g_assert_cmpint (wall.n_canceled, ==, 1);

  aio_timer_free (alarm.timer);
  wall_clock_end ();
}

static void
armed_again_after_a_jump_it_is_told_of_the_next (Driver *d)
{
  Alarm alarm = { NULL };
  Jumper jumper = { d->ctx, 20 * SECOND, 1 };
  pthread_t thread;

  wall_clock_begin ();
  alarm_set (d, &alarm, 15 * SECOND);
  thread = driver_thread_start (jump_once_asleep, &jumper);
  driver_run_until_count (d, &alarm.fired, 1, 5000);
  driver_thread_join (thread);

  /* The first settime for this one fails with ECANCELED. */
  alarm_set (d, &alarm, 15 * SECOND);
  jump (-SECOND);
  thread = driver_thread_start (jump_once_asleep, &jumper);
  driver_run_until_count (d, &alarm.fired, 2, 5000);
  driver_thread_join (thread);
  g_assert_cmpint (wall.n_canceled, ==, 3);
  aio_timer_free (alarm.timer);
  wall_clock_end ();
}

static void
set_back_after_it_has_fired_unseen (Driver *d)
{
  Alarm alarm = { NULL };

  wall_clock_begin ();
  alarm_set (d, &alarm, 15 * SECOND);
  for (guint i = 0; i < 3; i++)
    driver_turn (d, FALSE);
  alarm_set (d, &alarm, 10 * MS);
  for (guint i = 0; i < 3; i++)
    driver_turn (d, FALSE);
  g_usleep (12000);
  jump (-50 * MS);
  driver_run_until_count (d, &alarm.fired, 1, 5000);
  assert_on_time (&alarm, SECOND);
  aio_timer_free (alarm.timer);
  wall_clock_end ();
}

static int
timerfd_create_refused (int clock_id, int flags)
{
  errno = EMFILE;
  return -1;
}

static void
jump_in_the_middle (gpointer data)
{
  Jumper *j = data;

  while (aio_context_get_notify_me (j->ctx) == 0)
    g_usleep (1000);
  g_usleep (5000); /* nothing tells that the wait has begun */
  jump (j->delta_ns);
}

static void
without_a_timerfd_it_is_not_early (Driver *d)
{
  Alarm alarm = { NULL };
  Jumper jumper = { d->ctx, -60 * MS, 1 };
  AioStats before, after;
  pthread_t thread;

  wall_clock_begin ();
  aio_system.timerfd_create = timerfd_create_refused;
  alarm_set (d, &alarm, 300 * MS); /* the thread is there by then */
  before = driver_stats (d);
  thread = driver_thread_start (jump_in_the_middle, &jumper);
  driver_run_until_count (d, &alarm.fired, 1, 5000);
  driver_thread_join (thread);
  after = driver_stats (d);

  assert_on_time (&alarm, SECOND);
  g_assert_cmpint (wall.n_canceled, ==, 0);
  g_assert_cmpuint (n_passes (&after) - n_passes (&before), <=, 8);
  aio_timer_free (alarm.timer);
  aio_system.timerfd_create = timerfd_create;
  wall_clock_end ();
}

static void
detached_context_notices (Driver *d, gboolean armed_before)
{
  Alarm alarm = { NULL };
  Jumper jumper = { d->ctx, 20 * SECOND, 1 };

  wall_clock_begin ();
  if (armed_before)
    {
      alarm_set (d, &alarm, 15 * SECOND);
      driver_settle (d);
    }
  g_assert_true (aio_context_detach (d->ctx, NULL));
  for (int i = 1; i <= 2; i++)
    {
      pthread_t thread;

      alarm_set (d, &alarm, 15 * SECOND);
      thread = driver_thread_start (jump_once_asleep, &jumper);
      while (alarm.fired < i)
        driver_poll (d->ctx, TRUE);
      driver_thread_join (thread);
      g_assert_cmpint (alarm.shown, >=, alarm.expire + 5 * SECOND);
    }
  g_assert_cmpint (wall.n_canceled, ==, 2);
  aio_timer_free (alarm.timer);
  wall_clock_end ();
}

/* With a timerfd from before, which GLib had in its poll set, and with one of afterwards. */
static void
detached_while_armed_it_notices (Driver *d)
{
  detached_context_notices (d, TRUE);
}

static void
detached_before_it_notices (Driver *d)
{
  detached_context_notices (d, FALSE);
}

static void
other_clocks_do_not_notice (Driver *d)
{
  static const AioClockType types[] = { AIO_CLOCK_REALTIME, AIO_CLOCK_VIRTUAL, AIO_CLOCK_VIRTUAL_RT };
  int fired = 0;
  AioTimer *timers[G_N_ELEMENTS (types)];

  wall_clock_begin ();
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    {
      timers[i] = aio_timer_new (d->ctx, aio_clock_get (types[i]), AIO_TIMER_SCALE_NS, driver_count, &fired);
      aio_timer_mod_ns (timers[i], aio_clock_get_ns (aio_clock_get (types[i])) + 3600 * SECOND);
    }
  driver_settle (d);
  jump (7200 * SECOND);
  driver_settle (d);
  jump (-14400 * SECOND);
  driver_settle (d);
  g_assert_cmpint (fired, ==, 0);
  /* No timer on the wall clock: nobody asked to be told. */
  g_assert_cmpint (wall.n_sets, ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    aio_timer_free (timers[i]);
  wall_clock_end ();
}

/* A7: a poll between the context's prepare and GLib's wait takes what the timerfd would have woken GLib for */

typedef struct {
  GSource source;
  Driver *d;
  int *until;
} PollingSource;

static gboolean
poll_in_prepare (GSource *source, int *timeout)
{
  PollingSource *polling = (PollingSource *) source;

  /* The first prepare of an iteration, after that of the context, which is of higher priority. */
  *timeout = -1;
  while (polling->until && !*polling->until)
    driver_poll (polling->d->ctx, TRUE);
  polling->until = NULL;
  return FALSE;
}

static gboolean
never (GSource *source)
{
  return FALSE;
}

static void
the_next_deadline_is_not_lost_to_a_poll_in_prepare (Driver *d)
{
  static GSourceFuncs funcs = { .prepare = poll_in_prepare, .check = never };
  Alarm first = { NULL }, second = { NULL };
  PollingSource *polling = (PollingSource *) g_source_new (&funcs, sizeof (PollingSource));

  wall_clock_begin ();
  alarm_set (d, &first, 20 * MS);
  alarm_set (d, &second, 60 * MS);
  /* Each change of GLib's poll set wakes it: they are over and done with. */
  for (guint i = 0; i < 6; i++)
    driver_turn (d, FALSE);
  polling->d = d;
  polling->until = &first.fired;
  g_source_set_priority (&polling->source, G_PRIORITY_LOW);
  g_source_attach (&polling->source, d->main_context);

  while (!second.fired)
    g_main_context_iteration (d->main_context, TRUE);
  assert_on_time (&second, SECOND);

  g_source_destroy (&polling->source);
  g_source_unref (&polling->source);
  aio_timer_free (first.timer);
  aio_timer_free (second.timer);
  wall_clock_end ();
}

static void
add_tests (void)
{
  driver_add ("clock-jump", "G12-forward-wakes-the-sleeper", forward_wakes_the_sleeper);
  driver_add ("clock-jump", "G12-backward-delays-and-does-not-spin", backward_delays_and_does_not_spin);
  driver_add ("clock-jump", "G12-ten-jumps-are-ten-wakeups", ten_jumps_are_ten_wakeups);
  driver_add ("clock-jump", "G12-set-while-awake", set_while_awake);
  driver_add ("clock-jump", "G12-armed-again-after-a-jump-it-is-told-of-the-next",
              armed_again_after_a_jump_it_is_told_of_the_next);
  driver_add ("clock-jump", "G12-set-back-after-it-has-fired-unseen", set_back_after_it_has_fired_unseen);
  driver_add ("clock-jump", "G12-without-a-timerfd-it-is-not-early", without_a_timerfd_it_is_not_early);
  driver_add_for (DRIVER_ATTACHED, "clock-jump", "G12-detached-while-armed-it-notices",
                  detached_while_armed_it_notices);
  driver_add_for (DRIVER_ATTACHED, "clock-jump", "G12-detached-before-it-notices", detached_before_it_notices);
  driver_add ("clock-jump", "G12-other-clocks-do-not-notice", other_clocks_do_not_notice);
  driver_add_for (DRIVER_ATTACHED, "clock-jump", "A7-the-next-deadline-is-not-lost-to-a-poll-in-prepare",
                  the_next_deadline_is_not_lost_to_a_poll_in_prepare);
}

int
main (int argc, char **argv)
{
  return driver_main (argc, argv, add_tests);
}
