import { startEtcd } from '@waymark/server/testing';
import { createMemoryEngine, systemClock } from 'waymark/engine';
import { Auth, KV, Lease } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { answer, AuthWorld, permission } from './auth-world.js';
import { bytes } from './keys.js';

test('servers over one engine have the same rules, and each its own tokens', async () => {
  await using engine = createMemoryEngine();
  const start = async () => {
    const { address, close } = await startEtcd({ engine });
    return { address, stop: close };
  };
  await using here = await AuthWorld.start(start);
  await using there = await AuthWorld.start(start);
  await here.addUser('bob', [permission('write', 'a')]);
  const root = await here.enable();
  const token = await here.token('bob');
  const put = (world: AuthWorld) =>
    answer(world.client({ token }), KV.method.put, { key: bytes('a') });
  expect(await put(here)).toBe('ok');
  const until = async (expected: string, ask: () => Promise<string>) => {
    const lateMs = systemClock.now() + 10_000;
    while ((await ask()) !== expected && systemClock.now() < lateMs);
    expect(await ask()).toBe(expected);
  };
  await until('16 etcdserver: invalid auth token', () => put(there));
  const bob = await there.logIn('bob');
  const putThere = () => answer(bob, KV.method.put, { key: bytes('a') });
  expect(await putThere()).toBe('ok');
  await root.call(Auth.method.roleRevokePermission, { role: 'bob', key: bytes('a') });
  await until('7 etcdserver: permission denied', putThere);
  await root.call(Auth.method.userDelete, { name: 'bob' });
  await until('16 etcdserver: invalid auth token', putThere);
  await root.call(Auth.method.authDisable, {});
  await until('ok', putThere);
});

test('rules stand in the engine, and hold from the first call after a restart', async () => {
  const engine = createMemoryEngine();
  const first = await AuthWorld.start(async () => {
    const { address, close } = await startEtcd({ engine });
    return { address, stop: close };
  });
  await first.enable();
  await first[Symbol.asyncDispose]();
  await using again = await startEtcd({ engine });
  await using world = await AuthWorld.start(async () => ({
    address: again.address,
    stop: async () => {},
  }));
  expect(await answer(world.nobody, KV.method.put, { key: bytes('a') })).toBe(
    '3 etcdserver: user name is empty',
  );
  const root = await world.logIn('root');
  expect(await answer(root, KV.method.put, { key: bytes('a') })).toBe('ok');
});

test('a lease by which more hangs than keys of the namespace is for root alone', async () => {
  await using engine = createMemoryEngine();
  await using world = await AuthWorld.start(async () => {
    const { address, close } = await startEtcd({ engine });
    return { address, stop: close };
  });
  await world.addUser('bob', [permission('readwrite', '\0', '')]);
  const root = await world.enable();
  const bob = await world.logIn('bob');
  const revoke = async (key: string, api = bob) => {
    const { id } = await engine.grant(60_000);
    await engine.commit({ apply: [{ type: 'put', key, value: '', lease: id }] });
    return await answer(api, Lease.method.leaseRevoke, { ID: BigInt(id) });
  };
  expect(await revoke('n/etcd/d/a')).toBe('ok');
  for (const key of ['n/jobs/d/a', 'n/etcd/h/a\0exid', 'w/mine']) {
    expect(await revoke(key)).toBe('7 etcdserver: permission denied');
    expect(await revoke(key, root)).toBe('ok');
  }
});
