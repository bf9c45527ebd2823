import { expect, test } from 'vitest';
import type { Spread } from './model.js';
import { quantileMs } from './spread.js';

const of = (counts: readonly number[]): Spread => ({
  count: counts.reduce((sum, one) => sum + one, 0),
  boundsMs: [1, 10, 100],
  counts,
});
const none = of([0, 0, 0, 0]);

test('[spread] a quantile lies within the bucket it falls into, by what came between two looks alone', () => {
  const now = of([100, 100, 0, 0]);
  expect(quantileMs({ before: none, now }, 0.5)).toBe(1);
  expect(quantileMs({ before: none, now }, 0.75)).toBe(5.5);
  expect(quantileMs({ before: of([100, 0, 0, 0]), now }, 0.5)).toBe(5.5);
});

test('[spread] nothing came: there is none; beyond the last bound: at least that', () => {
  expect(quantileMs({ before: none, now: none }, 0.5)).toBeNull();
  expect(quantileMs({ before: none, now: of([0, 0, 0, 3]) }, 0.5)).toBe(100);
});
