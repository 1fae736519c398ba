import { AsyncResource, executionAsyncResource } from 'node:async_hooks';
import { isMainThread } from 'node:worker_threads';

import { createError, throwCollected } from './errors.js';
import { native } from './load.js';
import type { Driven, Slot } from './native.js';

/** What a script has registered. A method's type, so that one for numbers is one of the many for anything. */
export type Callback<Argument> = { method(this: unknown, argument: Argument): unknown }['method'];

/** The method by which the dispatcher calls what has a slot. Scripts do not see it. */
export const run: unique symbol = Symbol('run');

/** What C may call, by its slot. */
export interface Callee {
  /** With the argument of C's, if it has one; gives what C is told. */
  [run](argument: unknown, slot: Slot): unknown;
}

/** A callback with a slot of its own, in the simplest form. */
export class Registration {
  readonly slot: Slot = allocateSlot();
  readonly #callback: Callback<undefined>;
  /** What has to stay alive while it may be called. */
  readonly owner: object;

  constructor(owner: object, callback: () => void) {
    this.#callback = inScope(callback);
    this.owner = owner;
  }

  /** @internal */
  [run](): void {
    invoke(this.#callback, undefined, undefined);
  }
}

/** A callback that is called once. */
export class Oneshot {
  readonly #callback: Callback<undefined>;
  /** What has to stay alive until then. */
  readonly owner: object;

  constructor(owner: object, callback: () => void) {
    this.#callback = inScope(callback);
    this.owner = owner;
  }

