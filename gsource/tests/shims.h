/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-system-private.h"

#include <glib.h>

/*
 * System calls of the library that fail on cue. Calls of the tests themselves are never in question. Shims are
 * set and reset while no other thread is in the library; the calls may come from any thread. Not fit for
 * signal handlers that interrupt them.
 */

typedef enum {
  SHIM_EVENTFD,
  SHIM_READ,
  SHIM_WRITE,
  SHIM_EPOLL_CREATE1,
  SHIM_EPOLL_CTL,
  SHIM_EPOLL_WAIT,
  SHIM_EPOLL_PWAIT2,
  SHIM_PPOLL,
  SHIM_TIMERFD_CREATE,
  SHIM_TIMERFD_SETTIME,
  SHIM_URING_INIT,   /* io_uring_queue_init_params */
  SHIM_URING_SUBMIT, /* io_uring_submit */
  SHIM_URING_ENTER,  /* the calls that also wait, or fetch what is there */
  N_SHIMS,
} ShimCall;

#define SHIM_ALWAYS G_MAXINT

/* Counts calls from now on, all of them. */
void shim_start (void);

/* After @skip more that are real, the next @times calls fail with @error. */
void shim_fail (ShimCall call, int error, int skip, int times);

/* Before each call of epoll_create1(2), which a monitor makes when it is about to be used. */
void shim_before_epoll_create1 (void (*func) (gpointer data), gpointer data);

/* Rings that are made from now on have so few entries, and seem to lack these IORING_FEAT_. */
void shim_ring_entries (guint entries);
void shim_ring_lacks (guint features);

/* Since the start, and those of them that were made to fail. */
int shim_calls (ShimCall call);
int shim_failures (ShimCall call);

/* The real calls again; every test that starts ends with it. */
void shim_stop (void);
