import fc from 'fast-check';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeClock } from 'waymark/testing';
import {
  bitsOf,
  type Entry,
  entriesOf,
  findingsOf,
  packEntries as pack,
  packKeys,
  partitionOf,
} from './testing.js';
import { openStore, type StoreOptions } from './open-store.js';
import type { StashStore } from './store.js';

let directory: string;
let store: StashStore;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waymark-store-'));
  store = await openStore(directory);
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

async function reopen(options?: StoreOptions): Promise<void> {
  await store[Symbol.asyncDispose]();
  store = await openStore(directory, options);
}

const put = (key: string, stamp: number, value: string | null = 'v', more: Partial<Entry> = {}) =>
  store.write('some', pack([{ key, stamp, writer: 1, expiresAt: 0, value, ...more }]));
const get = (...keys: string[]) => findingsOf(store.read('some', packKeys(keys), false));

describe('versions', () => {
  test('[D2.1] the newest version stays, in whatever order they come, and what was newer is told', async () => {
    expect(await put('a', 2_000, 'new')).toBe(0);
    expect(await put('a', 1_000, 'old', { writer: 2 })).toBe(2_000);
    expect(get('a')).toEqual([{ stamp: 2_000, writer: 1, expiresAt: 0, value: 'new' }]);
    expect(await put('a', 2_000, 'same stamp', { writer: 2 })).toBe(0);
    expect(await put('a', 2_000, 'lower writer', { writer: 0 })).toBe(2_000);
    expect(get('a')).toMatchObject([{ writer: 2, value: 'same stamp' }]);
  });

  test('[D2.2] what its own writer wrote later is no news to a write', async () => {
    await put('a', 2_000, 'later part of a batch');
    expect(await put('a', 1_000, 'earlier part')).toBe(0);
    expect(get('a')).toMatchObject([{ value: 'later part of a batch' }]);
  });

  test('[D2.1] writes that are not on the disk yet are compared with each other', async () => {
    const writes = [3, 1, 4, 1, 5, 2].map((n) => put('a', n * 1_000, `v${n}`, { writer: n }));
    const answers = await Promise.all(writes);
    expect(answers).toEqual([0, 3_000, 0, 4_000, 0, 5_000]);
    expect(get('a')).toMatchObject([{ stamp: 5_000, value: 'v5' }]);
  });

  test('[D4.3] the same version once more is answered when the first is on the disk', async () => {
    let flushes = 0;
    await reopen({ flushed: () => flushes++ });
    const before = flushes;
    const seen: number[] = [];
    const first = put('a', 1_000).then(() => seen.push(flushes));
    const second = put('a', 1_000).then(() => seen.push(flushes));
    await Promise.all([first, second]);
    expect(seen).toEqual([before + 1, before + 1]);
  });

  test('[D2.3] the highest stamp is on the disk with what brought it', async () => {
    await put('a', 5_000_000);
    await put('b', 4_000_000);
    expect(store.stamps.high).toBe(5_000_000);
    await reopen();
    expect(store.stamps.high).toBe(5_000_000);
  });

  test('[D2.3] a stamp that is too far ahead is refused, and nothing is written; after the clock was set back the highest one holds', async () => {
    const clock = new FakeClock();
    await reopen({ clock });
    const now = clock.wallNow() * 1_024;
    await expect(put('a', now + 501 * 1_024)).rejects.toMatchObject({ code: 'invalid' });
    expect(get('a')).toEqual([null]);
    expect(await put('a', now + 500 * 1_024)).toBe(0);
    clock.stepWall(-3_600_000);
    await reopen({ clock });
    expect(await put('a', now + 500 * 1_024 + 1, 'next')).toBe(0);
    await expect(put('a', now + 1_001 * 1_024)).rejects.toMatchObject({ code: 'invalid' });
  });

  test('[D2.4] a delete is a version: an older write does not come through it', async () => {
    await put('a', 2_000, null);
    expect(await put('a', 1_000, 'old', { writer: 2 })).toBe(2_000);
    expect(get('a', 'b')).toEqual([{ stamp: 2_000, writer: 1, expiresAt: 0, value: null }, null]);
  });
});

