import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type Msg, type NatsConnection } from '@nats-io/transport-node';
import {
  type Delivery,
  DeliveryFailure,
  deliveryOf,
  type Endpoint,
  endpointSuite,
  type EndpointUnderTest,
  eventAt,
  failureOf,
  plainDialer,
  startGate,
} from '@waymark/server/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { natsKind } from '../../packages/server/src/endpoints/nats/nats-endpoint.js';
import { certificates } from '../support/certificates.js';
import { deliverTrusting, driversOf, usualSettings } from '../support/drivers.js';
import { type RunningNats, startNats } from '../support/nats.js';
import { addStream, heardBy, natsPlace } from './nats-place.js';

const config = `
  max_payload: 400KB
  authorization { users: [
    { user: waymark, password: "CANARY-p4ss" }
    { user: writer, password: "CANARY-p4ss", permissions: {
      publish: { allow: ["open.>"] }, subscribe: { allow: ["_INBOX.>"] } } }
  ] }
`;

let nats: RunningNats;
let eye: NatsConnection;
beforeAll(async () => {
  nats = await startNats(config);
  await look();
});
afterAll(async () => {
  await eye.close();
  await nats.stop();
});

/** A connection of the test's own. */
async function look(): Promise<void> {
  const servers = `127.0.0.1:${nats.port}`;
  eye = await connect({ servers, user: 'waymark', pass: 'CANARY-p4ss', reconnect: false });
}

let names = 0;
const fresh = (): string => `open.t${(names += 1)}`;
const uriOf = (place: string, user = 'waymark', port = nats.port): string =>
  `nats://${user}:CANARY-p4ss@127.0.0.1:${port}/${place}`;

function deliver(endpoint: Endpoint, delivery: Delivery, ms = 10_000): Promise<void> {
  return endpoint.deliver(delivery, AbortSignal.timeout(ms));
}

const heard = (subject: string): Promise<Msg[]> => heardBy(eye, subject);

/** What a stream holds. */
async function stored(stream: string): Promise<{ subject: string; id: string | undefined }[]> {
  const manager = await jetstreamManager(eye);
  const { state } = await manager.streams.info(stream);
  const all = [];
  if (state.messages === 0) return [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage(stream, { seq });
    if (message === null) continue;
    all.push({ subject: message.subject, id: message.header.get('Nats-Msg-Id') });
  }
  return all;
}

async function makeStream(more: object = {}): Promise<{ name: string; subject: string }> {
  const subject = fresh();
  const name = `S${names}`;
  await addStream(eye, { name, subject, ...more });
  return { name, subject };
}

async function start(stream: boolean): Promise<EndpointUnderTest> {
  const { name, subject } = stream ? await makeStream() : { name: null, subject: fresh() };
  return natsPlace(nats, eye, { subject, stream: name });
}

const wrong = [
  { uri: 'nats://', names: 'URI' },
  { uri: 'nats://host:0/a', names: 'port' },
  { uri: 'nats://host:65536/a', names: 'port' },
  { uri: 'nats://host', names: 'subject' },
  { uri: 'nats://host/', names: 'subject' },
  { uri: 'nats://host/a/b', names: 'slash' },
  { uri: 'nats://host/a%2Fb', names: 'slash' },
  { uri: 'nats://host/%zz', names: 'subject' },
  { uri: 'nats://host/a..b', names: 'empty word' },
  { uri: 'nats://host/a.', names: 'empty word' },
  { uri: 'nats://host/.a', names: 'empty word' },
  { uri: 'nats://host/a.*', names: 'wildcards' },
  { uri: 'nats://host/a.%3E', names: 'wildcards' },
  { uri: 'nats://host/a%20b', names: 'blanks' },
  { uri: 'nats://host/a%0D%0APUB%20b', names: 'control' },
  { uri: 'nats://host/{path}', names: 'begins with a word' },
  { uri: 'nats://host/a{path}', names: 'begins with a word' },
  { uri: 'nats://host/$JS.API.STREAM.DELETE.S', names: 'begins with a word' },
  { uri: 'nats://host/_INBOX.{path}', names: 'begins with a word' },
  { uri: 'nats://host/a.{paths}', names: '{path}' },
  { uri: 'nats://:pass@host/a', names: 'password' },
  { uri: 'nats://host/a?stream=S', names: "'stream'" },
  { uri: 'nats://host/a?jetstream=', names: "'jetstream'" },
  { uri: 'nats://host/a?jetstream=a.b', names: "'jetstream'" },
  { uri: 'nats://host/a?jetstream=a&jetstream=b', names: "'jetstream'" },
  { uri: 'nats://host/a', settings: { secrets: ['whsec_x'] }, names: 'signed' },
];

