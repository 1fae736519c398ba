/** One of many notifiers is set, found by GLib, and its callback runs. README.md says why the peers are fair. */
import assert from 'node:assert/strict';

import { AioContext, EventNotifier, MainContext } from 'aio-gsource';

import { measure } from './measure.js';
import { makeNotifiers } from './notifiers.js';

const many = 10_000;
const operations = 2000;
/** A prime: so far apart no cache knows the next. */
const far = 7919;

let calls = 0;

/** A context with notifiers, in a main context of its own. */
class Watched {
  readonly main: MainContext = new MainContext();
  readonly context: AioContext = new AioContext({ name: 'bench' }).attach(this.main);
  readonly notifiers: EventNotifier[] = [];
  #next = 0;

  watch(count: number): this {
    this.notifiers.push(...makeNotifiers(count));
    for (const notifier of this.notifiers)
      this.context.setEventNotifier(notifier, {
        read() {
          calls++;
        },
      });
    return this;
  }

  /** Sets them all in turn, each so far from the one before. */
  run(stride: number, done: () => void): void {
    const { main, notifiers } = this;
    calls = 0;
    for (let i = 0; i < operations; i++) {
      this.#next = (this.#next + stride) % notifiers.length;
      notifiers[this.#next]?.set();
      main.iteration(false);
    }
    done();
    assert.equal(calls, operations);
  }
}

/** The least number of notifiers for which a context takes epoll by itself. */
function findThreshold(): number {
  const watched = new Watched();
  while (watched.context.monitor !== 'epoll') {
    assert(watched.notifiers.length < many / 10, 'epoll is not taken');
    const notifier = new EventNotifier();
    watched.notifiers.push(notifier);
    watched.context.setEventNotifier(notifier, { read: () => undefined });
    watched.main.iteration(false);
  }
  watched.context.close();
  for (const notifier of watched.notifiers) notifier.close();
  return watched.notifiers.length;
}

const one = new Watched().watch(1);
const atThreshold = new Watched().watch(findThreshold());
const all = new Watched().watch(many);

await measure(
  Object.entries({
    'JavaScript: one of 10,000 fds': 1,
    'JavaScript: one of 10,000 fds, far apart': far,
  }).flatMap(([shape, stride]) => [
    { shape, subject: 'ours', operations, run: (done) => all.run(stride, done) },
    { shape, subject: 'one of 1', operations, run: (done) => one.run(1, done) },
    { shape, subject: 'one at the threshold', operations, run: (done) => atThreshold.run(1, done) },
  ]),
);
process.exit();
