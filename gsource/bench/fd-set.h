/* SPDX-License-Identifier: MIT */
#pragma once

#include <aio-gsource.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

/* File descriptors, many, for benchmarks: eventfds that their callbacks read. */

/* What the program itself has open, roughly. */
#define FD_SET_RESERVE 100

typedef struct {
  int *fds;
  guint n_fds;
  guint next;   /* the one that gets ready next */
  guint stride; /* and how far from it the one after that is */
} FdSet;

/* Raises the limit as far as may be; how many of @wanted there can be. */
static inline guint
fd_set_allow (guint wanted)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_NOFILE, &limit) != 0)
    g_error ("getrlimit: %s", strerror (errno));
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit (RLIMIT_NOFILE, &limit) != 0)
    g_error ("setrlimit: %s", strerror (errno));
  if (limit.rlim_max >= wanted + FD_SET_RESERVE)
    return wanted;
  g_printerr ("bench: %u file descriptors instead of %u: the hard limit is low\n",
              (guint) limit.rlim_max - FD_SET_RESERVE, wanted);
  return limit.rlim_max - FD_SET_RESERVE;
}

static inline FdSet
fd_set_new (guint n_fds)
{
  FdSet set = { g_new (int, n_fds), n_fds, 0, 1 };

  for (guint i = 0; i < n_fds; i++)
    {
      set.fds[i] = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
      if (set.fds[i] < 0)
        g_error ("eventfd: %s", strerror (errno));
    }
  return set;
}

static inline void
fd_set_free (FdSet *set)
{
  for (guint i = 0; i < set->n_fds; i++)
    close (set->fds[i]);
  g_free (set->fds);
}

/* Makes one of them ready: all in turn. */
static inline void
fd_set_signal (FdSet *set)
{
  const guint64 one = 1;

  if (write (set->fds[set->next], &one, sizeof one) != sizeof one)
    g_error ("write: %s", strerror (errno));
  set->next = (set->next + set->stride) % set->n_fds;
}

/* A callback counts itself in @data, and takes what there is to read. */
static inline void
fd_set_read (int fd, gpointer data)
{
  guint64 value;

  if (read (fd, &value, sizeof value) == sizeof value)
    ++*(guint *) data;
}

/* Has @ctx watch one of them. */
static inline void
fd_set_watch (FdSet *set, guint i, AioContext *ctx, guint *n_calls)
{
  const AioFdHandler handler = { .read = fd_set_read };
  GError *error = NULL;

  if (!aio_context_set_fd_handler (ctx, set->fds[i], &handler, n_calls, NULL, &error))
    g_error ("%s", error->message);
}
