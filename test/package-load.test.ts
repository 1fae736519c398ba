// Where the package finds its addon.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';

import { packageRoot, runScript, scriptLines } from './helpers.js';

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
    assert.match(stderr, new RegExp(`/prebuilds/${process.platform}-${process.arch}/aio_gsource\\.node`));
    assert.match(stderr, /ERR_DLOPEN_FAILED/);
  });

  // As jest and loaders that reload do.
  it('evaluated twice in one environment, each copy has callbacks of its own', async () => {
    const lines = await scriptLines(
      'esm',
      `import { register } from 'node:module';
      import { pathToFileURL } from 'node:url';
      const entry = pathToFileURL(require.resolve('aio-gsource')).href;
      const folder = new URL('.', entry).href;
      register('data:text/javascript,' + encodeURIComponent(\`
        export async function resolve(specifier, context, next) {
          const result = await next(specifier, context);
          const copy = context.parentURL && new URL(context.parentURL).search;
          if (copy && result.url.startsWith('\${folder}') && !new URL(result.url).search) result.url += copy;
          return result;
        }\`));
      const one = await import(entry + '?copy=1');
      const two = await import(entry + '?copy=2');
      console.log(one.AioContext === two.AioContext);

      const [a, b] = [new one.AioContext({ name: 'a' }), new two.AioContext({ name: 'b' })];
      const current = () => [one, two].map(({ AioContext }) => AioContext.current?.name).join(' ');
      a.bh(() => console.log('one', current())).schedule();
      b.bh(() => console.log('two', current())).schedule();
      console.log(a.poll(false), b.poll(false));

      // What one has is not taken for what the other makes.
      const timers = Array.from({ length: 50 }, () => a.timer(one.Clock.realtime, () => undefined));
      for (let i = 0; i < 50; i++) b.scheduleOneshot(() => undefined);
      for (const timer of timers) timer.after(1e6);
      console.log(timers.every(({ pending }) => pending));
      try { b.scheduleOneshot(() => { throw new two.AioError('MINE', ''); }); b.poll(false); }
      catch (error) { console.log(error instanceof two.AioError); }
      a.close();
      b.close();
      try { a.notify(); } catch (error) { console.log(error instanceof one.AioError, error.code); }
      gc();`,
    );

    assert.deepEqual(lines, [
      'false',
      'one a ',
      'two  b',
      'true true',
      'true',
      'true',
      'true ERR_AIO_CLOSED',
    ]);
  });

  it('the addon takes the functions of one copy only', () => {
    const addon = createRequire(import.meta.url)(path.join(packageRoot, 'build/aio_gsource.node')) as {
      install(isWorker: boolean, ...functions: (() => void)[]): void;
    };
    const functions = Array.from({ length: 4 }, () => () => assert.fail('it has nothing to call'));

    addon.install(false, ...functions);

    assert.throws(() => {
      addon.install(false, ...functions);
    }, /another copy of the package/);
  });
});
