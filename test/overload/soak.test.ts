import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { type Namespace, open } from 'waymark';
import { sized } from '../faults/random.js';
import { churn } from './churn.js';
import type { Held } from './soaked-server.js';

const program = fileURLToPath(new URL('../dist/overload/soaked-server.js', import.meta.url));
const minute = 60_000;
const mebibyte = 1_048_576;
/** How long it is looked at, what is not judged at its beginning, and how often. */
const [soakMs, warmMs, everyMs] = sized(
  [50_000, 20_000, 1_000],
  [70 * minute, 10 * minute, 15_000],
);
/** Of the heap and the buffers outside it: an hour shows what half a minute cannot. */
const grownMax = sized(4 * mebibyte, 1 * mebibyte);

interface Sample {
  readonly ms: number;
  readonly bytes: number;
}

/** Bytes a millisecond, by least squares. */
function slopeOf(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number): number =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const [ms, bytes] = [mean((one) => one.ms), mean((one) => one.bytes)];
  const along = mean((one) => (one.ms - ms) * (one.bytes - bytes));
  return along / mean((one) => (one.ms - ms) ** 2);
}

/** Writes as fast as they are answered. @returns writes a millisecond */
async function peakOf(ns: Namespace): Promise<number> {
  const began = performance.now();
  let count = 0;
  const writer = async (n: number): Promise<void> => {
    while (performance.now() - began < 2_000) await ns.put(`/load/${n}`, count++);
  };
  await Promise.all(Array.from({ length: 32 }, (_, n) => writer(n)));
  return count / (performance.now() - began);
}

/** Half of that, until it is told to stop. @returns stops, once all are answered */
function halfLoad(ns: Namespace, peak: number): () => Promise<number> {
  const began = performance.now();
  const under = new Set<Promise<unknown>>();
  let sent = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - began) * peak) / 2;
    // What could not be sent in its time is not made up for.
    sent = Math.max(sent, due - 200);
    for (; sent < due; sent++) {
      const put = ns
        .put(`/load/${Math.floor(sent) % 1_000}`, sent)
        .finally(() => under.delete(put));
      under.add(put);
    }
  }, 5);
  return async () => {
    clearInterval(timer);
    await Promise.all(under);
    return Math.round(sent);
  };
}

async function heldBy(server: ChildProcess): Promise<Held> {
  server.send('held');
  const [told] = (await once(server, 'message')) as [Held];
  return told;
}

test(`[soak] ${Math.round(soakMs / 1_000)} s at half load while clients, watches, leases, locks and watchers come and go: nothing stays behind`, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-soak-'));
  const env = { ...process.env, NODE_NO_WARNINGS: '1' };
  const server = fork(program, [join(directory, 'data')], { env });
  const [address] = (await once(server, 'message')) as [string];
  const url = `http://${address}`;
  try {
    // One turn of everything: what is made once is there from now on.
    let going = true;
    const short = churn(url, () => going);
    const space = await open(url);
    const peak = await peakOf(space.namespace('soak'));
    going = false;
    await short;
    await space.close();
    const settled = await settles(server, null);

    going = true;
    const loaded = await open(url);
    const stop = halfLoad(loaded.namespace('soak'), peak);
    const churning = churn(url, () => going);
    const began = performance.now();
    const samples: Sample[] = [];
    for (let at = warmMs; at < soakMs; at += everyMs) {
      await Promise.race([churning, until(began + at)]);
      const { heapBytes, bufferBytes } = await heldBy(server);
      samples.push({ ms: performance.now() - began, bytes: heapBytes + bufferBytes });
    }
    going = false;
    const writes = await stop();
    const churned = await churning;
    await loaded.close();
    const after = await settles(server, settled);
    const hour = slopeOf(samples) * 3_600_000;
    const grown = sized(slopeOf(samples) * (soakMs - warmMs), hour);
    console.log(
      `soak: ${writes} writes, ${JSON.stringify(churned)}; heap and buffers ${(hour / mebibyte).toFixed(2)} MiB an hour, ` +
        `handles ${settled.handles} → ${after.handles}, files ${settled.files} → ${after.files}`,
    );
    for (const [kind, count] of Object.entries(churned)) expect(count, kind).toBeGreaterThan(3);
    expect(Math.abs(after.handles - settled.handles)).toBeLessThanOrEqual(2);
    expect(Math.abs(after.files - settled.files)).toBeLessThanOrEqual(2);
    expect(grown).toBeLessThan(grownMax);
  } finally {
    server.disconnect();
    await once(server, 'exit');
    await rm(directory, { recursive: true });
  }
});

async function until(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, ms - performance.now())));
}

/** What it holds once everybody is gone: the same twice, a second apart, or what it was before. */
async function settles(server: ChildProcess, before: Held | null): Promise<Held> {
  const late = performance.now() + 20_000;
  let last = await heldBy(server);
  for (;;) {
    await until(performance.now() + 1_000);
    const now = await heldBy(server);
    const same = before ?? last;
    const still = now.handles === same.handles && now.files === same.files;
    if (still || performance.now() > late) return now;
    last = now;
  }
}
