import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from 'waymark';
import { connectHost, errorTable } from 'waymark/engine';
import { runWaymark } from '../support/command.js';
import { type Served, serve } from './served.js';

let served: Served;
beforeAll(async () => {
  served = await serve();
});
afterAll(async () => await served[Symbol.asyncDispose]());

const call: Served['call'] = (...args) => served.call(...args);
const max = Number.MAX_SAFE_INTEGER;
/** As JSON says them, each exactly. */
const ids = [-1, max, -max, '9007199254740992', '9223372036854775807', '-9223372036854775808'];

test('[rest] a lease has any id of 64 bits: a number, and digits beyond what all programs read exactly', async () => {
  for (const id of ids) {
    const body = { ttlMs: 60_000, id };
    const granted = await call('POST', '/v1/leases', { body });
    expect([granted.status, granted.json]).toEqual([201, { ttlMs: 60_000, id }]);
    expect((await call('POST', '/v1/leases', { body })).json).toMatchObject({
      code: 'conflict',
      lease: id,
    });
    await call('PUT', `/v1/ns/a/keys/leased?lease=${id}`, { body: 'x' });
    const { headers } = await call('GET', '/v1/ns/a/keys/leased');
    expect(headers.get('x-waymark-lease')).toBe(String(id));
    const apply = [{ put: '/in/txn', value: 'x', lease: id }, { get: '/in/txn' }];
    const { json } = await call('POST', '/v1/ns/a/txn', { body: { apply } });
    expect(json['results']).toMatchObject([{}, { entry: { lease: id } }]);
    expect((await call('POST', `/v1/leases/${id}/renew`)).json).toEqual({ ttlMs: 60_000, id });
    expect((await call('GET', `/v1/leases/${id}`)).json).toMatchObject({ id, ttlMs: 60_000 });
    expect((await call('DELETE', `/v1/leases/${id}`)).status).toBe(200);
    expect((await call('GET', `/v1/leases/${id}`)).json).toMatchObject({
      code: 'not_found',
      lease: id,
    });
    expect((await call('GET', '/v1/ns/a/keys/leased')).status).toBe(404);
  }
});

test('[rest] what is no id, or is not told exactly, is refused', async () => {
  const wrong = ['0', '1.5', '9007199254740992', '"7"', '"9223372036854775808"', '"x"', 'null'];
  for (const id of wrong) {
    const body = `{"ttlMs":60000,"id":${id}}`;
    const headers = { 'content-type': 'application/json' };
    const refused = await call('POST', '/v1/leases', { body: Buffer.from(body), headers });
    expect([id, refused.status, refused.json['code']]).toEqual([id, 400, 'invalid']);
  }
  for (const id of ['0', '007x', '9223372036854775808', '-9223372036854775809']) {
    const { status, json } = await call('PUT', `/v1/ns/a/keys/k?lease=${id}`, { body: 'x' });
    expect([id, status, json['code']]).toEqual([id, 400, 'invalid']);
  }
});

test('[rest] locks and names are taken under leases of any id', async () => {
  for (const id of ids) {
    await call('POST', '/v1/leases', { body: { ttlMs: 60_000, id } });
    const lock = await call('POST', '/v1/ns/a/locks/l', { body: { lease: id } });
    expect(lock.json).toMatchObject({ lease: id });
    const name = { owner: 'me', lease: id, keeper: id, list: ['n'] };
    const claimed = await call('POST', '/v1/ns/a/names/x', { body: name });
    expect(claimed.json).toMatchObject({ name: 'n', lease: id });
    const { holders } = (await call('GET', '/v1/ns/a/locks/l')).json;
    expect(holders).toMatchObject([{ lease: id, owner: `lease ${id}` }]);
    const release = `/v1/ns/a/names/x?owner=me&lease=${id}&end=true`;
    expect((await call('DELETE', release)).json).toEqual({ released: true });
    expect((await call('GET', '/v1/ns/a/locks/l')).json['holders']).toEqual([]);
  }
});

test('[wire] clients of the library grant, write under and lock with them as well', async () => {
  const host = await connectHost(served.base);
  await using space = await open(served.base);
  for (const id of ids.map((one) => one as number)) {
    expect((await host.grant(60_000, { id })).id).toBe(id);
    await space.namespace('w').put('/k', 1, { lease: id });
    expect((await space.namespace('w').get('/k'))?.lease).toBe(id);
    const place = { id: 'x', path: '/l', tree: false, mode: 'exclusive' } as const;
    const who = { lease: id, owner: 'me', session: 'me' };
    expect(await host.acquire('w', { ...place, ...who })).toBeGreaterThan(0);
    expect((await host.explain('w', place)).holders).toMatchObject([{ lease: id }]);
    await host.revoke(id);
    expect(await host.lease(id)).toBeNull();
  }
  await host[Symbol.asyncDispose]();
});

test('[cli] a put takes a lease by its digits', async () => {
  for (const id of ids) {
    await call('POST', '/v1/leases', { body: { ttlMs: 60_000, id } });
    const { code } = await runWaymark(served.base, ['put', '/cli', 'x', `--lease=${id}`]).done;
    expect(code).toBe(0);
    const { headers } = await call('GET', '/v1/ns/default/keys/cli');
    expect(headers.get('x-waymark-lease')).toBe(String(id));
  }
  const { code } = await runWaymark(served.base, ['put', '/cli', 'x', '--lease', 'x']).done;
  expect(code).toBe(errorTable.invalid.exit);
});
