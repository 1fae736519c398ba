/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

/* Bottom halves: what has to be true of them, and operations on them. */

/* The home thread may be done with it already: what happens to it then is not known. */
static void
touch (FuzzBh *bh)
{
  bh->fuzzy |= fuzz.in_doubt;
}

static void
note_schedule (FuzzBh *bh, gboolean idle)
{
  touch (bh);
  if (bh->deleted || bh->destroyed)
    return;
  if (!bh->queued)
    bh->low = bh->high = ++fuzz.order;
  else if (!fuzz_bh_is_runnable (bh)) /* it was cancelled, and may have been taken out since */
    bh->high = ++fuzz.order;
  bh->queued = TRUE;
  if (idle)
    bh->idle = TRUE;
  else
    bh->scheduled = TRUE;
}

static void
check_first (FuzzBh *bh)
{
  for (guint i = 0; i < fuzz.all_bhs->len; i++)
    {
      FuzzBh *other = g_ptr_array_index (fuzz.all_bhs, i);

      if (other->c == bh->c && other->queued && fuzz_bh_is_runnable (other) && !other->fuzzy)
        fuzz_require (other->high >= bh->low, "a bottom half runs before one that was scheduled first");
    }
}

static void
check_once (FuzzBh *bh)
{
  fuzz_require (bh->last_turn != fuzz.turn->id, "a bottom half runs twice in a pass");
  bh->last_turn = fuzz.turn->id;
}

/* It is out of the queue. */
static void
note_taken (FuzzBh *bh)
{
  if (bh->fuzzy)
    return;
  fuzz_require (fuzz_bh_is_runnable (bh), "a bottom half runs that is not scheduled");
  check_first (bh);
  bh->queued = bh->scheduled = bh->idle = FALSE;
}

static void
bh_called (gpointer data)
{
  FuzzBh *bh = data;

  fuzz_trace ("bottom half %p of %s", data, bh->c->name);
  fuzz_require (!bh->destroyed, "a bottom half runs after it was freed");
  if (fuzz.called == bh)
    {
      fuzz.called = NULL;
      fuzz_run_script (bh->script);
      return;
    }
  /* Which of the two it was scheduled as, if it was. */
  if (bh->fuzzy)
    fuzz.turn->unsure = TRUE;
  fuzz_enter_callback (bh->c, !bh->in_batch && bh->scheduled);
  if (bh->in_batch)
    bh->in_batch = FALSE;
  else
    {
      bh->c->bhs_run++;
      check_once (bh);
      note_taken (bh);
    }
  fuzz_require (bh->kind != FUZZ_BH_ONESHOT || !bh->ran, "a oneshot runs twice");
  bh->ran = TRUE;
  fuzz_run_script (bh->script);
}

static void
bh_destroyed (gpointer data)
{
  FuzzBh *bh = data;

  fuzz_trace ("bottom half %p is freed", data);
  fuzz_require (!bh->destroyed, "a bottom half is freed twice");
  fuzz_require (bh->deleted || bh->ran || bh->c->closed || bh->c->leaks, "a bottom half is freed that was not deleted");
  bh->destroyed = TRUE;
  bh->queued = bh->scheduled = bh->idle = bh->in_batch = FALSE;
  if (bh->kind != FUZZ_BH_BOXED)
    bh->bh = NULL;
  fuzz_run_destroy_script (bh->c, bh->script);
}

/*
 * What runs bottom halves many at a time: in their order, without those that one before has cancelled or deleted. What it
 * says to have run is counted, and is progress.
 */
static guint
run_batch (gpointer *items, guint n_items, gpointer data)
{
  FuzzTurn *turn = fuzz.turn;
  FuzzContext *c = data;
  guint n_run = 0;
  FuzzBh *bh;

  fuzz_require (n_items != 1 && n_items <= AIO_BH_BATCH_MAX, "a batch of %u", n_items);
  fuzz_require (n_items > 0 || c->batch.head, "nothing is left of a batch");
  fuzz_trace ("a batch of %u", n_items);
  for (guint i = 0; i < n_items; i++)
    {
      bh = items[i];
      fuzz_require (bh->scheduled || bh->fuzzy, "an idle bottom half is in a batch");
      check_once (bh);
      note_taken (bh);
      bh->in_batch = TRUE;
      g_queue_push_tail (&c->batch, bh);
    }
  while ((bh = g_queue_pop_head (&c->batch)))
    if (bh->in_batch)
      {
        n_run++;
        bh_called (bh);
      }
  c->bhs_run += n_run;
  turn->progress |= n_run > 0;
  return n_run;
}

static gboolean
batch_has_rest (gpointer data)
{
  return ((FuzzContext *) data)->batch.head != NULL;
}

static FuzzBh **
pick_bh (void)
{
  return &fuzz.bhs[fuzz_arg (FUZZ_N_BHS)];
}

/* A callback of its own, for which no batch is made. */
static void
plain_bh_called (gpointer data)
{
  bh_called (data);
}

