// A source of events in memory with a notifier by which it can be kicked: what polling is for.
import assert from 'node:assert/strict';

import { type AioContext, EventNotifier, type FdHandler } from 'aio-gsource';

export class Producer implements Disposable {
  readonly ctx: AioContext;
  readonly notifier: EventNotifier = new EventNotifier();
  /** There is something to do. */
  event = false;
  reads = 0;
  asked = 0;
  found = 0;
  begins = 0;
  ends = 0;

  /** Registers a handler for it, with some of its methods replaced. */
  constructor({ ctx }: { ctx: AioContext }, methods: Partial<FdHandler> = {}) {
    this.ctx = ctx;
    this.register(methods);
  }

  get fd(): number {
    return this.notifier.fd;
  }

  get handler(): Required<Pick<FdHandler, 'read' | 'poll' | 'pollReady' | 'pollBegin' | 'pollEnd'>> {
    return {
      read: () => {
        this.reads++;
        this.notifier.testAndClear();
      },
      poll: () => {
        this.asked++;
        return this.event;
      },
      pollReady: () => {
        this.found++;
        this.event = false;
      },
      pollBegin: () => {
        assert.equal(this.begins, this.ends);
        this.begins++;
      },
      pollEnd: () => {
        this.ends++;
        assert.equal(this.begins, this.ends);
      },
    };
  }

  register(methods: Partial<FdHandler> = {}): void {
    this.ctx.setFdHandler(this.fd, { ...this.handler, ...methods });
  }

  /** Brings the context into poll mode, and leaves it there: an event by the kick, then one in memory. */
  enterPollMode(): void {
    const { ctx } = this;
    ctx.setPollParams({ maxNs: 1_000_000_000 });
    this.notifier.set();
    assert.equal(ctx.poll(true), true);
    assert.equal(ctx.stats().pollNs, 4000n);
    this.event = true;
    assert.equal(ctx.poll(true), true);
    assert.deepEqual([this.reads, this.found, this.begins, this.ends], [1, 1, 1, 0]);
    assert.equal(ctx.inspect().pollStarted, true);
  }

  [Symbol.dispose](): void {
    const { ctx } = this;
    if (!ctx.closed) ctx.setFdHandler(this.fd, null);
    this.notifier.close();
    assert.equal(this.begins, this.ends);
  }
}
