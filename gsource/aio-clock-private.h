/* SPDX-License-Identifier: MIT */
#pragma once

#include "aio-atomic.h"
#include "aio-clock.h"
#include "aio-timer.h"

#include <pthread.h>

struct _AioClock {
  AioClockType type;
  gatomicrefcount ref_count; /* manual clocks only: the others live as long as the process */
  _Atomic gboolean enabled;  /* virtual clocks only: the others always are */
  _Atomic gint64 manual_ns;  /* manual clocks only */
  guint manual_number;       /* tells manual clocks apart; 0 for the others */
  pthread_mutex_t lock;      /* guards what follows; taken before a list's own lock */
  GPtrArray *lists;          /* of AioTimerList: those that have timers on this clock */
  guint n_passes;            /* passes over timers that are under way; virtual clocks only */
  pthread_cond_t pass_ended;
};

/* Any thread. A list stays known to its clock from add to remove. */
void aio_clock_add_list (AioClock *clock, AioTimerList *list);
void aio_clock_remove_list (AioClock *clock, AioTimerList *list);

/* Home thread of a list, around a pass over its timers: a clock is not disabled in the middle of it. */
void aio_clock_begin_pass (AioClock *clock);
void aio_clock_end_pass (AioClock *clock);
