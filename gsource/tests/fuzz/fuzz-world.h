/* SPDX-License-Identifier: MIT */
#pragma once

#include <aio-gsource.h>

#include "aio-context-private.h"
#include "aio-fdmon-uring-private.h"
#include "fuzz-kernel.h"

/*
 * A program in an input of the fuzzer, what it has made, and what has to be true of it.
 *
 * An input is up to eight scripts with FUZZ_END_OF_SCRIPT between them, each of a byte for an operation and bytes for its
 * arguments. The first one is the program; the second one is what a thread elsewhere does whenever the home thread sleeps or
 * stands at a schedule point; callbacks go on with the script they were made with, until FUZZ_YIELD or its end. Nothing
 * is ever repeated, so that every program ends.
 */

#define FUZZ_END_OF_SCRIPT 0xff
#define FUZZ_YIELD 0xfe
#define FUZZ_MAX_DEPTH 14
#define FUZZ_MAX_STEPS 600

/* What is wrong, with the program so far, and the end. */
void fuzz_fail (const char *format, ...) G_GNUC_PRINTF (1, 2) G_GNUC_NORETURN;

#define fuzz_require(condition, ...)                                                                                   \
  do                                                                                                                   \
    {                                                                                                                  \
      if (G_UNLIKELY (!(condition)))                                                                                   \
        fuzz_fail (__VA_ARGS__);                                                                                       \
    }                                                                                                                  \
  while (0)

/* A line of the program, if it is being listed. */
void fuzz_trace (const char *format, ...) G_GNUC_PRINTF (1, 2);

/* The things of a program. Each is known until its end, whatever the library has done with it. */

typedef struct {
  AioContext *ctx; /* the program's reference; NULL once it was dropped */
  AioContext *raw; /* what it was */
  char name[16];
  gboolean attached, detached, closed;
  gboolean leaks; /* dropped without being closed: what is left is reported */
  guint external_disables;
  guint lock_depth; /* of the main thread */
  guint number;     /* in all_contexts */
  guint32 after;    /* the numbers of those that the main thread owned when it acquired this one */
  guint64 bhs_run, handlers_dispatched, timers_fired;
  guint warnings_of_bhs, warnings_of_oneshots, warnings_of_timers, warnings_of_handlers, warnings_of_lock;
  AioPoint point; /* where somebody elsewhere has a turn next */
  int point_skip; /* < 0: nowhere */
  gboolean batches;
  GQueue batch; /* of FuzzBh: given to the batch function and not run */
} FuzzContext;

typedef enum {
  FUZZ_BH_FULL,
  FUZZ_BH_BOXED,
  FUZZ_BH_PLAIN,
  FUZZ_BH_ONESHOT
} FuzzBhKind;

typedef struct {
  FuzzContext *c;
  AioBh *bh; /* NULL: it may be gone */
  FuzzBhKind kind;
  guint script;
  gboolean deleted, destroyed, ran;
  gboolean scheduled, idle; /* as ordinary, as idle one */
  gboolean queued;          /* it may be in the queue: at a place from low to high */
  guint64 low, high;
  gboolean in_batch;
  gboolean fuzzy; /* touched at a schedule point: it may have come too late */
  guint last_turn;
} FuzzBh;

typedef enum {
  FUZZ_TIMER_FULL,
  FUZZ_TIMER_BOXED,
  FUZZ_TIMER_INIT
} FuzzTimerKind;

typedef struct {
  AioClock *clock;
  gboolean manual, wall;
} FuzzClock;

typedef struct {
  FuzzContext *c;
  AioTimer *timer; /* NULL: it may be gone */
  AioTimer memory;
  FuzzTimerKind kind;
  AioTimerScale scale;
  FuzzClock *clock;
  guint script;
  gboolean closed, destroyed, external;
  gint64 expire_ns; /* -1: not armed */
  guint64 sequence;
  guint collected_turn; /* the last one in which what was due was collected */
  guint64 due;          /* its place among those that are due; 0: it is not */
  gboolean fuzzy;
} FuzzTimer;

typedef enum {
  FUZZ_FD_NONE,
  FUZZ_FD_PIPE,
  FUZZ_FD_SOCKET,
  FUZZ_FD_EVENTFD,
  FUZZ_FD_FILE
} FuzzFdKind;

typedef struct {
  FuzzFdKind kind;
  int fd;            /* -1: closed */
  guint peer;        /* which of them is the other end; itself if there is none */
  gboolean lives_on; /* its file had another number, which was closed */
  guint64 touched;
} FuzzFd;

typedef struct {
  AioNotifier *notifier;
} FuzzNotifier;

typedef enum {
  FUZZ_READ = 1,
  FUZZ_WRITE = 2,
  FUZZ_POLL = 4,
  FUZZ_ERROR = 8,
  FUZZ_EXTERNAL = 16
} FuzzWatchFlags;

