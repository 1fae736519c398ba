// Contexts of many threads at once: each has its own, and none knows of the others.
import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';

import { AioContext } from 'aio-gsource';

import { ioUringMissing, packageRoot, scriptLines } from './helpers.js';

const monitors = ['poll', 'epoll', 'auto', ...(ioUringMissing === null ? ['io_uring'] : [])];

/** Makes \`n\` contexts one after the other, has a callback of each kind called in each, and closes it. */
const makeAndClose = `
  const { AioContext, Clock, EventNotifier, MainContext } = aio;
  const monitors = ${JSON.stringify(monitors)};
  const makeAndClose = (n) => {
    let calls = 0;
    for (let i = 0; i < n; i++) {
      const ctx = new AioContext({ monitor: monitors[(i + (i >> 2)) % monitors.length] });
      const main = i % 2 ? new MainContext() : null;
      if (main) ctx.attach(main);
      const seen = new Set();
      const note = (kind) => () => { seen.add(kind); calls++; };
      const { read, write } = fds.pipe();
      const notifier = new EventNotifier({ active: true });
      ctx.bh(note('bh')).schedule();
      ctx.scheduleOneshot(note('oneshot'));
      ctx.timer(Clock.realtime, note('timer')).after(0);
      ctx.setFdHandler(write, { write: (fd) => { ctx.setFdHandler(fd, null); note('handler')(); } });
      ctx.setEventNotifier(notifier, { read: note('notifier') });
      while (seen.size < 5) main && i % 4 === 1 ? main.iteration(true) : ctx.poll(true);
      // Some are left armed, for the close.
      ctx.setFdHandler(read, { read() {} });
      ctx.timer(Clock.realtime, () => {}).after(100_000);
      ctx.bh(() => {}).schedule();
      ctx.close();
      notifier.close();
      fds.closeFd(read);
      fds.closeFd(write);
    }
    return calls;
  };`;

const prologue = `const aio = require('aio-gsource'); const fds = require('aio-gsource/fds');
  const { parentPort, workerData } = require('node:worker_threads');`;

function inWorker(source: string): Worker {
  return new Worker(`${prologue} ${source}`, {
    eval: true,
    execArgv: ['--no-warnings'],
    workerData: packageRoot,
  });
}

const message = (worker: Worker): Promise<unknown> =>
  new Promise((resolve, reject) => {
    worker.once('message', resolve).once('error', reject);
  });

const exit = (worker: Worker): Promise<number> => new Promise((resolve) => worker.once('exit', resolve));

