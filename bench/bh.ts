/** Bottom halves in JavaScript, driven by `poll()`. README.md says why the peers are fair. */
import assert from 'node:assert/strict';

import { AioContext } from 'aio-gsource';

import { floor } from './floor.js';
import { measure } from './measure.js';

const batch = 10_000;
let calls = 0;
const callbacks = Array.from({ length: batch }, () => () => {
  calls++;
});

/** Whether all callbacks of a round ran. */
function check(done: () => void): void {
  done();
  assert.equal(calls, batch);
  calls = 0;
}

const context = new AioContext({ name: 'bench' });
const bhs = callbacks.map((callback) => context.bh(callback));
const external = floor.makeExternal();
const [first] = bhs;
const [callback] = callbacks;
assert(first && callback);

const crossings = (done: () => void): void => {
  for (let i = 0; i < batch; i++) floor.noop(external);
  floor.callOut(callback, batch);
  check(done);
};

await measure([
  {
    shape: '10,000 a batch',
    subject: 'ours',
    operations: batch,
    run(done) {
      for (const bh of bhs) bh.schedule();
      context.poll(false);
      check(done);
    },
  },
  { shape: '10,000 a batch', subject: 'floor', operations: batch, run: crossings },
  {
    shape: '10,000 a batch',
    subject: 'setImmediate',
    operations: batch,
    run(done) {
      for (const callback of callbacks) setImmediate(callback);
      setImmediate(check, done);
    },
  },
  {
    shape: 'one at a time',
    subject: 'ours',
    operations: batch,
    run(done) {
      for (let i = 0; i < batch; i++) {
        first.schedule();
        context.poll(false);
      }
      check(done);
    },
  },
  { shape: 'one at a time', subject: 'floor', operations: batch, run: crossings },
]);