static FuzzBh *
bh_new (FuzzContext *c, FuzzBhKind kind)
{
  FuzzBh *bh = g_new0 (FuzzBh, 1);

  bh->c = c;
  bh->kind = kind;
  bh->script = fuzz_arg (FUZZ_N_SCRIPTS);
  g_ptr_array_add (fuzz.all_bhs, bh);
  return bh;
}

static void
op_bh_new (void)
{
  FuzzContext *c = fuzz_pick_context ();
  FuzzBh **slot = pick_bh ();
  FuzzBhKind kind = fuzz_arg (3);
  FuzzBh *bh;

  if (!c || !c->ctx || (*slot && !(*slot)->deleted && !(*slot)->destroyed))
    return;
  bh = bh_new (c, kind);
  if (kind == FUZZ_BH_PLAIN)
    bh->bh = bh->script % 2 ? aio_bh_new (c->ctx, plain_bh_called, bh) : (aio_bh_new) (c->ctx, plain_bh_called, bh);
  else if (kind == FUZZ_BH_BOXED)
    bh->bh = aio_bh_new_boxed (c->ctx, NULL, bh_called, bh, bh_destroyed);
  else
    bh->bh = aio_bh_new_full (c->ctx, "fuzz", bh_called, bh, bh_destroyed);
  fuzz_trace ("  %p of %s", (void *) bh, c->name);
  fuzz_require ((bh->bh == NULL) == c->closed, "a bottom half of %s", c->closed ? "a closed context" : "none");
  if (bh->bh)
    *slot = bh;
  else
    g_ptr_array_remove (fuzz.all_bhs, bh);
}

static void
op_oneshot (void)
{
  FuzzContext *c = fuzz_pick_context ();
  FuzzBh *bh;

  if (!c || !c->ctx)
    return;
  bh = bh_new (c, FUZZ_BH_ONESHOT);
  fuzz_trace ("  %p of %s", (void *) bh, c->name);
  if (!c->closed)
    note_schedule (bh, FALSE);
  else
    bh->ran = TRUE;
  aio_context_schedule_oneshot_full (c->ctx, NULL, bh_called, bh, bh_destroyed);
}

static void
op_bh_schedule (void)
{
  FuzzBh *bh = *pick_bh ();
  guint how = fuzz_arg (4);

  if (!bh || !bh->bh)
    return;
  fuzz_trace ("  %p", (void *) bh);
  note_schedule (bh, how == 3);
  if (how == 3)
    aio_bh_schedule_idle (bh->bh);
  else
    aio_bh_schedule (bh->bh);
}

static void
op_bh_cancel (void)
{
  FuzzBh *bh = *pick_bh ();

  if (!bh || !bh->bh)
    return;
  fuzz_trace ("  %p", (void *) bh);
  touch (bh);
  bh->scheduled = bh->idle = bh->in_batch = FALSE;
  aio_bh_cancel (bh->bh);
  fuzz_require (!aio_bh_is_scheduled (bh->bh), "a bottom half that was cancelled is scheduled");
}

static void
op_bh_delete (void)
{
  FuzzBh *bh = *pick_bh ();
  AioBh *gone;

  if (!bh || !bh->bh)
    return;
  fuzz_trace ("  %p", (void *) bh);
  gone = bh->bh;
  touch (bh);
  /* Once it was reported it comes too late. */
  if (!bh->destroyed && bh->c->warnings_of_bhs == 0)
    bh->deleted = TRUE;
  bh->in_batch = FALSE;
  if (bh->kind == FUZZ_BH_BOXED)
    {
      aio_bh_delete (gone);
      fuzz_require (!aio_bh_is_open (gone) && !aio_bh_is_scheduled (gone), "a deleted bottom half is open");
      return;
    }
  bh->bh = NULL;
  aio_bh_delete (gone);
}

static void
op_bh_call (void)
{
  FuzzBh *bh = *pick_bh ();

  if (!bh || !bh->bh || fuzz.elsewhere)
    return;
  fuzz_trace ("  %p", (void *) bh);
  fuzz.called = bh;
  aio_bh_call (bh->bh);
  fuzz.called = NULL;
}

static void
op_batches (void)
{
  FuzzContext *c = fuzz_pick_context ();

  if (!fuzz_may_drive (c) || c->batch.head)
    return;
  c->batches = !c->batches;
  if (c->batches)
    aio_context_set_bh_batch (c->ctx, bh_called, run_batch, batch_has_rest, c);
  else
    aio_context_set_bh_batch (c->ctx, NULL, NULL, NULL, NULL);
}

const FuzzOperation fuzz_bh_operations[] = {
  { "bh new", op_bh_new, 3 },           { "oneshot", op_oneshot, 2 },
  { "bh schedule", op_bh_schedule, 6 }, { "bh cancel", op_bh_cancel, 2 },
  { "bh delete", op_bh_delete, 2 },     { "bh call", op_bh_call, 1 },
  { "batches", op_batches, 1 },         { NULL, NULL, 0 },
};
