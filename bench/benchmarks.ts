/** What ours is compared with. */
export interface Peer {
  /** Of a floor, which noise can only raise, the best round counts; of anything else the median. */
  readonly floor?: boolean;
  /** What ours may take, as a multiple of the peer. It is printed; nothing fails by it. */
  readonly bar?: number;
}

/** A program that prints samples: one line of JSON each. */
export interface Benchmark {
  readonly name: string;
  /** Seen from the package: a module of dist/bench, or an executable that meson builds. */
  readonly program: string;
  /** By shape and name, in the order of the table. */
  readonly peers: Readonly<Record<string, Readonly<Record<string, Peer>>>>;
}

/** All of them; README.md says what each measures. */
export const benchmarks: readonly Benchmark[] = [
  {
    name: 'bh',
    program: 'dist/bench/bh.js',
    peers: {
      '10,000 a batch': { floor: { floor: true, bar: 1.6 }, setImmediate: { bar: 2.5 } },
      'one at a time': { floor: { floor: true, bar: 2.5 } },
    },
  },
  {
    name: 'bh-glib',
    program: 'dist/bench/bh-glib.js',
    peers: {
      'one an iteration': { setImmediate: { bar: 1 } },
      '10,000 a batch': { 'node-gtk idleAdd': { bar: 1 / 500 } },
    },
  },
  {
    name: 'core-bh',
    program: 'build/bench-core-bh',
    peers: {
      '100,000 a batch': { 'bare list': { bar: 3 } },
      'one at a time': { 'bare list': { bar: 8.5 } },
      'idle poll': { 'bare list': { bar: 5 } },
    },
  },
  {
    name: 'core-glib',
    program: 'build/bench-core-glib',
    peers: {
      'schedule + iteration': { 'empty ready GSource': { bar: 2 }, 'no source': { floor: true } },
      'idle iteration': { 'empty idle GSource': {}, 'no source': { floor: true } },
    },
  },
];
