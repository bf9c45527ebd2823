import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as bounded } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { findingsOf, openStore, packKeys } from '@waymark/server/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seededRandom, seedOf } from './seeded-random.js';

const rounds = process.env['WAYMARK_LONG'] === '1' ? 1_000 : 60;
const seed = seedOf(20_261_122);
const replay = `WAYMARK_SEED=${seed} npx vitest run test/durability/stash-kill.test.ts`;
const program = fileURLToPath(new URL('../dist/durability/stash-writer.js', import.meta.url));

let directory: string;
beforeAll(async () => (directory = await mkdtemp(join(tmpdir(), 'waymark-stash-kill-'))));
afterAll(() => rm(directory, { recursive: true, force: true }));

type Told = { readonly ready: number } | { readonly acknowledged: readonly [string, number][] };

/** Starts a writer and kills it after a while. @returns what was acknowledged, by key the highest stamp */
async function writeUntilKilled(
  data: string,
  round: number,
  random: () => number,
  acknowledged: Map<string, number>,
): Promise<void> {
  const child = spawn(process.execPath, [program, data, String(seed + round), '1'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let isReady = (): void => undefined;
  const ready = new Promise<void>((resolve) => (isReady = resolve));
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    // The last one may be cut by the kill.
    if (!line.endsWith('}')) return;
    const told = JSON.parse(line) as Told;
    if ('ready' in told) return isReady();
    for (const [key, stamp] of told.acknowledged) {
      acknowledged.set(key, Math.max(stamp, acknowledged.get(key) ?? 0));
    }
  });
  const gone = Promise.all([once(child, 'exit'), once(lines, 'close')]);
  // One in ten is killed at some moment of its start.
  if (round % 10 !== 9) await Promise.race([ready, gone]);
  await bounded(random() * 400);
  child.kill('SIGKILL');
  await gone;
  expect(child.signalCode, `round ${round}; ${replay}`).toBe('SIGKILL');
}

test(`[D4.3] ${rounds} kills under load: nothing acknowledged is lost, and what is read was written`, async () => {
  const random = seededRandom(seed);
  const data = join(directory, 'data');
  const acknowledged = new Map<string, number>();
  const keys = Array.from({ length: 500 }, (_, i) => `key/${i}`);
  let told = 0;
  for (let round = 0; round < rounds; round++) {
    await writeUntilKilled(data, round, () => random.next(), acknowledged);
    const store = await openStore(data);
    const found = findingsOf(store.read('some', packKeys(keys), false));
    for (const [i, key] of keys.entries()) {
      const one = found[i];
      const where = `${key}, round ${round}; ${replay}`;
      expect(one, where).not.toBe('damaged');
      const stamp = typeof one === 'object' ? (one?.stamp ?? 0) : 0;
      expect(stamp, where).toBeGreaterThanOrEqual(acknowledged.get(key) ?? 0);
      if (typeof one !== 'object' || one === null || one.value === null) continue;
      expect(one.value, where).toBe(`${key} ${stamp} ${'x'.repeat(stamp % 700)}`);
    }
    const highest = Math.max(0, ...acknowledged.values());
    expect(store.stamps.high).toBeGreaterThanOrEqual(highest);
    told = highest;
    await store[Symbol.asyncDispose]();
  }
  console.log(`${rounds} kills, seed ${seed}: ${told} stamps, 0 acknowledged lost`);
  expect(told).toBeGreaterThan(rounds * 100);
}, 3_600_000);
