import { startEtcd } from '@waymark/server/testing';
import { createMemoryEngine } from 'waymark/engine';
import { Election, KV, type LeaderResponse } from 'waymark/etcd';
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

const notLeader = { code: 2, text: 'election: not leader' };
const { campaign, leader, observe, proclaim, resign } = Election.method;

/** What an observer is told, one after the other. */
function observed(api: EtcdApi, name: string) {
  const call = api.stream(observe);
  call.write({ name: bytes(name) });
  call.end();
  call.on('error', () => {});
  const told = call[Symbol.asyncIterator]() as AsyncIterator<LeaderResponse>;
  return {
    next: async () => (await told.next()).value as LeaderResponse,
    value: async () => text(((await told.next()).value as LeaderResponse).kv?.value ?? bytes('')),
    leave: () => call.cancel(),
  };
}

onEachEtcd((served) => {
  const stand = async (name: string, value: string, lease: bigint) =>
    await served().api.call(campaign, { name: bytes(name), value: bytes(value), lease });
  const led = async (name: string) => {
    const { kv } = await served().api.call(leader, { name: bytes(name) });
    return text(kv?.value ?? bytes(''));
  };

  test('who campaigns first leads, by a key of the name and the lease that holds the value', async () => {
    const { api } = served();
    const lease = await grant(api);
    const { header, leader: won } = await stand('first', 'me', lease);
    const [place] = await queueOf(api, 'first');
    expect(place).toMatchObject({ lease, version: 1n });
    expect(text(place?.value ?? bytes(''))).toBe('me');
    const key = placeOf('first', lease);
    expect([text(won?.name ?? bytes('')), text(won?.key ?? bytes(''))]).toEqual(['first', key]);
    expect(won).toMatchObject({ lease, rev: place?.createRevision });
    expect(header?.revision).toBe(place?.createRevision);
    expect(await led('first')).toBe('me');
  });

  test('the next leads once the leader resigns, the answer tells when it joined', async () => {
    const { api } = served();
    const first = await stand('next', 'one', await grant(api));
    const lease = await grant(api);
    const second = pending(stand('next', 'two', lease));
    const [, place] = await queued(api, 'next', 2);
    expect(second.over()).toBe(false);
    expect(await led('next')).toBe('one');
    const { header } = await api.call(resign, { leader: first.leader });
    const won = await second.result;
    expect(won.leader).toMatchObject({ lease, rev: place?.createRevision });
    expect(won.header?.revision).toBe(place?.createRevision);
    expect(won.header?.revision).toBeLessThan(header?.revision ?? 0n);
    expect(await led('next')).toBe('two');
  });

  test('the next leads once the lease of the leader ends', async () => {
    const { api } = served();
    const lease = await grant(api);
    await stand('ends', 'one', lease);
    const second = stand('ends', 'two', await grant(api));
    await queued(api, 'ends', 2);
    await revoke(api, lease);
    await second;
    expect(await led('ends')).toBe('two');
  });

  test('a leader who campaigns again is the same, with its new value', async () => {
    const { api } = served();
    const lease = await grant(api);
    const first = await stand('again', 'one', lease);
    const same = await stand('again', 'one', lease);
    expect(same.leader).toEqual(first.leader);
    expect(same.header?.revision).toBe(first.header?.revision);
    const other = await stand('again', 'two', lease);
    expect(other.leader).toEqual(first.leader);
    expect(await led('again')).toBe('two');
  });

  test('a campaign that ends while it waits gives up its place', async () => {
    const { api } = served();
    await stand('left', 'one', await grant(api));
    const call = api.stream(campaign);
    const ended = new Promise((resolve) => call.once('error', resolve));
    call.write({ name: bytes('left'), value: bytes('two'), lease: await grant(api) });
    call.end();
    call.resume();
    await queued(api, 'left', 2);
    call.cancel();
    expect(await ended).toMatchObject({ code: 1 });
    await queued(api, 'left', 1);
  });

  test('the leader proclaims values; who leads no more does not', async () => {
    const { api } = served();
    const { leader: won } = await stand('says', 'one', await grant(api));
    const { header } = await api.call(proclaim, { leader: won, value: bytes('two') });
    const [place] = await queueOf(api, 'says');
    expect(place).toMatchObject({ version: 2n, modRevision: header?.revision });
    expect(await led('says')).toBe('two');
    await api.call(resign, { leader: won });
    expect(await api.refusal(proclaim, { leader: won, value: bytes('three') })).toEqual(notLeader);
    expect(await queueOf(api, 'says')).toEqual([]);
  });

  test('who has been replaced under the same key neither proclaims nor resigns', async () => {
    const { api } = served();
    const lease = await grant(api);
    const { leader: old } = await stand('replaced', 'one', lease);
    await remove(api, placeOf('replaced', lease));
    await stand('replaced', 'two', lease);
    expect(await api.refusal(proclaim, { leader: old, value: bytes('three') })).toEqual(notLeader);
    await api.call(resign, { leader: old });
    expect(await led('replaced')).toBe('two');
  });

  test('what is missing is named', async () => {
    const { api } = served();
    const missing = { code: 2, text: '"leader" field must be provided' };
    expect(await api.refusal(proclaim, { value: bytes('x') })).toEqual(missing);
    expect(await api.refusal(resign, {})).toEqual(missing);
    const none = { code: 2, text: 'election: no leader' };
    expect(await api.refusal(leader, { name: bytes('nobody') })).toEqual(none);
    const empty = { code: 2, text: 'etcdserver: key is not provided' };
    const lease = { lease: 1n };
    expect(await api.refusal(proclaim, { leader: lease, value: bytes('x') })).toEqual(empty);
    expect(await api.refusal(resign, { leader: lease })).toEqual(empty);
    const lost = { code: 2, text: 'etcdserver: requested lease not found' };
    expect(await api.refusal(campaign, { name: bytes('lost'), lease: 4_711n })).toEqual(lost);
  });

  test('whoever brings no lease has one of 60 s', async () => {
    const { api } = served();
    const { leader: won } = await stand('without', 'one', 0n);
    const [place] = await queueOf(api, 'without');
    expect(place?.lease).toBe(won?.lease);
    expect(won?.lease).toBeGreaterThan(0n);
  });

  test('an observer is told who leads, what is proclaimed, and who leads next', async () => {
    const { api } = served();
    const first = await stand('watched', 'one', await grant(api));
    const lease = await grant(api);
    const second = stand('watched', 'two', lease);
    await queued(api, 'watched', 2);
    const observer = observed(api, 'watched');
    const { kv, header } = await observer.next();
    expect([text(kv?.key ?? bytes('')), text(kv?.value ?? bytes(''))]).toEqual([
      text(first.leader?.key ?? bytes('')),
      'one',
    ]);
    expect(header?.revision).toBeGreaterThan(kv?.modRevision ?? 0n);
    await api.call(proclaim, { leader: first.leader, value: bytes('one again') });
    const again = await observer.next();
    expect(text(again.kv?.value ?? bytes(''))).toBe('one again');
    expect(again.header?.revision).toBe(again.kv?.modRevision);
    await api.call(resign, { leader: first.leader });
    expect(await observer.value()).toBe('two');
    await api.call(proclaim, { leader: (await second).leader, value: bytes('two again') });
    expect(await observer.value()).toBe('two again');
    observer.leave();
  });

  test('an observer of an election that nobody leads waits for a leader', async () => {
    const { api } = served();
    const observer = observed(api, 'empty');
    const told = pending(observer.value());
    const lease = await grant(api);
    expect(told.over()).toBe(false);
    const { leader: one } = await stand('empty', 'one', lease);
    expect(await told.result).toBe('one');
    const next = pending(observer.value());
    await api.call(resign, { leader: one });
    expect(next.over()).toBe(false);
    await stand('empty', 'two', lease);
    expect(await next.result).toBe('two');
    observer.leave();
  });

  test('elections and locks of one name stand in one queue', async () => {
    const { api } = served();
    const key = bytes('shared/0');
    await api.call(KV.method.put, { key, value: bytes('by hand') });
    const won = pending(stand('shared', 'me', await grant(api)));
    await queued(api, 'shared', 2);
    expect([await led('shared'), won.over()]).toEqual(['by hand', false]);
    await api.call(KV.method.deleteRange, { key });
    await won.result;
    expect(await led('shared')).toBe('me');
  });
});

