import { KV, Lease, type LeaseKeepAliveResponse } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { isPresent, onEachEtcd } from './each-etcd.js';
import { bytes, Keys } from './keys.js';

const notFound = { code: 5, text: 'etcdserver: requested lease not found' };
const [grant, revoke] = [Lease.method.leaseGrant, Lease.method.leaseRevoke];
const [timeToLive, list] = [Lease.method.leaseTimeToLive, Lease.method.leaseLeases];

onEachEtcd((served, kind) => {
  test('[lease] a grant answers with an id that was picked, the seconds, and the present revision', async () => {
    const { api } = served();
    const revision = BigInt(await new Keys(api).put('granted', '1'));
    const one = await api.call(grant, { TTL: 60n });
    const two = await api.call(grant, { TTL: 60n });
    expect(one).toMatchObject({ TTL: 60n, error: '' });
    expect(isPresent(kind, one.header?.revision, revision)).toBe(true);
    expect(one.ID > 0n && two.ID > 0n && one.ID !== two.ID).toBe(true);
  });

  test('[lease] who asks for less than etcd’s least is granted that', async () => {
    const { api } = served();
    for (const TTL of [0n, -5n, 1n, 2n]) {
      expect((await api.call(grant, { TTL })).TTL).toBe(2n);
    }
  });

  test('[lease] an id may be asked for, once; too long a time is refused before a taken id', async () => {
    const { api } = served();
    expect(await api.call(grant, { TTL: 60n, ID: 4_711n })).toMatchObject({ ID: 4_711n, TTL: 60n });
    const exists = { code: 9, text: 'etcdserver: lease already exists' };
    expect(await api.refusal(grant, { TTL: 60n, ID: 4_711n })).toEqual(exists);
    const tooLarge = { code: 11, text: 'etcdserver: too large lease TTL' };
    expect(await api.refusal(grant, { TTL: 9_000_000_001n })).toEqual(tooLarge);
    expect(await api.refusal(grant, { TTL: 9_000_000_001n, ID: 4_711n })).toEqual(tooLarge);
    await api.call(revoke, { ID: 4_711n });
    expect((await api.call(grant, { TTL: 60n, ID: 4_711n })).ID).toBe(4_711n);
  });

  test('[lease] a revoke deletes the keys, in one revision; of what is not there it says so', async () => {
    const { api } = served();
    const keys = new Keys(api);
    const { ID } = await api.call(grant, { TTL: 60n });
    await keys.put('revoked/a', '1', ID);
    const last = await keys.put('revoked/b', '1', ID);
    const answer = await api.call(revoke, { ID });
    expect(answer.header?.revision).toBe(BigInt(last + 1));
    const range = { key: bytes('revoked/'), rangeEnd: bytes('revoked0') };
    expect((await api.call(KV.method.range, range)).count).toBe(0n);
    for (const unknown of [ID, 0n, -1n, 2n ** 60n]) {
      expect(await api.refusal(revoke, { ID: unknown })).toEqual(notFound);
    }
    const put = { key: bytes('revoked/c'), value: bytes('1'), lease: ID };
    expect(await api.refusal(KV.method.put, put)).toEqual(notFound);
  });

  test('[lease] a revoke of a lease without keys makes no revision', async () => {
    const { api } = served();
    const revision = BigInt(await new Keys(api).put('bare', '1'));
    const { ID } = await api.call(grant, { TTL: 60n });
    const after = (await api.call(revoke, { ID })).header?.revision;
    expect(isPresent(kind, after, revision)).toBe(true);
  });

  test('[lease] the time left comes in whole seconds, with the keys for who asks', async () => {
    const { api } = served();
    const keys = new Keys(api);
    const { ID } = await api.call(grant, { TTL: 60n });
    const revision = BigInt(await keys.put('left/\xff', '1', ID));
    const bare = await api.call(timeToLive, { ID });
    expect(bare).toMatchObject({ ID, grantedTTL: 60n, keys: [], header: { revision } });
    expect([59n, 60n]).toContain(bare.TTL);
    const { keys: attached } = await api.call(timeToLive, { ID, keys: true });
    expect(attached.map((key) => Buffer.from(key).toString('latin1'))).toEqual(['left/\xff']);
    await keys.put('left/\xff', 'without');
    expect((await api.call(timeToLive, { ID, keys: true })).keys).toEqual([]);
    for (const unknown of [0n, -1n, 12_345n, 2n ** 60n]) {
      const answer = await api.call(timeToLive, { ID: unknown, keys: true });
      expect(answer).toMatchObject({ ID: unknown, TTL: -1n, grantedTTL: 0n, keys: [] });
      expect(answer.header?.revision).toBe(revision + 1n);
    }
  });

  test('[lease] all leases are listed', async () => {
    const { api } = served();
    const [one, two] = [await api.call(grant, { TTL: 60n }), await api.call(grant, { TTL: 90n })];
    await api.call(revoke, { ID: one.ID });
    const ids = (await api.call(list, {})).leases.map(({ ID }) => ID);
    expect(ids).toContain(two.ID);
    expect(ids).not.toContain(one.ID);
  });

  test('[lease] a stream keeps leases alive, one answer for each request; 0 s are left of an unknown one', async () => {
    const { api } = served();
    const revision = BigInt(await new Keys(api).put('kept', '1'));
    const { ID } = await api.call(grant, { TTL: 60n });
    const stream = api.stream(Lease.method.leaseKeepAlive);
    const asked = [ID, 999n, ID, 0n, -99n, 2n ** 60n];
    for (const one of asked) stream.write({ ID: one });
    stream.end();
    const answers: LeaseKeepAliveResponse[] = [];
    for await (const answer of stream) answers.push(answer as LeaseKeepAliveResponse);
    const left = [60n, 0n, 60n, 0n, 0n, 0n];
    expect(answers).toMatchObject(asked.map((id, at) => ({ ID: id, TTL: left[at] })));
    for (const { header } of answers) {
      expect(isPresent(kind, header?.revision, revision)).toBe(true);
    }
  });

  test('[lease] who keeps a lease alive keeps its keys; without, they go when its time is over', async () => {
    const { api } = served();
    const keys = new Keys(api);
    const [kept, left] = [await keys.grant(2), await keys.grant(2)];
    await keys.put('alive/kept', '1', kept);
    await keys.put('alive/left', '1', left);
    const stream = api.stream(Lease.method.leaseKeepAlive);
    const answers = stream[Symbol.asyncIterator]();
    const range = { key: bytes('alive/'), rangeEnd: bytes('alive0') };
    for (;;) {
      stream.write({ ID: kept });
      expect(((await answers.next()).value as LeaseKeepAliveResponse).TTL).toBe(2n);
      const { kvs } = await api.call(KV.method.range, range);
      if (kvs.length === 2) continue;
      expect(kvs.map(({ key }) => Buffer.from(key).toString())).toEqual(['alive/kept']);
      break;
    }
    stream.cancel();
    stream.on('error', () => {});
    expect(await api.refusal(revoke, { ID: left })).toEqual(notFound);
  });

  const here = kind.startsWith('waymark') ? test : () => {};

  here('[lease] what the engine cannot keep is refused, and says why', async () => {
    const { api } = served();
    const year = 31_536_000n;
    expect((await api.call(grant, { TTL: year })).TTL).toBe(year);
    const tooLong = 'waymark: a lease lives 31536000 s at most (365 days): renew it';
    expect(await api.refusal(grant, { TTL: year + 1n })).toEqual({ code: 11, text: tooLong });
  });
});
