import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MemoryGroup } from '../support/memory-group.js';
import { chooseSeed, SeededRandom, sized } from './random.js';
import { StashCluster } from './stash-cluster.js';
import { percentile } from './stash-load.js';

/** More data on a node than it has memory. */
const mib = 1_048_576;
const dataBytes = sized(2_048, 20_480) * mib;
const memoryBytes = sized(256, 2_048) * mib;
const valueBytes = 32_768;
const count = dataBytes / valueBytes;
const mixedMs = sized(10_000, 120_000);

let cluster: StashCluster;
let memory: ReturnType<typeof MemoryGroup.make>;
beforeEach(async () => {
  cluster = await StashCluster.start();
  memory = MemoryGroup.make(memoryBytes);
});
afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
  if (memory instanceof MemoryGroup) memory[Symbol.dispose]();
});

/** A value that tells whose it is, and of which turn. */
function valueOf(key: number, turn: number): Buffer {
  const value = Buffer.alloc(valueBytes, key & 0xff);
  value.writeUInt32BE(key, 0);
  value.writeUInt32BE(turn, valueBytes - 4);
  return value;
}

test(`[D3.5] ${dataBytes / mib} MiB of data on a node that has ${memoryBytes / mib} MiB of memory: reads and writes go on`, async ({
  task,
}) => {
  if (!(memory instanceof MemoryGroup)) {
    task.meta.notRun = memory.missing;
    return;
  }
  const random = new SeededRandom(chooseSeed('test/faults/stash-big.test.ts'));
  const { command, data } = await cluster.node({ memory });
  const index = cluster.space.stash.index<Uint8Array>('big');
  const began = performance.now();
  const all = function* (): Generator<[number, Uint8Array]> {
    for (let key = 0; key < count; key++) yield [key, valueOf(key, 0)];
  };
  expect(await index.putMany(all())).toBe(count);
  const filledMs = performance.now() - began;
  const turns = new Map<number, number>();
  const [readMs, writeMs]: [number[], number[]] = [[], []];
  for (const until = performance.now() + mixedMs; performance.now() < until;) {
    const keys = [...new Set(Array.from({ length: 20 }, () => random.below(count)))];
    const at = performance.now();
    const found = await index.getMany(keys);
    readMs.push(performance.now() - at);
    for (const [n, key] of keys.entries()) {
      const wanted = valueOf(key, turns.get(key) ?? 0);
      expect(wanted.equals(found[n] ?? new Uint8Array()), `value of ${key}`).toBe(true);
    }
    const some = keys.slice(0, 5);
    for (const key of some) turns.set(key, (turns.get(key) ?? 0) + 1);
    const then = performance.now();
    await index.putMany(some.map((key) => [key, valueOf(key, turns.get(key) ?? 0)]));
    writeMs.push(performance.now() - then);
  }
  const resident = residentOf(command.child.pid);
  const { size } = await stat(join(data, 'data.mdb'));
  const peak = memory.peakBytes;
  const ms = (some: readonly number[]): string =>
    `p50 ${percentile(some, 50).toFixed(1)} ms, p99 ${percentile(some, 99).toFixed(1)} ms`;
  process.stdout.write(
    `stash: ${Math.round(size / mib)} MiB on disk, written at ${Math.round(dataBytes / mib / (filledMs / 1_000))} MiB/s; node held to ${memoryBytes / mib} MiB: resident ${resident.all} MiB ` +
      `(${resident.own} its own, ${resident.file} of files), peak of the group ${Math.round(peak / mib)} MiB; then 20 reads at once of ${count} values ${ms(readMs)}, 5 writes ${ms(writeMs)}\n`,
  );
  expect(size).toBeGreaterThan(dataBytes);
  expect(peak).toBeLessThanOrEqual(memoryBytes);
  expect(command.child.exitCode).toBeNull();
}, 7_200_000);

/** MiB of a process that are in memory: all, its own, and of files that it maps. */
function residentOf(pid: number | undefined): { all: number; own: number; file: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (name: string): number =>
    Math.round(Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1_024);
  return { all: of('VmRSS'), own: of('RssAnon'), file: of('RssFile') };
}
