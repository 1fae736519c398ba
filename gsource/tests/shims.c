/* SPDX-License-Identifier: MIT */
#include "shims.h"

#include <errno.h>

typedef struct {
  int calls, failures;
  int error, skip, times;
} Shim;

static AioSystem real;
static Shim shims[N_SHIMS];

static guint ring_entries; /* 0: as many as are asked for */
static guint ring_lacks;   /* features */

static struct {
  void (*func) (gpointer data);
  gpointer data;
} before_epoll_create1;

/* Whether this call has to fail, with errno set. */
static gboolean
fails (ShimCall call)
{
  Shim *shim = &shims[call];

  __atomic_add_fetch (&shim->calls, 1, __ATOMIC_RELAXED);
  if (shim->times == 0 || __atomic_fetch_sub (&shim->skip, 1, __ATOMIC_RELAXED) > 0
      || __atomic_fetch_sub (&shim->times, 1, __ATOMIC_RELAXED) <= 0)
    return FALSE;
  __atomic_add_fetch (&shim->failures, 1, __ATOMIC_RELAXED);
  errno = shim->error;
  return TRUE;
}

static int
shim_eventfd (unsigned int value, int flags)
{
  return fails (SHIM_EVENTFD) ? -1 : real.eventfd (value, flags);
}

static ssize_t
shim_read (int fd, void *buffer, size_t size)
{
  return fails (SHIM_READ) ? -1 : real.read (fd, buffer, size);
}

static ssize_t
shim_write (int fd, const void *buffer, size_t size)
{
  return fails (SHIM_WRITE) ? -1 : real.write (fd, buffer, size);
}

static int
shim_epoll_create1 (int flags)
{
  if (before_epoll_create1.func)
    before_epoll_create1.func (before_epoll_create1.data);
  return fails (SHIM_EPOLL_CREATE1) ? -1 : real.epoll_create1 (flags);
}

static int
shim_epoll_ctl (int epfd, int operation, int fd, struct epoll_event *event)
{
  /* Only additions need room; that an entry cannot be taken back is no failure a kernel has. */
  return operation == EPOLL_CTL_ADD && fails (SHIM_EPOLL_CTL) ? -1 : real.epoll_ctl (epfd, operation, fd, event);
}

static int
shim_epoll_wait (int epfd, struct epoll_event *events, int size, int timeout_ms)
{
  return fails (SHIM_EPOLL_WAIT) ? -1 : real.epoll_wait (epfd, events, size, timeout_ms);
}

static int
shim_epoll_pwait2 (int epfd, struct epoll_event *events, int size, const struct timespec *timeout, const sigset_t *mask)
{
  return fails (SHIM_EPOLL_PWAIT2) ? -1 : real.epoll_pwait2 (epfd, events, size, timeout, mask);
}

static int
shim_ppoll (struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
  if (!fails (SHIM_PPOLL))
    return real.ppoll (fds, n, timeout, mask);
  /* What a failed call leaves there is nobody's business. */
  for (nfds_t i = 0; i < n; i++)
    fds[i].revents = POLLIN | POLLOUT | POLLERR | POLLNVAL;
  return -1;
}

static int
shim_timerfd_create (int clock_id, int flags)
{
  return fails (SHIM_TIMERFD_CREATE) ? -1 : real.timerfd_create (clock_id, flags);
}

static int
shim_timerfd_settime (int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
  return fails (SHIM_TIMERFD_SETTIME) ? -1 : real.timerfd_settime (fd, flags, value, old);
}

static int
shim_uring_init (unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
  int result = fails (SHIM_URING_INIT)
                   ? -errno
                   : real.io_uring_queue_init_params (ring_entries ? ring_entries : entries, ring, params);

  params->features &= ~ring_lacks;
  return result;
}

static int
shim_uring_submit (struct io_uring *ring)
{
  return fails (SHIM_URING_SUBMIT) ? -errno : real.io_uring_submit (ring);
}

static int
shim_uring_get_events (struct io_uring *ring)
{
  return fails (SHIM_URING_ENTER) ? -errno : real.io_uring_submit_and_get_events (ring);
}

static int
shim_uring_wait (struct io_uring *ring, struct io_uring_cqe **cqe, unsigned n, struct __kernel_timespec *timeout,
                 sigset_t *mask)
{
  return fails (SHIM_URING_ENTER) ? -errno : real.io_uring_submit_and_wait_timeout (ring, cqe, n, timeout, mask);
}

void
shim_start (void)
{
  g_assert_null (real.eventfd);
  real = aio_system;
  for (guint i = 0; i < N_SHIMS; i++)
    shims[i] = (Shim){ 0 };
  aio_system.eventfd = shim_eventfd;
  aio_system.read = shim_read;
  aio_system.write = shim_write;
  aio_system.epoll_create1 = shim_epoll_create1;
  aio_system.epoll_ctl = shim_epoll_ctl;
  aio_system.epoll_wait = shim_epoll_wait;
  aio_system.epoll_pwait2 = shim_epoll_pwait2;
  aio_system.ppoll = shim_ppoll;
  aio_system.timerfd_create = shim_timerfd_create;
  aio_system.timerfd_settime = shim_timerfd_settime;
  aio_system.io_uring_queue_init_params = shim_uring_init;
  aio_system.io_uring_submit = shim_uring_submit;
  aio_system.io_uring_submit_and_get_events = shim_uring_get_events;
  aio_system.io_uring_submit_and_wait_timeout = shim_uring_wait;
}

void
shim_stop (void)
{
  g_assert_nonnull (real.eventfd);
  aio_system = real;
  real.eventfd = NULL;
  before_epoll_create1.func = NULL;
  ring_entries = ring_lacks = 0;
}

void
shim_fail (ShimCall call, int error, int skip, int times)
{
  shims[call].error = error;
  shims[call].skip = skip;
  shims[call].times = times;
}

void
shim_before_epoll_create1 (void (*func) (gpointer data), gpointer data)
{
  before_epoll_create1.data = data;
  before_epoll_create1.func = func;
}

void
shim_ring_entries (guint entries)
{
  ring_entries = entries;
}

void
shim_ring_lacks (guint features)
{
  ring_lacks = features;
}

int
shim_calls (ShimCall call)
{
  return __atomic_load_n (&shims[call].calls, __ATOMIC_RELAXED);
}

int
shim_failures (ShimCall call)
{
  return __atomic_load_n (&shims[call].failures, __ATOMIC_RELAXED);
}
