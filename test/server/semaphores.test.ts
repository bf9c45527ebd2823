import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from 'waymark';
import { type Answer, type Served, serve } from './served.js';

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(async () => await served[Symbol.asyncDispose]());

const call: Served['call'] = (...args) => served.call(...args);
const take = (path: string, body: object): Promise<Answer> =>
  call('POST', `/v1/ns/s/semaphores${path}`, { body: { ttlMs: 30_000, ...body } });
const state = async (path: string): Promise<Record<string, unknown>> =>
  (await call('GET', `/v1/ns/s/semaphores${path}`)).json;
const giveBack = (path: string, { json }: Answer, lease = false): Promise<Answer> => {
  const { id, lease: under } = json as { id: string; lease: number };
  return call('DELETE', `/v1/ns/s/semaphores${path}?id=${id}${lease ? `&lease=${under}` : ''}`);
};

async function waitersOf(path: string, count: number): Promise<void> {
  const late = AbortSignal.timeout(10_000);
  while ((await state(path))['waiting'] !== count) late.throwIfAborted();
}

test('[P2 P8] taken with a weight, refused when full, explained, released with its lease', async () => {
  const first = await take('/a', { limit: 3, weight: 2, owner: 'me' });
  expect(first.json).toMatchObject({ path: '/a', weight: 2, ttlMs: 30_000 });
  const refused = await take('/a', { weight: 2 });
  expect(refused.json).toMatchObject({ status: 409, code: 'exhausted', path: '/a' });
  expect(refused.json['detail']).toMatch(
    /^me holds 2 of 3 .* a request of weight 2 would wait: 1 free$/,
  );
  expect((await take('/a', {})).status, 'one fits').toBe(200);
  expect(await state('/a')).toMatchObject({
    limit: 3,
    used: 3,
    holding: 2,
    waiting: 0,
    holders: [{ owner: 'me', weight: 2, token: first.json['token'] }, { weight: 1 }],
  });
  expect((await giveBack('/a', first, true)).json).toEqual({ released: true });
  expect((await call('GET', `/v1/leases/${String(first.json['lease'])}`)).status).toBe(404);
  expect((await state('/a'))['used']).toBe(1);
});

test('[P10] a second release is harmless, and told', async () => {
  const taken = await take('/twice', { limit: 1 });
  expect((await giveBack('/twice', taken)).json).toEqual({ released: true });
  const other = await take('/twice', {});
  expect((await giveBack('/twice', taken)).json).toEqual({ released: false });
  expect((await state('/twice'))['holders']).toMatchObject([{ token: other.json['token'] }]);
  const unnamed = await call('DELETE', '/v1/ns/s/semaphores/twice');
  expect(unnamed.json['code']).toBe('invalid');
});

test('[P1] requests that wait are served in order, beside those of the library', async () => {
  await using space = await open(served.base, { owner: 'library' });
  const semaphore = space.namespace('s').semaphore('/q', { limit: 2 });
  const held = await semaphore.acquire({ weight: 2 });
  const large = take('/q', { weight: 2, waitMs: 20_000, owner: 'large' });
  await waitersOf('/q', 1);
  const small = semaphore.acquire();
  await waitersOf('/q', 2);
  await held.release();
  expect((await large).json).toMatchObject({ weight: 2 });
  expect(await state('/q')).toMatchObject({ waiters: [{ owner: 'library' }] });
  await giveBack('/q', await large);
  expect((await small).token).toBeGreaterThan(Number((await large).json['token']));
});

test('[P5] a request that is cut off, or runs out of time, leaves no place and no lease behind', async () => {
  await take('/gone', { limit: 1 });
  expect((await take('/gone', { waitMs: 50 })).json['code']).toBe('timeout');
  const leases = async (): Promise<unknown> => (await call('GET', '/readyz')).json['leases'];
  const before = await leases();
  const cut = new AbortController();
  const waiting = fetch(`${served.base}/v1/ns/s/semaphores/gone`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ttlMs: 30_000, waitMs: 60_000 }),
    signal: cut.signal,
  });
  await waitersOf('/gone', 1);
  cut.abort();
  await expect(waiting).rejects.toThrow();
  await waitersOf('/gone', 0);
  const late = AbortSignal.timeout(10_000);
  while ((await leases()) !== before) late.throwIfAborted();
});

