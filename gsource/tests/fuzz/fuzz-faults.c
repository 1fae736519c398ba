/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"
#include "shims.h"

#include <errno.h>

/* System calls that fail: as a kernel may have them fail, and no more often than the library has to bear. */
static void
op_fault (void)
{
  static const struct {
    ShimCall call;
    int error;
  } faults[] = {
    { SHIM_EVENTFD, EMFILE },
    { SHIM_READ, EINTR },
    { SHIM_READ, EAGAIN },
    { SHIM_WRITE, EINTR },
    { SHIM_EPOLL_CREATE1, EMFILE },
    { SHIM_EPOLL_CREATE1, ENOMEM },
    { SHIM_EPOLL_CTL, ENOSPC },
    { SHIM_EPOLL_CTL, ENOMEM },
    { SHIM_EPOLL_WAIT, EINTR },
    { SHIM_EPOLL_WAIT, EINVAL },
    { SHIM_EPOLL_PWAIT2, EINTR },
    { SHIM_PPOLL, EINTR },
    { SHIM_PPOLL, EINVAL },
    { SHIM_PPOLL, EAGAIN },
    { SHIM_PPOLL, ENOMEM },
    { SHIM_TIMERFD_CREATE, EMFILE },
    { SHIM_TIMERFD_SETTIME, EINVAL },
    { SHIM_URING_INIT, ENOSYS },
    { SHIM_URING_INIT, EPERM },
    { SHIM_URING_INIT, ENOMEM },
    { SHIM_URING_SUBMIT, EBUSY },
    { SHIM_URING_SUBMIT, EINTR },
    { SHIM_URING_SUBMIT, ENOMEM },
    { SHIM_URING_ENTER, EBUSY },
    { SHIM_URING_ENTER, EAGAIN },
    { SHIM_URING_ENTER, EINTR },
    { SHIM_URING_ENTER, ENOMEM },
  };
  guint n = fuzz_arg (G_N_ELEMENTS (faults) + 5);
  guint skip = fuzz_arg (4), times = 1 + fuzz_arg (3);

  if (fuzz.elsewhere)
    return;
  /* Small rings are no fault, but all is frequent in them that is rare in a large one. */
  if (n > G_N_ELEMENTS (faults))
    {
      shim_ring_entries (4u << (n - G_N_ELEMENTS (faults) - 1));
      return;
    }
  if (n == G_N_ELEMENTS (faults))
    {
      shim_ring_lacks (skip % 2 ? IORING_FEAT_NODROP : 0);
      return;
    }
  fuzz_trace ("  call %d: %d", faults[n].call, faults[n].error);
  fuzz.faults = TRUE;
  shim_fail (faults[n].call, faults[n].error, (int) skip, (int) times);
}

const FuzzOperation fuzz_fault_operations[] = {
  { "fault", op_fault, 2 },
  { NULL, NULL, 0 },
};
