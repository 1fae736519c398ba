import {
  checkBoolean,
  checkNotNegative,
  checkObject,
  illegalConstructor,
  invalidThis,
  invalidType,
  invalidValue,
  isObject,
  nanoseconds,
  scales,
  wholeNanoseconds,
} from './arguments.js';
import { native } from './load.js';
import type { ClockHandle } from './native.js';

/** The handle of `value`, which has to be a clock. */
export let clockHandle: (value: unknown, name: string) => ClockHandle;

/** What only this module may give to the constructors. */
const secret = Symbol('clock');

/**
 * A clock that timers can be on: one of the four of the process, or one of {@link Clock.manual}.
 *
 * The four are shared by all threads of the process.
 */
export class Clock {
  /** Monotonic time; runs always. The original's `QEMU_CLOCK_REALTIME`. */
  static readonly realtime: Clock = new Clock(secret, native.clockGet(0), false);
  /** Monotonic time; its timers fire only while it is {@link Clock.enabled}. The original's `QEMU_CLOCK_VIRTUAL`. */
  static readonly virtual: Clock = new Clock(secret, native.clockGet(1), true);
  /** Wall-clock time since the epoch; follows when it is set. The original's `QEMU_CLOCK_HOST`. */
  static readonly host: Clock = new Clock(secret, native.clockGet(2), false);
  /** Like {@link Clock.virtual}, enabled and disabled apart from it. The original's `QEMU_CLOCK_VIRTUAL_RT`. */
  static readonly virtualRt: Clock = new Clock(secret, native.clockGet(3), true);

  readonly #handle: ClockHandle;
  readonly #virtual: boolean;

  static {
    clockHandle = (value, name) => {
      if (!isObject(value) || !(#handle in value)) throw invalidType(name, 'an instance of Clock', value);
      return value.#handle;
    };
  }

  /** Not for scripts: there are the four clocks and {@link Clock.manual}. */
  protected constructor(key: symbol, handle: ClockHandle, isVirtual: boolean) {
    if (key !== secret) throw illegalConstructor();
    this.#handle = handle;
    this.#virtual = isVirtual;
  }

  /**
   * Makes a clock that stands still until it is told to move.
   *
   * @param startNs - what it shows at first, in nanoseconds
   * @throws `ERR_OUT_OF_RANGE` if that is negative
   */
  static manual(startNs: number | bigint = 0): ManualClock {
    const start = wholeNanoseconds(startNs, 'startNs');
    checkNotNegative(start, 'startNs', startNs);
    return new ManualClock(secret, native.clockManual(start), false);
  }

  /** Reads the clock: nanoseconds since the epoch for {@link Clock.host}, since an arbitrary start otherwise. */
  nowNs(): bigint {
    return native.clockNowNs(Clock.#handleOf(this));
  }

  /** Reads the clock: milliseconds, with fractions. */
  now(): number {
    return native.clockNow(Clock.#handleOf(this));
  }

  /**
   * Whether the timers on it fire. A virtual clock can be disabled, for the whole process: its time goes on and
   * its timers stay armed, but they neither fire nor end a wait. The original's `qemu_clock_enable`.
   *
   * @throws `ERR_INVALID_ARG_VALUE` when any other clock is to be disabled
   */
  get enabled(): boolean {
    return native.clockIsEnabled(Clock.#handleOf(this));
  }

  set enabled(enabled: boolean) {
    const handle = Clock.#handleOf(this);
    checkBoolean(enabled, 'enabled');
    if (!enabled && !this.#virtual)
      throw invalidValue('enabled', 'can be false for a virtual clock only', enabled);
    native.clockSetEnabled(handle, enabled);
  }

  /**
   * How long it takes until the first timer on this clock, over all contexts of the process: nanoseconds, 0 if
   * one is due, `null` if there is none or the clock is disabled. {@link Clock.deadlineNsAll} with all timers.
   */
  get deadlineNs(): bigint | null {
    Clock.#handleOf(this);
    return this.deadlineNsAll();
  }

  /**
   * How long it takes until the first timer on this clock, over all contexts of the process. The original's
   * `qemu_clock_deadline_ns_all`.
   *
   * @param options - `external: false` leaves out the timers that were made with `external: true`
   * @returns nanoseconds, 0 if one is due, `null` if there is none or the clock is disabled
   */
  deadlineNsAll(options: { external?: boolean } = {}): bigint | null {
    const handle = Clock.#handleOf(this);
    checkObject(options, 'options');
    const { external = true } = options;
    checkBoolean(external, 'options.external');
    const deadline = native.clockDeadlineNs(handle, external);
    return deadline < 0n ? null : deadline;
  }

  static #handleOf(clock: Clock): ClockHandle {
    if (!isObject(clock) || !(#handle in clock)) throw invalidThis('Clock');
    return clock.#handle;
  }
}

/**
 * A clock that moves only when told to. Moving it wakes the contexts that have timers on it, and runs none of
 * them: they fire when their context is driven next.
 */
export class ManualClock extends Clock {
  readonly #manual = true;

  /**
   * Moves the clock forward. It stops at the last of its 64 bits of nanoseconds.
   *
   * @param ms - how far, in milliseconds
   * @throws `ERR_OUT_OF_RANGE` if that is negative
   */
  advance(ms: number): void {
    const distance = nanoseconds(ms, scales.ms, 'ms');
    checkNotNegative(distance, 'ms', ms);
    native.clockAdvanceNs(ManualClock.#manualHandleOf(this), distance);
  }

  /**
   * Moves the clock forward. It stops at the last of its 64 bits of nanoseconds.
   *
   * @param ns - how far, in nanoseconds
   * @throws `ERR_OUT_OF_RANGE` if that is negative
   */
  advanceNs(ns: number | bigint): void {
    const distance = wholeNanoseconds(ns, 'ns');
    checkNotNegative(distance, 'ns', ns);
    native.clockAdvanceNs(ManualClock.#manualHandleOf(this), distance);
  }

  /**
   * Sets the clock, back too.
   *
   * @param ns - what it shows from now on, in nanoseconds
   * @throws `ERR_OUT_OF_RANGE` if that is negative
   */
  setNs(ns: number | bigint): void {
    const now = wholeNanoseconds(ns, 'ns');
    checkNotNegative(now, 'ns', ns);
    native.clockSetNs(ManualClock.#manualHandleOf(this), now);
  }

  static #manualHandleOf(clock: ManualClock): ClockHandle {
    if (!isObject(clock) || !(#manual in clock)) throw invalidThis('ManualClock');
    return clockHandle(clock, 'this');
  }
}
