// What becomes of promises that a loop settles.
import assert from 'node:assert/strict';

import { aioError, type Loop } from './helpers.js';

export const abortError: { name: string; code: string } = { name: 'AbortError', code: 'ABORT_ERR' };
export const busyError: ReturnType<typeof aioError> = aioError('ERR_AIO_FD_BUSY');
export const badFdError: ReturnType<typeof aioError> = aioError('EBADF', { errno: -9 });
export const never = (): void => {
  assert.fail('not to be called');
};

/** What became of a promise so far. */
export class Fate<T> {
  state: 'pending' | 'fulfilled' | 'rejected' = 'pending';
  value: T | undefined;
  error: unknown;

  constructor(promise: Promise<T>) {
    promise.then(
      (value) => {
        this.state = 'fulfilled';
        this.value = value;
      },
      (error: unknown) => {
        this.state = 'rejected';
        this.error = error;
      },
    );
  }
}

/** Promises progress after a callback. */
export function progress(loop: Loop): void {
  let ran = false;
  loop.ctx.scheduleOneshot(() => (ran = true));
  loop.until(() => ran);
}

/** Drives until the promise is settled. */
export function settle<T>(loop: Loop, promise: Promise<T>): T {
  const fate = new Fate(promise);
  progress(loop);
  loop.until(() => fate.state !== 'pending');
  if (fate.state === 'rejected') throw fate.error;
  return fate.value as T;
}

export const dispatched = (loop: Loop): number => loop.ctx.stats().handlersDispatched;

/** Checks that nothing is watched that is ready: a wait of 30 ms is one, and calls nothing. */
export function assertQuiet(loop: Loop): void {
  const before = dispatched(loop);
  assert.equal(loop.step(), false);
  const waitsOf = (): number => loop.ctx.stats().waits + loop.ctx.stats().prepares;
  const waits = waitsOf();
  settle(loop, loop.ctx.sleep(30));
  assert.ok(waitsOf() - waits < 10, `${String(waitsOf() - waits)} waits`);
  assert.equal(dispatched(loop), before);
}

/** By hand. */
export function iterator(iterable: AsyncIterable<void>): Required<AsyncIterator<void, undefined>> {
  return iterable[Symbol.asyncIterator]() as Required<AsyncIterator<void, undefined>>;
}

/** Takes turns until the function says that it is enough. */
export async function takeTurns(iterable: AsyncIterable<void>, isEnough: () => boolean): Promise<void> {
  for await (const nothing of iterable) {
    assert.equal(nothing, undefined);
    if (isEnough()) break;
  }
}
