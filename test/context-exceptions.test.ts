import assert from 'node:assert/strict';

import { type AioContext, Clock } from 'aio-gsource';
import { bhPoll, dispatch } from 'aio-gsource/internals';

import { callbackKinds as kinds } from './callback-kinds.js';
import {
  aioError,
  collectUntil,
  type Loop,
  matrix,
  runScript,
  scriptLines,
  sorted,
  withLoop,
  whereClosingTells,
} from './helpers.js';

/**
 * Arms one of each kind, and names them; the error handler last, for the others would get the number of its
 * descriptor.
 */
function armAll(loop: Loop, callback: (kind: string) => void): string[] {
  const { 'error handler': last, ...others } = kinds;
  const armed = loop.ctx.monitor === 'poll' ? { ...others, 'error handler': last } : others;
  for (const [kind, arm] of Object.entries(armed))
    arm?.(loop, () => {
      callback(kind);
    });
  return Object.keys(armed);
}

function thrownBy(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  return assert.fail('nothing was thrown');
}

describe('AioContext: exceptions', () => {
  for (const [kind, arm] of Object.entries(kinds)) {
    const where = kind === 'error handler' ? whereClosingTells : {};
    matrix(
      `N5: thrown in a ${kind} it surfaces once, and the loop works on`,
      (loop) => {
        const error = new Error(kind);
        let calls = 0;
        arm(loop, () => {
          calls++;
          throw error;
        });

        assert.equal(
          thrownBy(() => loop.step()),
          error,
        );
        loop.steps(4);
        assert.equal(calls, 1);

        let works = false;
        arm(loop, () => (works = true));
        loop.step();
        assert.ok(works);
      },
      where,
    );

    matrix(
      `N5: all others of the pass of a throwing ${kind} still run`,
      (loop) => {
        const order: string[] = [];
        const armed = armAll(loop, (each) => {
          if (each === kind) throw new Error('in passing');
          order.push(each);
        });

        assert.throws(() => loop.step(), /in passing/);

        assert.deepEqual(sorted(order), sorted(armed.filter((each) => each !== kind)));
      },
      where,
    );
  }

  matrix('C7: thrown in callbacks of each kind, nothing that they removed is kept', async (loop) => {
    const { ctx } = loop;
    const removed: WeakRef<object>[] = [];
    for (const [kind, arm] of Object.entries(kinds)) {
      if (kind === 'error handler') continue; // its number would be another's
      const error = new Error(kind);
      const { read } = loop.pipe();
      ctx.setFdHandler(read, { read: () => undefined });
      arm(loop, () => {
        const handler = { read: () => undefined };
        removed.push(new WeakRef(handler));
        ctx.setFdHandler(read, handler);
        ctx.setFdHandler(read, null);
        throw error;
      });
      assert.equal(
        thrownBy(() => loop.step()),
        error,
      );
      assert.equal(ctx.stats().dispatching, false);
    }

    loop.steps(4);
    await collectUntil(() => removed.every((handler) => handler.deref() === undefined));
  });

  matrix('N5: several of one pass are an AggregateError, in their order', (loop) => {
    const names = armAll(loop, (kind) => {
      throw new Error(kind);
    });

    const error = thrownBy(() => loop.step());

    assert.ok(error instanceof AggregateError);
    assert.equal(error.errors.length, names.length);
    const messages = error.errors.map((each: Error) => each.message);
    assert.deepEqual(sorted(messages), sorted(names));
    assert.deepEqual(messages.slice(0, 2), ['poll function', 'bottom half'], 'it is asked before the wait');
    loop.steps(2);
  });

  for (const value of [
    null,
    undefined,
    0,
    '',
    false,
    'text',
    Symbol.iterator,
    1n,
    () => undefined,
    Object.create(null),
  ])
    matrix(
      `N5: throw ${typeof value} ${String(value === Object(value) ? '' : value)}`,
      (loop) => {
        loop.ctx.scheduleOneshot(() => {
          throw value;
        });

        assert.equal(
          thrownBy(() => loop.step()),
          value,
        );
        loop.step();
      },
      { drivers: ['poll', 'glib'] },
    );

  matrix('N5: a nested pass throws where it was called', (loop) => {
    const order: string[] = [];
    loop.ctx.scheduleOneshot(() => {
      loop.ctx.scheduleOneshot(() => {
        throw new Error('inner');
      });
      assert.throws(() => loop.step(), /inner/);
      order.push('caught');
    });

    loop.step();
    loop.step();

    assert.deepEqual(order, ['caught']);
  });

  matrix('N5: not caught there, it is thrown on by the outer pass', (loop) => {
    const error = new Error('inner');
    let after = false;
    loop.ctx.scheduleOneshot(() => {
      loop.ctx.scheduleOneshot(() => {
        throw error;
      });
      loop.step();
      after = true;
    });
    loop.ctx.scheduleOneshot(() => undefined);

    assert.equal(
      thrownBy(() => loop.step()),
      error,
    );
    assert.equal(after, false);
    loop.step();
  });

  matrix('N5: closing and throwing', (loop) => {
    loop.ctx.scheduleOneshot(() => {
      loop.ctx.close();
      throw new Error('closed');
    });

    assert.throws(() => loop.step(), /closed/);
    assert.ok(loop.ctx.closed);
  });

  matrix('N5: a throwing bottom half that is scheduled again runs again', (loop) => {
    let runs = 0;
    const bh = loop.ctx.bh(() => {
      bh.schedule();
      throw new Error(String(++runs));
    });
    bh.schedule();

    for (let i = 1; i <= 5; i++) assert.throws(() => loop.step(), new RegExp(`^Error: ${String(i)}$`));
    bh.close();
  });

  matrix('N5: a throwing every() goes on', (loop) => {
    const clock = Clock.manual();
    using timer = loop.ctx.timer(clock, () => {
      throw new Error('tick');
    });
    timer.every(1);

    for (let i = 1; i <= 3; i++) {
      clock.advance(1);
      assert.throws(() => loop.step(), /tick/);
    }
  });

  withLoop('N5: a throwing call() throws to its caller, whatever drives', ({ ctx }) => {
    const bh = ctx.bh(() => {
      throw new Error('called');
    });
    const seen: string[] = [];
    ctx.scheduleOneshot(() => {
      assert.throws(() => {
        bh.call();
      }, /called/);
      seen.push('in a callback');
    });

    assert.throws(() => {
      bh.call();
    }, /called/);
    ctx.poll(false);

    assert.deepEqual(seen, ['in a callback']);
  });

  const ways: Record<string, (ctx: AioContext) => unknown> = {
    waitWhile: (ctx) => {
      ctx.waitWhile(() => true);
    },
    blockOn: (ctx) => ctx.blockOn(new Promise(() => undefined)),
    bhPoll: (ctx) => bhPoll(ctx),
    dispatch: (ctx) => dispatch(ctx),
    'poll(true)': (ctx) => ctx.poll(true),
  };
  for (const [way, drive] of Object.entries(ways))
    withLoop(`N5: thrown by ${way}`, ({ ctx }) => {
      const error = new Error(way);
      ctx.scheduleOneshot(() => {
        throw error;
      });

      assert.equal(
        thrownBy(() => drive(ctx)),
        error,
      );
      assert.equal(ctx.poll(false), false);
    });

  withLoop('N5: the error of a handler that dies in silence is thrown with the others', (loop) => {
    const { read } = loop.pipe();
    loop.ctx.setFdHandler(read, { read: () => undefined });
    loop.closeFd(read);
    loop.ctx.scheduleOneshot(() => {
      throw new Error('first');
    });

    const error = thrownBy(() => loop.step());

    assert.ok(error instanceof AggregateError);
    assert.deepEqual(
      error.errors.map((each: Error & { code?: string }) => each.code ?? each.message),
      ['first', 'EBADF'],
    );
    assert.ok(aioError('EBADF').name === (error.errors[1] as Error).name);
  });

  it('N5: the error of poll() itself is thrown with those of its callbacks', async () => {
    // poll(2) refuses more file descriptors than a process may have: all that there are, and the wall clock's place.
    const { stdout, stderr, code } = await runScript(
      'esm',
      `
      const ctx = new aio.AioContext({ monitor: 'poll' });
      const thrown = (body) => { try { body(); } catch (error) { return error; } };
      const hold = [];
      while (!thrown(() => hold.push(new aio.EventNotifier())));
      for (let fd = 0; fd < 64; fd++) thrown(() => ctx.setFdHandler(fd, { read() {} }));
      console.log(thrown(() => ctx.poll(false)).code);
      ctx.scheduleOneshot(() => { throw new Error('first'); });
      const error = thrown(() => ctx.poll(false));
      console.log(error.name, ...error.errors.map((each) => each.code ?? each.message));
      `,
      { ulimit: 64 },
    );
    assert.equal(code, 0, stderr);
    assert.equal(stdout, 'EINVAL\nAggregateError first EINVAL\n');
  });

  withLoop('N5: the stack overflows in nested polls: a RangeError, and the loop works on', ({ ctx }) => {
    const down = (): void => {
      ctx.scheduleOneshot(down);
      ctx.poll(false);
    };
    ctx.scheduleOneshot(down);

    let error: unknown = thrownBy(() => ctx.poll(false));
    while (error instanceof AggregateError) error = error.errors[0];
    assert.ok(error instanceof RangeError, String(error));
    ctx.close();
  });

  it('an async callback that rejects is an unhandledRejection', async () => {
    const lines = await scriptLines(
      'cjs',
      `process.on('unhandledRejection', (error) => console.log('unhandled', error.message));
      const ctx = new aio.AioContext();
      ctx.scheduleOneshot(async () => { throw new Error('async'); });
      console.log(ctx.poll(false));
      ctx.close();`,
    );

    assert.deepEqual(sorted(lines), ['true', 'unhandled async']);
  });

  it('what a nextTick throws is an uncaughtException, and the pass goes on', async () => {
    const lines = await scriptLines(
      'cjs',
      `process.on('uncaughtException', (error) => console.log('uncaught', error.message));
      const ctx = new aio.AioContext();
      ctx.scheduleOneshot(() => { process.nextTick(() => { throw new Error('tick'); }); process.nextTick(() => console.log('next')); });
      ctx.scheduleOneshot(() => console.log('second'));
      console.log(ctx.poll(false));
      ctx.close();`,
    );

    assert.deepEqual(lines, ['uncaught tick', 'next', 'second', 'true']);
  });

  it('not caught by the script it ends the process as any other', async () => {
    const { code, stderr } = await runScript(
      'cjs',
      `const ctx = new aio.AioContext();
      ctx.scheduleOneshot(() => { throw new Error('the end'); });
      ctx.poll(false);`,
    );

    assert.equal(code, 1);
    assert.match(stderr, /Error: the end\n {4}at /);
  });
});