test('a candidate whose lease has ended does not lead, and stops waiting at once', async () => {
  await using engine = createMemoryEngine();
  await using etcd = await startEtcd({ engine });
  using api = new EtcdApi(etcd.address);
  const name = bytes('late');
  const [holder, candidate] = [await engine.grant(60_000), await engine.grant(60_000)];
  await api.call(campaign, { name, lease: BigInt(holder.id) });
  const waiting = api.refusal(campaign, { name, lease: BigInt(candidate.id) });
  await queued(api, 'late', 2);
  await engine.revoke(candidate.id);
  expect(await waiting).toEqual({ code: 2, text: 'election: session expired' });
  await queued(api, 'late', 1);
});

test('an observer goes on when history was dropped under it', async () => {
  await using engine = createMemoryEngine();
  const drop = droppingHistory(engine);
  await using etcd = await startEtcd({ engine });
  using api = new EtcdApi(etcd.address);
  const request = { name: bytes('far'), lease: await grant(api) };
  const { leader: won } = await api.call(campaign, { ...request, value: bytes('1') });
  drop();
  const observer = observed(api, 'far');
  expect([await observer.value(), await observer.value()]).toEqual(['1', '1']);
  await api.call(proclaim, { leader: won, value: bytes('2') });
  expect(await observer.value()).toBe('2');
  observer.leave();
});
