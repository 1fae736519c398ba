import assert from 'node:assert/strict';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';

import { closeFd, openPty, pipe, socketPair, tryRead, tryWrite } from 'aio-gsource/fds';

import { aioError, drain, fill, packageRoot, scriptLines, withLoop } from './helpers.js';

const nonBlocking = 0o4000;
const closeOnExec = 0o2000000;

function flags(fd: number): number {
  const info = readFileSync(`/proc/self/fdinfo/${String(fd)}`, 'utf8');
  return parseInt(/^flags:\s+(\d+)/m.exec(info)?.[1] ?? '', 8);
}

describe('aio-gsource/fds', () => {
  it('all are non-blocking and close-on-exec', () => {
    const ends = pipe();
    const pty = openPty({ columns: 10, rows: 5 });
    const all = [ends.read, ends.write, ...socketPair(), pty.master, pty.slave];

    for (const fd of all) {
      assert.equal(flags(fd) & nonBlocking, nonBlocking);
      assert.equal(flags(fd) & closeOnExec, closeOnExec);
      closeFd(fd);
    }
  });

  withLoop('a pipe: null while there is nothing, 0 at the end', (loop) => {
    const { read, write } = loop.pipe();
    const buffer = Buffer.alloc(10);

    assert.equal(tryRead(read, buffer), null);
    assert.equal(tryWrite(write, Buffer.from('abc')), 3);
    assert.equal(tryWrite(write, 'dé'), 3, 'a text is UTF-8');
    assert.equal(tryRead(read, buffer), 6);
    assert.equal(buffer.toString('utf8', 0, 6), 'abcdé');
    loop.closeFd(write);
    assert.equal(tryRead(read, buffer), 0);
    assert.equal(tryRead(read, buffer), 0);
  });

  withLoop('a full pipe: null', (loop) => {
    const { read, write } = loop.pipe();

    const size = fill(write);
    assert.ok(size >= 4096);
    assert.equal(tryWrite(write, Buffer.alloc(1)), null);
    assert.equal(drain(read).length, size);
    assert.equal(tryWrite(write, Buffer.alloc(1)), 1);
  });

  withLoop('an empty write writes nothing', (loop) => {
    const { read, write } = loop.pipe();

    assert.equal(tryWrite(write, Buffer.alloc(0)), 0);
    assert.equal(tryWrite(write, ''), 0);
    assert.equal(tryRead(read, Buffer.alloc(1)), null);
  });

  withLoop('a view of a buffer: only its own bytes', (loop) => {
    const { read, write } = loop.pipe();
    const memory = new Uint8Array(10).fill(7);

    tryWrite(write, new Uint8Array([1, 2, 3, 4]).subarray(1, 3));
    assert.equal(tryRead(read, memory.subarray(4, 9)), 2);

    assert.deepEqual([...memory], [7, 7, 7, 7, 2, 3, 7, 7, 7, 7]);
  });

  withLoop('a socket pair goes both ways', (loop) => {
    const [left, right] = loop.socketPair();

    tryWrite(left, 'to the right');
    tryWrite(right, 'to the left');

    assert.equal(drain(right), 'to the right');
    assert.equal(drain(left), 'to the left');
    assert.ok(fstatSync(left).isSocket());
  });

  withLoop('a pty has a path, and its size', (loop) => {
    const { master, slave, path } = loop.openPty();

    assert.match(path, /^\/dev\/pts\/\d+$/);
    assert.ok(fstatSync(slave).isCharacterDevice());
    assert.ok(fstatSync(master).isCharacterDevice());
    tryWrite(slave, 'x\n');
    assert.equal(drain(master), 'x\r\n');
  });

  withLoop('a pty is what a child sees as its terminal', async (loop) => {
    const { path } = loop.openPty();

    const lines = await scriptLines(
      'cjs',
      `const tty = require('node:tty'); const fs = require('node:fs');
      const fd = fs.openSync(process.argv.at(-1), fs.constants.O_RDWR | fs.constants.O_NOCTTY);
      const stream = new tty.WriteStream(fd);
      console.log(tty.isatty(fd), stream.getWindowSize().join('x'));
      process.exit();`,
      { args: [path] },
    );

    assert.deepEqual(lines, ['true 80x25']);
  });

  it('a failed system call is an AioError with its errno and syscall', () => {
    const { read, write } = pipe();
    const file = openSync(`${packageRoot}/package.json`, 'r');
    closeFd(write);

    assert.throws(() => tryWrite(file, 'x'), aioError('EBADF', { errno: -9, syscall: 'write' }));
    assert.throws(() => tryRead(write, Buffer.alloc(1)), aioError('EBADF', { errno: -9, syscall: 'read' }));
    assert.throws(
      () => {
        closeFd(write);
      },
      aioError('EBADF', { errno: -9, syscall: 'close' }),
    );
    assert.throws(() => tryRead(2 ** 31 - 1, Buffer.alloc(1)), aioError('EBADF'));
    closeFd(read);
    closeSync(file);
  });

  withLoop('writing to a pipe without a reader is EPIPE, and no signal', (loop) => {
    const { read, write } = loop.pipe();
    loop.closeFd(read);

    assert.throws(() => tryWrite(write, 'x'), aioError('EPIPE', { errno: -32, syscall: 'write' }));
  });

  it('N11: without descriptors left it is EMFILE, for contexts and notifiers too, and they work again', async () => {
    const lines = await scriptLines(
      'cjs',
      `const fs = require('node:fs'); const { AioContext, EventNotifier } = aio;
      const count = () => fs.readdirSync('/proc/self/fd').length;
      new aio.AioContext().close();
      const before = count();
      const held = [];
      const attempts = { context: () => new AioContext(), notifier: () => new EventNotifier(), pipe: () => fds.pipe(),
        socketPair: () => fds.socketPair(), pty: () => fds.openPty({ columns: 1, rows: 1 }) };
      while (true) { try { held.push(fs.openSync('/dev/null', 'r')); } catch { break; } }
      for (let free = 0; free < 3; free++) {
        for (const [name, attempt] of Object.entries(attempts)) {
          if (free > 0 && (name === 'context' || name === 'notifier') || free === 2) continue;
          try { attempt(); console.log(name, 'worked with', free); }
          catch (error) { if (error.code !== 'EMFILE' || error.errno !== -24) console.log(name, error); }
        }
        fs.closeSync(held.pop());
      }
      for (const fd of held) fs.closeSync(fd);
      console.log(count() === before);
      const ctx = new AioContext(); console.log(ctx.poll(false)); ctx.close();`,
      { ulimit: 64 },
    );

    assert.deepEqual(lines, ['true', 'false']);
  });
});
