import assert from 'node:assert/strict';
import { setTimeout as nodeTimeout } from 'node:timers/promises';

import { Clock } from 'aio-gsource';

import {
  aioError,
  closedError,
  drain,
  duration,
  runScript,
  scriptLines,
  withLoop,
  write,
} from './helpers.js';

const timedOut = aioError('ERR_AIO_TIMEOUT');
const wouldHang = aioError('ERR_AIO_WOULD_HANG');
const inMicrotask = aioError('ERR_AIO_IN_MICROTASK');

describe('AioContext: blockOn', () => {
  withLoop('a promise that is settled already', ({ ctx }) => {
    assert.equal(ctx.blockOn(Promise.resolve(7)), 7);
    const error = new Error('rejected');
    assert.throws(() => ctx.blockOn(Promise.reject(error)), error);
  });

  withLoop('a promise that a bottom half, a timer, a descriptor resolves', (loop) => {
    const { ctx } = loop;
    const { read, write: end } = loop.pipe();
    const byBh = new Promise<string>((resolve) => {
      ctx.scheduleOneshot(() => {
        resolve('bottom half');
      });
    });
    const byTimer = new Promise<string>((resolve) => {
      ctx
        .timer(Clock.realtime, () => {
          resolve('timer');
        })
        .after(1);
    });
    const byFd = new Promise<string>((resolve) => {
      ctx.setFdHandler(read, {
        read: (fd) => {
          resolve(drain(fd));
        },
      });
    });

    assert.equal(ctx.blockOn(byTimer), 'timer');
    assert.equal(ctx.blockOn(byBh), 'bottom half');
    write(end, 'descriptor');
    assert.equal(ctx.blockOn(byFd), 'descriptor');
    ctx.setFdHandler(read, null);
  });

  withLoop('an async function with several awaits', ({ ctx }) => {
    async function work(): Promise<number> {
      let sum = 0;
      for (let i = 1; i <= 4; i++) {
        await ctx.sleep(0.1);
        sum += await Promise.resolve(i);
        await new Promise<void>((resolve) => {
          process.nextTick(resolve);
        });
      }
      return sum;
    }

    assert.equal(ctx.blockOn(work()), 10);
  });

  withLoop('a thenable', ({ ctx }) => {
    const thenable = {
      then(resolve: (value: string) => void): void {
        ctx.scheduleOneshot(() => {
          resolve('thenable');
        });
      },
    };

    assert.equal(ctx.blockOn(thenable as PromiseLike<string>), 'thenable');
  });

  withLoop('a rejection is thrown as it is, whatever it is', ({ ctx }) => {
    for (const reason of [new TypeError('x'), null, undefined, 0, 'text']) {
      const rejects = ctx.sleep(0).then(() => {
        throw reason as Error;
      });
      let caught: unknown = 'nothing';
      try {
        ctx.blockOn(rejects);
      } catch (error) {
        caught = error;
      }
      assert.equal(caught, reason);
    }
  });

  withLoop('a timeout ends the wait, not the work', ({ ctx }) => {
    const slow = ctx.sleep(30).then(() => 'slow');

    const took = duration(() => {
      assert.throws(() => ctx.blockOn(slow, { timeout: 5 }), timedOut);
    });

    assert.ok(took >= 5 && took < 30);
    assert.equal(ctx.blockOn(slow), 'slow');
  });

  withLoop('a signal ends the wait', ({ ctx }) => {
    const controller = new AbortController();
    const never = new Promise<never>(() => undefined);
    ctx
      .timer(Clock.realtime, () => {
        controller.abort('why');
      })
      .after(1);
    const abort = { name: 'AbortError', code: 'ABORT_ERR', cause: 'why' };

    assert.throws(() => ctx.blockOn(never, { signal: controller.signal }), abort);
    assert.throws(() => ctx.blockOn(never, { signal: controller.signal }), abort);
  });

  withLoop('nothing armed: it would hang', ({ ctx }) => {
    assert.throws(() => ctx.blockOn(new Promise(() => undefined)), wouldHang);
    assert.throws(
      () => ctx.blockOn(ctx.sleep(1).then(() => new Promise(() => undefined))),
      wouldHang,
      'nothing armed any more',
    );
  });

  withLoop("Node's own timers do not run in it, so alone they would hang", async ({ ctx }) => {
    const byNode = nodeTimeout(1, 'node');

    assert.throws(() => ctx.blockOn(byNode), wouldHang);
    assert.throws(() => ctx.blockOn(byNode, { timeout: 20 }), timedOut);

    assert.equal(await byNode, 'node');
  });

  withLoop('nests in callbacks', ({ ctx }) => {
    const order: string[] = [];
    const outer = new Promise<void>((resolve) => {
      ctx.scheduleOneshot(() => {
        order.push(ctx.blockOn(ctx.sleep(1).then(() => 'inner')));
        resolve();
      });
    });

    ctx.blockOn(outer);

    assert.deepEqual(order, ['inner']);
  });

  withLoop('what other callbacks throw meanwhile ends it', ({ ctx }) => {
    ctx.scheduleOneshot(() => {
      throw new Error('other');
    });
    const slow = ctx.sleep(1).then(() => 'slow');

    assert.throws(() => ctx.blockOn(slow), /other/);

    assert.equal(ctx.blockOn(slow), 'slow');
  });

  withLoop('a context that is closed meanwhile ends it', ({ ctx }) => {
    ctx.scheduleOneshot(() => {
      ctx.close();
    });

    assert.throws(() => ctx.blockOn(new Promise(() => undefined)), closedError);
    assert.throws(() => ctx.blockOn(Promise.resolve()), closedError);
  });

  withLoop('in a microtask a promise cannot settle', async ({ ctx }) => {
    await Promise.resolve();

    assert.throws(() => ctx.blockOn(ctx.sleep(1)), inMicrotask);
  });

  withLoop('in a callback of a wait that is itself in a microtask: the same', async ({ ctx }) => {
    await Promise.resolve();
    let caught: unknown;
    let done = false;
    ctx.scheduleOneshot(() => {
      try {
        ctx.blockOn(ctx.sleep(1));
      } catch (error) {
        caught = error;
      }
      done = true;
    });

    ctx.waitWhile(() => !done);

    assert.ok(caught instanceof Error);
    assert.equal((caught as Error & { code: string }).code, 'ERR_AIO_IN_MICROTASK');
  });

  withLoop('leaves no unhandled rejection behind', async ({ ctx }) => {
    const seen: unknown[] = [];
    const listener = (reason: unknown): void => {
      seen.push(reason);
    };
    process.on('unhandledRejection', listener);
    try {
      assert.throws(() => ctx.blockOn(Promise.reject(new Error('handled here'))));
      assert.throws(() => ctx.blockOn(ctx.sleep(1000), { timeout: 0 }), timedOut);
      await nodeTimeout(1);
    } finally {
      process.off('unhandledRejection', listener);
    }

    assert.deepEqual(seen, []);
  });
});

