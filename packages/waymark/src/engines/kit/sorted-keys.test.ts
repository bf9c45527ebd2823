import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Slot } from './slot.js';
import { SortedKeys } from './sorted-keys.js';

const slotOf = (key: string): Slot => new Slot(key);

function keysIn(sorted: SortedKeys, key: string, end: string): string[] {
  const keys: string[] = [];
  sorted.visit({ key, end }, (slot) => keys.push(slot.key) > 0);
  return keys;
}

test('[K5] keys stay in byte order through any inserts and removals', () => {
  const key = fc.string({ unit: fc.constantFrom('a', 'b', '/', '\u0000', 'ÿ'), maxLength: 6 });
  const step = fc.record({ insert: fc.boolean(), key });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), key, key, (steps, a, b) => {
      const sorted = new SortedKeys();
      const model = new Set<string>();
      for (const { insert, key: one } of steps) {
        if (insert && !model.has(one)) sorted.insert(slotOf(one));
        if (!insert) sorted.remove(one);
        if (insert) model.add(one);
        else model.delete(one);
      }
      const [low, high] = a < b ? [a, b] : [b, a];
      const expected = [...model].sort((x, y) => (x < y ? -1 : 1));
      expect(keysIn(sorted, '', '')).toEqual(expected);
      if (low === high) return;
      expect(keysIn(sorted, low, high)).toEqual(expected.filter((k) => k >= low && k < high));
    }),
    { numRuns: 300 },
  );
});

test('[K5] leaves split and merge: ten thousand keys ascending, descending and shuffled', () => {
  const keys = Array.from({ length: 10_000 }, (_, i) =>
    String((i * 7_919) % 10_000).padStart(5, '0'),
  );
  const ascending = [...keys].sort();
  for (const order of [keys, ascending, [...ascending].reverse()]) {
    const sorted = new SortedKeys();
    for (const key of order) sorted.insert(slotOf(key));
    expect(keysIn(sorted, '', '')).toEqual(ascending);
    for (const key of keys.slice(0, 9_000)) sorted.remove(key);
    expect(keysIn(sorted, '', '')).toEqual(keys.slice(9_000).sort());
  }
});
