import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type Batch,
  type Engine,
  openEngine,
  type Operation,
  type Outcome,
  type Txn,
} from 'waymark/engine';
import { certificates } from '../support/certificates.js';
import { freePort } from '../support/free-port.js';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';

const everything = [{ key: '', end: '' }];
const put = (key: string, value = '') => ({ type: 'put', key, value }) as const;

let etcd: RunningEtcd;
let roots = 0;

beforeAll(async () => {
  etcd = await startEtcd();
});

afterAll(async () => {
  await etcd.stop();
});

const ctl = (server: RunningEtcd, ...args: string[]): string =>
  execFileSync('etcdctl', [`--endpoints=${server.address}`, ...args], {
    env: { ...process.env, ETCDCTL_API: '3' },
  }).toString();

function open(options = '', server = etcd): Promise<Engine> {
  return openEngine(`etcd://${server.address}/engine-${roots++}${options}`);
}

async function take(batches: AsyncIterable<Batch>, changes: number): Promise<Batch[]> {
  const taken: Batch[] = [];
  for await (const batch of batches) {
    taken.push(batch);
    if (taken.reduce((sum, one) => sum + one.changes.length, 0) >= changes) break;
  }
  return taken;
}

test('[K1] commits that share nothing go out together, those that conflict one by one and in their order', async () => {
  await using engine = await open();
  const outcomes = await Promise.all(
    Array.from({ length: 128 }, (_, n) => engine.commit({ apply: [put(`k${n}`)] })),
  );
  expect(new Set(outcomes.map(({ revision }) => revision)).size).toBeLessThan(10);
  const same = await Promise.all(
    Array.from({ length: 40 }, (_, n) => engine.commit({ apply: [put('one', String(n))] })),
  );
  const revisions = same.map(({ revision }) => revision);
  expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
  expect((await engine.read({ key: 'one' })).entries[0]?.value).toBe('39');
});

test('[K1] each of a group has its own outcome, whatever stands beside it', async () => {
  await using engine = await open();
  await engine.commit({ apply: [put('old', 'before')] });
  const absent = { key: 'old', target: 'version', is: '=', to: 0 } as const;
  const read = { type: 'read', key: 'old' } as const;
  const kinds = (n: number): Txn[] => [
    { apply: [put(`a${n}`), put(`b${n}`)] },
    { when: [absent], apply: [put(`c${n}`)], otherwise: [read] },
    { when: [{ ...absent, is: '>' }], apply: [put(`d${n}`)] },
    { when: [absent], apply: [put(`e${n}`)] },
    { apply: [] },
    {
      apply: [
        { ...put(`f${n}`), previous: true },
        { type: 'delete', key: `g${n}` },
      ],
    },
  ];
  const txns = Array.from({ length: 12 }, (_, n) => kinds(n)).flat();
  const outcomes = await Promise.all(txns.map((txn) => engine.commit(txn)));
  expect(new Set(outcomes.map(({ revision }) => revision)).size).toBeLessThan(4);
  const { entries } = await engine.read({ key: '', end: '' });
  const revisions = new Map(entries.map(({ key, modRevision }) => [key, modRevision]));
  for (const [n, txn] of txns.entries()) {
    const { succeeded, results, revision } = outcomes[n] as Outcome;
    expect(succeeded).toBe(![1, 3].includes(n % 6));
    const branch = (succeeded ? txn.apply : txn.otherwise) ?? [];
    expect(results.map(({ type }) => type)).toEqual(branch.map(({ type }) => type));
    for (const op of txn.apply ?? []) {
      if (op.type === 'put') expect(revisions.get(op.key)).toBe(succeeded ? revision : undefined);
    }
  }
  expect(outcomes[1]?.results).toMatchObject([{ reading: { entries: [{ value: 'before' }] } }]);
  expect(outcomes[5]?.results).toEqual([
    { type: 'put', previous: null },
    { type: 'delete', deleted: 0 },
  ]);
});

test('[K6] a group is as large as etcd takes it: 128 puts', async () => {
  await using engine = await open();
  const outcomes = await Promise.all(
    Array.from({ length: 1_024 }, (_, n) => engine.commit({ apply: [put(`k${n}`)] })),
  );
  expect(new Set(outcomes.map(({ revision }) => revision)).size).toBe(8);
});

test('[K11] one of a group that etcd refuses takes none of the others with it', async () => {
  await using engine = await open();
  const commits = Array.from({ length: 20 }, (_, n) =>
    engine.commit({ apply: [{ ...put(`k${n}`), lease: n === 7 ? 4_711 : 0 }] }),
  );
  const outcomes = await Promise.allSettled(commits);
  expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBe(19);
  expect(outcomes[7]).toMatchObject({ reason: { code: 'not_found', facts: { lease: 4_711 } } });
  expect((await engine.read({ key: '', end: '', countOnly: true })).count).toBe(19);
});

