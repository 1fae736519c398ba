// Timers: a job that is tried again after 10, 20, 40 ms ..., with a ticking progress and a deadline for all of it.
// Run it: npm run build && node dist/examples/timers.js
import { AioContext, Clock } from 'aio-gsource';

using ctx = new AioContext({ name: 'timers' });
const clock = Clock.realtime;
const started = clock.now();
const elapsed = (): string => `${String(Math.round(clock.now() - started)).padStart(4)} ms`;

let state: 'trying' | 'done' | 'too late' = 'trying';
let attempts = 0;
let ticks = 0;

const retry = ctx.timer(clock, (timer) => {
  attempts++;
  if (attempts === 5) {
    console.log(`${elapsed()}  attempt ${String(attempts)} succeeds`);
    state = 'done';
    return;
  }
  const delay = 10 * 2 ** (attempts - 1);
  console.log(`${elapsed()}  attempt ${String(attempts)} fails, again in ${String(delay)} ms`);
  timer.after(delay);
});
const progress = ctx.timer(clock, () => {
  ticks++;
});
const deadline = ctx.timer(clock, () => {
  state = 'too late';
});

retry.after(0);
progress.every(25); // against the time it was started: does not drift
deadline.after(60_000);
// Whichever is earlier: the deadline as it was, or this.
deadline.anticipate(started + 5000);

ctx.waitWhile(() => state === 'trying');

console.log(`${elapsed()}  ${state} after ${String(attempts)} attempts, ${String(ticks)} ticks of progress`);
console.log(`the deadline would have been in ${deadlineSeconds()} s`);
for (const timer of [retry, progress, deadline]) timer.close();

function deadlineSeconds(): string {
  const left = Number((deadline.expireTimeNs ?? 0n) - clock.nowNs()) / 1e9;
  return left.toFixed(0);
}
