import assert from 'node:assert/strict';
import { readFile } from 'node:fs';
import { setImmediate as immediate } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';

import { AioContext, Clock, EventNotifier } from 'aio-gsource';
import { notified } from 'aio-gsource/internals';

import { duration, matrix, withLoop, write } from './helpers.js';

describe('AioContext: poll and notify', () => {
  withLoop('poll(false) never waits, and says whether there was progress', ({ ctx }) => {
    assert.equal(ctx.poll(false), false);
    ctx.scheduleOneshot(() => undefined);
    assert.equal(ctx.poll(false), true);
    assert.equal(ctx.poll(false), false);
  });

  withLoop('progress is a bottom half, a handler or a timer', (loop) => {
    const { ctx } = loop;
    const { read, write: end } = loop.pipe();
    const clock = Clock.manual();
    using notifier = new EventNotifier();
    const timer = ctx.timer(clock, () => undefined);
    ctx.setFdHandler(read, {
      read: (fd) => {
        ctx.setFdHandler(fd, null);
      },
    });
    ctx.setEventNotifier(notifier, { read: () => undefined });

    for (const cause of [
      () => {
        ctx.bh(() => undefined).schedule();
      },
      () => {
        write(end, 'x');
      },
      () => {
        notifier.set();
      },
      () => {
        timer.modNs(0);
      },
    ]) {
      assert.equal(ctx.poll(false), false);
      cause();
      assert.equal(ctx.poll(true), true);
    }
  });

  withLoop('deleted, cancelled and idle bottom halves, and notify, are no progress', ({ ctx }) => {
    ctx.bh(() => undefined).close();
    const cancelled = ctx.bh(() => undefined);
    cancelled.schedule();
    cancelled.cancel();
    ctx.bh(() => undefined).scheduleIdle();
    ctx.notify();

    assert.equal(ctx.poll(false), false);
  });

  withLoop('A8: a notify while nobody waits sticks, and is consumed once', ({ ctx }) => {
    let fired = false;
    ctx.notify();
    ctx.notify();
    assert.equal(notified(ctx), true);

    assert.equal(ctx.poll(true), false);
    assert.equal(notified(ctx), false);
    ctx.timer(Clock.realtime, () => (fired = true)).after(20);
    const before = ctx.stats().waits;
    const took = duration(() => {
      while (!fired) ctx.poll(true);
    });

    assert.ok(took >= 19, `waited ${String(took)} ms`);
    assert.ok(ctx.stats().waits - before <= 2);
  });

  matrix(
    'A8: a notify ends a wait whoever drives',
    (loop) => {
      loop.ctx.notify();

      // Nothing else could end it.
      loop.ctx.timer(Clock.realtime, () => assert.fail('notify was lost')).after(5000);
      loop.wait();
    },
    { drivers: ['poll', 'glib'] },
  );

  withLoop('A9: notify is not progress', ({ ctx }) => {
    ctx.notify();
    assert.equal(ctx.poll(false), false);
    ctx.notify();
    assert.equal(ctx.poll(true), false);
  });

  /** Calls it in a callback of libuv, or in what Node runs between two of them. */
  const places: Record<string, (call: () => void) => void> = {
    timeout: (call) => setTimeout(call, 0),
    immediate: (call) => setImmediate(call),
    'file callback': (call) => {
      readFile('/dev/null', call);
    },
    message: (call) => {
      const { port1, port2 } = new MessageChannel();
      port2.once('message', () => {
        port2.close();
        call();
      });
      port1.postMessage(null);
    },
    tick: (call) => {
      process.nextTick(call);
    },
    promise: (call) => {
      void Promise.resolve().then(call);
    },
  };

  for (const [name, enter] of Object.entries(places))
    matrix(
      `N9: a blocking poll inside Node's loop (${name}), with another inside: what is Node's waits, then goes on`,
      async (loop) => {
        const { ctx } = loop;
        let nodes = 0;
        let nested = 0;
        const during = await new Promise<number>((resolve) => {
          enter(() => {
            setTimeout(() => nodes++, 0);
            setImmediate(() => nodes++);
            readFile('/dev/null', () => nodes++);
            const deadline = ctx.timer(Clock.realtime, () => {
              deadline.after(5);
              if (nested++ === 0) loop.wait();
            });
            deadline.after(5);
            loop.until(() => nested >= 3);
            deadline.close();
            resolve(nodes);
          });
        });

        assert.equal(during, 0);
        while (nodes < 3) await immediate();
      },
      { drivers: ['poll', 'glib'], monitors: ['poll'] },
    );

  withLoop('a blocking poll returns after one wait', ({ ctx }) => {
    const clock = Clock.realtime;
    let fired = 0;
    ctx.timer(clock, () => fired++).after(5);
    ctx.timer(clock, () => fired++).after(500);

    while (fired === 0) ctx.poll(true);

    assert.equal(fired, 1);
  });

  withLoop('A2: what is notified after the accept is not lost', ({ ctx }) => {
    const clock = Clock.manual();
    const order: string[] = [];
    const bh = ctx.bh(() => order.push('bh'));
    // Between the accept and the end of the pass: from a bottom half, from a handler, from a timer.
    ctx.scheduleOneshot(() => {
      ctx.notify();
    });
    ctx
      .timer(clock, () => {
        bh.schedule();
      })
      .modNs(0);

    assert.equal(ctx.poll(true), true);
    ctx.timer(Clock.realtime, () => assert.fail('the wake-up was lost')).after(5000);
    assert.equal(ctx.poll(true), true);

    assert.deepEqual(order, ['bh']);
  });

  withLoop('stats() counts what happened', (loop) => {
    const { ctx } = loop;
    const { write: end } = loop.pipe();
    const clock = Clock.manual();
    const before = ctx.stats();
    const { dispatching, pollNs, ...counters } = before;
    assert.equal(dispatching, false);
    assert.equal(pollNs, 0n);
    for (const value of Object.values(counters)) assert.ok(Number.isSafeInteger(value) && value >= 0);

    ctx.bh(() => undefined).schedule();
    ctx.scheduleOneshot(() => undefined);
    ctx.setFdHandler(end, { write: () => undefined });
    ctx.timer(clock, () => undefined).modNs(0);
    ctx.poll(false);
    ctx.setFdHandler(end, null);
    ctx.poll(false);
    const after = ctx.stats();

    assert.equal(after.polls - before.polls, 2);
    assert.equal(after.bhsRun - before.bhsRun, 2);
    assert.equal(after.handlersDispatched - before.handlersDispatched, 1);
    assert.equal(after.timersFired - before.timersFired, 1);
    assert.equal(after.waits - before.waits, 1);
    assert.equal(after.zeroWaits - before.zeroWaits, 1);
    assert.equal(after.eventfdWrites, 0);
    assert.notEqual(after, before, 'a snapshot each');
  });

  withLoop('stats() tells whether a pass is under way', ({ ctx }) => {
    const seen: boolean[] = [];
    ctx.scheduleOneshot(() => seen.push(ctx.stats().dispatching));

    ctx.poll(false);

    assert.deepEqual([...seen, ctx.stats().dispatching], [true, false]);
  });

  matrix('an idle context does nothing: no waits, no writes, no iterations of its own', (loop) => {
    const { ctx } = loop;
    const { read } = loop.pipe();
    ctx.setFdHandler(read, { read: () => assert.fail('nothing to read') });
    loop.steps(8);
    using clockwork = new AioContext();
    if (loop.main) clockwork.attach(loop.main);
    const before = ctx.stats();

    let ticks = 0;
    const timer = clockwork.timer(Clock.realtime, () => ticks++);
    timer.every(2);
    while (ticks < 5)
      if (loop.main) loop.main.iteration(true);
      else clockwork.poll(true);

    const after = ctx.stats();
    assert.equal(after.emptyIterations, before.emptyIterations);
    assert.equal(after.dispatches, before.dispatches);
    assert.equal(after.eventfdWrites, before.eventfdWrites);
    assert.equal(after.emptyWaits, before.emptyWaits);
  });

  withLoop('a wait with a far timer costs one system call', ({ ctx }) => {
    ctx.timer(Clock.realtime, () => undefined).after(10);
    const before = ctx.stats();

    ctx.poll(true);
    const after = ctx.stats();

    assert.equal(after.waits - before.waits, 1);
    assert.equal(after.emptyWaits - before.emptyWaits, 0);
  });
});
