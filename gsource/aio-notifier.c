/* SPDX-License-Identifier: MIT */
#include "aio-notifier.h"

#include "aio-context-private.h"
#include "aio-error-private.h"
#include "aio-system-private.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CLOSED (1u << 31)

struct _AioNotifier {
  gint ref_count;
  int fd;
  _Atomic guint uses; /* calls under way that use fd; CLOSED: there will be no more, and the last of them closes it */
};

typedef struct {
  AioNotifier *notifier; /* a reference */
  AioNotifierFunc func;
  AioNotifierErrorFunc error;
  AioNotifierPollFunc poll;
  AioNotifierFunc poll_ready;
  gpointer data;
  GDestroyNotify destroy;
} NotifierHandler;

G_DEFINE_BOXED_TYPE (AioNotifier, aio_notifier, aio_notifier_ref, aio_notifier_unref)

/**
 * aio_notifier_new:
 * @active: whether it is set from the start
 * @error: return location for an error
 *
 * Makes an event notifier. Any thread. The original's `event_notifier_init`. Fails with
 * %AIO_ERROR_SYSTEM.
 *
 * Returns: (transfer full): the notifier, or %NULL with @error set
 */
AioNotifier *
aio_notifier_new (gboolean active, GError **error)
{
  AioNotifier *notifier;
  int fd = AIO_SYSTEM (eventfd) (active ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK);

  if (fd < 0)
    {
      aio_set_system_error (error, errno, "eventfd", "eventfd(%d)", active ? 1 : 0);
      return NULL;
    }

  notifier = g_new0 (AioNotifier, 1);
  notifier->ref_count = 1;
  notifier->fd = fd;
  return notifier;
}

/**
 * aio_notifier_ref:
 * @notifier: a notifier
 *
 * Adds a reference. Any thread.
 *
 * Returns: (transfer full): @notifier
 */
AioNotifier *
aio_notifier_ref (AioNotifier *notifier)
{
  g_return_val_if_fail (notifier != NULL, NULL);

  g_atomic_int_inc (&notifier->ref_count);
  return notifier;
}

/**
 * aio_notifier_unref:
 * @notifier: (transfer full): a notifier
 *
 * Drops a reference; with the last one the notifier is closed. Any thread.
 */
void
aio_notifier_unref (AioNotifier *notifier)
{
  g_return_if_fail (notifier != NULL);

  if (!g_atomic_int_dec_and_test (&notifier->ref_count))
    return;
  aio_notifier_close (notifier);
  g_free (notifier);
}

/* Any thread, and signal handlers: whether fd is open, and stays so until the use ends. Its number may be another's then. */
static gboolean
begin_use (AioNotifier *notifier)
{
  guint uses = atomic_load_explicit (&notifier->uses, memory_order_relaxed);

  do
    if (uses & CLOSED)
      return FALSE;
  while (!atomic_compare_exchange_weak_explicit (&notifier->uses, &uses, uses + 1, memory_order_acquire,
                                                 memory_order_relaxed));
  return TRUE;
}

static void
end_use (AioNotifier *notifier)
{
  if (atomic_fetch_sub_explicit (&notifier->uses, 1, memory_order_acq_rel) == (CLOSED | 1))
    close (notifier->fd);
}

/**
 * aio_notifier_close:
 * @notifier: a notifier that no context watches any more
 *
 * Closes its file descriptor while references remain; if other threads are just setting or clearing it, the last of
 * them does. Closing it again does nothing. Any thread. The original's `event_notifier_cleanup`.
 */
void
aio_notifier_close (AioNotifier *notifier)
{
  g_return_if_fail (notifier != NULL);

  if (atomic_fetch_or_explicit (&notifier->uses, CLOSED, memory_order_acq_rel) == 0)
    close (notifier->fd);
}

