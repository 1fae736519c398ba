import { createRequire } from 'node:module';

/** The addon of floor.cc. */
interface Floor {
  /** Makes what `noop` takes. */
  makeExternal(): object;
  /** Does nothing, with an object of the addon. */
  noop(external: object): void;
  /** Calls a function `n` times, each in a handle scope and a callback scope of its own. */
  callOut(callback: () => void, n: number): void;
}

/** The bare crossing between JavaScript and C++. */
export const floor: Floor = createRequire(import.meta.url)('../../build/bench_floor.node') as Floor;
