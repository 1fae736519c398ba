import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { packageRoot } from './helpers.js';

describe('Declarations', function () {
  this.timeout(60_000);

  it('need nothing but @types/node, and refuse what they should (types.test-d.ts)', () => {
    // A program that uses the package, with the strictest look at its declarations.
    const folder = mkdtempSync(path.join(packageRoot, 'dist/types-'));
    try {
      const source = readFileSync(path.join(packageRoot, 'test/types.test-d.ts'), 'utf8');
      writeFileSync(path.join(folder, 'program.ts'), source);
      const options = {
        compilerOptions: {
          ...{ target: 'es2022', lib: ['es2022'], module: 'nodenext', types: ['node'] },
          ...{ strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true },
        },
        files: ['program.ts'],
      };
      writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(options));

      const { status, stdout } = spawnSync(
        process.execPath,
        [path.join(packageRoot, 'node_modules/typescript/bin/tsc'), '-p', folder],
        { encoding: 'utf8' },
      );

      assert.equal(status, 0, stdout);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
