/** Bottom halves in JavaScript, driven by GLib. README.md says why the peers are fair. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

import { AioContext, MainContext } from 'aio-gsource';

import { measure } from './measure.js';

/** What is used of node-gtk, which has no declarations. */
interface GLib {
  readonly PRIORITY_DEFAULT: number;
  idleAdd(priority: number, callback: () => boolean): number;
  readonly MainContext: { default(): { iteration(mayBlock: boolean): boolean } };
}
const gi = createRequire(import.meta.url)('node-gtk') as { require(name: 'GLib', version: '2.0'): GLib };
const glib = gi.require('GLib', '2.0');

const batch = 10_000;
const glibMain = glib.MainContext.default();
const main = MainContext.default();
const context = new AioContext({ name: 'bench' }).attach(main);

// One an iteration: each callback asks for the next.

let left = 0;
const again = context.bh((bh) => {
  if (--left > 0) bh.schedule();
});

let finish = (): void => {};
function immediateAgain(): void {
  if (--left > 0) setImmediate(immediateAgain);
  else finish();
}

// 10,000 a batch: all are ready at once.

let calls = 0;
const callbacks = Array.from({ length: batch }, () => () => {
  calls++;
});
const idleCallbacks = Array.from({ length: batch }, () => () => {
  calls++;
  return false; // once
});
const bhs = callbacks.map((callback) => context.bh(callback));

function iterateUntilCalled(iterated: { iteration(mayBlock: boolean): boolean }, done: () => void): void {
  while (calls < batch) assert(iterated.iteration(false), 'nothing is ready');
  done();
  assert.equal(calls, batch);
  calls = 0;
}

await measure([
  {
    shape: 'one an iteration',
    subject: 'ours',
    operations: batch,
    run(done) {
      left = batch;
      again.schedule();
      while (left > 0) main.iteration(false);
      done();
    },
  },
  {
    shape: 'one an iteration',
    subject: 'setImmediate',
    operations: batch,
    run(done) {
      left = batch;
      finish = done;
      setImmediate(immediateAgain);
    },
  },
]);

await measure(
  [
    {
      shape: '10,000 a batch',
      subject: 'ours',
      operations: batch,
      run(done) {
        for (const bh of bhs) bh.schedule();
        iterateUntilCalled(main, done);
      },
    },
    {
      shape: '10,000 a batch',
      subject: 'node-gtk idleAdd',
      operations: batch,
      run(done) {
        for (const callback of idleCallbacks) glib.idleAdd(glib.PRIORITY_DEFAULT, callback);
        iterateUntilCalled(glibMain, done);
      },
    },
  ],
  { warmUpRounds: 1, rounds: 7 },
);