/* A handler */
typedef struct {
  FuzzContext *c;
  int fd;
  AioNotifier *notifier; /* NULL: a file descriptor's; a reference */
  guint flags;
  guint script;
  gboolean drains;
  gboolean live;   /* it is what is registered for its number */
  gboolean orphan; /* its file descriptor was closed while it was live */
  gboolean dead;   /* and it was told */
  gboolean destroyed;
  guint functions; /* its begin and end functions: 0 none, or one of two pairs */
  guint begun;     /* the pair whose begin was called, and whose end was not */
  gboolean busy;   /* in one of its functions for polling */
  gboolean yes;    /* its poll function has said so */
  guint depth;     /* its callbacks on the stack */
  guint event;     /* something to find in memory; the turn since when, and 0 for nothing */
  guint calls;
} FuzzWatch;

typedef struct {
  AioUringRequest request; /* first */
  FuzzContext *c;
  int fd; /* to be read; -1: nothing at all is done */
  guint64 value;
  guint script;
  gboolean pending, prepared;
} FuzzRequest;

/* A call that drives something, on the stack */
typedef struct _FuzzTurn FuzzTurn;
struct _FuzzTurn {
  FuzzTurn *outer;
  FuzzContext *c; /* NULL: a main context */
  guint id;
  guint64 stamp;
  guint looks_from;  /* the turn from which on it sees what there is in memory */
  gboolean enters;   /* what runs has the context for its current one */
  gboolean progress; /* what the call has to return */
  gboolean unsure;
};

#define FUZZ_N_SCRIPTS 8
#define FUZZ_N_CONTEXTS 2
#define FUZZ_N_BHS 8
#define FUZZ_N_TIMERS 12
#define FUZZ_N_CLOCKS 6
#define FUZZ_N_FDS 10
#define FUZZ_N_NOTIFIERS 3
#define FUZZ_CROWD 40

typedef struct {
  struct {
    const guint8 *at, *end;
  } scripts[FUZZ_N_SCRIPTS];
  guint script; /* the one that runs */
  guint depth, steps;
  gboolean listing;

  gboolean elsewhere; /* what runs now runs on the other thread */
  gboolean at_point;  /* the home thread stands at a schedule point */
  gboolean in_doubt;  /* at one where it has begun what it is about to do */
  gboolean ending;    /* the program is over */
  guint quiet;        /* schedule points are passed over: a clock's lock may be held there, or a check is made */
  gboolean in_end;    /* of a context, in which GLib may be in the middle of something */
  gboolean by_hand;   /* phases have been taken apart: findings may be old */
  gboolean faults;    /* system calls have been made to fail */
  gboolean orphans;   /* file descriptors were closed while they were watched */
  gboolean jumped;    /* the wall clock was set */
  guint expect_criticals, expect_order_warnings, expect_owner_warnings;

  FuzzContext *contexts[FUZZ_N_CONTEXTS];
  FuzzBh *bhs[FUZZ_N_BHS];
  FuzzTimer *timers[FUZZ_N_TIMERS];
  FuzzClock clocks[FUZZ_N_CLOCKS]; /* those of the process, then manual ones */
  FuzzFd fds[FUZZ_N_FDS];
  FuzzNotifier notifiers[FUZZ_N_NOTIFIERS];
  int crowd[FUZZ_CROWD]; /* descriptors of one eventfd; 0: they are not open */
  guint n_crowds;
  gboolean crowd_moves;
  AioLockCount lock_count;
  guint visitors;
  gboolean locked;
  GMainContext *main_context;
  GSource *other;             /* another source of the main context */
  gboolean prepared, checked; /* by hand */
  guint prepared_in;          /* the turn of that */
  FuzzContext *closing;       /* in aio_context_close() */
  FuzzContext *current[2];    /* of the main thread and of the other one */

  GPtrArray *all_contexts, *all_bhs, *all_timers, *all_watches, *all_requests;

  FuzzTurn *turn;
  guint n_turns;
  guint64 order;  /* of what happened */
  FuzzBh *called; /* aio_bh_call() */
} FuzzWorld;

extern FuzzWorld fuzz;

static inline gboolean
fuzz_bh_is_runnable (FuzzBh *bh)
{
  return (bh->scheduled || bh->idle) && !bh->deleted && !bh->destroyed;
}

static inline gboolean
fuzz_timer_is_armed (FuzzTimer *timer)
{
  return timer->expire_ns >= 0 && !timer->closed;
}

/* fuzz-world.c */

void fuzz_world_start (const guint8 *data, gsize size);
void fuzz_world_end (void);

/* fuzz-program.c */

