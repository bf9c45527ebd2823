import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Delivery,
  deliveryOf,
  DeliveryFailure,
  type Endpoint,
  endpointSuite,
  eventAt,
  failureOf,
  newStream,
  plainDialer,
  sequenceAt,
  SharedConnections,
  startGate,
} from '@waymark/server/testing';
import { expect, test } from 'vitest';
import { FakeClock } from 'waymark/testing';
import { WebSocket } from 'ws';
import { createWebSocketKind } from '../../packages/server/src/endpoints/websocket/websocket.js';
import { createSocketReceiver, deliveryProtocol } from 'waymark/receiver';
import { certificates } from '../support/certificates.js';
import { startWebSocketReceiver, type WebSocketReceiver } from '../support/websocket.js';
import { MemorySink, websocketPlace } from './websocket-place.js';

const kind = createWebSocketKind();
const settings = { format: 'structured', secrets: [], timeoutMs: 10_000 } as const;

endpointSuite({
  test,
  name: 'websocket',
  kind,
  start: websocketPlace,
  wrong: [
    { uri: 'ws://', names: 'URI' },
    { uri: 'wss://host:0/', names: 'port 0' },
    { uri: 'ws://host:99999/', names: 'the port' },
    { uri: 'http://host/', names: 'http' },
    { uri: 'ws://u:%zz@host/', names: 'password' },
    { uri: 'ws://host/', settings: { secrets: ['whsec_C2FVsBQIhrscChlQIMV'] }, names: 'secret' },
    { uri: 'ws://host/', settings: { format: 'binary' }, names: 'structured' },
  ],
});

function opened(port: number, of = kind): Endpoint {
  const tools = {
    dialer: plainDialer(),
    connections: new SharedConnections(),
    wallNow: () => Date.now(),
  };
  return of.open(of.parse(`ws://127.0.0.1:${port}/`, settings), settings, tools);
}

function deliver(endpoint: Endpoint, delivery: Delivery): Promise<void> {
  return endpoint.deliver(delivery, AbortSignal.timeout(10_000));
}

/** A receiver that answers with what it is told, and keeps what it heard. */
async function scripted(
  answer: (said: string) => string | Buffer | null,
): Promise<WebSocketReceiver & { readonly heard: string[] }> {
  const heard: string[] = [];
  const receiver = await startWebSocketReceiver((socket) => {
    socket.on('message', (data: Buffer) => {
      heard.push(data.toString());
      const said = answer(data.toString());
      if (said !== null) socket.send(said);
    });
  });
  return Object.defineProperty(receiver, 'heard', { value: heard }) as never;
}

test('[W2.4] what is said is said byte for byte as the protocol has it', async () => {
  await using receiver = await scripted((said) =>
    said.startsWith('{"hello"') ? '{"last":null,"fence":7}' : '{"ack":"d1","sequence":"s1"}',
  );
  await using endpoint = opened(receiver.port);
  const event = { ...eventAt(1), sequence: 's1', previous: '', value: Buffer.from('{"a":1}') };
  await deliver(endpoint, deliveryOf([event], { id: 'd1', stream: 's', sentAt: 0 }));
  const document =
    '{"specversion":"1.0","stream":"s","fence":"7","attempt":1,"sentat":"1970-01-01T00:00:00.000Z",' +
    '"id":"1.0","source":"urn:waymark:s:default","type":"dev.waymark.put","subject":"/suite/1","revision":"1","sequence":"s1",' +
    `"watchers":"${event.watchers.join(',')}","datacontenttype":"application/json","data":{"a":1}}`;
  expect(receiver.heard).toEqual([
    '{"hello":{"stream":"s","fence":7}}',
    `{"delivery":"d1","stream":"s","fence":7,"attempt":1,"events":[${document}]}`,
  ]);
  const [upgrade] = receiver.upgrades;
  expect(upgrade?.headers['sec-websocket-protocol']).toBe(deliveryProtocol);
  expect(upgrade?.headers['sec-websocket-extensions']).toBeUndefined();
});

