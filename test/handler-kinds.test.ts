import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';

import { AioContext, EventNotifier } from 'aio-gsource';
import { tryRead } from 'aio-gsource/fds';

import { drain, ioUringMissing, type Loop, matrix, packageRoot, write } from './helpers.js';

/** Node's own epoll set. */
function epollOfNode(): number {
  const fds = readdirSync('/proc/self/fd');
  const found = fds.find((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:[eventpoll]';
    } catch {
      return false;
    }
  });
  return Number(found);
}

/** Opens it, has a handler for it called or not, and removes that. */
function tryOut(loop: Loop, fd: number, isReady: boolean): void {
  const errors: unknown[] = [];
  let calls = 0;
  loop.ctx.setFdHandler(fd, { read: () => calls++, error: (error) => errors.push(error) });
  loop.steps(4);
  loop.ctx.setFdHandler(fd, null);
  const after = calls;
  loop.steps(2);

  assert.deepEqual(errors, []);
  assert.equal(calls > 0, isReady);
  assert.equal(calls, after);
}

describe('FdHandler: kinds of file descriptors', () => {
  for (const kind of ['file', 'directory', '/dev/null', '/dev/zero'])
    matrix(`E7: ${kind}: always ready, and others are watched as before`, (loop) => {
      const where = { file: `${packageRoot}/package.json`, directory: packageRoot };
      const fd = openSync((where as Record<string, string>)[kind] ?? kind, 'r');
      const notifiers = Array.from({ length: 70 }, () => new EventNotifier());
      let calls = 0;
      try {
        for (const notifier of notifiers) loop.ctx.setEventNotifier(notifier, { read: () => calls++ });
        const monitor = loop.ctx.monitor;
        tryOut(loop, fd, true);
        for (const notifier of notifiers) notifier.set();
        loop.until(() => calls === 70);
        assert.equal(loop.ctx.monitor, monitor);
      } finally {
        for (const notifier of notifiers) notifier.close();
        closeSync(fd);
      }
    });

  matrix('a FIFO', (loop) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'aio-'));
    const fifo = path.join(folder, 'fifo');
    try {
      assert.equal(spawnSync('mkfifo', [fifo]).status, 0);
      const fd = openSync(fifo, 'r+');
      tryOut(loop, fd, false);
      write(fd, 'x');
      tryOut(loop, fd, true);
      assert.equal(tryRead(fd, Buffer.alloc(4)), 1);
      closeSync(fd);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  matrix('a terminal: its own end, and that of its program', (loop) => {
    const { master, slave } = loop.openPty();
    tryOut(loop, master, false);
    tryOut(loop, slave, false);
    write(slave, 'x');
    tryOut(loop, master, true);
  });

  matrix('an epoll set: that of Node', (loop) => {
    const fd = epollOfNode();
    assert.ok(fd >= 0);
    let calls = 0;
    loop.ctx.setFdHandler(fd, { read: () => calls++, error: () => assert.fail('it is open') });
    loop.steps(3);
    loop.ctx.setFdHandler(fd, null);
    const before = calls;
    loop.steps(3);

    assert.equal(calls, before);
    return immediate(); // Node's loop still turns
  });

  for (const monitor of ['epoll', 'io_uring'] as const)
    it(`what the context itself polls [${monitor}]`, function () {
      if (monitor === 'io_uring' && ioUringMissing !== null) this.skip();
      const before = new Set(readdirSync('/proc/self/fd'));
      using ctx = new AioContext({ monitor });
      using notifier = new EventNotifier();
      let calls = 0;
      ctx.setEventNotifier(notifier, { read: () => calls++ });
      ctx.poll(false);
      before.add(String(notifier.fd));
      for (const fd of readdirSync('/proc/self/fd').filter((each) => !before.has(each))) {
        try {
          ctx.setFdHandler(Number(fd), { read: () => undefined, error: () => undefined });
        } catch (error) {
          assert.equal((error as { code?: unknown }).code, 'EBADF');
        }
      }

      for (let i = 0; i < 5; i++) ctx.poll(false);
      notifier.set();
      for (let i = 0; i < 5 && calls === 0; i++) ctx.poll(false);

      assert.equal(calls, 1, 'the others are still watched');
    });

  describe("N10: one that is Node's", () => {
    interface Handle {
      fd: number;
    }
    const fdOf = (socket: Socket): number => (socket as unknown as { _handle: Handle })._handle.fd;

    for (const monitor of ['poll', 'epoll', 'io_uring'] as const)
      it(`both are told, who reads first has the data, and Node goes on unharmed [${monitor}]`, async function () {
        if (monitor === 'io_uring' && ioUringMissing !== null) this.skip();
        const server = createServer().listen(0, '127.0.0.1');
        await once(server, 'listening');
        const accepting = once(server, 'connection') as Promise<[Socket]>;
        const client = connect((server.address() as { port: number }).port, '127.0.0.1');
        const [peer] = await accepting;
        await once(client, 'ready');
        let ours = '';
        let nodes = '';
        client.setEncoding('latin1').on('data', (text: string) => (nodes += text));
        const fd = fdOf(client);
        const ctx = new AioContext({ monitor });
        ctx.setFdHandler(fd, { read: (each) => (ours += drain(each)) });

        // While Node's loop does not turn all of it is ours.
        peer.write('one');
        ctx.poll(true);
        for (let i = 0; i < 5; i++) await immediate();
        assert.deepEqual([ours, nodes], ['one', '']);

        // What ours leaves there Node has.
        let told = 0;
        ctx.setFdHandler(fd, { read: () => told++ });
        peer.write('more');
        ctx.poll(true);
        while (nodes !== 'more') await immediate();
        assert.equal(told, 1);

        // Without a handler Node has its socket for itself.
        ctx.setFdHandler(fd, null);
        [ours, nodes] = ['', ''];
        peer.write('two');
        while (nodes !== 'two') await immediate();
        ctx.poll(false);
        assert.equal(ours, '');

        // Node closes it while it is watched.
        let died = 0;
        ctx.setFdHandler(fd, { read: drain, error: () => died++ });
        ctx.poll(false);
        client.destroy();
        await once(client, 'close');
        for (let i = 0; i < 5; i++) ctx.poll(false);
        assert.equal(died, monitor === 'poll' ? 1 : 0);
        ctx.close();

        peer.destroy();
        server.close();
        await once(server, 'close');
      });
  });
});
