import { constants } from 'node:os';

import { checkBoolean, checkFunction, checkObject, invalidValue, nameOf } from './arguments.js';
import type { AioContext } from './context.js';
import { allocateSlot, hold, inScope, invoke, letGo, run, type Callback } from './dispatcher.js';
import { AioError, throwCollected } from './errors.js';
import { native } from './load.js';
import type { ContextHandle, FdEvents, Slot } from './native.js';
import { notifierParts, type EventNotifier, type NotifierWatcher } from './notifier.js';
import { Polling, type PollFunction } from './polling.js';

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

/** What is watched: whether a file descriptor can be read, or written. */
export type Direction = 'read' | 'write';

/** Who awaits that once; told one way or the other, and then forgotten. */
export interface Waiter {
  ready(): void;
  fail(error: Error): void;
}

const readEvent = 1;
const writeEvent = 2;
const pollEvent = 4;
const pollReadyCall = 8;
const pollBeginCall = 16;
const pollEndCall = 32;

/** What a script has given to be called, captured. */
interface Callbacks {
  readonly handler: object;
  readonly read: Callback<unknown> | undefined;
  readonly write: Callback<unknown> | undefined;
  readonly error: Callback<unknown> | undefined;
  readonly polling: Polling | undefined;
  readonly external: boolean;
  readonly name: string | undefined;
}

