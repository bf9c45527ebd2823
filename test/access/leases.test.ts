import { type RunningServer, type ServerOptions, startServer } from '@waymark/server';
import { isWaymarkError } from 'waymark';
import {
  connectHost,
  createMemoryEngine,
  type Engine,
  type Host,
  type LeaseId,
  toLeaseId,
} from 'waymark/engine';
import { KV, Lease } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { answer, firstOf, keepAliveAnswer } from '../etcd/auth-world.js';
import { EtcdApi } from '../etcd/client.js';

/** Whose a lease is, over each face. */

interface World extends AsyncDisposable {
  readonly engine: Engine;
  readonly ask: (as: string, method: string, path: string, body?: object) => Promise<Response>;
  /** By user: each may write, lock and read below `/a` of the namespace `etcd`. */
  readonly hosts: ReadonlyMap<string, Host>;
  readonly apis: ReadonlyMap<string, EtcdApi>;
}

async function world(limits: Pick<ServerOptions, 'leasesMax' | 'locksMax'> = {}): Promise<World> {
  const engine = createMemoryEngine();
  let root = '';
  const server: RunningServer = await startServer({
    ...{ engine, access: true, logLevel: 'silent', watchers: false, stash: false },
    ...limits,
    listen: ['127.0.0.1:0'],
    firstToken: (token) => (root = token),
    audit: () => {},
  });
  const address = server.addresses[0] as string;
  const tokens = new Map([['root', root]]);
  const ask: World['ask'] = (as, method, path, body) =>
    fetch(`http://${address}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${tokens.get(as)}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  const rule = { actions: ['read', 'write', 'lock'], namespace: 'etcd', path: '/a' };
  await ask('root', 'POST', '/v1/access/roles/r/rules', rule);
  for (const user of ['ada', 'bob']) {
    const made = await ask('root', 'POST', '/v1/access/tokens', { user, roles: ['r'] });
    tokens.set(user, ((await made.json()) as { token: string }).token);
  }
  const hosts = new Map<string, Host>();
  const apis = new Map<string, EtcdApi>();
  for (const [user, token] of tokens) {
    hosts.set(user, await connectHost(`http://${address}`, { token }));
    apis.set(user, new EtcdApi(address, { token }));
  }
  return {
    ...{ engine, ask, hosts, apis },
    async [Symbol.asyncDispose]() {
      for (const host of hosts.values()) await host[Symbol.asyncDispose]();
      for (const api of apis.values()) api[Symbol.dispose]();
      await server.close();
    },
  };
}

/** What a call came to: its code where it failed. */
async function came(call: Promise<unknown>): Promise<unknown> {
  return await call.catch((error: unknown) => {
    expect(isWaymarkError(error), String(error)).toBe(true);
    return (error as { code: string }).code;
  });
}

test('[A4.4] a lease is its user’s, and of the one who may do everything: to others it is as one that never was', async () => {
  await using here = await world();
  const [ada, bob, root] = ['ada', 'bob', 'root'].map((name) => here.hosts.get(name) as Host);
  const lease = await (ada as Host).grant(60_000);
  const kept = await (ada as Host).grant(60_000);
  const put = (host: Host, key: string, id: LeaseId) =>
    came(host.commit('etcd', { apply: [{ type: 'put', key, value: '', lease: id }] }));
  await put(ada as Host, 'd/a/x', kept.id);
  expect((await (ada as Host).lease(kept.id))?.keys).toEqual(['n/etcd/d/a/x']);
  for (const { id } of [lease, kept, { id: toLeaseId(12_345n) }]) {
    const others = bob as Host;
    expect(await others.lease(id)).toBeNull();
    expect(await came(others.renew(id))).toBe('not_found');
    expect(await came(others.revoke(id))).toBe('not_found');
    expect(await put(others, 'd/a/y', id)).toBe('not_found');
    const wish = { path: '/a/l', tree: false, mode: 'exclusive', lease: id, waitMs: 0 } as const;
    const named = { ...wish, id: 'b', owner: '', session: 'b' };
    expect(await came(others.acquire('etcd', named))).toMatch(/^(not_found|lost)$/);
    for (const [method, path] of [
      ['GET', ''],
      ['POST', '/renew'],
      ['DELETE', ''],
    ] as const) {
      expect((await here.ask('bob', method, `/v1/leases/${id}${path}`)).status).toBe(404);
    }
  }
  expect((await (root as Host).lease(lease.id))?.keys).toEqual([]);
  expect((await (root as Host).renew(lease.id)).id).toBe(lease.id);
  expect((await (ada as Host).renew(lease.id)).id).toBe(lease.id);
  expect((await here.ask('ada', 'POST', `/v1/leases/${lease.id}/renew`)).status).toBe(200);
  await (ada as Host).revoke(kept.id);
  await (ada as Host).revoke(lease.id);
  const { entries } = await here.engine.read({ key: 'w/lease/', end: 'w/lease0' });
  expect(entries, 'nothing is kept of leases that have ended').toEqual([]);
});

