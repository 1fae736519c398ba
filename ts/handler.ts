import { checkFunction, checkObject, invalidValue, nameOf } from './arguments.js';
import type { AioContext } from './context.js';
import { hold, letGo, Registration } from './dispatcher.js';
import type { AioError } from './errors.js';
import { native } from './load.js';
import type { ContextHandle, Slot } from './native.js';
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
  /** What it is called in messages. */
  name?: string;
}

/** The callbacks of a notifier, for `AioContext.setEventNotifier()`; otherwise like an {@link FdHandler}. */
export interface NotifierHandler {
  /** It was set. It has been cleared before the call. */
  read(notifier: EventNotifier): void;
  /** The handler is dead and removed, see {@link FdHandler}. */
  error?(error: AioError): void;
  /** What it is called in messages. */
  name?: string;
}

interface Registered {
  readonly read: Registration<unknown> | undefined;
  readonly write: Registration<unknown> | undefined;
  readonly error: Registration<unknown>;
}

const noSlot: Slot = -1;

/** The handlers of one context, by file descriptor. They stay alive, and their context, until they are removed. */
export class HandlerTable implements NotifierWatcher {
  readonly #context: AioContext;
  readonly #handle: ContextHandle;
  readonly #registered = new Map<number, Registered>();

  constructor(context: AioContext, handle: ContextHandle) {
    this.#context = context;
    this.#handle = handle;
  }

  setFd(fd: number, handler: FdHandler | null): void {
    if (handler === null) {
      this.#remove(fd);
      return;
    }
    checkObject(handler, 'handler');
    // The methods are called with the handler for their `this`.
    // eslint-disable-next-line @typescript-eslint/unbound-method
    const { read, write } = handler;
    if (read !== undefined) checkFunction(read, 'handler.read');
    if (write !== undefined) checkFunction(write, 'handler.write');
    if (!read && !write) throw invalidValue('handler', 'must have a method read or write', handler);
    const name = nameOf(handler, read ?? write);
    const died = this.#death(fd, handler);
    this.#set(
      fd,
      died,
      read && new Registration(this.#context, read, handler, fd),
      write && new Registration(this.#context, write, handler, fd),
      (readSlot, writeSlot, errorSlot) => {
        native.setFdHandler(this.#handle, fd, readSlot, writeSlot, errorSlot, name);
      },
    );
  }

  setNotifier(notifier: EventNotifier, handler: NotifierHandler | null): void {
    const { handle, watchers } = notifierParts(notifier, 'notifier');
    const { fd } = notifier;
    if (handler === null) {
      this.#remove(fd);
      watchers.delete(this);
      return;
    }
    checkObject(handler, 'handler');
    // eslint-disable-next-line @typescript-eslint/unbound-method
    const { read } = handler;
    checkFunction(read, 'handler.read');
    const name = nameOf(handler, read);
    const died = this.#death(fd, handler);
    this.#set(
      fd,
      died,
      new Registration(this.#context, read, handler, notifier),
      undefined,
      (readSlot, _, errorSlot) => {
        native.setNotifierHandler(this.#handle, handle, readSlot, errorSlot, name);
      },
    );
    watchers.add(this);
  }

  unwatch(fd: number): void {
    if (this.#registered.has(fd)) this.#remove(fd);
  }

  /** After the context has been closed. */
  clear(): void {
    for (const fd of [...this.#registered.keys()]) this.#letGo(fd);
  }

  /** What is called when the handler of `fd` has died. */
  #death(fd: number, handler: FdHandler | NotifierHandler): (error: AioError) => void {
    // eslint-disable-next-line @typescript-eslint/unbound-method
    const { error: onError } = handler;
    if (onError !== undefined) checkFunction(onError, 'handler.error');
    return (error) => {
      this.#remove(fd);
      if (onError === undefined) throw error;
      onError.call(handler, error);
    };
  }

  #set(
    fd: number,
    died: (error: AioError) => void,
    read: Registration<unknown> | undefined,
    write: Registration<unknown> | undefined,
    register: (read: Slot, write: Slot, error: Slot) => void,
  ): void {
    const error = new Registration<unknown>(this.#context, died, undefined, undefined);
    register(read?.slot ?? noSlot, write?.slot ?? noSlot, error.slot);
    this.#letGo(fd);
    for (const registration of [read, write, error]) if (registration) hold(registration.slot, registration);
    this.#registered.set(fd, { read, write, error });
  }

  #remove(fd: number): void {
    native.removeFdHandler(this.#handle, fd);
    this.#letGo(fd);
  }

  #letGo(fd: number): void {
    const registered = this.#registered.get(fd);
    if (!registered) return;
    this.#registered.delete(fd);
    const { read, write, error } = registered;
    for (const registration of [read, write, error]) if (registration) letGo(registration.slot, registration);
  }
}
