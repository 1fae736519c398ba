import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';

import { tryRead } from 'aio-gsource/fds';

import { drain, fill, matrix, packageRoot, write } from './helpers.js';

describe('FdHandler: events', () => {
  for (const disabled of [false, true])
    matrix(
      `A14: what is ready is found by a poll right after the registration (external ones ${disabled ? 'disabled' : 'enabled'})`,
      (loop) => {
        const { read, write: end } = loop.pipe();
        write(end, 'x');
        if (disabled) loop.ctx.disableExternal();
        for (let i = 1; i <= 3; i++) {
          let reads = 0;
          loop.ctx.setFdHandler(read, { read: () => reads++ });
          assert.equal(loop.ctx.poll(false), true);
          assert.equal(reads, 1);
          loop.ctx.setFdHandler(read, null);
          assert.equal(loop.ctx.poll(false), false);
        }
      },
    );

  matrix('a pipe that gets readable', (loop) => {
    const { read, write: end } = loop.pipe();
    const seen: [number, string][] = [];
    loop.ctx.setFdHandler(read, { read: (fd) => seen.push([fd, drain(fd)]) });

    loop.step();
    assert.deepEqual(seen, []);
    write(end, 'hello');
    loop.until(() => seen.length > 0);
    loop.steps(2);

    assert.deepEqual(seen, [[read, 'hello']]);
  });

  matrix('a pipe that is writable, until it is full', (loop) => {
    const { read, write: end } = loop.pipe();
    let calls = 0;
    loop.ctx.setFdHandler(end, {
      write: (fd) => {
        assert.equal(fd, end);
        calls++;
        fill(fd);
      },
    });

    loop.steps(3);
    assert.equal(calls, 1);
    drain(read);
    loop.until(() => calls === 2);
  });

  matrix('is level-triggered: what is not drained is reported again', (loop) => {
    const { read, write: end } = loop.pipe();
    let calls = 0;
    loop.ctx.setFdHandler(read, { read: () => calls++ });

    write(end, 'x');
    loop.steps(5);

    assert.equal(calls, 5);
  });

  matrix('a socket pair, both ways: read before write', (loop) => {
    const [left, right] = loop.socketPair();
    const order: string[] = [];
    loop.ctx.setFdHandler(left, {
      read: (fd) => order.push(`read ${drain(fd)}`),
      write: (fd) => {
        order.push('write');
        write(fd, 'pong');
        loop.ctx.setFdHandler(fd, { read: () => order.push('read only') });
      },
    });

    write(right, 'ping');
    loop.step();
    assert.deepEqual(order, ['read ping', 'write']);
    assert.equal(drain(right), 'pong');
    write(right, 'more');
    loop.step();

    assert.deepEqual(order, ['read ping', 'write', 'read only']);
  });

  matrix('a pty carries bytes both ways', (loop) => {
    const { master, slave } = loop.openPty();
    let fromSlave = '';
    let fromMaster = '';
    loop.ctx.setFdHandler(master, {
      read: (fd) => {
        fromSlave += drain(fd);
      },
    });
    loop.ctx.setFdHandler(slave, {
      read: (fd) => {
        fromMaster += drain(fd);
      },
    });

    write(slave, 'output\n');
    loop.until(() => fromSlave.includes('output'));
    write(master, 'typed\n');
    loop.until(() => fromMaster === 'typed\n');
  });

  matrix('a regular file is always ready, and others are still seen', (loop) => {
    const file = openSync(`${packageRoot}/package.json`, 'r');
    const { read, write: end } = loop.pipe();
    const calls = { file: 0, pipe: 0 };
    try {
      loop.ctx.setFdHandler(file, { read: () => calls.file++ });
      loop.ctx.setFdHandler(read, { read: (fd) => (calls.pipe += drain(fd).length) });

      loop.steps(3);
      assert.deepEqual(calls, { file: 3, pipe: 0 });
      write(end, 'x');
      loop.step();
      assert.deepEqual(calls, { file: 4, pipe: 1 });
      loop.ctx.setFdHandler(file, null);
    } finally {
      closeSync(file);
    }
  });

  matrix('the end of a pipe is readable: the other end was closed', (loop) => {
    const { read, write: end } = loop.pipe();
    let result: number | null = -1;
    loop.ctx.setFdHandler(read, {
      read: (fd) => {
        result = tryRead(fd, Buffer.alloc(1));
        loop.ctx.setFdHandler(fd, null);
      },
      error: () => assert.fail('a hang-up is no error'),
    });

    loop.closeFd(end);
    loop.until(() => result !== -1);

    assert.equal(result, 0);
  });

  matrix('E13: HUP calls write where there is no read', (loop) => {
    const [left, right] = loop.socketPair();
    let calls = 0;
    fill(left);
    loop.ctx.setFdHandler(left, {
      write: (fd) => {
        calls++;
        loop.ctx.setFdHandler(fd, null);
      },
    });

    loop.step();
    assert.equal(calls, 0);
    loop.closeFd(right);
    loop.until(() => calls > 0);

    assert.equal(calls, 1);
  });

  matrix('E13: the reader of a full pipe goes: ERR calls write', (loop) => {
    const { read, write: end } = loop.pipe();
    let calls = 0;
    fill(end);
    loop.ctx.setFdHandler(end, {
      write: (fd) => {
        calls++;
        loop.ctx.setFdHandler(fd, null);
      },
    });

    loop.step();
    assert.equal(calls, 0);
    loop.closeFd(read);
    loop.until(() => calls > 0);
  });

  matrix('HUP and ERR on a socket call read and write once each', (loop) => {
    const [left, right] = loop.socketPair();
    const order: string[] = [];
    fill(left);
    loop.ctx.setFdHandler(left, {
      read: () => order.push('read'),
      write: (fd) => {
        order.push('write');
        loop.ctx.setFdHandler(fd, null);
      },
    });

    // The peer goes with unread data: a reset, so POLLERR beside POLLHUP.
    loop.closeFd(right);
    loop.until(() => order.includes('write'));

    assert.deepEqual(order.slice(0, 2), ['read', 'write']);
  });

  matrix('`this` is the handler, and its methods are captured at registration', (loop) => {
    const { read, write: end } = loop.pipe();
    const seen: unknown[] = [];
    const handler = {
      read(this: unknown, fd: number): void {
        seen.push(this);
        drain(fd);
      },
    };
    const registered = { ...handler };
    loop.ctx.setFdHandler(read, registered);

    registered.read = () => assert.fail('replaced after registration');
    write(end, 'x');
    loop.step();

    assert.equal(seen.length, 1);
    assert.equal(seen[0], registered);
  });

  matrix('methods may come from a class, with private fields', (loop) => {
    const { read, write: end } = loop.pipe();
    class Reader {
      #text = '';
      get text(): string {
        return this.#text;
      }
      read(fd: number): void {
        this.#text += drain(fd);
      }
    }
    const reader = new Reader();
    loop.ctx.setFdHandler(read, reader);

    write(end, 'private');
    loop.step();

    assert.equal(reader.text, 'private');
  });

  matrix('many descriptors: each handler gets its own', (loop) => {
    const pipes = Array.from({ length: 100 }, () => loop.pipe());
    const seen = new Set<number>();
    for (const { read } of pipes)
      loop.ctx.setFdHandler(read, {
        read: (fd) => {
          assert.equal(fd, read);
          drain(fd);
          seen.add(fd);
        },
      });

    for (const { write: end } of pipes) write(end, 'x');
    loop.step();

    assert.equal(seen.size, 100);
  });
});
