import { checkBoolean, checkFunction, checkObject, invalidValue, nameOf } from './arguments.js';
import { inScope, type Callback } from './dispatcher.js';
import type { AioError } from './errors.js';
import type { EventNotifier } from './notifier.js';
import { Polling } from './polling.js';

/**
 * The callbacks of a file descriptor, for `AioContext.setFdHandler()`: `read`, `write`, both, or `poll` with or without
 * them. They are captured when it is registered, and called with the handler as `this`. What they return is ignored,
 * `poll` apart; the rejection of an async one is an `unhandledRejection`.
 *
 * A handler with `poll` may be asked in memory whether it has something to do, before a wait sleeps: see
 * `AioContext.setPollParams()` and docs/polling.md. While it is polled whoever makes its events need not make the file
 * descriptor ready.
 *
 * @example
 * ```ts
 * ctx.setFdHandler(kick.fd, {
 *   read: () => { kick.testAndClear(); serve(); }, // somebody slept, and was kicked
 *   poll: () => Atomics.load(ring, head) !== Atomics.load(ring, tail), // looks, and does nothing else
 *   pollReady: () => { serve(); },
 *   pollBegin: () => { Atomics.store(ring, wantsKick, 0); },
 *   pollEnd: () => { Atomics.store(ring, wantsKick, 1); }, // `poll` is asked once more after this
 * });
 * ```
 */
export interface FdHandler {
  /** It can be read, has hung up, or is in error. */
  read?(fd: number): void;
  /** It can be written or is in error; or has hung up, where there is no `read`. */
  write?(fd: number): void;
  /**
   * The handler is dead and removed: the file descriptor was closed while it was watched. Without this method the
   * error is treated like one that a callback has thrown.
   */
  error?(error: AioError): void;
  /**
   * Tells from memory whether there is something to do, and does nothing about it. It is asked often; anything but a
   * boolean, such as the promise of an async function, is treated like a thrown `ERR_INVALID_RETURN_VALUE`, and what it
   * throws like `false`. It needs a `pollReady`. A handler without `read` and `write` is asked by each `poll()` and each
   * iteration of a main context, too, but nothing ends a wait for its sake. The original's `io_poll`.
   */
  poll?(fd: number): boolean;
  /** `poll` has said so, and the file descriptor is not ready besides. The original's `io_poll_ready`. */
  pollReady?(fd: number): void;
  /** It is polled from now on: no kick by the file descriptor is needed. The original's `io_poll_begin`. */
  pollBegin?(): void;
  /**
   * It is polled no longer: a kick is needed again. It is called once for each `pollBegin`, whatever becomes of the
   * handler, also by the call that removes it or closes the context. `poll` is asked once more after it, if the handler
   * is still there. The original's `io_poll_end`.
   */
  pollEnd?(): void;
  /**
   * Whether it serves a client outside of the program: it is held back between `AioContext.disableExternal()` and
   * `enableExternal()`. The original's `is_external`.
   */
  external?: boolean;
  /** What it is called in messages. */
  name?: string;
}

/** The callbacks of a notifier, for `AioContext.setEventNotifier()`; otherwise like an {@link FdHandler}. */
export interface NotifierHandler {
  /** It was set. It has been cleared before the call. Only a handler with `poll` may be without. */
  read?(notifier: EventNotifier): void;
  /** The handler is dead and removed, see {@link FdHandler}. */
  error?(error: AioError): void;
  /** Tells whether there is something to do, see {@link FdHandler}. The notifier is as it is. */
  poll?(notifier: EventNotifier): boolean;
  /** `poll` has said so. The notifier has been cleared before the call. */
  pollReady?(notifier: EventNotifier): void;
  /** It is polled from now on, see {@link FdHandler}: nobody needs to set the notifier. */
  pollBegin?(): void;
  /** It is polled no longer, see {@link FdHandler}. */
  pollEnd?(): void;
  /** Whether it serves a client outside of the program, see {@link FdHandler}. */
  external?: boolean;
  /** What it is called in messages. */
  name?: string;
}

/** What a script has given to be called, captured. */
export interface Callbacks {
  readonly handler: object;
  readonly read: Callback<unknown> | undefined;
  readonly write: Callback<unknown> | undefined;
  readonly error: Callback<unknown> | undefined;
  readonly polling: Polling | undefined;
  readonly external: boolean;
  readonly name: string | undefined;
}

/** The callbacks of `handler`, of which it has at least one. Its getters may do anything. */
export function capture(handler: FdHandler | NotifierHandler, isNotifier: boolean): Callbacks {
  checkObject(handler, 'handler');
  // The methods are called with the handler for their `this`.
  // eslint-disable-next-line @typescript-eslint/unbound-method
  const { read, error, external = false } = handler;
  // eslint-disable-next-line @typescript-eslint/unbound-method
  const write = isNotifier ? undefined : (handler as FdHandler).write;
  const polling = capturePolling(handler);
  if (read !== undefined || (isNotifier && !polling)) checkFunction(read, 'handler.read');
  if (write !== undefined) checkFunction(write, 'handler.write');
  if (!read && !write && !polling)
    throw invalidValue('handler', 'must have a method read, write or poll', handler);
  const name = nameOf(handler, read ?? write ?? polling?.named);
  if (error !== undefined) checkFunction(error, 'handler.error');
  checkBoolean(external, 'handler.external');
  return {
    handler,
    read: scoped(read),
    write: scoped(write),
    error: scoped(error),
    polling: polling?.polling,
    external,
    name,
  };
}

/** The functions of polling, which it has all together or not at all; and the one that it may be named after. */
function capturePolling(
  handler: FdHandler | NotifierHandler,
): { polling: Polling; named: unknown } | undefined {
  // eslint-disable-next-line @typescript-eslint/unbound-method
  const { poll, pollReady, pollBegin, pollEnd } = handler;
  if (poll === undefined && pollReady === undefined && pollBegin === undefined && pollEnd === undefined)
    return undefined;
  for (const [name, method] of Object.entries({ poll, pollReady, pollBegin, pollEnd }))
    if (method !== undefined) checkFunction(method, `handler.${name}`);
  if (!poll || !pollReady)
    throw invalidValue('handler', 'must have both poll and pollReady, or no method of polling', handler);
  const polling = new Polling(
    handler,
    inScope(poll as Callback<unknown>),
    inScope(pollReady as Callback<unknown>),
    scoped(pollBegin),
    scoped(pollEnd),
  );
  return { polling, named: pollReady };
}

function scoped(method: unknown): Callback<unknown> | undefined {
  return method === undefined ? undefined : inScope(method as Callback<unknown>);
}
