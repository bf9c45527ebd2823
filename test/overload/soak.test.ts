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
  [3 * minute, minute, 2_000],
  [60 * minute, 10 * minute, 10_000],
);
/** Of the heap and the buffers outside it: an hour shows what three minutes cannot. */
const grownMax = sized(4 * mebibyte, 1 * mebibyte);
/** Of the peak. The short form runs beside other tests, and leaves them the machine. */
const part = sized(0.1, 0.5);
const turnMs = sized(500, 100);
/**
 * As many more come and go in the warm-up, without a pause: until each kind has come some ten thousand times what is kept of the last ten
 * thousand of anything is not full, and what is called seldom not compiled.
 */
const warmers = sized(0, 2);

interface Sample {
  readonly ms: number;
  readonly bytes: number;
  /** Of these. */
  readonly codeBytes: number;
}

interface Slope {
  /** Bytes a millisecond, by least squares. */
  readonly slope: number;
  /** Twice its standard error: what is true is within it 19 times in 20. */
  readonly error: number;
}

/**
 * What one sample is off the line the next is too, when something comes and goes slowly: they say as much as fewer that know nothing of each
 * other, by the correlation of neighbours. Taken as they are they would promise an error that is too small.
 */
function slopeOf(samples: readonly Sample[]): Slope {
  const mean = (of: (sample: Sample) => number): number =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const [ms, bytes] = [mean((one) => one.ms), mean((one) => one.bytes)];
  const spread = mean((one) => (one.ms - ms) ** 2);
  const slope = mean((one) => (one.ms - ms) * (one.bytes - bytes)) / spread;
  const off = samples.map((one) => one.bytes - bytes - slope * (one.ms - ms));
  const squares = off.reduce((sum, one) => sum + one ** 2, 0);
  const pairs = off.slice(1).reduce((sum, one, n) => sum + one * (off[n] as number), 0);
  const alike = Math.max(0, pairs / squares);
  const telling = Math.max(3, (samples.length * (1 - alike)) / (1 + alike));
  return { slope, error: 2 * Math.sqrt(squares / samples.length / (telling - 2) / spread) };
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

/** A part of that, until it is told to stop. @returns stops, once all are answered */
function load(ns: Namespace, peak: number): () => Promise<number> {
  const began = performance.now();
  const under = new Set<Promise<unknown>>();
  let sent = 0;
  const timer = setInterval(() => {
    const due = (performance.now() - began) * peak * part;
    // What could not be sent in its time is not made up for.
    sent = Math.max(sent, due - 200);
    for (; sent < due; sent++) {
      const put = ns
        .put(`/load/${Math.floor(sent) % 1_000}`, sent)
        .catch(() => null)
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

test(
  `[soak] ${Math.round(soakMs / 1_000)} s under load while clients, watches, leases, locks and watchers come and go: nothing stays behind`,
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'waymark-soak-'));
    const env = { ...process.env, NODE_NO_WARNINGS: '1' };
    const server = fork(program, [join(directory, 'data')], { env });
    const [address] = (await once(server, 'message')) as [string];
    const url = `http://${address}`;
    try {
      // One turn of everything: what is made once is there from now on.
      let going = true;
      const short = churn(url, turnMs, () => going);
      const space = await open(url);
      const peak = await peakOf(space.namespace('soak'));
      going = false;
      await short;
      await space.close();
      const settled = await settles(server, null);

      going = true;
      const loaded = await open(url);
      const stop = load(loaded.namespace('soak'), peak);
      const began = performance.now();
      const isCold = (): boolean => going && performance.now() < began + warmMs;
      const warming = Array.from({ length: warmers }, () => churn(url, 0, isCold));
      const churning = churn(url, turnMs, () => going);
      const samples: Sample[] = [];
      for (let at = warmMs; at < soakMs; at += everyMs) {
        await Promise.race([churning, Promise.all(warming).then(() => until(began + at))]);
        const { heapBytes, codeBytes, bufferBytes } = await heldBy(server);
        samples.push({ ms: performance.now() - began, bytes: heapBytes + bufferBytes, codeBytes });
        if (samples.length % 30 === 0) console.log(`soak: ${shown(samples)}`);
      }
      going = false;
      const writes = await stop();
      const churned = await churning;
      await loaded.close();
      const after = await settles(server, settled);
      const { slope, error } = slopeOf(samples);
      const judgedMs = sized(soakMs - warmMs, 60 * minute);
      console.log(
        `soak: ${writes} writes, ${JSON.stringify(churned)}; ${shown(samples)}, ` +
          `handles ${settled.handles} → ${after.handles}, files ${settled.files} → ${after.files}`,
      );
      for (const [kind, count] of Object.entries(churned)) expect(count, kind).toBeGreaterThan(3);
      expect(Math.abs(after.handles - settled.handles)).toBeLessThanOrEqual(2);
      expect(Math.abs(after.files - settled.files)).toBeLessThanOrEqual(2);
      expect(slope * judgedMs).toBeLessThan(grownMax);
      expect(error * judgedMs, 'what it is off by is less than what is judged').toBeLessThan(
        grownMax,
      );
    } finally {
      server.disconnect();
      await once(server, 'exit');
      await rm(directory, { recursive: true });
    }
  },
  soakMs + 5 * minute,
);

function shown(samples: readonly Sample[]): string {
  const { slope, error } = slopeOf(samples);
  const last = samples.at(-1) as Sample;
  const hourly = (of: number): string => ((of * 60 * minute) / mebibyte).toFixed(2);
  return (
    `after ${Math.round(last.ms / 1_000)} s heap and buffers ${(last.bytes / mebibyte).toFixed(1)} MiB, ` +
    `of which compiled code ${(last.codeBytes / mebibyte).toFixed(2)}, ` +
    `${hourly(slope)} ± ${hourly(error)} MiB an hour over ${samples.length} samples`
  );
}

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
