import { expect, test } from 'vitest';
import { type SharedEndpoint, shareOut } from '../../packages/server/src/watchers/sharing.js';

const kinds = ['http', 'redis'];
const processors = (count: number) =>
  Array.from({ length: count }, (_, n) => ({ id: `processor-${n}`, kinds }));
const endpoints = (count: number, of: Partial<SharedEndpoint> = {}): SharedEndpoint[] =>
  Array.from({ length: count }, (_, n) => ({
    id: `endpoint-${n}`,
    kind: kinds[n % 2] ?? '',
    pattern: `p${n % 5}`,
    ...of,
  }));

function loads(owners: Map<string, string>): number[] {
  const counts = new Map<string, number>();
  for (const owner of owners.values()) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return [...counts.values()];
}

test('[W1.7] by endpoint: even, and a processor that comes takes its part and moves no other', () => {
  const all = endpoints(10_000);
  const before = shareOut(all, processors(4), { by: 'endpoint' });
  for (const load of loads(before)) expect(Math.abs(load - 2_500)).toBeLessThan(250);
  const after = shareOut(all, processors(5), { by: 'endpoint' });
  let moved = 0;
  for (const { id } of all) {
    if (before.get(id) === after.get(id)) continue;
    moved += 1;
    expect(after.get(id)).toBe('processor-4');
  }
  expect(Math.abs(moved - 2_000)).toBeLessThan(250);
});

test('[W1.7] by kind: all of one kind together', () => {
  const owners = shareOut(endpoints(1_000), processors(9), { by: 'kind' });
  expect(new Set(owners.values()).size).toBeLessThanOrEqual(2);
  for (const kind of kinds) {
    const own = endpoints(1_000).filter((one) => one.kind === kind);
    expect(new Set(own.map(({ id }) => owners.get(id))).size).toBe(1);
  }
});

test('[W1.7] fixed: no more processors work than there are shares', () => {
  const owners = shareOut(endpoints(1_000, { kind: 'http' }), processors(20), {
    by: 'fixed',
    shares: 3,
  });
  expect(owners.size).toBe(1_000);
  expect(new Set(owners.values()).size).toBeLessThanOrEqual(3);
});

test('[W1.7] by pattern: those of one pattern stay together up to so many, beyond it the pattern is narrowed', () => {
  const few = endpoints(40, { pattern: 'one', kind: 'http' });
  const together = shareOut(few.slice(0, 10), processors(20), { by: 'pattern' });
  expect(new Set(together.values()).size).toBe(1);
  const apart = shareOut(few, processors(20), { by: 'pattern', perPattern: 10 });
  expect(new Set(apart.values()).size).toBeGreaterThan(2);
  const narrow = shareOut(few, processors(200), { by: 'pattern', perPattern: 1 });
  expect(new Set(narrow.values()).size).toBeGreaterThan(25);
});

test('[W1.7] a kind that a processor does not know goes to another, or to none', () => {
  const some = [
    { id: 'a', kinds: ['http'] },
    { id: 'b', kinds: ['redis'] },
  ];
  const owners = shareOut(endpoints(100), some, { by: 'endpoint' });
  for (const { id, kind } of endpoints(100)) {
    expect(owners.get(id)).toBe(kind === 'http' ? 'a' : 'b');
  }
  expect(shareOut(endpoints(1, { kind: 'xmpp' }), some, { by: 'endpoint' }).size).toBe(0);
});
