// What the functions of polling throw, and what else they do that they should not.
import assert from 'node:assert/strict';

import { Clock, EventNotifier, type FdHandler } from 'aio-gsource';
import { prepare } from 'aio-gsource/internals';

import {
  closedError,
  duration,
  type Loop,
  runScript,
  scriptLines,
  sorted,
  underGlib,
  withLoop,
} from './helpers.js';
import { Producer } from './producer.js';

const nothing = (): void => undefined;
const no = (): boolean => false;
const names = ['poll', 'pollReady', 'pollBegin', 'pollEnd'] as const;
type Name = (typeof names)[number];

/** A context that is in poll mode, and a handler of which each function is called by the next `poll(true)`. */
class Trap implements Disposable {
  readonly #loop: Loop;
  readonly #producer: Producer;
  readonly notifier: EventNotifier = new EventNotifier();
  readonly calls: Name[] = [];

  constructor(loop: Loop, name: Name, callback: () => unknown) {
    this.#producer = new Producer(loop);
    this.#producer.enterPollMode();
    const call = (each: Name): unknown => {
      this.calls.push(each);
      return each === name && this.calls.filter((called) => called === name).length === 1
        ? callback()
        : undefined;
    };
    const handler: FdHandler = {
      poll: () => {
        const answer = call('poll');
        if (answer !== undefined) return answer as boolean;
        return name === 'pollReady' && !this.calls.includes('pollReady');
      },
      pollReady: () => void call('pollReady'),
      pollBegin: () => void call('pollBegin'),
      pollEnd: () => void call('pollEnd'),
    };
    loop.ctx.setFdHandler(this.notifier.fd, handler);
    // Far away, should the wait sleep.
    loop.ctx.timer(Clock.realtime, nothing).after(10_000);
    this.#loop = loop;
  }

  count(name: Name): number {
    return this.calls.filter((each) => each === name).length;
  }

  remove(): void {
    this.#loop.ctx.setFdHandler(this.notifier.fd, null);
  }

