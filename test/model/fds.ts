// The file descriptors of a program.
import { closeSync, openSync } from 'node:fs';

import { EventNotifier } from 'aio-gsource';
import { closeFd, pipe, socketPair, tryRead, tryWrite } from 'aio-gsource/fds';

import { ERR, FdModel, HUP, IN, OUT } from './model.js';
import type { FdKind } from './program.js';

const block = Buffer.alloc(65536);

function drain(fd: number): void {
  for (let count = tryRead(fd, block); count; count = tryRead(fd, block));
}

/** A file descriptor, its other end, and what it is ready for. */
export class Slot {
  readonly kind: FdKind;
  readonly model: FdModel = new FdModel();
  fd = -1;
  peer = -1;
  notifier: EventNotifier | null = null;
  #hasData = false;
  #isFull = false;
  #isHung = false;

  constructor(kind: FdKind) {
    this.kind = kind;
    this.open();
  }

  open(): void {
    this.#hasData = this.#isFull = this.#isHung = false;
    if (this.kind === 'socket') [this.fd, this.peer] = socketPair();
    else if (this.kind === 'pipe-read') ({ read: this.fd, write: this.peer } = pipe());
    else if (this.kind === 'pipe-write') ({ write: this.fd, read: this.peer } = pipe());
    else if (this.kind === 'file') this.fd = openSync(import.meta.filename, 'r');
    else this.fd = (this.notifier = new EventNotifier()).fd;
    this.model.ready = this.model.seen = this.events;
  }

  close(): void {
    if (this.notifier) this.notifier.close();
    else if (this.kind === 'file') closeSync(this.fd);
    else closeFd(this.fd);
    if (this.peer >= 0 && !this.#isHung) closeFd(this.peer);
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

  feed(): boolean {
    if (this.#isHung || !['socket', 'pipe-read', 'notifier'].includes(this.kind)) return false;
    if (this.notifier) this.notifier.set();
    else if (!this.#hasData) tryWrite(this.peer, block.subarray(0, 1));
    return (this.#hasData = true);
  }

  drain(): boolean {
    if (!this.#hasData) return false;
    if (this.notifier) this.notifier.testAndClear();
    else drain(this.fd);
    this.#hasData = false;
    return true;
  }

  fill(): boolean {
    if (this.#isHung || this.#isFull || !['socket', 'pipe-write'].includes(this.kind)) return false;
    while (tryWrite(this.fd, block) !== null);
    return (this.#isFull = true);
  }

  empty(): boolean {
    if (!this.#isFull || this.#isHung) return false;
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
