import { expect, test } from 'vitest';
import { FakeClock } from '../../testing/fake-clock.js';
import { HeldClock } from './held-clock.js';

test('[K10] time stands still until the release, and timers set before count from it', () => {
  const real = new FakeClock();
  const clock = new HeldClock(real);
  const start = clock.now();
  const fired: string[] = [];
  clock.after(1_000, () => fired.push('kept'));
  const cancelEarly = clock.after(1_000, () => fired.push('cancelled before'));
  const cancelLate = clock.after(1_000, () => fired.push('cancelled after'));
  real.advance(60_000);
  expect(clock.now()).toBe(start);
  expect(fired).toEqual([]);
  cancelEarly();
  clock.release();
  cancelLate();
  real.advance(999);
  expect(fired).toEqual([]);
  real.advance(1);
  expect(fired).toEqual(['kept']);
  expect(clock.now()).toBe(start + 1_000);
});
