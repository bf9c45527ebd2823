import { expect, test } from 'vitest';
import { retryAfterMs } from './refusals.js';

const now = Date.UTC(2026, 0, 2, 3, 4, 5);

test('Retry-After is seconds or a date, and never before now', () => {
  expect(retryAfterMs('0', now)).toBe(0);
  expect(retryAfterMs(' 120 ', now)).toBe(120_000);
  expect(retryAfterMs('Fri, 02 Jan 2026 03:05:05 GMT', now)).toBe(60_000);
  expect(retryAfterMs('Friday, 02-Jan-26 03:05:05 GMT', now)).toBe(60_000);
  expect(retryAfterMs('Thu, 01 Jan 2026 03:04:05 GMT', now)).toBe(0);
});

test('what is neither asks for nothing', () => {
  for (const header of [
    undefined,
    '',
    '-1',
    '1.5',
    '1e9',
    'soon',
    '2026-01-02',
    'Fri, 99',
    '9'.repeat(20),
  ]) {
    expect(retryAfterMs(header, now), String(header)).toBeUndefined();
  }
  expect(retryAfterMs(['1', '2'], now)).toBeUndefined();
});
