import assert from 'node:assert/strict';

import { AioError } from 'aio-gsource';
import { tryWrite } from 'aio-gsource/fds';

import { aioError, type Loop, matrix, whereClosingTells, withLoop, write } from './helpers.js';

/** How often the context waited, whoever drove it. */
function waits(loop: Loop): number {
  const { waits: own, prepares } = loop.ctx.stats();
  return own + prepares;
}

describe('FdHandler: errors', () => {
  matrix(
    'E4: a descriptor closed while it is watched: one EBADF, no busy loop',
    (loop) => {
      const { read } = loop.pipe();
      const errors: AioError[] = [];
      const receivers: unknown[] = [];
      const handler = {
        read: () => assert.fail('nothing to read'),
        error(this: unknown, error: AioError): void {
          receivers.push(this);
          errors.push(error);
        },
      };
      loop.ctx.setFdHandler(read, handler);
      loop.step();

      loop.closeFd(read);
      loop.until(() => errors.length > 0);
      const [error] = errors;
      assert.ok(error instanceof AioError);
      assert.equal(error.code, 'EBADF');
      assert.equal(error.errno, -9);
      assert.equal(typeof error.syscall, 'string');
      assert.match(error.message, new RegExp(`fd ${String(read)}\\b.*EBADF`, 's'));
      assert.equal(receivers[0], handler);

      const before = waits(loop);
      let fired = false;
      loop.ctx.sleep(50).then(
        () => (fired = true),
        () => undefined,
      );
      loop.until(() => fired);
      assert.ok(waits(loop) - before < 10, `${String(waits(loop) - before)} waits in 50 ms`);
      assert.equal(errors.length, 1);
      loop.ctx.setFdHandler(read, null);
    },
    whereClosingTells,
  );

  matrix(
    'E4: without `error` it follows the rule for exceptions',
    (loop) => {
      const { read } = loop.pipe();
      loop.ctx.setFdHandler(read, { read: () => undefined, name: 'careless' });
      loop.step();

      loop.closeFd(read);
      assert.throws(
        () => {
          loop.steps(4);
        },
        aioError('EBADF', { errno: -9 }),
      );

      loop.steps(4);
      loop.ctx.setFdHandler(read, null);
    },
    whereClosingTells,
  );

  matrix(
    'E4: the dead handler can be replaced when the number is open again',
    (loop) => {
      const { read } = loop.pipe();
      const seen: string[] = [];
      loop.ctx.setFdHandler(read, { read: () => seen.push('old'), error: () => seen.push('error') });
      loop.closeFd(read);
      loop.until(() => seen.length > 0);

      const again = loop.pipe();
      loop.ctx.setFdHandler(again.read, { read: () => seen.push('new') });
      write(again.write, 'x');
      loop.step();

      assert.equal(again.read, read, 'the lowest number is used again');
      assert.deepEqual(seen, ['error', 'new']);
    },
    whereClosingTells,
  );

  matrix(
    'E4: io_uring tells of a closed descriptor once its file is ready: the handler runs once at most, then dies',
    (loop) => {
      const { read, write: end } = loop.pipe();
      const seen: string[] = [];
      loop.ctx.setFdHandler(read, {
        read: () => seen.push('read'),
        error: ({ code }) => seen.push(code),
      });
      loop.step();

      loop.closeFd(read);
      loop.steps(4);
      assert.equal(seen.length, 0);
      write(end, 'x'); // no EPIPE: the ring has the other end open
      loop.until(() => seen.includes('EBADF'));
      loop.steps(4);

      assert.ok(['EBADF', 'read,EBADF'].includes(seen.join()), seen.join());
      assert.throws(() => tryWrite(end, 'x'), aioError('EPIPE'));
    },
    { monitors: ['io_uring'] },
  );

  withLoop('E6: a descriptor that is not open is refused', (loop) => {
    const { read } = loop.pipe();
    loop.closeFd(read);

    for (const fd of [read, 999_999, 2 ** 31 - 1])
      assert.throws(
        () => {
          loop.ctx.setFdHandler(fd, { read: () => undefined });
        },
        aioError('EBADF', { errno: -9 }),
        String(fd),
      );

    assert.equal(loop.ctx.poll(false), false);
  });

  withLoop('E6: a refused handler leaves the one before in place', (loop) => {
    const { read, write: end } = loop.pipe();
    let calls = 0;
    loop.ctx.setFdHandler(read, { read: () => calls++ });

    assert.throws(() => {
      loop.ctx.setFdHandler(read, { read: 1 } as never);
    }, TypeError);
    write(end, 'x');
    loop.step();

    assert.equal(calls, 1);
  });
});
