// Fuzzes the C library with libFuzzer: node scripts/fuzz-c.mjs [--minutes N | --seconds N] [--jobs N]
//
// Goes on until it is stopped, the time is up, or something is found: then it prints the input, what it is cut down to,
// the program in it and how to run it again. What it has learned is kept in build-fuzz/corpus; it begins with that
// and with gsource/tests/fuzz/corpus and programs.txt.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const folder = 'build-fuzz';
const target = path.join(folder, 'fuzz-gsource');
const corpus = 'gsource/tests/fuzz/corpus';
const written = 'gsource/tests/fuzz/programs.txt';
const programs = path.join(folder, 'programs');
const learned = path.join(folder, 'corpus');
const findings = path.join(folder, 'findings');

// A program takes less than a millisecond, and a few with a sanitizer on a busy machine.
const limits = ['-max_len=400', '-timeout=20', '-rss_limit_mb=2048'];

const env = {
  ...process.env,
  ASAN_OPTIONS: 'detect_stack_use_after_return=1:strict_string_checks=1',
  UBSAN_OPTIONS: 'print_stacktrace=1',
};

/** Whether the target could be built, and the programs that are written by hand were assembled. */
export function buildFuzzer() {
  const clang = { ...process.env, CC: 'clang', CXX: 'clang++' };
  const run = (command, args) => spawnSync(command, args, { stdio: 'inherit', env: clang }).status === 0;
  return (
    (existsSync(path.join(folder, 'build.ninja')) ||
      run('meson', [
        ...['setup', folder, '-Dfuzz=enabled', '-Db_sanitize=address,undefined', '-Db_lundef=false'],
        ...['-Daddon=disabled', '-Dintrospection=disabled', '-Dwerror=true'],
      ])) &&
    run('ninja', ['-C', folder, 'fuzz-gsource']) &&
    assemble()
  );
}

// Makes inputs of the programs; their bytes are another matter after each change of the operations.
function assemble() {
  const names = spawnSync(target, {
    env: { ...env, AIO_FUZZ_OPERATIONS: '1' },
    encoding: 'utf8',
  }).stdout.split('\n');
  const inputs = new Map();
  let scripts;
  let script;
  for (const [index, text] of readFileSync(written, 'utf8').split('\n').entries()) {
    const [, name, numbers] = /^([^\d#]*?)((?: \d+)*)$/.exec(text.trim()) ?? [];
    const args = (numbers ?? '').trim().split(' ').filter(Boolean).map(Number);
    if (!name) continue;
    if (name.startsWith('program ')) {
      scripts = [[]];
      script = scripts[0];
      inputs.set(name.slice(8), scripts);
    } else if (name === 'elsewhere' && text === name) script = scripts[1] = [];
    else if (name === 'script') script = scripts[args[0]] = [];
    else if (name === 'yield') script.push(0xfe);
    else if (names.includes(name)) script.push(names.indexOf(name), ...args);
    else {
      console.error(`${written}:${index + 1}: no operation: ${name}`);
      return false;
    }
  }
  rmSync(programs, { recursive: true, force: true });
  mkdirSync(programs, { recursive: true });
  for (const [name, parts] of inputs) {
    const bytes = Array.from(parts, (part, i) => [...(i > 0 ? [0xff] : []), ...(part ?? [])]).flat();
    writeFileSync(path.join(programs, name), Uint8Array.from(bytes));
  }
  return true;
}

/** Runs each input of the corpus, and each program written by hand, once; how many, or 0 if one of them fails. */
export function replayCorpus() {
  const files = [corpus, programs].flatMap((from) => readdirSync(from).map((name) => path.join(from, name)));
  const { status, stderr } = spawnSync(target, [...limits, ...files], { env, encoding: 'utf8' });
  if (status === 0) return files.length;
  console.error(stderr);
  return 0;
}

/**
 * Runs random programs, in so many processes that share what they learn; `found` has the inputs that failed, `runs` is how
 * many were executed. `seconds` 0 is for ever. Each minute `progress` is given a line of libFuzzer's.
 * With a `seed` they learn by themselves, from nothing but the corpus: the same library is given the same programs.
 */
export async function fuzz({ seconds, jobs, seed, progress = () => {} }) {
  mkdirSync(findings, { recursive: true });
  const start = Date.now();
  const children = [];
  let stopped = false;
  const stop = () => {
    stopped = true;
    for (const child of children) child.kill('SIGTERM'); // a shell may have had them ignore SIGINT
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  const results = Array.from({ length: jobs }, async (_, job) => {
    const place = seed === undefined ? learned : `${learned}-${seed}-${job}`;
    if (seed !== undefined) rmSync(place, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
    const args = [
      ...[...limits, '-print_final_stats=1', `-artifact_prefix=${findings}/`, `-max_total_time=${seconds}`],
      ...(seed === undefined ? ['-reload=5'] : ['-reload=0', `-seed=${seed + job}`]),
      ...[place, corpus, programs],
    ];
    const child = spawn(target, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = new Promise((resolve) => child.on('close', resolve));
    children.push(child);
    let runs = 0;
    let last = Date.now();
    const log = [];
    for await (const line of createInterface({ input: child.stderr })) {
      if (!/^#\d+\s/.test(line)) log.push(line);
      else if (Date.now() - last > 60_000) {
        last = Date.now();
        progress(`${job}: ${line}`);
      }
      runs = Number(/^stat::number_of_executed_units: (\d+)/.exec(line)?.[1] ?? runs);
    }
    const failed = (await ended) !== 0 && !stopped;
    if (failed) {
      console.error(log.slice(-200).join('\n'));
      stop();
    }
    return { runs, failed };
  });
  const done = await Promise.all(results);
  process.off('SIGINT', stop).off('SIGTERM', stop);
  return {
    runs: done.reduce((sum, { runs }) => sum + runs, 0),
    failed: done.some(({ failed }) => failed),
    // A name is that of the contents, and so may be there from another time.
    found: readdirSync(findings)
      .map((name) => path.join(findings, name))
      .filter((file) => !file.endsWith('.min') && statSync(file).mtimeMs >= start),
  };
}

/** Prints an input, cut down to what is needed for it to fail. */
export function report(file) {
  const small = `${file}.min`;
  const cut = ['-minimize_crash=1', '-max_total_time=60', `-exact_artifact_path=${small}`];
  console.log(`\nfound: ${file}`);
  rmSync(small, { force: true });
  // What hangs would do so each time.
  if (!path.basename(file).startsWith('timeout-'))
    spawnSync(target, [...limits, ...cut, file], { env, stdio: 'ignore' });
  const input = existsSync(small) ? small : file;
  spawnSync(target, [...limits, input], { env: { ...env, AIO_FUZZ_LIST: '1' }, stdio: 'inherit' });
  console.log(`\nonce more: AIO_FUZZ_LIST=1 ${target} ${input}`);
}

async function main() {
  const { values } = parseArgs({
    options: { minutes: { type: 'string' }, seconds: { type: 'string' }, jobs: { type: 'string' } },
  });
  process.chdir(path.join(import.meta.dirname, '..'));
  if (!buildFuzzer()) return 1;
  const seconds = Math.round(Number(values.seconds ?? Number(values.minutes ?? 0) * 60));
  const jobs = Number(values.jobs ?? availableParallelism());
  const { runs, failed, found } = await fuzz({ seconds, jobs, progress: console.log });
  for (const file of found) report(file);
  console.log(`${runs} programs`);
  return failed || found.length > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main();
