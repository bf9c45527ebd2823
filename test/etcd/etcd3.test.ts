import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEtcd as startWaymark } from '@waymark/server/testing';
import { Etcd3, type IKeyValue, type Watcher } from 'etcd3';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startEtcd } from '../support/etcd.js';
import { startPostgres } from '../support/postgres.js';

/** What the documentation of the etcd3 package shows, over Waymark on each engine and over etcd. */
const servers = [
  { name: 'Waymark', start: () => waymark() },
  { name: 'Waymark on a file', start: onFolder },
  { name: 'Waymark on PostgreSQL', start: onPostgres },
  { name: 'Waymark on etcd', start: onEtcd },
  { name: 'etcd 3.4', start: startEtcd },
  { name: 'etcd 3.5', start: () => startEtcd({ version: '3.5' }) },
];

interface Served {
  readonly address: string;
  stop(): Promise<void>;
}

async function waymark(engine?: string): Promise<Served> {
  const { address, close } = await startWaymark({ engine });
  return { address, stop: close };
}

async function onFolder(): Promise<Served> {
  const folder = await mkdtemp(join(tmpdir(), 'waymark-etcd3-'));
  return await standingOn(`file:${folder}`, () => rm(folder, { recursive: true }));
}

async function onPostgres(): Promise<Served> {
  const { url, stop } = await startPostgres();
  return await standingOn(url, stop);
}

async function onEtcd(): Promise<Served> {
  const { address, stop } = await startEtcd();
  return await standingOn(`etcd://${address}/etcd3`, stop);
}

async function standingOn(engine: string, end: () => Promise<void>): Promise<Served> {
  const { address, stop } = await waymark(engine);
  return { address, stop: () => stop().then(end) };
}

