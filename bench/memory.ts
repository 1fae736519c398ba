/** What one bottom half, handler or timer holds in memory. README.md says what is counted. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';

const rounds = 7;
const kinds = ['bottom half', 'bottom half, scheduled', 'handler', 'timer', 'timer, armed'];

/**
 * The young generation is kept at its least size: its growth, up to 48 MB, tells of garbage and not of what is held.
 * On a single thread V8 collects at the same places each time.
 */
const options = ['--expose-gc', '--max-semi-space-size=1', '--single-threaded'];
const program = path.join(import.meta.dirname, 'memory-kind.js');

for (let round = 0; round < rounds; round++)
  for (const kind of kinds)
    execFileSync(process.execPath, [...options, program, kind], { stdio: ['ignore', 'inherit', 'inherit'] });
