import {
  Auth,
  Cluster,
  Election,
  KV,
  Lease,
  Lock,
  Maintenance,
  type MessageInitShape,
  type RequestOpSchema,
  Watch,
} from 'waymark/etcd';
import { expect, test } from 'vitest';
import {
  answer,
  AuthWorld,
  firstOf,
  keepAliveAnswer,
  permission,
  watchAnswer,
} from './auth-world.js';
import type { EtcdApi } from './client.js';
import { onFreshEtcds, type StartAnEtcd } from './each-etcd.js';
import { bytes } from './keys.js';

const kv = KV.method;
const denied = '7 etcdserver: permission denied';
const nameless = '3 etcdserver: user name is empty';
const badToken = '16 etcdserver: invalid auth token';

type RequestOp = MessageInitShape<typeof RequestOpSchema>;
type Op = Extract<RequestOp['request'], { case: string }>;

const op = (request: Op): RequestOp => ({ request });
const readOp = (key: string): RequestOp => op({ case: 'requestRange', value: { key: bytes(key) } });
const putOp = (key: string, more: { prevKv?: boolean; lease?: bigint } = {}): RequestOp =>
  op({ case: 'requestPut', value: { key: bytes(key), ...more } });
const isNew = (key: string) => ({
  key: bytes(key),
  target: 0,
  result: 0,
  targetUnion: { case: 'version' as const, value: 0n },
});

interface Cast {
  readonly world: AuthWorld;
  /** Reads and writes below `both/`, reads below `read/`, writes below `write/`. */
  readonly user: EtcdApi;
  readonly root: EtcdApi;
}

/** Leases of a key below: 1 `both/leased`, 2 `secret/leased`, 3 none. */
async function cast(start: StartAnEtcd): Promise<Cast & AsyncDisposable> {
  const world = await AuthWorld.start(start);
  for (const ID of [1n, 2n, 3n]) {
    await world.nobody.call(Lease.method.leaseGrant, { ID, TTL: 600n });
  }
  await world.nobody.call(kv.put, { key: bytes('both/leased'), lease: 1n });
  await world.nobody.call(kv.put, { key: bytes('secret/leased'), lease: 2n });
  await world.addUser('user', [
    permission('readwrite', 'both/', 'both0'),
    permission('read', 'read/', 'read0'),
    permission('write', 'write/', 'write0'),
  ]);
  const root = await world.enable();
  const user = await world.logIn('user');
  return { world, user, root, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() };
}

