import { afterEach, expect, test, vi } from 'vitest';
import type { StashStatus } from 'waymark';
import { systemClock } from 'waymark/engine';
import type { Coordinator } from 'waymark/stash';
import { packKeys } from '../testing.js';
import { TestCluster, type TestNode } from './testing.js';

let cluster: TestCluster;
afterEach(async () => await cluster.close());

const settled = { timeout: 20_000, interval: 50 };
const never = { everyMs: 3_600_000 };

/** Nodes that repair when they are asked to, and see each other. */
async function started(count: number): Promise<{ desk: Coordinator; nodes: readonly TestNode[] }> {
  cluster = await TestCluster.of(count);
  const nodes = [...cluster.nodes];
  for (const node of nodes) {
    await node.views.known();
    const repair = node.startRepair(never);
    await vi.waitFor(() => expect(repair.figures.rounds).toBeGreaterThan(0), settled);
  }
  return { desk: cluster.coordinator(), nodes };
}

test('[D5.7] a repair that is asked for brings what a node lacks, tells what was brought, and who was not reached', async () => {
  const { desk, nodes } = await started(3);
  const [a, b, c] = nodes as [TestNode, TestNode, TestNode];
  for (const node of [a, b]) {
    await node.put({ key: 'k', stamp: 1, writer: 1, expiresAt: 0, value: 'v' });
  }
  const { nodes: told } = await desk.repair({});
  expect(c.get('k')).toMatchObject([{ value: 'v' }]);
  expect(told.map(({ id, done, compared }) => ({ id, done, compared }))).toEqual(
    nodes.map(({ id }) => ({ id, done: true, compared: 2 })),
  );
  const brought = told.reduce((sum, { fetched, pushed }) => sum + fetched + pushed, 0);
  expect(brought).toBeGreaterThan(0);
  const comparedAt = (node: TestNode) => systemClock.now() - (node.repair?.comparedMs ?? 0);
  const before = comparedAt(a);
  await desk.repair({});
  const between = comparedAt(a);
  expect(between).toBeGreaterThan(before);
  cluster.cut.add(b.id);
  const again = await desk.repair({});
  expect(again.nodes.map(({ id, done }) => [id, done])).toEqual([
    [a.id, true],
    [b.id, false],
    [c.id, true],
  ]);
  expect(comparedAt(a), 'with all that it has to be compared with').toBeCloseTo(between, -1);
});

test('[D5.7] the status has what each node tells of itself, and null of one that does not', async () => {
  const { desk, nodes } = await started(3);
  const [a, b, c] = nodes as [TestNode, TestNode, TestNode];
  await a.put({ key: 'k', stamp: 1, writer: 1, expiresAt: 0, value: 'v' });
  await a.store.hint(c.id, 'some', packKeys(['k']));
  cluster.cut.add(c.id);
  const { nodes: told } = await desk.status({});
  const figuresOf = ({ id }: TestNode) => told.find((node) => node.id === id)?.figures;
  const [first, second, third] = [a, b, c].map(figuresOf);
  expect(first).toMatchObject({ records: 1, hints: 1, writable: true, damaged: 0 });
  expect(first?.comparedMs).toBeGreaterThanOrEqual(0);
  expect(second).toMatchObject({ records: 0, hints: 0 });
  expect(third).toBeNull();
  expect(b.store.stats().bytes).toBe(second?.bytes);
});

test('[D6.8] nodes go by any process that has the space open: a move is paused, resumed and cancelled; one drained, one removed and forgotten', async () => {
  const { desk, nodes } = await started(4);
  const [a, b, c, d] = nodes as [TestNode, TestNode, TestNode, TestNode];
  const entries = Array.from({ length: 50 }, (_, i) => `k${i}`);
  for (const node of nodes) {
    await node.put(
      ...entries.map((key) => ({ key, stamp: 1, writer: 1, expiresAt: 0, value: 'v' })),
    );
  }
  const refused = async (work: Promise<unknown>, code: string): Promise<void> =>
    await expect(work, code).rejects.toMatchObject({ code });
  const one = (kind: 'drain' | 'remove', node: string) => desk.change({ kind, nodes: [node] });
  await refused(one('drain', 'nobody'), 'not_found');
  await refused(one('remove', a.id), 'conflict');
  for (const kind of ['pause', 'resume', 'cancel'] as const) {
    await refused(desk.change({ kind }), 'conflict');
  }
  await refused(desk.change({ kind: 'remove', nodes: [] }), 'invalid');
  await refused(desk.change({ kind: 'drain', nodes: [d.id], acceptLoss: true }), 'invalid');
  await refused(desk.change({ kind: 'drain', nodes: [d.id, 'nobody'] }), 'not_found');
  await refused(desk.change({ kind: 'remove', nodes: [d.id], acceptLoss: true }), 'conflict');
  const begun = await one('drain', d.id);
  await vi.waitFor(async () => {
    const { epoch, move, nodes: told } = await desk.status({});
    expect({ epoch, move }).toMatchObject({ ...begun, move: { phase: 'filling', paused: false } });
    expect(told.find(({ id }) => id === d.id)?.state).toBe('leaving');
  }, settled);
  await refused(one('drain', a.id), 'conflict');
  const movedTo = async (change: Promise<{ epoch: number }>): Promise<StashStatus> => {
    const { epoch } = await change;
    await vi.waitFor(async () => expect((await desk.status({})).epoch).toBe(epoch), settled);
    return await desk.status({});
  };
  expect((await movedTo(desk.change({ kind: 'pause' }))).move).toMatchObject({ paused: true });
  expect((await movedTo(desk.change({ kind: 'resume' }))).move).toMatchObject({ paused: false });
  expect((await movedTo(desk.change({ kind: 'cancel' }))).move).toBeNull();
  for (const node of nodes) node.startMover();
  const over = async (change: Promise<{ epoch: number }>): Promise<readonly string[]> => {
    const { epoch } = await change;
    await vi.waitFor(async () => {
      const now = await desk.status({});
      expect(now.move === null && now.epoch >= epoch).toBe(true);
    }, settled);
    return (await desk.status({})).nodes.map(({ id }) => id);
  };
  await over(one('drain', d.id));
  const left = (await desk.status({})).nodes.find(({ id }) => id === d.id);
  expect(left).toMatchObject({ state: 'left', share: 0 });
  await refused(one('drain', d.id), 'not_found');
  expect(await desk.safeToStop({ node: d.id })).toMatchObject({ safe: true });
  await cluster.stop(c, { wipe: true });
  await vi.waitFor(async () => await refused(one('drain', c.id), 'conflict'), settled);
  expect(await over(one('remove', c.id))).toContain(c.id);
  await one('remove', c.id);
  await vi.waitFor(async () => {
    const ids = (await desk.status({})).nodes.map(({ id }) => id);
    expect(ids.sort()).toEqual([a.id, b.id, d.id].sort());
  }, settled);
  await refused(one('remove', c.id), 'not_found');
  await over(one('drain', a.id));
  await refused(one('drain', b.id), 'invalid');
});
