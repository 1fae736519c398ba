import { addAbortListener } from 'node:events';

import { invalidType } from './arguments.js';

// A script may have put its own in their place, on a signal of its own.
/* eslint-disable @typescript-eslint/unbound-method */
const { addEventListener, removeEventListener } = EventTarget.prototype;
const abortedGetter = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted')?.get;
const reasonGetter = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'reason')?.get;
/* eslint-enable @typescript-eslint/unbound-method */

function isSignal(value: unknown): value is AbortSignal {
  if (!(value instanceof AbortSignal)) return false;
  try {
    // Throws for what has only the prototype of one, and which no listener can be added to.
    isAborted(value);
    return true;
  } catch {
    return false;
  }
}

export function checkSignal(value: unknown, name: string): asserts value is AbortSignal {
  if (!isSignal(value)) throw invalidType(name, 'an instance of AbortSignal', value);
}

export function isAborted(signal: AbortSignal): boolean {
  return abortedGetter?.call(signal) as boolean;
}

export function reasonOf(signal: AbortSignal): unknown {
  return reasonGetter?.call(signal);
}

/**
 * With what Node adds the listeners of its own functions, which are called even if one before them stops the event.
 * What says so is not public, so it is looked at as Node adds one; without it they are listeners like others.
 */
let options: object | undefined;
addAbortListener(
  {
    aborted: false,
    addEventListener: (_type: unknown, _listener: unknown, given: object) => {
      options = given;
    },
  } as unknown as AbortSignal,
  () => undefined,
);

/** Has `listener` called when `signal` is aborted. */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): void {
  if (signal) addEventListener.call(signal, 'abort', listener, options);
}

/** Undoes {@link onAbort}. */
export function offAbort(signal: AbortSignal | undefined, listener: () => void): void {
  if (signal) removeEventListener.call(signal, 'abort', listener);
}
