// The operations of a program: what becomes of one that throws, and who does it.
import { type Calls, nobody, type Owner } from './calls.js';
import { Thrown } from './errors.js';
import { Disagreement, Frame } from './passes.js';
import { type Op, own, type PlainOp } from './program.js';
import type { RealBottomHalves } from './real-bottom-halves.js';
import type { RealFds } from './real-fds.js';
import type { RealHandlers } from './real-handlers.js';
import type { RealPasses } from './real-passes.js';
import type { RealTimers } from './real-timers.js';

/** So many operations at most are done in callbacks. */
const maxOps = 300;

/** What operations are done to. */
export interface Parts {
  readonly bottomHalves: RealBottomHalves;
  readonly timers: RealTimers;
  readonly handlers: RealHandlers;
  readonly fds: RealFds;
  readonly passes: RealPasses;
}

export class Operations {
  readonly #calls: Calls;
  readonly #parts: Parts;
  #ops = 0;
  #thrown = 0;

  constructor(calls: Calls, parts: Parts) {
    this.#calls = calls;
    this.#parts = parts;
  }

  /** Of the program itself, which belongs to nobody, or of a callback's script. */
  do(op: Op, owner: Owner = nobody): void {
    const { model } = this.#calls;
    this.#calls.stopAtFault();
    if (owner !== nobody && ++this.#ops > maxOps) return;
    const isTop = model.passes.frames.length === 0;
    if (model.closed) this.#calls.count('closed');
    else this.#calls.count(isTop ? op.do : `in a callback: ${op.do}`);
    try {
      this.#perform(op, owner);
      this.#calls.stopAtFault();
    } catch (error) {
      if (error instanceof Disagreement) this.#calls.fail(error);
      if (isTop && this.#calls.fault) throw this.#calls.fault.error;
      this.#calls.stopAtFault();
      if (!isTop && !('catches' in op && op.catches)) throw error;
    }
  }

  #perform(op: Op, owner: Owner): void {
    const { ctx, model } = this.#calls;
    const { bottomHalves, timers, fds, passes } = this.#parts;
    const index = (of: number, mine: number | undefined): number => (of === own ? (mine ?? 0) : of);
    if ('bh' in op) bottomHalves.do(op.do, index(op.bh, owner.bh));
    else if ('timer' in op) timers.do(op.do, index(op.timer, owner.timer), 'ms' in op ? op.ms : 0);
    else if ('script' in op) {
      if (!model.closed) bottomHalves.oneshot(op.script);
    } else if ('clock' in op) timers.setClock(op.do, op.clock, op.ms);
    else if ('handler' in op) {
      if (!model.closed) fds.handle(index(op.fd, owner.fd), op.handler);
    } else if ('none' in op) fds.setFunctions(index(op.fd, owner.fd), op.none);
    else if ('fd' in op) fds.do(op.do, index(op.fd, owner.fd));
    else if ('ns' in op) this.#calls.call(() => ctx.setPollParams({ maxNs: op.ns }));
    else if ('blocking' in op) passes.do(op.do, op.blocking);
    else this.#performPlain(op.do);
  }

  #performPlain(name: PlainOp): void {
    const { handlers, passes } = this.#parts;
    switch (name) {
      case 'disable':
      case 'undo':
      case 'enable':
        handlers.doExternal(name);
        return;
      case 'notify':
        this.#calls.call(() => this.#calls.ctx.notify());
        return;
      case 'pending':
        passes.pending();
        return;
      case 'throw':
        throw new Thrown(`thrown ${String(++this.#thrown)}`);
      case 'close':
        this.#close();
    }
  }

  #close(): void {
    const { ctx, model } = this.#calls;
    const handlers = [...model.handlers.all];
    model.close();
    this.#calls.within(new Frame('call'), () => ctx.close());
    for (const handler of handlers) this.#calls.expectEnded(handler);
  }
}
