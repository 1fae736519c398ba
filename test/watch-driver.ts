// Runs the demonstration as a user would: node watch-driver.js ACTION... -- ARGUMENT OF THE DEMONSTRATION...
// One action is done every 0.4 seconds from when the window shows the command's state. An action is the label of a
// button, `close` (the window), `say CLASS` (prints the text of the label of that CSS class) or `-` (nothing).
import { createRequire } from 'node:module';

interface Widget {
  getFirstChild(): Widget | null;
  getNextSibling(): Widget | null;
  hasCssClass(name: string): boolean;
  getLabel?(): string;
  emit(signal: string): void;
  close?(): void;
}

interface NodeGtk {
  require(
    name: 'GLib',
    version: '2.0',
  ): {
    timeoutAdd(priority: number, ms: number, callback: () => boolean): number;
  };
  require(name: 'Gtk', version: '4.0'): { Window: { listToplevels(): Widget[] } };
}

const gi = createRequire(import.meta.url)('node-gtk') as NodeGtk;
const GLib = gi.require('GLib', '2.0');
const Gtk = gi.require('Gtk', '4.0');

const end = process.argv.indexOf('--');
const actions = process.argv.slice(2, end);
process.argv.splice(2, end - 1);

function* widgets(parent?: Widget): Generator<Widget> {
  if (parent) yield parent;
  else for (const window of Gtk.Window.listToplevels()) yield* widgets(window);
  for (let child = parent?.getFirstChild(); child; child = child.getNextSibling()) yield* widgets(child);
}

function find(what: string, condition: (widget: Widget) => boolean): Widget {
  for (const widget of widgets()) if (condition(widget)) return widget;
  throw new Error(`the window has no ${what}`);
}

function labelOf(cssClass: string): string {
  return find(`label ${cssClass}`, (widget) => widget.hasCssClass(cssClass)).getLabel?.() ?? '';
}

function act(action: string): void {
  if (action === '-') return;
  if (action === 'close') Gtk.Window.listToplevels()[0]?.close?.();
  else if (action.startsWith('say ')) console.log(labelOf(action.slice(4)));
  else find(`button ${action}`, (widget) => widget.getLabel?.() === action).emit('clicked');
}

// A source of its own for each action: one may wait in a nested loop while the next one is due.
GLib.timeoutAdd(0, 50, () => {
  if (labelOf('watch-state') === '') return true;
  actions.forEach((action, index) => {
    GLib.timeoutAdd(0, (index + 1) * 400, () => {
      act(action);
      return false;
    });
  });
  return false;
});
await import('../examples/watch.js');
