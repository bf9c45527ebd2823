import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import {
  type Delivery,
  deliveryOf,
  DeliveryFailure,
  type Endpoint,
  endpointSuite,
  type EndpointUnderTest,
  eventAt,
  failureOf,
  plainDialer,
  SharedConnections,
} from '@waymark/server/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FakeClock } from 'waymark/testing';
import { readXmppAccount } from '../../packages/server/src/endpoints/xmpp/account.js';
import type { XmppElement } from '../../packages/server/src/endpoints/xmpp/library.js';
import { createXmppKind } from '../../packages/server/src/endpoints/xmpp/xmpp.js';
import { certificates } from '../support/certificates.js';
import { type RunningProsody, startProsody } from '../support/prosody.js';
import { library, xmppPerson } from '../support/xmpp-person.js';
import { documentIn, secret, xmppPlace } from './xmpp-place.js';

let prosody: RunningProsody;

beforeAll(async () => {
  prosody = await startProsody({ accounts: ['alice', 'waymark'] });
});

afterAll(() => prosody.stop());

const signing = { secrets: ['whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'] };
const wrong = [
  { uri: 'xmpp://', names: 'URI' },
  { uri: 'xmpp://localhost/', names: 'NODE@DOMAIN' },
  { uri: 'xmpp://alice:CANARY@localhost/', names: 'password' },
  { uri: 'xmpp://alice@localhost:0/', names: 'port 0' },
  { uri: 'xmpp://a%3Cb@localhost/', names: 'node' },
  { uri: 'xmpp://a%00b@localhost/', names: 'node' },
  { uri: `xmpp://${'a'.repeat(1_024)}@localhost/`, names: 'node' },
  { uri: 'xmpp://alice@localhost/%01', names: 'resource' },
  { uri: 'xmpp://alice@localhost/%zz', names: 'resource' },
  { uri: 'xmpp://alice@localhost/?type=headline', names: 'type' },
  { uri: 'xmpp://alice@localhost/?subject=a%0Ab', names: 'subject' },
  { uri: 'xmpp://alice@localhost/?to=bob', names: "'to'" },
  { uri: 'xmpp://alice@localhost/', settings: signing, names: 'secret' },
  { uri: 'xmpp://alice@localhost/', settings: { format: 'binary' as const }, names: 'structured' },
];
for (const type of ['chat', 'groupchat'] as const) {
  let port = 0;
  const kind = createXmppKind({
    account: {
      jid: 'waymark@localhost',
      password: secret,
      host: '127.0.0.1',
      get port() {
        return port;
      },
      tls: 'none',
    },
  });
  const start = async (): Promise<EndpointUnderTest> => {
    const place = await xmppPlace(prosody, type);
    port = place.account.port ?? 0;
    return place;
  };
  endpointSuite({ test, name: `xmpp, ${type}`, kind, start, wrong });
}

const settings = { format: 'structured', secrets: [], timeoutMs: 10_000 } as const;

interface OpenCall extends Partial<Parameters<typeof createXmppKind>[0]> {
  readonly uri?: string;
  readonly port?: number;
  readonly tls?: 'starttls' | 'none';
  readonly dialer?: ReturnType<typeof plainDialer>;
}

function opened(call: OpenCall = {}): Endpoint {
  const { uri = 'xmpp://alice@localhost/', port = prosody.port, tls = 'none', clock } = call;
  const account = { jid: 'waymark@localhost', password: secret, host: '127.0.0.1', port, tls };
  const kind = createXmppKind({ account, clock });
  const tools = {
    dialer: call.dialer ?? plainDialer(),
    connections: new SharedConnections(),
    wallNow: () => Date.now(),
  };
  return kind.open(kind.parse(uri, settings), settings, tools);
}

function deliver(endpoint: Endpoint, delivery: Delivery): Promise<void> {
  return endpoint.deliver(delivery, AbortSignal.timeout(20_000));
}

test('[W2.4] a message says it to people and to programs, and nothing in it becomes markup', async () => {
  await using alice = await xmppPerson(prosody.port);
  await using endpoint = opened({ uri: 'xmpp://alice@localhost/?subject=<b>%26' });
  const path = '/a</body><x xmlns="evil"/>&amp;\u0001\ufffe]]>';
  const value = Buffer.from('<!-- \u0000\u001b\uffff & é😀 \r\n');
  await deliver(endpoint, deliveryOf([eventAt(1, { path, value, id: '1.0"><evil/>' })]));
  const [message] = alice.heard as [XmppElement];
  expect(message.attrs).toMatchObject({ type: 'chat', id: '1.0"><evil/>', to: 'alice@localhost' });
  expect(message.getChildElements().map(({ name }) => name)).toEqual([
    'subject',
    'body',
    'json',
    'request',
  ]);
  expect(message.getChildText('subject')).toBe('<b>&');
  expect(message.getChildText('body')).toBe(
    'put /a</body><x xmlns="evil"/>&amp;\ufffd\ufffd]]>: <!-- \ufffd\ufffd\ufffd & é😀 \ufffd\n',
  );
  const came = documentIn(message);
  expect([came.path, Buffer.from(came.value as Uint8Array).equals(value)]).toEqual([path, true]);
});

