// Looks into what is shipped: it has nothing of the test layer, and exports what the headers declare and no more.
//
// The names of the test layer are read from its headers. Each has to be found in the library for tests, or this
// would find nothing anywhere.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const testHeaders = [
  'gsource/aio-test-hooks-private.h',
  'gsource/aio-system-private.h',
  'gsource/tests/shims.h',
];

export function checkRelease(folder) {
  const library = path.join(folder, 'libaio-gsource-1.so');
  const addon = path.join(folder, 'aio_gsource.node');
  const testLibrary = path.join(folder, 'libaio-gsource-test.a');
  const count = { passed: 0, failed: 0, skipped: 0 };
  const check = (what, faults) => {
    console.log(`${faults.length === 0 ? 'ok' : 'not ok'} - ${what}`);
    for (const fault of faults) console.log(`  ${fault}`);
    count[faults.length === 0 ? 'passed' : 'failed'] += 1;
  };

  const names = testNames();
  const present = words(testLibrary);
  check(
    `${names.length} names of the test layer are found where they are: in ${testLibrary}`,
    names.length > 30 ? names.filter((name) => !present.has(name)) : [`only ${names.length} names`],
  );
  for (const file of [library, addon]) {
    const found = words(file);
    check(
      `${file} has none of them`,
      names.filter((name) => found.has(name)),
    );
  }

  const declared = publicFunctions();
  const exported = exports(library);
  check(`${library} exports the ${declared.size} functions of the public headers`, [
    ...[...declared].filter((name) => !exported.has(name)).map((name) => `${name} is declared only`),
    ...[...exported].filter((name) => !declared.has(name)).map((name) => `${name} is exported only`),
  ]);
  // Beside what the standard library's templates leave in every program.
  const entry = /^(napi_register_module|node_api_module_get_api_version)_v\d+$|^_Z\w*?St/;
  check(
    `${addon} exports what Node looks for`,
    [...exports(addon)].filter((name) => !entry.test(name)),
  );
  return count;
}

function testNames() {
  const found = new Set();
  for (const header of testHeaders) {
    const text = readFileSync(header, 'utf8').replace(/\/\*[^]*?\*\//g, '');
    for (const [name] of text.matchAll(
      /\b(AIO_POINT|SHIM)_[A-Z0-9_]+|\b(aio_test|shim)_[a-z0-9_]+|\baio_system\b/g,
    )) {
      // Macros are in no file: AIO_POINT_##point, and a value that is no enumerator.
      if (!name.endsWith('_') && name !== 'SHIM_ALWAYS') found.add(name);
    }
  }
  return [...found];
}

/** Every word of the symbol tables, of the debug information and of the constants. */
function words(file) {
  const texts = [
    run('nm', ['-a', file]),
    file.endsWith('.a') ? '' : run('nm', ['-D', file]),
    run('readelf', ['--wide', '--debug-dump=info', file]),
    run('strings', ['-a', file]),
  ];
  return new Set(texts.flatMap((text) => text.match(/\w+/g) ?? []));
}

function publicFunctions() {
  const declared = new Set();
  const umbrella = readFileSync('gsource/aio-gsource.h', 'utf8');
  for (const [, header] of umbrella.matchAll(/#include "(aio-[\w-]+\.h)"/g)) {
    if (header === 'aio-version.h') continue; // is made from a template, and declares no function
    const text = readFileSync(path.join('gsource', header), 'utf8').replace(/\/\*[^]*?\*\/|^ *#.*$/gm, '');
    for (const [, name] of text.matchAll(/\bAIO_AVAILABLE\b[^;(]*?(\w+)\s*\(/g)) declared.add(name);
  }
  return declared;
}

function exports(file) {
  const lines = run('nm', ['-D', '--defined-only', '--format=posix', file]).split('\n').filter(Boolean);
  return new Set(lines.map((line) => line.split(/[ @]/)[0]));
}

function run(command, args) {
  const { status, stdout, error } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 30 });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed`, { cause: error });
  return stdout;
}
