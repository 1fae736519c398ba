import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';

import { Clock } from 'aio-gsource';

import { callbackKinds as kinds } from './callback-kinds.js';
import { matrix, runScript, scriptLines, type ScriptKind, whereClosingTells, withLoop } from './helpers.js';

describe('Microtasks', () => {
  it('N2: without process._tickCallback they settle when the script returns to the loop', async () => {
    const script = `const order = [];
      const ctx = new aio.AioContext();
      ctx.scheduleOneshot(() => {
        order.push('callback');
        Promise.resolve().then(() => order.push('then'));
        process.nextTick(() => order.push('tick'));
      });
      console.log(ctx.poll(false), ...order);
      setImmediate(() => console.log(...order));`;

    assert.deepEqual(await scriptLines('cjs', script), ['true callback tick then', 'callback tick then']);
    assert.deepEqual(await scriptLines('cjs', script, { first: 'delete process._tickCallback;' }), [
      'true callback',
      'callback tick then',
    ]);
  });

  it('N2: pending deprecations neither warn nor throw', async () => {
    const { code, stdout, stderr } = await runScript(
      'cjs',
      `const ctx = new aio.AioContext();
      ctx.scheduleOneshot(() => {
        console.log('callback');
        Promise.resolve().then(() => console.log('then'));
      });
      ctx.poll(false);
      console.log('polled');`,
      { warnings: true, nodeOptions: ['--pending-deprecation', '--throw-deprecation'] },
    );

    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'callback\nthen\npolled\n', stderr: '' });
  });

  for (const [kind, arm] of Object.entries(kinds))
    matrix(
      `N2: they settle before the callback after a ${kind}`,
      (loop) => {
        const order: string[] = [];
        arm(loop, () => {
          order.push('callback');
          process.nextTick(() => order.push('nextTick'));
          queueMicrotask(() => order.push('microtask'));
          void Promise.resolve().then(() => {
            order.push('then');
            process.nextTick(() => order.push('nested nextTick'));
          });
        });
        // Whatever comes next, in this pass or the one after.
        const clock = Clock.manual(1);
        loop.ctx.timer(clock, () => order.push('next')).modNs(1);

        loop.step();

        assert.deepEqual(order, ['callback', 'nextTick', 'microtask', 'then', 'nested nextTick', 'next']);
      },
      kind === 'error handler' ? whereClosingTells : {},
    );

  matrix('N2: a promise that a bottom half resolves continues before the next one', (loop) => {
    const order: string[] = [];
    for (let i = 0; i < 3; i++) {
      const { promise, resolve } = withResolvers();
      void promise.then(() => order.push(`then ${String(i)}`));
      loop.ctx.scheduleOneshot(() => {
        order.push(`bh ${String(i)}`);
        resolve();
      });
    }

    loop.step();

    assert.deepEqual(order, ['bh 0', 'then 0', 'bh 1', 'then 1', 'bh 2', 'then 2']);
  });

  matrix('N2: an async loop over sleep() progresses without the script returning', (loop) => {
    const clock = Clock.manual();
    let slept = 0;
    const work = async (): Promise<void> => {
      for (; slept < 10; slept++) await loop.ctx.sleep(1, { clock });
    };
    loop.ctx.scheduleOneshot(() => void work());

    loop.step();
    for (let i = 0; i < 10; i++) {
      clock.advance(1);
      loop.step();
      assert.equal(slept, i + 1);
    }
  });

  const drivers: Record<string, string> = {
    poll: `while (!done) ctx.poll(true);`,
    'our iteration': `const main = new aio.MainContext(); ctx.attach(main); while (!done) main.iteration(true);`,
    waitWhile: `ctx.waitWhile(() => !done);`,
  };
  const script = (drive: string): string => `
    const ctx = new aio.AioContext();
    const order = []; let done = false;
    for (const name of ['a', 'b'])
      ctx.scheduleOneshot(() => {
        order.push(name);
        process.nextTick(() => order.push(name + ' tick'));
        Promise.resolve().then(() => order.push(name + ' then'));
      });
    ctx.timer(aio.Clock.realtime, () => { done = true; }).after(5);
    const run = () => { ${drive} console.log(order.join(', ')); ctx.close(); };`;
  const settled = 'a, a tick, a then, b, b tick, b then';
  for (const [driver, drive] of Object.entries(drivers))
    for (const [where, kind, start] of [
      ['CommonJS', 'cjs', 'run();'],
      ['CommonJS after an await', 'cjs', '(async () => { await null; aio.runMain(run); })();'],
      ['an ES module, in runMain', 'esm', 'aio.runMain(run);'],
      ['an ES module, in setImmediate', 'esm', 'setImmediate(run);'],
    ] as [string, ScriptKind, string][])
      it(`N2: they settle between callbacks under ${driver}, in ${where}`, async () => {
        assert.deepEqual(await scriptLines(kind, script(drive) + start), [settled]);
      });

  it('N2: at the top of an ES module only nextTick runs, and promises when the module has ended', async () => {
    const lines = await scriptLines(
      'esm',
      `${script(`while (!done) ctx.poll(true);`)} run();
      setImmediate(() => console.log(order.join(', ')));`,
    );

    assert.deepEqual(lines, ['a, a tick, b, b tick', 'a, a tick, b, b tick, a then, b then']);
  });
});

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe('AsyncLocalStorage', () => {
  const storage = new AsyncLocalStorage<string>();

  for (const [kind, arm] of Object.entries(kinds))
    matrix(
      `its store at the registration is there in a ${kind}`,
      (loop) => {
        const seen: (string | undefined)[] = [];
        storage.run('at registration', () => {
          arm(loop, () => seen.push(storage.getStore()));
        });

        storage.run('at the pass', () => {
          loop.step();
        });

        assert.deepEqual(seen, ['at registration']);
        assert.equal(storage.getStore(), undefined);
      },
      kind === 'error handler' ? whereClosingTells : {},
    );

  matrix('a callback that was registered without a store has none', (loop) => {
    const seen: (string | undefined)[] = [];
    storage.run('makes the stores known', () => {
      loop.ctx.scheduleOneshot(() => seen.push(storage.getStore()));
    });
    loop.ctx.scheduleOneshot(() => seen.push(storage.getStore()));

    storage.run('at the pass', () => {
      loop.step();
    });

    assert.deepEqual(seen, ['makes the stores known', undefined]);
  });

  matrix('what enterWith() gives a callback without a store is for that call', (loop) => {
    const seen: (string | undefined)[] = [];
    const look = (): void => void seen.push(storage.getStore());
    storage.run('makes the stores known', () => {
      loop.ctx.scheduleOneshot(look);
    });
    loop.ctx.scheduleOneshot(() => {
      storage.enterWith('entered');
      look();
    });
    loop.ctx.scheduleOneshot(look);

    loop.step();

    assert.deepEqual(seen, ['makes the stores known', 'entered', undefined]);
    assert.equal(storage.getStore(), undefined);
  });

  it('a callback without a store has none, though the first of all registrations was made in one', async () => {
    const lines = await scriptLines(
      'esm',
      `import { AsyncLocalStorage } from 'node:async_hooks';
      const storage = new AsyncLocalStorage();
      const ctx = new aio.AioContext();
      const look = () => console.log(storage.getStore());
      storage.run('first', () => ctx.scheduleOneshot(look));
      ctx.scheduleOneshot(look);
      ctx.poll(false);`,
    );

    assert.deepEqual(lines, ['first', 'undefined']);
  });

  // In processes where callbacks have run, and no store has been seen yet.
  const unseen: Readonly<Record<string, [script: string, seen: string[]]>> = {
    'a bottom half is called in one': [
      `const bh = ctx.bh(look);
      storage.run('of the caller', () => bh.call());`,
      ['undefined'],
    ],
    'a foreign loop is run in one': [
      `const GLib = require('node-gtk').require('GLib', '2.0');
      const main = GLib.MainContext.default();
      ctx.attach(main);
      ctx.scheduleOneshot(() => console.log('oneshot'));
      while (!main.iteration(false));
      ctx.timer(aio.Clock.realtime, look).after(0);
      storage.run('of the loop', () => { while (ctx.stats().timersFired === 0) main.iteration(true); });`,
      ['oneshot', 'undefined'],
    ],
    'the one before has entered one': [
      `ctx.bh(() => { storage.enterWith('entered'); look(); }).schedule();
      ctx.bh(look).schedule();
      ctx.poll(false);
      storage.enterWith(undefined); // as of any function that is called, the caller has what it entered
      ctx.bh(() => { storage.enterWith('again'); look(); }).schedule();
      ctx.bh(look).schedule();
      ctx.poll(false);
      look();`,
      ['entered', 'undefined', 'again', 'undefined', 'undefined'],
    ],
  };
  for (const [what, [script, seen]] of Object.entries(unseen))
    it(`a callback that was registered without a store has none where ${what}`, async () => {
      const lines = await scriptLines(
        'cjs',
        `const { AsyncLocalStorage } = require('node:async_hooks');
        const storage = new AsyncLocalStorage();
        const look = () => console.log(String(storage.getStore()));
        const ctx = new aio.AioContext();
        ctx.scheduleOneshot(() => undefined);
        ctx.poll(false);
        ${script}
        ctx.close();`,
      );

      assert.deepEqual(lines, seen);
    });

  matrix('each callback has its own, through its promises too', (loop) => {
    const seen: string[] = [];
    for (const name of ['a', 'b'])
      storage.run(name, () => {
        loop.ctx.scheduleOneshot(() => {
          seen.push(`${name} ${String(storage.getStore())}`);
          void Promise.resolve().then(() => seen.push(`${name} then ${String(storage.getStore())}`));
          process.nextTick(() => seen.push(`${name} tick ${String(storage.getStore())}`));
        });
      });

    loop.step();

    assert.deepEqual(seen, ['a a', 'a tick a', 'a then a', 'b b', 'b tick b', 'b then b']);
  });

  withLoop('in sleep(), and in a nested pass', ({ ctx }) => {
    const seen: unknown[] = [];
    const work = storage.run('worker', async () => {
      await ctx.sleep(1);
      seen.push(storage.getStore());
    });
    storage.run('outer', () => {
      ctx.scheduleOneshot(() => {
        ctx.blockOn(work);
        seen.push(storage.getStore());
      });
    });

    ctx.poll(false);

    assert.deepEqual(seen, ['worker', 'outer']);
  });

  withLoop('after a callback that threw it is what it was', ({ ctx }) => {
    storage.run('inner', () => {
      ctx.scheduleOneshot(() => {
        throw new Error('thrown');
      });
    });

    storage.run('outer', () => {
      assert.throws(() => ctx.poll(false), /thrown/);
      assert.equal(storage.getStore(), 'outer');
    });
  });

  withLoop('two storages at once', ({ ctx }) => {
    const other = new AsyncLocalStorage<number>();
    const seen: unknown[] = [];
    other.run(7, () => {
      ctx.scheduleOneshot(() => seen.push([storage.getStore(), other.getStore()]));
      storage.run('both', () => {
        ctx.scheduleOneshot(() => seen.push([storage.getStore(), other.getStore()]));
      });
    });

    ctx.poll(false);

    assert.deepEqual(seen, [
      [undefined, 7],
      ['both', 7],
    ]);
  });

  it('what callbacks run in is destroyed for async hooks', async () => {
    const lines = await scriptLines(
      'cjs',
      `const { AsyncLocalStorage, createHook } = require('node:async_hooks');
      const alive = new Set();
      createHook({
        init(id, type) { if (type === 'AioCallback') alive.add(id); },
        destroy(id) { alive.delete(id); },
      }).enable();
      const ctx = new aio.AioContext();
      new AsyncLocalStorage().run('store', () => { for (let i = 0; i < 100; i++) ctx.bh(() => {}); });
      for (let i = 0; i < 100; i++) { ctx.scheduleOneshot(() => {}); ctx.poll(false); }
      const made = alive.size;
      let turns = 0;
      const turn = () => {
        gc();
        if (alive.size > 10 && ++turns < 50) setTimeout(turn, 10);
        else console.log(made >= 200, alive.size <= 10);
      };
      turn();`,
    );

    assert.deepEqual(lines, ['true true']);
  });
});
