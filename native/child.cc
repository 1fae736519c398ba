/* SPDX-License-Identifier: MIT */
#include "child.h"

#include "args.h"
#include "error.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace aio {

namespace {

// pidfdOpen(pid): CLOEXEC, as every one is. It is closed at the latest when the environment ends.
napi_value PidfdOpen(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  const int pid = arguments.Int32(0);
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return ThrowErrno(arguments.environment(), errno, "pidfd_open", "Watching process %d", pid);
  arguments.environment().pidfds.insert(fd);
  return ToNumber(env, fd);
}

// pidfdClose(pidfd)
napi_value PidfdClose(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  const int fd = arguments.Int32(0);
  if (arguments.environment().pidfds.erase(fd) > 0) close(fd);
  return nullptr;
}

// pidfdForget(pidfd): somebody has closed it.
napi_value PidfdForget(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  arguments.environment().pidfds.erase(arguments.Int32(0));
  return nullptr;
}

// childStatus(pidfd, reap): how the process has ended: its code, or minus its signal. undefined if it is not a child
// of this process, or somebody else has waited for it.
napi_value Status(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  const int options = WEXITED | WNOHANG | (arguments.Boolean(1) ? 0 : WNOWAIT);
  siginfo_t status = {};
  while (waitid(P_PIDFD, arguments.Int32(0), &status, options) < 0)
    if (errno != EINTR) return nullptr;
  if (status.si_pid == 0) return nullptr;
  return ToNumber(env, status.si_code == CLD_EXITED ? status.si_status : -status.si_status);
}

constexpr Method kMethods[] = {
    {"pidfdOpen", PidfdOpen},
    {"pidfdClose", PidfdClose},
    {"pidfdForget", PidfdForget},
    {"childStatus", Status},
};

}  // namespace

void DefineChild(Environment& environment, napi_value exports) { Define(environment, exports, kMethods); }

}  // namespace aio
