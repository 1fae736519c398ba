/// <reference lib="esnext.disposable" preserve="true" />
import { illegalConstructor, invalidThis, isObject } from './arguments.js';
import type { AioContext } from './context.js';
import { hold, invoke, isHeld, letGo, Registration } from './dispatcher.js';
import { native } from './load.js';
import type { BottomHalfHandle, ContextHandle } from './native.js';

/** For `AioContext.bh()`. */
export let createBottomHalf: (
  context: AioContext,
  handle: ContextHandle,
  callback: (bh: BottomHalf) => void,
  name: string,
) => BottomHalf;

/** What only this module may give to the constructor. */
const secret = Symbol('bottom half');

/**
 * A bottom half: a callback that its context runs as soon as possible once it is scheduled. Made by
 * `AioContext.bh()`; the original's `QEMUBH`.
 *
 * While it is scheduled it stays alive, and its context with it; when it is neither scheduled nor referenced it
 * is collected. All methods are for the thread it was made on, and but for the getters, `close` and `delete`
 * they throw `ERR_AIO_CLOSED` once it or its context is closed.
 */
export class BottomHalf implements Disposable {
  readonly #handle: BottomHalfHandle;
  readonly #registration: Registration<BottomHalf>;
  readonly #name: string;
  /** Whether it was last scheduled as one that is not idle. */
  #normal = false;

  static {
    createBottomHalf = (context, handle, callback, name) =>
      new BottomHalf(secret, context, handle, callback, name);
  }

  private constructor(
    key: symbol,
    context: AioContext,
    handle: ContextHandle,
    callback: (bh: BottomHalf) => void,
    name: string,
  ) {
    if (key !== secret) throw illegalConstructor();
    this.#name = name;
    this.#registration = new Registration<BottomHalf>(context, callback, undefined, this, true);
    this.#handle = native.bhNew(handle, name, this.#registration.slot);
  }

  /** What it is called in messages. */
  get name(): string {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('BottomHalf');
    return this.#name;
  }

  /** Whether it is going to run; `false` in its callback and once it is closed. */
  get scheduled(): boolean {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('BottomHalf');
    // C has given up those that it has taken to be run in a batch.
    return (
      native.bhIsScheduled(this.#handle) || (isHeld(this.#registration) && native.bhIsOpen(this.#handle))
    );
  }

  /**
   * Has it run in the next pass of its context: once, however often it is scheduled before that, in the order of
   * the first schedule. From a callback it means the pass after this one. The original's `qemu_bh_schedule`.
   */
  schedule(): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('BottomHalf');
    if (this.#normal && isHeld(this.#registration)) return;
    native.bhSchedule(this.#handle);
    this.#normal = true;
    hold(this.#registration);
  }

  /**
   * Has it run whenever its context turns, within 10 ms at the latest. That does not count as progress of
   * `poll()`. If it is scheduled too, that counts. The original's `qemu_bh_schedule_idle`.
   */
  scheduleIdle(): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('BottomHalf');
    if (isHeld(this.#registration)) return;
    native.bhScheduleIdle(this.#handle);
    this.#normal = false;
    hold(this.#registration);
  }

  /** Takes the schedule back. The original's `qemu_bh_cancel`. */
  cancel(): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('BottomHalf');
    native.bhCancel(this.#handle);
    letGo(this.#registration);
  }

  /**
   * Calls the callback now, whether scheduled or not, and leaves that as it is. What the callback throws is thrown
   * to the caller. The original's `aio_bh_call`.
   */
  call(): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('BottomHalf');
    native.bhCheckOpen(this.#handle);
    invoke(this.#registration, this);
  }

  /** Cancels it for good. Again: nothing. The original's `qemu_bh_delete`. */
  close(): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('BottomHalf');
    native.bhClose(this.#handle);
    letGo(this.#registration);
  }

  /** {@link BottomHalf.close}, by its original name. */
  delete(): void {
    this.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
