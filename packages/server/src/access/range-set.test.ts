import type { KeyRange } from 'waymark/engine';
import { expect, test } from 'vitest';
import { RangeSet } from './range-set.js';

const range = (key: string, end?: string): KeyRange => ({ key, end });

test('what overlaps or touches is one range; a gap is a gap', () => {
  const set = new RangeSet([range('m', 'p'), range('a', 'f'), range('f', 'm'), range('x')]);
  expect(set.covers(range('b', 'o'))).toBe(true);
  expect(set.covers(range('a', 'p'))).toBe(true);
  expect(set.covers(range('a', 'q'))).toBe(false);
  expect(set.covers(range('o', 'y'))).toBe(false);
  expect([set.covers(range('x')), set.covers(range('x\0')), set.covers(range('p'))]).toEqual([
    true,
    false,
    false,
  ]);
});

test('a range is covered to its end, not by its first key', () => {
  const set = new RangeSet([range('a', 'c')]);
  expect([set.covers(range('a')), set.covers(range('a', 'd')), set.covers(range('a', ''))]).toEqual(
    [true, false, false],
  );
});

test('keys that follow each other touch', () => {
  const set = new RangeSet([range('k'), range('k\0'), range('k\0\0', 'l')]);
  expect(set.covers(range('k', 'l'))).toBe(true);
});

test('a range without end takes in all that begins later', () => {
  const set = new RangeSet([range('d', ''), range('e', 'f'), range('a')]);
  expect(set.covers(range('x', ''))).toBe(true);
  expect(set.covers(range('\xff\xff'))).toBe(true);
  expect(set.covers(range('a', ''))).toBe(false);
});

test('an empty range is covered by one that reaches over it, and covers nothing', () => {
  expect(new RangeSet([range('a', 'z')]).covers(range('m', 'c'))).toBe(true);
  expect(new RangeSet([range('a', 'm'), range('m', 'z')]).covers(range('p', 'c'))).toBe(false);
  expect(new RangeSet([range('z', 'a'), range('b', 'b')]).covers(range('m'))).toBe(false);
  expect(new RangeSet([]).covers(range('a'))).toBe(false);
});
