// A context with nothing to do sleeps, whatever it has.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { Clock, EventNotifier } from 'aio-gsource';

import { type Loop, matrix, scriptLines, slowdown, write } from './helpers.js';
import { Producer } from './producer.js';

/** The processor time of this thread, in nanoseconds; V8 has others, which compile and collect. */
function cpuTimeNs(): number {
  return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]);
}

const never = (): never => assert.fail('there is nothing to call for');

/** Sleeps of each kind of pass, which only a timer ends: no wait too many, and no processor time. */
function assertSleeps(loop: Loop): void {
  const ms = 50;
  for (let pass = 0; pass < (loop.driver === 'mixed' ? 4 : 1); pass++) {
    let fired = false;
    const timer = loop.ctx.timer(Clock.realtime, () => (fired = true));
    timer.after(60_000);
    loop.steps(8); // GLib looks at new descriptors once; a multiple of the kinds of passes
    for (let turn = 0; turn < pass; turn++) loop.step();
    timer.after(ms);
    const before = loop.ctx.stats();
    const cpu = cpuTimeNs();
    loop.wait();
    const usedNs = cpuTimeNs() - cpu;
    const after = loop.ctx.stats();
    timer.close();
    for (let turn = pass + 1; turn < 4; turn++) loop.step();

    assert.equal(fired, true, 'in one pass');
    assert.deepEqual([after.timersFired - before.timersFired, after.bhsRun - before.bhsRun], [1, 0]);
    assert.equal(after.handlersDispatched, before.handlersDispatched);
    assert.equal(after.zeroWaits, before.zeroWaits);
    assert.equal(after.emptyWaits, before.emptyWaits);
    assert.equal(after.emptyIterations, before.emptyIterations);
    assert.equal(after.eventfdWrites, before.eventfdWrites);
    assert.ok(after.waits - before.waits <= 1);
    assert.ok(usedNs < (ms / 5) * 1e6 * slowdown, `${String(usedNs)} ns`);
  }
}

/** What turns until `fired` is set, in a script with a context \`ctx\` that is attached to \`main\`. */
const loops: Record<string, string> = {
  'ctx.poll()': 'while (!fired) ctx.poll(true);',
  'main.iteration()': 'while (!fired) main.iteration(true);',
  "node-gtk's loop": `const gi = require('node-gtk'); const GLib = gi.require('GLib', '2.0');
    require('node-gtk/lib/loop.js').start();
    const loop = GLib.MainLoop.new(null, false); timer.onFired = () => loop.quit(); loop.run();`,
};

describe('AioContext: idle', () => {
  // Its handles are libuv's, and those of a Worker are watched all the time.
  it('N3: two seconds beside a Worker take less than a fiftieth of the processor', async () => {
    const used = await Promise.all(
      Object.values(loops).map((turn) =>
        scriptLines(
          'cjs',
          `const { readFileSync } = require('node:fs'); const { Worker } = require('node:worker_threads');
          const cpuMs = () => Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6;
          const worker = new Worker(\`require('node:worker_threads').parentPort.on('message', () => {})\`, { eval: true });
          worker.on('message', () => {});
          worker.once('online', () => setTimeout(() => {
            const ctx = new aio.AioContext(); const main = aio.MainContext.default(); ctx.attach(main);
            let fired = false; const timer = { onFired() {} };
            const clock = ctx.timer(aio.Clock.realtime, () => { fired = true; timer.onFired(); });
            clock.after(2000);
            const before = cpuMs();
            ${turn}
            console.log(cpuMs() - before, fired); process.exit(0);
          }, 100));`,
        ),
      ),
    );

    for (const [i, name] of Object.keys(loops).entries()) {
      const [ms, fired] = (used[i]?.[0] ?? '').split(' ');
      assert.equal(fired, 'true', name);
      assert.ok(Number(ms) > 0 && Number(ms) < 40 * slowdown, `${name}: ${String(ms)} ms`);
    }
  });

  matrix('with quiet handlers and notifiers', (loop) => {
    using notifier = new EventNotifier();
    for (let i = 0; i < 40; i++) loop.ctx.setFdHandler(loop.pipe().read, { read: never });
    loop.ctx.setEventNotifier(notifier, { read: never });
    assertSleeps(loop);
  });

  matrix('D8: with polled handlers: poll mode is left', (loop) => {
    using producer = new Producer(loop);
    using other = new Producer(loop);
    assertSleeps(loop);
    producer.enterPollMode();
    assertSleeps(loop);
    assert.equal(loop.ctx.inspect().pollStarted, false);
    assert.deepEqual([producer.begins, other.begins], [producer.ends, other.ends]);
  });

  matrix('with timers far away, on every clock', (loop) => {
    using manual = { timer: loop.ctx.timer(Clock.manual(), never), [Symbol.dispose]: () => undefined };
    manual.timer.after(1);
    for (const clock of [Clock.realtime, Clock.virtual, Clock.host, Clock.virtualRt])
      loop.ctx.timer(clock, never).after(3_600_000);
    assertSleeps(loop);
  });

  matrix('H6: with external handlers that are ready, and held back', (loop) => {
    const { read, write: end } = loop.pipe();
    write(end, 'x');
    loop.ctx.setFdHandler(read, { read: never, external: true });
    loop.ctx.setFdHandler(loop.pipe().read, { poll: never, pollReady: never, external: true });
    loop.ctx.setFdHandler(loop.pipe().read, { read: never });
    loop.ctx.disableExternal();
    assertSleeps(loop);
  });

  matrix('with what was taken back', (loop) => {
    const { read, write: end } = loop.pipe();
    write(end, 'x');
    loop.ctx.setFdHandler(read, { read: never });
    loop.ctx.setFdHandler(read, null);
    const bh = loop.ctx.bh(never);
    bh.schedule();
    bh.cancel();
    const timer = loop.ctx.timer(Clock.realtime, never);
    timer.after(0);
    timer.del();
    loop.ctx.notify();
    assertSleeps(loop);
  });
});
