import { constants } from 'node:os';

import { checkBoolean, checkFunction, checkObject, invalidValue, nameOf } from './arguments.js';
import type { AioContext } from './context.js';
import { allocateSlot, hold, inScope, invoke, letGo, run, type Callback } from './dispatcher.js';
import { AioError } from './errors.js';
import { native } from './load.js';
import type { ContextHandle, FdEvents, Slot } from './native.js';
import { notifierParts, type EventNotifier, type NotifierWatcher } from './notifier.js';

/**
 * The callbacks of a file descriptor, for `AioContext.setFdHandler()`: `read`, `write` or both. They are captured
 * when it is registered, and called with the handler as `this`. What they return is ignored; the rejection of an
 * async one is an `unhandledRejection`.
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
   * Whether it serves a client outside of the program: it is held back between `AioContext.disableExternal()` and
   * `enableExternal()`. The original's `is_external`.
   */
  external?: boolean;
  /** What it is called in messages. */
  name?: string;
}

/** The callbacks of a notifier, for `AioContext.setEventNotifier()`; otherwise like an {@link FdHandler}. */
export interface NotifierHandler {
  /** It was set. It has been cleared before the call. */
  read(notifier: EventNotifier): void;
  /** The handler is dead and removed, see {@link FdHandler}. */
  error?(error: AioError): void;
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

/** What a script has given to be called, captured. */
interface Callbacks {
  readonly handler: object;
  readonly read: Callback<unknown> | undefined;
  readonly write: Callback<unknown> | undefined;
  readonly error: Callback<unknown> | undefined;
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
  if (isNotifier || read !== undefined) checkFunction(read, 'handler.read');
  if (write !== undefined) checkFunction(write, 'handler.write');
  if (!read && !write) throw invalidValue('handler', 'must have a method read or write', handler);
  const name = nameOf(handler, read ?? write);
  if (error !== undefined) checkFunction(error, 'handler.error');
  checkBoolean(external, 'handler.external');
  return { handler, read: scoped(read), write: scoped(write), error: scoped(error), external, name };
}

function scoped(method: unknown): Callback<unknown> | undefined {
  return method === undefined ? undefined : inScope(method as Callback<unknown>);
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
    this.external = callbacks?.external ?? false;
    this.name = callbacks ? callbacks.name : 'readiness';
  }

  /** A `Callee`'s. @internal */
  [run](what: unknown): void {
    if (what === undefined) this.table.ready(this, 'read');
    else if (what === writeEvent) this.table.ready(this, 'write');
    else this.table.die(this, what as AioError);
  }

  get wanted(): FdEvents {
    const { read, write, waiters } = this;
    return (read || waiters?.read.size ? readEvent : 0) | (write || waiters?.write.size ? writeEvent : 0);
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

  constructor(context: AioContext, handle: ContextHandle) {
    this.context = context;
    this.#handle = handle;
  }

  setFd(fd: number, handler: FdHandler | null): void {
    if (handler === null) this.#unsetCallbacks(fd);
    else this.#setCallbacks(fd, fd, capture(handler, false));
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
      this.#unsetCallbacks(fd);
      watchers.delete(this);
    }
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
    else if (callback) invoke(callback, watch.handler, watch.subject);
  }

  /** The file descriptor was closed while it was watched. */
  die(watch: Watch, error: AioError): void {
    this.#remove(watch);
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
  }

  /** After the context has been closed. */
  clear(error: Error): void {
    for (const watch of [...this.#watches]) {
      if (!watch) continue;
      this.#forget(watch);
      watch.failWaiters(error);
    }
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
  }
}
