import { expect, test } from 'vitest';
import type { Host } from '../core/host.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { createLocalHost } from '../space/local-host.js';
import { ForwardingEngine } from '../wrap/forward.js';
import type { Query, Reading, ReadOptions } from '../core/engine.js';
import { arrive } from './barrier.js';
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
