/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

#include <stdio.h>

/* The run of a program: its scripts, its two threads, its turns. */

/* Scripts */

static guint
next_byte (void)
{
  return fuzz.scripts[fuzz.script].at < fuzz.scripts[fuzz.script].end ? *fuzz.scripts[fuzz.script].at++ : 0;
}

guint
fuzz_arg (guint n)
{
  return next_byte () % n;
}

FuzzContext *
fuzz_pick_context (void)
{
  return fuzz.contexts[fuzz_arg (4) == 3];
}

static guint n_codes;

static const FuzzOperation *
operation (guint code)
{
  static const FuzzOperation *table[256];

  if (n_codes == 0)
    {
      const FuzzOperation *const all[] = {
        fuzz_bh_operations,           fuzz_clock_operations,  fuzz_timer_operations,   fuzz_request_operations,
        fuzz_lock_count_operations,   fuzz_fd_operations,     fuzz_handler_operations, fuzz_notifier_operations,
        fuzz_crowd_operations,        fuzz_fault_operations,  fuzz_context_operations, fuzz_driving_operations,
        fuzz_main_context_operations, fuzz_thread_operations, fuzz_null_operations
      };

      for (guint i = 0; i < G_N_ELEMENTS (all); i++)
        for (const FuzzOperation *each = all[i]; each->name; each++)
          for (guint w = 0; w < each->weight; w++)
            table[n_codes++] = each;
      g_assert (n_codes < FUZZ_YIELD);
    }
  return table[code % n_codes];
}

void
fuzz_print_operations (void)
{
  operation (0);
  for (guint code = 0; code < n_codes; code++)
    printf ("%s\n", operation (code)->name);
}

void
fuzz_run_script (guint script)
{
  guint outer = fuzz.script;

  if (fuzz.ending || fuzz.depth >= FUZZ_MAX_DEPTH)
    return;
  fuzz.script = script;
  fuzz.depth++;
  while (fuzz.scripts[script].at < fuzz.scripts[script].end && fuzz.steps < FUZZ_MAX_STEPS)
    {
      guint code = next_byte ();

      if (code == FUZZ_YIELD && fuzz.depth > 1)
        break;
      fuzz.steps++;
      fuzz_kernel_reset_spins ();
      fuzz_trace ("%s", operation (code)->name);
      operation (code)->run ();
      fuzz.script = script;
    }
  fuzz.depth--;
  fuzz.script = outer;
}

/* Of a destroy notify. It may be the end of the context, of which GLib may be in the middle: no time for an iteration. */
void
fuzz_run_destroy_script (FuzzContext *c, guint script)
{
  gboolean outer = fuzz.in_end;

  fuzz.in_end |= c->ctx == NULL;
  fuzz_run_script (script);
  fuzz.in_end = outer;
}

/* The other thread. It lives as long as the process, and moves only while the main thread stands still. */

static struct {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  void (*func) (gpointer data);
  gpointer data;
  gboolean started;
} elsewhere = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void *
live_elsewhere (void *data)
{
  pthread_mutex_lock (&elsewhere.mutex);
  for (;;)
    {
      void (*func) (gpointer data);

      while (!(func = elsewhere.func))
        pthread_cond_wait (&elsewhere.changed, &elsewhere.mutex);
      pthread_mutex_unlock (&elsewhere.mutex);
      func (elsewhere.data);
      pthread_mutex_lock (&elsewhere.mutex);
      elsewhere.func = NULL;
      pthread_cond_broadcast (&elsewhere.changed);
    }
  return NULL;
}

void
fuzz_run_elsewhere (void (*func) (gpointer data), gpointer data)
{
  FuzzTurn *turn = fuzz.turn;

  if (fuzz.elsewhere)
    {
      func (data);
      return;
    }
  if (!elsewhere.started)
    {
      pthread_t thread;

      elsewhere.started = TRUE;
      fuzz_require (pthread_create (&thread, NULL, live_elsewhere, NULL) == 0, "no thread");
      pthread_detach (thread);
    }
  fuzz.elsewhere = TRUE;
  pthread_mutex_lock (&elsewhere.mutex);
  elsewhere.func = func;
  elsewhere.data = data;
  pthread_cond_broadcast (&elsewhere.changed);
  while (elsewhere.func)
    pthread_cond_wait (&elsewhere.changed, &elsewhere.mutex);
  pthread_mutex_unlock (&elsewhere.mutex);
  fuzz.elsewhere = FALSE;
  fuzz_require (fuzz.turn == turn, "the other thread is in the middle of a turn");
}

typedef struct {
  void (*func) (gpointer data);
  gpointer data;
} Errand;

static void *
live_briefly (void *data)
{
  Errand *errand = data;

  errand->func (errand->data);
  return NULL;
}

/* Another one, which ends with @func. */
void
fuzz_run_on_new_thread (void (*func) (gpointer data), gpointer data)
{
  Errand errand = { func, data };
  FuzzTurn *turn = fuzz.turn;
  pthread_t thread;

  fuzz.elsewhere = TRUE;
  fuzz_require (pthread_create (&thread, NULL, live_briefly, &errand) == 0, "no thread");
  pthread_join (thread, NULL);
  fuzz.elsewhere = FALSE;
  fuzz_require (fuzz.turn == turn, "another thread has ended in the middle of a turn");
}

