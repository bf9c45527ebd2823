import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nowhere, Slab } from './slab.js';

interface Item {
  readonly name: number;
  place: number;
}

test('what was added and not removed is in it, each at its own place', () => {
  // 1: one more comes; below: the one so far along goes.
  const steps = fc.array(fc.oneof(fc.constant(1), fc.double({ max: 0.999, min: 0, noNaN: true })), {
    maxLength: 300,
  });
  fc.assert(
    fc.property(steps, (all) => {
      const slab = new Slab<Item>();
      const model: Item[] = [];
      for (const [name, step] of all.entries()) {
        if (step === 1) {
          const item = { name, place: nowhere };
          item.place = slab.add(item);
          model.push(item);
        } else {
          const [item] = model.splice(Math.floor(step * model.length), 1);
          if (item === undefined) continue;
          item.place = slab.remove(item.place);
          expect(slab.remove(item.place)).toBe(nowhere);
        }
      }
      const found: Item[] = [];
      slab.forEach((item, place) => {
        expect(place).toBe(item.place);
        found.push(item);
      });
      expect(new Set(found)).toEqual(new Set(model));
      expect([slab.size, found.length]).toEqual([model.length, model.length]);
    }),
  );
});

test('all may go while they are visited, and many leave no room behind', () => {
  const slab = new Slab<Item>();
  const fill = (): void => {
    for (let name = 0; name < 2_000; name++) {
      const item = { name, place: nowhere };
      item.place = slab.add(item);
    }
  };
  fill();
  let visited = 0;
  slab.forEach((item) => {
    visited++;
    item.place = slab.remove(item.place);
  });
  expect([visited, slab.size]).toEqual([2_000, 0]);
  fill();
  expect(slab.size).toBe(2_000);
  slab.forEach((item, place) => expect(place).toBe(item.name));
});
