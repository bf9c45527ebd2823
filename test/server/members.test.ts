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
const leases = async (): Promise<number> => Number((await call('GET', '/readyz')).json['leases']);
const group = '/v1/ns/m/members/workers';
const join = (body: object, at = group) => call('POST', at, { body });
const idsOf = ({ json }: { json: Record<string, unknown> }): string[] =>
  (json['members'] as { id: string }[]).map(({ id }) => id);

test('[members] joined with a TTL, seen by the library, updated, left', async () => {
  const meta = { zone: 'x', tags: [1, null] };
  const joined = await join({ id: 'w1', ttlMs: 30_000, address: '10.0.0.1:80', meta, owner: 'me' });
  expect(joined.json).toMatchObject({ path: '/workers', id: 'w1', ttlMs: 30_000 });
  const { incarnation, lease } = joined.json as { incarnation: number; lease: number };

  await using space = await open(served.base);
  const { members } = await space.namespace('m').members('/workers').list();
  const facts = { id: 'w1', incarnation, lease, owner: 'me', address: '10.0.0.1:80', meta };
  expect(members).toEqual([{ ...facts, revision: incarnation }]);
  const listed = await call('GET', group);
  expect(listed.json).toMatchObject({ members, leader: null });

  const named = `${group}?id=w1&incarnation=${incarnation}`;
  const updated = await call('PATCH', named, { body: { address: 'elsewhere' } });
  expect(updated.json['revision']).toBeGreaterThan(incarnation);
  expect((await call('GET', group)).json['members']).toMatchObject([
    { address: 'elsewhere', meta, incarnation },
  ]);
  expect((await call('DELETE', `${named}&lease=${lease}`)).json).toEqual({ left: true });
  expect((await call('DELETE', named)).json).toEqual({ left: false });
  expect((await call('GET', `/v1/leases/${lease}`)).status).toBe(404);
  const late = await call('PATCH', named, { body: { address: 'nowhere' } });
  expect(late.json).toMatchObject({ status: 410, code: 'lost' });
  expect(idsOf(await call('GET', group))).toEqual([]);
});

test('[members] an id that is taken is refused and leaves no lease; a repeated join finds its own', async () => {
  const before = await leases();
  const lease = Number((await call('POST', '/v1/leases', { body: { ttlMs: 30_000 } })).json['id']);
  const joined = await join({ id: 'w2', lease });
  expect((await join({ id: 'w2', lease })).json).toEqual(joined.json);
  const refused = await join({ id: 'w2', ttlMs: 30_000 });
  expect(refused.json).toMatchObject({ status: 412, code: 'conflict', holder: `lease ${lease}` });
  expect(await leases()).toBe(before + 1);
  await call('DELETE', `/v1/leases/${lease}`);
  expect((await join({ id: 'w2', lease })).json['code']).toBe('lost');
  expect(idsOf(await call('GET', group))).toEqual([]);
});

test('[members] the stream tells who joined, who leads, who left and who failed', async () => {
  const at = '/v1/ns/m/members/streamed';
  await using events = await EventReader.open(`${served.base}${at}?watch`);
  const next = async (): Promise<Record<string, unknown>> => (await events.next())?.data ?? {};
  expect(await next()).toMatchObject({ members: [], joined: [], leader: null });
  const one = (await join({ id: 'one', ttlMs: 30_000 }, at)).json;
  expect(await next()).toMatchObject({ joined: [{ id: 'one' }], members: [{ id: 'one' }] });
  const space = await open(served.base);
  await space.namespace('m').members('/streamed').join({ id: 'two', lead: true });
  expect(await next()).toMatchObject({ joined: [{ id: 'two' }] });
  expect(await next()).toMatchObject({ leader: { id: 'two' }, joined: [] });
  expect((await call('GET', at)).json['leader']).toMatchObject({ id: 'two' });
  await call('DELETE', `/v1/leases/${String(one['lease'])}`);
  expect(await next()).toMatchObject({ failed: [{ id: 'one' }], left: [] });
  await space.close();
  expect(await next()).toMatchObject({ leader: null, left: [] });
  expect(await next()).toMatchObject({ left: [{ id: 'two' }], failed: [], members: [] });
});

test.each([
  [{ ttlMs: 30_000 }, 'invalid'],
  [{ id: 'x' }, 'invalid'],
  [{ id: 'x', lease: 1, ttlMs: 30_000 }, 'invalid'],
  [{ id: 'x', ttlMs: 1 }, 'invalid'],
  [{ id: 'x', ttlMs: 30_000, more: 1 }, 'invalid'],
  [{ id: 'x'.repeat(129), ttlMs: 30_000 }, 'too_large'],
  [{ id: 'x', ttlMs: 30_000, meta: 'x'.repeat(16_383) }, 'too_large'],
  [{ id: 'x', ttlMs: 30_000, address: 'x'.repeat(513) }, 'too_large'],
])('[members] %j is refused and joins nobody', async (body, code) => {
  const before = await leases();
  expect((await join(body, '/v1/ns/m/members/bad')).json['code']).toBe(code);
  expect(await leases()).toBe(before);
  expect(idsOf(await call('GET', '/v1/ns/m/members/bad'))).toEqual([]);
});

test('[members] the root is a group, and paths are checked', async () => {
  await join({ id: 'r', ttlMs: 30_000 }, '/v1/ns/m/members');
  expect(idsOf(await call('GET', '/v1/ns/m/members'))).toEqual(['r']);
  expect((await call('GET', '/v1/ns/m/members/a%2Fb')).json['code']).toBe('invalid');
  expect((await call('DELETE', `${group}?id=x`)).json['code']).toBe('invalid');
});
