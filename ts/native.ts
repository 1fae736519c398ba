/**
 * The shape of the addon, which native/*.cc makes: its only declaration. What a script gives has been checked
 * before it gets here.
 */

import type { NativeSnapshot } from './inspect.js';
import type { AioStats } from './stats.js';

declare const kind: unique symbol;
/** A native object: an External that no script ever sees. */
interface Handle<Kind extends string> {
  readonly [kind]: Kind;
}

export type ClockHandle = Handle<'clock'>;
export type ContextHandle = Handle<'context'>;
export type MainContextHandle = Handle<'main context'>;
export type NotifierHandle = Handle<'notifier'>;
export type SignalHandle = Handle<'signal'>;

/** An index of the table of ts/dispatcher.ts. */
export type Slot = number;

/** How a file descriptor is watched: 1 for reading, 2 for writing, 4 by its poll function, or their sum; 0 not at all. */
export type FdEvents = number;

/** What a call that drives callbacks gives: `undefined` if JavaScript was terminated meanwhile. */
export type Driven = boolean | undefined;

export interface Native {
  // callback.cc
  install(
    isWorker: boolean,
    dispatch: (slot: Slot, argument?: unknown) => unknown,
    dispatchBatch: (batch: Int32Array) => number,
    createError: (code: number, message: string, errno: number, syscall: string) => Error,
    throwCollected: (errors: unknown[]) => never,
  ): void;
  reportException(error: unknown): void;
  uncaughtException(error: unknown): void;
  isEnded(): boolean;
  runMain(main: () => void): void;

  // registration.cc
  /**
   * Any method below that makes something with a slot owns it; it comes back here, if only because the method
   * failed. A bottom half and a timer are known by their slots until they are forgotten: before, the slot may come
   * with its highest bit set, which says that C will not call it any more.
   */
  takeReleasedSlots(into: Uint32Array): number;
  forget(slot: Slot): void;

  // context.cc
  /** `batch` is for dispatchBatch(). */
  contextNew(self: object, name: string | undefined, monitor: number, batch: Int32Array): ContextHandle;
  contextClose(context: ContextHandle): void;
  contextName(context: ContextHandle): string;
  contextMonitor(context: ContextHandle): number;
  contextIsClosed(context: ContextHandle): boolean;
  contextIsAttached(context: ContextHandle): boolean;
  contextIsArmed(context: ContextHandle): boolean;
  contextInHomeThread(context: ContextHandle): boolean;
  contextAttach(context: ContextHandle, mainContext: MainContextHandle | null, priority: number): void;
  contextDetach(context: ContextHandle): void;
  contextPoll(context: ContextHandle, blocking: boolean): Driven;
  contextNotify(context: ContextHandle): void;
  contextAcquire(context: ContextHandle): void;
  contextRelease(context: ContextHandle): void;
  contextStats(context: ContextHandle): AioStats;
  contextMakeCurrent(context: ContextHandle): void;
  contextClearCurrent(): void;
  currentContext(): object | null;
  armedContexts(): string[];
  contextBhPoll(context: ContextHandle): Driven;
  contextPrepare(context: ContextHandle): Driven;
  contextPending(context: ContextHandle): boolean;
  contextDispatch(context: ContextHandle): Driven;
  contextComputeTimeout(context: ContextHandle): bigint;
  contextSetPollParams(context: ContextHandle, maxNs: number | bigint, grow: number, shrink: number): void;
  contextPollDisabled(context: ContextHandle): boolean;
  contextNotifyAccept(context: ContextHandle): void;
  contextNotifyMe(context: ContextHandle): number;
  contextNotified(context: ContextHandle): boolean;

  // bottom-half.cc
  bhNew(context: ContextHandle, name: string | undefined, slot: Slot): void;
  bhSchedule(bh: Slot): void;
  bhScheduleIdle(bh: Slot): void;
  bhCancel(bh: Slot): void;
  bhCheckOpen(bh: Slot): void;
  bhIsScheduled(bh: Slot): boolean;
  bhClose(bh: Slot): void;
  scheduleOneshot(context: ContextHandle, name: string | undefined, slot: Slot): void;

