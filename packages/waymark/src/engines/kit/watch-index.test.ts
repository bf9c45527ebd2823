import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { KeyRange } from '../../core/engine.js';
import { rangeContains } from '../../core/ranges.js';
import type { Cursor } from './cursor.js';
import { Slot } from './slot.js';
import { WatchIndex } from './watch-index.js';

/** The index looks at a cursor's ranges and identity alone. */
const cursorOf = (ranges: KeyRange[]): Cursor => ({ ranges }) as unknown as Cursor;

const key = fc.string({ unit: fc.constantFrom('a', 'b', '/', '0'), minLength: 1, maxLength: 5 });
const range: fc.Arbitrary<KeyRange> = fc.oneof(
  key.map((k) => ({ key: k })),
  key.map((k) => ({ key: `${k}/`, end: `${k}0` })),
  fc.tuple(key, key).map(([a, b]) => (a < b ? { key: a, end: b } : { key: b, end: `${a}z` })),
  key.map((k) => ({ key: k, end: '' })),
);

test('[K8] a key finds each watch whose ranges hold it, once, as watches come and go', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(range, { minLength: 1, maxLength: 3 }), { maxLength: 20 }),
      fc.array(key, { minLength: 1, maxLength: 10 }),
      (watches, keys) => {
        const index = new WatchIndex();
        const cursors = watches.map(cursorOf);
        const slots = keys.map((k) => new Slot(k));
        const agrees = (live: readonly Cursor[]): void => {
          for (const slot of slots) {
            const expected = live.filter((c) => c.ranges.some((r) => rangeContains(r, slot.key)));
            const found = index.watchersOf(slot);
            expect(found.length).toBe(expected.length);
            expect(new Set(found)).toEqual(new Set(expected));
          }
        };
        for (const cursor of cursors) index.add(cursor);
        agrees(cursors);
        for (const cursor of cursors.slice(0, cursors.length >> 1)) index.remove(cursor);
        agrees(cursors.slice(cursors.length >> 1));
      },
    ),
    { numRuns: 500 },
  );
});
