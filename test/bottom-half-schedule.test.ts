import assert from 'node:assert/strict';
import { AsyncLocalStorage, createHook } from 'node:async_hooks';

import type { BottomHalf } from 'aio-gsource';
import { computeTimeoutNs } from 'aio-gsource/internals';

import { matrix, withLoop } from './helpers.js';

describe('BottomHalf: scheduling', () => {
  matrix('B1: they run in the order in which they were scheduled', (loop) => {
    const order: string[] = [];
    const [a, b, c] = ['a', 'b', 'c'].map((name) => loop.ctx.bh(() => order.push(name)));

    c?.schedule();
    a?.schedule();
    b?.schedule();
    loop.step();

    assert.deepEqual(order, ['c', 'a', 'b']);
  });

  matrix('any number of schedules before the run is one run', (loop) => {
    let runs = 0;
    const bh = loop.ctx.bh(() => runs++);

    for (let i = 0; i < 100; i++) bh.schedule();
    assert.ok(bh.scheduled);
    loop.steps(3);

    assert.equal(runs, 1);
    assert.ok(!bh.scheduled);
  });

  matrix('the callback gets the bottom half, which is no longer scheduled', (loop) => {
    const seen: [BottomHalf, boolean][] = [];
    const bh = loop.ctx.bh((given) => seen.push([given, given.scheduled]));

    bh.schedule();
    loop.step();

    assert.equal(seen.length, 1);
    assert.equal(seen[0]?.[0], bh);
    assert.equal(seen[0][1], false);
  });

  matrix('B2: one that schedules itself runs once a pass, and others make progress', (loop) => {
    const fds = loop.pipe();
    const runs = { bh: 0, oneshot: 0, read: 0 };
    const bh = loop.ctx.bh(() => {
      if (++runs.bh < 10) bh.schedule();
    });
    loop.ctx.setFdHandler(fds.write, { write: () => runs.read++ });
    loop.ctx.scheduleOneshot(function again() {
      runs.oneshot++;
      loop.ctx.scheduleOneshot(again);
    });

    bh.schedule();
    for (let pass = 1; pass <= 10; pass++) {
      loop.step();
      assert.deepEqual(runs, { bh: pass, oneshot: pass, read: pass });
    }
    loop.step();

    assert.equal(runs.bh, 10);
  });

  matrix('one scheduled by another in its callback runs in the next pass', (loop) => {
    const order: string[] = [];
    const second = loop.ctx.bh(() => order.push('second'));
    const first = loop.ctx.bh(() => {
      order.push('first');
      second.schedule();
    });

    first.schedule();
    loop.step();
    assert.deepEqual(order, ['first']);
    loop.step();

    assert.deepEqual(order, ['first', 'second']);
  });

  withLoop('B7: a normal schedule upgrades a pending idle one', (loop) => {
    let runs = 0;
    const bh = loop.ctx.bh(() => runs++);

    bh.scheduleIdle();
    bh.schedule();
    assert.equal(computeTimeoutNs(loop.ctx), 0n);
    assert.equal(loop.ctx.poll(true), true);

    assert.equal(runs, 1);
  });

  withLoop('B7: an idle schedule leaves a pending normal one as it is', (loop) => {
    const bh = loop.ctx.bh(() => undefined);

    bh.schedule();
    bh.scheduleIdle();

    assert.equal(computeTimeoutNs(loop.ctx), 0n);
    assert.equal(loop.ctx.poll(true), true);
  });

  withLoop('B8: an idle one runs within 10 ms, and is no progress', (loop) => {
    let runs = 0;
    const bh = loop.ctx.bh(() => runs++);

    bh.scheduleIdle();
    assert.ok(bh.scheduled);
    assert.equal(computeTimeoutNs(loop.ctx), 10_000_000n);
    assert.equal(loop.ctx.poll(true), false);

    assert.equal(runs, 1);
  });

  matrix('B8: an idle one runs in every pass that happens', (loop) => {
    let runs = 0;
    const bh = loop.ctx.bh(() => {
      runs++;
      bh.scheduleIdle();
    });

    bh.scheduleIdle();
    for (let pass = 1; pass <= 5; pass++) {
      loop.ctx.scheduleOneshot(() => undefined);
      loop.wait();
      assert.equal(runs, pass);
    }
  });

  matrix('B9: cancel takes a schedule back', (loop) => {
    let runs = 0;
    const bh = loop.ctx.bh(() => runs++);

    bh.schedule();
    bh.cancel();
    bh.cancel();
    assert.ok(!bh.scheduled);
    loop.steps(2);

    assert.equal(runs, 0);
  });

  matrix('B9: one that is cancelled and scheduled again keeps its place', (loop) => {
    const order: string[] = [];
    const a = loop.ctx.bh(() => order.push('a'));
    const b = loop.ctx.bh(() => order.push('b'));

    a.schedule();
    b.schedule();
    a.cancel();
    a.schedule();
    loop.step();

    assert.deepEqual(order, ['a', 'b']);
  });

  matrix('B9: cancel in its own callback cancels what was scheduled there', (loop) => {
    let runs = 0;
    const bh = loop.ctx.bh(() => {
      runs++;
      bh.schedule();
      bh.cancel();
    });

    bh.schedule();
    loop.steps(3);

    assert.equal(runs, 1);
  });

  withLoop('cancelled ones are no progress', (loop) => {
    const bh = loop.ctx.bh(() => undefined);

    bh.schedule();
    bh.cancel();

    assert.equal(loop.ctx.poll(false), false);
  });

  matrix('call() runs it now and leaves a schedule as it is', (loop) => {
    let runs = 0;
    const bh = loop.ctx.bh(() => runs++);

    bh.call();
    assert.equal(runs, 1);
    assert.ok(!bh.scheduled);
    bh.schedule();
    bh.call();
    assert.equal(runs, 2);
    assert.ok(bh.scheduled);
    loop.step();

    assert.equal(runs, 3);
  });

  withLoop('call() runs it inside its own callback too', (loop) => {
    let depth = 0;
    const bh = loop.ctx.bh(() => {
      if (++depth < 5) bh.call();
    });

    bh.call();

    assert.equal(depth, 5);
  });

  matrix('a oneshot runs once', (loop) => {
    let runs = 0;

    loop.ctx.scheduleOneshot(() => runs++);
    loop.steps(3);

    assert.equal(runs, 1);
  });

  matrix('oneshots keep their order among bottom halves', (loop) => {
    const order: number[] = [];
    const bh = loop.ctx.bh(() => order.push(1));

    loop.ctx.scheduleOneshot(() => order.push(0));
    bh.schedule();
    loop.ctx.scheduleOneshot(() => order.push(2), { name: 'named' });
    loop.step();

    assert.deepEqual(order, [0, 1, 2]);
  });

  matrix('B4: a oneshot whose callback schedules a thousand', (loop) => {
    let runs = 0;

    loop.ctx.scheduleOneshot(() => {
      for (let i = 0; i < 1000; i++) loop.ctx.scheduleOneshot(() => runs++);
    });
    loop.steps(2);

    assert.equal(runs, 1000);
  });

  withLoop('has the name it was given', (loop) => {
    assert.equal(loop.ctx.bh(() => undefined, { name: 'flush' }).name, 'flush');
    assert.equal(typeof loop.ctx.bh(() => undefined).name, 'string');
    assert.equal(loop.ctx.bh(() => undefined, { name: 'ünïcode ✓' }).name, 'ünïcode ✓');
  });

  withLoop('a pass that an async hook makes as one is scheduled does not take it away', ({ ctx }) => {
    const order: string[] = [];
    let inHook = (): void => undefined;
    const hook = createHook({
      init: (_, type) => {
        if (type === 'AioCallback') inHook();
      },
    }).enable();
    try {
      inHook = () => {
        inHook = () => undefined;
        order.push('hook');
        ctx.poll(false);
      };
      // With a store, or there is nothing that a hook would be told of.
      new AsyncLocalStorage().run('store', () => {
        ctx.scheduleOneshot(() => order.push('oneshot'));
      });
    } finally {
      hook.disable();
    }

    assert.deepEqual(order, ['hook']);
    assert.equal(ctx.poll(false), true);
    assert.deepEqual(order, ['hook', 'oneshot']);
  });
});
