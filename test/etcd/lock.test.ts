import { startEtcd } from '@waymark/server/testing';
import { createMemoryEngine } from 'waymark/engine';
import { KV, Lock } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { EtcdApi } from './client.js';
import { onEachEtcd } from './each-etcd.js';
import { bytes } from './keys.js';
import {
  droppingHistory,
  grant,
  revoke,
  pending,
  placeOf,
  queued,
  queueOf,
  remove,
  text,
} from './queues.js';

const expired = { code: 2, text: 'mutex: session is expired' };

onEachEtcd((served) => {
  const lock = async (name: string, lease: bigint) => {
    const { key } = await served().api.call(Lock.method.lock, { name: bytes(name), lease });
    return text(key);
  };

  test('a lock is a key of its name and its lease, in hex, that goes with the lease', async () => {
    const { api } = served();
    const lease = await grant(api);
    const key = await lock('one', lease);
    expect(key).toBe(placeOf('one', lease));
    const [place] = await queueOf(api, 'one');
    expect(place).toMatchObject({ lease, version: 1n });
    expect(place?.value).toHaveLength(0);
    await revoke(api, lease);
    expect(await queueOf(api, 'one')).toEqual([]);
  });

  test('the answer tells the revision at which the lock was taken', async () => {
    const { api } = served();
    const lease = await grant(api);
    const name = bytes('revision');
    const { header } = await api.call(Lock.method.lock, { name, lease });
    const [place] = await queueOf(api, 'revision');
    expect(header?.revision).toBe(place?.createRevision);
    const again = await api.call(Lock.method.lock, { name, lease });
    expect([text(again.key), again.header?.revision]).toEqual([
      placeOf('revision', lease),
      place?.createRevision,
    ]);
  });

  test('waiters are served in the order in which they came', async () => {
    const { api } = served();
    const served_: number[] = [];
    const held = await lock('order', await grant(api));
    const waiters: Promise<string>[] = [];
    for (let number = 1; number <= 3; number++) {
      const waiter = lock('order', await grant(api));
      waiters.push(waiter);
      void waiter.then(() => served_.push(number));
      await queued(api, 'order', number + 1);
    }
    let holder = held;
    for (const [index, waiter] of waiters.entries()) {
      expect(served_).toHaveLength(index);
      await api.call(Lock.method.unlock, { key: bytes(holder) });
      holder = await waiter;
    }
    expect(served_).toEqual([1, 2, 3]);
    await api.call(Lock.method.unlock, { key: bytes(holder) });
    expect(await queueOf(api, 'order')).toEqual([]);
  });

  test('who waits in the middle leaves, and nobody passes the holder', async () => {
    const { api } = served();
    const leases = [await grant(api), await grant(api), await grant(api)] as const;
    const held = await lock('middle', leases[0]);
    void lock('middle', leases[1]).catch(() => {});
    await queued(api, 'middle', 2);
    const third = pending(lock('middle', leases[2]));
    await queued(api, 'middle', 3);
    await revoke(api, leases[1]);
    await queued(api, 'middle', 2);
    expect(third.over()).toBe(false);
    await api.call(Lock.method.unlock, { key: bytes(held) });
    expect(await third.result).toBe(placeOf('middle', leases[2]));
  });

  test('a call that ends while it waits gives up its place', async () => {
    const { api } = served();
    await lock('left', await grant(api));
    const call = api.stream(Lock.method.lock);
    const ended = new Promise((resolve) => call.once('error', resolve));
    call.write({ name: bytes('left'), lease: await grant(api) });
    call.end();
    call.resume();
    await queued(api, 'left', 2);
    call.cancel();
    expect(await ended).toMatchObject({ code: 1 });
    await queued(api, 'left', 1);
  });

  test('a call whose deadline is over gives up its place', async () => {
    const { api } = served();
    await lock('late', await grant(api));
    const request = { name: bytes('late'), lease: await grant(api) };
    const late = api.call(Lock.method.lock, request, { deadline: Date.now() + 300 });
    // Whichever of the two notices first tells it in its own words.
    await expect(late).rejects.toThrow();
    await queued(api, 'late', 1);
  });

  test('whoever brings no lease has one of 60 s', async () => {
    const { api } = served();
    const key = await lock('without', 0n);
    const [place] = await queueOf(api, 'without');
    expect(place?.lease).toBeGreaterThan(0n);
    expect(key).toBe(placeOf('without', place?.lease ?? 0n));
  });

  test('a lease that there is not is refused', async () => {
    const { api } = served();
    const text = 'etcdserver: requested lease not found';
    for (const lease of [4_711n, -1n]) {
      const refused = await api.refusal(Lock.method.lock, { name: bytes('no-lease'), lease });
      expect(refused).toEqual({ code: 2, text });
    }
    expect(await queueOf(api, 'no-lease')).toEqual([]);
  });

  test('a name of no bytes, and one of any bytes', async () => {
    const { api } = served();
    const lease = await grant(api);
    expect(await lock('', lease)).toBe(placeOf('', lease));
    const name = '\0\xff\n/';
    expect(await lock(name, lease)).toBe(placeOf(name, lease));
    await remove(api, placeOf('', lease));
  });

  test('unlocking a key that is not there is fine, and the empty key is refused', async () => {
    const { api } = served();
    const { header } = await api.call(Lock.method.unlock, { key: bytes('never/1') });
    expect(header?.revision).toBeGreaterThan(0n);
    const text = 'etcdserver: key is not provided';
    expect(await api.refusal(Lock.method.unlock, {})).toEqual({ code: 2, text });
  });
});

