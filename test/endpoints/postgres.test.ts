import { readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { deliveryOf, endpointSuite, eventAt, failureOf, newStream } from '@waymark/server/testing';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { postgresEndpoint } from '../../packages/server/src/endpoints/postgres/postgres-endpoint.js';
import { certificates } from '../support/certificates.js';
import { type RunningPgbouncer, startPgbouncer } from '../support/pgbouncer.js';
import { own, type RunningPostgres, startPostgres } from '../support/postgres.js';
import { openAt, soon, sqlCases, sqlOf } from './sql-cases.js';
import { addSender, postgresServer } from './postgres-server.js';
import { givenTable, rowsOf, sqlPlace } from './sql-place.js';
import { tlsCases } from './sql-tls.js';

let postgres: RunningPostgres;
let pooler: RunningPgbouncer;
let folder: string;
let root: pg.Client;
beforeAll(async () => {
  const hba = [
    'host all waymark,clerk 127.0.0.1/32 trust',
    'host all sender 127.0.0.1/32 scram-sha-256',
  ];
  folder = await certificates();
  for (const name of ['', 'server.crt', 'server.key']) await own(join(folder, name));
  const [ssl_cert_file = '', ssl_key_file = ''] = ['server.crt', 'server.key'].map((name) =>
    join(folder, name),
  );
  const settings = { ssl: 'on', ssl_cert_file, ssl_key_file, deadlock_timeout: '2s' };
  postgres = await startPostgres({ hba, settings });
  pooler = await startPgbouncer(postgres.port);
  root = new pg.Client({ connectionString: postgres.url });
  await root.connect();
  await addSender(root);
});
afterAll(async () => {
  await pooler.stop();
  await root.end();
  await postgres.stop();
  await rm(folder, { recursive: true });
});

const server = postgresServer(() => ({ root, postgres }));

const wrong = [
  { uri: 'postgres://127.0.0.1/db/t', names: 'user' },
  { uri: 'postgres://u@127.0.0.1/', names: 'database' },
  { uri: 'postgres://u@127.0.0.1/db', names: 'table' },
  { uri: 'postgres://u@127.0.0.1/db/a/b', names: 'more than one table' },
  { uri: 'postgres://u@127.0.0.1/db/a?table=b', names: 'more than one table' },
  { uri: 'postgres://u@127.0.0.1/db/a.b.c', names: 'dots' },
  { uri: 'postgres://u@127.0.0.1/db/.a', names: 'empty' },
  { uri: 'postgres://u@127.0.0.1/db/a%00b', names: 'control' },
  { uri: 'postgres://u@127.0.0.1/db/%zz', names: 'encoded' },
  { uri: `postgres://u@127.0.0.1/db/${'x'.repeat(64)}`, names: '63 bytes' },
  { uri: 'postgres://u@127.0.0.1/db/x.waymark_fences', names: 'waymark_fences' },
  { uri: 'postgres://u@127.0.0.1:0/db/t', names: 'port' },
  { uri: 'postgres://u@127.0.0.1/db/t?sslrootcert=/etc/passwd', names: 'sslrootcert' },
  { uri: 'postgres://u@127.0.0.1/db/t?host=/var/run', names: 'host' },
  { uri: 'postgres://u@127.0.0.1/db/t?create=maybe', names: 'create' },
  { uri: 'postgres://u@127.0.0.1/db/t?sslmode=prefer', names: 'sslmode' },
  { uri: 'postgres://u@h/db/t', names: 'secret', settings: { secrets: ['whsec_x'] } },
];

for (const format of ['structured', 'binary'] as const) {
  endpointSuite({
    test,
    name: `postgres, ${format}`,
    kind: postgresEndpoint,
    settings: { format },
    wrong,
    start: () => sqlPlace(server, format),
  });
}

sqlCases({ name: 'postgres', kind: postgresEndpoint, server });

tlsCases('postgres', { file: 'postgres/postgres-endpoint.js', kind: 'postgresEndpoint' }, () => ({
  authority: join(folder, 'ca.crt'),
  uri: (host, mode) =>
    `${server.url(postgres.port).replace('127.0.0.1', host)}/tls?sslmode=${mode}`,
}));

test('postgres: through a pooler of transactions, twenty senders keep their order and fences', async () => {
  const table = await givenTable(server);
  const senders = Array.from({ length: 20 }, async () => {
    await using endpoint = openAt(postgresEndpoint, `${pooler.url}/${table}`);
    const stream = newStream();
    for (const [place, fence] of [
      [1, 1],
      [2, 2],
      [3, 2],
    ] as const) {
      const events = [eventAt(place), eventAt(place + 1)];
      await endpoint.deliver(deliveryOf(events, { stream, fence }), soon());
    }
    const stale = endpoint.deliver(deliveryOf([eventAt(9)], { stream, fence: 1 }), soon());
    expect((await failureOf(stale)).verdict).toBe('superseded');
    return stream;
  });
  const streams = await Promise.all(senders);
  for (const stream of streams) {
    const rows = await server.query(
      `select id from ${table} where stream = '${stream}' order by n`,
    );
    expect(rows.flat()).toEqual(['1.0', '2.0', '3.0', '4.0']);
  }
});

test('postgres: a server without TLS is not logged in to where TLS is asked for', async () => {
  await using endpoint = openAt(postgresEndpoint, `${pooler.url}/t?sslmode=require`);
  const failure = await failureOf(endpoint.deliver(deliveryOf([eventAt(1)]), soon()));
  expect(failure.message).toContain('offers no TLS');
});

test('postgres: a table in a schema, by path and by parameter, is one place, with its fences beside it', async () => {
  await server.query('create schema "My S"; grant all on schema "My S" to sender');
  const spelled = [
    `${server.url(postgres.port)}/My%20S.events`,
    `${server.url(postgres.port)}?table=My%20S.events&create=no&sslmode=require`,
    `${server.url(postgres.port).replace('postgres:', 'postgresql:')}?table=My+S.events`,
  ];
  const settings = { format: 'binary', secrets: [], timeoutMs: 1_000 } as const;
  const normals = spelled.map((uri) => postgresEndpoint.parse(uri, settings).normal);
  expect(new Set(normals).size).toBe(1);
  const stream = newStream();
  for (const [i, uri] of spelled.entries()) {
    await using endpoint = openAt(postgresEndpoint, uri);
    await endpoint.deliver(deliveryOf([eventAt(i + 1)], { stream }), soon());
  }
  const rows = await server.query('select count(*) from "My S".events');
  expect(Number(rows[0]?.[0])).toBe(3);
  expect(await server.query('select sequence from "My S".waymark_fences')).toHaveLength(1);
});

test('postgres: documents go into columns of json and jsonb', async () => {
  for (const type of ['json', 'jsonb']) {
    const table = await givenTable(server);
    await server.query(`alter table ${table} alter column data type ${type} using null`);
    await using endpoint = openAt(postgresEndpoint, `${server.url(postgres.port)}/${table}`, {
      format: 'structured',
    });
    await endpoint.deliver(deliveryOf([eventAt(1)]), soon());
    const [row] = await rowsOf(server, table);
    expect(row?.data).toMatchObject({ subject: '/suite/1', data: { place: 1 } });
  }
});

test('postgres: an account that may not create is told so, and needs to insert, read and update alone', async () => {
  await server.query(
    `create role clerk login; create table closed (like public.entangled including all); create schema own`,
  );
  const uri = `postgres://clerk@127.0.0.1:${postgres.port}/postgres`;
  const stream = newStream();
  const told = async (table: string): Promise<string> => {
    await using endpoint = openAt(postgresEndpoint, `${uri}/${table}`);
    const failure = await failureOf(endpoint.deliver(deliveryOf([eventAt(1)], { stream }), soon()));
    return failure.message;
  };
  expect(await told('own.t')).toContain('42501');
  expect(await told('closed')).toContain('42501');
  await server.query(
    'grant insert on closed to clerk; grant select, insert, update on waymark_fences to clerk',
  );
  await using endpoint = openAt(postgresEndpoint, `${uri}/closed`);
  await endpoint.deliver(deliveryOf([eventAt(1)], { stream }), soon());
});

test('postgres: nothing that this process keeps for other servers is told to one that asks', async () => {
  let said = '';
  const asking = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      said += bytes.toString('latin1');
      // AuthenticationCleartextPassword.
      socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]));
    });
  });
  await new Promise<void>((resolve) => asking.listen(0, '127.0.0.1', resolve));
  const { port } = asking.address() as { readonly port: number };
  process.env['PGPASSWORD'] = 'c4nary';
  try {
    await using endpoint = openAt(postgresEndpoint, `postgres://u@127.0.0.1:${port}/db/t`);
    const ended = AbortSignal.timeout(1_000);
    await failureOf(endpoint.deliver(deliveryOf([eventAt(1)]), ended));
  } finally {
    delete process.env['PGPASSWORD'];
    asking.close();
  }
  expect(said).toContain('user');
  expect(said).not.toContain('c4nary');
});

