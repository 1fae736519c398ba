// How to test a program that lives on a main loop: step it, and move its clock by hand. Nothing sleeps, nothing
// depends on how fast the machine is. Run it: npm run build && npx mocha --no-config dist/examples/stepper.test.js
import assert from 'node:assert/strict';
import { AioContext, Clock, MainContext, type Timer } from 'aio-gsource';

/** The program: saves 300 ms after the last change, but never later than 1 s after the first one. */
class AutoSave {
  saves = 0;
  readonly #quiet: Timer;
  readonly #latest: Timer;

  constructor(ctx: AioContext, clock: Clock) {
    this.#quiet = ctx.timer(clock, this.#save.bind(this));
    this.#latest = ctx.timer(clock, this.#save.bind(this));
  }

  change(): void {
    this.#quiet.after(300);
    if (!this.#latest.pending) this.#latest.after(1000);
  }

  #save(): void {
    this.saves++;
    this.#quiet.del();
    this.#latest.del();
  }
}

describe('AutoSave', () => {
  const mainContext = new MainContext();
  const clock = Clock.manual();
  const ctx = new AioContext().attach(mainContext);
  after(() => {
    ctx.close();
  });

  function pass(ms: number): void {
    clock.advance(ms);
    while (mainContext.iteration(false));
  }

  it('saves once when it has been quiet for 300 ms', () => {
    const autoSave = new AutoSave(ctx, clock);
    autoSave.change();
    pass(299);
    assert.equal(autoSave.saves, 0);
    pass(1);
    assert.equal(autoSave.saves, 1);
  });

  it('saves after a second of changes without a pause', () => {
    const autoSave = new AutoSave(ctx, clock);
    for (let ms = 0; ms < 1000; ms += 100) {
      autoSave.change();
      pass(100);
    }
    assert.equal(autoSave.saves, 1);
  });
});
