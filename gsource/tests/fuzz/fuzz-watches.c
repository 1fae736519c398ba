/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

/* What has to be true of handlers of file descriptors and of notifiers. */

FuzzWatch *
fuzz_find_watch (FuzzContext *c, int fd)
{
  for (guint i = fuzz.all_watches->len; i-- > 0;)
    {
      FuzzWatch *watch = g_ptr_array_index (fuzz.all_watches, i);

      if (watch->c == c && watch->fd == fd && watch->live)
        return watch;
    }
  return NULL;
}

FuzzWatch *
fuzz_watch_new (FuzzContext *c, int fd, AioNotifier *notifier, guint flags)
{
  FuzzWatch *watch = g_new0 (FuzzWatch, 1);

  watch->c = c;
  watch->fd = fd;
  watch->notifier = notifier ? aio_notifier_ref (notifier) : NULL;
  watch->flags = flags;
  watch->script = fuzz_arg (FUZZ_N_SCRIPTS);
  watch->drains = fuzz_arg (4) != 0;
  watch->functions = flags & FUZZ_POLL ? fuzz_arg (3) : 0;
  g_ptr_array_add (fuzz.all_watches, watch);
  return watch;
}

/* It only reads. */
FuzzWatch *
fuzz_plain_watch_new (FuzzContext *c, int fd)
{
  FuzzWatch *watch = g_new0 (FuzzWatch, 1);

  *watch =
      (FuzzWatch){ .c = c, .fd = fd, .flags = FUZZ_READ | FUZZ_ERROR, .script = FUZZ_N_SCRIPTS - 1, .drains = TRUE };
  g_ptr_array_add (fuzz.all_watches, watch);
  return watch;
}

gushort
fuzz_watch_wants (FuzzWatch *watch)
{
  return (watch->flags & FUZZ_READ ? POLLIN | POLLHUP | POLLERR : 0)
         | (watch->flags & FUZZ_WRITE ? POLLOUT | POLLERR : 0);
}

gushort
fuzz_look_at_fd (int number, gushort events, int timeout_ms)
{
  struct pollfd fd = { .fd = number, .events = events };
  int n;

  do
    n = poll (&fd, 1, timeout_ms);
  while (n < 0 && errno == EINTR); /* by libFuzzer's own clock */
  return n > 0 ? fd.revents : 0;
}

gboolean
fuzz_watch_is_ready (FuzzWatch *watch)
{
  gushort events = fuzz_watch_wants (watch);

  return events != 0 && fuzz_look_at_fd (watch->fd, events, 0) != 0;
}

static gboolean
is_held_back (FuzzWatch *watch)
{
  return watch->flags & FUZZ_EXTERNAL && watch->c->external_disables > 0;
}

gboolean
fuzz_watch_may_be_served (FuzzWatch *watch)
{
  return watch->live && !watch->orphan && !is_held_back (watch) && watch->depth < AIO_HANDLER_MAX_DEPTH;
}

void
fuzz_touch_fd (int fd)
{
  for (guint i = 0; i < FUZZ_N_FDS; i++)
    if (fuzz.fds[i].fd == fd)
      fuzz.fds[i].touched = fuzz.fds[fuzz.fds[i].peer].touched = ++fuzz.order;
}

/* Whether anything was there. */
gboolean
fuzz_drain (int fd)
{
  char buffer[4096];
  gboolean any = FALSE;

  fuzz_touch_fd (fd);
  /* With it goes the kick for what is in memory. */
  for (guint i = 0; i < fuzz.all_watches->len; i++)
    if (((FuzzWatch *) g_ptr_array_index (fuzz.all_watches, i))->fd == fd)
      ((FuzzWatch *) g_ptr_array_index (fuzz.all_watches, i))->event = 0;
  for (guint i = 0; i < 64 && read (fd, buffer, sizeof buffer) > 0; i++)
    any = TRUE;
  return any;
}

static guint64
outermost_stamp (void)
{
  FuzzTurn *turn = fuzz.turn;

  while (turn->outer)
    turn = turn->outer;
  return turn->stamp;
}

/* Whether somebody may have taken, since the pass began, what was there; or through another descriptor of the file. */
static gboolean
may_be_drained (int number)
{
  gboolean known = FALSE, shared = FALSE;

  for (guint i = 0; i < FUZZ_N_FDS; i++)
    {
      shared |= fuzz.fds[i].lives_on;
      if (fuzz.fds[i].fd == number)
        known = fuzz.fds[i].touched < outermost_stamp ();
    }
  return !known || shared;
}

