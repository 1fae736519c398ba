import assert from 'node:assert/strict';

import { AioContext, Clock, MainContext, ManualClock } from 'aio-gsource';
import { computeTimeoutNs } from 'aio-gsource/internals';

import { collectUntil, matrix, withLoop } from './helpers.js';

describe('Clock', () => {
  describe('the four of the process', () => {
    for (const name of ['realtime', 'virtual', 'host', 'virtualRt'] as const) {
      it(`${name} goes on`, () => {
        const clock = Clock[name];
        const first = clock.nowNs();
        const ms = clock.now();

        assert.ok(clock instanceof Clock);
        assert.equal(clock, Clock[name], 'always the same object');
        assert.equal(clock.enabled, true);
        while (clock.nowNs() === first);
        assert.ok(clock.nowNs() > first);
        assert.ok(Math.abs(ms - Number(first) / 1e6) < 1000);
      });

      matrix(`${name}: a timer on it fires`, (loop) => {
        let fired = 0;
        using timer = loop.ctx.timer(Clock[name], () => fired++);

        timer.after(1);
        loop.until(() => fired > 0);

        assert.equal(fired, 1);
      });
    }

    it('realtime is monotonic time, host is the time of day', () => {
      assert.ok(Math.abs(Clock.host.now() - Date.now()) < 1000);
      assert.ok(Math.abs(Clock.realtime.now() - Number(process.hrtime.bigint()) / 1e6) < 1000);
    });
  });

  for (const name of ['virtual', 'virtualRt'] as const)
    describe(`${name} disabled`, () => {
      afterEach(() => {
        Clock[name].enabled = true;
      });

      matrix('G2: its timers stay armed, do not fire, and end no wait', (loop) => {
        const clock = Clock[name];
        let fired = 0;
        using timer = loop.ctx.timer(clock, () => fired++);
        timer.mod(0);

        clock.enabled = false;
        assert.equal(clock.enabled, false);
        assert.equal(clock.deadlineNs, null);
        assert.equal(computeTimeoutNs(loop.ctx), -1n);
        loop.steps(3);
        assert.equal(fired, 0);
        assert.ok(timer.pending);

        clock.enabled = true;
        assert.equal(clock.deadlineNs, 0n);
        loop.until(() => fired > 0);
      });

      matrix('G3: disabled in a callback of a timer on it', (loop) => {
        const clock = Clock[name];
        const order: string[] = [];
        using first = loop.ctx.timer(clock, () => {
          order.push('first');
          clock.enabled = false;
        });
        using second = loop.ctx.timer(clock, () => order.push('second'));

        first.mod(0);
        second.mod(1);
        loop.steps(3);
        const whileDisabled = [...order];
        clock.enabled = true;
        loop.steps(3);

        assert.equal(whileDisabled[0], 'first');
        assert.deepEqual(order, ['first', 'second']);
      });
    });

  for (const name of ['realtime', 'host'] as const)
    it(`${name} cannot be disabled`, () => {
      assert.throws(
        () => {
          Clock[name].enabled = false;
        },
        { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' },
      );
      assert.equal(Clock[name].enabled, true);
    });

  describe('manual', () => {
    it('stands where it was put', () => {
      const clock = Clock.manual();

      assert.ok(clock instanceof ManualClock);
      assert.ok(clock instanceof Clock);
      assert.equal(clock.nowNs(), 0n);
      clock.advance(1.5);
      assert.equal(clock.nowNs(), 1_500_000n);
      assert.equal(clock.now(), 1.5);
      clock.advanceNs(7n);
      assert.equal(clock.nowNs(), 1_500_007n);
      clock.setNs(3);
      assert.equal(clock.nowNs(), 3n);
      assert.equal(Clock.manual(5).nowNs(), 5n);
      assert.equal(Clock.manual(6n).nowNs(), 6n);
    });

    withLoop('runs no callback itself', (loop) => {
      const clock = Clock.manual();
      let fired = 0;
      loop.ctx.timer(clock, () => fired++).after(1);

      clock.advance(5);
      assert.equal(fired, 0);
      loop.step();

      assert.equal(fired, 1);
    });

    matrix('advanced in a callback, it ends the next wait', (loop) => {
      const clock = Clock.manual();
      let fired = 0;
      loop.ctx.timer(clock, () => fired++).after(1000);

      loop.ctx.scheduleOneshot(() => {
        clock.advance(1000);
      });
      loop.until(() => fired > 0);
    });

    matrix('one clock drives timers of several contexts', (loop) => {
      using other = new AioContext({ name: 'other' });
      const clock = Clock.manual();
      const fired: string[] = [];
      loop.ctx.timer(clock, () => fired.push('one')).after(1);
      other.timer(clock, () => fired.push('other')).after(1);

      clock.advance(1);
      loop.step();
      assert.deepEqual(fired, ['one']);
      other.poll(false);

      assert.deepEqual(fired, ['one', 'other']);
    });

    withLoop('deadlineNs is the time to the first timer, of any context', (loop) => {
      const clock = Clock.manual();
      const late = loop.ctx.timer(clock, () => undefined);
      const external = loop.ctx.timer(clock, () => undefined, { external: true });

      assert.equal(clock.deadlineNs, null);
      late.after(10);
      assert.equal(clock.deadlineNs, 10_000_000n);
      external.after(5);
      assert.equal(clock.deadlineNsAll(), 5_000_000n);
      assert.equal(clock.deadlineNsAll({ external: false }), 10_000_000n);
      clock.advance(20);
      assert.equal(clock.deadlineNs, 0n);
      late.del();
      external.del();
      assert.equal(clock.deadlineNs, null);
    });

    withLoop('moved back, it delays', (loop) => {
      const clock = Clock.manual(1_000_000);
      let fired = 0;
      loop.ctx.timer(clock, () => fired++).after(1);

      clock.setNs(0);
      clock.advance(1);
      loop.step();
      assert.equal(fired, 0);
      clock.advance(1);
      loop.step();

      assert.equal(fired, 1);
    });

    withLoop('N6: one that nobody references is collected, and may have armed timers', async (loop) => {
      let fired = 0;
      const refs = (() => {
        const clock = Clock.manual();
        loop.ctx.timer(clock, () => fired++).after(1);
        return [new WeakRef(clock), new WeakRef(Clock.manual())];
      })();

      await collectUntil(() => refs.every((ref) => ref.deref() === undefined));
      loop.steps(2);

      assert.equal(fired, 0, 'nobody can move it any more');
    });
  });

  it('wakes a context that is attached and prepared', () => {
    using ctx = new AioContext();
    const main = new MainContext();
    ctx.attach(main);
    const clock = Clock.manual();
    let fired = 0;
    ctx.timer(clock, () => fired++).after(1);

    assert.equal(main.pending(), false);
    clock.advance(1);
    assert.equal(main.pending(), true);
    main.iteration(true);

    assert.equal(fired, 1);
  });
});
