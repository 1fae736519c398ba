/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* So many handlers at once that a context with a monitor of its choice takes another one. */

#define FIRST_NUMBER 100
#define MOST_CROWDS 3

static void
come (FuzzContext *c)
{
  int first = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);

  for (guint i = 0; i < FUZZ_CROWD; i++)
    {
      g_autoptr (AioContext) ctx = NULL;
      FuzzWatch *watch;
      AioFdHandler handler;

      fuzz.crowd[i] = fcntl (first, F_DUPFD_CLOEXEC, FIRST_NUMBER);
      fuzz_require (fuzz.crowd[i] >= FIRST_NUMBER, "no file descriptor");
      /* A destroy notify may have closed it. */
      if (!fuzz_is_alive (c))
        continue;
      watch = fuzz_plain_watch_new (c, fuzz.crowd[i]);
      fuzz_fill_fd_handler (watch, &handler);
      fuzz_watch_begins (watch, TRUE);
      ctx = aio_context_ref (c->ctx);
      fuzz_require (aio_context_set_fd_handler (ctx, watch->fd, &handler, watch, fuzz_watch_destroyed, NULL),
                    "one of a crowd was refused");
    }
  close (first);
}

static void
go (void)
{
  for (guint i = 0; i < FUZZ_CROWD; i++)
    {
      for (guint j = 0; j < FUZZ_N_CONTEXTS; j++)
        {
          FuzzContext *c = fuzz.contexts[j];
          g_autoptr (AioContext) ctx = NULL;

          if (!c || !c->ctx || !fuzz_find_watch (c, fuzz.crowd[i]))
            continue;
          fuzz_note_replaced (c, fuzz.crowd[i]);
          ctx = aio_context_ref (c->ctx);
          aio_context_set_fd_handler (ctx, fuzz.crowd[i], NULL, NULL, NULL, NULL);
        }
      fuzz_orphan (fuzz.crowd[i]);
      close (fuzz.crowd[i]);
      fuzz.crowd[i] = 0;
    }
}

static void
op_crowd (void)
{
  FuzzContext *c = fuzz_pick_context ();
  guint how = fuzz_arg (3);

  if (fuzz.crowd_moves)
    return;
  fuzz.crowd_moves = TRUE;
  if (fuzz.crowd[0] > 0 && how > 0)
    (void) eventfd_write (fuzz.crowd[0], 1);
  else if (fuzz.crowd[0] > 0)
    go ();
  else if (fuzz_is_alive (c) && fuzz.n_crowds++ < MOST_CROWDS)
    come (c);
  fuzz.crowd_moves = FALSE;
}

const FuzzOperation fuzz_crowd_operations[] = {
  { "crowd", op_crowd, 2 },
  { NULL, NULL, 0 },
};