test('[W3.1] nothing is accepted by another answer than its own acknowledgement', async () => {
  const stream = newStream();
  const delivery = deliveryOf([eventAt(1)], { id: 'mine', stream, attempt: 1 });
  for (const [answer, verdict, retryAfterMs] of [
    [`{"ack":"other","sequence":"${sequenceAt(1)}"}`, 'again'],
    ['{"ack":"mine","sequence":null}', 'again'],
    [`{"ack":"mine","sequence":"${sequenceAt(0)}"}`, 'again'],
    ['{"ack":"mine"}', 'again'],
    ['{"last":null,"fence":7}', 'again'],
    ['null', 'again'],
    ['[]', 'again'],
    ['no JSON', 'again'],
    [Buffer.from(`{"ack":"mine","sequence":"${sequenceAt(1)}"}`), 'again'],
    [`{"gone":true,"pad":"${'x'.repeat(65_536)}"}`, 'again'],
    ['{"refuse":"superseded"}', 'superseded'],
    ['{"gone":true}', 'gone'],
    ['{"retryAfterMs":1500}', 'again', 1_500],
    ['{"retryAfterMs":null}', 'again'],
    ['{"retryAfterMs":-1}', 'again'],
  ] as const) {
    await using receiver = await scripted((said) =>
      said.startsWith('{"hello"') ? '{"last":null,"fence":7}' : (answer as string),
    );
    await using endpoint = opened(receiver.port);
    const failure = await failureOf(deliver(endpoint, delivery));
    expect([failure.verdict, failure.retryAfterMs], String(answer)).toEqual([
      verdict,
      retryAfterMs,
    ]);
  }
});

test('[W1.5] a receiver that has seen a higher fence supersedes at the first word', async () => {
  for (const answer of ['{"last":null,"fence":8}', '{"refuse":"superseded"}']) {
    await using receiver = await scripted(() => answer);
    await using endpoint = opened(receiver.port);
    const failure = await failureOf(deliver(endpoint, deliveryOf([eventAt(1)])));
    expect(failure.verdict).toBe('superseded');
    expect(receiver.heard).toHaveLength(1);
  }
});

test('[W3.3] what a receiver has is not sent again, after the connection broke and after it was killed', async () => {
  const sink = new MemorySink();
  const { serve } = createSocketReceiver(sink);
  const heard: string[] = [];
  await using receiver = await startWebSocketReceiver((socket) => {
    socket.on('message', (data: Buffer) => heard.push(data.toString()));
    void serve(socket);
  });
  const stream = newStream();
  // Applied, and the connection breaks before the acknowledgement.
  sink.outcome = async ({ events }) => {
    if (events.length === 0) return;
    sink.outcome = async () => {};
    for (const socket of receiver.sockets) socket.terminate();
  };
  {
    await using endpoint = opened(receiver.port);
    const one = deliveryOf([eventAt(1)], { stream });
    expect((await failureOf(deliver(endpoint, one))).verdict).toBe('again');
    await deliver(endpoint, { ...one, attempt: 2 });
    expect(heard.filter((said) => said.startsWith('{"delivery"'))).toHaveLength(1);
    await receiver.stop();
    const two = deliveryOf([eventAt(1), eventAt(2)], { stream });
    expect((await failureOf(deliver(endpoint, two))).verdict).toBe('again');
    await receiver.start();
    await deliver(endpoint, two);
  }
  expect(sink.received.map(({ id }) => id)).toEqual(['1.0', '2.0']);
  const last = JSON.parse(heard.at(-1) as string) as { events: { id: string }[] };
  expect(last.events.map(({ id }) => id)).toEqual(['2.0']);
});

