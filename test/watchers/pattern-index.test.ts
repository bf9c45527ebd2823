import { expect, test } from 'vitest';
import { patternMatches } from '../../packages/server/src/watchers/glob.js';
import { LiteralTree } from '../../packages/server/src/watchers/literal-tree.js';
import { PatternIndex } from '../../packages/server/src/watchers/pattern-index.js';
import { chooseSeed, SeededRandom, sized } from '../faults/random.js';
import { someText, somePattern, textNear } from './generated-patterns.js';

const random = new SeededRandom(chooseSeed('test/watchers/pattern-index.test.ts'));

test('[W2.3] the index finds what a plain loop finds, while patterns come and go', () => {
  let found = 0;
  for (let round = 0; round < sized(60, 2_000); round++) {
    const index = new PatternIndex<number>();
    const registered: [pattern: string, value: number][] = [];
    const pool = Array.from({ length: 40 }, () => somePattern(random));
    for (let step = 0; step < 150; step++) {
      const at = registered.findIndex(() => random.below(registered.length) === 0);
      if (random.below(3) === 0 && at >= 0) {
        const [[pattern, value]] = registered.splice(at, 1) as [[string, number]];
        index.remove(pattern, value);
        index.remove(pattern, value);
      } else {
        const [pattern, value] = [random.pick(pool), random.below(4)];
        if (!registered.some(([p, v]) => p === pattern && v === value))
          registered.push([pattern, value]);
        index.add(pattern, value);
      }
      expect(index.size).toBe(registered.length);
      const path =
        random.below(4) === 0 ? someText(random, 6) : textNear(random.pick(pool), random);
      const expected = registered.filter(([pattern]) => patternMatches(pattern)(path));
      found += expected.length;
      const values = expected.map(([, value]) => value);
      expect(index.match(path).toSorted(), path).toEqual(values.toSorted());
    }
    for (const [pattern, value] of registered) index.remove(pattern, value);
    expect(index.size).toBe(0);
  }
  console.log(`${found} found`);
  expect(found).toBeGreaterThan(1_000);
});

test('[W2.3] nothing stays of literals that were taken out', () => {
  for (const backwards of [false, true]) {
    const tree = new LiteralTree<number>({ backwards });
    const literals = Array.from({ length: 500 }, () => someText(random, 8));
    for (const [n, literal] of literals.entries()) tree.set(literal, n);
    for (const literal of literals) expect(tree.get(literal)).toBe(literals.lastIndexOf(literal));
    for (const literal of literals) tree.delete(literal);
    expect(tree.empty).toBe(true);
  }
});

/** Matching a path against so many that do not match. */
const many = 10_000;
const shapes: Readonly<Record<string, (n: number) => string>> = {
  'distinct beginnings': (n) => `/tenants/${n * 7_919}/orders/*`,
  'distinct beginnings of every length': (n) => `/${'x'.repeat(n % 500)}${n}*`,
  'distinct endings': (n) => `*/${n * 7_919}-state`,
  'one beginning, distinct endings': (n) => `/tenants/*/${n * 7_919}-state`,
  'no star': (n) => `/tenants/1234567/orders/x7919-state/${n}`,
};

test.each(Object.entries(shapes))(
  '[W2.3] 10 000 patterns, %s: a path costs little',
  (name, shape) => {
    const index = new PatternIndex<number>();
    for (let n = 1; n <= many; n++) index.add(shape(n), n);
    const path = '/tenants/1234567/orders/x7919-state';
    const rounds = 20_000;
    const tries = Array.from({ length: 5 }, () => {
      const before = process.cpuUsage();
      for (let round = 0; round < rounds; round++) expect0(index.match(path).length);
      const { user, system } = process.cpuUsage(before);
      return (user + system) / rounds;
    });
    const micros = Math.min(...tries);
    console.log(`${name}: ${micros.toFixed(2)} µs of CPU a path`);
    expect(micros).toBeLessThan(10);
    expect(index.match(shape(1).replaceAll('*', 'any'))).toContain(1);
  },
);

/** Not vitest's: it would cost more than what is measured. */
function expect0(length: number): void {
  if (length !== 0) throw new Error(`found ${length}`);
}
