// Real signals, sent to this process.
import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

import { AioContext } from 'aio-gsource';

import { aioError, closedError, collectUntil, matrix, sendSignal, withLoop } from './helpers.js';

const send = (signal: NodeJS.Signals = 'SIGUSR2'): void => {
  sendSignal(signal);
};

/** Has a process send it, while this one is in a blocking wait. */
function sendSoon(signal: NodeJS.Signals = 'SIGUSR2'): void {
  const command = `sleep 0.05; kill -s ${signal.slice(3)} ${String(process.pid)}`;
  spawn('/bin/sh', ['-c', command], { stdio: 'ignore' });
}

const nothing = (): void => undefined;
const wouldHang = aioError('ERR_AIO_WOULD_HANG');

describe('AioContext: onSignal', () => {
  matrix('a signal ends a blocking pass, which runs the callback', (loop) => {
    let runs = 0;
    loop.ctx.onSignal('SIGUSR2', () => runs++);

    sendSoon();
    loop.until(() => runs > 0);
    loop.steps(4);

    assert.equal(runs, 1);
  });

  matrix('runs in the next pass, not in the signal handler', (loop) => {
    let runs = 0;
    loop.ctx.onSignal('SIGUSR2', () => runs++);

    send();
    assert.equal(runs, 0);
    loop.until(() => runs > 0);
  });

  matrix('1000 signals before a pass are one', (loop) => {
    let runs = 0;
    loop.ctx.onSignal('SIGUSR2', () => runs++);
    for (let i = 0; i < 1000; i++) send();
    loop.steps(4);
    assert.equal(runs, 1);

    send();
    loop.steps(4);

    assert.equal(runs, 2, 'and one after that is another');
  });

  matrix('one that comes in the callback is not lost', (loop) => {
    let runs = 0;
    loop.ctx.onSignal('SIGUSR2', () => {
      if (++runs < 3) send();
    });
    send();

    loop.until(() => runs === 3);
    loop.steps(4);

    assert.equal(runs, 3);
  });

  matrix('disposed of in its own callback: it is the last', (loop) => {
    using keeps = loop.ctx.onSignal('SIGUSR2', nothing);
    let runs = 0;
    const watch = loop.ctx.onSignal('SIGUSR2', () => {
      runs++;
      send();
      watch[Symbol.dispose]();
      send();
      watch[Symbol.dispose]();
    });
    send();

    loop.steps(8);

    assert.equal(runs, 1);
    assert.ok(keeps);
  });

  matrix('disposed of between the signal and the pass, also by one before it: never runs', (loop) => {
    const seen: string[] = [];
    const watches = ['a', 'b'].map((name) =>
      loop.ctx.onSignal('SIGUSR2', () => {
        seen.push(name);
        for (const watch of watches) watch[Symbol.dispose]();
      }),
    );
    const third = loop.ctx.onSignal('SIGUSR2', () => seen.push('third'));
    send();
    third[Symbol.dispose]();

    loop.steps(8);

    assert.equal(seen.length, 1);
    assert.notEqual(seen[0], 'third');
  });

  matrix('each context, each signal and each watch has its own callback', (loop) => {
    using other = new AioContext({ name: 'other' });
    const seen: string[] = [];
    loop.ctx.onSignal('SIGUSR2', () => seen.push('first'));
    loop.ctx.onSignal('SIGUSR2', () => seen.push('second'));
    loop.ctx.onSignal('SIGWINCH', () => seen.push('winch'));
    other.onSignal('SIGUSR2', () => seen.push('other'));

    send();
    loop.steps(4);
    assert.deepEqual(seen.splice(0).sort(), ['first', 'second']);
    other.poll(true);
    assert.deepEqual(seen.splice(0), ['other']);
    loop.ctx.close();
    send('SIGWINCH');
    send();
    other.poll(true);
    assert.deepEqual(seen, ['other']);
  });

  matrix('close() in the callback', (loop) => {
    let runs = 0;
    using other = new AioContext();
    other.onSignal('SIGUSR2', nothing);
    const { ctx } = loop;
    const close = (): void => {
      runs++;
      ctx.close();
    };
    const watch = ctx.onSignal('SIGUSR2', close);
    ctx.onSignal('SIGUSR2', close);
    send();

    if (loop.driver === 'glib') loop.step();
    else ctx.poll(false);

    assert.equal(runs, 1);
    send();
    watch[Symbol.dispose]();
    assert.throws(() => ctx.onSignal('SIGUSR2', nothing), closedError);
  });

  withLoop('a wait for a signal alone is no hang, until nothing watches one', ({ ctx }) => {
    let runs = 0;
    const watch = ctx.onSignal('SIGUSR2', () => runs++);
    sendSoon();
    ctx.waitWhile(() => runs < 1);

    sendSoon();
    ctx.blockOn(
      new Promise<void>((resolve) => {
        ctx.onSignal('SIGUSR2', resolve);
      }),
    );
    using other = new AioContext();
    assert.throws(() => {
      other.waitWhile(() => true);
    }, wouldHang);

    watch[Symbol.dispose]();
    assert.throws(
      () => {
        ctx.waitWhile(() => true, { timeout: 1 });
      },
      aioError('ERR_AIO_TIMEOUT'),
      'the second watch',
    );
  });

  withLoop('what the callback throws is thrown by the poll', ({ ctx }) => {
    const error = new Error('in a signal');
    let runs = 0;
    ctx.onSignal('SIGUSR2', () => {
      runs++;
      throw error;
    });

    for (const turn of [1, 2]) {
      send();
      assert.throws(() => ctx.poll(true), error);
      assert.equal(runs, turn);
    }
  });

  withLoop('runs in the AsyncLocalStorage context of its registration', ({ ctx }) => {
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    storage.run('registered', () => ctx.onSignal('SIGUSR2', () => seen.push(storage.getStore())));

    storage.run('driven', () => {
      send();
      ctx.poll(true);
    });

    assert.deepEqual(seen, ['registered']);
  });

  it('goes on where the result is not kept, through garbage collections', async () => {
    using ctx = new AioContext();
    let runs = 0;
    // Were it collected the signal would end the process.
    process.on('SIGUSR2', nothing);
    ctx.onSignal('SIGUSR2', () => runs++);
    await assert.rejects(collectUntil(() => false, 5));

    send();
    ctx.poll(false);
    process.off('SIGUSR2', nothing);

    assert.equal(runs, 1);
  });

  it('keeps its context alive, until it is disposed of', async () => {
    const contextOf = (watches: Disposable[]): WeakRef<AioContext> => {
      const ctx = new AioContext();
      watches.push(ctx.onSignal('SIGUSR2', nothing));
      return new WeakRef(ctx);
    };
    const watches: Disposable[] = [];
    const kept = contextOf([]);
    const disposed = contextOf(watches);
    await assert.rejects(collectUntil(() => disposed.deref() === undefined, 5));

    watches.pop()?.[Symbol.dispose]();

    await collectUntil(() => disposed.deref() === undefined);
    assert.ok(kept.deref());
    kept.deref()?.close();
  });

  it('listeners of process.on(), added before and after, are called, whatever comes and goes', async () => {
    using ctx = new AioContext();
    const seen: string[] = [];
    const before = (): void => void seen.push('before');
    const after = (): void => void seen.push('after');
    process.on('SIGUSR2', before);
    const watch = ctx.onSignal('SIGUSR2', () => seen.push('watch'));
    process.on('SIGUSR2', after);
    const check = async (...expected: string[]): Promise<void> => {
      send();
      ctx.poll(false);
      await delay(20);
      assert.deepEqual(seen.splice(0), expected);
    };

    await check('watch', 'before', 'after');
    process.off('SIGUSR2', before);
    await check('watch', 'after');
    process.off('SIGUSR2', after);
    await check('watch');
    process.once('SIGUSR2', before);
    await check('watch', 'before');
    await check('watch');
    process.on('SIGUSR2', after);
    watch[Symbol.dispose]();
    await check('after');
    process.off('SIGUSR2', after);
  });

  it('SIGCHLD beside child_process', async () => {
    using ctx = new AioContext();
    let runs = 0;
    ctx.onSignal('SIGCHLD', () => runs++);

    for (const code of [3, 4]) {
      const child = spawn('/bin/sh', ['-c', `exit ${String(code)}`], { stdio: 'ignore' });
      assert.ok(ctx.poll(true));
      assert.deepEqual(await once(child, 'exit'), [code, null]);
    }

    assert.equal(runs, 2);
  });
});
