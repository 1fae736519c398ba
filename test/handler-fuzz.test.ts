// Handlers and waits at random over some sockets, against a model that knows who has to be called.
import assert from 'node:assert/strict';

import { drain, fill, type Loop, matrix } from './helpers.js';

type Direction = 'read' | 'write';
const directions = ['read', 'write'] as const;

interface Wait {
  state: 'pending' | 'ready' | 'aborted' | 'failed';
  readonly direction: Direction;
  readonly controller: AbortController;
}

interface Handler {
  readonly external: boolean;
  readonly has: Readonly<Record<Direction, boolean>>;
  readonly calls: Record<Direction, number>;
}

/** One end of a socket pair. */
interface Socket {
  fd: number;
  peer: number;
  ready: Record<Direction, boolean>;
  handler: Handler | null;
  waits: Wait[];
}

/** mulberry32: the same numbers for the same seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** In each round 20 changes, and then a look at who was called. */
function run(loop: Loop, seed: number, rounds: number): void {
  const random = randomFrom(seed);
  const { ctx } = loop;
  const dead: Handler[] = [];
  let disabled = 0;

  const open = (): Socket => {
    const [fd, peer] = loop.socketPair();
    return { fd, peer, ready: { read: false, write: true }, handler: null, waits: [] };
  };
  const sockets = Array.from({ length: 40 }, open);
  const pending = (socket: Socket, direction: Direction): boolean =>
    socket.waits.some((wait) => wait.direction === direction && wait.state === 'pending');
  const retire = (socket: Socket): void => {
    if (socket.handler) dead.push(socket.handler);
    socket.handler = null;
  };

  const setHandler = (socket: Socket): void => {
    const kind = random(3);
    const handler: Handler = {
      external: random(4) === 0,
      has: { read: kind !== 1, write: kind !== 0 },
      calls: { read: 0, write: 0 },
    };
    const call = (direction: Direction) => (): void => {
      handler.calls[direction]++;
    };
    const set = (): void => {
      ctx.setFdHandler(socket.fd, {
        external: handler.external,
        ...(handler.has.read && { read: call('read') }),
        ...(handler.has.write && { write: call('write') }),
      });
    };
    if (directions.some((direction) => handler.has[direction] && pending(socket, direction))) {
      assert.throws(set, { code: 'ERR_AIO_FD_BUSY' });
      return;
    }
    set();
    retire(socket);
    socket.handler = handler;
  };

  const beginWait = (socket: Socket): void => {
    const direction = directions[random(2)] ?? 'read';
    const wait: Wait = { state: 'pending', direction, controller: new AbortController() };
    const { signal } = wait.controller;
    const isBusy = socket.handler?.has[direction] ?? false;
    ctx[direction === 'read' ? 'whenReadable' : 'whenWritable'](socket.fd, { signal }).then(
      () => (wait.state = 'ready'),
      (error: unknown) => {
        const { code } = error as { code?: unknown };
        if (isBusy) assert.equal(code, 'ERR_AIO_FD_BUSY');
        wait.state = code === 'ABORT_ERR' ? 'aborted' : 'failed';
      },
    );
    if (!isBusy) socket.waits.push(wait);
  };

  const operations: readonly ((socket: Socket) => void)[] = [
    setHandler,
    setHandler,
    beginWait,
    beginWait,
    (socket) => {
      ctx.setFdHandler(socket.fd, null);
      retire(socket);
    },
    (socket) => {
      const wait = socket.waits[random(socket.waits.length)];
      if (!wait) return;
      wait.controller.abort();
      if (wait.state === 'pending') wait.state = 'aborted';
    },
    (socket) => {
      if (!socket.ready.read) fill(socket.peer);
      else drain(socket.fd);
      socket.ready.read = !socket.ready.read;
    },
    (socket) => {
      if (socket.ready.write) fill(socket.fd);
      else drain(socket.peer);
      socket.ready.write = !socket.ready.write;
    },
    (socket) => {
      // Another socket, of the same number most likely.
      for (const wait of socket.waits) {
        wait.controller.abort();
        if (wait.state === 'pending') wait.state = 'aborted';
      }
      ctx.setFdHandler(socket.fd, null);
      retire(socket);
      loop.closeFd(socket.fd);
      loop.closeFd(socket.peer);
      Object.assign(socket, open());
    },
    () => {
      if (disabled > 0 && random(3) > 0) {
        disabled--;
        ctx.enableExternal();
      } else if (disabled < 2 && random(4) === 0) {
        disabled++;
        ctx.disableExternal();
      }
    },
  ];

  const check = (round: number): void => {
    const where = `seed ${String(seed)}, round ${String(round)}`;
    for (const { calls } of [...dead, ...sockets.flatMap(({ handler }) => handler ?? [])])
      calls.read = calls.write = 0;
    // What is left over from a wait may take one of them, and a nested one does not look at what the outer one does.
    loop.steps(4);
    ctx.scheduleOneshot(() => undefined); // promises progress after it
    loop.steps(2);

    for (const { fd, ready, handler, waits } of sockets) {
      const isHeldBack = handler?.external === true && disabled > 0;
      for (const direction of directions) {
        const isDue = ready[direction] && !isHeldBack;
        const what = `${where}: ${direction} of fd ${String(fd)}`;
        if (handler?.has[direction]) assert.equal(handler.calls[direction] > 0, isDue, what);
        for (const wait of waits)
          if (wait.direction === direction && (wait.state === 'pending' || wait.state === 'ready'))
            assert.equal(wait.state === 'ready', isDue || wait.state === 'ready', `a wait to ${what}`);
        assert.ok(!isDue || !waits.some((wait) => wait.direction === direction && wait.state === 'pending'));
        assert.ok(!waits.some(({ state }) => state === 'failed'), what);
      }
    }
    for (const { calls } of dead) assert.deepEqual(calls, { read: 0, write: 0 }, where);
    dead.length = 0;
    for (const socket of sockets)
      socket.waits = socket.waits.filter(({ state }) => state === 'pending' || state === 'failed');
  };

  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < 20; i++) {
      const socket = sockets[random(sockets.length)];
      if (socket) operations[random(operations.length)]?.(socket);
    }
    check(round);
  }

  for (const { fd, waits } of sockets) {
    for (const { controller } of waits) controller.abort();
    ctx.setFdHandler(fd, null);
  }
  ctx.scheduleOneshot(() => undefined);
  loop.steps(2);
  const before = ctx.stats().handlersDispatched;
  loop.steps(4);
  assert.equal(loop.step(), false);
  assert.equal(ctx.stats().handlersDispatched, before, 'nothing is watched at the end');
}

describe('FdHandler: at random', () => {
  for (const seed of [1, 2, Date.now() % 1_000_000])
    matrix(`handlers and waits do what a model says, seed ${String(seed)}`, (loop) => {
      run(loop, seed, 150);
    });
});
