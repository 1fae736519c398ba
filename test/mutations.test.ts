import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import { packageRoot } from './helpers.js';

const scripts = path.join(packageRoot, 'scripts');

interface Mutation {
  name: string;
  file: string;
  from: string;
  to: string;
}
type FindFaults = (table: Mutation[], readFile: (name: string) => string) => string[];

describe('The mutations of npm run mutate', () => {
  it('fit the source, and the documentation has the same', () => {
    const { status, stderr } = spawnSync(process.execPath, [path.join(scripts, 'mutate.mjs'), '--check'], {
      encoding: 'utf8',
    });
    assert.equal(stderr, '');
    assert.equal(status, 0);
  });

  it('do not fit another source', async () => {
    const { findFaults } = (await import(pathToFileURL(path.join(scripts, 'mutations.mjs')).href)) as {
      findFaults: FindFaults;
    };
    const table = ['gone', 'twice', 'once', 'same', 'once'].map((name) => ({
      name,
      file: 'file',
      from: name,
      to: name === 'same' ? name : '',
    }));
    assert.deepEqual(
      findFaults(table, () => 'twice once same twice'),
      [
        'gone: its text is 0 times in file, and has to be there once',
        'twice: its text is 2 times in file, and has to be there once',
        'same: it changes nothing',
        'once: there is another one of this name',
      ],
    );
  });
});