guint fuzz_arg (guint n);
FuzzContext *fuzz_pick_context (void);
void fuzz_run_script (guint script);
void fuzz_print_operations (void); /* the name of each code */
void fuzz_run_destroy_script (FuzzContext *c, guint script);
void fuzz_run_elsewhere (void (*func) (gpointer data), gpointer data);
void fuzz_run_on_new_thread (void (*func) (gpointer data), gpointer data);
void fuzz_come_home (void);
gboolean fuzz_go_on_elsewhere (void);
void fuzz_context_hook (FuzzContext *c);
void fuzz_turn_begin (FuzzTurn *turn, FuzzContext *c, gboolean enters);
void fuzz_turn_end (FuzzTurn *turn);

/* In one of the context's callbacks. */
void fuzz_enter_callback (FuzzContext *c, gboolean is_progress);

/* It is set, and has all that an error of this code has to have. */
void fuzz_require_error (const GError *error, AioError code);

/* Of the kernel: a wait is about to sleep until then, or without end (-1); somebody has to end it; whether a poll waits. */
void fuzz_before_sleep (gint64 until_ns);
void fuzz_wake_sleeper (void);
gboolean fuzz_polls_ring (struct io_uring *ring);

/* fuzz-contexts.c */

gboolean fuzz_is_alive (FuzzContext *c);  /* the program has a reference, and it is not closed */
gboolean fuzz_may_drive (FuzzContext *c); /* on its home thread */
gboolean fuzz_drop_context (FuzzContext *c);
void fuzz_close_context (FuzzContext *c);

/* fuzz-checks.c: of one that lives; of one that is about to wait so long, or to sleep until then; of one that is quiet */

void fuzz_check_context (FuzzContext *c);
void fuzz_check_timeout (FuzzContext *c, gint64 timeout_ns);
void fuzz_check_asleep (FuzzContext *c, gint64 until_ns);
void fuzz_check_settled (FuzzContext *c);

/* fuzz-driving.c, fuzz-main-contexts.c */

void fuzz_check_after (FuzzContext *c);
void fuzz_iterate (gboolean blocking);
gboolean fuzz_glib_is_at_work (void); /* on the main thread */

/* At the end, when no script runs any more: all that is due runs, and then nobody is kept awake. */
void fuzz_settle (void);

/* fuzz-clocks.c */

gint64 fuzz_clock_now (FuzzClock *clock);
FuzzClock *fuzz_pick_clock (void);
gint64 fuzz_pick_time (FuzzClock *clock);

/* fuzz-timers.c */

void fuzz_timer_note_disarm (FuzzTimer *timer);

/* fuzz-fds.c */

FuzzFd *fuzz_pick_fd (void);
void fuzz_close_fd (FuzzFd *fd);
void fuzz_orphan (int fd);

/* fuzz-handlers.c */

void fuzz_note_replaced (FuzzContext *c, int fd);
gboolean fuzz_can_be_watched (FuzzContext *c, int fd);
void fuzz_watch_begins (FuzzWatch *watch, gboolean ok);
void fuzz_count_destroyed (gpointer count);

/* fuzz-watches.c */

FuzzWatch *fuzz_find_watch (FuzzContext *c, int fd);
FuzzWatch *fuzz_watch_new (FuzzContext *c, int fd, AioNotifier *notifier, guint flags);
FuzzWatch *fuzz_plain_watch_new (FuzzContext *c, int fd);
void fuzz_fill_fd_handler (FuzzWatch *watch, AioFdHandler *handler);
void fuzz_fill_notifier_handler (FuzzWatch *watch, AioNotifierHandler *handler);
void fuzz_fd_func_called (int fd, GIOCondition condition, gpointer data);
void fuzz_watch_destroyed (gpointer data);
void fuzz_watch_event (FuzzWatch *watch);
void fuzz_watch_died (FuzzWatch *watch);
gushort fuzz_watch_wants (FuzzWatch *watch);
gboolean fuzz_watch_may_be_served (FuzzWatch *watch);
void fuzz_watch_functions (guint pair, gboolean notifier, GCallback *begin, GCallback *end);
gboolean fuzz_watch_is_ready (FuzzWatch *watch);
gushort fuzz_look_at_fd (int number, gushort events, int timeout_ms);
void fuzz_touch_fd (int fd);
gboolean fuzz_drain (int fd);

/* The operations */

typedef struct {
  const char *name;
  void (*run) (void);
  guint weight;
} FuzzOperation;

extern const FuzzOperation fuzz_bh_operations[], fuzz_clock_operations[], fuzz_timer_operations[];
extern const FuzzOperation fuzz_crowd_operations[], fuzz_request_operations[], fuzz_lock_count_operations[];
extern const FuzzOperation fuzz_fd_operations[], fuzz_handler_operations[], fuzz_notifier_operations[];
extern const FuzzOperation fuzz_fault_operations[], fuzz_context_operations[], fuzz_driving_operations[];
extern const FuzzOperation fuzz_main_context_operations[], fuzz_thread_operations[], fuzz_null_operations[];
