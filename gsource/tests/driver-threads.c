/* SPDX-License-Identifier: MIT */
#include "driver.h"

/*
 * Threads of tests, and interleavings forced at schedule points. POSIX mutexes and conditions, which
 * ThreadSanitizer can see into.
 */

#ifdef __SANITIZE_THREAD__
/* Nor does it see the locks of GLib: what one thread allocates there and another frees. */
__attribute__ ((visibility ("default"))) const char *__tsan_default_suppressions (void);

const char *
__tsan_default_suppressions (void)
{
  return "called_from_lib:libglib-2.0.so\n";
}
#endif

typedef struct {
  void (*func) (gpointer data);
  gpointer data;
} ThreadStart;

static void *
thread_main (void *data)
{
  ThreadStart start = *(ThreadStart *) data;

  g_free (data);
  start.func (start.data);
  return NULL;
}

pthread_t
driver_thread_start (void (*func) (gpointer data), gpointer data)
{
  ThreadStart *start = g_new (ThreadStart, 1);
  pthread_t thread;

  *start = (ThreadStart){ func, data };
  g_assert_cmpint (pthread_create (&thread, NULL, thread_main, start), ==, 0);
  return thread;
}

void
driver_thread_join (pthread_t thread)
{
  g_assert_cmpint (pthread_join (thread, NULL), ==, 0);
}

void
driver_on_thread (void (*func) (gpointer data), gpointer data)
{
  driver_thread_join (driver_thread_start (func, data));
}

/* driver_interleave(): the home thread stands still */

typedef struct {
  AioPoint point;
  guint skip;
  pthread_t home;
  gboolean done;
  void (*func) (gpointer data);
  gpointer data;
  gboolean *reached;
} Interleaving;

static void
interleave_hook (AioContext *ctx, AioPoint point, gpointer data)
{
  Interleaving *i = data;

  /* Other threads pass: what the home thread alone touches needs no lock. */
  if (point != i->point || !pthread_equal (pthread_self (), i->home) || i->done || i->skip-- > 0)
    return;

  i->done = TRUE;
  driver_on_thread (i->func, i->data);
  if (i->reached != NULL)
    *i->reached = TRUE;
}

static GPrivate interleaving = G_PRIVATE_INIT (g_free);

void
driver_interleave (Driver *d, AioPoint point, guint skip, void (*func) (gpointer data), gpointer data,
                   gboolean *reached)
{
  Interleaving *i = g_new (Interleaving, 1);

  *i = (Interleaving){
    .point = point, .skip = skip, .home = pthread_self (), .func = func, .data = data, .reached = reached
  };
  if (reached != NULL)
    *reached = FALSE;
  aio_test_set_hook (d->ctx, interleave_hook, i);
  g_private_replace (&interleaving, i);
}

/* DriverGate: another thread stands still */

struct _DriverGate {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  AioPoint point;
  pthread_t maker;
  enum {
    GATE_WAITING,
    GATE_HOLDING,
    GATE_OPEN,
  } state;
};

static void
gate_hook (AioContext *ctx, AioPoint point, gpointer data)
{
  DriverGate *gate = data;

  if (point != gate->point || pthread_equal (pthread_self (), gate->maker))
    return;

  pthread_mutex_lock (&gate->lock);
  if (gate->state == GATE_WAITING)
    {
      gate->state = GATE_HOLDING;
      pthread_cond_broadcast (&gate->changed);
      while (gate->state == GATE_HOLDING)
        pthread_cond_wait (&gate->changed, &gate->lock);
    }
  pthread_mutex_unlock (&gate->lock);
}

DriverGate *
driver_gate_new (AioContext *ctx, AioPoint point)
{
  DriverGate *gate = g_new0 (DriverGate, 1);

  pthread_mutex_init (&gate->lock, NULL);
  pthread_cond_init (&gate->changed, NULL);
  gate->point = point;
  gate->maker = pthread_self ();
  aio_test_set_hook (ctx, gate_hook, gate);
  return gate;
}

void
driver_gate_await (DriverGate *gate)
{
  pthread_mutex_lock (&gate->lock);
  while (gate->state == GATE_WAITING)
    pthread_cond_wait (&gate->changed, &gate->lock);
  pthread_mutex_unlock (&gate->lock);
}

gboolean
driver_gate_was_reached (DriverGate *gate)
{
  gboolean reached;

  pthread_mutex_lock (&gate->lock);
  reached = gate->state != GATE_WAITING;
  pthread_mutex_unlock (&gate->lock);
  return reached;
}

void
driver_gate_open (DriverGate *gate)
{
  pthread_mutex_lock (&gate->lock);
  gate->state = GATE_OPEN;
  pthread_cond_broadcast (&gate->changed);
  pthread_mutex_unlock (&gate->lock);
}

void
driver_gate_free (DriverGate *gate, AioContext *ctx)
{
  if (ctx != NULL)
    aio_test_set_hook (ctx, NULL, NULL);
  pthread_cond_destroy (&gate->changed);
  pthread_mutex_destroy (&gate->lock);
  g_free (gate);
}
