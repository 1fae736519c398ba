// Passes. One runs bottom halves, then handlers, then timers, and looks at the file descriptors before. A callback may
// nest another one, which goes on with what the outer one has left. The other parts of the model are told when a pass
// goes on from one phase to the next, to say what was not called.
import type { ClockModel, TimerModel } from './timers.js';
import type { Callback, HandlerModel } from './watched.js';

/** The real context did what the model does not allow. */
export class Disagreement extends Error {}

export function expect(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Disagreement(message);
}

/** The order of a pass. It is in `before` until it has waited, or would have. */
export const Phase = { before: 0, bottomHalves: 1, handlers: 2, timers: 3, end: 4 } as const;

/** What callbacks run in, and what gets their exceptions: a pass, or a call that runs some at once. */
export class Frame {
  readonly kind: 'poll' | 'iteration' | 'dispatch' | 'bhPoll' | 'pending' | 'call';
  readonly blocking: boolean;
  phase: number = Phase.before;
  /** Whether it looks at file descriptors. */
  looks: boolean;
  /** Whether something ran that is progress: in this very pass, in those nested in it. */
  progress = false;
  nested = false;
  readonly errors: unknown[] = [];

  // Of timers: those that have to fire in it or one nested in it, as they were armed; whose clocks it has read.
  readonly timersDue: Map<TimerModel, number> = new Map<TimerModel, number>();
  readonly clocksRead: Set<ClockModel> = new Set<ClockModel>();

  // Of handlers: what has to be called in it or one nested in it; what was called in this very one.
  readonly due: Map<HandlerModel, Set<Callback>> = new Map<HandlerModel, Set<Callback>>();
  readonly called: Map<HandlerModel, Set<Callback>> = new Map<HandlerModel, Set<Callback>>();
  /** External handlers were held back at some time in it. */
  heldBack = false;

  // Of polling: what had been found before the handlers' turn; whose polling ended before the wait of this very pass.
  readonly found: Map<HandlerModel, number> = new Map<HandlerModel, number>();
  readonly ended: Set<HandlerModel> = new Set<HandlerModel>();

  constructor(kind: Frame['kind'], blocking = false) {
    this.kind = kind;
    this.blocking = blocking;
    this.looks = kind === 'poll' || kind === 'iteration';
  }
}

/** A part of the model. */
export interface Part {
  begins?(frame: Frame): void;
  leaves?(frame: Frame, phase: number): void;
  ends?(frame: Frame): void;
}

export class Passes {
  readonly frames: Frame[] = [];
  readonly parts: Part[] = [];
  /** The context is closed. */
  closed = false;
  /** GLib has been told by `pending()` that the source is ready: the next iteration does not prepare it. */
  prepared = false;
  /** How often file descriptors were looked at. */
  looks = 0;

  get current(): Frame | undefined {
    return this.frames.at(-1);
  }

  /** Whether the script that runs now runs in a prepare, from where GLib must not be called. */
  get inPrepare(): boolean {
    return this.frames.some(
      ({ kind, phase }) => (kind === 'iteration' || kind === 'pending') && phase === Phase.before,
    );
  }

  begin(frame: Frame): void {
    this.frames.push(frame);
    if (frame.kind === 'iteration') {
      frame.looks = !this.prepared;
      this.prepared = false;
    }
    for (const part of this.parts) part.begins?.(frame);
  }

  /** The pass that a callback of `phase` belongs to. */
  enter(phase: number, who: string): Frame {
    const frame = this.current;
    expect(!this.closed, `${who} is called, and the context is closed`);
    expect(frame !== undefined && frame.kind !== 'call', `${who} is called outside of every pass`);
    expect(frame.kind !== 'pending', `${who} is called by pending()`);
    expect(frame.phase <= phase, `${who} is called in the wrong phase of the pass`);
    this.#advance(frame, phase);
    return frame;
  }

  expectBefore(what: string): void {
    expect(this.current?.phase === Phase.before, `${what} is called after the wait`);
  }

  /** The pass is over. */
  end(frame: Frame): void {
    for (const part of this.parts) part.ends?.(frame);
    if (frame.kind !== 'call' && frame.kind !== 'pending') this.#advance(frame, Phase.end);
    this.frames.pop();
    const outer = this.current;
    if (outer && (frame.progress || frame.nested)) outer.nested = true;
    if (frame.kind !== 'pending') return;
    // It has looked anew, and what it found is for the next pass.
    this.looks++;
    for (const { due } of this.frames) due.clear();
  }

  #advance(frame: Frame, phase: number): void {
    while (frame.phase < phase) {
      const left = frame.phase++;
      if (this.closed) continue;
      for (const part of this.parts) part.leaves?.(frame, left);
      // After pending() a dispatch takes what GLib's poll has found.
      const hasLooked = frame.kind !== 'bhPoll' && (frame.kind !== 'dispatch' || this.prepared);
      if (left === Phase.before && hasLooked) this.looks++;
    }
  }
}
