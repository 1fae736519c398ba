// Each counter: what it counts, and what not.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';

import { AioContext, type AioStats, Clock, EventNotifier } from 'aio-gsource';

import { drain, matrix, underGlib, withLoop, write } from './helpers.js';

const nothing = (): void => undefined;

/** What the counters have gained meanwhile, of those that have. */
function gained(ctx: AioContext, body: () => void): Partial<AioStats> {
  const before = ctx.stats();
  body();
  const after = ctx.stats();
  return Object.fromEntries(
    Object.entries(after).flatMap(([key, value]) => {
      const gain = Number(value) - Number(before[key as keyof AioStats]);
      return gain === 0 ? [] : [[key, gain]];
    }),
  );
}

describe('AioContext: stats', () => {
  withLoop('of a new one: every counter, at 0', ({ ctx }) => {
    assert.deepEqual(ctx.stats(), {
      polls: 0,
      prepares: 0,
      checks: 0,
      dispatches: 0,
      emptyIterations: 0,
      waits: 0,
      zeroWaits: 0,
      emptyWaits: 0,
      eventfdWrites: 0,
      eventfdReads: 0,
      bhsRun: 0,
      handlersDispatched: 0,
      timersFired: 0,
      pollIterations: 0,
      pollSuccesses: 0,
      pollNs: 0n,
      monitorSwitches: 0,
      sqes: 0,
      cqes: 0,
      dispatching: false,
    });
  });

  withLoop('polls, waits, zeroWaits', (loop) => {
    const { ctx } = loop;
    assert.deepEqual(
      gained(ctx, () => ctx.poll(false)),
      { polls: 1 },
      'there is nothing to look at',
    );
    ctx.setFdHandler(loop.pipe().read, { read: nothing });
    assert.deepEqual(
      gained(ctx, () => ctx.poll(false)),
      { polls: 1, waits: 1, zeroWaits: 1 },
    );
    ctx.timer(Clock.realtime, nothing).after(2);
    assert.deepEqual(
      gained(ctx, () => ctx.poll(true)),
      { polls: 1, waits: 1, timersFired: 1 },
    );
  });

  withLoop('emptyWaits: a wait that somebody has ended for nothing', ({ ctx }) => {
    using cancelled = ctx.bh(nothing);
    using watch = ctx.onSignal('SIGUSR2', nothing);
    spawn('/bin/sh', ['-c', `sleep 0.05; kill -USR2 ${String(process.pid)}`], { stdio: 'ignore' });
    assert.deepEqual(
      gained(ctx, () => ctx.poll(true)),
      { polls: 1, waits: 1, bhsRun: 1, eventfdWrites: 1, eventfdReads: 1 },
    );
    watch[Symbol.dispose]();

    const counters = gained(ctx, () => {
      cancelled.schedule();
      cancelled.cancel();
      ctx.poll(true);
    });

    assert.deepEqual(counters, { polls: 1 }, 'it need not wait');
  });

  matrix('bhsRun, handlersDispatched, timersFired: callbacks of each kind', (loop) => {
    const { ctx } = loop;
    const { read, write: end } = loop.pipe();
    using notifier = new EventNotifier({ active: true });
    let runs = 0;
    const count = (): void => {
      runs++;
    };
    const counters = gained(ctx, () => {
      ctx.bh(count).schedule();
      ctx.scheduleOneshot(count);
      ctx.bh(count).scheduleIdle();
      ctx.setEventNotifier(notifier, { read: count });
      ctx.setFdHandler(read, {
        read: () => {
          count();
          ctx.setFdHandler(read, null);
        },
      });
      write(end, 'x');
      ctx.timer(Clock.realtime, count).after(0);
      ctx.timer(Clock.realtime, count).after(60_000);
      loop.until(() => runs === 6);
    });

    assert.deepEqual([counters.bhsRun, counters.handlersDispatched, counters.timersFired], [3, 2, 1]);
  });

  underGlib('prepares, checks, dispatches, and not polls', (ctx, main) => {
    ctx.scheduleOneshot(nothing);

    const { polls, waits, prepares, checks, dispatches } = gained(ctx, () => main.iteration(false));

    assert.deepEqual({ polls, waits, dispatches }, { polls: undefined, waits: undefined, dispatches: 1 });
    assert.ok(prepares !== undefined && prepares >= 1);
    assert.ok(checks === undefined || checks <= prepares);
  });

  underGlib('emptyIterations: woken for nothing', (ctx, main) => {
    ctx.notify();
    const { emptyIterations } = gained(ctx, () => {
      for (let i = 0; i < 3; i++) main.iteration(false);
    });
    assert.equal(emptyIterations, 1);

    ctx.scheduleOneshot(nothing);
    const counters = gained(ctx, () => main.iteration(false));
    assert.equal(counters.emptyIterations, undefined);
  });

  matrix('eventfdWrites and eventfdReads: only while somebody waits', (loop) => {
    const counters = gained(loop.ctx, () => {
      loop.ctx.notify();
      loop.ctx.scheduleOneshot(nothing);
      loop.steps(4);
    });

    assert.deepEqual([counters.eventfdWrites, counters.eventfdReads], [undefined, undefined]);
  });

  it('monitorSwitches: from poll to epoll with many descriptors, and back', () => {
    using ctx = new AioContext({ monitor: 'auto' });
    const notifiers = Array.from({ length: 200 }, () => new EventNotifier());
    for (const notifier of notifiers) ctx.setEventNotifier(notifier, { read: nothing });

    assert.deepEqual([gained(ctx, () => ctx.poll(false)).monitorSwitches, ctx.monitor], [1, 'epoll']);
    assert.equal(gained(ctx, () => ctx.poll(false)).monitorSwitches, undefined);
    for (const notifier of notifiers.slice(1)) notifier.close();
    assert.deepEqual([gained(ctx, () => ctx.poll(false)).monitorSwitches, ctx.monitor], [1, 'poll']);
    notifiers[0]?.close();
  });

  matrix('sqes and cqes: of io_uring alone', (loop) => {
    const { ctx } = loop;
    const { read, write: end } = loop.pipe();
    let reads = 0;
    const { sqes = 0, cqes = 0 } = gained(ctx, () => {
      ctx.setFdHandler(read, {
        read: (fd) => {
          drain(fd);
          reads++;
        },
      });
      loop.steps(4);
      for (let i = 1; i <= 3; i++) {
        write(end, 'x');
        loop.until(() => reads === i);
      }
    });

    if (ctx.monitor === 'io_uring') assert.ok(cqes >= 3 && sqes >= cqes, `${String(sqes)} ${String(cqes)}`);
    else assert.deepEqual([sqes, cqes], [0, 0]);
  });

  matrix('dispatching: in callbacks only', (loop) => {
    const seen: boolean[] = [];
    loop.ctx.scheduleOneshot(() => seen.push(loop.ctx.stats().dispatching));

    loop.until(() => seen.length > 0);

    assert.deepEqual(seen, [true]);
    assert.equal(loop.ctx.stats().dispatching, false);
  });

  withLoop('each call gives an object of its own', ({ ctx }) => {
    const stats = ctx.stats();
    ctx.poll(false);

    assert.equal(stats.polls, 0);
  });
});
