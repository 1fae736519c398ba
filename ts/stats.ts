/**
 * Counters of a context, each since it was made: see `AioContext.stats()`.
 */
export interface AioStats {
  /** Calls of `poll()`, and those that `waitWhile()` and `blockOn()` make. */
  readonly polls: number;
  /** Runs of the GSource's prepare. */
  readonly prepares: number;
  /** Runs of its check. */
  readonly checks: number;
  /** Runs of its dispatch. */
  readonly dispatches: number;
  /** Iterations of GLib's whose zero timeout or wake-up came from this context, and in which it then ran nothing. */
  readonly emptyIterations: number;
  /** System calls of `poll()` that wait for file descriptors, also with a timeout of zero. */
  readonly waits: number;
  /** Those of `waits` that had a timeout of zero. */
  readonly zeroWaits: number;
  /** Those of `waits` that could block, yet ended before their deadline with nothing to run. */
  readonly emptyWaits: number;
  /** Wake-ups that were written to the eventfd, by system calls: only while somebody may be waiting. */
  readonly eventfdWrites: number;
  /** System calls that have read them again. */
  readonly eventfdReads: number;
  /** Callbacks of bottom halves run, those of `scheduleOneshot()` and of signals too. */
  readonly bhsRun: number;
  /** Callbacks of file descriptors and notifiers run. */
  readonly handlersDispatched: number;
  /** Callbacks of timers run, those of `sleep()` and of timeouts too. */
  readonly timersFired: number;
  /** How often all that can be polled was asked whether it is ready. */
  readonly pollIterations: number;
  /** Those of `pollIterations` in which something was. */
  readonly pollSuccesses: number;
  /** For how many nanoseconds a wait polls before it sleeps, by now; no counter. The original's `poll_ns`. */
  readonly pollNs: bigint;
  /** Changes from one monitor to another, which `'auto'` makes; see `AioContext.monitor`. */
  readonly monitorSwitches: number;
  /** What the monitor `'io_uring'` asked of the kernel: submission queue entries. */
  readonly sqes: number;
  /** What the kernel answered: completion queue entries. */
  readonly cqes: number;
  /** Whether a poll or a dispatch is under way. The original's `dispatching`. */
  readonly dispatching: boolean;
}
