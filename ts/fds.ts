/**
 * File descriptors for scripts: Node has no way to make a pipe, or to read from a file descriptor only what is
 * there. All that are made here are non-blocking and close-on-exec, and are the script's to close.
 *
 * @module
 */

import { Buffer } from 'node:buffer';
import { types } from 'node:util';

import { checkFd, checkObject, invalidType, invalidValue, outOfRange } from './arguments.js';
import { native } from './load.js';

/** The largest size of a terminal that the kernel can tell. */
const maxSize = 65_535;

/**
 * Makes a pipe: pipe2(2).
 *
 * @throws an `AioError` with the errno
 */
export function pipe(): { read: number; write: number } {
  return native.pipe();
}

/**
 * Makes a pair of connected stream sockets: socketpair(2).
 *
 * @throws an `AioError` with the errno
 */
export function socketPair(): [number, number] {
  return native.socketPair();
}

/**
 * Makes a pseudo-terminal.
 *
 * @param size - in characters, 80 by 24 by default
 * @returns both of its ends, and the path of the slave
 * @throws an `AioError` with the errno
 */
export function openPty(size: { columns?: number; rows?: number } = {}): {
  master: number;
  slave: number;
  path: string;
} {
  checkObject(size, 'size');
  const { columns = 80, rows = 24 } = size;
  checkSize(columns, 'size.columns');
  checkSize(rows, 'size.rows');
  return native.openPty(columns, rows);
}

/**
 * Reads what is there: read(2). On a file descriptor that is not non-blocking it waits.
 *
 * @returns how many bytes, 0 at the end of the file, `null` if there is nothing to read now
 * @throws an `AioError` with the errno; `ERR_INVALID_ARG_VALUE` for a buffer without room, for which 0 would mean
 *   nothing
 */
export function tryRead(fd: number, buffer: Uint8Array): number | null {
  checkFd(fd);
  if (!types.isUint8Array(buffer)) throw invalidType('buffer', 'an instance of Uint8Array', buffer);
  if (buffer.length === 0) throw invalidValue('buffer', 'must have room', buffer);
  return native.tryRead(fd, buffer);
}

/**
 * Writes what there is room for: write(2). On a file descriptor that is not non-blocking it waits.
 *
 * @param data - bytes, or a text that is written in UTF-8
 * @returns how many bytes, `null` if there is no room now
 * @throws an `AioError` with the errno
 */
export function tryWrite(fd: number, data: Uint8Array | string): number | null {
  checkFd(fd);
  if (typeof data === 'string') return native.tryWrite(fd, Buffer.from(data));
  if (!types.isUint8Array(data))
    throw invalidType('data', 'of type string or an instance of Uint8Array', data);
  return native.tryWrite(fd, data);
}

/**
 * Closes a file descriptor: close(2). Remove it from every context first.
 *
 * @throws an `AioError` with the errno
 */
export function closeFd(fd: number): void {
  checkFd(fd);
  native.closeFd(fd);
}

function checkSize(value: unknown, name: string): void {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
  if (!Number.isInteger(value) || value < 0 || value > maxSize)
    throw outOfRange(name, `an integer >= 0 and <= ${maxSize}`, value);
}
