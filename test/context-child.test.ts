// Real children of this process, of Node's child_process and of others.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { AioContext, type ChildStatus } from 'aio-gsource';
import { closeFd } from 'aio-gsource/fds';

import {
  aioError,
  closedError,
  matrix,
  runScript,
  scriptLines,
  whereClosingTells,
  withLoop,
} from './helpers.js';

/** Where a core dump may go. */
let scratch: string;

function shell(command: string): ChildProcess & { pid: number } {
  const child = spawn('/bin/sh', ['-c', command], { stdio: 'ignore', cwd: scratch });
  assert.ok(child.pid);
  return child as ChildProcess & { pid: number };
}

/** The pidfds of this process. */
function pidfds(): string[] {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes('pidfd');
    } catch {
      return false;
    }
  });
}

const stateOf = (pid: number): string | undefined =>
  /\) (\w)/.exec(readFileSync(`/proc/${String(pid)}/stat`, 'latin1'))?.[1];

const unknown: ChildStatus = { code: null, signal: null };
const exits: Readonly<Record<string, ChildStatus>> = {
  'exit 0': { code: 0, signal: null },
  'exit 7': { code: 7, signal: null },
  'sleep 0.05; exit 255': { code: 255, signal: null },
  'kill -TERM $$': { code: null, signal: 'SIGTERM' },
  'kill -KILL $$': { code: null, signal: 'SIGKILL' },
  'ulimit -c unlimited; kill -ABRT $$': { code: null, signal: 'SIGABRT' },
  'kill -36 $$': { code: null, signal: 'SIGRTMIN+2' },
};

