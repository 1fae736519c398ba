// How a process, or a Worker, ends while a context has work.
import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';

import { packageRoot, runScript, type ScriptKind, scriptLines, slowdown } from './helpers.js';

/** Arms everything there is; nothing of it is due. */
const armAll = `
  const { AioContext, Clock, EventNotifier, MainContext } = aio;
  const ctx = new AioContext({ name: 'armed' });
  const { read, write } = fds.pipe();
  const notifier = new EventNotifier();
  const main = new MainContext();
  const armAll = () => {
    ctx.attach(main);
    ctx.setFdHandler(read, { read() {}, error() {} });
    ctx.setEventNotifier(notifier, { read() {} });
    ctx.timer(Clock.realtime, () => {}).after(100_000);
    ctx.timer(Clock.manual(), () => {}).after(1);
    ctx.timer(Clock.host, () => {}).every(100_000);
    ctx.sleep(100_000).catch(() => {});
    ctx.bh(() => {}).scheduleIdle();
    ctx.bh(() => {}).schedule();
    ctx.scheduleOneshot(() => {});
    ctx.makeCurrent();
  };`;

/** Each calls \`end\` in a callback. */
const callbacks: Record<string, string> = {
  'bottom half': `ctx.bh(end).schedule();`,
  oneshot: `ctx.scheduleOneshot(end);`,
  handler: `ctx.setFdHandler(write, { write: end });`,
  'error handler': `const p = fds.pipe(); ctx.setFdHandler(p.read, { read() {}, error: end }); fds.closeFd(p.read);`,
  notifier: `const n = new EventNotifier({ active: true }); ctx.setEventNotifier(n, { read: end });`,
  'poll function': `ctx.setFdHandler(write, { poll: end, pollReady() {} });`,
  'poll-ready function': `ctx.setFdHandler(write, { poll: () => true, pollReady: end });`,
  timer: `ctx.timer(Clock.realtime, end).after(1);`,
  'nested pass': `ctx.scheduleOneshot(() => { ctx.scheduleOneshot(end); ctx.poll(true); });`,
  promise: `ctx.sleep(1).then(end);`,
};

describe('Process exit', function () {
  this.timeout(20_000);

  for (const kind of ['cjs', 'esm'] as readonly ScriptKind[])
    it(`with everything armed: ends by itself, with code 0 and one warning (${kind})`, async () => {
      const { code, signal, stderr } = await runScript(kind, `${armAll} armAll();`, { warnings: true });

      assert.deepEqual({ code, signal }, { code: 0, signal: null }, stderr);
      assert.equal(stderr.match(/\[AIO_UNDRIVEN\]/g)?.length, 1, stderr);
      assert.match(stderr, /armed/);
    });

  it('with nothing armed, or closed: no warning', async () => {
    const { code, stderr } = await runScript(
      'cjs',
      `${armAll} armAll(); ctx.close();
      const idle = new AioContext(); idle.bh(() => {}); idle.timer(Clock.realtime, () => {});
      idle.scheduleOneshot(() => {}); idle.poll(false);`,
      { warnings: true },
    );

    assert.equal(code, 0);
    assert.doesNotMatch(stderr, /AIO_UNDRIVEN/);
  });

  for (const [name, arm] of Object.entries(callbacks)) {
    it(`N7: process.exit() in a ${name}, driven by poll and by an iteration`, async () => {
      const script = (drive: string): string =>
        `${armAll} armAll(); const end = () => { process.exit(7); }; ${arm} for (;;) ${drive}`;
      const results = await Promise.all([
        runScript('cjs', script('ctx.poll(true);')),
        runScript('cjs', script('main.iteration(true);')),
      ]);

      for (const { code, signal, stderr } of results)
        assert.deepEqual({ code, signal, stderr }, { code: 7, signal: null, stderr: '' });
    });

    it(`N7: worker.terminate() from, and process.exit() in, a ${name} of a Worker`, async () => {
      const lines = await scriptLines(
        'cjs',
        `const { Worker } = require('node:worker_threads');
        const source = (body) => \`const aio = require('aio-gsource'); const fds = require('aio-gsource/fds');
          ${armAll.replaceAll('`', '\\`')} armAll(); const end = () => { \${body} };
          ${arm} for (;;) ctx.poll(true);\`;
        const run = (name, body) => new Promise((resolve) => {
          const worker = new Worker(source(body), { eval: true });
          worker.on('message', () => worker.terminate());
          worker.on('error', (error) => console.log(name, error));
          worker.on('exit', (code) => { console.log(name, code); resolve(); });
        });
        run('exit', 'process.exit(5);')
          .then(() => run('terminate', "require('node:worker_threads').parentPort.postMessage(0);"))
          .then(() => { const ctx = new aio.AioContext(); console.log(ctx.poll(false)); ctx.close(); });`,
      );

      assert.deepEqual(lines, ['exit 5', 'terminate 1', 'false']);
    });
  }

  it('N7: a hundred Workers, four at a time, that exit or are terminated in a callback of each kind', async function () {
    this.timeout(70_000);
    const runs = slowdown > 1 ? 2 * Object.keys(callbacks).length : 100;
    const lines = await scriptLines(
      'cjs',
      `const { readdirSync } = require('node:fs'); const { Worker } = require('node:worker_threads');
      const kinds = ${JSON.stringify(Object.values(callbacks))};
      const ends = ["require('node:worker_threads').parentPort.postMessage(0);", 'process.exit(5);'];
      const source = (run) => \`const aio = require('aio-gsource'); const fds = require('aio-gsource/fds');
        ${armAll.replaceAll('`', '\\`')} armAll(); const end = () => { \${ends[run % 2]} return false; };
        \${kinds[(run >> 1) % kinds.length]} for (;;) \${run % 3 ? 'ctx.poll(true)' : 'main.iteration(true)'};\`;
      const codes = { 1: 0, 5: 0 }; let next = 0;
      const work = () => next < ${String(runs)} && new Promise((resolve, reject) => {
        const worker = new Worker(source(next++), { eval: true, execArgv: ['--no-warnings'] });
        worker.on('message', () => worker.terminate()).on('error', reject);
        worker.on('exit', (code) => { codes[code]++; resolve(); });
      }).then(work);
      const ctx = new aio.AioContext(); let ran = 0;
      Promise.all([work(), work(), work(), work()]).then(() => {
        ctx.scheduleOneshot(() => { ran++; }); ctx.poll(false); ctx.close();
        console.log(JSON.stringify(codes), ran, readdirSync('/proc/self/task').length < 20);
      });`,
      { timeout: 60_000 },
    );

    assert.deepEqual(lines, [`{"1":${String(runs / 2)},"5":${String(runs / 2)}} 1 true`]);
  });

  it('N7: process.exit() in a callback that a Worker waits for, which disables its clock', async () => {
    const { code, signal, stderr } = await runScript(
      'cjs',
      `const { AioContext, Clock } = require('aio-gsource'); const { Worker } = require('node:worker_threads');
      const state = new Int32Array(new SharedArrayBuffer(4));
      const source = \`const { Clock } = require('aio-gsource'); const { parentPort, workerData } = require('node:worker_threads');
        parentPort.postMessage(0); Atomics.wait(workerData, 0, 0); Clock.virtual.enabled = false;\`;
      new Worker(source, { eval: true, workerData: state, execArgv: ['--no-warnings'] }).on('message', () => {
        const ctx = new AioContext();
        ctx.timer(Clock.virtual, () => {
          Atomics.store(state, 0, 1); Atomics.notify(state, 0);
          while (Clock.virtual.enabled);
          process.exit(7);
        }).after(0);
        ctx.poll(true);
      });`,
    );

    assert.deepEqual({ code, signal, stderr }, { code: 7, signal: null, stderr: '' });
  });

  it('process.exit() in a callback that the loop of node-gtk drives', async () => {
    const { code, signal, stderr } = await runScript(
      'cjs',
      `const gi = require('node-gtk'); const GLib = gi.require('GLib', '2.0');
      ${armAll.replace('ctx.attach(main)', 'ctx.attach()')} armAll();
      ctx.timer(Clock.realtime, () => { process.exit(7); }).after(10);
      GLib.MainLoop.new(null, false).run();`,
    );

    assert.deepEqual({ code, signal }, { code: 7, signal: null }, stderr);
  });

  it('a context can be used, and closed, in an `exit` listener', async () => {
    const lines = await scriptLines(
      'cjs',
      `${armAll} armAll();
      process.on('exit', () => { ctx.poll(false); console.log('polled'); ctx.close(); console.log('closed'); });`,
    );

    assert.deepEqual(lines, ['polled', 'closed']);
  });
});

