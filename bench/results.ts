import type { Benchmark } from './benchmarks.js';

/** What a program measured in one round: nanoseconds an operation. */
export interface Sample {
  readonly shape: string;
  /** `ours`, or the name of a peer. */
  readonly subject: string;
  readonly ns: number;
}

/** One shape of a benchmark. */
export interface Row {
  readonly name: string;
  readonly shape: string;
  readonly ours_ns: number;
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
export function summarize({ name, peers }: Benchmark, samples: readonly Sample[]): Row[] {
  return Object.entries(peers).map(([shape, peersOfShape]) => {
    const rounds = (subject: string): number[] => {
      const all = samples.filter((sample) => sample.shape === shape && sample.subject === subject);
      if (all.length < minRounds)
        throw new Error(`${name}: ${all.length} rounds of "${subject}" in "${shape}", not ${minRounds}`);
      return all.map(({ ns }) => ns);
    };

    const ours = median(rounds('ours'));
    const figures = Object.entries(peersOfShape).map(([peer, { floor }]) => {
      const ns = floor ? Math.min(...rounds(peer)) : median(rounds(peer));
      return { peer, ns, ratio: ours / ns };
    });
    return {
      name,
      shape,
      ours_ns: rounded(ours),
      peers: Object.fromEntries(figures.map(({ peer, ns }) => [peer, rounded(ns)])),
      ratios: Object.fromEntries(figures.map(({ peer, ratio }) => [peer, rounded(ratio)])),
    };
  });
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

function formatNs(ns: number): string {
  const digits = ns < 100 ? 1 : 0;
  return `${ns.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })} ns`;
}

function formatRatio(ratio: number): string {
  return ratio < 0.1 ? `1/${Math.round(1 / ratio).toLocaleString('en')}` : `${ratio.toFixed(2)}×`;
}

function formatBar(bar: number, ratio: number): string {
  return `≤ ${bar < 0.1 ? formatRatio(bar) : `${bar}×`}${ratio > bar ? ' ✗' : ''}`;
}

/** The rows as a table in Markdown: a line for each peer. A bar that is not met is marked. */
export function formatTable(benchmarks: readonly Benchmark[], rows: readonly Row[]): string {
  const table = [['benchmark', 'shape', 'ours', 'against', 'which takes', 'ratio', 'bar']];
  for (const { name, shape, ours_ns, peers, ratios } of rows) {
    for (const [peer, ns] of Object.entries(peers)) {
      const ratio = ratios[peer] ?? NaN;
      const bar = benchmarks.find((benchmark) => benchmark.name === name)?.peers[shape]?.[peer]?.bar;
      const verdict = bar === undefined ? '' : formatBar(bar, ratio);
      table.push([name, shape, formatNs(ours_ns), peer, formatNs(ns), formatRatio(ratio), verdict]);
    }
  }

  const widthOf = (column: number): number => Math.max(...table.map((cells) => cells[column]?.length ?? 0));
  const [head = [], ...body] = table.map((cells) =>
    cells.map((cell, column) => cell.padEnd(widthOf(column))),
  );
  const rule = head.map((cell) => '-'.repeat(cell.length));
  return [head, rule, ...body].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
