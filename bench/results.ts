import type { Benchmark, Peer, Unit } from './benchmarks.js';

/** What a program measured in one round, in the unit of its shape: nanoseconds an operation, say. */
export interface Sample {
  readonly shape: string;
  /** `ours`, or the name of a peer. */
  readonly subject: string;
  readonly value: number;
}

/** One shape of a benchmark. */
export interface Row {
  readonly name: string;
  readonly shape: string;
  readonly unit: Unit;
  readonly ours: number;
  readonly peers: Readonly<Record<string, number>>;
  /** Ours through the peer: below 1 ours is faster. */
  readonly ratios: Readonly<Record<string, number>>;
}

const minRounds = 7;

/** The samples of a program, from its output. */
export function parseSamples(output: string): Sample[] {
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Sample);
}

/** The rows of a benchmark, in the order of its declaration. */
export function summarize({ name, shapes }: Benchmark, samples: readonly Sample[]): Row[] {
  const present = new Set(samples.map(({ shape }) => shape));
  const measured = Object.entries(shapes).filter(
    ([shape, { optional = false }]) => !optional || present.has(shape),
  );
  return measured.map(([shape, { unit = 'ns', peers = {} }]) => {
    const rounds = (subject: string): number[] => {
      const all = samples.filter((sample) => sample.shape === shape && sample.subject === subject);
      if (all.length < minRounds)
        throw new Error(`${name}: ${all.length} rounds of "${subject}" in "${shape}", not ${minRounds}`);
      return all.map(({ value }) => value);
    };

    const ours = median(rounds('ours'));
    const figures = Object.entries(peers).map(([peer, { floor }]) => {
      const value = floor ? Math.min(...rounds(peer)) : median(rounds(peer));
      return { peer, value, ratio: ours / value };
    });
    return {
      name,
      shape,
      unit,
      ours: rounded(ours),
      peers: Object.fromEntries(figures.map(({ peer, value }) => [peer, rounded(value)])),
      ratios: Object.fromEntries(figures.map(({ peer, ratio }) => [peer, rounded(ratio)])),
    };
  });
}

/** The form of one benchmark as JSON: its first row, and those of its further shapes. */
export function toJson(rows: readonly Row[]): object {
  const [first, ...others] = rows.map(({ name, shape, unit, ours, peers, ratios }) => ({
    name,
    shape,
    [`ours_${unit}`]: ours,
    peers,
    ratios,
  }));
  return { ...first, rows: others };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

function format(value: number, unit: Unit): string {
  if (unit === 'ns' && value >= 5_000_000) return `${(value / 1_000_000).toLocaleString('en')} ms`;
  const digits = unit !== 'waits' && value < 100 ? 1 : 0;
  return `${value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${unit}`;
}

function formatRatio(ratio: number): string {
  return ratio < 0.1 ? `1/${Math.round(1 / ratio).toLocaleString('en')}` : `${ratio.toFixed(2)}×`;
}

function formatBar({ bar, allowance }: Peer, unit: Unit, ours: number, peer: number): string {
  if (bar === undefined) return '';
  const met = ours <= bar * peer || (allowance !== undefined && ours <= peer + allowance);
  const more = allowance === undefined ? '' : ` or + ${format(allowance, unit)}`;
  return `≤ ${bar < 1 ? formatRatio(bar) : `${bar}×`}${more}${met ? '' : ' ✗'}`;
}

/** The rows as a table in Markdown: a line for each peer, and one for a limit. A bar that is not met is marked. */
export function formatTable(benchmarks: readonly Benchmark[], rows: readonly Row[]): string {
  const table = [['benchmark', 'shape', 'ours', 'against', 'which takes', 'ratio', 'bar']];
  for (const { name, shape, unit, ours, peers, ratios } of rows) {
    const declared = benchmarks.find((benchmark) => benchmark.name === name)?.shapes[shape];
    const limit = declared?.limit;
    const start = [name, shape, format(ours, unit)];
    if (limit !== undefined)
      table.push([...start, '', '', '', `≤ ${format(limit, unit)}${ours <= limit ? '' : ' ✗'}`]);
    else if (Object.keys(peers).length === 0) table.push([...start, '', '', '', '']);
    for (const [peer, value] of Object.entries(peers)) {
      const bar = formatBar(declared?.peers?.[peer] ?? {}, unit, ours, value);
      table.push([...start, peer, format(value, unit), formatRatio(ratios[peer] ?? NaN), bar]);
    }
  }

  const widthOf = (column: number): number => Math.max(...table.map((cells) => cells[column]?.length ?? 0));
  const [head = [], ...body] = table.map((cells) =>
    cells.map((cell, column) => cell.padEnd(widthOf(column))),
  );
  const rule = head.map((cell) => '-'.repeat(cell.length));
  return [head, rule, ...body].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
