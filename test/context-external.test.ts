import assert from 'node:assert/strict';

import { EventNotifier } from 'aio-gsource';
import { nodeCheck } from 'aio-gsource/internals';

import { aioError, closedError, drain, type Loop, matrix, withLoop, write } from './helpers.js';

const underflow = aioError('ERR_AIO_UNDERFLOW');

/** A descriptor that can be read; how often its handler was called. */
function watched(loop: Loop, external: boolean): { fd: number; calls: () => number } {
  const { read, write: end } = loop.pipe();
  let calls = 0;
  write(end, 'x');
  loop.ctx.setFdHandler(read, { read: () => calls++, external });
  return { fd: read, calls: () => calls };
}

/** Waits of its own or of GLib's, in so many milliseconds in which nothing happens. */
function waitsIn(loop: Loop, ms: number): number {
  const waits = (): number => loop.ctx.stats().waits + loop.ctx.stats().prepares;
  const before = waits();
  let fired = false;
  loop.ctx.sleep(ms).then(
    () => (fired = true),
    () => undefined,
  );
  loop.until(() => fired);
  return waits() - before;
}

describe('AioContext: external handlers', () => {
  matrix('H1: are held back among a hundred, and the others are not', (loop) => {
    const external = Array.from({ length: 50 }, () => watched(loop, true));
    const own = Array.from({ length: 50 }, () => watched(loop, false));
    const calls = (of: typeof own): number[] => [...new Set(of.map((each) => each.calls()))];

    loop.step();
    assert.deepEqual([calls(external), calls(own)], [[1], [1]]);
    loop.ctx.disableExternal();
    loop.steps(2);
    assert.deepEqual([calls(external), calls(own)], [[1], [3]]);
    loop.ctx.enableExternal();
    loop.step();
    assert.deepEqual([calls(external), calls(own)], [[2], [4]]);
  });

  matrix('H2: enabling what is not disabled is an error', (loop) => {
    const { ctx } = loop;
    assert.throws(() => {
      ctx.enableExternal();
    }, underflow);
    ctx.disableExternal();
    ctx.enableExternal();
    assert.throws(() => {
      ctx.enableExternal();
    }, underflow);

    assert.equal(ctx.externalDisabled, false);
  });

  matrix('H3: what they missed is found when they are enabled', (loop) => {
    const { read, write: end } = loop.pipe();
    let text = '';
    loop.ctx.setFdHandler(read, { read: (fd) => (text += drain(fd)), external: true });
    const disabled = loop.ctx.disableExternal();

    write(end, 'missed');
    loop.steps(3);
    assert.equal(text, '');
    disabled[Symbol.dispose]();
    loop.step();

    assert.equal(text, 'missed');
  });

  matrix('H4: bottom halves, timers and who awaits go on', (loop) => {
    const { read, write: end } = loop.pipe();
    const seen: string[] = [];
    loop.ctx.disableExternal();
    loop.ctx.scheduleOneshot(() => seen.push('bottom half'));
    const note = (name: string) => (): void => {
      seen.push(name);
    };
    loop.ctx.sleep(1).then(note('timer'), note('failed'));
    loop.ctx.whenReadable(read).then(note('readable'), note('failed'));
    write(end, 'x');

    loop.until(() => seen.length === 3);

    assert.deepEqual(new Set(seen), new Set(['bottom half', 'timer', 'readable']));
  });

  matrix('H6: one that is ready and held back does not make the context spin', (loop) => {
    const { calls } = watched(loop, true);
    loop.step();
    assert.equal(calls(), 1);
    loop.ctx.disableExternal();
    loop.step();

    assert.ok(waitsIn(loop, 60) < 10);
    assert.equal(calls(), 1);
  });

  matrix('A10: the last enabling wakes a wait', (loop) => {
    const { calls } = watched(loop, true);
    const disabled = [loop.ctx.disableExternal(), loop.ctx.disableExternal()];
    let turns = 0;
    const timer = loop.ctx.sleep(5).then(() => {
      turns++;
      disabled[0]?.[Symbol.dispose]();
      return loop.ctx.sleep(5).then(() => {
        turns++;
        assert.equal(calls(), 0);
        disabled[1]?.[Symbol.dispose]();
      });
    });

    loop.until(() => calls() > 0);
    assert.equal(turns, 2);
    return timer;
  });

  matrix('held back from within a callback: not even called for what is ready already', (loop) => {
    const [first, second] = [loop.pipe(), loop.pipe()];
    let calls = 0;
    for (const { read, write: end } of [first, second]) {
      write(end, 'x');
      loop.ctx.setFdHandler(read, {
        read: () => {
          calls++;
          loop.ctx.disableExternal();
        },
        external: true,
      });
    }

    loop.steps(3);
    assert.equal(calls, 1);
    loop.ctx.enableExternal();
    loop.step();

    assert.equal(calls, 2);
  });

  matrix('a notifier may be external; it stays set while it is held back', (loop) => {
    using notifier = new EventNotifier({ active: true });
    let calls = 0;
    loop.ctx.setEventNotifier(notifier, { read: () => calls++, external: true });
    const disabled = loop.ctx.disableExternal();

    loop.steps(3);
    assert.equal(calls, 0);
    disabled[Symbol.dispose]();
    loop.steps(3);

    assert.equal(calls, 1);
  });

  matrix('who awaits is not external, but is held back with a handler that is', (loop) => {
    const [left, right] = loop.socketPair();
    let writable = false;
    loop.ctx.setFdHandler(left, { read: () => undefined, external: true });
    const disabled = loop.ctx.disableExternal();
    write(right, 'x');
    loop.ctx.whenWritable(left).then(
      () => (writable = true),
      () => undefined,
    );

    loop.steps(4);
    assert.equal(writable, false);
    loop.ctx.setFdHandler(left, null);
    loop.until(() => writable);
    disabled[Symbol.dispose]();
  });

  withLoop('a disposal enables once, also after the context was closed', (loop) => {
    const { ctx } = loop;
    const [first, second] = [ctx.disableExternal(), ctx.disableExternal()];

    first[Symbol.dispose]();
    first[Symbol.dispose]();
    assert.equal(ctx.externalDisabled, true);
    second[Symbol.dispose]();
    assert.equal(ctx.externalDisabled, false);

    const third = ctx.disableExternal();
    ctx.enableExternal();
    assert.throws(() => {
      third[Symbol.dispose]();
    }, underflow);
    third[Symbol.dispose]();
    const last = ctx.disableExternal();
    ctx.close();
    last[Symbol.dispose]();
    assert.equal(ctx.externalDisabled, false);
    assert.throws(() => ctx.disableExternal(), closedError);
  });

  matrix('nodeCheck says who would be called', ({ ctx }) => {
    assert.deepEqual([nodeCheck(ctx, true), nodeCheck(ctx, false)], [true, true]);
    ctx.disableExternal();
    assert.deepEqual([nodeCheck(ctx, true), nodeCheck(ctx, false)], [false, true]);
  });

  withLoop('`external` is read once, and has to be a boolean', (loop) => {
    const { read } = loop.pipe();
    let reads = 0;
    loop.ctx.setFdHandler(read, {
      read: () => undefined,
      get external() {
        reads++;
        return true;
      },
    });
    assert.equal(reads, 1);
    assert.throws(
      () => {
        loop.ctx.setFdHandler(read, { read: () => undefined, external: 1 as never });
      },
      { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' },
    );
  });
});
