import type { RetrySchedule } from 'waymark/engine';
import { expect, test } from 'vitest';
import { waitAfter } from '../../packages/server/src/watchers/retries.js';

const hourMs = 3_600_000;
const even = (): number => 0.5;

function waits(schedule: RetrySchedule, most = 100): number[] {
  const all: number[] = [];
  for (let attempts = 1; attempts <= most; attempts++) {
    const wait = waitAfter(schedule, attempts, even);
    if (wait === null) return all;
    all.push(wait);
  }
  return all;
}

const sum = (all: readonly number[]): number => all.reduce((a, b) => a + b, 0);

test('[W4.1] default: 3 tries over 4 hours', () => {
  expect(waits('default')).toEqual([hourMs, 3 * hourMs]);
});

test('[W4.1] standard: 10 tries over 3 days, each wait longer', () => {
  const all = waits('standard');
  expect(all).toHaveLength(9);
  expect(Math.abs(sum(all) - 72 * hourMs)).toBeLessThan(hourMs);
  expect(all).toEqual(all.toSorted((a, b) => a - b));
});

test('[W4.1] forever: up to an hour apart, without end', () => {
  const all = waits('forever', 50);
  expect(all).toHaveLength(50);
  expect(all[0]).toBe(1_000);
  expect(Math.max(...all)).toBe(hourMs);
});

test('[W4.1] each wait varies by a fifth', () => {
  expect(waitAfter([1_000], 1, () => 0)).toBe(800);
  expect(waitAfter([1_000], 1, () => 1)).toBe(1_200);
});

test('[W4.3] what the endpoint asks for is obeyed, up to an hour', () => {
  expect(waitAfter([1_000], 1, even, 5_000)).toBe(5_000);
  expect(waitAfter([1_000], 1, even, 10)).toBe(1_000);
  expect(waitAfter([1_000], 1, even, 9 * hourMs)).toBe(hourMs);
  expect(waitAfter([1_000], 2, even, 9 * hourMs)).toBeNull();
});
