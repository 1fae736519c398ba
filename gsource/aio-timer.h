/* SPDX-License-Identifier: MIT */
#pragma once

#if !defined(AIO_GSOURCE_INSIDE) && !defined(AIO_GSOURCE_COMPILATION)
#error "Only <aio-gsource.h> can be included directly."
#endif

#include "aio-clock.h"
#include "aio-context.h"

G_BEGIN_DECLS

/**
 * AioTimerScale:
 * @AIO_TIMER_SCALE_NS: nanoseconds
 * @AIO_TIMER_SCALE_US: microseconds
 * @AIO_TIMER_SCALE_MS: milliseconds
 *
 * What a unit of a timer's expiry is, in nanoseconds.
 */
typedef enum {
  AIO_TIMER_SCALE_NS = 1,
  AIO_TIMER_SCALE_US = 1000,
  AIO_TIMER_SCALE_MS = 1000000,
} AioTimerScale;

/**
 * AioTimerFunc:
 * @data: (closure): what was given with the function
 *
 * The callback of a timer. It runs on the context's home thread, with no lock held; the timer is not
 * pending any more, and the callback may arm, delete or free any timer, itself too.
 */
typedef void (*AioTimerFunc) (gpointer data);

typedef struct _AioTimerList AioTimerList;

/**
 * AioTimer:
 *
 * A callback that a context runs once its clock has reached an expiry. Made by aio_timer_new(), or
 * in the caller's memory by aio_timer_init().
 */
typedef struct _AioTimer AioTimer;

struct _AioTimer {
  /*< private >*/
  /* First what arming changes, to lie in one cache line (benchmark timers). */
  AioTimerList *list;
  gint64 expire_ns; /* -1: not pending */
  union {
    guint64 sequence; /* in the heap: breaks ties, first armed, first fired */
    struct {
      AioTimer *prev, *next;
    } due; /* in the queue of due timers */
  };
  guint heap_index;
  gint ref_count; /* 0: in the caller's memory */
  guint scale;
  guint16 attributes;
  guint named : 1; /* its name lies behind it */
  AioTimerFunc func;
  gpointer data;
  GDestroyNotify destroy;
  AioTimer *owned_prev, *owned_next;
};

#define AIO_TYPE_TIMER (aio_timer_get_type ())

AIO_AVAILABLE
GType aio_timer_get_type (void) G_GNUC_CONST;

AIO_AVAILABLE
AioTimer *aio_timer_new (AioContext *ctx, AioClock *clock, AioTimerScale scale, AioTimerFunc func, gpointer data);

AIO_AVAILABLE
AioTimer *aio_timer_new_with_attrs (AioContext *ctx, AioClock *clock, AioTimerScale scale,
                                    AioTimerAttributes attributes, AioTimerFunc func, gpointer data);

AIO_AVAILABLE
AioTimer *aio_timer_new_full (AioContext *ctx, AioClock *clock, AioTimerScale scale, AioTimerAttributes attributes,
                              const char *name, AioTimerFunc func, gpointer data, GDestroyNotify destroy);

AIO_AVAILABLE
AioTimer *aio_timer_new_boxed (AioContext *ctx, AioClock *clock, AioTimerScale scale, AioTimerAttributes attributes,
                               const char *name, AioTimerFunc func, gpointer data, GDestroyNotify destroy);

AIO_AVAILABLE
AioTimer *aio_timer_ref (AioTimer *timer);

AIO_AVAILABLE
void aio_timer_unref (AioTimer *timer);

AIO_AVAILABLE
void aio_timer_init (AioTimer *timer, AioContext *ctx, AioClock *clock, AioTimerScale scale, AioTimerFunc func,
                     gpointer data);

AIO_AVAILABLE
void aio_timer_init_with_attrs (AioTimer *timer, AioContext *ctx, AioClock *clock, AioTimerScale scale,
                                AioTimerAttributes attributes, AioTimerFunc func, gpointer data);

AIO_AVAILABLE
void aio_timer_deinit (AioTimer *timer);

AIO_AVAILABLE
void aio_timer_mod (AioTimer *timer, gint64 expire);

AIO_AVAILABLE
void aio_timer_mod_ns (AioTimer *timer, gint64 expire_ns);

AIO_AVAILABLE
void aio_timer_mod_anticipate (AioTimer *timer, gint64 expire);

AIO_AVAILABLE
void aio_timer_mod_anticipate_ns (AioTimer *timer, gint64 expire_ns);

AIO_AVAILABLE
void aio_timer_del (AioTimer *timer);

AIO_AVAILABLE
void aio_timer_close (AioTimer *timer);

AIO_AVAILABLE
void aio_timer_free (AioTimer *timer);

AIO_AVAILABLE
const char *aio_timer_get_name (AioTimer *timer);

AIO_AVAILABLE
AioClock *aio_timer_get_clock (AioTimer *timer);

AIO_AVAILABLE
gboolean aio_timer_pending (AioTimer *timer);

AIO_AVAILABLE
gint64 aio_timer_expire_time_ns (AioTimer *timer);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (AioTimer, aio_timer_unref)

G_END_DECLS
