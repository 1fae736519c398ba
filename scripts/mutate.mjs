// Breaks the library in one way after the other, and asks whether a test fails: node scripts/mutate.mjs [--only NAME]
//
// Works on a copy, in build-mutate/tree. A mutation is caught if a case fails with it, does so again, and passes as
// often without it. It survives only if every case of every suite has passed. docs/testing.md has more.
import { spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { clearTimeout, setTimeout } from 'node:timers';
import { parseArgs } from 'node:util';

import { findFaults, mutations } from './mutations.mjs';

const root = path.join(import.meta.dirname, '..');
const tree = path.join(root, 'build-mutate/tree');
const documentation = path.join(root, 'docs/testing.md');

/** Fails with every mutation, for it looks at the source. */
const notCopied = ['test/mutations.test.ts'];

// The watchdog of the C tests, and mocha's time limit for a case, are shorter; this ends what those do not.
const secondsPerProgram = 300;
const secondsPerBuild = 900;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    jobs: { type: 'string', default: String(os.availableParallelism()) },
    list: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    'write-docs': { type: 'boolean', default: false },
  },
});

// --- the copy

function listFiles() {
  const { stdout } = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  return stdout
    .split('\0')
    .filter((name) => name && !notCopied.includes(name) && existsSync(path.join(root, name)));
}

/** Makes the copy like the original; what is the same stays as old as it is, for ninja and tsc. */
function copyTree() {
  const files = new Set(listFiles());
  mkdirSync(tree, { recursive: true });
  for (const name of files) {
    const from = path.join(root, name);
    const to = path.join(tree, name);
    if (existsSync(to) && readFileSync(to).equals(readFileSync(from))) continue;
    mkdirSync(path.dirname(to), { recursive: true });
    copyFileSync(from, to);
  }
  for (const folder of readdirSync(tree)) {
    if (/^(build|dist$|node_modules$)/.test(folder) || !statSync(path.join(tree, folder)).isDirectory())
      continue;
    for (const name of readdirSync(path.join(tree, folder), { recursive: true })) {
      const file = path.join(folder, name);
      if (!files.has(file) && statSync(path.join(tree, file)).isFile()) rmSync(path.join(tree, file));
    }
  }
  if (!existsSync(path.join(tree, 'node_modules')))
    symlinkSync(path.join(root, 'node_modules'), path.join(tree, 'node_modules'));
}

// --- commands

/** Fails if the command does: what is built is an error of the mutation's, and no catch. */
function build(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: tree,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    timeout: secondsPerBuild * 1000,
  });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}${error ?? ''}`);
  return stdout;
}

/** What runs now: each is the leader of a process group, so that what it has started can be ended with it. */
const running = new Set();

function kill(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    for (const child of running) kill(child);
    process.exit(1);
  });

/** Runs it to its end, or to the end of its time. */
function run(command, args, env) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: tree,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    running.add(child);
    let output = '';
    const timer = setTimeout(() => {
      output += `\n# ended after ${secondsPerProgram} s\n`;
      kill(child);
    }, secondsPerProgram * 1000);
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.on('close', (status) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ status, output });
    });
  });
}

// --- suites

/**
 * The case that failed, as the Test Anything Protocol tells, or null. A program that ended badly otherwise was in the
 * case after the last one that it has reported.
 */
function failedCase({ status, output }, listed) {
  const lines = output.split('\n');
  const not = lines.map((line) => line.match(/^not ok(?: \d+)? (?:- )?(.*?)(?: - .*)?$/)?.[1]).find(Boolean);
  if (not !== undefined) return not;
  if (status === 0) return null;
  const hanging = output.match(/^Bail out! the watchdog ended a hanging test: (.*)$/m)?.[1];
  if (hanging !== undefined) return hanging;
  const reported = lines.filter((line) => /^ok \d+/.test(line)).length;
  return listed()[reported] ?? atTheEnd;
}

const atTheEnd = '(at its end)';

/** The C tests, as they are in one build folder. */
class CSuite {
  #folder;
  #options;
  #tests;

  constructor(folder, ...options) {
    this.#folder = folder;
    this.#options = options;
  }

