// Runs the models: node spec/run.mjs [--full] [WORDS...]
// One line for each entry of table.mjs whose line has all WORDS; fails unless each shows what it must.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { full, table } from './table.mjs';

const words = process.argv.slice(2).filter((argument) => argument !== '--full');
const isFull = process.argv.includes('--full');
const JOBS = 2;
const MEGABYTES = isFull ? 8000 : 1500; // each
const DEPTH = 50_000; // none needs more than some thousands; what is not used costs time to set up
const HASH = isFull ? 26 : 22; // the logarithm of the size of the table of states, likewise

const sources = isFull ? [table, full] : [table];
const rows = sources
  .flatMap((source) =>
    Object.entries(source).flatMap(([model, entries]) => entries.map((entry) => [model, ...entry])),
  )
  .map(([model, flags, expected, why]) => ({ model, flags, expected, why }))
  .filter((row) =>
    words.every((word) => `${row.model} ${row.flags} ${row.expected} ${row.why}`.includes(word)),
  );

function run(command, args, cwd) {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      resolve({ ok: !error, text: error?.code === 'ENOENT' ? `${command}: not found` : stdout + stderr });
    });
  });
}

// What a search showed: { found: 'holds' | a property | '…', states }; anything but a whole search is no proof.
function judge({ ok, text }) {
  const states = text.match(/^\s*(\d+) states, stored/m)?.[1];
  const violated = text.match(/assertion violated\s+!\((\w+)\)/)?.[1];
  const errors = text.match(/errors: (\d+)/)?.[1];
  const cut = /max search depth too small|MEMLIM|out of memory|hash table full|VECTORSZ/i.exec(text)?.[0];
  if (violated) return { found: violated, states };
  if (cut) return { found: `a search that was cut short (${cut})`, states };
  if (ok && errors === '0' && Number(states) > 0) return { found: 'holds', states };
  return { found: text.match(/^pan:.*|.*[Ee]rror.*|.*not found.*/m)?.[0] ?? 'no result', states };
}

async function search({ model, flags, expected }) {
  const folder = mkdtempSync(path.join(tmpdir(), 'aio-spin-'));
  try {
    const defines = flags
      .split(' ')
      .filter(Boolean)
      .map((flag) => `-D${flag}`);
    const file = path.join(import.meta.dirname, `${model}.pml`);
    const made = await run('spin', [...defines, '-a', file], folder);
    if (!made.ok || /error/i.test(made.text)) return { found: `spin: ${made.text.trim()}` };
    // A search that ends at the first error is over before an optimised one would be compiled.
    const optimise = expected === 'holds' ? '-Og' : '-O0';
    // Compressed states take less memory and a third more time.
    const compress = isFull ? ['-DCOLLAPSE'] : [];
    const built = await run(
      'cc',
      [optimise, '-w', '-DSAFETY', ...compress, `-DMEMLIM=${MEGABYTES}`, '-o', 'pan', 'pan.c'],
      folder,
    );
    if (!built.ok) return { found: `cc: ${built.text.trim()}` };
    return judge(await run('./pan', [`-m${DEPTH}`, `-w${HASH}`], folder));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

let failed = rows.length === 0 ? 1 : 0;
let number = 0;
const begin = performance.now();
const waiting = [...rows];

async function work() {
  for (let row = waiting.shift(); row; row = waiting.shift()) {
    const start = performance.now();
    const { found, states = '0' } = await search(row);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    const name = `${row.model} ${row.flags || '(no flags)'}: ${row.expected === 'holds' ? 'holds' : `fails, ${row.expected}`}`;
    const passed = found === row.expected;
    number += 1;
    if (!passed) failed += 1;
    console.log(`${passed ? 'ok' : 'not ok'} ${number} ${name} (${row.why}; ${states} states, ${seconds} s)`);
    if (!passed) console.log(`  found: ${found}`);
  }
}

console.log(`1..${rows.length}`);
await Promise.all(Array.from({ length: JOBS }, work));
console.log(
  `# ${rows.length - failed} of ${rows.length} in ${((performance.now() - begin) / 1000).toFixed(0)} s`,
);
process.exitCode = failed > 0 ? 1 : 0;
