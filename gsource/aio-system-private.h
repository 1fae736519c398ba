/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The system calls that a test may have to see fail. In test builds (AIO_TEST_HOOKS) they go through a table whose
 * entries a test replaces, while no other thread is in the library; in any other build AIO_SYSTEM() is nothing.
 */
#ifdef AIO_TEST_HOOKS

#include <liburing.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/types.h>
#include <time.h>

typedef struct {
  int (*eventfd) (unsigned int value, int flags);
  ssize_t (*read) (int fd, void *buffer, size_t size);
  ssize_t (*write) (int fd, const void *buffer, size_t size);
  int (*epoll_create1) (int flags);
  int (*epoll_ctl) (int epfd, int operation, int fd, struct epoll_event *event);
  int (*epoll_wait) (int epfd, struct epoll_event *events, int size, int timeout_ms);
  int (*epoll_pwait2) (int epfd, struct epoll_event *events, int size, const struct timespec *timeout,
                       const sigset_t *mask);
  int (*ppoll) (struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask);
  int (*timerfd_create) (int clock_id, int flags);
  int (*timerfd_settime) (int fd, int flags, const struct itimerspec *value, struct itimerspec *old);
  int (*io_uring_queue_init_params) (unsigned entries, struct io_uring *ring, struct io_uring_params *params);
  int (*io_uring_submit) (struct io_uring *ring);
  int (*io_uring_submit_and_get_events) (struct io_uring *ring);
  int (*io_uring_submit_and_wait_timeout) (struct io_uring *ring, struct io_uring_cqe **cqe, unsigned n,
                                           struct __kernel_timespec *timeout, sigset_t *mask);
  int (*clock_gettime) (clockid_t clock_id, struct timespec *now);
} AioSystem;

extern AioSystem aio_system;

#define AIO_SYSTEM(call) aio_system.call

#else

#define AIO_SYSTEM(call) call

#endif