test('[P10] a repeated request with the same id and lease takes one permit', async () => {
  const { json } = await call('POST', '/v1/leases', { body: { ttlMs: 30_000 } });
  const body = { ttlMs: undefined, lease: json['id'], id: 'mine', limit: 2 };
  const first = await take('/r', body);
  expect(first.json['lease']).toBe(json['id']);
  expect((await take('/r', body)).json['token']).toBe(first.json['token']);
  expect((await state('/r'))['used']).toBe(1);
});

test('[P9] the permit of a lease that ended is back', async () => {
  const { json } = await call('POST', '/v1/leases', { body: { ttlMs: 30_000 } });
  await take('/dead', { ttlMs: undefined, lease: json['id'], limit: 1 });
  const next = take('/dead', { waitMs: 20_000 });
  await waitersOf('/dead', 1);
  await call('DELETE', `/v1/leases/${String(json['id'])}`);
  expect((await next).status).toBe(200);
  const lost = await take('/dead', { ttlMs: undefined, lease: json['id'] });
  expect(lost.json['code'], 'there is no room').toBe('exhausted');
  const late = await take('/dead', { ttlMs: undefined, lease: json['id'], waitMs: 1_000 });
  expect(late.json['code'], 'a lease that has ended holds nothing').toBe('lost');
});

test('[P6 P7] limits: stored, told apart, changed under use', async () => {
  const none = await take('/limits', {});
  expect(none.json).toMatchObject({ status: 404, code: 'not_found', path: '/limits' });
  expect((await call('GET', '/v1/ns/s/semaphores/limits')).json['code']).toBe('not_found');
  const held = await take('/limits', { limit: 2, weight: 2 });
  const other = await take('/limits', { limit: 3 });
  expect(other.json).toMatchObject({ status: 409, code: 'limit_mismatch', max: 2, actual: 3 });
  expect((await take('/limits', { weight: 3 })).json).toMatchObject({ code: 'invalid', max: 2 });
  const resize = (limit: unknown): Promise<Answer> =>
    call('PATCH', '/v1/ns/s/semaphores/limits', { body: { limit } });
  expect((await resize(1)).json).toMatchObject({ limit: 1 });
  expect(await state('/limits')).toMatchObject({ limit: 1, used: 2 });
  const waiting = take('/limits', { waitMs: 20_000 });
  await waitersOf('/limits', 1);
  await resize(3);
  expect((await waiting).status, 'three fit now').toBe(200);
  const forget = (): Promise<Answer> => call('POST', '/v1/ns/s/forget-semaphore/limits');
  expect((await forget()).json['code']).toBe('conflict');
  await giveBack('/limits', held);
  await giveBack('/limits', await waiting);
  expect((await forget()).json).toEqual({ removed: true });
  expect((await forget()).json).toEqual({ removed: false });
});

test.each([
  [{ weight: 0 }],
  [{ weight: 1.5 }],
  [{ weight: 10_001 }],
  [{ limit: 0 }],
  [{ limit: '2' }],
  [{ limit: 1, weight: 2 }],
  [{ waitMs: 600_001 }],
  [{ id: 'no spaces' }],
  [{ lease: 1 }],
  [{ ttlMs: undefined }],
  [{ ttlMs: 5 }],
  [{ more: true }],
])('[P6] bad input is refused before any work: %o', async (body) => {
  const refused = await take('/bad', { limit: 2, ...body });
  expect(refused.json).toMatchObject({ status: 400, code: 'invalid' });
  expect((await call('GET', '/v1/ns/s/semaphores/bad')).status).toBe(404);
});
