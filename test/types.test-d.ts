// Compiled by api-types.test.ts with nothing but @types/node. Nothing here is run.
/* eslint @typescript-eslint/no-unused-vars: off, @typescript-eslint/no-unnecessary-type-parameters: off,
   @typescript-eslint/no-unsafe-call: off, @typescript-eslint/no-unsafe-class-instance-assignment: off,
   @typescript-eslint/no-meaningless-void-operator: off, no-unused-private-class-members: off */
import {
  AioContext,
  type AioError,
  type AioSnapshot,
  type AioStats,
  type BottomHalf,
  type ChildStatus,
  Clock,
  EventNotifier,
  type FdHandler,
  MainContext,
  type ManualClock,
  type NodeGtkMainContext,
  type NotifierHandler,
  type PollParams,
  Priority,
  runMain,
  Timer,
} from 'aio-gsource';
import { openPty, pipe, socketPair, tryRead, tryWrite } from 'aio-gsource/fds';
import { computeTimeoutNs, nodeCheck, notifyMe, pollDisabled } from 'aio-gsource/internals';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Compiles only where the value has exactly that type. */
function exactly<Expected>() {
  return <Actual>(_value: Actual, _same: Equal<Actual, Expected>): void => undefined;
}

declare const ctx: AioContext;
declare const gtk: NodeGtkMainContext;

// Good use
exactly<AioContext | null>()(AioContext.current, true);
exactly<'poll' | 'epoll' | 'io_uring'>()(ctx.monitor, true);
exactly<AioContext>()(ctx.attach(), true);
ctx.attach(null).attach(new MainContext(), { priority: Priority.belowRedraw }).attach(gtk);
exactly<boolean>()(ctx.poll(true), true);
exactly<number>()(ctx.blockOn(Promise.resolve(1)), true);
exactly<string>()(ctx.blockOn({ then: null as never } as PromiseLike<string>, { timeout: 5 }), true);
exactly<Promise<void>>()(ctx.sleep(5, { clock: Clock.host, signal: AbortSignal.timeout(5) }), true);
exactly<Promise<void>>()(ctx.whenReadable(5), true);
exactly<Promise<void>>()(ctx.whenWritable(5, { signal: AbortSignal.timeout(5) }), true);
exactly<AsyncIterable<void>>()(ctx.readable(5), true);
exactly<AsyncIterable<void>>()(ctx.writable(5, { signal: AbortSignal.timeout(5) }), true);
exactly<boolean>()(ctx.externalDisabled, true);
exactly<boolean>()(nodeCheck(ctx, true), true);
exactly<boolean>()(pollDisabled(ctx), true);
exactly<bigint>()(ctx.stats().pollNs, true);
exactly<bigint>()(ctx.inspect().pollMaxNs, true);
for (const each of ctx.inspect().handlers) exactly<bigint>()(each.pollNs, true);
const params: PollParams = { maxNs: 5n, grow: 2, shrink: 0 };
ctx.setPollParams(params);
ctx.setPollParams({ maxNs: 32_768 });
ctx.setFdPoll(0, () => undefined, null);
ctx.setFdHandler(0, { poll: (fd) => fd > 0, pollReady: () => undefined });
ctx.setEventNotifier(new EventNotifier(), {
  poll(each) {
    exactly<EventNotifier>()(each, true);
    return true;
  },
  pollReady: () => undefined,
  pollBegin: () => undefined,
  pollEnd: () => undefined,
});
exactly<AioStats>()(ctx.stats(), true);
exactly<AioSnapshot>()(ctx.inspect(), true);
for (const timer of ctx.inspect().timers) exactly<bigint>()(timer.remainingNs, true);
exactly<BottomHalf>()(
  ctx.bh(
    (bh: BottomHalf) => {
      bh.schedule();
    },
    { name: 'x' },
  ),
  true,
);
exactly<Timer>()(
  ctx.timer(
    Clock.realtime,
    (timer) => {
      timer.modNs(5n);
    },
    { scale: 'us', external: true },
  ),
  true,
);
exactly<ManualClock>()(Clock.manual(5n), true);
exactly<bigint>()(Clock.host.nowNs(), true);
exactly<bigint | null>()(ctx.timer(Clock.virtual, () => undefined).expireTimeNs, true);
exactly<bigint | null>()(Clock.virtual.deadlineNs, true);
ctx.setFdHandler(0, {
  read(fd) {
    exactly<number>()(fd, true);
  },
  error(error) {
    exactly<AioError>()(error, true);
  },
});
ctx.setFdHandler(0, null);
ctx.setEventNotifier(new EventNotifier({ active: true }), {
  read: (n) => {
    exactly<EventNotifier>()(n, true);
  },
});
exactly<Disposable>()(
  ctx.onSignal('SIGUSR2', () => undefined),
  true,
);
exactly<Promise<ChildStatus>>()(ctx.child(1, { reap: true, signal: new AbortController().signal }), true);
declare const status: ChildStatus;
exactly<number | null>()(status.code, true);
exactly<string | null>()(status.signal, true);
ctx.waitWhile(() => true, { signal: new AbortController().signal });
runMain(() => undefined);
Clock.virtual.enabled = false;
exactly<{ read: number; write: number }>()(pipe(), true);
exactly<[number, number]>()(socketPair(), true);
exactly<number | null>()(tryRead(0, new Uint8Array(5)), true);
exactly<number | null>()(tryWrite(0, Buffer.from('x')), true);
exactly<string>()(openPty({ columns: 80, rows: 25 }).path, true);
exactly<bigint>()(computeTimeoutNs(ctx), true);
exactly<number>()(notifyMe(ctx), true);

