import { constants } from 'node:os';

import type { AioContext } from './context.js';
import { allocateSlot, hold, inScope, invoke, letGo, run, type Callback } from './dispatcher.js';
import { AioError, throwCollected } from './errors.js';
import { capture, type Callbacks, type FdHandler, type NotifierHandler } from './handler.js';
import { native } from './load.js';
import type { ContextHandle, FdEvents, Slot } from './native.js';
import { notifierParts, type EventNotifier, type NotifierWatcher } from './notifier.js';
import type { Polling, PollFunction } from './polling.js';

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
  /** That the file descriptor is of, if that is known: it may have been watched by its own before. */
  notifier: EventNotifier | undefined;
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
    const { handle } = notifierParts(notifier, 'notifier');
    const callbacks = handler === null ? undefined : capture(handler, true);
    const fd = native.notifierFd(handle);
    if (fd < 0) throw new AioError('ERR_AIO_CLOSED', 'The notifier is closed');
    if (callbacks) this.#setCallbacks(fd, notifier, callbacks);
    else this.#unsetCallbacks(fd);
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

  unwatch(fd: number): () => void {
    const watch = this.#watches[fd];
    if (!watch) return () => undefined;
    native.removeFdHandler(this.#handle, fd);
    this.#drop(watch);
    const details = { errno: -constants.errno.EBADF, syscall: 'close' };
    watch.failWaiters(new AioError('EBADF', `The notifier of fd ${fd} was closed: EBADF`, details));
    return () => {
      this.#endPolling(watch.polling);
      this.#throwErrors();
    };
  }

  /** After the context has been closed. Throws what functions of polling have thrown. */
  clear(error: Error): void {
    const watches = this.#watches.splice(0);
    this.#midEvent = undefined;
    for (const watch of watches) {
      if (!watch) continue;
      letGo(watch.slot, watch);
      this.#leave(watch.notifier);
      watch.failWaiters(error);
      this.#endPolling(watch.polling);
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
    if (typeof subject === 'number') {
      native.setFdHandler(this.#handle, fd, wanted, external, name, slot);
      watch.notifier = old?.notifier;
    } else {
      const { handle, watchers } = notifierParts(subject, 'notifier');
      native.setNotifierHandler(this.#handle, handle, wanted, external, name, slot);
      if (old?.notifier !== subject) this.#leave(old?.notifier);
      watchers.add(this);
      watch.notifier = subject;
    }
    if (old) letGo(old.slot, old);
    hold(slot, watch);
    watch.slot = slot;
    watch.armed = wanted;
    while (this.#watches.length <= fd) this.#watches.push(undefined);
    this.#watches[fd] = watch;
    this.#endPolling(old?.polling);
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
    this.#drop(watch);
    this.#endPolling(watch.polling);
  }

  #drop(watch: Watch): void {
    this.#watches[watch.fd] = undefined;
    if (this.#midEvent === watch) this.#midEvent = undefined;
    letGo(watch.slot, watch);
    this.#leave(watch.notifier);
  }

  /** It would keep this, and the context, alive. */
  #leave(notifier: EventNotifier | undefined): void {
    if (notifier) notifierParts(notifier, 'notifier').watchers.delete(this);
  }

  /** With a registration that C has let go of polling has ended: this is the last thing to do, for it calls the script. */
  #endPolling(polling: Polling | undefined): void {
    if (!polling) return;
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
