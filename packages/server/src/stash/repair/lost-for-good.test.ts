import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from 'waymark/engine';
import { advanceMove, beginMove, type Coordinator, readView, tellMove } from 'waymark/stash';
import type { Entry } from '../testing.js';
import { TestCluster, type TestNode } from './testing.js';

let cluster: TestCluster;
let desk: Coordinator;
beforeEach(async () => {
  cluster = await TestCluster.of(3);
  desk = cluster.coordinator();
});
afterEach(async () => await cluster.close());

const settled = { timeout: 60_000, interval: 50 };
const keys = Array.from({ length: 100 }, (_, n) => `k${n}`);

function three(): [TestNode, TestNode, TestNode] {
  return cluster.nodes.slice(0, 3) as [TestNode, TestNode, TestNode];
}

/** All keys are on all nodes; `gone` is on those alone, as an acknowledged write may be. */
async function written(some: readonly TestNode[]): Promise<void> {
  const stamp = systemClock.wallNow() * 1_024;
  const of = (key: string): Entry => ({ key, stamp, writer: 1, expiresAt: 0, value: 'kept' });
  for (const node of cluster.nodes) await node.put(...keys.map(of));
  for (const node of some) await node.put(of('gone'));
}

async function joins(): Promise<TestNode> {
  const node = await cluster.start();
  node.startMover();
  await beginMove(cluster.engine, (nodes) => [...nodes, node.placed]);
  return node;
}

async function ended(...nodes: readonly TestNode[]): Promise<void> {
  await vi.waitFor(async () => {
    const { view } = (await readView(cluster.engine)) ?? {};
    expect(view?.also).toBeUndefined();
    expect(view?.nodes.map(({ id }) => id).sort()).toEqual(nodes.map(({ id }) => id).sort());
  }, settled);
}

async function blockedBy(...nodes: readonly TestNode[]): Promise<void> {
  await vi.waitFor(async () => {
    const { move } = await desk.status({});
    expect([...(move?.blockedBy ?? [])].sort()).toEqual(nodes.map(({ id }) => id).sort());
  }, settled);
}

const lose = (...nodes: readonly TestNode[]) =>
  desk.change({ kind: 'remove', nodes: nodes.map(({ id }) => id), acceptLoss: true });

function holdsAll(node: TestNode): void {
  expect(node.get(...keys)).toMatchObject(keys.map(() => ({ value: 'kept' })));
}

test('[D6.9] two of three nodes never come back: who joins is filled from the one that is left, and what only those two had is lost', async () => {
  const [a, b, c] = three();
  await written([a, b]);
  c.startMover();
  for (const node of [a, b]) await cluster.stop(node, { wipe: true });
  const fourth = await joins();
  await blockedBy(a, b);
  await expect(desk.change({ kind: 'remove', nodes: [a.id, b.id] })).rejects.toMatchObject({
    code: 'conflict',
  });
  await lose(a, b);
  await ended(c, fourth);
  for (const node of [c, fourth]) {
    holdsAll(node);
    expect(node.get('gone')).toEqual([null]);
  }
  expect((await desk.status({})).move).toBeNull();
  expect(cluster.warnings).toEqual([]);
});

test('[D6.9] one of two that are away never comes back: the other one is waited for, and nothing of it is lost', async () => {
  const [a, b, c] = three();
  await written([a, b]);
  c.startMover();
  await cluster.stop(a, { wipe: true });
  await cluster.stop(b);
  await lose(a);
  await blockedBy(b);
  const again = await cluster.start(b.directory);
  again.startMover();
  await ended(again, c);
  for (const node of [again, c]) {
    holdsAll(node);
    expect(node.get('gone')).toMatchObject([{ value: 'kept' }]);
  }
});

test('[D6.9] of all nodes none comes back: one that is new begins with nothing, and the last one is not removed before there is another', async () => {
  const [a, b, c] = three();
  await written([]);
  for (const node of [a, b, c]) await cluster.stop(node, { wipe: true });
  await expect(lose(a, b, c)).rejects.toMatchObject({ code: 'invalid' });
  const fourth = await joins();
  await blockedBy(a, b, c);
  await lose(a, b, c);
  await ended(fourth);
  expect(fourth.store.stats().records).toBe(0);
});

test('[D6.9] two nodes are lost as a move settles, which waits for them: it is filled anew without them', async () => {
  const [a, b, c] = three();
  await written([a, b]);
  const fourth = await joins();
  await saidFilled(a, b, c);
  await vi.waitFor(async () => {
    await advanceMove(cluster.engine, await c.views.known());
    expect((await readView(cluster.engine))?.view.also?.phase).toBe('settling');
  }, settled);
  for (const node of [a, b]) await cluster.stop(node, { wipe: true });
  await blockedBy(a, b);
  // Whether c knows of the move nobody has heard: alone it might go on to answer by the view before.
  await expect(lose(a, b)).rejects.toMatchObject({ code: 'conflict' });
  c.startMover();
  await vi.waitFor(async () => await lose(a, b), settled);
  await ended(c, fourth);
  for (const node of [c, fourth]) holdsAll(node);
});

/** Has nodes without a mover tell that they have done their part of filling, in which they are given nothing. */
async function saidFilled(...nodes: readonly TestNode[]): Promise<void> {
  const { since = 0 } = (await readView(cluster.engine))?.view.also ?? {};
  const said = { since, done: true, partitions: 0, of: 0, entries: 0, beganAt: 0 };
  for (const { id } of nodes) await tellMove(cluster.engine, id, said);
}
