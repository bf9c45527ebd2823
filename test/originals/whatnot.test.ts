import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { WatchEvent } from 'waymark';
import { createMemoryEngine } from 'waymark/engine';
import { FakeClock } from 'waymark/testing';
import { serve } from '../server/served.js';
import { spaceOver } from '../support/spaces.js';
import { withServers } from '../support/two-servers.js';
import { fault, nsOf, pass, waiting } from './fault.js';

/** The faults of whatnot; the table of them is docs/spec/defects.md. */

fault('[whatnot 1] who waits for a lock does not keep its holder from unlocking', async (to) => {
  const { a, b } = to;
  const held = await a.lock('/a');
  const next = b.lock('/a');
  await waiting({ explain: () => a.explain('/a') }, 1);
  expect(await held.release()).toBe(true);
  expect((await next).token).toBeGreaterThan(held.token);
});

fault('[whatnot 2] unlocking what is not locked is harmless, and told', async ({ a, b }) => {
  const held = await a.lock('/a');
  expect([await held.release(), await held.release()]).toEqual([true, false]);
  const next = await b.lock('/a');
  expect(await held.release()).toBe(false);
  expect((await a.explain('/a')).holders).toMatchObject([{ token: next.token }]);
});

test('[whatnot 3] a TTL begins with the lock, not with the wait for it, and a waiter leaves that of the holder alone', async () => {
  const clock = new FakeClock();
  await using engine = createMemoryEngine({ clock });
  await using one = spaceOver(engine, 'one', { clock });
  await using two = spaceOver(engine, 'two', { clock });
  const held = await nsOf(one).lock('/a', { ttlMs: 60_000, renew: false });
  const before = held.remainingMs();
  const next = nsOf(two).lock('/a', { ttlMs: 1_000, renew: false });
  await waiting({ explain: () => nsOf(one).explain('/a') }, 1);
  await pass(clock, 5_250);
  expect(before - held.remainingMs()).toBe(5_250);
  await held.release();
  const lock = await next;
  expect(lock.remainingMs()).toBeGreaterThan(900);
  await pass(clock, 1_000);
  expect(lock.isHeld()).toBe(false);
});

fault('[whatnot 4] a lock that ended with its TTL is free, and everybody is told', async (to) => {
  const { a, b } = to;
  const events = b.watch('/a');
  const held = await a.lock('/a', { ttlMs: 1_000, renew: false });
  expect((await events.next()).value).toMatchObject({ kind: 'lock' });
  const lock = { token: held.token };
  expect((await events.next()).value).toMatchObject({ kind: 'unlock', expired: true, lock });
  expect((await b.explain('/a')).holders).toEqual([]);
  expect(await b.tryLock('/a')).not.toBe(null);
  await events.return?.();
});

test('[whatnot 4] the deadline of a lock that was released early opens nobody else’s', async () => {
  const clock = new FakeClock();
  await using engine = createMemoryEngine({ clock });
  await using one = spaceOver(engine, 'one', { clock });
  await using two = spaceOver(engine, 'two', { clock });
  const early = await nsOf(one).lock('/a', { ttlMs: 1_000, renew: false });
  await early.release();
  const next = await nsOf(two).lock('/a', { ttlMs: 60_000, renew: false });
  await pass(clock, 2_000);
  expect(next.isHeld()).toBe(true);
  expect(await nsOf(one).tryLock('/a')).toBe(null);
});

test('[whatnot 5] nobody unlocks what is another’s, and each lock has its token', async () => {
  await using served = await serve();
  const lock = (ttlMs: number) => served.call('POST', '/v1/ns/n/locks/a', { body: { ttlMs } });
  const unlock = (id: unknown) => served.call('DELETE', `/v1/ns/n/locks/a?id=${String(id)}`);
  const first = (await lock(30_000)).json;
  await unlock(first['id']);
  const second = (await lock(30_000)).json;
  expect(Number(second['token'])).toBeGreaterThan(Number(first['token']));
  expect((await unlock(first['id'])).json).toEqual({ released: false });
  expect((await unlock('another')).json).toEqual({ released: false });
  expect((await lock(30_000)).json).toMatchObject({ code: 'locked', token: second['token'] });
});

fault('[whatnot 6] a lock holds against writes, not only against other locks', async ({ a, b }) => {
  const held = await a.lock('/a');
  const facts = { path: '/a', token: held.token };
  await expect(b.put('/a', 1)).rejects.toMatchObject({ code: 'locked', facts });
  await expect(b.delete('/a')).rejects.toMatchObject({ code: 'locked' });
  await a.put('/a', 2, { hold: held });
  expect((await b.get('/a'))?.value).toBe(2);
});

fault('[whatnot 7] a tree lock covers what is created below it afterwards', async ({ a, b }) => {
  const held = await a.lock('/a', { tree: true });
  await expect(b.put('/a/new/child', 1)).rejects.toMatchObject({ code: 'locked' });
  await a.put('/a/new', 1);
  expect(await b.tryLock('/a/new')).toBe(null);
  await held.release();
  expect(await b.tryLock('/a/new')).not.toBe(null);
});

