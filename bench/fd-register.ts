/** Registering file descriptors in JavaScript. README.md says why the peers are fair. */
import assert from 'node:assert/strict';

import { AioContext, EventNotifier } from 'aio-gsource';

import { measure } from './measure.js';
import { makeNotifiers } from './notifiers.js';

const many = 10_000;
const few = 100;
const operations = 5000;
let calls = 0;

const notifiers = makeNotifiers(many);
const fds = notifiers.map(({ fd }) => fd);
const one = new EventNotifier();

function watch(context: AioContext, fd: number): void {
  context.setFdHandler(fd, {
    read() {
      calls++;
    },
  });
}

function contextWith(count: number): AioContext {
  const context = new AioContext({ name: 'bench' });
  for (const fd of fds.slice(0, count)) watch(context, fd);
  context.poll(false);
  assert.equal(context.monitor, 'epoll');
  return context;
}

function registerAndRemove(context: AioContext, done: () => void): void {
  const { fd } = one;
  for (let i = 0; i < operations; i++) {
    watch(context, fd);
    context.setFdHandler(fd, null);
  }
  context.poll(false);
  done();
}

/** Some that are set are found, among all that are registered. */
function check(context: AioContext): void {
  const set = notifiers.filter((_, i) => i % few === 0);
  for (const notifier of set) notifier.set();
  calls = 0;
  // A pass runs at most as many as it has room for; all stay set until here.
  while (calls < set.length) assert(context.poll(false), 'a handler does not run');
  for (const notifier of set) notifier.testAndClear();
}

const amongMany = contextWith(many);
const amongFew = contextWith(few);
await measure([
  {
    shape: 'JavaScript: register, remove among 10,000',
    subject: 'ours',
    operations,
    run(done) {
      registerAndRemove(amongMany, done);
    },
  },
  {
    shape: 'JavaScript: register, remove among 10,000',
    subject: 'among 100',
    operations,
    run(done) {
      registerAndRemove(amongFew, done);
    },
  },
]);
amongMany.close();
amongFew.close();

await measure(
  [
    {
      shape: 'JavaScript: 10,000 handlers',
      subject: 'ours',
      operations: 1, // all of them
      run(done) {
        const context = new AioContext({ name: 'bench' });
        for (const fd of fds) watch(context, fd);
        context.poll(false);
        done();
        check(context);
        context.close();
      },
    },
  ],
  { warmUpRounds: 3, rounds: 11 },
);
process.exit();
