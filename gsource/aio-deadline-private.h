/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-context.h"

/*
 * A timerfd by which GLib, whose own timeouts are whole milliseconds, meets a deadline exactly. Home
 * thread. It is made when the first deadline needs it.
 */
typedef struct {
  int clock_id;
  GPollFD poll_fd; /* fd -1: not made; registered with the source from then on */
  gint64 armed_ns; /* -1: not armed */
} AioDeadline;

void aio_deadline_init (AioDeadline *deadline, int clock_id);
void aio_deadline_finalize (AioDeadline *deadline);

/*
 * Has the timerfd wake GLib at @expire_ns (-1: never). A later time than the one that is armed does not
 * re-arm it: the early wake-up costs less than a system call for each change. FALSE if there is no timerfd
 * to be had, or it cannot be set; that is tried again the next time.
 */
gboolean aio_deadline_arm (AioDeadline *deadline, AioContext *ctx, gint64 expire_ns, gint64 now_ns);

/* Whether the last wait found it expired, or the wall clock set, and marked its poll_fd; disarms it if so. */
gboolean aio_deadline_check (AioDeadline *deadline);
