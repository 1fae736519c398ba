// What the tests share: drivers, file descriptors, child processes, and the check that nothing is left over.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFile, readlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import path from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import { promisify } from 'node:util';

import { AioContext, AioError, MainContext, Priority } from 'aio-gsource';
import { closeFd, openPty, pipe, socketPair, tryRead, tryWrite } from 'aio-gsource/fds';

export const packageRoot: string = path.join(import.meta.dirname, '../..');

// --- Drivers

export type DriverName = 'poll' | 'glib' | 'mixed';
export type MonitorName = 'poll' | 'epoll' | 'io_uring';
const drivers: readonly DriverName[] = ['poll', 'glib', 'mixed'];
const monitors: readonly MonitorName[] = ['poll', 'epoll', 'io_uring'];

/** Why this machine does not have io_uring, or null. */
export const ioUringMissing: string | null = (() => {
  try {
    new AioContext({ monitor: 'io_uring' }).close();
    return null;
  } catch (error) {
    if (error instanceof AioError && error.code === 'ERR_AIO_UNAVAILABLE') return error.message;
    throw error;
  }
})();

/** A context, one way of driving it, and the file descriptors of a test. */
export class Loop implements Disposable {
  readonly ctx: AioContext;
  /** What the context is attached to; it stays unused by the driver `poll`. */
  readonly main: MainContext | null;
  readonly driver: DriverName;
  readonly #fds = new Set<number>();
  readonly #outer: AioContext | null;
  #passes = 0;

  constructor(driver: DriverName, monitor: MonitorName = 'poll') {
    this.driver = driver;
    this.ctx = new AioContext({ name: `test-${driver}`, monitor });
    this.main = driver === 'poll' ? null : new MainContext();
    if (this.main) this.ctx.attach(this.main);
    this.#outer = driver === 'mixed' ? new AioContext({ name: 'outer' }) : null;
    if (this.main) this.#outer?.attach(this.main, { priority: Priority.high });
  }

  /** One pass that does not wait. */
  step(): boolean {
    return this.#pass(false);
  }

  /** So many passes that do not wait. */
  steps(count: number): void {
    for (let i = 0; i < count; i++) this.step();
  }

  /** One pass that waits. */
  wait(): boolean {
    return this.#pass(true);
  }

  /** Passes that wait, until the condition holds. */
  until(condition: () => boolean): void {
    for (let passes = 0; !condition(); passes++) {
      assert.ok(passes < 10_000, 'the loop turns without getting there');
      this.wait();
    }
  }

