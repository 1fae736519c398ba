import { createRequire } from 'node:module';

/** The addon of timerfd.cc. */
interface Timerfd {
  /** Fires a bare timerfd under GLib, as often as `lateness` has room for, and tells how late each was, in ns. */
  run(delayNs: number, lateness: Float64Array): void;
}

/** A timer under GLib without us, and without JavaScript. */
export const timerfd: Timerfd = createRequire(import.meta.url)('../../build/bench_timerfd.node') as Timerfd;
