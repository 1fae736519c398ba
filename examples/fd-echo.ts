// File descriptor handlers: an echo server on one end of a socket and its client on the other. The server keeps
// what it cannot write yet, and reads no more until it has written that.
// Run it: npm run build && node dist/examples/fd-echo.js
import { AioContext } from 'aio-gsource';
import { closeFd, socketPair, tryRead, tryWrite } from 'aio-gsource/fds';

using ctx = new AioContext({ name: 'echo' });
const [server, client] = socketPair();
const buffer = Buffer.alloc(64 * 1024);

function serve(fd: number): void {
  const length = tryRead(fd, buffer);
  if (length === null) return;
  if (length === 0) {
    ctx.setFdHandler(fd, null);
    closeFd(fd);
    return;
  }
  flush(fd, Buffer.from(buffer.subarray(0, length)));
}

function flush(fd: number, data: Buffer): void {
  const rest = data.subarray(tryWrite(fd, data) ?? 0);
  ctx.setFdHandler(fd, rest.length === 0 ? { read: serve } : { write: flush.bind(null, fd, rest) });
}

const message = Buffer.from('All that is said comes back. '.repeat(40_000));
const received: Buffer[] = [];
let sent = 0;
let receivedLength = 0;

function send(fd: number): void {
  sent += tryWrite(fd, message.subarray(sent)) ?? 0;
  if (sent === message.length) ctx.setFdHandler(fd, { read: receive });
}

function receive(fd: number): void {
  const length = tryRead(fd, buffer) ?? 0;
  received.push(Buffer.from(buffer.subarray(0, length)));
  receivedLength += length;
}

ctx.setFdHandler(server, { name: 'server', read: serve });
ctx.setFdHandler(client, { name: 'client', read: receive, write: send });
ctx.waitWhile(() => receivedLength < message.length, { timeout: 5000 });

const { handlersDispatched, waits } = ctx.stats();
const same = Buffer.concat(received).equals(message);
console.log(
  `sent ${String(sent)} bytes, received ${String(receivedLength)}: ${same ? 'the same' : 'NOT the same'}`,
);
console.log(`${String(handlersDispatched)} callbacks in ${String(waits)} waits`);

ctx.setFdHandler(client, null);
closeFd(client); // which the server sees as the end
while (ctx.poll(false));
