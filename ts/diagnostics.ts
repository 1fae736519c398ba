import { native } from './load.js';

let watching = false;

/**
 * Warns, once in the life of the process, if Node's loop comes to its end while contexts have work: nothing drives
 * them then, and the process would end in silence.
 */
export function warnOfUndriven(): void {
  if (watching) return;
  watching = true;
  process.once('beforeExit', () => {
    const names = native.armedContexts();
    if (names.length === 0) return;
    process.emitWarning(`Nothing drives AioContext ${names.join(', ')}, which has work to do`, {
      code: 'AIO_UNDRIVEN',
      detail: 'Call poll(), or attach it to a GMainContext and iterate that',
    });
  });
}
