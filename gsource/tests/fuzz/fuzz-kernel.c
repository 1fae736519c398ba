/* SPDX-License-Identifier: MIT */
#include "fuzz-kernel.h"

#include "aio-system-private.h"
#include "fuzz-world.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* The first time that is read; a process that has just begun has none before it. */
#define START_NS (1000 * G_GINT64_CONSTANT (1000000000))
#define WALL_CLOCK_NS (1700000000 * G_GINT64_CONSTANT (1000000000))
#define TICK_NS 1000

/* From this many reads of a clock in a row on time goes faster and faster: somebody is waiting for it to pass. */
#define READS_BEFORE_LEAPS 64

/* And from so many on it is as if it slept. Nothing but the polling of handlers reads so often, with no lock held. */
#define READS_BEFORE_WAKEUP 1024

#define MAX_TIMERFDS 16

/* Marks the open file: a number may be somebody else's by now, as the library closes a timerfd by itself. */
#define TIMERFD_MARK 63

typedef struct {
  int fd; /* an eventfd that is written when it expires; -1: none */
  gboolean wall_clock, cancel_on_set, cancelled;
  gint64 expire_ns; /* on its clock; 0: not armed */
} TimerFd;

static AioSystem real;
static gint64 now_ns, wall_clock_offset_ns;
static guint reads, spins, sleeps;
static TimerFd timerfds[MAX_TIMERFDS];

gint64
fuzz_kernel_now (gboolean wall_clock)
{
  return now_ns + (wall_clock ? wall_clock_offset_ns : 0);
}

static gint64
later (gint64 ns, gint64 by)
{
  return by < FUZZ_KERNEL_END_NS - ns ? ns + by : FUZZ_KERNEL_END_NS;
}

static gboolean
is_ours (TimerFd *timerfd)
{
  return timerfd->fd >= 0 && fcntl (timerfd->fd, F_GETSIG) == TIMERFD_MARK;
}

static void
expire (TimerFd *timerfd)
{
  timerfd->expire_ns = 0;
  fuzz_require (eventfd_write (timerfd->fd, 1) == 0, "a timerfd could not be written");
}

static void
expire_timerfds (void)
{
  for (guint i = 0; i < MAX_TIMERFDS; i++)
    if (timerfds[i].expire_ns > 0 && timerfds[i].expire_ns <= fuzz_kernel_now (timerfds[i].wall_clock)
        && is_ours (&timerfds[i]))
      expire (&timerfds[i]);
}

void
fuzz_kernel_pass_time (gint64 ns)
{
  now_ns = later (now_ns, ns);
  expire_timerfds ();
}

void
fuzz_kernel_set_wall_clock (gint64 offset_ns)
{
  wall_clock_offset_ns = offset_ns;
  for (guint i = 0; i < MAX_TIMERFDS; i++)
    if (timerfds[i].wall_clock && timerfds[i].cancel_on_set && is_ours (&timerfds[i]))
      {
        timerfds[i].cancelled = TRUE;
        fuzz_require (eventfd_write (timerfds[i].fd, 1) == 0, "a timerfd could not be written");
      }
  expire_timerfds ();
}

static int
kernel_clock_gettime (clockid_t clock_id, struct timespec *now)
{
  gint64 ns;

  fuzz_kernel_pass_time (++reads < READS_BEFORE_LEAPS ? TICK_NS
                                                      : (gint64) TICK_NS << MIN (reads / READS_BEFORE_LEAPS, 40));
  if (reads % READS_BEFORE_WAKEUP == 0)
    {
      sleeps++;
      if (!fuzz_go_on_elsewhere ())
        fuzz_wake_sleeper ();
    }
  ns = fuzz_kernel_now (clock_id == CLOCK_REALTIME);
  *now = (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
  return 0;
}

/* Timerfds */

static TimerFd *
find_timerfd (int fd)
{
  for (guint i = 0; i < MAX_TIMERFDS; i++)
    if (timerfds[i].fd == fd && is_ours (&timerfds[i]))
      return &timerfds[i];
  return NULL;
}

static int
kernel_timerfd_create (int clock_id, int flags)
{
  int fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);

  fuzz_require (fd >= 0 && fcntl (fd, F_SETSIG, TIMERFD_MARK) == 0, "no eventfd to make a timerfd of");
  for (guint i = 0; i < MAX_TIMERFDS; i++)
    if (timerfds[i].fd == fd || !is_ours (&timerfds[i]))
      {
        timerfds[i] = (TimerFd){ .fd = fd, .wall_clock = clock_id == CLOCK_REALTIME };
        return fd;
      }
  fuzz_fail ("more timerfds than contexts need");
}

