/* SPDX-License-Identifier: MIT */
#include "aio-context-private.h"
#include "aio-system-private.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

void
aio_deadline_init (AioDeadline *deadline, int clock_id)
{
  *deadline = (AioDeadline){ .clock_id = clock_id, .poll_fd = { .fd = -1, .events = G_IO_IN }, .armed_ns = -1 };
}

void
aio_deadline_finalize (AioDeadline *deadline)
{
  if (deadline->poll_fd.fd >= 0)
    close (deadline->poll_fd.fd);
  deadline->poll_fd.fd = -1;
}

static gboolean
make (AioDeadline *deadline, AioContext *ctx)
{
  if (deadline->poll_fd.fd >= 0)
    return TRUE;

  deadline->poll_fd.fd = AIO_SYSTEM (timerfd_create) (deadline->clock_id, TFD_CLOEXEC | TFD_NONBLOCK);
  if (deadline->poll_fd.fd < 0)
    return FALSE;
  if (!g_source_is_destroyed (&ctx->source))
    g_source_add_poll (&ctx->source, &deadline->poll_fd);
  return TRUE;
}

/* Whether it is set. */
static gboolean
set (AioDeadline *deadline, gint64 expire_ns)
{
  /* A time of zero disarms a timerfd; the first nanosecond is as much in the past. */
  gint64 ns = expire_ns < 0 ? 0 : MAX (expire_ns, 1);
  struct itimerspec when = { .it_value = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 } };
  int flags = TFD_TIMER_ABSTIME | (deadline->clock_id == CLOCK_REALTIME ? TFD_TIMER_CANCEL_ON_SET : 0);
  gboolean done;

  /* ECANCELED: the wall clock was set since the last time, and the timerfd is armed nevertheless. */
  done = AIO_SYSTEM (timerfd_settime) (deadline->poll_fd.fd, flags, &when, NULL) == 0 || errno == ECANCELED;
  deadline->armed_ns = done ? expire_ns : -1;
  return done;
}

gboolean
aio_deadline_arm (AioDeadline *deadline, AioContext *ctx, gint64 expire_ns, gint64 now_ns)
{
  gboolean expired = deadline->armed_ns >= 0 && deadline->armed_ns <= now_ns;

  if (expire_ns < 0 && !expired)
    return TRUE;
  if (deadline->armed_ns >= 0 && !expired && deadline->armed_ns <= expire_ns)
    return TRUE;
  if (!make (deadline, ctx))
    return FALSE;
  return set (deadline, expire_ns);
}

gboolean
aio_deadline_check (AioDeadline *deadline)
{
  guint64 expirations;

  if (!(deadline->poll_fd.revents & G_IO_IN))
    return FALSE;
  deadline->poll_fd.revents = 0;
  /* ECANCELED: the wall clock was set; whoever waits has to compute anew. EAGAIN: it was armed again since. */
  if (AIO_SYSTEM (read) (deadline->poll_fd.fd, &expirations, sizeof expirations) >= 0 || errno == ECANCELED)
    deadline->armed_ns = -1;
  return TRUE;
}
