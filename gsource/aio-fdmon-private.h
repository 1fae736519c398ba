/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-handler-private.h"

#include <poll.h>

/*
 * A monitor watches the file descriptors of a context, for poll() by waiting itself and for GLib by
 * what it registers with the source. All functions are for the home thread. Findings go into the
 * ready list through aio_handler_set_ready().
 */
typedef struct {
  AioMonitor type;
  void (*finalize) (AioContext *ctx);
  void (*add) (AioContext *ctx, AioHandler *handler);
  void (*remove) (AioContext *ctx, AioHandler *handler);
  /* The handler's dead or parked has changed. */
  void (*update) (AioContext *ctx, AioHandler *handler);
  /* Waits for at most timeout_ns (-1: for ever); whether the context's own notifier was ready. */
  gboolean (*wait) (AioContext *ctx, gint64 timeout_ns);
  /* Under GLib: registers what the coming poll(2) has to watch. */
  void (*gsource_prepare) (AioContext *ctx);
  /* Under GLib: whether that poll(2) found anything; takes the findings over if @collect. */
  gboolean (*gsource_check) (AioContext *ctx, gboolean collect);
} AioFdMonOps;

extern const AioFdMonOps aio_fdmon_poll_ops;

typedef struct {
  struct pollfd *fds; /* [0] is the context's notifier; a negative fd is not watched */
  AioHandler **handlers;
  guint n, size;
} AioFdMonPoll;
