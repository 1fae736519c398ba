/// <reference lib="esnext.disposable" preserve="true" />
import {
  illegalConstructor,
  invalidThis,
  isObject,
  nanoseconds,
  outOfRange,
  wholeNanoseconds,
} from './arguments.js';
import type { AioContext } from './context.js';
import { hold, letGo, Registration } from './dispatcher.js';
import { native } from './load.js';
import type { ClockHandle, ContextHandle, TimerHandle } from './native.js';

/** What `AioContext.timer()` has made of its arguments. */
interface TimerParts {
  readonly context: AioContext;
  readonly contextHandle: ContextHandle;
  readonly clockHandle: ClockHandle;
  readonly callback: (timer: Timer) => void;
  /** Nanoseconds of a unit. */
  readonly scale: number;
  readonly external: boolean;
  readonly name: string;
}

/** For `AioContext.timer()`. */
export let createTimer: (parts: TimerParts) => Timer;

/** What only this module may give to the constructor. */
const secret = Symbol('timer');

/**
 * A callback that its context runs once a clock has reached an expiry. Made by `AioContext.timer()`; the
 * original's `QEMUTimer`.
 *
 * Delays and expiries are in the unit that `timer()` was given as `scale`, milliseconds by default; fractions are
 * rounded up to nanoseconds. Timers that expire at the same time fire in the order in which they were armed.
 * An expiry in the past, a negative one too, means the next pass; a timer fires once a pass at most.
 *
 * While it is armed it stays alive, and its context with it; when it is neither armed nor referenced it is
 * collected. All methods are for the thread it was made on, and but for the getters, `close` and `free` they
 * throw `ERR_AIO_CLOSED` once it or its context is closed.
 */
export class Timer implements Disposable {
  readonly #handle: TimerHandle;
  readonly #registration: Registration<Timer>;
  readonly #scale: number;

  static {
    createTimer = (parts) => new Timer(secret, parts);
  }

  private constructor(key: symbol, parts: TimerParts) {
    if (key !== secret) throw illegalConstructor();
    this.#scale = parts.scale;
    this.#registration = new Registration<Timer>(parts.context, parts.callback, undefined, this, true);
    this.#handle = native.timerNew(
      parts.contextHandle,
      parts.clockHandle,
      parts.external,
      parts.name,
      this.#registration.slot,
    );
  }

  /** Whether it is armed and has not fired; `false` in its callback, unless it was armed by `every`. */
  get pending(): boolean {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('Timer');
    return native.timerIsPending(this.#handle);
  }

  /** When it will fire, on its clock, in nanoseconds; `null` while it is not pending. */
  get expireTimeNs(): bigint | null {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('Timer');
    return native.timerExpireNs(this.#handle);
  }

  /**
   * Arms it, in place of how it was armed before.
   *
   * @param delay - how long from now, in the timer's unit
   * @throws `ERR_OUT_OF_RANGE` if it ends beyond the clock's 64 bits of nanoseconds
   */
  after(delay: number | bigint): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('Timer');
    native.timerAfterNs(this.#handle, nanoseconds(delay, this.#scale, 'delay'));
    this.#hold(true);
  }

  /**
   * Arms it, in place of how it was armed before, to fire again and again until `del`. It keeps its rhythm: a
   * callback that comes late does not delay the next, and periods that have passed by then are left out.
   *
   * @param interval - the period, in the timer's unit
   * @throws `ERR_OUT_OF_RANGE` if that is not positive
   */
  every(interval: number | bigint): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('Timer');
    const period = nanoseconds(interval, this.#scale, 'interval');
    if (period <= 0) throw outOfRange('interval', '> 0', interval);
    native.timerEveryNs(this.#handle, period);
    this.#hold(false);
  }

  /**
   * Arms it, in place of how it was armed before. The original's `timer_mod`.
   *
   * @param expire - when, on its clock, in the timer's unit
   * @throws `ERR_OUT_OF_RANGE` if it is beyond 64 bits of nanoseconds
   */
  mod(expire: number | bigint): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('Timer');
    native.timerModNs(this.#handle, nanoseconds(expire, this.#scale, 'expire'));
    this.#hold(true);
  }

  /**
   * Arms it, in place of how it was armed before. The original's `timer_mod_ns`.
   *
   * @param expire - when, on its clock, in nanoseconds
   * @throws `ERR_OUT_OF_RANGE` if it is no whole number, or beyond 64 bits
   */
  modNs(expire: number | bigint): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('Timer');
    native.timerModNs(this.#handle, wholeNanoseconds(expire, 'expire'));
    this.#hold(true);
  }

  /**
   * Arms it if it is not pending, or moves it to an earlier time, never to a later one. The period of `every` goes
   * on from there. The original's `timer_mod_anticipate`.
   *
   * @param expire - when at the latest, on its clock, in the timer's unit
   * @throws `ERR_OUT_OF_RANGE` if it is beyond 64 bits of nanoseconds
   */
  anticipate(expire: number | bigint): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('Timer');
    native.timerAnticipateNs(this.#handle, nanoseconds(expire, this.#scale, 'expire'));
    hold(this.#registration);
  }

  /** Disarms it. The original's `timer_del`. */
  del(): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('Timer');
    native.timerDel(this.#handle);
    this.#registration.once = true;
    letGo(this.#registration);
  }

  /** Disarms it for good. Again: nothing. The original's `timer_free`. */
  close(): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('Timer');
    native.timerClose(this.#handle);
    letGo(this.#registration);
  }

  /** {@link Timer.close}, by its original name. */
  free(): void {
    this.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #hold(once: boolean): void {
    this.#registration.once = once;
    hold(this.#registration);
  }
}
