import { stripVTControlCharacters } from 'node:util';
import type { Stream } from './command.js';
import { Gtk, type ScrolledWindow, type TextBuffer, type TextTag } from './gtk.js';

/** The most lines that the list keeps. */
const mostLines = 500;
const longestLine = 300;
/** Pixels, less than one step of a mouse wheel. */
const nearEnd = 8;
const capturePhase = 1; // GTK_PHASE_CAPTURE
const scrollBothAxes = 3; // GTK_EVENT_CONTROLLER_SCROLL_BOTH_AXES

/** The latest lines, in a text view that follows its end until the user scrolls it, and again when it is back there. */
export class List {
  readonly widget: ScrolledWindow = new Gtk.ScrolledWindow({
    vexpand: true,
    heightRequest: 90,
    overlayScrolling: false,
  });
  readonly #view = new Gtk.TextView({
    editable: false,
    cursorVisible: false,
    monospace: true,
    leftMargin: 14,
    rightMargin: 14,
  });
  readonly #buffer: TextBuffer = this.#view.getBuffer();
  readonly #lastLine = this.#buffer.createMark(null, this.#buffer.getEndIter(), true);
  readonly #error: TextTag = new Gtk.TextTag({ foreground: '#d9480f' });
  #pending: { stream: Stream; line: string }[] = [];
  #count = 0;
  #follows = true;

  constructor() {
    this.widget.addCssClass('view');
    this.widget.addCssClass('watch-list');
    this.#buffer.getTagTable().add(this.#error);
    this.widget.setChild(this.#view);

    // A text view moves by itself too while it finds out how high its lines are: only the user's own acts tell.
    const stopFollowing = (): boolean => {
      this.#follows = false;
      return false;
    };
    const wheel = new Gtk.EventControllerScroll({ flags: scrollBothAxes, propagationPhase: capturePhase });
    wheel.on('scroll', stopFollowing);
    this.widget.addController(wheel);
    const keys = new Gtk.EventControllerKey({ propagationPhase: capturePhase });
    keys.on('key-pressed', stopFollowing);
    this.widget.addController(keys);
    const drag = new Gtk.GestureClick({ propagationPhase: capturePhase });
    drag.on('pressed', stopFollowing);
    this.widget.addController(drag);
  }

  add(stream: Stream, lines: readonly string[]): void {
    // Of very many lines at once only the last ones will be seen.
    for (const line of lines.slice(-mostLines)) this.#pending.push({ stream, line });
    if (this.#pending.length > 2 * mostLines) this.#pending.splice(0, this.#pending.length - mostLines);
  }

  /** Shows the lines that were added. */
  update(): void {
    if (this.#pending.length === 0) return;
    const lines = this.#pending.slice(-mostLines);
    this.#pending = [];
    const adjustment = this.widget.getVadjustment();
    this.#follows ||= adjustment.getValue() >= adjustment.getUpper() - adjustment.getPageSize() - nearEnd;

    this.#makeRoom(lines.length);
    const first = this.#count;
    const text = lines.map(({ line }) => printable(line)).join('\n');
    this.#buffer.insert(this.#buffer.getEndIter(), first === 0 ? text : `\n${text}`, -1);
    this.#count += lines.length;
    lines.forEach(({ stream }, index) => {
      if (stream === 'stderr') this.#markError(first + index);
    });
    if (!this.#follows) return;
    this.#buffer.moveMark(this.#lastLine, this.#buffer.getIterAtLine(this.#count - 1)[1]);
    this.#view.scrollToMark(this.#lastLine, 0, true, 0, 1);
  }

  #makeRoom(lines: number): void {
    const surplus = this.#count + lines - mostLines;
    if (surplus <= 0) return;
    const end = surplus < this.#count ? this.#buffer.getIterAtLine(surplus)[1] : this.#buffer.getEndIter();
    this.#buffer.delete(this.#buffer.getStartIter(), end);
    this.#count -= surplus;
  }

  #markError(line: number): void {
    const [, start] = this.#buffer.getIterAtLine(line);
    const isLast = line + 1 === this.#count;
    const end = isLast ? this.#buffer.getEndIter() : this.#buffer.getIterAtLine(line + 1)[1];
    this.#buffer.applyTag(this.#error, start, end);
  }
}

/** What a terminal would show of the line, without colours. */
function printable(line: string): string {
  const text = stripVTControlCharacters(line.trimEnd());
  const shown = text.slice(text.lastIndexOf('\r') + 1).slice(0, longestLine);
  // Other control characters and ends of lines are not for a text view.
  return shown.replace(/(?!\t)[\p{Cc}\p{Cs}\u2028\u2029]/gu, '\ufffd');
}
