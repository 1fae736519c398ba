// The file descriptors of a program.
import { closeSync, constants, openSync } from 'node:fs';

import { AioError, EventNotifier } from 'aio-gsource';
import { closeFd, pipe, socketPair, tryRead, tryWrite } from 'aio-gsource/fds';

import { ERR, FdModel, HUP, IN, OUT, type Watched } from './watched.js';
import type { FdKind } from './program.js';

const block = Buffer.alloc(65536);

function drain(fd: number): void {
  for (let count = tryRead(fd, block); count; count = tryRead(fd, block));
}

/** Numbers that were closed, which nobody else is to get. */
const kept = new Set<number>();

/** Opens something while the kept numbers are taken, all but `number`, which is free once `free` is called. */
function openWith(number: number, open: (free: () => void) => void): void {
  const plugs = new Set<number>();
  while ([...kept].some((each) => !plugs.has(each))) {
    const plug = openSync('/dev/null', 'r');
    plugs.add(plug);
    if (plug > Math.max(...kept)) throw new Error('somebody has got the number of a closed file descriptor');
  }
  try {
    open(() => {
      if (plugs.delete(number)) closeSync(number);
    });
  } finally {
    for (const plug of plugs) closeSync(plug);
  }
}

/** A file descriptor, its other end, and what it is ready for. Its number stays the same, but for a notifier's. */
export class Slot {
  readonly kind: FdKind;
  readonly model: FdModel;
  fd = -1;
  peer = -1;
  notifier: EventNotifier | null = null;
  /** The notifier is being closed, and its handlers' `pollEnd` called. */
  isClosing = false;
  #hasData = false;
  #isFull = false;
  #isHung = false;

  constructor(kind: FdKind, watched: Watched) {
    this.kind = kind;
    // A set cannot have it, and a ring is done with it at once: both ask for the number.
    this.model = new FdModel(kind === 'file' ? 'by number' : watched);
    this.open();
    this.model.ready = this.model.seen = this.events;
  }

  open(): void {
    const number = this.fd;
    this.#hasData = this.#isFull = this.#isHung = this.isClosing = false;
    openWith(number, (free) => {
      if (this.kind === 'pipe-write') {
        const ends = pipe();
        free();
        // What pipe() opens first is the other end.
        this.fd = openSync(`/proc/self/fd/${String(ends.write)}`, constants.O_WRONLY | constants.O_NONBLOCK);
        this.peer = ends.read;
        closeFd(ends.write);
        return;
      }
      free();
      if (this.kind === 'socket') [this.fd, this.peer] = socketPair();
      else if (this.kind === 'pipe-read') ({ read: this.fd, write: this.peer } = pipe());
      else if (this.kind === 'file') this.fd = openSync(import.meta.filename, 'r');
      else this.fd = (this.notifier = new EventNotifier()).fd;
    });
    if (kept.delete(number) && this.fd !== number) throw new Error('it has got another number');
  }

  /** The other end stays open. */
  closeNumber(): void {
    if (this.kind === 'file') closeSync(this.fd);
    else closeFd(this.fd);
    kept.add(this.fd);
  }

  /** All of it; `isLast`: its number is nobody's then. */
  close(isLast = false): void {
    this.isClosing = this.notifier !== null;
    if (this.notifier) this.notifier.close();
    else if (this.model.isOpen) this.closeNumber();
    if (this.peer >= 0 && !this.#isHung) closeFd(this.peer);
    if (isLast) kept.delete(this.fd);
  }

  get events(): number {
    switch (this.kind) {
      case 'socket':
        return (this.#hasData || this.#isHung ? IN : 0) | (this.#isFull ? 0 : OUT) | (this.#isHung ? HUP : 0);
      case 'pipe-read':
        return (this.#hasData ? IN : 0) | (this.#isHung ? HUP : 0);
      case 'pipe-write':
        return (this.#isFull ? 0 : OUT) | (this.#isHung ? ERR : 0);
      case 'notifier':
        return this.#hasData ? IN : 0;
      case 'file':
        return IN | OUT;
    }
  }

  /** The context has cleared the notifier before it called. */
  wasCleared(): void {
    this.#hasData = false;
  }

  /** Also where it is closed: a ring may hold it open. */
  feed(): boolean {
    if (this.#isHung || !['socket', 'pipe-read', 'notifier'].includes(this.kind)) return false;
    if (this.notifier) this.notifier.set();
    else if (!this.#hasData) {
      try {
        tryWrite(this.peer, block.subarray(0, 1));
      } catch (error) {
        if (!this.model.isOpen && error instanceof AioError && error.code === 'EPIPE') return false;
        throw error;
      }
    }
    return (this.#hasData = true);
  }

  drain(): boolean {
    if (!this.#hasData || !this.model.isOpen) return false;
    if (this.notifier) this.notifier.testAndClear();
    else drain(this.fd);
    this.#hasData = false;
    return true;
  }

  fill(): boolean {
    if (this.#isHung || this.#isFull || !['socket', 'pipe-write'].includes(this.kind)) return false;
    if (!this.model.isOpen) return false;
    while (tryWrite(this.fd, block) !== null);
    return (this.#isFull = true);
  }

  empty(): boolean {
    if (!this.#isFull || this.#isHung || !this.model.isOpen) return false;
    drain(this.peer);
    this.#isFull = false;
    return true;
  }

  hangUp(): boolean {
    if (this.#isHung || this.peer < 0) return false;
    this.empty();
    closeFd(this.peer);
    this.#isFull = false;
    return (this.#isHung = true);
  }
}