  #setUp() {
    const folder = path.join(tree, this.#folder);
    if (!existsSync(path.join(folder, 'build.ninja')))
      build('meson', ['setup', this.#folder, '-Dwerror=true', ...this.#options]);
  }

  build(programs) {
    this.#setUp();
    const targets = programs.map((name) => `test-${name}`);
    build('ninja', ['-C', this.#folder, '-j', options.jobs, ...targets]);
    this.#tests = JSON.parse(build('meson', ['introspect', this.#folder, '--tests']));
  }

  programs() {
    return this.#tests.map(({ name }) => name);
  }

  async failure(program, only) {
    const test = this.#tests.find(({ name }) => name === program);
    if (!test) throw new Error(`There is no C test ${program}`);
    const [command, ...args] = test.cmd;
    const settings = { ...test.env };
    if (only && only !== atTheEnd) {
      args.push('-p', only);
      // GLib leaks the cases that are left out.
      settings.ASAN_OPTIONS = settings.ASAN_OPTIONS.replace('detect_leaks=1', 'detect_leaks=0');
    }
    const result = await run(command, args, settings);
    const listed = () =>
      build(command, ['-l'])
        .split('\n')
        .filter((line) => line.startsWith('/'));
    return failedCase(result, listed);
  }
}

/** The mocha tests, a file at a time. */
class MochaSuite {
  build() {
    if (!existsSync(path.join(tree, 'build/build.ninja')))
      build('meson', ['setup', 'build', '-Dwerror=true']);
    build('ninja', ['-C', 'build', '-j', options.jobs]);
    build('node_modules/.bin/tsc', []);
  }

  programs() {
    return readdirSync(path.join(tree, 'test'))
      .map((name) => name.match(/^(.*)\.test\.ts$/)?.[1])
      .filter(Boolean);
  }

  async failure(program, only) {
    const { timeout, 'node-option': nodeOptions } = JSON.parse(
      readFileSync(path.join(tree, '.mocharc.json'), 'utf8'),
    );
    const args = ['--no-config', '--timeout', String(timeout), '--bail', '--reporter', 'tap'];
    for (const option of nodeOptions) args.push('--node-option', option);
    args.push(`dist/test/${program}.test.js`);
    const mocha = (...more) => ['scripts/with-display', ['node_modules/.bin/mocha', ...args, ...more]];
    const [command, all] = mocha(...(only && only !== atTheEnd ? ['--fgrep', only] : []));
    const display = { DISPLAY: '', WAYLAND_DISPLAY: '', G_DEBUG: 'fatal-criticals' };
    const result = await run(command, all, display);
    const listed = () =>
      build(...mocha('--dry-run'))
        .split('\n')
        .map((line) => line.match(/^ok \d+ (.*)$/)?.[1])
        .filter(Boolean);
    return failedCase(result, listed);
  }
}

const sanitized = ['-Db_lundef=false', '-Dintrospection=disabled', '-Daddon=disabled'];
const suites = {
  c: new CSuite('build'),
  asan: new CSuite('build-address', '-Db_sanitize=address', ...sanitized),
  tsan: new CSuite('build-thread', '-Db_sanitize=thread', ...sanitized),
  ts: new MochaSuite(),
};

// --- mutations

function readSource(file) {
  return readFileSync(path.join(root, file), 'utf8');
}

/** Puts the mutation's file into the copy: as it is, or with the change. What is there already stays as old as it is. */
function write({ file, from, to }, broken) {
  const text = broken ? readSource(file).replace(from, () => to) : readSource(file);
  if (readFileSync(path.join(tree, file), 'utf8') !== text) writeFileSync(path.join(tree, file), text);
}

/**
 * `failed` is what `program` failed in. Whether that was the mutation, which is taken back if so: it fails once more,
 * alone if possible, and without the mutation as often it does not.
 */
async function isItsFault(mutation, suite, program, failed) {
  const fails = async (only) => (await suite.failure(program, only)) !== null;
  let only;
  let times = 1;
  for (; times <= 3; times++) {
    only = times === 1 ? failed : undefined;
    if (await fails(only)) break;
  }
  if (times > 3) return false;

  write(mutation, false);
  suite.build([program]);
  for (let i = 0; i <= times; i++) {
    if (!(await fails(only))) continue;
    write(mutation, true);
    return false;
  }
  return true;
}

/** Which of the programs fails first, and in which case; several run at a time. Takes those off that pass. */
async function firstFailure(suite, programs) {
  const waiting = [...programs];
  let found = null;
  const work = async () => {
    while (!found && waiting.length > 0) {
      const program = waiting.shift();
      const failed = await suite.failure(program);
      if (failed === null) programs.delete(program);
      else found ??= { program, failed };
    }
  };
  await Promise.all(Array.from({ length: Number(options.jobs) }, work));
  return found;
}

/** What has caught it in one suite, or in the `wanted` programs of it, or null. */
async function lookIn(name, mutation, wanted) {
  const suite = suites[name];
  suite.build(wanted);
  const programs = new Set(wanted.length > 0 ? wanted : suite.programs());
  for (;;) {
    const found = await firstFailure(suite, programs);
    if (found === null) return null;
    const { program, failed } = found;
    if (await isItsFault(mutation, suite, program, failed)) return `${name} ${program}: ${failed}`;
    console.log(`# ${name} ${program}: ${failed} failed, but it was not the mutation`);
    programs.delete(program);
    suite.build(wanted);
  }
}

/** What has caught it, or null. */
async function findCatch(mutation) {
  write(mutation, true);
  for (const place of mutation.first) {
    const [name, program] = place.split(' ');
    const caught = await lookIn(name, mutation, [program]);
    if (caught !== null) return caught;
  }
  // The C tests do not see what is above the library.
  const names = Object.keys(suites);
  for (const name of mutation.file.startsWith('gsource/') ? names : names.reverse()) {
    const caught = await lookIn(name, mutation, []);
    if (caught !== null) return caught;
  }
  return null;
}

// --- what is printed, and what is documented

const markers = ['<!-- mutations: npm run mutate -- --write-docs -->', '<!-- end of mutations -->'];

/** The table of the documentation: what has caught each mutation, by name. */
function documented() {
  const text = readFileSync(documentation, 'utf8');
  const [begin, end] = markers.map((marker) => text.indexOf(marker));
  if (begin < 0 || end < begin) throw new Error(`${documentation} has not got both ${markers.join(' and ')}`);
  const rows = text.slice(begin, end).matchAll(/^\| `([\w-]+)` +\|.*\| (.*?) +\|$/gm);
  return { text, begin, end, rows: new Map(Array.from(rows, ([, name, caught]) => [name, caught])) };
}

async function writeDocumentation(catches) {
  const { text, begin, end, rows } = documented();
  const lines = ['| name | what it breaks | caught by |', '| --- | --- | --- |'];
  for (const { name, hazards, breaks } of mutations) {
    const caught = catches.get(name);
    const where = caught ? `\`${caught}\`` : (rows.get(name) ?? '');
    lines.push(`| \`${name}\` | ${hazards ? `${hazards}: ` : ''}${breaks} | ${where} |`);
  }
  const { format, resolveConfig } = await import('prettier');
  const filled = `${text.slice(0, begin)}${markers[0]}\n\n${lines.join('\n')}\n\n${text.slice(end)}`;
  writeFileSync(
    documentation,
    await format(filled, { ...(await resolveConfig(documentation)), parser: 'markdown' }),
  );
}

/** Whether the table fits the source and the documentation the table. */
function check() {
  const faults = findFaults(mutations, readSource);
  const { rows } = documented();
  if (mutations.map(({ name }) => name).join() !== [...rows.keys()].join())
    faults.push('docs/testing.md has not got the same mutations: npm run mutate -- --write-docs');
  for (const fault of faults) console.error(fault);
  return faults.length === 0;
}

async function main() {
  const chosen = mutations.filter(({ name }) => !options.only || options.only.includes(name));
  for (const name of options.only ?? [])
    if (!chosen.some((mutation) => mutation.name === name)) throw new Error(`There is no mutation ${name}`);
  if (options.list) {
    for (const { name, hazards, breaks } of chosen)
      console.log(`${name}: ${hazards ? `${hazards}: ` : ''}${breaks}`);
    return 0;
  }
  if (options.check) return check() ? 0 : 1;

  const faults = findFaults(mutations, readSource);
  if (faults.length > 0) throw new Error(faults.join('\n'));
  copyTree();

  const catches = new Map();
  const width = Math.max(...chosen.map(({ name }) => name.length));
  for (const mutation of chosen) {
    const start = performance.now();
    let result;
    try {
      const caught = await findCatch(mutation);
      result = caught ?? 'SURVIVED';
      if (caught !== null) catches.set(mutation.name, caught);
    } catch (error) {
      result = `ERROR: ${error.message}`;
    }
    write(mutation, false);
    const seconds = Math.round((performance.now() - start) / 1000);
    console.log(`${mutation.name.padEnd(width)} ${String(seconds).padStart(4)} s  ${result}`);
  }
  console.log(`\n${chosen.length} mutations, ${catches.size} caught`);
  if (options['write-docs']) await writeDocumentation(catches);
  return catches.size < chosen.length ? 1 : 0;
}

process.exitCode = await main();
