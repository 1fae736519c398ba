// What scripts/fuzz.mjs runs in processes of their own: fuzz.js DRIVER MONITOR SEED COUNT, or … SEED path PATH, or
// … program, with the program in JSON on stdin. What it does it writes to file descriptor 3, a line of JSON for each.
import { readFileSync, writeSync } from 'node:fs';
import { setImmediate as immediate } from 'node:timers/promises';

import fc from 'fast-check';

import { type Program, programs, show } from './program.js';
import { type Cell, cells, runProgram } from './run.js';

/** What the parent is told; `run` before each program, so that it knows which one it was if nothing more comes. */
export type Message =
  | { readonly seed: number; readonly run: number }
  | { readonly done: number; readonly cpuMs: number }
  | { readonly seed: number; readonly path: string; readonly program: string; readonly error: string };

/** So many contexts at most wait to be collected. */
const batch = 50;

function tell(message: Message): void {
  writeSync(3, `${JSON.stringify(message)}\n`);
}

/** Whether none failed. */
function check(cell: Cell, seed: number, count: number): boolean {
  let run = 0;
  let isShrinking = false;
  const property = fc.property(programs, (program) => {
    if (!isShrinking) tell({ seed, run: run++ });
    try {
      runProgram(cell, program);
    } catch (error) {
      isShrinking = true;
      throw error;
    }
  });
  const result = fc.check(property, { seed, numRuns: count });
  if (!result.failed) return true;
  const [program] = result.counterexample as [Program];
  const path = result.counterexamplePath ?? '';
  tell({ seed, path, program: show(program), error: String(result.errorInstance) });
  return false;
}

/** The program that `path` leads to, told step by step. */
function replay(cell: Cell, seed: number, path: string): void {
  const property = fc.property(programs, (program) => {
    console.log(`${show(program)}\n`);
    runProgram(cell, program, { trace: console.log });
  });
  const result = fc.check(property, { seed, path, numRuns: 1, endOnFailure: true });
  if (result.failed) throw result.errorInstance;
}

async function main([driver, monitor, what, ...rest]: string[]): Promise<void> {
  const cell = cells.find((each) => each.driver === driver && each.monitor === monitor);
  if (!cell) throw new RangeError('no such cell');
  if (what === 'program') {
    runProgram(cell, JSON.parse(readFileSync(0, 'utf8')) as Program);
    return;
  }
  const seed = Number(what);
  if (rest[0] === 'path') {
    replay(cell, seed, rest[1] ?? '');
    return;
  }
  for (let done = 0; done < Number(rest[0]); done += batch) {
    const before = process.cpuUsage();
    if (!check(cell, (seed + done) | 0, batch)) {
      process.exitCode = 1;
      return;
    }
    await immediate();
    globalThis.gc?.();
    await immediate();
    const { user, system } = process.cpuUsage(before);
    tell({ done: batch, cpuMs: (user + system) / 1000 });
  }
}

await main(process.argv.slice(2));
