import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Served, serve } from './served.js';

let served: Served;
beforeAll(async () => void (served = await serve()));
afterAll(async () => await served[Symbol.asyncDispose]());

async function pathsOf(of: string, path = '', query = ''): Promise<unknown> {
  const { json } = await served.call('GET', `/v1/ns/n/in-use${path}?of=${of}${query}`);
  return json['entries'] ?? json['code'];
}

async function post(collection: string, path: string, body: object | string): Promise<void> {
  const { status, text } = await served.call('POST', `/v1/ns/n/${collection}${path}`, { body });
  expect(status, text).toBe(200);
}

test('[rest] in-use: each kind tells its own paths, those of the root and of neighbours too', async () => {
  const under = { ttlMs: 60_000, owner: 'me' };
  for (const path of ['/a', '/a/b', '/ab', ''])
    await post('locks', path, { ...under, mode: 'shared' });
  await post('locks', '/a/b', { ...under, mode: 'shared' });
  await post('elections', '/chief', under);
  await post('semaphores', '/pool', { ...under, limit: 2 });
  await post('semaphores', '/other', { ...under, limit: 2 });
  await post('names', '/web', under);
  await post('members', '/workers', { id: 'w1', ttlMs: 60_000 });
  for (const text of ['1', '2', '3']) await post('logs', '/audit', text);
  await served.call('PUT', '/v1/ns/n/keys/value', { body: 'v' });

  expect(await pathsOf('locks')).toEqual(['/', '/a', '/a/b', '/ab']);
  expect(await pathsOf('locks', '/a')).toEqual(['/a', '/a/b']);
  expect(await pathsOf('elections')).toEqual(['/chief']);
  expect(await pathsOf('semaphores')).toEqual(['/other', '/pool']);
  expect(await pathsOf('names')).toEqual(['/web']);
  expect(await pathsOf('groups')).toEqual(['/workers']);
  expect(await pathsOf('logs')).toEqual(['/audit']);
  expect(await pathsOf('values')).toBe('invalid');
});

test('[rest] in-use: pages of one revision, each going on after the last', async () => {
  const told: unknown[] = [];
  let query = '&limit=1';
  for (;;) {
    const { json } = await served.call('GET', `/v1/ns/n/in-use?of=locks${query}`);
    const entries = json['entries'] as string[];
    told.push(...entries);
    if (json['more'] !== true) break;
    // What comes later is not in it.
    await post('locks', `/later-${told.length}`, { ttlMs: 60_000 });
    query = `&limit=1&at=${String(json['revision'])}&after=${entries.at(-1) ?? ''}`;
  }
  expect(told).toEqual(['/', '/a', '/a/b', '/ab']);
  expect(await pathsOf('locks', '', '&limit=0')).toBe('invalid');
});

test('[rest] in-use: a lock that was released is not told', async () => {
  const taken = await served.call('POST', '/v1/ns/n/locks/gone', { body: { ttlMs: 60_000 } });
  expect(await pathsOf('locks', '/gone')).toEqual(['/gone']);
  const { id, lease } = taken.json;
  await served.call('DELETE', `/v1/ns/n/locks/gone?id=${String(id)}&lease=${String(lease)}`);
  expect(await pathsOf('locks', '/gone')).toEqual([]);
});

test('[rest] in-use: with access on, it is told of what may be read, and of nothing else', async () => {
  await using guarded = await serve();
  const on = await guarded.call('POST', '/v1/access/on');
  const root = { authorization: `Bearer ${String(on.json['token'])}` };
  const as = { headers: root };
  const body = { actions: ['read'], namespace: 'n', path: '/mine' };
  await guarded.call('POST', '/v1/access/roles/reader/rules', { body, ...as });
  const wish = { body: { user: 'r', roles: ['reader'] }, ...as };
  const made = await guarded.call('POST', '/v1/access/tokens', wish);
  const headers = { authorization: `Bearer ${String(made.json['token'])}` };
  for (const of of ['locks', 'elections', 'semaphores', 'names', 'groups', 'logs']) {
    const at = async (path: string): Promise<number> =>
      (await guarded.call('GET', `/v1/ns/n/in-use${path}?of=${of}`, { headers })).status;
    expect([await at('/mine'), await at('/mine/below')], of).toEqual([200, 200]);
    expect([await at(''), await at('/minefield'), await at('/theirs')], of).toEqual([
      403, 403, 403,
    ]);
  }
});
