import { invalidType, invalidValue } from './arguments.js';
import { native } from './load.js';
import type { ContextHandle } from './native.js';

/** A way to watch file descriptors. */
export type Monitor = 'poll' | 'epoll' | 'io_uring';

/** The names of the C enum `AioMonitor`, in its order. */
const monitors = ['auto', 'poll', 'epoll', 'io_uring'] as const;

/** C's number of a monitor that a script asks for. */
export function monitorIndex(monitor: 'auto' | Monitor): number {
  const index = monitors.indexOf(monitor);
  if (typeof monitor !== 'string') throw invalidType('options.monitor', 'of type string', monitor);
  if (index < 0) throw invalidValue('options.monitor', `must be one of ${monitors.join(', ')}`, monitor);
  return index;
}

/** The monitor that a context, which is open, has now. */
export function monitorOf(handle: ContextHandle): Monitor {
  return monitors[native.contextMonitor(handle)] as Monitor;
}
