import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { getEventListeners } from 'node:events';
import { setImmediate as immediate } from 'node:timers/promises';

import { Clock, EventNotifier } from 'aio-gsource';
import { pollDisabled } from 'aio-gsource/internals';

import { dispatched, Fate, iterator } from './fate.js';
import {
  closedError,
  collectUntil,
  drain,
  duration,
  fill,
  type Loop,
  matrix,
  scriptLines,
  underGlib,
  withLoop,
  write,
} from './helpers.js';
import { Producer } from './producer.js';

const polled = { drivers: ['poll', 'mixed'] } as const;
const no = (): boolean => false;
const nothing = (): void => undefined;

function spin(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/** Only so that a wait ends. */
function deadline(loop: Loop, ms: number): void {
  loop.ctx.timer(Clock.realtime, nothing).after(ms);
}

describe('FdHandler: polling', () => {
  matrix('D11: what polling finds costs no wait, from the second event on', (loop) => {
    using producer = new Producer(loop);
    loop.ctx.setPollParams({ maxNs: 1_000_000_000 });
    producer.notifier.set();
    loop.ctx.poll(true);
    assert.equal(producer.reads, 1);
    const { waits, pollSuccesses, pollIterations } = loop.ctx.stats();

    producer.event = true;
    assert.equal(loop.ctx.poll(true), true);

    assert.equal(producer.found, 1);
    const after = loop.ctx.stats();
    assert.equal(after.waits, waits);
    assert.equal(after.pollSuccesses, pollSuccesses + 1);
    assert.ok(after.pollIterations > pollIterations);
  });

  matrix('D1: pollReady is only called where poll has said yes', (loop) => {
    using producer = new Producer(loop);
    loop.steps(1000);

    assert.deepEqual([producer.found, producer.reads], [0, 0]);
  });

  matrix('D1: pollReady is not called for what a poll nested in write has told it of', (loop) => {
    const { write: end } = loop.pipe();
    let [event, isNested, told, writes] = [false, false, 0, 0];
    loop.ctx.setFdHandler(end, {
      write: () => {
        writes++;
        if (isNested) return;
        isNested = true;
        loop.ctx.poll(false);
        isNested = false;
      },
      poll: () => event,
      pollReady: () => {
        assert.ok(event, 'poll has not said so');
        event = false;
        told++;
      },
    });

    for (let pass = 1; pass <= 4; pass++) {
      event = true;
      loop.ctx.poll(false);
      assert.equal(told, pass);
    }
    assert.ok(writes >= 2);
  });

  underGlib('D2: what comes while poll mode ends is delivered in the first iteration', (ctx, main) => {
    using producer: Producer = new Producer(
      { ctx },
      {
        pollEnd: () => {
          producer.ends++;
          producer.event = true;
        },
      },
    );
    producer.enterPollMode();

    // Nothing else would end this wait.
    assert.equal(main.iteration(true), true);

    assert.deepEqual([producer.found, producer.begins, producer.ends], [2, 1, 1]);
  });

  matrix(
    'D3: the begin and the end are paired where the handler is removed, replaced or its context closed',
    (loop) => {
      const { ctx } = loop;
      for (const end of [
        (producer: Producer) => {
          ctx.setFdHandler(producer.fd, null);
        },
        (producer: Producer) => {
          producer.register();
        },
        (producer: Producer) => {
          ctx.setFdHandler(producer.fd, { read: nothing });
        },
        () => {
          ctx.close();
        },
      ]) {
        using producer = new Producer(loop);
        producer.enterPollMode();
        end(producer);
        assert.equal(producer.ends, 1);
      }
    },
    polled,
  );

  matrix(
    'D3: closing a polled notifier ends its polling',
    (loop) => {
      using producer = new Producer(loop);
      using notifier = new EventNotifier();
      const calls: string[] = [];
      loop.ctx.setEventNotifier(notifier, {
        poll: no,
        pollReady: nothing,
        pollBegin: () => calls.push('begin'),
        pollEnd: () => calls.push('end'),
      });
      producer.enterPollMode();
      assert.deepEqual(calls, ['begin']);

      notifier.close();

      assert.deepEqual(calls, ['begin', 'end']);
      assert.equal(loop.ctx.inspect().handlers.length, 1);
    },
    polled,
  );

  withLoop('a notifier closed in the end of what it replaces is not watched', (loop) => {
    using producer = new Producer(loop);
    const notifier = new EventNotifier();
    loop.ctx.setFdHandler(notifier.fd, {
      poll: no,
      pollReady: nothing,
      pollEnd: () => {
        notifier.close();
      },
    });
    producer.enterPollMode();

    loop.ctx.setEventNotifier(notifier, { poll: no, pollReady: nothing });

    assert.throws(() => notifier.fd, closedError);
    assert.deepEqual(
      loop.ctx.inspect().handlers.map(({ fd }) => fd),
      [producer.fd],
    );
  });

  withLoop('a notifier that is being closed cannot be watched again in the end of its polling', (loop) => {
    using producer = new Producer(loop);
    const notifier = new EventNotifier();
    let ended = false;
    loop.ctx.setEventNotifier(notifier, {
      poll: no,
      pollReady: nothing,
      pollEnd: () => {
        assert.throws(() => {
          loop.ctx.setEventNotifier(notifier, { read: nothing });
        }, closedError);
        ended = true;
      },
    });
    producer.enterPollMode();

    notifier.close();

    assert.ok(ended);
    assert.equal(loop.ctx.inspect().handlers.length, 1);
  });

  matrix('D3: the handler that replaces a polled one has a begin of its own', (loop) => {
    using producer = new Producer(loop);
    producer.enterPollMode();
    producer.register();
    assert.deepEqual([producer.begins, producer.ends], [1, 1]);

    loop.ctx.poll(false);

    assert.deepEqual([producer.begins, producer.ends], [2, 1]);
  });

  withLoop('D3: whoever awaits the other direction does not unpair them', (loop) => {
    const [ours, theirs] = loop.socketPair();
    const calls: string[] = [];
    using producer = new Producer(loop);
    loop.ctx.setFdHandler(ours, {
      read: drain,
      poll: no,
      pollReady: nothing,
      pollBegin: () => calls.push('begin'),
      pollEnd: () => calls.push('end'),
    });
    producer.enterPollMode();
    assert.deepEqual(calls, ['begin']);

    let written = false;
    void loop.ctx.whenWritable(ours).then(() => (written = true));
    assert.deepEqual(calls, ['begin', 'end']);
    loop.until(() => written);
    loop.ctx.setFdHandler(ours, null);

    assert.equal(calls.filter((call) => call === 'begin').length, calls.length / 2);
    assert.equal(calls.at(-1), 'end');
    loop.closeFd(theirs);
  });

  describe('a wait that begins as it ends polling', () => {
    interface Waiting {
      readonly loop: Loop;
      readonly fd: number;
      /** The other end. */
      readonly other: number;
      readonly controller: AbortController;
      readonly signal: AbortSignal;
      /** What happens in the next `pollEnd`. */
      inEnd: () => void;
    }

    /** In poll mode, with a handler that leaves its descriptor to who awaits it. */
    function inPollMode(loop: Loop, body: (waiting: Waiting) => Promise<void>): Promise<void> {
      const controller = new AbortController();
      const [fd, other] = loop.socketPair();
      const waiting: Waiting = { loop, fd, other, controller, signal: controller.signal, inEnd: nothing };
      const producer = new Producer(loop);
      loop.ctx.setFdHandler(waiting.fd, {
        poll: no,
        pollReady: nothing,
        pollEnd: () => {
          const { inEnd } = waiting;
          waiting.inEnd = nothing;
          inEnd();
        },
      });
      producer.enterPollMode();
      return body(waiting).finally(() => {
        assert.equal(waiting.inEnd, nothing, 'it was called');
        producer[Symbol.dispose]();
      });
    }

    function assertNotWatched({ loop, fd, signal }: Waiting): void {
      assert.equal(loop.ctx.inspect().handlers.find((each) => each.fd === fd)?.read, false);
      assert.equal(getEventListeners(signal, 'abort').length, 0);
    }

    for (const kind of ['whenReadable', 'readable'] as const) {
      const wait = ({ loop: { ctx }, fd, signal }: Waiting): Promise<unknown> =>
        kind === 'readable'
          ? iterator(ctx.readable(fd, { signal })).next()
          : ctx.whenReadable(fd, { signal });

      withLoop(`is aborted: ${kind}`, (loop) =>
        inPollMode(loop, async (waiting) => {
          waiting.inEnd = () => {
            waiting.controller.abort();
          };

          const fate = new Fate(wait(waiting));
          await immediate();

          assert.equal((fate.error as Error | undefined)?.name, 'AbortError');
          assertNotWatched(waiting);
        }),
      );

      withLoop(`its context is closed: ${kind}`, (loop) =>
        inPollMode(loop, async (waiting) => {
          waiting.inEnd = () => {
            loop.ctx.close();
          };

          await assert.rejects(wait(waiting), closedError);
          assert.equal(getEventListeners(waiting.signal, 'abort').length, 0);
        }),
      );
    }

    withLoop('its iterator is returned', (loop) =>
      inPollMode(loop, async (waiting) => {
        const turns = iterator(loop.ctx.readable(waiting.fd, { signal: waiting.signal }));
        waiting.inEnd = () => void turns.return();

        assert.deepEqual(await turns.next(), { done: true, value: undefined });
        assertNotWatched(waiting);
      }),
    );

    withLoop('it has had its turn already, and the next one is awaited', (loop) =>
      inPollMode(loop, async (waiting) => {
        const turns = iterator(loop.ctx.readable(waiting.fd, { signal: waiting.signal }));
        let next: Fate<unknown> | undefined;
        waiting.inEnd = () => {
          write(waiting.other, 'x');
          next = new Fate(turns.next());
          const before = dispatched(loop);
          while (dispatched(loop) === before) loop.ctx.poll(true);
          drain(waiting.fd);
        };

        assert.deepEqual(await turns.next(), { done: false, value: undefined });
        assert.equal(next?.state, 'pending');
        await turns.return();
        await immediate();

        assert.equal(next.state, 'fulfilled');
        assertNotWatched(waiting);
      }),
    );
  });

  withLoop('D3: a handler that is removed as it is told of the end is not called any more', (loop) => {
    using producer = new Producer(loop);
    const [ours, theirs] = loop.socketPair();
    loop.ctx.setFdHandler(ours, {
      write: () => assert.fail('removed'),
      poll: no,
      pollReady: nothing,
      pollEnd: () => {
        loop.ctx.setFdHandler(ours, null);
      },
    });
    fill(ours);
    producer.enterPollMode();
    let read = false;
    // Its registration ends, and with it this handler's polling, once it can be read.
    loop.ctx.setFdPoll(ours, nothing, nothing);
    void loop.ctx.whenReadable(ours).then(() => (read = true));
    loop.ctx.poll(false);
    loop.ctx.setFdPoll(ours, nothing, () => {
      loop.ctx.setFdHandler(ours, null);
    });
    drain(theirs);
    write(theirs, 'x');

    loop.steps(2);
    assert.ok(read);

    assert.equal(loop.ctx.inspect().handlers.length, 1);
  });

  matrix('D4: a handler that poll always finds does not starve a file descriptor', (loop) => {
    for (const poll of [undefined, no]) {
      let found = 0;
      using producer = new Producer(loop, { poll: () => true, pollReady: () => found++ });
      loop.ctx.setPollParams({ maxNs: 100_000 });
      const { read, write: end } = loop.pipe();
      let calls = 0;
      loop.ctx.setFdHandler(read, {
        read: (fd) => {
          drain(fd);
          calls++;
        },
        ...(poll ? { poll, pollReady: nothing } : {}),
      });

      for (let i = 1; i <= 5; i++) {
        write(end, 'x');
        loop.steps(2);
        assert.equal(calls, i);
      }
      // Under GLib it has its file descriptor for that, once it is not new any more.
      if (loop.driver === 'glib') assert.equal(found, 1);
      else assert.ok(found > 1);
      loop.ctx.setFdHandler(read, null);
      assert.equal(producer.reads, 0);
    }
  });

  matrix('D4: nor one that was held back, where each poll function notifies', (loop) => {
    const [idle, ready] = [loop.pipe(), loop.pipe()];
    const calls = { reads: 0 };
    write(ready.write, 'x');
    loop.ctx.setFdHandler(idle.read, {
      poll: () => {
        loop.ctx.notify();
        return false;
      },
      pollReady: nothing,
    });
    loop.ctx.setFdHandler(ready.read, { external: true, read: () => calls.reads++ });
    const undo = loop.ctx.disableExternal();
    loop.steps(4);
    assert.equal(calls.reads, 0);

    undo[Symbol.dispose]();
    for (let i = 0; i < 4; i++) loop.ctx.poll(false);

    assert.notEqual(calls.reads, 0);
  });

  matrix('D5: a poll that does not block sees both where every handler is polled', (loop) => {
    using producer = new Producer(loop);
    producer.event = true;
    for (let i = 0; i < 2; i++) loop.ctx.poll(false);
    assert.equal(producer.found, 1);

    producer.notifier.set();
    for (let i = 0; i < 2; i++) loop.ctx.poll(false);
    assert.equal(producer.reads, 1);
  });

  underGlib('D8: GLib does not sleep in poll mode', (ctx, main) => {
    using producer = new Producer({ ctx });
    producer.enterPollMode();
    const timer = ctx.timer(Clock.realtime, () => {
      assert.equal(producer.ends, 1);
    });
    timer.after(5);

    while (timer.pending) main.iteration(true);

    assert.equal(ctx.inspect().pollStarted, false);
  });

  matrix('D9: poll mode stays on as long as there is something to do', (loop) => {
    using producer = new Producer(loop);
    producer.enterPollMode();

    for (let i = 0; i < 1000; i++) {
      producer.event = true;
      loop.ctx.poll(i % 2 === 0);
    }

    assert.equal(producer.found, 1001);
    assert.deepEqual([producer.begins, producer.ends], [1, 0]);
  });

  matrix('D10: a handler with nothing but poll', (loop) => {
    using producer = new Producer(loop);
    const { poll, pollReady } = producer.handler;
    loop.ctx.setFdHandler(producer.fd, { poll, pollReady });

    producer.event = true;
    loop.wait();
    assert.equal(producer.found, 1);
    producer.notifier.set();
    loop.steps(2);
    assert.equal(producer.found, 1, 'its file descriptor is not watched');
    producer.event = true;
    loop.steps(2);

    assert.equal(producer.found, 2);
    assert.equal(producer.reads, 0);
    const handler = loop.ctx.inspect().handlers.find(({ fd }) => fd === producer.fd);
    assert.deepEqual([handler?.read, handler?.write, handler?.poll], [false, false, true]);
    assert.equal(handler?.name, 'pollReady');
  });

  matrix('H5: an external handler is not asked while external clients are disabled', (loop) => {
    using producer: Producer = new Producer(loop, { external: true });
    producer.event = true;
    const disabled = loop.ctx.disableExternal();
    loop.steps(4);
    assert.equal(producer.asked, 0);

    disabled[Symbol.dispose]();
    for (let i = 0; i < 2; i++) loop.ctx.poll(false);

    assert.equal(producer.found, 1);
  });

  matrix('A9: a notification is no progress, and costs no wait in poll mode', (loop) => {
    using producer = new Producer(loop);
    loop.ctx.notify();
    assert.equal(loop.ctx.poll(false), false);
    loop.ctx.notify();
    assert.equal(loop.ctx.poll(true), false);
    producer.enterPollMode();
    // The monitors look at file descriptors every second time at least.
    loop.ctx.poll(false);
    const { waits } = loop.ctx.stats();

    loop.ctx.notify();
    assert.equal(loop.ctx.poll(true), false);

    assert.equal(loop.ctx.stats().waits, waits);
    loop.ctx.notify();
    assert.equal(loop.ctx.poll(false), false);
  });

  withLoop('a wait polls no longer than it has learned to, then sleeps, kickable', (loop) => {
    using producer = new Producer(loop);
    producer.enterPollMode();
    deadline(loop, 5);

    assert.equal(loop.ctx.poll(true), true);

    assert.deepEqual([producer.begins, producer.ends], [1, 1]);
    assert.ok(loop.ctx.stats().waits > 0);
    producer.notifier.set();
    loop.ctx.poll(true);
    assert.equal(producer.reads, 2);
  });

  matrix('one handler without poll disables polling, but not that of io_uring', (loop) => {
    using producer = new Producer(loop);
    const { read } = loop.pipe();
    assert.equal(pollDisabled(loop.ctx), false);
    loop.ctx.setFdHandler(read, { read: drain });
    assert.equal(pollDisabled(loop.ctx), true);
    loop.ctx.setPollParams({ maxNs: 1_000_000_000 });
    producer.notifier.set();
    loop.ctx.poll(true);
    const asked = producer.asked;
    deadline(loop, 2);
    loop.ctx.poll(true);

    assert.equal(producer.asked > asked, loop.ctx.monitor === 'io_uring');
    loop.ctx.setFdHandler(read, null);
    assert.equal(pollDisabled(loop.ctx), false);
  });

  for (const kind of ['file descriptor', 'notifier'])
    withLoop(`of a ${kind}: captured, called with the handler as \`this\` and what they are for`, (loop) => {
      const seen: [string, unknown, unknown][] = [];
      using outer = new Producer(loop);
      using notifier = new EventNotifier();
      const fd = loop.pipe().read;
      const subject = kind === 'notifier' ? notifier : fd;
      let ready = false;
      const note = (name: string) =>
        function (this: unknown, argument: unknown): void {
          seen.push([name, this, argument]);
        };
      const handler = {
        poll(this: unknown, argument: unknown): boolean {
          if (ready) seen.push(['poll', this, argument]);
          return ready;
        },
        pollReady(this: unknown, argument: unknown): void {
          ready = false;
          seen.push(['pollReady', this, argument]);
        },
        pollBegin: note('pollBegin') as () => void,
        pollEnd: note('pollEnd') as () => void,
      };
      const registered = { ...handler };
      if (kind === 'notifier') loop.ctx.setEventNotifier(notifier, registered);
      else loop.ctx.setFdHandler(fd, registered);
      for (const name of Object.keys(handler))
        Object.assign(registered, { [name]: () => assert.fail('replaced after registration') });

      outer.enterPollMode();
      ready = true;
      loop.ctx.poll(false);
      if (kind === 'notifier') loop.ctx.setEventNotifier(notifier, null);
      else loop.ctx.setFdHandler(fd, null);

      assert.deepEqual(
        seen.map(([name]) => name),
        ['pollBegin', 'poll', 'pollReady', 'pollEnd'],
      );
      for (const [name, receiver, argument] of seen) {
        assert.equal(receiver, registered);
        assert.equal(argument, name === 'poll' || name === 'pollReady' ? subject : undefined);
      }
    });

  withLoop('they run in the async context of their registration', (loop) => {
    const storage = new AsyncLocalStorage<string>();
    const seen = new Set<unknown>();
    const note = (name: string): void => void seen.add(`${name} ${String(storage.getStore())}`);
    using producer = new Producer(loop);
    const fd = loop.pipe().read;
    storage.run('registered', () => {
      loop.ctx.setFdHandler(fd, {
        poll: () => {
          note('poll');
          return producer.found > 0;
        },
        pollReady: () => {
          note('pollReady');
        },
        pollBegin: () => {
          note('begin');
        },
        pollEnd: () => {
          note('end');
        },
      });
    });
    storage.run('driving', () => {
      producer.enterPollMode();
      loop.ctx.poll(false);
    });
    storage.run('replaced', () => {
      loop.ctx.setFdPoll(
        fd,
        () => {
          note('new begin');
        },
        () => {
          note('new end');
        },
      );
    });
    loop.ctx.setFdHandler(fd, null);

    assert.deepEqual([...seen].sort(), [
      'begin registered',
      'end registered',
      'new begin replaced',
      'new end replaced',
      'poll registered',
      'pollReady registered',
    ]);
  });

  // In a process where no store has been seen yet.
  for (const [what, body] of Object.entries({
    'setFdHandler()': 'ctx.setFdHandler(fd, null)',
    'setFdPoll()': 'ctx.setFdPoll(fd, null, null)',
    'close() of the context': 'ctx.close()',
    'prepare()': 'prepare(ctx)',
  }))
    it(`registered without a store they see none where ${what} is called in one`, async () => {
      const lines = await scriptLines(
        'cjs',
        `const { AsyncLocalStorage } = require('node:async_hooks');
        const { prepare } = require('aio-gsource/internals');
        const ctx = new aio.AioContext(); const notifier = new aio.EventNotifier(); const { fd } = notifier;
        let event = false, storage, ended = 'not called';
        ctx.setFdHandler(fd, {
          read() { notifier.testAndClear(); }, poll: () => event, pollReady() { event = false; },
          pollEnd() { ended = storage.getStore(); },
        });
        ctx.setPollParams({ maxNs: 1_000_000_000 });
        notifier.set(); ctx.poll(true); event = true; ctx.poll(true);
        storage = new AsyncLocalStorage();
        storage.run('of the caller', () => { ${body}; });
        console.log(String(ended));`,
      );

      assert.deepEqual(lines, ['undefined']);
    });

  withLoop('promises progress between them', (loop) => {
    const order: string[] = [];
    const note = (name: string): void => {
      order.push(name);
      void Promise.resolve().then(() => order.push(`after ${name}`));
    };
    using producer: Producer = new Producer(loop, {
      poll: () => {
        if (producer.event) note('poll');
        return producer.event;
      },
      pollReady: () => {
        note('pollReady');
        producer.event = false;
      },
    });
    producer.event = true;

    loop.ctx.poll(false);

    assert.deepEqual(order, ['poll', 'after poll', 'pollReady', 'after pollReady']);
  });

  withLoop('a removal that ends polling runs no promises', (loop) => {
    const order: string[] = [];
    using producer: Producer = new Producer(loop, {
      pollEnd: () => {
        producer.ends++;
        void Promise.resolve().then(() => order.push('promise'));
        order.push('end');
      },
    });
    producer.enterPollMode();

    loop.ctx.setFdHandler(producer.fd, null);
    order.push('returned');

    assert.deepEqual(order, ['end', 'returned']);
  });

  matrix('of a notifier: poll finds it as it is, pollReady and read have it cleared', (loop) => {
    using notifier = new EventNotifier();
    const seen: string[] = [];
    let ready = true;
    loop.ctx.setEventNotifier(notifier, {
      poll: (each) => {
        if (ready) {
          const wasSet = each.testAndClear();
          seen.push(`poll ${String(wasSet)}`);
          each.set();
        }
        return ready;
      },
      pollReady: (each) => {
        ready = false;
        seen.push(`pollReady ${String(each.testAndClear())}`);
      },
    });
    notifier.set();

    loop.wait();

    assert.deepEqual(seen, ['poll true', 'pollReady false']);
    loop.ctx.setEventNotifier(notifier, null);
    assert.deepEqual(loop.ctx.inspect().handlers, []);
  });

  matrix('what inspect() and stats() tell', (loop) => {
    using producer = new Producer(loop);
    const of = (): unknown[] => {
      const { handlers, pollStarted, pollMaxNs } = loop.ctx.inspect();
      const [handler] = handlers;
      return [handler?.poll, handler?.pollStarted, handler?.pollNs, pollStarted, pollMaxNs];
    };
    assert.deepEqual(of(), [true, false, 0n, false, 0n]);
    producer.enterPollMode();
    assert.deepEqual(of(), [true, true, loop.ctx.stats().pollNs, true, 1_000_000_000n]);
    loop.ctx.setPollParams({ maxNs: 5n });
    assert.equal(loop.ctx.inspect().pollMaxNs, 5n);
    loop.ctx.poll(false);
    assert.equal(loop.ctx.stats().pollNs, 0n);
    loop.ctx.setFdHandler(producer.fd, null);
    assert.deepEqual(of().slice(3), [true, 5n]);
  });

  it('a handler that is registered keeps its functions, and they are collected afterwards', async () => {
    const refs: WeakRef<object>[] = [];
    const { AioContext } = await import('aio-gsource');
    const ctx = new AioContext();
    const notifier = new EventNotifier();
    let asked = 0;
    (() => {
      const note = (method: () => unknown): never => {
        refs.push(new WeakRef(method));
        return method as never;
      };
      ctx.setEventNotifier(notifier, {
        poll: note(() => (asked++, false)),
        pollReady: note(() => [refs]),
        pollBegin: note(() => [refs]),
        pollEnd: note(() => [refs]),
      });
      ctx.setFdPoll(
        notifier.fd,
        note(() => [refs]),
        note(() => [refs]),
      );
    })();
    const alive = (): number => refs.filter((ref) => ref.deref()).length;

    // Those that were replaced go, with their closures.
    await collectUntil(() => alive() <= 6);
    globalThis.gc?.();
    assert.ok(alive() >= 4);
    ctx.poll(false);
    assert.ok(asked > 0);
    ctx.setEventNotifier(notifier, null);
    await collectUntil(() => alive() === 0);

    notifier.close();
    ctx.close();
  });
});

describe('AioContext: setFdPoll', () => {
  matrix(
    'the old end and the new begin are called in poll mode',
    (loop) => {
      using producer = new Producer(loop);
      const calls: string[] = [];
      producer.enterPollMode();

      loop.ctx.setFdPoll(
        producer.fd,
        () => calls.push('begin'),
        () => calls.push('end'),
      );

      assert.deepEqual([producer.begins, producer.ends, ...calls], [1, 1, 'begin']);
      deadline(loop, 2);
      loop.ctx.poll(true);
      assert.deepEqual([producer.begins, producer.ends, ...calls], [1, 1, 'begin', 'end']);
    },
    polled,
  );

  matrix('outside of poll mode neither is, and it is they that are called next', (loop) => {
    using producer = new Producer(loop);
    const calls: string[] = [];
    loop.ctx.setPollParams({ maxNs: 1_000_000 });
    producer.notifier.set();
    loop.ctx.poll(true);
    loop.ctx.setFdPoll(
      producer.fd,
      () => calls.push('begin'),
      () => calls.push('end'),
    );
    assert.deepEqual(calls, []);
    deadline(loop, 2);

    loop.ctx.poll(true);

    assert.deepEqual([producer.begins, producer.ends, ...calls], [0, 0, 'begin', 'end']);
  });

  matrix('null takes them away', (loop) => {
    using producer = new Producer(loop);
    producer.enterPollMode();
    loop.ctx.setFdPoll(producer.fd, null, null);
    assert.equal(producer.ends, 1);
    deadline(loop, 2);
    loop.ctx.poll(true);

    assert.deepEqual([producer.begins, producer.ends], [1, 1]);
  });

  matrix('nothing happens without a handler, without its poll, or where it was removed', (loop) => {
    const { read } = loop.pipe();
    const fail = (): never => assert.fail('not to be called');
    loop.ctx.setFdPoll(read, fail, fail);
    loop.ctx.setFdPoll(1_000_000, fail, fail);
    loop.ctx.setFdHandler(read, { read: drain });
    loop.ctx.setFdPoll(read, fail, fail);
    using producer = new Producer(loop);
    loop.ctx.setFdHandler(read, null);
    loop.ctx.setFdPoll(read, fail, fail);
    loop.ctx.setFdHandler(read, { poll: no, pollReady: nothing });
    producer.enterPollMode();
    deadline(loop, 1);
    loop.ctx.poll(true);
  });

  withLoop('called in the old end itself: the last call wins, and all are paired', (loop) => {
    using producer = new Producer(loop);
    const calls: string[] = [];
    const name = (which: string): [() => void, () => void] => [
      () => calls.push(`begin ${which}`),
      () => calls.push(`end ${which}`),
    ];
    producer.enterPollMode();
    loop.ctx.setFdPoll(producer.fd, null, () => {
      loop.ctx.setFdPoll(producer.fd, ...name('inner'));
    });
    loop.ctx.setFdPoll(producer.fd, ...name('outer'));
    loop.ctx.setFdHandler(producer.fd, null);

    assert.deepEqual(calls, ['begin inner', 'end inner']);
  });

  withLoop('the handler may be removed in the old end: the new begin is not called', (loop) => {
    using producer = new Producer(loop);
    producer.enterPollMode();
    loop.ctx.setFdPoll(producer.fd, null, () => {
      loop.ctx.setFdHandler(producer.fd, null);
    });

    loop.ctx.setFdPoll(
      producer.fd,
      () => assert.fail('begun'),
      () => assert.fail('ended'),
    );

    assert.deepEqual(loop.ctx.inspect().handlers, []);
  });

  withLoop('the file descriptor may be that of a notifier', (loop) => {
    using producer = new Producer(loop);
    using notifier = new EventNotifier();
    const calls: string[] = [];
    loop.ctx.setEventNotifier(notifier, { poll: no, pollReady: nothing });
    producer.enterPollMode();

    loop.ctx.setFdPoll(
      notifier.fd,
      () => calls.push('begin'),
      () => calls.push('end'),
    );
    loop.ctx.setEventNotifier(notifier, null);

    assert.deepEqual(calls, ['begin', 'end']);
  });
});

describe('AioContext: setPollParams', () => {
  matrix('numbers and bigints; what is left out is 0', (loop) => {
    for (const maxNs of [0, 5, 2 ** 53 - 1, 0n, 32_768n, 2n ** 63n - 1n]) {
      loop.ctx.setPollParams({ maxNs });
      assert.equal(loop.ctx.inspect().pollMaxNs, BigInt(maxNs));
    }
    loop.ctx.setPollParams({ maxNs: 5, grow: 3, shrink: 2 });
    loop.ctx.setPollParams({ maxNs: 5, grow: 0, shrink: 0 });
  });

  matrix('a bad one changes nothing', (loop) => {
    loop.ctx.setPollParams({ maxNs: 7 });
    for (const bad of [{ maxNs: -1 }, { maxNs: 5, grow: -1 }, { maxNs: 5, shrink: 0.5 }])
      assert.throws(
        () => {
          loop.ctx.setPollParams(bad);
        },
        { code: 'ERR_OUT_OF_RANGE' },
      );

    assert.equal(loop.ctx.inspect().pollMaxNs, 7n);
  });

  withLoop('grow and shrink: by what the polling time changes', (loop) => {
    const kick = { wanted: false };
    using producer: Producer = new Producer(loop, {
      poll: () => {
        if (kick.wanted) spin(0.1);
        if (kick.wanted) producer.notifier.set();
        kick.wanted = false;
        return false;
      },
    });
    const pollNsAfterKick = (): bigint => {
      kick.wanted = true;
      loop.ctx.poll(true);
      return loop.ctx.stats().pollNs;
    };
    loop.ctx.setPollParams({ maxNs: 1_000_000_000, grow: 3, shrink: 4 });
    producer.notifier.set();
    loop.ctx.poll(true);

    assert.equal(loop.ctx.stats().pollNs, 4000n);
    assert.equal(pollNsAfterKick(), 12_000n);
    assert.equal(pollNsAfterKick(), 36_000n);
    loop.ctx.setPollParams({ maxNs: 1_000_000_000 });
    producer.notifier.set();
    loop.ctx.poll(true);
    assert.equal(pollNsAfterKick(), 8000n);
  });

  matrix('0 is no polling, which is how a context begins', (loop) => {
    using producer = new Producer(loop);
    for (const set of [
      nothing,
      () => {
        producer.enterPollMode();
        loop.ctx.setPollParams({ maxNs: 0 });
      },
    ]) {
      set();
      const { asked } = producer;
      deadline(loop, 3);
      assert.ok(duration(() => loop.ctx.poll(true)) > 1);
      // At most once after the end of poll mode.
      assert.ok(producer.asked - asked <= 1, String(producer.asked - asked));
    }
  });
});
