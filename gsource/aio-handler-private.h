/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-atomic.h"
#include "aio-handler.h"

typedef struct _AioHandler AioHandler;
typedef struct _AioPolling AioPolling;

/* Calls a function that is told of the begin or the end of polling. */
typedef void (*AioPollingCall) (AioHandler *handler, GCallback func);

/*
 * The callbacks of one file descriptor. A second registration of the number makes a new one, so that
 * readiness found for the old one is never given to the new one.
 */
struct _AioHandler {
  GPollFD poll_fd; /* registered with the source while in_source; its events are what is wanted */
  struct {
    AioHandlerFunc read, write;
    AioHandlerErrorFunc error;
  } funcs;
  AioPolling *polling; /* constant; NULL: it has no poll function */
  gpointer data;
  GDestroyNotify destroy;
  gint ref_count; /* the table's (or, once deleted, the monitor's) and one a frame in a callback */

  /*
   * There may be tens of thousands: what is small lies together (benchmark memory). What different threads
   * write is no bit-fields of the same word.
   */
  _Atomic guint8 deleted; /* stored under list_lock, loaded by home */
  guint8 changed;         /* list_lock */
  guint8 external;        /* constant */

  /* home thread */
  guint8 depth;            /* its callbacks on the stack */
  gushort revents;         /* what it was found ready for */
  guint8 monitored : 1;    /* the monitor watches it */
  guint8 in_source : 1;    /* poll_fd is registered with the GSource */
  guint8 dead : 1;         /* its file descriptor is invalid; not watched any more */
  guint8 parked : 1;       /* left out of nested waits: too many of its callbacks are on the stack */
  guint8 held_back : 1;    /* it is external, and external clients are disabled */
  guint8 always_ready : 1; /* epoll refuses it: a regular file or a directory, which never blocks */
  guint8 queued : 1;       /* in the ready list */
  guint8 late : 1;         /* since the last dispatch began */
  guint8 passed_over : 1;  /* a dispatch has left it out, as it was to be found anew in a callback before its turn */
  guint8 walk_mark : 1;    /* while monitored: the context's, once a walk has come to it */
  guint8 to_arm : 1;       /* the io_uring monitor has to give it a poll in the ring */
  guint index;             /* in the arrays of the poll monitor; in io_uring's of those to arm */
  guint32 generation;      /* in its entry of the epoll set, or its poll in the ring; 0: it has none */
  AioHandler *prev_ready, *next_ready;

  AioHandler *next_change; /* list_lock */

  char name[]; /* empty: it has none */
};

/*
 * The handlers of a context by file descriptor. Other threads change the entries, and replace the table by a larger one,
 * with list_lock held; the home thread reads without it, inside a visit. Handlers are freed by the home thread alone: one
 * that it finds in a table, or had found there before it was taken out, stays valid until aio_context_apply_changes().
 */
typedef struct _AioHandlerTable AioHandlerTable;
struct _AioHandlerTable {
  AioHandlerTable *next_retired; /* list_lock */
  guint size;
  _Atomic (AioHandler *) entries[]; /* stored with release under list_lock, loaded with acquire */
};

/* Inside a visit, or with list_lock held: how many entries the table has at least. It may be replaced meanwhile. */
guint aio_context_table_size (AioContext *ctx);

/* With list_lock held: puts @handler (or none) in the place of @old, which is what @fd had. */
void aio_context_put_handler (AioContext *ctx, guint fd, AioHandler *old, AioHandler *handler);

/* Inside a visit, or with list_lock held: the handler of @fd; NULL if it has none. */
AioHandler *aio_context_get_handler (AioContext *ctx, guint fd);

/*
 * Home thread, inside a visit: what a monitor's report of @fd with @generation belongs to; NULL if it is gone. Then
 * n_changes tells whether the monitor may only not have been told yet.
 */
AioHandler *aio_context_find_handler (AioContext *ctx, int fd, guint32 generation);

/* The end of a visit that may be the last while there are tables to free. */
void aio_context_leave_and_free_tables (AioContext *ctx);

/* Finalize: frees every table. */
void aio_context_free_tables (AioContext *ctx);

/* Home thread. Handlers that were found ready; those taken off by a nested poll are not run again. */
typedef struct {
  AioHandler *head, *tail;
  AioHandler *passed_over; /* the last one that is, which all are in front of the others */
} AioReadyList;

/* Any thread: as aio_context_set_fd_handler(), aio_context_set_fd_poll(), for functions to be called in a way of their own. */
gboolean aio_context_set_handler (AioContext *ctx, int fd, const AioFdHandler *funcs, AioPollingCall call,
                                  gpointer data, GDestroyNotify destroy, GError **error);
void aio_context_set_poll_functions (AioContext *ctx, int fd, AioPollingCall call, GCallback begin, GCallback end);

AioHandler *aio_handler_ref (AioHandler *handler);
void aio_handler_unref (AioHandler *handler);

/* Home thread: what a monitor found; 0 takes earlier findings back. Masks what nobody asked for. */
void aio_handler_set_ready (AioContext *ctx, AioHandler *handler, gushort revents);

/* Home thread: its poll function has said that it is ready, which is true until it was told so. */
void aio_handler_set_found (AioContext *ctx, AioHandler *handler);

/*
 * Home thread, before a wait that looks at every handler: drops what earlier waits have found. What is
 * still ready is found again; that a handler has to die is not, nor what a poll function has said.
 */
void aio_context_forget_ready (AioContext *ctx);

/* Home thread: brings the monitor up to date with all registrations and removals. */
void aio_context_apply_changes (AioContext *ctx);

/* Home thread: whether the handler is to be watched by a wait that begins now. */
static inline gboolean
aio_handler_is_watched (AioHandler *handler)
{
  return handler->poll_fd.events != 0 && !handler->dead && !handler->parked && !handler->held_back;
}

/* Home thread: it is gone. */
void aio_handler_unqueue (AioContext *ctx, AioHandler *handler);

/* Home thread: whether it is held back has changed. */
void aio_handler_set_held_back (AioContext *ctx, AioHandler *handler, gboolean held_back);

/* Home thread: holds external handlers back, or no longer, as the count of disables says by now. */
void aio_context_apply_external (AioContext *ctx);

/* Home thread: calls what is in the ready list; whether a callback was called. */
gboolean aio_context_dispatch_ready (AioContext *ctx);

/* Home thread or finalize: removes every handler; @report warns of each. */
void aio_context_clear_handlers (AioContext *ctx, gboolean report);
