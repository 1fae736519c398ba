// Random programs, in which a real context has to do what the model of model/model.ts allows.
import assert from 'node:assert/strict';
import { setImmediate as immediate } from 'node:timers/promises';

import fc from 'fast-check';

import { ioUringMissing, slowdown } from './helpers.js';
import { type Program, programs, show } from './model/program.js';
import { cells, runProgram, type Tally } from './model/run.js';

/** Of all cells together. */
const sequences = 5000;

/** So many contexts at most wait to be collected. */
const batch = 50;

/**
 * What programs do, and get into, each five times in 5,000 at least: the rarest some twenty times, by chance. Else they
 * would prove less than they seem to.
 */
const situations = [
  ...['schedule', 'idle', 'cancel', 'call', 'close bh', 'oneshot'],
  ...['mod', 'after', 'every', 'anticipate', 'del', 'free', 'advance', 'set clock'],
  ...[
    'handle',
    'unhandle',
    'functions',
    'feed',
    'drain',
    'fill',
    'empty',
    'event',
    'hang up',
    'close fd',
    'reopen',
  ],
  ...['params', 'disable', 'enable', 'undo', 'notify', 'pending'],
  ...['poll', 'iterate', 'dispatch', 'bhPoll'],
].flatMap((op) => [op, `in a callback: ${op}`]);
situations.push(
  ...[
    'in a callback: throw',
    'exceptions',
    'several exceptions',
    'in a callback: close',
    'close',
    'ends closed',
  ],
  ...['closed while watched', 'reopened while watched', 'refused', 'error', 'died without error'],
  'sleeps, and somebody watches what is closed',
  ...['bottom half', 'timer', 'read', 'write', 'poll function', 'pollReady', 'pollBegin', 'pollEnd'],
  ...[
    'blocking poll',
    'blocking iteration',
    'blocking, due',
    'nested, bottom halves left',
    'nested, timers left',
  ],
  ...[
    'nested poll in poll',
    'nested poll in iteration',
    'nested iteration in poll',
    'nested iteration in iteration',
  ],
);

describe('AioContext: random programs against a model', () => {
  const tally: Tally = new Map();

  for (const { driver, monitor } of cells)
    it(`[${driver}, ${monitor}]`, async function () {
      if (monitor === 'io_uring' && ioUringMissing !== null) this.skip();
      this.timeout(60_000 * slowdown);
      const property = fc.property(programs, (program) => {
        runProgram({ driver, monitor }, program, { tally });
      });
      const total = Math.ceil(sequences / cells.length);
      for (let done = 0; done < total; done += batch) {
        const result = fc.check(property, { numRuns: Math.min(batch, total - done) });
        await immediate();
        globalThis.gc?.();
        await immediate();
        if (!result.failed) continue;
        const [program] = result.counterexample as [Program];
        assert.fail(
          [
            `npm run fuzz -- --only ${driver},${monitor} --seed=${result.seed} --path ${result.counterexamplePath ?? ''}`,
            show(program),
            String(result.errorInstance),
          ].join('\n'),
        );
      }
    });

  it('do what there is to do', () => {
    const rare = situations.filter((each) => (tally.get(each) ?? 0) < sequences / 1000);
    assert.deepEqual(
      rare.map((each) => `${each}: ${String(tally.get(each) ?? 0)}`),
      [],
    );
  });
});
