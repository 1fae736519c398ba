/// <reference lib="esnext.disposable" preserve="true" />
import { illegalConstructor, invalidThis, isObject } from './arguments.js';
import type { AioContext } from './context.js';
import { hold, invoke, isHeld, isTaken, letGo, Registration } from './dispatcher.js';
import { native } from './load.js';
import type { BottomHalfHandle, ContextHandle } from './native.js';

/** For `AioContext.bh()`. */
export let createBottomHalf: (
  context: AioContext,
  handle: ContextHandle,
  batch: Int32Array,
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
  /** Its context's: while it is in there, C has given it up already and has not run it yet. */
  readonly #batch: Int32Array;

  static {
    createBottomHalf = (context, handle, batch, callback, name) =>
      new BottomHalf(secret, context, handle, batch, callback, name);
  }

  private constructor(
    key: symbol,
    context: AioContext,
    handle: ContextHandle,
    batch: Int32Array,
    callback: (bh: BottomHalf) => void,
    name: string,
  ) {
    if (key !== secret) throw illegalConstructor();
    this.#name = name;
    this.#batch = batch;
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
    const held = isHeld(this.#registration);
    return native.bhIsScheduled(this.#handle) || (held && isTaken(this.#batch, this.#registration));
  }

  /**
   * Has it run in the next pass of its context: once, however often it is scheduled before that, in the order of
   * the first schedule. From a callback it means the pass after this one. The original's `qemu_bh_schedule`.
   */
  schedule(): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('BottomHalf');
    if (isTaken(this.#batch, this.#registration)) native.bhCheckOpen(this.#handle);
    else native.bhSchedule(this.#handle);
    hold(this.#registration);
  }

  /**
   * Has it run whenever its context turns, within 10 ms at the latest. That does not count as progress of
   * `poll()`. If it is scheduled too, that counts. The original's `qemu_bh_schedule_idle`.
   */
  scheduleIdle(): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('BottomHalf');
    if (isTaken(this.#batch, this.#registration)) native.bhCheckOpen(this.#handle);
    else native.bhScheduleIdle(this.#handle);
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
