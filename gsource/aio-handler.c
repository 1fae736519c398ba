/* SPDX-License-Identifier: MIT */
#include "aio-handler.h"

#include "aio-context-private.h"
#include "aio-error-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static gushort
wanted_events (const AioFdHandler *funcs)
{
  return (funcs->read ? G_IO_IN | G_IO_HUP | G_IO_ERR : 0)
         | (funcs->write ? G_IO_OUT | G_IO_ERR | (funcs->read ? 0 : G_IO_HUP) : 0);
}

static gboolean
has_poll (const AioFdHandler *funcs)
{
  return funcs->poll && funcs->poll_ready;
}

static AioPolling *
polling_new (const AioFdHandler *funcs, AioPollingCall call)
{
  AioPolling *polling = g_new0 (AioPolling, 1);

  polling->poll = funcs->poll;
  polling->ready = funcs->poll_ready;
  polling->call = call;
  polling->begin = G_CALLBACK (funcs->poll_begin);
  polling->end = G_CALLBACK (funcs->poll_end);
  /* What it takes the place of may have been polled, so that nobody has kicked for what there is. */
  polling->owed = TRUE;
  return polling;
}

static AioHandler *
handler_new (int fd, const AioFdHandler *funcs, AioPollingCall call, gpointer data, GDestroyNotify destroy)
{
  const char *name = funcs->name ? funcs->name : "";
  gsize name_size = strlen (name) + 1;
  AioHandler *handler = g_malloc0 (sizeof *handler + name_size);

  handler->ref_count = 1;
  handler->funcs.read = funcs->read;
  handler->funcs.write = funcs->write;
  handler->funcs.error = funcs->error;
  if (has_poll (funcs))
    handler->polling = polling_new (funcs, call);
  handler->external = funcs->external ? TRUE : FALSE;
  memcpy (handler->name, name, name_size);
  handler->data = data;
  handler->destroy = destroy;
  handler->poll_fd.fd = fd;
  handler->poll_fd.events = wanted_events (funcs);
  return handler;
}

AioHandler *
aio_handler_ref (AioHandler *handler)
{
  g_atomic_int_inc (&handler->ref_count);
  return handler;
}

void
aio_handler_unref (AioHandler *handler)
{
  if (!g_atomic_int_dec_and_test (&handler->ref_count))
    return;
  if (handler->destroy)
    handler->destroy (handler->data);
  g_free (handler->polling);
  g_free (handler);
}

/* With list_lock held. */
static void
note_change (AioContext *ctx, AioHandler *handler)
{
  if (handler->changed)
    return;
  handler->changed = TRUE;
  handler->next_change = NULL;
  *ctx->changes_tail = handler;
  ctx->changes_tail = &handler->next_change;
  atomic_fetch_add_explicit (&ctx->n_changes, 1, memory_order_release);
}

/*
 * Whether it is deleted belongs to the change: if it is only from now on, that is another change, which has the handler
 * in the list again.
 */
static AioHandler *
take_change (AioContext *ctx, gboolean *deleted)
{
  AioHandler *handler;

  aio_context_lock_lists (ctx);
  handler = ctx->changes;
  if (handler)
    {
      ctx->changes = handler->next_change;
      handler->changed = FALSE;
      atomic_fetch_sub_explicit (&ctx->n_changes, 1, memory_order_relaxed);
      *deleted = atomic_load_explicit (&handler->deleted, memory_order_relaxed);
    }
  if (!ctx->changes)
    ctx->changes_tail = &ctx->changes;
  aio_context_unlock_lists (ctx);
  return handler;
}

void
aio_context_apply_changes (AioContext *ctx)
{
  AioHandler *handler;
  gboolean deleted;
  guint n = atomic_load_explicit (&ctx->n_changes, memory_order_acquire);

  if (n == 0)
    return;

  AIO_SCHEDULE_POINT (ctx, FDMON_BEFORE_UPDATE);
  /* Not what other threads add meanwhile, for they may do so for ever. */
  for (; n > 0 && (handler = take_change (ctx, &deleted)); n--)
    {
      AIO_SCHEDULE_POINT (ctx, FDMON_CHANGE_TAKEN);
      if (!deleted && !handler->monitored)
        {
          handler->monitored = TRUE;
          handler->walk_mark = ctx->walk_mark;
          handler->held_back = handler->external && ctx->external_held_back;
          aio_context_fdmon (ctx)->add (ctx, handler);
          if (handler->polling)
            aio_polling_add (ctx, handler);
        }
      else if (deleted)
        {
          aio_handler_unqueue (ctx, handler);
          if (handler->monitored)
            {
              handler->monitored = FALSE;
              aio_context_fdmon (ctx)->remove (ctx, handler);
              if (handler->polling)
                aio_polling_remove (ctx, handler);
            }
          ctx->n_removed++;
          ctx->n_dead -= handler->dead;
          aio_handler_unref (handler);
        }
      if (!deleted && handler->polling)
        aio_polling_apply_functions (ctx, handler);
    }
}

