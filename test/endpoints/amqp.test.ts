import { join } from 'node:path';
import {
  type Delivery,
  deliveryOf,
  type Endpoint,
  endpointSuite,
  type EndpointUnderTest,
  eventAt,
  failureOf,
  plainDialer,
  startGate,
} from '@waymark/server/testing';
import { type Channel, type ChannelModel, connect, type GetMessage } from 'amqplib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DeliveryFailure } from '../../packages/server/src/endpoints/endpoint.js';
import { amqpKind } from '../../packages/server/src/endpoints/amqp/amqp-endpoint.js';
import { certificates } from '../support/certificates.js';
import { deliverTrusting, driversOf, usualSettings } from '../support/drivers.js';
import { type RunningRabbit, startRabbit } from '../support/rabbitmq.js';
import { amqpPlace, takenFrom } from './amqp-place.js';

let rabbit: RunningRabbit;
let tls: string;
let model: ChannelModel;
let channel: Channel;
beforeAll(async () => {
  tls = await certificates();
  const settings = { channel_max: '256', max_message_size: '400000' };
  rabbit = await startRabbit({ settings, tls });
  await look();
});
afterAll(() => rabbit.stop());

/** A connection of the test's own. */
async function look(): Promise<void> {
  model = await connect(rabbit.url);
  model.on('error', () => undefined);
  channel = await model.createChannel();
}

const taken = (queue: string): Promise<GetMessage[]> => takenFrom(channel, queue);

let names = 0;
const fresh = (): string => `test.${(names += 1)}`;

function deliver(endpoint: Endpoint, delivery: Delivery, ms = 10_000): Promise<void> {
  return endpoint.deliver(delivery, AbortSignal.timeout(ms));
}

const start = (): Promise<EndpointUnderTest> => amqpPlace(rabbit, channel, fresh());

const wrong = [
  { uri: 'amqp://', names: 'URI' },
  { uri: 'amqp://host:0/', names: 'port' },
  { uri: 'amqp://host:65536/', names: 'port' },
  { uri: 'amqp://host/a/b', names: 'vhost' },
  { uri: 'amqp://host/%zz', names: 'vhost' },
  { uri: 'amqp://host/a%00b', names: 'vhost' },
  { uri: `amqp://host/${'v'.repeat(256)}`, names: '255 bytes' },
  { uri: 'amqp://host?topic=a', names: "'topic'" },
  { uri: 'amqp://host?queue=', names: 'queue' },
  { uri: 'amqp://host?queue=a%0d%0ab', names: 'control' },
  { uri: `amqp://host?queue=${'q'.repeat(256)}`, names: '255 bytes' },
  { uri: 'amqp://host?queue=a&queue=b', names: "'queue'" },
  { uri: 'amqp://host?queue=a&exchange=b', names: "'exchange'" },
  { uri: 'amqp://host?queue=a&declare=maybe', names: "'declare'" },
  { uri: 'amqp://host?exchange=a&declare=yes', names: "'declare'" },
  { uri: 'amqp://host?key=a', names: "'key'" },
  { uri: 'amqp://host?exchange=', names: 'exchange' },
  { uri: 'amqp://host?exchange=a&key=', names: 'routing key' },
  { uri: 'amqp://host?exchange=a&key={paths}', names: /routing key.*\{path\}/ },
  { uri: 'amqp://host?exchange=a&key={path', names: 'routing key' },
  { uri: 'amqp://host?exchange=a&key=a%20b', names: 'routing key' },
  { uri: 'amqp://host?exchange=a%07&key=b', names: 'exchange' },
  { uri: 'amqp://host/', settings: { secrets: ['whsec_CANARY'] }, names: 'signed' },
];

endpointSuite({ test, name: 'amqp', kind: amqpKind, wrong, start });
endpointSuite({
  test,
  name: 'amqp, values alone',
  kind: amqpKind,
  wrong: [],
  settings: { format: 'binary' },
  start,
});

