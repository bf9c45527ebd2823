import { expect, test } from 'vitest';
import { FakeClock } from 'waymark/testing';
import { Rates } from './rates.js';

test('[limits] a client calls 2 000 times at once, and then 1 000 times a second; another is not concerned', async () => {
  const clock = new FakeClock();
  const rates = new Rates(clock, { perSecond: 1_000 });
  const calls = (identity: string, count: number): number =>
    Array.from({ length: count }, () => rates.spend(identity)).filter((why) => why === null).length;
  expect(calls('a', 2_000)).toBe(2_000);
  expect(rates.spend('a')).toMatchObject({
    code: 'overloaded',
    facts: { limit: 'rate.perSecond', max: 1_000, retryAfterMs: 1 },
  });
  expect(calls('b', 2_001)).toBe(2_000);
  clock.advance(100);
  expect(calls('a', 200)).toBe(100);
  clock.advance(3_600_000);
  expect(calls('a', 3_000)).toBe(2_000);
  expect(rates.refused).toBe(2 + 100 + 1_000);
});

test('[limits] a rate is whole and at least 1', () => {
  for (const wrong of [{ perSecond: 0 }, { perSecond: 1.5 }, { perSecond: 1, burst: 0 }]) {
    expect(() => new Rates(new FakeClock(), wrong)).toThrow(
      expect.objectContaining({ code: 'invalid' }),
    );
  }
});

test('[limits] so many clients that each is new are bounded: the first is forgotten', () => {
  const rates = new Rates(new FakeClock(), { perSecond: 1, burst: 1 });
  expect(rates.spend('first')).toBeNull();
  expect(rates.spend('first')).not.toBeNull();
  for (let n = 0; n < 65_536; n++) rates.spend(`other ${n}`);
  expect(rates.spend('first')).toBeNull();
});
