import { existsSync } from 'node:fs';
import process, { arch, platform } from 'node:process';
import { fileURLToPath } from 'node:url';

import type { Native } from './native.js';

/** Where the addon may be, seen from dist/ts: as built here, or as the package ships it. */
const places = ['../../build/', `../../prebuilds/${platform}-${arch}/`].map((directory) =>
  fileURLToPath(new URL(`${directory}aio_gsource.node`, import.meta.url)),
);

function load(): Native {
  const path = places.find((place) => existsSync(place));
  if (path === undefined) {
    throw new Error(
      `aio-gsource has no addon for ${platform}-${arch}: neither ${places.join(' nor ')} exists. ` +
        'Build it with "npm run build" in the package.',
    );
  }
  // Not require(), which gives what evaluates these modules once more the same object: each copy of ts/dispatcher.ts
  // numbers its slots by itself, so it needs an environment of its own in the addon.
  const module: { exports: unknown } = { exports: {} };
  process.dlopen(module, path);
  return module.exports as Native;
}

/** The addon. */
export const native: Native = load();
