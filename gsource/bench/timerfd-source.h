/* SPDX-License-Identifier: MIT */
#pragma once

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "bench.h"

/*
 * The least that makes GLib call somebody at an exact time: a GSource with a timerfd, armed anew by each
 * callback. For C and C++.
 */

typedef struct {
  GSource source;
  int fd;
  gint64 delay_ns;
  gint64 expire_ns;
  double *lateness; /* of each firing, in nanoseconds */
  guint n_fired;
  guint n_firings; /* as many as there shall be */
} TimerfdSource;

static inline void
timerfd_source_arm (TimerfdSource *timer, gint64 now_ns)
{
  struct itimerspec when;

  timer->expire_ns = now_ns + timer->delay_ns;
  memset (&when, 0, sizeof when);
  when.it_value.tv_sec = timer->expire_ns / 1000000000;
  when.it_value.tv_nsec = timer->expire_ns % 1000000000;
  if (timerfd_settime (timer->fd, TFD_TIMER_ABSTIME, &when, NULL) != 0)
    g_error ("timerfd_settime: %s", strerror (errno));
}

static inline gboolean
timerfd_source_dispatch (GSource *source, GSourceFunc func, gpointer data)
{
  TimerfdSource *timer = (TimerfdSource *) source;
  guint64 n_expirations;

  (void) func;
  (void) data;
  if (read (timer->fd, &n_expirations, sizeof n_expirations) == sizeof n_expirations)
    {
      gint64 now_ns = bench_now_ns ();

      timer->lateness[timer->n_fired++] = (double) (now_ns - timer->expire_ns);
      if (timer->n_fired < timer->n_firings)
        timerfd_source_arm (timer, now_ns);
    }
  return G_SOURCE_CONTINUE;
}

/* Attached to @main_context. Free with timerfd_source_free(). */
static inline TimerfdSource *
timerfd_source_new (GMainContext *main_context)
{
  static GSourceFuncs funcs = { NULL, NULL, timerfd_source_dispatch, NULL, NULL, NULL };
  GSource *source = g_source_new (&funcs, sizeof (TimerfdSource));
  TimerfdSource *timer = (TimerfdSource *) source;

  timer->fd = timerfd_create (CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (timer->fd < 0)
    g_error ("timerfd_create: %s", strerror (errno));
  g_source_add_unix_fd (source, timer->fd, G_IO_IN);
  g_source_attach (source, main_context);
  return timer;
}

static inline void
timerfd_source_free (TimerfdSource *timer)
{
  int fd = timer->fd;

  g_source_destroy (&timer->source);
  g_source_unref (&timer->source);
  close (fd);
}

/* Fires @n times, each @delay_ns after the callback before. */
static inline void
timerfd_source_run (TimerfdSource *timer, gint64 delay_ns, double *lateness, guint n)
{
  GMainContext *main_context = g_source_get_context (&timer->source);

  timer->delay_ns = delay_ns;
  timer->lateness = lateness;
  timer->n_fired = 0;
  timer->n_firings = n;
  timerfd_source_arm (timer, bench_now_ns ());
  while (timer->n_fired < n)
    g_main_context_iteration (main_context, TRUE);
}
