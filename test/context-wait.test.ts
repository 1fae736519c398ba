import assert from 'node:assert/strict';

import { AioContext, Clock, EventNotifier } from 'aio-gsource';

import { aioError, closedError, drain, duration, matrix, scriptLines, withLoop, write } from './helpers.js';

const timedOut = aioError('ERR_AIO_TIMEOUT');
const wouldHang = aioError('ERR_AIO_WOULD_HANG');
const aborted = (cause: unknown): object => ({ name: 'AbortError', code: 'ABORT_ERR', cause });

describe('AioContext: waitWhile', () => {
  withLoop('does not wait when the condition is false at first', ({ ctx }) => {
    const { polls } = ctx.stats();

    ctx.waitWhile(() => false);

    assert.equal(ctx.stats().polls, polls);
  });

  withLoop('waits for a bottom half, a descriptor, a notifier, a timer', (loop) => {
    const { ctx } = loop;
    const { read, write: end } = loop.pipe();
    using notifier = new EventNotifier();
    let waiting = true;
    const done = (): void => {
      waiting = false;
    };
    ctx.setFdHandler(read, {
      read: (fd) => {
        drain(fd);
        done();
      },
    });
    ctx.setEventNotifier(notifier, { read: done });
    for (const cause of [
      () => {
        ctx.scheduleOneshot(done);
      },
      () => {
        write(end, 'x');
      },
      () => {
        notifier.set();
      },
      () => {
        ctx.timer(Clock.realtime, done).after(2);
      },
      () => {
        ctx.bh(done).scheduleIdle();
      },
    ]) {
      waiting = true;
      cause();
      ctx.waitWhile(() => waiting);
      assert.equal(waiting, false);
    }
  });

  withLoop('runs other callbacks meanwhile', ({ ctx }) => {
    let ticks = 0;
    using timer = ctx.timer(Clock.realtime, () => ticks++);
    timer.every(1);

    ctx.waitWhile(() => ticks < 5);

    assert.equal(ticks, 5);
  });

  withLoop('a timeout ends it', ({ ctx }) => {
    const took = duration(() => {
      assert.throws(() => {
        ctx.waitWhile(() => true, { timeout: 10 });
      }, timedOut);
    });

    assert.ok(took >= 10 && took < 1000);
    assert.throws(
      () => {
        ctx.waitWhile(() => true);
      },
      wouldHang,
      'the timer of the timeout is gone',
    );
  });

  withLoop('a timeout that is not reached leaves nothing behind', ({ ctx }) => {
    let waiting = true;
    ctx.scheduleOneshot(() => (waiting = false));

    ctx.waitWhile(() => waiting, { timeout: 10_000 });

    assert.throws(() => {
      ctx.waitWhile(() => true);
    }, wouldHang);
  });

  it('a timeout beyond the clock leaves no timer', async () => {
    const [grown] = await scriptLines(
      'cjs',
      `const ctx = new aio.AioContext();
      const beyond = Number((2n ** 63n - 1n) / 1_000_000n) - 1;
      // V8 keeps the room that garbage once had.
      function used(count) {
        for (let i = 0; i < count; i++)
          try { ctx.waitWhile(() => true, { timeout: beyond }); console.log('it waited'); }
          catch (error) { if (error.code !== 'ERR_OUT_OF_RANGE') throw error; }
        gc(); gc();
        const { rss, heapTotal, heapUsed } = process.memoryUsage();
        return rss - heapTotal + heapUsed;
      }
      const before = used(20_000);
      console.log(used(80_000) - before);
      ctx.close();`,
      // It would keep what has been freed.
      { asan: 'quarantine_size_mb=0:thread_local_quarantine_size_kb=0' },
    );

    // Timers of 170 bytes would be 14 MB.
    assert.ok(Number(grown) < 5e6, `${String(grown)} bytes more`);
  });

  withLoop('a timeout of 0 polls once at least', ({ ctx }) => {
    let waiting = true;
    ctx.scheduleOneshot(() => (waiting = false));

    ctx.waitWhile(() => waiting, { timeout: 0 });

    assert.throws(() => {
      ctx.waitWhile(() => true, { timeout: 0 });
    }, timedOut);
  });

  withLoop('a signal ends it, with its reason as cause', ({ ctx }) => {
    const controller = new AbortController();
    const reason = new Error('enough');
    ctx
      .timer(Clock.realtime, () => {
        controller.abort(reason);
      })
      .after(5);

    assert.throws(() => {
      ctx.waitWhile(() => true, { signal: controller.signal });
    }, aborted(reason));
    assert.throws(
      () => {
        ctx.waitWhile(() => true, { signal: controller.signal });
      },
      aborted(reason),
      'aborted before',
    );
    ctx.waitWhile(() => false, { signal: new AbortController().signal });
  });

  withLoop('without anything armed it would hang', ({ ctx }) => {
    ctx.bh(() => undefined);
    ctx.timer(Clock.manual(), () => undefined).after(1); // nobody will move its clock

    assert.throws(() => {
      ctx.waitWhile(() => true);
    }, wouldHang);
  });

  withLoop('what waits in the tick queue may be what it waits for, or arm it', ({ ctx }) => {
    let waiting = true;
    process.nextTick(() => (waiting = false));
    ctx.waitWhile(() => waiting);

    waiting = true;
    queueMicrotask(() => {
      ctx.scheduleOneshot(() => (waiting = false));
    });
    ctx.waitWhile(() => waiting);

    let ticked = false;
    process.nextTick(() => (ticked = true));
    assert.throws(() => {
      ctx.waitWhile(() => true);
    }, wouldHang);
    assert.equal(ticked, true);
  });

  withLoop('when the last thing that was armed has run it would hang', ({ ctx }) => {
    let ran = false;
    ctx.scheduleOneshot(() => (ran = true));

    assert.throws(() => {
      ctx.waitWhile(() => true);
    }, wouldHang);
    assert.ok(ran);
  });

  withLoop('a timer on a disabled clock is not armed', ({ ctx }) => {
    using timer = ctx.timer(Clock.virtual, () => undefined);
    timer.mod(0);
    Clock.virtual.enabled = false;
    try {
      assert.throws(() => {
        ctx.waitWhile(() => true);
      }, wouldHang);
    } finally {
      Clock.virtual.enabled = true;
    }
  });

  withLoop('what the condition throws is thrown', ({ ctx }) => {
    const error = new Error('condition');

    assert.throws(() => {
      ctx.waitWhile(() => {
        throw error;
      });
    }, error);
  });

  withLoop('nests', ({ ctx }) => {
    const order: string[] = [];
    ctx.scheduleOneshot(() => {
      ctx.scheduleOneshot(() => order.push('inner'));
      ctx.waitWhile(() => !order.includes('inner'));
      order.push('outer');
    });

    ctx.waitWhile(() => !order.includes('outer'));

    assert.deepEqual(order, ['inner', 'outer']);
  });

  withLoop('ends when its context is closed in a callback', ({ ctx }) => {
    ctx.scheduleOneshot(() => {
      ctx.close();
    });

    assert.throws(() => {
      ctx.waitWhile(() => true);
    }, closedError);
  });

  it('works inside a microtask', async () => {
    await Promise.resolve();
    using ctx = new AioContext();
    let waiting = true;
    ctx.timer(Clock.realtime, () => (waiting = false)).after(1);

    ctx.waitWhile(() => waiting);
  });
});

