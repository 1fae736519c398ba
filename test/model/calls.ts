// What goes between the real context and the model. A callback asks the model whether it may come. A call is a frame of
// the model while it lasts, and has to throw what its callbacks have thrown and nothing else.
import type { AioContext } from 'aio-gsource';

import { Death, hasCode, isSame, Thrown } from './errors.js';
import type { Model } from './model.js';
import { Disagreement, expect, Frame } from './passes.js';
import type { Op, Script } from './program.js';
import type { HandlerModel } from './watched.js';

/** How often each operation was done, and each situation reached. */
export type Tally = Map<string, number>;

export interface Options {
  readonly tally?: Tally;
  /** Is told what happens, line by line. */
  readonly trace?: (line: string) => void;
}

/** So many passes at most are on the stack. */
export const maxDepth = 4;

/** What a script belongs to: the index of its bottom half, timer or file descriptor. */
export interface Owner {
  readonly bh?: number;
  readonly timer?: number;
  readonly fd?: number;
}

export const nobody: Owner = {};

export class Calls {
  readonly ctx: AioContext;
  readonly model: Model;
  readonly #options: Options;
  readonly #perform: (op: Op, owner: Owner) => void;
  #names = 0;
  #passes = 0;
  /** Callbacks do nothing any more. */
  #isQuiet = false;
  /** What the model did not allow, or what the run itself stumbled over. */
  #fault: { error: unknown } | null = null;

  /** `perform` does an operation of a callback's script. */
  constructor(ctx: AioContext, model: Model, options: Options, perform: (op: Op, owner: Owner) => void) {
    this.ctx = ctx;
    this.model = model;
    this.#options = options;
    this.#perform = perform;
  }

  /** Passes so far, nested ones too. */
  get passes(): number {
    return this.#passes;
  }

  /** What is wrong, once something is: then nothing is looked at any more. */
  get fault(): { readonly error: unknown } | null {
    return this.#fault;
  }

  /** The first one is kept. */
  fail(error: unknown): void {
    this.#fault ??= { error };
  }

  stopAtFault(): void {
    if (this.#fault) throw new Thrown('the run is over');
  }

  /** From now on callbacks do nothing. They still have to be allowed. */
  silence(): void {
    this.#isQuiet = true;
  }

  count(what: string, of: string | number = ''): void {
    const { tally, trace } = this.#options;
    tally?.set(what, (tally.get(what) ?? 0) + 1);
    trace?.(`${'  '.repeat(this.model.passes.frames.length)}${what}${of === '' ? '' : ` ${of}`}`);
  }

  /** A new name for what is made in the course of the run. */
  name(what: string): string {
    return `${what} ${String(++this.#names)}`;
  }

  /** A real callback: whether it may come, and then its script. With `busy` it is one of polling. */
  callback(
    what: string,
    accept: () => void,
    script: Script = [],
    owner: Owner = nobody,
    busy?: HandlerModel,
  ): void {
    if (this.#fault) return;
    this.count(what, busy?.name ?? Object.values(owner).join());
    const frame = this.model.passes.frames.at(-1);
    try {
      this.#findDead();
      accept();
    } catch (error) {
      this.fail(error);
      return;
    }
    if (this.#isQuiet) return;
    const isBusy = busy !== undefined && frame?.kind !== 'call';
    if (isBusy) busy.busy++;
    try {
      for (const op of script) this.#perform(op, owner);
    } catch (error) {
      this.count('exceptions');
      frame?.errors.push(error);
      throw error;
    } finally {
      if (isBusy) busy.busy--;
      // What it undid may have been what a blocking pass was to end by.
      if (busy && frame?.blocking && !this.model.closed && !this.model.isDue()) this.ctx.notify();
    }
  }

  /** Nobody is called for the death of a handler without `error`. It is gone, and the pass will throw. */
  #findDead(): void {
    const frame = this.model.passes.frames.at(-1);
    if (!frame || frame.kind === 'call' || this.ctx.closed) return;
    const handlers = [...this.model.handlers.all].filter(
      (each) => !each.has.error && each.wants('error', each.fd.seen),
    );
    if (handlers.length === 0) return;
    const names = this.ctx.inspect().handlers.map(({ name }) => name);
    const dead = handlers.filter(({ name }) => !names.includes(name));
    const death = new Death(new Set(dead.map(({ name }) => name)));
    for (const handler of dead) {
      this.count('died without error');
      this.model.handlers.dies(handler);
      frame.errors.push(death);
    }
  }

  /** A call that throws what the callbacks in it have thrown, and gives something otherwise. */
  within<Result>(frame: Frame, body: () => Result): Result | undefined {
    let outcome: { error: unknown } | undefined;
    let result: Result | undefined;
    if (frame.kind !== 'call' && frame.kind !== 'pending') this.#passes++;
    try {
      this.model.passes.begin(frame);
      result = body();
    } catch (error) {
      outcome = { error };
    }
    if (!this.#fault) this.#findDead();
    if (this.#fault) {
      this.model.passes.frames.pop();
      return undefined;
    }
    this.model.passes.end(frame);
    this.#expectThrown(frame.errors, outcome);
    if (outcome) throw outcome.error;
    return result;
  }

  #expectThrown(errors: readonly unknown[], outcome: { error: unknown } | undefined): void {
    if (errors.length === 0) {
      if (outcome) throw new Disagreement(`a call throws what nobody has thrown: ${String(outcome.error)}`);
      return;
    }
    expect(outcome !== undefined, 'a call does not throw what its callbacks have thrown');
    const { error } = outcome;
    const [first] = errors;
    if (errors.length === 1)
      expect(isSame(error, first), `a call throws ${String(error)} instead of ${String(first)}`);
    else {
      this.count('several exceptions');
      const all = error instanceof AggregateError ? error.errors : [];
      expect(
        all.length === errors.length && all.every((each, i) => isSame(each, errors[i])),
        'a call does not throw all that its callbacks have thrown, in this order',
      );
    }
  }

  /** Of a call that has to run none, or some at once. */
  call(body: () => void): void {
    const throws = this.model.closed;
    this.within(new Frame('call'), () => {
      try {
        body();
      } catch (error) {
        if (throws && hasCode(error, 'ERR_AIO_CLOSED')) return;
        throw error;
      }
      // The getters and close() apart, which are not done by this.
      if (throws) throw new Disagreement('a call of a closed context does not throw');
    });
  }

  /** After the call that has removed it. */
  expectEnded(old: HandlerModel | null): void {
    if (old && !this.#fault) expect(old.begun === 0, `pollEnd of ${old.name} did not come`);
  }
}
