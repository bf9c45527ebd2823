import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import {
  type Delivery,
  DeliveryFailure,
  deliveryOf,
  type Dialer,
  type Endpoint,
  type EndpointSettings,
  eventAt,
  failureOf,
  newStream,
  plainDialer,
  SharedConnections,
} from '@waymark/server/testing';
import { expect, test } from 'vitest';
import { httpKind } from '../../packages/server/src/endpoints/http/http-endpoint.js';
import { createDialer } from '../../packages/server/src/endpoints/kit/guarded-dialer.js';
import { certificates } from '../support/certificates.js';
import { type HttpReceiver, startHttpReceiver } from '../support/http-receiver.js';

const now = Date.UTC(2026, 0, 2, 3, 4, 5);
const hmac = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const ed25519 = 'whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=';

function openAt(
  uri: string,
  more: Partial<EndpointSettings> = {},
  dialer = plainDialer(),
  connections = new SharedConnections(),
): Endpoint {
  const settings = { format: 'structured', secrets: [], timeoutMs: 10_000, ...more } as const;
  const tools = { dialer, connections, wallNow: () => now };
  return httpKind.open(httpKind.parse(uri, settings), settings, tools);
}

function recording(sockets: Socket[]): Dialer {
  const dialer = plainDialer();
  const connect: Dialer['connect'] = async (to, signal) => {
    const socket = await dialer.connect(to, signal);
    sockets.push(socket);
    return socket;
  };
  return { ...dialer, connect };
}

const hook = ({ port }: HttpReceiver): string => `http://127.0.0.1:${port}/hook`;
const send = (endpoint: Endpoint, delivery: Delivery = deliveryOf([eventAt(1)])): Promise<void> =>
  endpoint.deliver(delivery, AbortSignal.timeout(10_000));

test('[W2.1] any 2xx is accepted, and anything else is not', async () => {
  await using receiver = await startHttpReceiver();
  await using endpoint = openAt(hook(receiver));
  for (const status of [200, 201, 202, 204, 299]) {
    receiver.answer = ({ response }) => response.writeHead(status).end();
    await send(endpoint);
  }
  for (const status of [301, 302, 304, 307, 308, 400, 401, 404, 409, 413, 500, 502, 504]) {
    receiver.answer = ({ response }) =>
      response.writeHead(status, { 'retry-after': '5' }).end('no');
    const failure = await failureOf(send(endpoint));
    expect(failure).toMatchObject({ verdict: 'again', retryAfterMs: undefined });
    expect(failure.message).toBe(`the endpoint answered ${status}`);
  }
});

test('[W4.3] 410 is gone; 429 and 503 say when they want it again', async () => {
  await using receiver = await startHttpReceiver();
  await using endpoint = openAt(hook(receiver));
  const answered = (status: number, headers: Record<string, string> = {}) => {
    receiver.answer = ({ response }) => response.writeHead(status, headers).end();
    return failureOf(send(endpoint));
  };
  expect((await answered(410)).verdict).toBe('gone');
  for (const status of [429, 503]) {
    expect(await answered(status, { 'retry-after': '7' })).toMatchObject({ retryAfterMs: 7_000 });
    const date = { 'retry-after': 'Fri, 02 Jan 2026 03:05:05 GMT' };
    expect(await answered(status, date)).toMatchObject({ verdict: 'again', retryAfterMs: 60_000 });
    expect((await answered(status)).retryAfterMs).toBeUndefined();
  }
});

test('[W1.5] 409 with a higher fence supersedes, and any other 409 does not', async () => {
  await using receiver = await startHttpReceiver();
  await using endpoint = openAt(hook(receiver));
  for (const [fence, verdict] of [
    ['8', 'superseded'],
    ['7', 'again'],
    ['x', 'again'],
  ] as const) {
    receiver.answer = ({ response }) => response.writeHead(409, { 'waymark-fence': fence }).end();
    const failure = await failureOf(send(endpoint, deliveryOf([eventAt(1)], { fence: 7 })));
    expect(failure.verdict, fence).toBe(verdict);
  }
});

