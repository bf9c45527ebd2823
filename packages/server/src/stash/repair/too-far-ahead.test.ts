import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from 'waymark/engine';
import { beginMove, readView } from 'waymark/stash';
import { entriesOf, type Entry, packEntries } from '../testing.js';
import { TestCluster, type TestNode } from './testing.js';

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.of(3);
});
afterEach(async () => await cluster.close());

const settled = { timeout: 20_000, interval: 50 };
const hourMs = 3_600_000;
const keys = Array.from({ length: 200 }, (_, n) => `k${n}`);

function entry(key: string, aheadMs = 0): Entry {
  const stamp = (systemClock.wallNow() + aheadMs) * 1_024;
  return { key, stamp, writer: 1, expiresAt: 0, value: 'v' };
}

/** What nodes took while their clocks were an hour ahead. */
async function putAhead(key: string, nodes: readonly TestNode[]): Promise<void> {
  cluster.wallAheadMs = hourMs;
  const one = entry(key, hourMs);
  for (const node of nodes) await node.put(one);
  cluster.wallAheadMs = 0;
}

async function join(): Promise<TestNode> {
  const fourth = await cluster.start();
  await beginMove(cluster.engine, (nodes) => [...nodes.slice(1), fourth.placed]);
  for (const node of cluster.nodes) node.startMover();
  return fourth;
}

async function arrived(): Promise<void> {
  const also = async () => (await readView(cluster.engine))?.view.also;
  await vi.waitFor(async () => expect(await also()).toBeUndefined(), settled);
}

test('[D2.3] an entry stamped too far ahead is left out when replicas are compared, and keeps no other one from coming over', async () => {
  const [a, b] = cluster.nodes as [TestNode, TestNode];
  await putAhead('ahead', [a]);
  await a.put(...keys.map((key) => entry(key)));
  for (const node of cluster.nodes) node.startRepair();
  await vi.waitFor(() => expect(b.get(...keys)).not.toContain(null), settled);
  expect(b.get('ahead')).toEqual([null]);
  expect(b.store.stamps.refused).toBeGreaterThan(0);
  expect(cluster.warnings).toEqual([]);
  cluster.wallAheadMs = hourMs;
  await vi.waitFor(() => expect(b.get('ahead')).not.toContain(null), settled);
});

test('[D2.3] of a page the entries stamped too far ahead are refused, and the others taken', async () => {
  const [a] = cluster.nodes as [TestNode];
  const { partitions } = a.store;
  const page = ['x\0a', 'x\0b', 'x\0c'].map((key, n) => entry(key, n === 1 ? hourMs : 0));
  await partitions.mend(7, packEntries(page));
  const there = entriesOf(partitions.versions(7, new Uint8Array(0)).entries);
  expect(there.map(({ key }) => key)).toEqual(['x\0a', 'x\0c']);
  const { high } = a.store.stamps;
  expect(high, 'it drags no clock along').toBeLessThan(entry('', hourMs / 2).stamp);
});

test('[D6.3] entries stamped too far ahead, each of which one of three owners has, hold up no move', async () => {
  for (const node of cluster.nodes) await node.put(...keys.map((key) => entry(key)));
  for (const [n, node] of cluster.nodes.entries()) await putAhead(`ahead${n}`, [node]);
  const fourth = await join();
  await arrived();
  expect(fourth.get(...keys)).not.toContain(null);
  expect(cluster.warnings).toEqual([]);
});

test('[D6.3] where a write quorum has it a move waits until the clocks reach it, with all else brought', async () => {
  for (const node of cluster.nodes) await node.put(...keys.map((key) => entry(key)));
  await putAhead('ahead', cluster.nodes.slice(0, 2));
  const fourth = await join();
  await vi.waitFor(() => expect(fourth.get(...keys)).not.toContain(null), settled);
  await vi.waitFor(() => expect(fourth.store.stamps.refused).toBeGreaterThan(3), settled);
  expect((await readView(cluster.engine))?.view.also?.phase).toBe('filling');
  cluster.wallAheadMs = hourMs;
  await arrived();
  expect(fourth.get('ahead')).not.toContain(null);
  expect(cluster.warnings).toEqual([]);
});
