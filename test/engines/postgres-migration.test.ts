import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openEngine } from 'waymark/engine';
import { type RunningPostgres, startPostgres } from '../support/postgres.js';

let server: RunningPostgres;

beforeAll(async () => {
  server = await startPostgres();
});

afterAll(async () => {
  await server.stop();
});

async function sql(text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(server.url);
  await client.connect();
  try {
    return (await client.query(text)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}

/** What pg_dump says of a schema that version 1 has made, with entries, a key too long for an index, history, and a lease. */
async function restoreVersion1(): Promise<void> {
  await sql(await readFile(new URL('postgres-schema-1.sql', import.meta.url), 'utf8'));
}

test('[postgres] a schema of version 1 is brought up to date when it is opened: state, history, leases and identity stay', async () => {
  await restoreVersion1();
  expect(await sql('select version, revision from first.meta')).toEqual([
    { version: 1, revision: '6' },
  ]);
  const url = `${server.url}?schema=first`;
  await using engine = await openEngine(url);
  await using other = await openEngine(url);
  expect((await sql('select version from first.meta'))[0]).toEqual({ version: 5 });
  const { identity, revision, compacted, keys, leases } = await engine.status();
  expect({ identity, revision, compacted, keys, leases }).toEqual({
    identity: 'slHbKAIeWz3TBMhsh92vUg',
    revision: 6,
    compacted: 2,
    keys: 4,
    leases: 1,
  });
  expect((await engine.lease(7))?.keys).toEqual(['n/jobs/d/leased']);

  const writes = ['n/jobs/d/a', 'n/jobs/d/b', `long/${'x'.repeat(2_500)}`].map((key) =>
    engine.commit({ apply: [{ type: 'put', key, value: 'new', previous: true }] }),
  );
  expect(
    (await Promise.all(writes)).map(({ revision, results }) => [revision, results[0]]),
  ).toEqual([
    [7, { type: 'put', previous: expect.objectContaining({ value: '"three"', version: 2 }) }],
    [8, { type: 'put', previous: null }],
    [9, { type: 'put', previous: expect.objectContaining({ value: 'long', modRevision: 5 }) }],
  ]);
  expect((await engine.grant(60_000, { id: -7 })).id).toBe(-7);
  await other.revoke(-7);
  await other.revoke(7);
  const past = await engine.read({ key: 'n/', end: 'n0', at: 4 });
  expect(past.entries.map(({ key, value }) => [key, value])).toEqual([
    ['n/jobs/d/a', '"three"'],
    ['n/jobs/d/b', '"two"'],
    ['n/jobs/d/leased', '"four"'],
  ]);
  const told: string[] = [];
  for await (const batch of other.watch([{ key: '', end: '' }], { after: 2 })) {
    told.push(...batch.changes.map(({ kind, entry }) => `${entry.modRevision} ${kind}`));
    if (batch.revision >= 10) break;
  }
  const expected = ['3 put', '4 put', '5 put', '6 delete', '6 put', '7 put', '8 put', '9 put'];
  expect(told).toEqual([...expected, '10 expire']);
  const [row] = await sql(`select first.put_text('jobs', '/sql', '1') as revision`);
  expect(row).toEqual({ revision: '11' });
});

test('[postgres] a schema that was brought up to date is as one that was made anew', async () => {
  await sql('drop schema if exists first cascade');
  await restoreVersion1();
  for (const schema of ['first', 'anew']) {
    await (await openEngine(`${server.url}?schema=${schema}`))[Symbol.asyncDispose]();
  }
  const shapeOf = async (schema: string): Promise<unknown[]> =>
    await sql(`
      select 'table' as kind, c.relname::text as name, c.reloptions::text as how, array_agg(a.attname || ' ' || a.atttypid::regtype order by a.attnum)::text as what
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 where c.relnamespace = '${schema}'::regnamespace group by c.oid
      union all
      select 'function', p.proname, p.proconfig::text, replace(p.prosrc, '${schema}', '') from pg_proc p where p.pronamespace = '${schema}'::regnamespace
      order by 1, 2`);
  expect(JSON.stringify(await shapeOf('first')).replaceAll('"', '')).toBe(
    JSON.stringify(await shapeOf('anew')).replaceAll('"', ''),
  );
});
