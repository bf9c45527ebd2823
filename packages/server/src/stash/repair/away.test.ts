import { afterEach, expect, test, vi } from 'vitest';
import { ForwardingEngine, WaymarkError } from 'waymark/engine';
import { beginMove, readView } from 'waymark/stash';
import { TestCluster, type TestNode } from './testing.js';

let cluster: TestCluster;
afterEach(async () => await cluster.close());

const settled = { timeout: 20_000, interval: 50 };

test('[D5.1] [D6.7] while the space is away replicas go on to repair each other by the last view, and a move that is filled waits for it', async () => {
  cluster = await TestCluster.of(2, { engine: (inner) => new Away(inner) });
  const [a, b] = cluster.nodes as [TestNode, TestNode];
  const space = cluster.engine as Away;
  for (const node of [a, b]) {
    node.startRepair();
    await node.views.known();
  }
  const third = await cluster.start();
  await beginMove(cluster.engine, (nodes) => [...nodes, third.placed]);
  for (const node of cluster.nodes) {
    await vi.waitFor(() => expect(node.views.last?.view?.view.also).toBeDefined(), settled);
  }
  space.away = true;
  for (const node of cluster.nodes) node.startMover();
  await b.put({ key: 'k', stamp: 1, writer: 1, expiresAt: 0, value: 'v' });
  await vi.waitFor(() => expect(a.get('k')).toMatchObject([{ value: 'v' }]), settled);
  await vi.waitFor(() => expect(third.get('k')).toMatchObject([{ value: 'v' }]), settled);
  await vi.waitFor(() => expect(space.refused).toBeGreaterThan(3), settled);
  space.away = false;
  const { view } = (await readView(cluster.engine)) ?? {};
  expect(view).toMatchObject({ epoch: 2, also: { phase: 'filling' } });
  await vi.waitFor(async () => {
    const now = await readView(cluster.engine);
    expect(now?.view).toMatchObject({ epoch: 4, nodes: expect.objectContaining({ length: 3 }) });
  }, settled);
  expect(cluster.warnings).toEqual([]);
});

/** An engine that takes nothing for a while. */
class Away extends ForwardingEngine {
  away = false;
  refused = 0;

  override async read(...asked: Parameters<ForwardingEngine['read']>) {
    this.#check();
    return await super.read(...asked);
  }

  override async commit(...asked: Parameters<ForwardingEngine['commit']>) {
    this.#check();
    return await super.commit(...asked);
  }

  #check(): void {
    if (!this.away) return;
    this.refused++;
    throw new WaymarkError('unavailable', 'the space is away');
  }
}
