import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { StringDecoder } from 'node:string_decoder';
import { AioContext } from 'aio-gsource';
import { closeFd, pipe, tryRead } from 'aio-gsource/fds';

export type Stream = 'stdout' | 'stderr';

/** The command could not be run at all. */
export class CommandError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/**
 * The most that one callback reads. A command that never stops to write has its pipe ready at all times: what it
 * gets is one bounded read in each iteration of the main loop, after GTK's own sources, and its writes wait for
 * the rest. So `yes` cannot keep the window from being drawn.
 */
const readSize = 16 * 1024;
/** No pipe holds more (/proc/sys/fs/pipe-max-size): what is left in it when the command has ended. */
const drainSize = 1024 * 1024;
/** A line without an end is cut here, so that memory stays bounded as well. */
const longestLine = 4096;
const patience = 500;

/** A running command; its output comes line by line through an AioContext. */
export class Command {
  onLines: (stream: Stream, lines: string[]) => void = () => undefined;
  onExit: () => void = () => undefined;
  bytes = 0;
  readonly #ctx: AioContext;
  readonly #child: ChildProcess;
  readonly #outputs: Output[] = [];
  readonly #buffer = Buffer.allocUnsafe(readSize);

  /** Where the program ends without close(), because of an exception. */
  readonly #abandon = (): void => {
    this.kill('SIGTERM');
  };

  /** Rejects with a CommandError where the command cannot be run. */
  static async start(ctx: AioContext, [file, ...args]: readonly [string, ...string[]]): Promise<Command> {
    const pipes = { stdout: pipe(), stderr: pipe() };
    let child: ChildProcess;
    try {
      // Its own process group: what it starts can be stopped with it.
      child = spawn(file, args, {
        stdio: ['ignore', pipes.stdout.write, pipes.stderr.write],
        detached: true,
      });
      await once(child, 'spawn');
    } catch (error) {
      closeFd(pipes.stdout.read);
      closeFd(pipes.stderr.read);
      throw commandError(file, error);
    } finally {
      // Only the command's copies may stay open, or the end of its output would never be seen.
      closeFd(pipes.stdout.write);
      closeFd(pipes.stderr.write);
    }
    return new Command(ctx, child, { stdout: pipes.stdout.read, stderr: pipes.stderr.read });
  }

  private constructor(ctx: AioContext, child: ChildProcess, fds: Record<Stream, number>) {
    this.#ctx = ctx;
    this.#child = child;
    for (const stream of ['stdout', 'stderr'] as const) {
      const output = new Output(stream, fds[stream]);
      this.#outputs.push(output);
      ctx.setFdHandler(output.fd, {
        name: stream,
        read: () => {
          this.#read(output);
        },
      });
    }
    process.on('exit', this.#abandon);
    // node-gtk runs Node's own loop inside GLib's, so this comes while the window is open.
    child.on('exit', () => {
      // What it wrote last is still in the pipes. (They may stay open in a process that it left behind.)
      for (const output of this.#outputs) {
        for (let left = drainSize; left > 0 && this.#read(output); left -= readSize);
      }
      this.onExit();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** As a shell would report it. */
  get exitCode(): number {
    const { exitCode, signalCode } = this.#child;
    return signalCode === null ? (exitCode ?? 0) : 128 + constants.signals[signalCode];
  }

  get state(): string {
    const { exitCode, signalCode } = this.#child;
    if (signalCode !== null) return `ended by ${signalCode}`;
    return exitCode === null ? `running, process ${String(this.pid)}` : `ended with code ${String(exitCode)}`;
  }

  /** Sends a signal to all of its processes. */
  kill(signal: NodeJS.Signals): void {
    // Nothing is left to be killed, and its number may be another's by now.
    if (this.ended && this.#outputs.every(({ fd }) => fd < 0)) return;
    try {
      process.kill(-this.pid, signal);
    } catch {
      // All of them have ended.
    }
  }

  /** Ends the command, and resolves when it has ended. */
  async close(): Promise<void> {
    this.onExit = () => undefined;
    this.kill('SIGTERM');
    for (const output of this.#outputs) this.#end(output);
    process.off('exit', this.#abandon);
    if (this.ended) return;
    const timer = setTimeout(() => {
      this.kill('SIGKILL');
    }, patience);
    await once(this.#child, 'exit');
    clearTimeout(timer);
  }

  /** One bounded read; says whether there may be more. */
  #read(output: Output): boolean {
    if (output.fd < 0) return false;
    const length = tryRead(output.fd, this.#buffer);
    if (length === null) return false;
    this.bytes += length;
    const lines = length === 0 ? output.rest() : output.lines(this.#buffer.subarray(0, length));
    if (length === 0) this.#end(output);
    if (lines.length > 0) this.onLines(output.stream, lines);
    return length > 0;
  }

  #end(output: Output): void {
    if (output.fd < 0) return;
    this.#ctx.setFdHandler(output.fd, null);
    closeFd(output.fd);
    output.fd = -1;
  }
}

/** Cuts a stream of bytes into lines. */
class Output {
  readonly stream: Stream;
  fd: number;
  readonly #decoder = new StringDecoder('utf8');
  #partial = '';

  constructor(stream: Stream, fd: number) {
    this.stream = stream;
    this.fd = fd;
  }

  lines(bytes: Buffer): string[] {
    const lines = (this.#partial + this.#decoder.write(bytes)).split('\n');
    this.#partial = lines.pop() ?? '';
    if (this.#partial.length > longestLine) lines.push(...this.rest());
    return lines;
  }

  /** The last line, which had no end. */
  rest(): string[] {
    const line = this.#partial;
    this.#partial = '';
    return line === '' ? [] : [line];
  }
}

function commandError(file: string, error: unknown): CommandError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return new CommandError(`cannot run "${file}": there is no such command`, 127);
  if (code === 'EACCES') return new CommandError(`cannot run "${file}": not an executable file`, 126);
  return new CommandError(
    `cannot run "${file}": ${error instanceof Error ? error.message : String(error)}`,
    126,
  );
}
