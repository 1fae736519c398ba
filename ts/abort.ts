import { invalidType } from './arguments.js';

// A script may have put its own in their place, on a signal of its own.
/* eslint-disable @typescript-eslint/unbound-method */
const { addEventListener, removeEventListener } = EventTarget.prototype;
const isAborted = Object.getOwnPropertyDescriptor(AbortSignal.prototype, 'aborted')?.get;
/* eslint-enable @typescript-eslint/unbound-method */

function isSignal(value: unknown): value is AbortSignal {
  if (!(value instanceof AbortSignal)) return false;
  try {
    // Throws for what has only the prototype of one, and which no listener can be added to.
    isAborted?.call(value);
    return true;
  } catch {
    return false;
  }
}

export function checkSignal(value: unknown, name: string): asserts value is AbortSignal {
  if (!isSignal(value)) throw invalidType(name, 'an instance of AbortSignal', value);
}

/** Has `listener` called when `signal` is aborted. */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): void {
  if (signal) addEventListener.call(signal, 'abort', listener);
}

/** Undoes {@link onAbort}. */
export function offAbort(signal: AbortSignal | undefined, listener: () => void): void {
  if (signal) removeEventListener.call(signal, 'abort', listener);
}
