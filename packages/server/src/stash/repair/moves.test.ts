import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { systemRandom } from 'waymark/engine';
import {
  advanceMove,
  beginMove,
  cancelMove,
  type Coordinator,
  PackedCursor,
  Packer,
  partitionCount,
  pauseMove,
  Placement,
  readView,
  safeToStop,
  tellMove,
} from 'waymark/stash';
import { TestCluster, type TestNode } from './testing.js';

let cluster: TestCluster;
let stash: Coordinator;
/** What was acknowledged last of each key; null: deleted. */
let acknowledged: Map<string, string | null>;
let failures: string[];
beforeEach(async () => {
  cluster = await TestCluster.of(3);
  stash = cluster.coordinator();
  acknowledged = new Map();
  failures = [];
  for (const node of cluster.nodes) run(node);
});
afterEach(async () => await cluster.close());

const settled = { timeout: 60_000, interval: 100 };

function run(node: TestNode): void {
  node.startRepair({ everyMs: 500 });
  node.startMover();
}

async function write(keys: readonly string[], value: string | null): Promise<void> {
  const packer = new Packer();
  const bytes = value === null ? null : Buffer.from(value);
  for (const key of keys) packer.entry(key, { stamp: 0, writer: 0, expiresAt: 0, value: bytes });
  await stash.write({ index: 'some', entries: packer.take() });
  for (const key of keys) acknowledged.set(key, value);
}

async function read(keys: readonly string[]): Promise<(string | null)[]> {
  const found: (string | null)[] = [];
  while (found.length < keys.length) {
    const packer = new Packer();
    for (const key of keys.slice(found.length)) packer.key(key);
    const asked = { index: 'some', keys: packer.take(), level: 'quorum', keysOnly: false } as const;
    const cursor = new PackedCursor(await stash.read(asked));
    while (!cursor.done) {
      cursor.nextVersion();
      const { valueStart, valueEnd, block } = cursor;
      found.push(valueStart < 0 ? null : block.toString('utf8', valueStart, valueEnd));
    }
  }
  return found;
}

/** Writes and deletes keys of its own, and reads one of them after each, until it is told to stop. */
function load(writer: string, until: () => boolean): Promise<void> {
  const step = async (n: number): Promise<void> => {
    const key = `${writer}/${Math.floor(systemRandom.next() * 50)}`;
    try {
      await write([key], n % 20 === 0 ? null : `${n}`);
      const wanted = acknowledged.get(key) ?? null;
      const [found] = await read([key]);
      if (found !== wanted) failures.push(`${key}: ${found} and not ${wanted}`);
    } catch (error) {
      // Whether it was written nobody knows: it says nothing of this key any more.
      acknowledged.delete(key);
      failures.push(`${key}: ${String(error)}`);
    }
  };
  return (async () => {
    for (let n = 1; !until(); n++) await step(n);
  })();
}

async function checkAll(): Promise<void> {
  const keys = [...acknowledged.keys()];
  for (let at = 0; at < keys.length; at += 500) {
    const part = keys.slice(at, at + 500);
    expect(await read(part)).toEqual(part.map((key) => acknowledged.get(key)));
  }
}

const fill = async (count: number): Promise<void> => {
  for (let at = 0; at < count; at += 500) {
    await write(
      Array.from({ length: 500 }, (_, n) => `base${at + n}`),
      'there from the beginning',
    );
  }
};

async function arrived(ids: readonly string[]): Promise<void> {
  await vi.waitFor(async () => {
    const { view } = (await readView(cluster.engine)) ?? {};
    expect(view?.also).toBeUndefined();
    expect(view?.nodes.map(({ id }) => id).sort()).toEqual([...ids].sort());
  }, settled);
}

const ids = () => cluster.nodes.map(({ id }) => id);

test('[D5.6] a node that joins takes over what is sealed and purged, also of partitions in which nothing is left', async () => {
  const some = Array.from({ length: 20 }, (_, partition) => partition);
  for (const { store } of cluster.nodes) {
    for (const partition of some) {
      await store.partitions.seal(partition, 5_000);
      await store.partitions.purge(partition, 4_000);
    }
  }
  const fourth = await cluster.start();
  run(fourth);
  await beginMove(cluster.engine, (nodes) => [...nodes, fourth.placed]);
  await arrived(ids());
  const placement = new Placement((await readView(cluster.engine))?.view.nodes ?? [], 3);
  const kept = some.filter((one) => placement.of(one).some(({ id }) => id === fourth.id));
  expect(kept.length).toBeGreaterThan(0);
  const { partitions } = fourth.store;
  for (const one of kept)
    expect([partitions.sealed(one), partitions.purged(one)]).toEqual([5_000, 4_000]);
  expect(cluster.warnings).toEqual([]);
});

test('[D6.1] a node joins and another is drained under load: every key is read all the time, nothing is lost or comes back, and each keeps its share alone', async () => {
  await fill(2_000);
  let over = false;
  const running = ['a', 'b'].map((writer) => load(writer, () => over));
  const fourth = await cluster.start();
  run(fourth);
  await beginMove(cluster.engine, (nodes) => [...nodes, fourth.placed]);
  await arrived(ids());
  const [first] = cluster.nodes as [TestNode];
  await beginMove(cluster.engine, (nodes) => nodes.filter(({ id }) => id !== first.id));
  const others = ids().filter((id) => id !== first.id);
  await arrived(others);
  over = true;
  await Promise.all(running);
  expect(failures).toEqual([]);
  await vi.waitFor(() => expect(first.store.stats().records).toBe(0), settled);
  await cluster.stop(first, { wipe: true });
  await checkAll();
  const view = (await readView(cluster.engine))?.view;
  const placement = new Placement(view?.nodes ?? [], 3);
  await vi.waitFor(async () => await agree(placement), settled);
  expect(cluster.warnings).toEqual([]);
});

