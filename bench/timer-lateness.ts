/** How late timers fire under a GLib loop, and what CPU time they take. README.md says why the peer is fair. */
import assert from 'node:assert/strict';

import { AioContext, Clock, MainContext } from 'aio-gsource';

import { printSample } from './measure.js';
import { timerfd } from './timerfd.js';

const delayNs = 300_000;
const firings = 1000;
const rounds = 9;

const main = new MainContext();
const context = new AioContext({ name: 'bench' }).attach(main);
const lateness = new Float64Array(firings);
let fired = 0;
let expire = 0n;

const timer = context.timer(Clock.realtime, () => {
  const now = Clock.realtime.nowNs();
  lateness[fired++] = Number(now - expire);
  if (fired < firings) arm(now);
});

function arm(now: bigint): void {
  expire = now + BigInt(delayNs);
  timer.modNs(expire);
}

const subjects = {
  ours() {
    fired = 0;
    arm(Clock.realtime.nowNs());
    while (fired < firings) main.iteration(true);
  },
  'bare timerfd source'() {
    timerfd.run(delayNs, lateness);
  },
};

function measure(subject: string, run: () => void, print: boolean): void {
  const start = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(start);
  lateness.sort();
  const percentile = (p: number): number => lateness[(firings * p) / 100] ?? NaN;
  assert(percentile(0) >= 0, `${subject}: ${-percentile(0)} ns early`);
  if (!print) return;
  printSample('JavaScript: lateness, p50', subject, percentile(50));
  printSample('JavaScript: lateness, p99', subject, percentile(99));
  printSample('JavaScript: CPU time', subject, ((user + system) * 1000) / firings);
}

// In a macrotask, where Node calls a program's callbacks.
setImmediate(() => {
  for (let round = -2; round < rounds; round++)
    for (const [subject, run] of Object.entries(subjects)) measure(subject, run, round >= 0);
  context.close();
});
