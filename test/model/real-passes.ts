// Passes of the real context: by poll(), by an iteration of the main context, or a part of one. One that blocks has
// something to end it, and a watchdog.
import { type AioContext, Clock, type MainContext, type Timer } from 'aio-gsource';
import { bhPoll, dispatch, notifyMe } from 'aio-gsource/internals';

import { type Calls, maxDepth } from './calls.js';
import { hasCode } from './errors.js';
import { Disagreement, expect, Frame } from './passes.js';
import type { PassOp } from './program.js';

/** A blocking pass that has lasted for so long would have gone on for ever. */
const watchdogMs = 2000;

/** How often it has gone to sleep. */
function sleeps(ctx: AioContext): number {
  if (ctx.closed) return 0;
  const { waits, zeroWaits } = ctx.stats();
  return waits - zeroWaits;
}

export class RealPasses {
  readonly #calls: Calls;
  readonly #main: MainContext | null;
  readonly #isPolled: boolean;
  readonly #watchdog: Timer;
  /** Somebody has prepared the source since the last iteration, and has not gone on. */
  #isPrepared = false;

  /** `isPolled`: poll() is called also where the main context could be iterated. */
  constructor(calls: Calls, main: MainContext | null, isPolled: boolean) {
    this.#calls = calls;
    this.#main = main;
    this.#isPolled = isPolled;
    this.#watchdog = calls.ctx.timer(Clock.realtime, () => {
      calls.fail(new Disagreement('a blocking pass does not end by itself'));
    });
    // Now, or it would open what it needs for that when the number of something else is free.
    this.#watchdog.after(watchdogMs);
    main?.iteration(false);
    this.#watchdog.del();
  }

  /** How many are on the stack. */
  get #depth(): number {
    return this.#calls.model.passes.frames.filter(({ kind }) => kind !== 'call').length;
  }

  do(how: PassOp, wantsToBlock: boolean): void {
    const { ctx, model } = this.#calls;
    const depth = this.#depth;
    if (depth >= maxDepth) return;
    const iterates = how === 'iterate' || (how === 'poll' && !this.#isPolled);
    const main = iterates && !model.passes.inPrepare ? this.#main : null;
    const looks = how === 'poll' || how === 'iterate';
    const blocking = wantsToBlock && looks;
    const kind = !looks ? how : main ? 'iteration' : 'poll';
    if (depth > 0) this.#countNested(kind);
    this.#calls.count(`${blocking ? 'blocking ' : ''}${kind}`);

    const frame = new Frame(kind, blocking);
    const passes = this.#calls.passes + 1;
    const slept = sleeps(ctx);
    if (main && depth === 0) this.#isPrepared = false;
    const guards = blocking && !model.closed && !model.passes.frames.some((each) => each.blocking);
    if (blocking && !model.closed) {
      if (model.isDue()) this.#calls.count('blocking, due');
      else ctx.notify();
      if (guards) this.#watchdog.after(watchdogMs);
    }
    const result = this.#calls.within(frame, () => {
      try {
        if (main) return main.iteration(blocking && !model.closed);
        if (how === 'dispatch') return dispatch(ctx);
        if (how === 'bhPoll') return bhPoll(ctx);
        return ctx.poll(blocking);
      } catch (error) {
        if (model.closed && frame.errors.length === 0 && hasCode(error, 'ERR_AIO_CLOSED')) return false;
        throw error;
      } finally {
        if (guards && !ctx.closed) this.#watchdog.del();
      }
    });
    if (this.#calls.fault) return;
    // An iteration may have dispatched what then had nothing to do; what nested passes have run may count or not.
    const may = main !== null || frame.progress || frame.nested;
    expect(result === true ? may : !frame.progress, `the ${kind} gives ${String(result)}`);
    if (depth > 0 || passes !== this.#calls.passes || model.closed) return;
    // Where it has slept, or GLib would have, nobody is being polled any more.
    if (main ? result === false : sleeps(ctx) > slept)
      for (const { name, begun } of model.handlers.all)
        expect(begun === 0, `${name} is still polled after a sleep`);
  }

  #countNested(kind: Frame['kind']): void {
    const { passes, bottomHalves, timers } = this.#calls.model;
    this.#calls.count(`nested ${kind} in ${passes.current?.kind ?? ''}`);
    if (bottomHalves.queue.slice(0, bottomHalves.taken).some(({ pending }) => pending))
      this.#calls.count('nested, bottom halves left');
    if (timers.clocks.some(({ due }) => due.length > 0)) this.#calls.count('nested, timers left');
  }

  pending(): void {
    const { passes } = this.#calls.model;
    const main = this.#main;
    if (!main || passes.inPrepare || this.#depth >= maxDepth) return;
    this.#isPrepared = true;
    const result = this.#calls.within(new Frame('pending'), () => {
      passes.prepared = true; // also if it throws, and so does not tell
      return main.pending();
    });
    passes.prepared = result !== false;
  }

  check(): void {
    const waiters = notifyMe(this.#calls.ctx);
    expect(
      waiters === 0 || (waiters === 1 && this.#isPrepared),
      `notify_me is ${String(waiters)} between passes`,
    );
  }

  /** Handlers of what was closed do not end one wait after the other. */
  expectSleep(): void {
    const { ctx, model } = this.#calls;
    const main = this.#main;
    this.#calls.count('sleeps, and somebody watches what is closed');
    const state = { isOver: false };
    const timer = ctx.timer(Clock.realtime, () => (state.isOver = true));
    timer.after(1);
    model.timers.fired++;
    for (let passes = 0; !state.isOver; passes++) {
      expect(passes < 10, 'waits end one after the other');
      this.#calls.within(new Frame(main ? 'iteration' : 'poll', true), () =>
        main ? main.iteration(true) : ctx.poll(true),
      );
      this.#calls.stopAtFault();
    }
    timer.close();
  }

  /** No pass blocks any more. */
  settle(): void {
    this.#watchdog.close();
  }
}
