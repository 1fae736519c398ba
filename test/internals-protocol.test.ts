import assert from 'node:assert/strict';

import { Clock } from 'aio-gsource';
import {
  bhPoll,
  computeTimeoutNs,
  dispatch,
  notified,
  notifyAccept,
  notifyMe,
  pending,
  prepare,
} from 'aio-gsource/internals';

import { drain, matrix, underGlib, write } from './helpers.js';

describe('aio-gsource/internals', () => {
  matrix('bhPoll runs bottom halves, and nothing else', ({ ctx }) => {
    const order: string[] = [];
    ctx.scheduleOneshot(() => order.push('bottom half'));
    ctx.timer(Clock.manual(), () => order.push('timer')).modNs(0);

    assert.equal(bhPoll(ctx), true);
    assert.equal(bhPoll(ctx), false);
    assert.deepEqual(order, ['bottom half']);

    ctx.bh(() => order.push('idle')).scheduleIdle();
    assert.equal(bhPoll(ctx), false, 'an idle one is no progress');
    assert.deepEqual(order, ['bottom half', 'idle']);
  });

  matrix('dispatch runs what there is, without looking at descriptors', (loop) => {
    const { ctx } = loop;
    const { write: end } = loop.pipe();
    const order: string[] = [];
    ctx.setFdHandler(end, { write: () => order.push('handler') });
    ctx.scheduleOneshot(() => order.push('bottom half'));
    ctx.timer(Clock.manual(), () => order.push('timer')).modNs(0);

    assert.equal(dispatch(ctx), true);
    assert.equal(dispatch(ctx), false);

    assert.deepEqual(order, ['bottom half', 'timer']);
  });

  matrix('computeTimeoutNs: -1, then the first timer, 10 ms for idle ones, 0 for work', ({ ctx }) => {
    const clock = Clock.manual();
    assert.equal(computeTimeoutNs(ctx), -1n);

    const timer = ctx.timer(Clock.realtime, () => undefined);
    timer.after(1000);
    const timeout = computeTimeoutNs(ctx);
    assert.ok(timeout > 0n && timeout <= 1_000_000_000n);

    const idle = ctx.bh(() => undefined);
    idle.scheduleIdle();
    assert.equal(computeTimeoutNs(ctx), 10_000_000n);

    const due = ctx.timer(clock, () => undefined);
    due.modNs(0);
    assert.equal(computeTimeoutNs(ctx), 0n);
    due.del();
    ctx.bh(() => undefined).schedule();
    assert.equal(computeTimeoutNs(ctx), 0n);
  });

  matrix('computeTimeoutNs: the nearest of all clocks', ({ ctx }) => {
    for (const clock of [Clock.realtime, Clock.virtual, Clock.host, Clock.virtualRt])
      ctx.timer(clock, () => undefined).after(clock === Clock.virtualRt ? 10 : 1000);

    const timeout = computeTimeoutNs(ctx);

    assert.ok(timeout > 0n && timeout <= 10_000_000n);
  });

  matrix('notified is set by notify, and taken by notifyAccept', ({ ctx }) => {
    assert.equal(notified(ctx), false);
    ctx.notify();
    assert.equal(notified(ctx), true);
    assert.equal(notifyMe(ctx), 0);
    assert.equal(ctx.stats().eventfdWrites, 0, 'nobody waits');

    notifyAccept(ctx);

    assert.equal(notified(ctx), false);
  });

  underGlib('prepare and pending show what a wait has found', (ctx, main) => {
    assert.equal(prepare(ctx), false);
    assert.equal(pending(ctx), false);
    ctx.scheduleOneshot(() => undefined);
    assert.equal(pending(ctx), false, 'it is about handlers');
    main.iteration(false);
    assert.equal(prepare(ctx), false);
  });

  matrix('pending inside a handler: others that the same wait has found', (loop) => {
    const { ctx } = loop;
    const seen: boolean[] = [];
    for (let i = 0; i < 2; i++) {
      const { read, write: end } = loop.pipe();
      write(end, 'x');
      ctx.setFdHandler(read, {
        read: (fd) => {
          drain(fd);
          seen.push(pending(ctx));
        },
      });
    }

    ctx.poll(false);

    assert.deepEqual(seen, [true, false]);
  });

  underGlib('notify_me: bit 0 between prepare and check', (ctx, main) => {
    assert.equal(notifyMe(ctx), 0);
    ctx.scheduleOneshot(() => undefined);

    // GLib skips check for a source that prepare has found ready.
    main.pending();
    assert.equal(notifyMe(ctx) & 1, 1);
    ctx.notify();
    assert.equal(ctx.stats().eventfdWrites, 1, 'somebody may be asleep');
    main.iteration(false);

    assert.equal(notifyMe(ctx), 0);
    assert.equal(notified(ctx), false);
    assert.equal(ctx.stats().eventfdReads, 1);
  });

  matrix('notify_me is 0 in every callback of a poll', ({ ctx }) => {
    const seen: number[] = [];
    ctx.scheduleOneshot(() => seen.push(notifyMe(ctx)));
    ctx.timer(Clock.realtime, () => seen.push(notifyMe(ctx))).after(1);

    while (seen.length < 2) ctx.poll(true);

    assert.deepEqual(seen, [0, 0]);
  });
});
