import assert from 'node:assert/strict';

import { EventNotifier } from 'aio-gsource';

import { drain, ioUringMissing, matrix, runScript, scriptLines, write } from './helpers.js';

describe('FdHandler: many of them', () => {
  matrix("E5: a number that is used again is the new handler's, a thousand times", (loop) => {
    const others = Array.from({ length: 70 }, () => new EventNotifier());
    for (const other of others) loop.ctx.setEventNotifier(other, { read: () => assert.fail('never set') });
    loop.step();
    const monitor = loop.ctx.monitor;
    const calls: number[] = [];
    let number: number | undefined;
    for (let round = 0; round < 1000; round++) {
      const ends = loop.pipe();
      number ??= ends.read;
      assert.equal(ends.read, number);
      loop.ctx.setFdHandler(ends.read, {
        read: (fd) => {
          drain(fd);
          calls.push(round);
        },
        error: () => undefined, // poll may tell that the old one was closed
      });
      write(ends.write, 'x');
      loop.until(() => calls.length > round);
      assert.equal(calls[round], round);
      // Every other one is closed while it is watched.
      if (round % 2 === 0) loop.ctx.setFdHandler(ends.read, null);
      loop.closeFd(ends.read);
      loop.closeFd(ends.write);
    }

    assert.equal(loop.ctx.monitor, monitor);
    if (number !== undefined) loop.ctx.setFdHandler(number, null);
    for (const other of others) other.close();
  });

  matrix('E12: more that are ready than one wait tells of: none is lost', (loop) => {
    const notifiers = Array.from({ length: 500 }, () => new EventNotifier());
    const seen = new Set<EventNotifier>();
    for (const notifier of notifiers)
      loop.ctx.setEventNotifier(notifier, {
        read: (each) => {
          assert.ok(!seen.has(each), 'it was cleared');
          seen.add(each);
        },
      });
    for (const notifier of notifiers) notifier.set();

    for (let passes = 0; seen.size < 500; passes++) {
      assert.ok(passes < (loop.driver === 'mixed' ? 10 : Math.ceil(500 / 128) + 1));
      loop.step();
    }
    for (const notifier of notifiers) notifier.close();
  });

  it('ten thousand are removed again: their memory is given back', async () => {
    const [line = ''] = await scriptLines(
      'esm',
      `
      const ctx = new aio.AioContext();
      const fdList = [];
      for (let i = 0; i < 1000; i++) { const ends = fds.pipe(); fdList.push(ends.read, ends.write); }
      const round = () => {
        for (const fd of fdList) ctx.setFdHandler(fd, { read() { return fd; }, name: 'number ' + fd });
        ctx.poll(false);
        for (const fd of fdList) ctx.setFdHandler(fd, null);
        ctx.poll(false);
      };
      // V8 keeps the room that garbage once had.
      const used = () => {
        gc(); gc();
        const { rss, heapTotal, heapUsed } = process.memoryUsage();
        return rss - heapTotal + heapUsed;
      };
      for (let i = 0; i < 30; i++) round();
      const before = used();
      for (let i = 0; i < 100; i++) round();
      console.log(used() - before);
      `,
      // It would keep what has been freed, and tell where from.
      { ulimit: 8192, asan: 'quarantine_size_mb=0:thread_local_quarantine_size_kb=0' },
    );
    // 200,000 handlers of 450 bytes would be 90 MB.
    assert.ok(Number(line) < 15e6, line);
  });
});

describe('FdHandler: at the limit of file descriptors', () => {
  // A context needs up to 5 (notifier, epoll set or ring, timerfds), its GMainContext one: with one more at a time it gets one step further.
  for (const what of ["'poll'", "'epoll'", "'io_uring'", "'auto'"])
    it(`EMFILE at each step leaves everything as it was [${what}]`, async function () {
      if (what === "'io_uring'" && ioUringMissing !== null) this.skip();
      const { stdout, stderr, code } = await runScript(
        'esm',
        `
        import { readdirSync } from 'node:fs';
        const assert = require('node:assert/strict');
        const open = () => readdirSync('/proc/self/fd').length;
        const { AioContext, EventNotifier, MainContext, Clock } = aio;
        const ends = fds.pipe();
        new MainContext().close();
        const hold = [];
        new AioContext().close();
        const before = open();
        // All that are left, but so many.
        const fill = () => { for (;;) try { hold.push(new EventNotifier()); } catch (error) {
          assert.equal(error.code, 'EMFILE'); return; } };
        const free = (count) => { for (let i = 0; i < count; i++) hold.pop().close(); };
        const outcomes = [];
        for (let left = 0; left < 13; left++) {
          fill();
          free(left);
          let calls = 0;
          try {
            const main = new MainContext();
            using_(main, () => using_(new AioContext({ monitor: ${what} }), (ctx) => {
              ctx.attach(main);
              const error = (error) => outcomes.push('died ' + error.code);
              ctx.setFdHandler(ends.read, { read: () => calls++, error });
              ctx.setFdHandler(ends.write, { write: () => calls++, error });
              for (const { fd } of hold.slice(0, 80)) ctx.setFdHandler(fd, { read() {}, error });
              const timer = ctx.timer(Clock.host, () => calls++);
              timer.after(0);
              const controller = new AbortController();
              ctx.whenReadable(hold[90].fd, { signal: controller.signal }).catch(() => calls++);
              for (let i = 0; i < 10; i++) { main.iteration(false); ctx.poll(false); }
              assert.ok(calls > 0, 'it works');
              controller.abort();
              ctx.setFdHandler(ends.read, null);
            }));
            outcomes.push('made');
          } catch (error) {
            assert.match(error.message, /EMFILE/);
            outcomes.push('EMFILE');
          }
          for (const each of hold.splice(0)) each.close();
          assert.equal(open(), before, 'with ' + left + ' left');
        }
        function using_(ctx, body) { try { body(ctx); } finally { ctx.close(); } }
        console.log(outcomes.join(' '));
        `,
        { ulimit: 256 },
      );
      assert.equal(code, 0, stderr);
      const outcomes = stdout.trim().split(' ');
      assert.equal(outcomes[0], 'EMFILE');
      assert.equal(outcomes.at(-1), 'made');

      assert.deepEqual(outcomes, [...outcomes].sort(), 'once it can be had, it can be had with more');
    });
});
