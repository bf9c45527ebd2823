import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Check, Txn } from '../../core/engine.js';
import { rangesOverlap } from '../../core/ranges.js';
import { type Footprint, footprintOf, Footprints } from './footprint.js';

const key = fc.constantFrom(...'abcdefghijklmnopqrst');
/** The same object comes again and again, as the checks of a namespace do. */
const ranges: Check[] = [
  { key: 'a', end: 'c', target: 'version', is: '=', to: 0 },
  { key: 's', end: '', target: 'version', is: '=', to: 0 },
  { key: 'c', target: 'version', is: '=', to: 0 },
];
const txn: fc.Arbitrary<Txn> = fc.record({
  when: fc.subarray(ranges),
  apply: fc.oneof(
    key.map((one) => [{ type: 'put' as const, key: one, value: 'v' }]),
    fc.tuple(key, key).map(([from, read]) => [
      { type: 'delete' as const, key: from, end: `${from}~` },
      { type: 'read' as const, key: read, end: `${read}~` },
    ]),
  ),
});

const meet = (some: Footprint['reads'], others: Footprint['reads']): boolean =>
  some.some((one) => others.some((other) => rangesOverlap(one, other)));

const conflict = (one: Footprint, other: Footprint): boolean =>
  meet(one.writes, other.writes) || meet(one.writes, other.reads) || meet(one.reads, other.writes);

test('[K1] commits conflict when one writes what the other reads, checks or writes, whatever came and went before', () => {
  const step = fc.record({ txn, goes: fc.integer({ min: 0, max: 2 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const together = new Footprints();
      const there: Footprint[] = [];
      for (const { txn: next, goes } of steps) {
        const footprint = footprintOf(next);
        const expected = there.some((other) => conflict(footprint, other));
        expect(together.conflictsWith(footprint)).toBe(expected);
        together.add(footprint);
        there.push(footprint);
        for (const gone of there.splice(0, goes)) together.remove(gone);
      }
    }),
    { numRuns: 500 },
  );
});
