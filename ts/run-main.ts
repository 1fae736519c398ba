import { checkFunction } from './arguments.js';
import { native } from './load.js';

/**
 * Runs the main function of a program that drives its own loop, such as one that calls `poll()`, `blockOn()`,
 * `MainContext.iteration()` or `Gtk.main()`.
 *
 * The top level of an ES module, and whatever follows an `await`, is a microtask, in which V8 lets no promise
 * progress. `main` is called from Node's loop instead, soon, and from a place in it where it may stay for as long as
 * it likes without starving Node's timers and immediates of a loop that is nested in it (as node-gtk's is). What
 * `main` throws is an `uncaughtException`.
 */
export function runMain(main: () => void): void {
  checkFunction(main, 'main');
  native.runMain(main);
}