test('[K10] of several leases the one that has ended is named', async () => {
  await using engine = await open();
  const leases = [await engine.grant(60_000), await engine.grant(60_000)];
  await engine.revoke(leases[1]?.id as number);
  const apply = leases.map(({ id }, n) => ({ ...put(`k${n}`), lease: id }));
  await expect(engine.commit({ apply })).rejects.toMatchObject({
    code: 'not_found',
    facts: { lease: leases[1]?.id },
  });
});

test('[K4] a long branch with nested transactions is one commit, answered operation by operation', async () => {
  await using engine = await open();
  const nested = (key: string): Operation => ({
    type: 'txn',
    txn: {
      when: [{ key: 'absent', target: 'version', is: '=', to: 0 }],
      apply: [put(key), { type: 'read', key: 'k3' }],
    },
  });
  const apply: Operation[] = Array.from({ length: 127 }, (_, n) =>
    n === 50 ? nested('n50') : put(`k${n}`, String(n)),
  );
  const { revision, results } = await engine.commit({ apply });
  expect(results.map(({ type }) => type)).toEqual(apply.map(({ type }) => type));
  expect(results[50]).toMatchObject({
    succeeded: true,
    results: [{ type: 'put' }, { reading: { revision, count: 1, entries: [{ value: '3' }] } }],
  });
  const { entries } = await engine.read({ key: '', end: '' });
  expect(entries.length).toBe(127);
  expect(new Set(entries.map(({ modRevision }) => modRevision))).toEqual(new Set([revision]));
});

test('[K5] nothing outside the root is written, and nothing there is seen', async () => {
  ctl(etcd, 'put', 'engine-other', 'theirs');
  ctl(etcd, 'put', 'zzz', 'theirs');
  const root = `engine-${roots}`;
  const before = new Set(ctl(etcd, 'get', '', '--prefix', '--keys-only').split('\n'));
  await using engine = await open();
  const { id } = await engine.grant(60_000);
  const { revision } = await engine.commit({ apply: [{ ...put('a'), lease: id }, put('b')] });
  await engine.compact(revision);
  await engine.commit({ apply: [{ type: 'delete', key: '', end: '' }] });
  const made = ctl(etcd, 'get', '', '--prefix', '--keys-only').split('\n');
  const own = made.filter((key) => key !== '' && !before.has(key));
  expect(own.length).toBeGreaterThan(2);
  expect(own.filter((key) => !key.startsWith(`${root}/`))).toEqual([]);
  expect(made).toContain('zzz');
  await engine.revoke(id);
});

test('[K8] what is longer than one message of etcd comes in whole revisions all the same', async () => {
  await using engine = await open();
  const value = 'x'.repeat(300_000);
  const revisions: number[] = [];
  for (let n = 0; n < 12; n++) {
    const apply = [put('a', value), put('b', value), put('c', value), put('d', value)];
    revisions.push((await engine.commit({ apply })).revision);
  }
  const batches = await take(engine.watch(everything, { after: 0 }), 48);
  const seen = batches.flatMap(({ changes }) => changes.map(({ entry }) => entry.modRevision));
  expect(seen).toEqual(revisions.flatMap((revision) => [revision, revision, revision, revision]));
  for (const { revision, changes } of batches) {
    expect(changes.every(({ entry }) => entry.modRevision <= revision)).toBe(true);
  }
});

test('[K8] a watch outlives a restart of etcd, and misses nothing', async () => {
  const own = await startEtcd();
  await using engine = await open('', own);
  const { revision: after } = await engine.commit({ apply: [put('a')] });
  const watching = take(engine.watch(everything, { after }), 20);
  const revisions: number[] = [];
  for (let n = 0; n < 20; n++) {
    if (n === 7) await own.restart();
    revisions.push((await insist(() => engine.commit({ apply: [put(`k${n}`)] }))).revision);
  }
  const seen = (await watching).flatMap(({ changes }) => changes);
  expect(seen.map(({ entry }) => entry.modRevision)).toEqual(revisions);
  await own.stop();
});

test('[K9] history that etcd compacted without us is told as such, with the point, by reads, commits and watches', async () => {
  const own = await startEtcd();
  await using engine = await open('', own);
  const revisions: number[] = [];
  for (let n = 0; n < 20; n++) {
    revisions.push((await engine.commit({ apply: [put('a', String(n))] })).revision);
  }
  const point = revisions[12] as number;
  ctl(own, 'compact', String(point));
  const compacted = { code: 'compacted', facts: { compacted: point } };
  const at = revisions[3] as number;
  await expect(engine.read({ key: 'a', at })).rejects.toMatchObject(compacted);
  const read = engine.commit({ apply: [put('b'), { type: 'read', key: 'a', at }] });
  await expect(read).rejects.toMatchObject(compacted);
  await expect(take(engine.watch(everything, { after: at }), 1)).rejects.toMatchObject(compacted);
  const rest = await take(engine.watch(everything, { after: point }), 7);
  const seen = rest.flatMap(({ changes }) => changes.map(({ entry }) => entry.modRevision));
  expect(seen).toEqual(revisions.slice(13));
  await own.stop();
});

