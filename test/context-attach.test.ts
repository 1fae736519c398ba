import assert from 'node:assert/strict';

import { AioContext, MainContext, Priority } from 'aio-gsource';

import { aioError, scriptLines } from './helpers.js';

const attached = aioError('ERR_AIO_ATTACHED');
const detached = aioError('ERR_AIO_DETACHED');

describe('AioContext: attach and detach', () => {
  it('attach gives the context, and GLib drives it', () => {
    using ctx = new AioContext();
    const main = new MainContext();
    let runs = 0;

    assert.equal(ctx.attach(main), ctx);
    assert.equal(ctx.attached, true);
    ctx.scheduleOneshot(() => runs++);
    assert.equal(main.pending(), true);
    assert.equal(main.iteration(false), true);

    assert.equal(runs, 1);
    assert.equal(main.pending(), false);
    assert.equal(main.iteration(false), false);
  });

  for (const given of ['nothing', 'null', 'undefined', 'MainContext.default()'] as const)
    it(`attaches to the global default with ${given}`, () => {
      using ctx = new AioContext();
      if (given === 'nothing') ctx.attach();
      else ctx.attach(given === 'null' ? null : given === 'undefined' ? undefined : MainContext.default());
      let runs = 0;

      ctx.scheduleOneshot(() => runs++);
      MainContext.default().iteration(false);

      assert.equal(runs, 1);
    });

  it('detach is final, poll keeps working', () => {
    using ctx = new AioContext();
    const main = new MainContext();
    let runs = 0;
    ctx.attach(main);

    ctx.detach();
    ctx.detach();
    assert.equal(ctx.attached, false);
    ctx.scheduleOneshot(() => runs++);
    assert.equal(main.iteration(false), false);
    assert.equal(runs, 0);
    assert.equal(ctx.poll(false), true);
    assert.equal(runs, 1);

    assert.throws(() => ctx.attach(main), detached);
    assert.throws(() => ctx.attach(), detached);
  });

  it('a second attach is an error', () => {
    using ctx = new AioContext();
    const main = new MainContext();
    ctx.attach(main);

    assert.throws(() => ctx.attach(main), attached);
    assert.throws(() => ctx.attach(new MainContext()), attached);
    assert.throws(() => ctx.attach(), attached);
    assert.equal(ctx.attached, true);
  });

  it('detach before any attach is final as well', () => {
    using ctx = new AioContext();

    ctx.detach();

    assert.throws(() => ctx.attach(new MainContext()), detached);
  });

  it('detached inside each kind of callback: what is pending is not lost', () => {
    using ctx = new AioContext();
    const main = new MainContext();
    const order: string[] = [];
    ctx.attach(main);

    ctx.scheduleOneshot(() => {
      ctx.detach();
      order.push('detached');
      ctx.scheduleOneshot(() => order.push('later'));
    });
    main.iteration(false);
    main.iteration(false);
    assert.deepEqual(order, ['detached']);
    ctx.poll(false);

    assert.deepEqual(order, ['detached', 'later']);
  });

  it('the priority decides who runs first', () => {
    const main = new MainContext();
    const order: string[] = [];
    const contexts = (['idle', 'default', 'high', 'belowRedraw', 'redraw', 'highIdle'] as const).map(
      (name) => {
        const ctx = new AioContext();
        ctx.attach(main, { priority: Priority[name] });
        ctx.scheduleOneshot(() => order.push(name));
        return ctx;
      },
    );

    while (main.iteration(false));

    assert.deepEqual(order, ['high', 'default', 'highIdle', 'redraw', 'belowRedraw', 'idle']);
    for (const ctx of contexts) ctx.close();
  });

  it('Priority has the values of GLib and GDK', () => {
    assert.deepEqual(
      { ...Priority },
      {
        high: -100,
        default: 0,
        highIdle: 100,
        redraw: 120,
        belowRedraw: 130,
        idle: 200,
      },
    );
  });

  it('E14: destroyed while handlers remain', () => {
    using ctx = new AioContext();
    const main = new MainContext();
    ctx.attach(main);
    ctx.setFdHandler(1, { write: () => undefined });
    main.iteration(false);

    ctx.detach();
    ctx.setFdHandler(1, null);
    main.iteration(false);
  });

  describe("node-gtk's GLib.MainContext", () => {
    it('is taken, default or own, and driven by it', async () => {
      const lines = await scriptLines(
        'cjs',
        `const gi = require('node-gtk'); const GLib = gi.require('GLib', '2.0');
        const own = GLib.MainContext.new();
        for (const [name, main] of [['own', own], ['default', GLib.MainContext.default()]]) {
          const ctx = new aio.AioContext();
          console.log(name, ctx.attach(main) === ctx, ctx.attached);
          ctx.scheduleOneshot(() => console.log('ran'));
          main.iteration(false);
          let fired = false;
          ctx.timer(aio.Clock.realtime, () => { fired = true; }).after(5);
          while (!fired) main.iteration(true);
          console.log('fired');
          ctx.close();
        }`,
      );

      assert.deepEqual(lines, ['own true true', 'ran', 'fired', 'default true true', 'ran', 'fired']);
    });

    it('is the same as ours: a source of one is driven by the other', async () => {
      const lines = await scriptLines(
        'esm',
        `const gi = require('node-gtk'); const GLib = gi.require('GLib', '2.0');
        const ctx = new aio.AioContext();
        ctx.attach(GLib.MainContext.default());
        ctx.scheduleOneshot(() => console.log('by ours'));
        aio.MainContext.default().iteration(false);
        ctx.scheduleOneshot(() => console.log('by theirs'));
        GLib.MainContext.default().iteration(false);
        ctx.close();`,
      );

      assert.deepEqual(lines, ['by ours', 'by theirs']);
    });

    it('garbage is an error, with node-gtk loaded', async () => {
      const lines = await scriptLines(
        'cjs',
        `const gi = require('node-gtk'); const GLib = gi.require('GLib', '2.0'); const Gio = gi.require('Gio', '2.0');
        const main = GLib.MainContext.default();
        const throwing = new Proxy({}, { get() { throw new Error('trap'); }, getPrototypeOf() { throw new Error('trap'); },
          has() { throw new Error('trap'); }, ownKeys() { throw new Error('trap'); } });
        const garbage = {
          object: {}, number: 42, string: 'GMainContext', symbol: Symbol('x'), bigint: 1n, boolean: true, function() {},
          structural: { iteration() {}, pending() {} }, array: [], date: new Date(), proxy: new Proxy(main, {}), throwing,
          class: GLib.MainContext, prototype: GLib.MainContext.prototype, created: Object.create(GLib.MainContext.prototype),
          inherits: Object.create(main), context: new aio.AioContext(),
          mainLoop: GLib.MainLoop.new(null, false), source: GLib.timeoutSourceNew(10), bytes: GLib.Bytes.new(Buffer.from('x')),
          disguised: Object.setPrototypeOf(GLib.Bytes.new(Buffer.from('x')), GLib.MainContext.prototype),
          typed: { __gtype__: gi.getGType(main) },
          cancellable: new Gio.Cancellable(), file: Gio.File.newForPath('/'),
        };
        for (const [name, value] of Object.entries(garbage)) {
          const ctx = new aio.AioContext();
          try { ctx.attach(value); console.log(name, 'was taken'); }
          catch (error) { if (!(error instanceof TypeError) || error.code !== 'ERR_INVALID_ARG_TYPE') console.log(name, error); }
          if (ctx.attached) console.log(name, 'attached');
          ctx.attach(main);
          ctx.close();
        }
        console.log('done');`,
      );

      assert.deepEqual(lines, ['done']);
    });
  });

  it('garbage is an error without node-gtk', () => {
    const throwing = new Proxy(
      {},
      {
        get: () => {
          throw new Error('trap');
        },
        getPrototypeOf: () => {
          throw new Error('trap');
        },
      },
    );
    using context = new AioContext();
    const prototype: object = MainContext.prototype;
    const garbage: unknown[] = [
      ...[{}, [], 42, 'x', Symbol('x'), 1n, true, () => undefined, new Date(), throwing, context],
      ...[
        { iteration: () => true, pending: () => true },
        Object.create(prototype) as object,
        prototype,
        MainContext,
      ],
      ...[new Proxy(new MainContext(), {}), Object.create(new MainContext()) as object],
    ];
    for (const value of garbage) {
      using ctx = new AioContext();
      assert.throws(() => ctx.attach(value as never), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
      assert.equal(ctx.attached, false);
      ctx.attach(new MainContext());
    }
  });
});
