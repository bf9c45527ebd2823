import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from 'waymark/engine';
import { hintsMax } from './hints.js';
import { openStore } from './open-store.js';

test('[D5.5] a node has 100 000 marks at most, also of those that come at once', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-stash-'));
  const store = await openStore(directory, { clock: systemClock });
  onTestFinished(async () => {
    await store[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });
  const { hints } = store;
  const part = (n: number): Buffer[] =>
    Array.from({ length: 10_000 }, (_, i) => Buffer.from(`\0\0i\0k${n}-${i}`, 'latin1'));
  const taken = await Promise.all(Array.from({ length: 15 }, (_, n) => hints.add('n', part(n))));
  expect(taken.filter((one) => one)).toHaveLength(10);
  expect(hints.count).toBe(hintsMax);
  await hints.remove('n', part(0));
  expect(await hints.add('n', part(20)), 'there is room again').toBe(true);
});
