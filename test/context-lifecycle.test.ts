import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';

import { AioContext, AioError, Clock, EventNotifier, MainContext } from 'aio-gsource';
import { closeFd } from 'aio-gsource/fds';

import {
  aioError,
  closedError,
  collectUntil,
  matrix,
  scriptLines,
  sorted,
  withLoop,
  write,
} from './helpers.js';

describe('AioContext: life', () => {
  it('has the name and the monitor it was given', () => {
    using named = new AioContext({ name: 'disk', monitor: 'poll' });
    using unnamed = new AioContext();
    using auto = new AioContext({ monitor: 'auto' });

    assert.equal(named.name, 'disk');
    assert.equal(named.monitor, 'poll');
    assert.equal(typeof unnamed.name, 'string');
    assert.notEqual(unnamed.name, '');
    assert.ok(['poll', 'epoll', 'io_uring'].includes(auto.monitor));
    assert.equal(named.closed, false);
    assert.equal(named.inHomeThread, true);
    assert.equal(named.attached, false);
  });

  it('a long name, with any characters, is kept whole', () => {
    for (const name of ['x'.repeat(1000), 'ünïcode ✓'.repeat(20), 'with\0zero', '']) {
      using ctx = new AioContext({ name });
      assert.equal(ctx.name, name);
      assert.equal(ctx.bh(() => undefined, { name }).name, name);
      ctx.scheduleOneshot(() => undefined, { name });
      ctx.poll(false);
    }
  });

  for (const monitor of ['poll', 'epoll', 'io_uring'] as const)
    it(`a named monitor is that one, or cannot be had (${monitor})`, () => {
      try {
        using ctx = new AioContext({ monitor });
        assert.equal(ctx.monitor, monitor);
      } catch (error) {
        assert.notEqual(monitor, 'poll');
        assert.ok(error instanceof AioError);
        assert.equal(error.code, 'ERR_AIO_UNAVAILABLE');
        assert.match(error.message, /\(E[A-Z]+\)/);
        assert.ok((error.errno ?? 0) < 0);
      }
    });

  it('F9: a named monitor that cannot be had: an error with the errno; auto does without', async () => {
    const lines = await scriptLines(
      'cjs',
      `const fs = require('node:fs');
      const held = [];
      while (true) { try { held.push(fs.openSync('/dev/null', 'r')); } catch { break; } }
      fs.closeSync(held.pop()); // for what wakes the context
      for (const monitor of ['epoll', 'io_uring', 'auto', 'poll']) {
        try { show(new aio.AioContext({ monitor })); }
        catch (error) { console.log(monitor, error.code, error.errno, error.syscall, /EMFILE|ENOSYS|EPERM/.test(error.message)); }
      }
      function show(ctx) { console.log(ctx.monitor); ctx.close(); }`,
      { ulimit: 64 },
    );

    assert.deepEqual(
      lines.map((line) => line.replace(/-\d+/, 'errno')),
      [
        'epoll ERR_AIO_UNAVAILABLE errno undefined true',
        'io_uring ERR_AIO_UNAVAILABLE errno undefined true',
        'poll',
        'poll',
      ],
    );
    assert.match(lines[0] ?? '', / -24 /);
  });

  it('a subclass is driven, and is current, as itself', () => {
    class Counting extends AioContext {
      runs = 0;
      override poll(blocking: boolean): boolean {
        this.runs++;
        return super.poll(blocking);
      }
    }
    using ctx = new Counting({ name: 'sub' });
    let seen: AioContext | null = null;
    ctx.scheduleOneshot(() => {
      seen = AioContext.current;
    });

    ctx.poll(false);

    assert.equal(seen, ctx);
    assert.equal(ctx.runs, 1);
  });

  it('close is final, and idempotent', () => {
    const ctx = new AioContext();

    ctx.close();
    ctx.close();
    ctx[Symbol.dispose]();

    assert.equal(ctx.closed, true);
    assert.equal(ctx.attached, false);
    assert.throws(() => ctx.poll(false), closedError);
    assert.throws(() => ctx.bh(() => undefined), closedError);
    assert.throws(() => ctx.attach(new MainContext()), closedError);
  });

  it('close gives its descriptors back at once, whatever was armed', () => {
    const { length } = readdirSync('/proc/self/fd');
    const notifier = new EventNotifier();
    const ctx = new AioContext();
    const main = new MainContext();
    ctx.attach(main);
    ctx.timer(Clock.realtime, () => undefined).after(1000);
    ctx.timer(Clock.host, () => undefined).after(1000);
    ctx.bh(() => undefined).schedule();
    ctx.setEventNotifier(notifier, { read: () => undefined });
    main.iteration(false);

    ctx.close();
    notifier.close();

    assert.ok(readdirSync('/proc/self/fd').length <= length + 1, 'all but that of the main context');
  });

  it('`using` and `await using` close it', async () => {
    let used: AioContext;
    {
      using ctx = new AioContext();
      used = ctx;
    }
    assert.ok(used.closed);
    {
      await using ctx = new AioContext();
      ctx.bh(() => undefined).schedule();
      used = ctx;
    }
    assert.ok(used.closed);
    const ctx = new AioContext();
    const ended = ctx[Symbol.asyncDispose]();
    assert.ok(ended instanceof Promise);
    await ended;
    await ctx[Symbol.asyncDispose]();
    assert.ok(ctx.closed);
  });

  for (const kind of ['bottom half', 'idle bottom half', 'oneshot', 'handler', 'notifier', 'timer'] as const)
    matrix(`closed in its own ${kind}: nothing more runs`, (loop) => {
      const { ctx } = loop;
      const ends = loop.pipe();
      const clock = Clock.manual();
      using notifier = new EventNotifier();
      let closed = false;
      const close = (): void => {
        assert.equal(closed, false, 'called again after close()');
        closed = true;
        ctx.close();
        ctx.close();
      };
      if (kind === 'bottom half') ctx.bh(close).schedule();
      else if (kind === 'idle bottom half') ctx.bh(close).scheduleIdle();
      else if (kind === 'oneshot') ctx.scheduleOneshot(close);
      else if (kind === 'handler') ctx.setFdHandler(ends.write, { write: close });
      else if (kind === 'notifier') ctx.setEventNotifier(notifier, { read: close });
      else ctx.timer(clock, close).after(1);
      // All the rest is armed as well, and comes after it.
      if (kind !== 'timer') ctx.timer(clock, () => assert.fail('timer')).after(2);
      if (kind.endsWith('half') || kind === 'oneshot') {
        ctx.scheduleOneshot(() => assert.fail('oneshot'));
        ctx.setFdHandler(ends.write, { write: () => assert.fail('handler') });
      }

      notifier.set();
      clock.advance(5);
      loop.step();

      assert.ok(closed);
      assert.equal(ctx.attached, false);
    });

  matrix('closed in a nested pass', (loop) => {
    const order: string[] = [];
    loop.ctx.scheduleOneshot(() => {
      order.push('enter');
      loop.ctx.scheduleOneshot(() => {
        loop.ctx.close();
        order.push('closed');
      });
      loop.step();
      order.push('leave');
    });
    loop.ctx.scheduleOneshot(() => order.push('sibling'));

    loop.step();

    assert.deepEqual(sorted(order), ['closed', 'enter', 'leave', 'sibling']);
    assert.ok(loop.ctx.closed);
  });

  withLoop('closing one leaves the others alone', (loop) => {
    using other = new AioContext();
    let runs = 0;
    other.scheduleOneshot(() => runs++);

    loop.ctx.close();
    other.poll(false);

    assert.equal(runs, 1);
  });

  it('B11, N6: dropped without close: the descriptors come back', async () => {
    const count = (): number => readdirSync('/proc/self/fd').length;
    const before = count();
    const makeAndDrop = (i: number): void => {
      const ctx = new AioContext();
      if (i % 2) ctx.attach(new MainContext());
      ctx.bh(() => undefined);
      ctx.timer(Clock.manual(), () => undefined);
      if (i % 3) ctx.poll(false);
    };
    for (let i = 0; i < 50; i++) makeAndDrop(i);
    assert.ok(count() > before);

    await collectUntil(() => count() <= before);
  });

  it('N6: its bottom halves and timers may be collected after it, or before', async () => {
    const refs: WeakRef<object>[] = [];
    (() => {
      const ctx = new AioContext();
      const [bh, timer] = [ctx.bh(() => undefined), ctx.timer(Clock.manual(), () => undefined)];
      refs.push(new WeakRef(ctx), new WeakRef(bh), new WeakRef(timer));
    })();

    await collectUntil(() => refs.every((ref) => ref.deref() === undefined));
  });

  it('N6: one with work that is armed is kept', async () => {
    const fired: string[] = [];
    const main = new MainContext();
    const clock = Clock.manual();
    const ref = (() => {
      const ctx = new AioContext();
      ctx.attach(main);
      ctx.timer(clock, () => fired.push('timer')).after(1);
      return new WeakRef(ctx);
    })();

    for (let i = 0; i < 5; i++) await collectUntil(() => true);
    clock.advance(1);
    main.iteration(false);

    assert.deepEqual(fired, ['timer']);
    ref.deref()?.close();
  });

  it('N6: closing lets go of every callback', async () => {
    const refs: WeakRef<object>[] = [];
    const ctx = new AioContext();
    const notifier = new EventNotifier();
    (() => {
      const callback = (): (() => void) => {
        const payload = {};
        refs.push(new WeakRef(payload));
        return () => {
          Object.keys(payload);
        };
      };
      ctx.bh(callback()).schedule();
      ctx.bh(callback()).scheduleIdle();
      ctx.scheduleOneshot(callback());
      ctx.timer(Clock.manual(), callback()).after(1);
      ctx.timer(Clock.realtime, callback()).every(1);
      ctx.setEventNotifier(notifier, { read: callback(), error: callback() });
    })();

    ctx.close();
    notifier.close();

    await collectUntil(() => refs.every((ref) => ref.deref() === undefined));
  });

  const nothing = (): void => undefined;
  const watchers: Readonly<Record<string, (ctx: AioContext, notifier: EventNotifier) => void>> = {
    'has watched it': (ctx) => {
      ctx.close();
    },
    'has watched its descriptor since': (ctx, { fd }) => {
      ctx.setFdHandler(fd, { read: nothing });
      ctx.close();
    },
    'has awaited it since': (ctx, notifier) => {
      ctx.setEventNotifier(notifier, { poll: () => false, pollReady: nothing });
      ctx.whenReadable(notifier.fd).catch(nothing);
      ctx.setEventNotifier(notifier, null);
      ctx.close();
    },
  };
  for (const [what, end] of Object.entries(watchers))
    it(`N6: a notifier does not keep a closed context that ${what}`, async () => {
      using notifier = new EventNotifier();
      const refs = Array.from({ length: 10 }, () => {
        const ctx = new AioContext();
        ctx.setEventNotifier(notifier, { read: nothing });
        end(ctx, notifier);
        return new WeakRef(ctx);
      });

      await collectUntil(() => refs.every((ref) => ref.deref() === undefined));
    });

  it('N6: a notifier does not keep a context that was dropped after it had stopped watching it', async () => {
    using notifier = new EventNotifier();
    const stops: ((ctx: AioContext) => void)[] = [
      (ctx) => {
        ctx.setEventNotifier(notifier, null);
      },
      (ctx) => {
        ctx.setFdHandler(notifier.fd, null);
      },
    ];
    const refs = stops.map((stop) => {
      const ctx = new AioContext();
      ctx.setEventNotifier(notifier, { read: nothing });
      stop(ctx);
      return new WeakRef(ctx);
    });

    await collectUntil(() => refs.every((ref) => ref.deref() === undefined));
  });

  it('N6: nor one in which its handler has died', async () => {
    const notifier = new EventNotifier();
    const ref = (() => {
      const ctx = new AioContext({ monitor: 'poll' });
      const errors: unknown[] = [];
      ctx.setEventNotifier(notifier, { read: nothing, error: (error) => errors.push(error) });
      ctx.poll(false);
      closeFd(notifier.fd);
      while (errors.length === 0) ctx.poll(true);
      return new WeakRef(ctx);
    })();

    await collectUntil(() => ref.deref() === undefined);
    notifier.close();
  });

  it('N6: the heap stays as it is over many registrations', async () => {
    const ctx = new AioContext();
    const notifier = new EventNotifier();
    const clock = Clock.manual();
    const round = (): void => {
      for (let i = 0; i < 2000; i++) {
        ctx.scheduleOneshot(() => undefined);
        ctx.bh(() => undefined).schedule();
        const deleted = ctx.bh(() => undefined);
        deleted.schedule();
        deleted.close();
        ctx.timer(clock, () => undefined).after(1);
        ctx.setEventNotifier(notifier, { read: () => undefined });
      }
      clock.advance(1);
      ctx.poll(false);
    };
    const used = async (): Promise<number> => {
      await collectUntil(() => true);
      await collectUntil(() => true);
      return process.memoryUsage().heapUsed;
    };
    for (let i = 0; i < 3; i++) round();
    const before = await used();

    for (let i = 0; i < 10; i++) {
      round();
      await used();
    }

    const grown = (await used()) - before;
    assert.ok(grown < 1_000_000, `${String(grown)} bytes more after 100,000 registrations`);
    ctx.close();
    notifier.close();
  });
});

