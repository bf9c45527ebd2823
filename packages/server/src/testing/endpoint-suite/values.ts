import assert from 'node:assert/strict';
import type { DeliveredEvent } from '../../endpoints/endpoint.js';
import {
  arrived,
  type CaseGround,
  casesOf,
  deliver,
  deliveryOf,
  eventAt,
  newStream,
  sameEvent,
} from './ground.js';

/** What an event says arrives as it was said. */

const awkward = 'a\r\nx-forged: "1"\'; DROP TABLE x; -- \\ % %0d%0a {path} ${path} \t é 漢 😀';

async function arrives(ground: CaseGround, ...events: readonly DeliveredEvent[]): Promise<void> {
  await using endpoint = ground.open();
  const stream = newStream();
  for (const [at, event] of events.entries()) {
    const delivery = deliveryOf([event], { stream });
    await deliver(ground, endpoint, delivery);
    sameEvent((await arrived(ground, at + 1))[at], delivery);
  }
  assert.equal((await ground.place.received()).length, events.length);
}

function values(...told: readonly (Uint8Array | undefined)[]): DeliveredEvent[] {
  return told.map((value, at) => eventAt(at + 1, { value }));
}

export const valueCases = casesOf({
  '[W2.4] delivers an event byte for byte: JSON': (ground) =>
    arrives(ground, ...values(Buffer.from('{"state":"queued","n":[1,null]}'), Buffer.from('0'))),

  '[W2.4] delivers an event byte for byte: text': (ground) =>
    arrives(ground, ...values(Buffer.from('plain'), Buffer.from(awkward), Buffer.from('\u{feff}'))),

  '[W2.4] delivers an event byte for byte: bytes that are no text': (ground) =>
    arrives(ground, ...values(Uint8Array.from({ length: 256 }, (_, at) => at))),

  '[W2.4] delivers an empty value, which is not no value': (ground) =>
    arrives(ground, ...values(new Uint8Array())),

  '[W2.4] delivers a large value': (ground) => {
    const length = Math.min(200 * 1_024, ground.kind.bytesMax);
    const bytes = Uint8Array.from({ length }, (_, at) => (at * 31) % 251);
    return arrives(ground, ...values(bytes, Buffer.from('x'.repeat(length))));
  },

  '[W2.4] delivers what paths and names hold as data, whatever it looks like': (ground) =>
    arrives(
      ground,
      eventAt(1, { path: `/${awkward.replaceAll('/', '')}` }),
      eventAt(2, { path: '/日本/ø', namespace: 'über "x"' }),
      eventAt(3, { path: `/${'n'.repeat(1_000)}` }),
    ),

  '[W2.3] names all watchers of an event': (ground) =>
    arrives(ground, eventAt(1, { watchers: ['ab'.repeat(32), 'cd'.repeat(32)] })),

  '[W2.4] delivers puts, deletions, ends of leases, and resyncs': (ground) =>
    arrives(
      ground,
      eventAt(1),
      eventAt(2, { kind: 'delete', value: undefined }),
      eventAt(3, { kind: 'expire', value: undefined }),
      eventAt(4, { kind: 'resync', path: '/', value: Buffer.from('{"from":1,"at":4}') }),
      eventAt(5, { state: true }),
      eventAt(6, { replay: true }),
    ),

  '[W2.2] delivers a batch in order': async (ground) => {
    await using endpoint = ground.open();
    const count = Math.min(20, ground.kind.eventsMax);
    const stream = newStream();
    for (const begin of [1, count + 1]) {
      const events = Array.from({ length: count }, (_, at) => eventAt(begin + at));
      const delivery = deliveryOf(events, { stream });
      await deliver(ground, endpoint, delivery);
      const came = await arrived(ground, begin + count - 1);
      assert.equal(came.length, begin + count - 1);
      for (const at of events.keys()) sameEvent(came[begin - 1 + at], delivery, at);
    }
  },
});
