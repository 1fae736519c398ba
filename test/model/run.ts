// Runs a program with a real context and the model side by side.
import { AioContext, AioError, Clock, MainContext } from 'aio-gsource';
import type { BottomHalf, ManualClock, Timer } from 'aio-gsource';
import { bhPoll, computeTimeoutNs, dispatch, notifyMe } from 'aio-gsource/internals';

import { Slot } from './fds.js';
import { BottomHalfModel } from './bottom-halves.js';
import { Model } from './model.js';
import { Disagreement, expect, Frame } from './passes.js';
import { ClockModel, TimerModel } from './timers.js';
import { HandlerModel } from './watched.js';
import {
  bottomHalves,
  clocks,
  fdKinds,
  type Handler,
  type Op,
  own,
  type Program,
  type Script,
  timers,
} from './program.js';

export interface Cell {
  readonly driver: 'poll' | 'glib' | 'mixed';
  readonly monitor: 'poll' | 'epoll' | 'io_uring';
}

export const cells: readonly Cell[] = (['poll', 'epoll', 'io_uring'] as const).flatMap((monitor) =>
  (['poll', 'glib', 'mixed'] as const).map((driver) => ({ driver, monitor })),
);

/** How often each operation was done, and each situation reached. */
export type Tally = Map<string, number>;

export interface Options {
  readonly tally?: Tally;
  /** Is told what happens, line by line. */
  readonly trace?: (line: string) => void;
}

/** So many passes at most are on the stack, and so many operations are done in callbacks. */
const maxDepth = 4;
const maxOps = 300;

/** A blocking pass that has lasted for so long would have gone on for ever. */
const watchdogMs = 2000;

/** What a script belongs to: the index of its bottom half, timer or file descriptor. */
interface Owner {
  readonly bh?: number;
  readonly timer?: number;
  readonly fd?: number;
}

const nobody: Owner = {};

class Thrown extends Error {}

/** In the place of the error of a handler without `error`: that of any of those which have died since one looked. */
class Death {
  readonly names: Set<string>;
  constructor(names: Set<string>) {
    this.names = names;
  }
}

function isEbadf(error: unknown): error is AioError {
  return error instanceof AioError && error.code === 'EBADF';
}

function isSame(error: unknown, expected: unknown): boolean {
  if (!(expected instanceof Death)) return error === expected;
  if (!isEbadf(error)) return false;
  const name = [...expected.names].find((each) => error.message.includes(`handler ${each} watched`));
  return name !== undefined && expected.names.delete(name);
}

class Run {
  readonly #cell: Cell;
  readonly #program: Program;
  readonly #options: Options;
  readonly #model = new Model();
  readonly #ctx: AioContext;
  readonly #main: MainContext | null;
  readonly #clocks: { real: ManualClock; model: ClockModel }[] = [];
  readonly #bhs: { real: BottomHalf; model: BottomHalfModel }[] = [];
  readonly #timers: { real: Timer; model: TimerModel }[] = [];
  readonly #slots: Slot[];
  readonly #watchdog: Timer;
  readonly #undos: Disposable[] = [];
  #names = 0;
  #ops = 0;
  #thrown = 0;
  /** Passes so far, nested ones too. */
  #passes = 0;
  /** Somebody has prepared the source since the last iteration, and has not gone on. */
  #isPrepared = false;
  /** Callbacks do nothing any more. */
  #isQuiet = false;
  /** What the model did not allow, or what the run itself stumbled over. */
  #fault: { error: unknown } | null = null;

