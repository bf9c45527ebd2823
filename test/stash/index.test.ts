import { expect, test } from 'vitest';
import { codecs } from 'waymark';
import { StashBed } from './support/bed.js';
import { stashSuite } from './support/index-suite.js';

for (const nodes of [1, 2, 3, 5]) {
  stashSuite({
    test,
    name: `${nodes} nodes`,
    async open() {
      const bed = await StashBed.open({ nodes });
      return { space: bed.space(), close: () => bed[Symbol.asyncDispose]() };
    },
  });
}

test('[D2.4] an entry goes after its time to live: that of the put, or of the index', async () => {
  await using bed = await StashBed.open({ nodes: 3 });
  const index = bed.space().stash.index<number>('cache', { ttlMs: 5_000 });
  await index.put('a', 1);
  await index.put('b', 2, { ttlMs: 1_000 });
  bed.clock.advance(999);
  expect(await index.getMany(['a', 'b'])).toEqual([1, 2]);
  bed.clock.advance(1);
  expect(await index.getMany(['a', 'b'])).toEqual([1, undefined]);
  bed.clock.advance(4_000);
  expect(await index.has('a')).toBe(false);
  const keys: unknown[] = [];
  for await (const key of index.keys()) keys.push(key);
  expect(keys).toEqual([]);
});

test('[D3.5] a batch has a bounded part under way, and asks its source for no more', async () => {
  await using bed = await StashBed.open({ nodes: 1 });
  const index = bed.space().stash.index<number>('bounded');
  await index.put('k', 1);
  const [node] = bed.nodes;
  if (node === undefined) throw new Error('no node');
  node.held = true;
  let drawn = 0;
  const endless = (function* () {
    for (;;) yield [drawn++, 1] as const;
  })();
  const done = index.putMany(endless, { deadlineMs: 60_000 });
  done.catch(() => undefined);
  while (node.calls.write < 17) await new Promise(setImmediate);
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  // One more, to know that more follows.
  expect(drawn).toBe(16_001);
  expect(node.calls.write).toBe(17);
  node.down = true;
  node.goOn();
  await expect(done).rejects.toMatchObject({ code: 'unavailable' });
});

test('[D3.5] of a read of large values no more is there than some answers, and each value comes in its place', async () => {
  await using bed = await StashBed.open({ nodes: 1 });
  const index = bed.space().stash.index<Uint8Array>('large', { codec: codecs.bytes });
  const sizes = [900_000, 10, 300_000, 0, 100_000];
  for (const [n, size] of sizes.entries()) await index.put(`k${n}`, new Uint8Array(size).fill(n));
  const keys = Array.from({ length: 3_000 }, (_, i) => `k${(i * 7) % 6}`);
  const [node] = bed.nodes;
  if (node === undefined) throw new Error('no node');
  let [before, most, place] = [node.calls.read, 0, 0];
  for await (const [key, value] of index.getEach(keys)) {
    expect(key).toBe(keys[place++]);
    expect(value?.length).toBe(sizes[Number(key.slice(1))]);
    most = Math.max(most, node.calls.read - before);
    before = node.calls.read;
  }
  expect(place).toBe(3_000);
  // Of three parts each the first, and of one eight more.
  expect(most).toBeLessThan(12);
});

test('[D7.4] a codec that fails is told as such', async () => {
  await using bed = await StashBed.open({ nodes: 1 });
  const { stash } = bed.space();
  await stash.index('text', { codec: codecs.text }).put('k', 'no JSON');
  const read = stash.index('text', { codec: codecs.json }).get('k');
  await expect(read).rejects.toMatchObject({ code: 'invalid' });
});