  // The driver `mixed` takes turns: poll, iteration, a poll nested in an iteration, an iteration nested in a poll.
  #pass(blocking: boolean): boolean {
    const { ctx, main } = this;
    if (!main) return ctx.poll(blocking);
    if (this.driver === 'glib') return main.iteration(blocking);
    switch (this.#passes++ % 4) {
      case 0:
        return ctx.poll(blocking);
      case 1:
        return main.iteration(blocking);
      case 2:
        return this.#nested(
          () => ctx.poll(blocking),
          () => main.iteration(false),
        );
      default:
        return this.#nested(
          () => main.iteration(blocking),
          () => this.#outer?.poll(false),
        );
    }
  }

  #nested(inner: () => boolean, outer: () => unknown): boolean {
    let outcome: { result: boolean } | { error: unknown } | undefined;
    this.#outer?.scheduleOneshot(() => {
      try {
        outcome = { result: inner() };
      } catch (error) {
        outcome = { error };
      }
    });
    for (let turns = 0; !outcome && turns < 10; turns++) outer();
    assert.ok(outcome, 'the outer loop does not run its callback');
    if ('error' in outcome) throw outcome.error;
    return outcome.result;
  }

  /** Both ends are closed when the test ends. */
  pipe(): { read: number; write: number } {
    const ends = pipe();
    this.#fds.add(ends.read).add(ends.write);
    return ends;
  }

  socketPair(): [number, number] {
    const pair = socketPair();
    for (const fd of pair) this.#fds.add(fd);
    return pair;
  }

  openPty(): { master: number; slave: number; path: string } {
    const pty = openPty({ columns: 80, rows: 25 });
    this.#fds.add(pty.master).add(pty.slave);
    return pty;
  }

  closeFd(fd: number): void {
    assert.ok(this.#fds.delete(fd), 'not a file descriptor of this test');
    closeFd(fd);
  }

  [Symbol.dispose](): void {
    this.ctx.close();
    this.#outer?.close();
    this.main?.close();
    for (const fd of this.#fds) closeFd(fd);
    this.#fds.clear();
  }
}

type LoopBody = (loop: Loop) => void | Promise<void>;

function caseOf(driver: DriverName, monitor: MonitorName, body: LoopBody): Mocha.AsyncFunc | Mocha.Func {
  return function (this: Mocha.Context) {
    if (monitor === 'io_uring' && ioUringMissing !== null) this.skip();
    const loop = new Loop(driver, monitor);
    let ended: void | Promise<void>;
    try {
      ended = body(loop);
    } catch (error) {
      loop[Symbol.dispose]();
      throw error;
    }
    if (ended) return ended.finally(loop[Symbol.dispose].bind(loop));
    loop[Symbol.dispose]();
    return undefined;
  };
}

/** Where a descriptor that is closed while it is watched is told of: epoll forgets it, io_uring keeps its file open. */
export const whereClosingTells: Cells = { monitors: ['poll'] };

interface Cells {
  drivers?: readonly DriverName[];
  monitors?: readonly MonitorName[];
}

/** One case under every driver and every monitor, or under those that are named. */
export function matrix(title: string, body: LoopBody, only: Cells = {}): void {
  for (const monitor of only.monitors ?? monitors)
    for (const driver of only.drivers ?? drivers)
      it(`${title} [${driver}, ${monitor}]`, caseOf(driver, monitor, body));
}

/** One case that needs a context but no particular driver. */
export function withLoop(title: string, body: LoopBody): void {
  it(title, caseOf('poll', 'poll', body));
}

/** One case with a context that is attached to a main context of its own, under every monitor. */
export function underGlib(title: string, body: (ctx: AioContext, main: MainContext) => void): void {
  matrix(
    title,
    ({ ctx, main }) => {
      if (main) body(ctx, main);
    },
    { drivers: ['glib'] },
  );
}

// --- File descriptors

/** What can be read now, as text; '' at the end or when there is nothing. */
export function drain(fd: number): string {
  const buffer = Buffer.alloc(65536);
  let text = '';
  for (let count = tryRead(fd, buffer); count; count = tryRead(fd, buffer))
    text += buffer.toString('latin1', 0, count);
  return text;
}

export function write(fd: number, text: string): void {
  assert.equal(tryWrite(fd, Buffer.from(text)), text.length);
}

/** Writes until the descriptor takes no more; how many bytes it took. */
export function fill(fd: number): number {
  const block = Buffer.alloc(65536);
  let total = 0;
  for (let count = tryWrite(fd, block); count !== null; count = tryWrite(fd, block)) total += count;
  return total;
}

// --- Errors

interface Coded {
  name: string;
  code: string;
}

/** For assert.throws() and assert.rejects(): an error of this library with that code. */
export function aioError(code: string, more: object = {}): Coded {
  return { name: 'AioError', code, ...more };
}

export const closedError: Coded = aioError('ERR_AIO_CLOSED');

// --- Time

/** A sorted copy. */
export function sorted<T>(values: Iterable<T>): T[] {
  return [...values].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/** How long the function took, in milliseconds. */
export function duration(body: () => unknown): number {
  const start = performance.now();
  body();
  return performance.now() - start;
}

// --- Garbage

/** Collects garbage, and lets finalizers run, until the condition holds. */
export async function collectUntil(condition: () => boolean, turns = 50): Promise<void> {
  assert.ok(globalThis.gc, 'run with --expose-gc');
  for (let turn = 0; turn < turns; turn++) {
    // What a job has looked at through a WeakRef stays until its end.
    await immediate();
    globalThis.gc();
    await immediate();
    if (condition()) return;
  }
  assert.fail('still there after garbage collections');
}

// --- Slow machines

/** By how much a time limit is longer: AIO_TEST_SLOWDOWN, which is set where the addon has been instrumented. */
export const slowdown: number = Math.max(1, Number(process.env.AIO_TEST_SLOWDOWN ?? 1));

// Each test's own, whoever set it. It is not running yet.
beforeEach(function () {
  const test = this.currentTest;
  if (slowdown > 1 && test) test.timeout(test.timeout() * slowdown);
});

// --- Child processes

export interface ScriptResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export type ScriptKind = 'esm' | 'cjs';

const prelude: Record<ScriptKind, string> = {
  esm:
    `import { createRequire } from 'node:module';import * as aio from 'aio-gsource';` +
    `import * as fds from 'aio-gsource/fds';const require = createRequire(process.cwd() + '/package.json');`,
  cjs: `const aio = require('aio-gsource');const fds = require('aio-gsource/fds');`,
};

export interface ScriptOptions {
  args?: readonly string[];
  /** More options of Node's. */
  nodeOptions?: readonly string[];
  /** In CommonJS: what runs before the package is loaded. */
  first?: string;
  /** Milliseconds, after which it is killed. */
  timeout?: number;
  /** Whether Node's warnings are shown. */
  warnings?: boolean;
  /** Whether it opens windows: on the present display, or on one of its own. */
  display?: boolean;
  /** How many file descriptors it may have. */
  ulimit?: number;
  /** More of AddressSanitizer's options, see scripts/sanitized-package.mjs. */
  asan?: string;
}

/** Runs a script, in which `aio`, `fds` and `require` are there, in a process of its own. */
export async function runScript(
  kind: ScriptKind,
  source: string,
  {
    args = [],
    nodeOptions = [],
    first = '',
    timeout = 9000,
    warnings = false,
    display = false,
    ulimit,
    asan = '',
  }: ScriptOptions = {},
): Promise<ScriptResult> {
  const limit = ulimit === undefined ? '' : `ulimit -n ${String(ulimit)}; `;
  const child = spawn(
    '/bin/sh',
    [
      '-c',
      `${limit}exec ${display ? 'scripts/with-display ' : ''}"$0" "$@"`,
      process.execPath,
      '--expose-gc',
      ...nodeOptions,
      ...(warnings ? ['--disable-warning=ExperimentalWarning'] : ['--no-warnings']),
      `--input-type=${kind === 'esm' ? 'module' : 'commonjs'}`,
      '-e',
      first + prelude[kind] + source,
      '--',
      ...args,
    ],
    {
      cwd: packageRoot,
      env: {
        ...process.env,
        GSK_RENDERER: 'cairo',
        // Node 20 reads freed memory where the Worker's last pass of its loop collects garbage, which a measured one
        // often does: DrainFinalizerQueue() after the last Unref().
        NODE_V8_COVERAGE: /\bWorker\b/.test(source) ? '' : process.env.NODE_V8_COVERAGE,
        MALLOC_PERTURB_: '165', // what has been freed is overwritten, so that a use of it shows
        ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:${asan}`,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeout * slowdown,
      killSignal: 'SIGKILL',
    },
  );
  const result: ScriptResult = { code: null, signal: null, stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    result.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    result.stderr += text;
  });
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject).once('close', (code, signal) => {
      result.code = code;
      result.signal = signal;
      resolve();
    });
  });
  return result;
}

/** Runs a script that has to end by itself and well; gives the lines it printed. */
export async function scriptLines(
  kind: ScriptKind,
  source: string,
  options?: ScriptOptions,
): Promise<string[]> {
  const { code, signal, stdout, stderr } = await runScript(kind, source, options);
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, `it printed:\n${stdout}\n${stderr}`);
  return stdout.trimEnd().split('\n');
}

// --- Signals

const signals = createRequire(import.meta.url)(path.join(packageRoot, 'build/test_signal.node')) as {
  send(signum: number): void;
};

/** Sends it to this process; it has been handled when this returns. For process.kill(), see native/tests/signal.cc. */
export function sendSignal(signal: NodeJS.Signals): void {
  signals.send(constants.signals[signal]);
}

// --- Nothing left over

interface Left {
  fds: string[];
  threads: number;
}

function leftovers(): Left {
  const fds = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return `${fd} ${readlinkSync(`/proc/self/fd/${fd}`).replace(/:\[\d+\]$/, '')}`;
    } catch {
      return ''; // the one that was open to read the directory
    }
  });
  return { fds: fds.filter(Boolean).sort(), threads: readdirSync('/proc/self/task').length };
}

function hasMore(now: Left, before: Left): boolean {
  return now.fds.length > before.fds.length || now.threads > before.threads;
}

let atStart: Left;
const leaks: string[] = [];

before(async () => {
  MainContext.default().iteration(false);
  // libuv starts its threads, and opens its descriptors, at the first use.
  await Promise.all(Array.from({ length: 8 }, () => promisify(readFile)('/dev/null')));
  await new Promise((resolve) => spawn('true', { stdio: 'pipe' }).once('close', resolve));
});

// Not a promise: the tests are to run in a macrotask, as a script does.
beforeEach(() => {
  atStart = leftovers();
});

afterEach(async function () {
  for (let turn = 0; hasMore(leftovers(), atStart) && turn < 100; turn++) {
    if (turn > 2) globalThis.gc?.();
    await immediate();
  }
  const now = leftovers();
  if (!hasMore(now, atStart)) return;
  const fds = now.fds.filter((fd) => !atStart.fds.includes(fd));
  leaks.push(`${this.currentTest?.fullTitle() ?? ''}: ${fds.join(', ')}, threads ${String(now.threads)}`);
});

after(() => {
  assert.deepEqual(leaks, [], 'every test gives back its file descriptors and threads');
});
