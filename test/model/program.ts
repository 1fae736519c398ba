// Random programs: what they are made of, how they are generated, and how they are printed.
import fc from 'fast-check';

export const bottomHalves = 5;
export const timers = 4;
export const clocks = 2;

/** The file descriptors of a program, each with the operations that its kind has. */
export const fdKinds = ['socket', 'socket', 'notifier', 'pipe-read', 'pipe-write', 'file'] as const;
export type FdKind = (typeof fdKinds)[number];

/** What a callback does when it is called. */
export type Script = readonly Op[];

export interface Polling {
  readonly poll: Script;
  readonly ready: Script;
  readonly begin: Script;
  readonly end: Script;
}

export interface Handler {
  readonly read: Script | null;
  readonly write: Script | null;
  readonly error: Script | null;
  readonly polling: Polling | null;
  readonly external: boolean;
}

/** One operation. An index of {@link own} means what the script belongs to. */
export type Op =
  | { readonly do: BottomHalfOp; readonly bh: number }
  | { readonly do: 'oneshot'; readonly script: Script }
  | { readonly do: ArmOp; readonly timer: number; readonly ms: number }
  | { readonly do: DisarmOp; readonly timer: number }
  | { readonly do: ClockOp; readonly clock: number; readonly ms: number }
  | { readonly do: 'handle'; readonly fd: number; readonly handler: Handler }
  | { readonly do: 'functions'; readonly fd: number; readonly none: boolean }
  | { readonly do: FdOp; readonly fd: number }
  | { readonly do: 'params'; readonly ns: number }
  | { readonly do: PassOp; readonly blocking: boolean; readonly catches: boolean }
  | { readonly do: PlainOp };

export type BottomHalfOp = 'schedule' | 'idle' | 'cancel' | 'call' | 'close bh';
type ArmOp = 'mod' | 'after' | 'every' | 'anticipate';
type DisarmOp = 'del' | 'free';
export type TimerOp = ArmOp | DisarmOp;
export type ClockOp = 'advance' | 'set clock';
export type FdOp =
  'unhandle' | 'feed' | 'drain' | 'fill' | 'empty' | 'event' | 'hang up' | 'close fd' | 'reopen';
export type PassOp = 'poll' | 'iterate' | 'dispatch' | 'bhPoll';
export type ExternalOp = 'disable' | 'enable' | 'undo';
export type PlainOp = ExternalOp | 'notify' | 'pending' | 'throw' | 'close';

export const own = -1;

/** What an index of a program means, other than {@link own}. */
export function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new RangeError(`no item ${String(index)}`);
  return item;
}

export interface Program {
  /** For how long a wait may poll at first, in nanoseconds. */
  readonly params: number;
  /** What the bottom halves do, and the timers. */
  readonly bhs: readonly Script[];
  readonly timers: readonly Script[];
  readonly ops: Script;
}

// --- Generation

type Weighted = fc.WeightedArbitrary<Op>;

/** The first ones more often, so that what is done to one is done to the same. */
function index(count: number, where: 'top' | 'inside'): fc.Arbitrary<number> {
  const any = fc.oneof({ weight: 1, arbitrary: fc.nat(1) }, { weight: 2, arbitrary: fc.nat(count - 1) });
  return where === 'top'
    ? any
    : fc.oneof({ weight: 1, arbitrary: any }, { weight: 1, arbitrary: fc.constant(own) });
}

/** Operations, of which those with scripts have `depth` levels of them. `polled`: all handlers have a poll function. */
function operation(where: 'top' | 'inside', depth: number, polled: boolean): fc.Arbitrary<Op> {
  const bh = index(bottomHalves, where);
  const timer = index(timers, where);
  const fd = index(fdKinds.length, where);
  const clock = fc.nat(clocks - 1);
  const kinds: Weighted[] = [];
  const add = (weight: number, arbitrary: fc.Arbitrary<Op>): void => {
    kinds.push({ weight: 3 * weight, arbitrary });
  };

  add(8, fc.record({ do: fc.constant('schedule'), bh }));
  for (const each of ['idle', 'cancel'] as const) add(2, fc.record({ do: fc.constant(each), bh }));
  for (const each of ['call', 'close bh'] as const) add(1, fc.record({ do: fc.constant(each), bh }));

  const ms = fc.integer({ min: -2, max: 6 });
  for (const each of ['mod', 'after', 'anticipate'] as const)
    add(4, fc.record({ do: fc.constant(each), timer, ms }));
  add(1, fc.record({ do: fc.constant('every'), timer, ms: fc.integer({ min: 1, max: 4 }) }));
  for (const each of ['del', 'free'] as const) add(1, fc.record({ do: fc.constant(each), timer }));
  add(6, fc.record({ do: fc.constant('advance'), clock, ms: fc.integer({ min: 0, max: 6 }) }));
  add(1, fc.record({ do: fc.constant('set clock'), clock, ms: fc.integer({ min: 0, max: 20 }) }));

  add(3, fc.record({ do: fc.constant('unhandle'), fd }));
  for (const each of ['feed', 'drain'] as const) add(5, fc.record({ do: fc.constant(each), fd }));
  for (const each of ['fill', 'empty'] as const) add(2, fc.record({ do: fc.constant(each), fd }));
  add(4, fc.record({ do: fc.constant('event'), fd }));
  add(1, fc.record({ do: fc.constant('hang up'), fd }));
  add(3, fc.record({ do: fc.constant('close fd'), fd }));
  add(5, fc.record({ do: fc.constant('reopen'), fd }));
  add(2, fc.record({ do: fc.constant('functions'), fd, none: fc.boolean() }));
  add(2, fc.record({ do: fc.constant('params'), ns: fc.constantFrom(1_000_000, 100_000, 0) }));

  for (const each of ['disable', 'enable'] as const) add(2, fc.record({ do: fc.constant(each) }));
  for (const each of ['undo', 'notify', 'pending'] as const) add(1, fc.record({ do: fc.constant(each) }));

  const catches = where === 'top' ? fc.constant(true) : fc.boolean();
  const pass = (name: PassOp, blocking: fc.Arbitrary<boolean>): fc.Arbitrary<Op> =>
    fc.record({ do: fc.constant(name), blocking, catches });
  add(where === 'top' ? 14 : 7, pass('poll', fc.boolean()));
  add(where === 'top' ? 14 : 7, pass('iterate', fc.boolean()));
  add(1, pass('dispatch', fc.constant(false)));
  add(1, pass('bhPoll', fc.constant(false)));
  if (where === 'inside') add(3, fc.record({ do: fc.constant('throw') }));
  kinds.push({ weight: 1, arbitrary: fc.constant({ do: 'close' }) });

  if (depth > 0) {
    add(3, fc.record({ do: fc.constant('oneshot'), script: script(depth - 1, polled) }));
    add(
      where === 'top' ? 14 : 4,
      fc.record({ do: fc.constant('handle'), fd, handler: handler(depth - 1, polled) }),
    );
  }
  return fc.oneof(...kinds);
}

