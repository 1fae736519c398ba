// Userspace polling: a Worker puts numbers into a ring in shared memory. While the context polls it finds them there;
// before it sleeps it asks for a kick by an eventfd, which costs both sides system calls.
// Run it: npm run build && node dist/examples/polling.js
import { isMainThread, Worker, workerData } from 'node:worker_threads';

import { AioContext, EventNotifier } from 'aio-gsource';
import { tryWrite } from 'aio-gsource/fds';

const total = 3000;
const size = 1024;
const [head, tail, wantsKick, ring] = [0, 1, 2, 3];
const at = (count: number): number => ring + (count % size);

function produce(memory: Int32Array, kickFd: number): void {
  const one = new Uint8Array(new BigUint64Array([1n]).buffer);
  for (let sent = 0; sent < total; sent++) {
    if (sent % 100 === 0) Atomics.wait(memory, head, sent, 2); // a burst, then 2 ms without
    while (sent - Atomics.load(memory, tail) >= size); // it is full
    memory[at(sent)] = sent;
    Atomics.store(memory, head, sent + 1); // first the event, then the question:
    if (Atomics.exchange(memory, wantsKick, 0) === 1) tryWrite(kickFd, one);
    for (const until = performance.now() + 0.01; performance.now() < until;);
  }
}

function consume(memory: Int32Array): void {
  using ctx = new AioContext({ name: 'polling' });
  using kick = new EventNotifier();
  const found = { kick: 0, polling: 0 };
  const hasMore = (): boolean => Atomics.load(memory, head) !== memory[tail];
  let [sum, isPolling] = [0, false];
  const setPolling = (now: boolean): void => {
    isPolling = now;
    Atomics.store(memory, wantsKick, Number(!now));
  };
  const takeAll = (by: keyof typeof found): void => {
    if (!isPolling) setPolling(false); // the kick is used up: the next event needs another
    for (; hasMore(); Atomics.add(memory, tail, 1), found[by]++) sum += memory[at(memory[tail] ?? 0)] ?? 0;
  };

  setPolling(false);
  ctx.setEventNotifier(kick, {
    read: takeAll.bind(null, 'kick'),
    poll: hasMore,
    pollReady: takeAll.bind(null, 'polling'),
    pollBegin: setPolling.bind(null, true),
    pollEnd: setPolling.bind(null, false), // the context looks once more before it sleeps
  });
  ctx.setPollParams({ maxNs: 200_000, shrink: 2 });
  new Worker(new URL(import.meta.url), { workerData: { memory, kickFd: kick.fd } });
  ctx.waitWhile(() => found.kick + found.polling < total, { timeout: 20_000 });

  console.log(`${String(total)} events, ${sum === (total * (total - 1)) / 2 ? 'none lost' : 'some LOST'}`);
  console.log(`${String(found.polling)} found by polling, ${String(found.kick)} after a kick`);
}

if (isMainThread) consume(new Int32Array(new SharedArrayBuffer(4 * (ring + size))));
else produce(...(Object.values(workerData as object) as [Int32Array, number]));
