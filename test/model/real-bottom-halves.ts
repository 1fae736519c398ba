// The bottom halves of the real context, each with its model.
import type { BottomHalf } from 'aio-gsource';

import { BottomHalfModel } from './bottom-halves.js';
import { type Calls, maxDepth } from './calls.js';
import { throwsClosed } from './errors.js';
import { expect } from './passes.js';
import { at, bottomHalves, type BottomHalfOp, type Script } from './program.js';

export class RealBottomHalves {
  readonly #calls: Calls;
  readonly #scripts: readonly Script[];
  readonly #all: { real: BottomHalf; model: BottomHalfModel }[] = [];

  /** `scripts`: what each of them does. */
  constructor(calls: Calls, scripts: readonly Script[]) {
    this.#calls = calls;
    this.#scripts = scripts;
    for (let i = 0; i < bottomHalves; i++) this.#all.push(this.#make(i));
  }

  #make(i: number): { real: BottomHalf; model: BottomHalfModel } {
    const { ctx, model } = this.#calls;
    const bh = new BottomHalfModel(`b${String(i)}`);
    const accept = (): void => {
      // call() runs it as it is.
      if (model.passes.frames.at(-1)?.kind !== 'call') model.bottomHalves.hasRun(bh);
    };
    const real = ctx.bh(() => {
      this.#calls.callback('bottom half', accept, this.#scripts[i], { bh: i });
    });
    return { real, model: bh };
  }

  oneshot(script: Script): void {
    const { ctx, model } = this.#calls;
    const bh = new BottomHalfModel(this.#calls.name('oneshot'));
    model.bottomHalves.schedule(bh);
    ctx.scheduleOneshot(() => {
      this.#calls.callback('oneshot', () => model.bottomHalves.hasRun(bh), script);
    });
  }

  /** One that was closed is made anew first. */
  do(name: BottomHalfOp, i: number): void {
    const { model } = this.#calls;
    let bh = at(this.#all, i);
    if (bh.model.closed && name !== 'close bh' && !model.closed) {
      expect(
        throwsClosed(() => bh.real.schedule()),
        'a closed bottom half is scheduled',
      );
      this.#all[i] = bh = this.#make(i);
    }
    switch (name) {
      case 'schedule':
      case 'idle':
        if (!model.closed) model.bottomHalves.schedule(bh.model, name === 'idle' ? 'idle' : 'scheduled');
        this.#calls.call(() => (name === 'idle' ? bh.real.scheduleIdle() : bh.real.schedule()));
        return;
      case 'cancel':
        model.bottomHalves.cancel(bh.model);
        this.#calls.call(() => bh.real.cancel());
        return;
      case 'call':
        if (model.passes.frames.length < maxDepth * 2) this.#calls.call(() => bh.real.call());
        return;
      case 'close bh':
        model.bottomHalves.close(bh.model);
        bh.real.close();
    }
  }

  check(): void {
    for (const { real, model: bh } of this.#all)
      expect(real.scheduled === bh.pending, `scheduled of ${bh.name} is ${String(real.scheduled)}`);
  }

  /** Those that were scheduled have run; they are closed. */
  settle(): void {
    for (const { real, model: bh } of this.#all) {
      expect(!bh.pending, `${bh.name} was not run`);
      real.close();
    }
  }
}
