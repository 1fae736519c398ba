// What an AioContext promises, as a model that is told of every call and asked about every callback.
//
// It is an acceptor: where an order is no contract (which of several ready handlers comes first) it takes any, and where
// one is (bottom halves and timers are FIFO, `read` comes before `write`) it takes that one alone. When a pass goes on
// from one phase to the next it tells what should have been called and was not.

/** What can be ready of a file descriptor, as poll(2) has it. */
export const IN = 1;
export const OUT = 4;
export const ERR = 8;
export const HUP = 16;
/** The number is not open. */
export const NVAL = 32;

/** The real context did what the model does not allow. */
export class Disagreement extends Error {}

export function expect(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Disagreement(message);
}

export class BottomHalfModel {
  readonly name: string;
  scheduled = false;
  idle = false;
  closed = false;
  /** It was cancelled, and GLib may have passed over the context since: a new schedule gets the old place or a new one. */
  isUnsure = false;
  constructor(name: string) {
    this.name = name;
  }
  get pending(): boolean {
    return this.scheduled || this.idle;
  }
}

export class ClockModel {
  now = 0;
  readonly armed: Set<TimerModel> = new Set<TimerModel>();
  /** Found expired by a pass, in the order of their expiry; a nested pass goes on with them. */
  due: TimerModel[] = [];
}

export class TimerModel {
  readonly name: string;
  readonly clock: ClockModel;
  expire = 0;
  /** Which arming this is; 0 while it is not armed. */
  arming = 0;
  period = 0;
  next = 0;
  closed = false;
  constructor(name: string, clock: ClockModel) {
    this.name = name;
    this.clock = clock;
  }
}

/** How a monitor knows a file descriptor: by its number; or by the file that it was, which a ring holds open. */
export type Watched = 'by number' | 'in a set' | 'in a ring';

/** A file descriptor. */
export class FdModel {
  readonly watched: Watched;
  isOpen = true;
  /** What it is ready for; or, after it was closed, what the file would be that a ring may hold open. */
  ready = 0;
  /** What a look may have seen at any time since the last look. */
  seen = 0;
  /** What its poll function says. */
  event = false;
  handler: HandlerModel | null = null;

  constructor(watched: Watched) {
    this.watched = watched;
  }

  /** What a look may see now. A set forgets what is closed, until it is entered anew, as external handlers may be. */
  get visible(): number {
    if (this.watched === 'in a set' && this.handler && this.handler.closures > 0 && !this.handler.external)
      return 0;
    return this.isOpen ? this.ready : NVAL;
  }
}

/** What a handler is called for when its file descriptor was looked at: for `error` if it was closed. */
export type Direction = 'read' | 'write' | 'error';

export const directions = ['read', 'write', 'error'] as const;

export type Callback = Direction | 'poll';

/** One registration. */
export class HandlerModel {
  readonly name: string;
  readonly fd: FdModel;
  readonly has: Readonly<Record<Callback, boolean>>;
  readonly external: boolean;
  removed = false;
  /** How often its file descriptor was closed while it watched. */
  closures = 0;
  /** The pass that may be about to call its `error`: its polling has ended. */
  dyingIn: Frame | null = null;
  /** How many looks there had been when it came. */
  since = 0;
  /** Its functions of polling on the stack, and the calls for reading and writing there. */
  busy = 0;
  depth = 0;
  /** Since which look at memory `poll` has said yes, and nobody was told; 0 if that is not so. */
  found = 0;
  /** `poll` has to be asked once more, after a `pollEnd`. */
  owed = false;
  /** Which pair of `pollBegin` and `pollEnd` it has, and that of the begin without an end, or 0. */
  functions = 1;
  begun = 0;
  /** A look at memory may spare one look at the file descriptors, not two in a row. */
  missed = false;

  constructor(name: string, fd: FdModel, has: Readonly<Record<Callback, boolean>>, external: boolean) {
    this.name = name;
    this.fd = fd;
    this.has = has;
    this.external = external;
  }

  /** HUP and ERR call `read`, or `write` where there is no `read`; ERR calls both. */
  wants(direction: Direction, events: number): boolean {
    const { read, write } = this.has;
    if (direction === 'error') return (read || write) && (events & NVAL) !== 0;
    if (direction === 'read') return read && (events & (IN | HUP | ERR)) !== 0;
    return write && (events & (read ? OUT | ERR : OUT | ERR | HUP)) !== 0;
  }