describe('AioContext: sleep', () => {
  matrix('resolves on its clock', async (loop) => {
    const clock = Clock.manual();
    let slept = false;
    const sleeping = loop.ctx.sleep(10, { clock }).then(() => (slept = true));

    clock.advance(9);
    loop.step();
    await Promise.resolve();
    assert.equal(slept, false);
    clock.advance(1);
    loop.step();
    await sleeping;

    assert.ok(slept);
  });

  withLoop('is on the realtime clock without one', ({ ctx }) => {
    const took = duration(() => {
      ctx.blockOn(ctx.sleep(5));
    });

    assert.ok(took >= 5);
  });

  withLoop('a signal rejects it, and disarms it', async ({ ctx }) => {
    const controller = new AbortController();
    const sleeping = ctx.sleep(10_000, { signal: controller.signal });

    controller.abort('why');

    await assert.rejects(sleeping, aborted('why'));
    await assert.rejects(ctx.sleep(1, { signal: controller.signal }), aborted('why'), 'aborted before');
  });

  withLoop('it is aborted though another listener stops the event', async ({ ctx }) => {
    const controller = new AbortController();
    controller.signal.addEventListener('abort', (event) => {
      event.stopImmediatePropagation();
    });
    const sleeping = ctx.sleep(10_000, { signal: controller.signal });

    controller.abort('why');
    ctx.close();

    await assert.rejects(sleeping, aborted('why'));
  });

  withLoop('a signal whose methods a script has replaced is one all the same', async ({ ctx }) => {
    const controller = new AbortController();
    controller.signal.addEventListener = (): void => {
      ctx.close();
    };
    const sleeping = ctx.sleep(10_000, { signal: controller.signal });

    controller.abort('why');

    await assert.rejects(sleeping, aborted('why'));
  });

  withLoop('once it has slept the signal does nothing', ({ ctx }) => {
    const controller = new AbortController();

    ctx.blockOn(ctx.sleep(1, { signal: controller.signal }));
    controller.abort();
  });

  withLoop('closing the context rejects it', async ({ ctx }) => {
    const sleeping = ctx.sleep(10_000);

    ctx.close();

    await assert.rejects(sleeping, closedError);
  });

  it('what an async hook aborts while the context is closed is ended once', async () => {
    const lines = await scriptLines(
      'cjs',
      `const ctx = new aio.AioContext(); const other = new aio.AioContext();
      const controller = new AbortController();
      ctx.sleep(1000).catch(() => {});
      ctx.sleep(1000, { signal: controller.signal }).catch(() => {});
      let timers;
      require('node:async_hooks').createHook({ promiseResolve() {
        if (timers) return;
        timers = [];
        controller.abort();
        for (let i = 0; i < 5; i++) timers.push(other.timer(aio.Clock.realtime, () => {}));
      } }).enable();
      ctx.close();
      for (const timer of timers) timer.after(0);
      console.log(...timers.map(({ pending }) => pending));
      other.close();`,
    );

    assert.deepEqual(lines, ['true true true true true']);
  });

  withLoop('its errors are rejections', async ({ ctx }) => {
    await assert.rejects(ctx.sleep(NaN), { code: 'ERR_OUT_OF_RANGE' });
    await assert.rejects(ctx.sleep('1' as never), { code: 'ERR_INVALID_ARG_TYPE' });
    ctx.close();
    await assert.rejects(ctx.sleep(1), closedError);
  });
});
