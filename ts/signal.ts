/// <reference lib="esnext.disposable" preserve="true" />
import { constants } from 'node:os';

import { checkFunction, invalidType, invalidValue } from './arguments.js';
import type { AioContext } from './context.js';
import { hold, letGo, Registration } from './dispatcher.js';
import { native } from './load.js';
import type { ContextHandle, SignalHandle } from './native.js';

/**
 * The kernel lets nobody have the first two. The others tell of a fault: who returns from their handler runs into the
 * fault again, so there is no next pass.
 */
const refused: ReadonlySet<string> = new Set<NodeJS.Signals>([
  'SIGKILL',
  'SIGSTOP',
  'SIGBUS',
  'SIGFPE',
  'SIGILL',
  'SIGSEGV',
  'SIGTRAP',
]);

const numbers: Readonly<Record<string, number>> = constants.signals;

function signalNumber(signal: unknown): number {
  if (typeof signal !== 'string') throw invalidType('signal', 'of type string', signal);
  const number = Object.hasOwn(numbers, signal) ? numbers[signal] : undefined;
  if (number === undefined)
    throw Object.assign(new TypeError(`Unknown signal: ${signal}`), { code: 'ERR_UNKNOWN_SIGNAL' });
  if (refused.has(signal)) throw invalidValue('signal', 'must be one that a program can outlive', signal);
  return number;
}

/** `AioContext.onSignal()`. */
export function watchSignal(
  context: AioContext,
  handle: ContextHandle,
  signal: unknown,
  callback: () => void,
): Disposable {
  const number = signalNumber(signal);
  checkFunction(callback, 'callback');
  // A watch ends when its handle is collected; a script need not keep what it was given.
  const owner: { readonly context: AioContext; watch?: SignalHandle } = { context };
  const registration = new Registration(owner, callback);
  const watch = native.signalWatch(handle, number, String(signal), registration.slot);
  owner.watch = watch;
  hold(registration.slot, registration);
  return {
    [Symbol.dispose]: () => {
      native.signalClose(watch);
      letGo(registration.slot, registration);
    },
  };
}

/** The name of a signal: of a real-time one `SIGRTMIN+n`. */
export function signalName(number: number): string {
  const name = Object.keys(numbers).find((each) => numbers[each] === number);
  // glibc has kept 32 and 33 for itself.
  return name ?? `SIGRTMIN+${String(number - 34)}`;
}