/**
 * aio_notifier_get_fd:
 * @notifier: a notifier
 *
 * Any thread. The original's `event_notifier_get_fd`.
 *
 * Returns: its file descriptor, which stays its own; -1 once it is closed
 */
int
aio_notifier_get_fd (AioNotifier *notifier)
{
  g_return_val_if_fail (notifier != NULL, -1);

  return atomic_load_explicit (&notifier->uses, memory_order_acquire) & CLOSED ? -1 : notifier->fd;
}

/**
 * aio_notifier_set:
 * @notifier: a notifier
 * @error: return location for an error
 *
 * Sets the notifier; it stays set until it is cleared, however often it is set. Any thread, and signal
 * handlers if @error is %NULL. The original's `event_notifier_set`. Fails with %AIO_ERROR_CLOSED or
 * %AIO_ERROR_SYSTEM.
 *
 * Returns: whether it is set
 */
gboolean
aio_notifier_set (AioNotifier *notifier, GError **error)
{
  const guint64 one = 1;
  gssize written;
  int write_error;

  g_return_val_if_fail (notifier != NULL, FALSE);

  if (!begin_use (notifier))
    {
      g_set_error (error, AIO_ERROR, AIO_ERROR_CLOSED, "The notifier is closed");
      return FALSE;
    }

  do
    written = AIO_SYSTEM (write) (notifier->fd, &one, sizeof one);
  while (written < 0 && errno == EINTR);
  write_error = errno;
  end_use (notifier);

  /* EAGAIN: the counter is full, so it is set. */
  if (written < 0 && write_error != EAGAIN)
    {
      aio_set_system_error (error, write_error, "write", "write(eventfd %d)", notifier->fd);
      return FALSE;
    }
  return TRUE;
}

/**
 * aio_notifier_test_and_clear:
 * @notifier: a notifier
 *
 * Clears the notifier. Any thread. The original's `event_notifier_test_and_clear`.
 *
 * Returns: whether it was set
 */
gboolean
aio_notifier_test_and_clear (AioNotifier *notifier)
{
  guint64 value;
  gssize got;

  g_return_val_if_fail (notifier != NULL, FALSE);

  if (!begin_use (notifier))
    return FALSE;
  do
    got = AIO_SYSTEM (read) (notifier->fd, &value, sizeof value);
  while (got < 0 && errno == EINTR);
  end_use (notifier);
  return got == sizeof value;
}

static void
notifier_handler_read (int fd G_GNUC_UNUSED, gpointer data)
{
  NotifierHandler *handler = data;

  handler->func (handler->notifier, handler->data);
}

static void
notifier_handler_error (int fd G_GNUC_UNUSED, const GError *error, gpointer data)
{
  NotifierHandler *handler = data;

  handler->error (handler->notifier, error, handler->data);
}

static gboolean
notifier_handler_poll (int fd G_GNUC_UNUSED, gpointer data)
{
  NotifierHandler *handler = data;

  return handler->poll (handler->notifier, handler->data);
}

static void
notifier_handler_poll_ready (int fd G_GNUC_UNUSED, gpointer data)
{
  NotifierHandler *handler = data;

  handler->poll_ready (handler->notifier, handler->data);
}

/* Of the begin and the end of polling. */
static void
call_with_notifier (AioHandler *handler, GCallback func)
{
  NotifierHandler *watching = handler->data;

  ((AioNotifierFunc) func) (watching->notifier, watching->data);
}

static void
notifier_handler_free (gpointer data)
{
  NotifierHandler *handler = data;

  aio_notifier_unref (handler->notifier);
  if (handler->destroy)
    handler->destroy (handler->data);
  g_free (handler);
}

/**
 * aio_context_set_event_notifier:
 * @ctx: a context
 * @notifier: a notifier
 * @func: (nullable) (scope notified) (closure data) (destroy destroy): called when it is set, or %NULL
 *   to stop watching it
 * @data: what it is given
 * @destroy: (nullable): called with @data once the handler is gone, also when the call fails
 * @error: return location for an error
 *
 * Watches a notifier, in place of what watched it before. Any thread. The original's
 * `aio_set_event_notifier`. Fails like aio_context_set_fd_handler().
 *
 * Returns: whether it is watched, or not watched any more
 */
