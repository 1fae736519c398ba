import { checkInt32, checkNotNegative, checkObject, invalidReturn, wholeNanoseconds } from './arguments.js';
import { invoke, type Callback } from './dispatcher.js';

/** How a context polls, for `AioContext.setPollParams()`. */
export interface PollParams {
  /** For how many nanoseconds a wait polls at most before it sleeps; 0 for not at all, which is the default. */
  maxNs: number | bigint;
  /** By what the polling time is multiplied when a longer one would have spared a sleep; 0, the default, for 2. */
  grow?: number;
  /** By what it is divided when it was in vain; 0, the default, to have it begin from nothing again. */
  shrink?: number;
}

/** All three, in the order of C's. */
export function pollParams(params: PollParams): [maxNs: number | bigint, grow: number, shrink: number] {
  checkObject(params, 'params');
  const { maxNs, grow = 0, shrink = 0 } = params;
  const ns = wholeNanoseconds(maxNs, 'params.maxNs');
  checkNotNegative(ns, 'params.maxNs', maxNs);
  checkInt32(grow, 'params.grow', 0);
  checkInt32(shrink, 'params.shrink', 0);
  return [ns, grow, shrink];
}

/** A function around polling, if there is one. */
export type PollFunction = Callback<undefined> | undefined;

/**
 * What a handler with a poll function has besides. The begin and the end of polling are kept here, for
 * `AioContext.setFdPoll()` changes them while C goes on; C tells when poll mode begins and ends.
 */
export class Polling {
  readonly #handler: object;
  readonly #poll: Callback<unknown>;
  readonly #ready: Callback<unknown>;
  #begin: PollFunction;
  #end: PollFunction;
  /** Whether it is polled. */
  #isOn = false;
  /** Whether it was told so. */
  #isTold = false;

  constructor(
    handler: object,
    poll: Callback<unknown>,
    ready: Callback<unknown>,
    begin: PollFunction,
    end: PollFunction,
  ) {
    this.#handler = handler;
    this.#poll = poll;
    this.#ready = ready;
    this.#begin = begin;
    this.#end = end;
  }

  poll(subject: unknown): boolean {
    const answer = invoke(this.#poll, this.#handler, subject);
    if (typeof answer !== 'boolean') throw invalidReturn('poll', 'a boolean', answer);
    return answer;
  }

  ready(subject: unknown): void {
    invoke(this.#ready, this.#handler, subject);
  }

  begin(): void {
    this.#isOn = true;
    this.#tell();
  }

  end(): void {
    this.#isOn = false;
    this.#call(this.#take());
  }

  /** Each function of the end belongs to the one of the begin that was called. */
  replace(begin: PollFunction, end: PollFunction, report: (error: unknown) => void): void {
    const oldEnd = this.#take();
    this.#begin = begin;
    this.#end = end;
    try {
      this.#call(oldEnd);
    } catch (error) {
      report(error);
    }
    try {
      this.#tell();
    } catch (error) {
      report(error);
    }
  }

  #tell(): void {
    if (!this.#isOn || this.#isTold) return;
    this.#isTold = true;
    this.#call(this.#begin);
  }

  /** What has to be called now that it is not told any more. */
  #take(): PollFunction {
    if (!this.#isTold) return undefined;
    this.#isTold = false;
    return this.#end;
  }

  #call(callback: PollFunction): void {
    if (callback) invoke(callback, this.#handler, undefined);
  }
}
