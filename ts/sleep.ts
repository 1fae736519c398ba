import { checkSignal, isAborted, offAbort, onAbort } from './abort.js';
import { checkObject } from './arguments.js';
import { Clock } from './clock.js';
import { AbortError } from './errors.js';
import { freeTimer, type TimerMaker } from './timer.js';

/** How `AioContext.sleep()` sleeps. */
export interface SleepOptions {
  /** `Clock.realtime` by default. */
  clock?: Clock;
  /** Aborts it with an `AbortError`. */
  signal?: AbortSignal;
}

/** What rejects the promises that are pending when their context is closed. */
export type Sleepers = Set<(error: Error) => void>;

/** `AioContext.sleep()`. */
export function sleep(
  makeTimer: TimerMaker,
  sleepers: Sleepers,
  ms: number,
  options: SleepOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    checkObject(options, 'options');
    const { clock = Clock.realtime, signal } = options;
    if (signal !== undefined) {
      checkSignal(signal, 'options.signal');
      if (isAborted(signal)) throw new AbortError(signal);
    }

    const fail = (error: Error): void => {
      end();
      reject(error);
    };
    const abort = (): void => {
      if (signal) fail(new AbortError(signal));
    };
    const timer = makeTimer(
      clock,
      () => {
        end();
        resolve();
      },
      'sleep',
    );
    const end = (): void => {
      freeTimer(timer);
      offAbort(signal, abort);
      sleepers.delete(fail);
    };

    try {
      timer.after(ms);
    } catch (error) {
      freeTimer(timer);
      throw error;
    }
    onAbort(signal, abort);
    sleepers.add(fail);
  });
}