test('[W3.1] who gives no receipts has a message when the server took it on, and once they come they are waited for', async () => {
  const clock = new FakeClock();
  await using alice = await xmppPerson(prosody.port);
  await using endpoint = opened({ clock });
  alice.receipts = false;
  let accepted = false;
  const first = deliver(endpoint, deliveryOf([eventAt(1)])).then(() => (accepted = true));
  await until(() => alice.heard.length === 1);
  clock.advance(1_999);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(accepted).toBe(false);
  clock.advance(1);
  await first;
  // Known by now: no clock moves.
  await deliver(endpoint, deliveryOf([eventAt(2)]));
  alice.receipts = true;
  await deliver(endpoint, deliveryOf([eventAt(3)]));
  await until(() => alice.heard.length === 3);
});

test('[W3.1] without stream management an answered ping accepts', async () => {
  const plain = await startProsody({ modules: ['ping', 'offline'] });
  try {
    const clock = new FakeClock();
    await using endpoint = opened({ port: plain.port, clock });
    // Nobody is there: it waits for alice.
    const delivered = deliver(endpoint, deliveryOf([eventAt(1)]));
    await until(() => clock.timers > 0);
    clock.advance(2_000);
    await delivered;
    await using alice = await xmppPerson(plain.port);
    await until(() => alice.heard.length === 1);
  } finally {
    await plain.stop();
  }
});

test('[W3.1] what the server cannot bring is a failure', async () => {
  await using nobody = opened({ uri: 'xmpp://nobody@localhost/' });
  const failure = await failureOf(deliver(nobody, deliveryOf([eventAt(1)])));
  expect(failure.message).toBe('the receiver answered the error service-unavailable');
  await using room = opened({ uri: 'xmpp://a@localhost/?type=groupchat' });
  const soon = AbortSignal.timeout(500);
  await expect(room.deliver(deliveryOf([eventAt(1)]), soon)).rejects.toThrow();
  await using large = opened();
  const value = Buffer.alloc(300_000, 'x');
  const tooLarge = await failureOf(deliver(large, deliveryOf([eventAt(1, { value })])));
  expect(tooLarge.message).toContain('262144');
});

test('[W3.1] a room that puts it out is joined again, and a taken name is a failure', async () => {
  const room = 'bells@rooms.localhost';
  await using person = await xmppPerson(prosody.port, { room });
  await using endpoint = opened({ uri: `xmpp://${room}/clock?type=groupchat` });
  await deliver(endpoint, deliveryOf([eventAt(1)]));
  const { xml } = library;
  const item = xml('item', { nick: 'clock', role: 'none' });
  const query = xml('query', { xmlns: 'http://jabber.org/protocol/muc#admin' }, item);
  await person.client.iqCaller.request(xml('iq', { to: room, type: 'set' }, query), 5_000);
  const again = deliveryOf([eventAt(2)]);
  await deliver(endpoint, again).catch(() => deliver(endpoint, again));
  await until(() => person.heard.length === 2);
  expect(person.heard.map(({ attrs }) => attrs['from'])).toEqual(Array(2).fill(`${room}/clock`));
  await using taken = opened({ uri: `xmpp://${room}/bell?type=groupchat` });
  const failure = await failureOf(deliver(taken, deliveryOf([eventAt(1)])));
  expect(failure.message).toBe('the room answered the error conflict');
});

test('[W5] no account, no registration; a URI has one form', () => {
  const without = createXmppKind({ account: null });
  expect(() => without.parse('xmpp://alice@localhost/', settings)).toThrow('--xmpp-account-file');
  const account = { jid: 'waymark@localhost', password: secret };
  const { normal } = createXmppKind({ account }).parse('xmpp://alice@localhost', settings);
  const kind = createXmppKind({ account });
  expect(normal).toBe('xmpp://alice@localhost:5222/?type=chat');
  for (const same of [
    'XMPP://Alice@LOCALHOST:5269/?type=chat',
    'xmpp://alice@localhost/?message',
    'xmpp://%61lice@localhost',
  ])
    expect(kind.parse(same, settings).normal).toBe(normal);
  const room = 'xmpp://a@localhost:5222/me?subject=Hi+you&type=groupchat';
  expect(kind.parse('xmpp://a@localhost/me?join;subject=Hi%20you', settings).normal).toBe(room);
});

