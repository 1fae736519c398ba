/* SPDX-License-Identifier: MIT */
#pragma once

#include <aio-gsource.h>
#include <pthread.h>

#include "aio-test-hooks-private.h"

/*
 * One body, a matrix. A test is written once, against a Driver; it is run once under each monitor and
 * each way of driving the context. The fixture frees the context and checks that the body left no
 * file descriptor, no thread and no work behind; a watchdog ends a test that hangs, with its name.
 */

typedef enum {
  DRIVER_POLL = 1 << 0,  /* aio_context_poll() */
  DRIVER_GLIB = 1 << 1,  /* attached; iterations of the main context */
  DRIVER_MIXED = 1 << 2, /* attached; polls, iterations and one inside the other in turn */
  DRIVER_ATTACHED = DRIVER_GLIB | DRIVER_MIXED,
  DRIVER_ANY = DRIVER_POLL | DRIVER_GLIB | DRIVER_MIXED,
} DriverKind;

typedef struct {
  AioContext *ctx;            /* the fixture's reference; a body that takes it sets this to NULL */
  GMainContext *main_context; /* NULL under DRIVER_POLL */
  DriverKind kind;
  guint turns;
} Driver;

typedef void (*DriverBody) (Driver *d);
typedef gboolean (*DriverCondition) (gpointer data);

/* Registers @body as /SUITE/MONITOR-monitor/DRIVER/NAME under every driver of @kinds. */
void driver_add_for (DriverKind kinds, const char *suite, const char *name, DriverBody body);
#define driver_add(suite, name, body) driver_add_for (DRIVER_ANY, (suite), (name), (body))

/* The same for one monitor, which may be %AIO_MONITOR_AUTO. */
void driver_add_monitor_for (AioMonitor monitor, DriverKind kinds, const char *suite, const char *name,
                             DriverBody body);
#define driver_add_monitor(monitor, suite, name, body)                                                                 \
  driver_add_monitor_for ((monitor), DRIVER_ANY, (suite), (name), (body))

/* Registers @body as /SUITE/NAME: a test that makes its own contexts. @d has none. */
void driver_add_bare (const char *suite, const char *name, DriverBody body);

int driver_main (int argc, char **argv, void (*add_tests) (void));

/*
 * One pass of the context: exactly one, under every driver, so that a body can count in turns.
 * Returns whether it ran a callback of the context, idle bottom halves included.
 */
gboolean driver_turn (Driver *d, gboolean blocking);

/* The same for a pass that may free the context: looks at nothing of it afterwards. */
void driver_turn_blind (Driver *d, gboolean blocking);

/* Turns without blocking until one runs nothing. */
void driver_settle (Driver *d);

/* Blocking turns until @condition holds; the test fails if that took @timeout_ms or longer. */
void driver_run_until (Driver *d, DriverCondition condition, gpointer data, guint timeout_ms);

/* The same until *@count, which any thread may raise atomically, is at least @goal. */
void driver_run_until_count (Driver *d, const int *count, int goal, guint timeout_ms);

/* Whether this kernel has it; where a matrix is none of the driver's. */
gboolean driver_has_monitor (AioMonitor monitor);

/* aio_context_poll() that must not fail. */
gboolean driver_poll (AioContext *ctx, gboolean blocking);

AioStats driver_stats (Driver *d);

/* Gives the watchdog of the running test another @seconds. */
void driver_watchdog (guint seconds);

/*
 * By how much a time limit of a test is longer than on a machine of one's own: AIO_TEST_SLOWDOWN, which is set where
 * the code runs under an interpreter. The watchdog, driver_run_until() and its like take it into account.
 */
guint driver_slowdown (void);

/* The next thing the library logs has to be a warning like @pattern; see g_test_expect_message(). */
void driver_expect_warning (const char *pattern);

gint64 driver_now_ms (void);

/* In a child of fork(): ends it, and what it has reached counts where coverage is measured. */
G_NORETURN void driver_exit_child (int status);

/* Threads */

pthread_t driver_thread_start (void (*func) (gpointer data), gpointer data);
void driver_thread_join (pthread_t thread);

/* Runs @func on a thread of its own and waits for its end. */
void driver_on_thread (void (*func) (gpointer data), gpointer data);

/* Interleavings: one at a time on a context, and only while it is not being driven elsewhere */

/*
 * When the home thread comes to @point (having passed it @skip times), it stands still while @func
 * runs on another thread. Once; returns through *@reached (may be NULL) that it happened.
 */
void driver_interleave (Driver *d, AioPoint point, guint skip, void (*func) (gpointer data), gpointer data,
                        gboolean *reached);

/* A gate that holds the next thread other than the one that made it that comes to @point. */
typedef struct _DriverGate DriverGate;

DriverGate *driver_gate_new (AioContext *ctx, AioPoint point);
void driver_gate_await (DriverGate *gate);           /* until a thread stands at the gate */
gboolean driver_gate_was_reached (DriverGate *gate); /* whether one does or did */
void driver_gate_open (DriverGate *gate);
void driver_gate_free (DriverGate *gate, AioContext *ctx); /* @ctx NULL: it is gone already */

/* File descriptors */

void driver_pipe (int fds[2]);       /* non-blocking, close-on-exec */
void driver_socketpair (int fds[2]); /* likewise */
void driver_close_pair (int fds[2]);
void driver_write_byte (int fd);
guint driver_drain (int fd); /* the bytes that were there */

/* A handler with a read callback and nothing else. */
void driver_watch (Driver *d, int fd, AioHandlerFunc read, gpointer data);
void driver_unwatch (Driver *d, int fd);

/* Callbacks that count the int that @data points to */
void driver_count (gpointer data);
void driver_count_read (int fd, gpointer data);       /* leaves what is there */
void driver_count_read_drain (int fd, gpointer data); /* reads it */