  /** Whether a look has to find it ready for that. */
  isReady(direction: Direction): boolean {
    const { isOpen, ready, watched } = this.fd;
    const isStale = this.closures > 0 && watched !== 'by number';
    if (isOpen) return !isStale && this.wants(direction, ready);
    if (direction !== 'error') return false;
    if (watched === 'by number') return this.wants('error', NVAL);
    // A ring looks at the number once the file is ready. There may be another one after a reopen.
    return (
      watched === 'in a ring' &&
      this.closures === 1 &&
      (this.wants('read', ready) || this.wants('write', ready))
    );
  }
}

/** The order of a pass. */
const Phase = { before: 0, bottomHalves: 1, handlers: 2, timers: 3, end: 4 } as const;

/** What callbacks run in, and what gets their exceptions: a pass, or a call that runs some at once. */
export class Frame {
  readonly kind: 'poll' | 'iteration' | 'dispatch' | 'bhPoll' | 'pending' | 'call';
  readonly blocking: boolean;
  phase: number = Phase.before;
  /** Whether something ran that is progress: in this very pass, in those nested in it. */
  progress = false;
  nested = false;
  readonly errors: unknown[] = [];
  /** Whose turn has to come in this pass or one nested in it; what came in this very one. */
  readonly due: Map<HandlerModel, Set<Callback>> = new Map<HandlerModel, Set<Callback>>();
  readonly called: Map<HandlerModel, Set<Callback>> = new Map<HandlerModel, Set<Callback>>();
  /** Whose polling ended before the wait of this very pass. */
  readonly ended: Set<HandlerModel> = new Set<HandlerModel>();
  readonly found: Map<HandlerModel, number> = new Map<HandlerModel, number>();
  readonly timersDue: Map<TimerModel, number> = new Map<TimerModel, number>();
  readonly collected: Set<ClockModel> = new Set<ClockModel>();
  /** External handlers were held back at some time in it. */
  heldBack = false;
  /** Whether it looks at file descriptors. */
  looks: boolean;

  constructor(kind: Frame['kind'], blocking = false) {
    this.kind = kind;
    this.blocking = blocking;
    this.looks = kind === 'poll' || kind === 'iteration';
  }
}

function note<Key, Value>(map: Map<Key, Set<Value>>, key: Key, value: Value): void {
  const values = map.get(key);
  if (values) values.add(value);
  else map.set(key, new Set([value]));
}

export class Model {
  readonly frames: Frame[] = [];
  readonly handlers: Set<HandlerModel> = new Set<HandlerModel>();
  readonly clocks: ClockModel[] = [];
  /** Bottom halves in the order of their first schedule; the first `carved` are those that a pass has taken. */
  readonly queue: BottomHalfModel[] = [];
  carved = 0;
  closed = false;
  disabled = 0;
  /** GLib has been told by `pending()` that the source is ready: the next iteration does not prepare it. */
  prepared = false;
  readonly counts = { bhsRun: 0, handlersDispatched: 0, timersFired: 0 };
  #looks = 0;
  #finds = 0;
  #armings = 0;

  // --- Bottom halves

  schedule(bh: BottomHalfModel, how: 'scheduled' | 'idle' = 'scheduled'): void {
    if (!this.queue.includes(bh)) this.queue.push(bh);
    bh[how] = true;
  }

  cancel(bh: BottomHalfModel): void {
    bh.scheduled = bh.idle = false;
  }

  closeBottomHalf(bh: BottomHalfModel): void {
    this.cancel(bh);
    bh.closed = true;
  }

  runsBottomHalf(bh: BottomHalfModel): void {
    const frame = this.#enter(Phase.bottomHalves, bh.name);
    expect(bh.pending, `${bh.name} runs and is not scheduled`);
    const next = this.#nextBottomHalf();
    const place = this.queue.indexOf(bh);
    expect(
      place < this.carved && (next === bh || bh.isUnsure),
      `${bh.name} runs, but ${next ? `the turn is ${next.name}'s` : 'only in the next pass'}`,
    );
    this.queue.splice(place, 1);
    this.carved--;
    bh.isUnsure = false;
    if (bh.scheduled) frame.progress = true;
    this.cancel(bh);
    this.counts.bhsRun++;
  }