test('[W5] the account of a server is read strictly', () => {
  const good = { jid: 'a@b', password: 'x', host: 'h', port: 5_223, tls: 'none' };
  expect(readXmppAccount(JSON.stringify(good))).toEqual(good);
  for (const [wrongly, part] of [
    ['', 'JSON'],
    ['[', 'JSON'],
    ['null', 'object'],
    [JSON.stringify({ ...good, jid: 'a' }), "'jid'"],
    [JSON.stringify({ ...good, jid: 'a@b/c' }), "'jid'"],
    [JSON.stringify({ ...good, password: '' }), "'password'"],
    [JSON.stringify({ ...good, host: 1 }), "'host'"],
    [JSON.stringify({ ...good, port: 0 }), "'port'"],
    [JSON.stringify({ ...good, tls: 'no' }), "'tls'"],
    [JSON.stringify({ ...good, user: 'no' }), "'user'"],
  ] as const)
    expect(() => readXmppAccount(wrongly), wrongly).toThrow(part);
});

test('[W5] what is connected to is what the dialer allows of the account, and not of the receiver', async () => {
  const asked: string[] = [];
  const plain = plainDialer();
  const refusing: typeof plain = {
    ...plain,
    resolve: (host) => {
      asked.push(host);
      throw new DeliveryFailure('again', 'not allowed');
    },
  };
  await using endpoint = opened({ uri: 'xmpp://alice@elsewhere.example/', dialer: refusing });
  const failure = await failureOf(deliver(endpoint, deliveryOf([eventAt(1)])));
  expect([failure.message, asked]).toEqual(['not allowed', ['127.0.0.1']]);
});

const header =
  "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='localhost' version='1.0'>";
const features = (...mechanisms: string[]): string => {
  const listed = mechanisms.map((name) => `<mechanism>${name}</mechanism>`).join('');
  return `<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>${listed}</mechanisms></stream:features>`;
};

/** A server that is none: it says this once somebody speaks, and keeps what it hears. */
async function pretender(says: string): Promise<{ port: number; heard(): string; stop(): void }> {
  let heard = '';
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.write(says));
    socket.on('data', (bytes: Buffer) => (heard += bytes.toString()));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return { port, heard: () => heard, stop: () => void server.close() };
}

test('[W5] a server that takes off TLS, sends elsewhere or says what is no XML hears no password and ends nothing', async () => {
  const elsewhere = await pretender(header);
  const other = `<see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>127.0.0.1:${elsewhere.port}</see-other-host>`;
  for (const says of [
    `${header}${features('SCRAM-SHA-1', 'PLAIN')}`,
    `${header}<stream:error>${other}</stream:error>`,
    `${header}<stream:features>&bogus;</stream:features>`,
    `${header}<message from='a@'><body>x</body></message>`,
    `${header}</wrong>`,
    `${header}<message><body>${'x'.repeat(1_100_000)}`,
  ]) {
    const server = await pretender(says);
    await using endpoint = opened({ port: server.port, tls: 'starttls' });
    const failure = await failureOf(deliver(endpoint, deliveryOf([eventAt(1)])));
    expect(failure.verdict, says.slice(-200)).toBe('again');
    expect(server.heard()).not.toMatch(/<auth|c2VjcmV0/);
    server.stop();
  }
  const clear = await pretender(`${header}${features('PLAIN')}`);
  await using endpoint = opened({ port: clear.port, tls: 'none' });
  await failureOf(deliver(endpoint, deliveryOf([eventAt(1)])));
  expect(clear.heard()).not.toContain('<auth');
  clear.stop();
  expect(elsewhere.heard()).toBe('');
  elsewhere.stop();
});

test('[W5] TLS comes first, with a certificate for the domain', async () => {
  const folder = await certificates();
  const secure = await startProsody({ tls: folder });
  try {
    await using endpoint = opened({ port: secure.port, tls: 'starttls' });
    await failureOf(deliver(endpoint, deliveryOf([eventAt(1)])));
    expect(secure.log).not.toContain('Authenticated as');
    // What is trusted is settled when a process begins.
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, 'ca.crt') };
    const program = fileURLToPath(new URL('../dist/endpoints/xmpp-over-tls.js', import.meta.url));
    await promisify(execFile)(process.execPath, [program, String(secure.port)], { env });
    expect(secure.log).toContain('Authenticated as waymark@localhost');
  } finally {
    await secure.stop();
  }
});

async function until(holds: () => boolean): Promise<void> {
  const late = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > late) expect.fail('it did not come');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
