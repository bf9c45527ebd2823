import { expect, test } from 'vitest';
import type {
  CommitOptions,
  Engine,
  KeyRange,
  Outcome,
  Txn,
  WatchOptions,
} from '../core/engine.js';
import type { Host } from '../core/host.js';
import { limits } from '../core/limits.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { createLocalHost } from '../space/local-host.js';
import { ForwardingEngine } from '../wrap/forward.js';
import * as calls from './semaphore.js';
import type { PermitRequest } from './semaphore-enter.js';

const path = '/pool';
const ns = 'n';

/** Counts what is asked of the engine, and who is woken. */
class Counted extends ForwardingEngine {
  commits = 0;
  reads = 0;
  changes = 0;

  constructor(engine: Engine) {
    super(engine);
  }

  override commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    this.commits++;
    return super.commit(txn, options);
  }

  override read(...args: Parameters<Engine['read']>): ReturnType<Engine['read']> {
    this.reads++;
    return super.read(...args);
  }

  override async *watch(
    ranges: readonly KeyRange[],
    options?: WatchOptions,
  ): ReturnType<Engine['watch']> {
    for await (const batch of super.watch(ranges, options)) {
      this.changes += batch.changes.length;
      yield batch;
    }
  }

  begin(): void {
    this.commits = this.reads = this.changes = 0;
  }
}

async function requestOf(
  host: Host,
  id: string,
  more: Partial<PermitRequest> = {},
): Promise<PermitRequest> {
  const { id: lease } = await host.grant(60_000);
  return { id, path, weight: 1, lease, owner: id, session: id, ...more };
}

const take = (host: Host, request: PermitRequest): Promise<number | null> =>
  host.run(calls.acquire, ns, { limit: undefined, waitMs: undefined, ...request });
const giveBack = (host: Host, { id }: PermitRequest): Promise<boolean> =>
  host.run(calls.release, ns, { id, path });

async function waitersAre(host: Host, waiting: number): Promise<void> {
  const asked = { path, weight: 1, parties: 0 };
  while ((await host.run(calls.explain, ns, asked))?.waiting !== waiting) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function withHost(run: (host: Host, engine: Counted) => Promise<void>): Promise<void> {
  await using engine = new Counted(createMemoryEngine());
  await using host = createLocalHost(engine);
  await run(host, engine);
}

test('[P4] what fits is one commit of one key; the first request of all also reads and stores the limit', async () => {
  await withHost(async (host, engine) => {
    const first = await requestOf(host, 'first', { limit: 3 });
    const second = await requestOf(host, 'second', { limit: 3, weight: 2 });
    engine.begin();
    await take(host, first);
    expect([engine.commits, engine.reads]).toEqual([1, 1]);
    expect((await engine.status()).keys).toBe(2);
    engine.begin();
    await take(host, second);
    expect([engine.commits, engine.reads]).toEqual([1, 0]);
    expect((await engine.status()).keys).toBe(3);
    await giveBack(host, first);
    await giveBack(host, second);
    expect((await engine.status()).keys, 'only the limit stays').toBe(1);
  });
});

test('[P4] a release wakes who fits and nobody else', async () => {
  await withHost(async (host, engine) => {
    const held = await requestOf(host, 'held', { limit: 2 });
    const other = await requestOf(host, 'other');
    await take(host, held);
    await take(host, other);
    const granted: string[] = [];
    for (let number = 0; number < 50; number++) {
      const request = await requestOf(host, `waiter-${number}`);
      take(host, request).then(
        () => granted.push(request.id),
        () => undefined,
      );
      await waitersAre(host, number + 1);
    }
    // The last one's watch may not stand yet when it is seen in the queue.
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    engine.begin();
    await giveBack(host, held);
    while (granted.length === 0) await new Promise((resolve) => setImmediate(resolve));
    for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    expect(granted).toEqual(['waiter-0']);
    // The release, the grant, and the look of who is first in line now.
    expect(engine.commits).toBe(3);
    // The release is seen by the first; the grant by the second, and by who was granted perhaps.
    expect(engine.changes).toBeLessThanOrEqual(3);
  });
});

test('[P4] a request of weight 5 adds up what five releases give back, without a look', async () => {
  await withHost(async (host, engine) => {
    const small = await Promise.all(
      [1, 2, 3, 4, 5].map((number) => requestOf(host, `small-${number}`, { limit: 5 })),
    );
    for (const request of small) await take(host, request);
    const large = take(host, await requestOf(host, 'large', { weight: 5 }));
    await waitersAre(host, 1);
    engine.begin();
    for (const request of small) await giveBack(host, request);
    await large;
    expect(engine.commits, 'five releases and one grant').toBe(6);
  });
});

test('[P10] a request sent twice takes one permit, whether it holds or waits', async () => {
  await withHost(async (host) => {
    const held = await requestOf(host, 'held', { limit: 1 });
    const token = await take(host, held);
    expect(await take(host, held)).toBe(token);
    expect(await take(host, { ...held, waitMs: 0 })).toBe(token);
    const next = await requestOf(host, 'next');
    const both = [take(host, next), take(host, next)];
    await waitersAre(host, 1);
    expect(await giveBack(host, held)).toBe(true);
    expect(await giveBack(host, held)).toBe(false);
    const [one, two] = await Promise.all(both);
    expect(one).toBe(two);
    expect(await take(host, { ...next, waitMs: 0 }), 'also when it had waited').toBe(one);
    const told = await host.run(calls.explain, ns, { path, weight: 1, parties: 10 });
    expect(told).toMatchObject({ used: 1, holding: 1, waiting: 0 });
  });
});

test('[P10] an id that stands under another lease is of another request: it takes no permit by it, and takes nothing away', async () => {
  await withHost(async (host) => {
    const held = await requestOf(host, 'held', { limit: 1 });
    const token = await take(host, held);
    const next = await requestOf(host, 'next');
    const waiting = take(host, next);
    await waitersAre(host, 1);
    const { id: lease } = await host.grant(60_000);
    for (const known of [held, next]) {
      for (const waitMs of [0, 1_000, undefined]) {
        const asked = take(host, { ...known, lease, waitMs });
        await expect(asked).rejects.toMatchObject({ code: 'conflict' });
      }
    }
    await host.revoke(lease);
    expect(await take(host, held)).toBe(token);
    expect(await giveBack(host, held)).toBe(true);
    expect(await waiting).not.toBeNull();
  });
});

test('[P9] a waiter whose lease ended fails with lost, and is never granted', async () => {
  await withHost(async (host) => {
    const held = await requestOf(host, 'held', { limit: 1 });
    await take(host, held);
    for (const before of [0, 1]) {
      const dying = await requestOf(host, `dying-${before}`);
      const waiting = take(host, dying);
      await waitersAre(host, before + 1);
      const behind = take(host, await requestOf(host, `behind-${before}`));
      behind.catch(() => undefined);
      await waitersAre(host, before + 2);
      await host.revoke(dying.lease);
      await expect(waiting).rejects.toMatchObject({ code: 'lost' });
      await expect(take(host, dying), 'its lease is gone').rejects.toMatchObject({ code: 'lost' });
    }
    const told = await host.run(calls.explain, ns, { path, weight: 1, parties: 10 });
    expect(told?.waiters.map(({ owner }) => owner)).toEqual(['behind-0', 'behind-1']);
  });
});

/** Does something else before its next commits. */
class Overtaken extends ForwardingEngine {
  before: (() => Promise<unknown>)[] = [];

  override async commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    await this.before.shift()?.();
    return await super.commit(txn, options);
  }
}

