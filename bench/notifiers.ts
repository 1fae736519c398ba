import { AioError, EventNotifier } from 'aio-gsource';

/** For what else a process opens, roughly. */
const reserve = 100;

/** Makes notifiers: as many as are wanted, or fewer where the limit of file descriptors is lower, and says so. */
export function makeNotifiers(wanted: number): EventNotifier[] {
  const notifiers: EventNotifier[] = [];
  try {
    while (notifiers.length < wanted) notifiers.push(new EventNotifier());
  } catch (error) {
    if (!(error instanceof AioError && error.code === 'EMFILE')) throw error;
    for (const notifier of notifiers.splice(-reserve)) notifier.close();
    console.error(`bench: ${notifiers.length} file descriptors instead of ${wanted}: the limit is low`);
  }
  return notifiers;
}