static int
kernel_timerfd_settime (int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
  TimerFd *timerfd = find_timerfd (fd);
  gboolean cancelled;
  eventfd_t count;

  fuzz_require (timerfd != NULL && flags & TFD_TIMER_ABSTIME, "timerfd_settime(%d) of what is none", fd);
  fuzz_require (value->it_value.tv_sec >= 0 && value->it_value.tv_nsec >= 0 && value->it_value.tv_nsec < 1000000000,
                "timerfd_settime(%d) with an invalid time", fd);
  cancelled = timerfd->cancelled;
  timerfd->cancelled = FALSE;
  timerfd->cancel_on_set = (flags & TFD_TIMER_CANCEL_ON_SET) != 0;
  timerfd->expire_ns = value->it_value.tv_sec * G_GINT64_CONSTANT (1000000000) + value->it_value.tv_nsec;
  if (eventfd_read (fd, &count) < 0)
    errno = 0;
  expire_timerfds ();
  if (!cancelled)
    return 0;
  errno = ECANCELED;
  return -1;
}

static ssize_t
kernel_read (int fd, void *buffer, size_t size)
{
  TimerFd *timerfd = find_timerfd (fd);
  ssize_t n = real.read (fd, buffer, size);

  if (timerfd && timerfd->cancelled && n >= 0)
    {
      timerfd->cancelled = FALSE;
      errno = ECANCELED;
      return -1;
    }
  return n;
}

/* Waits */

/* Looks without waiting; how much is ready, or -1 with errno. */
typedef int (*Look) (gpointer data);

static gint64
earliest_timerfd (void)
{
  gint64 earliest = -1;

  for (guint i = 0; i < MAX_TIMERFDS; i++)
    if (timerfds[i].expire_ns > 0 && is_ours (&timerfds[i]))
      {
        gint64 offset_ns = timerfds[i].wall_clock ? wall_clock_offset_ns : 0, at;

        if (!__builtin_sub_overflow (timerfds[i].expire_ns, offset_ns, &at) && at < FUZZ_KERNEL_END_NS
            && (earliest < 0 || at < earliest))
          earliest = MAX (at, now_ns);
      }
  return earliest;
}

/* As long as @timeout_ns, or without end for -1. */
static int
wait_for (Look look, gpointer data, gint64 timeout_ns)
{
  gint64 deadline = timeout_ns < 0 || timeout_ns >= FUZZ_KERNEL_END_NS - now_ns ? -1 : now_ns + timeout_ns;
  int n = look (data);

  reads = 0;
  spins++;
  if (n != 0 || timeout_ns == 0)
    return n;

  spins--;
  sleeps++;
  for (;;)
    {
      gint64 timer = earliest_timerfd ();
      gint64 until = timer >= 0 && (deadline < 0 || timer < deadline) ? timer : deadline;

      if (deadline >= 0 && deadline <= now_ns)
        return look (data);
      fuzz_before_sleep (until);
      if (fuzz_go_on_elsewhere ())
        {
          if ((n = look (data)) != 0)
            return n;
          continue;
        }
      if (until < 0)
        {
          fuzz_wake_sleeper ();
          n = look (data);
          fuzz_require (n != 0, "a notification did not end a wait");
          return n;
        }
      fuzz_kernel_pass_time (until - now_ns);
      n = look (data);
      if (n != 0 || until == deadline)
        return n;
      fuzz_require (until == timer && timer >= 0, "a wait ended for nothing");
    }
}

static gint64
to_ns (const struct timespec *timeout)
{
  if (!timeout)
    return -1;
  fuzz_require (timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_nsec < 1000000000,
                "a wait with an invalid timeout");
  return timeout->tv_sec < FUZZ_KERNEL_END_NS / 1000000000
             ? timeout->tv_sec * G_GINT64_CONSTANT (1000000000) + timeout->tv_nsec
             : FUZZ_KERNEL_END_NS;
}