interface Gate {
  readonly opened: Promise<void>;
  readonly open: () => void;
}

function gate(): Gate {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

const nothing = (): Promise<void> => Promise.resolve();

test('[P7] a resize that a grant overtook counts it among those who hold', async () => {
  await using engine = createMemoryEngine();
  await using host = createLocalHost(engine);
  const resizing = new Overtaken(engine);
  await using other = createLocalHost(resizing);
  await take(host, await requestOf(host, 'a', { limit: 3 }));
  const held = await requestOf(host, 'b', { weight: 2 });
  await take(host, held);
  const waiting = take(host, await requestOf(host, 'c', { weight: 2 }));
  await waitersAre(host, 1);
  // Between its look and its commit.
  resizing.before = [nothing, () => giveBack(host, held).then(() => waiting)];
  await other.run(calls.resize, ns, { path, limit: 2 });
  const told = await host.run(calls.explain, ns, { path, weight: 1, parties: 10 });
  expect(told).toMatchObject({ limit: 2, used: 3, holding: 2, waiting: 0 });
});

test('[P7] a grant that a resize overtook is none: it waits on under the new limit', async () => {
  await using engine = createMemoryEngine();
  await using host = createLocalHost(engine);
  const [resizing, granting] = [new Overtaken(engine), new Overtaken(engine)];
  await using resizer = createLocalHost(resizing);
  await using waiter = createLocalHost(granting);
  await take(host, await requestOf(host, 'a', { limit: 3 }));
  const held = await requestOf(host, 'b', { weight: 2 });
  await take(host, held);
  let granted = false;
  const request = await requestOf(host, 'c', { weight: 2 });
  const waiting = take(waiter, request).then(() => (granted = true));
  await waitersAre(host, 1);
  const aboutToGrant = gate();
  const resized = gate();
  const onward = gate();
  granting.before = [() => (aboutToGrant.open(), resized.opened), () => (onward.open(), nothing())];
  resizing.before = [nothing, () => giveBack(host, held).then(() => aboutToGrant.opened)];
  await resizer.run(calls.resize, ns, { path, limit: 2 });
  resized.open();
  // It looks again, which is its next commit; a grant would have been told by then.
  await Promise.race([onward.opened, waiting]);
  expect(granted, 'one of two is in use').toBe(false);
  await host.run(calls.resize, ns, { path, limit: 3 });
  expect(await waiting).toBe(true);
});

test('[P5] a try that does not fit writes nothing', async () => {
  await withHost(async (host, engine) => {
    await take(host, await requestOf(host, 'held', { limit: 2 }));
    const tried = await requestOf(host, 'tried', { weight: 2, waitMs: 0 });
    const { revision } = await engine.status();
    expect(await take(host, tried)).toBeNull();
    expect((await engine.status()).revision).toBe(revision);
  });
});

test('[P5] a try that another overtakes leaves no place behind', async () => {
  await using engine = createMemoryEngine();
  await using host = createLocalHost(engine);
  await take(host, await requestOf(host, 'held', { limit: 2 }));
  const trying = new Overtaken(engine);
  await using other = createLocalHost(trying);
  const faster = await requestOf(host, 'faster');
  // Between its look and its place.
  trying.before = [nothing, () => take(host, faster)];
  expect(await take(other, await requestOf(host, 'tried', { waitMs: 0 }))).toBeNull();
  expect(await host.run(calls.explain, ns, { path, weight: 1, parties: 0 })).toMatchObject({
    holding: 2,
    waiting: 0,
  });
});

test('[P6] a weight above the stored limit is refused at once, however long the queue', async () => {
  await withHost(async (host, engine) => {
    await take(host, await requestOf(host, 'held', { limit: 2 }));
    const waiting = take(host, await requestOf(host, 'waiting', { weight: 2 }));
    waiting.catch(() => undefined);
    await waitersAre(host, 1);
    const { revision } = await engine.status();
    for (const waitMs of [undefined, 0]) {
      const heavy = await requestOf(host, 'heavy', { weight: 3, waitMs });
      await expect(take(host, heavy)).rejects.toMatchObject({
        code: 'invalid',
        facts: { max: 2, actual: 3 },
      });
    }
    expect((await engine.status()).revision, 'nothing was written').toBe(revision);
  });
});

test('[P6] a stale limit of another host is not relied on', async () => {
  await using engine = createMemoryEngine();
  await using one = createLocalHost(engine);
  await using two = createLocalHost(engine);
  await take(one, await requestOf(one, 'a', { limit: 2 }));
  await take(two, await requestOf(two, 'b', { limit: 2 }));
  await two.run(calls.resize, ns, { path, limit: 4 });
  await expect(take(one, await requestOf(one, 'c', { limit: 2 }))).rejects.toMatchObject({
    code: 'limit_mismatch',
    facts: { max: 4, actual: 2 },
  });
  expect(await take(one, await requestOf(one, 'd', { limit: 4 }))).toBeGreaterThan(0);
  expect(await take(one, await requestOf(one, 'e', { waitMs: 0 }))).toBeGreaterThan(0);
  expect(await take(one, await requestOf(one, 'f', { waitMs: 0 }))).toBeNull();
});

test('[P6] a semaphore takes so many holders and waiters together, and no more', async () => {
  await using engine = createMemoryEngine();
  await using host = createLocalHost(engine);
  const { id: lease } = await host.grant(60_000);
  const max = limits.semaphorePlacesMax;
  await take(host, await requestOf(host, 'first', { limit: max, weight: max }));
  for (let from = 1; from < max; from += 100) {
    const apply = Array.from({ length: Math.min(100, max - from) }, (_, i) => ({
      type: 'put' as const,
      key: `n/n/p${path}\0filler-${from + i}`,
      value: '-1 s\no',
      lease,
    }));
    await engine.commit({ apply });
  }
  const more = await requestOf(host, 'more');
  await expect(take(host, more)).rejects.toMatchObject({
    code: 'overloaded',
    facts: { limit: 'semaphorePlacesMax', max },
  });
  expect(await giveBack(host, more), 'it left nothing').toBe(false);
  const told = await host.run(calls.explain, ns, { path, weight: 1, parties: 1_000 });
  expect([told?.waiting, told?.waiters.length]).toEqual([max - 1, 1_000]);
});

test.each([
  ['invalid', { path: 'pool' }],
  ['invalid', { path: '/pool/../x' }],
  ['invalid', { id: 'no spaces' }],
  ['invalid', { session: '' }],
  ['invalid', { weight: 0 }],
  ['invalid', { weight: 10_001 }],
  ['invalid', { limit: 0 }],
  ['invalid', { limit: 2, weight: 3 }],
  ['invalid', { waitMs: -1 }],
  ['too_large', { owner: 'x'.repeat(257) }],
] as const)('[P6] bad input is %s before any work, case %#', async (code, more) => {
  await withHost(async (host, engine) => {
    const request = await requestOf(host, 'one', { limit: 2, ...more });
    engine.begin();
    await expect(take(host, request)).rejects.toMatchObject({ code });
    expect(engine.commits + engine.reads).toBe(0);
  });
});