onFreshEtcds((start, kind) => {
  /** What etcd learned after 3.4. */
  const since35 = kind === 'etcd 3.4' ? () => {} : test;

  test('one key, a range, and what an answer tells of before', async () => {
    await using all = await cast(start);
    const { user } = all;
    const put = (key: string, prevKv = false) => answer(user, kv.put, { key: bytes(key), prevKv });
    expect([await put('both/a', true), await put('write/a')]).toEqual(['ok', 'ok']);
    expect([await put('write/a', true), await put('read/a'), await put('x')]).toEqual([
      denied,
      denied,
      denied,
    ]);
    const range = (key: string, end = '') =>
      answer(user, kv.range, { key: bytes(key), rangeEnd: bytes(end) });
    expect([await range('both/', 'both0'), await range('read/z')]).toEqual(['ok', 'ok']);
    expect([await range('both/', 'both1'), await range('both/', '\0')]).toEqual([denied, denied]);
    expect([await range('write/a'), await range('both/', 'read0')]).toEqual([denied, denied]);
    const serializable = { key: bytes('x'), serializable: true };
    expect(await answer(user, kv.range, serializable)).toBe(denied);
    const remove = (key: string, end = '', prevKv = false) =>
      answer(user, kv.deleteRange, { key: bytes(key), rangeEnd: bytes(end), prevKv });
    expect([await remove('both/', 'both0', true), await remove('write/', 'write0')]).toEqual([
      'ok',
      'ok',
    ]);
    expect([await remove('write/a', '', true), await remove('read/a')]).toEqual([denied, denied]);
    expect(await remove('both/', 'both1')).toBe(denied);
  });

  test('a transaction: every compare and every branch, whichever would run', async () => {
    await using all = await cast(start);
    const { user } = all;
    const txn = (request: MessageInitShape<typeof kv.txn.input>) => answer(user, kv.txn, request);
    expect(await txn({ compare: [isNew('both/a')], success: [putOp('both/a')] })).toBe('ok');
    expect(await txn({ compare: [isNew('x')] })).toBe(denied);
    expect(await txn({ compare: [isNew('write/a')] })).toBe(denied);
    expect(await txn({ compare: [{ ...isNew('both/'), rangeEnd: bytes('both1') }] })).toBe(denied);
    for (const branch of ['success', 'failure'] as const) {
      expect(await txn({ [branch]: [putOp('both/a'), putOp('x')] })).toBe(denied);
      expect(await txn({ [branch]: [readOp('write/a')] })).toBe(denied);
      const remove = { case: 'requestDeleteRange', value: { key: bytes('write/a') } } as const;
      expect(await txn({ [branch]: [op(remove)] })).toBe('ok');
      const told = { ...remove, value: { ...remove.value, prevKv: true } };
      expect(await txn({ [branch]: [op(told)] })).toBe(denied);
    }
    expect(await answer(all.world.nobody, kv.txn, {})).toBe('ok');
    expect(await answer(all.world.client({ token: 'x.1' }), kv.txn, {})).toBe(badToken);
  });

  since35(
    'a transaction within a transaction, and what a put in it tells and hangs on',
    async () => {
      await using all = await cast(start);
      const { user, root } = all;
      const nest = (value: MessageInitShape<typeof kv.txn.input>, depth: number): RequestOp =>
        op({
          case: 'requestTxn',
          value: depth === 0 ? value : { failure: [nest(value, depth - 1)] },
        });
      for (const depth of [0, 1, 2]) {
        const txn = (value: MessageInitShape<typeof kv.txn.input>, api = user) =>
          answer(api, kv.txn, { success: [nest(value, depth)] });
        expect(await txn({ success: [putOp('both/a')] })).toBe('ok');
        expect(await txn({ success: [putOp('x')] })).toBe(denied);
        expect(await txn({ failure: [readOp('x')] })).toBe(denied);
        expect(await txn({ compare: [isNew('x')] })).toBe(denied);
        expect(await txn({ success: [putOp('write/a', { prevKv: true })] })).toBe(denied);
        expect(await txn({ success: [putOp('both/a', { lease: 2n })] })).toBe(denied);
        expect(await txn({ success: [putOp('both/a', { lease: 2n })] }, root)).toBe('ok');
      }
    },
  );

  test('what is wrong with a request is told before who may ask it', async () => {
    await using all = await cast(start);
    const { nobody } = all.world;
    expect(await answer(nobody, kv.range, {})).toBe('3 etcdserver: key is not provided');
    expect(await answer(nobody, kv.put, {})).toBe('3 etcdserver: key is not provided');
    expect(await answer(nobody, kv.txn, { success: [{}] })).toBe('3 etcdserver: key not found');
    const twice = { success: [putOp('a'), putOp('a')] };
    expect(await answer(nobody, kv.txn, twice)).toBe(
      '3 etcdserver: duplicate key given in txn request',
    );
    const future = { key: bytes('x'), revision: 1_000n };
    expect(await answer(nobody, kv.range, future)).toBe(nameless);
    expect(await answer(all.user, kv.range, future)).toBe(denied);
  });

  test('who attaches to a lease may write all its keys; so may who ends it', async () => {
    await using all = await cast(start);
    const { user, root } = all;
    const put = (lease: bigint, key = 'both/a', api = user) =>
      answer(api, kv.put, { key: bytes(key), lease });
    expect([await put(1n), await put(2n), await put(3n)]).toEqual(['ok', denied, 'ok']);
    const absent = '5 etcdserver: requested lease not found';
    expect([await put(99n), await put(99n, 'x')]).toEqual([absent, denied]);
    expect(await put(2n, 'x', root)).toBe('ok');
    const revoke = (ID: bigint) => answer(user, Lease.method.leaseRevoke, { ID });
    expect([await revoke(2n), await revoke(99n), await revoke(1n)]).toEqual([denied, absent, 'ok']);
  });

  since35('leases: nobody without a name, and keys for who may read them', async () => {
    await using all = await cast(start);
    const { user, root, world } = all;
    const lease = Lease.method;
    const { nobody } = world;
    expect(await answer(nobody, lease.leaseGrant, { TTL: 60n })).toBe(nameless);
    expect(await answer(user, lease.leaseGrant, { TTL: 60n })).toBe('ok');
    expect(await answer(nobody, lease.leaseRevoke, { ID: 99n })).toBe(nameless);
    const left = (api: EtcdApi, ID: bigint, keys: boolean) =>
      answer(api, lease.leaseTimeToLive, { ID, keys });
    expect(await left(nobody, 1n, false)).toBe(nameless);
    expect([await left(user, 2n, false), await left(user, 2n, true)]).toEqual(['ok', denied]);
    expect([await left(user, 1n, true), await left(user, 99n, true)]).toEqual(['ok', 'ok']);
    expect([
      await answer(user, lease.leaseLeases, {}),
      await answer(root, lease.leaseLeases, {}),
    ]).toEqual([denied, 'ok']);
    expect(await keepAliveAnswer(nobody, 1n)).toBe(nameless);
    expect([await keepAliveAnswer(user, 1n), await keepAliveAnswer(user, 2n)]).toEqual([
      'ok',
      denied,
    ]);
    await root.call(lease.leaseRevoke, { ID: 2n });
    expect(await answer(user, lease.leaseLeases, {})).toBe('ok');
  });

  test('a watch that may not be is answered in its conversation', async () => {
    await using all = await cast(start);
    const { user, world } = all;
    const no = (code: string, text: string) =>
      `-1 rpc error: code = ${code} desc = etcdserver: ${text}`;
    const watch = (api: EtcdApi, key: string, end = '') =>
      watchAnswer(api, { key: bytes(key), rangeEnd: bytes(end) });
    expect(await watch(user, 'both/', 'both0')).toBe('created');
    const noPermission = no('PermissionDenied', 'permission denied');
    expect(await watch(user, 'both/', 'both1')).toBe(noPermission);
    expect([await watch(user, 'write/a'), await watch(user, '')]).toEqual([
      noPermission,
      noPermission,
    ]);
    expect(await watch(world.nobody, 'both/a')).toBe(no('InvalidArgument', 'user name is empty'));
    const stranger = world.client({ token: 'x.1' });
    expect(await watch(stranger, 'both/a')).toBe(no('Unauthenticated', 'invalid auth token'));
  });

  test('a watch that stands ends when its user may no more, where etcd lets it go on; the next one may not', async () => {
    await using all = await cast(start);
    const { user, root } = all;
    const stream = user.stream(Watch.method.watch);
    const heard: string[] = [];
    let wake = (): void => {};
    const hear = (text: string): void => {
      heard.push(text);
      wake();
    };
    stream.on('error', ({ code }: { code: number }) => hear(`ended with ${code}`));
    stream.on('data', ({ created, canceled, events }) =>
      hear(canceled ? 'refused' : created ? 'created' : `${events.length} event`),
    );
    const until = async (count: number) => {
      while (heard.length < count) await new Promise<void>((resolve) => (wake = resolve));
    };
    const create = () =>
      stream.write({ requestUnion: { case: 'createRequest', value: { key: bytes('both/a') } } });
    create();
    await until(1);
    await root.call(Auth.method.userRevokeRole, { name: 'user', role: 'user' });
    if (!kind.startsWith('etcd')) {
      const since = performance.now();
      await until(2);
      expect(performance.now() - since).toBeLessThan(1_000);
      expect(heard).toEqual(['created', 'ended with 7']);
      expect(await watchAnswer(user, { key: bytes('both/a') })).toContain('permission denied');
      return;
    }
    await root.call(kv.put, { key: bytes('both/a') });
    await until(2);
    create();
    await until(3);
    await root.call(kv.put, { key: bytes('both/a') });
    await until(4);
    expect(heard).toEqual(['created', '1 event', 'refused', '1 event']);
    stream.cancel();
  });

  test('locks and elections: who may read the queue and write their place in it', async () => {
    await using all = await cast(start);
    const { user, world } = all;
    const [no, who] = ['2 etcdserver: permission denied', '2 etcdserver: user name is empty'];
    const { lock, unlock } = Lock.method;
    const take = (name: string, api = user) => answer(api, lock, { name: bytes(name), lease: 3n });
    expect([await take('both/l'), await take('write/l'), await take('read/l')]).toEqual([
      'ok',
      no,
      no,
    ]);
    expect([await take('x'), await take('both/l', world.nobody)]).toEqual([no, who]);
    const give = (key: string) => answer(user, unlock, { key: bytes(key) });
    expect([await give('both/l/3'), await give('write/l/3'), await give('x/3')]).toEqual([
      'ok',
      'ok',
      no,
    ]);
    const { campaign, leader, proclaim, resign } = Election.method;
    const named = (name: string) => ({ name: bytes(name), lease: 1n, value: bytes('v') });
    expect(await answer(user, campaign, named('x'))).toBe(no);
    const led = (await user.call(campaign, named('both/e'))).leader;
    expect(await answer(user, leader, { name: bytes('both/e') })).toBe('ok');
    expect(await answer(user, leader, { name: bytes('write/e') })).toBe(no);
    expect(await answer(user, proclaim, { leader: led, value: bytes('w') })).toBe('ok');
    const other = { name: bytes('write/e'), key: bytes('write/e/1'), rev: 1n, lease: 1n };
    expect(await answer(user, proclaim, { leader: other })).toBe(no);
    expect(await answer(user, resign, { leader: other })).toBe(no);
    expect(await answer(world.nobody, resign, { leader: led })).toBe(who);
    expect(await answer(user, resign, { leader: led })).toBe('ok');
  });

  test('the upkeep of the server is for root', async () => {
    await using all = await cast(start);
    const { user, world } = all;
    const { hash, hashKV, defragment, snapshot } = Maintenance.method;
    for (const method of [hash, hashKV, defragment] as unknown as [typeof hash]) {
      expect(await answer(user, method, {})).toBe('2 auth: permission denied');
      expect(await answer(world.nobody, method, {})).toBe('2 auth: user name is empty');
    }
    expect(await firstOf(user, snapshot, (stream) => stream.end({}))).toBe(
      '2 auth: permission denied',
    );
    expect(await answer(user, Cluster.method.memberRemove, { ID: 1n })).toBe(denied);
    expect(await answer(world.nobody, Cluster.method.memberPromote, { ID: 1n })).toBe(nameless);
  });

  since35('and what is known of it for users', async () => {
    await using all = await cast(start);
    const { user, world } = all;
    const { alarm, status, moveLeader, downgrade } = Maintenance.method;
    for (const method of [status, moveLeader, downgrade] as unknown as [typeof status]) {
      expect(await answer(user, method, {})).toBe(denied);
      expect(await answer(world.nobody, method, {})).toBe(nameless);
    }
    expect([await answer(user, alarm, {}), await answer(user, alarm, { action: 2 })]).toEqual([
      'ok',
      denied,
    ]);
    expect(await answer(world.nobody, alarm, {})).toBe(nameless);
    expect(await answer(user, Cluster.method.memberList, {})).toBe('ok');
    expect(await answer(world.nobody, Cluster.method.memberList, {})).toBe(nameless);
  });
});