describe.each(servers)('the etcd3 package over $name', ({ start }) => {
  let server: Served;
  let client: Etcd3;

  beforeAll(async () => {
    server = await start();
    client = new Etcd3({ hosts: server.address });
  });

  beforeEach(() => client.delete().all());

  afterAll(async () => {
    client.close();
    await server.stop();
  });

  test('values: put, get in each form, ranges, counts, deletes', async () => {
    await client.put('foo').value('bar');
    await client.put('foo2').value('42');
    await client.put('json').value(JSON.stringify({ a: 1 }));
    expect(await client.get('foo').string()).toBe('bar');
    expect(await client.get('foo2').number()).toBe(42);
    expect(await client.get('json').json()).toEqual({ a: 1 });
    expect(await client.get('foo').buffer()).toEqual(Buffer.from('bar'));
    expect(await client.get('absent').string()).toBe(null);
    expect(await client.get('foo').exists()).toBe(true);
    expect(await client.getAll().prefix('foo').strings()).toEqual({ foo: 'bar', foo2: '42' });
    expect(await client.getAll().prefix('foo').keys()).toEqual(['foo', 'foo2']);
    expect(await client.getAll().prefix('foo').count()).toBe(2);
    expect(await client.getAll().sort('Key', 'Descend').limit(2).keys()).toEqual(['json', 'foo2']);
    expect(await client.getAll().inRange({ start: 'foo', end: 'foo2' }).keys()).toEqual(['foo']);
    const { prev_kv } = await client
      .put('foo')
      .value('baz')
      .getPrevious()
      .then((kv) => ({ prev_kv: kv }));
    expect(prev_kv?.value.toString()).toBe('bar');
    expect(
      await client
        .delete()
        .prefix('foo')
        .then(({ deleted }) => deleted),
    ).toBe('2');
    expect(await client.get('foo').string()).toBe(null);
  });

  test('a put that touches keeps the value, and one of a missing key is refused', async () => {
    await client.put('foo').value('bar');
    await client.put('foo').ignoreLease().value('again');
    await client.put('foo').touch();
    expect(await client.get('foo').string()).toBe('again');
    await expect(client.put('absent').touch()).rejects.toThrow('key not found');
  });

  test('transactions: if, then, else', async () => {
    await client.put('foo').value('bar');
    const swap = (expected: string): Promise<{ succeeded: boolean }> =>
      client
        .if('foo', 'Value', '==', expected)
        .then(client.put('foo').value('swapped'))
        .else(client.get('foo'))
        .commit();
    expect((await swap('other')).succeeded).toBe(false);
    expect((await swap('bar')).succeeded).toBe(true);
    expect(await client.get('foo').string()).toBe('swapped');
    const made = await client
      .if('new', 'Create', '==', 0)
      .then(client.put('new').value('1'))
      .commit();
    expect(made.succeeded).toBe(true);
  });

  test('namespaces see their own keys without the prefix', async () => {
    const users = client.namespace('users/');
    await users.put('alice').value('1');
    expect(await users.get('alice').string()).toBe('1');
    expect(await client.get('users/alice').string()).toBe('1');
    expect(await users.getAll().keys()).toEqual(['alice']);
    const watcher = await users.watch().prefix('').create();
    const told = once(watcher, 'put');
    await client.put('users/bob').value('2');
    const [{ key }] = (await told) as [{ key: Buffer }];
    expect(key.toString()).toBe('bob');
    await watcher.cancel();
    await users.delete().all();
    expect(await client.get('users/alice').string()).toBe(null);
  });

  test('watch builders: key, prefix, previous values, from a revision', async () => {
    const { header } = await client.put('w/a').value('0');
    const all = await client.watch().prefix('w/').withPreviousKV().create();
    const one = await client.watch().key('w/a').create();
    const past = client.watch().key('w/a').startRevision(header.revision).watcher();
    const [old] = await next(past, 'put');
    expect(old?.value.toString()).toBe('0');
    const [told, toldOne] = [next(all, 'put'), next(one, 'put')];
    await client.put('w/a').value('1');
    expect((await told).map((kv) => kv?.value.toString())).toEqual(['1', '0']);
    expect((await toldOne)[0]?.value.toString()).toBe('1');
    const toldDelete = next(all, 'delete');
    await client.delete().key('w/a');
    expect((await toldDelete)[0]?.key.toString()).toBe('w/a');
    for (const watcher of [all, one, past]) await watcher.cancel();
  });

  test('a watcher that begins before a compaction is told so', async () => {
    const { header } = await client.put('c').value('0');
    const { header: last } = await client.put('c').value('1');
    await client.kv.compact({ revision: last.revision });
    const watcher = client.watch().key('c').startRevision(header.revision).watcher();
    const ended = new Promise((resolve) => watcher.once('error', resolve));
    expect(String(await ended)).toContain('Watcher canceled');
  });

  test('leases: keys go with them, keep-alive holds them, revoke ends them', async () => {
    const lease = client.lease(2);
    await lease.put('leased').value('1');
    const id = await lease.grant();
    await once(lease, 'keepaliveSucceeded');
    expect(await client.get('leased').string()).toBe('1');
    const state = await client.leaseClient.leaseTimeToLive({ ID: id, keys: true });
    expect(state.keys.map(String)).toEqual(['leased']);
    await lease.revoke();
    expect(await client.get('leased').string()).toBe(null);
  });

  test('a lease whose end is not told by anyone emits lost', async () => {
    const lease = client.lease(60);
    const id = await lease.grant();
    const lost = once(lease, 'lost');
    await client.leaseClient.leaseRevoke({ ID: id });
    lease.keepaliveOnce().catch(() => undefined);
    expect(await lost).toHaveLength(1);
  });

  test('locks: one at a time', async () => {
    const lock = client.lock('shared').ttl(5);
    await lock.acquire();
    await expect(client.lock('shared').ttl(5).acquire()).rejects.toThrow(
      'Failed to acquire a lock',
    );
    await lock.release();
    expect(await client.lock('shared').do(async () => 'done')).toBe('done');
  });

  test('elections: campaign, observe, proclaim, resign', async () => {
    const election = client.election('leader', 5);
    const observer = await client.election('leader', 5).observe();
    const campaign = election.campaign('first');
    await once(campaign, 'elected');
    expect(await election.leader()).toBe('first');
    // The first value may reach the observer only now, so its next change need not be the second.
    const proclaimed = new Promise<void>((resolve) => {
      observer.on('change', (leader) => {
        if (leader === 'still first') resolve();
      });
    });
    await campaign.proclaim('still first');
    await proclaimed;
    expect(observer.leader()).toBe('still first');
    await campaign.resign();
    expect(await election.leader()).toBe(undefined);
    await observer.cancel();
  });

  test('software transactional memory: what was read has not changed when it is written', async () => {
    await client.put('counter').value('0');
    const add = (): Promise<unknown> =>
      client.stm({ retries: 100 }).transact(async (tx) => {
        const count = Number(await tx.get('counter').string());
        await tx.put('counter').value(String(count + 1));
      });
    await Promise.all([add(), add(), add(), add()]);
    expect(await client.get('counter').number()).toBe(4);
  });

  test('users and roles', async () => {
    const role = client.role('reader');
    await role.create();
    await role.grant({ permission: 'Read', range: client.range({ prefix: 'public/' }) });
    expect((await client.getRoles()).map(({ name }) => name)).toEqual(['reader']);
    const user = client.user('rita');
    await user.create('secret');
    await user.addRole(role);
    expect((await user.roles()).map(({ name }) => name)).toEqual(['reader']);
    const root = client.user('root');
    await root.create('root');
    await client.role('root').create();
    await root.addRole('root');
    await client.auth.authEnable();
    const as = (username: string, password: string): Etcd3 =>
      new Etcd3({ hosts: server.address, auth: { username, password } });
    const [rita, admin] = [as('rita', 'secret'), as('root', 'root')];
    try {
      await admin.put('public/x').value('1');
      await admin.put('private/x').value('2');
      expect(await rita.get('public/x').string()).toBe('1');
      await expect(rita.get('private/x').string()).rejects.toThrow('permission denied');
      await expect(rita.put('public/x').value('3')).rejects.toThrow('permission denied');
      await expect(as('rita', 'wrong').get('public/x').string()).rejects.toThrow(
        'authentication failed',
      );
    } finally {
      await admin.auth.authDisable();
      rita.close();
      admin.close();
    }
    await user.delete();
    await role.delete();
    expect((await client.getUsers()).map(({ name }) => name)).toEqual(['root']);
  });
});

/** What is told of the next put or delete: the key as it is, and as it was. */
async function next(watcher: Watcher, kind: 'put' | 'delete'): Promise<(IKeyValue | undefined)[]> {
  return (await once(watcher, kind)) as (IKeyValue | undefined)[];
}
