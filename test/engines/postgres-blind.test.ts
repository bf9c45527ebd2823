import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isWaymarkError } from 'waymark';
import {
  type Change,
  type Engine,
  openEngine,
  type Operation,
  type Outcome,
  prefixRange,
} from 'waymark/engine';
import { type RunningPostgres, startPostgres } from '../support/postgres.js';

let server: RunningPostgres;
let admin: pg.Client;

beforeAll(async () => {
  server = await startPostgres();
  admin = new pg.Client(server.url);
  await admin.connect();
});

afterAll(async () => {
  await admin.end();
  await server.stop();
});

function commit(engine: Engine, ...apply: Operation[]): Promise<Outcome> {
  return engine.commit({ apply });
}

const put = (key: string, value: string, previous = false): Operation => ({
  type: 'put',
  key,
  value,
  previous,
});
const remove = (key: string, previous = false): Operation => ({ type: 'delete', key, previous });

/** Everything since the beginning, with what it replaced. */
async function historyOf(engine: Engine, through: number): Promise<Change[]> {
  const changes: Change[] = [];
  const options = { after: 0, previous: true };
  for await (const batch of engine.watch([{ key: '', end: '' }], options)) {
    changes.push(...batch.changes);
    if (batch.revision >= through) break;
  }
  return changes;
}

test('[K1 K4] of writes that look at nothing each has the next revision, but the delete of what is absent, which has that of the one before', async () => {
  await using engine = await openEngine(`${server.url}?schema=blind`);
  await commit(engine, put('a', '0'));
  await commit(engine, put('b', '0'));
  const outcomes = await Promise.all([
    commit(engine, remove('none', true)),
    commit(engine, put('a', '1')),
    commit(engine, remove('b')),
    commit(engine, remove('absent')),
    commit(engine, put('c', '1', true)),
    commit(engine, remove('gone', true)),
  ]);
  expect(outcomes.map(({ revision }) => revision)).toEqual([2, 3, 4, 4, 5, 5]);
  expect(outcomes.map(({ results }) => results[0])).toEqual([
    { type: 'delete', deleted: 0, previous: [] },
    { type: 'put' },
    { type: 'delete', deleted: 1 },
    { type: 'delete', deleted: 0 },
    { type: 'put', previous: null },
    { type: 'delete', deleted: 0, previous: [] },
  ]);
  const nothing = await Promise.all([
    commit(engine, remove('none')),
    commit(engine, remove('b', true)),
  ]);
  expect(nothing.map(({ revision }) => revision)).toEqual([5, 5]);
  expect((await engine.status()).revision).toBe(5);
});

test('[K7 K8] what they replaced is answered, told to watchers and read in the past, leases and long keys too', async () => {
  await using engine = await openEngine(`${server.url}?schema=replaced`);
  const { id } = await engine.grant(60_000);
  const long = 'l'.repeat(3_000);
  const twin = `${long.slice(1)}m`;
  await engine.commit({ apply: [{ type: 'put', key: long, value: '\0\xff', lease: id }] });
  await Promise.all([commit(engine, put(twin, '')), commit(engine, put('other', 'o'))]);
  const old = (await engine.read({ key: long })).entries[0];
  const [again, , gone] = await Promise.all([
    commit(engine, put(long, '\xff\0', true)),
    commit(engine, put(twin, 'twin')),
    commit(engine, remove('other', true)),
  ]);
  const o = { key: 'other', value: 'o', createRevision: 3, modRevision: 3, version: 1, lease: 0 };
  expect(again.results).toEqual([{ type: 'put', previous: old }]);
  expect(gone.results).toEqual([{ type: 'delete', deleted: 1, previous: [o] }]);
  expect(old).toMatchObject({ value: '\0\xff', lease: id, version: 1 });
  const now = (await engine.read({ key: long })).entries[0];
  expect(now).toMatchObject({ value: '\xff\0', lease: 0, version: 2, createRevision: 1 });
  expect((await engine.lease(id))?.keys).toEqual([]);
  expect((await engine.read({ key: long, at: 3 })).entries).toEqual([old]);
  expect((await engine.read({ key: '', end: '', at: 3 })).count).toBe(3);
  const changes = await historyOf(engine, 6);
  const told = changes.map(({ kind, entry }) => [kind, entry.modRevision, entry.version]);
  expect(told.slice(3)).toEqual([
    ['put', 4, 2],
    ['put', 5, 2],
    ['delete', 6, 0],
  ]);
  expect(changes[3]).toEqual({ kind: 'put', entry: now, previous: old });
  expect(changes[5]?.previous).toEqual(o);
});

test('[K1] a key that is written several times at once goes through all its versions, in the order of the calls', async () => {
  await using engine = await openEngine(`${server.url}?schema=again`);
  const outcomes = await Promise.all(
    Array.from({ length: 40 }, (_, n) => commit(engine, put(`k${n % 9}`, String(n), true))),
  );
  const revisions = outcomes.map(({ revision }) => revision);
  expect(revisions).toEqual(Array.from({ length: 40 }, (_, n) => n + 1));
  for (const [n, { results }] of outcomes.entries()) {
    const previous = n < 9 ? null : { value: String(n - 9), version: Math.floor(n / 9) };
    expect(results[0]).toMatchObject({ type: 'put', previous });
  }
});

