/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

/* Operations on event notifiers. */

static void
op_notifier_new (void)
{
  FuzzNotifier *slot = &fuzz.notifiers[fuzz_arg (FUZZ_N_NOTIFIERS)];
  gboolean active = fuzz_arg (2);
  g_autoptr (GError) error = NULL;

  if (slot->notifier)
    return;
  slot->notifier = aio_notifier_new (active, &error);
  fuzz_require ((slot->notifier == NULL) == (error != NULL) && (!error || fuzz.faults), "no notifier");
}

static void
op_notifier_set (void)
{
  FuzzNotifier *slot = &fuzz.notifiers[fuzz_arg (FUZZ_N_NOTIFIERS)];
  g_autoptr (GError) error = NULL;
  gboolean ok, open;

  if (!slot->notifier)
    return;
  open = aio_notifier_get_fd (slot->notifier) >= 0;
  ok = aio_notifier_set (slot->notifier, &error);
  fuzz_require (ok == open && ok == !error && (ok || error->code == AIO_ERROR_CLOSED), "a notifier was%s set",
                ok ? "" : " not");
}

static void
op_notifier_clear (void)
{
  FuzzNotifier *slot = &fuzz.notifiers[fuzz_arg (FUZZ_N_NOTIFIERS)];

  if (!slot->notifier)
    return;
  for (guint i = 0; i < fuzz.all_watches->len; i++)
    if (((FuzzWatch *) g_ptr_array_index (fuzz.all_watches, i))->notifier == slot->notifier)
      ((FuzzWatch *) g_ptr_array_index (fuzz.all_watches, i))->event = 0;
  aio_notifier_test_and_clear (slot->notifier);
  fuzz_require (!aio_notifier_test_and_clear (slot->notifier) || fuzz.faults, "a notifier was cleared and is set");
}

static void
op_notifier_close (void)
{
  FuzzNotifier *slot = &fuzz.notifiers[fuzz_arg (FUZZ_N_NOTIFIERS)];
  gboolean unref = fuzz_arg (2);

  if (!slot->notifier)
    return;
  fuzz_orphan (aio_notifier_get_fd (slot->notifier));
  aio_notifier_close (slot->notifier);
  fuzz_require (aio_notifier_get_fd (slot->notifier) == -1, "a closed notifier has a file descriptor");
  if (unref)
    g_clear_pointer (&slot->notifier, aio_notifier_unref);
}

static void
op_notifier_watch (void)
{
  FuzzContext *c = fuzz_pick_context ();
  FuzzNotifier *slot = &fuzz.notifiers[fuzz_arg (FUZZ_N_NOTIFIERS)];
  guint how = fuzz_arg (8);
  guint flags = fuzz_arg (32) & ~FUZZ_WRITE;
  g_autoptr (AioNotifier) notifier = NULL;
  g_autoptr (AioContext) ctx = NULL;
  g_autoptr (GError) error = NULL;
  AioNotifierHandler handler;
  gboolean can, ok;
  FuzzWatch *watch;
  int fd;

  if (!c || !c->ctx || !slot->notifier)
    return;
  ctx = aio_context_ref (c->ctx);
  notifier = aio_notifier_ref (slot->notifier);
  fd = aio_notifier_get_fd (notifier);
  if (how == 0)
    {
      guint destroyed = 0;

      if (fd >= 0)
        fuzz_note_replaced (c, fd);
      ok = aio_context_set_event_notifier (ctx, notifier, NULL, &destroyed, fuzz_count_destroyed, &error);
      fuzz_require (ok == (fd >= 0) && ok == !error && destroyed == 1, "a notifier's handler could not be removed");
      return;
    }
  if (!(flags & (FUZZ_READ | FUZZ_POLL)))
    flags |= FUZZ_READ;
  watch = fuzz_watch_new (c, fd, notifier, flags);
  can = fd >= 0 && fuzz_can_be_watched (c, fd);
  fuzz_watch_begins (watch, can);
  fuzz_fill_notifier_handler (watch, &handler);
  ok = aio_context_set_event_notifier_full (ctx, notifier, &handler, watch, fuzz_watch_destroyed, &error);
  fuzz_require (ok == can && ok == !error, "a notifier was %s", can ? "refused" : "taken");
  fuzz_require (ok || (error->code == AIO_ERROR_CLOSED && watch->destroyed), "not the error of what is closed");
}

static void
op_notifier_functions (void)
{
  FuzzContext *c = fuzz_pick_context ();
  FuzzNotifier *slot = &fuzz.notifiers[fuzz_arg (FUZZ_N_NOTIFIERS)];
  guint pair = fuzz_arg (3);
  g_autoptr (AioContext) ctx = NULL;
  GCallback begin, end;
  FuzzWatch *watch;

  if (!c || !c->ctx || !slot->notifier)
    return;
  fuzz_watch_functions (pair, TRUE, &begin, &end);
  watch = fuzz_find_watch (c, aio_notifier_get_fd (slot->notifier));
  if (watch && watch->flags & FUZZ_POLL && watch->notifier)
    watch->functions = pair;
  ctx = aio_context_ref (c->ctx);
  aio_context_set_event_notifier_poll (ctx, slot->notifier, (AioNotifierFunc) begin, (AioNotifierFunc) end);
}

const FuzzOperation fuzz_notifier_operations[] = {
  { "notifier new", op_notifier_new, 2 },
  { "notifier set", op_notifier_set, 2 },
  { "notifier clear", op_notifier_clear, 1 },
  { "notifier close", op_notifier_close, 1 },
  { "notifier watch", op_notifier_watch, 3 },
  { "notifier functions", op_notifier_functions, 1 },
  { NULL, NULL, 0 },
};
