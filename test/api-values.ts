// Values that a public function must refuse, each with the error that it must give. See api-table.ts.
import { AioContext, Clock, ManualClock } from 'aio-gsource';

/** What assert.throws() takes. */
export interface Expected {
  name: string;
  code: string;
}

/** Bad values, each with the error that it must give. */
export type Bad = readonly (readonly [value: unknown, error: Expected | Error])[];

export const typeError: Expected = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' };
export const valueError: Expected = { name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' };
export const rangeError: Expected = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' };
const badFd: Expected = { name: 'AioError', code: 'EBADF' };

export function each(error: Expected, ...values: readonly unknown[]): Bad {
  return values.map((value) => [value, error] as const);
}

export const symbol: unique symbol = Symbol('bad');
export const proxy: object = new Proxy({}, {});
const noFunction: unknown[] = [undefined, null, 0, 1n, '', 'x', true, {}, [], symbol];

export const boolean: Bad = each(typeError, undefined, null, 0, 1, 'true', {}, symbol, 1n);
export const callback: Bad = each(typeError, ...noFunction);
export const name: Bad = each(typeError, null, 0, 1n, true, {}, [], symbol, () => undefined);
export const fd: Bad = [
  ...each(typeError, undefined, null, '0', 1n, true, {}, [0], symbol, () => 0),
  ...each(rangeError, NaN, Infinity, -Infinity, -1, -(2 ** 31), 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 64),
];
export const openFd: Bad = [...fd, ...each(badFd, 1_000_000, 2 ** 31 - 1)];
const timeType: Bad = each(typeError, undefined, null, '5', '', true, {}, [5], new Date(), symbol, () => 5);
const timeRange: Bad = each(
  rangeError,
  ...[NaN, Infinity, -Infinity, 1e300, 2n ** 63n, 2n ** 64n, -(2n ** 63n) - 1n],
);
/** In a timer's scale, here milliseconds. */
export const time: Bad = [...timeType, ...timeRange, ...each(rangeError, 2 ** 53, -(2 ** 53))];
export const timeNs: Bad = [...timeType, ...timeRange, ...each(rangeError, 0.5, -1.5, 2 ** 53, -(2 ** 53))];
export const negative: Bad = each(rangeError, -1, -1n, -(2n ** 63n));
export const int32: Bad = [
  ...each(typeError, null, '0', 1n, true, {}, symbol, () => 0),
  ...each(rangeError, NaN, Infinity, -Infinity, 0.5, 2 ** 31, -(2 ** 31) - 1, 2 ** 53),
];
export const signal: Bad = each(
  typeError,
  null,
  0,
  'x',
  true,
  {},
  new EventTarget(),
  { aborted: true },
  symbol,
  Object.create(AbortSignal.prototype),
  Object.create(AbortSignal.prototype, { aborted: { value: false } }),
);
const unknownSignal: Expected = { name: 'TypeError', code: 'ERR_UNKNOWN_SIGNAL' };
export const signalName: Bad = [
  ...each(typeError, undefined, null, 0, 2, 1n, true, {}, ['SIGINT'], symbol, () => 'SIGINT'),
  ...each(unknownSignal, '', 'INT', 'sigint', 'SIGINT ', 'SIG', 'SIGBREAK', '2', 'toString', '__proto__'),
  ...each(valueError, 'SIGKILL', 'SIGSTOP', 'SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGTRAP'),
];
export const pid: Bad = [
  ...each(typeError, undefined, null, '1', 1n, true, {}, [1], symbol, () => 1),
  ...each(rangeError, NaN, Infinity, -Infinity, -1, 0, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 64),
  [2 ** 31 - 1, { name: 'AioError', code: 'ESRCH' }],
];
export const context: Bad = each(
  typeError,
  ...[undefined, null, 0, 'x', symbol, {}, proxy, AioContext, AioContext.prototype],
  Object.create(AioContext.prototype),
);
export const clock: Bad = each(
  typeError,
  ...[undefined, null, 0, 'realtime', symbol, {}, Date, Clock, Clock.prototype, ManualClock.prototype],
  ...[Object.create(Clock.prototype), new Proxy(Clock.realtime, {})],
);
export const bytes: Bad = each(
  typeError,
  ...[
    undefined,
    null,
    0,
    1n,
    symbol,
    {},
    [],
    new ArrayBuffer(4),
    new Uint16Array(4),
    new DataView(new ArrayBuffer(4)),
  ],
  ...[new Proxy(new Uint8Array(4), {}), Object.create(Uint8Array.prototype)],
);

class GetterError extends Error {}

/** Objects of which reading one property throws: that very error comes through. */
export function throwing(...keys: readonly string[]): Bad {
  return keys.map((key) => {
    const error = new GetterError(key);
    const object = Object.defineProperty({}, key, {
      get: () => {
        throw error;
      },
    });
    return [object, error] as const;
  });
}