  /** @internal */
  [run](_: unknown, slot: Slot): void {
    letGo(slot, this);
    invoke(this.#callback, undefined, undefined);
  }
}

/**
 * What may be called, by slot. An entry is there while C may call it and keeps it alive; a bottom half that is
 * not scheduled and a timer that is not armed have none, so that they can be collected.
 */
const table: (Callee | undefined)[] = [];
const freeSlots: Slot[] = [];
const released = new Uint32Array(256);
/** A bit of what is in there: see `Native.takeReleasedSlots()`. */
const notFree = 1 << 31;

/** A slot that is free, for the one call of a native method that takes it. */
export function allocateSlot(): Slot {
  if (freeSlots.length === 0) collectReleasedSlots();
  return freeSlots.pop() ?? table.push(undefined) - 1;
}

/** Takes back what C and the script have let go of: the only way by which a slot gets free. */
export function collectReleasedSlots(): void {
  let count;
  do {
    count = native.takeReleasedSlots(released);
    for (const value of released.subarray(0, count)) {
      const slot = value & ~notFree;
      table[slot] = undefined;
      if (value === slot) freeSlots.push(slot);
    }
  } while (count === released.length);
}

/** Has `callee` called when C calls its slot, and keeps it alive until then. */
export function hold(slot: Slot, callee: Callee): void {
  table[slot] = callee;
}

/** Whether it is held. */
export function isHeld(slot: Slot, callee: Callee): boolean {
  return table[slot] === callee;
}

/** Undoes {@link hold}. */
export function letGo(slot: Slot, callee: Callee): void {
  if (table[slot] === callee) table[slot] = undefined;
}

/** Bottom halves and timers, whose slots come back when they have been collected. */
const collected = new FinalizationRegistry<Slot>((slot) => {
  native.forget(slot);
});

/** Closes what C has in `slot` once `callee` has been collected. */
export function forgetWhenCollected(slot: Slot, callee: Callee): void {
  collected.register(callee, slot);
}

// Async context. Node has no way to ask whether any AsyncLocalStorage has a store. Before Node 24 stores are
// properties of the current resource; later they are in a context frame, which every new AsyncResource is given.
// The option is the default: hooks are told when it is collected. Without options Node takes a slower way.
const newResource = (): AsyncResource => new AsyncResource('AioCallback', { requireManualDestroy: false });
const symbols = Object.getOwnPropertySymbols(newResource());
const frameSymbol = symbols.find(({ description }) => description === 'context_frame');
const idSymbol = symbols.find(({ description }) => description === 'async_id_symbol');

/** Before Node 24: whether any AsyncLocalStorage has been used. A new promise has an id then, which is quick to look at. */
let storagesUsed = idSymbol === undefined;

function haveStoragesBeenUsed(): boolean {
  storagesUsed ||= idSymbol !== undefined && idSymbol in Promise.resolve();
  return storagesUsed;
}

function hasStore(): boolean {
  if (frameSymbol !== undefined)
    return (newResource() as unknown as Record<symbol, unknown>)[frameSymbol] !== undefined;
  if (!haveStoragesBeenUsed()) return false;
  const current = executionAsyncResource() as Record<symbol, unknown>;
  return storesOf(current).some((symbol) => current[symbol] !== undefined);
}

/** What stores are under in a resource, of any Node. */
function storesOf(resource: object): symbol[] {
  return Object.getOwnPropertySymbols(resource).filter(
    (symbol) => symbol === frameSymbol || symbol.description === 'kResourceStore',
  );
}

/** A scope without any store, whatever is there now. For one call: what `enterWith()` gives it there is left in it. */
function emptyScope(): AsyncResource {
  const scope = newResource();
  for (const symbol of storesOf(scope)) (scope as unknown as Record<symbol, unknown>)[symbol] = undefined;
  return scope;
}

/**
 * Whether a store has been seen. Until then callbacks are called as they are, and each looks for one, which costs some
 * nanoseconds (benchmark bh): that of whoever calls a method or drives a foreign loop, or what the one before entered.
 */
let storesInUse = false;

/** The callback, in the async context of now if AsyncLocalStorage has a store there. */
export function inScope<Argument>(callback: Callback<Argument>): Callback<Argument> {
  if (!hasStore()) return callback;
  storesInUse = true;
  const scope = newResource();
  return function (this: unknown, argument: Argument): unknown {
    return scope.runInAsyncScope(callback, this, argument);
  };
}

const { reallyExit } = process as unknown as { reallyExit?: (code: number) => void };

/**
 * After a call of the script that drives callbacks. Where a Worker was terminated while promises were progressing, V8
 * has forgotten about it, and the script would go on with a context that calls nothing any more: so it is told again.
 */
export function leaveDriver(result: Driven): boolean {
  if (result === undefined && native.isEnded()) reallyExit?.call(process, Number(process.exitCode ?? 1));
  return result ?? false;
}

/** `Function.prototype.call`, which a function may have replaced, or not have. No slower than that (benchmark bh). */
// eslint-disable-next-line @typescript-eslint/unbound-method
const callFunction = Function.prototype.call.bind(Function.prototype.call) as <Argument>(
  callback: Callback<Argument>,
  receiver: unknown,
  argument: Argument,
) => unknown;

/** Calls a callback of {@link inScope}. Where stores are in use one that was registered without has none. */
export function invoke<Argument>(
  callback: Callback<Argument>,
  receiver: unknown,
  argument: Argument,
): unknown {
  storesInUse ||= hasStore();
  if (storesInUse) return emptyScope().runInAsyncScope(callback, receiver, argument);
  return callFunction(callback, receiver, argument);
}

// The function that runs nextTick callbacks and promise continuations when no JavaScript is below, or at once if
// called. It is undocumented; without it they run when the script returns to Node's loop.
const { _tickCallback: tickCallback } = process as unknown as { _tickCallback?: unknown };
const tick = typeof tickCallback === 'function' ? withoutWarning(tickCallback) : (): void => undefined;

/** Under --pending-deprecation Node has a function before it that warns, and whose prototype it is. */
function withoutWarning(callback: object): () => void {
  const prototype: unknown = Object.getPrototypeOf(callback);
  const isWrapper = typeof prototype === 'function' && prototype !== Function.prototype;
  return (isWrapper ? prototype : callback) as () => void;
}

/** After so many throwing nextTick callbacks in a row it is the stack that overflows, not they. */
const maxTickFailures = 1000;

/**
 * Runs the nextTick callbacks and promise continuations that wait; inside a microtask, where V8 allows no more,
 * only the former.
 */
export function drain(): void {
  for (let failures = 0; failures < maxTickFailures; failures++) {
    try {
      tick();
      return;
    } catch (error) {
      native.uncaughtException(error);
    }
  }
}

/** What C calls, for every callback. */
function dispatch(slot: Slot, argument?: unknown): unknown {
  const callee = table[slot];
  return callee === undefined ? undefined : call(callee, slot, argument);
}

function call(callee: Callee, slot: Slot, argument?: unknown): unknown {
  let result;
  try {
    result = callee[run](argument, slot);
  } catch (error) {
    native.reportException(error);
  }
  drain();
  return result;
}

/**
 * What C calls for many bottom halves. Those that an earlier one has cancelled or closed are not in the table.
 *
 * @returns how many it has run, without those that a nested call has run
 */
function dispatchBatch(batch: Int32Array): number {
  for (let count = 0; ;) {
    const [next = 0, end = 0] = [batch[0], batch[1]];
    if (next >= end) return count;
    batch[0] = next + 1;
    const slot = batch[2 + next] ?? 0;
    const callee = table[slot];
    if (callee === undefined) continue;
    count++;
    call(callee, slot);
  }
}

/** Whether C has taken it from its queue for a batch, and its turn has not come. */
export function isTaken(batch: Int32Array, slot: Slot): boolean {
  const [next = 0, end = 0] = [batch[0], batch[1]];
  return next < end && batch.subarray(2 + next, 2 + end).includes(slot);
}

/** What a context has for its batches: the index of the next slot, how many there are, and at most 64 slots. */
export function createBatch(): Int32Array {
  return new Int32Array(2 + 64);
}

native.install(!isMainThread, dispatch, dispatchBatch, createError, throwCollected);
