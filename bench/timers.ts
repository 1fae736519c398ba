/** Timers that are armed and disarmed again, as time limits are. README.md says why the peers are fair. */
import assert from 'node:assert/strict';

import { AioContext, Clock } from 'aio-gsource';

import { measure } from './measure.js';

const others = 10_000;
const operations = 10_000;
/** Each is armed and disarmed again and again, as the time limits of so many connections are. */
const limits = 100;
const soon = 1_000_000; // ms

const context = new AioContext({ name: 'bench' });
let calls = 0;
function callback(): void {
  calls++;
}

/** The numbers below `n`, each once, in an order that is always the same and tells nothing. */
function shuffled(n: number): number[] {
  const numbers = Array.from({ length: n }, (_, i) => i);
  let state = 1;
  for (let i = n - 1; i > 0; i--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0; // Numerical Recipes' generator
    const j = Math.floor((state / 2 ** 32) * (i + 1));
    [numbers[i], numbers[j]] = [numbers[j] ?? 0, numbers[i] ?? 0];
  }
  return numbers;
}

/** Delays of the others, and those that come and go between them. */
const kinds = {
  'distinct delays': {
    others: shuffled(others).map((n) => soon + 2 * n),
    delays: shuffled(operations).map((n) => soon + 2 * n + 1),
  },
  'equal delays': {
    others: new Array<number>(others).fill(soon),
    delays: new Array<number>(operations).fill(soon),
  },
};

for (const [kind, { others, delays }] of Object.entries(kinds)) {
  const shape = `JavaScript: arm, disarm, ${kind}`;
  const armed = others.map((delay) => {
    const timer = context.timer(Clock.realtime, callback);
    timer.after(delay);
    return timer;
  });
  const timeouts = others.map((delay) => setTimeout(callback, delay));
  const timers = Array.from({ length: limits }, () => context.timer(Clock.realtime, callback));

  await measure([
    {
      shape,
      subject: 'ours',
      operations,
      run(done) {
        let i = 0;
        for (const delay of delays) {
          const timer = timers[i++ % limits] ?? assert.fail();
          timer.after(delay);
          timer.del();
        }
        done();
      },
    },
    {
      shape,
      subject: 'setTimeout',
      operations,
      run(done) {
        for (const delay of delays) clearTimeout(setTimeout(callback, delay));
        done();
      },
    },
  ]);

  // The others are still armed, what came and went is not; any would fire.
  assert(armed.every(({ pending }) => pending));
  assert(!timers.some(({ pending }) => pending));
  assert.equal(calls, 0);
  for (const timer of [...armed, ...timers]) timer.after(0);
  while (context.poll(false));
  assert.equal(calls, armed.length + timers.length);
  calls = 0;
  for (const timeout of timeouts) clearTimeout(timeout);
}
context.close();
