import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type RequestListener,
} from 'node:http';
import { once } from 'node:events';
import {
  type Delivery,
  type DeliveredEvent,
  deliveryOf,
  type Endpoint,
  type EndpointSettings,
  eventAt,
  failureOf,
  newStream,
  plainDialer,
  sequenceAt,
  SharedConnections,
} from '../../testing/index.js';
import fastify from 'fastify';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  createReceiver,
  memoryStore,
  type ReceivedEvent,
  type ReceiverOptions,
  type StreamGap,
} from 'waymark/receiver';
import { httpKind } from './http-endpoint.js';
import { requestsOf } from './requests.js';
import { signerOf } from './signer.js';

/** The receiver kit, told by the driver that it is made for. */

const secrets = ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'];
const signer = signerOf(secrets);

function receiver(more: Partial<ReceiverOptions> = {}) {
  const events: ReceivedEvent[] = [];
  const gaps: StreamGap[] = [];
  const onEvent = (event: ReceivedEvent) => void events.push(event);
  const kit = createReceiver({ secrets, onEvent, onGap: (gap) => void gaps.push(gap), ...more });
  const take = async (delivery: Delivery): Promise<{ status: number; headers: object }> => {
    for (const { headers, body } of requestsOf(delivery, 'structured', signer)) {
      return await kit.take(headers, body);
    }
    throw new Error('no request');
  };
  const ids = () => events.map(({ id }) => Number.parseInt(id, 10));
  return { ...kit, events, gaps, ids, takeDelivery: take };
}

interface Served extends AsyncDisposable {
  readonly uri: string;
}

