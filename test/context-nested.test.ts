import assert from 'node:assert/strict';

import { AioContext, Clock, MainContext } from 'aio-gsource';
import { computeTimeoutNs } from 'aio-gsource/internals';

import { drain, matrix, sorted, write } from './helpers.js';

describe('AioContext: nested passes', () => {
  matrix('B3: a bottom half waits for one of its own slice', (loop) => {
    const order: string[] = [];
    loop.ctx.scheduleOneshot(() => {
      order.push('waits');
      assert.equal(computeTimeoutNs(loop.ctx), 0n, 'while the slice holds one that can run');
      loop.until(() => order.includes('awaited'));
      order.push('done');
    });
    loop.ctx.scheduleOneshot(() => order.push('awaited'));

    loop.step();

    assert.deepEqual(order, ['waits', 'awaited', 'done']);
  });

  matrix('B3: three levels deep, the oldest slice first', (loop) => {
    const order: string[] = [];
    const level = (depth: number): void => {
      order.push(`enter ${String(depth)}`);
      if (depth < 3) {
        loop.ctx.scheduleOneshot(() => {
          level(depth + 1);
        });
        loop.ctx.scheduleOneshot(() => order.push(`sibling ${String(depth + 1)}`));
        loop.until(() => order.includes(`sibling ${String(depth + 1)}`));
      }
      order.push(`leave ${String(depth)}`);
    };
    loop.ctx.scheduleOneshot(() => {
      level(1);
    });
    loop.ctx.scheduleOneshot(() => order.push('sibling 1'));

    loop.step();

    assert.deepEqual(order, [
      ...['enter 1', 'sibling 1', 'enter 2', 'sibling 2', 'enter 3'],
      ...['leave 3', 'sibling 3', 'leave 2', 'leave 1'],
    ]);
  });

  matrix('C1: a handler that is not drained, and waits in itself: the depth is bounded', (loop) => {
    const { read, write: end } = loop.pipe();
    let depth = 0;
    let deepest = 0;
    let calls = 0;
    loop.ctx.setFdHandler(read, {
      read: (fd) => {
        calls++;
        deepest = Math.max(deepest, ++depth);
        if (calls < 1000) loop.step();
        depth--;
        if (depth === 0) drain(fd);
      },
    });
    write(end, 'x');

    loop.step();
    const outer = calls;
    loop.steps(3);

    assert.ok(deepest > 1, 'it may be entered again');
    assert.ok(deepest <= 8, `${String(deepest)} deep`);
    assert.ok(outer < 1000);
    assert.equal(calls, outer, 'drained at last');
  });

  matrix('C1: one that waits in itself until it is drained', (loop) => {
    const { read, write: end } = loop.pipe();
    let text = '';
    let left = false;
    loop.ctx.setFdHandler(read, {
      read: (fd) => {
        text += drain(fd);
        if (text === 'a') {
          write(end, 'b');
          loop.until(() => text === 'ab');
          left = true;
        }
      },
    });

    write(end, 'a');
    loop.until(() => left);

    assert.equal(text, 'ab');
  });

  matrix('C2: two are ready, the first runs a nested pass: the second runs once', (loop) => {
    const pipes = [loop.pipe(), loop.pipe()];
    const order: number[] = [];
    let nested = false;
    for (const { read, write: end } of pipes) {
      write(end, 'x');
      loop.ctx.setFdHandler(read, {
        read: (fd) => {
          drain(fd);
          order.push(fd);
          if (!nested) {
            nested = true;
            loop.steps(2);
          }
        },
      });
    }

    loop.step();
    loop.step();

    assert.deepEqual(sorted(order), sorted(pipes.map(({ read }) => read)));
  });

  matrix('C2: the nested pass removes the handler that the outer one would call next', (loop) => {
    const pipes = [loop.pipe(), loop.pipe(), loop.pipe()];
    let calls = 0;
    for (const { read, write: end } of pipes) {
      write(end, 'x');
      loop.ctx.setFdHandler(read, {
        read: () => {
          calls++;
          loop.ctx.scheduleOneshot(() => {
            for (const pipe of pipes) loop.ctx.setFdHandler(pipe.read, null);
          });
          loop.step();
        },
      });
    }

    loop.step();

    assert.ok(calls >= 1 && calls <= 3);
    const before = calls;
    loop.steps(2);
    assert.equal(calls, before);
  });

  matrix('C6: handlers made and removed inside a callback that does not return', (loop) => {
    const { write: end } = loop.pipe();
    let calls = 0;
    loop.ctx.scheduleOneshot(() => {
      for (let i = 0; i < 1000; i++) {
        loop.ctx.setFdHandler(end, { write: () => calls++ });
        loop.step();
        loop.ctx.setFdHandler(end, null);
      }
    });

    loop.step();

    assert.equal(calls, 1000);
  });

  matrix('a timer, a handler and a bottom half wait for each other, nested', (loop) => {
    const { read, write: end } = loop.pipe();
    const clock = Clock.manual();
    const order: string[] = [];
    loop.ctx.setFdHandler(read, {
      read: (fd) => {
        drain(fd);
        loop.ctx.scheduleOneshot(() => order.push('bottom half'));
        loop.until(() => order.includes('bottom half'));
        order.push('handler');
      },
    });
    loop.ctx
      .timer(clock, () => {
        write(end, 'x');
        loop.until(() => order.includes('handler'));
        order.push('timer');
      })
      .modNs(0);

    loop.until(() => order.includes('timer'));

    assert.deepEqual(order, ['bottom half', 'handler', 'timer']);
  });

  matrix('a hundred levels deep', (loop) => {
    let depth = 0;
    let deepest = 0;
    const down = (): void => {
      deepest = Math.max(deepest, ++depth);
      if (depth < 100) {
        loop.ctx.scheduleOneshot(down);
        loop.ctx.poll(false);
      }
      depth--;
    };
    loop.ctx.scheduleOneshot(down);

    loop.step();

    assert.equal(deepest, 100);
  });

  it('two contexts of two main contexts drive each other', () => {
    using a = new AioContext();
    using b = new AioContext();
    const [mainA, mainB] = [new MainContext(), new MainContext()];
    a.attach(mainA);
    b.attach(mainB);
    const order: string[] = [];
    a.scheduleOneshot(() => {
      order.push('a');
      b.scheduleOneshot(() => {
        order.push('b');
        a.scheduleOneshot(() => order.push('a again'));
        mainA.iteration(true);
      });
      mainB.iteration(true);
      order.push('end');
    });

    mainA.iteration(true);

    assert.deepEqual(order, ['a', 'b', 'a again', 'end']);
  });
});
