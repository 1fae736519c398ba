import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import { closeSync } from 'node:fs';

import { pipe, tryRead } from 'aio-gsource/fds';

import {
  abortError,
  assertQuiet,
  badFdError,
  dispatched,
  Fate,
  iterator,
  progress,
  settle,
  takeTurns,
} from './fate.js';
import { closedError, drain, matrix, withLoop, write } from './helpers.js';

const value = { done: false, value: undefined };
const end = { done: true, value: undefined };

describe('AioContext: readable and writable', () => {
  matrix('a loop reads everything until the end', (loop) => {
    const { read, write: other } = loop.pipe();
    let text = '';
    const reading = (async () => {
      for await (const nothing of loop.ctx.readable(read)) {
        assert.equal(nothing, undefined);
        const buffer = Buffer.alloc(2);
        const count = tryRead(read, buffer);
        if (count === 0) return;
        text += buffer.toString('latin1', 0, count ?? 0);
      }
    })();

    for (const part of ['ab', 'cde', 'f']) {
      write(other, part);
      loop.until(() => text.endsWith(part.slice(-1)));
    }
    loop.closeFd(other);
    settle(loop, reading);

    assert.equal(text, 'abcdef');
    assertQuiet(loop);
  });

  matrix('is watched only while a turn is awaited', (loop) => {
    const { read, write: other } = loop.pipe();
    const { signal } = new AbortController();
    write(other, 'x');
    const turns = iterator(loop.ctx.readable(read, { signal }));
    assertQuiet(loop);

    for (let i = 0; i < 3; i++) {
      assert.deepEqual(settle(loop, turns.next()), value);
      assertQuiet(loop);
      assert.equal(getEventListeners(signal, 'abort').length, 0);
    }
    // Abandoned here: there is nothing left of it.
  });

  matrix('a turn is one registration: a callback each, and not one more', (loop) => {
    const { read, write: other } = loop.pipe();
    write(other, 'x');
    const turns = iterator(loop.ctx.readable(read));
    const before = dispatched(loop);

    for (let i = 0; i < 10; i++) settle(loop, turns.next());

    assert.equal(dispatched(loop), before + 10);
  });

  matrix('calls of next() at a time take one turn each, in their order', (loop) => {
    const { read, write: other } = loop.pipe();
    const order: number[] = [];
    const turns = iterator(loop.ctx.readable(read));
    for (let i = 0; i < 3; i++)
      turns.next().then(
        () => {
          order.push(i);
          drain(read);
        },
        () => order.push(-1),
      );

    for (let i = 0; i < 3; i++) {
      loop.step();
      assert.equal(order.length, i);
      write(other, 'x');
      loop.until(() => order.length > i);
      assert.equal(order.length, i + 1);
    }

    assert.deepEqual(order, [0, 1, 2]);
    assertQuiet(loop);
  });

  matrix('leaving the loop lets go of it', (loop) => {
    const { read, write: other } = loop.pipe();
    write(other, 'x');
    const turns = loop.ctx.readable(read);

    settle(
      loop,
      takeTurns(turns, () => true),
    );
    assertQuiet(loop);
    assert.deepEqual(settle(loop, iterator(turns).next()), end, 'it is over');
    const thrown = takeTurns(loop.ctx.readable(read), () => {
      throw new Error('left');
    });
    assert.throws(() => {
      settle(loop, thrown);
    }, /left/);
    assertQuiet(loop);
  });

  for (const how of ['return', 'throw'] as const)
    matrix(`${how}() ends turns that are being awaited`, (loop) => {
      const { read, write: other } = loop.pipe();
      const { signal } = new AbortController();
      const turns = iterator(loop.ctx.readable(read, { signal }));
      const fates = [new Fate(turns.next()), new Fate(turns.next())];
      loop.step();

      if (how === 'return') assert.deepEqual(settle(loop, turns.return()), end);
      else
        assert.throws(() => {
          settle(loop, turns.throw(new Error('thrown into it')));
        }, /thrown into it/);
      write(other, 'x');

      assertQuiet(loop);
      assert.deepEqual(
        fates.map(({ value: each }) => each),
        [end, end],
      );
      assert.deepEqual(settle(loop, turns.next()), end);
      assert.equal(getEventListeners(signal, 'abort').length, 0);
      assert.deepEqual(settle(loop, turns.return()), end);
    });

  matrix('an abort ends it with an AbortError', (loop) => {
    const { read, write: other } = loop.pipe();
    const controller = new AbortController();
    const { signal } = controller;
    const turns = iterator(loop.ctx.readable(read, { signal }));
    const fates = [new Fate(turns.next()), new Fate(turns.next())];
    loop.step();

    controller.abort('enough');
    progress(loop);
    write(other, 'x');

    assert.equal(fates[0]?.state, 'rejected');
    assert.throws(
      () => {
        throw fates[0]?.error;
      },
      { ...abortError, cause: 'enough' },
    );
    assert.deepEqual(fates[1]?.value, end);
    assert.deepEqual(settle(loop, turns.next()), end);
    assertQuiet(loop);
  });

  matrix('an abort between turns is thrown by the next one', (loop) => {
    const { read, write: other } = loop.pipe();
    write(other, 'x');
    const controller = new AbortController();
    const looping = takeTurns(loop.ctx.readable(read, { signal: controller.signal }), () => {
      controller.abort();
      return false;
    });

    assert.throws(() => {
      settle(loop, looping);
    }, abortError);
    assertQuiet(loop);
  });

  withLoop('once the context is closed a turn is ERR_AIO_CLOSED', async (loop) => {
    const { read } = loop.pipe();
    const turns = iterator(loop.ctx.readable(read));
    const pending = turns.next();
    const [idle, other] = [loop.ctx.readable(read), loop.ctx.writable(read)];

    loop.ctx.close();

    await assert.rejects(pending, closedError);
    assert.deepEqual(await turns.next(), end);
    await assert.rejects(iterator(idle).next(), closedError);
    await assert.rejects(iterator(other).next(), closedError);
    assert.deepEqual(await iterator(idle).next(), end);
  });

  withLoop('a descriptor that was closed meanwhile is EBADF', (loop) => {
    const { read } = loop.pipe();
    const turns = iterator(loop.ctx.readable(read));
    loop.closeFd(read);

    assert.throws(() => {
      settle(loop, turns.next());
    }, badFdError);
    assert.deepEqual(settle(loop, turns.next()), end);
  });

  withLoop('hundreds of turns that nobody ends leave nothing', (loop) => {
    const ends = pipe();
    write(ends.write, 'x');
    for (let i = 0; i < 300; i++) {
      const turns = iterator(loop.ctx.readable(ends.read));
      settle(loop, turns.next());
    }

    assertQuiet(loop);
    for (const fd of Object.values(ends)) closeSync(fd);
  });

  withLoop('of a turn that an async hook begins while one ends there is one wait', (loop) => {
    const { read, write: other } = loop.pipe();
    const turns = iterator(loop.ctx.readable(read));
    void turns.next();
    write(other, 'x');
    let begun = false;
    const hook = createHook({
      promiseResolve() {
        if (begun) return;
        begun = true;
        void turns.next();
      },
    }).enable();

    loop.ctx.poll(false);
    hook.disable();
    void turns.return();

    assert.equal(begun, true);
    assertQuiet(loop);
  });
});
