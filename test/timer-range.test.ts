import assert from 'node:assert/strict';

import { Clock } from 'aio-gsource';
import { computeTimeoutNs } from 'aio-gsource/internals';

import { matrix, withLoop } from './helpers.js';

const maxInt64 = 2n ** 63n - 1n;
const outOfRange = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };

describe('Timer and Clock: the range of time', () => {
  for (const ns of [
    2n ** 53n,
    2n ** 53n + 1n,
    1_700_000_000_123_456_789n,
    2n ** 62n,
    maxInt64 - 1n,
    maxInt64,
  ])
    withLoop(`N8: ${String(ns)} ns makes the round trip`, (loop) => {
      const clock = Clock.manual(ns);
      const timer = loop.ctx.timer(clock, () => undefined, { scale: 'ns' });

      assert.equal(clock.nowNs(), ns);
      timer.modNs(ns);
      assert.equal(timer.expireTimeNs, ns);
      timer.mod(Number.MAX_SAFE_INTEGER);
      assert.equal(timer.expireTimeNs, BigInt(Number.MAX_SAFE_INTEGER));
      clock.setNs(0);
      clock.setNs(ns);
      assert.equal(clock.nowNs(), ns);
    });

  withLoop('N8: a fraction of a time that no number counts in nanoseconds is kept', (loop) => {
    const timer = loop.ctx.timer(Clock.manual(), () => undefined);
    for (const [ms, ns] of [
      [1e10 + 0.5, 10_000_000_000_500_000n],
      [1e10 + 2 ** -19, 10_000_000_000_000_002n], // 1.9 ns
      [1e12 + 0.25, 1_000_000_000_000_250_000n],
      [1e10, 10_000_000_000_000_000n],
      [-1e10 - 0.5, 0n],
    ] as const) {
      timer.mod(ms);
      assert.equal(timer.expireTimeNs, ns, String(ms));
    }
    assert.throws(() => {
      timer.mod(Number.MAX_SAFE_INTEGER);
    }, outOfRange);
    assert.equal(timer.expireTimeNs, 0n, 'as it was');
  });

  it('N8: the host clock is beyond what a number holds, and exact', () => {
    const [before, ns, after] = [Date.now(), Clock.host.nowNs(), Date.now()];

    assert.equal(typeof ns, 'bigint');
    assert.ok(ns > 2n ** 53n);
    assert.ok(ns >= BigInt(before) * 1_000_000n && ns < BigInt(after + 1) * 1_000_000n);
  });

  matrix('G7: timers at the end of time never fire early', (loop) => {
    const clock = Clock.manual();
    const fail = (): never => assert.fail('too early');
    const far = [maxInt64, maxInt64 / 2n, 2n ** 60n];
    for (const ns of far) loop.ctx.timer(clock, fail).modNs(ns);
    for (const ns of far) loop.ctx.timer(Clock.realtime, fail).modNs(ns);

    clock.setNs(2n ** 60n - 1n);
    let passed = false;
    loop.ctx.timer(Clock.realtime, () => (passed = true)).after(2);
    loop.until(() => passed);
  });

  matrix('G7: a nanosecond before the end of time fires, the end itself is never', (loop) => {
    const clock = Clock.manual();
    const fired: string[] = [];
    loop.ctx.timer(clock, () => fired.push('end')).modNs(maxInt64);
    loop.ctx.timer(clock, () => fired.push('before')).modNs(maxInt64 - 1n);

    clock.setNs(maxInt64 - 2n);
    loop.step();
    assert.deepEqual(fired, []);
    clock.setNs(maxInt64 - 1n);
    loop.step();
    clock.setNs(maxInt64);
    loop.steps(2);

    assert.deepEqual(fired, ['before']);
  });

  matrix('G7: a repeating one fires no more where its next time would be beyond the end', (loop) => {
    const clock = Clock.manual(maxInt64 - 20n);
    let fired = 0;
    const timer = loop.ctx.timer(clock, () => fired++, { scale: 'ns' });
    timer.every(6);

    clock.setNs(maxInt64 - 8n);
    loop.steps(2);
    assert.equal(fired, 1, 'the one that was missed is left out');
    assert.equal(timer.expireTimeNs, maxInt64 - 2n);
    clock.setNs(maxInt64 - 1n);
    loop.steps(2);
    assert.equal(fired, 2);
    assert.equal(timer.expireTimeNs, maxInt64);
    clock.setNs(maxInt64);
    loop.steps(2);
    assert.equal(fired, 2);
    timer.close();
  });

  matrix('G7: a repeating one of the first nanosecond, at the last one', (loop) => {
    const clock = Clock.manual();
    let fired = 0;
    const timer = loop.ctx.timer(clock, () => fired++, { scale: 'ns' });
    timer.every(1);
    timer.anticipate(0);

    clock.setNs(maxInt64);
    loop.steps(3);

    assert.equal(fired, 1);
    assert.equal(timer.expireTimeNs, maxInt64);
    timer.close();
  });

  withLoop('G7: beyond the end is an error', (loop) => {
    const clock = Clock.manual(maxInt64 - 5n);
    const timer = loop.ctx.timer(clock, () => undefined, { scale: 'ns' });

    assert.throws(() => {
      timer.modNs(maxInt64 + 1n);
    }, outOfRange);
    assert.throws(() => {
      timer.modNs(2n ** 64n);
    }, outOfRange);
    assert.throws(
      () => {
        timer.modNs(2 ** 53);
      },
      outOfRange,
      'not exact',
    );
    assert.equal(timer.pending, false);
    timer.modNs(-(2n ** 63n));
    assert.equal(timer.expireTimeNs, 0n);
    assert.throws(() => {
      timer.after(100);
    }, outOfRange);
    assert.throws(() => {
      timer.every(100);
    }, outOfRange);
    assert.equal(timer.expireTimeNs, 0n, 'as it was');
  });

  withLoop('G6: a nanosecond in the future is not now', (loop) => {
    const clock = Clock.manual();
    const timer = loop.ctx.timer(clock, () => undefined);

    timer.modNs(1);
    assert.notEqual(computeTimeoutNs(loop.ctx), 0n);
    assert.equal(loop.ctx.poll(false), false);
    clock.advanceNs(1);
    assert.equal(computeTimeoutNs(loop.ctx), 0n);
    assert.equal(loop.ctx.poll(false), true);
  });

  matrix(
    'G6: a 300 µs timer is not late by a millisecond, and costs no busy iterations',
    (loop) => {
      const late: number[] = [];
      let due = 0n;
      const timer = loop.ctx.timer(Clock.realtime, () =>
        late.push(Number(Clock.realtime.nowNs() - due) / 1000),
      );
      const before = loop.ctx.stats();
      for (let round = 0; round < 20; round++) {
        due = Clock.realtime.nowNs() + 300_000n;
        timer.modNs(due);
        loop.until(() => late.length > round);
      }
      const after = loop.ctx.stats();

      const median = late.sort((a, b) => a - b)[10] ?? Infinity;
      assert.ok(
        late.every((us) => us >= 0),
        'never early',
      );
      assert.ok(median < 500, `median lateness ${String(median)} µs`);
      const passes = after.waits - before.waits + (after.prepares - before.prepares);
      assert.ok(passes <= 60, `${String(passes)} passes for 20 timers`);
    },
    { drivers: ['poll', 'glib'] },
  );
});
