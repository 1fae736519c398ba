// Which tests each hazard of docs/hazards.md has: node scripts/hazards.mjs [ID | SECTION]...
// Fails on a hazard that nothing tests, and on whatever else the page and the tests do not agree on.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';

import * as aio from 'aio-gsource';

import { table as models } from '../spec/table.mjs';

const page = 'docs/hazards.md';
const hazardId = /(?<![\p{L}\p{N}])[A-N]\d{1,2}(?![\p{L}\p{N}])/gu;

/** The rows of the tables below each heading of the second level, by heading. */
function readTables(text) {
  const tables = new Map();
  let rows = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('## ')) tables.set(line.slice(3), (rows = []));
    const cells = line.match(/^\| (.*) \|$/)?.[1].split(' | ');
    if (cells) rows.push(cells.map((cell) => cell.trim()));
  }
  // Without the head of each table and the rule below it.
  return new Map([...tables].map(([heading, all]) => [heading, all.slice(2)]));
}

export function readPage(text = readFileSync(page, 'utf8')) {
  const tables = readTables(text);
  const rowsOf = (heading) => {
    const rows = tables.get(heading);
    if (!rows) throw new Error(`${page} has no "${heading}"`);
    return rows;
  };
  const sections = [...tables].filter(([heading]) => /^[A-N]\. /.test(heading));
  return {
    hazards: sections.flatMap(([heading, rows]) => rows.map(([id, title]) => ({ heading, id, title }))),
    untestable: rowsOf('Without a test').map(([id, why]) => ({ id, why })),
    waiting: rowsOf('Waiting for a part').map(([id, part, what]) => ({
      id,
      part: part.replaceAll('`', ''),
      what,
      all: what.startsWith('all: '),
    })),
  };
}

/** What a command prints; whatever keeps it from printing is an error. */
function output(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    timeout: 60_000,
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr || stdout}`);
  return stdout;
}

/** The cases of all test executables; one of a matrix once, without its cells. */
function listC() {
  const names = new Set();
  for (const { cmd, protocol } of JSON.parse(output('meson', ['introspect', '--tests', 'build'])))
    if (protocol === 'tap')
      for (const [, name] of output(cmd[0], [...cmd.slice(1), '-l']).matchAll(/^(\/\S+)$/gm))
        names.add(name.replace(/\/(poll|epoll|io_uring|auto)-monitor\/(poll|glib|mixed)(?=\/)/, ''));
  return [...names].map((name) => `C      ${name}`);
}

/** Mocha's, likewise; not those that are skipped. */
function listMocha() {
  const report = output('node_modules/.bin/mocha', ['--dry-run', '--reporter', 'json']);
  const { passes } = JSON.parse(report.slice(report.indexOf('{\n  "stats"')));
  const names = passes.map(({ fullTitle }) => fullTitle.replace(/ \[[a-z_, ]+\]$/, ''));
  return [...new Set(names)].map((name) => `mocha  ${name}`);
}

function listSpin() {
  return Object.entries(models).flatMap(([model, lines]) =>
    lines.map(([flags, expectation, why]) => `spin   ${model} ${flags}: ${expectation} (${why})`),
  );
}

/** Whether the package has `Class` or `Class#member`. */
export function isThere(part, exports = aio) {
  const [name, member] = part.split('#');
  return Object.hasOwn(exports, name) && (!member || member in exports[name].prototype);
}

/** What is wrong, in words; and the tests by hazard. */
export function compare({ hazards, untestable, waiting }, tests, built = isThere) {
  const testsOf = new Map(hazards.map(({ id }) => [id, []]));
  const problems = [];
  if (testsOf.size < hazards.length) problems.push('an id is there twice');
  const last = new Map(hazards.map(({ id }) => [id[0], Number(id.slice(1))]));
  for (const [section, number] of last)
    for (let i = 1; i < number; i++)
      if (!testsOf.has(`${section}${i}`)) problems.push(`${section}${i} is not on the page`);
  for (const test of tests)
    for (const id of new Set(test.match(hazardId)))
      if (testsOf.has(id)) testsOf.get(id).push(test);
      else problems.push(`${id} is no hazard: ${test}`);

  const excused = new Set([...untestable, ...waiting.filter(({ all }) => all)].map(({ id }) => id));
  for (const { id } of [...untestable, ...waiting])
    if (!testsOf.has(id)) problems.push(`${id} is excused and is no hazard`);
  for (const { id, title } of hazards) {
    const tested = testsOf.get(id).length > 0;
    if (!tested && !excused.has(id)) problems.push(`${id} has no test: ${title}`);
    if (tested && excused.has(id)) problems.push(`${id} is excused, and has a test: ${testsOf.get(id)[0]}`);
  }
  for (const { id, part, what } of waiting)
    if (built(part)) problems.push(`${id} waits for ${part}, which is there: ${what}`);
  return { testsOf, problems };
}

function describe({ hazards, untestable, waiting }, testsOf, wanted) {
  const lines = [];
  for (const { heading, id, title } of hazards) {
    if (wanted.length > 0 && !wanted.includes(id) && !wanted.includes(id[0])) continue;
    if (lines.at(-1)?.section !== heading) lines.push({ section: heading, text: `\n${heading}\n` });
    const tests = testsOf.get(id).map((test) => `      ${test}`);
    const excuses = untestable.filter((each) => each.id === id).map(({ why }) => `      –      ${why}`);
    const open = waiting
      .filter((each) => each.id === id)
      .map(({ part, what }) => `      waits  for ${part}: ${what}`);
    const text = [`${id.padEnd(4)}${title}`, ...tests, ...excuses, ...open].join('\n');
    lines.push({ section: heading, text });
  }
  return lines.map(({ text }) => text).join('\n');
}

/** Prints the table of the hazards that are wanted; says what is wrong. */
export function checkHazards(wanted = []) {
  const hazards = readPage();
  const { testsOf, problems } = compare(hazards, [...listC(), ...listMocha(), ...listSpin()]);
  console.log(describe(hazards, testsOf, wanted));
  const tested = [...testsOf.values()].filter((tests) => tests.length > 0).length;
  console.log(
    `\n${tested} of ${testsOf.size} hazards are tested, ${testsOf.size - tested} are excused or forgotten`,
  );
  for (const problem of problems) console.error(`hazards: ${problem}`);
  return problems;
}

if (process.argv[1] === import.meta.filename) {
  process.chdir(path.join(import.meta.dirname, '..'));
  process.exitCode = checkHazards(process.argv.slice(2)).length > 0 ? 1 : 0;
}
