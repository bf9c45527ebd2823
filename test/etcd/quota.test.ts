import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEtcd } from '@waymark/server/testing';
import { createMemoryEngine, type Engine, openEngine } from 'waymark/engine';
import {
  alarmAction,
  alarmType,
  Election,
  KV,
  Lock,
  Maintenance,
  type MessageInitShape,
  type RequestOpSchema,
} from 'waymark/etcd';
import { expect, test } from 'vitest';
import { EtcdApi } from './client.js';
import { bytes } from './keys.js';

type Op = MessageInitShape<typeof RequestOpSchema>;

const { alarm, hashKV, status } = Maintenance.method;
const { put, deleteRange, txn } = KV.method;
const noSpace = { code: 8, text: 'etcdserver: mvcc: database space exceeded' };
const everything = { key: bytes('\0'), rangeEnd: bytes('\0') };

/** What the keys and values that clients see take, by looking at all of them. */
async function counted(api: EtcdApi): Promise<number> {
  const { kvs } = await api.call(KV.method.range, everything);
  return kvs.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
}

/** Resolves once the server reckons so: what it counts by comes after the answer to a write. */
async function reckons(api: EtcdApi, size: number): Promise<void> {
  while (Number((await api.call(status, {})).dbSize) !== size);
}

async function raised(api: EtcdApi): Promise<number> {
  return (await api.call(alarm, { action: alarmAction.get })).alarms.length;
}

async function disarm(api: EtcdApi): Promise<void> {
  const { alarms } = await api.call(alarm, { action: alarmAction.get });
  for (const { memberID, alarm: type } of alarms) {
    await api.call(alarm, { action: alarmAction.deactivate, memberID, alarm: type });
  }
}

test('what would pass the quota is refused, and from then on all that puts, until someone disarms', async () => {
  await using etcd = await startEtcd({ quotaBytes: 1_000 });
  using api = new EtcdApi(etcd.address);
  await api.call(put, { key: bytes('fits'), value: Buffer.alloc(996) });
  await reckons(api, 1_000);
  expect(await raised(api)).toBe(0);
  expect(await api.refusal(put, { key: bytes('k'), value: bytes('') })).toEqual(noSpace);
  const { alarms, header } = await api.call(alarm, { action: alarmAction.get });
  expect(alarms).toMatchObject([{ memberID: header?.memberId, alarm: alarmType.noSpace }]);
  await api.call(deleteRange, everything);
  await reckons(api, 0);
  expect(await api.refusal(put, { key: bytes('k'), value: bytes('') })).toEqual(noSpace);
  await disarm(api);
  expect(await api.refusal(put, { key: bytes('k'), value: bytes('') })).toBe(null);
  expect(await raised(api)).toBe(0);
});

test('a transaction is reckoned by the branch that puts more, with all that is nested in it', async () => {
  await using etcd = await startEtcd({ quotaBytes: 100 });
  using api = new EtcdApi(etcd.address);
  const value = Buffer.alloc(60);
  const requestPut = (key: string): Op => ({
    request: { case: 'requestPut', value: { key: bytes(key), value } },
  });
  const nested: Op = {
    request: { case: 'requestTxn', value: { success: [requestPut('b')] } },
  };
  expect(await api.refusal(txn, { success: [requestPut('a')], failure: [requestPut('b')] })).toBe(
    null,
  );
  await api.call(deleteRange, everything);
  await reckons(api, 0);
  expect(await api.refusal(txn, { failure: [requestPut('a'), nested] })).toEqual(noSpace);
});

test('locks and elections take room as every key does', async () => {
  await using etcd = await startEtcd({ quotaBytes: 100 });
  using api = new EtcdApi(etcd.address);
  await api.call(put, { key: bytes('k'), value: Buffer.alloc(90) });
  await reckons(api, 91);
  const refused = { ...noSpace, code: 2 };
  expect(await api.refusal(Lock.method.lock, { name: bytes('lock') })).toEqual(refused);
  await disarm(api);
  const { campaign } = Election.method;
  expect(await api.refusal(campaign, { name: bytes('elect') })).toEqual(refused);
  expect(await raised(api)).toBe(1);
});

test('each namespace has its own quota and its own alarm', async () => {
  await using etcd = await startEtcd({ quotaBytes: 100 });
  using api = new EtcdApi(etcd.address);
  using other = new EtcdApi(etcd.address, { 'waymark-namespace': 'other' });
  await api.call(put, { key: bytes('k'), value: Buffer.alloc(90) });
  await reckons(api, 91);
  expect(await api.refusal(put, { key: bytes('l'), value: Buffer.alloc(90) })).toEqual(noSpace);
  expect([await raised(api), await raised(other)]).toEqual([1, 0]);
  await api.call(deleteRange, everything);
  expect(await other.refusal(put, { key: bytes('kk'), value: Buffer.alloc(90) })).toBe(null);
  await reckons(other, 92);
  await reckons(api, 0);
  expect(await other.refusal(put, { key: bytes('l'), value: Buffer.alloc(90) })).toEqual(noSpace);
});

test('a name that is none is refused, wherever it is told', async () => {
  await using etcd = await startEtcd({ quotaBytes: 100 });
  using api = new EtcdApi(etcd.address, { 'waymark-namespace': 'a/b' });
  const one = { action: alarmAction.activate, alarm: alarmType.noSpace };
  const invalid = { code: 3, text: expect.stringContaining('namespace') as string };
  expect(await api.refusal(alarm, one)).toEqual(invalid);
  expect(await api.refusal(put, { key: bytes('k'), value: bytes('v') })).toEqual(invalid);
  expect(await api.refusal(hashKV, {})).toEqual(invalid);
});

