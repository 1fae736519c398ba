/* SPDX-License-Identifier: MIT */
#include "aio-stats.h"

#include "aio-context-private.h"

/**
 * aio_context_get_stats:
 * @ctx: a context
 * @stats: (out caller-allocates): return location for the counters
 *
 * Reads the context's counters. Any thread; each is whole, but they are not read at the same moment.
 */
void
aio_context_get_stats (AioContext *ctx, AioStats *stats)
{
  g_return_if_fail (ctx != NULL && stats != NULL);

  *stats = (AioStats){
    .polls = aio_counter_get (&ctx->stats.polls),
    .prepares = aio_counter_get (&ctx->stats.prepares),
    .checks = aio_counter_get (&ctx->stats.checks),
    .dispatches = aio_counter_get (&ctx->stats.dispatches),
    .empty_iterations = aio_counter_get (&ctx->stats.empty_iterations),
    .waits = aio_counter_get (&ctx->stats.waits),
    .zero_waits = aio_counter_get (&ctx->stats.zero_waits),
    .empty_waits = aio_counter_get (&ctx->stats.empty_waits),
    .eventfd_writes = aio_counter_get (&ctx->stats.eventfd_writes),
    .eventfd_reads = aio_counter_get (&ctx->stats.eventfd_reads),
    .bhs_run = aio_counter_get (&ctx->stats.bhs_run),
    .handlers_dispatched = aio_counter_get (&ctx->stats.handlers_dispatched),
    .timers_fired = aio_counter_get (&ctx->stats.timers_fired),
    .poll_iterations = aio_counter_get (&ctx->stats.poll_iterations),
    .poll_successes = aio_counter_get (&ctx->stats.poll_successes),
    .poll_ns = atomic_load_explicit (&ctx->poll_ns, memory_order_relaxed),
    .monitor_switches = aio_counter_get (&ctx->stats.monitor_switches),
    .sqes = aio_counter_get (&ctx->stats.sqes),
    .cqes = aio_counter_get (&ctx->stats.cqes),
  };
}
