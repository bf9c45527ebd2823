import { expect, test } from 'vitest';
import type { LeaseId } from '../../core/engine.js';
import { compareLeaseIds, toLeaseId } from '../../core/lease-id.js';
import { LeaseRows } from './lease-rows.js';

/** Small numbers, large ones, such as differ in their upper bits alone, below zero, and beyond what a number can say. */
const idOf: readonly ((n: number) => LeaseId)[] = [
  (n: number) => 1 + n,
  (n: number) => Number.MAX_SAFE_INTEGER - n,
  (n: number) => (1 + n) * 2 ** 32,
  (n: number) => (1 + n) * 4_096,
  (n: number) => -1 - n,
  (n: number) => toLeaseId(2n ** 63n - 1n - BigInt(n)),
  (n: number) => toLeaseId(-(2n ** 53n) - BigInt(n)),
];

test('[K10] each lease is found by its id, as others come and go', () => {
  const rows = new LeaseRows();
  const known = new Map<LeaseId, number>();
  let seed = 7;
  const below = (bound: number): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * bound);
  };
  for (let step = 0; step < 60_000; step++) {
    const n = below(400);
    const id = (idOf[below(idOf.length)] as (n: number) => LeaseId)(n);
    const row = rows.find(id);
    expect(row >= 0).toBe(known.has(id));
    if (row < 0) {
      rows.add(id, n, step);
      known.set(id, step);
      continue;
    }
    expect([rows.idOf(row), rows.ttlMs[row], rows.deadlines[row]]).toEqual([id, n, known.get(id)]);
    rows.remove(row);
    rows.free(row);
    known.delete(id);
    expect(rows.find(id)).toBe(-1);
  }
  expect(known.size).toBeGreaterThan(400);
  expect(rows.size).toBe(known.size);
  const live = Array.from(rows.live(), (row) => rows.idOf(row));
  expect(live.toSorted(compareLeaseIds)).toEqual([...known.keys()].toSorted(compareLeaseIds));
});

test('[K10] a row that a list still has is not given to another lease', () => {
  const rows = new LeaseRows();
  const first = rows.add(1, 1_000, 0);
  rows.remove(first);
  const others = Array.from({ length: 200 }, (_, n) => rows.add(2 + n, 1_000, 0));
  expect(others).not.toContain(first);
  rows.free(first);
  expect(rows.add(1_000, 1_000, 0)).toBe(first);
});

test('[K10] the room of many leases is given back with the last of them', () => {
  const rows = new LeaseRows();
  for (let id = 1; id <= 1_000; id++) rows.add(id, 1_000, 0);
  expect(rows.isLarge).toBe(true);
  for (let id = 1; id <= 1_000; id++) rows.remove(rows.find(id));
  rows.clear();
  expect(rows.isLarge).toBe(false);
  expect(rows.find(7)).toBe(-1);
  const row = rows.add(7, 2_000, 5);
  expect([rows.find(7), rows.ttlMs[row], rows.size]).toEqual([row, 2_000, 1]);
});
