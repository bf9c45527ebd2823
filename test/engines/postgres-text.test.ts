import { readFileSync } from 'node:fs';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { codecs, open, type Space } from 'waymark';
import { type RunningPostgres, startPostgres } from '../support/postgres.js';

let server: RunningPostgres;
let schemas = 0;
let url: string;
let space: Space;
let client: pg.Client;

beforeAll(async () => {
  server = await startPostgres();
});

afterAll(async () => {
  await server.stop();
});

beforeEach(async () => {
  const schema = `text "${schemas++}"`;
  url = `${server.url}?schema=${encodeURIComponent(schema)}`;
  space = await open(url, { owner: 'worker-1' });
  client = new pg.Client(server.url);
  await client.connect();
  await client.query(`set search_path to "${schema.replaceAll('"', '""')}"`);
});

afterEach(async () => {
  await client.end();
  await space.close();
});

async function rows(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  return (await client.query(text, values)).rows as Record<string, unknown>[];
}

/** @returns the SQLSTATE of the refusal */
async function refusal(text: string, values: unknown[] = []): Promise<string> {
  const error: unknown = await rows(text, values).then(
    () => null,
    (error: unknown) => error,
  );
  return (error as { code: string }).code;
}

test('[postgres] entries and history are readable as text, whatever the bytes', async () => {
  const jobs = space.namespace('jobs');
  const entry = await jobs.put('/größe/42', { state: 'queued' });
  await jobs.put('/größe/42', { state: 'done' });
  await jobs.put('/', 'root');
  await jobs.delete('/');
  const raw = space.namespace('raw').as(codecs.bytes);
  await raw.put('/nul', new Uint8Array([0, 0xff, 0x41]));
  expect(
    await rows('select namespace, path, value, version from entry_text order by path'),
  ).toEqual([
    { namespace: 'jobs', path: '/größe/42', value: '{"state":"done"}', version: '2' },
    { namespace: 'raw', path: '/nul', value: '\\000\\377A', version: '1' },
  ]);
  const log = await rows(
    `select kind, path, value, previous from log_text where namespace = 'jobs' order by revision`,
  );
  expect(log).toEqual([
    { kind: 'put', path: '/größe/42', value: '{"state":"queued"}', previous: null },
    { kind: 'put', path: '/größe/42', value: '{"state":"done"}', previous: '{"state":"queued"}' },
    { kind: 'put', path: '/', value: '"root"', previous: null },
    { kind: 'delete', path: '/', value: null, previous: '"root"' },
  ]);
  expect(entry.revision).toBeGreaterThan(0);
});

test('[postgres] who holds and who is a member stand in views', async () => {
  const jobs = space.namespace('jobs');
  const lock = await jobs.lock('/42', { tree: true, ttlMs: 10_000 });
  const term = await jobs.election('/leader').campaign();
  const member = await jobs.members('/workers').join({ id: 'w1', meta: { zone: 'a' } });
  const held = await rows(
    'select kind, path, mode, tree, owner, token, ttl_ms, remaining_ms > 5000 as lives from holders order by kind desc',
  );
  expect(held).toContainEqual({
    kind: 'lock',
    path: '/42',
    mode: 'exclusive',
    tree: true,
    owner: 'worker-1',
    token: String(lock.token),
    ttl_ms: '10000',
    lives: true,
  });
  expect(held.map(({ kind, path }) => [kind, path])).toContainEqual(['election', '/leader']);
  expect(await rows('select namespace, "group", member, owner, meta from members')).toEqual([
    { namespace: 'jobs', group: '/workers', member: 'w1', owner: 'worker-1', meta: { zone: 'a' } },
  ]);
  await member.release();
  await term.release();
  await lock.release();
  expect(await rows('select * from holders union all select * from holders')).toEqual([]);
});

test('[postgres] put_text and delete_path take the next revision, and watchers see them in order', async () => {
  const jobs = space.namespace('jobs');
  const seen: string[] = [];
  const abort = new AbortController();
  let three = (): void => {};
  const came = new Promise<void>((resolve) => (three = resolve));
  const watching = jobs
    .watch('/', { tree: true, signal: abort.signal })
    .forEach((event) => {
      seen.push(`${event.kind} ${'path' in event ? event.path : ''}`);
      if (seen.length === 4) three();
    })
    .catch(() => {});
  const first = await jobs.put('/a', 1);
  const [put] = await rows(`select put_text('jobs', '/a', '2') as revision`);
  expect(Number(put?.['revision'])).toBe(first.revision + 1);
  const entry = await jobs.get('/a');
  expect([entry?.value, entry?.version, entry?.createRevision]).toEqual([2, 2, first.revision]);
  await jobs.put('/a', 3);
  const [gone] = await rows(`select delete_path('jobs', '/a') as revision`);
  expect(Number(gone?.['revision'])).toBe(first.revision + 3);
  await came;
  expect(seen).toEqual(['put /a', 'put /a', 'put /a', 'delete /a']);
  expect(await rows(`select delete_path('jobs', '/a') as revision`)).toEqual([{ revision: null }]);
  abort.abort();
  await watching;
});

test('[postgres] SQL is refused under a lock, at another revision, and for what is no path', async () => {
  const jobs = space.namespace('jobs');
  const put = `select put_text('jobs', $1, '1')`;
  for (const [path, options] of [
    ['/a/b', {}],
    ['/a', { tree: true }],
    ['/', { tree: true }],
    ['/a/b', { mode: 'shared' }],
  ] as const) {
    const lock = await jobs.lock(path, options);
    expect(await refusal(put, ['/a/b']), path).toBe('WM001');
    expect(await refusal(`select delete_path('jobs', $1)`, ['/a/b'])).toBe('WM001');
    await rows(`select put_text('other', '/a/b', '1')`);
    await lock.release();
    await rows(put, ['/a/b']);
  }
  const beside = await jobs.lock('/a', {});
  for (const path of ['/a/b', '/ab', '/']) await rows(put, [path]);
  await beside.release();
  const entry = await jobs.get('/a/b');
  const guarded = `select put_text('jobs', '/a/b', '2', $1)`;
  expect(await refusal(guarded, [(entry?.revision ?? 0) - 1])).toBe('WM002');
  await rows(guarded, [entry?.revision]);
  expect(await refusal(`select put_text('jobs', '/a/b', '2', 0)`)).toBe('WM002');
  for (const path of [
    '',
    'a',
    '/a/',
    '//',
    '/a//b',
    '/./a',
    '/..',
    `/${'x'.repeat(1_024)}`,
    null,
  ]) {
    expect(await refusal(put, [path]), String(path)).toBe('WM003');
  }
  expect(await refusal(`select put_text('a/b', '/x', '1')`)).toBe('WM003');
  expect(await refusal(`select put_text('jobs', '/x', null)`)).toBe('WM003');
});

test('[docs] every SQL block of the guide runs', async () => {
  const guide = readFileSync(new URL('../../docs/guide/postgres.md', import.meta.url), 'utf8');
  const blocks = [...guide.matchAll(/^```sql\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text);
  expect(blocks.length).toBeGreaterThan(5);
  await using own = await open(server.url);
  await own.namespace('jobs').put('/41', 'there');
  for (const text of blocks) {
    const { command, rowCount } = await client.query(text);
    if (command !== 'CREATE') expect(rowCount, text).not.toBeNull();
  }
  await expect(own.namespace('jobs').put('/41', 1)).rejects.toMatchObject({ code: 'superseded' });
});
