/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

#include <errno.h>
#include <fcntl.h>

/* Operations on handlers of file descriptors. */

/* The last one of the number is not live any more; it is freed when the library is through with it. */
void
fuzz_note_replaced (FuzzContext *c, int fd)
{
  FuzzWatch *watch = fuzz_find_watch (c, fd);

  if (watch)
    watch->live = FALSE;
}

static void
check_refused (FuzzWatch *watch, gboolean closed, GError *error)
{
  FuzzContext *c = watch->c;

  fuzz_require (watch->destroyed, "the data of a handler that was refused are not freed");
  if (watch->fd >= 0 && watch->fd == c->raw->notifier_poll_fd.fd)
    fuzz_require_error (error, AIO_ERROR_FD_BUSY);
  else if (closed)
    fuzz_require_error (error, AIO_ERROR_CLOSED);
  else
    {
      fuzz_require_error (error, AIO_ERROR_SYSTEM);
      fuzz_require (aio_error_get_errno (error) == EBADF && fcntl (watch->fd, F_GETFD) < 0,
                    "fd %d is open and was refused", watch->fd);
    }
  watch->live = watch->orphan = FALSE;
}

/* What is done before the call, that a callback in it may find it, and after it. */
void
fuzz_watch_begins (FuzzWatch *watch, gboolean ok)
{
  if (!ok)
    return;
  fuzz_note_replaced (watch->c, watch->fd);
  watch->live = TRUE;
  /* The new one is told nothing of what was in memory before. */
  fuzz_trace ("  %s%s%s%sfd %d of %s, script %u", watch->flags & FUZZ_READ ? "read " : "",
              watch->flags & FUZZ_WRITE ? "write " : "", watch->flags & FUZZ_POLL ? "poll " : "",
              watch->flags & FUZZ_EXTERNAL ? "external " : "", watch->fd, watch->c->name, watch->script);
}

gboolean
fuzz_can_be_watched (FuzzContext *c, int fd)
{
  return !c->closed && fd != c->ctx->notifier_poll_fd.fd && fcntl (fd, F_GETFD) >= 0;
}

static void
set_fd_handler (FuzzContext *c, int fd)
{
  guint flags = fuzz_arg (32);
  gboolean by_func = fuzz_arg (4) == 0;
  gboolean can = fuzz_can_be_watched (c, fd), closed = c->closed, ok;
  g_autoptr (AioContext) ctx = aio_context_ref (c->ctx); /* a callback may drop the program's */
  g_autoptr (GError) error = NULL;
  FuzzWatch *watch;
  AioFdHandler handler;

  if (!(flags & (FUZZ_READ | FUZZ_WRITE | FUZZ_POLL)))
    flags |= FUZZ_READ;
  if (by_func)
    flags =
        (flags & (FUZZ_READ | FUZZ_WRITE)) ? (flags & (FUZZ_READ | FUZZ_WRITE)) | FUZZ_ERROR : FUZZ_READ | FUZZ_ERROR;
  watch = fuzz_watch_new (c, fd, NULL, flags);
  fuzz_watch_begins (watch, can);
  if (by_func)
    ok = aio_context_set_fd_func (ctx, fd, (flags & FUZZ_READ ? G_IO_IN : 0) | (flags & FUZZ_WRITE ? G_IO_OUT : 0),
                                  fuzz_fd_func_called, watch, fuzz_watch_destroyed, &error);
  else
    {
      fuzz_fill_fd_handler (watch, &handler);
      ok = aio_context_set_fd_handler (ctx, fd, &handler, watch, fuzz_watch_destroyed, &error);
    }
  fuzz_require (ok == can, "fd %d was %s", fd, can ? "refused" : "taken");
  if (!ok)
    check_refused (watch, closed, error);
}

static void
op_watch (void)
{
  FuzzContext *c = fuzz_pick_context ();
  FuzzFd *fd = fuzz_pick_fd ();

  if (c && c->ctx && fd->fd >= 0)
    set_fd_handler (c, fd->fd);
}

void
fuzz_count_destroyed (gpointer data)
{
  ++*(guint *) data;
}

static void
op_unwatch (void)
{
  FuzzContext *c = fuzz_pick_context ();
  FuzzFd *fd = fuzz_pick_fd ();
  static const AioFdHandler nothing = { .name = "nothing" };
  static const AioFdHandler half = { .poll = (AioPollFunc) 1 };
  guint how = fuzz_arg (4), destroyed = 0;
  g_autoptr (AioContext) ctx = NULL;

  if (!c || !c->ctx || fd->fd < 0)
    return;
  fuzz_trace ("  fd %d of %s", fd->fd, c->name);
  ctx = aio_context_ref (c->ctx);
  fuzz_note_replaced (c, fd->fd);
  if (how == 3)
    fuzz_require (aio_context_set_fd_func (ctx, fd->fd, 0, fuzz_fd_func_called, &destroyed, fuzz_count_destroyed, NULL),
                  "a handler could not be removed");
  else
    fuzz_require (aio_context_set_fd_handler (ctx, fd->fd,
                                              how == 0   ? NULL
                                              : how == 1 ? &nothing
                                                         : &half,
                                              &destroyed, fuzz_count_destroyed, NULL),
                  "a handler could not be removed");
  fuzz_require (destroyed == 1, "the data of a removal are freed %u times", destroyed);
}