describe('time to live', () => {
  test('[D4.5] an entry is not served from the moment on that its time is over, and deleted in passing', async () => {
    const clock = new FakeClock();
    await reopen({ clock });
    const stamp = clock.wallNow() * 1_024;
    await put('a', stamp, 'short', { expiresAt: clock.wallNow() + 5_000 });
    await put('b', stamp, 'long', { expiresAt: clock.wallNow() + 50_000 });
    clock.advance(4_999);
    expect(get('a', 'b')).toMatchObject([{ value: 'short' }, { value: 'long' }]);
    clock.advance(1);
    expect(get('a', 'b')).toMatchObject([{ stamp, value: null }, { value: 'long' }]);
    await store.overdue.reap();
    expect(store.figures.reaped).toBe(1);
    expect(get('a', 'b')).toMatchObject([{ stamp, value: null }, { value: 'long' }]);
    const [record] = store.partitions.page(partitionOf('some', 'a'), null).entries;
    expect(record?.value.length).toBe(17);
  });

  test('[D2.4] a tombstone goes when it may, and not before', async () => {
    const clock = new FakeClock();
    await reopen({ clock });
    await put('a', clock.wallNow() * 1_024, null);
    await put('b', clock.wallNow() * 1_024, null);
    clock.advance(899_000);
    expect(await store.overdue.tombstones(10)).toEqual(new Map());
    await put('b', clock.wallNow() * 1_024, 'again');
    clock.advance(2_000);
    const due = await store.overdue.tombstones(10);
    expect([...due.keys()]).toEqual([partitionOf('some', 'a')]);
    for (const [partition, upTo] of due) {
      await expect(store.partitions.purge(partition, upTo)).rejects.toMatchObject({
        code: 'conflict',
      });
      await store.partitions.seal(partition, upTo);
      await store.partitions.purge(partition, upTo);
    }
    expect(get('a', 'b')).toMatchObject([null, { value: 'again' }]);
  });

  test('[D4.5] an entry written again with more time, or for good, outlives its first end', async () => {
    const clock = new FakeClock();
    await reopen({ clock });
    const now = clock.wallNow();
    await put('a', now * 1_024, '1', { expiresAt: now + 1_000 });
    await put('a', now * 1_024 + 1, '2');
    clock.advance(2_000);
    await store.overdue.reap();
    expect(get('a')).toMatchObject([{ value: '2' }]);
  });
});

describe('ranges', () => {
  test('where data is larger than memory it is looked for on another thread first, and found all the same', async () => {
    expect(store.cold).toBe(false);
    await reopen({ memoryBytes: 1 });
    const entries = Array.from({ length: 1_000 }, (_, i) => `key ${i}`.padEnd(1 + (i % 200), 'x'));
    await store.warm('some', packKeys(entries), false);
    await store.write(
      'some',
      pack(entries.map((key) => ({ key, stamp: 1, writer: 1, expiresAt: 0, value: key }))),
    );
    await reopen({ memoryBytes: 1 });
    expect(store.cold).toBe(true);
    const warming = [1, 2, 3, 4].map(() => store.warm('some', packKeys(entries), false));
    expect(get(...entries).map((found) => (found as Entry).value)).toEqual(entries);
    await Promise.all(warming);
    // It waits for the threads that look at the data.
    const late = store.warm('some', packKeys(entries), false);
    await reopen({ memoryBytes: 2 ** 40 });
    await late;
    expect(store.cold).toBe(false);
  });

  test('[D3.6] a partition is read in the order of its keys, by prefix and page by page', async () => {
    const keys = Array.from({ length: 300 }, (_, i) => `key/${String(i).padStart(3, '0')}`);
    await store.write('some', pack(keys.map((key) => entry(key))));
    await store.write('other', pack(keys.map((key) => entry(key))));
    const found: string[] = [];
    for (let partition = 0; partition < 4_096; partition++) {
      for (let after = ''; ;) {
        const page = await scan(partition, 'key/1', after, 2);
        found.push(...page.keys);
        after = page.keys.at(-1) ?? '';
        if (!page.more) break;
      }
    }
    expect(found.sort()).toEqual(keys.filter((key) => key.startsWith('key/1')));
  });

  test('[D3.5] a page ends at its limit, in whichever partition that is, and goes on from there', async () => {
    const keys = Array.from({ length: 1_000 }, (_, i) => `key/${i}`);
    await store.write('some', pack(keys.map((key) => entry(key))));
    const found: string[] = [];
    let from = 0;
    let after: string | undefined;
    for (let pages = 0; ; pages++) {
      const partitions = bitsOf(Array.from({ length: 4_096 - from }, (_, i) => from + i));
      const asked = { partitions, prefix: '', after, limit: 64, versionsOnly: true };
      const { entries, more } = await store.scan('some', asked);
      const page = entriesOf(entries);
      expect(page.every(({ found: one }) => typeof one === 'object' && one?.value === '')).toBe(
        true,
      );
      found.push(...page.map(({ key }) => key));
      if (!more) {
        expect(pages).toBe(Math.floor(1_000 / 64));
        break;
      }
      expect(page).toHaveLength(64);
      after = found.at(-1) ?? '';
      from = partitionOf('some', after);
    }
    expect(found.toSorted()).toEqual(keys.toSorted());
  });

  test('[D3.5] an answer has about 1 MiB, and at least one finding', async () => {
    const big = 'v'.repeat(400_000);
    await store.write(
      'some',
      pack([entry('a', big), entry('b', big), entry('c', big), entry('d', big)]),
    );
    expect(get('a', 'b', 'c', 'd')).toHaveLength(3);
    expect(get('d', 'a', 'b')).toHaveLength(3);
    const partitions = bitsOf(Array.from({ length: 4_096 }, (_, i) => i));
    const asked = { partitions, prefix: '', limit: 1_000, versionsOnly: false };
    const { entries, more } = await store.scan('some', asked);
    expect([entriesOf(entries).length, more]).toEqual([3, true]);
  });

  test('[D3.6] keys of any bytes are found at both ends of a range', async () => {
    const keys = ['\x00', '\x00\x00', '\xff', '\xff\xff', 'a\x00', 'a', '\xff\x00a'];
    await store.write('some', pack(keys.map((key) => entry(key))));
    for (const key of keys) {
      const partition = partitionOf('some', key);
      expect((await scan(partition, key, '', 10)).keys).toContain(key);
      expect((await scan(partition, '', key, 10)).keys).not.toContain(key);
    }
  });

  test('indexes are told apart, and listed while they have an entry that can be read', async () => {
    await store.write('one', pack([entry('a')]));
    await store.write('one two', pack([entry('a', 'else')]));
    await store.write('gone', pack([entry('a'), { ...entry('b'), value: null }]));
    await store.write('gone', pack([{ ...entry('a'), stamp: 9_999, value: null }]));
    expect(await store.indexes()).toEqual(['one', 'one two']);
    expect(findingsOf(store.read('one two', packKeys(['a']), false))).toMatchObject([
      { value: 'else' },
    ]);
  });

  test('a partition is deleted whole, and nothing beside it', async () => {
    const keys = Array.from({ length: 9_000 }, (_, i) => `key/${i}`);
    for (let i = 0; i < 9; i++) {
      await store.write(
        'some',
        pack(keys.slice(i * 1_000, (i + 1) * 1_000).map((key) => entry(key))),
      );
    }
    const partition = partitionOf('some', 'key/5');
    const inside = keys.filter((key) => partitionOf('some', key) === partition);
    await store.partitions.remove(partition);
    expect(get(...inside).filter((found) => found !== null)).toEqual([]);
    expect(store.stats().records).toBe(keys.length - inside.length);
    expect(await store.partitions.digest(partition)).toEqual({ high: 0, low: 0 });
  });
});