describe('Contexts of many threads', function () {
  this.timeout(30_000);

  it('made, driven and closed by four Workers and the main thread at the same time', async () => {
    const workers = Array.from({ length: 4 }, () =>
      inWorker(`${makeAndClose} parentPort.postMessage(makeAndClose(60));`),
    );
    const ends = Promise.all(workers.map(exit));
    const ctx = new AioContext();
    let runs = 0;
    let over = false as boolean;
    const bh = ctx.bh(() => {
      runs++;
    });

    const counts = Promise.all(workers.map(message));
    void ends.then(() => (over = true));
    while (!over) {
      bh.schedule();
      assert.equal(ctx.poll(true), true);
      await new Promise((resolve) => setImmediate(resolve));
    }

    assert.deepEqual(await counts, [300, 300, 300, 300]);
    assert.deepEqual(await ends, [0, 0, 0, 0]);
    assert.ok(runs > 0);
    ctx.close();
  });

  it('Workers that end with contexts that are not closed, again and again: the descriptors come back', async () => {
    // In a process of its own, where nobody else opens or closes any.
    const lines = await scriptLines(
      'cjs',
      `const { readdirSync } = require('node:fs');
      const { Worker } = require('node:worker_threads');
      const source = \`const aio = require('aio-gsource');
        const contexts = ${JSON.stringify(monitors)}.map((monitor) => {
          const ctx = new aio.AioContext({ monitor });
          ctx.attach(new aio.MainContext());
          ctx.timer(aio.Clock.realtime, () => {}).after(100_000);
          ctx.bh(() => {}).schedule();
          ctx.child(process.pid).catch(() => {});
          ctx.poll(false);
          return ctx;
        });
        contexts[0].close();\`;
      const round = () => Promise.all([0, 1, 2, 3].map(() => new Promise((resolve) => {
        new Worker(source, { eval: true, execArgv: ['--no-warnings'] }).once('exit', resolve);
      })));
      const nFds = () => readdirSync('/proc/self/fd').length;
      (async () => {
        await round(); // what is opened once and for all
        const before = nFds();
        for (let i = 0; i < 4; i++) await round();
        console.log(nFds() - before);
      })();`,
    );

    assert.deepEqual(lines, ['0']);
  });

  for (const monitor of monitors)
    it(`N7: terminated in a nested blocking poll in a callback of each kind, all at once (${monitor})`, async () => {
      const kinds: Record<string, string> = {
        // Nobody else is told.
        ...(monitor === 'poll' && {
          'error handler':
            'const p = fds.pipe(); ctx.setFdHandler(p.read, { read() {}, error: hang }); fds.closeFd(p.read);',
        }),
        'bottom half': 'ctx.bh(hang).schedule();',
        'idle bottom half': 'ctx.bh(hang).scheduleIdle();',
        oneshot: 'ctx.scheduleOneshot(hang);',
        'write handler': 'ctx.setFdHandler(fds.pipe().write, { write: hang });',
        notifier: 'ctx.setEventNotifier(new aio.EventNotifier({ active: true }), { read: hang });',
        timer: 'ctx.timer(aio.Clock.realtime, hang).after(1);',
        promise: 'ctx.sleep(1).then(hang);',
        'poll function': 'ctx.setFdHandler(fds.pipe().read, { poll: hang, pollReady() {} });',
        'ready function': 'ctx.setFdHandler(fds.pipe().read, { poll: () => true, pollReady: hang });',
        ...Object.fromEntries(
          ['pollBegin', 'pollEnd'].map((name) => [
            name,
            // Its first event has it polled for a while, in which poll mode begins, and after which it ends.
            `ctx.setPollParams({ maxNs: 1e9 }); const n = new aio.EventNotifier({ active: true }); let event = false;
          ctx.setEventNotifier(n, { read() { event = true; }, poll: () => event, pollReady() { event = false; },
            ${name}: hang });`,
          ]),
        ),
      };
      const lines = await scriptLines(
        'cjs',
        `const { Worker } = require('node:worker_threads');
      const kinds = ${JSON.stringify(kinds)};
      const hangs = (name) => new Promise((resolve) => {
        const worker = new Worker(\`const aio = require('aio-gsource'); const fds = require('aio-gsource/fds');
          const { parentPort } = require('node:worker_threads');
          const ctx = new aio.AioContext({ monitor: '${monitor}' }); ctx.attach(new aio.MainContext());
          let depth = 0;
          const hang = () => { if (depth++ === 0) parentPort.postMessage('hangs'); for (;;) ctx.poll(true); };
          \${kinds[name]} for (;;) ctx.poll(true);\`, { eval: true, execArgv: ['--no-warnings'] });
        worker.once('message', () => resolve(worker));
      });
      const names = Object.keys(kinds);
      const ctx = new aio.AioContext();
      let ran = 0;
      const bh = ctx.bh(() => { ran++; });
      const own = () => { bh.schedule(); ctx.poll(true); };
      own();
      // One by itself to begin with: another could be given the number of the file descriptor that it closes.
      const [alone, ...others] = names;
      hangs(alone)
        .then((first) => Promise.all([first, ...others.map(hangs)]))
        .then((workers) => { own(); return Promise.all(workers.map((worker) => worker.terminate())); })
        .then((codes) => { own(); console.log(codes.join(' '), ran); ctx.close(); });`,
      );

      // Those of the main thread have not noticed.
      assert.deepEqual(lines, [`${'1 '.repeat(Object.keys(kinds).length)}3`]);
    });
});
