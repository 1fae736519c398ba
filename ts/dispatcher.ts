import { AsyncResource, executionAsyncResource } from 'node:async_hooks';
import { isMainThread } from 'node:worker_threads';

import { createError, throwCollected } from './errors.js';
import { native } from './load.js';
import type { Driven, Slot } from './native.js';

/** What a script has registered. A method's type, so that one for numbers is one of the many for anything. */
type Callback<Argument> = { method(this: unknown, argument: Argument): unknown }['method'];

/** One callback that C may call, by its slot. */
export class Registration<Argument> {
  readonly slot: Slot;
  readonly callback: Callback<Argument>;
  /** Its `this`. */
  readonly receiver: unknown;
  readonly argument: Argument;
  /** What has to stay alive while it may be called. */
  readonly owner: object;
  /** Where AsyncLocalStorage had a store when it was registered. */
  readonly scope: AsyncResource | undefined;
  /** Whether it leaves the table when it is called. */
  once: boolean;

  constructor(
    owner: object,
    callback: Callback<Argument>,
    receiver: unknown,
    argument: Argument,
    once: boolean,
  ) {
    this.slot = allocateSlot();
    this.callback = callback;
    this.receiver = receiver;
    this.argument = argument;
    this.owner = owner;
    this.scope = currentScope();
    this.once = once;
  }
}

/**
 * What may be called, by slot. An entry is there while C may call it and keeps it alive; a bottom half that is
 * not scheduled and a timer that is not armed have none, so that they can be collected.
 */
const table: (Registration<unknown> | undefined)[] = [];
const freeSlots: Slot[] = [];
const released = new Uint32Array(256);

function allocateSlot(): Slot {
  if (freeSlots.length === 0) collectReleasedSlots();
  return freeSlots.pop() ?? table.push(undefined) - 1;
}

/** Takes back what C has let go of: the only way by which a slot gets free. */
export function collectReleasedSlots(): void {
  let count;
  do {
    count = native.takeReleasedSlots(released);
    for (const slot of released.subarray(0, count)) {
      table[slot] = undefined;
      freeSlots.push(slot);
    }
  } while (count === released.length);
}

/** Has `registration` called when C calls its slot, and keeps it alive until then. */
export function hold(registration: Registration<unknown>): void {
  table[registration.slot] = registration;
}

/** Whether it is held. */
export function isHeld(registration: Registration<unknown>): boolean {
  return table[registration.slot] === registration;
}

/** Undoes {@link hold}. */
export function letGo(registration: Registration<unknown>): void {
  if (table[registration.slot] === registration) table[registration.slot] = undefined;
}

// Async context. Node has no way to ask whether any AsyncLocalStorage has a store. Before Node 24 stores are
// properties of the current resource; later they are in a context frame, which every new AsyncResource is given.
const newResource = (): AsyncResource => new AsyncResource('AioCallback', { requireManualDestroy: true });
const symbols = Object.getOwnPropertySymbols(newResource());
const frameSymbol = symbols.find(({ description }) => description === 'context_frame');
const idSymbol = symbols.find(({ description }) => description === 'async_id_symbol');

/** Before Node 24: a new promise has an id once any AsyncLocalStorage has been used, and that is quick to look at. */
function storagesInUse(): boolean {
  const promise = Promise.resolve() as unknown as Record<symbol, unknown>;
  return idSymbol === undefined || promise[idSymbol] !== undefined;
}

function hasStore(): boolean {
  if (frameSymbol !== undefined)
    return (newResource() as unknown as Record<symbol, unknown>)[frameSymbol] !== undefined;
  if (!storagesInUse()) return false;
  const current = executionAsyncResource() as Record<symbol, unknown>;
  return Object.getOwnPropertySymbols(current).some(
    (symbol) => symbol.description === 'kResourceStore' && current[symbol] !== undefined,
  );
}

/** Until a store has been seen all callbacks are called as they are, which costs nothing. */
let storesInUse = false;
let emptyScope: AsyncResource | undefined;

function currentScope(): AsyncResource | undefined {
  if (hasStore()) {
    storesInUse = true;
    return newResource();
  }
  emptyScope ??= newResource();
  return undefined;
}

/** Whether the next callback is the first of a call that drives callbacks, and that may be inside a store. */
let firstCallback = true;

/** Before each call of the script that drives callbacks. */
export function enterDriver(): void {
  firstCallback = true;
}

const { reallyExit } = process as unknown as { reallyExit?: (code: number) => void };

/**
 * After such a call. Where a Worker was terminated while promises were progressing, V8 has forgotten about it, and the
 * script would go on with a context that calls nothing any more: so it is told again.
 */
export function leaveDriver(result: Driven): boolean {
  if (result === undefined && native.isEnded()) reallyExit?.call(process, Number(process.exitCode ?? 1));
  return result ?? false;
}

/** Calls the callback as it was registered. Where stores are in use an empty context is one too. */
export function invoke<Argument>(registration: Registration<Argument>, argument: Argument): void {
  if (firstCallback) {
    firstCallback = false;
    storesInUse ||= hasStore();
  }
  const scope = registration.scope ?? (storesInUse ? emptyScope : undefined);
  if (scope === undefined) registration.callback.call(registration.receiver, argument);
  else scope.runInAsyncScope(registration.callback, registration.receiver, argument);
}

// The function that runs nextTick callbacks and promise continuations when no JavaScript is below, or at once if
// called. It is undocumented; without it they run when the script returns to Node's loop.
const { _tickCallback: tickCallback } = process as unknown as { _tickCallback?: unknown };
const tick = typeof tickCallback === 'function' ? (tickCallback as () => void) : (): void => undefined;

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
function dispatch(slot: Slot, argument?: unknown): void {
  const registration = table[slot];
  if (registration === undefined) return;
  if (registration.once) table[slot] = undefined;
  try {
    invoke(registration, argument ?? registration.argument);
  } catch (error) {
    native.reportException(error);
  }
  drain();
}

/**
 * What C calls for many bottom halves. Those that an earlier one has cancelled or closed are not in the table.
 *
 * @returns how many it has run, without those that a nested call has run
 */
function dispatchBatch(batch: Int32Array): number {
  for (let count = 0; ; count++) {
    const [next = 0, end = 0] = [batch[0], batch[1]];
    if (next >= end) return count;
    batch[0] = next + 1;
    dispatch(batch[2 + next] ?? 0);
  }
}

/** Whether C has taken it from its queue for a batch, and its turn has not come. */
export function isTaken(batch: Int32Array, registration: Registration<unknown>): boolean {
  const [next = 0, end = 0] = [batch[0], batch[1]];
  return next < end && batch.subarray(2 + next, 2 + end).includes(registration.slot);
}

/** What a context has for its batches: the index of the next slot, how many there are, and at most 64 slots. */
export function createBatch(): Int32Array {
  return new Int32Array(2 + 64);
}

native.install(!isMainThread, dispatch, dispatchBatch, createError, throwCollected);
