import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openStore } from './open-store.js';
import { packEntries } from './testing.js';

test('[D2.4] tombstones are counted, some at a time, and entries that expire are none', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-overdue-'));
  const store = await openStore(directory);
  try {
    const facts = { stamp: 1, writer: 1, expiresAt: 0, value: null };
    const gone = (from: number) =>
      Array.from({ length: 800 }, (_, i) => ({ ...facts, key: `gone ${from + i}` }));
    for (const from of [0, 800, 1_600]) await store.write('some', packEntries(gone(from)));
    const kept = { ...facts, expiresAt: 4_000_000_000_000, value: 'v' };
    await store.write('some', packEntries([{ ...kept, key: 'kept' }]));
    const counted: number[] = [];
    for (let i = 0; i < 3; i++) {
      store.overdue.countTombstones();
      counted.push(store.figures.tombstones);
    }
    expect(counted).toEqual([0, 0, 2_400]);
    await store.write('some', packEntries([{ ...facts, key: 'one more' }]));
    for (let i = 0; i < 3; i++) store.overdue.countTombstones();
    expect(store.figures.tombstones).toBe(2_401);
  } finally {
    await store[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  }
});
