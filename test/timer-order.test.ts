import assert from 'node:assert/strict';

import { Clock, type Timer } from 'aio-gsource';

import { collectUntil, matrix, sorted, withLoop } from './helpers.js';

describe('Timer: order and passes', () => {
  matrix('they fire in the order of their expiry', (loop) => {
    const clock = Clock.manual();
    const order: number[] = [];
    const timers = [5, 1, 4, 2, 3].map((ms) => {
      const timer = loop.ctx.timer(clock, () => order.push(ms));
      timer.after(ms);
      return timer;
    });

    clock.advance(10);
    loop.step();

    assert.deepEqual(order, [1, 2, 3, 4, 5]);
    assert.ok(timers.every((timer) => !timer.pending));
  });

  matrix('G10: equal expiries fire in the order of arming', (loop) => {
    const clock = Clock.manual();
    const order: number[] = [];
    const timers = Array.from({ length: 20 }, (_, index) => loop.ctx.timer(clock, () => order.push(index)));

    for (const timer of timers) timer.mod(5);
    timers[0]?.mod(5);
    clock.advance(5);
    loop.step();

    assert.deepEqual(order, [...Array.from({ length: 19 }, (_, index) => index + 1), 0]);
  });

  matrix('a thousand timers in random order', (loop) => {
    const clock = Clock.manual();
    const fired: bigint[] = [];
    let seed = 42;
    for (let i = 0; i < 1000; i++) {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      const expire = BigInt(seed % 500);
      loop.ctx.timer(clock, () => fired.push(expire)).modNs(expire);
    }

    clock.advance(1);
    loop.step();

    assert.equal(fired.length, 1000);
    assert.deepEqual(fired, sorted(fired));
  });

  matrix('G1: one armed into the past in its own callback fires once a pass', (loop) => {
    const clock = Clock.manual(1_000_000_000);
    let fired = 0;
    const timer = loop.ctx.timer(clock, () => {
      fired++;
      timer.mod(0);
    });

    timer.mod(0);
    for (let pass = 1; pass <= 5; pass++) {
      loop.step();
      assert.equal(fired, pass);
    }
    timer.close();
  });

  matrix('G8: zero, and less, fire in the next pass', (loop) => {
    const clock = Clock.manual();
    const fired: string[] = [];
    const timers = {
      zero: loop.ctx.timer(clock, () => fired.push('zero')),
      now: loop.ctx.timer(clock, () => fired.push('now')),
      negative: loop.ctx.timer(clock, () => fired.push('negative')),
    };

    timers.zero.mod(0);
    timers.now.after(0);
    timers.negative.modNs(-5);
    assert.ok(Object.values(timers).every((timer) => timer.pending));
    assert.equal(timers.negative.expireTimeNs, 0n);
    loop.step();

    assert.deepEqual(fired, ['zero', 'now', 'negative']);
  });

  matrix('G11: a callback deletes, moves and arms others', (loop) => {
    const clock = Clock.manual();
    const order: string[] = [];
    const make = (name: string, more?: () => void): Timer =>
      loop.ctx.timer(clock, () => {
        order.push(name);
        more?.();
      });
    const deleted = make('deleted');
    const later = make('later');
    const armed = make('armed');
    const first = make('first', () => {
      deleted.del();
      later.mod(100);
      armed.mod(2);
      assert.equal(first.pending, false);
      assert.equal(first.expireTimeNs, null);
    });
    const last = make('last');

    first.mod(1);
    deleted.mod(2);
    later.mod(3);
    last.mod(4);
    clock.advance(10);
    loop.steps(2);

    assert.deepEqual(sorted(order), ['armed', 'first', 'last']);
    assert.equal(order[0], 'first');
    clock.advance(90);
    loop.step();
    assert.equal(order.at(-1), 'later');
  });

  matrix('G11: a callback closes all the others', (loop) => {
    const clock = Clock.manual();
    let fired = 0;
    const timers: Timer[] = Array.from({ length: 10 }, () =>
      loop.ctx.timer(clock, () => {
        fired++;
        for (const timer of timers) timer.close();
      }),
    );

    for (const timer of timers) timer.mod(1);
    clock.advance(1);
    loop.steps(2);

    assert.equal(fired, 1);
  });

  matrix('a callback runs a nested pass: the others that are due fire once', (loop) => {
    const clock = Clock.manual();
    const order: string[] = [];
    loop.ctx
      .timer(clock, () => {
        order.push('enter');
        loop.step();
        order.push('leave');
      })
      .mod(1);
    loop.ctx.timer(clock, () => order.push('second')).mod(2);
    loop.ctx.timer(clock, () => order.push('third')).mod(3);

    clock.advance(5);
    loop.steps(3);

    assert.deepEqual(sorted(order), ['enter', 'leave', 'second', 'third']);
    assert.equal(order[0], 'enter');
  });

  matrix('run after bottom halves and handlers of the same pass', (loop) => {
    const clock = Clock.manual();
    const { write: end } = loop.pipe();
    const order: string[] = [];
    loop.ctx.timer(clock, () => order.push('timer')).mod(0);
    loop.ctx.setFdHandler(end, {
      write: () => {
        order.push('handler');
        loop.ctx.setFdHandler(end, null);
      },
    });
    loop.ctx.scheduleOneshot(() => order.push('bottom half'));

    loop.step();

    assert.deepEqual(order, ['bottom half', 'handler', 'timer']);
  });

  withLoop('N6: one that is neither armed nor referenced is collected', async (loop) => {
    const clock = Clock.manual();
    const ref = (() => new WeakRef(loop.ctx.timer(clock, () => undefined)))();

    await collectUntil(() => ref.deref() === undefined);
  });

  withLoop('N6: one that has fired, or was disarmed, is collected again', async (loop) => {
    const clock = Clock.manual();
    const refs = (['fire', 'del'] as const).map((after) => {
      const timer = loop.ctx.timer(clock, () => undefined);
      timer.after(1);
      if (after === 'del') timer.del();
      return new WeakRef(timer);
    });
    clock.advance(1);
    loop.step();

    await collectUntil(() => refs.every((ref) => ref.deref() === undefined));
  });

  withLoop('N6: an armed one that nobody references fires', async (loop) => {
    const clock = Clock.manual();
    let fired = 0;
    (() => {
      loop.ctx.timer(clock, () => fired++).after(1);
      loop.ctx.timer(clock, () => fired++).every(1);
    })();

    for (let i = 0; i < 5; i++) await collectUntil(() => true);
    clock.advance(1);
    loop.step();
    for (let i = 0; i < 5; i++) await collectUntil(() => true);
    clock.advance(1);
    loop.step();

    assert.equal(fired, 3);
  });
});
