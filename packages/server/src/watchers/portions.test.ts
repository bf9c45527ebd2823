import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytesOf, type LaneEvent } from './lane.js';
import { portionsOf } from './telling.js';

const limits = { events: 5, bytes: 2_000 };
const sizes = fc.array(fc.array(fc.integer({ min: 0, max: 900 }), { minLength: 1, maxLength: 9 }));

test('[W2.2] portions are whole revisions in order, as many as fit; one that does not fit alone is numbered parts', () => {
  const rule = fc.property(sizes, (revisions) => {
    const events = revisions.map((values, at) =>
      values.map((length, index): LaneEvent => {
        const position = { revision: at + 1, index };
        const value = 'v'.repeat(length);
        return { position, kind: 'put', namespace: '', path: '/', value, watchers: [] };
      }),
    );
    const portions = [...portionsOf(events, limits)];
    expect(portions.flatMap((portion) => portion.events)).toEqual(events.flat());
    for (const [at, { events: told, part }] of portions.entries()) {
      expect(fits(told)).toBe(true);
      const next = portions[at + 1];
      if (part !== undefined) {
        const whole = events[(told[0]?.position.revision ?? 0) - 1] ?? [];
        expect([part.of > 1, fits(whole)]).toEqual([true, false]);
        const more = part.index < part.of;
        if (more) expect(fits([...told, ...(next?.events.slice(0, 1) ?? [])])).toBe(false);
      } else if (next !== undefined && next.part === undefined) {
        const revision = next.events[0]?.position.revision;
        const first = next.events.filter(({ position }) => position.revision === revision);
        expect(fits([...told, ...first])).toBe(false);
      }
    }
  });
  fc.assert(rule);
});

function fits(events: readonly LaneEvent[]): boolean {
  return events.length <= limits.events && (events.length === 1 || bytesOf(events) <= limits.bytes);
}
