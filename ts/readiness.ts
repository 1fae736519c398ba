import { checkSignal, isAborted, offAbort, onAbort } from './abort.js';
import { checkFd, checkObject } from './arguments.js';
import { AbortError } from './errors.js';
import type { Direction, HandlerTable, Waiter } from './handler-table.js';

/** How `AioContext.whenReadable()`, `readable()` and their like wait. */
export interface ReadinessOptions {
  /** Aborts it with an `AbortError`. */
  signal?: AbortSignal;
}

function signalOf(options: ReadinessOptions): AbortSignal | undefined {
  checkObject(options, 'options');
  const { signal } = options;
  if (signal !== undefined) checkSignal(signal, 'options.signal');
  return signal;
}

/** One wait for one readiness. It begins with the object, or else the constructor throws. */
class Wait implements Waiter {
  readonly #table: HandlerTable;
  readonly #fd: number;
  readonly #direction: Direction;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: () => void;
  readonly #reject: (error: Error) => void;
  /** Whether one of the functions was called: possibly before the constructor returns, by what a `pollEnd` does. */
  settled = false;

  constructor(
    table: HandlerTable,
    fd: number,
    direction: Direction,
    signal: AbortSignal | undefined,
    resolve: () => void,
    reject: (error: Error) => void,
  ) {
    this.#table = table;
    this.#fd = fd;
    this.#direction = direction;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    if (signal && isAborted(signal)) throw new AbortError(signal);
    onAbort(signal, this.#abort);
    try {
      table.wait(fd, direction, this);
    } catch (error) {
      this.#forgetSignal();
      throw error;
    }
  }

  ready(): void {
    this.settled = true;
    this.#forgetSignal();
    this.#resolve();
  }

  fail(error: Error): void {
    this.settled = true;
    this.#forgetSignal();
    this.#reject(error);
  }

  /** Ends it; neither of the functions is called. */
  cancel(): void {
    this.#forgetSignal();
    this.#table.stopWaiting(this.#fd, this.#direction, this);
  }

  readonly #abort = (): void => {
    this.cancel();
    if (this.#signal) this.fail(new AbortError(this.#signal));
  };

  #forgetSignal(): void {
    offAbort(this.#signal, this.#abort);
  }
}

/** `AioContext.whenReadable()` and `whenWritable()`. */
export function whenReady(
  table: HandlerTable,
  fd: number,
  direction: Direction,
  options: ReadinessOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    checkFd(fd);
    new Wait(table, fd, direction, signalOf(options), resolve, reject);
  });
}

interface Pending {
  readonly resolve: (result: IteratorResult<void, undefined>) => void;
  readonly reject: (error: Error) => void;
}

const done = (): IteratorResult<void, undefined> => ({ done: true, value: undefined });

/** `AioContext.readable()` and `writable()`: each `next()` is one wait, and the next one's begins after it. */
class Readiness implements AsyncIterableIterator<void, undefined> {
  readonly #table: HandlerTable;
  readonly #fd: number;
  readonly #direction: Direction;
  readonly #signal: AbortSignal | undefined;
  /** Of the first there is a wait. */
  readonly #pending: Pending[] = [];
  #wait: Wait | undefined;
  #done = false;

  constructor(table: HandlerTable, fd: number, direction: Direction, signal: AbortSignal | undefined) {
    this.#table = table;
    this.#fd = fd;
    this.#direction = direction;
    this.#signal = signal;
  }

  next(): Promise<IteratorResult<void, undefined>> {
    return new Promise((resolve, reject) => {
      if (this.#done) {
        resolve(done());
        return;
      }
      this.#pending.push({ resolve, reject });
      if (this.#pending.length === 1) this.#begin();
    });
  }

  return(): Promise<IteratorResult<void, undefined>> {
    return new Promise((resolve) => {
      this.#end();
      resolve(done());
    });
  }

  throw(error: unknown): Promise<IteratorResult<void, undefined>> {
    return new Promise((_, reject) => {
      this.#end();
      // What the caller has given, whatever it is.
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      reject(error);
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #begin(): void {
    // An async hook that settling calls may have begun it.
    if (this.#wait) return;
    try {
      const wait = new Wait(
        this.#table,
        this.#fd,
        this.#direction,
        this.#signal,
        () => {
          this.#ready();
        },
        (error) => {
          this.#fail(error);
        },
      );
      // What a `pollEnd` has done meanwhile.
      if (this.#done) wait.cancel();
      else if (!wait.settled) this.#wait = wait;
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #ready(): void {
    this.#wait = undefined;
    this.#pending.shift()?.resolve({ done: false, value: undefined });
    if (this.#pending.length > 0) this.#begin();
  }

  #fail(error: Error): void {
    this.#wait = undefined;
    this.#pending.shift()?.reject(error);
    this.#end();
  }

  #end(): void {
    this.#done = true;
    this.#wait?.cancel();
    this.#wait = undefined;
    for (const { resolve } of this.#pending.splice(0)) resolve(done());
  }
}

/** `AioContext.readable()` and `writable()`. */
export function readiness(
  table: HandlerTable,
  fd: number,
  direction: Direction,
  options: ReadinessOptions,
): AsyncIterable<void> {
  checkFd(fd);
  const signal = signalOf(options);
  table.checkFree(fd, direction);
  return new Readiness(table, fd, direction, signal);
}
