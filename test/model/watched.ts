// What is watched: a file descriptor, and its handler. Which monitor notices what of one that was closed.
import type { Frame } from './passes.js';

/** What can be ready of a file descriptor, as poll(2) has it. */
export const IN = 1;
export const OUT = 4;
export const ERR = 8;
export const HUP = 16;
/** The number is not open. */
export const NVAL = 32;

/** How a monitor knows a file descriptor: by its number; or by the file that it was, which a ring holds open. */
export type Watched = 'by number' | 'in a set' | 'in a ring';

/** A file descriptor. */
export class FdModel {
  readonly watched: Watched;
  isOpen = true;
  /** What it is ready for; or, after it was closed, what the file would be that a ring may hold open. */
  ready = 0;
  /** What a look may have seen at any time since the last look. */
  seen = 0;
  /** What its poll function says. */
  event = false;
  handler: HandlerModel | null = null;

  constructor(watched: Watched) {
    this.watched = watched;
  }

  /** What a look may see now. A set forgets what is closed, until it is entered anew, as external handlers may be. */
  get visible(): number {
    if (this.watched === 'in a set' && this.handler && this.handler.closures > 0 && !this.handler.external)
      return 0;
    return this.isOpen ? this.ready : NVAL;
  }

  /** It is looked at anew. That it was closed while it was watched may stay found. */
  look(): void {
    this.seen = this.visible | (this.seen & NVAL);
  }
}

/** What a handler is called for when its file descriptor was looked at: for `error` if it was closed. */
export type Direction = 'read' | 'write' | 'error';

export const directions = ['read', 'write', 'error'] as const;

export type Callback = Direction | 'poll';

/** One registration. */
export class HandlerModel {
  readonly name: string;
  readonly fd: FdModel;
  readonly has: Readonly<Record<Callback, boolean>>;
  readonly external: boolean;
  removed = false;
  /** How often its file descriptor was closed while it watched. */
  closures = 0;
  /** The pass that is about to call its `error`: its polling has ended. */
  dyingIn: Frame | null = null;
  /** How many looks there had been when it came. */
  since = 0;
  /** Its functions of polling on the stack, and the calls for reading and writing there. */
  busy = 0;
  depth = 0;
  /** Since which look at memory `poll` has said yes, and nobody was told; 0 if that is not so. */
  found = 0;
  /** `poll` has to be asked once more, after a `pollEnd`. */
  owed = false;
  /** Which pair of `pollBegin` and `pollEnd` it has, and that of the begin without an end, or 0. */
  functions = 1;
  begun = 0;
  /** A look at memory may spare one look at the file descriptors, not two in a row. */
  missed = false;

  constructor(name: string, fd: FdModel, has: Readonly<Record<Callback, boolean>>, external: boolean) {
    this.name = name;
    this.fd = fd;
    this.has = has;
    this.external = external;
  }

  /** HUP and ERR call `read`, or `write` where there is no `read`; ERR calls both. */
  wants(direction: Direction, events: number): boolean {
    const { read, write } = this.has;
    if (direction === 'error') return (read || write) && (events & NVAL) !== 0;
    if (direction === 'read') return read && (events & (IN | HUP | ERR)) !== 0;
    return write && (events & (read ? OUT | ERR : OUT | ERR | HUP)) !== 0;
  }

  /** Whether a look has to find it ready for that. */
  isReady(direction: Direction): boolean {
    const { isOpen, ready, watched } = this.fd;
    const isStale = this.closures > 0 && watched !== 'by number';
    if (isOpen) return !isStale && this.wants(direction, ready);
    if (direction !== 'error') return false;
    if (watched === 'by number') return this.wants('error', NVAL);
    // A ring looks at the number once the file is ready. There may be another one after a reopen.
    return (
      watched === 'in a ring' &&
      this.closures === 1 &&
      (this.wants('read', ready) || this.wants('write', ready))
    );
  }
}
