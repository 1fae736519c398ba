/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Operations on file descriptors. */

FuzzFd *
fuzz_pick_fd (void)
{
  return &fuzz.fds[fuzz_arg (FUZZ_N_FDS)];
}

static void
fill (guint n, FuzzFdKind kind, int fd, guint peer)
{
  fuzz.fds[n] = (FuzzFd){ .kind = kind, .fd = fd, .peer = peer, .touched = ++fuzz.order };
  fuzz_trace ("  fd %d", fd);
}

/* Everything of the number is of a file that is gone. */
void
fuzz_orphan (int fd)
{
  for (guint i = 0; i < fuzz.all_watches->len; i++)
    {
      FuzzWatch *watch = g_ptr_array_index (fuzz.all_watches, i);

      if (watch->fd == fd)
        watch->orphan = fuzz.orphans = TRUE;
    }
}

void
fuzz_close_fd (FuzzFd *fd)
{
  fuzz_trace ("  fd %d", fd->fd);
  fuzz_touch_fd (fd->fd);
  fuzz_orphan (fd->fd);
  close (fd->fd);
  fd->fd = -1;
}

/* The number a request has is the program's own business until it has completed. */
static gboolean
may_be_closed (FuzzFd *fd)
{
  for (guint i = 0; i < fuzz.all_requests->len; i++)
    {
      FuzzRequest *request = g_ptr_array_index (fuzz.all_requests, i);

      if (request->pending && request->fd == fd->fd)
        return FALSE;
    }
  return fd->fd >= 0;
}

static void
op_fd_new (void)
{
  guint n = fuzz_arg (FUZZ_N_FDS);
  guint pair = n & ~1u;
  int fds[2];

  if (fuzz.fds[pair].fd >= 0 || fuzz.fds[pair + 1].fd >= 0)
    return;
  switch (fuzz_arg (7))
    {
    case 0:
    case 1:
      fuzz_require (pipe2 (fds, O_CLOEXEC | O_NONBLOCK) == 0, "no pipe");
      fill (pair, FUZZ_FD_PIPE, fds[0], pair + 1);
      fill (pair + 1, FUZZ_FD_PIPE, fds[1], pair);
      break;
    case 2:
      fuzz_require (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0, "no socket");
      fill (pair, FUZZ_FD_SOCKET, fds[0], pair + 1);
      fill (pair + 1, FUZZ_FD_SOCKET, fds[1], pair);
      break;
    case 3:
      fill (n, FUZZ_FD_EVENTFD, eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK), n);
      break;
    case 4:
      fill (n, FUZZ_FD_FILE, memfd_create ("fuzz", MFD_CLOEXEC), n);
      break;
    case 5:
      fill (n, FUZZ_FD_FILE, open ("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n);
      break;
    case 6:
      fill (n, FUZZ_FD_FILE, open ("/dev/null", O_RDWR | O_CLOEXEC), n);
      break;
    }
}

static void
op_fd_write (void)
{
  FuzzFd *fd = fuzz_pick_fd ();
  static const guint64 one[512] = { 1 };

  if (fd->fd < 0 || fd->kind == FUZZ_FD_FILE)
    return;
  fuzz_trace ("  to fd %d", fd->fd);
  fuzz_touch_fd (fd->fd);
  /* Eight bytes, or what makes a pipe full. */
  if (fuzz_arg (4) > 0 || fd->kind == FUZZ_FD_EVENTFD)
    (void) !write (fd->fd, one, sizeof one[0]);
  else
    while (write (fd->fd, one, sizeof one) > 0)
      ;
}

static void
op_fd_drain (void)
{
  FuzzFd *fd = fuzz_pick_fd ();

  if (fd->fd >= 0)
    fuzz_drain (fd->fd);
}

static void
op_fd_close (void)
{
  FuzzFd *fd = fuzz_pick_fd ();

  if (may_be_closed (fd))
    fuzz_close_fd (fd);
}

/* Another open file gets the number; the old one may live on as another fd, and may come back. */
static void
op_fd_replace (void)
{
  FuzzFd *fd = fuzz_pick_fd ();
  FuzzFd *kept = fuzz_pick_fd ();
  guint how = fuzz_arg (3);
  int number = fd->fd, new_fd;

  if (!may_be_closed (fd) || fd == kept)
    return;
  if (how == 1 && kept->fd < 0)
    {
      *kept = *fd;
      kept->lives_on = TRUE;
      kept->fd = fcntl (number, F_DUPFD_CLOEXEC, 0);
      if (fd->peer == (guint) (fd - fuzz.fds))
        kept->peer = kept - fuzz.fds;
      fuzz_trace ("  fd %d lives on as fd %d", number, kept->fd);
    }
  fuzz_close_fd (fd);
  if (how == 2 && kept->fd >= 0 && kept->lives_on)
    {
      fuzz_trace ("  fd %d comes back", kept->fd);
      fuzz_require (dup3 (kept->fd, number, O_CLOEXEC) == number, "a number could not be used again");
      fill (fd - fuzz.fds, kept->kind, number, kept->peer == (guint) (kept - fuzz.fds) ? fd - fuzz.fds : kept->peer);
      fd->lives_on = TRUE;
      return;
    }
  new_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (new_fd != number)
    {
      fuzz_require (dup3 (new_fd, number, O_CLOEXEC) == number, "a number could not be used again");
      close (new_fd);
    }
  fill (fd - fuzz.fds, FUZZ_FD_EVENTFD, number, fd - fuzz.fds);
}

const FuzzOperation fuzz_fd_operations[] = {
  { "fd new", op_fd_new, 5 },     { "fd write", op_fd_write, 6 },     { "fd drain", op_fd_drain, 2 },
  { "fd close", op_fd_close, 2 }, { "fd replace", op_fd_replace, 2 }, { NULL, NULL, 0 },
};
