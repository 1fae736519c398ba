// What the demonstration finds in a command's output: the columns of numbers, and round scales for them.
import assert from 'node:assert/strict';

import { scaleFor, shortAge, shortNumber, tickLabel } from '../examples/watch/scale.js';
import { capacity, Table } from '../examples/watch/table.js';

function tableOf(text: string): Table {
  const table = new Table();
  text.split('\n').forEach((line, index) => {
    table.add(line, index);
  });
  return table;
}

function valuesOf(table: Table): Record<string, Record<string, number[]>> {
  const groups = table.groups.map(({ title, columns }) => {
    return [title, Object.fromEntries(columns.map(({ name, values }) => [name, values]))];
  });
  return Object.fromEntries(groups) as Record<string, Record<string, number[]>>;
}

const vmstat = `\
procs -----------memory---------- ---swap-- -----io---- -system-- ------cpu-----
 r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa st
 1  0      0 23319256   6296 1100152    0    0   967  1407  288  877 11  6 84  0  0
 2  0      0 23319000   6296 1100153    0    0     0 120000   93  131  0  0 100  0  0`;

describe('the table of the demonstration', () => {
  it('has the names and groups of both header lines of vmstat', () => {
    assert.deepEqual(valuesOf(tableOf(vmstat)), {
      procs: { r: [1, 2], b: [0, 0] },
      memory: { swpd: [0, 0], free: [23319256, 23319000], buff: [6296, 6296], cache: [1100152, 1100153] },
      swap: { si: [0, 0], so: [0, 0] },
      io: { bi: [967, 0], bo: [1407, 120000] },
      system: { in: [288, 93], cs: [877, 131] },
      cpu: { us: [11, 0], sy: [6, 0], id: [84, 100], wa: [0, 0], st: [0, 0] },
    });
  });

  it('ignores a header that is repeated', () => {
    const repeated = [vmstat, ...vmstat.split('\n').slice(0, 3)].join('\n');

    assert.deepEqual(valuesOf(tableOf(repeated)).procs, { r: [1, 2, 1], b: [0, 0, 0] });
  });

  it('takes only the columns that are numbers', () => {
    const table = tableOf('TIME USER %CPU RSS\n10:00:01 root 1.5 4096\n10:00:02 root 25% -1e3');

    assert.deepEqual(
      table.groups.flatMap(({ columns }) => columns),
      [
        { name: '%CPU', values: [1.5, 25] },
        { name: 'RSS', values: [4096, -1000] },
      ],
    );
  });

  it('needs two lines of a shape where there is no header, and takes the name from name=3', () => {
    const line = (sequence: number): string =>
      `64 bytes from ::1: icmp_seq=${String(sequence)} ttl=64 time=0.03 ms`;
    const table = tableOf(['PING ::1 56 data bytes', line(1), line(2), line(3)].join('\n'));

    const columns = table.groups.flatMap((group) => group.columns);
    assert.deepEqual(
      columns.map(({ name }) => name),
      ['column 1', 'icmp_seq', 'ttl', 'time'],
    );
    assert.deepEqual(columns[1]?.values, [2, 3]);
  });

  it('has no columns in text', () => {
    assert.deepEqual(tableOf('y\ny\n\nhello world\n10:00 a.m.\n').groups, []);
  });

  it('has a gap where a number is missing', () => {
    assert.deepEqual(valuesOf(tableOf('a b\n1 2\n- 3\n')), { '': { b: [2, 3] } });
    assert.deepEqual(tableOf('a b\n1 2\n- 3\n').groups[0]?.columns[0]?.values, [1, NaN]);
  });

  it('keeps a bounded number of samples', () => {
    const table = new Table();
    for (let i = 0; i < 10 * capacity; i++) table.add(String(i), i);

    const values = table.groups[0]?.columns[0]?.values ?? [];
    assert.ok(values.length >= capacity && values.length <= 2 * capacity);
    assert.equal(values.length, table.times.length);
    assert.equal(values.at(-1), 10 * capacity - 1);
  });
});

describe('the scale of the demonstration', () => {
  const cases: [values: number[], ticks: string[]][] = [
    [[], ['0', '0.25', '0.5', '0.75', '1']],
    [
      [0, 0],
      ['0', '0.25', '0.5', '0.75', '1'],
    ],
    [
      [3, 97],
      ['0', '25', '50', '75', '100'],
    ],
    [[42], ['0', '20', '40', '60']],
    [
      [-30, 30],
      ['−40', '−20', '0', '20', '40'],
    ],
    [
      [1e6, 1.0003e6],
      ['1M', '1.0001M', '1.0002M', '1.0003M'],
    ],
    [
      [0, 23_319_256],
      ['0', '10M', '20M', '30M'],
    ],
  ];
  for (const [values, labels] of cases) {
    it(`for ${values.length === 0 ? 'nothing' : values.join(', ')}`, () => {
      const scale = scaleFor(values);

      assert.deepEqual(
        scale.ticks.map((tick) => tickLabel(tick, scale)),
        labels,
      );
      assert.ok(values.every((value) => value >= scale.low && value <= scale.high));
    });
  }

  it('writes numbers and ages shortly', () => {
    assert.deepEqual(
      [0, 0.5, 999, 1000, 999_960, 23_319_256, -1500, 1e-9, NaN].map((value) => shortNumber(value)),
      ['0', '0.5', '999', '1k', '1M', '23.3M', '−1.5k', '1.0e−9', '–'],
    );
    assert.deepEqual(
      [0, 20, 2500, 59_900, 180_000, 7_200_000].map((age) => shortAge(age)),
      ['now', '−20 ms', '−2.5 s', '−60 s', '−3 min', '−2 h'],
    );
  });
});
