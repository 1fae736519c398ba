/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

/* Operations that poll, or do a part of it. */

/* Who drives a context has a reference of his own; it may be the last one at the end. */
static void
check_result (FuzzTurn *turn, gboolean result, GError *error)
{
  if (error)
    {
      fuzz_require (fuzz.faults && !result, "%s", error->message);
      fuzz_require_error (error, AIO_ERROR_SYSTEM);
    }
  else
    fuzz_require (turn->unsure || result == turn->progress, "progress was %s, and %s",
                  turn->progress ? "made" : "not made", result ? "reported" : "not reported");
}

void
fuzz_check_after (FuzzContext *c)
{
  if (!fuzz_is_alive (c) || fuzz.turn || fuzz.at_point)
    return;
  fuzz_require (!aio_context_get_dispatching (c->ctx), "%s is driven by nobody", c->name);
  fuzz_require (aio_context_get_notify_me (c->ctx) < 2, "somebody polls %s", c->name);
  fuzz_require (aio_lock_count_count (&c->ctx->list_lock) == 0, "somebody visits the lists of %s", c->name);
  fuzz_require (!c->ctx->bh_slice_list, "bottom halves of %s have been left in their slice", c->name);
  fuzz_check_context (c);
}

static void
check_refused (FuzzContext *c)
{
  g_autoptr (GError) error = NULL;
  gboolean closed = c->closed;
  gboolean home = aio_context_in_home_thread (c->ctx);

  fuzz_require (!aio_context_poll (c->ctx, FALSE, &error), "progress in a poll that is refused");
  fuzz_require_error (error, home && closed ? AIO_ERROR_CLOSED : AIO_ERROR_WRONG_THREAD);
}

/* @max_ns: -1 without end */
static gboolean
poll_context (FuzzContext *c, gint64 max_ns)
{
  AioContext *ctx = aio_context_ref (c->ctx);
  g_autoptr (GError) error = NULL;
  gboolean result, expired = FALSE;
  gint64 before = fuzz_kernel_now (FALSE);
  FuzzTurn turn;

  fuzz_turn_begin (&turn, c, TRUE);
  result = aio_context_poll_for (ctx, max_ns, &expired, &error);
  fuzz_turn_end (&turn);
  check_result (&turn, result, error);
  /* A wait that failed, or that ended for what nobody is called for, is one to be repeated, too. */
  fuzz_require (!expired || (!result && max_ns > 0), "a poll has expired that has progress or no end");
  fuzz_require (!expired || fuzz.faults || fuzz.orphans || fuzz_kernel_now (FALSE) >= before + max_ns,
                "a poll has expired before its time");
  fuzz_check_after (c);
  aio_context_unref (ctx);
  return result;
}

static void
op_poll (void)
{
  FuzzContext *c = fuzz_pick_context ();
  guint how = fuzz_arg (8);
  static const gint64 max_ns[] = { 0, -1, 0, -1, 0, -1, 1, 300000 };

  if (!c || !c->ctx)
    return;
  fuzz_trace ("  %s, at most %" G_GINT64_FORMAT " ns", c->name, max_ns[how]);
  if (fuzz_may_drive (c))
    poll_context (c, max_ns[how]);
  else
    check_refused (c);
}

typedef struct {
  FuzzTurn *turn;
  guint left;
} Condition;

/* A turn for each poll of it. */
static gboolean
condition (gpointer data)
{
  Condition *waiting = data;

  waiting->turn->id = waiting->turn->looks_from = ++fuzz.n_turns;
  return waiting->left-- > 0;
}

static void
op_wait_while (void)
{
  FuzzContext *c = fuzz_pick_context ();
  Condition waiting = { .left = fuzz_arg (4) };
  g_autoptr (GError) error = NULL;
  AioContext *ctx;
  FuzzTurn turn;
  gboolean ok;

  if (!fuzz_may_drive (c))
    return;
  ctx = aio_context_ref (c->ctx);
  fuzz_turn_begin (&turn, c, TRUE);
  waiting.turn = &turn;
  ok = aio_context_wait_while (ctx, condition, &waiting, &error);
  fuzz_turn_end (&turn);
  fuzz_require (ok == !error && (ok || c->closed || fuzz.faults), "a wait ended early");
  fuzz_check_after (c);
  aio_context_unref (ctx);
}

/* The parts of a poll */

