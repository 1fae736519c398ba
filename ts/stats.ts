/**
 * Counters of a context, each since it was made. `bhsRun`, `handlersDispatched` and `timersFired` count callbacks.
 */
export interface AioStats {
  /** Calls of `poll()`. */
  readonly polls: number;
  /** Runs of the GSource's prepare. */
  readonly prepares: number;
  /** Runs of its check. */
  readonly checks: number;
  /** Runs of its dispatch. */
  readonly dispatches: number;
  /** Iterations of GLib's whose zero timeout or wake-up came from this context, and in which it then ran nothing. */
  readonly emptyIterations: number;
  /** System calls of `poll()` that wait for file descriptors. */
  readonly waits: number;
  /** Those of `waits` that had a timeout of zero. */
  readonly zeroWaits: number;
  /** Those of `waits` that could block, yet ended before their deadline with nothing to run. */
  readonly emptyWaits: number;
  /** Wake-ups that were written to the eventfd. */
  readonly eventfdWrites: number;
  /** Times they were read again. */
  readonly eventfdReads: number;
  /** Bottom halves run. */
  readonly bhsRun: number;
  /** Callbacks of file descriptors and notifiers run. */
  readonly handlersDispatched: number;
  /** Timers fired. */
  readonly timersFired: number;
  /** Whether a poll or a dispatch is under way. The original's `dispatching`. */
  readonly dispatching: boolean;
}