describe('AioContext: the current one', () => {
  it('is the one made current, until that is undone', () => {
    using ctx = new AioContext();
    assert.equal(AioContext.current, null);

    const made = ctx.makeCurrent();
    assert.equal(AioContext.current, ctx);
    made[Symbol.dispose]();
    made[Symbol.dispose]();

    assert.equal(AioContext.current, null);
  });

  it('a second one is an error; the same one is not', () => {
    using ctx = new AioContext();
    using other = new AioContext();
    using made = ctx.makeCurrent();

    assert.throws(() => other.makeCurrent(), aioError('ERR_AIO_CURRENT_SET'));
    assert.equal(AioContext.current, ctx);
    assert.ok(Symbol.dispose in made);
    ctx.makeCurrent()[Symbol.dispose]();
  });

  it('undoing late does not undo what another one made', () => {
    using ctx = new AioContext();
    using other = new AioContext();

    const first = ctx.makeCurrent();
    first[Symbol.dispose]();
    const second = other.makeCurrent();
    first[Symbol.dispose]();

    assert.equal(AioContext.current, other);
    second[Symbol.dispose]();
  });

  it('undoing twice does not undo what the same context made since', () => {
    using ctx = new AioContext();

    const first = ctx.makeCurrent();
    first[Symbol.dispose]();
    const second = ctx.makeCurrent();
    first[Symbol.dispose]();

    assert.equal(AioContext.current, ctx);
    second[Symbol.dispose]();
    assert.equal(AioContext.current, null);
  });

  it('closing it clears it', () => {
    const ctx = new AioContext();
    ctx.makeCurrent();

    ctx.close();

    assert.equal(AioContext.current, null);
    assert.throws(() => ctx.makeCurrent(), closedError);
  });

  matrix('inside a callback it is the one that runs it', (loop) => {
    using other = new AioContext();
    other.makeCurrent();
    const { read, write: end } = loop.pipe();
    const clock = Clock.manual();
    const seen: (AioContext | null)[] = [];
    const look = (): void => {
      seen.push(AioContext.current);
    };
    loop.ctx.scheduleOneshot(look);
    loop.ctx.setFdHandler(read, { read: look });
    loop.ctx.timer(clock, look).mod(0);
    write(end, 'x');

    loop.step();

    assert.equal(seen.length, 3);
    assert.ok(seen.every((ctx) => ctx === loop.ctx));
    assert.equal(AioContext.current, other);
  });

  matrix('a nested pass of another context, and back', (loop) => {
    using other = new AioContext();
    const seen: (AioContext | null)[] = [];
    loop.ctx.scheduleOneshot(() => {
      seen.push(AioContext.current);
      other.scheduleOneshot(() => seen.push(AioContext.current));
      other.poll(false);
      seen.push(AioContext.current);
    });

    loop.step();

    assert.deepEqual(
      seen.map((ctx) => ctx?.name),
      [loop.ctx.name, other.name, loop.ctx.name],
    );
    assert.equal(AioContext.current, null);
  });

  matrix('after a callback that threw it is what it was', (loop) => {
    loop.ctx.scheduleOneshot(() => {
      throw new Error('in passing');
    });

    assert.throws(() => loop.step(), /in passing/);

    assert.equal(AioContext.current, null);
  });
});
