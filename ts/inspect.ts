import type { Monitor } from './monitor.js';
import type { AioStats } from './stats.js';

/**
 * What a file descriptor is; or whatever else the kernel calls an anonymous one. It is `closed` if it is not open any
 * more, `unknown` if the kernel does not tell.
 */
export type FdKind =
  | 'file'
  | 'directory'
  | 'pipe'
  | 'socket'
  | 'tty'
  | 'character-device'
  | 'block-device'
  | 'eventfd'
  | 'timerfd'
  | 'signalfd'
  | 'pidfd'
  | 'epoll'
  | 'inotify'
  | 'closed'
  | 'unknown'
  | (string & {});

/** A handler in an {@link AioSnapshot}. It is watched unless it is `dead`, `parked` or `heldBack`. */
export interface HandlerSnapshot {
  /** Its file descriptor. */
  readonly fd: number;
  /** What it is called in messages. */
  readonly name: string | null;
  /** What the file descriptor is. A FIFO is a `pipe`, too. */
  readonly kind: FdKind;
  /** What the file descriptor leads to, as `/proc/self/fd` tells: a path, `socket:[12345]`, `anon_inode:[eventfd]`. */
  readonly target: string | null;
  /** Whether it has a callback for reading. */
  readonly read: boolean;
  /** Whether it has a callback for writing. */
  readonly write: boolean;
  /** Whether it has a poll function. */
  readonly poll: boolean;
  /** Whether it is being polled: its `pollBegin` was called, and its `pollEnd` was not. */
  readonly pollStarted: boolean;
  /** For how many nanoseconds a wait polls for its sake. */
  readonly pollNs: bigint;
  /** Whether it serves an external client. */
  readonly external: boolean;
  /** Whether it has died, because its file descriptor was closed, and its `error` has not been called yet. */
  readonly dead: boolean;
  /** Whether nested waits leave it out, because many of its callbacks are under way. */
  readonly parked: boolean;
  /** Whether it is external while external clients are disabled. */
  readonly heldBack: boolean;
}

/** An armed timer in an {@link AioSnapshot}. */
export interface TimerSnapshot {
  /** What it is called in messages. */
  readonly name: string | null;
  /** The clock that it is on, as `Clock` calls it. */
  readonly clock: 'realtime' | 'virtual' | 'host' | 'virtualRt' | 'manual';
  /** Which manual clock: a number that no other of the process has. `null` for other clocks. */
  readonly manualClock: number | null;
  /** Whether that clock is enabled; timers on one that is not do not fire. */
  readonly enabled: boolean;
  /** Whether it was made with `external`. */
  readonly external: boolean;
  /** When it will fire: nanoseconds on its clock. */
  readonly expireNs: bigint;
  /** Nanoseconds of its clock until then; below zero if it is late. */
  readonly remainingNs: bigint;
}

/** A bottom half in an {@link AioSnapshot}. What watches a signal is one, by the name of the signal. */
export interface BottomHalfSnapshot {
  /** What it is called in messages. */
  readonly name: string | null;
  /** Whether it will run, also as an idle one. One that waits for its turn in the present pass is not scheduled any more. */
  readonly scheduled: boolean;
  /** Whether it will run as an idle one. */
  readonly idle: boolean;
  /** Whether it is one of `scheduleOneshot()`. */
  readonly oneshot: boolean;
}

/** What a context has at one moment, for people to look at: see `AioContext.inspect()`. */
export interface AioSnapshot {
  /** What it is called in messages. */
  readonly name: string;
  /** How it watches file descriptors now. */
  readonly monitor: Monitor;
  /** Whether it is attached to a main context. */
  readonly attached: boolean;
  /** Whether external clients are disabled. */
  readonly externalDisabled: boolean;
  /** Whether it is in poll mode: handlers with a poll function are asked, and need no kick. The original's `poll_started`. */
  readonly pollStarted: boolean;
  /** For how many nanoseconds a wait polls at most. The original's `poll_max_ns`. */
  readonly pollMaxNs: bigint;
  /** Its handlers, by file descriptor; those of notifiers, too. */
  readonly handlers: readonly HandlerSnapshot[];
  /** Its armed timers, by clock and expiry; those of `sleep()` and of timeouts, too. */
  readonly timers: readonly TimerSnapshot[];
  /**
   * Its bottom halves, the newest first, and then the pending ones of `scheduleOneshot()`, in the order of their run,
   * without those that wait for their turn in the present pass.
   */
  readonly bottomHalves: readonly BottomHalfSnapshot[];
  /** What it has done. */
  readonly stats: AioStats;
}

/** What C tells. */
export type NativeSnapshot = Omit<AioSnapshot, 'name' | 'monitor' | 'attached' | 'stats'>;
