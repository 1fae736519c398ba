import type { AioContext, BottomHalf } from 'aio-gsource';

const latencies = 1000;
const rateWindow = 2000;

/** What the strip below the list and `--figures` show. */
export interface Figures {
  callbacks: number;
  callbacksPerSecond: number;
  /** Milliseconds from `schedule()` to the run of a bottom half, in 99 of 100 cases at most. */
  latency99: number;
  eventfdWrites: number;
  emptyIterations: number;
}

/**
 * The loop's own figures. Nothing is measured by a clock that ticks: they are of the last time that something
 * happened.
 */
export class LoopFigures {
  readonly #ctx: AioContext;
  readonly #started = performance.now();
  /** A ring of the last latencies. */
  readonly #latencies = new Float64Array(latencies);
  #latencyCount = 0;
  readonly #counts: { time: number; callbacks: number }[] = [{ time: this.#started, callbacks: 0 }];

  constructor(ctx: AioContext) {
    this.#ctx = ctx;
  }

  /** A bottom half like `ctx.bh(callback)`, and a function that schedules it; the time in between is recorded. */
  measuredBh(name: string, callback: () => void): { bh: BottomHalf; schedule: () => void } {
    let scheduledAt = 0;
    const run = (): void => {
      this.#latencies[this.#latencyCount++ % latencies] = performance.now() - scheduledAt;
      callback();
    };
    const bh = this.#ctx.bh(run, { name });
    const schedule = (): void => {
      if (bh.scheduled) return;
      scheduledAt = performance.now();
      bh.schedule();
    };
    return { bh, schedule };
  }

  get callbacks(): number {
    const { bhsRun, handlersDispatched, timersFired } = this.#ctx.stats();
    return bhsRun + handlersDispatched + timersFired;
  }

  read(): Figures {
    const { eventfdWrites, emptyIterations } = this.#ctx.stats();
    return {
      callbacks: this.callbacks,
      callbacksPerSecond: this.#rate(),
      latency99: this.#latency99(),
      eventfdWrites,
      emptyIterations,
    };
  }

  #rate(): number {
    const now = { time: performance.now(), callbacks: this.callbacks };
    this.#counts.push(now);
    // One count at least as old as the window stays, to compare with.
    while (this.#counts[1] && now.time - this.#counts[1].time >= rateWindow) this.#counts.shift();
    const then = this.#counts[0] ?? now;
    return (1000 * (now.callbacks - then.callbacks)) / Math.max(now.time - then.time, 1000);
  }

  #latency99(): number {
    const sorted = this.#latencies.slice(0, Math.min(this.#latencyCount, latencies)).sort();
    return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? 0;
  }
}
