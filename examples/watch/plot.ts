import { Pango, PangoCairo, type Cairo, type Color, type DrawingArea, type PangoLayout } from './gtk.js';
import { scaleFor, shortAge, shortNumber, tickLabel } from './scale.js';
import { capacity, type Group, type Table } from './table.js';

type Rgb = readonly [red: number, green: number, blue: number];

interface Theme {
  text: Rgb;
  card: Rgb;
  series: readonly Rgb[];
}

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

const onLight: readonly Rgb[] = ['1c71d8', 'd9480f', '2b8a3e', '9c36b5', 'b8860b', '0b7285'].map(rgb);
const onDark: readonly Rgb[] = ['78aeed', 'ffa94d', '69db7c', 'e599f7', 'ffd43b', '66d9e8'].map(rgb);

const margin = 12;
const padding = 12;
const lineHeight = 17;
/** The least room for the labels of the vertical axis. */
const narrowestGutter = 40;
/** Room for a dot, a name of a few letters and a short number: fixed, so that nothing moves as values change. */
const legendWidth = 88;
const fewestSamples = 12;

/** Draws the table's columns as one chart for each of its groups. */
export class Plot {
  #layout: PangoLayout | null = null;
  readonly #table: Table;
  readonly #small = Pango.FontDescription.fromString('8.5');
  readonly #bold = Pango.FontDescription.fromString('Bold 9.5');
  readonly #large = Pango.FontDescription.fromString('12');

  constructor(table: Table) {
    this.#table = table;
  }

