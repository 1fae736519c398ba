import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import { closeSync, openSync } from 'node:fs';

import { EventNotifier } from 'aio-gsource';

import {
  abortError,
  assertQuiet,
  badFdError,
  busyError,
  dispatched,
  Fate,
  iterator,
  never,
  progress,
  settle,
  takeTurns,
} from './fate.js';
import {
  closedError,
  drain,
  fill,
  matrix,
  packageRoot,
  whereClosingTells,
  withLoop,
  write,
} from './helpers.js';

describe('AioContext: whenReadable and whenWritable', () => {
  matrix('resolves when it can be read, and not before', (loop) => {
    const { read, write: other } = loop.pipe();
    const fate = new Fate(loop.ctx.whenReadable(read));

    loop.steps(3);
    assert.equal(fate.state, 'pending');
    write(other, 'x');
    loop.step();

    assert.equal(fate.state, 'fulfilled');
    assert.equal(fate.value, undefined);
    assert.equal(drain(read), 'x');
  });

  matrix('resolves when it can be written, and not before', (loop) => {
    const { read, write: other } = loop.pipe();
    fill(other);
    const fate = new Fate(loop.ctx.whenWritable(other));

    loop.steps(3);
    assert.equal(fate.state, 'pending');
    drain(read);
    loop.step();

    assert.equal(fate.state, 'fulfilled');
  });

  matrix('resolves at the end and in error too', (loop) => {
    const [first, second] = [loop.pipe(), loop.pipe()];
    fill(second.write);
    const fates = [
      new Fate(loop.ctx.whenReadable(first.read)),
      new Fate(loop.ctx.whenWritable(second.write)),
    ];
    loop.step();
    assert.deepEqual(
      fates.map(({ state }) => state),
      ['pending', 'pending'],
    );

    loop.closeFd(first.write);
    loop.closeFd(second.read);
    loop.until(() => fates.every(({ state }) => state === 'fulfilled'));
    assertQuiet(loop);
  });

  matrix('is level-triggered: what is not read lets the next one end too', (loop) => {
    const { read, write: other } = loop.pipe();
    write(other, 'x');

    for (let i = 0; i < 3; i++) settle(loop, loop.ctx.whenReadable(read));

    assert.equal(drain(read), 'x');
  });

  matrix('a file can always be read', (loop) => {
    const file = openSync(`${packageRoot}/package.json`, 'r');
    try {
      settle(loop, loop.ctx.whenReadable(file));
      assertQuiet(loop);
    } finally {
      closeSync(file);
    }
  });

  matrix('all that wait for one readiness go on, after one callback', (loop) => {
    const { read, write: other } = loop.pipe();
    const order: number[] = [];
    const count = 5;
    for (let i = 0; i < count; i++)
      loop.ctx.whenReadable(read).then(
        () => order.push(i),
        () => order.push(-1),
      );
    loop.step();
    const before = dispatched(loop);

    write(other, 'x');
    loop.steps(3);

    assert.deepEqual(order, [0, 1, 2, 3, 4]);
    assert.equal(dispatched(loop), before + 1);
  });

  matrix('what nobody awaits any more is not watched', (loop) => {
    const [left, right] = loop.socketPair();
    write(right, 'x');

    settle(loop, loop.ctx.whenReadable(left));
    assertQuiet(loop);
    settle(loop, loop.ctx.whenWritable(left));
    assertQuiet(loop);
  });

  matrix('both directions are awaited each by itself', (loop) => {
    const [left, right] = loop.socketPair();
    const readable = new Fate(loop.ctx.whenReadable(left));
    settle(loop, loop.ctx.whenWritable(left));
    assert.equal(readable.state, 'pending');
    assertQuiet(loop);

    write(right, 'x');
    loop.until(() => readable.state === 'fulfilled');
    assertQuiet(loop);
  });

  matrix('one direction that is ready and not awaited does not spin while the other is awaited', (loop) => {
    const [left, right] = loop.socketPair();
    fill(left);
    write(right, 'x');
    const writable = new Fate(loop.ctx.whenWritable(left));

    settle(loop, loop.ctx.whenReadable(left));
    loop.steps(2); // it may be found ready once more
    assertQuiet(loop);
    assert.equal(writable.state, 'pending');

    drain(right);
    loop.until(() => writable.state === 'fulfilled');
    assertQuiet(loop);
  });

  withLoop('blockOn drives it', (loop) => {
    const { read, write: other } = loop.pipe();
    loop.ctx.scheduleOneshot(() => {
      write(other, 'x');
    });

    loop.ctx.blockOn(loop.ctx.whenReadable(read));

    assert.equal(drain(read), 'x');
  });

  describe('beside a handler', () => {
    matrix('the direction that the handler has not can be awaited', (loop) => {
      const [left, right] = loop.socketPair();
      fill(left);
      let text = '';
      const handler = {
        read(this: unknown, fd: number): void {
          assert.equal(this, handler);
          text += drain(fd);
        },
      };
      loop.ctx.setFdHandler(left, handler);
      const fate = new Fate(loop.ctx.whenWritable(left));

      write(right, 'one');
      loop.until(() => text === 'one');
      assert.equal(fate.state, 'pending');
      drain(right);
      loop.until(() => fate.state === 'fulfilled');
      write(right, 'two');
      loop.until(() => text === 'onetwo');

      assertQuiet(loop);
    });

    matrix('handlers come and go while the other direction is awaited', (loop) => {
      const [left, right] = loop.socketPair();
      const seen: string[] = [];
      const fate = new Fate(loop.ctx.whenReadable(left));
      const handler = (name: string) => ({
        write(fd: number): void {
          seen.push(name);
          loop.ctx.setFdHandler(fd, null);
        },
      });
      loop.ctx.setFdHandler(left, handler('first'));
      loop.ctx.setFdHandler(left, handler('second'));

      loop.steps(3);
      assert.deepEqual(seen, ['second']);
      assert.equal(fate.state, 'pending');
      loop.ctx.setFdHandler(left, null);
      loop.ctx.setFdHandler(left, null);
      write(right, 'x');
      loop.until(() => fate.state === 'fulfilled');

      assertQuiet(loop);
    });

    matrix("ERR_AIO_FD_BUSY: a direction is one handler's, or is awaited", (loop) => {
      const { ctx } = loop;
      const [left, right] = loop.socketPair();
      const read = never;
      const writeTo = never;
      fill(left);

      ctx.setFdHandler(left, { read });
      assert.throws(() => {
        settle(loop, ctx.whenReadable(left));
      }, busyError);
      assert.throws(() => ctx.readable(left), busyError);
      const iterable = ctx.writable(left);
      ctx.setFdHandler(left, { write: writeTo });
      assert.throws(() => {
        settle(loop, iterator(iterable).next());
      }, busyError);
      assert.throws(() => {
        settle(loop, ctx.whenWritable(left));
      }, busyError);
      ctx.setFdHandler(left, null);

      const fate = new Fate(ctx.whenReadable(left));
      for (const handler of [{ read }, { read, write: writeTo }])
        assert.throws(() => {
          ctx.setFdHandler(left, handler);
        }, busyError);
      loop.steps(2);
      assert.equal(fate.state, 'pending', 'the refused handler has changed nothing');

      write(right, 'x');
      loop.until(() => fate.state === 'fulfilled');
      let calls = 0;
      ctx.setFdHandler(left, { read: (fd) => (calls += drain(fd).length) });
      loop.until(() => calls === 1);
    });

    matrix("ERR_AIO_FD_BUSY: a notifier's, too", (loop) => {
      using notifier = new EventNotifier();
      const fate = new Fate(loop.ctx.whenReadable(notifier.fd));
      assert.throws(() => {
        loop.ctx.setEventNotifier(notifier, { read: never });
      }, busyError);

      notifier.set();
      loop.until(() => fate.state === 'fulfilled');
      assert.equal(notifier.testAndClear(), true, 'only a handler clears it');
      let calls = 0;
      loop.ctx.setEventNotifier(notifier, { read: () => calls++ });
      assert.throws(() => loop.ctx.readable(notifier.fd), busyError);
      settle(loop, loop.ctx.whenWritable(notifier.fd));
      notifier.set();
      loop.steps(3);

      assert.equal(calls, 1, 'it is cleared before the call, as without anyone waiting');
    });

    matrix('who reads all the time keeps no other from writing', (loop) => {
      const [left, right] = loop.socketPair();
      write(right, 'never drained');
      let [reads, writes] = [0, 0];
      loop.ctx.setFdHandler(left, { write: () => writes++ });
      const reading = takeTurns(loop.ctx.readable(left), () => ++reads === 20);

      settle(loop, reading);

      assert.ok(writes >= 10, `${String(writes)} writes beside ${String(reads)} reads`);
    });

    matrix('two loops, one of each direction, both make progress', (loop) => {
      const [left, right] = loop.socketPair();
      write(right, 'never drained');
      let [reads, writes] = [0, 0];
      const reading = takeTurns(loop.ctx.readable(left), () => ++reads === 20);
      const writing = takeTurns(loop.ctx.writable(left), () => ++writes === 20);

      const before = dispatched(loop);
      settle(loop, Promise.all([reading, writing]));

      assert.ok(dispatched(loop) - before < 60);
      assertQuiet(loop);
    });

    withLoop('a handler keeps its async context, whoever joins it', (loop) => {
      const storage = new AsyncLocalStorage<string>();
      const [left, right] = loop.socketPair();
      const seen: unknown[] = [];
      storage.run('handler', () => {
        loop.ctx.setFdHandler(left, { read: (fd) => seen.push(storage.getStore(), drain(fd)) });
      });
      const waiting = storage.run('waiter', () =>
        loop.ctx.whenWritable(left).then(() => seen.push(storage.getStore())),
      );

      settle(loop, waiting);
      write(right, 'x');
      loop.step();

      assert.deepEqual(seen, ['waiter', 'handler', 'x']);
    });
  });

  describe('aborted', () => {
    matrix('rejects, and nothing is watched any more', (loop) => {
      const { read, write: other } = loop.pipe();
      const controller = new AbortController();
      const { signal } = controller;
      const reason = new Error('the reason');
      const waiting = loop.ctx.whenReadable(read, { signal });
      const fate = new Fate(waiting);
      loop.step();
      assert.equal(getEventListeners(signal, 'abort').length, 1);

      controller.abort(reason);
      progress(loop);
      assert.equal(fate.state, 'rejected');
      assert.throws(
        () => {
          settle(loop, waiting);
        },
        { ...abortError, cause: reason },
      );
      write(other, 'x');

      assertQuiet(loop);
      assert.equal(getEventListeners(signal, 'abort').length, 0);
    });

    matrix('before: it is not even begun', (loop) => {
      const { read, write: other } = loop.pipe();
      write(other, 'x');
      const signal = AbortSignal.abort('why');

      assert.throws(
        () => {
          settle(loop, loop.ctx.whenReadable(read, { signal }));
        },
        { ...abortError, cause: 'why' },
      );
      assert.throws(
        () => {
          settle(loop, iterator(loop.ctx.readable(read, { signal })).next());
        },
        { ...abortError, cause: 'why' },
      );

      assertQuiet(loop);
      assert.equal(getEventListeners(signal, 'abort').length, 0);
    });

    matrix('one of many: the others go on waiting', (loop) => {
      const { read, write: other } = loop.pipe();
      const controller = new AbortController();
      const aborted = new Fate(loop.ctx.whenReadable(read, { signal: controller.signal }));
      const others = [new Fate(loop.ctx.whenReadable(read)), new Fate(loop.ctx.whenReadable(read))];

      controller.abort();
      progress(loop);
      loop.step();
      assert.equal(aborted.state, 'rejected');
      write(other, 'x');
      loop.step();

      assert.deepEqual(
        others.map(({ state }) => state),
        ['fulfilled', 'fulfilled'],
      );
    });

    matrix('too late: the listener is gone', (loop) => {
      const { read, write: other } = loop.pipe();
      const controller = new AbortController();
      const { signal } = controller;
      write(other, 'x');

      settle(loop, loop.ctx.whenReadable(read, { signal }));
      assert.equal(getEventListeners(signal, 'abort').length, 0);
      controller.abort();
      loop.step();
    });

    withLoop('a failed call leaves no listener', (loop) => {
      const { signal } = new AbortController();
      assert.throws(() => {
        settle(loop, loop.ctx.whenReadable(999_999, { signal }));
      }, badFdError);
      assert.equal(getEventListeners(signal, 'abort').length, 0);
    });

    withLoop('it is aborted though another listener stops the event', (loop) => {
      const { read } = loop.pipe();
      const controller = new AbortController();
      const { signal } = controller;
      signal.addEventListener('abort', (event) => {
        event.stopImmediatePropagation();
      });
      const turn = iterator(loop.ctx.readable(read, { signal })).next();
      const fates = [new Fate(loop.ctx.whenReadable(read, { signal })), new Fate(turn)];

      controller.abort();
      progress(loop);

      for (const { error } of fates)
        assert.throws(() => {
          throw error;
        }, abortError);
      assertQuiet(loop);
    });

    withLoop('by a signal with methods of its own', (loop) => {
      const { read, write: other } = loop.pipe();
      const controller = new AbortController();
      const { signal } = controller;
      Object.assign(signal, { addEventListener: never, removeEventListener: never });
      write(other, 'x');

      settle(loop, loop.ctx.whenReadable(read, { signal }));
      drain(read);
      const fate = new Fate(loop.ctx.whenReadable(read, { signal }));
      controller.abort();
      progress(loop);

      assert.equal(fate.state, 'rejected');
    });
  });

  describe('aborted by a signal with getters of its own', () => {
    const withGetter = (controller: AbortController, name: 'aborted' | 'reason'): AbortSignal =>
      Object.defineProperty(controller.signal, name, {
        get: () => {
          throw new Error(`own ${name}`);
        },
      });

    for (const name of ['aborted', 'reason'] as const) {
      matrix(`later: ${name}`, (loop) => {
        const { read } = loop.pipe();
        const controller = new AbortController();
        const signal = withGetter(controller, name);
        const turn = iterator(loop.ctx.readable(read, { signal })).next();
        const fates = [loop.ctx.whenReadable(read, { signal }), turn, loop.ctx.sleep(10_000, { signal })].map(
          (promise: Promise<unknown>) => new Fate(promise),
        );

        controller.abort('why');
        progress(loop);

        for (const { error } of fates)
          assert.throws(
            () => {
              throw error;
            },
            { ...abortError, cause: 'why' },
          );
        assertQuiet(loop);
      });

      withLoop(`before: ${name}`, (loop) => {
        const { read } = loop.pipe();
        const controller = new AbortController();
        controller.abort('why');
        const signal = withGetter(controller, name);
        const { ctx } = loop;
        for (const wait of [
          () => ctx.whenReadable(read, { signal }),
          () => ctx.sleep(10_000, { signal }),
          () => ctx.child(process.ppid, { signal }),
          async () => {
            await Promise.resolve();
            ctx.waitWhile(() => true, { signal });
          },
        ])
          assert.throws(
            () => {
              settle<unknown>(loop, wait());
            },
            { ...abortError, cause: 'why' },
          );
        assertQuiet(loop);
      });
    }
  });

  describe('that ends in an error', () => {
    matrix('closing the context rejects what is pending, and frees it', (loop) => {
      const { read } = loop.pipe();
      const { signal } = new AbortController();
      const errors: unknown[] = [];
      for (const promise of [
        loop.ctx.whenReadable(read, { signal }),
        loop.ctx.whenReadable(read),
        loop.ctx.whenWritable(read),
        iterator(loop.ctx.readable(read, { signal })).next(),
      ])
        promise.then(never, (error: unknown) => errors.push(error));
      // In a callback, so that promises progress after it.
      loop.ctx.scheduleOneshot(() => {
        loop.ctx.close();
      });
      try {
        loop.step();
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'ERR_AIO_CLOSED', String(error));
      }

      return Promise.resolve().then(() => {
        assert.equal(errors.length, 4);
        for (const error of errors)
          assert.throws(() => {
            throw error;
          }, closedError);
        assert.equal(getEventListeners(signal, 'abort').length, 0);
      });
    });

    matrix('closing the context in what goes on', (loop) => {
      const { read, write: other } = loop.pipe();
      write(other, 'x');
      const fate = new Fate(
        loop.ctx.whenReadable(read).then(() => {
          loop.ctx.close();
          return loop.ctx.whenReadable(read);
        }),
      );

      for (let i = 0; i < 8 && !loop.ctx.closed; i++) loop.step();

      return Promise.resolve().then(() => {
        assert.equal(fate.state, 'rejected');
      });
    });

    withLoop('what is not open is EBADF, and what is no number is not taken for one', (loop) => {
      const { read } = loop.pipe();
      loop.closeFd(read);
      for (const fd of [read, 999_999, 2 ** 31 - 1]) {
        for (const direction of ['whenReadable', 'whenWritable'] as const)
          assert.throws(() => {
            settle(loop, loop.ctx[direction](fd));
          }, badFdError);
        for (const direction of ['readable', 'writable'] as const)
          assert.throws(() => loop.ctx[direction](fd), badFdError);
      }
      assertQuiet(loop);
    });

    matrix(
      'E4: closed while it is awaited: EBADF for all, and for the handler',
      (loop) => {
        const [left] = loop.socketPair();
        fill(left);
        const errors: unknown[] = [];
        loop.ctx.setFdHandler(left, { read: never, error: (error) => errors.push(error) });
        const fates = [new Fate(loop.ctx.whenWritable(left)), new Fate(loop.ctx.whenWritable(left))];
        loop.step();

        loop.closeFd(left);
        loop.until(() => errors.length > 0);

        for (const { error } of fates)
          assert.throws(() => {
            throw error;
          }, badFdError);
        assertQuiet(loop);
      },
      whereClosingTells,
    );

    matrix(
      'E4: without a handler nobody else is told',
      (loop) => {
        const { read } = loop.pipe();
        const fate = new Fate(loop.ctx.whenReadable(read));
        loop.step();

        loop.closeFd(read);
        loop.until(() => fate.state !== 'pending');

        assert.equal((fate.error as { code?: unknown }).code, 'EBADF');
        assertQuiet(loop);
      },
      whereClosingTells,
    );

    matrix(
      'E4: closed while both are awaited: what ends later has no one to tell, and does not spin',
      (loop) => {
        const [left] = loop.socketPair();
        fill(left);
        const controller = new AbortController();
        const [first, second] = [
          new Fate(loop.ctx.whenReadable(left, { signal: controller.signal })),
          new Fate(loop.ctx.whenWritable(left)),
        ];
        loop.step();

        loop.closeFd(left);
        controller.abort();
        progress(loop);
        assert.equal(first.state, 'rejected');
        loop.steps(4);
        assertQuiet(loop);
        if (second.state === 'rejected') assert.equal((second.error as { code?: unknown }).code, 'EBADF');
      },
    );

    matrix('E4: closed while it is awaited: who takes the handler away has it end', (loop) => {
      const [left] = loop.socketPair();
      fill(left);
      loop.ctx.setFdHandler(left, { read: never });
      const fate = new Fate(loop.ctx.whenWritable(left));
      loop.step();

      loop.closeFd(left);
      loop.ctx.setFdHandler(left, null);
      progress(loop);

      assert.equal((fate.error as { code?: unknown }).code, 'EBADF');
      assertQuiet(loop);
    });

    matrix('E4: closed by the handler of the same event: it is told, and who awaits goes on', (loop) => {
      const [left, right] = loop.socketPair();
      const errors: unknown[] = [];
      loop.ctx.setFdHandler(left, {
        read: (fd) => {
          loop.closeFd(fd);
        },
        error: (error) => errors.push(error),
      });
      const fate = new Fate(loop.ctx.whenWritable(left));
      write(right, 'x');

      loop.step();
      progress(loop);

      assert.equal(fate.state, 'fulfilled');
      assert.equal(errors.length, 1);
      assert.throws(() => {
        throw errors[0];
      }, badFdError);
      assertQuiet(loop);
    });

    matrix('E5: closed while it is awaited: a wait for another file of that number is told', (loop) => {
      const { read } = loop.pipe();
      new Fate(loop.ctx.whenReadable(read));
      loop.step();

      loop.closeFd(read);
      const reused = loop.pipe();
      assert.equal(reused.read, read);
      write(reused.write, 'x');

      const fate = new Fate(loop.ctx.whenReadable(read));
      loop.steps(4);
      progress(loop);

      assert.equal(fate.state, 'fulfilled');
      assertQuiet(loop);
    });

    matrix('E4: closed while it is awaited: the next wait is EBADF, and so is the first', (loop) => {
      const { read } = loop.pipe();
      const first = new Fate(loop.ctx.whenReadable(read));
      loop.step();

      loop.closeFd(read);
      const next = new Fate(loop.ctx.whenReadable(read));
      progress(loop);

      for (const { error } of [first, next]) assert.equal((error as { code?: unknown }).code, 'EBADF');
      assertQuiet(loop);
    });

    matrix('closing a notifier ends what waits for it', (loop) => {
      const notifier = new EventNotifier();
      loop.ctx.setEventNotifier(notifier, { read: never });
      const fate = new Fate(loop.ctx.whenWritable(notifier.fd));

      notifier.close();
      progress(loop);

      assert.equal((fate.error as { code?: unknown }).code, 'EBADF');
      assertQuiet(loop);
    });
  });
});