gboolean
aio_context_set_event_notifier (AioContext *ctx, AioNotifier *notifier, AioNotifierFunc func, gpointer data,
                                GDestroyNotify destroy, GError **error)
{
  AioNotifierHandler handler = { .func = func, .name = "event notifier" };

  return aio_context_set_event_notifier_full (ctx, notifier, &handler, data, destroy, error);
}

/**
 * aio_context_set_event_notifier_full: (skip)
 * @ctx: a context
 * @notifier: a notifier
 * @handler: (nullable): its callbacks, or %NULL or one without a function to stop watching it
 * @data: what they are given
 * @destroy: (nullable): called with @data once the handler is gone, also when the call fails
 * @error: return location for an error
 *
 * Like aio_context_set_event_notifier(), with all there is. Any thread. The original's
 * `aio_set_event_notifier` with `is_external`, `io_poll` and `io_poll_ready`. Fails like aio_context_set_fd_handler().
 *
 * Returns: whether it is watched, or not watched any more
 */
gboolean
aio_context_set_event_notifier_full (AioContext *ctx, AioNotifier *notifier, const AioNotifierHandler *handler,
                                     gpointer data, GDestroyNotify destroy, GError **error)
{
  AioFdHandler funcs = { 0 };
  NotifierHandler *watching;
  int fd;

  g_return_val_if_fail (ctx != NULL && notifier != NULL, FALSE);

  fd = aio_notifier_get_fd (notifier);
  if (fd < 0)
    {
      g_set_error (error, AIO_ERROR, AIO_ERROR_CLOSED, "The notifier is closed");
      if (destroy)
        destroy (data);
      return FALSE;
    }
  if (!handler || (!handler->func && !(handler->poll && handler->poll_ready)))
    return aio_context_set_fd_handler (ctx, fd, NULL, data, destroy, error);

  if (handler->func)
    funcs.read = notifier_handler_read;
  if (handler->error)
    funcs.error = notifier_handler_error;
  if (handler->poll && handler->poll_ready)
    {
      funcs.poll = notifier_handler_poll;
      funcs.poll_ready = notifier_handler_poll_ready;
      funcs.poll_begin = (AioHandlerFunc) G_CALLBACK (handler->poll_begin);
      funcs.poll_end = (AioHandlerFunc) G_CALLBACK (handler->poll_end);
    }
  funcs.external = handler->external;
  funcs.name = handler->name;
  watching = g_new (NotifierHandler, 1);
  *watching = (NotifierHandler){
    .notifier = aio_notifier_ref (notifier),
    .func = handler->func,
    .error = handler->error,
    .poll = handler->poll,
    .poll_ready = handler->poll_ready,
    .data = data,
    .destroy = destroy,
  };
  return aio_context_set_handler (ctx, fd, &funcs, call_with_notifier, watching, notifier_handler_free, error);
}

/**
 * aio_context_set_event_notifier_poll: (skip)
 * @ctx: a context
 * @notifier: a notifier that is watched
 * @begin: (nullable): called before its handler is polled
 * @end: (nullable): called after that
 *
 * aio_context_set_fd_poll() for a notifier. Any thread. The original's `aio_set_event_notifier_poll`.
 */
void
aio_context_set_event_notifier_poll (AioContext *ctx, AioNotifier *notifier, AioNotifierFunc begin, AioNotifierFunc end)
{
  g_return_if_fail (ctx != NULL && notifier != NULL);

  aio_context_set_poll_functions (ctx, aio_notifier_get_fd (notifier), call_with_notifier, G_CALLBACK (begin),
                                  G_CALLBACK (end));
}