const cache = new Map<string, fc.Arbitrary<Script>>();

function script(depth: number, polled: boolean): fc.Arbitrary<Script> {
  const key = `${String(depth)} ${String(polled)}`;
  const made = cache.get(key) ?? fc.array(operation('inside', depth, polled), { maxLength: 3, size: 'max' });
  cache.set(key, made);
  return made;
}

function handler(depth: number, polled: boolean): fc.Arbitrary<Handler> {
  const inside = script(depth, polled);
  const rare = fc.oneof({ weight: 4, arbitrary: fc.constant<Script>([]) }, { weight: 1, arbitrary: inside });
  const polling = fc.record({ poll: rare, ready: inside, begin: rare, end: rare });
  return fc.record({
    read: fc.option(inside, { freq: 4 }),
    write: fc.option(inside, { freq: 2 }),
    error: fc.option(inside, { freq: 2 }),
    polling: polled ? polling : fc.option(polling, { freq: 2 }),
    external: fc.oneof(
      { weight: 3, arbitrary: fc.constant(false) },
      { weight: 1, arbitrary: fc.constant(true) },
    ),
  });
}

function programsOf(polled: boolean): fc.Arbitrary<Program> {
  const inside = script(1, polled);
  return fc.record({
    params: fc.constant(polled ? 1_000_000 : 0),
    bhs: fc.array(inside, { minLength: bottomHalves, maxLength: bottomHalves }),
    timers: fc.array(inside, { minLength: timers, maxLength: timers }),
    ops: fc.array(operation('top', 2, polled), { minLength: 1, maxLength: 40, size: 'max' }),
  });
}

/** In a third of them poll mode can be entered, which takes handlers that all have a poll function. */
export const programs: fc.Arbitrary<Program> = fc.oneof(
  { weight: 2, arbitrary: programsOf(false) },
  { weight: 1, arbitrary: programsOf(true) },
);

// --- Printing

function showScript(of: Script): string {
  return `[${of.map(showOp).join('; ')}]`;
}

function showHandler({ read, write, error, polling, external }: Handler): string {
  const parts = [
    read && `read ${showScript(read)}`,
    write && `write ${showScript(write)}`,
    error && `error ${showScript(error)}`,
    ...(polling ? Object.entries(polling).map(([name, of]) => `${name} ${showScript(of as Script)}`) : []),
    external && 'external',
  ];
  return `{ ${parts.filter(Boolean).join(', ')} }`;
}

const name = (kind: string, of: number): string => (of === own ? 'own' : `${kind}${String(of)}`);

function showOp(op: Op): string {
  if ('bh' in op) return `${op.do} ${name('b', op.bh)}`;
  if ('script' in op) return `oneshot ${showScript(op.script)}`;
  if ('timer' in op) return `${op.do} ${name('t', op.timer)}${'ms' in op ? ` ${String(op.ms)}` : ''}`;
  if ('clock' in op) return `${op.do} c${String(op.clock)} ${String(op.ms)}`;
  if ('handler' in op) return `handle ${name('fd', op.fd)} ${showHandler(op.handler)}`;
  if ('none' in op) return `functions ${name('fd', op.fd)}${op.none ? ' none' : ''}`;
  if ('fd' in op) return `${op.do} ${name('fd', op.fd)}`;
  if ('ns' in op) return `params ${String(op.ns)}`;
  if ('blocking' in op)
    return `${op.do}${op.blocking ? ' blocking' : ''}${op.catches ? '' : ', which throws on'}`;
  return op.do;
}

/** One operation a line. What the bottom halves and the timers do comes first, of those that do anything. */
export function show(program: Program): string {
  const scripts = (kind: string, of: readonly Script[]): string[] =>
    of.flatMap((each, i) => (each.length > 0 ? `${kind}${String(i)}: ${showScript(each)}` : []));
  const params = program.params > 0 ? [`params ${String(program.params)}`] : [];
  return [
    ...params,
    ...scripts('b', program.bhs),
    ...scripts('t', program.timers),
    ...program.ops.map(showOp),
  ].join('\n');
}