endpointSuite({ test, name: 'nats', kind: natsKind, wrong, start: () => start(false) });
endpointSuite({
  test,
  name: 'nats, values alone',
  kind: natsKind,
  wrong: [],
  settings: { format: 'binary' },
  start: () => start(false),
});
endpointSuite({ test, name: 'jetstream', kind: natsKind, wrong: [], start: () => start(true) });

test('[W1.1] what names one place has one canonical form', () => {
  const normal = (uri: string): string => natsKind.parse(uri, usualSettings).normal;
  const known = normal('nats://u:p@host/a.{path}');
  expect(known).toBe('nats://u@host:4222/a.%7Bpath%7D');
  expect(normal('NATS://u:other@HOST.:4222/%61.%7bpath%7d')).toBe(known);
  const bare = normal('nats://host/a');
  expect(normal('nats://CANARY@host/a')).toBe(bare);
  const others = [
    'nats+tls://host/a',
    'nats://host/b',
    'nats://host/a?jetstream=S',
    'nats://u:@host/a',
  ];
  expect(new Set([known, bare, ...others.map(normal)]).size).toBe(6);
});

test('[W2.4] headers are those of the CloudEvents binding', async () => {
  const subject = fresh();
  const came = await heard(subject);
  const { open } = driversOf(natsKind);
  const event = eventAt(3, { path: '/é x', value: Buffer.from([0, 255]) });
  for (const format of ['structured', 'binary'] as const) {
    await using endpoint = open(uriOf(subject), { format });
    await deliver(endpoint, deliveryOf([event], { stream: 'st', sentAt: 0 }));
  }
  await eye.flush();
  const [structured, binary] = came.map(({ headers, data }) => ({
    headers: Object.fromEntries([...(headers ?? [])].map(([name, [value]]) => [name, value])),
    data,
  }));
  expect(structured?.headers).toEqual({
    'Content-Type': 'application/cloudevents+json; charset=utf-8',
  });
  expect(JSON.parse(Buffer.from(structured?.data ?? []).toString())).toMatchObject({
    id: '3.0',
    data_base64: 'AP8=',
  });
  expect(binary?.headers).toEqual({
    'ce-specversion': '1.0',
    'ce-id': '3.0',
    'ce-source': 'urn:waymark:st:default',
    'ce-type': 'dev.waymark.put',
    'ce-subject': '/%C3%A9%20x',
    'ce-sequence': event.sequence,
    'ce-previous': event.previous,
    'ce-stream': 'st',
    'ce-revision': '3',
    'ce-fence': '7',
    'ce-attempt': '1',
    'ce-sentat': '1970-01-01T00:00:00.000Z',
    'ce-watchers': event.watchers.join(','),
    'ce-datacontenttype': 'application/octet-stream',
  });
  expect(Buffer.from(binary?.data ?? [])).toEqual(Buffer.from([0, 255]));
});

test('subjects are made of what events say, as words and nothing else', async () => {
  const subject = fresh();
  const came = await heard('open.>');
  const { open } = driversOf(natsKind);
  await using endpoint = open(uriOf(`${subject}.{kind}.{namespace}.{path}`));
  const subjects: Record<string, string> = {
    '/eu/42': 'put.n%2Es.eu.42',
    '/': 'put.n%2Es.%2F',
    '/a.b/*/>/$JS': 'put.n%2Es.a%2Eb.%2A.%3E.%24JS',
    '/x y\r\nPUB open.evil 0\r\n': 'put.n%2Es.x%20y%0D%0APUB%20open%2Eevil%200%0D%0A',
    '/é\u{a0}\u{1F600}/\t': 'put.n%2Es.é%C2%A0\u{1F600}.%09',
  };
  const events = Object.keys(subjects).map((path, at) =>
    eventAt(at + 1, { path, namespace: 'n.s' }),
  );
  await deliver(endpoint, deliveryOf(events));
  await eye.flush();
  const told = Object.values(subjects).map((words) => `${subject}.${words}`);
  expect(came.map((one) => one.subject)).toEqual(told);
  const long = eventAt(9, { path: `/${'.'.repeat(700)}x` });
  const failure = await failureOf(deliver(endpoint, deliveryOf([long])));
  expect(failure).toMatchObject({
    verdict: 'again',
    message: expect.stringMatching(/subject.* at most 2048/),
  });
});

