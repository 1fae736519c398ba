/// <reference lib="esnext.disposable" preserve="true" />
import {
  checkBoolean,
  checkFd,
  checkFunction,
  checkInt32,
  checkObject,
  checkString,
  invalidThis,
  invalidType,
  isObject,
  nameOf,
  scales,
} from './arguments.js';
import { createBottomHalf, type BottomHalf, type BottomHalfOwner } from './bottom-half.js';
import { child, type ChildOptions, type ChildStatus } from './child.js';
import { Clock, clockHandle } from './clock.js';
import { warnOfUndriven } from './diagnostics.js';
import { allocateSlot, collectReleasedSlots, createBatch, hold, leaveDriver, Oneshot } from './dispatcher.js';
import { AioError } from './errors.js';
import type { FdHandler, NotifierHandler } from './handler.js';
import { HandlerTable } from './handler-table.js';
import type { AioSnapshot } from './inspect.js';
import { native } from './load.js';
import { mainContextHandle, type MainContext, type NodeGtkMainContext } from './main-context.js';
import { monitorIndex, monitorOf, type Monitor } from './monitor.js';
import type { ContextHandle } from './native.js';
import type { EventNotifier } from './notifier.js';
import { pollParams, type PollParams } from './polling.js';
import { watchSignal } from './signal.js';
import { readiness, whenReady, type ReadinessOptions } from './readiness.js';
import { sleep, type Sleepers, type SleepOptions } from './sleep.js';
import type { AioStats } from './stats.js';
import {
  createTimer,
  timerOptions,
  type Timer,
  type TimerMaker,
  type TimerOptions,
  type TimerOwner,
} from './timer.js';
import { waitForPromise, waitUntil, type WaitOptions } from './wait.js';

/**
 * Priorities of a context that GLib drives: the lower the earlier. An application of GTK uses `belowRedraw`, for a
 * source at `default` that is always ready keeps it from redrawing.
 */
export const Priority: Readonly<
  Record<'high' | 'default' | 'highIdle' | 'redraw' | 'belowRedraw' | 'idle', number>
> = {
  high: -100,
  default: 0,
  highIdle: 100,
  redraw: 120,
  belowRedraw: 130,
  idle: 200,
};

/** What a context can be made with. */
export interface AioContextOptions {
  /** What it is called in messages. */
  name?: string;
  /** How it watches file descriptors; `auto`, the default, is the best that this machine has. */
  monitor?: 'auto' | Monitor;
}

/** What undoes something in the context, once, unless that is closed by then. */
function undoOnce(handle: ContextHandle, inverse: (handle: ContextHandle) => void): Disposable {
  let undone = false;
  return {
    [Symbol.dispose]: () => {
      if (undone) return;
      undone = true;
      if (!native.contextIsClosed(handle)) inverse(handle);
    },
  };
}

/** The handle of `value`, which has to be a context. */
export let contextHandle: (value: unknown, name: string) => ContextHandle;

/** What `makeCurrent()` has made current on this thread; it stays alive so. */
const current: { made: AioContext | null } = { made: null };

/**
 * An event loop that can be waited on synchronously, and that is a GSource: attach it to a `GMainContext` and GTK
 * drives it; call `poll()` and the script does. Either way it runs the same bottom halves, handlers and timers.
 *
 * A context belongs to the thread that made it. Callbacks run there, each in the AsyncLocalStorage context of its
 * registration, in an empty one if that had no store; promises progress between them. What the first of all calls of
 * `enterWith()` enters in a callback stays with who drives that, as with any function that is called. Before Node 24 an
 * `uncaughtException` that the process survives takes the store of who drives, for Node forgets all of them then.
 *
 * What a callback throws is thrown by the `poll()`, `waitWhile()`, `blockOn()` or `MainContext.iteration()` that drives
 * it, once that has finished its iteration (several: as an `AggregateError`); where something else drives it, such as
 * GTK, it is an `uncaughtException`.
 *
 * A registered handler, an armed timer and a scheduled bottom half keep it alive. Once it is closed everything but
 * the getters and `close()` throws `ERR_AIO_CLOSED`.
 */