/* Unless the finding may be old. */
static void
check_ready (FuzzWatch *watch, gushort events)
{
  if (watch->orphan || fuzz.by_hand || fuzz.other || (!fuzz.turn->c && fuzz.all_contexts->len > 1)
      || may_be_drained (watch->fd))
    return;
  fuzz_require (fuzz_look_at_fd (watch->fd, events, 0) & events, "the handler of fd %d is called, but it is not ready",
                watch->fd);
}

/* At the end, when no script runs: what cannot be drained is watched no more. */
static void
stop_if_ready (FuzzWatch *watch)
{
  if (watch->live && (watch->orphan || fuzz_look_at_fd (watch->fd, fuzz_watch_wants (watch), 0) != 0))
    {
      watch->live = FALSE;
      aio_context_set_fd_handler (watch->c->ctx, watch->fd, NULL, NULL, NULL, NULL);
    }
}

static void
called (FuzzWatch *watch, const char *what, gboolean is_progress)
{
  fuzz_trace ("%s of fd %d of %s", what, watch->fd, watch->c->name);
  fuzz_enter_callback (watch->c, is_progress);
  fuzz_require (watch->live && !watch->destroyed, "the handler of fd %d is called after it was removed", watch->fd);
  fuzz_require (!watch->dead, "the handler of fd %d is called after its death", watch->fd);
  fuzz_require (!is_held_back (watch), "the handler of fd %d is external and is called while they are disabled",
                watch->fd);
}

static void
dispatched (FuzzWatch *watch, const char *what, gboolean drain)
{
  called (watch, what, TRUE);
  watch->c->handlers_dispatched++;
  watch->calls++;
  watch->depth++;
  fuzz_require (watch->depth <= AIO_HANDLER_MAX_DEPTH, "the handler of fd %d is %u deep in itself", watch->fd,
                watch->depth);
  if (drain && (watch->drains || fuzz.ending))
    fuzz_drain (watch->fd);
  if (fuzz.ending)
    stop_if_ready (watch);
  fuzz_run_script (watch->script);
  watch->depth--;
}

static void
watch_read (int fd, gpointer data)
{
  FuzzWatch *watch = data;

  fuzz_require (fd == watch->fd, "the handler of fd %d is called for fd %d", watch->fd, fd);
  check_ready (watch, POLLIN | POLLHUP | POLLERR);
  watch->event = 0;
  watch->yes = FALSE;
  dispatched (watch, "read", TRUE);
}

static void
watch_write (int fd, gpointer data)
{
  FuzzWatch *watch = data;

  fuzz_require (fd == watch->fd, "the handler of fd %d is called for fd %d", watch->fd, fd);
  check_ready (watch, POLLOUT | POLLERR | (watch->flags & FUZZ_READ ? 0 : POLLHUP));
  dispatched (watch, "write", FALSE);
}

void
fuzz_watch_died (FuzzWatch *watch)
{
  fuzz_require (watch->live && watch->orphan && !watch->dead, "the handler of fd %d dies, which is open", watch->fd);
  fuzz_require (fuzz.turn != NULL, "the handler of fd %d dies outside every turn", watch->fd);
  fuzz.turn->progress = TRUE;
  watch->dead = TRUE;
}

static void
watch_error (int fd, const GError *error, gpointer data)
{
  FuzzWatch *watch = data;

  called (watch, "error", TRUE);
  fuzz_require (error && error->domain == AIO_ERROR && aio_error_get_errno (error) == EBADF,
                "not the error of a death");
  fuzz_watch_died (watch);
  watch->depth++;
  fuzz_run_script (watch->script);
  watch->depth--;
}

/* Polling */

static gboolean
watch_poll (int fd, gpointer data)
{
  FuzzWatch *watch = data;
  gboolean busy = watch->busy;

  fuzz_require (fd == watch->fd, "the handler of fd %d is asked for fd %d", watch->fd, fd);
  called (watch, "poll", FALSE);
  fuzz_require (!busy, "the handler of fd %d is asked in one of its own functions", watch->fd);
  watch->busy = TRUE;
  fuzz_run_script (watch->script);
  watch->busy = busy;
  if (watch->event == 0)
    return FALSE;
  watch->yes = TRUE;
  return TRUE;
}

