import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { open } from 'lmdb';
import { afterEach, expect, test, vi } from 'vitest';
import { systemClock } from 'waymark/engine';
import { type Entry, packEntries } from '../testing.js';
import { differing } from './compare.js';
import { scrub } from './scrub.js';
import { TestCluster, type TestNode } from './testing.js';

let cluster: TestCluster;
afterEach(async () => await cluster.close());

const settled = { timeout: 20_000, interval: 200 };
const signal = new AbortController().signal;

function entry(key: string, stamp: number, value: string | null = `${key} ${stamp}`): Entry {
  return { key, stamp, writer: 1, expiresAt: 0, value };
}

async function sameEverywhere(): Promise<void> {
  const [first = [], ...others] = await Promise.all(cluster.nodes.map((node) => node.digests()));
  for (const other of others) expect(other.filter((one, at) => one !== first[at])).toEqual([]);
}

test('[D5.1] replicas that hold different versions come to hold the newest of each, whoever had it', async () => {
  cluster = await TestCluster.of(3);
  const [a, b, c] = cluster.nodes as [TestNode, TestNode, TestNode];
  const now = systemClock.wallNow() * 1_024;
  const all = Array.from({ length: 1_000 }, (_, n) => `k${n}`);
  for (const [place, node] of [a, b, c].entries()) {
    const part = all.filter((_, n) => n % 4 === place || n % 4 === 3);
    const entries = part.map((key, n) => entry(key, now + place, n % 5 === 0 ? null : undefined));
    for (let at = 0; at < entries.length; at += 500) await node.put(...entries.slice(at, at + 500));
  }
  for (const node of cluster.nodes) node.startRepair();
  await vi.waitFor(sameEverywhere, settled);
  // Every fourth key was on all three, and the last one has the highest stamp.
  expect(a.get('k3', 'k7')).toEqual(c.get('k3', 'k7'));
  expect(a.get('k7')).toMatchObject([{ stamp: now + 2 }]);
  expect(b.store.stats().records).toBe(1_000);
  expect(cluster.warnings).toEqual([]);
});

test('[D5.2] nodes that hold the same tell each other 64 numbers, and read no entry', async () => {
  cluster = await TestCluster.of(2);
  const [a, b] = cluster.nodes as [TestNode, TestNode];
  for (const node of [a, b]) await node.put(entry('a', 1), entry('b', 2));
  const answers: number[] = [];
  const peer = a.peerOf(b.id);
  const digests = peer.digests.bind(peer);
  peer.digests = async (ask) => {
    const told = await digests(ask);
    answers.push(told.length);
    return told;
  };
  const partitions = Array.from({ length: 4_096 }, (_, one) => one);
  await a.views.known();
  const parts = { store: a.store, peer, epoch: 1, signal };
  expect(await differing(partitions, parts)).toEqual([]);
  expect(answers).toEqual([64 * 9]);
  await b.put(entry('c', 3));
  expect(await differing(partitions, parts)).toHaveLength(1);
  expect(answers.slice(1)).toEqual([64 * 9, 64 * 9]);
});

test('[D5.3] large values and many keys of one partition come over in parts', async () => {
  cluster = await TestCluster.of(2);
  const [a, b] = cluster.nodes as [TestNode, TestNode];
  for (let n = 0; n < 6; n++) await a.put(entry(`large${n}`, 10 + n, 'x'.repeat(1_000_000)));
  // All in one partition: keys are full ones, and nobody asks whether the hash agrees.
  const entries = Array.from({ length: 1_000 }, (_, n) => entry(`some\0${n}`, 100 + n, 'v'));
  await b.store.partitions.mend(7, packEntries(entries));
  await b.store.partitions.mend(
    7,
    packEntries(entries.map((one) => ({ ...one, key: `${one.key}b` }))),
  );
  for (const node of cluster.nodes) node.startRepair();
  await vi.waitFor(sameEverywhere, settled);
  expect(a.store.stats().records).toBe(2_006);
  expect(b.get('large3')).toMatchObject([{ stamp: 13 }]);
});

test('[D5.4] a damaged record is replaced by a peer’s, also where only scrubbing found it', async () => {
  cluster = await TestCluster.of(2);
  for (const node of cluster.nodes) await node.put(entry('a', 1, 'sound'), entry('b', 2, 'too'));
  const a = await damaged(cluster.nodes[0] as TestNode, 'sound', 'too');
  expect(a.get('a')).toEqual(['damaged']);
  const { suspects } = a.store;
  for (let one = 0; one < 4_096; one++) await scrub(one, a.store);
  expect(suspects.size).toBe(2);
  a.startRepair();
  await vi.waitFor(() => expect(a.get('a', 'b')).toMatchObject([{ value: 'sound' }, {}]), settled);
  await vi.waitFor(() => expect(suspects.size).toBe(0), settled);
  await sameEverywhere();
});

test('[D5.4] what is missing on a disk without a trace is brought back', async () => {
  cluster = await TestCluster.of(2);
  for (const node of cluster.nodes) await node.put(entry('a', 1), entry('b', 2));
  const [before] = cluster.nodes as [TestNode];
  const { directory } = before;
  // Its digests are saved as they were.
  await cluster.stop(before);
  const keys = { keyEncoding: 'binary', encoding: 'binary' } as const;
  const root = open({ path: directory, noSubdir: false, maxDbs: 4 });
  const entries = root.openDB<Uint8Array, Uint8Array>('entries', keys);
  const [lost] = [...entries.getKeys({ limit: 1 })];
  await entries.remove(lost as Uint8Array);
  await root.close();
  const node = await cluster.start(directory);
  expect(node.id).toBe(before.id);
  expect(node.get('a', 'b')).toContain(null);
  for (let one = 0; one < 4_096; one++) await scrub(one, node.store);
  for (const one of cluster.nodes) one.startRepair();
  await vi.waitFor(() => expect(node.get('a', 'b')).not.toContain(null), settled);
  await sameEverywhere();
});

test('[D5.1] peers that are away are asked less and less; who comes back is looked at without delay', async () => {
  cluster = await TestCluster.of(2);
  const [a, b] = cluster.nodes as [TestNode, TestNode];
  await a.put(entry('a', 1));
  let asked = 0;
  cluster.cut.add(b.id);
  const repair = a.startRepair({ everyMs: 1 });
  const peerOf = a.peerOf.bind(a);
  a.peerOf = (id) => {
    asked++;
    return peerOf(id);
  };
  await vi.waitFor(() => expect(asked).toBe(2), settled);
  expect(repair.figures.compared).toBe(0);
  cluster.cut.delete(b.id);
  b.startRepair({ everyMs: 1_000_000 });
  await vi.waitFor(sameEverywhere, settled);
  expect(cluster.warnings).toEqual([]);
});

/** Turns a bit of some values on the disk of a node that stands still. @returns the node, started again */
async function damaged(node: TestNode, ...values: string[]): Promise<TestNode> {
  await cluster.stop(node);
  const file = join(node.directory, 'data.mdb');
  const bytes = await readFile(file);
  for (const value of values) {
    for (let at = bytes.indexOf(value); at >= 0; at = bytes.indexOf(value, at + 1)) {
      bytes[at] = (bytes[at] as number) ^ 1;
    }
  }
  await writeFile(file, bytes);
  return await cluster.start(node.directory);
}
