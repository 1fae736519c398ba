/**
 * The parts that driving a context is made of, for tests and tools. A program needs none of them.
 *
 * @module
 */

import { checkBoolean } from './arguments.js';
import { contextHandle, type AioContext } from './context.js';
import { leaveDriver } from './dispatcher.js';
import { native } from './load.js';

/**
 * Takes note of all notifications so far. The original's `aio_notify_accept`.
 *
 * @throws `ERR_AIO_CLOSED`
 */
export function notifyAccept(context: AioContext): void {
  native.contextNotifyAccept(contextHandle(context, 'context'));
}

/**
 * Runs the bottom halves that are scheduled, and throws what they throw. The original's `aio_bh_poll`.
 *
 * @returns whether one ran that was not idle
 * @throws `ERR_AIO_CLOSED`
 */
export function bhPoll(context: AioContext): boolean {
  return leaveDriver(native.contextBhPoll(contextHandle(context, 'context')));
}

/**
 * Makes ready for a wait that somebody else does: ends polling, and throws what its functions throw. The original's
 * `aio_prepare`.
 *
 * @returns whether handlers are known to be ready already
 * @throws `ERR_AIO_CLOSED`
 */
export function prepare(context: AioContext): boolean {
  return leaveDriver(native.contextPrepare(contextHandle(context, 'context')));
}

/**
 * Whether the last wait found handlers ready that have not run. The original's `aio_pending`.
 *
 * @throws `ERR_AIO_CLOSED`
 */
export function pending(context: AioContext): boolean {
  return native.contextPending(contextHandle(context, 'context'));
}

/**
 * Runs what there is without looking at any file descriptor, and throws what it throws. The original's
 * `aio_dispatch`.
 *
 * @returns whether there was progress
 * @throws `ERR_AIO_CLOSED`
 */
export function dispatch(context: AioContext): boolean {
  return leaveDriver(native.contextDispatch(contextHandle(context, 'context')));
}

/**
 * How long a wait may last now. The original's `aio_compute_timeout`.
 *
 * @returns nanoseconds, or -1 for without end
 * @throws `ERR_AIO_CLOSED`
 */
export function computeTimeoutNs(context: AioContext): bigint {
  return native.contextComputeTimeout(contextHandle(context, 'context'));
}

/**
 * Whether a handler would be called now, were it ready. The original's `aio_node_check`.
 *
 * @param external - whether it is external
 * @throws `ERR_AIO_CLOSED`
 */
export function nodeCheck(context: AioContext, external: boolean): boolean {
  const handle = contextHandle(context, 'context');
  checkBoolean(external, 'external');
  return native.nodeCheck(handle, external);
}

/**
 * Whether there is a handler without a poll function. Then only the `io_uring` monitor, which sees in memory what is
 * ready, can poll. The original's `aio_poll_disabled`.
 *
 * @throws `ERR_AIO_CLOSED`
 */
export function pollDisabled(context: AioContext): boolean {
  return native.contextPollDisabled(contextHandle(context, 'context'));
}

/** Who has to be woken: bit 0 for the GSource, and 2 for each poll that may sleep. The original's `notify_me`. */
export function notifyMe(context: AioContext): number {
  return native.contextNotifyMe(contextHandle(context, 'context'));
}

/** Whether there is a notification that was not accepted yet. The original's `notified`. */
export function notified(context: AioContext): boolean {
  return native.contextNotified(contextHandle(context, 'context'));
}
