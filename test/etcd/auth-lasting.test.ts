import { startEtcd } from '@waymark/server/testing';
import { systemClock } from 'waymark/engine';
import { Auth, Election, KV, Lease, Lock, Maintenance, Watch } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { answer, AuthWorld, permission } from './auth-world.js';
import type { EtcdApi } from './client.js';
import { bytes } from './keys.js';

/** What is under way over etcd's API when a right ends. */

const noLonger = '2 etcdserver: permission denied';

async function world(): Promise<AuthWorld> {
  return await AuthWorld.start(async () => {
    const { address, close } = await startEtcd();
    return { address, stop: close };
  });
}

/** What it came to, and that it did so within a second. */
async function soon<T>(over: Promise<T>): Promise<T> {
  const since = systemClock.now();
  const told = await over;
  expect(systemClock.now() - since).toBeLessThan(1_000);
  return told;
}

/** Keys below a name: who holds it, and who waits. */
async function queue(api: EtcdApi, name: string): Promise<number> {
  const range = { key: bytes(`${name}/`), rangeEnd: bytes(`${name}0`), countOnly: true };
  return Number((await api.call(KV.method.range, range)).count);
}

test('[A5.2] a lock that is waited for is refused within a second of the right to it, and its place is free', async () => {
  await using here = await world();
  await here.addUser('user', [permission('readwrite', 'a/', 'a0')]);
  const root = await here.enable();
  const user = await here.logIn('user');
  const { ID: lease } = await user.call(Lease.method.leaseGrant, { TTL: 600n });
  await root.call(Lock.method.lock, { name: bytes('a/l') });
  const waits = answer(user, Lock.method.lock, { name: bytes('a/l'), lease });
  await expect.poll(() => queue(root, 'a/l')).toBe(2);
  await root.call(Auth.method.roleAdd, { name: 'other' });
  expect(await queue(root, 'a/l'), 'another change ends nothing').toBe(2);
  await root.call(Auth.method.userRevokeRole, { name: 'user', role: 'user' });
  expect(await soon(waits)).toBe(noLonger);
  expect(await queue(root, 'a/l')).toBe(1);
});

test('[A5.2] so is a campaign, once its user is gone', async () => {
  await using here = await world();
  await here.addUser('user', [permission('readwrite', 'a/', 'a0')]);
  const root = await here.enable();
  const user = await here.logIn('user');
  await root.call(Election.method.campaign, { name: bytes('a/e') });
  const waits = answer(user, Election.method.campaign, { name: bytes('a/e') });
  await expect.poll(() => queue(root, 'a/e')).toBe(2);
  await root.call(Auth.method.userDelete, { name: 'user' });
  expect(await soon(waits)).toBe('2 etcdserver: invalid auth token');
  expect(await queue(root, 'a/e')).toBe(1);
});

test('[A5.2] what waited before access was switched on is refused then', async () => {
  await using here = await world();
  const { nobody } = here;
  await nobody.call(Lock.method.lock, { name: bytes('a/l') });
  const waits = answer(nobody, Lock.method.lock, { name: bytes('a/l') });
  await expect.poll(() => queue(nobody, 'a/l')).toBe(2);
  await here.addUser('root', []);
  const on = nobody.call(Auth.method.authEnable, {});
  expect(await soon(waits)).toBe('2 etcdserver: user name is empty');
  await on;
});

test('[A5.2] a snapshot goes no further than the right to it, however slowly it is read', async () => {
  await using here = await world();
  const value = Buffer.alloc(1_000_000, 'v');
  for (let i = 0; i < 8; i++) await here.nobody.call(KV.method.put, { key: bytes(`${i}`), value });
  await here.addUser('other', []);
  const root = await here.enable();
  await root.call(Auth.method.userGrantRole, { user: 'other', role: 'root' });
  const other = await here.logIn('other');
  const stream = other.stream(Maintenance.method.snapshot);
  const ended = new Promise<string>((resolve) => {
    stream.on('error', ({ details }: Error & { details: string }) => resolve(details));
  });
  stream.end({});
  const first = await new Promise<{ remainingBytes: bigint }>((resolve) => {
    stream.once('data', (blob) => {
      stream.pause();
      resolve(blob);
    });
  });
  await root.call(Auth.method.userRevokeRole, { name: 'other', role: 'root' });
  let remaining = first.remainingBytes;
  stream.on('data', (blob: { remainingBytes: bigint }) => (remaining = blob.remainingBytes));
  stream.resume();
  expect(await soon(ended)).toBe('auth: permission denied');
  expect(remaining).toBeGreaterThan(first.remainingBytes / 2n);
});

test('[A5.2] a watch that its client canceled is asked about no more, and those beside it go on', async () => {
  await using here = await world();
  await here.addUser('user', [permission('read', 'a'), permission('read', 'b')]);
  const root = await here.enable();
  const user = await here.logIn('user');
  const stream = user.stream(Watch.method.watch);
  const heard: string[] = [];
  stream.on('error', ({ code }: Error & { code: number }) => heard.push(`ended with ${code}`));
  stream.on('data', ({ created, canceled, watchId, events }) => {
    heard.push(canceled ? `${watchId} over` : created ? `${watchId}` : `${events.length} event`);
  });
  const create = (key: string) =>
    stream.write({ requestUnion: { case: 'createRequest', value: { key: bytes(key) } } });
  create('a');
  create('c');
  create('b');
  await expect.poll(() => heard).toEqual(['0', '-1 over', '1']);
  stream.write({ requestUnion: { case: 'cancelRequest', value: { watchId: 0n } } });
  await expect.poll(() => heard.at(-1)).toBe('0 over');
  await root.call(Auth.method.roleRevokePermission, { role: 'user', key: bytes('a') });
  await root.call(KV.method.put, { key: bytes('b') });
  await expect.poll(() => heard.at(-1)).toBe('1 event');
  await root.call(Auth.method.roleRevokePermission, { role: 'user', key: bytes('b') });
  await expect.poll(() => heard.at(-1), { timeout: 1_000 }).toBe('ended with 7');
});
