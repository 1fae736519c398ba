import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';

import { AioContext } from 'aio-gsource';

import {
  aioError,
  closedError,
  drain,
  matrix,
  packageRoot,
  runScript,
  scriptLines,
  withLoop,
  write,
} from './helpers.js';

/** native/tests/owner.cc: a thread that acquires the current context, and releases it when told to. */
interface Owner {
  start(): void;
  owns(): boolean;
  finish(onlyTell?: boolean): void;
  /** In a callback: the context for takeHome(). */
  remember(): void;
  /** Makes another thread its home. */
  takeHome(): boolean;
}

const ownerPath = path.join(packageRoot, 'build/test_owner.node');
const owner = createRequire(import.meta.url)(ownerPath) as Owner;
const notHeld = aioError('ERR_AIO_NOT_HELD');
const notOwner = aioError('ERR_AIO_NOT_OWNER');

/** Starts a thread that acquires it; with another owner it waits then. */
function startOwner(ctx: AioContext): void {
  const current = ctx.makeCurrent();
  owner.start();
  current[Symbol.dispose]();
}

/** The same, until it owns it. */
function ownElsewhere(ctx: AioContext): void {
  startOwner(ctx);
  while (!owner.owns());
}

describe('AioContext: ownership', () => {
  matrix('I5: is recursive, and ends with as many releases', ({ ctx }) => {
    for (let i = 0; i < 3; i++) ctx.acquire();
    startOwner(ctx);
    for (let i = 0; i < 3; i++) {
      assert.equal(owner.owns(), false);
      ctx.release();
    }

    while (!owner.owns());
    owner.finish();
    assert.throws(() => {
      ctx.release();
    }, notHeld);
  });

  matrix('releasing what nobody or another thread owns is an error that changes nothing', ({ ctx }) => {
    assert.throws(() => {
      ctx.release();
    }, notHeld);
    ownElsewhere(ctx);
    assert.throws(() => {
      ctx.release();
    }, notOwner);
    assert.equal(owner.owns(), true);
    owner.finish();
    ctx.acquire();
    ctx.release();
  });

  withLoop('a disposal releases once, also after the context was closed', ({ ctx }) => {
    const [first, second] = [ctx.acquire(), ctx.acquire()];
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    ctx.release();
    assert.throws(() => {
      second[Symbol.dispose]();
    }, notHeld);
    second[Symbol.dispose]();

    const last = ctx.acquire();
    ctx.close();
    last[Symbol.dispose]();
  });

  withLoop('acquiring waits for the owner', ({ ctx }) => {
    ownElsewhere(ctx);
    owner.finish(true);
    ctx.acquire();
    assert.equal(owner.owns(), false);
    ctx.release();
    owner.finish();
  });

  matrix('I3: who waits ends a wait of the owner', (loop) => {
    loop.ctx.acquire();
    startOwner(loop.ctx);
    loop.wait(); // for nothing else
    assert.equal(owner.owns(), false);
    loop.ctx.release();
    while (!owner.owns());
    owner.finish();
  });

  matrix('I4: who waits stays out of a wait of the owner', (loop) => {
    const { read, write: end } = loop.pipe();
    let reads = 0;
    loop.ctx.setFdHandler(read, {
      read: (fd) => {
        drain(fd);
        reads++;
      },
    });
    loop.ctx.acquire();
    startOwner(loop.ctx);
    loop.wait(); // until it waits
    for (let i = 1; i <= 4; i++) {
      write(end, 'x');
      loop.until(() => reads === i);
      assert.equal(owner.owns(), false);
    }
    loop.ctx.release();
    while (!owner.owns());
    owner.finish();
  });

  matrix('callbacks run whoever owns it', (loop) => {
    let ran = false;
    ownElsewhere(loop.ctx);
    loop.ctx.scheduleOneshot(() => (ran = true));
    loop.until(() => ran);
    assert.equal(owner.owns(), true);
    owner.finish();
  });

  withLoop('closing releases it, from a callback too', (loop) => {
    const { ctx } = loop;
    ctx.acquire();
    ctx.acquire();
    startOwner(ctx);
    ctx.scheduleOneshot(() => {
      ctx.close();
      while (!owner.owns());
    });
    loop.step();
    owner.finish();

    assert.throws(() => ctx.acquire(), closedError);
    assert.throws(() => {
      ctx.release();
    }, closedError);
  });

  matrix(
    'I8: driven where it is not at home: an error that changes nothing',
    ({ ctx }) => {
      ctx.scheduleOneshot(() => {
        owner.remember();
      });
      ctx.poll(false);
      assert.equal(owner.takeHome(), true);
      let ran = false;
      ctx.scheduleOneshot(() => (ran = true));
      const before = ctx.stats();
      assert.equal(ctx.inHomeThread, false);

      for (const drive of [
        () => ctx.poll(false),
        () => ctx.poll(true),
        () => {
          ctx.waitWhile(() => !ran);
        },
      ])
        assert.throws(drive, aioError('ERR_AIO_WRONG_THREAD'));
      assert.deepEqual(ctx.stats(), before);
      assert.equal(ran, false);

      // Nobody drives it: it may come back.
      const current = ctx.makeCurrent();
      assert.equal(ctx.inHomeThread, true);
      assert.equal(ctx.poll(true), true);
      assert.equal(ran, true);
      current[Symbol.dispose]();
    },
    { drivers: ['poll'] },
  );

  it('terminating a Worker ends its wait', async () => {
    const lines = await scriptLines(
      'cjs',
      `const { Worker } = require('node:worker_threads');
      const owner = require(${JSON.stringify(ownerPath)});
      const worker = new Worker(\`const { AioContext } = require('aio-gsource');
        const owner = require(${JSON.stringify(ownerPath)});
        const ctx = new AioContext(); ctx.makeCurrent(); owner.start(); while (!owner.owns());
        require('node:worker_threads').parentPort.postMessage(0); ctx.acquire(); console.log('acquired');\`,
        { eval: true });
      worker.on('message', () => worker.terminate());
      worker.on('error', (error) => console.log(error));
      worker.on('exit', (code) => { owner.finish(); console.log('exit', code); });`,
    );

    assert.deepEqual(lines, ['exit 1']);
  });

  it('a Worker that ends gives it up', async () => {
    const lines = await scriptLines(
      'cjs',
      `const { Worker } = require('node:worker_threads');
      const worker = new Worker(\`const { AioContext } = require('aio-gsource');
        const owner = require(${JSON.stringify(ownerPath)});
        const ctx = new AioContext(); ctx.makeCurrent(); ctx.acquire(); owner.start();\`, { eval: true });
      worker.on('error', (error) => console.log(error));
      worker.on('exit', () => {
        const owner = require(${JSON.stringify(ownerPath)});
        while (!owner.owns());
        owner.finish();
        console.log('released');
      });`,
    );

    assert.deepEqual(lines, ['released']);
  });

  it('I2: acquiring two contexts in both orders is one warning', async () => {
    const { code, stderr } = await runScript(
      'cjs',
      `const { AioContext } = require('aio-gsource');
      const [a, b] = [new AioContext({ name: 'alpha' }), new AioContext({ name: 'beta' })];
      for (const [first, second] of [[a, b], [b, a], [a, b], [b, a]]) {
        first.acquire(); second.acquire(); second.release(); first.release();
      }`,
    );

    assert.equal(code, 0, stderr);
    assert.equal(stderr.match(/WARNING/g)?.length, 1, stderr);
    assert.match(stderr, /alpha.*beta/);
  });
});
