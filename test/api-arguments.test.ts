import assert from 'node:assert/strict';
import { inspect } from 'node:util';

import * as aio from 'aio-gsource';
import * as fds from 'aio-gsource/fds';
import * as internals from 'aio-gsource/internals';

import { type Entry, Subjects, table } from './api-table.js';
import { closedError } from './helpers.js';

interface Closable {
  close(): void;
}
type Class = (new (...args: never[]) => object) & { prototype: object };

/** What assert.throws() takes. */
type Failure = Error | { name: string; code: string } | typeof TypeError;

const symbols = new Map<symbol, string>([
  [Symbol.dispose, 'dispose'],
  [Symbol.asyncDispose, 'asyncDispose'],
]);
const modules: Readonly<Record<string, object>> = { aio, fds, internals };
const isClass = (value: unknown): value is Class =>
  typeof value === 'function' && /^class\b/.test(String(value));

/** A PropertyDescriptor, of which the functions are only looked at, or called with a receiver. */
interface Descriptor {
  get?: unknown;
  set?: unknown;
  value?: unknown;
}

function descriptorsOf(object: object): [name: string, descriptor: Descriptor][] {
  return Reflect.ownKeys(object).flatMap((key) => {
    const name = typeof key === 'symbol' ? symbols.get(key) : key;
    return name === undefined ? [] : [[name, Object.getOwnPropertyDescriptor(object, key) as Descriptor]];
  });
}

/** The name, in the table, of every function that the package exports. */
function publicNames(): Set<string> {
  const names = new Set<string>();
  for (const [moduleName, module] of Object.entries(modules))
    for (const [exported, value] of Object.entries(module)) {
      if (!isClass(value)) {
        if (typeof value === 'function') names.add(`${moduleName}.${exported}`);
        continue;
      }
      names.add(`new ${exported}`);
      for (const [name, { get, value: own }] of descriptorsOf(value))
        if (get !== undefined || typeof own === 'function') names.add(`${exported}.${name}`);
      for (const [name, { get, set, value: own }] of descriptorsOf(value.prototype)) {
        if (get !== undefined || (typeof own === 'function' && own !== value))
          names.add(`${exported}#${name}`);
        if (set) names.add(`${exported}#${name}=`);
      }
    }
  return names;
}

/** Reflect.apply(), whose declaration gives `any`. */
function apply(method: unknown, receiver: unknown, args: readonly unknown[]): unknown {
  return Function.prototype.apply.call(method as () => unknown, receiver, args) as unknown;
}

