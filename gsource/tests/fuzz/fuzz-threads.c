/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

/* Operations on threads and what they own. */

static void
op_point (void)
{
  FuzzContext *c = fuzz_pick_context ();
  AioPoint point = fuzz_arg (AIO_POINT_URING_AFTER_CQE + 1);
  guint skip = fuzz_arg (3);

  if (!c || !c->ctx)
    return;
  fuzz_trace ("  %u of %s", point, c->name);
  c->point = point;
  c->point_skip = skip;
}

static void
op_home (void)
{
  FuzzContext *c = fuzz_pick_context ();
  g_autoptr (GError) error = NULL;
  gboolean home, ok;

  if (!c || !c->ctx)
    return;
  home = aio_context_in_home_thread (c->ctx);
  /* Only an idle context may be moved, not in the middle of a call of its home thread; which the library cannot know. */
  if (fuzz.at_point && !home)
    return;
  ok = aio_context_set_home (c->ctx, &error);
  fuzz_require (ok == !error && aio_context_in_home_thread (c->ctx) == (ok || home), "home: %d", ok);
  fuzz_require (!home || ok == !c->closed, "%s is at home, and stays there", c->name);
  if (ok)
    return;
  fuzz_require_error (error, c->closed                            ? AIO_ERROR_CLOSED
                             : c->attached && !c->detached        ? AIO_ERROR_ATTACHED
                             : fuzz.current[!fuzz.elsewhere] == c ? AIO_ERROR_CURRENT_SET
                                                                  : AIO_ERROR_WRONG_THREAD);
}

static void
op_current (void)
{
  FuzzContext *c = fuzz_pick_context ();
  FuzzContext **current = &fuzz.current[fuzz.elsewhere];
  gboolean unset = fuzz_arg (2);
  g_autoptr (GError) error = NULL;
  gboolean ok;

  if (!c || !c->ctx)
    return;
  if (unset)
    {
      *current = NULL;
      fuzz_require (aio_context_set_current (NULL, NULL), "none could not be made current");
      return;
    }
  ok = aio_context_set_current (c->ctx, &error);
  fuzz_require (ok == !error, "current, and an error, or neither");
  if (ok)
    {
      fuzz_require (*current == c || (fuzz_may_drive (c) && !*current), "%s was made current", c->name);
      *current = c;
    }
  else
    fuzz_require_error (error, !aio_context_in_home_thread (c->ctx) ? AIO_ERROR_WRONG_THREAD
                               : c->closed                          ? AIO_ERROR_CLOSED
                                                                    : AIO_ERROR_CURRENT_SET);
}

static gboolean
do_not_wait (gpointer data)
{
  return FALSE;
}

static void
op_acquire (void)
{
  FuzzContext *c = fuzz_pick_context ();

  if (!c || !c->ctx)
    return;
  if (fuzz.elsewhere)
    {
      gboolean got = aio_context_acquire_while (c->ctx, do_not_wait, NULL);

      fuzz_require (got == (c->lock_depth == 0), "%s was acquired, or not", c->name);
      if (got)
        fuzz_require (aio_context_release (c->ctx, NULL), "%s was not released", c->name);
      return;
    }
  if (c->lock_depth == 0)
    for (guint i = 0; i < fuzz.all_contexts->len; i++)
      {
        FuzzContext *held = g_ptr_array_index (fuzz.all_contexts, i);

        if (held->lock_depth == 0)
          continue;
        /* It may have ended by now, or not. */
        if (!held->ctx)
          return;
        if (!(c->after & 1u << held->number) && held->after & 1u << c->number)
          fuzz.expect_order_warnings++;
        c->after |= 1u << held->number;
      }
  c->lock_depth++;
  aio_context_acquire (c->ctx);
  fuzz_require (fuzz.expect_order_warnings == 0, "the order of locks was not reported");
}

static void
op_release (void)
{
  FuzzContext *c = fuzz_pick_context ();
  g_autoptr (GError) error = NULL;
  gboolean ok;

  if (!c || !c->ctx)
    return;
  ok = aio_context_release (c->ctx, &error);
  fuzz_require (ok == (c->lock_depth > 0 && !fuzz.elsewhere), "%s was released, or not", c->name);
  if (ok)
    c->lock_depth--;
  else
    fuzz_require_error (error, c->lock_depth > 0 ? AIO_ERROR_NOT_OWNER : AIO_ERROR_NOT_HELD);
}

/* The other thread has a turn while nobody else has one. */
static void
op_elsewhere (void)
{
  if (fuzz.depth == 1)
    fuzz_go_on_elsewhere ();
}

/* A thread that ends: the contexts it owned, or had for its current one, are free then, and go home again. */
static void
live_and_die (gpointer data)
{
  FuzzContext *c = data;
  FuzzTurn turn;

  if (aio_context_set_home (c->ctx, NULL))
    {
      fuzz_require (aio_context_set_current (c->ctx, NULL), "%s was not made current", c->name);
      fuzz.current[1] = c;
      fuzz_turn_begin (&turn, c, TRUE);
      aio_context_poll (c->ctx, FALSE, NULL);
      fuzz_turn_end (&turn);
      fuzz.current[1] = NULL;
    }
  if (c->lock_depth == 0)
    {
      fuzz_require (aio_context_acquire_while (c->ctx, do_not_wait, NULL), "%s was not acquired", c->name);
      fuzz.expect_owner_warnings++;
    }
}

static void
op_brief_thread (void)
{
  FuzzContext *c = fuzz_pick_context ();
  g_autoptr (AioContext) ctx = NULL;

  if (!fuzz_is_alive (c) || fuzz.elsewhere)
    return;
  ctx = aio_context_ref (c->ctx);
  fuzz_run_on_new_thread (live_and_die, c);
  fuzz_require (fuzz.expect_owner_warnings == 0, "an owner has ended, and was not reported");
  fuzz_come_home ();
}

/* An iteration elsewhere: every context that is asked leaves the main context, and runs nothing. */
static void
op_foreign_iteration (void)
{
  FuzzTurn turn;

  if (!fuzz.elsewhere || !fuzz.main_context || fuzz_glib_is_at_work ())
    return;
  fuzz_turn_begin (&turn, NULL, FALSE);
  fuzz.prepared = fuzz.checked = FALSE;
  g_main_context_iteration (fuzz.main_context, FALSE);
  fuzz_turn_end (&turn);
}

const FuzzOperation fuzz_thread_operations[] = {
  { "point", op_point, 4 },
  { "home", op_home, 1 },
  { "current", op_current, 1 },
  { "acquire", op_acquire, 2 },
  { "release", op_release, 2 },
  { "elsewhere", op_elsewhere, 2 },
  { "brief thread", op_brief_thread, 1 },
  { "foreign iteration", op_foreign_iteration, 1 },
  { NULL, NULL, 0 },
};
