// A plain node-gtk script, in CommonJS: a window that counts down and closes. GTK's loop runs, and promises, timers
// and bottom halves go on in it. Run it: npm run build && node examples/script.cjs
const gi = require('node-gtk');
const { AioContext, Clock, Priority } = require('aio-gsource');

const GLib = gi.require('GLib', '2.0');
const Gtk = gi.require('Gtk', '4.0');

const ctx = new AioContext({ name: 'script' });
// node-gtk's own GMainContext will do; below the redraw the window is drawn whatever there is to do.
ctx.attach(GLib.MainContext.default(), { priority: Priority.belowRedraw });

Gtk.init();
const loop = GLib.MainLoop.new(null, false);
const label = new Gtk.Label({ label: '…' });
const window = new Gtk.Window({ title: 'Countdown', defaultWidth: 240, defaultHeight: 120, child: label });
window.on('close-request', () => {
  loop.quit();
  return false;
});

let ticks = 0;
const ticker = ctx.timer(Clock.realtime, () => ticks++);

async function countDown() {
  for (let count = 3; count > 0; count--) {
    label.setText(String(count));
    console.log(`${count} …`);
    await ctx.sleep(100);
  }
  ticker.close();
  console.log(`closing the window after ${ticks} ticks of a timer`);
  window.close();
}

window.present();
ticker.every(50);
ctx.scheduleOneshot(countDown);
loop.run();

ctx.close();
console.log('the loop has ended');
