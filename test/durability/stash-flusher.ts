import { findingsOf, openStore, packEntries, packKeys } from '@waymark/server/testing';
import { isWaymarkError } from 'waymark/engine';

/** Opens a store, says so, and writes one entry for each line of its input: tells how each ended, how long it took, and what can be read then. */
const [directory = ''] = process.argv.slice(2);
const store = await openStore(directory);
let stamp = 1_000;
console.log(JSON.stringify({ ready: process.pid }));
process.stdin.setEncoding('utf8');
for await (const chunk of process.stdin) {
  for (const key of String(chunk).trim().split('\n')) {
    const began = performance.now();
    const entry = { key, stamp: ++stamp, writer: 1, expiresAt: 0, value: `value of ${key}` };
    const ended = await store.write('some', packEntries([entry])).then(
      () => 'acknowledged',
      (error: unknown) => (isWaymarkError(error) ? error.code : String(error)),
    );
    const tookMs = performance.now() - began;
    const first = findingsOf(store.read('some', packKeys(['first']), false))[0];
    console.log(JSON.stringify({ ended, tookMs, first, writable: store.writable }));
  }
}
process.exit(0);
