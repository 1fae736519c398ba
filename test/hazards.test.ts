import assert from 'node:assert/strict';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

import { packageRoot } from './helpers.js';

interface Page {
  hazards: { heading: string; id: string; title: string }[];
  untestable: { id: string; why: string }[];
  waiting: { id: string; part: string; what: string; all: boolean }[];
}
interface Scripts {
  readPage: (text?: string) => Page;
  isThere: (part: string, exports?: object) => boolean;
  compare: (
    page: Page,
    tests: string[],
    built: (part: string) => boolean,
  ) => { testsOf: Map<string, string[]>; problems: string[] };
}

const page = `
## A. Wake-ups

| id  | what | here |
| --- | ---- | ---- |
| A1  | one  | yes  |
| A2  | two  | yes  |
| A4  | four | yes  |

## N. Node

| id  | what | here |
| --- | ---- | ---- |
| N1  | node | yes  |

## Without a test

| id  | why        |
| --- | ---------- |
| A2  | impossible |

## Waiting for a part

| id  | part        | what        |
| --- | ----------- | ----------- |
| A4  | \`Part\`      | all: it     |
| N1  | \`Class#one\` | what it adds |
`;

describe('npm run hazards', () => {
  let scripts: Scripts;

  before(async () => {
    const file = pathToFileURL(path.join(packageRoot, 'scripts/hazards.mjs')).href;
    scripts = (await import(file)) as Scripts;
  });

  const check = (tests: string[], built: string[] = []): string[] =>
    scripts.compare(scripts.readPage(page), tests, (part) => built.includes(part)).problems;

  it('accepts what is tested, excused, or waits for its part', () => {
    const gap = 'A3 is not on the page';
    assert.deepEqual(check(['C /wakeup/A1-lost', 'mocha N1: pumped']), [gap]);
    const { testsOf } = scripts.compare(
      scripts.readPage(page),
      ['C /A1-A2-x', 'mocha A1: y', 'none'],
      () => false,
    );
    assert.deepEqual(testsOf.get('A1'), ['C /A1-A2-x', 'mocha A1: y']);
  });

  it('finds a hazard without a test, and one with a test and an excuse', () => {
    assert.deepEqual(check(['A2', 'N1']), [
      'A3 is not on the page',
      'A1 has no test: one',
      'A2 is excused, and has a test: A2',
    ]);
    assert.deepEqual(check(['A1']), ['A3 is not on the page', 'N1 has no test: node']);
  });

  it('finds a part that is there, and an id that is on no page', () => {
    assert.deepEqual(check(['A1', 'N1', 'B7: what'], ['Part']), [
      'A3 is not on the page',
      'B7 is no hazard: B7: what',
      'A4 waits for Part, which is there: all: it',
    ]);
  });

  it('knows what the package exports', () => {
    assert.deepEqual(
      ['AioContext', 'AioContext#poll', 'AioContext#gone', 'Gone', 'Gone#poll'].map((part) =>
        scripts.isThere(part),
      ),
      [true, true, false, false, false],
    );
  });
});
