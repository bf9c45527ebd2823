import fc from 'fast-check';
import { expect, test } from 'vitest';
import { placeOf } from './facets.js';

/** As in space/layout.ts of waymark. */
const facets = [
  ...['d', 'h', 'x', 's', 'p', 'pl', 'k', 'b', 'och', 'ocx', 'or', 'eh', 'ex', 'g', 'glh', 'glx'],
  ...['osh', 'osx', 'ot', 'l', 'c', 'm', 'w'],
];
const rests = ['', '/', '/a', '/a\0t', '\0', '\0x', '0', '/\xff'];

test('[A4.2] a range that is taken for one of a facet holds no key of another', () => {
  const facet = fc.constantFrom(...facets);
  const rest = fc.constantFrom(...rests);
  const ends = fc.oneof(rest, fc.constantFrom('z', 'lx/', 'a', '1', ':', 'l', 'h/'));
  let judged = 0;
  fc.assert(
    fc.property(facet, rest, fc.option(facet), ends, (from, behind, to, end) => {
      const range = { key: from + behind, end: (to ?? from) + end };
      const place = placeOf(range);
      if (place === null) return;
      judged++;
      for (const other of facets) {
        for (const tail of ['', '/', '/a', '/z\0x', '\0x']) {
          const key = other + tail;
          if (key < range.key || key >= range.end) continue;
          expect({ range, key, facet: other }).toEqual({ range, key, facet: place.facet });
        }
      }
    }),
    { numRuns: 5_000 },
  );
  expect(judged).toBeGreaterThan(100);
});

test('[A4.2] members of all groups are one range, and no more', () => {
  expect(placeOf({ key: 'g/', end: 'g0' })?.facet).toBe('g');
  expect(placeOf({ key: 'g\0', end: 'g0' })?.facet).toBe('g');
  expect(placeOf({ key: 'g/', end: 'gz' })).toBeNull();
  expect(placeOf({ key: 'd', end: 'dz' })?.facet).toBe('d');
  expect(placeOf({ key: 'd/a', end: 'e' })?.range).toEqual({ key: '/a', end: '' });
});