test('[K9] compaction of one root leaves etcd’s history alone; `owned` drops it', async () => {
  const own = await startEtcd();
  const oldest = (): string => ctl(own, 'get', 'engine-x', '--rev=2');
  await using guest = await open('', own);
  const { revision } = await guest.commit({ apply: [put('a')] });
  await guest.compact(revision);
  expect(oldest()).toBe('');
  await using owner = await open('?owned', own);
  const later = await owner.commit({ apply: [put('a')] });
  await owner.compact(later.revision);
  expect(oldest).toThrow(/compacted/);
  await own.stop();
});

test('[K8] a root that is given another identity ends its watches with superseded', async () => {
  const root = `engine-${roots}`;
  await using engine = await open();
  const { revision: after } = await engine.commit({ apply: [put('a')] });
  const watching = take(engine.watch(everything, { after }), 2);
  await engine.commit({ apply: [put('b')] });
  ctl(etcd, 'put', `${root}/m/identity`, 'another');
  await expect(watching).rejects.toMatchObject({ code: 'superseded' });
});

test('[K11] a member that is down is passed over; with none left calls are unavailable in time', async () => {
  const own = await startEtcd();
  const dead = `127.0.0.1:${await freePort()}`;
  await using engine = await openEngine(`etcd://${dead},${own.address}/failing?timeoutMs=2000`);
  for (let n = 0; n < 10; n++) await engine.commit({ apply: [put(`k${n}`)] });
  expect((await engine.read({ key: '', end: '' })).count).toBe(10);
  await own.stop();
  const begin = performance.now();
  await expect(engine.commit({ apply: [put('a')] })).rejects.toMatchObject({ code: 'unavailable' });
  await expect(engine.read({ key: 'a' })).rejects.toMatchObject({ code: 'unavailable' });
  expect(performance.now() - begin).toBeLessThan(5_000);
  const opening = openEngine(`etcd://${dead}/none?timeoutMs=500`);
  await expect(opening).rejects.toMatchObject({ code: 'unavailable' });
});

test('[K11] a write whose answer is lost is uncertain, and a read is asked again', async () => {
  const proxy = new Proxy(etcd.address);
  const address = await proxy.listen();
  const root = `engine-${roots++}`;
  await using engine = await openEngine(`etcd://${address}/${root}?timeoutMs=1500`);
  await engine.commit({ apply: [put('before')] });
  proxy.mute = true;
  const lost = engine.commit({ apply: [put('lost', 'yes')] });
  await expect(lost).rejects.toMatchObject({ code: 'uncertain' });
  const reading = engine.read({ key: 'lost' });
  proxy.reset();
  expect((await insist(() => reading.catch(() => engine.read({ key: 'lost' })))).count).toBe(1);
  await proxy.close();
});

test('[K11] a commit is bounded by its signal on every part of its way', async () => {
  const proxy = new Proxy(etcd.address);
  const address = await proxy.listen();
  await using engine = await openEngine(`etcd://${address}/engine-${roots++}`);
  proxy.mute = true;
  const stop = new AbortController();
  const reason = new Error('enough');
  const sent = engine.commit({ apply: [put('a')] }, { signal: stop.signal });
  const reading = engine.read({ key: 'a' }, { signal: stop.signal });
  const ranging = engine.read({ key: '', end: '' }, { signal: stop.signal });
  await new Promise((resolve) => setImmediate(resolve));
  // It conflicts with the one under way: it is not sent.
  const waiting = engine.commit({ apply: [put('a', 'b')] }, { signal: stop.signal });
  await new Promise((resolve) => setImmediate(resolve));
  stop.abort(reason);
  await expect(sent).rejects.toMatchObject({ code: 'uncertain' });
  await expect(waiting).rejects.toBe(reason);
  await expect(reading).rejects.toBe(reason);
  await expect(ranging).rejects.toBe(reason);
  await proxy.close();
});

