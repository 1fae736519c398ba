import assert from 'node:assert/strict';

import { AioContext, Clock, Priority } from 'aio-gsource';
import { notifyMe } from 'aio-gsource/internals';

import { duration, matrix, scriptLines, underGlib, write } from './helpers.js';

describe('AioContext: as a GSource', () => {
  underGlib(
    'A6: pending() leaves the source ready; the iteration after it runs what there is, once',
    (ctx, main) => {
      let runs = 0;
      ctx.scheduleOneshot(() => runs++);

      assert.equal(main.pending(), true);
      assert.equal(main.pending(), true);
      main.iteration(false);
      main.iteration(false);

      assert.equal(runs, 1);
    },
  );

  underGlib('A6: poll takes what pending() found; the iteration then has nothing left to do', (ctx, main) => {
    let runs = 0;
    ctx.scheduleOneshot(() => runs++);

    assert.equal(main.pending(), true);
    assert.equal(ctx.poll(false), true);
    main.iteration(false);
    main.iteration(false);

    assert.equal(runs, 1);
    assert.equal(main.iteration(false), false);
  });

  underGlib('A6: after a prepare without check a blocking poll neither hangs nor spins', (ctx, main) => {
    let fired = false as boolean;
    main.pending();
    ctx.timer(Clock.realtime, () => (fired = true)).after(20);
    const before = ctx.stats();

    while (!fired) ctx.poll(true);

    const after = ctx.stats();
    assert.ok(after.waits - before.waits < 5);
    assert.ok(after.zeroWaits - before.zeroWaits < 5);
  });

  underGlib(
    'A6: a thousand bottom halves, each scheduled by the one before, write the eventfd once at most',
    (ctx, main) => {
      let left = 1000;
      const bh = ctx.bh(() => {
        if (--left > 0) bh.schedule();
      });

      bh.schedule();
      while (left > 0) main.iteration(true);

      assert.ok(ctx.stats().eventfdWrites <= 1, `${String(ctx.stats().eventfdWrites)} writes`);
    },
  );

  underGlib(
    'A6: a source of higher priority that is always ready holds it up, and loses nothing',
    (ctx, main) => {
      using high = new AioContext();
      high.attach(main, { priority: Priority.high });
      let busy = 100;
      const storm = high.bh(() => {
        if (--busy > 0) storm.schedule();
      });
      const runs: number[] = [];
      storm.schedule();
      for (let i = 0; i < 10; i++) ctx.scheduleOneshot(() => runs.push(busy));

      for (let i = 0; i < 101; i++) main.iteration(false);

      assert.deepEqual(runs, new Array<number>(10).fill(0));
    },
  );

  underGlib(
    'B12: one that reschedules itself does not starve another source of the same priority',
    (ctx, main) => {
      using other = new AioContext();
      other.attach(main);
      const storm = ctx.bh(() => {
        storm.schedule();
      });
      let ticks = 0;
      const tick = other.bh(() => {
        ticks++;
        tick.schedule();
      });
      storm.schedule();
      tick.schedule();

      for (let i = 0; i < 100; i++) main.iteration(false);
      storm.close();
      tick.close();

      assert.ok(ticks >= 90, `${String(ticks)} of 100`);
    },
  );

  underGlib('A8: notify makes one blocking iteration return', (ctx, main) => {
    ctx.notify();

    assert.ok(duration(() => main.iteration(true)) < 1000);
    assert.equal(main.pending(), false, 'it was accepted');
  });

  underGlib('notify is nothing to dispatch', (ctx, main) => {
    main.iteration(false);
    const { dispatches } = ctx.stats();

    ctx.notify();
    main.iteration(true);

    assert.equal(ctx.stats().dispatches, dispatches);
  });

  underGlib('bit 0 of notify_me is clear while callbacks run', (ctx, main) => {
    const seen: number[] = [];
    ctx.scheduleOneshot(() => seen.push(notifyMe(ctx)));
    ctx.timer(Clock.realtime, () => seen.push(notifyMe(ctx))).after(1);

    while (seen.length < 2) main.iteration(true);

    assert.deepEqual(seen, [0, 0]);
    assert.equal(notifyMe(ctx), 0);
  });

  underGlib('wakeup() makes a blocking iteration return', (_, main) => {
    main.wakeup();

    assert.ok(duration(() => main.iteration(true)) < 1000);
  });

  underGlib('iteration(false) with nothing to do is false', (_, main) => {
    assert.equal(main.iteration(false), false);
    assert.equal(main.pending(), false);
  });

  it('A7: a poll nested between prepare and sleep tells the sleeper what it armed', async () => {
    // A source whose prepare runs JavaScript: node-gtk's own, which runs promise continuations in it.
    const lines = await scriptLines(
      'cjs',
      `const gi = require('node-gtk'); const GLib = gi.require('GLib', '2.0');
      const main = GLib.MainContext.default();
      const ctx = new aio.AioContext();
      ctx.attach(main); // before node-gtk's source, so that it is prepared before
      require('node-gtk/lib/loop.js').start();
      main.iteration(false);
      GLib.timeoutAdd(0, 1500, () => false);
      let start, took;
      Promise.resolve().then(() => {
        start = performance.now();
        ctx.scheduleOneshot(() => {
          ctx.timer(aio.Clock.realtime, () => { took = performance.now() - start; }).after(50);
        });
        ctx.poll(false);
        ctx.poll(false);
      });
      const deadline = performance.now() + 5000;
      while (took === undefined && performance.now() < deadline) main.iteration(true);
      console.log(took < 150 ? 'in time' : 'after ' + took);
      ctx.close();
      process.exit(0);`,
    );

    assert.deepEqual(lines, ['in time']);
  });
});

describe('AioContext: as a GSource, in a matrix', () => {
  matrix('C5: a nested wait for a descriptor of the same context', (loop) => {
    const { read, write: end } = loop.pipe();
    const order: string[] = [];
    loop.ctx.setFdHandler(read, {
      read: (fd) => {
        order.push('read');
        loop.ctx.setFdHandler(fd, null);
      },
    });
    loop.ctx.scheduleOneshot(() => {
      write(end, 'x');
      loop.until(() => order.includes('read'));
      order.push('leave');
    });

    loop.step();

    assert.deepEqual(order, ['read', 'leave']);
  });

  matrix('C3: a nested pass takes a notification; the outer loop still sees what comes later', (loop) => {
    const order: string[] = [];
    loop.ctx.scheduleOneshot(() => {
      loop.ctx.notify();
      loop.step();
      loop.ctx.scheduleOneshot(() => order.push('later'));
    });

    loop.step();
    loop.until(() => order.length > 0);

    assert.deepEqual(order, ['later']);
  });
});
