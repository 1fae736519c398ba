// What the tests reach of gsource/ and of ts/: the part of its lines, and by its name whatever they do not reach.
//
// gcov and c8 count. Here it is decided which lines have code and what they belong to, and it is printed.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';

import ts from 'typescript';

/** So many percent of the lines at least. */
export const threshold = 95;

// The library as the C tests have it, with their shims and schedule points.
const objects = 'libaio-gsource-test.a.p';

/** Forgets what has been reached. */
export function forgetC(build) {
  const folder = path.join(build, objects);
  for (const name of existsSync(folder) ? readdirSync(folder) : [])
    if (name.endsWith('.gcda')) rmSync(path.join(folder, name));
}

/**
 * The files of gsource/, but not of the folders in it, as a build with -Db_coverage=true has counted them:
 * `lines` are `{ line, name, reached }` with the name of the function, `idle` the functions that were never called.
 */
export function measureC(build) {
  const notes = readdirSync(path.join(build, objects))
    .filter((name) => /^gsource_[^_]+\.c\.gcno$/.test(name))
    .map((name) => path.join(objects, name));
  // The paths in them are relative to the folder that the compiler ran in.
  const { stdout, stderr, error } = spawnSync('gcov', ['--json-format', '--stdout', ...notes], {
    cwd: build,
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  });
  if (error || stderr) console.error(error?.message ?? stderr);
  return (stdout ?? '')
    .split('\n')
    .filter(Boolean)
    .flatMap((unit) => JSON.parse(unit).files)
    .filter(({ file }) => file.endsWith('.c'))
    .map(({ file, lines, functions }) => ({
      file: path.relative('.', path.resolve(build, file)),
      lines: lines.map((each) => ({
        line: each.line_number,
        name: each.function_name,
        reached: each.count > 0,
      })),
      idle: functions
        .filter((each) => each.execution_count === 0)
        .map((each) => ({ name: each.name, first: each.start_line, last: each.end_line })),
    }));
}

/** The same of ts/, from what Node has written into its folder NODE_V8_COVERAGE. Files without code are left out. */
export function measureTs(data) {
  const reports = `${data}-report`;
  rmSync(reports, { recursive: true, force: true });
  spawnSync(
    'node_modules/.bin/c8',
    [
      ...['report', '--temp-directory', data, '--reports-dir', reports, '--reporter', 'json'],
      ...['--include', 'ts/**', '--exclude-after-remap'], // ts/ is what the source maps make of dist/ts/
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  const report = path.join(reports, 'coverage-final.json');
  const counts = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : {};
  return readdirSync('ts')
    .filter((name) => name.endsWith('.ts'))
    .map((name) => measureTsFile(path.join('ts', name), counts[path.resolve('ts', name)]))
    .filter(({ lines }) => lines.length > 0);
}

// c8 has a count for each line of the file, comments and types too: these are the lines on which something executable
// begins.
function measureTsFile(file, counts = { statementMap: {}, fnMap: {} }) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const reached = new Set();
  for (const [key, { start }] of Object.entries(counts.statementMap))
    if (counts.s[key] > 0) reached.add(start.line);
  const lines = new Map();
  const visit = (node, outer) => {
    const name = nameOf(node, outer);
    const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
    if (isExecutable(node) && !lines.has(line)) lines.set(line, { line, name, reached: reached.has(line) });
    ts.forEachChild(node, (child) => visit(child, name));
  };
  visit(source, '');
  const idle = Object.entries(counts.fnMap)
    .filter(([key]) => counts.f[key] === 0)
    .map(([, { name, loc }]) => ({ name, first: loc.start.line, last: loc.end.line }));
  return { file, lines: [...lines.values()].sort((a, b) => a.line - b.line), idle };
}

function isExecutable(node) {
  if (node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DeclareKeyword)) return false;
  if (node.kind >= ts.SyntaxKind.FirstStatement && node.kind <= ts.SyntaxKind.LastStatement) return true;
  if (ts.isPropertyDeclaration(node)) return node.initializer !== undefined;
  return ts.isArrowFunction(node.parent ?? node) && node === node.parent.body && !ts.isBlock(node);
}

function nameOf(node, outer) {
  const isNamed =
    ts.isClassLike(node) ||
    ts.isFunctionLike(node) ||
    (node.initializer && ts.isFunctionLike(node.initializer)) ||
    ts.isConstructorDeclaration(node);
  if (!isNamed) return outer;
  const name = ts.isConstructorDeclaration(node) ? 'constructor' : node.name?.getText();
  return [outer, name].filter(Boolean).join('.');
}

/** Prints what was measured. Gives the percentage of the lines; without any line it is 0. */
export function printCoverage(title, files) {
  const sorted = files.toSorted((a, b) => (a.file < b.file ? -1 : 1));
  const width = Math.max(0, ...sorted.map(({ file }) => file.length));
  const whole = sorted.flatMap(({ lines }) => lines);
  console.log(`\n${title}: ${figure(whole)}`);
  for (const { file, lines } of sorted) console.log(`  ${file.padEnd(width)} ${figure(lines)}`);
  const left = sorted.flatMap((file) => gaps(file).map((gap) => `  ${gap}`));
  console.log(left.length > 0 ? `not reached:\n${left.join('\n')}` : 'all of it is reached');
  return percent(whole);
}

function percent(lines) {
  return lines.length > 0 ? (100 * lines.filter(({ reached }) => reached).length) / lines.length : 0;
}

// Rounded down: only what is whole is 100 %.
function figure(lines) {
  const shown = (Math.floor(percent(lines) * 10) / 10).toFixed(1);
  return `${shown.padStart(5)} % of ${lines.length} lines`;
}

/** Neighbouring lines of one function are a line here, with the text of the first. */
function gaps({ file, lines, idle }) {
  const text = readFileSync(file, 'utf8').split('\n');
  const found = [];
  lines.forEach(({ line, name, reached }, i) => {
    if (reached) return;
    const before = lines[i - 1];
    if (before && !before.reached && before.name === name) found.at(-1).last = line;
    else found.push({ first: line, last: line, name });
  });
  // On a line with others there may be a function that is not called.
  for (const one of idle)
    if (!found.some(({ first, last }) => first <= one.last && last >= one.first))
      found.push({ ...one, last: one.first });
  return found
    .sort((a, b) => a.first - b.first)
    .map(({ first, last, name }) => {
      const never = idle.some((one) => one.first <= first && last <= one.last) ? ' (never called)' : '';
      const range = first === last ? first : `${first}-${last}`;
      return `${file}:${range} ${name}${never}: ${text[first - 1].trim()}`;
    });
}
