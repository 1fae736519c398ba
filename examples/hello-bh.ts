// Bottom halves: work that is asked for often and done once, soon, in the order of the first request.
// Run it: npm run build && node dist/examples/hello-bh.js
import { AioContext, MainContext } from 'aio-gsource';

using ctx = new AioContext({ name: 'hello' });

const text: string[] = [];
let saves = 0;
const save = ctx.bh(
  () => {
    saves++;
    console.log(`  save ${String(saves)}: "${text.join(' ')}"`);
  },
  { name: 'save' },
);
const check = ctx.bh(
  () => {
    console.log(`  check: ${String(text.length)} words`);
  },
  { name: 'check' },
);

function type(...words: string[]): void {
  for (const word of words) {
    text.push(word);
    save.schedule(); // scheduled already? Then this does nothing.
    check.schedule();
  }
}

console.log('The script drives its context by poll():');
type('each', 'word', 'asks', 'to', 'be', 'saved');
while (ctx.poll(false));

console.log('GLib drives it, as a GSource of a GMainContext:');
const mainContext = MainContext.default();
ctx.attach(mainContext);
type('and', 'GLib', 'runs', 'the', 'same', 'bottom', 'halves');
while (mainContext.iteration(false));

console.log('One that asks for itself again runs once in each pass:');
let rounds = 0;
const again = ctx.bh((bh) => {
  if (++rounds < 3) bh.schedule();
});
again.schedule();
let passes = 0;
while (ctx.poll(false)) passes++;
console.log(`  ${String(rounds)} rounds in ${String(passes)} passes`);

console.log(`${String(text.length)} words, ${String(saves)} saves`);
