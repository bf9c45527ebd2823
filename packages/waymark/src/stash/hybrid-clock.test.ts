import { expect, test } from 'vitest';
import { FakeClock } from '../testing/fake-clock.js';
import { HybridClock, skewMsMax, stampsPerMs } from './hybrid-clock.js';

test('[D2.1] stamps are wall time where that goes on, and count where it does not', () => {
  const clock = new FakeClock();
  const stamps = new HybridClock(clock);
  const now = clock.wallNow() * stampsPerMs;
  expect(stamps.next()).toBe(now);
  expect(stamps.next(10)).toBe(now + 1);
  expect(stamps.next()).toBe(now + 11);
  clock.advance(1);
  expect(stamps.next()).toBe(now + stampsPerMs);
  expect(Number.isSafeInteger(stamps.next())).toBe(true);
});

test('[D2.2] a stamp is higher than every one that was seen, also when the clock is set back', () => {
  let wall = 1_700_000_000_000.7;
  const clock = Object.assign(new FakeClock(), { wallNow: () => wall });
  const stamps = new HybridClock(clock);
  const first = stamps.next();
  wall -= 3_600_000;
  expect(stamps.next()).toBe(first + 1);
  stamps.saw(first + 1_000_000);
  expect(stamps.next()).toBe(first + 1_000_001);
  stamps.saw(first);
  expect(stamps.next()).toBe(first + 1_000_002);
});

test('[D2.3] a stamp 500 ms ahead is taken, one further ahead refused, telling both clocks', () => {
  const clock = new FakeClock();
  const stamps = new HybridClock(clock);
  const limit = (clock.wallNow() + skewMsMax) * stampsPerMs;
  stamps.admit(limit + stampsPerMs - 1);
  expect(stamps.next()).toBe(limit + stampsPerMs);
  const refused = expect.objectContaining({
    code: 'invalid',
    message: expect.stringMatching(/501 ms ahead.*\d{4}-.* there, \d{4}-.* here/) as unknown,
  }) as unknown;
  expect(() => stamps.admit(limit + stampsPerMs)).toThrow(refused as Error);
  expect(stamps.high, 'what is admitted does not drag the bound along').toBe(limit + stampsPerMs);
});

test('[D2.3] what is kept over a restart is gone on from, whatever the clock says then; what is refused is counted', () => {
  let wall = 1_700_000_000_000;
  const clock = Object.assign(new FakeClock(), { wallNow: () => wall });
  const stamps = new HybridClock(clock);
  for (let i = 0; i < 10_000; i++) {
    if (i % 10 === 0) wall++;
    stamps.next();
  }
  const kept = stamps.high;
  wall -= 3_600_000;
  const again = new HybridClock(clock, kept);
  expect(again.next()).toBeGreaterThan(kept);
  again.admit(kept + skewMsMax * stampsPerMs);
  expect(again.refused).toBe(0);
  expect(() => again.admit(kept + (skewMsMax + 1) * stampsPerMs)).toThrow(/501 ms ahead/);
  expect(again.refused).toBe(1);
});

test('[D2.3] stamps that were refused as too far ahead are given back once: the next go on from the wall, and the highest is kept', () => {
  let wall = 1_700_000_000_000;
  const clock = Object.assign(new FakeClock(), { wallNow: () => wall });
  const stamps = new HybridClock(clock);
  wall += 3_600_000;
  const [first, second] = [stamps.next(), stamps.next(10)];
  wall -= 3_600_000;
  expect(stamps.next()).toBeGreaterThan(second);
  expect(stamps.giveBack(first)).toBe(true);
  const again = stamps.next();
  expect(again).toBe(wall * stampsPerMs);
  expect(stamps.giveBack(second), 'a second refusal of the same time').toBe(false);
  expect(stamps.next()).toBe(again + 1);
  expect(stamps.high).toBeGreaterThan(second);
});
