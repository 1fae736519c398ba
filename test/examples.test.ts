// Every example does what it says, ends by itself, and leaves nothing behind.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';

import { packageRoot } from './helpers.js';
import { runExample, type ExampleOptions } from './run-example.js';

interface Example {
  args: readonly [string, ...string[]];
  options?: ExampleOptions;
  prints: RegExp[];
}

const examples: Record<string, Example> = {
  'hello-bh.ts': {
    args: ['dist/examples/hello-bh.js'],
    prints: [
      /^The script drives its context by poll\(\):$/,
      /^ {2}save 1: "each word asks to be saved"$/,
      /^ {2}check: 6 words$/,
      /^GLib drives it, as a GSource of a GMainContext:$/,
      /^ {2}save 2: "each word asks to be saved and GLib runs the same bottom halves"$/,
      /^ {2}check: 13 words$/,
      /^One that asks for itself again runs once in each pass:$/,
      /^ {2}3 rounds in 3 passes$/,
      /^13 words, 2 saves$/,
    ],
  },
  'fd-echo.ts': {
    args: ['dist/examples/fd-echo.js'],
    prints: [/^sent 1160000 bytes, received 1160000: the same$/, /^\d+ callbacks in \d+ waits$/],
  },
  'run-command.ts': {
    args: ['dist/examples/run-command.js'],
    prints: [/^line 1\r?$/, /^line 2\r?$/, /^line 3\r?$/, /^3 lines$/, /^ended with status 7$/],
  },
  'timers.ts': {
    args: ['dist/examples/timers.js'],
    prints: [
      /^ +\d+ ms {2}attempt 1 fails, again in 10 ms$/,
      /^ +\d+ ms {2}attempt 2 fails, again in 20 ms$/,
      /^ +\d+ ms {2}attempt 3 fails, again in 40 ms$/,
      /^ +\d+ ms {2}attempt 4 fails, again in 80 ms$/,
      /^ +\d+ ms {2}attempt 5 succeeds$/,
      /^ +\d+ ms {2}done after 5 attempts, \d+ ticks of progress$/,
      /^the deadline would have been in \d s$/,
    ],
  },
  'polling.ts': {
    args: ['dist/examples/polling.js'],
    prints: [/^3000 events, none lost$/, /^\d+ found by polling, \d+ after a kick$/],
  },
  'stepper.test.ts': {
    args: ['node_modules/mocha/bin/mocha.js', '--no-config', 'dist/examples/stepper.test.js'],
    prints: [
      /AutoSave/,
      /saves once when it has been quiet for 300 ms/,
      /saves after a second of changes without a pause/,
      /2 passing/,
    ],
  },
  'script.cjs': {
    args: ['examples/script.cjs'],
    options: { display: true },
    prints: [
      /^3 …$/,
      /^2 …$/,
      /^1 …$/,
      /^closing the window after [4-9] ticks of a timer$/,
      /^the loop has ended$/,
    ],
  },
};

describe('examples', function () {
  this.timeout(30_000);

  for (const [name, { args, options, prints }] of Object.entries(examples)) {
    it(name, async () => {
      const { end, stdout, stderr, left } = await runExample(args, options);

      const lines = stdout.split('\n').filter((line) => line.trim() !== '');
      assert.equal(end, 0, stderr);
      assert.equal(lines.length, prints.length, stdout);
      prints.forEach((pattern, index) => {
        assert.match(lines[index] ?? '', pattern);
      });
      assert.deepEqual(left, []);
    });
  }

  it('are all run', () => {
    const files = readdirSync(path.join(packageRoot, 'examples')).filter((file) => /\.(ts|cjs)$/.test(file));

    assert.deepEqual(
      files.sort(),
      [...Object.keys(examples), 'watch.ts'].sort(),
      'watch.ts has its own tests',
    );
  });
});
