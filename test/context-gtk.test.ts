// Windows of GTK 3 and GTK 4, driven by GTK's own main loop, with a context beside them.
import assert from 'node:assert/strict';

import { scriptLines, type ScriptKind } from './helpers.js';

/** What a script of either version has: a window that counts its frames, \`run()\` and \`quit()\`. */
const windows: Record<'GTK 3' | 'GTK 4', string> = {
  'GTK 3': `
    const gi = require('node-gtk'); const GLib = gi.require('GLib', '2.0'); const Gtk = gi.require('Gtk', '3.0');
    Gtk.init([]);
    const window = new Gtk.Window({ type: Gtk.WindowType.TOPLEVEL });
    const area = new Gtk.DrawingArea(); let frames = 0;
    area.on('draw', () => { frames++; return false; });
    window.setDefaultSize(200, 100); window.add(area); window.showAll();
    const run = () => Gtk.main(); const quit = () => { window.destroy(); Gtk.mainQuit(); };`,
  'GTK 4': `
    const gi = require('node-gtk'); const GLib = gi.require('GLib', '2.0'); const Gtk = gi.require('Gtk', '4.0');
    Gtk.init();
    const window = new Gtk.Window(); const loop = GLib.MainLoop.new(null, false);
    const area = new Gtk.DrawingArea(); let frames = 0;
    area.setDrawFunc(() => { frames++; });
    window.setDefaultSize(200, 100); window.setChild(area); window.present();
    const run = () => loop.run(); const quit = () => { window.destroy(); loop.quit(); };`,
};

const attached = `
  const ctx = new aio.AioContext();
  ctx.attach(GLib.MainContext.default(), { priority: aio.Priority.belowRedraw });`;

describe('GTK', function () {
  this.timeout(30_000);

  for (const [version, window] of Object.entries(windows)) {
    for (const kind of ['cjs', 'esm'] as readonly ScriptKind[])
      it(`${version}: a window is shown while every kind of callback runs (${kind})`, async () => {
        const lines = await scriptLines(
          kind,
          `${window} ${attached}
          const ends = fds.pipe(); let ticks = 0, text = '';
          ctx.setFdHandler(ends.read, { read(fd) { const b = Buffer.alloc(9); text += b.toString('latin1', 0, fds.tryRead(fd, b)); } });
          const bh = ctx.bh(() => { area.queueDraw(); fds.tryWrite(ends.write, Buffer.from('x')); });
          const timer = ctx.timer(aio.Clock.realtime, async () => {
            ticks++; bh.schedule();
            await ctx.sleep(1);
            if (ticks >= 10 && frames >= 2 && text.length > 1 && window.getMapped()) {
              timer.close(); ctx.close(); quit(); console.log('mapped, drawn, quit');
              setImmediate(() => process.exit(0));
            }
          });
          timer.every(10);
          run();`,
          { display: true, timeout: 20_000 },
        );

        assert.deepEqual(lines, ['mapped, drawn, quit']);
      });

    it(`${version}: an iteration of ours keeps the window alive, a poll does not touch it`, async () => {
      const lines = await scriptLines(
        'cjs',
        `${window} ${attached}
        const main = aio.MainContext.default();
        const until = (condition, drive) => { const end = performance.now() + 10_000;
          while (!condition()) { if (performance.now() > end) throw new Error('too long'); drive(); } };
        const ticker = ctx.timer(aio.Clock.realtime, () => area.queueDraw()); ticker.every(5);
        until(() => frames >= 2 && window.getMapped(), () => main.iteration(true));
        console.log('mapped');
        const before = frames; let polls = 0;
        until(() => polls >= 10, () => { ctx.poll(true); polls++; });
        console.log(frames === before ? 'still' : 'moved');
        until(() => frames > before, () => main.iteration(true));
        console.log('moved on');
        ctx.close(); window.destroy(); process.exit(0);`,
        { display: true, timeout: 20_000 },
      );

      assert.deepEqual(lines, ['mapped', 'still', 'moved on']);
    });

    it(`${version}: below redraw a source that is always ready lets the window draw`, async () => {
      const lines = await scriptLines(
        'cjs',
        `${window} ${attached}
        let runs = 0;
        const storm = ctx.bh(() => { runs++; area.queueDraw(); storm.schedule(); });
        const start = performance.now();
        ctx.timer(aio.Clock.realtime, () => {
          const rate = frames / (performance.now() - start) * 1000;
          console.log(rate >= 20 ? 'drawn' : 'only ' + rate + ' frames a second', runs > 100 ? 'busy' : runs);
          ctx.close(); quit(); setImmediate(() => process.exit(0));
        }).after(700);
        storm.schedule();
        run();`,
        { display: true, timeout: 20_000 },
      );

      assert.deepEqual(lines, ['drawn busy']);
    });
  }

  it('GTK 4: an idle context beside a window causes no iteration of its own', async () => {
    const lines = await scriptLines(
      'cjs',
      `${windows['GTK 4']} ${attached}
      const { read } = fds.pipe();
      ctx.setFdHandler(read, { read() {} });
      GLib.timeoutAdd(0, 300, () => {
        const { emptyIterations, dispatches, eventfdWrites } = ctx.stats();
        console.log(emptyIterations, dispatches, eventfdWrites);
        ctx.close(); quit(); setImmediate(() => process.exit(0)); return false;
      });
      run();`,
      { display: true, timeout: 20_000 },
    );

    assert.deepEqual(lines, ['0 0 0']);
  });
});