test('[W1.1] what names one place has one canonical form', () => {
  const normal = (uri: string): string => amqpKind.parse(uri, usualSettings).normal;
  const queue = 'amqp://guest@host:5672/%2F?queue=waymark';
  for (const uri of [
    'amqp://host',
    'AMQP://HOST:5672/',
    'amqp://guest:guest@host./%2f',
    'amqp://guest:other@host?queue=waymark',
    'amqp://host?declare=no',
  ]) {
    expect(normal(uri), uri).toBe(queue);
  }
  const exchange = normal('amqps://u:p@host/v?key=k.{path}&exchange=e');
  expect(exchange).toBe(normal('amqps://u@host:5671/v?exchange=e&key=k.%7Bpath%7D'));
  const others = ['amqp://u@host', 'amqps://host', 'amqp://host/v', 'amqp://host?queue=w'];
  expect(new Set([queue, exchange, ...others.map(normal)]).size).toBe(6);
});

test('[W2.4] a message is persistent, and its properties are those of CloudEvents', async () => {
  const queue = fresh();
  const { open } = driversOf(amqpKind);
  const event = eventAt(3, { path: '/a/b', value: Buffer.from([0, 255]) });
  const delivery = deliveryOf([event], { stream: 'st', sentAt: 0 });
  for (const format of ['structured', 'binary'] as const) {
    await using endpoint = open(`${rabbit.url}?queue=${queue}`, { format });
    await deliver(endpoint, delivery);
  }
  const [structured, binary] = await taken(queue);
  expect(structured?.properties).toMatchObject({
    messageId: '3.0',
    deliveryMode: 2,
    contentType: 'application/cloudevents+json; charset=utf-8',
    headers: {},
  });
  expect(JSON.parse(String(structured?.content))).toMatchObject({ id: '3.0', data_base64: 'AP8=' });
  expect(binary?.properties).toMatchObject({
    messageId: '3.0',
    deliveryMode: 2,
    contentType: 'application/octet-stream',
  });
  expect(binary?.properties.headers).toEqual({
    'cloudEvents:specversion': '1.0',
    'cloudEvents:id': '3.0',
    'cloudEvents:source': 'urn:waymark:st:default',
    'cloudEvents:type': 'dev.waymark.put',
    'cloudEvents:subject': '/a/b',
    'cloudEvents:sequence': event.sequence,
    'cloudEvents:previous': event.previous,
    'cloudEvents:stream': 'st',
    'cloudEvents:revision': '3',
    'cloudEvents:fence': '7',
    'cloudEvents:attempt': '1',
    'cloudEvents:sentat': '1970-01-01T00:00:00.000Z',
    'cloudEvents:watchers': event.watchers.join(','),
  });
  expect(binary?.content).toEqual(Buffer.from([0, 255]));
});

test('routing keys and exchanges are made of what events say, as words and nothing else', async () => {
  const [exchange, queue] = ['over.orders', fresh()];
  await channel.assertExchange(exchange, 'topic');
  await channel.assertQueue(queue);
  await channel.bindQueue(queue, exchange, '#');
  const { open } = driversOf(amqpKind);
  const key = 'k.{kind}.{namespace}.{path}';
  await using endpoint = open(`${rabbit.url}?exchange=over.{namespace}&key=${key}`);
  const keys: Record<string, string> = {
    '/eu/42': 'k.put.orders.eu.42',
    '/': 'k.put.orders.%2F',
    '/a.b/c%2E/*/#': 'k.put.orders.a%2Eb.c%252E.%2A.%23',
    '/é\r\nx y/\u{85}\u{1F600}': 'k.put.orders.é%0D%0Ax%20y.%C2%85\u{1F600}',
    '/{namespace}/$&': 'k.put.orders.{namespace}.%24&',
  };
  const events = Object.keys(keys).map((path, at) =>
    eventAt(at + 1, { path, namespace: 'orders' }),
  );
  await deliver(endpoint, deliveryOf(events));
  const came = await taken(queue);
  expect(came.map(({ fields }) => fields.routingKey)).toEqual(Object.values(keys));
  const long = eventAt(9, { path: `/${'é'.repeat(122)}`, namespace: 'orders' });
  const failure = await failureOf(deliver(endpoint, deliveryOf([long])));
  expect(failure).toMatchObject({
    verdict: 'again',
    message: expect.stringMatching(/routing key.* 257 bytes.* 255/),
  });
  await deliver(endpoint, deliveryOf([eventAt(9, { namespace: 'orders' })]));
});

