// Bottom halves run many in one call from C. Nothing that a script sees may tell.
import assert from 'node:assert/strict';

import { AioContext, type BottomHalf } from 'aio-gsource';
import { computeTimeoutNs } from 'aio-gsource/internals';

/** Bottom halves a, b, c … that write their letter and then do what `then` has for it. */
function letters(ctx: AioContext, count: number, then: Record<string, () => void> = {}) {
  const log: string[] = [];
  const bhs = Array.from({ length: count }, (_, index) => {
    const letter = String.fromCharCode(97 + index);
    return ctx.bh(() => {
      log.push(letter);
      then[letter]?.();
    });
  });
  const schedule = (): void => {
    for (const bh of bhs) bh.schedule();
  };
  return { log, bhs: bhs as [BottomHalf, BottomHalf, BottomHalf, ...BottomHalf[]], schedule };
}

describe('BottomHalf: many in one call', () => {
  it('cancelled, closed or called by an earlier one, or of a context that it closes', () => {
    using ctx = new AioContext();
    const cancels = letters(ctx, 3, { a: () => cancels.bhs[1].cancel() });
    cancels.schedule();
    ctx.poll(false);
    assert.deepEqual(cancels.log, ['a', 'c']);

    const closes = letters(ctx, 3, { a: () => closes.bhs[2].close() });
    closes.schedule();
    ctx.poll(false);
    assert.deepEqual(closes.log, ['a', 'b']);

    const calls = letters(ctx, 2, { a: () => calls.bhs[1].call() });
    calls.schedule();
    ctx.poll(false);
    assert.deepEqual(calls.log, ['a', 'b', 'b']);

    const ends = letters(ctx, 3, { a: () => ctx.close() });
    ends.schedule();
    ctx.poll(false);
    assert.deepEqual(ends.log, ['a']);
    assert.deepEqual(
      ends.bhs.map((bh) => bh.scheduled),
      [false, false, false],
    );
  });

  it('what an earlier one schedules again runs once, in its old place', () => {
    using ctx = new AioContext();
    const all = letters(ctx, 3, {
      a: () => {
        assert.equal(all.bhs[1].scheduled, true, 'its turn has not come');
        all.bhs[1].schedule();
      },
    });
    all.schedule();
    assert.equal(ctx.poll(false), true);
    assert.deepEqual(all.log, ['a', 'b', 'c']);
    assert.equal(all.bhs[1].scheduled, false);
    assert.equal(ctx.poll(false), false);
    assert.deepEqual(all.log, ['a', 'b', 'c']);
  });

  it('one that schedules itself runs once in each pass', () => {
    using ctx = new AioContext();
    const all = letters(ctx, 3, { b: () => all.bhs[1].schedule() });
    all.schedule();
    for (let pass = 0; pass < 3; pass++) assert.equal(ctx.poll(false), true);
    assert.deepEqual(all.log, ['a', 'b', 'c', 'b', 'b']);
  });

  it('B3: a nested poll runs the rest before what came later, and a wait does not block', () => {
    using ctx = new AioContext();
    const all = letters(ctx, 4, {
      a: () => {
        all.bhs[3]?.schedule();
        assert.equal(computeTimeoutNs(ctx), 0n);
        assert.equal(ctx.poll(true), true);
        all.log.push('back');
      },
    });
    for (const bh of all.bhs.slice(0, 3)) bh.schedule();
    ctx.poll(false);
    assert.deepEqual(all.log, ['a', 'b', 'c', 'd', 'back']);
  });

  it('B3: a poll nested in the rest runs what the poll around it has taken', () => {
    using ctx = new AioContext();
    const later = ctx.bh(() => all.log.push('later'));
    const all = letters(ctx, 2, {
      a: () => {
        later.schedule();
        ctx.poll(false);
      },
      b: () => {
        assert.equal(computeTimeoutNs(ctx), 0n);
        assert.equal(ctx.poll(false), true);
        all.log.push('back');
      },
    });
    all.schedule();
    ctx.poll(false);
    assert.deepEqual(all.log, ['a', 'b', 'later', 'back']);
  });

  it('B8: idle ones are no progress of a nested poll either', () => {
    using ctx = new AioContext();
    const all = letters(ctx, 3, { a: () => assert.equal(ctx.poll(false), false) });
    for (const bh of all.bhs) bh.scheduleIdle();
    assert.equal(ctx.poll(false), false);
    assert.deepEqual(all.log, ['a', 'b', 'c']);
  });

  it('B7: an idle one that an earlier one schedules counts, in its old place', () => {
    using ctx = new AioContext();
    const all = letters(ctx, 3, { a: () => all.bhs[1].schedule() });
    for (const bh of all.bhs) bh.scheduleIdle();
    assert.equal(ctx.poll(false), true);
    assert.deepEqual(all.log, ['a', 'b', 'c']);
    assert.equal(ctx.poll(false), false);
  });

  it('B9: what an earlier one cancels is no progress, and does not count as run', () => {
    using ctx = new AioContext();
    const all = letters(ctx, 3, {
      a: () => {
        all.bhs[1].cancel();
        all.bhs[2].cancel();
      },
    });
    all.bhs[0].scheduleIdle();
    all.bhs[1].schedule();
    all.bhs[2].schedule();
    assert.equal(ctx.poll(false), false);
    assert.equal(ctx.stats().bhsRun, 1);

    all.schedule();
    assert.equal(ctx.poll(false), true);
    assert.deepEqual(all.log, ['a', 'a']);
    assert.equal(ctx.stats().bhsRun, 2);
  });

  it('a context that is made when another closes in the middle has no part in it', () => {
    const first = new AioContext();
    using second = new AioContext();
    const later = letters(second, 3);
    const all = letters(first, 3, {
      a: () => {
        first.close();
        const replaced = letters(second, 3);
        replaced.schedule();
        later.schedule();
      },
    });
    all.schedule();
    first.poll(false);
    assert.deepEqual(all.log, ['a']);
    assert.deepEqual(later.log, []);
    second.poll(false);
    assert.deepEqual(later.log, ['a', 'b', 'c']);
  });

  it('closed by an earlier one: it can be scheduled no more', () => {
    using ctx = new AioContext();
    const all = letters(ctx, 3, {
      a: () => {
        all.bhs[1].close();
        assert.throws(() => all.bhs[1].schedule(), { code: 'ERR_AIO_CLOSED' });
        all.bhs[2].cancel();
        all.bhs[2].schedule();
      },
    });
    all.schedule();
    ctx.poll(false);
    assert.deepEqual(all.log, ['a', 'c']);
    assert.equal(ctx.poll(false), false);
  });

  it('after a stack overflow all of them can be scheduled again', () => {
    using ctx = new AioContext();
    let deep = true;
    const all = letters(ctx, 3, {
      b: () => {
        if (!deep) return;
        all.schedule();
        try {
          ctx.poll(false);
        } finally {
          deep = false;
        }
      },
    });
    all.schedule();
    assert.throws(() => {
      ctx.poll(false);
    });
    while (ctx.poll(false));
    all.log.length = 0;
    all.schedule();
    ctx.poll(false);
    assert.deepEqual(all.log, ['a', 'b', 'c']);
  });

  it('N5: what some throw is thrown together, and the others run', () => {
    using ctx = new AioContext();
    const all = letters(ctx, 4, {
      a: () => {
        throw new Error('a');
      },
      c: () => {
        throw new Error('c');
      },
    });
    all.schedule();
    assert.throws(
      () => ctx.poll(false),
      (error: AggregateError) => error.errors.map(({ message }: Error) => message).join() === 'a,c',
    );
    assert.deepEqual(all.log, ['a', 'b', 'c', 'd']);
  });

  it('N2: promises settle between two of them', () => {
    using ctx = new AioContext();
    const all = letters(ctx, 2, { a: () => void Promise.resolve().then(() => all.log.push('settled')) });
    all.schedule();
    ctx.poll(false);
    assert.deepEqual(all.log, ['a', 'settled', 'b']);
  });
});
