import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemClock } from 'waymark/engine';
import { beginMove, readView } from 'waymark/stash';
import type { Entry } from '../testing.js';
import { TestCluster, type TestNode } from './testing.js';

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.of(3);
});
afterEach(async () => await cluster.close());

const settled = { timeout: 60_000, interval: 50 };
const keys = Array.from({ length: 200 }, (_, n) => `k${n}`);

/** The first version of all keys is everywhere; the last, a delete of every fifth, has reached some. */
async function write(some: readonly TestNode[]): Promise<Entry[]> {
  const stamp = systemClock.wallNow() * 1_024;
  const of = (key: string, at: number, value: string | null): Entry => {
    return { key, stamp: at, writer: 1, expiresAt: 0, value };
  };
  for (const node of cluster.nodes) await node.put(...keys.map((key) => of(key, stamp, 'first')));
  const last = keys.map((key, n) => of(key, stamp + 1, n % 5 === 0 ? null : 'last'));
  for (const node of some) await node.put(...last);
  return last;
}

async function moveTo(...nodes: readonly TestNode[]): Promise<void> {
  const ids = nodes.map(({ id }) => id);
  await beginMove(cluster.engine, (all) => all.filter(({ id }) => ids.includes(id)));
}

async function phase(): Promise<string | undefined> {
  return (await readView(cluster.engine))?.view.also?.phase;
}

test.each(['drained', 'lost'])(
  '[D6.3] two copies of three are read one at a time: each has what two had acknowledged before the third, which is %s, counts no more',
  async (how) => {
    const [a, b, c] = cluster.nodes as [TestNode, TestNode, TestNode];
    const last = await write([a, b]);
    if (how === 'lost') await cluster.stop(a, { wipe: true });
    await moveTo(b, c);
    for (const node of cluster.nodes) node.startMover();
    await vi.waitFor(async () => expect(await phase()).toBeUndefined(), settled);
    for (const node of [b, c]) expect(node.get(...keys)).toMatchObject(last.map(shown));
    expect(cluster.warnings).toEqual([]);
  },
);

test('[D6.3] with two copies of three left, of which one is away, the move waits for it', async () => {
  const [a, b, c] = cluster.nodes as [TestNode, TestNode, TestNode];
  const last = await write([a, b]);
  await cluster.stop(b);
  await moveTo(b, c);
  for (const node of [a, c]) node.startMover();
  await vi.waitFor(() => expect(c.get(...keys)).toMatchObject(last.map(shown)), settled);
  await vi.waitFor(() => expect(a.views.last?.moves.get(c.id)?.done).toBe(true), settled);
  expect(await phase()).toBe('filling');
  const again = await cluster.start(b.directory);
  again.startMover();
  await vi.waitFor(async () => expect(await phase()).toBeUndefined(), settled);
});

function shown({ stamp, value }: Entry): object {
  return { stamp, value };
}
