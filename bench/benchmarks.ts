/** What ours is compared with. */
export interface Peer {
  /** Of a floor, which noise can only raise, the best round counts; of anything else the median. */
  readonly floor?: boolean;
  /** What ours may take, as a multiple of the peer. It is printed; nothing fails by it. */
  readonly bar?: number;
  /** A bar is met too by what takes only so much more than the peer, in the unit of the shape. */
  readonly allowance?: number;
}

/** What a figure counts. */
export type Unit = 'ns' | 'bytes' | 'waits';

/** One thing that is measured, of ours and of its peers. */
export interface Shape {
  /** Nanoseconds unless it says otherwise. */
  readonly unit?: Unit;
  /** What ours may take, in that unit. It is printed; nothing fails by it. */
  readonly limit?: number;
  /** By name, in the order of the table. */
  readonly peers?: Readonly<Record<string, Peer>>;
  /** It needs something of the kernel, and is left out where that is missing. */
  readonly optional?: boolean;
}

/** Programs that print samples: one line of JSON each. */
export interface Benchmark {
  readonly name: string;
  /** Seen from the package: modules of dist/bench, and executables that meson builds. */
  readonly programs: readonly string[];
  /** Whether they need a display. */
  readonly display?: boolean;
  /** By name, in the order of the table. */
  readonly shapes: Readonly<Record<string, Shape>>;
}

const ms = 1_000_000;

/** Numbers of file descriptors by which the monitors are compared; `bench-fds.c` has the same. */
const monitored = [1, 8, 16, 32, 64, 128, 1000];

function monitorShapes(monitor: string, peer: string, driver: string): Record<string, Shape> {
  const shape: Shape = { peers: { [`monitor ${peer}`]: {} }, optional: monitor === 'io_uring' };
  return Object.fromEntries(monitored.map((n) => [`C: ${monitor}, ${n} fds, ${driver}`, shape]));
}

/** All of them; README.md says what each measures. */
export const benchmarks: readonly Benchmark[] = [
  {
    name: 'bh',
    programs: ['dist/bench/bh.js'],
    shapes: {
      '10,000 a batch': { peers: { floor: { floor: true, bar: 1.6 }, setImmediate: { bar: 2.5 } } },
      'one at a time': { peers: { floor: { floor: true, bar: 2.5 } } },
    },
  },
  {
    name: 'bh-glib',
    programs: ['dist/bench/bh-glib.js'],
    shapes: {
      'one an iteration': { peers: { setImmediate: { bar: 1 } } },
      '10,000 a batch': { peers: { 'node-gtk idleAdd': { bar: 1 / 500 } } },
    },
  },
  {
    name: 'core-bh',
    programs: ['build/bench-core-bh'],
    shapes: {
      '100,000 a batch': { peers: { 'bare list': { bar: 3 } } },
      'one at a time': { peers: { 'bare list': { bar: 8.5 } } },
      'idle poll': { peers: { 'bare list': { bar: 5 } } },
    },
  },
  {
    name: 'core-glib',
    programs: ['build/bench-core-glib'],
    shapes: {
      'schedule + iteration': { peers: { 'empty ready GSource': { bar: 2 }, 'no source': { floor: true } } },
      'idle iteration': { peers: { 'empty idle GSource': {}, 'no source': { floor: true } } },
    },
  },
  {
    name: 'fds',
    programs: ['build/bench-fds', 'dist/bench/fds.js'],
    shapes: {
      'C: one of 10,000 fds': {
        peers: {
          'one of 1': { bar: 2.2 },
          'one at the threshold': { bar: 1.3 },
          '10,000 g_unix_fd sources': { bar: 1 / 200 },
        },
      },
      'C: one of 10,000 fds, far apart': { peers: { 'one of 1': {}, 'one at the threshold': {} } },
      'C: one of 1 fd': { peers: { 'one g_unix_fd source': { bar: 1.1 } } },
      'JavaScript: one of 10,000 fds': {
        peers: { 'one of 1': { bar: 2.2 }, 'one at the threshold': { bar: 1.3 } },
      },
      'JavaScript: one of 10,000 fds, far apart': { peers: { 'one of 1': {}, 'one at the threshold': {} } },
      ...monitorShapes('epoll', 'poll', 'iteration()'),
      ...monitorShapes('epoll', 'poll', 'poll()'),
      ...monitorShapes('io_uring', 'epoll', 'iteration()'),
      ...monitorShapes('io_uring', 'epoll', 'poll()'),
    },
  },
  {
    name: 'fd-register',
    programs: ['build/bench-fd-register', 'dist/bench/fd-register.js'],
    shapes: {
      'C: register, remove among 10,000': { peers: { 'among 100': { bar: 1.5 } } },
      'C: register, poll, remove, poll among 10,000': { peers: { 'among 100': { bar: 1.5 } } },
      'JavaScript: register, remove among 10,000': { peers: { 'among 100': { bar: 1.5 } } },
      'JavaScript: 10,000 handlers': { limit: 50 * ms },
    },
  },
  {
    name: 'timers',
    programs: ['build/bench-timers', 'dist/bench/timers.js'],
    shapes: {
      'C: re-arm among 100,000': { peers: { 'among 100': { bar: 4 } } },
      'JavaScript: arm, disarm, distinct delays': { peers: { setTimeout: { bar: 1 / 3 } } },
      'JavaScript: arm, disarm, equal delays': { peers: { setTimeout: { bar: 1.5 } } },
    },
  },
  {
    name: 'timer-lateness',
    programs: ['build/bench-timer-lateness', 'dist/bench/timer-lateness.js'],
    shapes: Object.fromEntries(
      ['C', 'JavaScript'].flatMap((language): [string, Shape][] => [
        [`${language}: lateness, p50`, { limit: 0.1 * ms, peers: { 'bare timerfd source': {} } }],
        [`${language}: lateness, p99`, { peers: { 'bare timerfd source': { bar: 1.5 } } }],
        [`${language}: CPU time`, { peers: { 'bare timerfd source': { bar: 2.5 } } }],
      ]),
    ),
  },
  {
    name: 'idle',
    programs: ['dist/bench/idle.js'],
    display: true,
    shapes: {
      'CPU time in 10 s': { peers: { 'window alone': { bar: 1.1, allowance: 5 * ms } } },
      'waits of no length': { unit: 'waits', limit: 0 },
    },
  },
  {
    name: 'memory',
    programs: ['dist/bench/memory.js'],
    shapes: Object.fromEntries(
      Object.entries({
        'bottom half': 400,
        'bottom half, scheduled': 400,
        handler: 600,
        timer: 400,
        'timer, armed': 400,
      }).flatMap(([kind, limit]): [string, Shape][] => [
        [kind, { unit: 'bytes', limit }],
        [`${kind}: V8's heap`, { unit: 'bytes' }],
      ]),
    ),
  },
];