/* A number that is none, or not the program's. */
static void
op_watch_number (void)
{
  static const int numbers[] = { -1, -2, G_MININT, G_MAXINT, 1 << 20, 1000 };
  FuzzContext *c = fuzz_pick_context ();
  guint n = fuzz_arg (G_N_ELEMENTS (numbers) + 2);
  gboolean remove = fuzz_arg (2);
  int fd;

  if (!c || !c->ctx)
    return;
  fd = n < G_N_ELEMENTS (numbers) ? numbers[n] : c->ctx->notifier_poll_fd.fd;
  fuzz_trace ("  fd %d of %s", fd, c->name);
  if (!remove)
    set_fd_handler (c, fd);
  else if (!fuzz_find_watch (c, fd))
    fuzz_require (aio_context_set_fd_handler (c->ctx, fd, NULL, NULL, NULL, NULL), "nothing could not be removed");
}

static void
op_fd_functions (void)
{
  FuzzContext *c = fuzz_pick_context ();
  FuzzFd *fd = fuzz_pick_fd ();
  guint pair = fuzz_arg (3);
  g_autoptr (AioContext) ctx = NULL;
  GCallback begin, end;
  FuzzWatch *watch;

  if (!c || !c->ctx)
    return;
  fuzz_watch_functions (pair, FALSE, &begin, &end);
  watch = fuzz_find_watch (c, fd->fd);
  if (watch && watch->flags & FUZZ_POLL && !watch->notifier)
    watch->functions = pair;
  ctx = aio_context_ref (c->ctx);
  aio_context_set_fd_poll (ctx, fd->fd, (AioHandlerFunc) begin, (AioHandlerFunc) end);
}

static void
op_event (void)
{
  FuzzContext *c = fuzz_pick_context ();
  FuzzFd *fd = fuzz_pick_fd ();
  guint n = fuzz_arg (2);
  FuzzWatch *watch = NULL;

  if (!c || !c->ctx)
    return;
  if (n)
    watch = fuzz_find_watch (c, fd->fd);
  else if (fuzz.notifiers[0].notifier)
    watch = fuzz_find_watch (c, aio_notifier_get_fd (fuzz.notifiers[0].notifier));
  if (watch)
    fuzz_watch_event (watch);
}

/* External clients */

static void
op_disable_external (void)
{
  FuzzContext *c = fuzz_pick_context ();

  if (!c || !c->ctx)
    return;
  c->external_disables++;
  aio_context_disable_external (c->ctx);
  fuzz_require (!aio_context_node_check (c->ctx, TRUE) && aio_context_node_check (c->ctx, FALSE), "not disabled");
}

static void
op_enable_external (void)
{
  FuzzContext *c = fuzz_pick_context ();
  g_autoptr (GError) error = NULL;
  gboolean disabled, ok;

  if (!c || !c->ctx)
    return;
  disabled = c->external_disables > 0;
  c->external_disables -= disabled;
  ok = aio_context_enable_external (c->ctx, &error);
  fuzz_require (ok == disabled, "external clients were%s enabled", ok ? "" : " not");
  if (!ok)
    fuzz_require_error (error, AIO_ERROR_UNDERFLOW);
}

static void
op_poll_params (void)
{
  static const gint64 numbers[] = { 0, 1, 2, 10000, 100000, 1000000, G_MAXINT64, -1, G_MININT64 };
  FuzzContext *c = fuzz_pick_context ();
  gint64 max_ns = numbers[fuzz_arg (G_N_ELEMENTS (numbers))];
  gint64 grow = numbers[fuzz_arg (G_N_ELEMENTS (numbers))];
  gint64 shrink = numbers[fuzz_arg (G_N_ELEMENTS (numbers))];
  gboolean valid = max_ns >= 0 && grow >= 0 && shrink >= 0;
  g_autoptr (GError) error = NULL;
  gboolean ok;

  if (!c || !c->ctx)
    return;
  ok = aio_context_set_poll_params (c->ctx, max_ns, grow, shrink, &error);
  fuzz_require (ok == (valid && !c->closed) && ok == !error, "parameters for polling were %s",
                ok ? "taken" : "refused");
  if (!ok)
    fuzz_require_error (error, valid ? AIO_ERROR_CLOSED : AIO_ERROR_SYSTEM);
}

const FuzzOperation fuzz_handler_operations[] = {
  { "watch", op_watch, 8 },
  { "unwatch", op_unwatch, 3 },
  { "watch number", op_watch_number, 1 },
  { "fd functions", op_fd_functions, 2 },
  { "event", op_event, 4 },
  { "disable external", op_disable_external, 2 },
  { "enable external", op_enable_external, 2 },
  { "poll params", op_poll_params, 2 },
  { NULL, NULL, 0 },
};