test('[A4.4] over etcd’s API one without keys is its user’s; with keys, of who may write them all, as in etcd', async () => {
  await using here = await world();
  const [ada, bob] = ['ada', 'bob'].map((name) => here.apis.get(name) as EtcdApi) as [
    EtcdApi,
    EtcdApi,
  ];
  const { leaseGrant, leaseRevoke, leaseTimeToLive, leaseLeases } = Lease.method;
  await ada.call(leaseGrant, { ID: 7n, TTL: 60n });
  const absent = '5 etcdserver: requested lease not found';
  const key = Buffer.from('/a/x');
  for (const ID of [7n, 8n]) {
    expect(await answer(bob, leaseRevoke, { ID })).toBe(absent);
    expect(await answer(bob, KV.method.put, { key, lease: ID })).toBe(absent);
    for (const keys of [false, true]) {
      expect(await bob.call(leaseTimeToLive, { ID, keys })).toMatchObject({ TTL: -1n, keys: [] });
    }
    const told = firstOf(bob, Lease.method.leaseKeepAlive, (stream) => stream.write({ ID }));
    expect(await told).toMatchObject({ ID, TTL: 0n });
  }
  expect(await answer(bob, leaseLeases, {})).toBe('7 etcdserver: permission denied');
  expect((await ada.call(leaseTimeToLive, { ID: 7n, keys: true })).TTL).toBeGreaterThan(0n);
  expect(await keepAliveAnswer(ada, 7n)).toBe('ok');
  await ada.call(KV.method.put, { key, lease: 7n });
  expect((await bob.call(leaseTimeToLive, { ID: 7n, keys: true })).keys.map(String)).toEqual([
    String(key),
  ]);
  expect((await bob.call(leaseTimeToLive, { ID: 7n })).TTL).toBeGreaterThan(0n);
  expect(await keepAliveAnswer(bob, 7n)).toBe('ok');
  expect((await here.hosts.get('bob')?.lease(7))?.keys).toBeUndefined();
  expect(await answer(bob, leaseRevoke, { ID: 7n })).toBe('ok');
});

test('[A4.4] one that was granted while access was off is judged by its keys alone', async () => {
  await using here = await world();
  const bob = here.hosts.get('bob') as Host;
  const { id } = await here.engine.grant(60_000);
  expect((await bob.renew(id)).id).toBe(id);
  await here.engine.commit({ apply: [{ type: 'put', key: 'n/etcd/d/b', value: '', lease: id }] });
  expect(await came(bob.renew(id))).toBe('not_found');
});

/** Until a call is answered with another status: what is there is looked up within a second. */
async function roomFor(call: () => Promise<{ readonly status: number }>): Promise<number> {
  for (const late = performance.now() + 10_000; ;) {
    const { status } = await call();
    if (status !== 429 || performance.now() > late) return status;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('[limits] leases of one user over REST and etcd’s API: the last is granted, one more is not; one that is given back or has ended leaves its room', async () => {
  await using here = await world({ leasesMax: 4 });
  const grant = (as: string): Promise<Response> =>
    here.ask(as, 'POST', '/v1/leases', { ttlMs: 600_000 });
  const over = (as: string, ID = 0n): Promise<unknown> =>
    answer(here.apis.get(as) as EtcdApi, Lease.method.leaseGrant, { ID, TTL: 600n });
  const granted = ((await (await grant('ada')).json()) as { id: LeaseId }).id;
  expect(await over('ada', 77n)).toBe('ok');
  // One that is taken is none more.
  expect(await over('ada', 77n)).toMatch(/exists/);
  const body = { ttlMs: 600_000, id: 'h' };
  expect((await here.ask('ada', 'POST', '/v1/ns/etcd/locks/a/l', body)).status).toBe(200);
  expect((await grant('ada')).status).toBe(201);
  const refused = await grant('ada');
  expect([refused.status, await refused.json()]).toMatchObject([
    429,
    { code: 'overloaded', limit: 'leasesMax', max: 4 },
  ]);
  expect(await over('ada')).toMatch(/^8 /);
  // Who comes by a connection of its own is counted by that.
  await (here.hosts.get('ada') as Host).grant(600_000);
  for (const other of ['bob', 'root']) {
    for (let n = 0; n < 2; n++) {
      expect((await grant(other)).status).toBe(201);
      expect(await over(other)).toBe('ok');
    }
  }
  expect((await grant('bob')).status).toBe(429);
  expect((await grant('root')).status).toBe(201);
  const ada = here.apis.get('ada') as EtcdApi;
  expect(await answer(ada, Lease.method.leaseRevoke, { ID: 77n })).toBe('ok');
  expect((await grant('ada')).status).toBe(201);
  expect((await grant('ada')).status).toBe(429);
  await here.engine.revoke(granted);
  expect(await roomFor(() => grant('ada'))).toBe(201);
  expect((await grant('ada')).status).toBe(429);
});

test('[limits] locks of one user over REST: the last is taken, one more is not; what was refused, released or forced leaves its room', async () => {
  await using here = await world({ locksMax: 3 });
  const take = (as: string, path: string): Promise<Response> =>
    here.ask(as, 'POST', `/v1/ns/etcd/locks/a/${path}`, { id: as, ttlMs: 600_000 });
  expect((await take('bob', 'his')).status).toBe(200);
  for (const path of ['x', 'y', 'z']) {
    expect((await take('ada', 'his')).status).toBe(423);
    expect((await take('ada', path)).status).toBe(200);
  }
  const refused = await take('ada', 'more');
  expect([refused.status, await refused.json()]).toMatchObject([
    429,
    { code: 'overloaded', limit: 'locksMax', max: 3 },
  ]);
  expect((await take('bob', 'more')).status).toBe(200);
  expect((await here.ask('ada', 'DELETE', '/v1/ns/etcd/locks/a/x?id=ada')).status).toBe(200);
  expect((await take('ada', 'x')).status).toBe(200);
  expect((await take('ada', 'w')).status).toBe(429);
  await (here.hosts.get('root') as Host).forceUnlock('etcd', '/a/y', 'a test');
  expect(await roomFor(() => take('ada', 'y'))).toBe(200);
  expect((await take('ada', 'w')).status).toBe(429);
});
