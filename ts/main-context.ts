/// <reference lib="esnext.disposable" preserve="true" />
import { createRequire } from 'node:module';

import { checkBoolean, invalidThis, invalidType, isObject } from './arguments.js';
import { leaveDriver } from './dispatcher.js';
import { native } from './load.js';
import type { MainContextHandle } from './native.js';

/** node-gtk's `GLib.MainContext`, as far as it matters here. That it is one is found out, not believed. */
export interface NodeGtkMainContext {
  iteration(mayBlock: boolean): boolean;
  pending(): boolean;
}

/** What node-gtk exports, as far as it matters here. */
interface NodeGtk {
  getGType(value: unknown): unknown;
  readonly System: { internalFieldCount(value: object): number; addressOf(value: object): number };
}

/** A boxed wrapper of node-gtk has the pointer and its owner in two internal fields. */
const boxedFieldCount = 2;

/** The node-gtk that the program has loaded, each copy of it. This package never loads it. */
function loadedNodeGtk(): NodeGtk[] {
  const { cache } = createRequire(import.meta.url);
  return Object.entries(cache)
    .filter(([path, module]) => path.endsWith('/node-gtk/lib/index.js') && module?.loaded)
    .map(([, module]) => module?.exports as NodeGtk);
}

function foreignHandle(value: object): MainContextHandle | undefined {
  for (const gi of loadedNodeGtk()) {
    try {
      // addressOf() reads memory unchecked, so what it is given must be a wrapper of node-gtk's making: with its
      // fields, and with a type of its own that nobody has assigned.
      if (Object.getOwnPropertyDescriptor(value, '__gtype__')?.writable !== false) continue;
      if (gi.System.internalFieldCount(value) !== boxedFieldCount) continue;
      const gtype = gi.getGType(value);
      if (typeof gtype !== 'bigint') continue;
      const handle = native.mainContextAt(gi.System.addressOf(value), gtype);
      if (handle !== undefined) return handle;
    } catch {
      // getGType() throws for what is not of this node-gtk.
    }
  }
  return undefined;
}

/** The handle of a main context, ours or node-gtk's. */
export let mainContextHandle: (value: unknown, name: string) => MainContextHandle;

/**
 * A `GMainContext`: what drives the contexts that are attached to it. A GTK application iterates the default one
 * itself; a script can do so here.
 *
 * A blocking iteration runs GLib's sources only: no timers, sockets or signals of Node, unless node-gtk's loop is
 * running. What callbacks throw meanwhile is thrown at the end of the iteration.
 */
export class MainContext implements Disposable {
  static #default: MainContext | undefined;
  /** What the constructor takes instead of a new one. */
  static #existing: MainContextHandle | undefined;

  readonly #handle: MainContextHandle;
  readonly #isDefault: boolean;

  static {
    mainContextHandle = (value, name) => {
      if (isObject(value)) {
        const handle = #handle in value ? value.#handle : foreignHandle(value);
        if (handle !== undefined) return handle;
      }
      throw invalidType(name, "a MainContext or node-gtk's GLib.MainContext", value);
    };
  }

  /** The global default one, which GTK uses: the same object each time. */
  static default(): MainContext {
    // Not `this`, which may be a subclass.
    if (MainContext.#default === undefined) {
      MainContext.#existing = native.mainContextDefault();
      MainContext.#default = new MainContext();
    }
    return MainContext.#default;
  }

  /** Makes a new one. */
  constructor() {
    const existing = MainContext.#existing;
    MainContext.#existing = undefined;
    this.#isDefault = existing !== undefined;
    this.#handle = existing ?? native.mainContextNew();
  }

  /**
   * Runs one iteration: what is ready with the highest priority.
   *
   * @param mayBlock - whether to wait until something is
   * @returns whether something was dispatched, if only a source that then had nothing to do
   * @throws `ERR_AIO_WRONG_THREAD` if another thread owns it; `ERR_AIO_IN_PREPARE` for a blocking iteration inside
   *   the prepare of one of its sources, which would never end; `ERR_AIO_CLOSED`
   */
  iteration(mayBlock: boolean): boolean {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('MainContext');
    checkBoolean(mayBlock, 'mayBlock');
    return leaveDriver(native.mainContextIteration(this.#handle, mayBlock));
  }

  /**
   * Whether an iteration would dispatch something now.
   *
   * @throws what functions of polling have thrown, see `FdHandler`; `ERR_AIO_WRONG_THREAD` if another thread owns
   *   it; `ERR_AIO_CLOSED`
   */
  pending(): boolean {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('MainContext');
    return leaveDriver(native.mainContextPending(this.#handle));
  }

  /**
   * Ends a blocking iteration, or keeps the next one from blocking.
   *
   * @throws `ERR_AIO_CLOSED`
   */
  wakeup(): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('MainContext');
    native.mainContextWakeup(this.#handle);
  }

  /**
   * Gives up one that was made by `new`; contexts that are attached to it stay so. The default one is not owned, and
   * closing it does nothing.
   */
  close(): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('MainContext');
    if (!this.#isDefault) native.mainContextClose(this.#handle);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
