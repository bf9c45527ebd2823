import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Answer, type Served, serve } from './served.js';

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(async () => await served[Symbol.asyncDispose]());

const at = '/v1/ns/l';
const call: Served['call'] = (method, path, options) => served.call(method, at + path, options);

interface Shown {
  readonly position: number;
  readonly value: string;
}

async function read(query: string): Promise<[number, string][]> {
  const { json } = await call('GET', `/logs/audit${query}`);
  return (json['entries'] as Shown[]).map(({ position, value }) => [position, value]);
}

test('[J1, J2, J4] entries are appended, once for each id, and read from either end', async () => {
  const first = await call('POST', '/logs/audit?id=one&author=me', { body: Buffer.from('first') });
  expect(first.json).toMatchObject({ position: 1, repeated: false });
  const again = await call('POST', '/logs/audit?id=one', { body: Buffer.from('first') });
  expect(again.json).toEqual({ ...first.json, repeated: true });
  await call('POST', '/logs/audit', { body: Buffer.from('second') });
  await call('POST', '/logs/audit', { body: { third: true } });
  const newest: [number, string][] = [
    [3, '{"third":true}'],
    [2, 'second'],
    [1, 'first'],
  ];
  expect(await read('')).toEqual(newest);
  expect(await read('?limit=1&after=3')).toEqual([newest[1]]);
  expect(await read('?from=oldest')).toEqual([...newest].reverse());
  const { json } = await call('GET', '/logs/audit?from=oldest&limit=1');
  expect(json).toMatchObject({ more: true, entries: [{ author: 'me', position: 1 }] });
});

test('[J5] a long poll is answered by the next entry, and with none when the time is up', async () => {
  expect((await call('GET', '/logs/polled?wait=10ms')).json['entries']).toEqual([]);
  await call('POST', '/logs/polled', { body: Buffer.from('1') });
  const there = await call('GET', '/logs/polled?wait=30s&after=0');
  expect(there.json['entries']).toMatchObject([{ position: 1 }]);
  const waiting = call('GET', '/logs/polled?wait=30s&after=1');
  await call('POST', '/logs/polled', { body: Buffer.from('2') });
  expect((await waiting).json['entries']).toMatchObject([{ position: 2, value: '2' }]);
  expect((await call('GET', '/logs/polled?wait=1s&after=9')).json['code']).toBe('future_revision');
});

test('[J6, J7] retention, and what is refused', async () => {
  for (const value of ['1', '2', '3']) {
    await call('POST', '/logs/short', { body: Buffer.from(value) });
  }
  const kept = await call('PATCH', '/logs/short', { body: { entries: 2 } });
  expect(kept.json).toEqual({ entries: 2, first: 2, next: 4 });
  const refused = [
    await call('PATCH', '/logs/short', { body: { entries: 0 } }),
    await call('PATCH', '/logs/short', { body: { size: 1 } }),
    await call('GET', '/logs/short?limit=0'),
    await call('GET', '/logs/short?from=middle'),
    await call('POST', '/logs/short?id=a%20b', { body: Buffer.from('x') }),
    await call('POST', '/logs/a//b', { body: Buffer.from('x') }),
  ];
  expect(refused.map(({ json }) => json['code'])).toEqual(refused.map(() => 'invalid'));
  expect((await call('GET', '/logs/short?wait=1s&after=0')).json['code']).toBe('compacted');
});

test('[C1, C3, C4] a counter is added to and set', async () => {
  expect((await call('GET', '/counters/hits')).json).toEqual({ value: 0 });
  expect((await call('POST', '/counters/hits', { body: {} })).json).toEqual({ value: 1 });
  expect((await call('POST', '/counters/hits', { body: { by: -3 } })).json).toEqual({ value: -2 });
  const set = (body: object) => call('PUT', '/counters/hits', { body });
  expect((await set({ value: 5, ifValue: 4 })).json).toMatchObject({ status: 412 });
  expect((await set({ value: 5, ifValue: -2 })).json).toEqual({ value: 5 });
  expect((await call('POST', '/counters/hits', { body: { by: 0.5 } })).json['code']).toBe(
    'invalid',
  );
});

