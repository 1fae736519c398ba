/// <reference lib="esnext.disposable" preserve="true" />
import {
  checkBoolean,
  checkObject,
  illegalConstructor,
  invalidThis,
  invalidType,
  invalidValue,
  isObject,
  nanoseconds,
  outOfRange,
  scales,
  wholeNanoseconds,
} from './arguments.js';
import type { Clock } from './clock.js';
import type { AioContext } from './context.js';
import {
  allocateSlot,
  forgetWhenCollected,
  hold,
  inScope,
  invoke,
  letGo,
  run,
  type Callback,
} from './dispatcher.js';
import { native } from './load.js';
import type { ClockHandle, ContextHandle, Slot } from './native.js';

/** What a timer can be made with. */
export interface TimerOptions {
  /** The unit of its delays and expiries, `ms` by default. */
  scale?: 'ns' | 'us' | 'ms';
  /** Whether it serves something outside the program's own state, see `Clock.deadlineNsAll()`. */
  external?: boolean;
  /** What it is called in messages. */
  name?: string;
}

/** Those of `options` that have no meaning elsewhere, checked; `scale` in nanoseconds of a unit. */
export function timerOptions(options: TimerOptions): { scale: number; external: boolean } {
  checkObject(options, 'options');
  const { scale = 'ms', external = false } = options;
  if (typeof scale !== 'string') throw invalidType('options.scale', 'of type string', scale);
  const unit = Object.hasOwn(scales, scale) ? scales[scale] : undefined;
  if (unit === undefined) throw invalidValue('options.scale', 'must be one of ns, us, ms', scale);
  checkBoolean(external, 'options.external');
  return { scale: unit, external };
}

/** What all timers of a context and a scale have in common. */
export interface TimerOwner {
  readonly context: AioContext;
  readonly handle: ContextHandle;
  /** Nanoseconds of a unit. */
  readonly scale: number;
}

/** What `AioContext.timer()` has made of its arguments. */
interface TimerParts {
  readonly owner: TimerOwner;
  readonly clock: ClockHandle;
  readonly callback: (timer: Timer) => void;
  readonly external: boolean;
  readonly name: string | undefined;
  /** Whether {@link freeTimer} will free it. */
  readonly temporary: boolean;
}

/** For `AioContext.timer()`. */
export let createTimer: (parts: TimerParts) => Timer;

/** Frees a temporary timer, of which no script knows, at once and not when it is collected. It is not used again. */
export let freeTimer: (timer: Timer) => void;

/** Makes a temporary timer on a clock, in milliseconds. */
export type TimerMaker = (clock: Clock, callback: () => void, name: string) => Timer;

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
  readonly #slot: Slot;
  readonly #callback: Callback<Timer>;
  readonly #owner: TimerOwner;

  static {
    createTimer = (parts) => new Timer(secret, parts);
    freeTimer = (timer) => {
      letGo(timer.#slot, timer);
      native.forget(timer.#slot);
    };
  }

  private constructor(key: symbol, parts: TimerParts) {
    if (key !== secret) throw illegalConstructor();
    const { owner, clock, callback, external, name, temporary } = parts;
    this.#owner = owner;
    this.#callback = inScope(callback);
    this.#slot = allocateSlot();
    native.timerNew(owner.handle, clock, external, name, this.#slot);
    if (!temporary) forgetWhenCollected(this.#slot, this);
  }

  /** Whether it is armed and has not fired; `false` in its callback, unless it was armed by `every`. */
  get pending(): boolean {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('Timer');
    return native.timerIsPending(this.#slot);
  }

  /** When it will fire, on its clock, in nanoseconds; `null` while it is not pending. */
  get expireTimeNs(): bigint | null {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('Timer');
    return native.timerExpireNs(this.#slot);
  }

  /**
   * Arms it, in place of how it was armed before.
   *
   * @param delay - how long from now, in the timer's unit
   * @throws `ERR_OUT_OF_RANGE` if it ends beyond the clock's 64 bits of nanoseconds
   */
  after(delay: number | bigint): void {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('Timer');
    native.timerAfterNs(this.#slot, nanoseconds(delay, this.#owner.scale, 'delay'));
    hold(this.#slot, this);
  }

  /**
   * Arms it, in place of how it was armed before, to fire again and again until `del`. It keeps its rhythm: a
   * callback that comes late does not delay the next, and periods that have passed by then are left out.
   *
   * @param interval - the period, in the timer's unit
   * @throws `ERR_OUT_OF_RANGE` if that is not positive
   */
  every(interval: number | bigint): void {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('Timer');
    const period = nanoseconds(interval, this.#owner.scale, 'interval');
    if (period <= 0) throw outOfRange('interval', '> 0', interval);
    native.timerEveryNs(this.#slot, period);
    hold(this.#slot, this);
  }

  /**
   * Arms it, in place of how it was armed before. The original's `timer_mod`.
   *
   * @param expire - when, on its clock, in the timer's unit
   * @throws `ERR_OUT_OF_RANGE` if it is beyond 64 bits of nanoseconds
   */
  mod(expire: number | bigint): void {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('Timer');
    native.timerModNs(this.#slot, nanoseconds(expire, this.#owner.scale, 'expire'));
    hold(this.#slot, this);
  }

  /**
   * Arms it, in place of how it was armed before. The original's `timer_mod_ns`.
   *
   * @param expire - when, on its clock, in nanoseconds
   * @throws `ERR_OUT_OF_RANGE` if it is no whole number, or beyond 64 bits
   */
  modNs(expire: number | bigint): void {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('Timer');
    native.timerModNs(this.#slot, wholeNanoseconds(expire, 'expire'));
    hold(this.#slot, this);
  }

  /**
   * Arms it if it is not pending, or moves it to an earlier time, never to a later one. The period of `every` goes
   * on from there. The original's `timer_mod_anticipate`.
   *
   * @param expire - when at the latest, on its clock, in the timer's unit
   * @throws `ERR_OUT_OF_RANGE` if it is beyond 64 bits of nanoseconds
   */
  anticipate(expire: number | bigint): void {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('Timer');
    native.timerAnticipateNs(this.#slot, nanoseconds(expire, this.#owner.scale, 'expire'));
    hold(this.#slot, this);
  }

  /** Disarms it. The original's `timer_del`. */
  del(): void {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('Timer');
    native.timerDel(this.#slot);
    letGo(this.#slot, this);
  }

  /** Disarms it for good. Again: nothing. The original's `timer_free`. */
  close(): void {
    if (!isObject(this) || !(#slot in this)) throw invalidThis('Timer');
    native.timerClose(this.#slot);
    letGo(this.#slot, this);
  }

  /** {@link Timer.close}, by its original name. */
  free(): void {
    this.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  [run](): void {
    if (!native.timerIsPending(this.#slot)) letGo(this.#slot, this);
    invoke(this.#callback, undefined, this);
  }
}
