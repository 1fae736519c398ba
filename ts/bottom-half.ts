/// <reference lib="esnext.disposable" preserve="true" />
import { illegalConstructor, invalidThis, isObject } from './arguments.js';
import type { AioContext } from './context.js';
import {
  allocateSlot,
  forgetWhenCollected,
  hold,
  inScope,
  invoke,
  isHeld,
  isTaken,
  letGo,
  run,
  type Callback,
} from './dispatcher.js';
import { native } from './load.js';
import type { ContextHandle, Slot } from './native.js';

/** What all bottom halves of a context have in common. */
export interface BottomHalfOwner {
  readonly context: AioContext;
  readonly handle: ContextHandle;
  /** While a slot is in there, C has given it up already and has not run it yet. */
  readonly batch: Int32Array;
}

/** For `AioContext.bh()`. */
export let createBottomHalf: (
  owner: BottomHalfOwner,
  callback: (bh: BottomHalf) => void,
  name: string | undefined,
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
  readonly #slot: Slot;
  readonly #callback: Callback<BottomHalf>;
  readonly #owner: BottomHalfOwner;
  readonly #name: string | undefined;

  static {
    createBottomHalf = (owner, callback, name) => new BottomHalf(secret, owner, callback, name);
  }

  private constructor(
    key: symbol,
    owner: BottomHalfOwner,
    callback: (bh: BottomHalf) => void,
    name: string | undefined,
  ) {
    if (key !== secret) throw illegalConstructor();
    this.#owner = owner;
    this.#callback = inScope(callback);
    this.#name = name;
    this.#slot = allocateSlot();
    native.bhNew(owner.handle, name, this.#slot);
    forgetWhenCollected(this.#slot, this);
  }

  /** What it is called in messages. */
  get name(): string {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('BottomHalf');
    return this.#name ?? '(anonymous)';
  }

  /** Whether it is going to run; `false` in its callback and once it is closed. */
  get scheduled(): boolean {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('BottomHalf');
    return native.bhIsScheduled(this.#slot) || (isHeld(this.#slot, this) && this.#isTaken());
  }

  /**
   * Has it run in the next pass of its context: once, however often it is scheduled before that, in the order of
   * the first schedule. From a callback it means the pass after this one. The original's `qemu_bh_schedule`.
   */
  schedule(): void {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('BottomHalf');
    if (this.#isTaken()) native.bhCheckOpen(this.#slot);
    else native.bhSchedule(this.#slot);
    hold(this.#slot, this);
  }

  /**
   * Has it run whenever its context turns, within 10 ms at the latest. That does not count as progress of
   * `poll()`. If it is scheduled too, that counts. One that schedules itself again and again leaves sources of lower
   * priority in its main context no turn. The original's `qemu_bh_schedule_idle`.
   */
  scheduleIdle(): void {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('BottomHalf');
    if (this.#isTaken()) native.bhCheckOpen(this.#slot);
    else native.bhScheduleIdle(this.#slot);
    hold(this.#slot, this);
  }

  /** Takes the schedule back. The original's `qemu_bh_cancel`. */
  cancel(): void {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('BottomHalf');
    native.bhCancel(this.#slot);
    letGo(this.#slot, this);
  }

  /**
   * Calls the callback now, whether scheduled or not, and leaves that as it is. What the callback throws is thrown
   * to the caller. The original's `aio_bh_call`.
   */
  call(): void {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('BottomHalf');
    native.bhCheckOpen(this.#slot);
    invoke(this.#callback, undefined, this);
  }

  /** Cancels it for good. Again: nothing. The original's `qemu_bh_delete`. */
  close(): void {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('BottomHalf');
    native.bhClose(this.#slot);
    letGo(this.#slot, this);
  }

  /** {@link BottomHalf.close}, by its original name. */
  delete(): void {
    this.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  [run](): void {
    letGo(this.#slot, this);
    invoke(this.#callback, undefined, this);
  }

  #isTaken(): boolean {
    return isTaken(this.#owner.batch, this.#slot);
  }
}
