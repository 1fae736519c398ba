/** For idle.ts: a window of GTK 4 with nothing to draw, as it is or with a context that has 1,000 quiet handlers. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

import { printSample } from './measure.js';

/** What is used of node-gtk, which has no declarations. */
interface Gtk {
  init(): void;
  readonly Window: new () => {
    setDefaultSize(width: number, height: number): void;
    present(): void;
    getMapped(): boolean;
  };
}
interface GLib {
  readonly PRIORITY_DEFAULT: number;
  timeoutAdd(priority: number, ms: number, callback: () => boolean): number;
  readonly MainLoop: { new: (context: null, running: boolean) => { run(): void } };
}
interface Gi {
  require(name: 'GLib', version: '2.0'): GLib;
  require(name: 'Gtk', version: '4.0'): Gtk;
}

const [, , subject = ''] = process.argv;
const rounds = 7;
/** In which the window is shown, and what is compiled late is compiled. */
const warmUpMs = 5000;
const roundMs = 10_000;
const handlers = 1000;

const gi = createRequire(import.meta.url)('node-gtk') as Gi;
const glib = gi.require('GLib', '2.0');
const gtk = gi.require('Gtk', '4.0');

/** Attaches a context, which nobody wakes; returns how many waits it has kept from waiting so far. */
async function attach(): Promise<() => number> {
  const { AioContext, EventNotifier, Priority } = await import('aio-gsource');
  const context = new AioContext({ name: 'bench' }).attach(null, { priority: Priority.belowRedraw });
  for (let i = 0; i < handlers; i++)
    context.setEventNotifier(new EventNotifier(), { read: () => assert.fail('a handler is not quiet') });
  return () => {
    const { emptyIterations, zeroWaits, prepares } = context.stats();
    assert(prepares > 0, 'the context is not driven');
    return emptyIterations + zeroWaits;
  };
}

gtk.init();
const window = new gtk.Window();
window.setDefaultSize(600, 400);
window.present();
const countWaits = subject === 'ours' ? await attach() : undefined;

let cpu = process.cpuUsage();
let waits = 0;
function begin(): void {
  waits = countWaits?.() ?? 0;
  cpu = process.cpuUsage();
}
function end(): void {
  const { user, system } = process.cpuUsage(cpu);
  printSample('CPU time in 10 s', subject, (user + system) * 1000);
  if (countWaits) printSample('waits of no length', subject, countWaits() - waits);
}

let round = 0;
glib.timeoutAdd(glib.PRIORITY_DEFAULT, warmUpMs, () => {
  begin();
  glib.timeoutAdd(glib.PRIORITY_DEFAULT, roundMs, () => {
    end();
    assert(window.getMapped(), 'there is no window');
    if (++round === rounds) process.exit();
    begin();
    return true;
  });
  return false;
});
glib.MainLoop.new(null, false).run();
