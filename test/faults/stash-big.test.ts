import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MemoryGroup } from '../support/memory-group.js';
import { chooseSeed, SeededRandom, sized } from './random.js';
import { StashCluster } from './stash-cluster.js';
import { percentile } from './stash-load.js';

const mib = 1_048_576;
const valueBytes = 32_768;

/** More data on a node than it has memory, eight or ten times as much. The short form's is what it has beyond what the process takes of its own under load, the others' is all that it has. */
interface Sizes {
  readonly dataMib: number;
  readonly memoryMib: number;
  readonly beyondOwn: boolean;
  readonly mixedMs: number;
}
const sizes = sized<readonly Sizes[]>(
  [{ dataMib: 512, memoryMib: 64, beyondOwn: true, mixedMs: 6_000 }],
  [
    { dataMib: 2_048, memoryMib: 256, beyondOwn: false, mixedMs: 60_000 },
    { dataMib: 20_480, memoryMib: 2_048, beyondOwn: false, mixedMs: 120_000 },
  ],
);
/** So much is written before it is looked what the process takes of its own. */
const firstMib = 128;

let cluster: StashCluster;
let memory: MemoryGroup;
beforeEach(async () => {
  memory = MemoryGroup.make();
  cluster = await StashCluster.start();
});
afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
  memory[Symbol.dispose]();
});

/** A value that tells whose it is, and of which turn. */
function valueOf(key: number, turn: number): Buffer {
  const value = Buffer.alloc(valueBytes, key & 0xff);
  value.writeUInt32BE(key, 0);
  value.writeUInt32BE(turn, valueBytes - 4);
  return value;
}

test.each(sizes)(
  '[D3.5] $dataMib MiB of data on a node that has $memoryMib MiB of memory: reads and writes go on',
  async ({ dataMib, memoryMib, beyondOwn, mixedMs }) => {
    const random = new SeededRandom(chooseSeed('test/faults/stash-big.test.ts'));
    const { command, data } = await cluster.node({ memory });
    let limit = memoryMib * mib;
    if (!beyondOwn) memory.limit(limit);
    const index = cluster.space.stash.index<Uint8Array>('big');
    const began = performance.now();
    const count = (dataMib * mib) / valueBytes;
    const first = (firstMib * mib) / valueBytes;
    await index.putMany(entriesOf(0, first));
    if (beyondOwn) memory.limit((limit += memory.anonymousBytes));
    await index.putMany(entriesOf(first, count));
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
    process.stdout.write(
      `stash: ${Math.round(size / mib)} MiB on disk, written at ${Math.round(dataMib / (filledMs / 1_000))} MiB/s; the node held to ${Math.round(limit / mib)} MiB: ` +
        `resident ${resident.all} MiB (${resident.own} its own, ${resident.file} of files); then 20 of ${count} values at once: read ${told(readMs)}, 5 written ${told(writeMs)}\n`,
    );
    expect(size).toBeGreaterThan(dataMib * mib);
    // The rule that is to be held: a test without it would be one of a node that has all it needs.
    expect(memory.usedBytes).toBeLessThanOrEqual(limit);
    expect(memory.refusals).toBeGreaterThan(0);
    expect(readMs.length).toBeGreaterThan(10);
    expect(command.child.exitCode).toBeNull();
  },
  7_200_000,
);

function* entriesOf(from: number, to: number): Generator<[number, Uint8Array]> {
  for (let key = from; key < to; key++) yield [key, valueOf(key, 0)];
}

function told(ms: readonly number[]): string {
  return `p50 ${percentile(ms, 50).toFixed(1)} ms, p99 ${percentile(ms, 99).toFixed(1)} ms`;
}

/** MiB of a process that are in memory: all, its own, and of files that it maps. */
function residentOf(pid: number | undefined): { all: number; own: number; file: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (name: string): number =>
    Math.round(Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1_024);
  return { all: of('VmRSS'), own: of('RssAnon'), file: of('RssFile') };
}
