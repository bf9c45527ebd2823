import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from 'waymark';
import { type Served, serve } from './served.js';
import { EventReader } from './sse.js';

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(async () => await served[Symbol.asyncDispose]());

const call: Served['call'] = (...args) => served.call(...args);
const stand = (path: string, body: object) =>
  call('POST', `/v1/ns/e/elections${path}`, { body: { ttlMs: 30_000, ...body } });
const stateOf = async (path: string) => (await call('GET', `/v1/ns/e/elections${path}`)).json;

test('[E1] one leads, the next is elected when it resigns, with a greater term', async () => {
  const first = await stand('/chief', { owner: 'one', value: 'at host-1' });
  expect(first).toMatchObject({ status: 200, json: { path: '/chief', ttlMs: 30_000 } });
  const { term, id, lease } = first.json as { term: number; id: string; lease: number };
  expect((await stand('/chief', { owner: 'two' })).json).toMatchObject({
    status: 423,
    code: 'locked',
    holder: 'one',
    token: term,
  });
  const waiting = stand('/chief', { owner: 'two', waitMs: 20_000 });
  await candidates('/chief', 1);
  expect(await stateOf('/chief')).toMatchObject({
    path: '/chief',
    leader: { owner: 'one', term, value: 'at host-1', lease },
    candidates: [{ owner: 'two' }],
  });
  const resigned = await call('DELETE', `/v1/ns/e/elections/chief?id=${id}&lease=${lease}`);
  expect(resigned.json).toEqual({ released: true });
  expect((await call('GET', `/v1/leases/${lease}`)).status).toBe(404);
  const second = await waiting;
  expect(second.status).toBe(200);
  expect(Number(second.json['term'])).toBeGreaterThan(term);
  expect((await stateOf('/chief'))['leader']).toMatchObject({ owner: 'two' });
});

test('[E3] observers are told every leader, proclamation and end, as the library’s are', async () => {
  await using events = await EventReader.open(`${served.base}/v1/ns/e/observe/seen`);
  const next = async () => ((await events.next()) as { data: unknown }).data;
  expect(await next()).toBe(null);
  await using space = await open(served.base, { owner: 'library' });
  const election = space.namespace<{ at: string }>('e').election('/seen');
  const term = await election.campaign({ value: { at: 'a' } });
  expect(await next()).toMatchObject({ owner: 'library', term: term.token, value: '{"at":"a"}' });
  await term.release();
  expect(await next()).toBe(null);

  const { json } = await stand('/seen', { owner: 'rest', base64: '/w==' });
  const taken = await next();
  expect(taken).toMatchObject({ owner: 'rest', base64: '/w==' });
  expect(taken).not.toHaveProperty('value');
  const at = `/v1/ns/e/elections/seen?id=${String(json['id'])}`;
  const put = await call('PUT', `${at}&term=${String(json['term'])}`, {
    body: { value: '{"at":"b"}' },
  });
  expect(put.status).toBe(200);
  expect(await next()).toMatchObject({ owner: 'rest', value: '{"at":"b"}' });
  expect(await election.leader()).toMatchObject({ owner: 'rest', value: { at: 'b' } });
});

test('[E4] a deposed leader proclaims nothing', async () => {
  const { json } = await stand('/late', { value: 'mine' });
  const id = String(json['id']);
  await call('DELETE', `/v1/ns/e/elections/late?id=${id}`);
  const next = await stand('/late', { value: 'next' });
  const put = (term: unknown, query = `id=${id}`) =>
    call('PUT', `/v1/ns/e/elections/late?${query}&term=${String(term)}`, {
      body: { value: 'late' },
    });
  expect((await put(json['term'])).json['code']).toBe('lost');
  expect((await put(next.json['term'])).json['code']).toBe('lost');
  expect((await put(json['term'], `id=${String(next.json['id'])}`)).json['code']).toBe('lost');
  expect((await stateOf('/late'))['leader']).toMatchObject({ value: 'next' });
});

test('[E6] a request that is cut off stands no longer; the wait has an end; a repeated one finds its term', async () => {
  const lease = (await call('POST', '/v1/leases', { body: { ttlMs: 30_000 } })).json['id'];
  const mine = { ttlMs: undefined, lease, id: 'mine' };
  const first = await stand('/cut', mine);
  expect((await stand('/cut', mine)).json['term']).toBe(first.json['term']);
  expect((await stand('/cut', { waitMs: 50 })).json['code']).toBe('timeout');
  const cut = new AbortController();
  const waiting = fetch(`${served.base}/v1/ns/e/elections/cut`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ttlMs: 30_000, waitMs: 60_000 }),
    signal: cut.signal,
  });
  await candidates('/cut', 1);
  cut.abort();
  await expect(waiting).rejects.toThrow();
  await candidates('/cut', 0);
});

test('[E6] a campaign ends with the lease it was made under', async () => {
  await stand('/leased', {});
  const lease = String((await call('POST', '/v1/leases', { body: { ttlMs: 30_000 } })).json['id']);
  const waiting = stand('/leased', { ttlMs: undefined, lease: Number(lease), waitMs: 60_000 });
  await candidates('/leased', 1);
  await call('DELETE', `/v1/leases/${lease}`);
  expect((await waiting).json['code']).toBe('lost');
});

test('[elections] what is asked for badly is told', async () => {
  for (const body of [
    { lease: 1 },
    { ttlMs: undefined },
    { ttlMs: 0 },
    { id: 'a b' },
    { waitMs: -1 },
    { value: 'x', base64: 'eA==' },
    { base64: '?' },
    { more: 1 },
  ]) {
    expect((await stand('/bad', body)).json['code'], JSON.stringify(body)).toBe('invalid');
  }
  expect((await stand('/bad//path', {})).json['code']).toBe('invalid');
  const at = '/v1/ns/e/elections/bad';
  expect((await call('DELETE', at)).json['code']).toBe('invalid');
  expect((await call('PUT', `${at}?id=a`, { body: { value: 'x' } })).json['code']).toBe('invalid');
  expect((await call('PUT', `${at}?id=a&term=1`, { body: {} })).json['code']).toBe('invalid');
  expect((await stand('/bad', { owner: 'ö'.repeat(200) })).json['code']).toBe('too_large');
  expect(await stateOf('/bad')).toMatchObject({ leader: null, candidates: [] });
});

async function candidates(path: string, count: number): Promise<void> {
  while (((await stateOf(path))['candidates'] as unknown[]).length !== count);
}