test('an exchange that is missing fails its endpoint alone, and serves once it is there', async () => {
  const [exchange, queue] = [fresh(), fresh()];
  const { open, connections } = driversOf(amqpKind);
  await using missing = open(`${rabbit.url}?exchange=${exchange}`);
  await using other = open(`${rabbit.url}?queue=${queue}`);
  await deliver(other, deliveryOf([eventAt(1)]));
  const failure = await failureOf(deliver(missing, deliveryOf([eventAt(1)])));
  expect(failure).toMatchObject({
    verdict: 'again',
    message: expect.stringMatching(/no such exchange.*404/),
  });
  await deliver(other, deliveryOf([eventAt(2)]));
  expect(connections.size).toBe(1);
  await channel.assertExchange(exchange, 'fanout');
  await channel.bindQueue(queue, exchange, '');
  await deliver(missing, deliveryOf([eventAt(3)]));
  expect((await taken(queue)).map(({ properties }) => properties.messageId)).toEqual([
    '1.0',
    '2.0',
    '3.0',
  ]);
});

test('[W3.1] a message that no queue takes is a failure, and nothing after it is sent before it', async () => {
  const [exchange, queue] = [fresh(), fresh()];
  await channel.assertExchange(exchange, 'direct');
  await channel.assertQueue(queue);
  await channel.bindQueue(queue, exchange, 'put');
  const { open } = driversOf(amqpKind);
  await using endpoint = open(`${rabbit.url}?exchange=${exchange}&key={kind}`);
  const delivery = deliveryOf([eventAt(1), eventAt(2, { kind: 'expire' }), eventAt(3)]);
  const failure = await failureOf(deliver(endpoint, delivery));
  expect(failure).toMatchObject({
    verdict: 'again',
    message: expect.stringMatching(/no queue takes/),
  });
  await channel.bindQueue(queue, exchange, 'expire');
  await deliver(endpoint, { ...delivery, attempt: 2 });
  const ids = (await taken(queue)).map(({ properties }) => properties.messageId);
  expect(ids).toEqual(['1.0', '1.0', '2.0', '3.0']);
});

test('[W3.1] a message that a full queue refuses is a failure', async () => {
  const queue = fresh();
  await channel.assertQueue(queue, { maxLength: 2, overflow: 'reject-publish' });
  const { open } = driversOf(amqpKind);
  await using endpoint = open(`${rabbit.url}?queue=${queue}`);
  const delivery = deliveryOf([eventAt(1), eventAt(2), eventAt(3)]);
  expect(await failureOf(deliver(endpoint, delivery))).toMatchObject({
    verdict: 'again',
    message: expect.stringMatching(/queue is full/),
  });
  expect(await taken(queue)).toHaveLength(2);
  await deliver(endpoint, deliveryOf([eventAt(3)]));
});

test('a queue is made durable where there is none, and is left as it is where there is one', async () => {
  const queue = fresh();
  const { open } = driversOf(amqpKind);
  await using endpoint = open(`${rabbit.url}?queue=${queue}`);
  await deliver(endpoint, deliveryOf([eventAt(1)]));
  await channel.assertQueue(queue, { durable: true });
  await channel.deleteQueue(queue);
  const failure = await failureOf(deliver(endpoint, deliveryOf([eventAt(2)])));
  expect(failure.message).toMatch(/no queue takes/);
  await deliver(endpoint, deliveryOf([eventAt(2)]));
  expect(await taken(queue)).toHaveLength(1);

  const own = fresh();
  await using passive = open(`${rabbit.url}?queue=${own}&declare=no`);
  expect((await failureOf(deliver(passive, deliveryOf([eventAt(1)])))).message).toMatch(/312/);
  await channel.assertQueue(own, { durable: false, maxLength: 9 });
  for (const settings of ['', '&declare=no']) {
    await using declaring = open(`${rabbit.url}?queue=${own}${settings}`);
    await deliver(declaring, deliveryOf([eventAt(1)]));
  }
  expect(await taken(own)).toHaveLength(2);
});

