import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Served, serve } from './served.js';
import { EventReader } from './sse.js';

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(async () => await served[Symbol.asyncDispose]());

const call: Served['call'] = (...args) => served.call(...args);
const claim = (path: string, body: object) => call('POST', `/v1/ns/m/names${path}`, { body });
const members = async (path: string) => (await call('GET', `/v1/ns/m/names${path}`)).json;

test('[A1] over REST: the lowest free name, its members, its release', async () => {
  const first = await claim('/web', { owner: 'one', ttlMs: 30_000 });
  expect(first.json).toMatchObject({ name: 'Denali', position: 0, owner: 'one', ttlMs: 30_000 });
  const second = await claim('/web', { owner: 'two', ttlMs: 30_000 });
  expect(second.json['name']).toBe('MtLogan');
  const { lease, token } = first.json as { lease: number; token: number };
  expect(await members('/web')).toMatchObject({
    size: 99,
    members: [{ name: 'Denali', owner: 'one', token, lease }, { name: 'MtLogan' }],
    kept: [],
    waiting: [],
  });
  const released = `/v1/ns/m/names/web?owner=one&lease=${lease}&token=${token}&end=true`;
  expect((await call('DELETE', released)).json).toEqual({ released: true });
  expect((await call('DELETE', released)).json).toEqual({ released: false });
  expect((await call('GET', `/v1/leases/${lease}`)).status).toBe(404);
  expect((await claim('/web', { owner: 'three', ttlMs: 30_000 })).json['name']).toBe('Denali');
});

test('[A2] over REST: owner and lease name a claim; it ends with the lease', async () => {
  const { id: lease } = (await call('POST', '/v1/leases', { body: { ttlMs: 30_000 } })).json;
  const list = { prefix: 'web', count: 2 };
  const first = await claim('/own', { owner: 'me', lease, list });
  expect(first.json['name']).toBe('web1');
  expect((await claim('/own', { owner: 'me', lease, list })).json).toEqual(first.json);
  expect((await claim('/own', { owner: 'you', lease })).json['name']).toBe('web2');
  await call('DELETE', `/v1/leases/${String(lease)}`);
  expect((await members('/own'))['members']).toEqual([]);
  expect((await claim('/own', { owner: 'me', lease })).json).toMatchObject({ code: 'lost' });
});

test('[A6] over REST: exhausted, or a wait; a request that is cut off stands in line no longer', async () => {
  const list = ['only'];
  const held = (await claim('/one', { owner: 'one', ttlMs: 30_000, list })).json;
  const refused = await claim('/one', { owner: 'two', ttlMs: 30_000 });
  expect(refused.json).toMatchObject({ status: 409, code: 'exhausted' });
  expect((await claim('/one', { owner: 'two', ttlMs: 30_000, waitMs: 20 })).json['code']).toBe(
    'timeout',
  );
  const cut = new AbortController();
  const body = JSON.stringify({ owner: 'cut', ttlMs: 30_000, waitMs: 60_000 });
  const headers = { 'content-type': 'application/json' };
  const gone = fetch(`${served.base}/v1/ns/m/names/one`, {
    method: 'POST',
    headers,
    body,
    signal: cut.signal,
  });
  await inLine('/one', ['cut']);
  const waiting = claim('/one', { owner: 'next', ttlMs: 30_000, waitMs: 60_000 });
  await inLine('/one', ['cut', 'next']);
  cut.abort();
  await expect(gone).rejects.toThrow();
  await inLine('/one', ['next']);
  await call('DELETE', `/v1/ns/m/names/one?owner=one&lease=${String(held['lease'])}`);
  const next = await waiting;
  expect(next.json).toMatchObject({ name: 'only', owner: 'next' });
  expect(Number(next.json['token'])).toBeGreaterThan(Number(held['token']));
});

test('[A9] over REST: a keeper keeps the name for its owner', async () => {
  const keeper = (await call('POST', '/v1/leases', { body: { ttlMs: 60_000 } })).json['id'];
  const first = (await claim('/kept', { owner: 'me', ttlMs: 30_000, keeper })).json;
  await call('DELETE', `/v1/leases/${String(first['lease'])}`);
  expect((await members('/kept'))['kept']).toEqual([{ name: 'Denali', position: 0, owner: 'me' }]);
  expect((await claim('/kept', { owner: 'you', ttlMs: 30_000 })).json['name']).toBe('MtLogan');
  expect((await claim('/kept', { owner: 'me', ttlMs: 30_000 })).json['name']).toBe('Denali');
});

test('[A4] over REST: what is asked for badly is told', async () => {
  const codeOf = async (body: object) => (await claim('/bad', body)).json['code'];
  expect(await codeOf({ owner: 'me' })).toBe('invalid');
  expect(await codeOf({ owner: 'me', ttlMs: 5_000, lease: 1 })).toBe('invalid');
  expect(await codeOf({ ttlMs: 5_000 })).toBe('invalid');
  expect(await codeOf({ owner: 'me', ttlMs: 5_000, list: 'hills' })).toBe('invalid');
  expect(await codeOf({ owner: 'me', ttlMs: 5_000, list: [] })).toBe('invalid');
  expect(await codeOf({ owner: 'me', ttlMs: 5_000, list: ['a\nb'] })).toBe('invalid');
  expect(await codeOf({ owner: 'me', ttlMs: 5_000, list: { prefix: 'x', count: 10_001 } })).toBe(
    'too_large',
  );
  const twice = await claim('/bad', { owner: 'me', ttlMs: 5_000, list: ['a', 'b', 'a'] });
  expect(twice.json).toMatchObject({ code: 'invalid', positions: [0, 2] });
  await claim('/bad', { owner: 'me', ttlMs: 5_000, list: ['a'] });
  expect(await codeOf({ owner: 'you', ttlMs: 5_000, list: ['b'] })).toBe('conflict');
  expect((await call('DELETE', '/v1/ns/m/names/bad?owner=me')).json['code']).toBe('invalid');
});

test('[A7] over REST: the claims as events, then every claim and every end of one', async () => {
  const held = (await claim('/seen', { owner: 'one', ttlMs: 30_000 })).json;
  await using events = await EventReader.open(`${served.base}/v1/ns/m/names/seen?watch`);
  const first = await events.next();
  expect(first?.event).toBe('names');
  expect(first?.data).toMatchObject({ claimed: [{ name: 'Denali', owner: 'one' }], freed: [] });
  await claim('/seen', { owner: 'two', ttlMs: 30_000 });
  const claimed = await events.next();
  expect(claimed?.data).toMatchObject({ claimed: [{ name: 'MtLogan', owner: 'two' }], freed: [] });
  expect(claimed?.data?.['members']).toHaveLength(2);
  await call('DELETE', `/v1/leases/${String(held['lease'])}`);
  const freed = await events.next();
  expect(freed?.data).toMatchObject({ claimed: [], freed: [{ name: 'Denali', owner: 'one' }] });
  expect(Number(freed?.data?.['revision'])).toBeGreaterThan(Number(claimed?.data?.['revision']));
});

async function inLine(path: string, owners: readonly string[]): Promise<void> {
  while (JSON.stringify((await members(path))['waiting']) !== JSON.stringify(owners));
}