describe('AioContext: child', () => {
  before(() => {
    scratch = mkdtempSync(path.join(tmpdir(), 'aio-child-'));
  });
  after(() => {
    rmSync(scratch, { recursive: true });
  });

  for (const [command, expected] of Object.entries(exits))
    matrix(`${command}: its status, which Node gets too`, async (loop) => {
      const child = shell(command);
      const exit = once(child, 'exit');
      let status: ChildStatus | undefined;
      void loop.ctx.child(child.pid).then((ended) => (status = ended));

      loop.until(() => status !== undefined);

      assert.deepEqual(status, expected);
      assert.equal(stateOf(child.pid), 'Z');
      assert.deepEqual(pidfds(), []);
      const [code, signal] = (await exit) as unknown[];
      // Node knows no real-time signals.
      if (!expected.signal?.startsWith('SIGRT')) assert.deepEqual({ code, signal }, expected);
    });

  withLoop('a script can wait for it', async ({ ctx }) => {
    const child = shell('exit 3');

    assert.deepEqual(ctx.blockOn(ctx.child(child.pid)), { code: 3, signal: null });
    assert.deepEqual(ctx.blockOn(ctx.child(child.pid)), { code: 3, signal: null }, 'a zombie, too');

    await once(child, 'exit');
    await assert.rejects(ctx.child(child.pid), aioError('ESRCH', { syscall: 'pidfd_open' }));
  });

  withLoop('two that wait for one child get the same', async ({ ctx }) => {
    using other = new AioContext();
    const child = shell('sleep 0.02; exit 4');
    const first = ctx.child(child.pid);
    const second = other.child(child.pid);

    assert.deepEqual(ctx.blockOn(first), { code: 4, signal: null });
    assert.deepEqual(other.blockOn(second), { code: 4, signal: null });

    await once(child, 'exit');
  });

  withLoop("where Node's loop was first both are null", async ({ ctx }) => {
    const child = shell('exit 5');
    const ended = ctx.child(child.pid);
    await once(child, 'exit');

    assert.ok(ctx.poll(true));

    assert.deepEqual(await ended, unknown);
  });

  withLoop('of a process that is not a child both are null', ({ ctx }) => {
    const { stdout } = spawnSync('/bin/sh', ['-c', 'sleep 0.2 >/dev/null 2>&1 & echo $!'], {
      encoding: 'utf8',
    });

    assert.deepEqual(ctx.blockOn(ctx.child(Number(stdout), { reap: true }), { timeout: 5000 }), unknown);
  });

  withLoop('its descriptor is not inherited', ({ ctx }) => {
    ctx.child(process.ppid).catch(() => undefined);

    const [fd = ''] = pidfds();

    assert.match(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'), /^flags:\s+0?2\d{6}$/m);
  });

  withLoop('a signal ends the wait, not the process', async ({ ctx }) => {
    const child = shell('sleep 5');
    const controller = new AbortController();
    const reason = new Error('enough');
    const ended = ctx.child(child.pid, { signal: controller.signal });

    controller.abort(reason);
    controller.abort();

    await assert.rejects(ended, { name: 'AbortError', code: 'ABORT_ERR', cause: reason });
    assert.deepEqual(pidfds(), []);
    assert.equal(ctx.poll(false), false);
    assert.notEqual(stateOf(child.pid), 'Z');
    await assert.rejects(ctx.child(child.pid, { signal: controller.signal }), { code: 'ABORT_ERR' });
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  withLoop('it is aborted though another listener stops the event', async ({ ctx }) => {
    const controller = new AbortController();
    controller.signal.addEventListener('abort', (event) => {
      event.stopImmediatePropagation();
    });
    const ended = ctx.child(process.ppid, { signal: controller.signal });

    controller.abort('why');
    ctx.close();

    await assert.rejects(ended, { name: 'AbortError', cause: 'why' });
    assert.deepEqual(pidfds(), []);
  });

  withLoop('once it has ended the signal does nothing', async ({ ctx }) => {
    const child = shell('exit 0');
    const controller = new AbortController();
    const ended = ctx.child(child.pid, { signal: controller.signal });
    ctx.blockOn(ended);

    controller.abort();

    assert.deepEqual(await ended, { code: 0, signal: null });
    await once(child, 'exit');
  });

  withLoop('closing the context rejects it', async ({ ctx }) => {
    const ended = ctx.child(process.ppid);

    ctx.close();

    await assert.rejects(ended, closedError);
    assert.deepEqual(pidfds(), []);
    await assert.rejects(ctx.child(process.ppid), closedError);
    assert.deepEqual(pidfds(), []);
  });

  withLoop('the context is closed in the callback that it runs in', async ({ ctx }) => {
    const child = shell('exit 6');
    const seen: unknown[] = [];
    void ctx.child(child.pid).then((status) => {
      seen.push(status);
      ctx.close();
    });
    const other = assert.rejects(ctx.child(process.ppid), closedError);

    while (!ctx.closed) ctx.poll(true);

    assert.deepEqual(seen, [{ code: 6, signal: null }]);
    await other;
    await once(child, 'exit');
  });

  matrix(
    'a descriptor that somebody closes is an error',
    async (loop) => {
      const ended = loop.ctx.child(process.ppid);
      const [fd] = pidfds();
      let error: unknown;
      ended.catch((reason: unknown) => (error = reason));

      closeFd(Number(fd));
      loop.until(() => error !== undefined);

      await assert.rejects(ended, aioError('EBADF'));
      loop.ctx.close();
    },
    whereClosingTells,
  );

  withLoop(
    'its pidfd closed by somebody else: closing the context still ends everything that waits',
    async ({ ctx }) => {
      const ended = ctx.child(process.ppid);
      const slept = ctx.sleep(100_000);
      closeFd(ctx.inspect().handlers.find(({ kind }) => kind === 'pidfd')?.fd ?? -1);

      ctx.close();

      await assert.rejects(ended, closedError);
      await assert.rejects(slept, closedError);
    },
  );
});

describe('AioContext: child in a process of its own', function () {
  this.timeout(20_000);
  const start = `const ctx = new aio.AioContext(); const { spawn } = require('node:child_process');
    const { existsSync } = require('node:fs');
    const run = (command) => { const child = spawn('sh', ['-c', command], { stdio: 'ignore' }); child.unref();
      return child.pid; };`;

  it('reap collects a child, which without it stays a zombie', async () => {
    const lines = await scriptLines(
      'cjs',
      `${start} for (const reap of [false, true]) {
        const pid = run('exit 9');
        console.log(ctx.blockOn(ctx.child(pid, { reap })).code, existsSync('/proc/' + pid));
      }
      process.exit(0);`,
    );

    assert.deepEqual(lines, ['9 true', '9 false']);
  });

  it('a child that somebody else collects: both are null', async () => {
    const lines = await scriptLines(
      'cjs',
      `${start} const pid = run('exit 9');
      const first = ctx.child(pid, { reap: true }); const second = ctx.child(pid);
      console.log(JSON.stringify([ctx.blockOn(first), ctx.blockOn(second)]));
      process.exit(0);`,
    );

    assert.deepEqual(lines, ['[{"code":9,"signal":null},{"code":null,"signal":null}]']);
  });

  it('no descriptors left: rejected with EMFILE', async () => {
    const lines = await scriptLines(
      'cjs',
      `${start} const open = []; 
      try { for (;;) { const { read, write } = fds.pipe(); open.push(read, write); } } catch {}
      try { for (;;) open.push(require('node:fs').openSync('/dev/null')); } catch {}
      ctx.child(process.ppid).catch((error) => { open.forEach(fds.closeFd); console.log(error.code, error.syscall); });`,
      { ulimit: 40 },
    );

    assert.deepEqual(lines, ['EMFILE pidfd_open']);
  });

  it("does not keep the process alive, but is work for its context's driver", async () => {
    const { code, stderr } = await runScript('cjs', `${start} ctx.child(process.ppid);`, { warnings: true });

    assert.equal(code, 0);
    assert.match(stderr, /AIO_UNDRIVEN/);
  });

  for (const [what, settle] of [
    ['aborted', 'controller.abort();'],
    ['over', 'ctx.poll(true);'],
  ] as const)
    it(`what an async hook opens when the wait is ${what} stays open`, async () => {
      const lines = await scriptLines(
        'cjs',
        `${start} const fs = require('node:fs');
        const controller = new AbortController();
        ctx.child(run(''), { signal: controller.signal }).catch(() => {});
        let open;
        require('node:async_hooks').createHook({ promiseResolve() {
          if (open) return;
          ctx.close();
          open = Array.from({ length: 10 }, () => fs.openSync('/dev/null'));
        } }).enable();
        ${settle}
        for (const fd of open) fs.fstatSync(fd);
        console.log(open.length);`,
      );

      assert.deepEqual(lines, ['10']);
    });

  it('process.exit() when it has ended', async () => {
    const { code } = await runScript(
      'cjs',
      `${start} ctx.child(run('exit 8')).then(({ code }) => { process.exit(code); }); for (;;) ctx.poll(true);`,
    );

    assert.equal(code, 8);
  });
});