test('[D6.1] four nodes become three copies on four: who lost partitions to the new one holds nothing of them', async () => {
  await fill(1_000);
  const fourth = await cluster.start();
  run(fourth);
  await beginMove(cluster.engine, (nodes) => [...nodes, fourth.placed]);
  await arrived(ids());
  const share = fourth.store.stats().records / 1_000;
  expect(share).toBeGreaterThan(0.68);
  expect(share).toBeLessThan(0.82);
  const sum = () => cluster.nodes.reduce((all, { store }) => all + store.stats().records, 0);
  await vi.waitFor(() => expect(sum()).toBe(3_000), settled);
});

test('[D6.4] a node that is lost is replaced from the others: safeToStop says when the next one may go', async () => {
  await fill(500);
  for (let round = 0; round < 3; round++) {
    const victim = cluster.nodes[0] as TestNode;
    await vi.waitFor(
      async () => expect(await safe(victim.id)).toMatchObject({ safe: true }),
      settled,
    );
    await cluster.stop(victim, { wipe: true });
    await write([`during ${round}`], 'v');
    expect(await safe((cluster.nodes[0] as TestNode).id)).toMatchObject({ safe: false });
    const fresh = await cluster.start();
    run(fresh);
    await beginMove(cluster.engine, (nodes) => [
      ...nodes.filter(({ id }) => id !== victim.id),
      fresh.placed,
    ]);
    await arrived(ids());
  }
  await checkAll();
});

test('[D6.5] a move is paused, goes on, and is cancelled: nobody keeps what it was given for it', async () => {
  await fill(500);
  const fourth = await cluster.start();
  await beginMove(cluster.engine, (nodes) => [...nodes, fourth.placed]);
  await expect(beginMove(cluster.engine, (nodes) => nodes)).rejects.toMatchObject({
    code: 'conflict',
  });
  await pauseMove(cluster.engine, true);
  run(fourth);
  await write(['while it is paused'], 'v');
  await vi.waitFor(() => expect(fourth.views.last?.view?.view.also?.paused).toBe(true), settled);
  expect(fourth.store.stats().records).toBeLessThan(2);
  await cancelMove(cluster.engine);
  await expect(pauseMove(cluster.engine, false)).rejects.toMatchObject({ code: 'conflict' });
  await vi.waitFor(() => expect(fourth.store.stats().records).toBe(0), settled);
  await beginMove(cluster.engine, (nodes) => [...nodes, fourth.placed]);
  await arrived(ids());
  await checkAll();
});

test('[D6.3] a move goes on after who gives, who is given and who conducts it were stopped in its midst: nothing is lost, nothing comes back', async () => {
  await fill(1_500);
  let over = false;
  const running = load('a', () => over);
  const fourth = await cluster.start();
  await beginMove(cluster.engine, (nodes) => [...nodes, fourth.placed]);
  // One of them conducts; the fourth is given.
  const stopped = [...cluster.nodes].sort((a, b) => (a.id < b.id ? -1 : 1))[0] as TestNode;
  for (const victim of new Set([stopped, cluster.nodes[1] as TestNode, fourth])) {
    if (victim === fourth) run(fourth);
    await cluster.stop(victim);
    const again = await cluster.start(victim.directory);
    expect(again.id).toBe(victim.id);
    run(again);
    await vi.waitFor(async () => expect(await again.views.known()).toBeDefined(), settled);
  }
  await arrived(ids());
  over = true;
  await running;
  const wrong = failures.filter((told) => !/unavailable|uncertain|confirmed|answers/.test(told));
  expect(wrong).toEqual([]);
  await checkAll();
});

test('[D6.3] control: where new owners say that they are filled and are not, and the old ones delete what they had, the check of these tests finds what is lost', async () => {
  await fill(500);
  await checkAll();
  const [old] = cluster.nodes as [TestNode];
  const fresh = [await cluster.start(), await cluster.start(), await cluster.start()];
  await beginMove(cluster.engine, () => fresh.map(({ placed }) => placed));
  await vi.waitFor(async () => {
    const { also } = (await readView(cluster.engine))?.view ?? {};
    for (const { id } of also?.phase === 'filling' ? fresh : []) {
      const { since } = also as NonNullable<typeof also>;
      const claim = { since, partitions: 0, of: 0, entries: 0, beganAt: 0, done: true };
      await tellMove(cluster.engine, id, claim);
    }
    await advanceMove(cluster.engine, await old.views.known());
    expect(also).toBeUndefined();
  }, settled);
  await expect(checkAll()).rejects.toThrow('there from the beginning');
});

/** Every replica of every partition says the same digest. */
async function agree(placement: Placement): Promise<void> {
  const different: number[] = [];
  for (let one = 0; one < partitionCount; one++) {
    const ids = new Set(placement.of(one).map(({ id }) => id));
    const nodes = cluster.nodes.filter(({ id }) => ids.has(id));
    const digests = await Promise.all(nodes.map((node) => node.store.partitions.digest(one)));
    if (digests.some((digest) => digest?.low !== digests[0]?.low)) different.push(one);
  }
  expect(different).toEqual([]);
}

async function safe(id: string) {
  const [node] = cluster.nodes as [TestNode];
  const known = await node.views.known();
  return await safeToStop(id, known, (other) => node.peerOf(other));
}
