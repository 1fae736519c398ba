/* SPDX-License-Identifier: MIT */
#pragma once

#if !defined(AIO_GSOURCE_INSIDE) && !defined(AIO_GSOURCE_COMPILATION)
#error "Only <aio-gsource.h> can be included directly."
#endif

#include "aio-context.h"

G_BEGIN_DECLS

/**
 * AioClockType:
 * @AIO_CLOCK_REALTIME: monotonic time; runs always
 * @AIO_CLOCK_VIRTUAL: monotonic time; its timers fire only while it is enabled
 * @AIO_CLOCK_HOST: wall-clock time since the epoch; follows when it is set
 * @AIO_CLOCK_VIRTUAL_RT: like %AIO_CLOCK_VIRTUAL, enabled and disabled apart from it
 * @AIO_CLOCK_MANUAL: a clock of aio_clock_new_manual(), which moves only when told to
 *
 * The kinds of clocks a timer can be on. Timers that are due in the same pass fire in this order of
 * their clocks.
 */
typedef enum {
  AIO_CLOCK_REALTIME,
  AIO_CLOCK_VIRTUAL,
  AIO_CLOCK_HOST,
  AIO_CLOCK_VIRTUAL_RT,
  AIO_CLOCK_MANUAL,
} AioClockType;

/**
 * AioTimerAttributes:
 * @AIO_TIMER_ATTR_NONE: an ordinary timer
 * @AIO_TIMER_ATTR_EXTERNAL: the timer serves something outside the program's own state; it can be
 *   left out of aio_clock_deadline_ns_all()
 *
 * Attributes of a timer.
 */
typedef enum /*< flags >*/ {
  AIO_TIMER_ATTR_NONE = 0,
  AIO_TIMER_ATTR_EXTERNAL = 1 << 0,
} AioTimerAttributes;

/**
 * AioClock:
 *
 * A clock that timers can be on: one of the four of the process, or a manual one.
 */
typedef struct _AioClock AioClock;

#define AIO_TYPE_CLOCK (aio_clock_get_type ())

AIO_AVAILABLE
GType aio_clock_get_type (void) G_GNUC_CONST;

AIO_AVAILABLE
AioClock *aio_clock_get (AioClockType type);

AIO_AVAILABLE
AioClock *aio_clock_new_manual (gint64 start_ns);

AIO_AVAILABLE
AioClock *aio_clock_ref (AioClock *clock);

AIO_AVAILABLE
void aio_clock_unref (AioClock *clock);

AIO_AVAILABLE
AioClockType aio_clock_get_clock_type (AioClock *clock);

AIO_AVAILABLE
gint64 aio_clock_get_ns (AioClock *clock);

AIO_AVAILABLE
void aio_clock_set_ns (AioClock *clock, gint64 now_ns);

AIO_AVAILABLE
void aio_clock_advance_ns (AioClock *clock, gint64 delta_ns);

AIO_AVAILABLE
gboolean aio_clock_get_enabled (AioClock *clock);

AIO_AVAILABLE
void aio_clock_set_enabled (AioClock *clock, gboolean enabled);

AIO_AVAILABLE
void aio_clock_set_enabled_while (AioClock *clock, gboolean enabled, AioConditionFunc condition, gpointer data);

AIO_AVAILABLE
gint64 aio_clock_deadline_ns_all (AioClock *clock, AioTimerAttributes mask);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AioClock, aio_clock_unref)

G_END_DECLS
