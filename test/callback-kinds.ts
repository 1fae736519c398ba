// Every way to have a callback called.
import { Clock, EventNotifier } from 'aio-gsource';

import { drain, type Loop, write } from './helpers.js';

/** Arms a callback of each kind once, so that it runs in the next pass. */
export const callbackKinds: Record<string, (loop: Loop, callback: () => void) => void> = {
  'bottom half': ({ ctx }, callback) => {
    ctx.bh(callback).schedule();
  },
  'idle bottom half': ({ ctx }, callback) => {
    ctx.bh(callback).scheduleIdle();
  },
  oneshot: ({ ctx }, callback) => {
    ctx.scheduleOneshot(callback);
  },
  'read handler': (loop, callback) => {
    const { read, write: end } = loop.pipe();
    loop.ctx.setFdHandler(read, {
      read: (fd) => {
        drain(fd);
        callback();
      },
    });
    write(end, 'x');
  },
  'write handler': (loop, callback) => {
    const { write: end } = loop.pipe();
    loop.ctx.setFdHandler(end, {
      write: (fd) => {
        loop.ctx.setFdHandler(fd, null);
        callback();
      },
    });
  },
  'error handler': (loop, callback) => {
    const { read } = loop.pipe();
    loop.ctx.setFdHandler(read, { read: () => undefined, error: callback });
    loop.closeFd(read);
  },
  notifier: ({ ctx }, callback) => {
    const notifier = new EventNotifier({ active: true });
    ctx.setEventNotifier(notifier, {
      read: () => {
        notifier.close();
        callback();
      },
    });
  },
  'poll function': (loop, callback) => {
    const { read } = loop.pipe();
    loop.ctx.setFdHandler(read, {
      poll: (fd) => {
        loop.ctx.setFdHandler(fd, null);
        callback();
        return false;
      },
      pollReady: () => undefined,
    });
  },
  'poll-ready function': (loop, callback) => {
    const { read } = loop.pipe();
    loop.ctx.setFdHandler(read, {
      poll: () => true,
      pollReady: (fd) => {
        loop.ctx.setFdHandler(fd, null);
        callback();
      },
    });
  },
  timer: ({ ctx }, callback) => {
    ctx.timer(Clock.manual(), callback).modNs(0);
  },
  'repeating timer': ({ ctx }, callback) => {
    const clock = Clock.manual();
    const timer = ctx.timer(clock, () => {
      timer.del();
      callback();
    });
    timer.every(1);
    clock.advance(1);
  },
};
