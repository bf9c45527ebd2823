import { KV, Lease, watchFilter } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { EtcdApi } from './client.js';
import { isElsewhere, isPresent, onEachEtcd, progressNotifyMs, type Served } from './each-etcd.js';
import { bytes, Keys } from './keys.js';
import { WatchClient } from './watch-client.js';

const duplicate = 'mvcc: duplicate watch ID provided on the WatchStream';
const noRange = 'mvcc: watcher range is empty';
const anything = { key: bytes('\0'), rangeEnd: bytes('\0') };

/** A stream of its own, and the writes, of one test. */
interface Scene extends Disposable {
  readonly keys: Keys;
  readonly watch: WatchClient;
  readonly api: EtcdApi;
}

function scene({ api }: Served): Scene {
  const watch = new WatchClient(api);
  return { api, keys: new Keys(api), watch, [Symbol.dispose]: () => watch[Symbol.dispose]() };
}

onEachEtcd((served, kind) => {
  /** What etcd 3.4 has otherwise: it takes a negative revision for one, and no interval of progress. */
  const settled = kind === 'etcd 3.4' ? () => {} : test;

  test('[watch] first the watch is created, at the present revision; then each change is told, at its own', async () => {
    using s = scene(served());
    const before = await s.keys.put('first/b', '0');
    const key = bytes('first/a');
    expect(await s.watch.created({ key })).toEqual({ id: 0, revision: before, created: true });
    const at = await s.keys.put('first/a', '1');
    const events = [`PUT first/a=1 c${at} m${at} v1`];
    expect(await s.watch.next()).toEqual({ id: 0, revision: at, events });
    await s.keys.put('first/b', '1');
    const gone = await s.keys.delete('first/a');
    const last = [`DELETE first/a= c0 m${gone} v0`];
    expect(await s.watch.next()).toEqual({ id: 0, revision: gone, events: last });
  });

  test('[watch] an id is the client’s, any but 0 and none that is taken; for 0 the next free one is picked', async () => {
    using s = scene(served());
    const revision = await s.keys.put('ids', '0');
    const key = bytes('ids');
    const ids = [0n, 5n, 1n, 0n, -7n, -(2n ** 63n), 2n ** 62n, 3n, 0n];
    const given = [0, 5, 1, 2, -7, -(2 ** 63), 2 ** 62, 3, 4];
    for (const [at, watchId] of ids.entries()) {
      const answer = await s.watch.created({ key, watchId });
      expect(answer).toEqual({ id: given[at], revision, created: true });
    }
    const refused = { id: -1, revision, created: true, canceled: true, reason: duplicate };
    expect(await s.watch.created({ key, watchId: 5n })).toEqual(refused);
    s.watch.cancel(5);
    expect(await s.watch.next()).toEqual({ id: 5, revision, canceled: true });
    expect(await s.watch.created({ key, watchId: 5n })).toEqual({ id: 5, revision, created: true });
    expect((await s.watch.created({ key })).id).toBe(6);
  });

  test('[watch] an empty range is refused, before a taken id', async () => {
    using s = scene(served());
    const revision = await s.keys.put('empty', '0');
    const refused = { id: -1, revision, created: true, canceled: true, reason: noRange };
    const [key, rangeEnd] = [bytes('b'), bytes('a')];
    expect(await s.watch.created({ key, rangeEnd })).toEqual(refused);
    expect(await s.watch.created({ key, rangeEnd: key })).toEqual(refused);
    await s.watch.created({ key, watchId: 3n });
    expect(await s.watch.created({ key, rangeEnd, watchId: 3n })).toEqual(refused);
  });

  test('[watch] keys are bytes: one key, a range, from a key on, all; the empty key is the first of all', async () => {
    using s = scene(served());
    const key = bytes('wide/\xff');
    const ranges = [
      { key },
      { key: bytes('wide/'), rangeEnd: bytes('wide0') },
      { key, rangeEnd: bytes('\0') },
      anything,
      { key: bytes(''), rangeEnd: bytes('\0') },
      { key: bytes('') },
      { key: bytes('wide'), rangeEnd: key },
    ];
    for (const [at, range] of ranges.entries()) {
      await s.watch.created({ ...range, watchId: BigInt(at + 1) });
    }
    await s.keys.put('wide/\xff', '\0\xfe');
    const saw = [];
    for (let left = 5; left > 0; left--) {
      const { id, events = [] } = await s.watch.next();
      saw.push(id);
      expect(events[0]).toMatch(/^PUT wide\/\xff=\0\xfe /);
    }
    expect(saw.toSorted()).toEqual([1, 2, 3, 4, 5]);
    await s.keys.put('\0', 'least');
    const least = [];
    for (let left = 3; left > 0; left--) least.push((await s.watch.next()).id);
    expect(least.toSorted()).toEqual([4, 5, 6]);
  });

  test('[watch] a start revision in the past tells history first, and goes on with the present', async () => {
    using s = scene(served());
    const range = { key: bytes('past/'), rangeEnd: bytes('past0') };
    const one = await s.keys.put('past/a', '1');
    const two = await s.keys.put('past/b', '2');
    await s.keys.put('elsewhere', 'x');
    const three = await s.keys.delete('past/a');
    const all = [
      `PUT past/a=1 c${one} m${one} v1`,
      `PUT past/b=2 c${two} m${two} v1`,
      `DELETE past/a= c0 m${three} v0`,
    ];
    const created = { id: 0, revision: three, created: true };
    expect(await s.watch.created({ ...range, startRevision: 1n })).toEqual(created);
    expect(await s.watch.next()).toEqual({ id: 0, revision: three, events: all });
    const since = await s.watch.created({ ...range, startRevision: BigInt(two) });
    expect(since).toEqual({ id: 1, revision: three, created: true });
    expect(await s.watch.next()).toEqual({ id: 1, revision: three, events: all.slice(1) });
    await s.watch.created({ ...range, startRevision: BigInt(three), watchId: 9n });
    expect(await s.watch.next()).toEqual({ id: 9, revision: three, events: all.slice(2) });
    const four = await s.keys.put('past/a', '4');
    for (let left = 3; left > 0; left--) {
      expect((await s.watch.next()).events).toEqual([`PUT past/a=4 c${four} m${four} v1`]);
    }
  });

  test('[watch] a start revision in the future is waited for', async () => {
    using s = scene(served());
    const key = bytes('future');
    const now = await s.keys.put('future', '0');
    const startRevision = BigInt(now + 3);
    const created = { id: 0, revision: now, created: true };
    expect(await s.watch.created({ key, startRevision })).toEqual(created);
    for (let step = 1; step <= 4; step++) await s.keys.put('future', String(step));
    expect(await s.watch.events(2)).toEqual([
      `PUT future=3 c${now} m${now + 3} v4`,
      `PUT future=4 c${now} m${now + 4} v5`,
    ]);
  });

  test('[watch] where history is gone the watch is created, and canceled with the revision that is left', async () => {
    using s = scene(served());
    const range = { key: bytes('gone/'), rangeEnd: bytes('gone0') };
    const first = await s.keys.put('gone/a', '1');
    const point = await s.keys.put('gone/a', '2');
    await s.keys.put('gone/b', '3');
    const now = await s.keys.put('gone/c', '4');
    await s.keys.compact(point);
    const startRevision = BigInt(first);
    const asked = { ...range, startRevision, watchId: 4n };
    const created = await s.watch.created(asked);
    expect(created).toMatchObject({ id: 4, created: true });
    expect(isPresent(kind, created.revision, now)).toBe(true);
    const canceled = { id: 4, revision: 0, canceled: true, compacted: point };
    expect(await s.watch.next()).toEqual(canceled);
    // The id is taken until the client cancels it.
    expect((await s.watch.created(asked)).reason).toBe(duplicate);
    s.watch.cancel(4);
    const over = await s.watch.next();
    expect(over).toMatchObject({ id: 4, canceled: true });
    expect(isPresent(kind, over.revision, now)).toBe(true);
    // From the revision that was told, the watch stands: what is left of it is told.
    await s.watch.created({ ...range, startRevision: BigInt(point), prevKv: true });
    const events = await s.watch.events(3);
    expect(events[0]).toBe(`PUT gone/a=2 c${first} m${point} v2`);
    expect(events.map((event) => event.slice(0, 12))).toEqual([
      'PUT gone/a=2',
      'PUT gone/b=3',
      'PUT gone/c=4',
    ]);
  });

  settled('[watch] a negative start revision is refused as compacted', async () => {
    using s = scene(served());
    const revision = await s.keys.put('negative', '0');
    const reason = 'etcdserver: mvcc: required revision has been compacted';
    const answer = await s.watch.created({ key: bytes('negative'), startRevision: -3n });
    expect(answer).toEqual({ id: -1, revision, created: true, canceled: true, reason });
  });

  test('[watch] a cancel is answered, and nothing is told afterwards; that of an unknown id is not', async () => {
    using s = scene(served());
    const key = bytes('cancel');
    await s.watch.created({ key, watchId: 1n });
    await s.watch.created({ key, watchId: 2n });
    const revision = await s.keys.put('cancel', '1');
    const ids = [(await s.watch.next()).id, (await s.watch.next()).id];
    expect(ids.toSorted()).toEqual([1, 2]);
    for (const unknown of [77, -1, 0]) s.watch.cancel(unknown);
    s.watch.cancel(1);
    expect(await s.watch.next()).toEqual({ id: 1, revision, canceled: true });
    s.watch.cancel(1);
    s.watch.stream.write({});
    await s.keys.put('cancel', '2');
    expect((await s.watch.next()).id).toBe(2);
  });

  test('[watch] what was there before goes along when asked for', async () => {
    using s = scene(served());
    const key = bytes('previous');
    const lease = await s.keys.grant(60);
    await s.watch.created({ key, prevKv: true });
    const one = await s.keys.put('previous', '1', lease);
    const two = await s.keys.put('previous', '2');
    const gone = await s.keys.delete('previous');
    const again = await s.keys.put('previous', '3');
    expect(await s.watch.events(4)).toEqual([
      `PUT previous=1 c${one} m${one} v1 lease ${lease}`,
      `PUT previous=2 c${one} m${two} v2 was previous=1 c${one} m${one} v1 lease ${lease}`,
      `DELETE previous= c0 m${gone} v0 was previous=2 c${one} m${two} v2`,
      `PUT previous=3 c${again} m${again} v1`,
    ]);
  });

  test('[watch] filters leave out puts or deletes; those unknown leave out nothing', async () => {
    using s = scene(served());
    const key = bytes('filters');
    const asked = [
      [watchFilter.noPut],
      [watchFilter.noDelete],
      [watchFilter.noPut, watchFilter.noDelete],
      [9],
    ];
    for (const [at, filters] of asked.entries()) {
      await s.watch.created({ key, filters, watchId: BigInt(at + 1) });
    }
    await s.keys.put('filters', '1');
    await s.keys.delete('filters');
    const seen = new Map<number, string[]>();
    for (let left = 4; left > 0;) {
      const { id, events = [] } = await s.watch.next();
      left -= events.length;
      seen.set(id, [...(seen.get(id) ?? []), ...events.map((event) => event.split(' ')[0] ?? '')]);
    }
    expect([...seen].toSorted()).toEqual([
      [1, ['DELETE']],
      [2, ['PUT']],
      [4, ['PUT', 'DELETE']],
    ]);
  });

  test('[watch] one revision’s changes come in one response, in the order of the transaction', async () => {
    using s = scene(served());
    await s.keys.put('txn/b', '0');
    await s.watch.created({ key: bytes('txn/'), rangeEnd: bytes('txn0') });
    const put = (key: string) =>
      ({ request: { case: 'requestPut', value: { key: bytes(key), value: bytes('1') } } }) as const;
    const remove = { case: 'requestDeleteRange', value: { key: bytes('txn/b') } } as const;
    const success = [put('txn/c'), { request: remove }, put('txn/a')];
    const at = Number((await s.api.call(KV.method.txn, { success })).header?.revision);
    expect(await s.watch.next()).toEqual({
      id: 0,
      revision: at,
      events: [
        `PUT txn/c=1 c${at} m${at} v1`,
        `DELETE txn/b= c0 m${at} v0`,
        `PUT txn/a=1 c${at} m${at} v1`,
      ],
    });
  });

  test('[watch] a response too long for a request comes in fragments for those who ask for them', async () => {
    using s = scene(served());
    const range = { key: bytes('long/'), rangeEnd: bytes('long0') };
    for (let at = 10; at < 25; at++) await s.keys.put(`long/${at}`, 'x'.repeat(300_000));
    await s.watch.created({ ...range, prevKv: true, fragment: true, watchId: 1n });
    const revision = await s.keys.delete('long/', 'long0');
    const told = [];
    do told.push(await s.watch.next());
    while (told.at(-1)?.fragment === true);
    expect(told.map(({ events = [] }) => events.length)).toEqual([6, 6, 3]);
    expect(told.map(({ id, fragment }) => [id, fragment])).toEqual([
      [1, true],
      [1, true],
      [1, undefined],
    ]);
    expect(new Set(told.map((one) => one.revision))).toEqual(new Set([revision]));
    const names = told.flatMap(({ events = [] }) => events.map((event) => event.slice(7, 14)));
    expect(names).toEqual(Array.from({ length: 15 }, (_, at) => `long/${at + 10}`));
    const whole = await s.watch.created({
      ...range,
      prevKv: true,
      startRevision: BigInt(revision),
    });
    expect(whole.created).toBe(true);
    expect((await s.watch.next()).events?.length).toBe(15);
  });

  test('[watch] asked for progress, the stream tells for all watches how far they are, behind their events', async () => {
    using s = scene(served());
    await s.watch.created({ key: bytes('progress') });
    await s.watch.created({ key: bytes('progress'), watchId: 7n });
    await s.keys.put('progress', '1');
    for (let left = 2; left > 0; left--) await s.watch.next();
    const revision = await s.keys.put('elsewhere', '1');
    s.watch.askProgress();
    let told = await s.watch.next();
    // An engine elsewhere may not have told all of it yet: then the answer is true of less.
    while (isElsewhere(kind) && (told.revision ?? 0) < revision) {
      s.watch.askProgress();
      told = await s.watch.next();
    }
    expect(told).toMatchObject({ id: -1 });
    expect(isPresent(kind, told.revision, revision)).toBe(true);
  });

  settled('[watch] a quiet watch hears of progress now and then, if it asked to', async () => {
    using s = scene(served());
    await s.watch.created({ key: bytes('quiet'), progressNotify: true, watchId: 8n });
    await s.watch.created({ key: bytes('quiet'), watchId: 9n });
    const began = performance.now();
    const revision = await s.keys.put('elsewhere', '1');
    let told = await s.watch.next();
    while (isElsewhere(kind) && (told.revision ?? 0) < revision) told = await s.watch.next();
    for (const heard of [told, await s.watch.next()]) {
      expect(heard).toMatchObject({ id: 8 });
      expect(isPresent(kind, heard.revision, revision)).toBe(true);
    }
    expect(performance.now() - began).toBeGreaterThan(progressNotifyMs);
  });

  test('[watch] the keys of a lease that ends are deleted in one revision, by name', async () => {
    using s = scene(served());
    const range = { key: bytes('leased/'), rangeEnd: bytes('leased0') };
    const [revoked, expired] = [await s.keys.grant(60), await s.keys.grant(1)];
    await s.keys.put('leased/b', '1', revoked);
    await s.keys.put('leased/a', '1', revoked);
    const at = await s.keys.put('leased/c', '1', expired);
    await s.watch.created({ ...range, prevKv: true });
    await s.api.call(Lease.method.leaseRevoke, { ID: revoked });
    const both = await s.watch.next();
    expect(both.events?.map((event) => event.slice(0, 17))).toEqual([
      'DELETE leased/a= ',
      'DELETE leased/b= ',
    ]);
    const { revision, events } = await s.watch.next();
    const was = `leased/c=1 c${at} m${at} v1 lease ${expired}`;
    expect(events).toEqual([`DELETE leased/c= c0 m${revision} v0 was ${was}`]);
  });

  test('[watch] who has nothing more to ask is told on', async () => {
    using s = scene(served());
    await s.watch.created({ key: bytes('half') });
    s.watch.stream.end();
    await s.keys.put('half', '1');
    expect((await s.watch.next()).events).toHaveLength(1);
  });

  test('[watch] a client may insist on a leader', async () => {
    const { address } = served();
    using api = new EtcdApi(address, { hasleader: 'true' });
    using watch = new WatchClient(api);
    expect((await watch.created({ key: bytes('leader') })).created).toBe(true);
  });

  test('[watch] a thousand watches of one key on one stream are all told', async () => {
    using s = scene(served());
    const ids = Array.from({ length: 1_000 }, (_, at) => at);
    for (const at of ids) s.watch.create({ key: bytes('crowd'), watchId: BigInt(at + 1) });
    for (const at of ids) expect((await s.watch.next()).id).toBe(at + 1);
    await s.keys.put('crowd', '1');
    const seen = new Set<number>();
    for (const _ of ids) seen.add((await s.watch.next()).id);
    expect(seen.size).toBe(1_000);
  });
});
