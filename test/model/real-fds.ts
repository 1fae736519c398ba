// What is done to the file descriptors of a program, and to the handlers of the real context with them.
import type { Calls } from './calls.js';
import { Slot } from './fds.js';
import { at, fdKinds, type FdOp, type Handler } from './program.js';
import type { RealHandlers } from './real-handlers.js';
import type { Watched } from './watched.js';

export class RealFds {
  readonly #calls: Calls;
  readonly #handlers: RealHandlers;
  readonly #slots: readonly Slot[];

  /** `watched`: how the monitor of the context knows them. */
  constructor(calls: Calls, handlers: RealHandlers, watched: Watched) {
    this.#calls = calls;
    this.#handlers = handlers;
    this.#slots = fdKinds.map((kind) => new Slot(kind, watched));
  }

  handle(i: number, handler: Handler): void {
    this.#handlers.set(at(this.#slots, i), i, handler);
  }

  setFunctions(i: number, none: boolean): void {
    this.#handlers.setFunctions(at(this.#slots, i), i, none);
  }

  do(name: FdOp, i: number): void {
    const { model } = this.#calls;
    const slot = at(this.#slots, i);
    switch (name) {
      case 'unhandle':
        this.#handlers.remove(slot);
        return;
      case 'reopen':
        if (!model.closed) this.#reopen(slot);
        return;
      case 'close fd':
        this.#close(slot);
        return;
      case 'event':
        this.#handlers.setEvent(slot, true);
        return;
      case 'feed':
        slot.feed();
        break;
      case 'drain':
        slot.drain();
        break;
      case 'fill':
        slot.fill();
        break;
      case 'empty':
        slot.empty();
        break;
      case 'hang up':
        slot.hangUp();
    }
    model.handlers.setReady(slot.model, slot.events);
  }

  #reopen(slot: Slot): void {
    const { model } = this.#calls;
    // The notifier, which can be closed while it is watched, is in the way of nobody who is called by that.
    if (slot.model.isOpen && !slot.notifier && slot.model.handler) this.#handlers.remove(slot);
    // Its pollEnd may have closed the context, or the file descriptor, or have set another handler.
    if (model.closed) return;
    if (!slot.model.isOpen) {
      // Its handler, if it still has one, watches what has its number from now on, or the old file, or nothing.
      if (slot.model.handler) this.#calls.count('reopened while watched');
      slot.close();
      slot.open();
      model.handlers.openFd(slot.model, slot.events);
      return;
    }
    if (!slot.notifier && slot.model.handler) return;
    const old = slot.notifier ? model.handlers.set(slot.model, null) : null;
    const { notifier } = slot;
    this.#calls.call(() => {
      try {
        slot.close();
      } finally {
        // A pollEnd may have done the same.
        if (notifier === slot.notifier) {
          slot.open();
          slot.model.ready = slot.model.seen = slot.events;
        }
      }
    });
    this.#calls.expectEnded(old);
  }

  #close(slot: Slot): void {
    const { model } = this.#calls;
    // The context knows the notifier and its end.
    if (slot.notifier || !slot.model.isOpen || model.closed) return;
    if (slot.model.handler) this.#calls.count('closed while watched');
    slot.closeNumber();
    model.handlers.closeFd(slot.model);
  }

  /** The handlers of what is open, or of what was closed as well. */
  removeHandlers(of: 'open' | 'all'): void {
    for (const slot of this.#slots) if (of === 'all' || slot.model.isOpen) this.#handlers.remove(slot);
  }

  /** The context is closed. */
  close(): void {
    for (const slot of this.#slots) slot.close(true);
  }
}
