import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';

import { AioContext, Clock, MainContext } from 'aio-gsource';

import {
  closedError,
  collectUntil,
  duration,
  matrix,
  runScript,
  scriptLines,
  underGlib,
  write,
} from './helpers.js';

describe('MainContext', () => {
  it('default() is one object, and not one that new makes', () => {
    assert.equal(MainContext.default(), MainContext.default());
    assert.ok(MainContext.default() instanceof MainContext);
    using main = new MainContext();
    assert.notEqual(main, MainContext.default());
    class Derived extends MainContext {}
    assert.equal(Derived.default(), MainContext.default());
  });

  underGlib('pending() runs nothing, iteration() does', (ctx, main) => {
    let runs = 0;
    assert.equal(main.pending(), false);
    ctx.scheduleOneshot(() => runs++);

    assert.equal(main.pending(), true);
    assert.equal(runs, 0);
    assert.equal(main.iteration(false), true);

    assert.equal(runs, 1);
  });

  matrix(
    'C2: pending() in the callback of a handler has it called in the next pass, not again in this one',
    (loop) => {
      const { ctx, main } = loop;
      const { read, write: end } = loop.pipe();
      let reads = 0;
      ctx.setFdHandler(read, {
        read: () => {
          assert.ok(++reads < 10, 'it is called again and again');
          assert.equal(main?.pending(), true);
        },
      });
      write(end, 'x');

      for (let pass = 1; pass <= 3; pass++) {
        main?.iteration(false);
        assert.equal(reads, pass);
      }
      ctx.poll(false);
      assert.equal(reads, 4);
    },
    { drivers: ['glib'] },
  );

  it('what pending() has found is kept neither by it nor by the iteration around it', async () => {
    const fds = (): number => readdirSync('/proc/self/fd').length;
    const before = fds();
    for (const nests of [true, false]) {
      const main = new MainContext();
      const ctx = new AioContext().attach(main);
      ctx.scheduleOneshot(() => {
        ctx.scheduleOneshot(() => undefined);
        assert.equal(main.pending(), true);
      });
      if (nests) while (main.iteration(false));
      else assert.equal(main.pending(), true);
      ctx.close();
      main.close();
    }
    await collectUntil(() => fds() <= before);
  });

  underGlib('a blocking iteration waits for a timer', (ctx, main) => {
    let fired = false;
    ctx.timer(Clock.realtime, () => (fired = true)).after(10);

    const took = duration(() => {
      while (!fired) main.iteration(true);
    });

    assert.ok(took >= 9);
  });

  underGlib('wakeup() ends a wait once, from inside too', (ctx, main) => {
    main.wakeup();
    main.wakeup();
    main.iteration(true);
    let fired = false;
    ctx.timer(Clock.realtime, () => (fired = true)).after(10);

    const took = duration(() => {
      while (!fired) main.iteration(true);
    });

    assert.ok(took >= 9);
  });

  it('two main contexts are apart', () => {
    using one = new MainContext();
    using other = new MainContext();
    using ctx = new AioContext();
    let runs = 0;
    ctx.attach(one);
    ctx.scheduleOneshot(() => runs++);

    assert.equal(other.iteration(false), false);
    assert.equal(runs, 0);
    one.iteration(false);

    assert.equal(runs, 1);
  });

  it('close gives it up; what is attached to it can still be polled', () => {
    const main = new MainContext();
    using ctx = new AioContext();
    ctx.attach(main);
    let runs = 0;
    ctx.scheduleOneshot(() => runs++);

    main.close();
    main.close();
    main[Symbol.dispose]();

    assert.throws(() => main.iteration(false), closedError);
    assert.throws(() => main.pending(), closedError);
    assert.throws(() => {
      main.wakeup();
    }, closedError);
    using late = new AioContext();
    assert.throws(() => late.attach(main), closedError);
    assert.equal(ctx.poll(false), true);
    assert.equal(runs, 1);
  });

  it('the default one cannot be closed', () => {
    MainContext.default().close();

    MainContext.default().iteration(false);
  });

  underGlib('closed in a callback that it drives', (ctx, main) => {
    let runs = 0;
    ctx.scheduleOneshot(() => {
      runs++;
      main.close();
      assert.throws(() => main.iteration(false), closedError);
    });

    main.iteration(false);

    assert.equal(runs, 1);
    assert.throws(() => main.iteration(false), closedError);
  });

  it('A18: a blocking iteration inside the prepare of a source is an error', async () => {
    // node-gtk runs promise continuations in the prepare of its own source.
    const lines = await scriptLines(
      'cjs',
      `const gi = require('node-gtk'); gi.require('GLib', '2.0');
      require('node-gtk/lib/loop.js').start();
      const main = aio.MainContext.default();
      const ctx = new aio.AioContext();
      ctx.attach(main);
      let seen = 0;
      Promise.resolve().then(() => {
        try { main.iteration(true); } catch (error) { console.log(error.code); }
        console.log(typeof main.iteration(false));
        seen = 1;
      });
      ctx.timer(aio.Clock.realtime, () => { seen++; }).after(20);
      while (seen < 2) main.iteration(true);
      console.log('done');
      process.exit(0);`,
    );

    assert.deepEqual(lines, ['ERR_AIO_IN_PREPARE', 'boolean', 'done']);
  });

  it('owned by another thread: ERR_AIO_WRONG_THREAD, for iterating and for attaching', async () => {
    // The main thread waits in the default main context; the Worker tries to use it and tells through a pipe.
    const lines = await scriptLines(
      'cjs',
      `const { Worker } = require('node:worker_threads');
      const { read, write } = fds.pipe();
      const ctx = new aio.AioContext();
      const main = aio.MainContext.default();
      ctx.attach(main);
      let text = '';
      ctx.setFdHandler(read, { read(fd) { const b = Buffer.alloc(999); text += b.toString('utf8', 0, fds.tryRead(fd, b)); } });
      new Worker(\`
        const aio = require('aio-gsource'); const fds = require('aio-gsource/fds');
        const { workerData } = require('node:worker_threads');
        const main = aio.MainContext.default();
        let lines = '';
        const attempt = (name, body) => {
          let result = 'none';
          try { body(); } catch (error) { result = error.code; }
          lines += name + ' ' + result + '\\\\n';
        };
        attempt('attach', () => new aio.AioContext().attach(main));
        attempt('attach default', () => new aio.AioContext().attach());
        attempt('iteration', () => main.iteration(false));
        attempt('iteration', () => main.iteration(true));
        attempt('pending', () => main.pending());
        attempt('wakeup', () => main.wakeup());
        fds.tryWrite(workerData, lines + 'end'); // at last: it ends the iteration of the main thread
      \`, { eval: true, workerData: write });
      while (!text.includes('end')) main.iteration(true);
      console.log(text.trimEnd());
      ctx.close();
      process.exit(0);`,
    );

    assert.deepEqual(lines, [
      ...['attach', 'attach default', 'iteration', 'iteration', 'pending'].map(
        (name) => `${name} ERR_AIO_WRONG_THREAD`,
      ),
      'wakeup none',
      'end',
    ]);
  });

  it('driven by another thread than the home: one warning, no callback, no crash', async () => {
    const { code, stdout, stderr } = await runScript(
      'cjs',
      `const { Worker } = require('node:worker_threads');
      const shared = new Int32Array(new SharedArrayBuffer(8));
      const worker = new Worker(\`
        const aio = require('aio-gsource');
        const { workerData: shared } = require('node:worker_threads');
        const ctx = new aio.AioContext({ name: 'astray' });
        ctx.attach();
        ctx.scheduleOneshot(() => Atomics.add(shared, 1, 1));
        Atomics.store(shared, 0, 1); Atomics.notify(shared, 0);
        Atomics.wait(shared, 0, 1);
        console.log(ctx.attached, ctx.poll(false), Atomics.load(shared, 1));
        ctx.close();
      \`, { eval: true, workerData: shared });
      worker.on('online', () => {});
      setTimeout(() => {
        Atomics.wait(shared, 0, 0, 5000);
        const main = aio.MainContext.default();
        for (let i = 0; i < 5; i++) main.iteration(false);
        console.log('ran', Atomics.load(shared, 1));
        Atomics.store(shared, 0, 2); Atomics.notify(shared, 0);
      }, 200);`,
    );

    assert.equal(code, 0, stderr);
    assert.deepEqual(stdout.trimEnd().split('\n'), ['ran 0', 'false true 1']);
    assert.equal(stderr.match(/astray/g)?.length, 1, stderr);
  });
});