  [Symbol.dispose](): void {
    if (!this.#loop.ctx.closed) this.remove();
    this.notifier.close();
    this.#producer[Symbol.dispose]();
  }
}

function thrownBy(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  return assert.fail('nothing was thrown');
}

/** What `poll(true)` throws, and that it does not sleep. */
function thrownSoon(loop: Loop): unknown {
  let error: unknown;
  const took = duration(() => {
    error = thrownBy(() => loop.ctx.poll(true));
  });
  assert.ok(took < 2000, `${String(took)} ms`);
  return error;
}

describe('FdHandler: exceptions in polling', function () {
  this.timeout(10_000);

  for (const name of names) {
    withLoop(`N5: thrown in ${name} it surfaces once, at once, and the loop works on`, (loop) => {
      const error = new Error(name);
      using trap = new Trap(loop, name, () => {
        throw error;
      });

      assert.equal(thrownSoon(loop), error);

      for (let i = 0; i < 4; i++) loop.ctx.poll(false);
      assert.equal(loop.ctx.poll(false), false);
      trap.remove();
      assert.equal(trap.count('pollBegin'), trap.count('pollEnd'));
      assert.ok(trap.count(name) > 0);
      let works = false;
      loop.ctx.scheduleOneshot(() => (works = true));
      loop.ctx.poll(true);
      assert.ok(works);
    });

    withLoop(`close() in ${name}: the wait ends, and the end is called once for each begin`, (loop) => {
      using trap = new Trap(loop, name, () => {
        loop.ctx.close();
      });

      const took = duration(() => loop.ctx.poll(true));

      assert.ok(took < 2000, `${String(took)} ms`);
      assert.equal(loop.ctx.closed, true);
      assert.equal(trap.count('pollBegin'), trap.count('pollEnd'));
      assert.throws(() => loop.ctx.poll(false), closedError);
    });

    withLoop(`the handler is removed in ${name}: nothing of it is called any more but the end`, (loop) => {
      using trap = new Trap(loop, name, () => {
        loop.ctx.setFdHandler(trap.notifier.fd, null);
        loop.ctx.notify();
      });

      loop.ctx.poll(true);
      const calls = trap.calls.length;
      for (let i = 0; i < 3; i++) loop.ctx.poll(false);

      assert.equal(trap.calls.length, calls);
      assert.equal(trap.count('pollBegin'), trap.count('pollEnd'));
    });

    withLoop(`a nested poll in ${name}`, (loop) => {
      let nested: boolean | undefined;
      using trap = new Trap(loop, name, () => {
        loop.ctx.scheduleOneshot(nothing);
        nested = loop.ctx.poll(true);
        loop.ctx.notify();
      });

      loop.ctx.poll(true);

      assert.equal(nested, true);
      loop.ctx.setFdHandler(trap.notifier.fd, null);
      assert.equal(trap.count('pollBegin'), trap.count('pollEnd'));
    });

    it(`process.exit() in ${name}`, async () => {
      const { code, signal, stderr } = await runScript('cjs', script(name, 'process.exit(7);'));

      assert.deepEqual({ code, signal, stderr }, { code: 7, signal: null, stderr: '' });
    });

    it(`worker.terminate() in ${name}, which never comes back`, async () => {
      const lines = await scriptLines(
        'cjs',
        `const { Worker } = require('node:worker_threads');
        const worker = new Worker(\`const aio = require('aio-gsource');
          ${script(name, "require('node:worker_threads').parentPort.postMessage(0); for (;;);")}\`, { eval: true });
        worker.on('message', () => worker.terminate());
        worker.on('exit', (code) => console.log(code));`,
      );

      assert.deepEqual(lines, ['1']);
    });
  }

  it('worker.terminate() ends polling that would go on for minutes', async () => {
    const lines = await scriptLines(
      'cjs',
      `const { Worker } = require('node:worker_threads');
      const worker = new Worker(\`const aio = require('aio-gsource'); let count = 0;
        ${script('poll', "if (++count === 1000) require('node:worker_threads').parentPort.postMessage(0);")}\`, { eval: true });
      worker.once('message', () => worker.terminate());
      worker.on('exit', (code) => console.log(code));`,
    );

    assert.deepEqual(lines, ['1']);
  });

  it('a time limit of node:vm ends polling that would go on for minutes', async () => {
    const lines = await scriptLines(
      'cjs',
      `globalThis.aio = aio;
      try { require('node:vm').runInThisContext(\`{ ${script('poll', '')} }\`, { timeout: 300 }); }
      catch (error) { console.log(error.code); }
      const ctx = new aio.AioContext(); console.log(ctx.poll(false)); ctx.close();`,
    );

    assert.deepEqual(lines, ['ERR_SCRIPT_EXECUTION_TIMEOUT', 'false']);
  });

  // Under GLib nothing begins to be polled.
  for (const name of ['poll', 'pollReady', 'pollEnd'])
    it(`thrown in ${name} where GTK's loop drives: an uncaughtException, and the loop goes on`, async () => {
      const lines = await scriptLines(
        'cjs',
        `const gi = require('node-gtk'); const GLib = gi.require('GLib', '2.0');
        const loop = GLib.MainLoop.new(null, false);
        const errors = [];
        process.on('uncaughtException', (error) => { errors.push(error.message); });
        const ctx = new aio.AioContext().attach();
        const notifier = new aio.EventNotifier();
        let throws = false, event = false, found = 0;
        const call = (each) => { if (throws && each === '${name}') { throws = false; throw new Error(each); } };
        const handler = {
          poll() { call('poll'); return event; },
          pollReady() { event = false; found++; call('pollReady'); },
          pollEnd() { call('pollEnd'); },
        };
        ctx.setEventNotifier(notifier, { ...handler, read() {} });
        ctx.setPollParams({ maxNs: 1_000_000_000 });
        notifier.set(); ctx.poll(true); event = true; ctx.poll(true);
        if ('${name}' !== 'pollEnd') ctx.setEventNotifier(notifier, handler);
        throws = true;
        event = '${name}' === 'pollReady';
        const { prepares } = ctx.stats();
        let turns = 0;
        ctx.timer(aio.Clock.realtime, (timer) => {
          if (throws && turns++ < 50) return;
          timer.close();
          throws = false;
          event = true;
          ctx.setEventNotifier(notifier, handler);
          ctx.timer(aio.Clock.realtime, () => { loop.quit(); }).after(20);
        }).every(20);
        loop.run();
        console.log(errors.join(), found, ctx.stats().prepares - prepares < 200);
        ctx.close();`,
        { display: true },
      );

      assert.deepEqual(lines, [`${name} ${name === 'pollReady' ? '3' : '2'} true`]);
    });

  it('thrown where a foreign loop that a callback runs prepares: an uncaughtException', async () => {
    const lines = await scriptLines(
      'cjs',
      `const GLib = require('node-gtk').require('GLib', '2.0');
      process.on('uncaughtException', (error) => { console.log('uncaught', error.message); });
      const outer = new aio.AioContext(); const ctx = new aio.AioContext().attach();
      const main = new aio.MainContext(); outer.attach(main);
      const { read } = fds.pipe();
      ctx.setFdHandler(read, { poll() { throw new Error('poll'); }, pollReady() {} });
      for (const drive of [() => outer.poll(false), () => main.iteration(false)]) {
        outer.scheduleOneshot(() => { GLib.MainContext.default().iteration(false); });
        try { console.log(drive()); } catch (error) { console.log('thrown', error.message); }
      }
      ctx.close(); outer.close();`,
    );

    assert.deepEqual(lines, ['uncaught poll', 'true', 'uncaught poll', 'true']);
  });

  for (const [what, value] of Object.entries({
    nothing: undefined,
    'a number': 1,
    null: null,
    'a promise': Promise.resolve(true),
    'a Boolean': Object(true) as unknown,
  }))
    withLoop(`poll gives ${what}: a TypeError`, (loop) => {
      using trap = new Trap(loop, 'poll', nothing);
      loop.ctx.setFdHandler(trap.notifier.fd, { poll: () => value as boolean, pollReady: nothing });

      const error = thrownSoon(loop);

      assert.ok(error instanceof TypeError);
      assert.equal((error as TypeError & { code: string }).code, 'ERR_INVALID_RETURN_VALUE');
      assert.match(error.message, /"poll" function must return a boolean/);
    });

  const registrations: Record<string, (loop: Loop, trap: Trap) => void> = {
    'setFdHandler(null)': (loop, trap) => {
      loop.ctx.setFdHandler(trap.notifier.fd, null);
    },
    'setFdHandler() of another': (loop, trap) => {
      loop.ctx.setFdHandler(trap.notifier.fd, { read: nothing });
    },
    'setEventNotifier() of another': (loop, trap) => {
      loop.ctx.setEventNotifier(trap.notifier, { read: nothing });
    },
    'setFdPoll()': (loop, trap) => {
      loop.ctx.setFdPoll(trap.notifier.fd, null, null);
    },
    'close()': (loop) => {
      loop.ctx.close();
    },
  };
  for (const [how, end] of Object.entries(registrations))
    withLoop(`N5: what pollEnd throws in ${how} it throws, and yet it is done`, (loop) => {
      using trap = new Trap(loop, 'poll', nothing);
      loop.ctx.poll(false);
      assert.equal(trap.count('pollBegin'), 1);
      loop.ctx.setFdPoll(trap.notifier.fd, null, () => {
        throw new Error('end');
      });

      assert.throws(() => {
        end(loop, trap);
      }, /^Error: end$/);

      assert.equal(how === 'close()', loop.ctx.closed);
      if (loop.ctx.closed) return;
      const handler = loop.ctx.inspect().handlers.find((each) => each.fd === trap.notifier.fd);
      assert.equal(handler?.read, how.includes('another') ? true : how === 'setFdPoll()' ? false : undefined);
      assert.equal(loop.ctx.poll(false), false);
    });

  withLoop('N5: with what pollEnd throws an asynchronous disposal is rejected', async (loop) => {
    using trap = new Trap(loop, 'pollEnd', () => {
      throw new Error('end');
    });
    loop.ctx.poll(false);
    assert.deepEqual([trap.count('pollBegin'), trap.count('pollEnd')], [1, 0]);

    const disposed = loop.ctx[Symbol.asyncDispose]();

    await assert.rejects(disposed, /^Error: end$/);
    assert.ok(loop.ctx.closed);
  });

  withLoop(
    'N5: what pollEnd throws in close() of its notifier it throws, and the notifier is closed',
    (loop) => {
      using producer = new Producer(loop);
      const notifier = new EventNotifier();
      loop.ctx.setEventNotifier(notifier, {
        poll: no,
        pollReady: nothing,
        pollEnd: () => {
          throw new Error('end');
        },
      });
      producer.enterPollMode();

      assert.throws(() => {
        notifier.close();
      }, /^Error: end$/);

      assert.throws(() => notifier.fd, closedError);
      notifier.close();
      assert.equal(loop.ctx.inspect().handlers.length, 1);
    },
  );

  withLoop('N5: both of setFdPoll() throw: an AggregateError', (loop) => {
    using producer = new Producer(loop);
    producer.enterPollMode();
    const fail = (message: string) => () => {
      throw new Error(message);
    };
    loop.ctx.setFdPoll(producer.fd, null, fail('end'));

    const error = thrownBy(() => {
      loop.ctx.setFdPoll(producer.fd, fail('begin'), null);
    });

    assert.ok(error instanceof AggregateError);
    assert.deepEqual(
      error.errors.map((each: Error) => each.message),
      ['end', 'begin'],
    );
  });

  withLoop('N5: the ends of several that close() ends: all are called', (loop) => {
    const notifiers = Array.from({ length: 3 }, () => new EventNotifier());
    using producer = new Producer(loop);
    for (const [i, notifier] of notifiers.entries())
      loop.ctx.setEventNotifier(notifier, {
        poll: no,
        pollReady: nothing,
        pollEnd: () => {
          for (const each of notifiers) each.close();
          throw new Error(String(i));
        },
      });
    producer.enterPollMode();
    let rejected = false;
    loop.ctx.sleep(1000).catch(() => (rejected = true));

    const error = thrownBy(() => {
      loop.ctx.close();
    });

    assert.ok(error instanceof AggregateError);
    assert.deepEqual(sorted(error.errors.map((each: Error) => each.message)), ['0', '1', '2']);
    return Promise.resolve().then(() => {
      assert.ok(rejected);
    });
  });

  underGlib(
    'N5: thrown in prepare it is thrown by the iteration, by pending() and by prepare()',
    (ctx, main) => {
      using notifier = new EventNotifier();
      let calls = 0;
      ctx.timer(Clock.realtime, nothing).after(10_000);
      ctx.setEventNotifier(notifier, {
        poll: () => {
          throw new Error(String(++calls));
        },
        pollReady: nothing,
      });

      for (const drive of [
        () => main.iteration(true),
        () => main.iteration(false),
        () => main.pending(),
        () => prepare(ctx),
        () => ctx.poll(true),
      ]) {
        const before = calls;
        const took = duration(() => {
          assert.throws(drive, new RegExp(`^Error: ${String(before + 1)}$`));
        });
        assert.ok(took < 2000, `${String(took)} ms`);
        assert.equal(calls, before + 1);
      }
      ctx.setEventNotifier(notifier, null);
      assert.equal(main.iteration(false), false);
    },
  );

  underGlib('N5: pollEnd in prepare: the iteration does not sleep', (ctx, main) => {
    using producer = new Producer({ ctx });
    producer.enterPollMode();
    ctx.setFdPoll(producer.fd, null, () => {
      throw new Error('end');
    });
    ctx.timer(Clock.realtime, nothing).after(10_000);

    const took = duration(() => {
      assert.throws(() => main.iteration(true), /^Error: end$/);
    });

    assert.ok(took < 2000, `${String(took)} ms`);
  });

  underGlib('A18: a blocking iteration in a poll function that prepare calls is refused', (ctx, main) => {
    using notifier = new EventNotifier();
    const codes: unknown[] = [];
    ctx.setEventNotifier(notifier, {
      poll: () => {
        try {
          main.iteration(true);
        } catch (error) {
          codes.push((error as { code: unknown }).code);
        }
        return false;
      },
      pollReady: nothing,
    });

    main.iteration(false);
    main.pending();

    assert.deepEqual(codes, ['ERR_AIO_IN_PREPARE', 'ERR_AIO_IN_PREPARE']);
  });

  underGlib(
    'close() of the context, and of the main context, in a poll function that prepare calls',
    (ctx, main) => {
      using notifier = new EventNotifier();
      let calls = 0;
      ctx.setEventNotifier(notifier, {
        poll: () => {
          calls++;
          ctx.close();
          main.close();
          return true;
        },
        pollReady: () => assert.fail('closed'),
      });

      main.iteration(false);

      assert.equal(calls, 1);
      assert.equal(ctx.closed, true);
    },
  );

  withLoop(
    'N5: pollEnd throws as its readiness is awaited: nobody drives, so it is an uncaughtException',
    async () => {
      const lines = await scriptLines(
        'cjs',
        `process.on('uncaughtException', (error) => console.log('uncaught', error.message));
      const ctx = new aio.AioContext(); const notifier = new aio.EventNotifier();
      let event = false, ended = 0;
      ctx.setFdHandler(notifier.fd, {
        read() { notifier.testAndClear(); },
        poll: () => event,
        pollReady() { event = false; },
        pollEnd() { if (!ended++) throw new Error('end'); },
      });
      ctx.setPollParams({ maxNs: 1_000_000_000 });
      notifier.set(); ctx.poll(true); event = true; ctx.poll(true);
      const written = ctx.whenWritable(notifier.fd);
      console.log('waits');
      ctx.blockOn(ctx.sleep(0));
      written.then(() => console.log('written'));
      ctx.poll(false);
      ctx.close();`,
      );

      assert.deepEqual(lines, ['uncaught end', 'waits', 'written']);
    },
  );
});

/** A script in which a handler's function runs a body, in `poll(true)`. */
function script(name: Name, body: string): string {
  return `
    const ctx = new aio.AioContext(); const notifier = new aio.EventNotifier();
    const calls = { poll: 0, pollReady: 0, pollBegin: 0, pollEnd: 0 };
    let event = false, isPolling = false;
    let kick = false;
    const call = (each) => { if (each === '${name}' && isPolling) { ${body} } };
    ctx.setEventNotifier(notifier, {
      read() {},
      poll() {
        call('poll');
        if (kick) { kick = false; for (const until = performance.now() + 0.1; performance.now() < until;); notifier.set(); }
        return event;
      },
      pollReady() { event = false; call('pollReady'); },
      pollBegin() { call('pollBegin'); },
      pollEnd() { call('pollEnd'); },
    });
    // It polls for 4 µs after the first event, and for a quarter of an hour after a second one that was late.
    ctx.setPollParams({ maxNs: 1_000_000_000_000, grow: 2 ** 31 - 1 });
    notifier.set(); ctx.poll(true);
    if (${String(name !== 'pollEnd')}) { kick = true; ctx.poll(true); }
    isPolling = true;
    event = ${String(name === 'pollReady')};
    for (;;) ctx.poll(true);`;
}
