import { expect, test } from 'vitest';
import type { Host } from '../core/host.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { createLocalHost } from '../space/local-host.js';
import { ForwardingEngine } from '../wrap/forward.js';
import type { CommitOptions, Outcome, Query, Reading, ReadOptions, Txn } from '../core/engine.js';
import { arrive, stepBack } from './barrier.js';
import { BarrierKeys, viewOf } from './barrier-keys.js';

const keys = new BarrierKeys('/start', 'barrier');

async function partyOf(host: Host, id: string, parties: number) {
  const { id: lease } = await host.grant(60_000);
  const who = { id, lease, owner: id, session: id };
  return { ...who, path: '/start', kind: 'barrier', parties, waitMs: undefined } as const;
}

async function waiters(host: Host, count: number): Promise<void> {
  for (;;) {
    const view = viewOf(keys, await host.read('n', keys.all));
    if (view.waiting.length === count) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test.each(['barrier', 'double'] as const)(
  '[B4] an id that stands under another lease is of another party: at a %s who takes it is not counted, and takes nothing away',
  async (kind) => {
    await using engine = createMemoryEngine();
    await using host = createLocalHost(engine);
    const [a, b] = [await partyOf(host, 'a', 2), await partyOf(host, 'b', 2)];
    const { id: lease } = await host.grant(60_000);
    const keysHere = new BarrierKeys('/start', kind);
    const first = host.run(arrive, 'n', { ...a, kind });
    const look = async () => viewOf(keysHere, await host.read('n', keysHere.all));
    await expect.poll(async () => (await look()).waiting).toHaveLength(1);
    for (const waitMs of [1_000, undefined]) {
      const other = host.run(arrive, 'n', { ...a, kind, lease, waitMs });
      await expect(other).rejects.toMatchObject({ code: 'conflict' });
    }
    await host.revoke(lease);
    await host.run(arrive, 'n', { ...b, kind });
    expect((await first).generation).toBe(1);
    if (kind === 'barrier') return;
    const { id: late } = await host.grant(60_000);
    const inside = host.run(arrive, 'n', { ...a, kind, lease: late });
    await expect(inside).rejects.toMatchObject({ code: 'conflict' });
    expect((await look()).inside).toHaveLength(2);
  },
);

test('[B4] a request that is repeated finds its place, and learns that it passed', async () => {
  await using engine = createMemoryEngine();
  await using host = createLocalHost(engine);
  const [a, b] = [await partyOf(host, 'a', 2), await partyOf(host, 'b', 2)];
  const first = host.run(arrive, 'n', a);
  await waiters(host, 1);
  const again = host.run(arrive, 'n', a);
  await waiters(host, 1);
  await host.run(arrive, 'n', b);
  expect((await first).generation).toBe(1);
  expect((await again).generation).toBe(1);
  expect((await host.run(arrive, 'n', b)).generation).toBe(1);
  expect(viewOf(keys, await host.read('n', keys.all)).waiting).toEqual([]);
});

test('[B9] who comes wakes nobody but, as the last, those who wait', async () => {
  let reads = 0;
  await using engine = createMemoryEngine();
  class Counting extends ForwardingEngine {
    override read(query: Query, options?: ReadOptions): Promise<Reading> {
      reads++;
      return super.read(query, options);
    }
  }
  await using host = createLocalHost(new Counting(engine));
  await using looking = createLocalHost(engine);
  const parties = 30;
  const waiting: Promise<unknown>[] = [];
  for (let i = 0; i < parties - 1; i++) {
    waiting.push(host.run(arrive, 'n', await partyOf(host, `p${i}`, parties)));
    await waiters(looking, i + 1);
  }
  await quiet();
  // Each looked before it came and after it, and never again.
  expect(reads).toBe(2 * (parties - 1));
  await host.run(arrive, 'n', await partyOf(host, 'last', parties));
  await Promise.all(waiting);
  // Those who waited are told by the watch itself.
  expect(reads).toBe(2 * parties);
});

/** Once everything that was woken has run. */
async function quiet(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
}

test('[B1] a place that goes between the look and the commit is not counted', async () => {
  await using engine = createMemoryEngine();
  await using looking = createLocalHost(engine);
  let taken = false;
  class Racing extends ForwardingEngine {
    override async commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
      const passes = (txn.when?.length ?? 0) > 2;
      if (passes && !taken) {
        taken = true;
        const place = { id: 'a', path: '/start', kind: 'barrier' } as const;
        await looking.run(stepBack, 'n', place);
      }
      return await super.commit(txn, options);
    }
  }
  await using host = createLocalHost(new Racing(engine));
  const first = host.run(arrive, 'n', await partyOf(host, 'a', 2));
  const refused = expect(first).rejects.toMatchObject({ code: 'lost' });
  await waiters(looking, 1);
  const second = host.run(arrive, 'n', await partyOf(host, 'b', 2));
  await refused;
  await waiters(looking, 1);
  expect(viewOf(keys, await looking.read('n', keys.all)).state?.generation).toBe(0);
  await looking.run(arrive, 'n', await partyOf(looking, 'c', 2));
  expect((await second).generation).toBe(1);
  expect(taken).toBe(true);
});

test('[B4] who stops waiting just when it passes is told that it passed', async () => {
  await using engine = createMemoryEngine();
  await using looking = createLocalHost(engine);
  const other = await partyOf(looking, 'b', 2);
  let late = false;
  class Racing extends ForwardingEngine {
    override async read(query: Query, options?: ReadOptions): Promise<Reading> {
      if (late) await looking.run(arrive, 'n', other);
      late = false;
      return await super.read(query, options);
    }
  }
  await using host = createLocalHost(new Racing(engine));
  const ended = new AbortController();
  const waiting = host.run(arrive, 'n', await partyOf(host, 'a', 2), { signal: ended.signal });
  await waiters(looking, 1);
  await quiet();
  late = true;
  ended.abort(new Error('enough'));
  expect((await waiting).generation).toBe(1);
});