test('the alarm holds for all servers of an engine, and what they wrote counts for each', async () => {
  await using engine = createMemoryEngine();
  await using one = await startEtcd({ engine, quotaBytes: 100 });
  await using two = await startEtcd({ engine, quotaBytes: 100 });
  using api = new EtcdApi(one.address);
  using other = new EtcdApi(two.address);
  await api.call(put, { key: bytes('k'), value: Buffer.alloc(90) });
  await reckons(other, 91);
  expect(await other.refusal(put, { key: bytes('l'), value: Buffer.alloc(90) })).toEqual(noSpace);
  expect(await api.refusal(put, { key: bytes('k'), value: bytes('') })).toEqual(noSpace);
  await disarm(api);
  while ((await other.refusal(put, { key: bytes('m'), value: bytes('') })) !== null);
});

test('without a quota of its own a server heeds the alarm that another raised', async () => {
  await using engine = createMemoryEngine();
  await using one = await startEtcd({ engine, quotaBytes: 10 });
  await using two = await startEtcd({ engine });
  using api = new EtcdApi(one.address);
  using other = new EtcdApi(two.address);
  expect(await other.refusal(put, { key: bytes('k'), value: bytes('v') })).toBe(null);
  await api.refusal(put, { key: bytes('k'), value: Buffer.alloc(20) });
  while ((await other.refusal(put, { key: bytes('k'), value: bytes('v') })) === null);
  expect(await other.refusal(put, { key: bytes('k'), value: bytes('v') })).toEqual(noSpace);
});

test('a file engine keeps the alarm over a restart, and its bytes are counted again', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'waymark-quota-'));
  try {
    const engine = `file:${directory}`;
    {
      await using etcd = await startEtcd({ engine, quotaBytes: 100 });
      using api = new EtcdApi(etcd.address);
      await api.call(put, { key: bytes('k'), value: Buffer.alloc(50) });
      await reckons(api, 51);
      expect(await api.refusal(put, { key: bytes('l'), value: Buffer.alloc(50) })).toEqual(noSpace);
      const { header } = await api.call(status, {});
      // What happened cannot be read again: what there is must be.
      await api.call(KV.method.compact, { revision: header?.revision ?? 0n });
    }
    await using etcd = await startEtcd({ engine, quotaBytes: 100 });
    using api = new EtcdApi(etcd.address);
    expect(await api.refusal(put, { key: bytes('k'), value: bytes('') })).toEqual(noSpace);
    expect(Number((await api.call(status, {})).dbSize)).toBe(51);
    await disarm(api);
    expect(await api.refusal(put, { key: bytes('k'), value: bytes('') })).toBe(null);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('bytes are counted right whatever is written, by whom, and how', async () => {
  const engine = createMemoryEngine();
  await using started = await startEtcd({ engine, quotaBytes: 1_000_000 });
  using api = new EtcdApi(started.address);
  const seed = Number(process.env['WAYMARK_SEED'] ?? Date.now() % 1_000_000);
  let state = seed;
  const below = (bound: number): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * bound);
  };
  const key = (): Buffer => bytes(`k${below(12)}`);
  const lease = BigInt((await engine.grant(60_000)).id);
  for (let step = 0; step < 400; step++) {
    const kind = below(6);
    const value = Buffer.alloc(below(50), 1);
    if (kind <= 2) await api.call(put, { key: key(), value, lease: kind === 0 ? lease : 0n });
    else if (kind === 3) await api.call(deleteRange, { key: key() });
    else if (kind === 4) await api.call(deleteRange, { key: key(), rangeEnd: key() });
    else await libraryWrite(engine, `k${below(12)}`, value);
  }
  await engine.revoke(Number(lease));
  const size = await counted(api);
  const said = Number((await api.call(status, {})).dbSize);
  if (said !== size) await reckonsWithin(api, size, seed);
  await engine[Symbol.asyncDispose]();
});

async function libraryWrite(engine: Engine, key: string, value: Buffer): Promise<void> {
  const text = value.toString('latin1');
  await engine.commit({
    apply: [
      { type: 'put', key: `n/etcd/d${key}`, value: text },
      { type: 'put', key: `n/etcd/h${key}`, value: text },
    ],
  });
}

async function reckonsWithin(api: EtcdApi, size: number, seed: number): Promise<void> {
  const late = AbortSignal.timeout(10_000);
  while (!late.aborted) if (Number((await api.call(status, {})).dbSize) === size) return;
  const said = Number((await api.call(status, {})).dbSize);
  throw new Error(
    `${said} bytes told, ${size} there: WAYMARK_SEED=${seed} npx vitest run test/etcd/quota`,
  );
}

test('a quota that is no whole number of bytes is refused', async () => {
  for (const quotaBytes of [-1, 1.5, Number.NaN]) {
    await expect(startEtcd({ quotaBytes })).rejects.toMatchObject({ code: 'invalid' });
  }
});

test('an engine that was away for the first connection is asked again by the next', async () => {
  await using engine = await openEngine('memory');
  let away = true;
  const status_ = engine.status.bind(engine);
  const flaky = new Proxy(engine, {
    get: (target, name) => {
      if (name === 'status' && away) return failingOnce;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  let calls = 0;
  // The face learns who the engine is before anyone connects.
  const failingOnce = async (): ReturnType<Engine['status']> => {
    calls++;
    if (calls === 1) return await status_();
    away = false;
    throw new Error('away');
  };
  await using etcd = await startEtcd({ engine: flaky });
  using api = new EtcdApi(etcd.address);
  const refused = await api.refusal(put, { key: bytes('k'), value: bytes('v') });
  expect(refused === null || refused.code === 14).toBe(true);
  while ((await api.refusal(put, { key: bytes('k'), value: bytes('v') })) !== null);
  expect(calls).toBe(2);
});