/* FALSE if @handler is none that can be put there, for the context is closed. */
static gboolean
set_handler (AioContext *ctx, int fd, AioHandler *handler)
{
  AioHandler *old;

  aio_context_lock_lists (ctx);
  /* Under the lock: aio_context_clear_handlers(), which comes after the close, leaves none. */
  if (handler && aio_context_is_closed (ctx))
    {
      aio_context_unlock_lists (ctx);
      return FALSE;
    }
  old = aio_context_get_handler (ctx, (guint) fd);
  if (old)
    {
      atomic_store_explicit (&old->deleted, TRUE, memory_order_release);
      note_change (ctx, old);
    }
  if (handler)
    note_change (ctx, handler);
  /* Last: a visitor that misses the old one sees that there are changes. */
  if (old || handler)
    aio_context_put_handler (ctx, (guint) fd, old, handler);
  aio_context_unlock_lists (ctx);

  if (!old && !handler)
    return TRUE;
  if (aio_context_is_home (ctx))
    aio_context_apply_changes (ctx);
  aio_context_notify_waiter (ctx);
  return TRUE;
}

gboolean
aio_context_set_handler (AioContext *ctx, int fd, const AioFdHandler *handler, AioPollingCall call, gpointer data,
                         GDestroyNotify destroy, GError **error)
{
  AioHandler *new_handler;

  if (!handler || (!handler->read && !handler->write && !has_poll (handler)))
    {
      if (fd >= 0)
        set_handler (ctx, fd, NULL);
      if (destroy)
        destroy (data);
      return TRUE;
    }

  new_handler = handler_new (fd, handler, call, data, destroy);
  /* Its entry in an epoll set would become the handler's, and go with it. */
  if (fd == ctx->notifier_poll_fd.fd)
    g_set_error (error, AIO_ERROR, AIO_ERROR_FD_BUSY, "fd %d is what AioContext %s is woken by", fd, ctx->name);
  else if (!aio_context_is_closed (ctx) && fcntl (fd, F_GETFD) < 0)
    aio_set_system_error (error, errno, "fcntl", "Watching fd %d in AioContext %s", fd, ctx->name);
  else if (set_handler (ctx, fd, new_handler))
    return TRUE;
  else
    g_set_error (error, AIO_ERROR, AIO_ERROR_CLOSED, "AioContext %s is closed", ctx->name);
  aio_handler_unref (new_handler);
  return FALSE;
}

void
aio_context_set_poll_functions (AioContext *ctx, int fd, AioPollingCall call, GCallback begin, GCallback end)
{
  AioHandler *handler;

  aio_context_lock_lists (ctx);
  handler = fd >= 0 ? aio_context_get_handler (ctx, (guint) fd) : NULL;
  if (handler && handler->polling && handler->polling->call == call)
    {
      handler->polling->next_begin = begin;
      handler->polling->next_end = end;
      handler->polling->replaced = TRUE;
      note_change (ctx, handler);
    }
  aio_context_unlock_lists (ctx);

  if (aio_context_is_home (ctx))
    aio_context_apply_changes (ctx);
}

static void
call_with_fd (AioHandler *handler, GCallback func)
{
  ((AioHandlerFunc) func) (handler->poll_fd.fd, handler->data);
}

/**
 * aio_context_set_fd_handler: (skip)
 * @ctx: a context
 * @fd: a file descriptor
 * @handler: (nullable): its callbacks, of which one of read and write at least, or poll and poll_ready; %NULL or none of
 *   them to remove
 * @data: what they are given
 * @destroy: (nullable): called with @data once the handler is gone, also when the call fails
 * @error: return location for an error
 *
 * Watches a file descriptor, in place of what watched it in this context before; or stops watching it.
 * Readiness that was found for the old callbacks is dropped: what is still there will be found again.
 * Watching is level-triggered: an fd that is not drained is reported again. A handler added in a
 * callback is first looked at by the next wait; one removed there is not called any more.
 *
 * If a callback nests polls or iterations the handler may be called again from there, up to
 * %AIO_HANDLER_MAX_DEPTH deep; beyond that its file descriptor is left out of the nested wait. It is counted for each
 * handler: one that is replaced in its own callback, before that nests, is not bounded.
 *
 * A @destroy that watches again with itself for @destroy never returns once the context is closed, for each of these
 * calls fails.
 *
 * Remove the handler before the file descriptor is closed. If it is closed first, poll(2) tells, and the
 * handler dies with `EBADF` through its @error callback. epoll(7) tells of regular files and directories alone. io_uring
 * keeps the file open, and tells once it was ready.
 *
 * Any thread; a removal by another thread than home may race with one last call. The original's
 * `aio_set_fd_handler`. Fails with %AIO_ERROR_SYSTEM and `EBADF` if @fd is not open, with
 * %AIO_ERROR_FD_BUSY if it is the context's own, and with %AIO_ERROR_CLOSED.
 *
 * Returns: whether it is watched, or not watched any more
 */
