import { startEtcd } from '@waymark/server/testing';
import { createMemoryEngine } from 'waymark/engine';
import { KV, Lease } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { EtcdApi } from './client.js';
import { bytes, Keys } from './keys.js';
import { together } from './together.js';
import { WatchClient } from './watch-client.js';

/** What of watches and leases is Waymark's own. */

test('[watch] what the library writes reaches watches of etcd, and what etcd’s clients write those of the library', async () => {
  await using both = await together();
  const { api, ns } = both;
  using watch = new WatchClient(api);
  await watch.created({ key: bytes('/orders/'), rangeEnd: bytes('/orders0'), prevKv: true });
  const at = await ns.put('/orders/42', 'new');
  expect((await watch.next()).events).toEqual([
    `PUT /orders/42=new c${at.revision} m${at.revision} v1`,
  ]);
  const seen = ns.watch('/orders', { tree: true })[Symbol.asyncIterator]();
  await seen.next();
  await new Keys(api).put('/orders/42', 'paid');
  expect((await seen.next()).value).toMatchObject({
    kind: 'put',
    path: '/orders/42',
    value: 'paid',
  });
  await seen.return?.();
  await ns.delete('/orders/42');
  expect((await watch.events(2)).map((event) => event.split(' c')[0])).toEqual([
    'PUT /orders/42=paid',
    'DELETE /orders/42=',
  ]);
});

test('[watch] locks of the library are no events', async () => {
  await using both = await together();
  const { api, ns } = both;
  using watch = new WatchClient(api);
  await watch.created({ key: bytes('\0'), rangeEnd: bytes('\0') });
  const lock = await ns.lock('/a');
  await lock.release();
  const revision = await new Keys(api).put('/a', '1');
  expect((await watch.next()).revision).toBe(revision);
});

test('[watch] who writes has the answer before the event, on one connection', async () => {
  await using etcd = await startEtcd();
  using api = new EtcdApi(etcd.address);
  using watch = new WatchClient(api);
  await watch.created({ key: bytes('order') });
  const order: string[] = [];
  for (let round = 0; round < 200; round++) {
    const put = api
      .call(KV.method.put, { key: bytes('order'), value: bytes(String(round)) })
      .then(() => order.push('answer'));
    const event = watch.next().then(() => order.push('event'));
    await Promise.all([put, event]);
  }
  expect(order.filter((_, at) => at % 2 === 0)).toEqual(Array(200).fill('answer'));
});

test('[watch] a server that stops ends its streams, as unavailable', async () => {
  const etcd = await startEtcd();
  using api = new EtcdApi(etcd.address);
  using watch = new WatchClient(api);
  await watch.created({ key: bytes('stop') });
  const ended = watch.ended();
  const keepAlive = api.stream(Lease.method.leaseKeepAlive);
  const cut = new Promise((resolve) =>
    keepAlive.on('error', ({ code }: { code: number }) => resolve(code)),
  );
  keepAlive.write({ ID: 1n });
  await new Promise((resolve) => keepAlive.once('data', resolve));
  await etcd.close();
  expect([await ended, await cut]).toEqual([14, 14]);
});

test('[watch] an engine that is closed ends the streams, as unavailable', async () => {
  const engine = createMemoryEngine();
  await using etcd = await startEtcd({ engine });
  using api = new EtcdApi(etcd.address);
  using watch = new WatchClient(api);
  await watch.created({ key: bytes('closed') });
  const ended = watch.ended();
  await engine[Symbol.asyncDispose]();
  expect(await ended).toBe(14);
});

test('[watch] a call may name another namespace: its watches and its keys of a lease are that one’s', async () => {
  await using etcd = await startEtcd();
  using one = new EtcdApi(etcd.address);
  using other = new EtcdApi(etcd.address, { 'waymark-namespace': 'other' });
  using watch = new WatchClient(other);
  await watch.created({ key: bytes('\0'), rangeEnd: bytes('\0') });
  const lease = await new Keys(one).grant(60);
  await new Keys(one).put('here', '1', lease);
  const revision = await new Keys(other).put('there', '1', lease);
  expect((await watch.next()).revision).toBe(revision);
  const keysOf = async (api: EtcdApi): Promise<string[]> => {
    const { keys } = await api.call(Lease.method.leaseTimeToLive, { ID: lease, keys: true });
    return keys.map((key) => Buffer.from(key).toString());
  };
  expect([await keysOf(one), await keysOf(other)]).toEqual([['here'], ['there']]);
});

test('[watch] progress is not told before all watches have come so far: one that waits for a future revision has not', async () => {
  await using etcd = await startEtcd();
  using api = new EtcdApi(etcd.address);
  const keys = new Keys(api);
  using watch = new WatchClient(api);
  const now = await keys.put('k', '0');
  await watch.created({ key: bytes('k') });
  await watch.created({ key: bytes('k'), startRevision: BigInt(now + 2), watchId: 2n });
  watch.askProgress();
  await keys.put('k', '1');
  expect(await watch.next()).toMatchObject({ id: 0, revision: now + 1 });
  await keys.put('k', '2');
  const both = [await watch.next(), await watch.next()];
  expect(both.map(({ id }) => id).toSorted()).toEqual([0, 2]);
  expect(await watch.next()).toEqual({ id: -1, revision: now + 2 });
});

test('[watch] a key longer than an engine has is refused, and the stream goes on', async () => {
  await using etcd = await startEtcd();
  using api = new EtcdApi(etcd.address);
  using watch = new WatchClient(api);
  const answer = await watch.created({ key: Buffer.alloc(5_000, 'x') });
  const reason = 'etcdserver: request is too large';
  expect(answer).toMatchObject({ id: -1, created: true, canceled: true, reason });
  expect(await watch.created({ key: bytes('k') })).toMatchObject({ id: 0, created: true });
});
