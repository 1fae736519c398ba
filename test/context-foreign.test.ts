// Contexts that a loop of somebody else drives: node-gtk's GLib.MainLoop and GLib.MainContext.
import assert from 'node:assert/strict';

import { runScript, scriptLines, type ScriptKind, sorted } from './helpers.js';

const kinds: readonly ScriptKind[] = ['cjs', 'esm'];

/** A script that attaches `ctx` to the default main context and runs node-gtk's main loop until `quit()`. */
const mainLoop = `
  const gi = require('node-gtk'); const GLib = gi.require('GLib', '2.0');
  const { AioContext, Clock, EventNotifier } = aio;
  const ctx = new AioContext();
  ctx.attach(GLib.MainContext.default());
  const loop = GLib.MainLoop.new(null, false);
  const quit = () => { ctx.close(); loop.quit(); };
  const soon = (ms, callback) => ctx.timer(Clock.realtime, callback).after(ms);
`;

describe('A foreign loop', () => {
  for (const kind of kinds) {
    it(`drives every kind of callback (${kind})`, async () => {
      const lines = await scriptLines(
        kind,
        `${mainLoop}
        const { read, write } = fds.pipe();
        const notifier = new EventNotifier({ active: true });
        let left = 4;
        const ran = (name) => { console.log(name); if (--left === 0) { notifier.close(); quit(); } };
        ctx.setFdHandler(read, { read(fd) { fds.tryRead(fd, Buffer.alloc(9)); ran('handler'); } });
        ctx.setEventNotifier(notifier, { read() { ran('notifier'); } });
        soon(20, () => ran('timer'));
        ctx.bh(() => { fds.tryWrite(write, Buffer.from('x')); ran('bottom half'); }).schedule();
        loop.run();`,
      );

      assert.deepEqual(sorted(lines), ['bottom half', 'handler', 'notifier', 'timer']);
    });

    it(`N5: what callbacks throw is an uncaughtException each, and the others run (${kind})`, async () => {
      const lines = await scriptLines(
        kind,
        `${mainLoop}
        const { read, write } = fds.pipe();
        const notifier = new EventNotifier({ active: true });
        process.on('uncaughtException', (error) => console.log('uncaught', error === null ? 'null' : error.message));
        const fail = (name) => { throw name === 'oneshot' ? null : new Error(name); };
        ctx.bh(() => fail('bottom half')).schedule();
        ctx.bh(() => fail('idle')).scheduleIdle();
        ctx.scheduleOneshot(() => fail('oneshot'));
        ctx.setFdHandler(write, { write(fd) { ctx.setFdHandler(fd, null); fail('handler'); } });
        ctx.setEventNotifier(notifier, { read() { fail('notifier'); } });
        soon(5, () => fail('timer'));
        const tick = ctx.timer(Clock.realtime, () => { if (++ticks === 2) tick.del(); fail('tick'); }); let ticks = 0;
        tick.every(10);
        ctx.scheduleOneshot(() => console.log('other'));
        soon(100, () => { console.log('still works'); notifier.close(); quit(); });
        loop.run();`,
      );

      assert.deepEqual(sorted(lines.slice(0, -1)), [
        'other',
        ...['bottom half', 'handler', 'idle', 'notifier', 'null', 'tick', 'tick', 'timer'].map(
          (name) => `uncaught ${name}`,
        ),
      ]);
      assert.equal(lines.at(-1), 'still works');
    });

    it(`N2: promises and nextTick settle between callbacks (${kind})`, async () => {
      const lines = await scriptLines(
        kind,
        `${mainLoop}
        const order = [];
        for (const name of ['a', 'b'])
          ctx.scheduleOneshot(async () => {
            order.push(name);
            process.nextTick(() => order.push(name + ' tick'));
            await null;
            order.push(name + ' await');
            await ctx.sleep(1);
            order.push(name + ' slept');
          });
        soon(50, () => { console.log(order.join(', ')); quit(); });
        loop.run();`,
      );

      assert.deepEqual(lines, ['a, a tick, a await, b, b tick, b await, a slept, b slept']);
    });

    it(`Node's own timers, sockets and files run too (${kind})`, async () => {
      const lines = await scriptLines(
        kind,
        `${mainLoop}
        const net = require('node:net'); const fs = require('node:fs');
        const seen = [];
        const saw = (name) => { seen.push(name); if (seen.length === 3) { console.log(seen.toSorted().join(', ')); quit(); } };
        const start = () => {
          setTimeout(() => saw('timer'), 5);
          fs.readFile('/dev/null', () => saw('file'));
          const server = net.createServer((socket) => { socket.end(); server.close(); });
          server.listen(0, '127.0.0.1', () => net.connect(server.address().port, '127.0.0.1').on('close', () => saw('socket')).resume());
        };
        ctx.scheduleOneshot(start);
        loop.run();`,
      );

      assert.deepEqual(lines, ['file, socket, timer']);
    });
  }

  it('N5: not listened for, the exception ends the process', async () => {
    const { code, stderr } = await runScript(
      'cjs',
      `${mainLoop}
      ctx.scheduleOneshot(() => { throw new Error('nobody listens'); });
      soon(1000, quit);
      loop.run();`,
    );

    assert.notEqual(code, 0);
    assert.match(stderr, /nobody listens/);
  });

  it('N5: poll inside a callback of a foreign loop throws to its caller', async () => {
    const lines = await scriptLines(
      'cjs',
      `${mainLoop}
      process.on('uncaughtException', (error) => console.log('uncaught', error.message));
      ctx.scheduleOneshot(() => {
        ctx.scheduleOneshot(() => { throw new Error('inner'); });
        try { ctx.poll(false); } catch (error) { console.log('caught', error.message); }
        throw new Error('outer');
      });
      soon(10, quit);
      loop.run();`,
    );

    assert.deepEqual(lines, ['caught inner', 'uncaught outer']);
  });

  it('N5: a foreign loop inside a callback that poll drives: uncaughtException inside, thrown outside', async () => {
    const lines = await scriptLines(
      'cjs',
      `${mainLoop}
      process.on('uncaughtException', (error) => console.log('uncaught', error.message));
      const other = new AioContext();
      other.scheduleOneshot(() => {
        ctx.scheduleOneshot(() => { throw new Error('inner'); });
        soon(10, () => loop.quit());
        loop.run();
        throw new Error('outer');
      });
      try { other.poll(false); } catch (error) { console.log('caught', error.message); }
      other.close();
      ctx.close();`,
    );

    assert.deepEqual(lines, ['uncaught inner', 'caught outer']);
  });

  it('GLib.MainContext.iteration() of node-gtk: nested in a callback, and the other way round', async () => {
    const lines = await scriptLines(
      'cjs',
      `${mainLoop}
      const main = GLib.MainContext.default();
      const order = [];
      ctx.scheduleOneshot(() => {
        order.push('outer');
        ctx.scheduleOneshot(() => order.push('inner'));
        main.iteration(false);
        GLib.idleAdd(0, () => { order.push('idle'); ctx.scheduleOneshot(() => order.push('from idle')); ctx.poll(false); return false; });
        while (!order.includes('from idle')) main.iteration(true);
      });
      main.iteration(false);
      console.log(order.join(', '));
      ctx.close();`,
    );

    assert.deepEqual(lines, ['outer, inner, idle, from idle']);
  });

  it("node-gtk's own sources take turns with ours", async () => {
    const lines = await scriptLines(
      'cjs',
      `${mainLoop}
      let theirs = 0, ours = 0;
      GLib.timeoutAdd(0, 1, () => { theirs++; return theirs < 10; });
      const timer = ctx.timer(Clock.realtime, () => { ours++; }); timer.every(1);
      const check = ctx.timer(Clock.realtime, () => { if (theirs >= 10 && ours >= 10) { console.log('both'); quit(); } });
      check.every(2);
      loop.run();`,
    );

    assert.deepEqual(lines, ['both']);
  });
});