static void
watch_poll_ready (int fd, gpointer data)
{
  FuzzWatch *watch = data;
  gboolean busy = watch->busy;

  fuzz_require (fd == watch->fd, "the handler of fd %d is called for fd %d", watch->fd, fd);
  fuzz_require (watch->yes, "the handler of fd %d is called, and has not said that it is ready", watch->fd);
  watch->event = 0;
  watch->yes = FALSE;
  watch->busy = TRUE;
  dispatched (watch, "poll_ready", TRUE);
  watch->busy = busy;
}

static void
begin (FuzzWatch *watch, guint pair)
{
  gboolean busy = watch->busy;

  fuzz_trace ("poll_begin %u of fd %d", pair, watch->fd);
  fuzz_require (watch->live && !watch->destroyed, "polling of fd %d begins after it was removed", watch->fd);
  fuzz_require (watch->begun == 0, "polling of fd %d begins twice", watch->fd);
  fuzz_require (!is_held_back (watch), "polling of fd %d begins while external clients are disabled", watch->fd);
  watch->begun = pair;
  watch->busy = TRUE;
  fuzz_run_script (watch->script);
  watch->busy = busy;
}

static void
end (FuzzWatch *watch, guint pair)
{
  gboolean busy = watch->busy;

  fuzz_trace ("poll_end %u of fd %d", pair, watch->fd);
  fuzz_require (!watch->destroyed, "polling of fd %d ends after it was freed", watch->fd);
  fuzz_require (watch->begun == pair, "polling of fd %d ends with the functions %u, and began with %u", watch->fd, pair,
                watch->begun);
  watch->begun = 0;
  watch->busy = TRUE;
  if (watch->c->ctx)
    fuzz_run_script (watch->script);
  watch->busy = busy;
}

static void
watch_begin_1 (int fd, gpointer data)
{
  begin (data, 1);
}

static void
watch_end_1 (int fd, gpointer data)
{
  end (data, 1);
}

static void
watch_begin_2 (int fd, gpointer data)
{
  begin (data, 2);
}

static void
watch_end_2 (int fd, gpointer data)
{
  end (data, 2);
}

/* The same for notifiers */

static void
check_notifier (AioNotifier *notifier, FuzzWatch *watch)
{
  fuzz_require (notifier == watch->notifier, "the handler of fd %d is called for another notifier", watch->fd);
}

static void
notified (AioNotifier *notifier, gpointer data)
{
  check_notifier (notifier, data);
  watch_read (((FuzzWatch *) data)->fd, data);
}

static void
notifier_error (AioNotifier *notifier, const GError *error, gpointer data)
{
  check_notifier (notifier, data);
  watch_error (((FuzzWatch *) data)->fd, error, data);
}

static gboolean
notifier_poll (AioNotifier *notifier, gpointer data)
{
  check_notifier (notifier, data);
  return watch_poll (((FuzzWatch *) data)->fd, data);
}

static void
notifier_poll_ready (AioNotifier *notifier, gpointer data)
{
  check_notifier (notifier, data);
  watch_poll_ready (((FuzzWatch *) data)->fd, data);
}

static void
notifier_begin_1 (AioNotifier *notifier, gpointer data)
{
  check_notifier (notifier, data);
  begin (data, 1);
}

static void
notifier_end_1 (AioNotifier *notifier, gpointer data)
{
  check_notifier (notifier, data);
  end (data, 1);
}

static void
notifier_begin_2 (AioNotifier *notifier, gpointer data)
{
  check_notifier (notifier, data);
  begin (data, 2);
}

static void
notifier_end_2 (AioNotifier *notifier, gpointer data)
{
  check_notifier (notifier, data);
  end (data, 2);
}

/* Registrations */

void
fuzz_watch_functions (guint pair, gboolean notifier, GCallback *begin_func, GCallback *end_func)
{
  static const struct {
    AioHandlerFunc begin, end;
  } of_fd[] = { { NULL, NULL }, { watch_begin_1, watch_end_1 }, { watch_begin_2, watch_end_2 } };
  static const struct {
    AioNotifierFunc begin, end;
  } of_notifier[] = { { NULL, NULL }, { notifier_begin_1, notifier_end_1 }, { notifier_begin_2, notifier_end_2 } };

  *begin_func = notifier ? G_CALLBACK (of_notifier[pair].begin) : G_CALLBACK (of_fd[pair].begin);
  *end_func = notifier ? G_CALLBACK (of_notifier[pair].end) : G_CALLBACK (of_fd[pair].end);
}

