// Bottom halves: a queue, in the order of the first schedule. A pass runs those that are there when it begins, first
// those that an outer pass has left; what they schedule is for the next one.
import { expect, type Frame, type Part, type Passes, Phase } from './passes.js';

export class BottomHalfModel {
  readonly name: string;
  scheduled = false;
  idle = false;
  closed = false;
  /**
   * It was cancelled, and GLib may have passed over the context since: a new schedule gets the old place, also in what an
   * outer pass has taken, or a new one.
   */
  isUnsure = false;
  constructor(name: string) {
    this.name = name;
  }
  get pending(): boolean {
    return this.scheduled || this.idle;
  }
}

export class BottomHalves implements Part {
  readonly queue: BottomHalfModel[] = [];
  /** So many from its beginning on are those that a pass has taken. */
  taken = 0;
  runs = 0;
  readonly #passes: Passes;

  constructor(passes: Passes) {
    this.#passes = passes;
  }

  schedule(bh: BottomHalfModel, how: 'scheduled' | 'idle' = 'scheduled'): void {
    if (!this.queue.includes(bh)) this.queue.push(bh);
    bh[how] = true;
  }

  /** It keeps its place until its turn has come. */
  cancel(bh: BottomHalfModel): void {
    bh.scheduled = bh.idle = false;
  }

  close(bh: BottomHalfModel): void {
    this.cancel(bh);
    bh.closed = true;
  }

  hasRun(bh: BottomHalfModel): void {
    const frame = this.#passes.enter(Phase.bottomHalves, bh.name);
    expect(bh.pending, `${bh.name} runs and is not scheduled`);
    const next = this.#next();
    const place = this.queue.indexOf(bh);
    expect(
      (place < this.taken && next === bh) || bh.isUnsure,
      `${bh.name} runs, but ${next ? `the turn is ${next.name}'s` : 'only in the next pass'}`,
    );
    this.queue.splice(place, 1);
    if (place < this.taken) this.taken--;
    bh.isUnsure = false;
    if (bh.scheduled) frame.progress = true; // one that is idle is none
    this.cancel(bh);
    this.runs++;
  }

  #next(): BottomHalfModel | undefined {
    while (this.taken > 0 && !this.queue[0]?.pending) {
      this.queue.shift();
      this.taken--;
    }
    return this.taken > 0 ? this.queue[0] : undefined;
  }

  leaves(_frame: Frame, phase: number): void {
    if (phase === Phase.before) this.taken = this.queue.length; // after what outer passes have left
    if (phase !== Phase.bottomHalves) return;
    const next = this.#next();
    expect(!next, `${next?.name ?? ''} did not run`);
  }

  ends(frame: Frame): void {
    // There was nothing to dispatch, perhaps.
    if (frame.kind === 'iteration' && frame.phase === Phase.before)
      for (const bh of this.queue) bh.isUnsure = !bh.pending;
  }
}
