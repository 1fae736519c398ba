// The timers of the real context and their manual clocks, each with its model.
import { Clock, type ManualClock, type Timer } from 'aio-gsource';

import type { Calls } from './calls.js';
import { throwsClosed } from './errors.js';
import { expect } from './passes.js';
import { at, type ClockOp, clocks, type Script, type TimerOp, timers } from './program.js';
import { ClockModel, TimerModel } from './timers.js';

export class RealTimers {
  readonly #calls: Calls;
  readonly #scripts: readonly Script[];
  readonly #clocks: { real: ManualClock; model: ClockModel }[] = [];
  readonly #all: { real: Timer; model: TimerModel }[] = [];

  /** `scripts`: what each of them does. */
  constructor(calls: Calls, scripts: readonly Script[]) {
    this.#calls = calls;
    this.#scripts = scripts;
    for (let i = 0; i < clocks; i++) this.#clocks.push({ real: Clock.manual(), model: new ClockModel() });
    calls.model.timers.clocks.push(...this.#clocks.map(({ model }) => model));
    for (let i = 0; i < timers; i++) this.#all.push(this.#make(i));
  }

  #make(i: number): { real: Timer; model: TimerModel } {
    const { ctx, model } = this.#calls;
    const clock = at(this.#clocks, i % clocks);
    const timer = new TimerModel(`t${String(i)}`, clock.model);
    const real = ctx.timer(clock.real, () => {
      const accept = (): void => model.timers.hasFired(timer);
      this.#calls.callback('timer', accept, this.#scripts[i], { timer: i });
    });
    return { real, model: timer };
  }

  setClock(name: ClockOp, i: number, ms: number): void {
    const { timers: model } = this.#calls.model;
    const clock = at(this.#clocks, i);
    model.setClock(clock.model, name === 'advance' ? clock.model.now + ms : ms);
    if (name === 'advance') clock.real.advance(ms);
    else clock.real.setNs(ms * 1_000_000);
  }

  /** One that was freed is made anew first. */
  do(name: TimerOp, i: number, ms: number): void {
    const { model } = this.#calls;
    let timer = at(this.#all, i);
    if (timer.model.closed && name !== 'free' && !model.closed) {
      expect(
        throwsClosed(() => timer.real.mod(0)),
        'a freed timer is armed',
      );
      this.#all[i] = timer = this.#make(i);
    }
    const { real } = timer;
    const of = timer.model;
    if (name !== 'anticipate') of.period = 0;
    switch (name) {
      case 'mod':
        model.timers.arm(of, of.clock.now + ms);
        this.#calls.call(() => real.modNs((of.clock.now + ms) * 1_000_000));
        return;
      case 'after':
        model.timers.arm(of, of.clock.now + Math.max(ms, 0));
        this.#calls.call(() => real.after(ms));
        return;
      case 'every':
        model.timers.every(of, ms);
        this.#calls.call(() => real.every(ms));
        return;
      case 'anticipate':
        model.timers.anticipate(of, of.clock.now + ms);
        this.#calls.call(() => real.anticipate(of.clock.now + ms));
        return;
      case 'del':
        model.timers.disarm(of);
        this.#calls.call(() => real.del());
        return;
      case 'free':
        model.timers.disarm(of);
        of.closed = true;
        real.free();
    }
  }

  check(): void {
    for (const { real, model: timer } of this.#all) {
      const expire = timer.arming === 0 ? null : BigInt(timer.expire) * 1_000_000n;
      expect(real.expireTimeNs === expire, `expireTimeNs of ${timer.name} is ${String(real.expireTimeNs)}`);
    }
    for (const { real, model: clock } of this.#clocks)
      expect(real.nowNs() === BigInt(clock.now) * 1_000_000n, `a clock shows ${String(real.nowNs())}`);
  }

  /** They are freed, armed or not. */
  settle(): void {
    for (let i = 0; i < timers; i++) this.do('free', i, 0);
  }
}
