/** What a window takes that has nothing to do, with and without us. README.md says why the peer is fair. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

const program = path.join(import.meta.dirname, 'idle-window.js');

// Both at the same time, each in a process of its own: what the machine does beside them is in both.
const ends = ['ours', 'window alone'].map(async (subject) => {
  const child = spawn(process.execPath, [program, subject], { stdio: ['ignore', 'inherit', 'inherit'] });
  const [status, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  if (status !== 0) throw new Error(`${subject} ended with ${signal ?? `exit status ${status ?? '?'}`}`);
});
await Promise.all(ends);
