import assert from 'node:assert/strict';
import type { Received } from '../received.js';
import {
  arrived,
  type CaseGround,
  casesOf,
  deliver,
  deliveryOf,
  eventAt,
  failureOf,
  newStream,
} from './ground.js';

/** What comes twice, and who comes late. */

function fencing(run: (ground: CaseGround) => Promise<void>): typeof run {
  return (ground) => (ground.target.fences ? run(ground) : Promise.resolve());
}

async function sequences(ground: CaseGround, count: number): Promise<readonly number[]> {
  const came = await arrived(ground, count);
  return came.map(({ id }) => Number.parseInt(id, 10));
}

export const fenceCases = casesOf({
  '[W3.2] the same delivery again keeps id and sequence, or has no second effect': async (
    ground,
  ) => {
    const stream = newStream();
    const events = [eventAt(1)];
    for (const attempt of [1, 2]) {
      await using endpoint = ground.open();
      await deliver(ground, endpoint, deliveryOf(events, { stream, attempt }));
    }
    const times = ground.target.fences ? 1 : 2;
    const came = await arrived(ground, times);
    assert.equal(came.length, times);
    for (const { id, sequence } of came) {
      assert.deepEqual({ id, sequence }, { id: '1.0', sequence: events[0]?.sequence });
    }
  },

  '[W3.3] a repeat that overlaps what is new applies the new alone': fencing(async (ground) => {
    await using endpoint = ground.open();
    const stream = newStream();
    const batches =
      ground.kind.eventsMax > 2
        ? [
            [1, 2],
            [2, 3],
            [1, 2, 3],
            [3, 4],
          ]
        : [[1], [1], [2]];
    for (const places of batches) {
      const events = places.map((place) => eventAt(place));
      await deliver(ground, endpoint, deliveryOf(events, { stream }));
    }
    const all = [...new Set(batches.flat())];
    assert.deepEqual(await sequences(ground, all.length), all);
  }),

  '[W1.5] a lower fence is superseded and has no effect': fencing(async (ground) => {
    await using early = ground.open();
    await using late = ground.open();
    const stream = newStream();
    await deliver(ground, early, deliveryOf([eventAt(1)], { stream, fence: 7 }));
    await deliver(ground, late, deliveryOf([eventAt(2)], { stream, fence: 9 }));
    for (const place of [2, 3]) {
      const stale = deliveryOf([eventAt(place)], { stream, fence: 7 });
      assert.equal((await failureOf(deliver(ground, early, stale))).verdict, 'superseded');
    }
    await deliver(ground, late, deliveryOf([eventAt(4)], { stream, fence: 9 }));
    assert.deepEqual(await sequences(ground, 3), [1, 2, 4]);
  }),

  '[W2.4] a probe has no place in the stream: it is accepted, and moves nothing': async (
    ground,
  ) => {
    await using endpoint = ground.open();
    const stream = newStream();
    const places = { sequence: '', previous: '', revision: 0, path: '/', value: undefined };
    for (const place of [1, 2]) {
      await deliver(ground, endpoint, deliveryOf([eventAt(place)], { stream }));
      const probe = eventAt(0, { kind: 'test', id: `test.${place}`, ...places });
      await deliver(ground, endpoint, deliveryOf([probe], { stream, id: probe.id }));
    }
    const put = ({ kind }: Received): boolean => kind !== 'test';
    const came = await arrived(ground, 2, put);
    const told = came.filter(put).map(({ id }) => id);
    assert.deepEqual(told, ['1.0', '2.0']);
  },

  '[W1.5] each stream has a fence and a last sequence of its own': fencing(async (ground) => {
    await using endpoint = ground.open();
    await deliver(ground, endpoint, deliveryOf([eventAt(5)], { fence: 9 }));
    await deliver(ground, endpoint, deliveryOf([eventAt(1)], { fence: 2 }));
    assert.deepEqual(await sequences(ground, 2), [5, 1]);
  }),
});