static void
op_part (void)
{
  FuzzContext *c = fuzz_pick_context ();
  guint part = fuzz_arg (6);
  gboolean result = FALSE;
  AioContext *ctx;
  gint64 timeout;
  FuzzTurn turn;

  if (!fuzz_may_drive (c))
    return;
  ctx = aio_context_ref (c->ctx);
  fuzz.by_hand = TRUE;
  fuzz_trace ("  %s, part %u", c->name, part);
  fuzz_turn_begin (&turn, c, part == 2);
  switch (part)
    {
    case 0:
      aio_context_prepare (ctx);
      break;
    case 1:
      aio_context_pending (ctx);
      break;
    case 2:
      result = aio_context_dispatch (ctx);
      fuzz_require (turn.unsure || result == turn.progress, "progress of a dispatch");
      break;
    case 3:
      result = aio_context_bh_poll (ctx);
      fuzz_require (turn.unsure || result == turn.progress, "progress of bottom halves");
      break;
    case 4:
      timeout = aio_context_compute_timeout (ctx);
      if (timeout != 0)
        fuzz_check_timeout (c, timeout);
      break;
    case 5:
      aio_context_is_armed (ctx);
      aio_context_poll_disabled (ctx);
      break;
    }
  fuzz_turn_end (&turn);
  fuzz_check_after (c);
  aio_context_unref (ctx);
}

static void
op_notify (void)
{
  FuzzContext *c = fuzz_pick_context ();

  if (!c || !c->ctx)
    return;
  aio_context_notify (c->ctx);
  fuzz_require (aio_context_get_notified (c->ctx), "a notification is not kept");
}

/* Who accepts looks for work afterwards. */
static void
op_accept (void)
{
  FuzzContext *c = fuzz_pick_context ();

  if (!fuzz_may_drive (c) || fuzz.at_point)
    return;
  aio_context_notify_accept (c->ctx);
  fuzz_require (!aio_context_get_notified (c->ctx), "what was accepted is there");
  poll_context (c, 0);
}

static void
op_check (void)
{
  FuzzContext *c = fuzz_pick_context ();

  if (fuzz_is_alive (c) && !fuzz.elsewhere)
    fuzz_check_context (c);
}

/* The end: everything that is left to run has run, and then nobody is kept awake. */

static guint64
callbacks (void)
{
  guint64 n = 0;

  for (guint i = 0; i < fuzz.all_contexts->len; i++)
    {
      FuzzContext *c = g_ptr_array_index (fuzz.all_contexts, i);

      n += c->bhs_run + c->handlers_dispatched + c->timers_fired;
    }
  return n;
}

static void
turn_over (FuzzContext *c, gboolean blocking)
{
  fuzz_trace ("%s is turned over%s", c->name, blocking ? ", and may sleep" : "");
  if (fuzz_is_alive (c) && !c->detached && c->attached)
    fuzz_iterate (blocking);
  else if (fuzz_is_alive (c))
    poll_context (c, blocking ? -1 : 0);
}

void
fuzz_settle (void)
{
  for (guint i = 0; i < FUZZ_N_CONTEXTS; i++)
    {
      FuzzContext *c = fuzz.contexts[i];
      guint turns = 0, quiet = 0;

      if (!fuzz_is_alive (c))
        continue;
      /*
       * Some in a row: a notification may take one of its own, so may what GLib takes for ready and is not any more; and
       * sources of a higher priority come first.
       */
      while (quiet < 4)
        {
          guint64 before = callbacks ();

          turn_over (c, FALSE);
          quiet = callbacks () == before ? quiet + 1 : 0;
          fuzz_require (++turns < 200, "%s never comes to rest", c->name);
        }
      fuzz_check_settled (c);
      fuzz_kernel_reset_spins ();
      for (guint sleeps = fuzz_kernel_sleeps (); fuzz_kernel_sleeps () == sleeps && fuzz_is_alive (c);)
        {
          turn_over (c, TRUE);
          fuzz_require (fuzz_kernel_spins () < 8, "%s has nothing to do and does not sleep", c->name);
        }
    }
}

const FuzzOperation fuzz_driving_operations[] = {
  { "poll", op_poll, 16 },    { "wait while", op_wait_while, 2 }, { "part", op_part, 4 }, { "notify", op_notify, 3 },
  { "accept", op_accept, 1 }, { "check", op_check, 2 },           { NULL, NULL, 0 },
};
