import assert from 'node:assert/strict';

import { type BottomHalf } from 'aio-gsource';

import { closedError, collectUntil, matrix, withLoop } from './helpers.js';

describe('BottomHalf: life', () => {
  for (const method of ['close', 'delete', 'dispose'] as const) {
    const end = (bh: BottomHalf): void => {
      if (method === 'dispose') bh[Symbol.dispose]();
      else bh[method]();
    };

    matrix(`${method} ends a scheduled one without a run`, (loop) => {
      let runs = 0;
      const bh = loop.ctx.bh(() => runs++);

      bh.schedule();
      end(bh);
      assert.ok(!bh.scheduled);
      loop.steps(2);

      assert.equal(runs, 0);
    });

    matrix(`B4: ${method} in its own callback`, (loop) => {
      let runs = 0;
      const bh = loop.ctx.bh(() => {
        runs++;
        end(bh);
        end(bh);
      });

      bh.schedule();
      loop.steps(3);

      assert.equal(runs, 1);
    });

    withLoop(`${method} twice is as good as once`, (loop) => {
      const bh = loop.ctx.bh(() => undefined);

      end(bh);
      end(bh);
      loop.step();
      end(bh);
    });
  }

  matrix('B4: deletes itself, then runs a nested pass that frees it', (loop) => {
    const order: string[] = [];
    const bh = loop.ctx.bh(() => {
      order.push('enter');
      bh.delete();
      loop.step();
      order.push('leave');
    });

    bh.schedule();
    loop.ctx.scheduleOneshot(() => order.push('sibling'));
    loop.steps(2);

    assert.deepEqual(order, ['enter', 'sibling', 'leave']);
  });

  withLoop('a closed one cannot be used', (loop) => {
    const bh = loop.ctx.bh(() => undefined, { name: 'gone' });
    bh.close();

    for (const method of ['schedule', 'scheduleIdle', 'cancel', 'call'] as const)
      assert.throws(
        () => {
          bh[method]();
        },
        closedError,
        method,
      );
    assert.equal(bh.scheduled, false);
    assert.equal(bh.name, 'gone');
  });

  withLoop('closing the context closes it', (loop) => {
    let runs = 0;
    const bh = loop.ctx.bh(() => runs++);
    bh.schedule();

    loop.ctx.close();

    assert.equal(bh.scheduled, false);
    assert.throws(() => {
      bh.schedule();
    }, closedError);
    bh.close();
    assert.equal(runs, 0);
  });

  withLoop('`using` closes it', (loop) => {
    let outer: BottomHalf;
    {
      using bh = loop.ctx.bh(() => undefined);
      outer = bh;
      bh.schedule();
    }

    assert.ok(!outer.scheduled);
    assert.throws(() => {
      outer.schedule();
    }, closedError);
  });

  withLoop('B10: a hundred thousand deleted ones are no progress', (loop) => {
    for (let i = 0; i < 100_000; i++) loop.ctx.bh(() => undefined).delete();

    assert.equal(loop.ctx.poll(false), false);
  });

  withLoop('N6: one that is neither scheduled nor referenced is collected', async (loop) => {
    const payload = { big: new Array<number>(1000).fill(0) };
    const bhRef = new WeakRef(loop.ctx.bh(() => payload.big.push(1)));

    await collectUntil(() => bhRef.deref() === undefined);
    loop.step();
  });

  withLoop('N6: a scheduled one that nobody references runs', async (loop) => {
    const runs: string[] = [];
    (() => {
      loop.ctx.bh(() => runs.push('bh')).schedule();
      loop.ctx.bh(() => runs.push('idle')).scheduleIdle();
      loop.ctx.scheduleOneshot(() => runs.push('oneshot'));
    })();

    for (let i = 0; i < 5; i++) await collectUntil(() => true);
    loop.step();

    assert.deepEqual(runs, ['bh', 'idle', 'oneshot']);
  });

  withLoop('N6: what has run, or was cancelled, is collected again', async (loop) => {
    const refs = (['run', 'cancel'] as const).map((after) => {
      const bh = loop.ctx.bh(() => undefined);
      bh.schedule();
      if (after === 'cancel') bh.cancel();
      return new WeakRef(bh);
    });
    loop.step();

    await collectUntil(() => refs.every((ref) => ref.deref() === undefined));
  });

  withLoop('N6: a reference to it keeps its callback', async (loop) => {
    let runs = 0;
    const bh = loop.ctx.bh(() => runs++);

    for (let i = 0; i < 5; i++) await collectUntil(() => true);
    bh.schedule();
    loop.step();

    assert.equal(runs, 1);
  });
});
