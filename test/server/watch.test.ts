import { afterAll, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';
import { raw, type Served, serve } from './served.js';
import { EventReader, type SentEvent } from './sse.js';

let served: Served;
beforeAll(async () => {
  served = await serve({ heartbeatMs: 50 });
});
afterAll(async () => await served[Symbol.asyncDispose]());

const call: Served['call'] = (...args) => served.call(...args);
const put = (ns: string, path: string, body: string) =>
  call('PUT', `/v1/ns/${ns}/keys/${path}`, { body });
const watch = (ns: string, rest: string, headers?: Record<string, string>) =>
  EventReader.open(`${served.base}/v1/ns/${ns}/watch/${rest}`, headers);

test('[watch] SSE: what is there, then changes; an id ends each whole revision and stands nowhere else', async () => {
  await put('w1', 't/a', '1');
  await put('w1', 't/b', '2');
  const stream = await watch('w1', 't?tree');
  const initial = await stream.take(2);
  expect(
    initial.map((event) => [event.event, event.data?.['path'], event.data?.['initial'], event.id]),
  ).toEqual([
    ['put', '/t/a', true, undefined],
    ['put', '/t/b', true, undefined],
  ]);
  const apply = [{ put: '/t/c', value: '3' }, { put: '/t/d', value: '4' }, { delete: '/t/a' }];
  const { revision } = (await call('POST', '/v1/ns/w1/txn', { body: { apply } })).json;
  const changes = await stream.take(3);
  expect(changes.map((event) => event.id?.split('-')[0])).toEqual([
    undefined,
    undefined,
    String(revision),
  ]);
  expect(new Set(changes.map((event) => event.event))).toEqual(new Set(['delete', 'put']));
  await stream[Symbol.asyncDispose]();
});

test('[watch] SSE: cut again and again, Last-Event-ID resumes: every revision, once, in order', async () => {
  await put('w2', 't/start', '0');
  let stream = await watch('w2', 't?tree');
  await stream.take(1);
  const total = 300;
  const writing = (async () => {
    for (let i = 1; i <= total; i++) await put('w2', `t/k${i % 7}`, String(i));
  })();
  const seen: string[] = [];
  for (let cut = 1; seen.length < total; cut++) {
    const events = await stream.take(Math.min(1 + (cut % 23), total - seen.length));
    seen.push(
      ...events.map((event) =>
        String((event.data?.['entry'] as { value: string } | undefined)?.value),
      ),
    );
    const { lastEventId } = stream;
    await stream[Symbol.asyncDispose]();
    stream = await watch('w2', 't?tree', { 'last-event-id': lastEventId ?? '' });
  }
  await stream[Symbol.asyncDispose]();
  await writing;
  expect(seen).toEqual(Array.from({ length: total }, (_, i) => String(i + 1)));
});

test('[watch] SSE: /ab is outside /a, another namespace is elsewhere, and an idle stream beats', async () => {
  const stream = await watch('w3', 'a?tree&after=0');
  await put('w3', 'ab', 'x');
  await put('w3x', 'a', 'x');
  await put('w3', 'a/in', 'y');
  expect(await stream.next()).toMatchObject({ event: 'put', data: { path: '/a/in' } });
  await stream[Symbol.asyncDispose]();
  const idle = 'GET /v1/ns/w3/watch/none HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const beats = await raw(served.port, idle, (text) => text.split(': alive').length > 2);
  expect(beats).toContain(': connected');
});

test('[watch] SSE: locks and expiry are events', async () => {
  const stream = await watch('w4', 'job?tree');
  const taken = (await call('POST', '/v1/ns/w4/locks/job', { body: { ttlMs: 30_000, owner: 'o' } }))
    .json;
  expect(await stream.next()).toMatchObject({
    event: 'lock',
    data: { path: '/job', lock: { owner: 'o', token: taken['token'] } },
  });
  await call('DELETE', `/v1/leases/${String(taken['lease'])}`);
  expect(await stream.next()).toMatchObject({ event: 'unlock', data: { expired: true } });
  const leased = (await call('POST', '/v1/leases', { body: { ttlMs: 30_000 } })).json['id'];
  await call('PUT', `/v1/ns/w4/keys/job/x?lease=${String(leased)}`, { body: '1' });
  await call('DELETE', `/v1/leases/${String(leased)}`);
  expect((await stream.take(2)).map((event) => event.event)).toEqual(['put', 'expire']);
  await stream[Symbol.asyncDispose]();
});

test('[watch] SSE: compacted history is a resync with what is there, never a skip', async () => {
  const own = await serve({ engine: 'memory' });
  await own.call('PUT', '/v1/ns/c/keys/t/old', { body: '1' });
  // More history than the engine keeps: 64 MiB and 10 000 revisions.
  const body = 'x'.repeat(16_000);
  for (let i = 0; i < 160; i++) {
    await Promise.all(
      Array.from({ length: 64 }, () => own.call('PUT', '/v1/ns/c/keys/t/hot', { body })),
    );
  }
  const stream = await EventReader.open(`${own.base}/v1/ns/c/watch/t?tree`, {
    'last-event-id': '1',
  });
  const [resync, ...present] = await stream.take(3);
  expect(resync).toMatchObject({ event: 'resync', data: { from: 1 }, id: undefined });
  expect(new Set(present.map((event) => event.data?.['path']))).toEqual(
    new Set(['/t/hot', '/t/old']),
  );
  expect(present.map((event) => event.id !== undefined)).toEqual([false, true]);
  await stream[Symbol.asyncDispose]();
  await own[Symbol.asyncDispose]();
});

test('[watch] what cannot be resumed is refused before the stream: another engine, the future, nonsense', async () => {
  const ask = async (id: string) =>
    (await call('GET', '/v1/ns/w5/watch/a', { headers: { 'last-event-id': id } })).json['code'];
  expect(await ask('1-another')).toBe('superseded');
  expect(await ask('999999')).toBe('future_revision');
  expect(await ask('abc')).toBe('invalid');
});

test('[watch] a removed namespace ends its watches with superseded', async () => {
  await put('w6', 'a', '1');
  const stream = await watch('w6', '?tree');
  await stream.take(1);
  await call('DELETE', '/v1/ns/w6');
  const rest: SentEvent[] = [];
  for (let event = await stream.next(); event !== null; event = await stream.next())
    rest.push(event);
  expect(rest.at(-1)).toMatchObject({ event: 'error', data: { code: 'superseded' } });
});

test('[watch] long poll: waits for a change, tells where to go on, and comes back empty in time', async () => {
  const { revision } = (await put('w7', 'a', '1')).json;
  const waiting = call('GET', `/v1/ns/w7/keys/a?wait=30s&after=${String(revision)}`);
  await put('w7', 'other', 'x');
  await put('w7', 'a', '2');
  const changed = (await waiting).json;
  expect(changed['events']).toMatchObject([{ kind: 'put', path: '/a', entry: { value: '2' } }]);
  const missed = await call('GET', `/v1/ns/w7/keys/a?wait=30s&after=${String(revision)}`);
  expect(missed.json['events']).toEqual(changed['events']);
  const empty = await call('GET', `/v1/ns/w7/keys/a?wait=20ms&after=${String(changed['id'])}`);
  expect(empty.json).toMatchObject({ events: [] });
  expect((await call('GET', '/v1/ns/w7/keys/a?wait=20ms&after=1-another')).json['code']).toBe(
    'superseded',
  );
});

test('[watch] WebSocket: JSON events, and where to resume', async () => {
  await put('w8', 'a', '1');
  const messages = await collect('/v1/ns/w8/watch/a', 2, () => undefined);
  expect(messages).toMatchObject([
    { kind: 'put', path: '/a', initial: true },
    { resume: expect.any(Number) },
  ]);
  const id = String(messages[1]?.['id']);
  await put('w8', 'a', '2');
  const resumed = await collect(`/v1/ns/w8/watch/a?after=${id}`, 2, () => put('w8', 'a', '3'));
  expect(resumed[0]).toMatchObject({ kind: 'put', initial: false, entry: { value: '2' } });
});

test('[watch] WebSocket: bad paths and foreign pages are refused, and the server lives on', async () => {
  const refused = async (path: string, origin?: string): Promise<number> => {
    const from = origin === undefined ? '' : `Origin: ${origin}\r\n`;
    const asked = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n${from}`;
    const key = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
    const text = `GET ${path} HTTP/1.1\r\nHost: ${served.address}\r\n${asked}${key}\r\n`;
    const answer = await raw(served.port, text, (part) => part.includes('\r\n\r\n'));
    return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
  };
  for (const path of [
    '//',
    '/v1/ns/%zz/watch',
    '/v1/ns/a/watch/%zz',
    '/v1/ns/a/watch/..',
    '/v1/ns/a/watch/x?after=y',
    '/nothing',
  ]) {
    expect([400, 404], path).toContain(await refused(path));
  }
  expect(await refused('/v1/ns/a/watch/x', 'http://elsewhere.example')).toBe(403);
  expect(await refused('/v1/ns/a/watch/x', served.base)).toBe(101);
  expect(await refused('/v1/socket', 'http://elsewhere.example')).toBe(403);
  expect((await call('GET', '/healthz')).status).toBe(200);
});

function collect(
  path: string,
  count: number,
  opened: () => unknown,
): Promise<Record<string, unknown>[]> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${served.address}${path}`);
    const messages: Record<string, unknown>[] = [];
    socket.on('open', opened);
    socket.on('error', reject);
    socket.on('message', (data: Buffer) => {
      messages.push(JSON.parse(data.toString()) as Record<string, unknown>);
      if (messages.length < count) return;
      socket.close();
      resolve(messages);
    });
  });
}