  constructor(cell: Cell, program: Program, options: Options) {
    this.#cell = cell;
    this.#program = program;
    this.#options = options;
    this.#ctx = new AioContext({ name: 'model', monitor: cell.monitor });
    this.#main = cell.driver === 'poll' ? null : new MainContext();
    if (this.#main) this.#ctx.attach(this.#main);
    const watched = { poll: 'by number', epoll: 'in a set', io_uring: 'in a ring' } as const;
    this.#slots = fdKinds.map((kind) => new Slot(kind, watched[cell.monitor]));
    for (let i = 0; i < clocks; i++) this.#clocks.push({ real: Clock.manual(), model: new ClockModel() });
    this.#model.timers.clocks.push(...this.#clocks.map(({ model }) => model));
    for (let i = 0; i < bottomHalves; i++) this.#bhs.push(this.#makeBottomHalf(i));
    for (let i = 0; i < timers; i++) this.#timers.push(this.#makeTimer(i));
    this.#watchdog = this.#ctx.timer(Clock.realtime, () => {
      this.#fault ??= { error: new Disagreement('a blocking pass does not end by itself') };
    });
    // Now, or it would open what it needs for that when the number of something else is free.
    this.#watchdog.after(watchdogMs);
    this.#main?.iteration(false);
    this.#watchdog.del();
  }

  run(): void {
    try {
      this.#ctx.setPollParams({ maxNs: this.#program.params });
      for (const op of this.#program.ops) {
        this.#do(op, nobody);
        this.#check();
      }
      this.#settle();
    } finally {
      this.#isQuiet = true;
      this.#fault ??= { error: undefined }; // whatever still comes is not looked at
      this.#ctx.close();
      this.#main?.close();
      for (const slot of this.#slots) slot.close(true);
    }
  }

  // --- What is made

  #makeBottomHalf(i: number): { real: BottomHalf; model: BottomHalfModel } {
    const model = new BottomHalfModel(`b${String(i)}`);
    const real = this.#ctx.bh(() => {
      this.#callback(
        'bottom half',
        () => {
          // call() runs it as it is.
          if (this.#model.passes.frames.at(-1)?.kind !== 'call') this.#model.bottomHalves.hasRun(model);
        },
        this.#program.bhs[i],
        { bh: i },
      );
    });
    return { real, model };
  }

  #makeTimer(i: number): { real: Timer; model: TimerModel } {
    const clock = at(this.#clocks, i % clocks);
    const model = new TimerModel(`t${String(i)}`, clock.model);
    const real = this.#ctx.timer(clock.real, () => {
      this.#callback('timer', () => this.#model.timers.hasFired(model), this.#program.timers[i], {
        timer: i,
      });
    });
    return { real, model };
  }

  #oneshot(script: Script): void {
    const model = new BottomHalfModel(`oneshot ${String(++this.#names)}`);
    this.#model.bottomHalves.schedule(model);
    this.#ctx.scheduleOneshot(() => {
      this.#callback('oneshot', () => this.#model.bottomHalves.hasRun(model), script);
    });
  }

  #functions(handler: HandlerModel, owner: Owner, of: Handler['polling']): [() => void, () => void] {
    const functions = handler.functions;
    return [
      () => {
        const accept = (): void => this.#model.polling.hasBegun(handler, functions);
        this.#callback('pollBegin', accept, of?.begin, owner, handler);
      },
      () => {
        const accept = (): void => this.#model.polling.hasEnded(handler, functions, this.#isDying(handler));
        this.#callback('pollEnd', accept, of?.end, owner, handler);
      },
    ];
  }

  #handle(i: number, spec: Handler): void {
    const slot = at(this.#slots, i);
    const { notifier } = slot;
    const has = {
      read: spec.read !== null,
      write: spec.write !== null && !notifier,
      error: spec.error !== null,
      poll: spec.polling !== null,
    };
    if (!has.read && !has.write && !has.poll) has.read = true;
    const owner = { fd: i };
    const handler = new HandlerModel(
      `handler ${String(++this.#names)} of fd${String(i)}`,
      slot.model,
      has,
      spec.external,
    );
    const called = (direction: 'read' | 'write' | 'poll'): void => {
      if (notifier) {
        slot.wasCleared();
        this.#changed(slot);
      }
      this.#model.handlers.isCalled(handler, direction);
    };
    const direction = (which: 'read' | 'write') => (): void => {
      handler.depth++;
      try {
        this.#callback(which, () => called(which), spec[which] ?? [], owner);
      } finally {
        handler.depth--;
      }
    };
    const { polling } = spec;
    const [pollBegin, pollEnd] = this.#functions(handler, owner, polling);
    const real = {
      name: handler.name,
      external: spec.external,
      ...(has.error && {
        error: (error: AioError): void => {
          const accept = (): void => {
            expect(isEbadf(error), `error of ${handler.name} is called with ${String(error)}`);
            this.#model.handlers.dies(handler);
          };
          this.#callback('error', accept, spec.error ?? [], owner);
        },
      }),
      ...(has.read && { read: direction('read') }),
      ...(has.write && { write: direction('write') }),
      ...(polling && {
        poll: (): boolean => {
          let answer = false;
          try {
            this.#callback(
              'poll function',
              () => this.#model.polling.isAsked(handler),
              polling.poll,
              owner,
              handler,
            );
            answer = slot.model.event;
          } finally {
            this.#model.polling.answers(handler, answer);
          }
          return answer;
        },
        pollReady: (): void => {
          const accept = (): void => {
            called('poll');
            this.#setEvent(slot, false);
          };
          this.#callback('pollReady', accept, polling.ready, owner, handler);
        },
        pollBegin,
        pollEnd,
      }),
    };
    if (!slot.model.isOpen) {
      this.#count('refused');
      this.#call(() => {
        try {
          this.#ctx.setFdHandler(slot.fd, real);
        } catch (error) {
          if (isEbadf(error)) return;
          throw error;
        }
        throw new Disagreement('a closed file descriptor is watched');
      });
      return;
    }
    const old = this.#model.handlers.set(slot.model, handler);
    this.#call(() => {
      if (notifier) this.#ctx.setEventNotifier(notifier, real);
      else this.#ctx.setFdHandler(slot.fd, real);
    });
    this.#expectEnded(old);
  }

  #unhandle(slot: Slot): void {
    const old = this.#model.handlers.set(slot.model, null);
    this.#call(() => {
      if (slot.notifier) this.#ctx.setEventNotifier(slot.notifier, null);
      else this.#ctx.setFdHandler(slot.fd, null);
    });
    this.#expectEnded(old);
  }

  #reopen(slot: Slot): void {
    if (!slot.model.isOpen) {
      // Its handler, if it still has one, watches what has its number from now on, or the old file, or nothing.
      if (slot.model.handler) this.#count('reopened while watched');
      slot.close();
      slot.open();
      this.#model.handlers.openFd(slot.model, slot.events);
      return;
    }
    // The notifier, which can be closed while it is watched, is in the way of nobody who is called by that.
    if (!slot.notifier && slot.model.handler) this.#unhandle(slot);
    // Its pollEnd has set another, or closed the file descriptor, or the context.
    if (!slot.notifier && (slot.model.handler || !slot.model.isOpen || this.#model.closed)) return;
    const old = slot.notifier ? this.#model.handlers.set(slot.model, null) : null;
    const { notifier } = slot;
    this.#call(() => {
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
    this.#expectEnded(old);
  }

  #expectEnded(old: HandlerModel | null): void {
    if (old && !this.#fault) expect(old.begun === 0, `pollEnd of ${old.name} did not come`);
  }

  #closeFd(slot: Slot): void {
    // The context knows the notifier and its end.
    if (slot.notifier || !slot.model.isOpen || this.#model.closed) return;
    if (slot.model.handler) this.#count('closed while watched');
    slot.closeNumber();
    this.#model.handlers.closeFd(slot.model);
  }

  #changed(slot: Slot): void {
    this.#model.handlers.setReady(slot.model, slot.events);
  }

  #setEvent(slot: Slot, event: boolean): void {
    slot.model.event = event;
    if (!event && slot.model.handler) this.#model.handlers.isDone(slot.model.handler, 'poll');
  }

  // --- Callbacks and calls

  #count(what: string, of: string | number = ''): void {
    const { tally, trace } = this.#options;
    tally?.set(what, (tally.get(what) ?? 0) + 1);
    trace?.(`${'  '.repeat(this.#model.passes.frames.length)}${what}${of === '' ? '' : ` ${of}`}`);
  }

  /** A real callback: whether it may come, and then its script. With `busy` it is one of polling. */
  #callback(
    what: string,
    accept: () => void,
    script: Script = [],
    owner: Owner = nobody,
    busy?: HandlerModel,
  ): void {
    if (this.#fault) return;
    this.#count(what, busy?.name ?? Object.values(owner).join());
    const frame = this.#model.passes.frames.at(-1);
    try {
      this.#findDead();
      accept();
    } catch (error) {
      this.#fault = { error };
      return;
    }
    if (this.#isQuiet) return;
    const isBusy = busy !== undefined && frame?.kind !== 'call';
    if (isBusy) busy.busy++;
    try {
      for (const op of script) this.#do(op, owner);
    } catch (error) {
      this.#count('exceptions');
      frame?.errors.push(error);
      throw error;
    } finally {
      if (isBusy) busy.busy--;
      // What it undid may have been what a blocking pass was to end by.
      if (busy && frame?.blocking && !this.#model.closed && !this.#model.isDue()) this.#ctx.notify();
    }
  }

  #isDying(handler: HandlerModel): boolean {
    if (this.#ctx.closed || !handler.wants('error', handler.fd.seen)) return false;
    return this.#ctx.inspect().handlers.some(({ name, dead }) => dead && name === handler.name);
  }

  /** Nobody is called for the death of a handler without `error`. It is gone, and the pass will throw. */
  #findDead(): void {
    const frame = this.#model.passes.frames.at(-1);
    if (!frame || frame.kind === 'call' || this.#ctx.closed) return;
    const handlers = [...this.#model.handlers.all].filter(
      (each) => !each.has.error && each.wants('error', each.fd.seen),
    );
    if (handlers.length === 0) return;
    const names = this.#ctx.inspect().handlers.map(({ name }) => name);
    const dead = handlers.filter(({ name }) => !names.includes(name));
    const death = new Death(new Set(dead.map(({ name }) => name)));
    for (const handler of dead) {
      this.#count('died without error');
      this.#model.handlers.dies(handler);
      frame.errors.push(death);
    }
  }

  /** A call that throws what the callbacks in it have thrown, and gives something otherwise. */
  #within<Result>(frame: Frame, body: () => Result): Result | undefined {
    let outcome: { error: unknown } | undefined;
    let result: Result | undefined;
    try {
      this.#model.passes.begin(frame);
      result = body();
    } catch (error) {
      outcome = { error };
    }
    if (!this.#fault) this.#findDead();
    if (this.#fault) {
      this.#model.passes.frames.pop();
      return undefined;
    }
    this.#model.passes.end(frame);
    const { errors } = frame;
    const [first] = errors;
    if (errors.length === 0) {
      if (outcome) throw new Disagreement(`a call throws what nobody has thrown: ${String(outcome.error)}`);
      return result;
    }
    expect(outcome !== undefined, 'a call does not throw what its callbacks have thrown');
    const { error } = outcome;
    if (errors.length === 1)
      expect(isSame(error, first), `a call throws ${String(error)} instead of ${String(first)}`);
    else {
      this.#count('several exceptions');
      const all = error instanceof AggregateError ? error.errors : [];
      expect(
        all.length === errors.length && all.every((each, i) => isSame(each, errors[i])),
        'a call does not throw all that its callbacks have thrown, in this order',
      );
    }
    throw error;
  }

  /** Of a call that has to run none, or some at once. */
  #call(body: () => void): void {
    const throws = this.#model.closed;
    this.#within(new Frame('call'), () => {
      try {
        body();
      } catch (error) {
        if (throws && error instanceof AioError && error.code === 'ERR_AIO_CLOSED') return;
        throw error;
      }
      // The getters and close() apart, which are not done by this.
      if (throws) throw new Disagreement('a call of a closed context does not throw');
    });
  }

  #pass(how: 'poll' | 'iterate' | 'dispatch' | 'bhPoll', wantsToBlock: boolean): void {
    const model = this.#model;
    const depth = model.passes.frames.filter(({ kind }) => kind !== 'call').length;
    if (depth >= maxDepth) return;
    const { driver } = this.#cell;
    const iterates = how === 'iterate' ? driver !== 'poll' : how === 'poll' && driver === 'glib';
    const main = iterates && !model.passes.inPrepare ? this.#main : null;
    const looks = how === 'poll' || how === 'iterate';
    const blocking = wantsToBlock && looks;
    const kind = !looks ? how : main ? 'iteration' : 'poll';
    if (depth > 0) {
      this.#count(`nested ${kind} in ${model.passes.frames.at(-1)?.kind ?? ''}`);
      if (model.bottomHalves.queue.slice(0, model.bottomHalves.taken).some(({ pending }) => pending))
        this.#count('nested, bottom halves left');
      if (model.timers.clocks.some(({ due }) => due.length > 0)) this.#count('nested, timers left');
    }
    this.#count(`${blocking ? 'blocking ' : ''}${kind}`);

    const frame = new Frame(kind, blocking);
    const passes = ++this.#passes;
    const sleeps = this.#sleeps;
    if (main && depth === 0) this.#isPrepared = false;
    const guards = blocking && !model.closed && !model.passes.frames.some((each) => each.blocking);
    if (blocking && !model.closed) {
      if (model.isDue()) this.#count('blocking, due');
      else this.#ctx.notify();
      if (guards) this.#watchdog.after(watchdogMs);
    }
    const result = this.#within(frame, () => {
      try {
        if (main) return main.iteration(blocking && !model.closed);
        if (how === 'dispatch') return dispatch(this.#ctx);
        if (how === 'bhPoll') return bhPoll(this.#ctx);
        return this.#ctx.poll(blocking);
      } catch (error) {
        if (
          model.closed &&
          frame.errors.length === 0 &&
          error instanceof AioError &&
          error.code === 'ERR_AIO_CLOSED'
        )
          return false;
        throw error;
      } finally {
        if (guards && !this.#ctx.closed) this.#watchdog.del();
      }
    });
    if (this.#fault) return;
    // An iteration may have dispatched what then had nothing to do; what nested passes have run may count or not.
    const may = main !== null || frame.progress || frame.nested;
    expect(result === true ? may : !frame.progress, `the ${kind} gives ${String(result)}`);
    if (depth > 0 || passes !== this.#passes || model.closed) return;
    // Where it has slept, or GLib would have, nobody is being polled any more.
    if (main ? result === false : this.#sleeps > sleeps)
      for (const { name, begun } of model.handlers.all)
        expect(begun === 0, `${name} is still polled after a sleep`);
  }

  get #sleeps(): number {
    if (this.#ctx.closed) return 0;
    const { waits, zeroWaits } = this.#ctx.stats();
    return waits - zeroWaits;
  }

  #pending(): void {
    const model = this.#model;
    if (!this.#main || model.passes.inPrepare) return;
    const { frames } = model.passes;
    if (frames.filter(({ kind }) => kind !== 'call').length >= maxDepth) return;
    const main = this.#main;
    this.#isPrepared = true;
    const result = this.#within(new Frame('pending'), () => {
      model.passes.prepared = true; // also if it throws, and so does not tell
      return main.pending();
    });
    model.passes.prepared = result !== false;
  }

  #close(): void {
    const handlers = [...this.#model.handlers.all];
    this.#model.close();
    this.#within(new Frame('call'), () => this.#ctx.close());
    for (const handler of handlers) this.#expectEnded(handler);
  }

  // --- Operations

  #do(op: Op, owner: Owner): void {
    this.#stopAtFault();
    if (owner !== nobody && ++this.#ops > maxOps) return;
    const isTop = this.#model.passes.frames.length === 0;
    if (this.#model.closed) this.#count('closed');
    else this.#count(isTop ? op.do : `in a callback: ${op.do}`);
    try {
      this.#perform(op, owner);
      this.#stopAtFault();
    } catch (error) {
      if (error instanceof Disagreement) this.#fault ??= { error };
      if (this.#fault) {
        if (isTop) throw this.#fault.error;
        throw new Thrown('the run is over');
      }
      if (!isTop && !('catches' in op && op.catches)) throw error;
    }
  }

  #stopAtFault(): void {
    if (this.#fault) throw new Thrown('the run is over');
  }

  #perform(op: Op, owner: Owner): void {
    const model = this.#model;
    const index = (of: number, mine: number | undefined): number => (of === own ? (mine ?? 0) : of);
    if ('bh' in op) this.#performBottomHalf(op.do, index(op.bh, owner.bh));
    else if ('timer' in op) this.#performTimer(op.do, index(op.timer, owner.timer), 'ms' in op ? op.ms : 0);
    else if ('script' in op) {
      if (!model.closed) this.#oneshot(op.script);
    } else if ('clock' in op) {
      const clock = at(this.#clocks, op.clock);
      model.timers.setClock(clock.model, op.do === 'advance' ? clock.model.now + op.ms : op.ms);
      if (op.do === 'advance') clock.real.advance(op.ms);
      else clock.real.setNs(op.ms * 1_000_000);
    } else if ('fd' in op) {
      const i = index(op.fd, owner.fd);
      const slot = at(this.#slots, i);
      if ('handler' in op) {
        if (!model.closed) this.#handle(i, op.handler);
      } else if ('none' in op) this.#setFunctions(i, op.none);
      else this.#performFd(op.do, slot);
    } else if ('ns' in op) this.#call(() => this.#ctx.setPollParams({ maxNs: op.ns }));
    else if ('blocking' in op) this.#pass(op.do, op.blocking);
    else this.#performPlain(op.do);
  }

  #performPlain(name: string): void {
    const model = this.#model;
    switch (name) {
      case 'disable':
        this.#call(() => this.#undos.push(this.#ctx.disableExternal()));
        if (!model.closed) model.handlers.disable();
        return;
      case 'undo':
        if (this.#undos.length > 0 && !model.closed) {
          if (model.handlers.disabled > 0) model.handlers.disabled--;
          this.#undos.shift()?.[Symbol.dispose]();
        }
        return;
      case 'enable':
        if (model.closed) this.#call(() => this.#ctx.enableExternal());
        else if (this.#undos.length > 0) {
          this.#undos.pop();
          model.handlers.disabled--;
          this.#ctx.enableExternal();
        } else {
          try {
            this.#ctx.enableExternal();
          } catch (error) {
            if (error instanceof AioError && error.code === 'ERR_AIO_UNDERFLOW') return;
            throw error;
          }
          throw new Disagreement('external handlers are enabled more often than disabled');
        }
        return;
      case 'notify':
        this.#call(() => this.#ctx.notify());
        return;
      case 'pending':
        this.#pending();
        return;
      case 'throw':
        throw new Thrown(`thrown ${String(++this.#thrown)}`);
      case 'close':
        this.#close();
    }
  }

  #performBottomHalf(name: string, i: number): void {
    const model = this.#model;
    let bh = at(this.#bhs, i);
    if (bh.model.closed && name !== 'close bh' && !model.closed) {
      expect(
        throwsClosed(() => bh.real.schedule()),
        'a closed bottom half is scheduled',
      );
      this.#bhs[i] = bh = this.#makeBottomHalf(i);
    }
    switch (name) {
      case 'schedule':
      case 'idle':
        if (!model.closed) model.bottomHalves.schedule(bh.model, name === 'idle' ? 'idle' : 'scheduled');
        this.#call(() => (name === 'idle' ? bh.real.scheduleIdle() : bh.real.schedule()));
        return;
      case 'cancel':
        model.bottomHalves.cancel(bh.model);
        this.#call(() => bh.real.cancel());
        return;
      case 'call':
        if (this.#model.passes.frames.length < maxDepth * 2) this.#call(() => bh.real.call());
        return;
      default:
        model.bottomHalves.close(bh.model);
        bh.real.close();
    }
  }

  #performTimer(name: string, i: number, ms: number): void {
    const model = this.#model;
    let timer = at(this.#timers, i);
    if (timer.model.closed && name !== 'free' && !model.closed) {
      expect(
        throwsClosed(() => timer.real.mod(0)),
        'a freed timer is armed',
      );
      this.#timers[i] = timer = this.#makeTimer(i);
    }
    const { real } = timer;
    const of = timer.model;
    if (name === 'free') {
      model.timers.disarm(of);
      of.period = 0;
      of.closed = true;
      real.free();
      return;
    }
    if (name !== 'anticipate') of.period = 0;
    switch (name) {
      case 'mod':
        model.timers.arm(of, of.clock.now + ms);
        this.#call(() => real.modNs((of.clock.now + ms) * 1_000_000));
        return;
      case 'after':
        model.timers.arm(of, of.clock.now + Math.max(ms, 0));
        this.#call(() => real.after(ms));
        return;
      case 'every':
        model.timers.every(of, ms);
        this.#call(() => real.every(ms));
        return;
      case 'anticipate':
        model.timers.anticipate(of, of.clock.now + ms);
        this.#call(() => real.anticipate(of.clock.now + ms));
        return;
      default:
        model.timers.disarm(of);
        this.#call(() => real.del());
    }
  }

  #setFunctions(i: number, none: boolean): void {
    const slot = at(this.#slots, i);
    const { handler } = slot.model;
    if (!handler?.has.poll || this.#model.closed) {
      this.#call(() => this.#ctx.setFdPoll(slot.fd, null, null));
      return;
    }
    handler.functions = none ? 0 : handler.functions + 1;
    const [begin, end] = this.#functions(handler, { fd: i }, null);
    const wasBegun = handler.begun !== 0;
    const passes = this.#passes;
    this.#call(() => this.#ctx.setFdPoll(slot.fd, none ? null : begin, none ? null : end));
    // A poll() nested in one of them may have begun or ended polling.
    if (this.#fault || handler.removed || passes !== this.#passes) return;
    if (none) expect(handler.begun === 0, `the old pollEnd of ${handler.name} is not called`);
    else if (wasBegun)
      expect(handler.begun === handler.functions, `the new pollBegin of ${handler.name} is not called`);
  }

  #performFd(name: string, slot: Slot): void {
    const model = this.#model;
    switch (name) {
      case 'unhandle':
        this.#unhandle(slot);
        return;
      case 'reopen':
        if (!model.closed) this.#reopen(slot);
        return;
      case 'close fd':
        this.#closeFd(slot);
        return;
      case 'event':
        this.#setEvent(slot, true);
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
      default:
        slot.hangUp();
    }
    this.#changed(slot);
  }

  // --- Between and after the operations

  /** What can be read of the context is as the model has it. */
  #check(): void {
    const model = this.#model;
    const ctx = this.#ctx;
    expect(ctx.closed === model.closed, `closed is ${String(ctx.closed)}`);
    if (model.closed) return;
    expect(
      ctx.externalDisabled === model.handlers.disabled > 0,
      `externalDisabled is ${String(ctx.externalDisabled)}`,
    );
    for (const { real, model: bh } of this.#bhs)
      expect(real.scheduled === bh.pending, `scheduled of ${bh.name} is ${String(real.scheduled)}`);
    for (const { real, model: timer } of this.#timers) {
      const expire = timer.arming === 0 ? null : BigInt(timer.expire) * 1_000_000n;
      expect(real.expireTimeNs === expire, `expireTimeNs of ${timer.name} is ${String(real.expireTimeNs)}`);
    }
    for (const { real, model: clock } of this.#clocks)
      expect(real.nowNs() === BigInt(clock.now) * 1_000_000n, `a clock shows ${String(real.nowNs())}`);
    const waiters = notifyMe(ctx);
    expect(
      waiters === 0 || (waiters === 1 && this.#isPrepared),
      `notify_me is ${String(waiters)} between passes`,
    );
    const timeout = computeTimeoutNs(ctx);
    const { queue } = model.bottomHalves;
    const isTimerDue = model.timers.clocks.some((clock) => clock.isDue);
    if (queue.some(({ scheduled }) => scheduled) || isTimerDue)
      expect(timeout === 0n, `a wait would last for ${String(timeout)} ns, and there is something to run`);
    else if (queue.some(({ idle }) => idle))
      expect(timeout === 0n || timeout === 10_000_000n, `a wait would last for ${String(timeout)} ns`);
    else if (model.handlers.all.size === 0)
      expect(timeout === -1n, `a wait would last for ${String(timeout)} ns`);
  }

  /** With callbacks that do nothing everything is called, and then nothing is left. */
  #settle(): void {
    const model = this.#model;
    if (model.closed) {
      this.#count('ends closed');
      if (this.#main) this.#do({ do: 'iterate', blocking: false, catches: true }, nobody);
      return;
    }
    this.#isQuiet = true;
    while (model.handlers.disabled > 0) this.#do({ do: 'enable' }, nobody);
    for (let i = 0; i < 4; i++)
      this.#do({ do: i % 2 === 0 ? 'poll' : 'iterate', blocking: false, catches: true }, nobody);
    for (const { real, model: bh } of this.#bhs) {
      expect(!bh.pending, `${bh.name} was not run`);
      real.close();
    }
    for (let i = 0; i < timers; i++) this.#performTimer('free', i, 0);
    for (const slot of this.#slots) if (slot.model.isOpen) this.#unhandle(slot);
    if (model.handlers.all.size > 0) this.#expectSleep();
    for (const slot of this.#slots) this.#unhandle(slot);
    this.#watchdog.close();
    for (let i = 0; i < 2; i++) this.#do({ do: 'poll', blocking: false, catches: true }, nobody);
    expect(!this.#ctx.poll(false), 'a pass makes progress, and nothing is left');

    const stats = this.#ctx.stats();
    const counts = {
      bhsRun: model.bottomHalves.runs,
      handlersDispatched: model.handlers.dispatched,
      timersFired: model.timers.fired,
    };
    for (const name of ['bhsRun', 'handlersDispatched', 'timersFired'] as const)
      expect(stats[name] === counts[name], `${name} is ${String(stats[name])}, not ${String(counts[name])}`);
    expect(!stats.dispatching, 'a pass is under way');
    const { handlers, bottomHalves: bhs, timers: armed } = this.#ctx.inspect();
    expect(handlers.length + bhs.length + armed.length === 0, 'something is left');
  }

  /** Handlers of what was closed do not end one wait after the other. */
  #expectSleep(): void {
    this.#count('sleeps, and somebody watches what is closed');
    const state = { isOver: false };
    const timer = this.#ctx.timer(Clock.realtime, () => (state.isOver = true));
    timer.after(1);
    this.#model.timers.fired++;
    for (let passes = 0; !state.isOver; passes++) {
      expect(passes < 10, 'waits end one after the other');
      const main = this.#main;
      this.#within(new Frame(main ? 'iteration' : 'poll', true), () =>
        main ? main.iteration(true) : this.#ctx.poll(true),
      );
      this.#stopAtFault();
    }
    timer.close();
  }
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new RangeError(`no item ${String(index)}`);
  return item;
}

function throwsClosed(body: () => void): boolean {
  try {
    body();
    return false;
  } catch (error) {
    return error instanceof AioError && error.code === 'ERR_AIO_CLOSED';
  }
}

/** Throws where the real context does what the model does not allow. */
export function runProgram(cell: Cell, program: Program, options: Options = {}): void {
  new Run(cell, program, options).run();
}
