// The package once more, with the addon that AddressSanitizer has instrumented, for the mocha suite.
//
// ts/load.ts takes the addon from build/ beside its own dist/, and nobody can talk it into another place. So
// there is a folder that looks like the package, in which build/ is the sanitized one.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

const addon = 'aio_gsource.node';

/** Gives the folder, or null if it could not be built. AddressSanitizer's has the addon as well. */
export function buildSanitized(sanitizer) {
  const run = (command, args) =>
    spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;
  const folder = `build-${sanitizer}`;
  const addon = sanitizer === 'address' ? 'enabled' : 'disabled';
  const ready =
    existsSync(`${folder}/build.ninja`) ||
    run('meson', [
      ...['setup', folder, `-Db_sanitize=${sanitizer}`, '-Db_lundef=false'],
      ...['-Dintrospection=disabled', `-Daddon=${addon}`],
    ]);
  return ready && run('ninja', ['-C', folder]) ? folder : null;
}

/**
 * The folder, the one that reports are written to, and what a process needs in its environment. With another suffix
 * there are others.
 */
export function stagePackage(build, suffix = '') {
  const folder = path.resolve(build, `package${suffix}`);
  const logs = path.resolve(build, `reports${suffix}`);
  for (const each of [folder, logs]) {
    rmSync(each, { recursive: true, force: true });
    mkdirSync(each);
  }
  // Node goes by real paths: what is to be found in this folder is copied.
  for (const name of readdirSync('.')) {
    if (name === 'package.json' || name === 'dist')
      cpSync(name, path.join(folder, name), { recursive: true });
    else if (!/^(build|\.git$)/.test(name)) symlinkSync(path.resolve(name), path.join(folder, name));
  }
  symlinkSync(path.resolve(build), path.join(folder, 'build'));

  // The demonstration's command hangs at its start, on a lock of its own C library, with the runtime in it.
  const commands = path.join(folder, 'commands');
  mkdirSync(commands);
  writeFileSync(
    path.join(commands, 'vmstat'),
    `#!/bin/sh\nunset LD_PRELOAD\nPATH='${process.env.PATH}'\nexec vmstat "$@"\n`,
    { mode: 0o755 },
  );

  const { stdout } = spawnSync('ldd', [path.join(build, addon)], { encoding: 'utf8' });
  const runtime = stdout?.match(/libasan\S* => (\S+)/)?.[1];
  if (runtime === undefined)
    throw new Error(`${build}/${addon} is not linked with AddressSanitizer's runtime`);
  const asan = [
    'detect_stack_use_after_return=1',
    'strict_string_checks=1',
    'detect_leaks=1',
    'abort_on_error=1',
    // Longer ones take seconds to print for each process that opens a window: GTK keeps what it has until the end.
    'malloc_context_size=10',
    `log_path=${logs}/asan`,
  ];
  return {
    folder,
    logs,
    env: {
      PATH: `${commands}:${process.env.PATH}`,
      LD_PRELOAD: runtime, // Node itself has none, and the runtime has to be the first
      ASAN_OPTIONS: asan.join(':'),
      LSAN_OPTIONS: 'exitcode=0', // for leaks: whose they are is seen from the reports
      AIO_TEST_SLOWDOWN: '3',
    },
  };
}

/**
 * What was found. Node, V8 and GTK leave memory behind when a process ends: a leak is ours if a function of ours asked
 * for the memory, itself or through an allocator. References to JavaScript are ours to delete; what else Node
 * allocates when it is called is Node's. Anything but a leak is an error whosever it is.
 */
export function readReports(logs) {
  const allocator =
    / in (operator new|\w*alloc\w*|g_\w+|napi_create_reference)\b|\/lib(asan|glib|gobject|c|stdc\+\+)[-.]/;
  const ours = /\/(gsource|native)\/[\w-]+\.(c|cc|h):|libaio-gsource|aio_gsource\.node|napi-inl\.h/;
  const reports = [];
  for (const name of readdirSync(logs)) {
    const text = readFileSync(path.join(logs, name), 'utf8');
    if (!text.includes('ERROR: LeakSanitizer: detected memory leaks')) {
      reports.push(text);
      continue;
    }
    for (const block of text.split('\n\n')) {
      const frames = block.split('\n').filter((line) => /^ *#\d+ /.test(line));
      const asked = frames.find((frame) => ours.test(frame) || !allocator.test(frame));
      if (/^(Direct|Indirect) leak/m.test(block) && asked && ours.test(asked)) reports.push(block);
    }
  }
  return reports;
}