void
fuzz_fill_fd_handler (FuzzWatch *watch, AioFdHandler *handler)
{
  GCallback begin_func, end_func;

  fuzz_watch_functions (watch->functions, FALSE, &begin_func, &end_func);
  *handler = (AioFdHandler){
    .read = watch->flags & FUZZ_READ ? watch_read : NULL,
    .write = watch->flags & FUZZ_WRITE ? watch_write : NULL,
    .error = watch->flags & FUZZ_ERROR ? watch_error : NULL,
    .poll = watch->flags & FUZZ_POLL ? watch_poll : NULL,
    .poll_ready = watch->flags & FUZZ_POLL ? watch_poll_ready : NULL,
    .poll_begin = (AioHandlerFunc) begin_func,
    .poll_end = (AioHandlerFunc) end_func,
    .external = (watch->flags & FUZZ_EXTERNAL) != 0,
    .name = "fuzz",
  };
}

void
fuzz_fill_notifier_handler (FuzzWatch *watch, AioNotifierHandler *handler)
{
  GCallback begin_func, end_func;

  fuzz_watch_functions (watch->functions, TRUE, &begin_func, &end_func);
  *handler = (AioNotifierHandler){
    .func = watch->flags & FUZZ_READ ? notified : NULL,
    .error = watch->flags & FUZZ_ERROR ? notifier_error : NULL,
    .poll = watch->flags & FUZZ_POLL ? notifier_poll : NULL,
    .poll_ready = watch->flags & FUZZ_POLL ? notifier_poll_ready : NULL,
    .poll_begin = (AioNotifierFunc) begin_func,
    .poll_end = (AioNotifierFunc) end_func,
    .external = (watch->flags & FUZZ_EXTERNAL) != 0,
    .name = "fuzz",
  };
}

void
fuzz_fd_func_called (int fd, GIOCondition condition, gpointer data)
{
  FuzzWatch *watch = data;

  if (condition == G_IO_NVAL)
    {
      called (watch, "error", TRUE);
      fuzz_watch_died (watch);
    }
  else if (condition == G_IO_IN)
    watch_read (fd, watch);
  else
    {
      fuzz_require (condition == G_IO_OUT, "a handler is called for the condition %d", condition);
      watch_write (fd, watch);
    }
}

void
fuzz_watch_destroyed (gpointer data)
{
  FuzzWatch *watch = data;

  fuzz_trace ("the handler of fd %d is freed", watch->fd);
  fuzz_require (!watch->destroyed, "the handler of fd %d is freed twice", watch->fd);
  fuzz_require (!watch->live || watch->c->closed || watch->c->leaks, "the handler of fd %d is freed and not removed",
                watch->fd);
  fuzz_require (watch->begun == 0, "the handler of fd %d is freed in poll mode", watch->fd);
  fuzz_require (watch->depth == 0, "the handler of fd %d is freed in its own callback", watch->fd);
  watch->destroyed = TRUE;
  fuzz_run_destroy_script (watch->c, watch->script);
}

/* There is something in memory. Who is not told of polling, or not now, is kicked through the file descriptor. */
void
fuzz_watch_event (FuzzWatch *watch)
{
  if (!(watch->flags & FUZZ_POLL) || !(watch->flags & FUZZ_READ || fuzz_watch_wants (watch) == 0) || watch->orphan)
    return;
  if (watch->begun == 0 && watch->flags & FUZZ_READ)
    {
      if (watch->notifier)
        aio_notifier_set (watch->notifier, NULL);
      for (guint i = 0; i < FUZZ_N_FDS; i++)
        if (fuzz.fds[i].fd == watch->fd)
          {
            fuzz_touch_fd (watch->fd);
            (void) !write (fuzz.fds[fuzz.fds[i].peer].fd, "\1\0\0\0\0\0\0", 8);
          }
      /* The other end may have been closed, or be somebody else's by now. */
      if (fuzz_look_at_fd (watch->fd, POLLIN, 0) == 0)
        return;
    }
  /* Who was told not to kick relies on a look before anybody sleeps; else it is for a pass that begins after this. */
  if (watch->event == 0)
    watch->event = watch->begun ? 1 : fuzz.n_turns + 1;
}
