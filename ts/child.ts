import { checkSignal, isAborted, offAbort, onAbort } from './abort.js';
import { checkBoolean, checkInt32, checkObject } from './arguments.js';
import { AbortError } from './errors.js';
import type { HandlerTable } from './handler-table.js';
import { native } from './load.js';
import { signalName } from './signal.js';
import type { Sleepers } from './sleep.js';

/** How `AioContext.child()` waits. */
export interface ChildOptions {
  /** Whether it collects the process, so that no zombie stays: for a child that nobody else waits for. */
  reap?: boolean;
  /** Aborts the wait with an `AbortError`; the process goes on. */
  signal?: AbortSignal;
}

/** How a process has ended. Both are `null` if that cannot be known. */
export interface ChildStatus {
  /** What it has exited with, or `null` where a signal has ended it. */
  readonly code: number | null;
  /** The signal that has ended it, such as `SIGTERM`, a real-time one as `SIGRTMIN+1`; or `null` where it has exited. */
  readonly signal: string | null;
}

function statusOf(pidfd: number, reap: boolean): ChildStatus {
  const status = native.childStatus(pidfd, reap);
  if (status === undefined) return { code: null, signal: null };
  return status < 0 ? { code: null, signal: signalName(-status) } : { code: status, signal: null };
}

/** `AioContext.child()`. */
export function child(
  table: HandlerTable,
  waiting: Sleepers,
  pid: number,
  options: ChildOptions,
): Promise<ChildStatus> {
  return new Promise((resolve, reject) => {
    checkInt32(pid, 'pid', 1);
    checkObject(options, 'options');
    const { reap = false, signal } = options;
    checkBoolean(reap, 'options.reap');
    if (signal !== undefined) {
      checkSignal(signal, 'options.signal');
      if (isAborted(signal)) throw new AbortError(signal);
    }

    const pidfd = native.pidfdOpen(pid);
    const end = (): void => {
      forget();
      table.unwatch(pidfd);
      native.pidfdClose(pidfd);
    };
    const forget = (): void => {
      offAbort(signal, abort);
      waiting.delete(fail);
    };
    // First of all, and once: an async hook that settling calls may do anything, such as closing the context.
    const fail = (error: Error): void => {
      end();
      reject(error);
    };
    const abort = (): void => {
      if (signal) fail(new AbortError(signal));
    };

    try {
      table.setFd(pidfd, {
        read: () => {
          const status = statusOf(pidfd, reap);
          end();
          resolve(status);
        },
        // Somebody has closed it: the number may be another file's by now.
        error: (error) => {
          forget();
          native.pidfdForget(pidfd);
          reject(error);
        },
        name: `child ${String(pid)}`,
      });
    } catch (error) {
      native.pidfdClose(pidfd);
      throw error;
    }
    onAbort(signal, abort);
    waiting.add(fail);
  });
}
