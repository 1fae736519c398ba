// The demonstration, run as a user would run it.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inflateSync } from 'node:zlib';

import { slowdown } from './helpers.js';
import { runExample, type ExampleOptions, type ExampleResult } from './run-example.js';

interface Figures {
  callbacks: number;
  emptyIterations: number;
  eventfdWrites: number;
  frames: number;
  framesPerSecond: number;
  lines: number;
}

async function watch(args: readonly string[], options?: ExampleOptions): Promise<ExampleResult> {
  const result = await runExample(['dist/examples/watch.js', ...args], { display: true, ...options });
  assert.deepEqual(result.left, [], 'no process is left behind');
  return result;
}

/** With actions of the user, see watch-driver.ts. */
async function drive(
  actions: readonly string[],
  args: readonly string[],
  options?: ExampleOptions,
): Promise<ExampleResult> {
  const all = ['dist/test/watch-driver.js', ...actions, '--', ...args] as const;
  const result = await runExample(all, { display: true, ...options });
  assert.deepEqual(result.left, [], 'no process is left behind');
  return result;
}

function figuresOf({ stdout, stderr }: ExampleResult): Figures {
  const line = stdout.split('\n').find((text) => text.startsWith('{'));
  assert.ok(line, stderr);
  return JSON.parse(line) as Figures;
}

