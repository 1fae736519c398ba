/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-atomic.h"
#include "aio-handler.h"

typedef struct _AioHandler AioHandler;

/*
 * The callbacks of one file descriptor. A second registration of the number makes a new one, so that
 * readiness found for the old one is never given to the new one.
 */
struct _AioHandler {
  GPollFD poll_fd; /* registered with the source while in_source; its events are what is wanted */
  AioFdHandler funcs;
  gpointer data;
  GDestroyNotify destroy;
  char *name;
  gint ref_count;           /* the table's (or, once deleted, the monitor's) and one a frame in a callback */
  _Atomic gboolean deleted; /* stored under list_lock, loaded by home */

  /* list_lock */
  gboolean changed;
  AioHandler *next_change;

  /* home thread */
  gboolean monitored;    /* the monitor watches it */
  gboolean in_source;    /* poll_fd is registered with the GSource */
  gboolean dead;         /* its file descriptor is invalid; not watched any more */
  gboolean parked;       /* left out of nested waits: too many of its callbacks are on the stack */
  gboolean held_back;    /* it is external, and external clients are disabled */
  int depth;             /* its callbacks on the stack */
  guint index;           /* in the arrays of the poll monitor */
  guint32 generation;    /* in its entry of the epoll set; 0: it has none */
  gboolean always_ready; /* epoll refuses it: a regular file or a directory, which never blocks */
  gboolean queued;       /* in the ready list */
  gushort revents;       /* what it was found ready for */
  AioHandler *prev_ready, *next_ready;
};

/* Home thread. Handlers that were found ready; those taken off by a nested poll are not run again. */
typedef struct {
  AioHandler *head, *tail;
} AioReadyList;

/* Home thread: what a monitor found; 0 takes earlier findings back. Masks what nobody asked for. */
void aio_handler_set_ready (AioContext *ctx, AioHandler *handler, gushort revents);

/*
 * Home thread, before a wait that looks at every handler: drops what earlier waits have found. What is
 * still ready is found again; that a handler has to die is not.
 */
void aio_context_forget_ready (AioContext *ctx);

/* Home thread: brings the monitor up to date with all registrations and removals. */
void aio_context_apply_changes (AioContext *ctx);

/* Home thread: whether the handler is to be watched by a wait that begins now. */
static inline gboolean
aio_handler_is_watched (AioHandler *handler)
{
  return !handler->dead && !handler->parked && !handler->held_back;
}

/* Home thread: holds external handlers back, or no longer, as the count of disables says by now. */
void aio_context_apply_external (AioContext *ctx);

/* Home thread: calls what is in the ready list; whether a callback was called. */
gboolean aio_context_dispatch_ready (AioContext *ctx);

/* Home thread or finalize: removes every handler; @report warns of each. */
void aio_context_clear_handlers (AioContext *ctx, gboolean report);