typedef struct {
  struct pollfd *fds;
  guint n;
} PollSet;

static int
look_at_fds (gpointer data)
{
  PollSet *set = data;

  return poll (set->fds, set->n, 0);
}

int
fuzz_kernel_g_poll (GPollFD *fds, guint n, int timeout_ms)
{
  PollSet set = { (struct pollfd *) fds, n };

  return wait_for (look_at_fds, &set, timeout_ms < 0 ? -1 : timeout_ms * G_GINT64_CONSTANT (1000000));
}

static int
kernel_ppoll (struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
  PollSet set = { fds, n };

  return wait_for (look_at_fds, &set, to_ns (timeout));
}

typedef struct {
  int epfd;
  struct epoll_event *events;
  int size;
} EpollSet;

static int
look_at_epoll (gpointer data)
{
  EpollSet *set = data;

  return real.epoll_wait (set->epfd, set->events, set->size, 0);
}

static int
kernel_epoll_wait (int epfd, struct epoll_event *events, int size, int timeout_ms)
{
  EpollSet set = { epfd, events, size };

  return wait_for (look_at_epoll, &set, timeout_ms < 0 ? -1 : timeout_ms * G_GINT64_CONSTANT (1000000));
}

static int
kernel_epoll_pwait2 (int epfd, struct epoll_event *events, int size, const struct timespec *timeout,
                     const sigset_t *mask)
{
  EpollSet set = { epfd, events, size };

  return wait_for (look_at_epoll, &set, to_ns (timeout));
}

typedef struct {
  struct io_uring *ring;
  int submitted; /* or an error */
} Ring;

static int
look_at_ring (gpointer data)
{
  Ring *ring = data;

  /* Twice: what the first one was told of may be there only for the second. */
  for (guint i = 0; i < 2; i++)
    {
      int n = real.io_uring_submit_and_get_events (ring->ring);

      if (n < 0)
        {
          ring->submitted = n;
          return -1;
        }
      ring->submitted += n;
    }
  return io_uring_cq_ready (ring->ring) > 0;
}

static int
kernel_uring_wait (struct io_uring *ring, struct io_uring_cqe **cqe, unsigned n, struct __kernel_timespec *timeout,
                   sigset_t *mask)
{
  Ring waiting = { .ring = ring };
  int ready;

  /* What ends with its context was cancelled: it takes the kernel a moment. */
  if (!fuzz_polls_ring (ring))
    {
      struct __kernel_timespec moment = { .tv_nsec = 50000000 };

      return real.io_uring_submit_and_wait_timeout (ring, cqe, n, &moment, mask);
    }
  ready =
      wait_for (look_at_ring, &waiting, timeout ? to_ns (&(struct timespec){ timeout->tv_sec, timeout->tv_nsec }) : -1);
  return ready < 0 ? waiting.submitted : ready == 0 ? -ETIME : waiting.submitted;
}

void
fuzz_kernel_start (void)
{
  real = aio_system;
  now_ns = START_NS;
  wall_clock_offset_ns = WALL_CLOCK_NS;
  reads = spins = sleeps = 0;
  for (guint i = 0; i < MAX_TIMERFDS; i++)
    timerfds[i] = (TimerFd){ .fd = -1 };
  aio_system.clock_gettime = kernel_clock_gettime;
  aio_system.timerfd_create = kernel_timerfd_create;
  aio_system.timerfd_settime = kernel_timerfd_settime;
  aio_system.read = kernel_read;
  aio_system.ppoll = kernel_ppoll;
  aio_system.epoll_wait = kernel_epoll_wait;
  aio_system.epoll_pwait2 = kernel_epoll_pwait2;
  aio_system.io_uring_submit_and_wait_timeout = kernel_uring_wait;
}

void
fuzz_kernel_stop (void)
{
  aio_system = real;
}

guint
fuzz_kernel_spins (void)
{
  return spins;
}

void
fuzz_kernel_reset_spins (void)
{
  spins = 0;
}

guint
fuzz_kernel_sleeps (void)
{
  return sleeps;
}