describe('runMain', () => {
  for (const kind of ['esm', 'cjs'] as const)
    it(`runs main where promises settle (${kind})`, async () => {
      const lines = await scriptLines(
        kind,
        `const { AioContext, runMain } = aio;
        console.log('before');
        runMain(() => {
          const ctx = new AioContext();
          console.log(ctx.blockOn(ctx.sleep(1).then(() => 'slept')));
          ctx.close();
        });
        console.log('after');`,
      );

      assert.deepEqual(lines, ['before', 'after', 'slept']);
    });

  it('at the top of an ES module, without it, promises cannot settle', async () => {
    const lines = await scriptLines(
      'esm',
      `const ctx = new aio.AioContext();
      try { ctx.blockOn(ctx.sleep(1)); } catch (error) { console.log(error.code); }
      ctx.close();`,
    );

    assert.deepEqual(lines, ['ERR_AIO_IN_MICROTASK']);
  });

  it("starves nothing of Node's, under a nested loop of node-gtk", async () => {
    const lines = await scriptLines(
      'esm',
      `import gi from 'node-gtk';
      const GLib = gi.require('GLib', '2.0');
      setTimeout(() => console.log('timer armed before'), 1);
      aio.runMain(() => {
        const loop = GLib.MainLoop.new(null, false);
        const ctx = new aio.AioContext();
        ctx.attach(GLib.MainContext.default());
        setTimeout(() => console.log('timer armed inside'), 5);
        ctx.timer(aio.Clock.realtime, () => { ctx.close(); loop.quit(); }).after(100);
        loop.run();
        console.log('quit');
      });`,
    );

    assert.deepEqual(lines, ['timer armed before', 'timer armed inside', 'quit']);
  });

  for (const kind of ['esm', 'cjs'] as const)
    it(`may end the process inside a nested loop (${kind})`, async () => {
      const { code, signal, stderr } = await runScript(
        kind,
        `const gi = require('node-gtk'); const GLib = gi.require('GLib', '2.0');
        aio.runMain(() => {
          const ctx = new aio.AioContext();
          ctx.attach(GLib.MainContext.default());
          ctx.timer(aio.Clock.realtime, () => { process.exit(7); }).after(20);
          GLib.MainLoop.new(null, false).run();
        });`,
      );

      assert.deepEqual({ code, signal }, { code: 7, signal: null }, stderr);
    });

  it('what main throws is an uncaughtException', async () => {
    const lines = await scriptLines(
      'esm',
      `process.on('uncaughtException', (error) => console.log('uncaught', error.message));
      aio.runMain(() => { throw new Error('in main'); });
      aio.runMain(() => { console.log('next'); });`,
    );

    assert.deepEqual(lines, ['uncaught in main', 'next']);
  });
});
