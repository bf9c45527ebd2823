import { open } from 'lmdb';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Coordinator, Packer, PackedCursor } from 'waymark/stash';
import { packKeys, partitionOf } from '../testing.js';
import { placedBy } from './placed.js';
import { tellMissed } from './tell-missed.js';
import { TestCluster, type TestNode } from './testing.js';

let cluster: TestCluster;
let stash: Coordinator;
beforeEach(async () => {
  cluster = await TestCluster.of(3);
  stash = cluster.coordinator();
});
afterEach(async () => await cluster.close());

const settled = { timeout: 30_000, interval: 100 };
const graceMs = 900_000;

async function write(keys: readonly string[], value: string | null): Promise<void> {
  const packer = new Packer();
  const bytes = value === null ? null : Buffer.from(value);
  for (const key of keys) packer.entry(key, { stamp: 0, writer: 0, expiresAt: 0, value: bytes });
  await stash.write({ index: 'some', entries: packer.take() });
}

async function there(keys: readonly string[]): Promise<number> {
  const packer = new Packer();
  for (const key of keys) packer.key(key);
  const found = new PackedCursor(
    await stash.read({ index: 'some', keys: packer.take(), level: 'quorum', keysOnly: false }),
  );
  let count = 0;
  while (!found.done) {
    found.nextVersion();
    if (found.valueStart >= 0) count++;
  }
  return count;
}

const records = () => cluster.nodes.map((node) => node.store.stats().records);
const keys = Array.from({ length: 300 }, (_, n) => `k${n}`);

test('[D5.5] what a replica missed while it was away is told to it by one that has it, key by key', async () => {
  const [a, b, c] = cluster.nodes as [TestNode, TestNode, TestNode];
  cluster.cut.add(c.id);
  await write(keys, 'v');
  await vi.waitFor(() => expect(a.store.hints.count + b.store.hints.count).toBe(300), settled);
  expect(c.store.stats().records).toBe(0);
  cluster.cut.delete(c.id);
  const told = [a, b].map((node) => node.startRepair());
  await vi.waitFor(() => expect(c.store.stats().records).toBe(300), settled);
  await vi.waitFor(() => expect(a.store.hints.count + b.store.hints.count).toBe(0), settled);
  const [first, second] = told.map(({ figures }) => figures);
  expect((first?.hinted ?? 0) + (second?.hinted ?? 0)).toBe(300);
  expect(c.get('k7')).toEqual(a.get('k7'));
});

test('[D5.5] a mark that is set while its key is told is told as well: what went there may be older', async () => {
  const [a, , c] = cluster.nodes as [TestNode, TestNode, TestNode];
  const version = (stamp: number) => ({ key: 'k', stamp, writer: 1, expiresAt: 0, value: 'v' });
  const missed = async (stamp: number): Promise<void> => {
    await a.put(version(stamp));
    await a.store.hint(c.id, 'some', packKeys(['k']));
  };
  await missed(1);
  const peer = a.peerOf(c.id);
  const mend = peer.mend.bind(peer);
  let mends = 0;
  peer.mend = async (...asked) => {
    await mend(...asked);
    // It is away for a moment, and back before the answer.
    if (++mends === 1) await missed(2);
  };
  const placed = placedBy(await a.views.known(), null);
  if (placed === null) throw new Error('there is no view');
  const { signal } = new AbortController();
  await tellMissed(
    c.id,
    { store: a.store, peer, epoch: 1, pace: async () => undefined, signal },
    { placed, leaveOut: async (_, work) => (await work(), true), figures: { hinted: 0 } },
  );
  expect(c.get('k')).toMatchObject([{ stamp: 2 }]);
  expect(a.store.hints.count).toBe(0);
  expect(mends).toBe(2);
});

test('[D5.5] a hint outlives a restart, and does not count as a copy', async () => {
  const [a, b, c] = cluster.nodes as [TestNode, TestNode, TestNode];
  cluster.cut.add(c.id);
  await write(['k'], 'v');
  await vi.waitFor(() => expect(a.store.hints.count + b.store.hints.count).toBe(1), settled);
  const holder = a.store.hints.count === 1 ? a : b;
  await cluster.stop(holder);
  const again = await cluster.start(holder.directory);
  expect(again.store.hints.pages(c.id)).toHaveLength(1);
  cluster.cut.add(again.id);
  await expect(write(['l'], 'w')).rejects.toMatchObject({ code: 'uncertain' });
});

test('[D5.6] tombstones stay while a replica is away, whatever their age; it comes back with what was deleted, and nothing is resurrected', async () => {
  const [, , c] = cluster.nodes as [TestNode, TestNode, TestNode];
  await write(keys, 'v');
  for (const node of cluster.nodes) {
    await vi.waitFor(() => expect(node.store.stats().records).toBe(300), settled);
  }
  await cluster.stop(c);
  await write(keys, null);
  cluster.wallAheadMs = 10 * graceMs;
  const repairs = cluster.nodes.map((node) => node.startRepair());
  await Promise.all(repairs.map((repair) => repair.round()));
  expect(records(), 'c has not agreed').toEqual([300, 300]);
  const back = await cluster.start(c.directory);
  back.startRepair();
  await vi.waitFor(() => expect(records()).toEqual([0, 0, 0]), settled);
  expect(await there(keys)).toBe(0);
  expect(cluster.warnings).toEqual([]);
});