test('[W5] a receiver can say that it wants no more, and when to come again', async () => {
  for (const [answer, verdict, retryAfterMs] of [
    ['410 Gone', 'gone'],
    ['401 Unauthorized', 'again'],
    ['302 Found\r\nLocation: ws://127.0.0.1:1/', 'again'],
    ['503 Service Unavailable\r\nRetry-After: 3', 'again', 3_000],
  ] as const) {
    await using receiver = await startWebSocketReceiver(() => {}, { refuse: () => answer });
    await using endpoint = opened(receiver.port);
    const failure = await failureOf(deliver(endpoint, deliveryOf([eventAt(1)])));
    expect([failure.verdict, failure.retryAfterMs], answer).toEqual([verdict, retryAfterMs]);
  }
  const sink = new MemorySink();
  const { serve } = createSocketReceiver(sink);
  await using receiver = await startWebSocketReceiver((socket) => void serve(socket));
  const answers = [
    () => Promise.reject(Object.assign(new Error('busy'), { retryAfterMs: 250 })),
    () => Promise.reject(new Error('broken')),
    () => Promise.resolve('gone' as const),
    () => Promise.resolve('superseded' as const),
  ];
  const expected = [['again', 250], ['again'], ['gone'], ['superseded']];
  for (const [at, outcome] of answers.entries()) {
    sink.outcome = ({ events }) => (events.length === 0 ? Promise.resolve() : outcome());
    await using endpoint = opened(receiver.port);
    const failure = await failureOf(deliver(endpoint, deliveryOf([eventAt(1)])));
    expect([failure.verdict, failure.retryAfterMs]).toEqual([expected[at]?.[0], expected[at]?.[1]]);
  }
});

test('[W2.4] a receiver is told of a gap, and of nothing else', async () => {
  const sink = new MemorySink();
  const { serve } = createSocketReceiver(sink);
  await using receiver = await startWebSocketReceiver((socket) => void serve(socket));
  await using endpoint = opened(receiver.port);
  const stream = newStream();
  const probe = eventAt(1, { id: 'test.1', kind: 'test', sequence: '', previous: '' });
  for (const event of [eventAt(1), eventAt(2), probe, probe, eventAt(4), eventAt(5)])
    await deliver(endpoint, deliveryOf([event], { stream }));
  const told = sink.applied.filter(({ events }) => events.length > 0);
  expect(told.map(({ events, gap }) => [events[0]?.id, gap])).toEqual([
    ['1.0', false],
    ['2.0', false],
    ['test.1', false],
    ['test.1', false],
    ['4.0', true],
    ['5.0', false],
  ]);
  expect(sink.positions.get(stream)).toEqual({ last: sequenceAt(5), fence: 7 });
});

/** Says and hears over a socket of its own, without the driver. */
async function speaking(port: number): Promise<(said: object) => Promise<unknown>> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  await once(socket, 'open');
  return async (said) => {
    socket.send(JSON.stringify(said));
    const [answer] = (await once(socket, 'message')) as [Buffer];
    return JSON.parse(answer.toString());
  };
}

test('[W3.3] a receiver applies what comes twice once, one delivery of a stream after the other', async () => {
  const sink = new MemorySink();
  const { serve } = createSocketReceiver(sink);
  await using receiver = await startWebSocketReceiver((socket) => void serve(socket));
  const [one, other] = await Promise.all([speaking(receiver.port), speaking(receiver.port)]);
  const event = (n: number): object => ({ id: `e${n}`, sequence: `s${n}`, previous: `s${n - 1}` });
  const delivery = (id: string, ...events: object[]): object => {
    return { delivery: id, stream: 's', fence: 3, attempt: 1, events };
  };
  expect(await one({ hello: { stream: 's', fence: 3 } })).toEqual({ last: null, fence: 3 });
  expect(await one(delivery('d1', event(1)))).toEqual({ ack: 'd1', sequence: 's1' });
  expect(await other(delivery('d1', event(1)))).toEqual({ ack: 'd1', sequence: 's1' });
  expect(await other(delivery('d2', event(1), event(2)))).toEqual({ ack: 'd2', sequence: 's2' });
  let free = (): void => {};
  const slow = new Promise<void>((resolve) => (free = resolve));
  let applying = 0;
  sink.outcome = () => ((applying += 1), slow);
  const answers = [one(delivery('d3', event(3))), other(delivery('d3', event(3)))];
  // A stream of its own waits for nobody: its answer comes after both were heard.
  const third = await speaking(receiver.port);
  const hello = third({ hello: { stream: 'other', fence: 0 } });
  expect(await hello).toEqual({ last: null, fence: 0 });
  expect(applying).toBe(1);
  free();
  expect(await Promise.all(answers)).toEqual(Array(2).fill({ ack: 'd3', sequence: 's3' }));
  expect(sink.applied.flatMap(({ events }) => events.map(({ id }) => id))).toEqual([
    'e1',
    'e2',
    'e3',
  ]);
});

