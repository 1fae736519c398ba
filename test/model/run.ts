// Runs a program with a real context and the model side by side.
import { AioContext, MainContext } from 'aio-gsource';
import { computeTimeoutNs } from 'aio-gsource/internals';

import { Calls, type Options } from './calls.js';
import { Model } from './model.js';
import { Operations, type Parts } from './operations.js';
import { expect } from './passes.js';
import type { Program } from './program.js';
import { RealBottomHalves } from './real-bottom-halves.js';
import { RealFds } from './real-fds.js';
import { RealHandlers } from './real-handlers.js';
import { RealPasses } from './real-passes.js';
import { RealTimers } from './real-timers.js';

export type { Options, Tally } from './calls.js';

export interface Cell {
  readonly driver: 'poll' | 'glib' | 'mixed';
  readonly monitor: 'poll' | 'epoll' | 'io_uring';
}

export const cells: readonly Cell[] = (['poll', 'epoll', 'io_uring'] as const).flatMap((monitor) =>
  (['poll', 'glib', 'mixed'] as const).map((driver) => ({ driver, monitor })),
);

/** How each monitor knows file descriptors. */
const watched = { poll: 'by number', epoll: 'in a set', io_uring: 'in a ring' } as const;

class Run {
  readonly #program: Program;
  readonly #model = new Model();
  readonly #ctx: AioContext;
  readonly #main: MainContext | null;
  readonly #calls: Calls;
  readonly #parts: Parts;
  readonly #operations: Operations;

  constructor({ driver, monitor }: Cell, program: Program, options: Options) {
    this.#program = program;
    this.#ctx = new AioContext({ name: 'model', monitor });
    this.#main = driver === 'poll' ? null : new MainContext();
    if (this.#main) this.#ctx.attach(this.#main);
    this.#calls = new Calls(this.#ctx, this.#model, options, (op, owner) => {
      this.#operations.do(op, owner);
    });
    const handlers = new RealHandlers(this.#calls);
    this.#parts = {
      handlers,
      fds: new RealFds(this.#calls, handlers, watched[monitor]),
      bottomHalves: new RealBottomHalves(this.#calls, program.bhs),
      timers: new RealTimers(this.#calls, program.timers),
      passes: new RealPasses(this.#calls, this.#main, driver !== 'glib'),
    };
    this.#operations = new Operations(this.#calls, this.#parts);
  }

  run(): void {
    try {
      this.#ctx.setPollParams({ maxNs: this.#program.params });
      for (const op of this.#program.ops) {
        this.#operations.do(op);
        this.#check();
      }
      this.#settle();
    } finally {
      this.#calls.fail(undefined); // whatever still comes is not looked at
      this.#ctx.close();
      this.#main?.close();
      this.#parts.fds.close();
    }
  }

  /** What can be read of the context between operations is as the model has it. */
  #check(): void {
    const { closed } = this.#ctx;
    expect(closed === this.#model.closed, `closed is ${String(closed)}`);
    if (closed) return;
    const { bottomHalves, timers, handlers, passes } = this.#parts;
    handlers.check();
    bottomHalves.check();
    timers.check();
    passes.check();
    this.#checkTimeout();
  }

  #checkTimeout(): void {
    const model = this.#model;
    const timeout = computeTimeoutNs(this.#ctx);
    const { queue } = model.bottomHalves;
    const isTimerDue = model.timers.clocks.some((clock) => clock.isDue);
    if (queue.some(({ scheduled }) => scheduled) || isTimerDue)
      expect(timeout === 0n, `a wait would last for ${String(timeout)} ns, and there is something to run`);
    else if (queue.some(({ idle }) => idle))
      expect(timeout === 0n || timeout === 10_000_000n, `a wait would last for ${String(timeout)} ns`);
    else if (model.handlers.all.size === 0)
      expect(timeout === -1n, `a wait would last for ${String(timeout)} ns`);
  }

  /** After the operations: with callbacks that do nothing everything is called, and then nothing is left. */
  #settle(): void {
    const model = this.#model;
    const { bottomHalves, timers, fds, passes } = this.#parts;
    if (model.closed) {
      this.#calls.count('ends closed');
      if (this.#main) this.#pass('iterate');
      return;
    }
    this.#calls.silence();
    while (model.handlers.disabled > 0) this.#operations.do({ do: 'enable' });
    for (let i = 0; i < 4; i++) this.#pass(i % 2 === 0 ? 'poll' : 'iterate');
    bottomHalves.settle();
    timers.settle();
    fds.removeHandlers('open');
    if (model.handlers.all.size > 0) passes.expectSleep();
    fds.removeHandlers('all');
    passes.settle();
    for (let i = 0; i < 2; i++) this.#pass('poll');
    expect(!this.#ctx.poll(false), 'a pass makes progress, and nothing is left');
    this.#expectNothingLeft();
  }

  #pass(how: 'poll' | 'iterate'): void {
    this.#operations.do({ do: how, blocking: false, catches: true });
  }

  #expectNothingLeft(): void {
    const model = this.#model;
    const stats = this.#ctx.stats();
    const counts = {
      bhsRun: model.bottomHalves.runs,
      handlersDispatched: model.handlers.dispatched,
      timersFired: model.timers.fired,
    };
    for (const name of ['bhsRun', 'handlersDispatched', 'timersFired'] as const)
      expect(stats[name] === counts[name], `${name} is ${String(stats[name])}, not ${String(counts[name])}`);
    expect(!stats.dispatching, 'a pass is under way');
    const { handlers, bottomHalves, timers } = this.#ctx.inspect();
    expect(handlers.length + bottomHalves.length + timers.length === 0, 'something is left');
  }
}

/** Throws where the real context does what the model does not allow. */
export function runProgram(cell: Cell, program: Program, options: Options = {}): void {
  new Run(cell, program, options).run();
}
