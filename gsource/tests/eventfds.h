/* SPDX-License-Identifier: MIT */
#pragma once

#include "driver.h"

/* Many file descriptors with a handler each, for tests of what monitors do with their number. */

typedef struct {
  int fd;
  int calls;
} EventFd;

/* Non-blocking and not ready. Of @n; the caller unwatches and frees them. */
EventFd *eventfds_new (guint n);
void eventfds_free (EventFd *eventfds, guint n);

/* Those from @from to below @to: a handler that counts the calls and drains, or does not; or no handler. */
void eventfds_watch (Driver *d, EventFd *eventfds, guint from, guint to);
void eventfds_watch_undrained (Driver *d, EventFd *eventfds, guint from, guint to);
void eventfds_unwatch (Driver *d, EventFd *eventfds, guint from, guint to);

void eventfd_set (EventFd *eventfd);

/* Sets each, and has each called once more within @turns turns. */
void eventfds_assert_all_called (Driver *d, EventFd *eventfds, guint n, guint turns);

/* Nothing but a timer in 200 ms, and fewer than @most_waits waits and prepares. */
void driver_assert_quiet (Driver *d, guint most_waits);

/* Whether the process may have so many file descriptors; the limit is raised if need be. */
gboolean eventfds_may_open (guint n);
