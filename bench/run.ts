/** Runs the benchmarks: `npm run bench -- [--only NAME]... [--json]`. README.md says what is printed. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { benchmarks, type Benchmark } from './benchmarks.js';
import { formatTable, parseSamples, summarize, toJson, type Row, type Sample } from './results.js';

const packageRoot = path.join(import.meta.dirname, '../..');
const names = benchmarks.map(({ name }) => name).join(', ');

function usage(message: string): never {
  console.error(`bench: ${message}\nusage: npm run bench -- [--only NAME]... [--json]\nbenchmarks: ${names}`);
  process.exit(2);
}

function parseOptions(): { chosen: readonly Benchmark[]; all: boolean; json: boolean } {
  try {
    const { values } = parseArgs({
      options: { only: { type: 'string', multiple: true }, json: { type: 'boolean', default: false } },
    });
    const { only, json } = values;
    const unknown = only?.find((name) => !benchmarks.some((benchmark) => benchmark.name === name));
    if (unknown !== undefined) usage(`there is no benchmark "${unknown}"`);
    const chosen = benchmarks.filter(({ name }) => only?.includes(name) ?? true);
    return { chosen, all: only === undefined, json };
  } catch (error) {
    return usage((error as Error).message);
  }
}

/** Each runs in a process of its own: what one leaves in V8's heap and caches is not the next one's. */
function runProgram(program: string, display: boolean): Sample[] {
  const command = [
    ...(display ? [path.join(packageRoot, 'scripts/with-display')] : []),
    ...(program.endsWith('.js') ? [process.execPath] : []),
    path.join(packageRoot, program),
  ];
  const { error, status, signal, stdout } = spawnSync(command[0] ?? '', command.slice(1), {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: Infinity,
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} ended with ${signal ?? `exit status ${status ?? '?'}`}`);
  return parseSamples(stdout);
}

function run(benchmark: Benchmark): Row[] {
  const { programs, display = false } = benchmark;
  return summarize(
    benchmark,
    programs.flatMap((program) => runProgram(program, display)),
  );
}

const { chosen, all, json } = parseOptions();
const results = chosen.map((benchmark) => {
  if (!json) process.stderr.write(`bench: ${benchmark.name} …\n`);
  return run(benchmark);
});

if (json) {
  const [only, ...others] = results.map(toJson);
  console.log(JSON.stringify(others.length === 0 ? only : [only, ...others]));
} else {
  console.log(formatTable(benchmarks, results.flat()));
}
if (all) {
  const machine = {
    cpu: os.cpus()[0]?.model,
    cpus: os.availableParallelism(),
    kernel: os.release(),
    node: process.version,
    load: os.loadavg()[0],
  };
  const file = path.join(packageRoot, 'bench/results.json');
  writeFileSync(
    file,
    `${JSON.stringify({ date: new Date(), machine, benchmarks: results.map(toJson) }, null, 2)}\n`,
  );
}