async function served(listener: RequestListener): Promise<Served> {
  const server = createServer(listener);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as { readonly port: number };
  return {
    uri: `http://127.0.0.1:${port}/hook`,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function servedByFastify(kit: ReturnType<typeof receiver>): Promise<Served> {
  const app = fastify();
  await app.register(kit.fastify, { path: '/hook' });
  const origin = await app.listen({ host: '127.0.0.1', port: 0 });
  return { uri: `${origin}/hook`, [Symbol.asyncDispose]: () => app.close() };
}

function openAt(uri: string, more: Partial<EndpointSettings> = {}): Endpoint {
  const settings = { format: 'structured', secrets, timeoutMs: 10_000, ...more } as const;
  const connections = new SharedConnections();
  const tools = { dialer: plainDialer(), connections, wallNow: () => Date.now() };
  return httpKind.open(httpKind.parse(uri, settings), settings, tools);
}

const send = (endpoint: Endpoint, delivery: Delivery): Promise<void> =>
  endpoint.deliver(delivery, AbortSignal.timeout(10_000));

/** What a JSON receiver makes of a value. */
const told: readonly Partial<DeliveredEvent>[] = [
  { value: Buffer.from('{"a":[1]}') },
  { value: Buffer.from('é "x"\r\n') },
  { value: Buffer.from([0xff, 0]) },
  { value: new Uint8Array() },
  { kind: 'delete', value: undefined },
  { kind: 'expire', value: undefined, path: '/ä "b"\r\nx: y', namespace: 'ns: 1%' },
  { state: true, replay: true },
];

for (const format of ['structured', 'binary'] as const) {
  for (const by of ['node:http', 'fastify'] as const) {
    test(`[W3.2] a receiver behind ${by} is told what was sent, ${format}`, async () => {
      const kit = receiver();
      await using place =
        by === 'fastify'
          ? await servedByFastify(kit)
          : await served((request, response) => void kit.handle(request, response));
      await using endpoint = openAt(place.uri, { format });
      const stream = newStream();
      const events = told.map((more, at) => eventAt(at + 1, more));
      await send(endpoint, deliveryOf(events.slice(0, 1), { stream, fence: 3, attempt: 2 }));
      await send(endpoint, deliveryOf(events, { stream, fence: 3 }));
      const probe = { kind: 'test', sequence: '', previous: '', value: undefined } as const;
      await send(endpoint, deliveryOf([eventAt(0, probe)], { stream, fence: 3 }));
      expect(kit.events).toHaveLength(events.length);
      expect(kit.events[0]).toEqual({
        id: '1.0',
        kind: 'put',
        namespace: 'default',
        path: '/suite/1',
        revision: 1,
        stream,
        sequence: sequenceAt(1),
        previous: '',
        fence: 3,
        attempt: 2,
        watchers: events[0]?.watchers,
        state: false,
        replay: false,
        contentType: 'application/json',
        data: { a: [1] },
      });
      expect(kit.events.map(({ data }) => data).slice(1, 6)).toEqual([
        'é "x"\r\n',
        Buffer.from([0xff, 0]),
        '',
        undefined,
        undefined,
      ]);
      const { kind, path, namespace } = told[5] as DeliveredEvent;
      expect(kit.events[5]).toMatchObject({ kind, path, namespace });
      expect(kit.events[6]).toMatchObject({ state: true, replay: true });
      expect(kit.gaps).toEqual([]);
    });
  }
}

test('[W1.5] a lower fence is refused, also after a delivery that failed, and the sender is superseded', async () => {
  let broken = true;
  const kit = receiver({
    onEvent: () => {
      if (broken) throw new Error('not now');
    },
  });
  await using place = await served((request, response) => void kit.handle(request, response));
  await using endpoint = openAt(place.uri);
  const stream = newStream();
  const late = await failureOf(send(endpoint, deliveryOf([eventAt(1)], { stream, fence: 9 })));
  expect(late.message).toBe('the endpoint answered 500');
  broken = false;
  const stale = await failureOf(send(endpoint, deliveryOf([eventAt(1)], { stream, fence: 8 })));
  expect(stale.verdict).toBe('superseded');
  await send(endpoint, deliveryOf([eventAt(1)], { stream, fence: 9 }));
  await send(endpoint, deliveryOf([eventAt(1)], { fence: 1 }));
});

test('[W2.4] a gap is told with where to ask from, before the event that shows it', async () => {
  const kit = receiver();
  const stream = newStream();
  // Who begins in the middle knows of nothing missing.
  await kit.takeDelivery(deliveryOf([eventAt(3)], { stream }));
  await kit.takeDelivery(deliveryOf([eventAt(4)], { stream }));
  expect(kit.gaps).toEqual([]);
  await kit.takeDelivery(deliveryOf([eventAt(7)], { stream }));
  expect(kit.gaps).toEqual([
    {
      stream,
      last: sequenceAt(4),
      previous: sequenceAt(6),
      watcher: eventAt(7).watchers[0],
      after: 4,
    },
  ]);
  // Who has handled more than `previous` has missed nothing.
  await kit.takeDelivery(deliveryOf([eventAt(9, { previous: sequenceAt(5) })], { stream }));
  expect(kit.gaps).toHaveLength(1);
  expect(kit.ids()).toEqual([3, 4, 7, 9]);
});

test('what fails is answered 500 and comes again; what was handled before it does not', async () => {
  let fails = 2;
  const kit = receiver();
  const flaky = receiver({
    onEvent: (event) => {
      if (event.revision === 2 && fails-- > 0) throw new Error('not now');
      kit.events.push(event);
    },
  });
  const delivery = deliveryOf([eventAt(1), eventAt(2), eventAt(3)]);
  for (const status of [500, 500, 204, 204]) {
    expect((await flaky.takeDelivery(delivery)).status).toBe(status);
  }
  expect(kit.ids()).toEqual([1, 2, 3]);
  const deaf = receiver({ onGap: () => Promise.reject(new Error('no')) });
  const { stream } = delivery;
  await deaf.takeDelivery(deliveryOf([eventAt(1)], { stream }));
  expect((await deaf.takeDelivery(deliveryOf([eventAt(5)], { stream }))).status).toBe(500);
  const store = { position: () => Promise.reject(new Error('down')), keep: () => undefined };
  expect((await receiver({ store }).takeDelivery(delivery)).status).toBe(500);
});

test('requests of one stream are handled one after the other, and too many are sent away', async () => {
  const handling: (() => void)[] = [];
  let most = 0;
  let now = 0;
  const kit = receiver({
    onEvent: async () => {
      now += 1;
      most = Math.max(most, now);
      await new Promise<void>((resolve) => void handling.push(resolve));
      now -= 1;
    },
  });
  const stream = newStream();
  const taken = Array.from({ length: 20 }, (_, at) =>
    kit.takeDelivery(deliveryOf([eventAt(at + 1)], { stream })),
  );
  const refused = await Promise.all(taken.slice(16));
  expect(refused.map(({ status }) => status)).toEqual([503, 503, 503, 503]);
  let ended = false;
  const all = Promise.all(taken).finally(() => (ended = true));
  while (!ended) {
    handling.shift()?.();
    await new Promise((resolve) => void setImmediate(resolve));
  }
  expect((await all).filter(({ status }) => status === 204)).toHaveLength(16);
  expect(most).toBe(1);
});

test('what is not signed, no event, too large or no POST is refused by its status', async () => {
  const kit = createReceiver({ secrets, onEvent: () => undefined, bodyBytesMax: 100_000 });
  await using place = await served((request, response) => void kit.handle(request, response));
  const small = deliveryOf([eventAt(1)]);
  await using forged = openAt(place.uri, { secrets: [`whsec_${'A'.repeat(40)}`] });
  expect((await failureOf(send(forged, small))).message).toContain('401');
  await using unsigned = openAt(place.uri, { secrets: [] });
  expect((await failureOf(send(unsigned, small))).message).toContain('401');
  await using endpoint = openAt(place.uri);
  const answered = async (method: string, body?: Buffer): Promise<number | undefined> => {
    const asked = httpRequest(place.uri, { method, headers: { 'content-length': 200_000 } });
    // Its end never comes.
    asked.write(body ?? '');
    asked.on('error', () => undefined);
    const [{ statusCode }] = (await once(asked, 'response')) as [IncomingMessage];
    asked.destroy();
    return statusCode;
  };
  expect(await answered('POST', Buffer.alloc(150_000))).toBe(413);
  expect(await answered('PUT')).toBe(405);
  await send(endpoint, small);
  const open = createReceiver({ secrets: [], onEvent: () => undefined });
  const json = { 'content-type': 'application/cloudevents+json' };
  const batch = { 'content-type': 'application/cloudevents-batch+json' };
  for (const [headers, body] of [
    [json, 'x'],
    [json, '[]'],
    [json, '{}'],
    [json, 'null'],
    [batch, '{}'],
    [batch, '[]'],
    [batch, '[1]'],
    [{}, ''],
    [{ 'ce-id': '%zz' }, ''],
  ] as const) {
    expect((await open.take(headers, body)).status, body).toBe(400);
  }
});

test('a document that misses or mistakes an attribute is no event', async () => {
  const open = createReceiver({ secrets: [], onEvent: () => undefined });
  const [request] = requestsOf(deliveryOf([eventAt(2)]), 'structured', null);
  const document = JSON.parse(Buffer.from(request?.body ?? []).toString()) as Record<
    string,
    unknown
  >;
  const taken = (changed: object) => {
    const headers = { 'content-type': 'application/cloudevents+json' };
    return open.take(headers, JSON.stringify(changed));
  };
  expect((await taken(document)).status).toBe(204);
  for (const name of [
    'specversion',
    'id',
    'source',
    'type',
    'subject',
    'stream',
    'sequence',
    'revision',
    'fence',
    'attempt',
  ]) {
    const { [name]: _, ...missing } = document;
    expect((await taken(missing)).status, `${name} missing`).toBe(400);
    if (name === 'id' || name === 'subject' || name === 'stream') continue;
    const wrong = { ...document, [name]: name === 'attempt' ? -1 : 'x' };
    expect((await taken(wrong)).status, `${name} wrong`).toBe(400);
  }
});

test('[W3.1] whatever comes twice, late or from a zombie, each event is handled once and in order', async () => {
  const sending = fc.record({
    from: fc.integer({ min: 1, max: 12 }),
    count: fc.integer({ min: 1, max: 4 }),
    fence: fc.integer({ min: 1, max: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(sending, { minLength: 1, maxLength: 20 }), async (sent) => {
      const kit = receiver({ store: memoryStore() });
      const stream = newStream();
      let fenceSeen = 0;
      let last = 0;
      for (const { from, count, fence } of sent) {
        const events = Array.from({ length: count }, (_, at) => eventAt(from + at));
        const gapsBefore = kit.gaps.length;
        const { status } = await kit.takeDelivery(deliveryOf(events, { stream, fence }));
        expect(status).toBe(fence < fenceSeen ? 409 : 204);
        if (status !== 204) continue;
        expect(kit.gaps.length - gapsBefore).toBe(last > 0 && from > last + 1 ? 1 : 0);
        fenceSeen = fence;
        last = Math.max(last, from + count - 1);
      }
      expect(kit.ids()).toEqual(kit.ids().toSorted((a, b) => a - b));
      expect(new Set(kit.ids()).size).toBe(kit.events.length);
      expect(kit.ids().at(-1)).toBe(last);
    }),
  );
});
