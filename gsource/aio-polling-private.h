/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-handler-private.h"

/*
 * Userspace polling: before a wait that could block, the poll functions of handlers are asked again and again for a
 * while, which spares the system call, and the producer its kick, where an event comes soon.
 *
 * While the context is in poll mode (poll_started), a handler that was asked is told so by its begin function: its
 * producer need not make the file descriptor ready any more. It is told by its end function before the thread sleeps,
 * and asked once more then, for what came in between. Begin and end are always paired, whatever becomes of the handler.
 */

/* What a handler with a poll function has. Home thread, where nothing else is said. */
struct _AioPolling {
  AioPollFunc poll;               /* constant */
  AioHandlerFunc ready;           /* constant */
  AioPollingCall call;            /* constant: how begin and end are called */
  GCallback begin, end;           /* nullable */
  GCallback next_begin, next_end; /* list_lock: what is to take their place */
  guint8 replaced;                /* list_lock: whether it is */
  guint8 listed;                  /* it is asked: in poll_aio_handlers */
  guint8 begun;                   /* begin was called, or would have been, and end was not */
  guint8 found;                   /* poll said that it is ready, and ready was not called */
  guint8 busy;                    /* one of its functions is on the stack: not asked meanwhile */
  guint8 owed;                    /* it is new or end was called, and it has not been asked since */
  guint index;                    /* in poll_aio_handlers */
  gint64 ns;                      /* how long to poll for its sake */
  gint64 idle_at_ns;              /* when it counts as idle; 0: to be set */
};

/* The handlers that are asked; with holes (NULL) while somebody walks. Home thread. */
typedef struct {
  AioHandler **handlers;
  guint n, size, n_holes, walks;
  guint n_due;       /* those to be asked before any wait: owed, or watching no file descriptor */
  guint n_appended;  /* how many there have ever been; wraps around */
  guint n_begun;     /* those whose begin was called, and whose end was not */
  gboolean ns_stale; /* the longest polling time has to be looked for again */
  gint64 now_ns;     /* the time, for who walks */
} AioPolledHandlers;

/* As given to aio_context_set_poll_params(). */
typedef struct {
  gint64 max_ns, grow, shrink;
} AioPollParams;

/* Home thread: the handler's registration is in force, has been changed, or has ended. */
void aio_polling_add (AioContext *ctx, AioHandler *handler);
void aio_polling_apply_functions (AioContext *ctx, AioHandler *handler);
void aio_polling_remove (AioContext *ctx, AioHandler *handler);

/* Home thread: a handler is called in a poll() that took @block_ns until then, or -1. */
void aio_polling_note_dispatch (AioContext *ctx, AioHandler *handler, gint64 block_ns);

/* Home thread: after dispatches that were noted. */
void aio_polling_update_ns (AioContext *ctx);

/* What a context has seen by a certain moment: see aio_context_has_seen_more(). */
typedef struct {
  guint n_accepted, n_removed;
  guint64 n_callbacks;
} AioSeen;

/* What one poll() has done before its wait. */
typedef struct {
  AioSeen before;        /* what was seen when it began */
  gint64 start_ns;       /* when it asked first; -1 if nobody wants to know */
  guint n_appended;      /* the handlers registered until then */
  gconstpointer bh_list; /* the bottom half scheduled last until then */
  gboolean had_ready;    /* an outer wait had found handlers ready */
  gboolean asked_all;    /* every handler that can be asked was */
} AioPollingPass;

/* Home thread, before a wait of at most @timeout_ns: asks the handlers; whether the wait may block. */
gboolean aio_polling_before_wait (AioContext *ctx, gint64 timeout_ns, AioSeen before, AioPollingPass *pass);

/*
 * Home thread, if it may not: whether there is no need to look at file descriptors either. @blocking: whether the
 * caller of poll() had it block if need be.
 */
gboolean aio_polling_spares_wait (AioContext *ctx, const AioPollingPass *pass, gboolean blocking);

/* Home thread: how long the poll() has taken so far, or -1. */
gint64 aio_polling_block_ns (const AioPollingPass *pass);

/*
 * Home thread: whether somebody relies on being asked, so that nobody may sleep. In the end function of one of them poll
 * mode is over, and others are not yet told.
 */
gboolean aio_polling_is_on (AioContext *ctx);

/* Home thread, before somebody else waits: ends poll mode, unless there is something to run. */
void aio_polling_prepare (AioContext *ctx);

/* Finalize. */
void aio_polling_clear (AioContext *ctx);
