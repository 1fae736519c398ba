/// <reference lib="esnext.disposable" preserve="true" />
export { BottomHalf } from './bottom-half.js';
export type { ChildOptions, ChildStatus } from './child.js';
export { Clock, ManualClock } from './clock.js';
export { AioContext, Priority } from './context.js';
export type { AioContextOptions, Monitor, TimerOptions } from './context.js';
export { AioError } from './errors.js';
export type { AioErrorCode } from './errors.js';
export type { FdHandler, NotifierHandler } from './handler.js';
export type { AioSnapshot, BottomHalfSnapshot, FdKind, HandlerSnapshot, TimerSnapshot } from './inspect.js';
export { MainContext } from './main-context.js';
export type { NodeGtkMainContext } from './main-context.js';
export { EventNotifier } from './notifier.js';
export type { ReadinessOptions } from './readiness.js';
export { runMain } from './run-main.js';
export type { SleepOptions } from './sleep.js';
export type { AioStats } from './stats.js';
export { Timer } from './timer.js';
export type { WaitOptions } from './wait.js';
