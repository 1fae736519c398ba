import assert from 'node:assert/strict';

import { Clock, type Timer } from 'aio-gsource';

import { closedError, matrix, withLoop } from './helpers.js';

describe('Timer: arming', () => {
  matrix('after() counts from now, on the clock of the timer', (loop) => {
    const clock = Clock.manual(1_000_000);
    const fired: Timer[] = [];
    const timer = loop.ctx.timer(clock, (given) => fired.push(given));
    assert.equal(timer.pending, false);
    assert.equal(timer.expireTimeNs, null);

    timer.after(10);
    assert.equal(timer.pending, true);
    assert.equal(timer.expireTimeNs, 11_000_000n);
    clock.advanceNs(9_999_999);
    loop.step();
    assert.deepEqual(fired, []);
    clock.advanceNs(1);
    loop.steps(3);

    assert.deepEqual(fired, [timer]);
    assert.equal(timer.pending, false);
    assert.equal(timer.expireTimeNs, null);
  });

  for (const [scale, unit] of [
    ['ns', 1n],
    ['us', 1_000n],
    ['ms', 1_000_000n],
    [undefined, 1_000_000n],
  ] as const) {
    withLoop(`scale ${scale ?? 'left out'} applies to mod, after, every, anticipate`, (loop) => {
      const clock = Clock.manual(1_000_000_000);
      const timer = loop.ctx.timer(clock, () => undefined, scale ? { scale } : {});

      timer.mod(7);
      assert.equal(timer.expireTimeNs, 7n * unit);
      timer.anticipate(6);
      assert.equal(timer.expireTimeNs, 6n * unit);
      timer.after(5);
      assert.equal(timer.expireTimeNs, 1_000_000_000n + 5n * unit);
      timer.every(4);
      assert.equal(timer.expireTimeNs, 1_000_000_000n + 4n * unit);
      timer.modNs(3);
      assert.equal(timer.expireTimeNs, 3n);
    });
  }

  withLoop('fractions are rounded up to nanoseconds', (loop) => {
    const timer = loop.ctx.timer(Clock.manual(), () => undefined);

    timer.mod(0.000_000_1);
    assert.equal(timer.expireTimeNs, 1n);
    timer.mod(1.5);
    assert.equal(timer.expireTimeNs, 1_500_000n);
    timer.after(0.000_001_5);
    assert.equal(timer.expireTimeNs, 2n);
  });

  matrix('every() fires again and again, without drift', (loop) => {
    const clock = Clock.manual();
    const at: bigint[] = [];
    using timer = loop.ctx.timer(clock, () => at.push(clock.nowNs()));

    timer.every(10);
    for (let i = 0; i < 5; i++) {
      clock.advance(10);
      loop.steps(2);
    }
    clock.advance(7);
    loop.steps(2);
    assert.deepEqual(
      at,
      [10n, 20n, 30n, 40n, 50n].map((ms) => ms * 1_000_000n),
    );
    assert.equal(timer.expireTimeNs, 60_000_000n);
    clock.advance(4);
    loop.steps(2);
    assert.equal(timer.expireTimeNs, 70_000_000n, 'late by 1 ms, but the next one is on time');
    timer.del();
    clock.advance(100);
    loop.steps(2);

    assert.equal(at.length, 6);
  });

  matrix('every() leaves out the periods that have passed', (loop) => {
    const clock = Clock.manual();
    let calls = 0;
    using timer = loop.ctx.timer(clock, () => calls++);

    timer.every(10);
    clock.advance(35);
    loop.steps(3);
    assert.equal(calls, 1);
    assert.equal(timer.expireTimeNs, 40_000_000n);
    timer.anticipate(37);
    clock.advance(2);
    loop.steps(3);

    assert.equal(calls, 2);
    assert.equal(timer.expireTimeNs, 47_000_000n, 'the period goes on from there');
  });

  matrix('every() is ended by del, mod or after in its own callback', (loop) => {
    const clock = Clock.manual();
    for (const end of ['del', 'mod', 'after', 'close'] as const) {
      let calls = 0;
      const timer = loop.ctx.timer(clock, () => {
        calls++;
        if (end === 'mod') timer.mod(clock.now() + 1_000_000);
        else if (end === 'after') timer.after(1_000_000);
        else timer[end]();
      });
      timer.every(1);
      for (let i = 0; i < 5; i++) {
        clock.advance(1);
        loop.step();
      }
      assert.equal(calls, 1, end);
      timer.close();
    }
  });

  withLoop('arming again replaces', (loop) => {
    const clock = Clock.manual();
    let calls = 0;
    const timer = loop.ctx.timer(clock, () => calls++);

    timer.after(10);
    timer.after(20);
    clock.advance(10);
    loop.step();
    assert.equal(calls, 0);
    clock.advance(10);
    loop.step();

    assert.equal(calls, 1);
  });

  matrix('G9: anticipate only moves earlier, and arms one that is not armed', (loop) => {
    const timer = loop.ctx.timer(Clock.manual(), () => undefined);

    timer.anticipate(50);
    assert.equal(timer.expireTimeNs, 50_000_000n);
    timer.anticipate(60);
    assert.equal(timer.expireTimeNs, 50_000_000n);
    timer.anticipate(40);
    assert.equal(timer.expireTimeNs, 40_000_000n);
  });

  matrix('del disarms; more than once does nothing', (loop) => {
    const clock = Clock.manual();
    const timer = loop.ctx.timer(clock, () => assert.fail('it was disarmed'));

    timer.del();
    timer.after(1);
    timer.del();
    timer.del();
    assert.equal(timer.pending, false);
    clock.advance(10);
    loop.steps(2);
  });

  withLoop('wakes a wait at its time, on the real clock', (loop) => {
    let fired = false as boolean;
    const timer = loop.ctx.timer(Clock.realtime, () => (fired = true));
    const due = Clock.realtime.nowNs() + 5_000_000n;

    timer.modNs(due);
    while (!fired) loop.ctx.poll(true);

    assert.ok(Clock.realtime.nowNs() >= due, 'never early');
  });

  matrix('G13: firing is progress', (loop) => {
    const clock = Clock.manual();
    const timer = loop.ctx.timer(clock, () => undefined);

    timer.after(1);
    assert.equal(loop.ctx.poll(false), false);
    clock.advance(1);
    assert.equal(loop.ctx.poll(true), true);
    assert.equal(loop.ctx.poll(false), false);
  });

  for (const method of ['close', 'free', 'dispose'] as const) {
    const end = (timer: Timer): void => {
      if (method === 'dispose') timer[Symbol.dispose]();
      else timer[method]();
    };

    matrix(`G5: ${method} on an armed timer, twice`, (loop) => {
      const clock = Clock.manual();
      const timer = loop.ctx.timer(clock, () => assert.fail('it was closed'));

      timer.after(1);
      end(timer);
      end(timer);
      clock.advance(1);
      loop.steps(2);

      assert.equal(timer.pending, false);
      assert.equal(timer.expireTimeNs, null);
    });

    matrix(`G5: ${method} in its own callback`, (loop) => {
      const clock = Clock.manual();
      let calls = 0;
      const timer = loop.ctx.timer(clock, () => {
        calls++;
        end(timer);
      });

      timer.after(1);
      clock.advance(1);
      loop.steps(2);

      assert.equal(calls, 1);
    });
  }

  withLoop('a closed one cannot be armed', (loop) => {
    const timer = loop.ctx.timer(Clock.manual(), () => undefined);
    timer.close();

    for (const method of ['after', 'every', 'mod', 'modNs', 'anticipate', 'del'] as const)
      assert.throws(
        () => {
          timer[method](1);
        },
        closedError,
        method,
      );
  });

  withLoop('closing the context closes it', (loop) => {
    const clock = Clock.manual();
    const timer = loop.ctx.timer(clock, () => undefined);
    timer.after(1);

    loop.ctx.close();

    assert.equal(timer.pending, false);
    assert.throws(() => {
      timer.after(1);
    }, closedError);
    clock.advance(10);
  });
});
