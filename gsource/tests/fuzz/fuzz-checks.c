/* SPDX-License-Identifier: MIT */
#include "fuzz-world.h"

/* What has to be true of contexts. */

/* How much may pass between two reads of a clock that belong together, and what GLib's milliseconds add. */
#define SLACK_NS (1000 * 1000)

#define IDLE_NS (10 * 1000 * 1000)

/* While nobody drives it: what was not known is asked. */
static void
ask_of_fuzzy (FuzzContext *c)
{
  fuzz.quiet++;
  for (guint i = 0; i < fuzz.all_timers->len; i++)
    {
      FuzzTimer *timer = g_ptr_array_index (fuzz.all_timers, i);

      if (timer->c != c || !timer->fuzzy || !timer->timer || !aio_clock_get_enabled (timer->clock->clock))
        continue;
      timer->fuzzy = FALSE;
      timer->due = 0;
      timer->expire_ns = aio_timer_expire_time_ns (timer->timer);
    }
  for (guint i = 0; i < fuzz.all_bhs->len; i++)
    {
      FuzzBh *bh = g_ptr_array_index (fuzz.all_bhs, i);

      if (bh->c == c && bh->fuzzy && bh->bh && !aio_bh_is_scheduled (bh->bh))
        bh->fuzzy = bh->scheduled = bh->idle = FALSE;
    }
  fuzz.quiet--;
}

static void
check_snapshot (FuzzContext *c)
{
  g_autoptr (AioSnapshot) snapshot = aio_context_inspect (c->ctx);
  guint n_bhs = 0, n_oneshots = 0, n_timers = 0, n_handlers = 0, n_oneshots_seen = 0;

  for (guint i = 0; i < fuzz.all_bhs->len; i++)
    {
      FuzzBh *bh = g_ptr_array_index (fuzz.all_bhs, i);

      if (bh->c != c || bh->destroyed)
        continue;
      if (bh->kind == FUZZ_BH_ONESHOT)
        n_oneshots += !bh->ran && !bh->in_batch;
      else
        n_bhs += !bh->deleted;
    }
  for (guint i = 0; i < fuzz.all_timers->len; i++)
    {
      FuzzTimer *timer = g_ptr_array_index (fuzz.all_timers, i);

      if (timer->c == c && timer->fuzzy)
        return;
      n_timers += timer->c == c && fuzz_timer_is_armed (timer);
    }
  for (guint i = 0; i < fuzz.all_watches->len; i++)
    {
      FuzzWatch *watch = g_ptr_array_index (fuzz.all_watches, i);

      n_handlers += watch->c == c && watch->live;
    }
  for (guint i = 0; i < snapshot->n_bhs; i++)
    n_oneshots_seen += snapshot->bhs[i].oneshot;
  fuzz_require (snapshot->n_handlers == n_handlers, "%u handlers, %u in the snapshot", n_handlers,
                snapshot->n_handlers);
  fuzz_require (snapshot->n_timers == n_timers, "%u armed timers, %u in the snapshot", n_timers, snapshot->n_timers);
  fuzz_require (n_oneshots_seen == n_oneshots, "%u oneshots, %u in the snapshot", n_oneshots, n_oneshots_seen);
  fuzz_require (snapshot->n_bhs - n_oneshots_seen == n_bhs, "%u bottom halves, %u in the snapshot", n_bhs,
                snapshot->n_bhs - n_oneshots_seen);
}

void
fuzz_check_context (FuzzContext *c)
{
  AioStats stats;

  if (!fuzz.turn && !fuzz.at_point)
    ask_of_fuzzy (c);
  fuzz.quiet++;
  aio_context_get_stats (c->ctx, &stats);
  fuzz_require (stats.bhs_run == c->bhs_run, "%u bottom halves have run, %u are counted", (guint) c->bhs_run,
                (guint) stats.bhs_run);
  fuzz_require (stats.handlers_dispatched == c->handlers_dispatched, "%u handlers were called, %u are counted",
                (guint) c->handlers_dispatched, (guint) stats.handlers_dispatched);
  fuzz_require (stats.timers_fired == c->timers_fired, "%u timers have fired, %u are counted", (guint) c->timers_fired,
                (guint) stats.timers_fired);
  fuzz_require (stats.eventfd_reads <= stats.eventfd_writes, "more reads of the eventfd than writes");
  fuzz_require (stats.zero_waits + stats.empty_waits <= stats.waits, "more waits of a kind than waits");
  fuzz_require (stats.poll_successes <= stats.poll_iterations, "more successes than looks");
  fuzz_require (aio_context_external_disabled (c->ctx) == (c->external_disables > 0), "external clients are%s disabled",
                c->external_disables ? " not" : "");
  for (guint i = 0; i < fuzz.all_timers->len; i++)
    {
      FuzzTimer *timer = g_ptr_array_index (fuzz.all_timers, i);

      if (timer->c == c && timer->timer && !timer->fuzzy)
        fuzz_require (aio_timer_expire_time_ns (timer->timer) == timer->expire_ns, "a timer's expiry is another one");
    }
  for (guint i = 0; i < fuzz.all_bhs->len; i++)
    {
      FuzzBh *bh = g_ptr_array_index (fuzz.all_bhs, i);

      if (bh->c == c && bh->bh && !bh->fuzzy)
        fuzz_require (aio_bh_is_scheduled (bh->bh) == fuzz_bh_is_runnable (bh), "a bottom half is %sscheduled",
                      fuzz_bh_is_runnable (bh) ? "not " : "");
    }
  if (aio_context_in_home_thread (c->ctx) && !fuzz.at_point && !c->batch.head)
    check_snapshot (c);
  fuzz.quiet--;
}

