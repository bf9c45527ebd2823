import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Served, serve } from './served.js';

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(async () => await served[Symbol.asyncDispose]());

const call: Served['call'] = (...args) => served.call(...args);
const lock = (path: string, body: object) => call('POST', `/v1/ns/l/locks${path}`, { body });

test('[locks] taken with a TTL, explained, written under, released', async () => {
  const taken = await lock('/a', { ttlMs: 30_000, owner: 'me' });
  expect(taken.json).toMatchObject({ path: '/a', tree: false, mode: 'exclusive', ttlMs: 30_000 });
  const { token, id, lease } = taken.json as { token: number; id: string; lease: number };

  const refused = await lock('/a', { ttlMs: 30_000 });
  expect(refused.json).toMatchObject({ status: 423, code: 'locked', holder: 'me', token });
  const explained = await call('GET', '/v1/ns/l/locks/a');
  expect(explained.json['holders']).toMatchObject([{ owner: 'me', token }]);

  const write = (headers: Record<string, string>) =>
    call('PUT', '/v1/ns/l/keys/a', { body: 'x', headers });
  expect((await write({})).json['code']).toBe('locked');
  expect(
    (await write({ 'x-waymark-hold-path': '/a', 'x-waymark-hold-token': String(token) })).status,
  ).toBe(200);
  expect((await write({ 'x-waymark-hold-path': '/a' })).json['code']).toBe('invalid');

  const released = await call('DELETE', `/v1/ns/l/locks/a?id=${id}&lease=${lease}`);
  expect(released.json).toEqual({ released: true });
  expect((await call('GET', `/v1/leases/${lease}`)).status).toBe(404);
  expect(
    (await write({ 'x-waymark-hold-path': '/a', 'x-waymark-hold-token': String(token) })).json[
      'code'
    ],
  ).toBe('lost');
  expect((await write({})).status).toBe(200);
});

test('[locks] a waiting request is granted on release, with a larger token', async () => {
  const first = await lock('/q', { ttlMs: 30_000 });
  const waiting = lock('/q', { ttlMs: 30_000, waitMs: 20_000, owner: 'second' });
  await waitersOf('/q', 1);
  await call('DELETE', `/v1/ns/l/locks/q?id=${String(first.json['id'])}`);
  const second = await waiting;
  expect(second.status).toBe(200);
  expect(Number(second.json['token'])).toBeGreaterThan(Number(first.json['token']));
});

test('[locks] a request that is cut off leaves no place and no lease behind', async () => {
  const held = await lock('/gone', { ttlMs: 30_000 });
  const cut = new AbortController();
  const waiting = fetch(`${served.base}/v1/ns/l/locks/gone`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ttlMs: 30_000, waitMs: 60_000 }),
    signal: cut.signal,
  });
  await waitersOf('/gone', 1);
  cut.abort();
  await expect(waiting).rejects.toThrow();
  await waitersOf('/gone', 0);
  expect(held.status).toBe(200);
});

test('[locks] the wait has an end, and a repeated request finds its hold again', async () => {
  const lease = (await call('POST', '/v1/leases', { body: { ttlMs: 30_000 } })).json['id'];
  const first = await lock('/r', { lease, id: 'mine' });
  expect((await lock('/r', { lease, id: 'mine' })).json['token']).toBe(first.json['token']);
  expect((await lock('/r', { ttlMs: 30_000, waitMs: 50 })).json['code']).toBe('timeout');
});

test('[locks] trees and shared holds; force-unlock ends them', async () => {
  const shared = { ttlMs: 30_000, mode: 'shared', tree: true };
  expect((await lock('/tree', shared)).status).toBe(200);
  expect((await lock('/tree', shared)).status).toBe(200);
  expect((await lock('/tree/below', { ttlMs: 30_000 })).status).toBe(423);
  expect((await lock('/treetop', { ttlMs: 30_000 })).status).toBe(200);
  const forced = await call('POST', '/v1/ns/l/force-unlock/tree', { body: { reason: 'test' } });
  expect(forced.json).toEqual({ ended: 2 });
  expect((await lock('/tree/below', { ttlMs: 30_000 })).status).toBe(200);
});

test('[locks] what is asked for badly is told', async () => {
  for (const body of [
    {},
    { ttlMs: 5_000, lease: 1 },
    { ttlMs: 0 },
    { ttlMs: 5_000, id: 'a b' },
    { ttlMs: 5_000, mode: 'x' },
  ]) {
    expect((await lock('/bad', body)).json['code']).toBe('invalid');
  }
  expect((await call('DELETE', '/v1/ns/l/locks/bad')).json['code']).toBe('invalid');
  expect((await call('POST', '/v1/ns/l/force-unlock/bad', { body: {} })).json['code']).toBe(
    'invalid',
  );
  expect((await lock('/bad', { lease: 987_654 })).status).toBeGreaterThanOrEqual(400);
});

async function waitersOf(path: string, count: number): Promise<void> {
  for (;;) {
    const { waiters } = (await call('GET', `/v1/ns/l/locks${path}`)).json as {
      waiters?: unknown[];
    };
    if ((waiters ?? []).length === count) return;
  }
}

test('[L10] an upgrade waits for other holders, a second one is refused, a downgrade is at once', async () => {
  const change = (hold: Record<string, unknown>, mode: string, body: object) =>
    call('PATCH', `/v1/ns/l/locks/modes?id=${String(hold['id'])}&mode=${mode}`, { body });
  const shared = { ttlMs: 30_000, mode: 'shared' };
  const [a, b] = await Promise.all([lock('/modes', shared), lock('/modes', shared)]);
  expect((await change(a.json, 'shared', { mode: 'exclusive' })).json['code']).toBe('timeout');

  const upgrade = change(a.json, 'shared', { mode: 'exclusive', waitMs: 20_000 });
  await waitersOf('/modes', 1);
  const second = await change(b.json, 'shared', { mode: 'exclusive', waitMs: 20_000 });
  expect(second.json).toMatchObject({ status: 412, code: 'conflict' });
  await call('DELETE', `/v1/ns/l/locks/modes?id=${String(b.json['id'])}&mode=shared`);
  const upgraded = await upgrade;
  expect(upgraded.json).toMatchObject({ path: '/modes', mode: 'exclusive', id: a.json['id'] });
  expect(Number(upgraded.json['token'])).toBeGreaterThan(Number(a.json['token']));

  const down = await change(a.json, 'exclusive', { mode: 'shared' });
  expect(down.json).toMatchObject({ mode: 'shared' });
  expect((await lock('/modes', shared)).status).toBe(200);
  expect((await change(b.json, 'shared', { mode: 'exclusive' })).json['code']).toBe('lost');
  const unnamed = await call('PATCH', '/v1/ns/l/locks/modes', { body: { mode: 'shared' } });
  expect(unnamed.json['code']).toBe('invalid');
});