fault(
  '[whatnot 8] tree locks above and below each other exclude each other and never deadlock',
  async (to) => {
    const { a, spaces } = to;
    const paths = ['/', '/a', '/a/b', '/a/b/c', '/a/d', '/ab'];
    const meet = (one: string, other: string): boolean =>
      one === other || other.startsWith(one === '/' ? '/' : `${one}/`);
    const held = new Set<string>();
    const rounds = paths.map(async (path) => {
      const ns = nsOf(await spaces.another(path));
      for (let round = 0; round < 20; round++) {
        const lock = await ns.lock(path, { tree: true });
        expect([...held].filter((one) => meet(one, path) || meet(path, one))).toEqual([]);
        held.add(path);
        await turn();
        held.delete(path);
        await lock.release();
      }
    });
    await Promise.all(rounds);
    expect((await a.explain('/', { tree: true })).holders).toEqual([]);
  },
);

fault(
  '[whatnot 9] the watch of a path and that of its tree hear a value, with its revision',
  async (to) => {
    const { a, b } = to;
    const [own, tree] = [b.watch('/a'), b.watch('/', { tree: true })];
    const both = Promise.all([own.next(), tree.next()]);
    const { revision } = await a.put('/a', 'one');
    for (const { value } of await both) {
      expect(value).toMatchObject({ kind: 'put', path: '/a', value: 'one', revision });
    }
    const { revision: second } = await a.put('/a', 'two');
    for (const watch of [own, tree]) {
      expect((await watch.next()).value).toMatchObject({ value: 'two', revision: second });
      await watch.return?.();
    }
  },
);

fault(
  '[whatnot 10] making and deleting a child are events, and a deleted one is gone',
  async (to) => {
    const { a, b } = to;
    const watch = b.watch('/a', { tree: true });
    await a.put('/a/child', 1);
    expect((await watch.next()).value).toMatchObject({ kind: 'put', path: '/a/child' });
    expect((await a.delete('/a/child')).deleted).toBe(1);
    expect((await watch.next()).value).toMatchObject({ kind: 'delete', path: '/a/child' });
    expect((await b.children('/a')).entries).toEqual([]);
    expect((await a.delete('/a/child')).deleted).toBe(0);
    await watch.return?.();
  },
);

fault('[whatnot 11] who reads its watch late misses nothing, and is not thrown out', async (to) => {
  const { a, b } = to;
  const watch = b.watch('/a', { tree: true });
  await a.put('/a/0', 0);
  await watch.next();
  const count = 2_000;
  for (let i = 1; i <= count; i++) await a.put(`/a/${i % 7}`, i);
  const values: unknown[] = [];
  for await (const event of watch) {
    if (event.kind === 'put') values.push(event.value);
    if (values.length === count) break;
  }
  expect(values).toEqual(Array.from({ length: count }, (_, i) => i + 1));
});

fault('[whatnot 12] a watch begins at any revision that history reaches', async ({ a, b }) => {
  const { revision } = await a.put('/a', 1);
  await a.put('/a', 2);
  await a.delete('/a');
  const heard: WatchEvent<unknown>[] = [];
  for await (const event of b.watch('/a', { after: revision })) {
    heard.push(event);
    if (event.kind === 'delete') break;
  }
  expect(heard).toMatchObject([
    { kind: 'put', value: 2, revision: revision + 1 },
    { kind: 'delete', revision: revision + 2 },
  ]);
});

fault(
  '[whatnot 13] the root is watched while watches come and go and everybody writes',
  async (to) => {
    const { a, b } = to;
    const root = b.watch('/', { tree: true });
    const passing = async (at: number): Promise<void> => {
      const watch = a.watch(`/k${at}`);
      await Promise.all([watch.next(), a.put(`/k${at}`, at)]);
      await watch.return?.();
    };
    const all = Array.from({ length: 200 }, (_, at) => passing(at));
    const heard = new Set<string>();
    for await (const { path } of root) {
      heard.add(path);
      if (heard.size === all.length) break;
    }
    await Promise.all(all);
  },
);

fault(
  '[whatnot 14] a permit takes the weight that was asked for, also where all is free',
  async (to) => {
    const { a, b } = to;
    await a.semaphore('/pool', { limit: 5 }).acquire({ weight: 4 });
    expect(await b.semaphore('/pool').status()).toMatchObject({ used: 4, limit: 5 });
    expect(await b.semaphore('/pool').tryAcquire({ weight: 2 })).toBe(null);
  },
);

test('[whatnot 15] processes of two servers share keys, locks and watches', async () => {
  await withServers(async (first, second) => {
    await using one = await first.client('one');
    await using two = await second.client('two');
    const watch = nsOf(two).watch('/a');
    await nsOf(one).put('/a', 'shared');
    expect((await watch.next()).value).toMatchObject({ value: 'shared' });
    await nsOf(one).lock('/a');
    expect(await nsOf(two).tryLock('/a')).toBe(null);
    await watch.return?.();
  });
});

fault(
  '[whatnot 16] a namespace that is removed ends its watches and locks, and leaves nothing',
  async (to) => {
    const { a, b, spaces } = to;
    const held = await a.lock('/a');
    await a.put('/a', 1);
    const watch = b.watch('/a', { locks: false });
    await watch.next();
    const lost = new Promise((resolve) => held.signal.addEventListener('abort', resolve));
    const ended = expect(watch.next()).rejects.toMatchObject({ code: 'superseded' });
    await spaces.b.removeNamespace('n');
    await Promise.all([ended, lost]);
    expect(await spaces.a.namespaces()).toEqual([]);
    expect(await b.tryLock('/a')).not.toBe(null);
  },
);