gboolean
aio_context_set_fd_handler (AioContext *ctx, int fd, const AioFdHandler *handler, gpointer data, GDestroyNotify destroy,
                            GError **error)
{
  g_return_val_if_fail (ctx != NULL, FALSE);

  return aio_context_set_handler (ctx, fd, handler, call_with_fd, data, destroy, error);
}

/**
 * aio_context_set_fd_poll: (skip)
 * @ctx: a context
 * @fd: a file descriptor that is watched
 * @begin: (nullable): called before its handler is polled, like #AioFdHandler.poll_begin
 * @end: (nullable): called after that, like #AioFdHandler.poll_end
 *
 * Replaces the functions around the polling of a handler that has a poll function. If it is being polled, the old @end
 * and the new @begin are called: a @begin that does so each time never ends. Without such a handler it does nothing. Any
 * thread; on another one than home they are replaced before the next wait. The original's `aio_set_fd_poll`.
 */
void
aio_context_set_fd_poll (AioContext *ctx, int fd, AioHandlerFunc begin, AioHandlerFunc end)
{
  g_return_if_fail (ctx != NULL);

  aio_context_set_poll_functions (ctx, fd, call_with_fd, G_CALLBACK (begin), G_CALLBACK (end));
}

typedef struct {
  AioFdFunc func;
  gpointer data;
  GDestroyNotify destroy;
} FdFunc;

static void
fd_func_read (int fd, gpointer data)
{
  FdFunc *fd_func = data;

  fd_func->func (fd, G_IO_IN, fd_func->data);
}

static void
fd_func_write (int fd, gpointer data)
{
  FdFunc *fd_func = data;

  fd_func->func (fd, G_IO_OUT, fd_func->data);
}

static void
fd_func_error (int fd, const GError *error G_GNUC_UNUSED, gpointer data)
{
  FdFunc *fd_func = data;

  fd_func->func (fd, G_IO_NVAL, fd_func->data);
}

static void
fd_func_free (gpointer data)
{
  FdFunc *fd_func = data;

  if (fd_func->destroy)
    fd_func->destroy (fd_func->data);
  g_free (fd_func);
}

/**
 * aio_context_set_fd_func: (rename-to aio_context_set_fd_handler)
 * @ctx: a context
 * @fd: a file descriptor
 * @condition: what to watch for: %G_IO_IN, %G_IO_OUT or both; neither to stop watching
 * @func: (scope notified) (closure data) (destroy destroy): called with the condition that is met
 * @data: what it is given
 * @destroy: called with @data once the handler is gone, also when the call fails
 * @error: return location for an error
 *
 * aio_context_set_fd_handler() with one callback, for language bindings.
 *
 * Returns: whether it is watched, or not watched any more
 */
gboolean
aio_context_set_fd_func (AioContext *ctx, int fd, GIOCondition condition, AioFdFunc func, gpointer data,
                         GDestroyNotify destroy, GError **error)
{
  AioFdHandler handler = { .error = fd_func_error };
  FdFunc *fd_func;

  g_return_val_if_fail (ctx != NULL && func != NULL, FALSE);

  if (condition & G_IO_IN)
    handler.read = fd_func_read;
  if (condition & G_IO_OUT)
    handler.write = fd_func_write;
  fd_func = g_new (FdFunc, 1);
  *fd_func = (FdFunc){ func, data, destroy };
  return aio_context_set_fd_handler (ctx, fd, &handler, fd_func, fd_func_free, error);
}

/*
 * Home thread, which alone frees them: the first handler from @fd on. With the lock: a thread that had found the context
 * open has put its handler there by then.
 */
static AioHandler *
next_handler (AioContext *ctx, guint fd)
{
  AioHandler *handler = NULL;

  aio_context_lock_lists (ctx);
  while (!handler && fd < aio_context_table_size (ctx))
    handler = aio_context_get_handler (ctx, fd++);
  aio_context_unlock_lists (ctx);
  return handler;
}

void
aio_context_clear_handlers (AioContext *ctx, gboolean report)
{
  int fd = -1;
  AioHandler *handler;

  while ((handler = next_handler (ctx, (guint) (fd + 1))))
    {
      fd = handler->poll_fd.fd;
      if (report)
        g_warning ("AioContext %s: handler %s of fd %d was not removed when the context ended", ctx->name,
                   *handler->name ? handler->name : "(unnamed)", fd);
      set_handler (ctx, fd, NULL);
    }
  aio_context_apply_changes (ctx);
}
