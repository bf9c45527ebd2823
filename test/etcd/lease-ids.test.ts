import { compareResult, compareTarget, KV, Lease, Lock } from 'waymark/etcd';
import { afterEach, expect, test } from 'vitest';
import { onEachEtcd } from './each-etcd.js';
import { bytes, Keys } from './keys.js';
import { WatchClient } from './watch-client.js';

const [grant, revoke] = [Lease.method.leaseGrant, Lease.method.leaseRevoke];
const [timeToLive, list] = [Lease.method.leaseTimeToLive, Lease.method.leaseLeases];

/** In order: the ends of int64, what a double cannot tell apart, and where a safe integer ends. */
const ids = [
  -(2n ** 63n),
  -(2n ** 53n),
  -1n,
  1n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 53n + 1n,
  2n ** 63n - 2n,
  2n ** 63n - 1n,
];
const range = { key: bytes('far/'), rangeEnd: bytes('far0') };

onEachEtcd((served) => {
  afterEach(async () => {
    const { api } = served();
    for (const { ID } of (await api.call(list, {})).leases) await api.call(revoke, { ID });
  });

  /** A key for each, by its name. @returns the revision before */
  async function grantAll(): Promise<number> {
    const { api } = served();
    const keys = new Keys(api);
    const before = await keys.put('before', '1');
    for (const ID of ids) {
      expect(await api.call(grant, { TTL: 60n, ID })).toMatchObject({ ID, TTL: 60n, error: '' });
      await keys.put(`far/${ID}`, '1', ID);
    }
    return before;
  }

  test('[lease] any id of 64 bits but 0 may be asked for, once', async () => {
    const { api } = served();
    await grantAll();
    const exists = { code: 9, text: 'etcdserver: lease already exists' };
    for (const ID of ids) expect(await api.refusal(grant, { TTL: 60n, ID })).toEqual(exists);
    const listed = (await api.call(list, {})).leases.map(({ ID }) => ID);
    expect(new Set(listed)).toEqual(new Set(ids));
    const picked = (await api.call(grant, { TTL: 60n, ID: 0n })).ID;
    expect(picked > 0n && !ids.includes(picked)).toBe(true);
  });

  test('[lease] each of them is told as it is: by entries, events, its time and its stream', async () => {
    const { api } = served();
    const before = await grantAll();
    const { kvs } = await api.call(KV.method.range, range);
    expect(kvs.map(({ key, lease }) => [String(bytesOf(key)), lease]).sort()).toEqual(
      ids.map((id) => [`far/${id}`, id]).sort(),
    );
    const stream = api.stream(Lease.method.leaseKeepAlive);
    const answers = stream[Symbol.asyncIterator]();
    for (const ID of ids) {
      const { keys: attached } = await api.call(timeToLive, { ID, keys: true });
      expect(attached.map((key) => String(bytesOf(key)))).toEqual([`far/${ID}`]);
      stream.write({ ID });
      expect((await answers.next()).value).toMatchObject({ ID, TTL: 60n });
      const removed = { key: bytes(`far/${ID}`), prevKv: true };
      const { prevKvs } = await api.call(KV.method.deleteRange, removed);
      expect(prevKvs.map(({ lease }) => lease)).toEqual([ID]);
    }
    stream.on('error', () => {});
    stream.cancel();
    using watch = new WatchClient(api);
    watch.create({ ...range, startRevision: BigInt(before + 1), prevKv: true });
    const told: unknown[] = [];
    while (told.length < 2 * ids.length) {
      const { events } = await watch.response();
      told.push(...events.map(({ kv, prevKv }) => [kv?.lease, prevKv?.lease]));
    }
    expect(told).toEqual([...ids.map((id) => [id, undefined]), ...ids.map((id) => [0n, id])]);
  });

  test('[lease] checks compare them as numbers', async () => {
    const { api } = served();
    await grantAll();
    for (const id of ids) {
      for (const other of [...ids, 0n]) {
        const holds: readonly number[] = [
          id === other ? compareResult.equal : compareResult.notEqual,
          ...(id < other ? [compareResult.less] : []),
          ...(id > other ? [compareResult.greater] : []),
        ];
        for (const result of Object.values(compareResult)) {
          const union = { targetUnion: { case: 'lease', value: other } } as const;
          const target = { key: bytes(`far/${id}`), target: compareTarget.lease };
          const compare = [{ ...target, result, ...union }];
          const { succeeded } = await api.call(KV.method.txn, { compare });
          expect([id, other, result, succeeded]).toEqual([
            id,
            other,
            result,
            holds.includes(result),
          ]);
        }
      }
    }
  });

  test('[lease] their end takes their keys; what has ended is not found', async () => {
    const { api } = served();
    await grantAll();
    const notFound = { code: 5, text: 'etcdserver: requested lease not found' };
    for (const ID of ids) {
      await api.call(revoke, { ID });
      expect(await api.refusal(revoke, { ID })).toEqual(notFound);
      const put = { key: bytes('far/late'), value: bytes('1'), lease: ID };
      expect(await api.refusal(KV.method.put, put)).toEqual(notFound);
      const success = [{ request: { case: 'requestPut' as const, value: put } }];
      expect(await api.refusal(KV.method.txn, { success })).toEqual(notFound);
      expect(await api.call(timeToLive, { ID })).toMatchObject({ ID, TTL: -1n });
    }
    expect((await api.call(KV.method.range, range)).count).toBe(0n);
  });

  test('[lease] a lock that is taken with one of them names it in its key', async () => {
    const { api } = served();
    for (const ID of ids) {
      await api.call(grant, { TTL: 60n, ID });
      const { key } = await api.call(Lock.method.lock, { name: bytes('far-lock'), lease: ID });
      expect(String(bytesOf(key))).toBe(`far-lock/${ID.toString(16)}`);
      await api.call(Lock.method.unlock, { key });
    }
  });
});

function bytesOf(key: Uint8Array): Buffer {
  return Buffer.from(key);
}