test('etcds:// speaks TLS and shows a certificate of its own', async () => {
  const folder = await certificates();
  const own = await startEtcd({ tls: folder });
  const url = `etcds://${own.address}/tls`;
  const file = (name: string): string => encodeURIComponent(join(folder, name));
  const ca = `ca=${file('ca.crt')}`;
  const client = `cert=${file('client.crt')}&key=${file('client.key')}`;
  await using engine = await openEngine(`${url}?${ca}&${client}`);
  await engine.commit({ apply: [put('a', 'secret')] });
  expect((await engine.read({ key: 'a' })).entries[0]?.value).toBe('secret');
  await writesMany(engine);
  const refused = { code: 'unavailable' };
  await expect(openEngine(`${url}?${ca}&timeoutMs=1000`)).rejects.toMatchObject(refused);
  await expect(openEngine(`${url}?${client}&timeoutMs=1000`)).rejects.toMatchObject(refused);
  await expect(openEngine(`${url}?ca=/none`)).rejects.toMatchObject({ code: 'invalid' });
  await own.stop();
  await rm(folder, { recursive: true });
});

test('a user and password log in, again when etcd forgot, and see their root alone', async () => {
  const own = await startEtcd();
  for (const args of [
    ['user', 'add', 'root:top'],
    ['user', 'add', 'app:s3cret'],
    ['role', 'add', 'app'],
    ['role', 'grant-permission', 'app', 'readwrite', 'mine/', 'mine0'],
    ['user', 'grant-role', 'app', 'app'],
    ['auth', 'enable'],
  ]) {
    ctl(own, ...args);
  }
  const as = (who: string, root = 'mine'): Promise<Engine> =>
    openEngine(`etcd://${who}@${own.address}/${root}?timeoutMs=5000`);
  await expect(as('app:wrong')).rejects.toMatchObject({ code: 'unauthenticated' });
  await expect(as('app:s3cret', 'theirs')).rejects.toMatchObject({ code: 'denied' });
  await using engine = await as('app:s3cret');
  await writesMany(engine);
  const { revision } = await engine.commit({ apply: [put('a')] });
  const watch = engine.watch(everything, { after: revision - 1 })[Symbol.asyncIterator]();
  expect(await nextKey(watch)).toBe('a');
  // Its tokens live in its memory. The watch and what comes after it log in again, each by itself.
  await own.restart();
  ctl(own, '--user=root:top', 'put', `mine/d/b`, '');
  expect(await nextKey(watch)).toBe('b');
  await insist(() => engine.commit({ apply: [put('b')] }));
  await insist(() => writesMany(engine));
  await own.stop();
});

/** Bookmarks aside. */
async function nextKey(watch: AsyncIterator<Batch>): Promise<string | undefined> {
  for (;;) {
    const { value, done } = await watch.next();
    const batch = value as Batch | undefined;
    if (done === true || (batch?.changes.length ?? 0) > 0) return batch?.changes[0]?.entry.key;
  }
}

test('a URL that says something else is refused before anything is asked', async () => {
  for (const url of [
    'etcd://',
    'etcd://host:99999',
    'etcd://host:1/?colour=blue',
    'etcd://user@host:1',
    'etcd://host:1?timeoutMs=1',
    'etcd://host:1?ca=/ca.pem',
    'etcds://host:1?cert=/dev/null',
    `etcd://host:1/${'r'.repeat(600)}`,
  ]) {
    await expect(openEngine(url), url).rejects.toMatchObject({ code: 'invalid' });
  }
});

/** Repeats what may be unavailable or uncertain, and is safe to repeat. */
/** Often enough that the later ones go over the connection for many. */
async function writesMany(engine: Engine): Promise<void> {
  for (let round = 0; round < 20; round++) {
    const keys = Array.from({ length: 32 }, (_, n) => `many/${n}`);
    await Promise.all(keys.map((key) => engine.commit({ apply: [put(key, String(round))] })));
  }
  const { entries } = await engine.read({ key: 'many/', end: 'many0' });
  expect(entries.map(({ value }) => value)).toEqual(Array.from({ length: 32 }, () => '19'));
}

async function insist<T>(call: () => Promise<T>): Promise<T> {
  const until = performance.now() + 20_000;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Passes bytes on, until it is told to keep the answers for itself. */
class Proxy {
  mute = false;
  readonly #target: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(target: string) {
    this.#target = target;
    this.#server = createServer((client) => this.#pass(client));
  }

  listen(): Promise<string> {
    return new Promise((resolve) => {
      this.#server.listen(0, '127.0.0.1', () => {
        resolve(`127.0.0.1:${(this.#server.address() as { port: number }).port}`);
      });
    });
  }

  /** Cuts what there is, and passes on what comes. */
  reset(): void {
    this.mute = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.reset();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #pass(client: Socket): void {
    const [host = '', port] = this.#target.split(':');
    const server = new (client.constructor as typeof Socket)().connect(Number(port), host);
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.on('data', (chunk) => server.write(chunk));
    server.on('data', (chunk) => this.mute || client.write(chunk));
  }
}
