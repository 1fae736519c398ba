// Where the package finds its addon.
import assert from 'node:assert/strict';

import { runScript } from './helpers.js';

/** Has only such files named after the addon exist whose path is of the pattern. */
const only = (pattern: RegExp): string => `
  const fs = require('node:fs'); const { existsSync } = fs;
  fs.existsSync = (path) => (/aio_gsource\\.node$/.test(path) ? ${String(pattern)}.test(path) : existsSync(path));
  require('node:module').syncBuiltinESMExports();`;

describe('Package: loading', () => {
  it('without its addon it says where it looked, and what to do', async () => {
    const { code, stderr } = await runScript('cjs', '', { first: only(/^$/) });

    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(`Error: aio-gsource has no addon for ${process.platform}-${process.arch}`),
    );
    assert.match(
      stderr,
      /neither \/\S+\/build\/aio_gsource\.node nor \/\S+\/prebuilds\/\S+\/aio_gsource\.node exists/,
    );
    assert.match(stderr, /npm run build/);
  });

  it('without a build of its own it takes the addon it was shipped with', async () => {
    const { code, stderr } = await runScript('cjs', '', { first: only(/\/prebuilds\//) });

    assert.equal(code, 1);
    assert.match(
      stderr,
      new RegExp(`Cannot find module '\\S+/prebuilds/${process.platform}-${process.arch}/aio_gsource.node'`),
    );
  });
});
