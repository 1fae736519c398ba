import { checkSignal, isAborted } from './abort.js';
import { checkObject, checkNotNegative, nanoseconds, scales } from './arguments.js';
import { Clock } from './clock.js';
import type { AioContext } from './context.js';
import { drain, leaveDriver } from './dispatcher.js';
import { AbortError, AioError } from './errors.js';
import { native } from './load.js';
import type { ContextHandle } from './native.js';
import { freeTimer, type TimerMaker } from './timer.js';

/** What ends a wait early. */
export interface WaitOptions {
  /** Milliseconds, after which the wait throws `ERR_AIO_TIMEOUT`. */
  timeout?: number;
  /** Aborts the wait with an `AbortError`. In a blocking wait only callbacks of contexts can do that. */
  signal?: AbortSignal;
}

/** Polls `context` until `done`. */
export function waitUntil(
  context: AioContext,
  handle: ContextHandle,
  makeTimer: TimerMaker,
  done: () => boolean,
  options: WaitOptions,
): void {
  checkObject(options, 'options');
  const { timeout, signal } = options;
  if (signal !== undefined) checkSignal(signal, 'options.signal');
  if (timeout !== undefined) {
    checkNotNegative(nanoseconds(timeout, scales.ms, 'options.timeout'), 'options.timeout', timeout);
  }

  const deadline = { passed: false };
  const timer =
    timeout === undefined
      ? undefined
      : makeTimer(Clock.realtime, () => void (deadline.passed = true), 'wait timeout');
  try {
    if (timeout !== undefined) timer?.after(timeout);
    if (signal && isAborted(signal)) throw new AbortError(signal);
    while (!done()) {
      if (signal && isAborted(signal)) throw new AbortError(signal);
      if (deadline.passed)
        throw new AioError('ERR_AIO_TIMEOUT', `Waiting in AioContext ${context.name}: ${timeout} ms are up`);
      if (!native.contextIsArmed(handle)) {
        // What waits in the tick queue is the last that could change anything.
        drain();
        if (done()) return;
        if (!native.contextIsArmed(handle))
          throw new AioError(
            'ERR_AIO_WOULD_HANG',
            `Nothing in AioContext ${context.name} could ever end the wait`,
          );
      }
      leaveDriver(native.contextPoll(handle, true));
    }
  } finally {
    if (timer) freeTimer(timer);
  }
}

/** Whether promises can progress: inside a microtask V8 runs no others. */
function promisesProgress(): boolean {
  let progressed = false;
  void Promise.resolve().then(() => {
    progressed = true;
  });
  drain();
  return progressed;
}

/** Polls `context` until `promise` is settled. */
export function waitForPromise<T>(
  context: AioContext,
  handle: ContextHandle,
  makeTimer: TimerMaker,
  promise: PromiseLike<T>,
  options: WaitOptions,
): T {
  let outcome: { value: T } | { error: unknown } | undefined;
  // First of all, or a promise that is rejected already would be reported as unhandled.
  promise.then(
    (value) => (outcome = { value }),
    (error: unknown) => (outcome = { error }),
  );
  if (!promisesProgress()) {
    throw new AioError(
      'ERR_AIO_IN_MICROTASK',
      'Promises cannot progress inside a microtask, such as the top level of an ES module or what follows an await; ' +
        'call it from a callback or from runMain()',
    );
  }
  waitUntil(context, handle, makeTimer, () => outcome !== undefined, options);

  const settled = outcome as unknown as { value: T } | { error: unknown };
  if ('value' in settled) return settled.value;
  throw settled.error;
}