describe('limits', () => {
  const refused = async (part: readonly Entry[], index = 'some') =>
    await store.write(index, pack(part)).then(
      () => null,
      (error: unknown) => error,
    );

  test.each([
    ['stashKeyBytesMax', [entry('k'.repeat(1_025))], 'some'],
    ['valueBytesMax', [entry('k', 'v'.repeat(1_048_577))], 'some'],
    ['partKeysMax', Array.from({ length: 1_001 }, (_, i) => entry(`${i}`)), 'some'],
    ['stashIndexBytesMax', [entry('k')], 'i'.repeat(129)],
  ] as const)(
    '[D3.5] %s: one more is too_large, and nothing is written',
    async (limit, part, index) => {
      expect(await refused(part, index)).toMatchObject({ code: 'too_large', facts: { limit } });
      expect(store.stats().records).toBe(0);
    },
  );

  test('[D3.5] at the limits all is written', async () => {
    const part = [entry('k'.repeat(1_024), 'v'.repeat(1_048_576))];
    expect(await refused(part, 'i'.repeat(128))).toBeNull();
    const [found] = findingsOf(store.read('i'.repeat(128), packKeys(['k'.repeat(1_024)]), false));
    expect(found).toMatchObject({ value: 'v'.repeat(1_048_576) });
  });

  test.each([
    ['an empty key', [entry('')], 'some'],
    ['a version without a stamp', [{ ...entry('a'), stamp: 0 }], 'some'],
    ['an index without a name', [entry('a')], ''],
    ['an index with a zero byte', [entry('a')], 'a\0b'],
  ] as const)('%s is invalid', async (_, part, index) => {
    expect(await refused(part, index)).toMatchObject({ code: 'invalid' });
  });
});

