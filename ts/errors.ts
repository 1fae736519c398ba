import { getSystemErrorName } from 'node:util';

import { reasonOf } from './abort.js';

/** What an {@link AioError} that is no failed system call can have for its `code`. */
export type AioErrorCode =
  | 'ERR_AIO_CLOSED'
  | 'ERR_AIO_DETACHED'
  | 'ERR_AIO_ATTACHED'
  | 'ERR_AIO_WRONG_THREAD'
  | 'ERR_AIO_NOT_OWNER'
  | 'ERR_AIO_NOT_HELD'
  | 'ERR_AIO_UNDERFLOW'
  | 'ERR_AIO_SCHEDULED'
  | 'ERR_AIO_FINISHED'
  | 'ERR_AIO_IN_MICROTASK'
  | 'ERR_AIO_IN_PREPARE'
  | 'ERR_AIO_WOULD_HANG'
  | 'ERR_AIO_TIMEOUT'
  | 'ERR_AIO_CURRENT_SET'
  | 'ERR_AIO_FD_BUSY'
  | 'ERR_AIO_UNAVAILABLE'
  | 'ERR_AIO_BAD_HANDLE';

/** The codes of the C enum `AioError`, in its order; the first stands for a failed system call. */
const codes: readonly (AioErrorCode | undefined)[] = [
  undefined,
  'ERR_AIO_CLOSED',
  'ERR_AIO_DETACHED',
  'ERR_AIO_ATTACHED',
  'ERR_AIO_WRONG_THREAD',
  'ERR_AIO_NOT_OWNER',
  'ERR_AIO_NOT_HELD',
  'ERR_AIO_UNDERFLOW',
  'ERR_AIO_SCHEDULED',
  'ERR_AIO_FINISHED',
  'ERR_AIO_IN_MICROTASK',
  'ERR_AIO_IN_PREPARE',
  'ERR_AIO_WOULD_HANG',
  'ERR_AIO_TIMEOUT',
  'ERR_AIO_CURRENT_SET',
  'ERR_AIO_FD_BUSY',
  'ERR_AIO_UNAVAILABLE',
  'ERR_AIO_BAD_HANDLE',
];

/**
 * What this package throws for everything but wrong arguments (those are `TypeError` and `RangeError` with
 * Node's codes) and aborts (`AbortError`).
 */
export class AioError extends Error {
  /** An {@link AioErrorCode}, or for a failed system call the name of its errno, such as `EBADF`. */
  readonly code: string;
  /** The errno of a failed system call, or of why a monitor cannot be had; negative as everywhere in Node. Absent otherwise. */
  declare readonly errno?: number;
  /** The system call that failed. Absent otherwise. */
  declare readonly syscall?: string;

  static {
    Object.defineProperty(this.prototype, 'name', { value: 'AioError', configurable: true, writable: true });
  }

  constructor(code: string, message: string, details: { errno?: number; syscall?: string } = {}) {
    super(message);
    this.code = code;
    if (details.errno !== undefined) this.errno = details.errno;
    if (details.syscall !== undefined) this.syscall = details.syscall;
  }
}

/** For native/error.cc: `code` is one of the C enum; `errno` is 0, and `syscall` empty, where there is none. */
export function createError(code: number, message: string, errno: number, syscall: string): AioError {
  if (code === 0) return new AioError(getSystemErrorName(errno), message, { errno, syscall });
  return new AioError(codes[code] ?? 'ERR_AIO_UNAVAILABLE', message, errno === 0 ? {} : { errno });
}

/** For native/callback.cc: ends a call of which callbacks have thrown `errors`, at least one. */
export function throwCollected(errors: unknown[]): never {
  if (errors.length > 1) throw new AggregateError(errors, `${errors.length} callbacks threw`);
  throw errors[0];
}

/** Ends what `signal` aborts. */
export class AbortError extends Error {
  readonly code = 'ABORT_ERR';

  static {
    Object.defineProperty(this.prototype, 'name', {
      value: 'AbortError',
      configurable: true,
      writable: true,
    });
  }

  constructor(signal: AbortSignal) {
    super('The operation was aborted', { cause: reasonOf(signal) });
  }
}
