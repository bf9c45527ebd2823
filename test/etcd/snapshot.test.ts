import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { startServer } from '@waymark/server';
import { startEtcd } from '@waymark/server/testing';
import { createMemoryEngine, errorTable, type Engine } from 'waymark/engine';
import { KV, Maintenance } from 'waymark/etcd';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Command, waymark } from '../support/command.js';
import { orNotRun } from '../support/not-run.js';
import { EtcdApi } from './client.js';
import { bytes } from './keys.js';

const { hashKV, snapshot } = Maintenance.method;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'waymark-snapshot-'));
});
afterAll(async () => await rm(folder, { recursive: true }));

async function snapshotOf(api: EtcdApi): Promise<Buffer> {
  const call = api.stream(snapshot);
  call.write({});
  call.end();
  const blobs: Uint8Array[] = [];
  for await (const { blob } of call) blobs.push(blob);
  return Buffer.concat(blobs);
}

async function restore(file: string, data: string) {
  return await new Command(process.execPath, [waymark, 'restore', file, '--data', data]).done;
}

async function filled(engine: Engine, address: string): Promise<void> {
  using api = new EtcdApi(address);
  for (let number = 0; number < 1_200; number++) {
    const value = Buffer.alloc(200, number);
    await api.call(KV.method.put, { key: bytes(`k/${number}\xff\0`), value });
  }
  const { id } = await engine.grant(60_000);
  const lease = BigInt(id);
  await api.call(KV.method.put, { key: bytes('leased'), value: bytes('v'), lease });
  await api.call(KV.method.deleteRange, { key: bytes('k/7\xff\0') });
}

async function restored(data: string): Promise<{ count: bigint; value: string }> {
  await using etcd = await startEtcd({ engine: `file:${data}` });
  using api = new EtcdApi(etcd.address);
  const all = { key: bytes('\0'), rangeEnd: bytes('\0') };
  const { count } = await api.call(KV.method.range, { ...all, countOnly: true });
  const { kvs } = await api.call(KV.method.range, { key: bytes('k/8\xff\0') });
  return { count, value: Buffer.from(kvs[0]?.value ?? []).toString('latin1') };
}

test('waymark restore makes a data directory of a snapshot, without what is leased', async () => {
  await using engine = createMemoryEngine();
  await using etcd = await startEtcd({ engine });
  await filled(engine, etcd.address);
  using api = new EtcdApi(etcd.address);
  const file = join(folder, 'snapshot');
  await writeFile(file, await snapshotOf(api));
  const { code, err } = await restore(file, join(folder, 'restored'));
  expect([code, err]).toEqual([0, '']);
  expect(await restored(join(folder, 'restored'))).toEqual({
    count: 1_199n,
    value: '\b'.repeat(200),
  });
});

test('a snapshot that was cut off or changed anywhere is refused', async () => {
  await using etcd = await startEtcd();
  using api = new EtcdApi(etcd.address);
  await api.call(KV.method.put, { key: bytes('k'), value: bytes('value') });
  const whole = await snapshotOf(api);
  const changed = (at: number): Buffer => {
    const copy = Buffer.from(whole);
    copy[at] = (copy[at] as number) ^ 1;
    return copy;
  };
  const damaged = {
    'cut off': whole.subarray(0, -1),
    'without its checksum': whole.subarray(0, -32),
    longer: Buffer.concat([whole, Buffer.of(0)]),
    'another value': changed(whole.indexOf('"dmFsdWU="') + 2),
    'another checksum': changed(whole.length - 1),
    'nothing at all': Buffer.alloc(0),
  };
  for (const [what, content] of Object.entries(damaged)) {
    const file = join(folder, what);
    await writeFile(file, content);
    const { code } = await restore(file, join(folder, `${what}.data`));
    expect([what, code]).toEqual([what, errorTable.corrupt.exit]);
  }
});

const etcdctl = orNotRun('etcd-3.4', 'etcdctl saves a snapshot');

test.runIf(etcdctl !== null)('etcdctl saves a snapshot that waymark restores', async () => {
  await using engine = createMemoryEngine();
  await using etcd = await startEtcd({ engine });
  await filled(engine, etcd.address);
  const file = join(folder, 'by-etcdctl');
  const binary = join(dirname(etcdctl?.path ?? ''), 'etcdctl');
  await promisify(execFile)(binary, ['--endpoints', etcd.address, 'snapshot', 'save', file], {
    env: { ...process.env, ETCDCTL_API: '3' },
  });
  using api = new EtcdApi(etcd.address);
  expect(await readFile(file)).toEqual(await snapshotOf(api));
  expect((await restore(file, join(folder, 'by-etcdctl.data'))).code).toBe(0);
  expect((await restored(join(folder, 'by-etcdctl.data'))).count).toBe(1_199n);
});

test('where clients are not to have all, there are no snapshots', async () => {
  const server = await startServer({
    engine: 'memory',
    listen: ['127.0.0.1:0'],
    allowEngine: false,
    logLevel: 'silent',
  });
  using api = new EtcdApi(server.addresses[0] ?? '');
  await expect(snapshotOf(api)).rejects.toMatchObject({ code: 7 });
  await server.close();
});

test('two servers of one engine agree on the hash, and it tells every difference', async () => {
  await using engine = createMemoryEngine();
  await using one = await startEtcd({ engine });
  await using two = await startEtcd({ engine });
  using api = new EtcdApi(one.address);
  using other = new EtcdApi(two.address);
  await api.call(KV.method.put, { key: bytes('ab'), value: bytes('c') });
  const told = async (from: EtcdApi): Promise<number> => (await from.call(hashKV, {})).hash;
  const before = await told(api);
  expect(await told(other)).toBe(before);
  const put = async (key: string, value: string): Promise<number> => {
    await using fresh = await startEtcd();
    using client = new EtcdApi(fresh.address);
    await client.call(KV.method.put, { key: bytes(key), value: bytes(value) });
    return await told(client);
  };
  expect(await put('ab', 'c')).toBe(before);
  expect(await put('a', 'bc')).not.toBe(before);
  expect(await put('ab', 'd')).not.toBe(before);
  await api.call(KV.method.put, { key: bytes('ab'), value: bytes('c') });
  expect(await told(api)).not.toBe(before);
});

test('a hash of more than a page', async () => {
  await using engine = createMemoryEngine();
  await using etcd = await startEtcd({ engine });
  await filled(engine, etcd.address);
  using api = new EtcdApi(etcd.address);
  const { hash, header } = await api.call(hashKV, {});
  await api.call(KV.method.put, { key: bytes('k/999\xff\0'), value: bytes('changed') });
  expect((await api.call(hashKV, {})).hash).not.toBe(hash);
  expect((await api.call(hashKV, { revision: header?.revision ?? 0n })).hash).toBe(hash);
});
