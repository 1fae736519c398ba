// Runs the test suites and counts them: node scripts/test.mjs [SUITE...]
// A suite counts as failed if its runner failed, whatever it printed.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';

process.chdir(path.join(import.meta.dirname, '..'));

const suites = {
  c: ['C tests', () => mesonTests('build')],
  asan: ['C tests under ASan and UBSan', sanitizedTests],
  spin: ['Spin models', spinModels],
  ts: ['mocha', mochaTests],
};

// Each case of each executable counts; so does an executable that ends badly outside its cases.
function mesonTests(folder) {
  const log = `${folder}/meson-logs/testlog.json`;
  rmSync(log, { force: true });
  const status = run('meson', ['test', '-C', folder, '--print-errorlogs']);
  const count = { passed: 0, failed: 0, skipped: 0 };
  if (existsSync(log)) {
    for (const line of readFileSync(log, 'utf8').split('\n').filter(Boolean)) {
      const { result, stdout = '' } = JSON.parse(line);
      const cases = { passed: 0, failed: 0, skipped: 0 };
      for (const [, not, skip] of stdout.matchAll(/^(not )?ok \d+[^#\n]*(# skip)?/gim)) {
        cases[not ? 'failed' : skip ? 'skipped' : 'passed'] += 1;
      }
      if (result !== 'OK' && result !== 'SKIP' && cases.failed === 0) cases.failed = 1;
      for (const key of Object.keys(count)) count[key] += cases[key];
    }
  }
  return settle(count, status);
}

function sanitizedTests() {
  const folder = 'build-asan';
  if (!existsSync(`${folder}/build.ninja`)) {
    const status = run('meson', [
      ...['setup', folder, '-Db_sanitize=address,undefined', '-Db_lundef=false'],
      ...['-Daddon=disabled', '-Dintrospection=disabled'],
    ]);
    if (status !== 0) return settle({ passed: 0, failed: 0, skipped: 0 }, status);
  }
  return mesonTests(folder);
}

// Each run of a model counts; the runner prints a line for it when it ends.
async function spinModels() {
  const child = spawn(process.execPath, ['spec/run.mjs'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    process.stdout.write(text);
    output += text;
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
  const figure = (pattern) => output.match(pattern)?.length ?? 0;
  return settle({ passed: figure(/^ok /gm), failed: figure(/^not ok /gm), skipped: 0 }, status);
}

async function mochaTests() {
  const env = { ...process.env };
  delete env.DISPLAY;
  delete env.WAYLAND_DISPLAY;
  const child = spawn('scripts/with-display', ['timeout', '-k', '10', '900', 'node_modules/.bin/mocha'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    process.stdout.write(text);
    output += text;
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
  const figure = (word) => Number(output.match(new RegExp(`^ +(\\d+) ${word}\\b`, 'm'))?.[1] ?? 0);
  return settle({ passed: figure('passing'), failed: figure('failing'), skipped: figure('pending') }, status);
}

function run(command, args) {
  return spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] }).status;
}

// A runner that failed without a failed case, or that ran no case at all, is one failure.
function settle(count, status) {
  if (count.failed === 0 && (status !== 0 || count.passed === 0)) count.failed = 1;
  return count;
}

function describe({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

const names = process.argv.slice(2);
const total = { passed: 0, failed: 0, skipped: 0 };
const lines = [];
for (const name of names.length > 0 ? names : Object.keys(suites)) {
  const [title, runSuite] = suites[name];
  console.log(`\n=== ${title}`);
  const count = await runSuite();
  lines.push(`${title}: ${describe(count)}`);
  for (const key of Object.keys(total)) total[key] += count[key];
}
console.log(`\n${lines.join('\n')}\n${describe(total)}`);
process.exitCode = total.failed > 0 ? 1 : 0;
