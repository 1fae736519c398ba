import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:process';
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
  return createRequire(import.meta.url)(path) as Native;
}

/** The addon. */
export const native: Native = load();