test('a waiter whose lease has ended stops waiting at once, whoever holds the lock', async () => {
  await using engine = createMemoryEngine();
  await using etcd = await startEtcd({ engine });
  using api = new EtcdApi(etcd.address);
  const name = bytes('held');
  const [holder, waiter] = [await engine.grant(60_000), await engine.grant(60_000)];
  await api.call(Lock.method.lock, { name, lease: BigInt(holder.id) });
  const waiting = api.refusal(Lock.method.lock, { name, lease: BigInt(waiter.id) });
  await queued(api, 'held', 2);
  await engine.revoke(waiter.id);
  expect(await waiting).toEqual(expired);
  await queued(api, 'held', 1);
});

test('a place that was taken away is not found again in another of the same key', async () => {
  await using engine = createMemoryEngine();
  await using etcd = await startEtcd({ engine });
  using api = new EtcdApi(etcd.address);
  const name = bytes('replaced');
  const [holder, waiter] = [await engine.grant(60_000), await engine.grant(60_000)];
  await api.call(Lock.method.lock, { name, lease: BigInt(holder.id) });
  const waiting = api.refusal(Lock.method.lock, { name, lease: BigInt(waiter.id) });
  const [, place] = await queued(api, 'replaced', 2);
  const key = `n/etcd/d${text(place?.key ?? bytes(''))}`;
  await engine.commit({ apply: [{ type: 'delete', key }] });
  await engine.commit({ apply: [{ type: 'put', key, value: '', lease: waiter.id }] });
  expect(await waiting).toEqual(expired);
  expect(await queued(api, 'replaced', 2)).toMatchObject([{}, { version: 1n }]);
});

test('a waiter goes on when history was dropped under it', async () => {
  await using engine = createMemoryEngine();
  const drop = droppingHistory(engine);
  await using etcd = await startEtcd({ engine });
  using api = new EtcdApi(etcd.address);
  const name = bytes('dropped');
  const { key } = await api.call(Lock.method.lock, { name, lease: await grant(api) });
  const lease = await grant(api);
  drop();
  const waiter = pending(api.call(Lock.method.lock, { name, lease }));
  await queued(api, 'dropped', 2);
  expect(waiter.over()).toBe(false);
  await api.call(Lock.method.unlock, { key });
  expect(text((await waiter.result).key)).toBe(placeOf('dropped', lease));
});

test('those who queue up by themselves, by transactions, stand in the same queue', async () => {
  await using engine = createMemoryEngine();
  await using etcd = await startEtcd({ engine });
  using api = new EtcdApi(etcd.address);
  await api.call(KV.method.put, { key: bytes('both/1'), value: bytes('') });
  const { id } = await engine.grant(60_000);
  const waiter = pending(api.call(Lock.method.lock, { name: bytes('both'), lease: BigInt(id) }));
  await queued(api, 'both', 2);
  expect(waiter.over()).toBe(false);
  await remove(api, 'both/1');
  expect(text((await waiter.result).key)).toBe(placeOf('both', BigInt(id)));
});

test('a server that stops gives up the places of those who wait there', async () => {
  await using engine = createMemoryEngine();
  await using other = await startEtcd({ engine });
  using api = new EtcdApi(other.address);
  const { id } = await engine.grant(60_000);
  await api.call(Lock.method.lock, { name: bytes('stopped'), lease: BigInt(id) });
  const etcd = await startEtcd({ engine });
  using waiting = new EtcdApi(etcd.address);
  const lease = BigInt((await engine.grant(60_000)).id);
  const refused = waiting.refusal(Lock.method.lock, { name: bytes('stopped'), lease });
  await queued(api, 'stopped', 2);
  await etcd.close();
  expect(await refused).toMatchObject({ code: 14 });
  await queued(api, 'stopped', 1);
});

test('a release wakes one of those who wait', async () => {
  await using engine = createMemoryEngine();
  let commits = 0;
  const commit = engine.commit.bind(engine);
  engine.commit = (...call) => {
    commits++;
    return commit(...call);
  };
  await using etcd = await startEtcd({ engine });
  using api = new EtcdApi(etcd.address);
  const name = bytes('herd');
  const [first, ...others] = await Promise.all(Array.from({ length: 12 }, () => grant(api)));
  const { key } = await api.call(Lock.method.lock, { name, lease: first ?? 0n });
  const waiting: Promise<string>[] = [];
  for (const [index, lease] of others.entries()) {
    const call = api.call(Lock.method.lock, { name, lease }).then((granted) => text(granted.key));
    // The server stops under most of them.
    call.catch(() => {});
    waiting.push(call);
    await queued(api, 'herd', index + 2);
  }
  // All have looked once when the last one has: a look of theirs comes before the answer to a later call.
  await queueOf(api, 'herd');
  const before = commits;
  await api.call(Lock.method.unlock, { key });
  expect(await waiting[0]).toBe(placeOf('herd', others[0] ?? 0n));
  await queueOf(api, 'herd');
  expect(commits - before).toBe(2);
});
