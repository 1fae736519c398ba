// Real signals, sent to scripts: what a process does with them before, beside and after a context.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { packageRoot, runScript, scriptLines } from './helpers.js';

describe('AioContext: onSignal in a process of its own', function () {
  this.timeout(20_000);
  const start = `const ctx = new aio.AioContext();
    const send = (signal = 'SIGUSR2') => { process.kill(process.pid, signal); };`;

  it('the default comes back with the last watch, or the close of its context', async () => {
    for (const end of ['a[Symbol.dispose](); b[Symbol.dispose]();', 'ctx.close(); other.close();']) {
      const { signal, stdout } = await runScript(
        'cjs',
        `${start} const other = new aio.AioContext();
        const a = ctx.onSignal('SIGUSR2', () => console.log('a')); const b = other.onSignal('SIGUSR2', () => {});
        send(); ctx.poll(true); ${end} send(); console.log('alive');`,
      );
      assert.deepEqual([stdout, signal], ['a\n', 'SIGUSR2']);
    }
  });

  it('what was ignored is ignored again, and SIGUSR1 starts the debugger again, but not while it is watched', async () => {
    const { code, stdout, stderr } = await runScript(
      'cjs',
      `${start} for (const signal of ['SIGPIPE', 'SIGUSR1']) {
        const watch = ctx.onSignal(signal, () => console.log(signal)); send(signal); ctx.poll(true);
        watch[Symbol.dispose]();
      }
      send('SIGPIPE');
      setTimeout(() => { console.error('now'); send('SIGUSR1'); setTimeout(process.exit, 500, 0); }, 300);`,
    );

    assert.equal(code, 0);
    assert.equal(stdout, 'SIGPIPE\nSIGUSR1\n');
    const [watched, later] = stderr.split('now\n');
    assert.equal(watched, '');
    assert.match(later ?? '', /inspector|debugger/i);
  });

  it("does not keep the process alive, but is work for its context's driver", async () => {
    const { code, stderr } = await runScript('cjs', `${start} ctx.onSignal('SIGUSR2', () => {});`, {
      warnings: true,
    });

    assert.equal(code, 0);
    assert.match(stderr, /AIO_UNDRIVEN/);
  });

  it('SIGINT beside process.on() in a script that waits', async () => {
    const lines = await scriptLines(
      'cjs',
      `${start} const alive = setTimeout(() => {}, 5000); // neither listener keeps the process, which could end before
      process.on('SIGINT', () => { console.log('process'); clearTimeout(alive); });
      const { spawn } = require('node:child_process');
      let waiting = true; ctx.onSignal('SIGINT', () => { console.log('context'); waiting = false; });
      spawn('sh', ['-c', 'sleep 0.1; kill -INT $PPID']).on('exit', () => { console.log('done'); });
      ctx.waitWhile(() => waiting);`,
    );

    assert.deepEqual(lines.sort(), ['context', 'done', 'process']);
  });

  // Node has a handler of its own for these, which raises the signal again.
  for (const signal of ['SIGINT', 'SIGTERM'])
    it(`${signal} where nothing else takes it: once, and afterwards it ends the process`, async () => {
      const { signal: ended, stdout } = await runScript(
        'cjs',
        `${start} let calls = 0; const watch = ctx.onSignal('${signal}', () => calls++);
        send('${signal}'); ctx.poll(true);
        for (let i = 0; i < 100; i++) ctx.poll(false);
        console.log(calls, ctx.stats().bhsRun);
        watch[Symbol.dispose](); send('${signal}'); for (;;);`,
      );
      assert.deepEqual([stdout, ended], ['1 1\n', signal]);
    });

  it('a handler of GLib that comes before or later gets it too, and may go', async () => {
    const lines = await scriptLines(
      'cjs',
      `${start} const GLib = require('node-gtk').require('GLib', '2.0');
      const main = aio.MainContext.default();
      let watch = ctx.onSignal('SIGHUP', () => { console.log('context'); });
      const id = GLib.unixSignalAdd(0, 1, () => { console.log('glib'); return true; });
      const turn = () => { send('SIGHUP'); for (let i = 0; i < 20; i++) { ctx.poll(false); main.iteration(false);
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2); } console.log('-'); };
      ctx.poll(false);
      turn();
      watch[Symbol.dispose]();
      turn();
      watch = ctx.onSignal('SIGHUP', () => { console.log('again'); });
      turn();
      GLib.sourceRemove(id); main.iteration(false); ctx.poll(false);
      turn();
      process.exit(0);`,
    );

    assert.deepEqual(lines.join(' '), 'context glib - glib - again glib - again -');
  });

  it('a storm of signals from other processes while watches and contexts come and go', async () => {
    const lines = await scriptLines(
      'cjs',
      `${start} const { spawn } = require('node:child_process'); let runs = 0;
      ctx.onSignal('SIGUSR2', () => { runs++; });
      const storms = [1, 2].map(() => spawn('sh', ['-c', 'while kill -USR2 $PPID; do :; done']));
      const until = Date.now() + 1000;
      let rounds = 0;
      for (; Date.now() < until; rounds++) {
        const other = new aio.AioContext();
        const watches = [1, 2, 3].map(() => ctx.onSignal('SIGUSR2', () => { runs++; }));
        other.onSignal('SIGUSR2', () => { runs++; });
        ctx.poll(false); other.poll(false);
        if (rounds % 2) watches.forEach((watch) => { watch[Symbol.dispose](); });
        other.close();
        watches.forEach((watch) => { watch[Symbol.dispose](); });
        if (fds.tryRead(pipe.read, Buffer.alloc(1)) !== null) console.log('errno');
      }
      storms.forEach((storm) => { storm.kill('SIGKILL'); });
      console.log(runs > 10, rounds > 10);
      setTimeout(process.exit, 100, 0);`.replace('let runs', 'const pipe = fds.pipe(); let runs'),
    );

    assert.deepEqual(lines, ['true true']);
  });

  it('in a Worker, beside the main thread, and as long as the Worker lives', async () => {
    const { signal, stdout } = await runScript(
      'cjs',
      `${start} const { Worker } = require('node:worker_threads');
      const source = \`const aio = require('aio-gsource'); const { parentPort } = require('node:worker_threads');
        const ctx = new aio.AioContext(); let runs = 0;
        ctx.onSignal('SIGUSR2', () => { runs++; parentPort.postMessage(runs); });
        parentPort.postMessage('watches');
        ctx.waitWhile(() => true);\`;
      const keep = ctx.onSignal('SIGUSR2', () => {});
      const run = () => new Promise((resolve) => {
        const worker = new Worker(source, { eval: true });
        const storm = setInterval(() => { for (let i = 0; i < 100; i++) send(); }, 1);
        worker.on('message', (runs) => { if (runs === 5) worker.terminate(); });
        worker.on('exit', () => { clearInterval(storm); send(); resolve(); });
      });
      (async () => {
        for (let i = 0; i < 5; i++) await run();
        console.log(ctx.poll(true));
        keep[Symbol.dispose]();
        send();
      })();`,
    );

    assert.deepEqual([stdout, signal], ['true\n', 'SIGUSR2'], 'and none is left');
  });

  it('a Worker that is the only one to watch, and the only one that has the addon', async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        '-e',
        `const { Worker } = require('node:worker_threads');
        const run = (end) => new Promise((resolve) => {
          new Worker(\`
            const aio = require('aio-gsource'); const ctx = new aio.AioContext();
            ctx.onSignal('SIGUSR2', () => { console.log('worker'); });
            process.kill(process.pid, 'SIGUSR2'); ctx.poll(true); \${end}\`, { eval: true }).on('exit', resolve);
        });
        run('process.exit(0)').then(() => run('ctx.close()')).then(() => run('')).then(() => {
          const maps = require('node:fs').readFileSync('/proc/self/maps', 'latin1');
          console.log(maps.includes('aio_gsource.node'));
          process.on('SIGUSR2', () => { console.log('main'); process.exit(0); });
          process.kill(process.pid, 'SIGUSR2');
          setTimeout(() => {}, 5000);
        });`,
      ],
      { cwd: packageRoot },
    );

    assert.equal(stdout, 'worker\nworker\nworker\ntrue\nmain\n');
  });

  for (const end of ['process.exit(7)', 'process.reallyExit(7)'])
    it(`${end} in the callback, in a storm`, async () => {
      const { code, signal, stderr } = await runScript(
        'cjs',
        `${start} let runs = 0; ctx.onSignal('SIGUSR2', () => { if (++runs > 20) ${end}; });
        require('node:child_process').spawn('sh', ['-c', 'while kill -USR2 $PPID; do :; done']);
        for (;;) ctx.poll(true);`,
      );

      assert.deepEqual(
        { code, signal, stderr: stderr.replace(/^sh: .*\n/gm, '') },
        { code: 7, signal: null, stderr: '' },
      );
    });

  it('no descriptors left: an error with the errno, and nothing has changed', async () => {
    const lines = await scriptLines(
      'cjs',
      `${start} const open = []; try { for (;;) open.push(fds.pipe()); } catch {}
      let watch; try { watch = ctx.onSignal('SIGUSR2', () => {}); console.log('watch'); }
      catch (error) { console.log(error.code, error.syscall); }
      for (const { read, write } of open) { fds.closeFd(read); fds.closeFd(write); }
      ctx.onSignal('SIGUSR2', () => { console.log('works'); }); send(); ctx.poll(true);`,
      { ulimit: 40 },
    );

    assert.match(lines.join(), /^(watch|EMFILE \w+),works$/);
  });
});
