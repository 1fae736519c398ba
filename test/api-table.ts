// Every public function, with what it must refuse. api-arguments.test.ts works it off.
import { AioContext, BottomHalf, Clock, EventNotifier, MainContext, ManualClock, Timer } from 'aio-gsource';
import * as fds from 'aio-gsource/fds';

import {
  type Bad,
  boolean,
  bytes,
  callback,
  clock,
  context,
  each,
  fd,
  int32,
  name,
  negative,
  openFd,
  pid,
  proxy,
  rangeError,
  signal,
  signalName,
  symbol,
  throwing,
  time,
  timeNs,
  typeError,
  valueError,
} from './api-values.js';

/** What a call can be made with; made anew for each entry. */
export class Subjects implements Disposable {
  readonly ctx: AioContext = new AioContext({ name: 'subject' });
  readonly bh: BottomHalf = this.ctx.bh(() => undefined);
  readonly timer: Timer = this.ctx.timer(Clock.manual(), () => undefined);
  readonly clock: ManualClock = Clock.manual();
  readonly notifier: EventNotifier = new EventNotifier();
  readonly main: MainContext = new MainContext();
  readonly #pipe = fds.pipe();
  readonly read: number = this.#pipe.read;
  readonly write: number = this.#pipe.write;
  #spare: number | undefined;

  /** A descriptor for a call to close. */
  get spare(): number {
    if (this.#spare === undefined) {
      const ends = fds.pipe();
      fds.closeFd(ends.read);
      this.#spare = ends.write;
    }
    return this.#spare;
  }

  /** Closes all but the descriptors and the virtual clock. */
  close(): void {
    this.ctx.close();
    this.bh.close();
    this.timer.close();
    this.notifier.close();
    this.main.close();
  }

  [Symbol.dispose](): void {
    this.close();
    fds.closeFd(this.read);
    fds.closeFd(this.write);
  }
}

/** One argument: a good value, and the bad ones. */
export interface Argument {
  good: (subjects: Subjects) => unknown;
  bad: Bad;
}

/** What happens on an object that is closed. */
type Closed = 'throws' | 'rejects' | 'works';

export interface Entry {
  /** What it is called on, but for functions and constructors. */
  of?: (subjects: Subjects) => object;
  args?: readonly Argument[];
  closed?: Closed;
  /** Whether it only calls `close()`, of whatever it is called on. */
  alias?: boolean;
  /** Whether what it throws comes as a rejection. */
  rejects?: boolean;
}

// --- Arguments of many parts

/** An optional object: what is none, and each property with its bad values and with a throwing getter. */
function options(properties: Readonly<Record<string, Bad>>): Argument {
  return {
    good: () => ({}),
    bad: [
      ...each(typeError, null, 0, 'x', true, 1n, symbol),
      ...throwing(...Object.keys(properties)),
      ...Object.entries(properties).flatMap(([key, bad]) =>
        bad
          .filter(([value]) => value !== undefined)
          .map(([value, error]) => [{ [key]: value }, error] as const),
      ),
    ],
  };
}

const pollMethods = ['poll', 'pollReady', 'pollBegin', 'pollEnd'];

function handler(notifier: boolean): Argument {
  const read = (): void => undefined;
  return {
    good: () => ({ read, name: 'good' }),
    bad: [
      ...each(typeError, undefined, 0, 'x', true, symbol, read),
      ...each(typeError, { read: null }, { read: 0 }, { read: {} }, { read, error: 0 }, { read, name: 0 }),
      ...(notifier
        ? each(typeError, {}, [], { write: read }, { read: null, poll: () => true, pollReady: read })
        : [
            ...each(valueError, {}, [], { error: read }),
            ...each(typeError, { write: 'x' }, { read, write: null }),
          ]),
      ...pollMethods.flatMap((key) =>
        callback
          .filter(([value]) => value !== undefined)
          .map(([value, error]) => [{ read, poll: read, pollReady: read, [key]: value }, error] as const),
      ),
      // Not without each other.
      ...each(valueError, { read, poll: read }, { poll: read }, { pollReady: read }),
      ...pollMethods.slice(1).map((key) => [{ read, [key]: read }, valueError] as const),
      ...boolean
        .filter(([value]) => value !== undefined)
        .map(([external, error]) => [{ read, external }, error] as const),
      ...throwing('read'),
      ...throwing('error', 'name', 'external', ...pollMethods).map(
        ([object, error]) => [Object.assign(object as object, { read }), error] as const,
      ),
    ],
  };
}

