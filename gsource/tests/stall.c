/* SPDX-License-Identifier: MIT */
#include "stall.h"

#include "aio-context-private.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define STALL_MS (SANITIZED ? 10000 : 2000)

guint64
stress_size (guint64 by_default)
{
  const char *wanted = g_getenv ("AIO_STRESS");

  if (wanted != NULL)
    return g_ascii_strtoull (wanted, NULL, 10);
  return SANITIZED ? by_default / 4 : by_default;
}

struct _Stall {
  AioContext *ctx;
  const guint64 *progress;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  gboolean ended;
};

static gboolean
eventfd_is_set (AioContext *ctx)
{
  struct pollfd pfd = { .fd = ctx->notifier_poll_fd.fd, .events = POLLIN };

  return poll (&pfd, 1, 0) == 1;
}

/* What home alone may look at is left out: home may be anywhere. */
static void
report (Stall *stall, guint64 progress)
{
  AioContext *ctx = stall->ctx;
  AioStats stats;

  aio_context_get_stats (ctx, &stats);
  g_error ("no progress for %d ms at %" G_GUINT64_FORMAT ": notify_me %u, notified %d, eventfd %s, bottom halves %s, "
           "handlers changed %d, dispatching %d; %" G_GUINT64_FORMAT " waits, %" G_GUINT64_FORMAT
           " prepares, %" G_GUINT64_FORMAT " eventfd writes, %" G_GUINT64_FORMAT " reads",
           STALL_MS, progress, aio_context_get_notify_me (ctx), aio_context_get_notified (ctx),
           eventfd_is_set (ctx) ? "set" : "clear",
           atomic_load_explicit (&ctx->bh_list, memory_order_acquire) ? "queued" : "none",
           atomic_load_explicit (&ctx->n_changes, memory_order_acquire), aio_context_get_dispatching (ctx), stats.waits,
           stats.prepares, stats.eventfd_writes, stats.eventfd_reads);
}

static void
watch (gpointer data)
{
  Stall *stall = data;
  guint64 seen = 0;
  gint64 since_ms = driver_now_ms ();

  pthread_mutex_lock (&stall->lock);
  while (!stall->ended)
    {
      guint64 progress = __atomic_load_n (stall->progress, __ATOMIC_ACQUIRE);
      struct timespec until;

      if (progress != seen)
        since_ms = driver_now_ms ();
      else if (driver_now_ms () - since_ms > STALL_MS)
        report (stall, progress);
      seen = progress;

      clock_gettime (CLOCK_REALTIME, &until);
      until.tv_nsec += 100000000;
      if (until.tv_nsec >= 1000000000)
        {
          until.tv_nsec -= 1000000000;
          until.tv_sec++;
        }
      pthread_cond_timedwait (&stall->changed, &stall->lock, &until);
    }
  pthread_mutex_unlock (&stall->lock);
}

Stall *
stall_watch (AioContext *ctx, const guint64 *progress)
{
  Stall *stall = g_new0 (Stall, 1);

  stall->ctx = ctx;
  stall->progress = progress;
  pthread_mutex_init (&stall->lock, NULL);
  pthread_cond_init (&stall->changed, NULL);
  driver_watchdog (3600); /* this one is stricter */
  stall->thread = driver_thread_start (watch, stall);
  return stall;
}

void
stall_end (Stall *stall)
{
  pthread_mutex_lock (&stall->lock);
  stall->ended = TRUE;
  pthread_cond_broadcast (&stall->changed);
  pthread_mutex_unlock (&stall->lock);
  driver_thread_join (stall->thread);
  pthread_cond_destroy (&stall->changed);
  pthread_mutex_destroy (&stall->lock);
  g_free (stall);
  driver_watchdog (60);
}
