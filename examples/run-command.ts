// Waiting without leaving the script: a command in a pseudo-terminal, line by line, with a time limit and Ctrl-C, and
// how it ended. Run it: npm run build && node dist/examples/run-command.js [COMMAND ...]
import { spawn } from 'node:child_process';

import { AioContext, runMain } from 'aio-gsource';
import { closeFd, openPty, tryRead } from 'aio-gsource/fds';

const [command = 'sh', ...args] = process.argv.slice(2);
if (args.length === 0) args.push('-c', 'for i in 1 2 3; do echo line $i; sleep 0.05; done; exit 7');

/** The text that comes out of a terminal until nobody has its other end open any more. */
async function* textOf(ctx: AioContext, terminal: number, signal: AbortSignal): AsyncIterable<string> {
  const buffer = Buffer.alloc(4096);
  for (;;) {
    await ctx.whenReadable(terminal, { signal });
    try {
      yield buffer.toString('utf8', 0, tryRead(terminal, buffer) ?? 0);
    } catch (error) {
      if ((error as { code?: string }).code === 'EIO') return; // how a terminal hangs up
      throw error;
    }
  }
}

runMain(() => {
  using ctx = new AioContext({ name: 'command' });
  const { master, slave } = openPty({ columns: 80, rows: 24 });
  const child = spawn(command, args, { stdio: [slave, slave, slave] });
  closeFd(slave); // the child has its own
  const { pid } = child;
  if (pid === undefined) throw new Error(`${command} cannot be run`);

  const interrupt = new AbortController();
  ctx.onSignal('SIGINT', () => {
    interrupt.abort('interrupted');
  });

  async function follow(): Promise<void> {
    let lines = 0;
    for await (const text of textOf(ctx, master, interrupt.signal)) {
      process.stdout.write(text);
      lines += text.split('\n').length - 1;
    }
    console.log(`${String(lines)} lines`);
  }

  // From here to the end this script does not return to Node's loop, and yet all of it goes on.
  try {
    ctx.blockOn(follow(), { timeout: 10_000 });
  } catch (error) {
    child.kill();
    console.log(`given up: ${String(error)}`);
  }
  const { code, signal } = ctx.blockOn(ctx.child(pid), { timeout: 5000 });
  console.log(`ended ${signal === null ? `with status ${String(code)}` : `by ${signal}`}`);
  closeFd(master);
});