/** The callbacks of `handler`, of which it has at least one. Its getters may do anything. */
function capture(handler: FdHandler | NotifierHandler, isNotifier: boolean): Callbacks {
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

function scopedOrNone(callback: (() => void) | null): PollFunction {
  return callback === null ? undefined : inScope<undefined>(callback);
}

/**
 * One file descriptor: the callbacks of its handler, if it has one, and who awaits it. C knows it as one handler, for
 * the directions that either wants. There may be tens of thousands (benchmark memory).
 */
class Watch {
  readonly table: HandlerTable;
  readonly fd: number;
  /** What the callbacks are given: the file descriptor, or the notifier that it is of. */
  readonly subject: number | EventNotifier;
  readonly handler: object | undefined;
  readonly read: Callback<unknown> | undefined;
  readonly write: Callback<unknown> | undefined;
  readonly error: Callback<unknown> | undefined;
  readonly polling: Polling | undefined;
  readonly external: boolean;
  readonly name: string | undefined;
  waiters: { readonly read: Set<Waiter>; readonly write: Set<Waiter> } | undefined;
  /** By what C calls it, and what C watches for. */
  slot: Slot = -1;
  armed: FdEvents = 0;

  constructor(table: HandlerTable, fd: number, subject: number | EventNotifier, callbacks?: Callbacks) {
    this.table = table;
    this.fd = fd;
    this.subject = subject;
    this.handler = callbacks?.handler;
    this.read = callbacks?.read;
    this.write = callbacks?.write;
    this.error = callbacks?.error;
    this.polling = callbacks?.polling;
    this.external = callbacks?.external ?? false;
    this.name = callbacks ? callbacks.name : 'readiness';
  }

  /** A `Callee`'s. @internal */
  [run](what: unknown): unknown {
    switch (what) {
      case undefined:
        this.table.ready(this, 'read');
        return undefined;
      case pollEvent:
        return this.polling?.poll(this.subject);
      case pollReadyCall:
        this.polling?.ready(this.subject);
        return undefined;
      case writeEvent:
        this.table.ready(this, 'write');
        return undefined;
      case pollBeginCall:
        this.polling?.begin();
        return undefined;
      case pollEndCall:
        this.polling?.end();
        return undefined;
      default:
        this.table.die(this, what as AioError);
        return undefined;
    }
  }

  get wanted(): FdEvents {
    const { read, write, polling, waiters } = this;
    return (
      (read || waiters?.read.size ? readEvent : 0) |
      (write || waiters?.write.size ? writeEvent : 0) |
      (polling ? pollEvent : 0)
    );
  }

  /** Those who await the direction, who are forgotten. */
  take(direction: Direction): readonly Waiter[] {
    const waiters = this.waiters?.[direction];
    if (!waiters?.size) return [];
    const taken = [...waiters];
    waiters.clear();
    return taken;
  }

  failWaiters(error: Error): void {
    for (const direction of ['read', 'write'] as const)
      for (const waiter of this.take(direction)) waiter.fail(error);
  }
}

function busy(fd: number, direction: Direction, why: string): AioError {
  return new AioError('ERR_AIO_FD_BUSY', `fd ${fd} ${why} for ${direction}`);
}

/** The handlers of one context, by file descriptor. They stay alive, and their context, until they are removed. */
export class HandlerTable implements NotifierWatcher {
  /** Its handlers keep it alive. */
  readonly context: AioContext;
  readonly #handle: ContextHandle;
  /**
   * By file descriptor, without holes. A `Map` keeps what is deleted until it is rebuilt: to delete and set one of ten
   * thousand again took it 10 µs (benchmark fd-register).
   */
  readonly #watches: (Watch | undefined)[] = [];
  /** What C has called for reading last, and may be about to call for writing. */
  #midEvent: Watch | undefined;
  /** What functions of polling have thrown that this has called, and that nobody has been told of yet. */
  #errors: unknown[] = [];

  constructor(context: AioContext, handle: ContextHandle) {
    this.context = context;
    this.#handle = handle;
  }

  setFd(fd: number, handler: FdHandler | null): void {
    if (handler === null) this.#unsetCallbacks(fd);
    else this.#setCallbacks(fd, fd, capture(handler, false));
    this.#throwErrors();
  }

  setNotifier(notifier: EventNotifier, handler: NotifierHandler | null): void {
    const { handle, watchers } = notifierParts(notifier, 'notifier');
    const callbacks = handler === null ? undefined : capture(handler, true);
    const fd = native.notifierFd(handle);
    if (fd < 0) throw new AioError('ERR_AIO_CLOSED', 'The notifier is closed');
    if (callbacks) {
      this.#setCallbacks(fd, notifier, callbacks);
      watchers.add(this);
    } else {
      watchers.delete(this);
      this.#unsetCallbacks(fd);
    }
    this.#throwErrors();
  }

  /** Replaces the functions around the polling of what has a poll function; otherwise it does nothing. */
  setPoll(fd: number, begin: (() => void) | null, end: (() => void) | null): void {
    const polling = this.#watches[fd]?.polling;
    polling?.replace(scopedOrNone(begin), scopedOrNone(end), this.#noteError);
    this.#throwErrors();
  }

  /** Throws if the direction cannot be awaited now. */
  checkFree(fd: number, direction: Direction): void {
    if (this.#watches[fd]?.[direction]) throw busy(fd, direction, 'has a handler');
    native.checkFdOpen(fd);
  }

  /** Tells `waiter` when `fd` is ready in that direction; or throws. */
  wait(fd: number, direction: Direction, waiter: Waiter): void {
    const watch = this.#watches[fd] ?? new Watch(this, fd, fd);
    if (watch[direction]) throw busy(fd, direction, 'has a handler');
    watch.waiters ??= { read: new Set(), write: new Set() };
    watch.waiters[direction].add(waiter);
    // Also where C watches already: since then the file descriptor may have been closed, and its number be another's.
    if (watch.wanted === watch.armed && watch === this.#midEvent) return;
    try {
      this.#arm(watch);
    } catch (error) {
      watch.waiters[direction].delete(waiter);
      if (watch.armed !== 0 && !watch.handler) this.#lose(watch, error as Error);
      throw error;
    } finally {
      this.#reportErrors();
    }
  }

  /** Undoes {@link wait}. */
  stopWaiting(fd: number, direction: Direction, waiter: Waiter): void {
    const watch = this.#watches[fd];
    // If it is not open any more the next event will tell, or the next wait: here nobody can be told.
    if (watch?.waiters?.[direction].delete(waiter)) this.#settle(watch);
  }

  ready(watch: Watch, direction: Direction): void {
    const waiters = watch.take(direction);
    const callback = watch[direction];
    // Of one event C calls for reading, then for writing: but not if it is armed anew in between, and so one who
    // reads all the time would keep another from writing. So it stays as it is, for one event more at most.
    const isLast = direction === 'write' || !(watch.armed & writeEvent);
    this.#midEvent = isLast ? undefined : watch;
    let error;
    try {
      if (isLast || (!callback && waiters.length === 0)) error = this.#settle(watch);
    } finally {
      // Nobody else will tell them, even where C can watch for nothing more.
      for (const waiter of waiters) waiter.ready();
    }
    if (error) this.die(watch, error);
    // A function of polling may have removed it.
    else if (callback && this.#watches[watch.fd] === watch) invoke(callback, watch.handler, watch.subject);
  }

  /** The file descriptor was closed while it was watched. */
  die(watch: Watch, error: AioError): void {
    this.#remove(watch);
    this.#reportErrors();
    watch.failWaiters(error);
    if (watch.error) invoke(watch.error, watch.handler, error);
    else if (watch.handler) throw error;
  }

  unwatch(fd: number): void {
    const watch = this.#watches[fd];
    if (!watch) return;
    this.#remove(watch);
    const details = { errno: -constants.errno.EBADF, syscall: 'close' };
    watch.failWaiters(new AioError('EBADF', `The notifier of fd ${fd} was closed: EBADF`, details));
    this.#throwErrors();
  }

  /** After the context has been closed. Throws what functions of polling have thrown. */
  clear(error: Error): void {
    const watches = this.#watches.splice(0);
    this.#midEvent = undefined;
    for (const watch of watches) {
      if (!watch) continue;
      letGo(watch.slot, watch);
      watch.failWaiters(error);
      if (watch.polling) this.#endPolling(watch.polling);
    }
    this.#throwErrors();
  }

  #setCallbacks(fd: number, subject: number | EventNotifier, callbacks: Callbacks): void {
    const old = this.#watches[fd];
    if (old?.waiters)
      for (const direction of ['read', 'write'] as const)
        if (callbacks[direction] && old.waiters[direction].size > 0)
          throw busy(fd, direction, 'is being awaited');
    const watch = new Watch(this, fd, subject, callbacks);
    watch.waiters = old?.waiters;
    this.#arm(watch);
  }

  /** Those who await go on doing so. */
  #unsetCallbacks(fd: number): void {
    const old = this.#watches[fd];
    if (!old) native.removeFdHandler(this.#handle, fd);
    if (!old?.handler) return;
    const watch = new Watch(this, fd, fd);
    watch.waiters = old.waiters;
    if (watch.wanted === 0) {
      this.#remove(old);
      return;
    }
    try {
      this.#arm(watch);
    } catch (error) {
      this.#lose(old, error as Error);
    }
  }

  /** Nobody else would tell those who await it. */
  #lose(watch: Watch, error: Error): void {
    this.#remove(watch);
    watch.failWaiters(error);
  }

  /** Has C watch for what is wanted by now; in place of what it watched for before, unless this throws. */
  #arm(watch: Watch): void {
    const { fd, subject, wanted, external, name } = watch;
    const old = this.#watches[fd];
    const slot = allocateSlot();
    if (typeof subject === 'number') native.setFdHandler(this.#handle, fd, wanted, external, name, slot);
    else
      native.setNotifierHandler(
        this.#handle,
        notifierParts(subject, 'notifier').handle,
        wanted,
        external,
        name,
        slot,
      );
    if (old) letGo(old.slot, old);
    hold(slot, watch);
    watch.slot = slot;
    watch.armed = wanted;
    while (this.#watches.length <= fd) this.#watches.push(undefined);
    this.#watches[fd] = watch;
    if (old?.polling) this.#endPolling(old.polling);
  }

  /** Where less is wanted than before: has C watch for no more than that. Gives the error if `fd` is not open. */
  #settle(watch: Watch): AioError | undefined {
    const { wanted } = watch;
    if (wanted === watch.armed) return undefined;
    if (wanted === 0) {
      this.#remove(watch);
      return undefined;
    }
    try {
      this.#arm(watch);
      this.#reportErrors();
      return undefined;
    } catch (error) {
      if (error instanceof AioError && error.code === 'EBADF') return error;
      throw error;
    }
  }

  #remove(watch: Watch): void {
    native.removeFdHandler(this.#handle, watch.fd);
    this.#forget(watch);
  }

  #forget(watch: Watch): void {
    this.#watches[watch.fd] = undefined;
    if (this.#midEvent === watch) this.#midEvent = undefined;
    letGo(watch.slot, watch);
    if (watch.polling) this.#endPolling(watch.polling);
  }

  /** With a registration that C has let go of polling has ended: this is the last thing to do, for it calls the script. */
  #endPolling(polling: Polling): void {
    try {
      polling.end();
    } catch (error) {
      this.#noteError(error);
    }
  }

  readonly #noteError = (error: unknown): void => {
    this.#errors.push(error);
  };

  #takeErrors(): unknown[] {
    const errors = this.#errors;
    if (errors.length > 0) this.#errors = [];
    return errors;
  }

  /** At the end of a call of the script that had functions of polling called. */
  #throwErrors(): void {
    const errors = this.#takeErrors();
    if (errors.length > 0) throwCollected(errors);
  }

  /** Where a callback, or a wait of its own, had them called. */
  #reportErrors(): void {
    for (const error of this.#takeErrors()) native.reportException(error);
  }
}
