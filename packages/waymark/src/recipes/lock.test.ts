import { expect, test } from 'vitest';
import type { AcquireRequest, Host } from '../core/host.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { createLocalHost } from '../space/local-host.js';

async function withHost(run: (host: Host) => Promise<void>): Promise<void> {
  await using engine = createMemoryEngine();
  await using host = createLocalHost(engine);
  await run(host);
}

async function requestOf(
  host: Host,
  id: string,
  more: Partial<AcquireRequest> = {},
): Promise<AcquireRequest> {
  const { id: lease } = await host.grant(60_000);
  const path = '/jobs/7';
  return { id, path, tree: false, mode: 'exclusive', lease, owner: id, session: id, ...more };
}

test.each(['exclusive', 'shared'] as const)(
  '[L6] a %s request sent twice has one hold and one token',
  async (mode) => {
    await withHost(async (host) => {
      const request = await requestOf(host, 'twice', { mode });
      const first = await host.acquire('n', request);
      await host.commit('n', { apply: [{ type: 'put', key: 'd/other', value: '' }] });
      expect(await host.acquire('n', request)).toEqual(first);
      expect(await host.release('n', request)).toBe(true);
      expect(await host.release('n', request)).toBe(false);
    });
  },
);

test.each(['exclusive', 'shared'] as const)(
  '[L6] an id that stands under another lease is of another request: a %s one is no hold of it, and takes nothing away',
  async (mode) => {
    await withHost(async (host) => {
      const first = await requestOf(host, 'same', { mode });
      const { id: lease } = await host.grant(60_000);
      const second = { ...first, lease, session: 'second' };
      const token = await host.acquire('n', first);
      for (const waitMs of [0, 1_000, undefined]) {
        const asked = host.acquire('n', { ...second, waitMs });
        await expect(asked).rejects.toMatchObject({ code: 'conflict' });
      }
      expect(await host.acquire('n', first)).toBe(token);
      await host.release('n', first);
      // The same of one that waits.
      const holder = await requestOf(host, 'holder');
      await host.acquire('n', holder);
      const waiting = host.acquire('n', first);
      const asked = { path: first.path, tree: false, mode: 'exclusive' } as const;
      await expect.poll(async () => (await host.explain('n', asked)).waiters).toHaveLength(1);
      await expect(host.acquire('n', second)).rejects.toMatchObject({ code: 'conflict' });
      expect(await host.acquire('n', { ...second, waitMs: 0 })).toBeNull();
      await host.revoke(lease);
      await host.release('n', holder);
      expect(await waiting).toBeGreaterThan(token as number);
      expect(await host.release('n', first)).toBe(true);
    });
  },
);

test('[L1] a lock that is free costs its holder one key, and leaves none', async () => {
  await using engine = createMemoryEngine();
  await using host = createLocalHost(engine);
  const request = await requestOf(host, 'free');
  await host.acquire('n', request);
  expect((await engine.status()).keys).toBe(1);
  await host.release('n', request);
  expect((await engine.status()).keys).toBe(0);
});

test('[L2] a shared tree request is granted beside shared holds below, and waits for exclusive ones', async () => {
  await withHost(async (host) => {
    const below = await requestOf(host, 'below', { mode: 'shared' });
    const other = await requestOf(host, 'other', { path: '/jobs/8' });
    const tree = await requestOf(host, 'tree', { path: '/jobs', tree: true, mode: 'shared' });
    await host.acquire('n', below);
    expect(await host.acquire('n', tree)).not.toBeNull();
    await host.release('n', tree);
    await host.acquire('n', other);
    const waiting = host.acquire('n', { ...tree, id: 'tree-2' });
    const asked = { path: '/jobs', tree: true, mode: 'shared' } as const;
    expect((await host.explain('n', asked)).holders.map(({ owner }) => owner)).toEqual(['other']);
    await host.release('n', other);
    expect(await waiting).not.toBeNull();
  });
});

test.each([
  ['exclusive', '/jobs/8', '/jobs/7'],
  ['shared', '/jobs/8', '/jobs/7'],
  ['shared', '/jobs/8/parts', '/jobs/8'],
] as const)(
  '[L1] a free %s lock on %s is had at once, also without waiting, while somebody waits for %s',
  async (mode, path, busy) => {
    await using engine = createMemoryEngine();
    await using host = createLocalHost(engine);
    const holder = await requestOf(host, 'holder', { path: busy });
    await host.acquire('n', holder);
    const waiting = host.acquire('n', await requestOf(host, 'next', { path: busy }));
    // Another server's host, which has not yet seen that somebody waits, and is asked twice.
    for (const waitMs of [0, undefined]) {
      await using fresh = createLocalHost(engine);
      for (const id of [`first-${waitMs}`, `second-${waitMs}`]) {
        const request = await requestOf(fresh, id, { path, mode, waitMs });
        expect(await fresh.acquire('n', request)).toBeGreaterThan(0);
        await fresh.release('n', request);
      }
    }
    const refused = await requestOf(host, 'refused', { path: busy, mode, waitMs: 0 });
    expect(await host.acquire('n', refused)).toBeNull();
    await host.release('n', holder);
    expect(await waiting).toBeGreaterThan(0);
  },
);

test('[L1] who waits is served before who comes after the release', async () => {
  await withHost(async (host) => {
    const holder = await requestOf(host, 'holder');
    await host.acquire('n', holder);
    const order: string[] = [];
    const waiting = await Promise.all(
      ['first', 'second', 'third'].map(async (id) => await requestOf(host, id)),
    );
    const served = waiting.map(async (request) => {
      await host.acquire('n', request);
      order.push(request.id);
      await host.release('n', request);
    });
    const late = await requestOf(host, 'late');
    const released = host.release('n', holder);
    const last = host.acquire('n', late).then(() => order.push('late'));
    await Promise.all([released, last, ...served]);
    expect(order).toEqual(['first', 'second', 'third', 'late']);
  });
});

test.each(['jobs/7', '', '/jobs/', '/jobs/../7', 'd/jobs'])(
  '[N1] a request for %j, no path in its canonical form, is refused before any work',
  async (path) => {
    await withHost(async (host) => {
      const request = await requestOf(host, 'one', { path });
      const refused = expect.objectContaining({ code: 'invalid' });
      await expect(host.acquire('n', request)).rejects.toEqual(refused);
      await expect(host.release('n', request)).rejects.toEqual(refused);
      expect((await host.status()).keys).toBe(0);
    });
  },
);
