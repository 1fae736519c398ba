// What an AioContext promises, as a model that is told of every call and asked about every callback.
//
// It is an acceptor: where an order is no contract (which of several ready handlers comes first) it takes any, and where
// one is (bottom halves and timers are FIFO, `read` comes before `write`) it takes that one alone. When a pass goes on
// from one phase to the next it tells what should have been called and was not.
//
// The rules are in files of their own, each with its sentence at the top: passes.ts (what a pass is, and how they nest),
// bottom-halves.ts, timers.ts, handlers.ts and polling.ts. watched.ts has what the last two are about.
import { BottomHalves } from './bottom-halves.js';
import { Handlers } from './handlers.js';
import { Passes } from './passes.js';
import { Polling } from './polling.js';
import { Timers } from './timers.js';
import { directions } from './watched.js';

export class Model {
  readonly passes: Passes = new Passes();
  readonly bottomHalves: BottomHalves = new BottomHalves(this.passes);
  readonly handlers: Handlers = new Handlers(this.passes);
  readonly polling: Polling = new Polling(this.passes, this.handlers);
  readonly timers: Timers = new Timers(this.passes);

  constructor() {
    this.passes.parts.push(this.bottomHalves, this.handlers, this.polling, this.timers);
  }

  get closed(): boolean {
    return this.passes.closed;
  }

  close(): void {
    this.passes.closed = true;
    for (const handler of this.handlers.all) this.handlers.set(handler.fd, null);
  }

  /** Whether a wait would end by itself. */
  isDue(): boolean {
    const { all } = this.handlers;
    return (
      this.bottomHalves.queue.some((bh) => bh.scheduled) ||
      this.timers.clocks.some((clock) => clock.isDue) ||
      [...all].some(
        // Of one that is dying only its error is still to come, and not in a pass that is nested in its `pollEnd`.
        (each) =>
          !this.handlers.isHeldBack(each) && !each.dyingIn && directions.some((way) => each.isReady(way)),
      )
    );
  }
}
