// The handlers of the real context, each with its model: they are set, changed and removed, and external ones are held
// back.
import type { AioError, FdHandler, NotifierHandler } from 'aio-gsource';

import type { Calls } from './calls.js';
import { hasCode } from './errors.js';
import type { Slot } from './fds.js';
import { Disagreement, expect } from './passes.js';
import type { ExternalOp, Handler, Polling } from './program.js';
import { HandlerModel } from './watched.js';

/** A handler's callbacks look at no argument, and so do for a file descriptor and for a notifier. */
type Callbacks = FdHandler & NotifierHandler;

export class RealHandlers {
  readonly #calls: Calls;
  /** What disableExternal() has given, of which each enables them once. */
  readonly #undos: Disposable[] = [];

  constructor(calls: Calls) {
    this.#calls = calls;
  }

  /** Of file descriptor `i`, in place of the one that it has. */
  set(slot: Slot, i: number, spec: Handler): void {
    const { ctx, model } = this.#calls;
    const { notifier } = slot;
    const has = {
      read: spec.read !== null,
      write: spec.write !== null && !notifier,
      error: spec.error !== null,
      poll: spec.polling !== null,
    };
    if (!has.read && !has.write && !has.poll) has.read = true;
    const name = `${this.#calls.name('handler')} of fd${String(i)}`;
    const handler = new HandlerModel(name, slot.model, has, spec.external);
    const real = this.#makeCallbacks(handler, slot, i, spec);
    if (!slot.model.isOpen || slot.isClosing) {
      this.#expectRefused(slot, real);
      return;
    }
    const old = model.handlers.set(slot.model, handler);
    this.#calls.call(() => {
      if (notifier) ctx.setEventNotifier(notifier, real);
      else ctx.setFdHandler(slot.fd, real);
    });
    this.#calls.expectEnded(old);
  }

  #expectRefused(slot: Slot, real: Callbacks | null): void {
    this.#calls.count('refused');
    this.#calls.call(() => {
      try {
        if (slot.notifier) this.#calls.ctx.setEventNotifier(slot.notifier, real);
        else this.#calls.ctx.setFdHandler(slot.fd, real);
      } catch (error) {
        if (hasCode(error, slot.notifier ? 'ERR_AIO_CLOSED' : 'EBADF')) return;
        throw error;
      }
      throw new Disagreement('a closed file descriptor is watched');
    });
  }

  remove(slot: Slot): void {
    const { ctx, model } = this.#calls;
    if (slot.isClosing) {
      this.#expectRefused(slot, null);
      return;
    }
    const old = model.handlers.set(slot.model, null);
    this.#calls.call(() => {
      if (slot.notifier) ctx.setEventNotifier(slot.notifier, null);
      else ctx.setFdHandler(slot.fd, null);
    });
    this.#calls.expectEnded(old);
  }

  // --- Its callbacks

  #makeCallbacks(handler: HandlerModel, slot: Slot, i: number, spec: Handler): Callbacks {
    const { model } = this.#calls;
    const { has } = handler;
    const direction = (which: 'read' | 'write') => (): void => {
      handler.depth++;
      try {
        const accept = (): void => this.#accept(handler, slot, which);
        this.#calls.callback(which, accept, spec[which] ?? [], { fd: i });
      } finally {
        handler.depth--;
      }
    };
    return {
      name: handler.name,
      external: spec.external,
      ...(has.error && {
        error: (error: AioError): void => {
          const accept = (): void => {
            expect(hasCode(error, 'EBADF'), `error of ${handler.name} is called with ${String(error)}`);
            model.handlers.dies(handler);
          };
          this.#calls.callback('error', accept, spec.error ?? [], { fd: i });
        },
      }),
      ...(has.read && { read: direction('read') }),
      ...(has.write && { write: direction('write') }),
      ...(spec.polling && this.#makePolling(handler, slot, i, spec.polling)),
    };
  }

  #makePolling(handler: HandlerModel, slot: Slot, i: number, of: Polling): Callbacks {
    const { polling } = this.#calls.model;
    const [pollBegin, pollEnd] = this.#makeFunctions(handler, i, of);
    return {
      poll: (): boolean => {
        let answer = false;
        try {
          const accept = (): void => polling.isAsked(handler);
          this.#calls.callback('poll function', accept, of.poll, { fd: i }, handler);
          answer = slot.model.event;
        } finally {
          polling.answers(handler, answer);
        }
        return answer;
      },
      pollReady: (): void => {
        const accept = (): void => {
          this.#accept(handler, slot, 'poll');
          this.setEvent(slot, false);
        };
        this.#calls.callback('pollReady', accept, of.ready, { fd: i }, handler);
      },
      pollBegin,
      pollEnd,
    };
  }

  /** The pair that the handler is to have from now on. */
  #makeFunctions(handler: HandlerModel, i: number, of: Polling | null): [begin: () => void, end: () => void] {
    const { polling } = this.#calls.model;
    const { functions } = handler;
    return [
      () => {
        const accept = (): void => polling.hasBegun(handler, functions);
        this.#calls.callback('pollBegin', accept, of?.begin, { fd: i }, handler);
      },
      () => {
        const accept = (): void => polling.hasEnded(handler, functions, this.#isDying(handler));
        this.#calls.callback('pollEnd', accept, of?.end, { fd: i }, handler);
      },
    ];
  }

  #accept(handler: HandlerModel, slot: Slot, direction: 'read' | 'write' | 'poll'): void {
    const { handlers } = this.#calls.model;
    if (slot.notifier) {
      slot.wasCleared();
      handlers.setReady(slot.model, slot.events);
    }
    handlers.isCalled(handler, direction);
  }

  /** Whether its file descriptor was closed, and its `error` comes next. */
  #isDying(handler: HandlerModel): boolean {
    const { ctx } = this.#calls;
    if (ctx.closed || !handler.wants('error', handler.fd.seen)) return false;
    return ctx.inspect().handlers.some(({ name, dead }) => dead && name === handler.name);
  }

  // --- Polling

  /** What its poll function says. */
  setEvent(slot: Slot, event: boolean): void {
    slot.model.event = event;
    if (!event && slot.model.handler) this.#calls.model.handlers.isDone(slot.model.handler, 'poll');
  }

  /** Another `pollBegin` and `pollEnd`, or `none`. */
  setFunctions(slot: Slot, i: number, none: boolean): void {
    const { ctx, model } = this.#calls;
    const { handler } = slot.model;
    if (!handler?.has.poll || model.closed) {
      this.#calls.call(() => ctx.setFdPoll(slot.fd, null, null));
      return;
    }
    handler.functions = none ? 0 : handler.functions + 1;
    const [begin, end] = this.#makeFunctions(handler, i, null);
    const wasBegun = handler.begun !== 0;
    const { passes } = this.#calls;
    this.#calls.call(() => ctx.setFdPoll(slot.fd, none ? null : begin, none ? null : end));
    // A poll() nested in one of them may have begun or ended polling.
    if (this.#calls.fault || handler.removed || passes !== this.#calls.passes) return;
    if (none) expect(handler.begun === 0, `the old pollEnd of ${handler.name} is not called`);
    else if (wasBegun)
      expect(handler.begun === handler.functions, `the new pollBegin of ${handler.name} is not called`);
  }

  // --- External handlers

  doExternal(name: ExternalOp): void {
    const { ctx, model } = this.#calls;
    switch (name) {
      case 'disable':
        this.#calls.call(() => this.#undos.push(ctx.disableExternal()));
        if (!model.closed) model.handlers.disable();
        return;
      case 'undo':
        if (this.#undos.length > 0 && !model.closed) {
          if (model.handlers.disabled > 0) model.handlers.disabled--;
          this.#undos.shift()?.[Symbol.dispose]();
        }
        return;
      case 'enable':
        if (model.closed) this.#calls.call(() => ctx.enableExternal());
        else if (this.#undos.length > 0) {
          this.#undos.pop();
          model.handlers.disabled--;
          ctx.enableExternal();
        } else this.#expectUnderflow();
    }
  }

  #expectUnderflow(): void {
    try {
      this.#calls.ctx.enableExternal();
    } catch (error) {
      if (hasCode(error, 'ERR_AIO_UNDERFLOW')) return;
      throw error;
    }
    throw new Disagreement('external handlers are enabled more often than disabled');
  }

  check(): void {
    const { ctx, model } = this.#calls;
    expect(
      ctx.externalDisabled === model.handlers.disabled > 0,
      `externalDisabled is ${String(ctx.externalDisabled)}`,
    );
  }
}