test('[D5.6] a write that comes later than the purge of what deleted its key is refused, and stamped again', async () => {
  const [a, b] = cluster.nodes as [TestNode, TestNode, TestNode];
  await write(['k'], 'v');
  // Acknowledged by two: the third may not have it yet.
  const old = cluster.nodes.flatMap((node) => node.get('k')).find((found) => found !== null);
  await write(['k'], null);
  cluster.wallAheadMs = 2 * graceMs;
  for (const node of cluster.nodes) node.startRepair();
  await vi.waitFor(() => expect(records()).toEqual([0, 0, 0]), settled);
  if (old === null || old === 'damaged' || old === undefined) throw new Error('it was there');
  // The first write once more, as if it had been on its way all the time.
  for (const node of [a, b]) {
    expect(await node.put({ key: 'k', ...old })).toBeGreaterThan(old.stamp);
    expect(node.get('k')).toEqual([null]);
  }
  // And of a replica that never agreed.
  const partition = partitionOf('some', 'k');
  const packer = new Packer();
  packer.entry('some\0k', { ...old, value: Buffer.from('v') });
  const peer = b.peerOf(a.id);
  const entries = packer.take();
  const refused = peer.mend({ epoch: 1, partition, purged: 0, entries });
  await expect(refused).rejects.toMatchObject({ code: 'conflict' });
  // One whose clock is behind writes all the same: above what was refused.
  cluster.wallAheadMs = 0;
  await write(['k'], 'again');
  expect(await there(['k'])).toBe(1);
});

test('[D5.6] after a restart a node knows up to where it has purged', async () => {
  const [a] = cluster.nodes as [TestNode];
  const partition = partitionOf('some', 'k');
  await a.store.partitions.seal(partition, 5_000);
  await a.store.partitions.purge(partition, 4_000);
  await cluster.stop(a);
  const again = await cluster.start(a.directory);
  expect(again.store.partitions.sealed(partition)).toBe(5_000);
  expect(again.store.partitions.purged(partition)).toBe(4_000);
  const late = { key: 'k', stamp: 4_999, writer: 1, expiresAt: 0, value: 'v' };
  expect(await again.put(late)).toBe(5_000);
});

test('[D5.6] a tombstone that is damaged when it is to go does not stay for good, and lets nothing older through', async () => {
  const some = keys.slice(0, 60);
  const [first] = cluster.nodes as [TestNode];
  await write(some, 'v');
  await vi.waitFor(() => expect(records()).toEqual([60, 60, 60]), settled);
  const old = first.get(...some);
  await write(some, null);
  for (const node of cluster.nodes) {
    const gone = some.map(() => expect.objectContaining({ value: null }));
    await vi.waitFor(() => expect(node.get(...some)).toEqual(gone), settled);
  }
  await cluster.stop(first);
  await turnBits(first.directory);
  const a = await cluster.start(first.directory);
  expect(new Set(a.get(...some))).toEqual(new Set(['damaged']));
  cluster.wallAheadMs = 2 * graceMs;
  for (const node of cluster.nodes) if (node !== a) node.startRepair();
  const purgedThere = (): string[] => {
    const [b, c] = cluster.nodes.filter((node) => node !== a) as [TestNode, TestNode];
    const [ofB, ofC] = [b.get(...some), c.get(...some)];
    return some.filter((_, n) => ofB[n] === null && ofC[n] === null);
  };
  // Those that another node is the first to keep, which has all agree and purges them.
  await vi.waitFor(() => expect(purgedThere().length).toBeGreaterThan(20), settled);
  a.startRepair();
  await vi.waitFor(() => expect(records()).toEqual([0, 0, 0]), settled);
  for (const [n, key] of some.entries()) {
    const late = old[n];
    if (late === null || late === 'damaged' || late === undefined) throw new Error('it was there');
    expect(await a.put({ key, ...late })).toBeGreaterThan(late.stamp);
  }
  expect(await there(some)).toBe(0);
  expect(cluster.warnings).toEqual([]);
});

/** Turns a bit of each record on the disk of a node that stands still. */
async function turnBits(directory: string): Promise<void> {
  const root = open({ path: directory, noSubdir: false, maxDbs: 4 });
  const entries = root.openDB<Buffer, Buffer>('entries', {
    keyEncoding: 'binary',
    encoding: 'binary',
  });
  for (const { key, value } of [...entries.getRange({})]) {
    const turned = Buffer.from(value);
    turned[0] = (turned[0] as number) ^ 1;
    await entries.put(key, turned);
  }
  await root.close();
}