export class AioContext implements Disposable, AsyncDisposable {
  readonly #handle: ContextHandle;
  readonly #name: string;
  #monitor: Monitor;
  readonly #bottomHalves: BottomHalfOwner;
  readonly #timers: TimerOwner[] = [];
  readonly #handlers: HandlerTable;
  readonly #sleepers: Sleepers = new Set();

  static {
    contextHandle = (value, name) => {
      if (!isObject(value) || !(#handle in value))
        throw invalidType(name, 'an instance of AioContext', value);
      return value.#handle;
    };
  }

  /**
   * Makes a context whose home is this thread. The original's `aio_context_new`.
   *
   * @throws `ERR_AIO_UNAVAILABLE` for a monitor that cannot be had; an {@link AioError} with the errno if there are no
   *   file descriptors left
   */
  constructor(options: AioContextOptions = {}) {
    checkObject(options, 'options');
    const { name, monitor = 'auto' } = options;
    if (name !== undefined) checkString(name, 'options.name');
    const index = monitorIndex(monitor);

    const batch = createBatch();
    this.#handle = native.contextNew(this, name, index, batch);
    this.#bottomHalves = { context: this, handle: this.#handle, batch };
    this.#name = name ?? native.contextName(this.#handle);
    this.#monitor = monitorOf(this.#handle);
    this.#handlers = new HandlerTable(this, this.#handle);
    warnOfUndriven();
  }

  /**
   * The context that this thread is in: the one whose callback it runs, else the one made current; `null` without
   * either, and for one that no script has made. The original's `qemu_get_current_aio_context`.
   */
  static get current(): AioContext | null {
    return native.currentContext() as AioContext | null;
  }

  /**
   * Makes it the current context of this thread, which becomes its home, until the result is disposed of or it is
   * closed. The original's `qemu_set_current_aio_context`.
   *
   * @throws `ERR_AIO_CURRENT_SET` if another one is; `ERR_AIO_CLOSED`
   */
  makeCurrent(): Disposable {
    native.contextMakeCurrent(AioContext.#handleOf(this));
    let undo = current.made !== this;
    current.made = this;
    return {
      [Symbol.dispose]: () => {
        if (!undo) return;
        undo = false;
        if (current.made !== this) return;
        current.made = null;
        native.contextClearCurrent();
      },
    };
  }

  /** What it is called in messages. */
  get name(): string {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('AioContext');
    return this.#name;
  }

  /** How it watches file descriptors now; `'auto'` takes what suits their number. Once closed: how it did at last. */
  get monitor(): Monitor {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('AioContext');
    if (!native.contextIsClosed(this.#handle)) this.#monitor = monitorOf(this.#handle);
    return this.#monitor;
  }

  /** Whether it is closed. */
  get closed(): boolean {
    return native.contextIsClosed(AioContext.#handleOf(this));
  }

  /** Whether this thread may drive it. The original's `in_aio_context_home_thread`. */
  get inHomeThread(): boolean {
    return native.contextInHomeThread(AioContext.#handleOf(this));
  }

  /**
   * Attaches it to a main context, once in its life. Whoever iterates that drives it from then on; `poll()` goes on
   * working beside it. The original's `aio_get_g_source`.
   *
   * @param mainContext - ours, or node-gtk's `GLib.MainContext`; by default the global default one, which GTK uses
   * @param options - `priority`: of the GSource, see {@link Priority}
   * @returns this
   * @throws `ERR_AIO_ATTACHED` if it is attached, `ERR_AIO_DETACHED` if it was; `ERR_AIO_WRONG_THREAD` if another
   *   thread owns the main context; `ERR_AIO_CLOSED`
   */
  attach(mainContext?: MainContext | NodeGtkMainContext | null, options: { priority?: number } = {}): this {
    const handle = AioContext.#handleOf(this);
    const main =
      mainContext === undefined || mainContext === null
        ? null
        : mainContextHandle(mainContext, 'mainContext');
    checkObject(options, 'options');
    const { priority = Priority.default } = options;
    checkInt32(priority, 'options.priority');
    native.contextAttach(handle, main, priority);
    return this;
  }

  /** Takes it from its main context, which is final: it can be polled only. Again, or never attached: the same. */
  detach(): void {
    native.contextDetach(AioContext.#open(this));
  }

  /** Whether it is attached to a main context. */
  get attached(): boolean {
    return native.contextIsAttached(AioContext.#handleOf(this));
  }

  /**
   * Runs what is ready: bottom halves, then handlers, then timers. Calls may be nested from any of them. Nothing of
   * Node's own runs meanwhile: no timers, sockets, signals. The original's `aio_poll`.
   *
   * @param blocking - whether to wait until something is ready; that may end with nothing run, for instance after
   *   `notify()`, so call it in a loop
   * @returns whether there was progress: a bottom half that is not idle, a handler or a timer was run
   * @throws what callbacks have thrown; an {@link AioError} with the errno if the kernel refuses the wait, as when there
   *   are more handlers than `ulimit -n` allows for by now; `ERR_AIO_CLOSED`
   */
  poll(blocking: boolean): boolean {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('AioContext');
    checkBoolean(blocking, 'blocking');
    return leaveDriver(native.contextPoll(this.#handle, blocking));
  }

  /**
   * Polls as long as a condition holds. Nothing of Node's own runs meanwhile: no timers, sockets, signals. The
   * original's `AIO_WAIT_WHILE`.
   *
   * @throws what callbacks or the condition have thrown; `ERR_AIO_TIMEOUT`; an `AbortError`; `ERR_AIO_WOULD_HANG`
   *   when nothing is armed in this context; `ERR_AIO_CLOSED`
   */
  waitWhile(condition: () => boolean, options: WaitOptions = {}): void {
    const handle = AioContext.#open(this);
    checkFunction(condition, 'condition');
    waitUntil(this, handle, this.#makeTimer, () => !condition(), options);
  }

  /**
   * Polls until a promise is settled. Nothing of Node's own runs meanwhile, so it has to be one that callbacks of
   * this context settle, or promises alone.
   *
   * @returns what it was resolved with
   * @throws what it was rejected with; what callbacks have thrown; `ERR_AIO_IN_MICROTASK` inside a microtask, see
   *   `runMain()`; `ERR_AIO_TIMEOUT`; an `AbortError`; `ERR_AIO_WOULD_HANG` when nothing is armed in this context;
   *   `ERR_AIO_CLOSED`
   */
  blockOn<T>(what: PromiseLike<T>, options: WaitOptions = {}): T {
    const handle = AioContext.#open(this);
    if (typeof (what as { then?: unknown } | null | undefined)?.then !== 'function')
      throw invalidType('what', 'a promise', what);
    return waitForPromise(this, handle, this.#makeTimer, what, options);
  }

  /**
   * Ends a blocking wait in it, or keeps the next one from blocking, once. The original's `aio_notify`.
   *
   * @throws `ERR_AIO_CLOSED`
   */
  notify(): void {
    native.contextNotify(AioContext.#handleOf(this));
  }

  /**
   * Makes a bottom half, not scheduled. The original's `aio_bh_new`. What it holds is given back in full once it has been
   * collected and Node's loop has turned, also if it was closed before; so with timers.
   *
   * @param options - `name`: what to call it in messages, by default what the function is called
   * @throws `ERR_AIO_CLOSED`
   */
  bh(callback: (bh: BottomHalf) => void, options: { name?: string } = {}): BottomHalf {
    AioContext.#handleOf(this);
    checkFunction(callback, 'callback');
    checkObject(options, 'options');
    return createBottomHalf(this.#bottomHalves, callback, nameOf(options, callback));
  }

  /**
   * Has a function run once, in the next pass. The original's `aio_bh_schedule_oneshot`.
   *
   * @param options - `name`: what to call it in messages, by default what the function is called
   * @throws `ERR_AIO_CLOSED`
   */
  scheduleOneshot(callback: () => void, options: { name?: string } = {}): void {
    const handle = AioContext.#handleOf(this);
    checkFunction(callback, 'callback');
    checkObject(options, 'options');
    const name = nameOf(options, callback);
    // First: an async hook that it calls may run what is scheduled.
    const oneshot = new Oneshot(this, callback);
    const slot = allocateSlot();
    native.scheduleOneshot(handle, name, slot);
    hold(slot, oneshot);
  }

  /**
   * Makes a timer, not armed. The original's `aio_timer_new_with_attrs`.
   *
   * @throws `ERR_AIO_CLOSED`
   */
  timer(clock: Clock, callback: (timer: Timer) => void, options: TimerOptions = {}): Timer {
    AioContext.#handleOf(this);
    const clockOf = clockHandle(clock, 'clock');
    checkFunction(callback, 'callback');
    const { scale, external } = timerOptions(options);
    return createTimer({
      owner: this.#timersOf(scale),
      clock: clockOf,
      callback,
      external,
      name: nameOf(options, callback),
      temporary: false,
    });
  }

  /**
   * Waits in an async function, driven by this context.
   *
   * @param ms - how long, in milliseconds of the clock
   * @param options - `clock`: {@link Clock.realtime} by default; `signal`: aborts it
   * @returns a promise, which is rejected also for wrong arguments, with an `AbortError` when aborted, and with
   *   `ERR_AIO_CLOSED` when the context is closed
   */
  sleep(ms: number, options: SleepOptions = {}): Promise<void> {
    if (!isObject(this) || !(#handle in this)) return Promise.reject(invalidThis('AioContext'));
    return sleep(this.#makeTimer, this.#sleepers, ms, options);
  }

  /**
   * Watches a file descriptor, in place of the handler that it had in this context before; or stops watching it.
   * Watching is level-triggered: what is not read is reported again. Remove it before the file descriptor is closed:
   * otherwise the handler dies with `EBADF` as soon as that is noticed, which `epoll` may never do, and `io_uring` not
   * before the old file is ready. The original's `aio_set_fd_handler`.
   *
   * Files and directories are always ready. Any number of contexts may watch a file descriptor, and so may Node: that
   * of a `net.Socket` is open to be watched here, but Node goes on reading it whenever its own loop runs, and who
   * comes first gets the data. Pause the socket, or watch a duplicate of a file descriptor that Node does not read.
   *
   * @param handler - its callbacks, or `null` to stop watching
   * @throws `EBADF` if the file descriptor is not open; `ERR_AIO_FD_BUSY` if a direction that the handler has is being
   *   awaited, see `whenReadable()`; `ERR_AIO_CLOSED`; what the `pollEnd` of the handler before has thrown, which is
   *   replaced all the same
   */
  setFdHandler(fd: number, handler: FdHandler | null): void {
    AioContext.#open(this);
    checkFd(fd);
    this.#handlers.setFd(fd, handler);
  }

  /**
   * Replaces the functions around the polling of a handler: its `pollBegin` and `pollEnd`, see {@link FdHandler}. They
   * are called with the handler as `this`. If it is being polled, the old function of the end and the new one of the
   * begin are called now. Without a handler of that file descriptor, or where it has no `poll`, nothing happens. The file
   * descriptor may be that of a notifier. The original's `aio_set_fd_poll`, and `aio_set_event_notifier_poll`.
   *
   * @param begin - called when polling begins, or `null` for none
   * @param end - called when it ends, or `null` for none
   * @throws what these functions throw, when they are called now: the functions are replaced all the same;
   *   `ERR_AIO_CLOSED`
   */
  setFdPoll(fd: number, begin: (() => void) | null, end: (() => void) | null): void {
    AioContext.#open(this);
    checkFd(fd);
    if (begin !== null) checkFunction(begin, 'begin');
    if (end !== null) checkFunction(end, 'end');
    this.#handlers.setPoll(fd, begin, end);
  }

  /**
   * Has `poll()` ask the handlers that have a poll function for a while before it sleeps: how long, each of them learns
   * from how soon its events come, between 4 µs and `maxNs`. That spares system calls, and costs the time of a processor.
   * Nothing is polled for longer than a timer allows; as long as there is a handler without a poll function, nothing is,
   * unless the monitor is `io_uring` (see `internals.pollDisabled()`); nor while somebody else waits, as GLib does. What
   * was learned is forgotten; a wait that is under way ends. See docs/polling.md. The original's
   * `aio_context_set_poll_params`.
   *
   * @example
   * ```ts
   * ctx.setPollParams({ maxNs: 32_768 }); // for at most as long as a sleep and its end would cost
   * ctx.setPollParams({ maxNs: 0 }); // not at all
   * ```
   *
   * @throws `ERR_OUT_OF_RANGE` for what is below zero or not exact: nothing is changed then; `ERR_AIO_CLOSED`
   */
  setPollParams(params: PollParams): void {
    const handle = AioContext.#open(this);
    native.contextSetPollParams(handle, ...pollParams(params));
  }

  /**
   * Watches a notifier, in place of what watched it in this context before; or stops watching it. The original's
   * `aio_set_event_notifier`.
   *
   * @param handler - its callbacks, or `null` to stop watching
   * @throws `ERR_AIO_FD_BUSY` if it is being awaited that its file descriptor can be read; `ERR_AIO_CLOSED`, for the
   *   notifier too; what the `pollEnd` of the handler before has thrown
   */
  setEventNotifier(notifier: EventNotifier, handler: NotifierHandler | null): void {
    AioContext.#open(this);
    this.#handlers.setNotifier(notifier, handler);
  }

  /**
   * Waits in an async function until a file descriptor can be read, has hung up or is in error. It is watched only
   * until then, and only for that. It is a level that is waited for: what has not been read lets the next wait end at
   * once. However many wait for the same, all of them go on.
   *
   * The other direction may be awaited at the same time, or have a handler, with which this is then held back if that
   * is external.
   *
   * @param options - `signal`: aborts it
   * @returns a promise, which is rejected also for wrong arguments; with `EBADF` if the file descriptor is not open, or
   *   is closed meanwhile, as far as that is noticed, see `setFdHandler()`; with `ERR_AIO_FD_BUSY` if a handler that
   *   `setFdHandler()` has set reads it; with an `AbortError` when aborted; and with `ERR_AIO_CLOSED` when the context is
   *   closed
   */
  whenReadable(fd: number, options: ReadinessOptions = {}): Promise<void> {
    if (!isObject(this) || !(#handle in this)) return Promise.reject(invalidThis('AioContext'));
    return whenReady(this.#handlers, fd, 'read', options);
  }

  /**
   * Waits in an async function until a file descriptor can be written, has hung up or is in error; otherwise like
   * `whenReadable()`.
   *
   * @param options - `signal`: aborts it
   * @returns a promise, which is rejected like that of `whenReadable()`
   */
  whenWritable(fd: number, options: ReadinessOptions = {}): Promise<void> {
    if (!isObject(this) || !(#handle in this)) return Promise.reject(invalidThis('AioContext'));
    return whenReady(this.#handlers, fd, 'write', options);
  }

  /**
   * Whenever a file descriptor can be read, for `for await`: each turn is a wait like `whenReadable()`. Between turns
   * it is not watched. Of calls of `next()` that nobody has waited for, each waits for another readiness, one after the
   * other; `return()`, and so leaving the loop, ends them all.
   *
   * @example
   * ```ts
   * for await (const _ of ctx.readable(fd)) if (tryRead(fd, buffer) === 0) break;
   * ```
   *
   * @param options - `signal`: aborts it
   * @returns an iterator without values. It throws what `whenReadable()` is rejected with, and has ended then
   * @throws `EBADF` if the file descriptor is not open; `ERR_AIO_FD_BUSY` if a handler reads it; `ERR_AIO_CLOSED`
   */
  readable(fd: number, options: ReadinessOptions = {}): AsyncIterable<void> {
    AioContext.#open(this);
    return readiness(this.#handlers, fd, 'read', options);
  }

  /**
   * Whenever a file descriptor can be written, for `for await`; otherwise like `readable()`.
   *
   * @param options - `signal`: aborts it
   * @returns an iterator without values
   * @throws `EBADF` if the file descriptor is not open; `ERR_AIO_FD_BUSY` if a handler writes it; `ERR_AIO_CLOSED`
   */
  writable(fd: number, options: ReadinessOptions = {}): AsyncIterable<void> {
    AioContext.#open(this);
    return readiness(this.#handlers, fd, 'write', options);
  }

  /**
   * Holds back the handlers that are external, until it was undone as often. What they miss is not lost: a level that
   * is still there is found again then. Bottom halves, timers and everything else go on. The original's
   * `aio_disable_external`.
   *
   * @returns what undoes it, once, unless the context is closed by then: `enableExternal()`, with what that throws
   * @throws `ERR_AIO_CLOSED`
   */
  disableExternal(): Disposable {
    const handle = AioContext.#handleOf(this);
    native.disableExternal(handle);
    return undoOnce(handle, (open) => {
      native.enableExternal(open);
    });
  }

  /**
   * Undoes one `disableExternal()`. The original's `aio_enable_external`.
   *
   * @throws `ERR_AIO_UNDERFLOW` if there is none to undo; `ERR_AIO_CLOSED`
   */
  enableExternal(): void {
    native.enableExternal(AioContext.#handleOf(this));
  }

  /** Whether external handlers are held back. The original's `aio_external_disabled`. */
  get externalDisabled(): boolean {
    return native.externalDisabled(AioContext.#handleOf(this));
  }

  /**
   * Makes this thread the owner, after waiting until no other thread is: in native code, for scripts share no context
   * yet. Nothing of Node's runs in that wait, and none of this context's callbacks; only the termination of a Worker
   * ends it early. Who waits is served in the order of coming. The owner may acquire it again, and releases it as often.
   *
   * The lock is for those who use it: `poll()` and callbacks run whoever owns the context. Who waits for it ends a wait
   * in `poll(true)`, so that its owner can release it. Acquiring two contexts in both orders is a warning of GLib's.
   * The original's `aio_context_acquire`.
   *
   * @returns what releases it, once, unless the context is closed by then: `release()`, with what that throws
   * @throws `ERR_AIO_CLOSED`
   */
  acquire(): Disposable {
    const handle = AioContext.#handleOf(this);
    native.contextAcquire(handle);
    return undoOnce(handle, (open) => {
      native.contextRelease(open);
    });
  }

  /**
   * Undoes one `acquire()`; with the last one the context belongs to who waits first. `close()` undoes all of them. The
   * original's `aio_context_release`.
   *
   * @throws `ERR_AIO_NOT_HELD` if nobody owns it, `ERR_AIO_NOT_OWNER` if another thread does; `ERR_AIO_CLOSED`
   */
  release(): void {
    native.contextRelease(AioContext.#handleOf(this));
  }

  /**
   * Has a function run in the pass after a signal has come: in a wait of this context too, which the signal ends.
   * Signals that come before that pass are one. Until the result is disposed of, or the context closed, the signal
   * does not have its usual effect, such as ending the process.
   *
   * Several contexts, also of Workers, may watch the same signal. What was there before goes on working: listeners of
   * `process.on()`, which run when Node's own loop turns, handlers of GLib's and others'. The exceptions are Node's own,
   * which end the process (`SIGINT`, `SIGTERM`) or start the debugger (`SIGUSR1`). A handler that somebody installs
   * later, other than by `process.on()`, gets the signal alone until the next `poll()` or `MainContext.iteration()`,
   * then both get it. `SIGPROF` comes from V8's profiler, too.
   *
   * @returns what ends it; afterwards the process treats the signal as before
   * @throws `ERR_UNKNOWN_SIGNAL`; `ERR_INVALID_ARG_VALUE` for `SIGKILL` and `SIGSTOP`, which nobody can watch, and for
   *   faults: `SIGSEGV`, `SIGBUS`, `SIGFPE`, `SIGILL`, `SIGTRAP`; `ERR_AIO_CLOSED`
   */
  onSignal(signal: NodeJS.Signals, callback: () => void): Disposable {
    return watchSignal(this, AioContext.#open(this), signal, callback);
  }

  /**
   * Waits for the end of a process, driven by this context. Its status is left for others to take, as Node's
   * `child_process` and GLib do.
   *
   * The status is known of a child of this process only, and until somebody has taken it. For a child of Node's
   * `child_process` that is Node's loop: whoever waits here in a blocking wait is always first, whereas an async
   * function that Node's loop drives gets both `null`, and has the child's `exit` event instead.
   *
   * @param options - `reap`: take the status, for a child that nobody else waits for; with one of Node's or GLib's
   *   theirs would be lost. `signal`: aborts the wait
   * @returns a promise: both are `null` if it was not a child, or somebody else was first. It is rejected also for
   *   wrong arguments; with `ESRCH` if there is no such process, or what else
   *   `pidfd_open(2)` gives, as for a thread that is no process; with an `AbortError` when aborted; with
   *   `ERR_AIO_CLOSED` when the context is closed
   */
  child(pid: number, options: ChildOptions = {}): Promise<ChildStatus> {
    if (!isObject(this) || !(#handle in this)) return Promise.reject(invalidThis('AioContext'));
    return child(this.#handlers, this.#sleepers, pid, options);
  }

  /**
   * Counts what it has done.
   *
   * @throws `ERR_AIO_CLOSED`
   */
  stats(): AioStats {
    return native.contextStats(AioContext.#handleOf(this));
  }

  /**
   * Tells what it has at this moment, for people to look at. It takes a few system calls for each handler.
   *
   * @throws `ERR_AIO_CLOSED`
   */
  inspect(): AioSnapshot {
    const handle = AioContext.#open(this);
    const { name, monitor, attached } = this;
    return { name, monitor, attached, ...native.contextInspect(handle), stats: this.stats() };
  }

  /**
   * Ends it: handlers are removed, timers and bottom halves are closed without running, the GSource is destroyed.
   * It may be called from its own callbacks. Again: nothing.
   *
   * @throws what functions of the end of polling have thrown, once it is closed
   */
  close(): void {
    const handle = AioContext.#handleOf(this);
    if (native.contextIsClosed(handle)) return;
    native.contextClose(handle);
    if (current.made === this) current.made = null;
    const error = (): AioError => new AioError('ERR_AIO_CLOSED', `AioContext ${this.#name} was closed`);
    try {
      this.#handlers.clear(error());
    } finally {
      collectReleasedSlots();
      // Each takes itself out, and an async hook may have others do so.
      for (const reject of this.#sleepers) reject(error());
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return new Promise((resolve) => {
      this.close();
      resolve();
    });
  }

  readonly #makeTimer: TimerMaker = (clock, callback, name) =>
    createTimer({
      owner: this.#timersOf(scales.ms),
      clock: clockHandle(clock, 'options.clock'),
      callback,
      external: false,
      name,
      temporary: true,
    });

  #timersOf(scale: number): TimerOwner {
    let owner = this.#timers.find((each) => each.scale === scale);
    if (owner === undefined) this.#timers.push((owner = { context: this, handle: this.#handle, scale }));
    return owner;
  }

  static #handleOf(context: AioContext): ContextHandle {
    if (!isObject(context) || !(#handle in context)) throw invalidThis('AioContext');
    return context.#handle;
  }

  /** The handle, if it is open. */
  static #open(context: AioContext): ContextHandle {
    const handle = AioContext.#handleOf(context);
    if (native.contextIsClosed(handle))
      throw new AioError('ERR_AIO_CLOSED', `AioContext ${context.#name} is closed`);
    return handle;
  }
}
