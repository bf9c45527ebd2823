import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { findingsOf, openStore, packKeys } from '@waymark/server/testing';
import { afterPowerLoss, type DiskCall, readCalls } from './disk-calls.js';
import { seededRandom } from './seeded-random.js';

/**
 * Opens a node's data as it may be found after a loss of power, one state after the other, and tells what is missing of what was acknowledged until then. LMDB may end the process over a file that is no
 * right one: then another one goes on behind it.
 */
export interface PowerLosses {
  readonly trace: string;
  /** Where states are put; the last one stays there as it was found. */
  readonly directory: string;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  /** Whether syncs are believed. */
  readonly synced: boolean;
  /** What the writer began with: data as it was found, and what was acknowledged of it. */
  readonly before?: { readonly file: string; readonly acknowledged: [string, number][] };
}

export interface SeenState {
  readonly state: number;
  readonly lost?: number;
  readonly wrong?: number;
  readonly acknowledged?: [string, number][];
  readonly refused?: string;
}

const asked = JSON.parse(process.argv[2] ?? '{}') as PowerLosses;
const calls = await readCalls(asked.trace, 'data.mdb');
if (asked.before !== undefined) {
  const bytes = readFileSync(asked.before.file);
  calls.unshift({ type: 'write', at: 0, bytes, by: -1 });
}
const firstLine = calls.findIndex(({ type }) => type === 'said');
const keys = Array.from({ length: 500 }, (_, n) => `key/${n}`);
const found = join(asked.directory, 'found');

for (let state = asked.from; state < asked.to; state++) {
  writeSync(1, `${JSON.stringify({ state })}\n`);
  writeSync(1, `${JSON.stringify({ state, ...(await look(state)) })}\n`);
}
process.exit(0);

async function look(state: number): Promise<Omit<SeenState, 'state'>> {
  const random = seededRandom(asked.seed + state);
  const until = firstLine + 1 + Math.floor(random.next() * (calls.length - firstLine));
  const cut = calls.slice(0, until);
  const acknowledged = acknowledgedBy(cut);
  rmSync(found, { recursive: true, force: true });
  mkdirSync(found, { recursive: true });
  const file = join(found, 'data.mdb');
  writeFileSync(
    file,
    afterPowerLoss(cut, () => random.next(), asked.synced),
  );
  copyFileSync(file, join(asked.directory, 'data.mdb'));
  const seen = { lost: 0, wrong: 0, acknowledged: [...acknowledged] };
  try {
    await using store = await openStore(found);
    for (const [n, finding] of findingsOf(store.read('some', packKeys(keys), false)).entries()) {
      const key = keys[n] ?? '';
      const stamp = typeof finding === 'object' ? (finding?.stamp ?? 0) : 0;
      if (finding === 'damaged') seen.wrong++;
      else if (stamp < (acknowledged.get(key) ?? 0)) seen.lost++;
      else if (finding?.value != null && finding.value !== valueOf(key, stamp)) seen.wrong++;
    }
    if (store.stamps.high < Math.max(0, ...acknowledged.values())) seen.wrong++;
    return seen;
  } catch (error) {
    return { ...seen, refused: String(error) };
  }
}

/** By key the highest stamp. */
function acknowledgedBy(cut: readonly DiskCall[]): Map<string, number> {
  const highest = new Map<string, number>(asked.before?.acknowledged);
  for (const call of cut) {
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
