import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Seen } from './seen.js';

test('[N6] what a watch has seen is remembered as a map would', () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd');
  const step = fc.record({ key, revision: fc.option(fc.nat()) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const seen = new Seen();
      const model = new Map<string, number>();
      for (const { key: one, revision } of steps) {
        if (revision === null) {
          seen.delete(one);
          model.delete(one);
        } else {
          seen.set(one, revision);
          model.set(one, revision);
        }
        expect([...seen.keys()].sort()).toEqual([...model.keys()].sort());
        for (const known of ['a', 'b', 'c', 'd']) expect(seen.get(known)).toBe(model.get(known));
      }
    }),
    { numRuns: 300 },
  );
});
