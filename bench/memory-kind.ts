/** For memory.ts: makes objects of the kind that it is told by name, and prints the bytes that each holds. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setImmediate as immediate } from 'node:timers/promises';

import { AioContext, Clock, type BottomHalf, type Timer } from 'aio-gsource';

import { printSample } from './measure.js';
import { makeNotifiers } from './notifiers.js';

/** How to make the object `i`, and how to have its callback run by the next poll. */
interface Kind {
  readonly make: (i: number) => unknown;
  readonly trigger: (i: number) => void;
}

const { gc } = globalThis;
assert(gc, 'node needs --expose-gc');
const [, , name = ''] = process.argv;

// The usual limit of file descriptors is 20,000.
const notifiers = makeNotifiers(name === 'handler' ? 15_000 : 0);
const all = notifiers.length || 150_000;
/** Those that are made first, and live on: what is counted is what yet more objects need. */
const first = Math.floor(all / 3);
const count = all - first;

const context = new AioContext({ name: 'bench' });
const bhs = new Array<BottomHalf | null>(all).fill(null);
const timers = new Array<Timer | null>(all).fill(null);
const calls = new Uint8Array(all);

function ran(i: number): void {
  calls[i] = (calls[i] ?? 0) + 1;
}

// Each callback is a closure of its own, which captures a variable.
function makeBh(i: number): BottomHalf {
  return (bhs[i] = context.bh(() => {
    ran(i);
  }));
}
function makeTimer(i: number): Timer {
  return (timers[i] = context.timer(Clock.realtime, () => {
    ran(i);
  }));
}

const kinds: Readonly<Record<string, Kind>> = {
  'bottom half': {
    make: makeBh,
    trigger: (i) => bhs[i]?.schedule(),
  },
  'bottom half, scheduled': {
    make: (i) => {
      makeBh(i).schedule();
    },
    trigger: () => undefined,
  },
  timer: {
    make: makeTimer,
    trigger: (i) => timers[i]?.after(0),
  },
  'timer, armed': {
    make: (i) => {
      makeTimer(i).after(3_600_000 + i);
    },
    trigger: (i) => timers[i]?.after(0),
  },
  handler: {
    make: (i) => {
      const { fd } = notifiers[i] ?? assert.fail();
      context.setFdHandler(fd, {
        read() {
          ran(i);
          notifiers[i]?.testAndClear();
        },
      });
    },
    trigger: (i) => notifiers[i]?.set(),
  },
};

/** What this process holds for itself alone, and what V8 says of that. */
async function held(): Promise<{ memory: number; heap: number }> {
  for (let i = 0; i < 3; i++) {
    gc?.();
    await immediate();
  }
  const rollup = readFileSync('/proc/self/smaps_rollup', 'utf8');
  const kibibytes = /^Private_Dirty: +(\d+) kB$/m.exec(rollup)?.[1];
  const { heapUsed, external } = process.memoryUsage();
  return { memory: Number(kibibytes) * 1024, heap: heapUsed + external };
}

const { make, trigger } = kinds[name] ?? assert.fail(`there is no kind "${name}"`);
await held();
for (let i = 0; i < first; i++) make(i);
const before = await held();
for (let i = first; i < all; i++) make(i);
const after = await held();

const samples = { [name]: after.memory - before.memory, [`${name}: V8's heap`]: after.heap - before.heap };
for (const [shape, bytes] of Object.entries(samples)) printSample(shape, 'ours', bytes / count);

// They all were alive, and none had run: each runs now.
assert(!calls.includes(1));
for (let i = 0; i < all; i++) trigger(i);
while (context.poll(false));
assert.ok(calls.every((n) => n === 1));
context.close();
