// Runs the test suites and counts them: node scripts/test.mjs [SUITE...]
// A suite counts as failed if its runner failed, whatever it printed.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';

import { checkRelease } from './check-release.mjs';
import { forgetC, measureC, measureTs, printCoverage, threshold } from './coverage.mjs';
import { buildFuzzer, fuzz, replayCorpus, report } from './fuzz-c.mjs';
import { buildSanitized, readReports, stagePackage } from './sanitized-package.mjs';

process.chdir(path.join(import.meta.dirname, '..'));

const suites = {
  c: ['C tests', () => mesonTests('build')],
  asan: ['C tests under ASan', () => sanitizedTests('address')],
  ubsan: ['C tests under UBSan', () => sanitizedTests('undefined')],
  tsan: ['C tests under TSan', () => sanitizedTests('thread')],
  valgrind: ['C tests under valgrind', valgrindTests],
  release: ['what is in the release builds', () => settle(checkRelease('build'), 0)],
  spin: ['Spin models', spinModels],
  fuzz: ['fuzzing of the C library', fuzzC],
  hazards: ['which tests each hazard has', hazardTable],
  'asan-ts': ['mocha under ASan', sanitizedMochaTests],
  ts: ['mocha', measuredMochaTests],
  coverage: ['coverage', coverage],
};
// Valgrind takes much longer than the others, and sees what they see.
const usual = Object.keys(suites).filter((name) => name !== 'valgrind');

