/** How many of the latest samples are kept, and shown. */
export const capacity = 300;

export interface Column {
  readonly name: string;
  /** One value for each of the table's times; NaN where there was none. */
  readonly values: number[];
}

export interface Group {
  readonly title: string;
  readonly columns: Column[];
}

interface Layout {
  groups: Group[];
  /** For each word of a line, the column that it belongs to. */
  columns: (Column | null)[];
}

interface Span {
  text: string;
  start: number;
  end: number;
}

/**
 * The first table of numbers in a text: which of its words are columns, what they are called, and their latest
 * values. A header is a line without numbers above the first line with; without one, two lines in a row with
 * numbers in the same places make a table. A word `name=3` names its own column.
 */
export class Table {
  /** When each sample was taken, in milliseconds. */
  readonly times: number[] = [];
  #layout: Layout | null = null;
  #previous = '';
  #beforePrevious = '';

  get groups(): readonly Group[] {
    return this.#layout?.groups ?? [];
  }

  /** Takes one line of text; says whether it was a sample. */
  add(line: string, time: number): boolean {
    if (this.#layout === null && !this.#find(line)) return false;
    return this.#sample(line, time);
  }

  #find(line: string): boolean {
    const above = this.#previous;
    const twoAbove = this.#beforePrevious;
    this.#beforePrevious = above;
    this.#previous = line;
    if (!/\d/.test(line)) return false;

    const words = spans(line);
    const header = spans(above);
    if (header.length === words.length) {
      if (words.length > 1 && header.every(({ text }) => Number.isNaN(number(text)))) {
        this.#layout = withHeader(words, header, spans(twoAbove, /-*([^\s-]+)-*/g));
      } else if (shape(words) === shape(header)) {
        this.#layout = withoutHeader(words);
      }
    }
    return this.#layout !== null;
  }

  #sample(line: string, time: number): boolean {
    const columns = this.#layout?.columns ?? [];
    const words = line.trim().split(/\s+/);
    if (words.length !== columns.length) return false;
    const values = words.map((word, index) => (columns[index] ? number(word) : NaN));
    if (values.every(Number.isNaN)) return false;

    append(this.times, time);
    columns.forEach((column, index) => {
      if (column) append(column.values, values[index] ?? NaN);
    });
    return true;
  }
}

function append(list: number[], value: number): void {
  // Twice the capacity, then half of it goes: dropping one at each sample would move all of them.
  if (list.length === 2 * capacity) list.splice(0, capacity);
  list.push(value);
}

function withHeader(words: Span[], header: Span[], titles: Span[]): Layout {
  const columns = words.map((word, index) =>
    Number.isNaN(number(word.text)) ? null : { name: header[index]?.text ?? '', values: [] },
  );
  // A line of titles above the names, as vmstat has: `procs -----memory---- --swap--`.
  const titled = titles.length > 1 && titles.length < header.length;
  if (!titled) return { groups: ungrouped(columns), columns };

  const groups = titles.map(({ text }) => ({ title: text, columns: [] as Column[] }));
  header.forEach((name, index) => {
    const column = columns[index];
    const middle = (name.start + name.end) / 2;
    const nearest = titles.reduce((best, title, at) => {
      return distance(title, middle) < distance(titles[best] ?? title, middle) ? at : best;
    }, 0);
    if (column) groups[nearest]?.columns.push(column);
  });
  return { groups: groups.filter((group) => group.columns.length > 0), columns };
}

function withoutHeader(words: Span[]): Layout {
  const numbers = words.filter((word) => !Number.isNaN(number(word.text))).length;
  const columns = words.map(({ text }, index) => {
    if (Number.isNaN(number(text))) return null;
    const named = /^([A-Za-z_]\w*)=/.exec(text);
    return { name: named?.[1] ?? (numbers === 1 ? 'value' : `column ${String(index + 1)}`), values: [] };
  });
  return { groups: ungrouped(columns), columns };
}

/** Each column on its own, as their units may differ; of very many, neighbours together. */
function ungrouped(columns: (Column | null)[]): Group[] {
  const all = columns.filter((column) => column !== null);
  const size = Math.ceil(all.length / 9);
  return Array.from({ length: Math.ceil(all.length / size) }, (_, index) => {
    const some = all.slice(index * size, (index + 1) * size);
    return { title: size === 1 ? '' : some.map(({ name }) => name).join(', '), columns: some };
  });
}

function number(word: string): number {
  const match = /^(?:[A-Za-z_]\w*=)?([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)%?$/.exec(word);
  return match ? Number(match[1]) : NaN;
}

function shape(words: Span[]): string {
  return words.map(({ text }) => (Number.isNaN(number(text)) ? 'w' : 'n')).join('');
}

function spans(line: string, pattern = /(\S+)/g): Span[] {
  return Array.from(line.matchAll(pattern), (match) => ({
    text: match[1] ?? '',
    start: match.index,
    end: match.index + match[0].length,
  }));
}

function distance(span: Span, position: number): number {
  return Math.max(span.start - position, position - span.end, 0);
}