/** A write of `key` if nothing begins with `prefix`. */
function guarded(engine: Engine, key: string, prefix: string): Promise<Outcome> {
  const { end } = prefixRange(prefix);
  const when = [{ key: prefix, end, target: 'version', is: '=', to: 0 }] as const;
  const otherwise = [{ type: 'read', key, countOnly: true }] as const;
  return engine.commit({ when, apply: [put(key, 'new')], otherwise });
}

test('[K3] writes that insist on a range being empty are refused where it is not, and only they', async () => {
  await using engine = await openEngine(`${server.url}?schema=guarded`);
  await commit(engine, put('h/held', ''));
  const outcomes = await Promise.all([
    guarded(engine, 'a', 'h/'),
    guarded(engine, 'b', 'i/'),
    commit(engine, put('c', '')),
    guarded(engine, 'd', 'h/held'),
  ]);
  expect(outcomes.map(({ succeeded }) => succeeded)).toEqual([false, true, true, false]);
  expect(outcomes.map(({ revision }) => revision)).toEqual([1, 2, 3, 3]);
  expect((await engine.read({ key: 'a', end: 'g' })).entries.map(({ key }) => key)).toEqual([
    'b',
    'c',
  ]);
  await commit(engine, remove('h/held'));
  const free = await Promise.all([guarded(engine, 'a', 'h/'), guarded(engine, 'd', 'h/held')]);
  expect(free.map(({ succeeded, revision }) => [succeeded, revision])).toEqual([
    [true, 5],
    [true, 6],
  ]);
});

test('[K3] in one group such a write sees what those before it have put into its range, and its own range before itself', async () => {
  await using engine = await openEngine(`${server.url}?schema=inside`);
  const outcomes = await Promise.all([
    guarded(engine, 'r/1', 'r/'),
    guarded(engine, 'other', 'r/'),
    guarded(engine, 'once', 'once'),
    guarded(engine, 'once', 'once'),
  ]);
  expect(outcomes.map(({ succeeded }) => succeeded)).toEqual([true, false, true, false]);
  const [first, second] = await Promise.all([
    guarded(engine, 's/1', 'none/'),
    guarded(engine, 'behind', 's/'),
  ]);
  expect([first?.succeeded, second?.succeeded]).toEqual([true, false]);
});

test('[K11] one that waits for the row of revisions until its deadline is unavailable, and is never applied', async () => {
  const timeoutMs = 600;
  await using engine = await openEngine(`${server.url}?schema=waits&timeoutMs=${timeoutMs}`);
  await commit(engine, put('k', 'before'));
  await admin.query('begin');
  await admin.query('select 1 from waits.meta for update');
  const error = await commit(engine, put('k', 'late')).catch((error: unknown) => error);
  expect(isWaymarkError(error, 'unavailable'), String(error)).toBe(true);
  await admin.query('commit');
  const { revision } = await commit(engine, put('j', ''));
  expect(revision).toBe(2);
  expect((await engine.read({ key: 'k' })).entries[0]?.value).toBe('before');
});

test('[K8] who listens is told once of each group, and up to where it goes', async () => {
  await using engine = await openEngine(`${server.url}?schema=told`);
  const told: string[] = [];
  const listener = new pg.Client(server.url);
  await listener.connect();
  const { identity } = await engine.status();
  await listener.query(`listen "waymark:${identity}"`);
  const complete = new Promise<void>((resolve) => {
    listener.on('notification', ({ payload = '' }) => {
      told.push(payload);
      if (payload === '8') resolve();
    });
  });
  await Promise.all([1, 2, 3, 4].map((n) => commit(engine, put(`k${n}`, ''))));
  await Promise.all([1, 2, 3, 4].map((n) => commit(engine, remove(`k${n}`))));
  await complete;
  expect(told).toEqual(['4', '8']);
  await listener.end();
});

test('[K8] a schema that was made anew is superseded, and nothing is written to it', async () => {
  await using engine = await openEngine(`${server.url}?schema=other`);
  await commit(engine, put('k', 'before'));
  await admin.query(`update other.meta set identity = 'another'`);
  const error = await commit(engine, put('k', 'after')).catch((error: unknown) => error);
  expect(isWaymarkError(error, 'superseded'), String(error)).toBe(true);
  const written = await admin.query<{ revision: string }>('select revision from other.log');
  expect(written.rows).toEqual([{ revision: '1' }]);
});

test('[K1] they are one transaction at read committed, whatever the default of the database is', async () => {
  await using engine = await openEngine(`${server.url}?schema=level`);
  await commit(engine, put('k', '0'));
  await admin.query(`alter role waymark set default_transaction_isolation = 'repeatable read'`);
  try {
    await using one = await openEngine(`${server.url}?schema=level`);
    await using other = await openEngine(`${server.url}?schema=level`);
    const writes = Array.from({ length: 200 }, (_, n) =>
      commit(n % 2 === 0 ? one : other, put(`k${n}`, '')),
    );
    const revisions = (await Promise.all(writes)).map(({ revision }) => revision);
    expect(new Set(revisions).size).toBe(200);
    expect(Math.max(...revisions)).toBe(201);
  } finally {
    await admin.query('alter role waymark reset all');
  }
});