static void
unset_current (gpointer data)
{
  fuzz_require (aio_context_set_current (NULL, NULL), "there is a current context for good");
}

/* It may make itself the home of a context that is idle, and gives it back. */
static void
go_on (gpointer data)
{
  fuzz_run_script (1);
  if (fuzz.current[1])
    unset_current (NULL);
  fuzz.current[1] = NULL;
}

void
fuzz_come_home (void)
{
  for (guint i = 0; i < FUZZ_N_CONTEXTS; i++)
    if (fuzz_is_alive (fuzz.contexts[i]))
      fuzz_require (aio_context_set_home (fuzz.contexts[i]->ctx, NULL), "%s does not come home",
                    fuzz.contexts[i]->name);
}

gboolean
fuzz_go_on_elsewhere (void)
{
  if (fuzz.ending || fuzz.elsewhere || fuzz.scripts[1].at >= fuzz.scripts[1].end || fuzz.steps >= FUZZ_MAX_STEPS
      || fuzz.depth >= FUZZ_MAX_DEPTH)
    return FALSE;
  fuzz_run_elsewhere (go_on, NULL);
  fuzz_come_home ();
  return TRUE;
}

static void
at_point (AioContext *ctx, AioPoint point, gpointer data)
{
  FuzzContext *c = data;

  /* A context that ends holds its lock there. */
  if (!fuzz_is_alive (c) || point != c->point || c->point_skip < 0 || fuzz.elsewhere || fuzz.ending || fuzz.quiet > 0
      || c->point_skip-- > 0)
    return;
  fuzz_trace ("at point %d of %s", point, c->name);
  fuzz.at_point = TRUE;
  fuzz.in_doubt =
      point == AIO_POINT_BH_AFTER_DEQUEUE || point == AIO_POINT_TIMER_BEFORE_CB || point == AIO_POINT_TIMER_BEFORE_LOCK;
  fuzz_go_on_elsewhere ();
  fuzz.at_point = fuzz.in_doubt = FALSE;
}

/* Turns */

void
fuzz_turn_begin (FuzzTurn *turn, FuzzContext *c, gboolean enters)
{
  *turn = (FuzzTurn){ .outer = fuzz.turn, .c = c, .id = ++fuzz.n_turns, .stamp = ++fuzz.order, .enters = enters };
  turn->looks_from = turn->id;
  fuzz.turn = turn;
}

void
fuzz_turn_end (FuzzTurn *turn)
{
  fuzz_require (fuzz.turn == turn, "turns are not nested");
  fuzz.turn = turn->outer;
}

void
fuzz_enter_callback (FuzzContext *c, gboolean is_progress)
{
  fuzz_kernel_reset_spins ();
  fuzz_require (!c->closed, "a callback of %s, which is closed", c->name);
  fuzz_require (fuzz.turn != NULL, "a callback of %s, which nobody drives", c->name);
  fuzz_require (!fuzz.turn->c || fuzz.turn->c == c, "a callback of %s while another context is driven", c->name);
  if (fuzz.turn->enters)
    fuzz_require (aio_context_get_current () == c->raw, "in a callback of %s another context is current", c->name);
  fuzz.turn->progress |= is_progress;
}

static gboolean
is_driven_now (FuzzContext *c)
{
  return fuzz.turn->c ? fuzz.turn->c == c : c->attached && !c->detached;
}

void
fuzz_before_sleep (gint64 until_ns)
{
  fuzz_trace ("asleep");
  fuzz_require (fuzz.turn != NULL, "somebody sleeps outside every turn");
  fuzz_require (!fuzz.turn->c || !fuzz.turn->c->closed, "asleep in a context that is closed");
  for (guint i = 0; i < fuzz.all_contexts->len; i++)
    {
      FuzzContext *c = g_ptr_array_index (fuzz.all_contexts, i);

      if (c->ctx && !c->closed && is_driven_now (c))
        fuzz_check_asleep (c, until_ns);
    }
}

static void
notify (gpointer data)
{
  aio_context_notify (data);
}

void
fuzz_wake_sleeper (void)
{
  for (guint i = 0; i < fuzz.all_contexts->len; i++)
    {
      FuzzContext *c = g_ptr_array_index (fuzz.all_contexts, i);

      if (c->ctx && !c->closed && is_driven_now (c))
        {
          fuzz_trace ("woken through %s", c->name);
          fuzz_run_elsewhere (notify, c->ctx);
          return;
        }
    }
  /* What is driven was closed, or dropped, by what runs elsewhere or in this very turn. */
  if (fuzz.turn->c)
    fuzz_run_elsewhere (notify, fuzz.turn->c->raw);
  else
    g_main_context_wakeup (fuzz.main_context);
}

gboolean
fuzz_polls_ring (struct io_uring *ring)
{
  AioContext *ctx = fuzz.turn && fuzz.turn->c ? fuzz.turn->c->raw : NULL;

  /* One that has failed waits for nothing but its requests, which are cancelled. */
  return ctx && ctx->fdmon_uring && ring == &ctx->fdmon_uring->ring && !ctx->fdmon_uring->failed
         && fuzz.turn->c != fuzz.closing;
}

void
fuzz_context_hook (FuzzContext *c)
{
  c->point_skip = -1;
  aio_test_set_hook (c->ctx, at_point, c);
}
