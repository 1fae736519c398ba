// Runs an example in processes of its own, and finds those that it leaves behind.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { packageRoot, slowdown } from './helpers.js';

const tagName = 'AIO_TEST_RUN';

export interface ExampleResult {
  /** The exit code, or the signal's name. */
  end: number | string | null;
  stdout: string;
  stderr: string;
  /** The commands of processes that outlived it. */
  left: string[];
}

export interface ExampleOptions {
  /** Whether it opens windows: on the present display, or on one of its own. */
  display?: boolean;
  env?: NodeJS.ProcessEnv;
  /** Is sent to its Node when it has printed something. */
  signal?: NodeJS.Signals;
  /** Milliseconds, after which it is killed. */
  timeout?: number;
}

/** Runs `node FILE ARGUMENT...` in the package's folder. */
export async function runExample(
  [file, ...args]: readonly [string, ...string[]],
  { display = false, env = process.env, signal, timeout = 25_000 }: ExampleOptions = {},
): Promise<ExampleResult> {
  const tag = randomUUID();
  const command = [...(display ? ['scripts/with-display'] : []), process.execPath, file, ...args];
  const child = spawn(command[0] ?? '', command.slice(1), {
    cwd: packageRoot,
    env: { ...env, GSK_RENDERER: 'cairo', NODE_NO_WARNINGS: '1', [tagName]: tag },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const timer = setTimeout(() => {
    for (const { pid } of processes(tag)) process.kill(pid, 'SIGKILL');
  }, timeout * slowdown);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (signal && stdout === '') {
      for (const { pid, isNode } of processes(tag)) if (isNode) process.kill(pid, signal);
    }
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const closed = once(child, 'close');
  // Not `closed` yet: what it leaves behind may keep its output open.
  await once(child, 'exit');
  clearTimeout(timer);
  // What was killed takes a moment to be gone.
  let left = processes(tag);
  for (let turn = 0; left.length > 0 && turn < 50; turn++) {
    await delay(20);
    left = processes(tag);
  }
  for (const { pid } of left) process.kill(pid, 'SIGKILL');
  await closed;
  return { end: child.signalCode ?? child.exitCode, stdout, stderr, left: left.map(({ name }) => name) };
}

interface Process {
  pid: number;
  name: string;
  isNode: boolean;
}

function processes(tag: string): Process[] {
  const found: Process[] = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (!readFileSync(`/proc/${entry}/environ`, 'latin1').split('\0').includes(`${tagName}=${tag}`))
        continue;
      const name = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      const isNode = readlinkSync(`/proc/${entry}/exe`) === process.execPath;
      found.push({ pid: Number(entry), name, isNode });
    } catch {
      // It has ended meanwhile, or is another user's.
    }
  }
  return found;
}