test('a redirect is a failure and is not followed', async () => {
  await using inside = await startHttpReceiver();
  await using receiver = await startHttpReceiver();
  await using endpoint = openAt(hook(receiver));
  for (const status of [301, 302, 303, 307, 308]) {
    const location = `http://127.0.0.1:${inside.port}/`;
    receiver.answer = ({ response }) => response.writeHead(status, { location }).end();
    expect((await failureOf(send(endpoint))).verdict).toBe('again');
  }
  expect(inside.heard).toEqual([]);
  expect(receiver.heard).toHaveLength(5);
});

test('an answer without end is accepted by its status, and its connection is closed', async () => {
  await using receiver = await startHttpReceiver();
  await using endpoint = openAt(hook(receiver));
  const closed: Promise<unknown>[] = [];
  receiver.answer = ({ response }) => {
    closed.push(once(response, 'close'));
    response.writeHead(200).write('slow');
  };
  // Nothing but the driver ends them.
  const { signal } = new AbortController();
  await endpoint.deliver(deliveryOf([eventAt(1)]), signal);
  await endpoint.deliver(deliveryOf([eventAt(2)]), signal);
  // One slow answer may stand, never two.
  await closed[0];
  receiver.answer = ({ response }) => {
    closed.push(once(response, 'close'));
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536, 'x')));
    };
    response.writeHead(200).on('drain', more);
    more();
  };
  await send(endpoint);
  await Promise.all(closed);
});

test('an answer of 10 MB is not read', async () => {
  await using receiver = await startHttpReceiver();
  const sockets: Socket[] = [];
  await using endpoint = openAt(hook(receiver), {}, recording(sockets));
  receiver.answer = ({ response }) => response.writeHead(500).end(Buffer.alloc(10_485_760));
  const failure = await failureOf(send(endpoint));
  expect(failure.message).toBe('the endpoint answered 500');
  const [socket] = sockets;
  if (socket?.closed === false) await once(socket, 'close');
  expect(socket?.bytesRead).toBeLessThan(1_048_576);
});

test('headers without end, and what is no HTTP, are failures', async () => {
  await using receiver = await startHttpReceiver();
  await using endpoint = openAt(hook(receiver));
  for (const answer of [
    `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`,
    'SSH-2.0-CANARY\r\n',
  ]) {
    receiver.answer = ({ response }) => response.socket?.end(answer);
    const failure = await failureOf(send(endpoint));
    expect(failure.verdict).toBe('again');
    expect(`${failure.message}${String(failure.cause)}`).not.toContain('CANARY');
  }
});

test('[W3.1] a receiver that closes before it answers, done or not, is told again what it was told', async () => {
  await using receiver = await startHttpReceiver();
  await using endpoint = openAt(hook(receiver));
  receiver.answer = ({ response }) => response.destroy();
  const delivery = deliveryOf([eventAt(1)]);
  const failure = await failureOf(send(endpoint, delivery));
  expect(failure.verdict).toBe('again');
  expect(receiver.heard).toHaveLength(1);
  receiver.answer = ({ response }) => response.writeHead(204).end();
  await send(endpoint, { ...delivery, attempt: 2 });
  const [first, second] = receiver.heard;
  expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id']);
  expect(second?.headers['waymark-attempt']).toBe('2');
});

test('a kept connection that its server closes meanwhile costs no try', async () => {
  await using receiver = await startHttpReceiver();
  await using endpoint = openAt(hook(receiver));
  await send(endpoint);
  receiver.answer = ({ response }) => {
    receiver.answer = (again) => again.response.writeHead(204).end();
    response.destroy();
  };
  await send(endpoint);
  expect(receiver.heard).toHaveLength(3);
});