describe('Worker threads', function () {
  this.timeout(20_000);

  /** Runs a script in a Worker of this process; what it posts. */
  async function inWorker(source: string): Promise<unknown[]> {
    const worker = new Worker(
      `const aio = require('aio-gsource'); const fds = require('aio-gsource/fds');
      const { parentPort, workerData } = require('node:worker_threads'); ${source}`,
      { eval: true, execArgv: ['--no-warnings'], workerData: packageRoot },
    );
    const posted: unknown[] = [];
    await new Promise<void>((resolve, reject) => {
      worker.on('message', (message) => posted.push(message));
      worker.once('error', reject).once('exit', () => {
        resolve();
      });
    });
    return posted;
  }

  it('a Worker has contexts of its own', async () => {
    const posted = await inWorker(
      `const ctx = new aio.AioContext(); const main = new aio.MainContext(); ctx.attach(main);
      const seen = [];
      ctx.scheduleOneshot(() => seen.push(aio.AioContext.current === ctx, ctx.inHomeThread));
      main.iteration(false);
      let fired = false; ctx.timer(aio.Clock.realtime, () => { fired = true; }).after(1);
      ctx.waitWhile(() => !fired);
      parentPort.postMessage(seen);
      parentPort.postMessage(ctx.blockOn(ctx.sleep(1).then(() => 'slept')));
      ctx.close();`,
    );

    assert.deepEqual(posted, [[true, true], 'slept']);
  });

  it('several at once, each with work at its end, leave nothing behind', async () => {
    const source = `${armAll} armAll(); ctx.poll(false); fds.closeFd(read); fds.closeFd(write); notifier.close();
      parentPort.postMessage('armed');`;

    const results = await Promise.all(Array.from({ length: 4 }, () => inWorker(source)));

    assert.deepEqual(
      results,
      results.map(() => ['armed']),
    );
  });

  it('terminate() ends a blocking wait within 100 ms or so', async () => {
    for (const wait of ['ctx.poll(true)', 'ctx.waitWhile(() => true)', 'main.iteration(true)']) {
      const worker = new Worker(
        `const aio = require('aio-gsource'); const { parentPort } = require('node:worker_threads');
        const ctx = new aio.AioContext(); const main = new aio.MainContext(); ctx.attach(main);
        ctx.timer(aio.Clock.realtime, () => {}).after(60_000);
        parentPort.postMessage('waits');
        for (;;) ${wait};`,
        { eval: true, execArgv: ['--no-warnings'] },
      );
      await new Promise((resolve) => worker.once('message', resolve));
      await new Promise((resolve) => setTimeout(resolve, 20));
      const start = performance.now();

      await worker.terminate();

      const took = performance.now() - start;
      assert.ok(took < 1000, `${wait}: ${String(took)} ms`);
    }
  });
});