test('[C5, C6] a latch is waited for and opened', async () => {
  expect((await call('GET', '/latches/ready?wait=10ms')).json).toEqual({ open: false });
  const waiting = call('GET', '/latches/ready?wait=30s');
  expect((await call('PUT', '/latches/ready')).json).toEqual({ opened: true });
  expect((await waiting).json).toEqual({ open: true });
  expect((await call('PUT', '/latches/ready')).json).toEqual({ opened: false });
});

const arrive = (body: object) => call('POST', '/barriers/start', { body });

async function waits(count: number, query = ''): Promise<void> {
  for (;;) {
    const { json } = await call('GET', `/barriers/start${query}`);
    if ((json['waiting'] as unknown[]).length === count) return;
  }
}

test('[B1, B4, B5] a barrier passes when all have come; who is cut off was not there', async () => {
  expect((await arrive({ parties: 2 })).json['code']).toBe('invalid');
  expect((await arrive({ parties: 2, ttlMs: 30_000, waitMs: 10 })).json['code']).toBe('timeout');
  const cut = new AbortController();
  const gone = fetch(`${served.base}${at}/barriers/start`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ parties: 2, ttlMs: 30_000 }),
    signal: cut.signal,
  });
  await waits(1);
  cut.abort();
  await expect(gone).rejects.toThrow();
  await waits(0);
  const first = arrive({ parties: 2, ttlMs: 30_000, owner: 'one' });
  await waits(1);
  expect((await arrive({ parties: 3, ttlMs: 30_000 })).json['code']).toBe('limit_mismatch');
  expect((await call('GET', '/barriers/start')).json).toMatchObject({
    missing: 1,
    waiting: [{ owner: 'one' }],
  });
  const second = await arrive({ parties: 2, ttlMs: 30_000, id: 'mine' });
  expect(second.json).toEqual({ path: '/start', generation: 1, id: 'mine' });
  expect((await first).json['generation']).toBe(1);
  const { json } = await served.call('GET', '/readyz');
  expect(json['leases']).toBe(0);
});

test('[B6] a double barrier is entered and left together', async () => {
  const enter = () => arrive({ parties: 2, ttlMs: 30_000, double: true });
  const [one, two] = await Promise.all([enter(), enter()]);
  expect([one.json['generation'], two.json['generation']]).toEqual([1, 1]);
  const leave = (id: unknown, more = '') =>
    call('DELETE', `/barriers/start?id=${String(id)}&generation=1${more}`);
  expect((await leave(one.json['id'], '&waitMs=10')).json['code']).toBe('timeout');
  expect((await leave(two.json['id'])).json).toEqual({ left: true });
  expect((await leave(one.json['id'])).json).toEqual({ left: false });
});

test('[J10] an append may stand under a lock or a term, told in two headers', async () => {
  const under = (path: string, token: unknown): Promise<Answer> =>
    call('POST', '/logs/held', {
      body: Buffer.from('x'),
      headers: { 'x-waymark-hold-path': path, 'x-waymark-hold-token': String(token) },
    });
  const { json: lock } = await call('POST', '/locks/job', { body: { ttlMs: 30_000 } });
  expect((await under('/job', lock['token'])).json).toMatchObject({ position: 1 });
  const { json: first } = await call('POST', '/elections/chief', { body: { ttlMs: 30_000 } });
  expect((await under('/chief', first['term'])).json).toMatchObject({ position: 2 });
  await call('DELETE', `/elections/chief?id=${String(first['id'])}`);
  await call('POST', '/elections/chief', { body: { ttlMs: 30_000 } });
  const deposed = await under('/chief', first['term']);
  expect([deposed.status, deposed.json['code']]).toEqual([410, 'lost']);
  expect((await under('/job', 'x')).json['code']).toBe('invalid');
  expect((await call('GET', '/logs/held')).json['entries']).toHaveLength(2);
});