test('a hundred endpoints of one server use one connection; past the channels of one, another', async () => {
  const { open, connections } = driversOf(amqpKind);
  const all = Array.from({ length: 100 }, () => open(`${rabbit.url}?queue=${fresh()}`));
  await Promise.all(all.map((endpoint) => deliver(endpoint, deliveryOf([eventAt(1)]), 30_000)));
  expect(connections.size).toBe(1);
  const listed = await rabbit.ctl('list_connections', 'client_properties', 'channels');
  const ours = listed.split('\n').filter((line) => line.includes('waymark'));
  expect(ours.map((line) => line.split('\t').at(-1))).toEqual(['100']);
  for (let more = 0; more < 200; more++) all.push(open(`${rabbit.url}?queue=${fresh()}`));
  await Promise.all(all.map((endpoint) => deliver(endpoint, deliveryOf([eventAt(2)]), 60_000)));
  expect(connections.size).toBeGreaterThan(1);
  await Promise.all(all.map((endpoint) => endpoint[Symbol.asyncDispose]()));
  expect(connections.size).toBe(0);
});

test('who may not come in is told so, without what was secret', async () => {
  const { open } = driversOf(amqpKind);
  const at = `127.0.0.1:${rabbit.port}`;
  const told = async (uri: string): Promise<string> => {
    await using endpoint = open(uri);
    const { verdict, message } = await failureOf(deliver(endpoint, deliveryOf([eventAt(1)])));
    expect(verdict).toBe('again');
    expect(message).not.toContain('CANARY');
    return message;
  };
  expect(await told(`amqp://waymark:CANARY@${at}`)).toMatch(/access refused.*403/);
  expect(await told(`amqp://waymark:CANARY-p4ss@${at}/nowhere`)).toMatch(/vhost.*530/);
  await rabbit.ctl('add_user', 'reader', 'CANARY');
  await rabbit.ctl('set_permissions', 'reader', 'none', 'none', '.*');
  const queue = fresh();
  await channel.assertQueue(queue);
  expect(await told(`amqp://reader:CANARY@${at}?queue=${queue}`)).toMatch(/access refused.*403/);
  // Who may write and make nothing has what is there; making takes the right to configure.
  const permit = (configure: string): Promise<string> =>
    rabbit.ctl('set_permissions', 'reader', configure, '^amq\\.default$', '');
  const made = fresh();
  await permit('');
  await using endpoint = open(`amqp://reader:CANARY@${at}?queue=${queue}`);
  await deliver(endpoint, deliveryOf([eventAt(1)]));
  expect(await told(`amqp://reader:CANARY@${at}?queue=${made}`)).toMatch(/access refused.*403/);
  await permit(`^${made}$`);
  await using making = open(`amqp://reader:CANARY@${at}?queue=${made}`);
  await deliver(making, deliveryOf([eventAt(1)]));
});

test('an endpoint that is given up ends its delivery at once, though others keep the connection', async () => {
  const gate = await startGate({ port: rabbit.port });
  const { open } = driversOf(amqpKind);
  const uri = `amqp://waymark:CANARY-p4ss@127.0.0.1:${gate.port}?queue=`;
  await using kept = open(`${uri}${fresh()}`);
  const given = open(`${uri}${fresh()}`);
  for (const one of [kept, given]) await deliver(one, deliveryOf([eventAt(1)]));
  await gate.hold();
  const hung = failureOf(deliver(given, deliveryOf([eventAt(2)])));
  await given[Symbol.asyncDispose]();
  expect((await hung).message).toMatch(/given up/);
  await gate.mend();
  await deliver(kept, deliveryOf([eventAt(2)]));
  await gate[Symbol.asyncDispose]();
});

test('a message that the broker finds too large is a failure', async () => {
  const { open } = driversOf(amqpKind);
  await using endpoint = open(`${rabbit.url}?queue=${fresh()}`);
  const large = eventAt(1, { value: Buffer.alloc(400_001) });
  expect((await failureOf(deliver(endpoint, deliveryOf([large])))).message).toMatch(/406/);
  await deliver(endpoint, deliveryOf([eventAt(1)]));
});