test('[D4.1] one process has a directory, whose id outlives it', async () => {
  const { id } = store;
  await expect(openStore(directory)).rejects.toMatchObject({ code: 'taken' });
  await expect(openStore(directory)).rejects.toThrow(`process ${process.pid}`);
  await reopen();
  expect(store.id).toBe(id);
  await store[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
  store = await openStore(directory);
  expect(store.id).not.toBe(id);
});

test('after an unclean end a digest is worked out anew, whatever is written meanwhile', async () => {
  const keys = Array.from({ length: 4_000 }, (_, i) => `key/${i}`);
  for (let i = 0; i < 4; i++) {
    await store.write(
      'some',
      pack(keys.slice(i * 1_000, (i + 1) * 1_000).map((key) => entry(key))),
    );
  }
  const copy = `${directory}-copy`;
  await cp(directory, copy, { recursive: true });
  const unclean = await openStore(copy);
  try {
    const partition = partitionOf('some', 'key/7');
    const inside = keys.filter((key) => partitionOf('some', key) === partition);
    expect(await unclean.partitions.digest(partition)).toEqual(
      await store.partitions.digest(partition),
    );
    const others = [...new Set(keys.map((key) => partitionOf('some', key)))].slice(0, 50);
    const changed = keys.map((key) => ({ ...entry(key, 'w'), stamp: 2_000 })).slice(0, 1_000);
    const writes = [unclean.write('some', pack(changed)), store.write('some', pack(changed))];
    const during = await Promise.all(others.map((one) => unclean.partitions.digest(one)));
    expect(during).not.toContainEqual({ high: 0, low: 0 });
    await Promise.all(writes);
    for (const one of others)
      expect(await unclean.partitions.digest(one)).toEqual(await store.partitions.digest(one));
    expect(inside.length).toBeGreaterThan(0);
  } finally {
    await unclean[Symbol.asyncDispose]();
    await rm(copy, { recursive: true });
  }
});

test('[D2.1] random writes, deletes and reopenings: what a map of newest versions has, and the same digests', async () => {
  const hit = new Set<string>();
  const writes = fc.array(
    fc.record({
      key: fc.integer({ min: 0, max: 40 }).map((n) => `k${n}`),
      stamp: fc.integer({ min: 1, max: 30 }),
      writer: fc.integer({ min: 0, max: 2 }),
      value: fc.option(fc.string({ maxLength: 3 }), { nil: null }),
    }),
    { maxLength: 12 },
  );
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ part: writes, waits: fc.boolean() }) },
    { weight: 1, arbitrary: fc.constant('reopen' as const) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      await store[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
      store = await openStore(directory);
      const model = new Map<string, Entry>();
      let waiting: Promise<unknown>[] = [];
      for (const next of steps) {
        if (typeof next === 'string') {
          hit.add(next);
          await Promise.all(waiting);
          waiting = [];
          await reopen();
          continue;
        }
        const part = next.part.map((one) => ({ ...one, expiresAt: 0 }));
        let newest = 0;
        for (const one of part) {
          const before = model.get(one.key);
          const older = before !== undefined && isOlder(one, before);
          if (older) newest = Math.max(newest, before.writer === one.writer ? 0 : before.stamp);
          else if (before === undefined || isOlder(before, one)) model.set(one.key, one);
        }
        const write = store.write('some', pack(part));
        waiting.push(write.then((told) => expect(told).toBe(newest)));
        hit.add(next.waits ? 'waits' : 'goes on');
        if (next.waits) {
          await Promise.all(waiting);
          waiting = [];
        }
      }
      await Promise.all(waiting);
      const keys = Array.from({ length: 41 }, (_, n) => `k${n}`);
      expect(get(...keys)).toEqual(
        keys.map((key) => {
          const { key: _, ...version } = model.get(key) ?? { key };
          return model.has(key) ? version : null;
        }),
      );
      const other = await openStore(`${directory}-other`);
      try {
        const [first, ...rest] = [...model.values()].reverse();
        if (first !== undefined) await other.write('some', pack([first, ...rest]));
        for (const key of keys) {
          const partition = partitionOf('some', key);
          expect(await store.partitions.digest(partition)).toEqual(
            await other.partitions.digest(partition),
          );
        }
      } finally {
        await other[Symbol.asyncDispose]();
        await rm(`${directory}-other`, { recursive: true });
      }
    }),
    { numRuns: 30 },
  );
  expect([...hit].sort()).toEqual(['goes on', 'reopen', 'waits']);
}, 120_000);

function isOlder(a: Entry, b: Entry): boolean {
  return a.stamp < b.stamp || (a.stamp === b.stamp && a.writer < b.writer);
}

function entry(key: string, value = 'v'): Entry {
  return { key, stamp: 1_000, writer: 1, expiresAt: 0, value };
}

async function scan(partition: number, prefix: string, after: string, limit: number) {
  const asked = { partitions: bitsOf([partition]), prefix, limit, versionsOnly: false };
  const range = after === '' ? asked : { ...asked, after };
  const { entries, more } = await store.scan('some', range);
  return { keys: entriesOf(entries).map(({ key }) => key), more };
}
