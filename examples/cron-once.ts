// A job that runs every second in exactly one of any number of replicas, and goes on when that one dies.
//
//   node examples/dist/cron-once.js http://127.0.0.1:7420 replica-1       (as many as you like)
import { setTimeout as sleep } from 'node:timers/promises';
import { isWaymarkError, open } from 'waymark';

const [, , url = 'http://127.0.0.1:7420', name = `replica-${process.pid}`] = process.argv;
const everyMs = Number(process.env['EVERY_MS'] ?? 1_000);
const space = await open(url, { owner: name });
const jobs = space.namespace<number>('cron');
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());

console.log('ready');
while (!stop.signal.aborted) {
  try {
    // `await using lock = …` does the same where the code is compiled; release() is there for plain Node 20.
    const lock = await jobs.lock('/report', { ttlMs: 2_000, signal: stop.signal });
    try {
      await runWhile(AbortSignal.any([lock.signal, stop.signal]));
    } finally {
      await lock.release();
    }
  } catch (error) {
    if (stop.signal.aborted) break;
    // Lost, or the server went away: stand in line again.
    if (!isWaymarkError(error)) throw error;
  }
}
await space.close();

/** One run after another while the lock is held; each is counted under the lock, so a replica that lost it cannot count. */
async function runWhile(held: AbortSignal): Promise<void> {
  while (!held.aborted) {
    const runs = ((await jobs.get('/report'))?.value ?? 0) + 1;
    await jobs.put('/report', runs);
    console.log(`run ${runs} by ${name}`);
    await sleep(everyMs, undefined, { signal: held }).catch(() => undefined);
  }
}
