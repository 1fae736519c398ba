// Handlers: a pass calls those that are ready, in any order, `read` before `write`, each once. What it has to call it
// knows when it begins; what it may call is what anything was ready for since the last look.
import { expect, type Frame, type Part, type Passes, Phase } from './passes.js';
import { type Callback, directions, type FdModel, type HandlerModel, NVAL } from './watched.js';

export class Handlers implements Part {
  readonly all: Set<HandlerModel> = new Set<HandlerModel>();
  /** How often external handlers are disabled. */
  disabled = 0;
  dispatched = 0;
  readonly #passes: Passes;

  constructor(passes: Passes) {
    this.#passes = passes;
  }

  /** In place of the handler that `fd` has, which is returned. */
  set(fd: FdModel, handler: HandlerModel | null): HandlerModel | null {
    const old = fd.handler;
    fd.handler = handler;
    if (old) {
      old.removed = true;
      this.all.delete(old);
      for (const { due } of this.#passes.frames) due.delete(old);
    }
    if (handler) {
      handler.since = this.#passes.looks;
      this.all.add(handler);
      fd.seen = (fd.seen & ~NVAL) | fd.visible;
    }
    return old;
  }

  setReady(fd: FdModel, ready: number): void {
    fd.ready = ready;
    fd.seen |= fd.visible;
    const { handler } = fd;
    if (handler)
      for (const direction of directions) if (!handler.isReady(direction)) this.isDone(handler, direction);
  }

  /** Without a word to the context. */
  closeFd(fd: FdModel): void {
    fd.isOpen = false;
    if (fd.handler) fd.handler.closures++;
    this.setReady(fd, fd.ready);
  }

  openFd(fd: FdModel, ready: number): void {
    fd.isOpen = true;
    this.setReady(fd, ready);
  }

  disable(): void {
    this.disabled++;
    for (const frame of this.#passes.frames) frame.heldBack = true;
  }

  isHeldBack(handler: HandlerModel): boolean {
    return handler.external && this.disabled > 0;
  }

  /** No pass has to call that any more. */
  isDone(handler: HandlerModel, callback: Callback): void {
    for (const { due } of this.#passes.frames) due.get(handler)?.delete(callback);
  }

  expectUsable(handler: HandlerModel, what: string): void {
    expect(!handler.removed, `${what} of ${handler.name} is called, which was removed`);
    expect(!this.isHeldBack(handler), `${what} of ${handler.name} is called, which is held back`);
  }

  isCalled(handler: HandlerModel, callback: 'read' | 'write' | 'poll'): void {
    const what = callback === 'poll' ? 'pollReady' : callback;
    const frame = this.#passes.enter(Phase.handlers, handler.name);
    const called = frame.called.get(handler) ?? new Set();
    this.expectUsable(handler, what);
    expect(!called.has(callback), `${what} of ${handler.name} is called twice in a pass`);
    if (callback === 'poll') {
      expect(handler.found !== 0, `pollReady of ${handler.name} is called, and its poll has not said so`);
      expect(!called.has('read'), `pollReady of ${handler.name} is called after its read`);
    } else {
      expect(
        handler.since < this.#passes.looks,
        `${what} of ${handler.name} is called before any look at it`,
      );
      expect(
        handler.wants(callback, handler.fd.seen),
        `${what} of ${handler.name} is called, which is not ready`,
      );
    }
    if (callback === 'write')
      expect(!frame.due.get(handler)?.has('read'), `write of ${handler.name} is called before its read`);
    else handler.found = 0; // it is told of both at once
    frame.called.set(handler, called.add(callback));
    handler.missed = false;
    this.isDone(handler, callback);
    if (callback === 'read') this.isDone(handler, 'poll');
    frame.progress = true;
    this.dispatched++;
  }

  /** It is told, or would be if it had an `error`, that its file descriptor was closed. */
  dies(handler: HandlerModel): void {
    const frame = this.#passes.enter(Phase.handlers, handler.name);
    // Its `pollEnd`, which comes before, may have held it back.
    if (handler.dyingIn) expect(!handler.removed, `error of ${handler.name} is called, which was removed`);
    else this.expectUsable(handler, 'error');
    expect(
      handler.since < this.#passes.looks && handler.wants('error', handler.fd.seen),
      `error of ${handler.name} is called, and nothing has seen it closed`,
    );
    expect(handler.begun === 0, `error of ${handler.name} is called before its pollEnd`);
    this.set(handler.fd, null);
    frame.progress = true;
  }

  begins(frame: Frame): void {
    frame.heldBack = this.disabled > 0;
    // GLib has it forget what the outer pass has found, and not called.
    if ((frame.kind === 'iteration' || frame.kind === 'pending') && this.#passes.frames.length > 1)
      for (const handler of this.all) handler.missed = false;
    if (!frame.looks || this.#passes.closed) return;
    // What was found before is there until the wait: a dispatch that is nested in a poll function goes on with it.
    for (const { fd } of this.all) fd.seen |= fd.visible;
    if (frame.kind === 'iteration') this.#look();
    for (const handler of this.all) {
      const due = directions.filter((direction) => !handler.dyingIn && handler.isReady(direction));
      frame.due.set(handler, new Set<Callback>(due));
    }
  }

  #look(): void {
    // One that is being called may go on with what was found before.
    for (const { fd, depth, dyingIn } of this.all) if (depth === 0 && !dyingIn) fd.look();
  }

  leaves(frame: Frame, phase: number): void {
    if (phase === Phase.before && frame.kind === 'poll') this.#look();
    if (phase !== Phase.handlers || frame.kind === 'bhPoll') return;
    const polls = [...this.all].some(({ has }) => has.poll);
    for (const handler of this.all) {
      const due = [...(frame.due.get(handler) ?? [])];
      const isMissed = due.length > 0 && !(handler.external && frame.heldBack);
      // A look at memory may spare one at the file descriptors.
      const isFree = polls && !handler.missed && !due.includes('poll');
      expect(!isMissed || isFree, `${due.join(' and ')} of ${handler.name} did not come`);
      handler.missed = isMissed;
    }
  }
}