test('[W3.1] what a broker has confirmed is there after it was killed, and the next delivery finds it again', async () => {
  const queue = fresh();
  const { open } = driversOf(amqpKind);
  await using endpoint = open(`${rabbit.url}?queue=${queue}`);
  await deliver(endpoint, deliveryOf([eventAt(1)]));
  // That there is a queue RabbitMQ writes down up to two seconds after it has said so.
  await rabbit.ctl('eval', 'mnesia:sync_log().');
  await rabbit.restart();
  await look();
  const second = deliveryOf([eventAt(2)]);
  await deliver(endpoint, second).catch(() => deliver(endpoint, second));
  const ids = (await taken(queue)).map(({ properties }) => properties.messageId);
  expect(ids).toEqual(['1.0', '2.0']);
  await rabbit.ctl('close_all_connections', 'test');
  await look();
  await deliver(endpoint, deliveryOf([eventAt(3)])).catch(() => undefined);
  await deliver(endpoint, deliveryOf([eventAt(3)]));
});

test('a broker that takes nothing for want of memory holds a try until its signal', async () => {
  const queue = fresh();
  const { open } = driversOf(amqpKind);
  await using endpoint = open(`${rabbit.url}?queue=${queue}`);
  await deliver(endpoint, deliveryOf([eventAt(1)]));
  await rabbit.ctl('set_vm_memory_high_watermark', '0.000001');
  try {
    const late = new DeliveryFailure('again', 'too late');
    const ending = new AbortController();
    const held = failureOf(endpoint.deliver(deliveryOf([eventAt(2)]), ending.signal));
    const listed = await rabbit.ctl('list_connections', 'client_properties', 'state');
    expect(listed).toMatch(/waymark.*\tblock(ed|ing)/);
    ending.abort(late);
    expect(await held).toBe(late);
  } finally {
    await rabbit.ctl('set_vm_memory_high_watermark', '0.4');
  }
  await deliver(endpoint, deliveryOf([eventAt(2)]));
});

test('every connection goes where the dialer says, and nowhere when it refuses', async () => {
  const gate = await startGate({ port: rabbit.port });
  const asked: string[] = [];
  let refusal: DeliveryFailure | null = null;
  const dialer = {
    ...plainDialer(),
    resolve: async (host: string) => {
      asked.push(host);
      if (refusal !== null) throw refusal;
      return { address: '127.0.0.1', family: 4 } as const;
    },
  };
  await using endpoint = driversOf(amqpKind, dialer).open(
    `amqp://waymark:CANARY-p4ss@broker.test:${gate.port}?queue=${fresh()}`,
  );
  await deliver(endpoint, deliveryOf([eventAt(1)]));
  expect(gate.opened).toBe(1);
  await gate.interrupt();
  await gate.mend();
  refusal = new DeliveryFailure('again', 'not allowed');
  const tries = [1, 2].map(() => deliveryOf([eventAt(2)]));
  for (const one of tries) await deliver(endpoint, one).catch(() => undefined);
  expect(await failureOf(deliver(endpoint, deliveryOf([eventAt(2)])))).toBe(refusal);
  expect(gate.opened).toBe(1);
  expect(new Set(asked)).toEqual(new Set(['broker.test']));
  await gate[Symbol.asyncDispose]();
});

test('amqps:// refuses a certificate that nobody it trusts has signed', async () => {
  const { open } = driversOf(amqpKind);
  await using endpoint = open(`amqps://waymark:CANARY-p4ss@127.0.0.1:${rabbit.tlsPort}`);
  const failure = await failureOf(deliver(endpoint, deliveryOf([eventAt(1)])));
  expect(failure.message).toMatch(/cannot be reached \(.*(CERT|SIGN|VERIFY|ISSUER).*\)/);
});

test('amqps:// takes a certificate of an authority it trusts, for the name in the URI and no other', async () => {
  const driver = { module: 'amqp/amqp-endpoint.js', kind: 'amqpKind' };
  const told = (host: string): Promise<string> => {
    const uri = `amqps://waymark:CANARY-p4ss@${host}:${rabbit.tlsPort}?queue=${fresh()}`;
    return deliverTrusting(join(tls, 'ca.crt'), driver, uri);
  };
  expect(await told('localhost')).toBe('accepted');
  expect(await told('127.0.0.1')).toBe('accepted');
  expect(await told('elsewhere.test')).toMatch(/ERR_TLS_CERT_ALTNAME_INVALID/);
});
