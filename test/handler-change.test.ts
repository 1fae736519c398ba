import assert from 'node:assert/strict';

import { Clock, type FdHandler } from 'aio-gsource';

import { drain, type Loop, matrix, withLoop, write } from './helpers.js';

type Change = 'remove' | 'replace' | 'remove and add';

/** A readable descriptor. */
function readable(loop: Loop): number {
  const { read, write: end } = loop.pipe();
  write(end, 'x');
  return read;
}

function apply(loop: Loop, change: Change, fd: number, next: FdHandler): void {
  if (change !== 'replace') loop.ctx.setFdHandler(fd, null);
  if (change !== 'remove') loop.ctx.setFdHandler(fd, next);
}

describe('FdHandler: changes inside callbacks', () => {
  for (const change of ['remove', 'replace', 'remove and add'] as const) {
    const after = change === 'remove' ? 0 : 1;

    matrix(`E1: ${change} itself in read: write of the same event is not called`, (loop) => {
      const [left, right] = loop.socketPair();
      const calls = { read: 0, write: 0, next: 0 };
      write(right, 'x');
      loop.ctx.setFdHandler(left, {
        read: (fd) => {
          calls.read++;
          apply(loop, change, fd, { read: () => calls.next++ });
        },
        write: () => calls.write++,
      });

      loop.step();
      assert.deepEqual(calls, { read: 1, write: 0, next: 0 });
      loop.step();

      assert.deepEqual(calls, { read: 1, write: 0, next: after });
    });

    matrix(`E1: ${change} a ready sibling: the first that runs ends the other`, (loop) => {
      const fds = [readable(loop), readable(loop)];
      const calls = { old: 0, next: 0 };
      for (const fd of fds)
        loop.ctx.setFdHandler(fd, {
          read: () => {
            calls.old++;
            for (const other of fds)
              if (other !== fd) apply(loop, change, other, { read: () => calls.next++ });
            loop.ctx.setFdHandler(fd, null);
          },
        });

      loop.step();
      assert.deepEqual(calls, { old: 1, next: 0 }, 'the first to run ends the other');
      loop.step();

      assert.deepEqual(calls, { old: 1, next: after });
    });

    matrix(`E1: ${change} in a bottom half of the same pass`, (loop) => {
      const fd = readable(loop);
      const calls = { old: 0, next: 0 };
      loop.ctx.setFdHandler(fd, { read: () => calls.old++ });
      loop.ctx.scheduleOneshot(() => {
        apply(loop, change, fd, { read: () => calls.next++ });
      });

      loop.step();
      assert.deepEqual(calls, { old: 0, next: 0 });
      loop.step();

      assert.deepEqual(calls, { old: 0, next: after });
    });

    matrix(`E1: ${change} in a timer of the same pass`, (loop) => {
      const fd = readable(loop);
      const calls = { old: 0, next: 0 };
      loop.ctx.setFdHandler(fd, { read: () => calls.old++ });
      using timer = loop.ctx.timer(Clock.manual(), () => {
        apply(loop, change, fd, { read: () => calls.next++ });
      });
      timer.modNs(0);

      loop.steps(2);

      assert.deepEqual(calls, { old: 1, next: after });
    });
  }

  matrix('E2: one added in a callback is not called before the next wait', (loop) => {
    const fd = readable(loop);
    let calls = 0;
    loop.ctx.scheduleOneshot(() => {
      loop.ctx.setFdHandler(fd, { read: () => calls++ });
    });

    loop.step();
    assert.equal(calls, 0);
    loop.step();

    assert.equal(calls, 1);
  });

  matrix('E2: one added in a handler is not called before the next wait', (loop) => {
    const [first, second] = [readable(loop), readable(loop)];
    const order: string[] = [];
    loop.ctx.setFdHandler(first, {
      read: (fd) => {
        order.push('first');
        loop.ctx.setFdHandler(fd, null);
        loop.ctx.setFdHandler(second, { read: () => order.push('second') });
      },
    });

    loop.step();
    assert.deepEqual(order, ['first']);
    loop.step();

    assert.deepEqual(order, ['first', 'second']);
  });

  matrix('E3: a replacement is called exactly once in the next pass', (loop) => {
    const fd = readable(loop);
    const calls = { old: 0, next: 0 };
    loop.ctx.setFdHandler(fd, { read: () => calls.old++ });
    loop.ctx.setFdHandler(fd, {
      read: (ready) => {
        calls.next++;
        drain(ready);
      },
    });

    loop.steps(3);

    assert.deepEqual(calls, { old: 0, next: 1 });
  });

  withLoop('a handler with neither read nor write is an error, and changes nothing', (loop) => {
    const fd = readable(loop);
    let calls = 0;
    loop.ctx.setFdHandler(fd, { read: () => calls++ });

    assert.throws(
      () => {
        loop.ctx.setFdHandler(fd, { name: 'nothing to call' });
      },
      { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' },
    );
    loop.step();

    assert.equal(calls, 1);
  });

  withLoop('removing what is not watched does nothing', (loop) => {
    const { read } = loop.pipe();

    loop.ctx.setFdHandler(read, null);
    loop.ctx.setFdHandler(read, null);
    loop.ctx.setFdHandler(1_000_000, null);

    assert.equal(loop.ctx.poll(false), false);
  });

  matrix('a descriptor number that is used again belongs to the new handler', (loop) => {
    const calls: number[] = [];
    for (let round = 0; round < 20; round++) {
      const ends = loop.pipe();
      loop.ctx.setFdHandler(ends.read, {
        read: (fd) => {
          drain(fd);
          calls.push(round);
        },
      });
      write(ends.write, 'x');
      loop.until(() => calls.length > round);
      loop.ctx.setFdHandler(ends.read, null);
      loop.closeFd(ends.read);
      loop.closeFd(ends.write);
    }

    assert.deepEqual(
      calls,
      calls.map((_, index) => index),
    );
  });
});
