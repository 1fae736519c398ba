// Polling: `poll` is asked before a wait, any number of times, and `pollReady` has to come once it has said yes.
// `pollEnd` comes once for each `pollBegin`, and `poll` is asked once more after it.
import type { Handlers } from './handlers.js';
import { expect, type Frame, type Part, type Passes, Phase } from './passes.js';
import type { HandlerModel } from './watched.js';

export class Polling implements Part {
  readonly #passes: Passes;
  readonly #handlers: Handlers;
  #finds = 0;

  constructor(passes: Passes, handlers: Handlers) {
    this.#passes = passes;
    this.#handlers = handlers;
  }

  isAsked(handler: HandlerModel): void {
    this.#handlers.expectUsable(handler, 'poll');
    expect(handler.busy === 0, `poll of ${handler.name} is called inside of its own polling`);
    this.#passes.expectBefore(`poll of ${handler.name}`);
    // A ring may have been looked at before, in memory.
    this.#passes.looks++;
    handler.owed = false;
  }

  /** What `poll` has given, after it has or has not thrown. */
  answers(handler: HandlerModel, yes: boolean): void {
    if (yes && !handler.removed) handler.found ||= ++this.#finds;
    if (!yes) this.#handlers.isDone(handler, 'poll');
  }

  hasBegun(handler: HandlerModel, functions: number): void {
    expect(!handler.removed, `pollBegin of ${handler.name} is called, which was removed`);
    expect(handler.begun === 0, `pollBegin of ${handler.name} is called twice`);
    expect(functions === handler.functions, `an old pollBegin of ${handler.name} is called`);
    if (this.#passes.current?.kind !== 'call') this.#passes.expectBefore(`pollBegin of ${handler.name}`);
    handler.begun = functions;
  }

  /** `isDying`: because its file descriptor was closed, of which it will be told now, if this does not remove it. */
  hasEnded(handler: HandlerModel, functions: number, isDying: boolean): void {
    expect(handler.begun !== 0, `pollEnd of ${handler.name} is called without a pollBegin`);
    expect(functions === handler.begun, `pollEnd of ${handler.name} is that of another pollBegin`);
    handler.begun = 0;
    const frame = this.#passes.current;
    if (!frame || frame.kind === 'call') return;
    if (isDying) {
      handler.dyingIn = this.#passes.enter(Phase.handlers, handler.name);
      handler.dyingIn.progress = true;
      return;
    }
    this.#passes.expectBefore(`pollEnd of ${handler.name}`);
    handler.owed = true;
    if (handler.busy === 0) frame.ended.add(handler);
  }

  begins(frame: Frame): void {
    if (!frame.looks || this.#passes.closed) return;
    for (const handler of this.#handlers.all) {
      const { has, fd, busy, dyingIn } = handler;
      const isAsked = frame.kind === 'poll' ? !frame.blocking : !has.read && !has.write;
      if (has.poll && fd.event && busy === 0 && isAsked && !dyingIn) frame.due.get(handler)?.add('poll');
    }
  }

  leaves(frame: Frame, phase: number): void {
    if (phase === Phase.before)
      for (const handler of frame.ended) {
        const mayOwe = handler.removed || (handler.external && frame.heldBack);
        expect(mayOwe || !handler.owed, `poll of ${handler.name} was not asked after its pollEnd`);
      }
    else if (phase === Phase.bottomHalves) {
      for (const handler of this.#handlers.all)
        if (handler.found !== 0) frame.found.set(handler, handler.found);
    } else if (phase === Phase.handlers && frame.kind !== 'bhPoll') this.#expectReadyCalled(frame);
    else if (phase === Phase.timers)
      for (const handler of this.#handlers.all) if (handler.dyingIn === frame) handler.dyingIn = null;
  }

  #expectReadyCalled(frame: Frame): void {
    for (const handler of this.#handlers.all) {
      const { name, external, busy, depth, found, dyingIn } = handler;
      // Whether one is held back is looked at before a wait.
      if (busy > 0 || depth > 0 || dyingIn || (external && (frame.heldBack || !frame.looks))) continue;
      expect(found === 0 || found !== frame.found.get(handler), `pollReady of ${name} did not come`);
    }
  }
}
