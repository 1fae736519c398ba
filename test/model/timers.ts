// Timers: a pass fires those of a clock that have expired when it comes to it, in the order of their expiry, and of
// their arming where that is the same. A nested pass goes on with them. What they arm is for the next pass.
import { expect, type Frame, type Part, type Passes, Phase } from './passes.js';

export class ClockModel {
  now = 0;
  readonly armed: Set<TimerModel> = new Set<TimerModel>();
  /** Found expired by a pass, in their order. */
  due: TimerModel[] = [];

  get isDue(): boolean {
    return this.due.length > 0 || [...this.armed].some(({ expire }) => expire <= this.now);
  }
}

export class TimerModel {
  readonly name: string;
  readonly clock: ClockModel;
  expire = 0;
  /** Which arming this is; 0 while it is not armed. */
  arming = 0;
  period = 0;
  /** When it fires next of itself, if it has a period. */
  next = 0;
  closed = false;
  constructor(name: string, clock: ClockModel) {
    this.name = name;
    this.clock = clock;
  }
}

export class Timers implements Part {
  readonly clocks: ClockModel[] = [];
  fired = 0;
  readonly #passes: Passes;
  #armings = 0;

  constructor(passes: Passes) {
    this.#passes = passes;
  }

  arm(timer: TimerModel, expire: number): void {
    this.disarm(timer);
    timer.expire = Math.max(expire, 0);
    timer.arming = ++this.#armings;
    timer.clock.armed.add(timer);
  }

  every(timer: TimerModel, period: number): void {
    timer.period = period;
    timer.next = timer.clock.now + period;
    this.arm(timer, timer.next);
  }

  /** Only makes it earlier. */
  anticipate(timer: TimerModel, expire: number): void {
    if (timer.arming === 0 || Math.max(expire, 0) < timer.expire) this.arm(timer, expire);
    timer.next = timer.expire;
  }

  disarm(timer: TimerModel): void {
    timer.clock.armed.delete(timer);
    timer.clock.due = timer.clock.due.filter((each) => each !== timer);
    timer.arming = 0;
  }

  setClock(clock: ClockModel, now: number): void {
    clock.now = now;
    for (const { timersDue } of this.#passes.frames)
      for (const timer of timersDue.keys())
        if (timer.clock === clock && timer.expire > now && !clock.due.includes(timer))
          timersDue.delete(timer);
  }

  hasFired(timer: TimerModel): void {
    const frame = this.#passes.enter(Phase.timers, timer.name);
    const { clock } = timer;
    expect(timer.arming !== 0, `${timer.name} fires and is not armed`);
    if (!frame.clocksRead.has(clock)) this.#read(frame, clock);
    const [next] = clock.due;
    expect(
      next === timer,
      `${timer.name} fires, but ${next ? `the turn is ${next.name}'s` : 'not in this pass'}`,
    );
    this.disarm(timer);
    frame.progress = true;
    this.fired++;
    if (timer.period === 0) return;
    // What was missed is left out.
    const missed = Math.max(0, Math.floor((clock.now - timer.next) / timer.period));
    timer.next += (missed + 1) * timer.period;
    this.arm(timer, timer.next);
  }

  #read(frame: Frame, clock: ClockModel): void {
    frame.clocksRead.add(clock);
    const expired = [...clock.armed].filter((each) => each.expire <= clock.now);
    for (const each of expired.sort((a, b) => a.expire - b.expire || a.arming - b.arming)) {
      clock.armed.delete(each);
      clock.due.push(each);
    }
  }

  leaves(frame: Frame, phase: number): void {
    if (phase === Phase.handlers && frame.kind !== 'bhPoll')
      for (const { armed, due, now } of this.clocks)
        for (const timer of [...due, ...armed])
          if (timer.expire <= now || due.includes(timer)) frame.timersDue.set(timer, timer.arming);
    if (phase === Phase.timers)
      for (const [timer, arming] of frame.timersDue)
        expect(timer.arming !== arming, `${timer.name} did not fire`);
  }
}
