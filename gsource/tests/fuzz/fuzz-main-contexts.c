/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

/* Operations on main contexts: iterations, and the phases of one by one. */

gboolean
fuzz_glib_is_at_work (void)
{
  FuzzTurn *turn = fuzz.turn;

  while (turn && turn->c)
    turn = turn->outer;
  return turn != NULL;
}

/* Not in a prepare or a check, from which GLib does not bear it. */
static gboolean
may_iterate (void)
{
  int depth = 0;

  for (FuzzTurn *turn = fuzz.turn; turn; turn = turn->outer)
    depth += turn->c == NULL;
  return fuzz.main_context && !fuzz.elsewhere && !fuzz.in_end && depth == g_main_depth ();
}

void
fuzz_iterate (gboolean blocking)
{
  FuzzTurn turn;

  fuzz.prepared = fuzz.checked = FALSE;
  fuzz_turn_begin (&turn, NULL, TRUE);
  g_main_context_iteration (fuzz.main_context, blocking);
  fuzz_turn_end (&turn);
  fuzz.prepared = fuzz.checked = FALSE;
  for (guint i = 0; i < FUZZ_N_CONTEXTS; i++)
    {
      FuzzContext *c = fuzz.contexts[i];

      fuzz_check_after (c);
      /* A source that is alone is checked or dispatched after each prepare. */
      if (!fuzz.turn && !fuzz.other && !fuzz.by_hand && fuzz.all_contexts->len == 1 && fuzz_is_alive (c) && c->attached
          && !c->detached)
        fuzz_require (aio_context_get_notify_me (c->ctx) == 0, "%s takes itself for prepared", c->name);
    }
}

static void
op_iterate (void)
{
  gboolean blocking = fuzz_arg (2);

  if (may_iterate ())
    fuzz_iterate (blocking);
}

/* Of what the last check has found, once. */
static void
op_glib_dispatch (void)
{
  FuzzTurn turn;

  if (!may_iterate () || !fuzz.checked)
    return;
  fuzz.checked = FALSE;
  fuzz_turn_begin (&turn, NULL, TRUE);
  fuzz_require (g_main_context_acquire (fuzz.main_context), "no main context");
  g_main_context_dispatch (fuzz.main_context);
  g_main_context_release (fuzz.main_context);
  fuzz_turn_end (&turn);
}

/* In a dispatch GLib forgets what is found and not dispatched there, with the references to it. */
static void
note_checked (void)
{
  fuzz.prepared = FALSE;
  fuzz.checked = TRUE;
  if (fuzz.turn)
    op_glib_dispatch ();
}

static void
op_glib_pending (void)
{
  FuzzTurn turn;

  if (!may_iterate ())
    return;
  fuzz.by_hand = TRUE;
  fuzz_turn_begin (&turn, NULL, TRUE);
  g_main_context_pending (fuzz.main_context);
  fuzz_turn_end (&turn);
  note_checked ();
}

static void
op_glib_prepare (void)
{
  FuzzTurn turn;
  int priority;

  if (!may_iterate ())
    return;
  fuzz.by_hand = TRUE;
  fuzz_turn_begin (&turn, NULL, TRUE);
  fuzz_require (g_main_context_acquire (fuzz.main_context), "no main context");
  g_main_context_prepare (fuzz.main_context, &priority);
  g_main_context_release (fuzz.main_context);
  fuzz_turn_end (&turn);
  fuzz.checked = FALSE;
  fuzz.prepared = TRUE;
  fuzz.prepared_in = turn.id;
}

/* With what was asked for then, whatever has happened since. */
static void
op_glib_check (void)
{
  gboolean blocking = fuzz_arg (2);
  GPollFD fds[64];
  int timeout, n;
  FuzzTurn turn;

  if (!may_iterate () || !fuzz.prepared)
    return;
  fuzz_turn_begin (&turn, NULL, TRUE);
  turn.looks_from = fuzz.prepared_in;
  fuzz_require (g_main_context_acquire (fuzz.main_context), "no main context");
  n = g_main_context_query (fuzz.main_context, G_MAXINT, &timeout, fds, G_N_ELEMENTS (fds));
  fuzz_require (n <= (int) G_N_ELEMENTS (fds), "%d file descriptors for GLib", n);
  fuzz_kernel_g_poll (fds, n, blocking ? timeout : 0);
  g_main_context_check (fuzz.main_context, G_MAXINT, fds, n);
  g_main_context_release (fuzz.main_context);
  fuzz_turn_end (&turn);
  note_checked ();
}

/* Another source, whose functions go on with a script */

typedef struct {
  GSource source;
  guint script;
  gboolean ready;
} Other;

static gboolean
other_prepare (GSource *source, int *timeout)
{
  Other *other = (Other *) source;

  fuzz_trace ("another source is prepared");
  fuzz_run_script (other->script);
  *timeout = -1;
  return FALSE;
}

static gboolean
other_check (GSource *source)
{
  Other *other = (Other *) source;
  gboolean ready = other->ready;

  fuzz_trace ("another source is checked");
  fuzz_run_script (other->script);
  other->ready = FALSE;
  return ready;
}

static gboolean
other_dispatch (GSource *source, GSourceFunc callback, gpointer data)
{
  fuzz_trace ("another source is dispatched");
  fuzz_run_script (((Other *) source)->script);
  return G_SOURCE_CONTINUE;
}

static void
op_other_source (void)
{
  static GSourceFuncs funcs = { other_prepare, other_check, other_dispatch, NULL, NULL, NULL };
  int priority = fuzz_arg (2) ? G_PRIORITY_HIGH : G_PRIORITY_LOW;

  if (!fuzz.main_context || fuzz.elsewhere)
    return;
  if (!fuzz.other)
    {
      fuzz.other = g_source_new (&funcs, sizeof (Other));
      g_source_set_priority (fuzz.other, priority);
      g_source_set_can_recurse (fuzz.other, TRUE);
      ((Other *) fuzz.other)->script = fuzz_arg (FUZZ_N_SCRIPTS);
      g_source_attach (fuzz.other, fuzz.main_context);
    }
  else
    {
      ((Other *) fuzz.other)->ready = TRUE;
      g_main_context_wakeup (fuzz.main_context);
    }
}

const FuzzOperation fuzz_main_context_operations[] = {
  { "iterate", op_iterate, 12 },
  { "GLib pending", op_glib_pending, 2 },
  { "GLib prepare", op_glib_prepare, 4 },
  { "GLib check", op_glib_check, 4 },
  { "GLib dispatch", op_glib_dispatch, 3 },
  { "other source", op_other_source, 2 },
  { NULL, NULL, 0 },
};
