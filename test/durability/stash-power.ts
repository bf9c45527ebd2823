import { mkdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { findingsOf, openStore, packKeys } from '@waymark/server/testing';
import { afterPowerLoss, readCalls } from './disk-calls.js';
import { seededRandom } from './seeded-random.js';

/**
 * Opens a node's data as it may be found after a loss of power, one state after the other, and tells what is missing of what was acknowledged until then. LMDB may end the process over a file that is no
 * right one: then another one goes on behind it.
 */
const [trace = '', directory = '', seed = '0', from = '0', to = '0', synced = 'synced'] =
  process.argv.slice(2);
const calls = await readCalls(trace, 'data.mdb');
const firstAck = calls.findIndex(({ type }) => type === 'said');
const keys = Array.from({ length: 500 }, (_, n) => `key/${n}`);

for (let state = Number(from); state < Number(to); state++) {
  writeSync(1, `${JSON.stringify({ state })}\n`);
  writeSync(1, `${JSON.stringify({ state, ...(await look(state)) })}\n`);
}
rmSync(directory, { recursive: true, force: true });
process.exit(0);

async function look(state: number): Promise<object> {
  const random = seededRandom(Number(seed) + state);
  const until = firstAck + 1 + Math.floor(random.next() * (calls.length - firstAck));
  const acknowledged = acknowledgedBy(until);
  const image = afterPowerLoss(calls, until, () => random.next(), synced === 'synced');
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'data.mdb'), image);
  const seen = { until, bytes: image.length, acknowledged: acknowledged.size, lost: 0, wrong: 0 };
  try {
    await using store = await openStore(directory);
    for (const [n, found] of findingsOf(store.read('some', packKeys(keys), false)).entries()) {
      const key = keys[n] ?? '';
      const stamp = typeof found === 'object' ? (found?.stamp ?? 0) : 0;
      if (found === 'damaged') seen.wrong++;
      else if (stamp < (acknowledged.get(key) ?? 0)) seen.lost++;
      else if (found?.value != null && found.value !== valueOf(key, stamp)) seen.wrong++;
    }
    if (store.stamps.high < Math.max(0, ...acknowledged.values())) seen.wrong++;
    return seen;
  } catch (error) {
    return { ...seen, refused: String(error) };
  }
}

/** By key the highest stamp. */
function acknowledgedBy(until: number): Map<string, number> {
  const highest = new Map<string, number>();
  for (const call of calls.slice(0, until)) {
    if (call.type !== 'said') continue;
    const { acknowledged = [] } = JSON.parse(call.line) as { acknowledged?: [string, number][] };
    for (const [key, stamp] of acknowledged) {
      highest.set(key, Math.max(stamp, highest.get(key) ?? 0));
    }
  }
  return highest;
}

/** As stash-writer.ts writes it. */
function valueOf(key: string, stamp: number): string {
  return `${key} ${stamp} ${'x'.repeat(stamp % 700)}`;
}
