/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-context-private.h"
#include "driver.h"

/* A source of events in memory, with an eventfd by which it can be kicked: what polling is for. */
typedef struct _Producer Producer;

struct _Producer {
  Driver *d;
  AioNotifier *kick;
  int fd; /* of the kick */
  AioFdHandler funcs;

  gboolean event;     /* there is something to do */
  gboolean knows_all; /* poll looks at the kick too, as a poll function should that has nothing but memory */
  gboolean hot;       /* there is always something to do: ready leaves the event */
  gboolean undrained; /* read leaves the kick */

  /* Called in the functions of their names, before anything else is done there. */
  void (*on_read) (Producer *producer);
  void (*on_poll) (Producer *producer);
  void (*on_ready) (Producer *producer);
  void (*on_begin) (Producer *producer);
  void (*on_end) (Producer *producer);
  Producer *other; /* for their use */
  int data;

  int reads, asked, found, begins, ends, destroyed;
  int depth, max_depth; /* of ready and read on the stack */
  int served;           /* events, by either */
  pthread_t ended_on;
};

extern const AioFdHandler producer_funcs;

/* With a handler for the driver's context; begins and ends are checked to be paired. */
void producer_start (Producer *producer, Driver *d);
void producer_init (Producer *producer, Driver *d); /* the same without the handler */
void producer_watch (Producer *producer);           /* with producer->funcs */
void producer_unwatch (Producer *producer);
void producer_stop (Producer *producer); /* unwatches it as well, if the context is still there */

/* An event as a real producer makes it: with a kick unless it was told that it is polled. */
void producer_event (Producer *producer);
void producer_kick (Producer *producer);

/* What the context has of it. */
AioHandler *producer_handler (Producer *producer);

/* As if its events had taught that; it is the longest time then. */
void producer_set_ns (Producer *producer, gint64 ns);

void driver_set_poll_params (Driver *d, gint64 max_ns);

/* Brings the context into poll mode, and leaves it there: an event by the kick, then one in memory. */
void producer_enter_poll_mode (Producer *producer);

/* A timer that counts *@fired @after_ns from now; the caller frees it. */
AioTimer *driver_deadline_new (Driver *d, gint64 after_ns, int *fired);

/* Has the driver's monitor tell what is ready without a wait, unless it can by itself. */
void driver_give_need_wait (Driver *d);

/* Nothing is left of what polling does: no walk, no hole, nothing ready. */
void driver_assert_polling_at_rest (Driver *d);