export function disposables(): void {
  using context = new AioContext();
  using _current = context.makeCurrent();
  using _bh = context.bh(() => undefined);
  using _timer = context.timer(Clock.realtime, () => undefined);
  using _notifier = new EventNotifier();
  using _disabled = context.disableExternal();
  using _owned = context.acquire();
  const both: Disposable & AsyncDisposable = context;
  void both;
}

class Reader implements FdHandler {
  #bytes = 0;
  read(): void {
    this.#bytes++;
  }
}
ctx.setFdHandler(1, new Reader());
const notifierHandler: NotifierHandler = { read: () => undefined, external: true };
void notifierHandler;

// Errors
// @ts-expect-error whether it is external is no number
ctx.setFdHandler(0, { read: () => undefined, external: 1 });
// @ts-expect-error poll gives a boolean
ctx.setFdHandler(0, { poll: () => Promise.resolve(true), pollReady: () => undefined });
// @ts-expect-error how long is needed
ctx.setPollParams({ grow: 2 });
// @ts-expect-error it grows by a number
ctx.setPollParams({ maxNs: 5, grow: 2n });
// @ts-expect-error none is null
ctx.setFdPoll(0, () => undefined);
// @ts-expect-error a readiness has no clock
void ctx.whenReadable(0, { clock: Clock.realtime });
// @ts-expect-error it is read-only
ctx.externalDisabled = true;
// @ts-expect-error an unknown monitor
new AioContext({ monitor: 'kqueue' });
// @ts-expect-error blocking is needed
ctx.poll();
// @ts-expect-error not a number
ctx.poll(1);
// @ts-expect-error not a main context
ctx.attach({});
// @ts-expect-error not a clock
ctx.timer(Date, () => undefined);
// @ts-expect-error an unknown scale
ctx.timer(Clock.realtime, () => undefined, { scale: 's' });
// @ts-expect-error an unknown signal
ctx.onSignal('SIGNAL', () => undefined);
// @ts-expect-error a callback is needed
ctx.onSignal('SIGINT');
// @ts-expect-error a process is known by a number
void ctx.child('1');
// @ts-expect-error a snapshot is read-only
ctx.inspect().handlers.pop();
// @ts-expect-error the name is read-only
ctx.name = 'x';
// @ts-expect-error the state is read-only
ctx.bh(() => undefined).scheduled = true;
// @ts-expect-error a time is a number or a bigint
ctx.timer(Clock.realtime, () => undefined).after('5');
// @ts-expect-error only a manual clock can be moved
Clock.realtime.advance(5);
// @ts-expect-error a notifier has no write
ctx.setEventNotifier(new EventNotifier(), { read: () => undefined, write: () => undefined });
// @ts-expect-error a promise, not a value
ctx.blockOn(5);
// @ts-expect-error made by AioContext.timer() only
new Timer();
// @ts-expect-error a text is no buffer
tryRead(0, 'x');