// Each case of each executable counts; so does an executable that ends badly outside its cases.
function mesonTests(folder, setup, env = {}) {
  const log = `${folder}/meson-logs/testlog${setup ? `-${setup}` : ''}.json`;
  rmSync(log, { force: true });
  const how = setup ? ['--setup', setup] : [];
  const status = run('meson', ['test', '-C', folder, '--print-errorlogs', ...how], env);
  const count = none();
  if (existsSync(log)) {
    for (const line of readFileSync(log, 'utf8').split('\n').filter(Boolean)) {
      const { result, stdout = '' } = JSON.parse(line);
      const cases = none();
      for (const [, not, skip] of stdout.matchAll(/^(not )?ok \d+[^#\n]*(# skip)?/gim)) {
        cases[not ? 'failed' : skip ? 'skipped' : 'passed'] += 1;
      }
      if (result !== 'OK' && result !== 'SKIP' && cases.failed === 0) cases.failed = 1;
      for (const key of Object.keys(count)) count[key] += cases[key];
    }
  }
  return settle(count, status);
}

// Each run of a model counts; the runner prints a line for it when it ends.
async function spinModels() {
  const child = spawn(process.execPath, ['spec/run.mjs'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    process.stdout.write(text);
    output += text;
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
  const figure = (pattern) => output.match(pattern)?.length ?? 0;
  return settle({ passed: figure(/^ok /gm), failed: figure(/^not ok /gm), skipped: 0 }, status);
}

// One case: that the page and the tests agree.
function hazardTable() {
  const status = run(process.execPath, ['scripts/hazards.mjs']);
  return settle({ ...none(), passed: status === 0 ? 1 : 0 }, status);
}

// Two cases: the programs of the corpus, and a minute of new ones, each time from the same seed, so that what is found
// comes with the change. So few of those mean that hardly anything was tried.
async function fuzzC() {
  const leastRuns = 5000;
  if (!buildFuzzer()) return settle(none(), 1);
  const count = none();
  const check = (ok, what) => {
    console.log(`${ok ? 'ok' : 'not ok'} - ${what}`);
    count[ok ? 'passed' : 'failed'] += 1;
  };
  const replayed = replayCorpus();
  check(replayed > 0, `${replayed} programs of the corpus`);
  const { runs, failed, found } = await fuzz({
    seconds: 60,
    jobs: Math.min(2, availableParallelism()),
    seed: 1,
  });
  for (const file of found) report(file);
  check(!failed && found.length === 0 && runs >= leastRuns, `${runs} random programs in 60 s`);
  return settle(count, 0);
}

function sanitizedTests(sanitizer) {
  const folder = buildSanitized(sanitizer);
  return folder ? mesonTests(folder) : settle(none(), 1);
}

function valgrindTests() {
  if (spawnSync('valgrind', ['--version']).status !== 0) {
    console.error(
      'There is no valgrind here. Install the package "valgrind", and libc\'s debug symbols if it asks.',
    );
    return settle(none(), 1);
  }
  return mesonTests('build', 'valgrind');
}

async function sanitizedMochaTests() {
  const build = buildSanitized('address');
  if (!build) return settle(none(), 1);
  const { folder, logs, env } = stagePackage(build);
  const count = await mochaTests(folder, env);
  // The processes of a test, too, write what they find into files of their own.
  const reports = readReports(logs);
  for (const report of reports) console.error(report);
  count.failed += reports.length;
  return count;
}

// What Node writes into it when it ends, as do the tests' own processes and Workers, costs no time that shows.
const mochaCoverage = path.resolve('build-coverage-ts/v8');
let measured = null;

async function measuredMochaTests() {
  rmSync(mochaCoverage, { recursive: true, force: true });
  measured = await mochaTests('.', { NODE_V8_COVERAGE: mochaCoverage });
  return measured;
}

// Two cases: the lines of gsource/ and of ts/. What passes in between has been counted elsewhere; what fails counts.
// Where there is no io_uring, the files about it are left out.
async function coverage() {
  const folder = 'build-coverage';
  const args = ['setup', folder, '-Db_coverage=true', '-Dbuildtype=debug', '-Daddon=disabled'];
  if (!existsSync(`${folder}/build.ninja`) && run('meson', [...args, '-Dintrospection=disabled']) !== 0)
    return settle(none(), 1);
  forgetC(folder);
  const tests = mesonTests(folder, null, { AIO_STRESS: '1000', AIO_TEST_SLOWDOWN: '3' });
  const count = { ...none(), failed: tests.failed };
  if (!measured) count.failed += (await measuredMochaTests()).failed;
  const withRing = await hasIoUring();
  const judge = (title, files) => {
    const reached = printCoverage(
      title,
      files.filter(({ file }) => withRing || !file.includes('uring')),
    );
    const enough = reached >= threshold;
    count[enough ? 'passed' : 'failed'] += 1;
    if (!enough) console.error(`${title}: ${threshold} % of the lines are wanted`);
  };
  judge('gsource/, by the C tests', measureC(folder));
  judge('ts/, by mocha', measureTs(mochaCoverage));
  return count;
}

async function hasIoUring() {
  const { AioContext } = await import('aio-gsource');
  try {
    new AioContext({ monitor: 'io_uring' }).close();
    return true;
  } catch (error) {
    if (error.code === 'ERR_AIO_UNAVAILABLE') return false;
    throw error;
  }
}

async function mochaTests(folder, more = {}) {
  const env = { ...process.env };
  delete env.DISPLAY;
  delete env.WAYLAND_DISPLAY;
  // What the library finds wrong with itself, such as a lock that is not free at the end (C7), ends the process.
  env.G_DEBUG = 'fatal-criticals';
  const settings = Object.entries(more).map(([name, value]) => `${name}=${value}`);
  const child = spawn(
    'scripts/with-display',
    ['timeout', '-k', '10', '900', 'env', ...settings, 'node_modules/.bin/mocha'],
    { env, cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    process.stdout.write(text);
    output += text;
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
  const figure = (word) => Number(output.match(new RegExp(`^ +(\\d+) ${word}\\b`, 'm'))?.[1] ?? 0);
  return settle({ passed: figure('passing'), failed: figure('failing'), skipped: figure('pending') }, status);
}

function run(command, args, env = {}) {
  return spawnSync(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  }).status;
}

function none() {
  return { passed: 0, failed: 0, skipped: 0 };
}

// A runner that failed without a failed case, or that ran no case at all, is one failure.
function settle(count, status) {
  if (count.failed === 0 && (status !== 0 || count.passed === 0)) count.failed = 1;
  return count;
}

function describe({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

const names = process.argv.slice(2);
const total = none();
const lines = [];
for (const name of names.length > 0 ? names : usual) {
  const [title, runSuite] = suites[name];
  console.log(`\n=== ${title}`);
  const start = performance.now();
  const count = await runSuite();
  lines.push(`${title}: ${describe(count)} (${Math.round((performance.now() - start) / 1000)} s)`);
  for (const key of Object.keys(total)) total[key] += count[key];
}
console.log(`\n${lines.join('\n')}\n${describe(total)}`);
process.exitCode = total.failed > 0 ? 1 : 0;