test('[W5] a receiver refuses what is no message, and a second before the first was answered', async () => {
  const sink = new MemorySink();
  sink.outcome = () => new Promise(() => {});
  const { serve } = createSocketReceiver(sink);
  await using receiver = await startWebSocketReceiver((socket) => void serve(socket));
  const hello = '{"hello":{"stream":"s","fence":1}}';
  for (const messages of [
    ['no JSON'],
    ['null'],
    ['{}'],
    ['{"hello":null}'],
    ['{"hello":{"stream":"s"}}'],
    ['{"delivery":"d","stream":"s","fence":1}'],
    [Buffer.from(hello)],
    [hello, hello],
  ]) {
    const socket = new WebSocket(`ws://127.0.0.1:${receiver.port}/`);
    await once(socket, 'open');
    for (const message of messages) socket.send(message);
    const [code] = (await once(socket, 'close')) as [number];
    expect(code, String(messages)).toBe(1002);
  }
});

test('[W3.1] a receiver that answers no ping is given up after two', async () => {
  const clock = new FakeClock();
  const sink = new MemorySink();
  const { serve } = createSocketReceiver(sink);
  await using receiver = await startWebSocketReceiver((socket) => void serve(socket));
  await using gate = await startGate({ port: receiver.port });
  await using endpoint = opened(gate.port, createWebSocketKind({ clock }));
  const stream = newStream();
  await deliver(endpoint, deliveryOf([eventAt(1)], { stream }));
  const [socket] = receiver.sockets as Set<WebSocket>;
  const pinged = once(socket as WebSocket, 'ping');
  clock.advance(20_000);
  await pinged;
  await deliver(endpoint, deliveryOf([eventAt(2)], { stream }));
  expect(gate.opened).toBe(1);
  await gate.hold();
  clock.advance(20_000);
  clock.advance(20_000);
  await gate.mend();
  await deliver(endpoint, deliveryOf([eventAt(3)], { stream }));
  expect(gate.opened).toBe(2);
});

test('[W5] wss checks the certificate for the host', async () => {
  const folder = await certificates();
  const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8');
  const [key, cert, ca] = await Promise.all([
    read('server.key'),
    read('server.crt'),
    read('ca.crt'),
  ]);
  const sink = new MemorySink();
  const { serve } = createSocketReceiver(sink);
  await using receiver = await startWebSocketReceiver((socket) => void serve(socket), {
    tls: { key, cert },
  });
  const target = kind.parse(`wss://localhost:${receiver.port}/`, settings);
  const plain = plainDialer();
  for (const trusted of [false, true]) {
    const dialer: typeof plain = {
      ...plain,
      connect: (to, signal) =>
        plain.connect(trusted ? { ...to, tls: { servername: 'localhost', ca } } : to, signal),
    };
    const tools = { dialer, connections: new SharedConnections(), wallNow: () => Date.now() };
    await using endpoint = kind.open(target, settings, tools);
    const delivered = deliver(endpoint, deliveryOf([eventAt(1)]));
    if (trusted) await delivered;
    else await expect(delivered).rejects.toBeInstanceOf(DeliveryFailure);
  }
  expect(sink.received).toHaveLength(1);
});