const thrown = new Error('thrown by the argument');
const wait = options({
  timeout: [...time, ...negative].filter(([value]) => typeof value !== 'bigint'),
  signal,
});

// --- The table

const ctx = (subjects: Subjects): object => subjects.ctx;
const bh = (subjects: Subjects): object => subjects.bh;
const timer = (subjects: Subjects): object => subjects.timer;
const manual = (subjects: Subjects): object => subjects.clock;
const notifier = (subjects: Subjects): object => subjects.notifier;
const main = (subjects: Subjects): object => subjects.main;
const blank = (): undefined => undefined;
/** Of a callback that may be none. */
const orNull = callback.filter(([value]) => value !== null);

const getter = (of: (subjects: Subjects) => object, closed: Closed = 'works'): Entry => ({ of, closed });
const plain = (of: (subjects: Subjects) => object, closed: Closed): Entry => ({ of, closed });
const alias = (of: (subjects: Subjects) => object): Entry => ({ of, closed: 'works', alias: true });
const takesTime = (of: (subjects: Subjects) => object, bad: Bad): Entry => ({
  of,
  args: [{ good: () => 5, bad }],
  closed: of === manual ? 'works' : 'throws',
});
/** Rejects what it is given, or throws it. */
const awaits = (
  direction: 'read' | 'write',
  { closed, rejects = false }: { closed: Closed; rejects?: boolean },
): Entry => ({
  of: ctx,
  args: [{ good: (subjects) => subjects[direction], bad: openFd }, options({ signal })],
  closed,
  rejects,
});
const takesContext: Entry = { args: [{ good: (subjects) => subjects.ctx, bad: context }] };
const illegal: Entry = {
  args: [
    { good: blank, bad: each({ name: 'TypeError', code: 'ERR_ILLEGAL_CONSTRUCTOR' }, undefined, {}, symbol) },
  ],
};