test('[W3.1] what an account may not publish is a failure, and nothing after it is sent before it', async () => {
  const subject = fresh();
  const came = await heard(`${subject}.>`);
  const { open } = driversOf(natsKind);
  await using endpoint = open(uriOf('closed.{path}', 'writer'));
  const failure = await failureOf(deliver(endpoint, deliveryOf([eventAt(1)])));
  expect(failure).toMatchObject({
    verdict: 'again',
    message: expect.stringMatching(/may not publish/),
  });
  await using other = open(uriOf(`${subject}.{path}`, 'writer'));
  await deliver(other, deliveryOf([eventAt(1)]));
  await eye.flush();
  expect(came).toHaveLength(1);
  const { subject: kept, name } = await makeStream({ subjects: ['shut.>'] });
  await using stream = open(uriOf(`shut.${kept}`, 'writer') + `?jetstream=${name}`);
  const denied = await failureOf(deliver(stream, deliveryOf([eventAt(1)])));
  expect(denied).toMatchObject({
    verdict: 'again',
    message: expect.stringMatching(/may not publish/),
  });
});

test('[W3.2] a stream keeps a message once, and what it does not take is followed by nothing', async () => {
  const { name, subject } = await makeStream({
    max_msgs_per_subject: 1,
    discard: 'new',
    discard_new_per_subject: true,
  });
  const { open } = driversOf(natsKind);
  await using endpoint = open(`${uriOf(`${subject}.{kind}`)}?jetstream=${name}`);
  const delivery = deliveryOf([
    eventAt(1),
    eventAt(2, { kind: 'expire' }),
    eventAt(3),
    eventAt(4, { kind: 'delete' }),
  ]);
  const failure = await failureOf(deliver(endpoint, delivery));
  expect(failure).toMatchObject({
    verdict: 'again',
    message: expect.stringMatching(/JetStream 10077/),
  });
  await failureOf(deliver(endpoint, { ...delivery, attempt: 2 }));
  expect(await stored(name)).toEqual([
    { subject: `${subject}.put`, id: `${delivery.stream}:${eventAt(1).sequence}` },
    { subject: `${subject}.expire`, id: `${delivery.stream}:${eventAt(2).sequence}` },
  ]);
});

test('every probe reaches the stream, though it has no place in the order', async () => {
  const { name, subject } = await makeStream();
  const { open } = driversOf(natsKind);
  await using endpoint = open(`${uriOf(subject)}?jetstream=${name}`);
  for (const id of ['test.a', 'test.b']) {
    const probe = { kind: 'test', path: '/', sequence: '', previous: '', id } as const;
    await deliver(endpoint, deliveryOf([eventAt(0, probe)], { stream: 'st' }));
  }
  expect((await stored(name)).map(({ id }) => id)).toEqual(['st:test.a', 'st:test.b']);
});

test('a subject that no stream takes, or another one, is a failure', async () => {
  const [one, other] = [await makeStream(), await makeStream()];
  const { open } = driversOf(natsKind);
  const told = async (place: string): Promise<string> => {
    await using endpoint = open(uriOf(place));
    return (await failureOf(deliver(endpoint, deliveryOf([eventAt(1)])))).message;
  };
  expect(await told(`${one.subject}?jetstream=${other.name}`)).toMatch(/another stream.*10060/);
  expect(await told(`nobodys.${one.subject}?jetstream=${one.name}`)).toMatch(/no stream/);
  expect(await stored(one.name)).toEqual([]);
});

test('what is larger than the server takes is a failure, and the connection stays', async () => {
  const { open } = driversOf(natsKind);
  const large = eventAt(1, { value: Buffer.alloc(400 * 1_024) });
  const { name, subject } = await makeStream({ max_msg_size: 1_000 });
  await using core = open(uriOf(fresh()));
  await deliver(core, deliveryOf([eventAt(1)]));
  expect((await failureOf(deliver(core, deliveryOf([large])))).message).toMatch(
    /larger than the server/,
  );
  await deliver(core, deliveryOf([eventAt(1)]));
  await using stream = open(`${uriOf(subject)}?jetstream=${name}`);
  const failure = await failureOf(
    deliver(stream, deliveryOf([eventAt(1, { value: Buffer.alloc(1_000) })])),
  );
  expect(failure.message).toMatch(/larger than the stream takes.*10054/);
});