  #nextBottomHalf(): BottomHalfModel | undefined {
    while (this.carved > 0 && !this.queue[0]?.pending) {
      this.queue.shift();
      this.carved--;
    }
    return this.carved > 0 ? this.queue[0] : undefined;
  }

  // --- Timers

  arm(timer: TimerModel, expire: number): void {
    this.disarm(timer);
    timer.expire = Math.max(expire, 0);
    timer.arming = ++this.#armings;
    timer.clock.armed.add(timer);
  }

  every(timer: TimerModel, period: number): void {
    timer.period = period;
    timer.next = timer.clock.now + period;
    this.arm(timer, timer.next);
  }

  anticipate(timer: TimerModel, expire: number): void {
    if (timer.arming === 0 || Math.max(expire, 0) < timer.expire) this.arm(timer, expire);
    timer.next = timer.expire;
  }

  disarm(timer: TimerModel): void {
    timer.clock.armed.delete(timer);
    timer.clock.due = timer.clock.due.filter((each) => each !== timer);
    timer.arming = 0;
  }

  setClock(clock: ClockModel, now: number): void {
    clock.now = now;
    for (const { timersDue } of this.frames)
      for (const timer of timersDue.keys())
        if (timer.clock === clock && timer.expire > now && !clock.due.includes(timer))
          timersDue.delete(timer);
  }

  firesTimer(timer: TimerModel): void {
    const frame = this.#enter(Phase.timers, timer.name);
    const { clock } = timer;
    expect(timer.arming !== 0, `${timer.name} fires and is not armed`);
    if (!frame.collected.has(clock)) {
      frame.collected.add(clock);
      const expired = [...clock.armed].filter((each) => each.expire <= clock.now);
      for (const each of expired.sort((a, b) => a.expire - b.expire || a.arming - b.arming)) {
        clock.armed.delete(each);
        clock.due.push(each);
      }
    }
    const [next] = clock.due;
    expect(
      next === timer,
      `${timer.name} fires, but ${next ? `the turn is ${next.name}'s` : 'not in this pass'}`,
    );
    this.disarm(timer);
    frame.progress = true;
    this.counts.timersFired++;
    if (timer.period === 0) return;
    const missed = Math.max(0, Math.floor((clock.now - timer.next) / timer.period));
    timer.next += (missed + 1) * timer.period;
    this.arm(timer, timer.next);
  }

  // --- Handlers

  setReady(fd: FdModel, ready: number): void {
    fd.ready = ready;
    fd.seen |= fd.visible;
    const { handler } = fd;
    if (!handler) return;
    for (const { due } of this.frames)
      for (const direction of directions)
        if (!handler.isReady(direction)) due.get(handler)?.delete(direction);
  }

  /** Without a word to the context. */
  closeFd(fd: FdModel): void {
    fd.isOpen = false;
    if (fd.handler) fd.handler.closures++;
    this.setReady(fd, fd.ready);
  }

  openFd(fd: FdModel, ready: number): void {
    fd.isOpen = true;
    this.setReady(fd, ready);
  }

  /** In place of the handler that `fd` has, which is returned. */
  handle(fd: FdModel, handler: HandlerModel | null): HandlerModel | null {
    const old = fd.handler;
    fd.handler = handler;
    if (old) {
      old.removed = true;
      this.handlers.delete(old);
      for (const { due } of this.frames) due.delete(old);
    }
    if (handler) {
      handler.since = this.#looks;
      this.handlers.add(handler);
      fd.seen |= fd.visible;
    }
    return old;
  }

  disable(): void {
    this.disabled++;
    for (const frame of this.frames) frame.heldBack = true;
  }

  isHeldBack(handler: HandlerModel): boolean {
    return handler.external && this.disabled > 0;
  }

  #mayBeCalled(handler: HandlerModel, what: string): void {
    expect(!handler.removed, `${what} of ${handler.name} is called, which was removed`);
    expect(!this.isHeldBack(handler), `${what} of ${handler.name} is called, which is held back`);
  }

  /** It is told, or would be if it had an `error`, that its file descriptor was closed. */
  dies(handler: HandlerModel): void {
    const frame = this.#enter(Phase.handlers, handler.name);
    expect(!handler.removed, `error of ${handler.name} is called, which was removed`);
    // Its `pollEnd`, which comes before, may have changed the rest.
    if (!handler.dyingIn) this.#mayBeCalled(handler, 'error');
    expect(
      handler.since < this.#looks && handler.wants('error', handler.fd.seen),
      `error of ${handler.name} is called, and nothing has seen it closed`,
    );
    expect(handler.begun === 0, `error of ${handler.name} is called before its pollEnd`);
    this.handle(handler.fd, null);
    frame.progress = true;
  }

  callsHandler(handler: HandlerModel, direction: 'read' | 'write' | 'poll'): void {
    const what = direction === 'poll' ? 'pollReady' : direction;
    const frame = this.#enter(Phase.handlers, handler.name);
    const called = frame.called.get(handler);
    this.#mayBeCalled(handler, what);
    expect(!called?.has(direction), `${what} of ${handler.name} is called twice in a pass`);
    if (direction === 'poll') {
      expect(handler.found !== 0, `pollReady of ${handler.name} is called, and its poll has not said so`);
      expect(!called?.has('read'), `pollReady of ${handler.name} is called after its read`);
    } else {
      expect(handler.since < this.#looks, `${what} of ${handler.name} is called before any look at it`);
      expect(
        handler.wants(direction, handler.fd.seen),
        `${what} of ${handler.name} is called, which is not ready`,
      );
    }
    if (direction === 'write')
      expect(!frame.due.get(handler)?.has('read'), `write of ${handler.name} is called before its read`);
    else handler.found = 0; // it is told of both at once
    note(frame.called, handler, direction);
    handler.missed = false;
    for (const { due } of this.frames) due.get(handler)?.delete(direction);
    if (direction === 'read') for (const { due } of this.frames) due.get(handler)?.delete('poll');
    frame.progress = true;
    this.counts.handlersDispatched++;
  }

  asksHandler(handler: HandlerModel): void {
    this.#mayBeCalled(handler, 'poll');
    expect(handler.busy === 0, `poll of ${handler.name} is called inside of its own polling`);
    this.#expectBefore(`poll of ${handler.name}`);
    handler.owed = false;
  }

  /** What `poll` has given, after it has or has not thrown. */
  answers(handler: HandlerModel, yes: boolean): void {
    if (yes && !handler.removed) handler.found ||= ++this.#finds;
    if (!yes) this.forgetEvent(handler);
  }

  /** Its poll function says no by now. */
  forgetEvent(handler: HandlerModel): void {
    for (const { due } of this.frames) due.get(handler)?.delete('poll');
  }

  beginsPolling(handler: HandlerModel, functions: number): void {
    expect(!handler.removed, `pollBegin of ${handler.name} is called, which was removed`);
    expect(handler.begun === 0, `pollBegin of ${handler.name} is called twice`);
    expect(functions === handler.functions, `an old pollBegin of ${handler.name} is called`);
    if (this.frames.at(-1)?.kind !== 'call') this.#expectBefore(`pollBegin of ${handler.name}`);
    handler.begun = functions;
  }

  endsPolling(handler: HandlerModel, functions: number): void {
    expect(handler.begun !== 0, `pollEnd of ${handler.name} is called without a pollBegin`);
    expect(functions === handler.begun, `pollEnd of ${handler.name} is that of another pollBegin`);
    handler.begun = 0;
    const frame = this.frames.at(-1);
    if (!frame || frame.kind === 'call') return;
    if (handler.wants('error', handler.fd.seen)) {
      handler.dyingIn ??= frame;
      frame.nested = true; // it is progress, even if it removes the handler
      return;
    }
    expect(frame.phase === Phase.before, `pollEnd of ${handler.name} is called after the wait`);
    handler.owed = true;
    if (handler.busy === 0) frame.ended.add(handler);
  }

  #expectBefore(what: string): void {
    const frame = this.frames.at(-1);
    expect(frame?.phase === Phase.before, `${what} is called after the wait`);
  }

  close(): void {
    this.closed = true;
    for (const handler of this.handlers) this.handle(handler.fd, null);
  }

  // --- Passes

  /** Whether a wait would end by itself. */
  isDue(): boolean {
    if (this.queue.some((bh) => bh.scheduled)) return true;
    if (
      this.clocks.some(
        (clock) => clock.due.length > 0 || [...clock.armed].some(({ expire }) => expire <= clock.now),
      )
    )
      return true;
    return [...this.handlers].some((handler) => !this.isHeldBack(handler) && this.#isReady(handler));
  }

  #isReady(handler: HandlerModel): boolean {
    return directions.some((direction) => handler.isReady(direction));
  }

  begin(frame: Frame): void {
    this.frames.push(frame);
    frame.heldBack = this.disabled > 0;
    if (frame.kind === 'iteration') {
      frame.looks = !this.prepared;
      this.prepared = false;
    }
    if (!frame.looks || this.closed) return;
    // One that is being called may go on with what was found before.
    for (const { fd, depth, dyingIn } of this.handlers) if (depth === 0 && !dyingIn) fd.seen = fd.visible;
    for (const handler of this.handlers) {
      if (handler.dyingIn) continue;
      for (const direction of directions) if (handler.isReady(direction)) note(frame.due, handler, direction);
      const isAsked = frame.kind === 'poll' ? !frame.blocking : !handler.has.read && !handler.has.write;
      if (handler.has.poll && handler.fd.event && handler.busy === 0 && isAsked)
        note(frame.due, handler, 'poll');
    }
  }

  /** Whether the script that runs now runs in a prepare, from where GLib must not be called. */
  get inPrepare(): boolean {
    return this.frames.some(
      ({ kind, phase }) => (kind === 'iteration' || kind === 'pending') && phase === Phase.before,
    );
  }

  /** The pass is over. */
  end(frame: Frame): void {
    // Nothing to dispatch, perhaps.
    if (frame.kind === 'iteration' && frame.phase === Phase.before)
      for (const bh of this.queue) bh.isUnsure = !bh.pending;
    if (frame.kind !== 'call' && frame.kind !== 'pending') this.#advance(frame, Phase.end);
    this.frames.pop();
    for (const handler of this.handlers) if (handler.dyingIn === frame) handler.dyingIn = null;
    const outer = this.frames.at(-1);
    if (outer && (frame.progress || frame.nested)) outer.nested = true;
    if (frame.kind !== 'pending') return;
    // It has looked anew, and what it found is for the next pass.
    this.#looks++;
    for (const { due } of this.frames) due.clear();
  }

  /** The pass that a callback of `phase` belongs to. */
  #enter(phase: number, who: string): Frame {
    const frame = this.frames.at(-1);
    expect(!this.closed, `${who} is called, and the context is closed`);
    expect(frame !== undefined && frame.kind !== 'call', `${who} is called outside of every pass`);
    expect(frame.kind !== 'pending', `${who} is called by pending()`);
    expect(frame.phase <= phase, `${who} is called in the wrong phase of the pass`);
    this.#advance(frame, phase);
    return frame;
  }

  #advance(frame: Frame, phase: number): void {
    while (frame.phase < phase) {
      const left = frame.phase++;
      if (this.closed) continue;
      if (left === Phase.before) {
        for (const handler of frame.ended) {
          const mayOwe = handler.removed || (handler.external && frame.heldBack);
          expect(mayOwe || !handler.owed, `poll of ${handler.name} was not asked after its pollEnd`);
        }
        this.carved = this.queue.length; // after what outer passes have left
        // After pending() a dispatch takes what GLib's poll has found.
        if (frame.kind !== 'bhPoll' && (frame.kind !== 'dispatch' || this.prepared)) this.#looks++;
      } else if (left === Phase.bottomHalves) {
        const next = this.#nextBottomHalf();
        expect(!next, `${next?.name ?? ''} did not run`);
        for (const handler of this.handlers) if (handler.found !== 0) frame.found.set(handler, handler.found);
      } else if (left === Phase.handlers && frame.kind !== 'bhPoll') {
        this.#expectHandlersCalled(frame);
        for (const { armed, due, now } of this.clocks)
          for (const timer of [...due, ...armed])
            if (timer.expire <= now || due.includes(timer)) frame.timersDue.set(timer, timer.arming);
      }
      if (frame.phase === Phase.end)
        for (const [timer, arming] of frame.timersDue)
          expect(timer.arming !== arming, `${timer.name} did not fire`);
    }
  }

  #expectHandlersCalled(frame: Frame): void {
    const mayMiss = [...this.handlers].some(({ has }) => has.poll);
    for (const handler of this.handlers) {
      const missing = frame.due.get(handler);
      const isMissed = missing !== undefined && missing.size > 0 && !(handler.external && frame.heldBack);
      if (isMissed) {
        const which = [...missing].join(' and ');
        const isFree = mayMiss && !handler.missed && !missing.has('poll');
        expect(isFree, `${which} of ${handler.name} did not come`);
      }
      handler.missed = isMissed;
    }
    for (const handler of this.handlers) {
      // Whether one is held back is looked at before a wait.
      if (handler.busy > 0 || handler.dyingIn || (handler.external && (frame.heldBack || !frame.looks)))
        continue;
      const isDue = handler.found !== 0 && handler.found === frame.found.get(handler) && handler.depth === 0;
      expect(!isDue, `pollReady of ${handler.name} did not come`);
    }
  }
}