test('[W1.4] it does, where the hold has ended since: nothing is sent again', async () => {
  await using receiver = await startHttpReceiver();
  await using endpoint = openAt(hook(receiver));
  await send(endpoint);
  let held = true;
  receiver.answer = ({ response }) => {
    held = false;
    response.destroy();
  };
  const soon = AbortSignal.timeout(10_000);
  const failure = await failureOf(endpoint.deliver(deliveryOf([eventAt(1)]), soon, () => held));
  expect(failure.verdict).toBe('superseded');
  expect(receiver.heard).toHaveLength(2);
});

test('deliveries use one connection, one after the other', async () => {
  await using receiver = await startHttpReceiver();
  const sockets: Socket[] = [];
  await using endpoint = openAt(hook(receiver), {}, recording(sockets));
  for (const answer of ['', 'ok', 'x'.repeat(5_000)]) {
    receiver.answer = ({ response }) => response.writeHead(200).end(answer);
    for (let times = 0; times < 10; times += 1) await send(endpoint);
  }
  expect(sockets).toHaveLength(1);
});

test('endpoints of one origin have as many connections as are busy at once', async () => {
  await using receiver = await startHttpReceiver();
  const sockets: Socket[] = [];
  const shared = [{}, recording(sockets), new SharedConnections()] as const;
  await using one = openAt(hook(receiver), ...shared);
  await using other = openAt(`${hook(receiver)}/other`, ...shared);
  for (let times = 0; times < 5; times += 1) {
    await send(one);
    await send(other);
  }
  expect(sockets).toHaveLength(1);
  for (let times = 0; times < 5; times += 1) await Promise.all([send(one), send(other)]);
  expect(sockets).toHaveLength(2);
});

test('a connection that was still being made when its try ended is nobody else’s', async () => {
  await using receiver = await startHttpReceiver();
  const dialer = plainDialer();
  let dials = 0;
  let begun = (): void => {};
  const dialling = new Promise<void>((resolve) => (begun = resolve));
  const connect: Dialer['connect'] = async (to, signal) => {
    begun();
    dials += 1;
    return await (dials === 1 ? new Promise<Socket>(() => undefined) : dialer.connect(to, signal));
  };
  await using endpoint = openAt(hook(receiver), {}, { ...dialer, connect });
  const late = new AbortController();
  const failure = failureOf(endpoint.deliver(deliveryOf([eventAt(1)]), late.signal));
  await dialling;
  const timedOut = new DeliveryFailure('again', 'no answer within 15000 ms');
  late.abort(timedOut);
  expect(await failure).toBe(timedOut);
  await send(endpoint);
  expect([dials, receiver.heard.length]).toEqual([2, 1]);
});

test('a receiver that hangs is left when the signal says so', async () => {
  await using receiver = await startHttpReceiver();
  await using endpoint = openAt(hook(receiver));
  receiver.answer = () => undefined;
  const late = new AbortController();
  const failure = failureOf(endpoint.deliver(deliveryOf([eventAt(1)]), late.signal));
  const { response } = await receiver.next();
  const closed = once(response, 'close');
  const timedOut = new DeliveryFailure('again', 'no answer within 15000 ms');
  late.abort(timedOut);
  expect(await failure).toBe(timedOut);
  await closed;
});

test('what is sent: method, path and query, Basic, ids, and signatures of all secrets', async () => {
  await using receiver = await startHttpReceiver();
  const uri = `http://us%C3%A9r:p%3Ass@127.0.0.1:${receiver.port}/a%20b?x=1&y=%26`;
  await using endpoint = openAt(uri, { secrets: [hmac, ed25519] });
  const events = [eventAt(1), eventAt(2)];
  await send(endpoint, deliveryOf(events, { id: 'a.b', stream: 's.1', sentAt: 1_614_265_330_999 }));
  const { method, url, headers } = await receiver.next();
  expect([method, url]).toEqual(['POST', '/a%20b?x=1&y=%26']);
  expect(headers).toMatchObject({
    authorization: `Basic ${Buffer.from('usér:p:ss').toString('base64')}`,
    'content-type': 'application/cloudevents-batch+json; charset=utf-8',
    'webhook-id': 'a_b',
    'webhook-timestamp': '1614265330',
    'webhook-signature': expect.stringMatching(/^v1,[^ ]{44} v1a,[^ ]{88}$/) as string,
    'waymark-stream': 's.1',
    'waymark-fence': '7',
    'waymark-sequence': events[1]?.sequence,
    'waymark-attempt': '1',
  });
  await using plain = openAt(hook(receiver));
  await send(plain);
  const heard = (await receiver.next()).headers;
  expect(heard['webhook-signature'] ?? heard.authorization).toBeUndefined();
});