test('a hundred endpoints of one server and account use one connection', async () => {
  const { open, connections } = driversOf(natsKind);
  const all = Array.from({ length: 100 }, () => open(uriOf(fresh())));
  await Promise.all(all.map((endpoint) => deliver(endpoint, deliveryOf([eventAt(1)]))));
  await using other = open(uriOf(fresh(), 'writer'));
  await deliver(other, deliveryOf([eventAt(1)]));
  expect(connections.size).toBe(2);
  expect((await nats.clients()).filter((name) => name === 'waymark')).toHaveLength(2);
  await Promise.all(all.map((endpoint) => endpoint[Symbol.asyncDispose]()));
  expect(connections.size).toBe(1);
});

test('[W3.1] what a stream has acknowledged is there after the server was killed, and the next delivery finds it again', async () => {
  const { name, subject } = await makeStream();
  const { open } = driversOf(natsKind);
  await using endpoint = open(`${uriOf(subject)}?jetstream=${name}`);
  await deliver(endpoint, deliveryOf([eventAt(1)], { stream: 'st' }));
  await nats.restart();
  await look();
  const second = deliveryOf([eventAt(2)], { stream: 'st' });
  await deliver(endpoint, second).catch(() => deliver(endpoint, second));
  expect((await stored(name)).map(({ id }) => id)).toEqual(
    [1, 2].map((place) => `st:${eventAt(place).sequence}`),
  );
});

test('who may not come in is told so, without what was secret', async () => {
  const guarded = await startNats('authorization { token: "CANARY-t0ken" }');
  const { open } = driversOf(natsKind);
  const told = async (account: string, scheme = 'nats'): Promise<string> => {
    await using endpoint = open(`${scheme}://${account}127.0.0.1:${guarded.port}/a`);
    const { verdict, message } = await failureOf(deliver(endpoint, deliveryOf([eventAt(1)])));
    expect(verdict).toBe('again');
    expect(message).not.toContain('CANARY');
    return message;
  };
  for (const account of ['', 'CANARY@', 'u:CANARY-t0ken@']) {
    expect(await told(account)).toMatch(/access refused/);
  }
  expect(await told('CANARY-t0ken@', 'nats+tls')).toMatch(/TLS/);
  await using endpoint = open(`nats://CANARY-t0ken@127.0.0.1:${guarded.port}/a`);
  await deliver(endpoint, deliveryOf([eventAt(1)]));
  await guarded.stop();
});

test('every connection goes where the dialer says, and nowhere when it refuses', async () => {
  const gate = await startGate({ port: nats.port });
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
  await using endpoint = driversOf(natsKind, dialer).open(
    uriOf(fresh(), 'waymark', gate.port).replace('127.0.0.1', 'server.test'),
  );
  await deliver(endpoint, deliveryOf([eventAt(1)]));
  expect(gate.opened).toBe(1);
  await gate.interrupt();
  await gate.mend();
  refusal = new DeliveryFailure('again', 'not allowed');
  for (let tries = 0; tries < 2; tries++) {
    await deliver(endpoint, deliveryOf([eventAt(2)])).catch(() => undefined);
  }
  expect(await failureOf(deliver(endpoint, deliveryOf([eventAt(2)])))).toBe(refusal);
  expect(gate.opened).toBe(1);
  expect(new Set(asked)).toEqual(new Set(['server.test']));
  await gate[Symbol.asyncDispose]();
});

test('nats+tls:// takes a certificate that it trusts, for the name in the URI and no other, and nats:// no server that wants TLS', async () => {
  const tls = await certificates();
  const secured = await startNats(
    `tls { cert_file: "${tls}/server.crt", key_file: "${tls}/server.key" }`,
  );
  const { open } = driversOf(natsKind);
  for (const [scheme, told] of [
    ['nats+tls', /cannot be reached \(.*(CERT|SIGN|VERIFY|ISSUER).*\)/],
    ['nats', /TLS/],
  ] as const) {
    await using endpoint = open(`${scheme}://127.0.0.1:${secured.port}/a`);
    expect((await failureOf(deliver(endpoint, deliveryOf([eventAt(1)])))).message).toMatch(told);
  }
  const driver = { module: 'nats/nats-endpoint.js', kind: 'natsKind' };
  const trusting = (host: string): Promise<string> =>
    deliverTrusting(join(tls, 'ca.crt'), driver, `nats+tls://${host}:${secured.port}/a`);
  expect(await trusting('localhost')).toBe('accepted');
  expect(await trusting('127.0.0.1')).toBe('accepted');
  expect(await trusting('elsewhere.test')).toMatch(/ERR_TLS_CERT_ALTNAME_INVALID/);
  await secured.stop();
});
