import type { Figures } from './figures.js';
import { Gdk, Gtk, type Button, type Label, type Widget, type Window } from './gtk.js';
import type { Stream } from './command.js';
import { List } from './list.js';
import { Plot } from './plot.js';
import { shortNumber } from './scale.js';
import type { Table } from './table.js';

export type Action = 'poll' | 'iteration' | 'stop';

const alignCentre = 3; // GTK_ALIGN_CENTER
const ellipsizeEnd = 3; // PANGO_ELLIPSIZE_END

const css = `
.watch-list { padding: 6px 0; }
.watch-list textview { font-size: 9.5pt; }
.watch-strip { padding: 7px 14px; font-size: 9pt; border-top: 1px solid alpha(currentColor, 0.15); }
.watch-name { opacity: 0.6; }
.watch-titles { margin: 0 10px; }
.watch-title { font-weight: bold; }
.watch-state { font-size: 8.5pt; opacity: 0.65; }
`;

export interface WatchWindowOptions {
  title: string;
  table: Table;
  onAction: (action: Action) => void;
  onClose: () => void;
  onDrawn: () => void;
}

/** The window: header bar, plot, list of lines, strip of figures. It holds what is shown, and decides nothing. */
export class WatchWindow {
  readonly #window: Window;
  readonly #plotArea = new Gtk.DrawingArea({ hexpand: true, vexpand: true, heightRequest: 140 });
  readonly #list = new List();
  readonly #state: Label;
  readonly #message: Label;
  readonly #figures: Record<'rate' | 'latency' | 'writes', Label>;
  readonly #buttons: Record<Action, Button>;

  constructor({ title, table, onAction, onClose, onDrawn }: WatchWindowOptions) {
    addStyle();
    this.#window = new Gtk.Window({ title, defaultWidth: 940, defaultHeight: 680 });
    const plot = new Plot(table);
    this.#plotArea.setDrawFunc((area, cairo, width, height) => {
      plot.draw(area, cairo, width, height);
      onDrawn();
    });
    this.#window.on('close-request', () => {
      onClose();
      return true;
    });

    const button = (action: Action, text: string, tip: string): Button => {
      const made = new Gtk.Button({ label: text });
      made.setTooltipText(tip);
      made.on('clicked', () => {
        onAction(action);
      });
      return made;
    };
    this.#buttons = {
      poll: button('poll', 'Wait in poll()', 'Waits for a second in ctx.poll(true): the window stands still'),
      iteration: button(
        'iteration',
        'Wait in iteration()',
        'Waits for a second in MainContext.iteration(true): the window lives on',
      ),
      stop: button('stop', 'Stop', 'Sends SIGTERM to the command'),
    };
    this.#buttons.stop.addCssClass('destructive-action');
    this.#state = label('', 'watch-state', { xalign: 0.5 });
    this.#message = label('', 'watch-message', { hexpand: true, xalign: 1, ellipsize: ellipsizeEnd });
    this.#figures = { rate: figure(7), latency: figure(9), writes: figure(6) };
    this.#compose(title);
  }

  get frames(): number {
    return Number(this.#window.getFrameClock()?.getFrameCounter() ?? 0);
  }

  present(): void {
    this.#window.present();
  }

  addLines(stream: Stream, lines: readonly string[]): void {
    this.#list.add(stream, lines);
  }

  showState(state: string): void {
    this.#state.setText(state);
  }

  showMessage(message: string): void {
    this.#message.setText(message);
  }

  showFigures({ callbacksPerSecond, latency99, eventfdWrites }: Figures): void {
    const rate = callbacksPerSecond < 100 ? callbacksPerSecond.toFixed(1) : shortNumber(callbacksPerSecond);
    this.#figures.rate.setText(rate);
    this.#figures.latency.setText(`${latency99.toFixed(latency99 < 10 ? 2 : 0)} ms`);
    this.#figures.writes.setText(shortNumber(eventfdWrites));
  }

  /** The lines that came since, and the plot with the next frame. */
  update(): void {
    this.#list.update();
    this.#plotArea.queueDraw();
  }

  setWaiting(isWaiting: boolean): void {
    this.#buttons.poll.setSensitive(!isWaiting);
    this.#buttons.iteration.setSensitive(!isWaiting);
  }

  setStopLabel(text: string, tip: string): void {
    this.#buttons.stop.setLabel(text);
    this.#buttons.stop.setTooltipText(tip);
  }

  disableStop(): void {
    this.#buttons.stop.setSensitive(false);
  }

  /** Writes what the window shows to a PNG file; it must have been drawn. */
  saveToPng(file: string): boolean {
    const paintable = Gtk.WidgetPaintable.new(this.#window);
    const snapshot = Gtk.Snapshot.new();
    paintable.snapshot(snapshot, paintable.getIntrinsicWidth(), paintable.getIntrinsicHeight());
    const node = snapshot.toNode();
    const renderer = this.#window.getNative()?.getRenderer();
    if (!node || !renderer) return false;
    return renderer.renderTexture(node, null).saveToPng(file);
  }

  destroy(): void {
    this.#window.destroy();
  }

  #compose(title: string): void {
    const titles = column(label(title, 'watch-title', { xalign: 0.5, ellipsize: ellipsizeEnd }), this.#state);
    titles.setValign(alignCentre);
    titles.addCssClass('watch-titles');
    const header = new Gtk.HeaderBar();
    header.setTitleWidget(titles);
    header.packStart(this.#buttons.poll);
    header.packStart(this.#buttons.iteration);
    header.packEnd(this.#buttons.stop);
    this.#window.setTitlebar(header);

    const paned = new Gtk.Paned({
      orientation: Gtk.Orientation.VERTICAL,
      shrinkStartChild: false,
      shrinkEndChild: false,
      resizeEndChild: false,
    });
    paned.setStartChild(this.#plotArea);
    paned.setEndChild(this.#list.widget);
    paned.setPosition(430);

    const strip = new Gtk.Box({ spacing: 6 });
    strip.addCssClass('watch-strip');
    const pairs = [
      [this.#figures.rate, 'callbacks/s'],
      [this.#figures.latency, 'schedule to run (99 %)'],
      [this.#figures.writes, 'eventfd writes'],
    ] as const;
    for (const [value, name] of pairs) {
      strip.append(label(name, 'watch-name'));
      strip.append(value);
    }
    strip.append(this.#message);

    this.#window.setChild(column(paned, strip));
  }
}

function column(...children: Widget[]): Widget {
  const box = new Gtk.Box({ orientation: Gtk.Orientation.VERTICAL });
  for (const child of children) box.append(child);
  return box;
}

function label(
  text: string,
  cssClass: string,
  properties: Record<string, string | number | boolean> = {},
): Label {
  const made = new Gtk.Label({ label: text, xalign: 0, ...properties });
  made.addCssClass(cssClass);
  return made;
}

/** A figure of a fixed width: what is beside it must not move as it changes. */
function figure(widthChars: number): Label {
  return new Gtk.Label({ xalign: 0, widthChars });
}

function addStyle(): void {
  const settings = Gtk.Settings.getDefault();
  // An animation goes on drawing for some time after the change that it shows.
  if (settings) settings.gtkEnableAnimations = false;
  const provider = Gtk.CssProvider.new();
  provider.loadFromData(css, -1);
  const display = Gdk.Display.getDefault();
  if (display) Gtk.StyleContext.addProviderForDisplay(display, provider, 600);
}