test('binary mode sends one event a request, each with an id of its own', async () => {
  await using receiver = await startHttpReceiver();
  await using endpoint = openAt(hook(receiver), { format: 'binary' });
  const value = Buffer.from([0xff, 0]);
  const event = eventAt(2, { path: '/ä "b"\r\nx: y', value });
  const delivery = deliveryOf([eventAt(1), event], { id: 'd', stream: newStream() });
  await send(endpoint, delivery);
  const [first, second] = receiver.heard;
  expect([first, second].map((one) => one?.headers['webhook-id'])).toEqual(['d_1', 'd_2']);
  expect(second?.body).toEqual(value);
  expect(second?.headers).toMatchObject({
    'content-type': 'application/octet-stream',
    'ce-specversion': '1.0',
    'ce-subject': '/%C3%A4%20%22b%22%0D%0Ax:%20y',
    'waymark-sequence': event.sequence,
    'waymark-previous': event.previous,
  });
  receiver.answer = ({ response, headers }) =>
    response.writeHead(headers['webhook-id'] === 'd_2' ? 500 : 204).end();
  await failureOf(send(endpoint, delivery));
});

test('https checks the certificate and its name; a literal of IPv6 is dialled without brackets', async () => {
  const folder = await certificates();
  const pem = (name: string): Promise<string> => readFile(join(folder, name), 'utf8');
  const tls = { key: await pem('server.key'), cert: await pem('server.crt') };
  await using receiver = await startHttpReceiver(tls);
  const trusting = plainDialer({ ca: await pem('ca.crt') });
  for (const host of ['localhost', '127.0.0.1']) {
    await using endpoint = openAt(`https://${host}:${receiver.port}/`, {}, trusting);
    await send(endpoint);
  }
  await using doubting = openAt(`https://localhost:${receiver.port}/`);
  expect((await failureOf(send(doubting))).verdict).toBe('again');
  expect(receiver.heard).toHaveLength(2);
  await using nowhere = openAt(`http://[::1]:${receiver.port}/`);
  expect((await failureOf(send(nowhere))).message).toContain('::1');
});

test('every connection is made by the dialer, and what it refuses is not reached', async () => {
  await using receiver = await startHttpReceiver();
  const asked: unknown[] = [];
  const refused = new DeliveryFailure('again', 'the address is not allowed');
  const dialer = {
    ...plainDialer(),
    connect: (to: unknown) => {
      asked.push(to);
      return Promise.reject(refused);
    },
  };
  await using endpoint = openAt(hook(receiver), {}, dialer);
  for (const times of [1, 2]) {
    expect(await failureOf(send(endpoint))).toBe(refused);
    expect(asked).toHaveLength(times);
  }
  expect(asked[0]).toEqual({ host: '127.0.0.1', port: receiver.port });
  expect(receiver.heard).toEqual([]);
});

test('loopback is not reached where nobody allowed it, by name or literal', async () => {
  await using receiver = await startHttpReceiver();
  const guard = createDialer({ allow: [] });
  for (const host of ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]', '2130706433', '0x7f.1']) {
    await using endpoint = openAt(`http://${host}:${receiver.port}/`, {}, guard);
    expect((await failureOf(send(endpoint))).message, host).toContain('may not go');
  }
  expect(receiver.heard).toEqual([]);
});