  // timer.cc: whole nanoseconds that fit into 64 bits
  timerNew(
    context: ContextHandle,
    clock: ClockHandle,
    external: boolean,
    name: string | undefined,
    slot: Slot,
  ): void;
  timerAfterNs(timer: Slot, delay: number | bigint): void;
  timerEveryNs(timer: Slot, interval: number | bigint): void;
  timerModNs(timer: Slot, expire: number | bigint): void;
  timerAnticipateNs(timer: Slot, expire: number | bigint): void;
  timerDel(timer: Slot): void;
  timerClose(timer: Slot): void;
  timerIsPending(timer: Slot): boolean;
  timerExpireNs(timer: Slot): bigint | null;

  // clock.cc
  clockGet(type: number): ClockHandle;
  clockManual(start: number | bigint): ClockHandle;
  clockNowNs(clock: ClockHandle): bigint;
  clockNow(clock: ClockHandle): number;
  clockSetNs(clock: ClockHandle, now: number | bigint): void;
  clockAdvanceNs(clock: ClockHandle, distance: number | bigint): void;
  clockIsEnabled(clock: ClockHandle): boolean;
  clockSetEnabled(clock: ClockHandle, enabled: boolean): void;
  clockDeadlineNs(clock: ClockHandle, external: boolean): bigint;

  // handler.cc: the slot is called without an argument for reading; with 2 for writing; with 4 to be asked whether it is
  // ready, 8 when it has said so, 16 and 32 when polling begins and ends, but not by a call of these or contextClose()
  // that ends it; with an error at the end
  setFdHandler(
    context: ContextHandle,
    fd: number,
    events: FdEvents,
    external: boolean,
    name: string | undefined,
    slot: Slot,
  ): void;
  setNotifierHandler(
    context: ContextHandle,
    notifier: NotifierHandle,
    events: FdEvents,
    external: boolean,
    name: string | undefined,
    slot: Slot,
  ): void;
  removeFdHandler(context: ContextHandle, fd: number): void;
  checkFdOpen(fd: number): void;
  disableExternal(context: ContextHandle): void;
  enableExternal(context: ContextHandle): void;
  externalDisabled(context: ContextHandle): boolean;
  nodeCheck(context: ContextHandle, external: boolean): boolean;

  // notifier.cc
  notifierNew(active: boolean): NotifierHandle;
  notifierFd(notifier: NotifierHandle): number;
  notifierSet(notifier: NotifierHandle): void;
  notifierTestAndClear(notifier: NotifierHandle): boolean;
  notifierClose(notifier: NotifierHandle): void;

  // inspect.cc
  contextInspect(context: ContextHandle): NativeSnapshot;

  // signal.cc
  signalWatch(context: ContextHandle, signal: number, name: string | undefined, slot: Slot): SignalHandle;
  signalClose(signal: SignalHandle): void;

  // child.cc
  pidfdOpen(pid: number): number;
  pidfdClose(pidfd: number): void;
  /** Instead, where somebody else has closed it. */
  pidfdForget(pidfd: number): void;
  /** Its code, or minus its signal; `undefined` if it cannot be known. */
  childStatus(pidfd: number, reap: boolean): number | undefined;

  // main-context.cc
  mainContextDefault(): MainContextHandle;
  mainContextNew(): MainContextHandle;
  mainContextAt(address: number, gtype: bigint): MainContextHandle | undefined;
  mainContextIteration(mainContext: MainContextHandle, mayBlock: boolean): Driven;
  mainContextPending(mainContext: MainContextHandle): Driven;
  mainContextWakeup(mainContext: MainContextHandle): void;
  mainContextClose(mainContext: MainContextHandle): void;

  // fds.cc
  pipe(): { read: number; write: number };
  socketPair(): [number, number];
  openPty(columns: number, rows: number): { master: number; slave: number; path: string };
  tryRead(fd: number, buffer: Uint8Array): number | null;
  tryWrite(fd: number, data: Uint8Array): number | null;
  closeFd(fd: number): void;
}
