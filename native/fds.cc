/* SPDX-License-Identifier: MIT */
#include "fds.h"

#include "args.h"
#include "error.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace aio {

namespace {

napi_value Pipe(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  int fds[2];
  if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
    return ThrowErrno(arguments.environment(), errno, "pipe2", "Making a pipe");

  Napi::Object result = Napi::Object::New(env);
  result.Set("read", fds[0]);
  result.Set("write", fds[1]);
  return result;
}

napi_value SocketPair(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
    return ThrowErrno(arguments.environment(), errno, "socketpair", "Making a pair of sockets");

  Napi::Array result = Napi::Array::New(env, 2);
  for (uint32_t i = 0; i < 2; i++) result.Set(i, fds[i]);
  return result;
}

// A file descriptor that is closed at the end of the scope unless it was taken.
class UniqueFd {
 public:
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() {
    if (fd_ >= 0) close(fd_);
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;

  int get() const { return fd_; }
  int Take() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// openPty(columns, rows)
napi_value OpenPty(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Environment& environment = arguments.environment();
  winsize size = {};
  size.ws_col = static_cast<unsigned short>(arguments.Uint32(0));
  size.ws_row = static_cast<unsigned short>(arguments.Uint32(1));
  char path[128];

  UniqueFd master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  if (master.get() < 0) return ThrowErrno(environment, errno, "posix_openpt", "Making a pseudo-terminal");
  if (grantpt(master.get()) < 0 || unlockpt(master.get()) < 0 || ptsname_r(master.get(), path, sizeof path) != 0)
    return ThrowErrno(environment, errno, "unlockpt", "Making a pseudo-terminal");
  UniqueFd slave(open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  if (slave.get() < 0) return ThrowErrno(environment, errno, "open", "Opening the pseudo-terminal %s", path);
  if (ioctl(slave.get(), TIOCSWINSZ, &size) < 0)
    return ThrowErrno(environment, errno, "ioctl", "Setting the size of the pseudo-terminal %s", path);

  Napi::Object result = Napi::Object::New(env);
  result.Set("master", master.Take());
  result.Set("slave", slave.Take());
  result.Set("path", path);
  return result;
}

struct Bytes {
  void* data = nullptr;
  size_t length = 0;

  Bytes(napi_env env, napi_value value) {
    napi_typedarray_type type;
    if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
        type != napi_uint8_array)
      length = 0;
  }
};

// What read(2) or write(2) gave: a count, or null for EAGAIN.
napi_value Transferred(Environment& environment, const char* syscall, int fd, ssize_t count) {
  if (count >= 0) return ToNumber(environment.env, count);
  if (errno != EAGAIN && errno != EWOULDBLOCK) return ThrowErrno(environment, errno, syscall, "%s(fd %d)", syscall, fd);
  napi_value none = nullptr;
  napi_get_null(environment.env, &none);
  return none;
}

// tryRead(fd, buffer: Uint8Array)
napi_value TryRead(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Bytes buffer(env, arguments[1]);
  int fd = arguments.Int32(0);
  ssize_t count;
  do count = read(fd, buffer.data, buffer.length);
  while (count < 0 && errno == EINTR);
  return Transferred(arguments.environment(), "read", fd, count);
}

// tryWrite(fd, data: Uint8Array)
napi_value TryWrite(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Bytes buffer(env, arguments[1]);
  int fd = arguments.Int32(0);
  ssize_t count;
  do count = write(fd, buffer.data, buffer.length);
  while (count < 0 && errno == EINTR);
  return Transferred(arguments.environment(), "write", fd, count);
}

// closeFd(fd): EINTR is no failure, the number is free by then.
napi_value CloseFd(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  int fd = arguments.Int32(0);
  if (close(fd) < 0 && errno != EINTR) ThrowErrno(arguments.environment(), errno, "close", "close(fd %d)", fd);
  return nullptr;
}

constexpr Method kMethods[] = {
    {"pipe", Pipe},       {"socketPair", SocketPair}, {"openPty", OpenPty},
    {"tryRead", TryRead}, {"tryWrite", TryWrite},     {"closeFd", CloseFd},
};

}  // namespace

void DefineFds(Environment& environment, napi_value exports) { Define(environment, exports, kMethods); }

}  // namespace aio