/* Until when it may sleep: -1 for without end. */
static void
check_until (gint64 until_ns, gint64 latest_ns, const char *what)
{
  /* What is farther away than the kernel can tell is never. */
  fuzz_require (latest_ns >= FUZZ_KERNEL_END_NS - SLACK_NS || (until_ns >= 0 && until_ns <= latest_ns + SLACK_NS),
                "asleep %s", what);
}

static void
check_timer_asleep (FuzzTimer *timer, gint64 until_ns)
{
  gint64 now;

  if (!fuzz_timer_is_armed (timer) || timer->expire_ns == G_MAXINT64 || timer->fuzzy
      || !aio_clock_get_enabled (timer->clock->clock))
    return;
  now = fuzz_clock_now (timer->clock);
  if (timer->clock->manual)
    fuzz_require (timer->due == 0 && timer->expire_ns > now, "asleep while a manual timer is due");
  else if (!timer->clock->wall || !fuzz.jumped || !fuzz.faults)
    check_until (until_ns,
                 timer->due ? 0 : MIN (fuzz_kernel_now (FALSE) + MAX (timer->expire_ns - now, 0), FUZZ_KERNEL_END_NS),
                 "longer than until a timer is due");
}

/* How long a wait would be by now; it is not 0. */
void
fuzz_check_timeout (FuzzContext *c, gint64 timeout_ns)
{
  gint64 until_ns = timeout_ns < 0 ? -1 : fuzz_kernel_now (FALSE) + MIN (timeout_ns, FUZZ_KERNEL_END_NS);

  for (guint i = 0; i < fuzz.all_bhs->len; i++)
    {
      FuzzBh *bh = g_ptr_array_index (fuzz.all_bhs, i);

      if (bh->c != c || bh->fuzzy)
        continue;
      fuzz_require (!fuzz_bh_is_runnable (bh) || !bh->scheduled, "asleep while a bottom half is scheduled");
      fuzz_require (!bh->in_batch, "asleep while a bottom half is in a batch");
      if (fuzz_bh_is_runnable (bh))
        check_until (until_ns, fuzz_kernel_now (FALSE) + IDLE_NS, "while an idle bottom half is scheduled");
    }
  for (guint i = 0; i < fuzz.all_timers->len; i++)
    {
      FuzzTimer *timer = g_ptr_array_index (fuzz.all_timers, i);

      if (timer->c == c)
        check_timer_asleep (timer, until_ns);
    }
}

/* A wait begins now, and nothing there is by now will end it before @until_ns. */
void
fuzz_check_asleep (FuzzContext *c, gint64 until_ns)
{
  fuzz_check_timeout (c, until_ns < 0 ? -1 : until_ns - fuzz_kernel_now (FALSE));
  for (guint i = 0; i < fuzz.all_watches->len; i++)
    {
      FuzzWatch *watch = g_ptr_array_index (fuzz.all_watches, i);

      if (watch->c != c || !fuzz_watch_may_be_served (watch))
        continue;
      fuzz_require (!fuzz_watch_is_ready (watch), "asleep while fd %d is ready", watch->fd);
      fuzz_require (watch->event == 0 || watch->busy || watch->event > fuzz.turn->looks_from,
                    "asleep while the poll function of fd %d would say yes", watch->fd);
    }
}

/* Nothing can be left that had to run, or to be freed. */
void
fuzz_check_settled (FuzzContext *c)
{
  if (!fuzz_is_alive (c))
    return;
  for (guint i = 0; i < fuzz.all_bhs->len; i++)
    {
      FuzzBh *bh = g_ptr_array_index (fuzz.all_bhs, i);

      if (bh->c != c)
        continue;
      fuzz_require (bh->fuzzy || !fuzz_bh_is_runnable (bh), "a bottom half that was scheduled has never run");
      fuzz_require (!bh->deleted || bh->destroyed || bh->kind == FUZZ_BH_PLAIN, "a deleted bottom half is not freed");
    }
  for (guint i = 0; i < fuzz.all_timers->len; i++)
    {
      FuzzTimer *timer = g_ptr_array_index (fuzz.all_timers, i);

      if (timer->c == c && fuzz_timer_is_armed (timer) && !timer->fuzzy && aio_clock_get_enabled (timer->clock->clock))
        fuzz_require (timer->expire_ns > fuzz_clock_now (timer->clock) - (timer->clock->manual ? 0 : SLACK_NS)
                          || timer->expire_ns == G_MAXINT64,
                      "a timer that is due has never fired");
    }
  for (guint i = 0; i < fuzz.all_watches->len; i++)
    {
      FuzzWatch *watch = g_ptr_array_index (fuzz.all_watches, i);

      if (watch->c != c)
        continue;
      fuzz_require (watch->live || watch->destroyed, "the handler of fd %d was removed and is not freed", watch->fd);
      if (!fuzz_watch_may_be_served (watch))
        continue;
      fuzz_require (!fuzz_watch_is_ready (watch), "fd %d is ready, and nobody is called", watch->fd);
      fuzz_require (watch->event == 0, "there is something for the handler of fd %d, and nobody is called", watch->fd);
    }
  fuzz_check_context (c);
}