/** The function that a name of the table stands for, called on a receiver. */
function lookUp(name: string): (receiver: unknown, args: readonly unknown[]) => unknown {
  const classes = aio as unknown as Readonly<Record<string, Class>>;
  const construct = /^new (\w+)$/.exec(name)?.[1];
  if (construct) return (_, args) => new (classes[construct] as new (...args: unknown[]) => object)(...args);

  const [, owner = '', kind, key = '', setter] = /^(\w+)([.#])(\w+)(=)?$/.exec(name) ?? [];
  if (kind === '.') {
    const holder = (modules[owner] ?? classes[owner]) as Readonly<Record<string, unknown>>;
    return (_, args) => {
      const value = holder[key];
      return typeof value === 'function' ? apply(value, holder, args) : value;
    };
  }
  const [, descriptor] = descriptorsOf(classes[owner]?.prototype ?? {}).find(([each]) => each === key) ?? [];
  const method = setter ? descriptor?.set : (descriptor?.get ?? descriptor?.value);
  return (receiver, args) => apply(method, receiver, args);
}

function summary(wrong: unknown): string {
  const { actual, message } = wrong as { actual?: unknown; message: string };
  return inspect(actual ?? message, { depth: 0 }).slice(0, 120);
}

/** What a call did instead of throwing as it should. */
function wrongThrow(call: () => unknown, error: Failure): string | undefined {
  try {
    assert.throws(call, error);
    return undefined;
  } catch (wrong) {
    return summary(wrong);
  }
}

async function wrongRejection(call: () => unknown, error: Failure): Promise<string | undefined> {
  try {
    await assert.rejects(Promise.resolve(call()), error);
    return undefined;
  } catch (wrong) {
    return summary(wrong);
  }
}

function goodArguments(entry: Entry, subjects: Subjects): unknown[] {
  return (entry.args ?? []).map(({ good }) => good(subjects));
}

/** Frees what a good call has made. */
function discard(name: string, result: unknown): void {
  if (name === 'fds.pipe' || name === 'fds.openPty') {
    for (const fd of Object.values(result as object)) if (typeof fd === 'number') fds.closeFd(fd);
  } else if (name === 'fds.socketPair') {
    for (const fd of result as number[]) fds.closeFd(fd);
  } else if (name !== 'AioContext.current' && name !== 'MainContext.default') {
    (result as Partial<Disposable> | undefined)?.[Symbol.dispose]?.();
    if (result instanceof Promise) result.catch(() => undefined);
  }
}

describe('Bad arguments', () => {
  it('the table has every public function, and nothing else', () => {
    const names = publicNames();

    assert.deepEqual(
      [...names].filter((name) => !Object.hasOwn(table, name)),
      [],
      'not in api-table.ts',
    );
    assert.deepEqual(
      Object.keys(table).filter((name) => !names.has(name)),
      [],
      'not exported',
    );
  });

  for (const [name, entry] of Object.entries(table)) {
    const call = lookUp(name);

    for (const [index, argument] of (entry.args ?? []).entries())
      it(`${name}: argument ${String(index + 1)} has ${String(argument.bad.length)} bad values`, async () => {
        using subjects = new Subjects();
        const receiver = entry.of?.(subjects);
        const failures: string[] = [];
        for (const [value, error] of argument.bad) {
          const args = goodArguments(entry, subjects);
          args[index] = value;
          const attempt = (): unknown => call(receiver, args);
          const wrong = entry.rejects ? await wrongRejection(attempt, error) : wrongThrow(attempt, error);
          if (wrong) failures.push(`${inspect(value, { depth: 1 })}: ${wrong}`);
        }

        assert.deepEqual(failures, []);
        assert.equal(subjects.ctx.poll(false), false, 'nothing was armed by a call that failed');
        if (!name.includes('BottomHalf') && !/^new (Timer|Clock|ManualClock)/.test(name))
          discard(name, call(receiver, goodArguments(entry, subjects)));
      });

    if (entry.of)
      it(`${name}: a foreign receiver`, async () => {
        using subjects = new Subjects();
        const good = entry.of?.(subjects) ?? {};
        const foreign: unknown[] = [
          ...[undefined, null, 0, 'x', 1n, true, Symbol('bad'), {}, [], () => undefined],
          ...[Object.create(good) as object, new Proxy(good, {}), Object.getPrototypeOf(good) as object],
          ...[subjects.ctx, subjects.bh, subjects.timer, subjects.notifier, subjects.main].filter(
            (each) => each !== good,
          ),
          ...(name.startsWith('ManualClock') ? [aio.Clock.realtime] : []),
        ];
        const failures: string[] = [];
        for (const receiver of foreign) {
          if (entry.alias && typeof (receiver as Partial<Closable> | undefined)?.close === 'function')
            continue;
          const error = entry.alias ? TypeError : { name: 'TypeError', code: 'ERR_INVALID_THIS' };
          const args = goodArguments(entry, subjects);
          const attempt = (): unknown => call(receiver, args);
          const wrong = entry.rejects ? await wrongRejection(attempt, error) : wrongThrow(attempt, error);
          if (wrong) failures.push(`${inspect(receiver, { depth: 0 })}: ${wrong}`);
        }

        assert.deepEqual(failures, []);
      });

    if (entry.closed)
      it(`${name}: on what is closed`, async () => {
        using subjects = new Subjects();
        const args = goodArguments(entry, subjects);
        const receiver = entry.of?.(subjects);
        subjects.close();

        if (entry.closed === 'rejects')
          await assert.rejects(Promise.resolve(call(receiver, args)), closedError);
        else if (entry.closed === 'throws') assert.throws(() => call(receiver, args), closedError);
        else discard(name, call(receiver, args));
      });
  }

  it('a constructor is not called without new', () => {
    for (const [name, value] of Object.entries(aio))
      if (isClass(value)) assert.throws(() => apply(value, undefined, []), TypeError, name);
  });

  it('a function whose name is no text has none', () => {
    using ctx = new aio.AioContext();
    for (const value of [Symbol('name'), 5, {}, null, '']) {
      const callback = Object.defineProperty(() => undefined, 'name', { value });
      assert.equal(ctx.bh(callback).name, '(anonymous)');
    }
    let looks = 0;
    const callback = Object.defineProperty(() => undefined, 'name', {
      get: () => (looks++ ? Symbol('another') : 'first'),
    });
    assert.equal(ctx.bh(callback).name, 'first');
  });

  it('a function is called whatever properties it has', () => {
    using ctx = new aio.AioContext();
    const calls: unknown[] = [];
    const [plain, own, bare] = ['plain', 'own', 'bare'].map((name) => () => void calls.push(name)) as [
      ...(() => void)[],
    ] as [() => void, () => void, () => void];
    Object.assign(own, { call: () => assert.fail('call'), apply: () => assert.fail('apply') });
    Object.setPrototypeOf(bare, null);

    for (const callback of [plain, own, bare]) {
      ctx.scheduleOneshot(callback);
      ctx.bh(callback).call();
      ctx.poll(false);
    }

    assert.deepEqual(calls, ['plain', 'plain', 'own', 'own', 'bare', 'bare']);
  });

  it('the message for a bigint that is too large is short, and soon there', () => {
    using ctx = new aio.AioContext();
    const timer = ctx.timer(aio.Clock.realtime, () => undefined);
    const huge = 1n << 100_000n;
    for (const value of [huge, -huge, 2n ** 64n])
      for (const call of [
        () => {
          timer.modNs(value);
        },
        () => {
          timer.after(value);
        },
        () => ctx.poll(value as never),
      ])
        assert.throws(call, ({ message }: Error) => message.length < 200 && !/\d{70}/.test(message));
    assert.throws(() => {
      timer.modNs(2n ** 64n);
    }, /Received 18446744073709551616n$/);
  });
});
