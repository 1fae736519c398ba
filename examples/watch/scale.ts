/** A range of round numbers that holds all values, with the ticks to draw in it. */
export interface Scale {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
}

export function scaleFor(values: Iterable<number>): Scale {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) [low, high] = [0, 1];
  // From zero, unless all values lie so close together that nothing could be seen.
  if (low > 0 && (high === low || high - low > 0.1 * high)) low = 0;
  if (high < 0 && (high === low || high - low > -0.1 * low)) high = 0;
  if (high === low) high = low + 1;

  const step = roundStep((high - low) / 4);
  const first = Math.floor(low / step);
  const last = Math.ceil(high / step);
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
  return { low: first * step, high: last * step, ticks };
}

function roundStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 2.5, 5].find((factor) => factor * power >= rough * 0.999) ?? 10);
}

const units: readonly [number, string][] = [
  [1e12, 'T'],
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
];

/** Three digits are enough to read: 23319256 is `23.3M`. */
export function shortNumber(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 1e15 || (size > 0 && size < 1e-3)) return value.toExponential(1).replaceAll('-', '−');
  const [divisor, unit] = units.find(([least]) => size >= least * 0.9995) ?? [1, ''];
  return (
    Number((value / divisor).toPrecision(digits))
      .toString()
      .replace('-', '−') + unit
  );
}

/** As few digits as tell the ticks of a scale apart. */
export function tickLabel(tick: number, { ticks }: Scale): string {
  for (let digits = 3; digits < 9; digits++) {
    if (new Set(ticks.map((each) => shortNumber(each, digits))).size === ticks.length) {
      return shortNumber(tick, digits);
    }
  }
  return shortNumber(tick);
}

/** How long ago, in the largest unit that leaves it readable. */
export function shortAge(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 0.0005) return 'now';
  if (seconds < 1) return `−${String(Math.round(milliseconds))} ms`;
  if (seconds < 120)
    return `−${String(seconds < 10 ? Number(seconds.toPrecision(2)) : Math.round(seconds))} s`;
  if (seconds < 7200) return `−${String(Math.round(seconds / 60))} min`;
  return `−${String(Math.round(seconds / 3600))} h`;
}