  draw(area: DrawingArea, cairo: Cairo, width: number, height: number): void {
    const theme = themeFor(area.getStyleContext().getColor());
    const pen = new Pen(cairo, (this.#layout ??= area.createPangoLayout('')));
    const groups = this.#table.groups;
    if (groups.length === 0) {
      pen.font(this.#large);
      pen.colour(theme.text, 0.5);
      pen.text('No columns of numbers so far', width / 2, height / 2 - 12, 0.5);
      return;
    }

    const across = Math.max(1, Math.min(groups.length, Math.floor((width - margin) / 250)));
    const down = Math.ceil(groups.length / across);
    const cell = { width: (width - margin) / across, height: (height - margin) / down };
    groups.forEach((group, index) => {
      const row = Math.floor(index / across);
      const box = {
        x: margin + (index % across) * cell.width,
        y: margin + row * cell.height,
        width: cell.width - margin,
        height: cell.height - margin,
      };
      const entries = Math.max(1, Math.floor((box.width - 2 * padding) / legendWidth));
      const neighbours = groups.slice(row * across, (row + 1) * across);
      const legendRows = Math.max(...neighbours.map(({ columns }) => Math.ceil(columns.length / entries)));
      this.#card(pen, theme, group, box, entries, legendRows);
    });
  }

  #card(pen: Pen, theme: Theme, group: Group, box: Box, entries: number, legendRows: number): void {
    pen.colour(theme.card, 1);
    pen.roundedRectangle(box, 8);
    pen.cairo.fill();

    const left = box.x + padding;
    let top = box.y + padding - 2;
    if (group.title !== '') {
      pen.font(this.#bold);
      pen.colour(theme.text, 0.85);
      pen.text(group.title, left, top, 0, box.width - 2 * padding);
      top += lineHeight + 3;
    }
    pen.font(this.#small);
    group.columns.forEach((column, index) => {
      const x = left + (index % entries) * legendWidth;
      const y = top + Math.floor(index / entries) * lineHeight;
      pen.colour(seriesColour(theme, index), 1);
      pen.dot(x + 4, y + 7, 4);
      pen.colour(theme.text, 0.6);
      const nameWidth = pen.text(column.name, x + 13, y);
      pen.colour(theme.text, 1);
      pen.text(shortNumber(column.values.at(-1) ?? NaN), x + 13 + nameWidth + 5, y);
    });
    top += legendRows * lineHeight + 8;

    this.#chart(pen, theme, group, {
      x: left,
      y: top,
      width: box.width - 2 * padding,
      height: box.y + box.height - padding - lineHeight - top,
    });
  }

  #chart(pen: Pen, theme: Theme, group: Group, outer: Box): void {
    const series = group.columns.map(({ values }) => values.slice(-capacity));
    const times = this.#table.times.slice(-capacity);
    const scale = scaleFor(series.flat().filter(Number.isFinite));
    pen.font(this.#small);
    const labels = scale.ticks.map((tick) => tickLabel(tick, scale));
    const gutter = Math.max(narrowestGutter, ...labels.map((text) => pen.widthOf(text) + 8));
    const box = { ...outer, x: outer.x + gutter, width: outer.width - gutter };
    if (box.width < 20 || box.height < 20) return;
    const steps = Math.max(times.length, fewestSamples) - 1;
    const first = steps + 1 - times.length;
    const xOf = (index: number): number => box.x + ((first + index) / steps) * box.width;
    const yOf = (value: number): number =>
      box.y + (1 - (value - scale.low) / (scale.high - scale.low)) * box.height;

    pen.cairo.setLineWidth(1);
    // As many ticks as there is room for, counted from the lowest.
    const every = Math.ceil((scale.ticks.length * lineHeight) / (box.height + lineHeight));
    scale.ticks.forEach((tick, index) => {
      if (index % every !== 0) return;
      const y = Math.round(yOf(tick)) + 0.5;
      pen.colour(theme.text, index === 0 ? 0.3 : 0.1);
      pen.line(box.x, y, box.x + box.width, y);
      pen.colour(theme.text, 0.6);
      pen.text(labels[index] ?? '', box.x - 7, y - 8, 1);
    });

    // The horizontal axis counts samples; its labels say how long ago each was taken.
    const now = times.at(-1) ?? 0;
    const right = pen.text('now', box.x + box.width, box.y + box.height + 4, 1);
    for (const part of [0, 0.5]) {
      const index = Math.round(part * steps) - first;
      const x = xOf(index);
      const taken = times[index];
      if (taken === undefined || now - taken < 0.5) continue;
      if (x > box.x && x + 30 < box.x + box.width - right) {
        pen.colour(theme.text, 0.1);
        pen.line(Math.round(x) + 0.5, box.y, Math.round(x) + 0.5, box.y + box.height);
      }
      pen.colour(theme.text, 0.6);
      pen.text(shortAge(now - taken), x, box.y + box.height + 4, part);
    }

    pen.cairo.save();
    pen.cairo.rectangle(box.x - 2, box.y - 2, box.width + 4, box.height + 4);
    pen.cairo.clip();
    series.forEach((values, index) => {
      const points = values.map((value, at) => [xOf(at), yOf(value)] as const);
      pen.colour(seriesColour(theme, index), 0.1);
      pen.area(points, box.y + box.height);
      pen.colour(seriesColour(theme, index), 1);
      pen.cairo.setLineWidth(1.6);
      pen.curve(points);
    });
    pen.cairo.restore();
  }
}

/** What is drawn again and again, in terms of cairo and Pango. */
class Pen {
  readonly cairo: Cairo;
  readonly #layout: PangoLayout;

  constructor(cairo: Cairo, layout: PangoLayout) {
    this.cairo = cairo;
    this.#layout = layout;
    cairo.setLineJoin(1); // CAIRO_LINE_JOIN_ROUND
  }

  font(description: Parameters<PangoLayout['setFontDescription']>[0]): void {
    this.#layout.setFontDescription(description);
  }

  colour([red, green, blue]: Rgb, alpha: number): void {
    this.cairo.setSourceRgba(red, green, blue, alpha);
  }

  widthOf(text: string): number {
    this.#layout.setText(text, -1);
    return this.#layout.getPixelSize()[0];
  }

  /** Writes text whose point at `align` (0 is its left, 1 its right end) is at x; returns its width. */
  text(text: string, x: number, y: number, align = 0, widest = Infinity): number {
    let width = this.widthOf(text);
    for (let length = text.length - 1; width > widest && length > 0; length--) {
      width = this.widthOf(`${text.slice(0, length)}…`);
    }
    this.cairo.moveTo(Math.round(x - align * width), Math.round(y));
    PangoCairo.showLayout(this.cairo, this.#layout);
    return width;
  }

  line(x1: number, y1: number, x2: number, y2: number): void {
    this.cairo.newSubPath();
    this.cairo.moveTo(x1, y1);
    this.cairo.lineTo(x2, y2);
    this.cairo.stroke();
  }

  dot(x: number, y: number, radius: number): void {
    this.cairo.newSubPath();
    this.cairo.arc(x, y, radius, 0, 2 * Math.PI);
    this.cairo.fill();
  }

  roundedRectangle({ x, y, width, height }: Box, radius: number): void {
    const quarter = Math.PI / 2;
    this.cairo.newSubPath();
    this.cairo.arc(x + width - radius, y + radius, radius, -quarter, 0);
    this.cairo.arc(x + width - radius, y + height - radius, radius, 0, quarter);
    this.cairo.arc(x + radius, y + height - radius, radius, quarter, 2 * quarter);
    this.cairo.arc(x + radius, y + radius, radius, 2 * quarter, 3 * quarter);
    this.cairo.closePath();
  }

  /** A line through the points, with a gap where one is missing; a point alone is a dot. */
  curve(points: readonly (readonly [x: number, y: number])[]): void {
    points.forEach(([x, y], index) => {
      if (Number.isNaN(y)) return;
      const joined = !Number.isNaN(points[index - 1]?.[1] ?? NaN);
      if (joined) this.cairo.lineTo(x, y);
      else this.cairo.moveTo(x, y);
    });
    this.cairo.stroke();
    points.forEach(([x, y], index) => {
      const alone = [index - 1, index + 1].every((at) => Number.isNaN(points[at]?.[1] ?? NaN));
      if (alone && !Number.isNaN(y)) this.dot(x, y, 2);
    });
  }

  area(points: readonly (readonly [x: number, y: number])[], bottom: number): void {
    const present = points.filter(([, y]) => !Number.isNaN(y));
    const first = present[0];
    const last = present.at(-1);
    if (!first || !last) return;
    this.cairo.moveTo(first[0], bottom);
    for (const [x, y] of present) this.cairo.lineTo(x, y);
    this.cairo.lineTo(last[0], bottom);
    this.cairo.fill();
  }
}

function themeFor({ red, green, blue }: Color): Theme {
  const isDark = red + green + blue > 1.5;
  return {
    text: [red, green, blue],
    card: isDark ? rgb('3a3a3a') : rgb('ffffff'),
    series: isDark ? onDark : onLight,
  };
}

function seriesColour(theme: Theme, index: number): Rgb {
  return theme.series[index % theme.series.length] ?? theme.text;
}

function rgb(hex: string): Rgb {
  const channel = (at: number): number => parseInt(hex.slice(at, at + 2), 16) / 255;
  return [channel(0), channel(2), channel(4)];
}
