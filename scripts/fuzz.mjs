// Random programs against the model of test/model/, until Ctrl-C or a failure; docs/testing.md tells how to read one.
// They run in processes of their own, so that a crash and a hang are found, and shrunk, like any other failure.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { clearInterval, clearTimeout, setInterval, setTimeout } from 'node:timers';
import { parseArgs } from 'node:util';

import fc from 'fast-check';

import { programs, show } from '../dist/test/model/program.js';
import { buildSanitized, readReports, stagePackage } from './sanitized-package.mjs';

process.chdir(path.join(import.meta.dirname, '..'));

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' }, // otherwise without an end
    seed: { type: 'string' }, // otherwise a new one for each process
    path: { type: 'string' }, // with a seed and a cell: that one program, step by step
    only: { type: 'string' }, // DRIVER,MONITOR
    jobs: { type: 'string', default: '1' },
    asan: { type: 'boolean', default: false },
  },
});

const cells = ['poll', 'epoll', 'io_uring']
  .flatMap((monitor) => ['poll', 'glib', 'mixed'].map((driver) => `${driver},${monitor}`))
  .filter((cell) => values.only === undefined || cell === values.only);
if (cells.length === 0) throw new RangeError('--only takes DRIVER,MONITOR, as in glib,epoll');

/** Programs in one process. */
const count = values.seed === undefined ? 500 : 50;
/** For this long a process says nothing only if it hangs; with one program to run, which has been seen to. */
const silenceMs = values.asan ? 60_000 : 20_000;
const silenceOfOneMs = silenceMs / 4;

const staged = values.asan ? stage() : { folder: '.', env: {} };
const children = new Set();
/** Those that try what is being made smaller. Ended before their time they would count as failures. */
const candidates = new Set();
const start = performance.now();
let [sequences, cpuMs, stopping, failed] = [0, 0, false, false];

function stage() {
  const build = buildSanitized('address');
  if (!build) throw new Error('it cannot be built with AddressSanitizer');
  return stagePackage(build, `-fuzz-${process.pid}`);
}

function randomSeed() {
  return Math.floor(Math.random() * 2 ** 32) | 0;
}

// Gives how it ended, or '' if it ended well; and what it has said to stderr.
function runChild(
  cell,
  args,
  { input = '', output = 'ignore', silence = silenceMs, isCandidate = false, onMessage } = {},
) {
  const child = spawn(
    process.execPath,
    ['--expose-gc', '--enable-source-maps', 'dist/test/model/fuzz.js', ...cell.split(','), ...args],
    {
      cwd: staged.folder,
      env: { ...process.env, G_DEBUG: 'fatal-criticals', MALLOC_PERTURB_: '165', ...staged.env },
      stdio: ['pipe', output, 'pipe', 'pipe'],
      detached: isCandidate, // out of Ctrl-C's reach
    },
  );
  const siblings = isCandidate ? candidates : children;
  siblings.add(child);
  let [errors, rest, hangs] = ['', '', false];
  const hang = () => {
    hangs = true;
    child.kill('SIGKILL');
  };
  let watchdog = setTimeout(hang, silence);
  child.stderr.setEncoding('utf8').on('data', (text) => (errors = (errors + text).slice(-10_000)));
  child.stdio[3].setEncoding('utf8').on('data', (text) => {
    clearTimeout(watchdog);
    watchdog = setTimeout(hang, silence);
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) onMessage?.(JSON.parse(line));
  });
  child.stdin.on('error', () => undefined).end(input);
  return new Promise((resolve) => {
    child.once('close', (code, signal) => {
      clearTimeout(watchdog);
      siblings.delete(child);
      const how = hangs ? 'it hangs' : (signal ?? (code === 0 ? '' : `exit status ${code}`));
      resolve({ how, errors });
    });
  });
}

function report(cell, seed, where, program, error) {
  failed = stopping = true;
  for (const child of children) child.kill();
  const replay = `npm run fuzz -- --only ${cell} --seed=${seed} --path ${where}${values.asan ? ' --asan' : ''}`;
  console.log(`\nFAILED [${cell}]\n${replay}\n\n${program}\n\n${error}`);
}

// The program that ended a process: each candidate runs in another process.
async function shrink(cell, seed, run) {
  const property = fc.asyncProperty(programs, async (program) => {
    const { how, errors } = await runChild(cell, ['program'], {
      input: JSON.stringify(program),
      silence: silenceOfOneMs,
      isCandidate: true,
    });
    if (how !== '') throw new Error(`${how}\n${errors}`);
  });
  return fc.check(property, { seed, path: String(run), numRuns: 1 });
}

async function fuzz(cell) {
  const seed = values.seed === undefined ? randomSeed() : Number(values.seed);
  let last = { seed, run: 0 };
  let failure;
  const { how, errors } = await runChild(cell, [String(seed), String(count)], {
    onMessage: (message) => {
      if ('run' in message) last = message;
      else if ('done' in message) {
        sequences += message.done;
        cpuMs += message.cpuMs;
      } else failure = message;
    },
  });
  if (stopping) return;
  if (failure) report(cell, failure.seed, failure.path, failure.program, failure.error);
  else if (how !== '') {
    console.log(`\n${how} [${cell}], seed ${last.seed}, program ${last.run}: being made smaller …`);
    const {
      failed: again,
      counterexample,
      counterexamplePath,
      errorInstance,
    } = await shrink(cell, last.seed, last.run);
    if (again) report(cell, last.seed, counterexamplePath, show(counterexample[0]), errorInstance.message);
    else report(cell, last.seed, last.run, '(it does not do so alone)', `${how}\n${errors}`);
  }
}

async function work(job) {
  for (let turn = job; !stopping; turn++) {
    await fuzz(cells[turn % cells.length]);
    if (values.seed !== undefined && turn - job === cells.length - 1) return;
  }
}

// What was found is still made smaller; a second signal ends that, too.
function stop() {
  if (stopping) {
    for (const child of candidates) child.kill('SIGKILL');
    process.exit(1);
  }
  stopping = true;
  for (const child of children) child.kill();
}

function summary() {
  const seconds = Math.round((performance.now() - start) / 1000);
  console.log(
    `${sequences} sequences in ${seconds} s, ${(cpuMs / 3_600_000).toFixed(3)} hours of a processor (${Math.round(cpuMs / 1000)} s)`,
  );
}

if (values.path !== undefined) {
  if (cells.length !== 1 || values.seed === undefined) throw new Error('--path needs --only and --seed');
  const { how, errors } = await runChild(cells[0], [values.seed, 'path', values.path], { output: 'inherit' });
  console.log(how === '' ? 'It ends well.' : `${errors}\n${how}`);
  failed = how !== '';
} else {
  process.on('SIGINT', stop).on('SIGTERM', stop);
  const timer =
    values.minutes === undefined
      ? undefined
      : setTimeout(() => stopping || stop(), Number(values.minutes) * 60_000);
  const progress = setInterval(summary, 60_000);
  await Promise.all(Array.from({ length: Number(values.jobs) }, (_, job) => work(job)));
  clearTimeout(timer);
  clearInterval(progress);
  summary();
}

if (staged.logs) {
  const reports = readReports(staged.logs);
  for (const each of reports) console.log(each);
  failed ||= reports.length > 0;
  for (const each of [staged.folder, staged.logs]) rmSync(each, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;