describe('the demonstration', function () {
  this.timeout(30_000);

  describe('the screenshot', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'aio-watch-'));
    after(() => {
      rmSync(folder, { recursive: true });
    });

    it('shows a window with something in it', async () => {
      const file = path.join(folder, 'vmstat.png');

      const { end, stderr } = await watch(['--seconds', String(2 * slowdown), '--screenshot', file]);

      assert.equal(end, 0, stderr);
      const { width, height, rows } = readPng(file);
      assert.ok(width >= 800 && height >= 500, `${String(width)} x ${String(height)}`);
      assert.ok(rows > height / 3, `${String(rows)} different rows of pixels`);
    });

    it('is taken of what a command printed that has ended at once', async () => {
      const file = path.join(folder, 'ended.png');

      const { end, stderr } = await watch(['--screenshot', file, '--', 'seq', '20']);

      assert.equal(end, 0, stderr);
      assert.ok(readPng(file).rows > 100);
    });
  });

  describe('ends', () => {
    it('when the window is closed', async () => {
      const { end, stderr } = await drive(['close'], ['--', 'sleep', '1000']);

      assert.equal(end, 0, stderr);
    });

    it('when the window is closed during a wait', async () => {
      const { end, stderr } = await drive(['Wait in iteration()', 'close'], ['--', 'sleep', '1000']);

      assert.equal(end, 0, stderr);
    });

    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      it(`at ${signal}`, async () => {
        const args = ['--', 'sleep', '1000'];
        const { end, stdout, stderr } = await drive(['say watch-state'], args, { signal });

        assert.match(stdout, /^running, process \d+$/m);
        assert.equal(end, 0, stderr);
      });

      it(`at ${signal} when the command has ended before`, async () => {
        const { end, stderr } = await drive(['say watch-state'], ['--keep', '--', 'true'], { signal });

        assert.equal(end, 0, stderr);
      });
    }

    it('with its last output and its exit code when the command ends', async () => {
      const script = 'echo 1 2; echo 3 4; printf tail; exit 3';

      const result = await watch(['--figures', '--', 'sh', '-c', script]);

      assert.equal(result.end, 3, result.stderr);
      assert.match(result.stdout, /^sh ended with code 3$/m);
      assert.equal(figuresOf(result).lines, 3);
    });

    it('when the command was killed', async () => {
      const { end, stdout } = await watch(['--', 'sh', '-c', 'kill -9 $$']);

      assert.equal(end, 128 + 9);
      assert.match(stdout, /^sh ended by SIGKILL$/m);
    });

    it('when the command has ended and left a process behind', async () => {
      const { end } = await watch(['--', 'sh', '-c', 'sleep 1000 & echo done']);

      assert.equal(end, 0);
    });

    it('when the command closes its output and ignores SIGTERM', async () => {
      const script = 'trap "" TERM; exec >&- 2>&-; sleep 1000';

      const { end } = await watch(['--seconds', '1', '--', 'sh', '-c', script]);

      assert.equal(end, 0);
    });

    it('when the command is stopped', async () => {
      const { end, stdout } = await drive(['Stop'], ['--', 'sleep', '1000']);

      assert.equal(end, 0);
      assert.match(stdout, /^sleep ended by SIGTERM$/m);
    });

    it('when a stubborn command is killed', async () => {
      const script = 'trap "" TERM; while :; do sleep 1; done';

      const { end, stdout } = await drive(['Stop', 'Kill'], ['--', 'sh', '-c', script]);

      assert.equal(end, 0);
      assert.match(stdout, /^sh ended by SIGKILL$/m);
    });
  });

  describe('waits', () => {
    const message = ['-', '-', '-', 'say watch-message', 'close'];

    it('in poll(): callbacks run, nothing is drawn', async () => {
      const { stdout, stderr } = await drive(['Wait in poll()', ...message], ['--', 'yes']);

      const figures = /^poll\(\) waited [\d.]+ s: (\d+) callbacks ran, 0 frames were drawn$/m.exec(stdout);
      assert.ok(Number(figures?.[1]) > 20, stdout + stderr);
    });

    it('in iteration(): callbacks run, and the window is drawn', async () => {
      const { stdout, stderr } = await drive(['Wait in iteration()', ...message], ['--', 'yes']);

      const figures = /^iteration\(\) waited [\d.]+ s: (\d+) callbacks ran, (\d+) frames were drawn$/m;
      const [, callbacks, frames] = figures.exec(stdout) ?? [];
      assert.ok(Number(callbacks) > 20 && Number(frames) >= 20, stdout + stderr);
    });
  });

  describe('costs', () => {
    it('nothing where the command is quiet', async () => {
      const { callbacks, emptyIterations, eventfdWrites, frames } = figuresOf(
        await watch(['--seconds', '3', '--figures', '--', 'sleep', '1000']),
      );

      assert.deepEqual(
        { callbacks, emptyIterations, eventfdWrites },
        { callbacks: 1, emptyIterations: 0, eventfdWrites: 0 },
        'the one callback is the end of the three seconds',
      );
      assert.ok(frames <= 5, `drawn ${String(frames)} times`);
    });

    it('no more than a frame for each line of a slow command', async () => {
      const script = 'for i in 1 2 3 4 5; do echo $i; sleep 0.3; done';

      const { frames, lines, emptyIterations } = figuresOf(
        await watch(['--figures', '--', 'sh', '-c', script]),
      );

      assert.equal(lines, 5);
      assert.equal(emptyIterations, 0);
      assert.ok(frames <= 12, `drawn ${String(frames)} times`);
    });

    it('few enough of the frames where the command never stops to print', async () => {
      const { framesPerSecond, lines } = figuresOf(await watch(['--seconds', '3', '--figures', '--', 'yes']));

      assert.ok(framesPerSecond >= 20, `${String(framesPerSecond)} frames a second`);
      assert.ok(lines > 1000);
    });
  });

  describe('says what is wrong', () => {
    it('with a command that is not there', async () => {
      const { end, stdout, stderr } = await watch(['--', 'no-such-command', '-x']);

      assert.equal(end, 127);
      assert.match(stderr, /^watch: cannot run "no-such-command": there is no such command$/m);
      assert.equal(stdout, '');
    });

    it('with a command that cannot be executed', async () => {
      const { end, stderr } = await watch(['--', '/etc/passwd']);

      assert.equal(end, 126);
      assert.match(stderr, /^watch: cannot run "\/etc\/passwd": not an executable file$/m);
    });

    it('without a display', async () => {
      const { end, stderr } = await watch([], {
        display: false,
        env: { ...process.env, DISPLAY: undefined, WAYLAND_DISPLAY: undefined },
      });

      assert.equal(end, 1);
      assert.match(stderr, /^watch: there is no display/m);
    });

    const wrong: [args: string[], message: RegExp][] = [
      [['--no-such-option'], /Unknown option '--no-such-option'/],
      [['--seconds'], /argument missing/],
      [['--seconds', 'soon'], /--seconds takes a number above 0 .*, not "soon"/],
      [['--seconds', '0'], /--seconds takes a number/],
      [['--seconds=-1'], /--seconds takes a number/],
      [['--seconds='], /--seconds takes a number/],
      [['--seconds', 'Infinity'], /--seconds takes a number/],
      [['--screenshot'], /argument missing/],
      [['--screenshot='], /--screenshot takes a file/],
      [['--screenshot', '/no/such/folder/x.png'], /cannot write to \/no\/such\/folder/],
      [['--keep=1'], /does not take an argument/],
      [['--', ''], /the command has no name/],
    ];
    for (const [args, message] of wrong) {
      it(`with the arguments ${JSON.stringify(args)}`, async () => {
        const { end, stdout, stderr } = await watch(args, { display: false });

        assert.equal(end, 2);
        assert.match(stderr, message);
        assert.match(stderr, /^Usage: watch /m);
        assert.equal(stdout, '');
      });
    }

    it('and how it is used with --help', async () => {
      const { end, stdout } = await watch(['--help'], { display: false });

      assert.equal(end, 0);
      assert.match(stdout, /^Usage: watch /);
    });
  });
});

/** The size of a picture, and how many of its rows differ from all others. */
function readPng(file: string): { width: number; height: number; rows: number } {
  const data = readFileSync(file);
  assert.equal(data.subarray(1, 4).toString('latin1'), 'PNG');
  const chunks: Buffer[] = [];
  for (let at = 8; at < data.length; at += 12 + data.readUInt32BE(at)) {
    if (data.toString('latin1', at + 4, at + 8) === 'IDAT') {
      chunks.push(data.subarray(at + 8, at + 8 + data.readUInt32BE(at)));
    }
  }
  const [width, height] = [data.readUInt32BE(16), data.readUInt32BE(20)];
  const pixels = inflateSync(Buffer.concat(chunks));
  const stride = pixels.length / height;
  const rows = Array.from({ length: height }, (_, row) =>
    pixels.toString('latin1', row * stride, (row + 1) * stride),
  );
  return { width, height, rows: new Set(rows).size };
}