/** `new Class`, `Class.static`, `Class#method`, `Class#getter`, `Class#setter=`, `module.function`. */
export const table: Readonly<Record<string, Entry>> = {
  'new AioContext': {
    args: [
      options({
        name,
        monitor: [
          ...each(typeError, null, 0, {}, [], symbol),
          ...each(valueError, '', 'kqueue', 'POLL', 'toString'),
        ],
      }),
    ],
  },
  'AioContext.current': {},
  'AioContext#name': getter(ctx),
  'AioContext#monitor': getter(ctx),
  'AioContext#closed': getter(ctx),
  'AioContext#inHomeThread': getter(ctx),
  'AioContext#attached': getter(ctx),
  'AioContext#makeCurrent': plain(ctx, 'throws'),
  'AioContext#attach': {
    of: ctx,
    args: [
      {
        good: (subjects) => subjects.main,
        bad: each(
          typeError,
          ...[0, 'x', 1n, true, symbol, {}, [], proxy, () => undefined, MainContext, MainContext.prototype],
          ...[Object.create(MainContext.prototype), { iteration: () => true, pending: () => true }],
          ...[new Proxy(MainContext.default(), {}), Clock.realtime],
        ),
      },
      options({ priority: int32 }),
    ],
    closed: 'throws',
  },
  'AioContext#detach': plain(ctx, 'throws'),
  'AioContext#poll': { of: ctx, args: [{ good: () => false, bad: boolean }], closed: 'throws' },
  'AioContext#waitWhile': {
    of: ctx,
    args: [
      {
        good: () => () => false,
        bad: [
          ...callback,
          [
            () => {
              throw thrown;
            },
            thrown,
          ],
        ],
      },
      wait,
    ],
    closed: 'throws',
  },
  'AioContext#blockOn': {
    of: ctx,
    args: [
      {
        good: () => Promise.resolve(),
        bad: [
          ...each(typeError, undefined, null, 0, 'x', true, symbol, {}, { then: 5 }, () => undefined),
          ...throwing('then'),
          [
            {
              then: (_: unknown, reject: (error: Error) => void) => {
                reject(thrown);
              },
            },
            thrown,
          ],
          [
            {
              then: () => {
                throw thrown;
              },
            },
            thrown,
          ],
        ],
      },
      wait,
    ],
    closed: 'throws',
  },
  'AioContext#notify': plain(ctx, 'throws'),
  'AioContext#bh': {
    of: ctx,
    args: [{ good: () => blank, bad: callback }, options({ name })],
    closed: 'throws',
  },
  'AioContext#scheduleOneshot': {
    of: ctx,
    args: [{ good: () => blank, bad: callback }, options({ name })],
    closed: 'throws',
  },
  'AioContext#timer': {
    of: ctx,
    args: [
      { good: () => Clock.realtime, bad: clock },
      { good: () => blank, bad: callback },
      options({
        scale: [
          ...each(typeError, null, 0, {}, symbol),
          ...each(valueError, '', 's', 'MS', '__proto__', 'toString'),
        ],
        external: boolean,
        name,
      }),
    ],
    closed: 'throws',
  },
  'AioContext#sleep': {
    of: ctx,
    args: [
      { good: () => 5, bad: time.filter(([value]) => typeof value !== 'bigint') },
      options({ clock: clock.filter(([value]) => value !== undefined), signal }),
    ],
    closed: 'rejects',
    rejects: true,
  },
  'AioContext#setFdHandler': {
    of: ctx,
    args: [{ good: (subjects) => subjects.read, bad: openFd }, handler(false)],
    closed: 'throws',
  },
  'AioContext#setEventNotifier': {
    of: ctx,
    args: [
      {
        good: (subjects) => subjects.notifier,
        bad: each(
          typeError,
          ...[undefined, null, 0, 'x', symbol, {}, proxy, { fd: 0 }, EventNotifier, EventNotifier.prototype],
          Object.create(EventNotifier.prototype),
        ),
      },
      handler(true),
    ],
    closed: 'throws',
  },
  'AioContext#setFdPoll': {
    of: ctx,
    args: [
      { good: (subjects) => subjects.read, bad: fd },
      { good: () => blank, bad: orNull },
      { good: () => blank, bad: orNull },
    ],
    closed: 'throws',
  },
  'AioContext#setPollParams': {
    of: ctx,
    args: [
      {
        good: () => ({ maxNs: 5n }),
        bad: [
          ...each(typeError, undefined, null, 0, 'x', true, 1n, symbol, {}, []),
          ...[...timeNs, ...negative].map(([maxNs, error]) => [{ maxNs }, error] as const),
          ...['grow', 'shrink'].flatMap((key) =>
            [...int32, ...each(rangeError, -1)].map(
              ([value, error]) => [{ maxNs: 5, [key]: value }, error] as const,
            ),
          ),
          ...throwing('maxNs'),
          ...throwing('grow', 'shrink').map(
            ([object, error]) => [Object.assign(object as object, { maxNs: 5 }), error] as const,
          ),
        ],
      },
    ],
    closed: 'throws',
  },
  'AioContext#onSignal': {
    of: ctx,
    args: [
      { good: () => 'SIGUSR2', bad: signalName },
      { good: () => blank, bad: callback },
    ],
    closed: 'throws',
  },
  'AioContext#child': {
    of: ctx,
    args: [{ good: () => process.ppid, bad: pid }, options({ reap: boolean, signal })],
    closed: 'rejects',
    rejects: true,
  },
  'AioContext#whenReadable': awaits('read', { closed: 'rejects', rejects: true }),
  'AioContext#whenWritable': awaits('write', { closed: 'rejects', rejects: true }),
  'AioContext#readable': awaits('read', { closed: 'throws' }),
  'AioContext#writable': awaits('write', { closed: 'throws' }),
  'AioContext#disableExternal': plain(ctx, 'throws'),
  'AioContext#enableExternal': {
    of: (subjects) => {
      subjects.ctx.disableExternal();
      return subjects.ctx;
    },
    closed: 'throws',
  },
  'AioContext#externalDisabled': getter(ctx),
  'AioContext#acquire': plain(ctx, 'throws'),
  'AioContext#release': {
    of: (subjects) => {
      subjects.ctx.acquire();
      return subjects.ctx;
    },
    closed: 'throws',
  },
  'AioContext#stats': plain(ctx, 'throws'),
  'AioContext#inspect': plain(ctx, 'throws'),
  'AioContext#close': plain(ctx, 'works'),
  'AioContext#dispose': alias(ctx),
  'AioContext#asyncDispose': { ...alias(ctx), rejects: true },

  'new BottomHalf': illegal,
  'BottomHalf#name': getter(bh),
  'BottomHalf#scheduled': getter(bh),
  'BottomHalf#schedule': plain(bh, 'throws'),
  'BottomHalf#scheduleIdle': plain(bh, 'throws'),
  'BottomHalf#cancel': plain(bh, 'throws'),
  'BottomHalf#call': plain(bh, 'throws'),
  'BottomHalf#close': plain(bh, 'works'),
  'BottomHalf#delete': alias(bh),
  'BottomHalf#dispose': alias(bh),

  'new Timer': illegal,
  'Timer#pending': getter(timer),
  'Timer#expireTimeNs': getter(timer),
  'Timer#after': takesTime(timer, time),
  'Timer#every': takesTime(timer, [...time, ...negative, ...each(rangeError, 0, 0n)]),
  'Timer#mod': takesTime(timer, time),
  'Timer#modNs': takesTime(timer, timeNs),
  'Timer#anticipate': takesTime(timer, time),
  'Timer#del': plain(timer, 'throws'),
  'Timer#close': plain(timer, 'works'),
  'Timer#free': alias(timer),
  'Timer#dispose': alias(timer),

  'new Clock': illegal,
  'Clock.manual': {
    args: [{ good: () => 5, bad: [...timeNs, ...negative].filter(([value]) => value !== undefined) }],
  },
  'Clock#nowNs': plain(manual, 'works'),
  'Clock#now': plain(manual, 'works'),
  'Clock#enabled': getter(manual),
  'Clock#enabled=': { of: () => Clock.virtual, args: [{ good: () => true, bad: boolean }] },
  'Clock#deadlineNs': getter(manual),
  'Clock#deadlineNsAll': { of: manual, args: [options({ external: boolean })], closed: 'works' },

  'new ManualClock': illegal,
  'ManualClock#advance': takesTime(manual, [...time, ...negative]),
  'ManualClock#advanceNs': takesTime(manual, [...timeNs, ...negative]),
  'ManualClock#setNs': takesTime(manual, [...timeNs, ...negative]),

  'new EventNotifier': { args: [options({ active: boolean })] },
  'EventNotifier#fd': getter(notifier, 'throws'),
  'EventNotifier#set': plain(notifier, 'throws'),
  'EventNotifier#testAndClear': plain(notifier, 'throws'),
  'EventNotifier#close': plain(notifier, 'works'),
  'EventNotifier#dispose': alias(notifier),

  'new MainContext': {},
  'MainContext.default': {},
  'MainContext#iteration': { of: main, args: [{ good: () => false, bad: boolean }], closed: 'throws' },
  'MainContext#pending': plain(main, 'throws'),
  'MainContext#wakeup': plain(main, 'throws'),
  'MainContext#close': plain(main, 'works'),
  'MainContext#dispose': alias(main),

  'new AioError': {},
  'aio.runMain': { args: [{ good: () => blank, bad: callback }] },

  'fds.pipe': {},
  'fds.socketPair': {},
  'fds.openPty': {
    args: [
      options({
        columns: [
          ...each(typeError, null, '80', 1n, {}, symbol),
          ...each(rangeError, NaN, -1, 0.5, 65_536, Infinity),
        ],
        rows: [
          ...each(typeError, null, '25', 1n, {}, symbol),
          ...each(rangeError, NaN, -1, 0.5, 65_536, Infinity),
        ],
      }),
    ],
  },
  'fds.tryRead': {
    args: [
      { good: (subjects) => subjects.read, bad: openFd },
      {
        good: () => Buffer.alloc(4),
        bad: [...bytes, ...each(typeError, 'x'), ...each(valueError, Buffer.alloc(0))],
      },
    ],
  },
  'fds.tryWrite': {
    args: [
      { good: (subjects) => subjects.write, bad: openFd },
      { good: () => Buffer.from('good'), bad: bytes },
    ],
  },
  'fds.closeFd': { args: [{ good: (subjects) => subjects.spare, bad: openFd }] },

  'internals.notifyAccept': { ...takesContext, closed: 'throws' },
  'internals.bhPoll': { ...takesContext, closed: 'throws' },
  'internals.prepare': { ...takesContext, closed: 'throws' },
  'internals.pending': { ...takesContext, closed: 'throws' },
  'internals.dispatch': { ...takesContext, closed: 'throws' },
  'internals.computeTimeoutNs': { ...takesContext, closed: 'throws' },
  'internals.pollDisabled': { ...takesContext, closed: 'throws' },
  'internals.nodeCheck': {
    args: [...(takesContext.args ?? []), { good: () => true, bad: boolean }],
    closed: 'throws',
  },
  'internals.notifyMe': { ...takesContext, closed: 'works' },
  'internals.notified': { ...takesContext, closed: 'works' },
};
