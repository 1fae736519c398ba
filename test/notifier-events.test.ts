import assert from 'node:assert/strict';

import { EventNotifier } from 'aio-gsource';
import { closeFd } from 'aio-gsource/fds';
import { computeTimeoutNs } from 'aio-gsource/internals';

import { Fate, progress } from './fate.js';
import { closedError, collectUntil, drain, matrix, whereClosingTells, withLoop, write } from './helpers.js';

describe('EventNotifier', () => {
  it('is set and tested without any context', () => {
    using notifier = new EventNotifier();

    assert.ok(Number.isInteger(notifier.fd) && notifier.fd >= 0);
    assert.equal(notifier.testAndClear(), false);
    notifier.set();
    notifier.set();
    assert.equal(notifier.testAndClear(), true);
    assert.equal(notifier.testAndClear(), false);
  });

  it('may be set from the beginning', () => {
    using active = new EventNotifier({ active: true });
    using inactive = new EventNotifier({ active: false });

    assert.equal(active.testAndClear(), true);
    assert.equal(inactive.testAndClear(), false);
  });

  matrix('calls read with the notifier, which is clear already', (loop) => {
    using notifier = new EventNotifier();
    const seen: unknown[][] = [];
    const handler = {
      read(this: unknown, given: EventNotifier): void {
        seen.push([this, given, given.testAndClear()]);
      },
    };
    loop.ctx.setEventNotifier(notifier, handler);

    loop.step();
    assert.equal(seen.length, 0);
    notifier.set();
    notifier.set();
    loop.steps(3);

    assert.equal(seen.length, 1);
    assert.equal(seen[0]?.[0], handler);
    assert.equal(seen[0][1], notifier);
    assert.equal(seen[0][2], false);
  });

  matrix('one set in its own callback is called again', (loop) => {
    using notifier = new EventNotifier({ active: true });
    let calls = 0;
    loop.ctx.setEventNotifier(notifier, {
      read: () => {
        if (++calls < 3) notifier.set();
      },
    });

    loop.steps(5);

    assert.equal(calls, 3);
  });

  matrix('null removes the handler; the notifier stays set', (loop) => {
    using notifier = new EventNotifier();
    loop.ctx.setEventNotifier(notifier, { read: () => assert.fail('it was removed') });

    notifier.set();
    loop.ctx.setEventNotifier(notifier, null);
    loop.steps(2);

    assert.equal(notifier.testAndClear(), true);
  });

  matrix('a second handler replaces the first', (loop) => {
    using notifier = new EventNotifier({ active: true });
    let calls = 0;
    loop.ctx.setEventNotifier(notifier, { read: () => assert.fail('it was replaced') });
    loop.ctx.setEventNotifier(notifier, { read: () => calls++ });

    loop.steps(2);

    assert.equal(calls, 1);
  });

  matrix('is progress, unlike notify()', (loop) => {
    using notifier = new EventNotifier({ active: true });
    loop.ctx.setEventNotifier(notifier, { read: () => undefined });

    assert.equal(loop.step(), true);
  });

  matrix('closing it in its own callback', (loop) => {
    const notifier = new EventNotifier({ active: true });
    let calls = 0;
    loop.ctx.setEventNotifier(notifier, {
      read: (given) => {
        calls++;
        loop.ctx.setEventNotifier(given, null);
        given.close();
      },
    });

    loop.steps(3);

    assert.equal(calls, 1);
  });

  matrix('closing it while it is watched ends the watch: no busy loop', (loop) => {
    const notifier = new EventNotifier();
    const errors: unknown[] = [];
    loop.ctx.setEventNotifier(notifier, {
      read: () => assert.fail('never set'),
      error: (error) => errors.push(error.code),
    });
    loop.step();

    notifier.close();
    loop.steps(4);

    assert.ok(errors.length <= 1);
    assert.notEqual(computeTimeoutNs(loop.ctx), 0n);
    assert.equal(loop.step(), false);
  });

  matrix('closing it ends what awaits it, though its handler is gone', (loop) => {
    const notifier = new EventNotifier();
    loop.ctx.setEventNotifier(notifier, { poll: () => false, pollReady: () => assert.fail('never found') });
    const fates = [loop.ctx.whenReadable(notifier.fd), loop.ctx.whenWritable(loop.pipe().write)].map(
      (promise) => new Fate(promise),
    );
    loop.ctx.setEventNotifier(notifier, null);

    notifier.close();
    progress(loop);

    assert.deepEqual(
      fates.map(({ state }) => state),
      ['rejected', 'fulfilled'],
    );
    assert.equal((fates[0]?.error as { code?: unknown }).code, 'EBADF');
    assert.deepEqual(loop.ctx.inspect().handlers, []);
  });

  matrix(
    'E4: its descriptor closed behind it is one error',
    (loop) => {
      const notifier = new EventNotifier();
      const errors: unknown[] = [];
      loop.ctx.setEventNotifier(notifier, {
        read: () => assert.fail('never set'),
        error: ({ code }) => errors.push(code),
      });
      loop.step();

      closeFd(notifier.fd);
      loop.until(() => errors.length > 0);
      notifier.close();
      loop.steps(4);

      assert.deepEqual(errors, ['EBADF']);
      assert.equal(loop.step(), false);
    },
    whereClosingTells,
  );

  it('close is final, and idempotent', () => {
    const notifier = new EventNotifier();

    notifier.close();
    notifier.close();
    notifier[Symbol.dispose]();

    assert.throws(() => {
      notifier.set();
    }, closedError);
    assert.throws(() => notifier.testAndClear(), closedError);
  });

  withLoop('a closed one cannot be watched', (loop) => {
    const notifier = new EventNotifier();
    notifier.close();

    assert.throws(() => {
      loop.ctx.setEventNotifier(notifier, { read: () => undefined });
    }, closedError);
  });

  matrix('a subclass that tells of another descriptor: its own is watched', (loop) => {
    const { read, write: end } = loop.pipe();
    class Misleading extends EventNotifier {
      override get fd(): number {
        return read;
      }
    }
    using notifier = new Misleading();
    let [calls, others] = [0, 0];
    loop.ctx.setFdHandler(read, { read: (fd) => (others += drain(fd).length) });
    loop.ctx.setEventNotifier(notifier, { read: () => calls++ });

    notifier.set();
    write(end, 'x');
    loop.steps(3);
    assert.deepEqual([calls, others], [1, 1]);
    loop.ctx.setEventNotifier(notifier, null);
    notifier.set();
    write(end, 'x');
    loop.steps(3);
    assert.deepEqual([calls, others], [1, 2]);

    notifier.close();
    for (const handler of [{ read: () => undefined }, null])
      assert.throws(() => {
        loop.ctx.setEventNotifier(notifier, handler);
      }, closedError);
  });

  it('N6: its descriptor goes with it', async () => {
    const ref = (() => new WeakRef(new EventNotifier()))();

    await collectUntil(() => ref.deref() === undefined);
  });

  withLoop('N6: a watched one that nobody references still calls', async (loop) => {
    let calls = 0;
    const set = (() => {
      const notifier = new EventNotifier();
      loop.ctx.setEventNotifier(notifier, { read: () => calls++ });
      notifier.set();
      return new WeakRef(notifier);
    })();

    for (let i = 0; i < 5; i++) await collectUntil(() => true);
    loop.step();

    assert.equal(calls, 1);
    assert.ok(set.deref());
  });
});