test('postgres: the tables of the page are those that are created', async () => {
  await server.query('create schema page; grant all on schema page to sender');
  const shown = (): Promise<readonly (readonly unknown[])[]> =>
    server.query(
      `select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, l.collname from pg_attribute a join pg_class c on c.oid = a.attrelid left join pg_collation l on l.oid = a.attcollation where c.relnamespace = 'page'::regnamespace and a.attnum > 0 order by c.relname, a.attnum`,
    );
  const page = await readFile(new URL('../../docs/endpoints/postgres.md', import.meta.url), 'utf8');
  await server.query(`set search_path = page; ${sqlOf(page).join(';')}; set search_path = default`);
  await server.query('grant all on page.events, page.waymark_fences to sender');
  const byHand = await shown();
  const uri = `${server.url(postgres.port)}/page.events`;
  await using given = openAt(postgresEndpoint, `${uri}?create=no`, { format: 'structured' });
  await given.deliver(deliveryOf([eventAt(1)]), soon());
  await server.query('drop table page.events, page.waymark_fences');
  await using created = openAt(postgresEndpoint, uri, { format: 'structured' });
  await created.deliver(deliveryOf([eventAt(1)]), soon());
  expect(byHand.length).toBeGreaterThan(18);
  expect(await shown()).toEqual(byHand);
});
