// Errors: what scripts throw, and what calls may throw for them.
import { AioError } from 'aio-gsource';

/** What a script throws; also to end those on the stack once something is wrong. */
export class Thrown extends Error {}

/** In the place of the error of a handler without `error`: that of any of those which have died since one looked. */
export class Death {
  readonly names: Set<string>;
  constructor(names: Set<string>) {
    this.names = names;
  }
}

export function hasCode(error: unknown, code: string): error is AioError {
  return error instanceof AioError && error.code === code;
}

/** Whether a call has thrown what a callback in it has. One death is that of one handler. */
export function isSame(error: unknown, expected: unknown): boolean {
  if (!(expected instanceof Death)) return error === expected;
  if (!hasCode(error, 'EBADF')) return false;
  const name = [...expected.names].find((each) => error.message.includes(`handler ${each} watched`));
  return name !== undefined && expected.names.delete(name);
}

export function throwsClosed(body: () => void): boolean {
  try {
    body();
    return false;
  } catch (error) {
    return hasCode(error, 'ERR_AIO_CLOSED');
  }
}
