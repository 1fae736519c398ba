import assert from 'node:assert/strict';
import { openSync } from 'node:fs';

import { AioContext, type AioSnapshot, Clock, EventNotifier, MainContext } from 'aio-gsource';
import { closeFd } from 'aio-gsource/fds';

import { closedError, matrix, sendSignal, whereClosingTells, withLoop } from './helpers.js';

const read = (): void => undefined;

function handlerOf(snapshot: AioSnapshot, fd: number): AioSnapshot['handlers'][number] {
  const found = snapshot.handlers.find((handler) => handler.fd === fd);
  assert.ok(found, `no handler of ${String(fd)}`);
  return found;
}

describe('AioContext: inspect', () => {
  it('of a new one: what it is, and nothing in it', () => {
    using ctx = new AioContext({ name: 'fresh', monitor: 'poll' });

    const { stats, ...snapshot } = ctx.inspect();

    assert.deepEqual(snapshot, {
      name: 'fresh',
      monitor: 'poll',
      attached: false,
      externalDisabled: false,
      pollStarted: false,
      pollMaxNs: 0n,
      handlers: [],
      timers: [],
      bottomHalves: [],
    });
    assert.deepEqual(stats, ctx.stats());
  });

  it('the monitor, and whether it is attached', () => {
    using main = new MainContext();
    using ctx = new AioContext({ monitor: 'epoll' }).attach(main);
    assert.equal(ctx.inspect().monitor, 'epoll');
    assert.equal(ctx.inspect().attached, true);

    ctx.detach();

    assert.equal(ctx.inspect().attached, false);
  });

  matrix('a handler: every field', (loop) => {
    const [socket] = loop.socketPair();
    loop.ctx.setFdHandler(socket, { read, name: 'reader' });

    const { target, ...handler } = handlerOf(loop.ctx.inspect(), socket);

    assert.deepEqual(handler, {
      fd: socket,
      name: 'reader',
      kind: 'socket',
      read: true,
      write: false,
      poll: false,
      pollStarted: false,
      pollNs: 0n,
      external: false,
      dead: false,
      parked: false,
      heldBack: false,
    });
    assert.match(target ?? '', /^socket:\[\d+\]$/);
    loop.ctx.setFdHandler(socket, { write: read, external: true, name: 'writer' });
    const changed = handlerOf(loop.ctx.inspect(), socket);
    assert.deepEqual(
      [changed.name, changed.read, changed.write, changed.external],
      ['writer', false, true, true],
    );
    loop.ctx.setFdHandler(socket, null);
    assert.deepEqual(loop.ctx.inspect().handlers, []);
  });

  withLoop('handlers: what each file descriptor is, in the order of their numbers', (loop) => {
    const { ctx } = loop;
    const { read: pipe } = loop.pipe();
    const { master, path } = loop.openPty();
    const file = openSync('/dev/null', 'r');
    using notifier = new EventNotifier();
    const { fd } = notifier;
    for (const each of [master, file, pipe]) ctx.setFdHandler(each, { read });
    ctx.setEventNotifier(notifier, { read });
    ctx.child(process.ppid).catch(() => undefined);

    const snapshot = ctx.inspect();

    const kinds = [pipe, master, file, fd].map((each) => {
      const { kind, target } = handlerOf(snapshot, each);
      return `${kind} ${String(target).replace(/:\[\d+\]/, '')}`;
    });
    assert.deepEqual(kinds, [
      'pipe pipe',
      'tty /dev/ptmx',
      'character-device /dev/null',
      'eventfd anon_inode:[eventfd]',
    ]);
    assert.match(path, /^\/dev\/pts\//);
    const child = snapshot.handlers.find(({ kind }) => kind === 'pidfd');
    assert.equal(child?.name, `child ${String(process.ppid)}`);
    const fds = snapshot.handlers.map((handler) => handler.fd);
    assert.deepEqual(
      fds,
      [...fds].sort((a, b) => a - b),
    );
    assert.equal(fds.length, 5);
    ctx.setFdHandler(file, null);
    closeFd(file);
  });

  matrix(
    'a handler whose file descriptor was closed',
    (loop) => {
      const { read: fd } = loop.pipe();
      loop.ctx.setFdHandler(fd, { read, error: read });
      loop.closeFd(fd);

      assert.equal(handlerOf(loop.ctx.inspect(), fd).kind, 'closed');
      loop.steps(4);

      assert.deepEqual(loop.ctx.inspect().handlers, [], 'it has died');
    },
    whereClosingTells,
  );

  withLoop('timers: every field, by clock and expiry', ({ ctx }) => {
    const [clock, other] = [Clock.manual(100), Clock.manual()];
    const timers = [
      ctx.timer(clock, read, { name: 'later', scale: 'ns' }),
      ctx.timer(clock, read, { name: 'sooner', scale: 'ns', external: true }),
      ctx.timer(other, read, { name: 'other', scale: 'ns' }),
    ];
    timers[0]?.mod(300);
    timers[1]?.mod(200);
    timers[2]?.mod(5);
    ctx.timer(clock, read, { name: 'not armed' });
    const { timers: before } = ctx.inspect();
    clock.advanceNs(150);
    const { timers: after } = ctx.inspect();

    const numbers = new Set(before.map(({ manualClock }) => manualClock));
    assert.equal(numbers.size, 2);
    const sooner = before.find(({ name }) => name === 'sooner');
    assert.ok(sooner);
    assert.deepEqual(sooner, {
      name: 'sooner',
      clock: 'manual',
      manualClock: sooner.manualClock,
      enabled: true,
      external: true,
      expireNs: 200n,
      remainingNs: 100n,
    });
    assert.equal(typeof sooner.manualClock, 'number');
    const onClock = (list: typeof before): string[] =>
      list
        .filter(({ manualClock }) => manualClock === sooner.manualClock)
        .map(({ name, remainingNs }) => `${String(name)} ${String(remainingNs)}`);
    assert.deepEqual(onClock(before), ['sooner 100', 'later 200']);
    assert.deepEqual(onClock(after), ['sooner -50', 'later 50'], 'one is late');
    for (const timer of timers) timer.close();
    assert.deepEqual(ctx.inspect().timers, []);
  });

  withLoop('timers: the names of the clocks, and whether they are enabled', ({ ctx }) => {
    const clocks = {
      realtime: Clock.realtime,
      virtual: Clock.virtual,
      host: Clock.host,
      virtualRt: Clock.virtualRt,
    };
    for (const [name, clock] of Object.entries(clocks)) ctx.timer(clock, read, { name }).after(60_000);
    ctx.sleep(60_000).catch(() => undefined);
    Clock.virtual.enabled = false;
    try {
      const { timers } = ctx.inspect();

      assert.deepEqual(
        timers.map(({ name, clock, enabled }) => `${String(name)} ${clock} ${String(enabled)}`).sort(),
        [
          'host host true',
          'realtime realtime true',
          'sleep realtime true',
          'virtual virtual false',
          'virtualRt virtualRt true',
        ],
      );
      for (const { manualClock, remainingNs, expireNs } of timers) {
        assert.equal(manualClock, null);
        assert.ok(remainingNs > 50_000_000_000n && remainingNs <= 60_000_000_000n && expireNs > remainingNs);
      }
    } finally {
      Clock.virtual.enabled = true;
    }
  });

  matrix('bottom halves by name, and oneshots in their order', (loop) => {
    const { ctx } = loop;
    const bhs = ['scheduled', 'idle', 'quiet', 'closed'].map((name) => ctx.bh(read, { name }));
    bhs[0]?.schedule();
    bhs[1]?.scheduleIdle();
    bhs[3]?.close();
    ctx.scheduleOneshot(read, { name: 'first' });
    ctx.scheduleOneshot(read, { name: 'second' });
    ctx.onSignal('SIGUSR2', read);
    sendSignal('SIGUSR2');

    const shown = ctx
      .inspect()
      .bottomHalves.map((bh) =>
        [bh.name, ...(['scheduled', 'idle', 'oneshot'] as const).filter((key) => bh[key])].join(' '),
      );

    assert.deepEqual(shown, [
      'SIGUSR2 scheduled',
      'quiet',
      'idle scheduled idle',
      'scheduled scheduled',
      'first scheduled oneshot',
      'second scheduled oneshot',
    ]);
    loop.steps(4);
    const { bottomHalves } = ctx.inspect();
    assert.deepEqual(
      bottomHalves.filter(({ scheduled, oneshot }) => scheduled || oneshot),
      [],
    );
    assert.deepEqual(Object.keys(bottomHalves[0] ?? {}), ['name', 'scheduled', 'idle', 'oneshot']);
    bhs[2]?.close();
  });

  matrix('in a callback: what it is then', (loop) => {
    const { ctx } = loop;
    const snapshots: AioSnapshot[] = [];
    const { write } = loop.pipe();
    ctx.setFdHandler(write, {
      write: () => {
        ctx.setFdHandler(write, null);
        snapshots.push(ctx.inspect());
      },
    });
    ctx.timer(Clock.realtime, () => snapshots.push(ctx.inspect())).after(0);

    loop.until(() => snapshots.length === 2);

    for (const { timers, stats } of snapshots) {
      assert.equal(stats.dispatching, true);
      assert.ok(timers.length <= 1);
    }
    assert.deepEqual(snapshots[1]?.handlers, []);
  });

  withLoop('a snapshot stays as it was', ({ ctx }) => {
    ctx.scheduleOneshot(read, { name: 'once' });
    const snapshot = ctx.inspect();

    ctx.poll(false);

    assert.equal(snapshot.bottomHalves.length, 1);
    assert.equal(snapshot.stats.bhsRun, 0);
  });

  withLoop('thousands of timers and bottom halves', ({ ctx }) => {
    const clock = Clock.manual();
    for (let i = 0; i < 5000; i++) {
      ctx.timer(clock, read).after(i);
      ctx.scheduleOneshot(read);
    }

    const { timers, bottomHalves } = ctx.inspect();

    assert.deepEqual([timers.length, bottomHalves.length], [5000, 5000]);
    assert.ok(timers.every((timer, i) => timer.expireNs === BigInt(i) * 1_000_000n));
    ctx.close();
    assert.throws(() => ctx.inspect(), closedError);
  });
});
