/** Every check of what a script gives, with the codes and in the words of Node's own. */

import { inspect } from 'node:util';

/** What one unit of a timer's `scale` is in nanoseconds. */
export const scales: Readonly<Record<'ns' | 'us' | 'ms', number>> = { ns: 1, us: 1_000, ms: 1_000_000 };

const int32Max = 2 ** 31 - 1;
const int64Min = -(2n ** 63n);
const int64Max = 2n ** 63n - 1n;

/** A value for a message. It may be anything: looking at a proxy can throw. */
function shown(value: unknown, show: () => string): string {
  try {
    return show();
  } catch {
    return `type ${typeof value}`;
  }
}

/** For messages: what is further from 0 has too many digits for anybody to read, and takes long to write down. */
const longest = 10n ** 60n;

function shownBigint(value: bigint): string {
  if (value > longest) return 'a bigint > 10n ** 60n';
  if (value < -longest) return 'a bigint < -(10n ** 60n)';
  return `${value}n`;
}

function received(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value === 'object') {
    const { constructor } = value;
    return typeof constructor === 'function' && constructor.name !== ''
      ? `an instance of ${constructor.name}`
      : inspect(value, { depth: -1 });
  }
  const text = typeof value === 'bigint' ? shownBigint(value) : inspect(value);
  return `type ${typeof value} (${text.slice(0, 40)})`;
}

/** A `TypeError` for an argument that is of a wrong type. */
export function invalidType(name: string, expected: string, value: unknown): TypeError {
  const message = `The "${name}" argument must be ${expected}. Received ${shown(value, () => received(value))}`;
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_TYPE' });
}

/** A `TypeError` for an argument of the right type that is none of the values there are. */
export function invalidValue(name: string, reason: string, value: unknown): TypeError {
  const message = `The "${name}" argument ${reason}. Received ${shown(value, () => inspect(value, { depth: 0 }))}`;
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_VALUE' });
}

/** A `TypeError` for what a callback gave. */
export function invalidReturn(name: string, expected: string, value: unknown): TypeError {
  const message = `The "${name}" function must return ${expected}. Received ${shown(value, () => received(value))}`;
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_RETURN_VALUE' });
}

/** A `RangeError` for a number that is too small, too large or not exact. */
export function outOfRange(name: string, range: string, value: number | bigint): RangeError {
  const text = typeof value === 'bigint' ? shownBigint(value) : inspect(value);
  const message = `The value of "${name}" is out of range. It must be ${range}. Received ${text}`;
  return Object.assign(new RangeError(message), { code: 'ERR_OUT_OF_RANGE' });
}

/** A `TypeError` for a method that was called on something else than an object of its class. */
export function invalidThis(expected: string): TypeError {
  return Object.assign(new TypeError(`Value of "this" must be of type ${expected}`), {
    code: 'ERR_INVALID_THIS',
  });
}

/** A `TypeError` for `new` of a class whose objects only this package makes. */
export function illegalConstructor(): TypeError {
  return Object.assign(new TypeError('Illegal constructor'), { code: 'ERR_ILLEGAL_CONSTRUCTOR' });
}

/** Whether a value can have private fields at all. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

export function checkBoolean(value: unknown, name: string): asserts value is boolean {
  if (typeof value !== 'boolean') throw invalidType(name, 'of type boolean', value);
}

export function checkFunction(value: unknown, name: string): void {
  if (typeof value !== 'function') throw invalidType(name, 'of type function', value);
}

export function checkString(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string') throw invalidType(name, 'of type string', value);
}

export function checkObject(value: unknown, name: string): asserts value is object {
  if (!isObject(value)) throw invalidType(name, 'of type object', value);
}

/** A signed whole number of 32 bits. */
export function checkInt32(
  value: unknown,
  name: string,
  minimum: number = -int32Max - 1,
): asserts value is number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
  if (!Number.isInteger(value) || value < minimum || value > int32Max)
    throw outOfRange(name, `an integer >= ${minimum} and <= ${int32Max}`, value);
}

/** A number that could be a file descriptor; whether it is open only the kernel knows. */
export function checkFd(value: unknown, name = 'fd'): asserts value is number {
  checkInt32(value, name, 0);
}

/** The name of something that has `callback`: the one given, or else the function's own if it has one. */
export function nameOf(options: { readonly name?: string }, callback: unknown): string | undefined {
  const { name } = options;
  if (name !== undefined) {
    checkString(name, 'options.name');
    return name;
  }
  // Whatever a script has put there: a symbol, or a getter.
  const own: unknown = typeof callback === 'function' ? callback.name : undefined;
  return typeof own === 'string' && own !== '' ? own : undefined;
}

function fitInt64(value: bigint, name: string): bigint {
  if (value < int64Min || value > int64Max) throw outOfRange(name, 'a time of 64 bits in nanoseconds', value);
  return value;
}

/** Up to the next whole number; but what a conversion to binary made a hair too large is not rounded up. */
function roundUp(value: number): number {
  const nearest = Math.round(value);
  return Math.abs(value - nearest) <= Math.abs(value) * Number.EPSILON ? nearest : Math.ceil(value);
}

/**
 * A time in units of `scale` nanoseconds, as whole nanoseconds; fractions are rounded up. A number that is not
 * finite, or beyond what a number counts exactly, is `ERR_OUT_OF_RANGE`, and so is what does not fit into
 * 64 bits.
 */
export function nanoseconds(value: unknown, scale: number, name: string): number | bigint {
  if (typeof value === 'number') {
    const product = value * scale;
    if (Math.abs(product) <= Number.MAX_SAFE_INTEGER) return roundUp(product);
    if (!(Math.abs(value) <= Number.MAX_SAFE_INTEGER))
      throw outOfRange(name, 'a finite number that is exact: at most 2 ** 53 - 1', value);
    const whole = Math.floor(value);
    return fitInt64(BigInt(whole) * BigInt(scale) + BigInt(Math.ceil((value - whole) * scale)), name);
  }
  if (typeof value === 'bigint') return fitInt64(value * BigInt(scale), name);
  throw invalidType(name, 'of type number or bigint', value);
}

/** The same for an argument that is in nanoseconds by its name: it has no fractions. */
export function wholeNanoseconds(value: unknown, name: string): number | bigint {
  if (typeof value === 'number' && !Number.isSafeInteger(value))
    throw outOfRange(name, 'an integer that is exact: at most 2 ** 53 - 1, or a bigint', value);
  return nanoseconds(value, 1, name);
}

/** Checks that a time is not negative. */
export function checkNotNegative(ns: number | bigint, name: string, value: unknown): void {
  if (ns < 0) throw outOfRange(name, '>= 0', value as number | bigint);
}
