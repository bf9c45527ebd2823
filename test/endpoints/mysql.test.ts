import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deliveryOf, endpointSuite, eventAt, failureOf, newStream } from '@waymark/server/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mysqlEndpoint } from '../../packages/server/src/endpoints/mysql/mysql-endpoint.js';
import { certificates } from '../support/certificates.js';
import { type RunningMariadb, startMariadb } from '../support/mariadb.js';
import { own } from '../support/postgres.js';
import { startRogueMysql } from '../support/rogue-mysql.js';
import { openAt, soon, sqlCases, sqlOf } from './sql-cases.js';
import { mysqlServer } from './mysql-server.js';
import { givenTable, rowsOf, sqlPlace } from './sql-place.js';
import { tlsCases } from './sql-tls.js';

let mariadb: RunningMariadb;
let folder: string;
beforeAll(async () => {
  folder = await certificates();
  for (const name of ['', 'ca.crt', 'server.crt', 'server.key']) await own(join(folder, name));
  const [ca, cert, key] = ['ca.crt', 'server.crt', 'server.key'].map((name) => join(folder, name));
  mariadb = await startMariadb([`--ssl-ca=${ca}`, `--ssl-cert=${cert}`, `--ssl-key=${key}`]);
  await mariadb.root('use events');
});
afterAll(async () => {
  await mariadb.stop();
  await rm(folder, { recursive: true });
});

const server = mysqlServer(() => mariadb);

const wrong = [
  { uri: 'mysql://127.0.0.1/db/t', names: 'user' },
  { uri: 'mysql://u@127.0.0.1/', names: 'database' },
  { uri: 'mysql://u@127.0.0.1/db', names: 'table' },
  { uri: 'mysql://u@127.0.0.1/db/a/b', names: 'more than one table' },
  { uri: 'mysql://u@127.0.0.1/db/a%00b', names: 'control' },
  { uri: 'mysql://u@127.0.0.1/db/a%2Fb', names: 'slashes' },
  { uri: 'mysql://u@127.0.0.1/db/%zz', names: 'encoded' },
  { uri: 'mysql://u@127.0.0.1/db/😀', names: 'emoji' },
  { uri: `mysql://u@127.0.0.1/db/${'x'.repeat(65)}`, names: '64 bytes' },
  { uri: 'mysql://u@127.0.0.1/db/waymark_fences', names: 'waymark_fences' },
  { uri: 'mysql://u@127.0.0.1:99999/db/t', names: 'port' },
  { uri: 'mysql://u@127.0.0.1/db/t?local_infile=1', names: 'local_infile' },
  { uri: 'mysql://u@127.0.0.1/db/t?create=maybe', names: 'create' },
  { uri: 'mysql://u@127.0.0.1/db/t?create=no&create=yes', names: 'create' },
  { uri: 'mysql://u@127.0.0.1/db/t?sslmode=require', names: 'sslmode' },
  { uri: 'mysqls://u@127.0.0.1/db/t', names: 'host name' },
  { uri: 'mysqls://u@h/db/t?sslmode=disable', names: 'sslmode' },
  { uri: 'mysql://u@h/db/t', names: 'secret', settings: { secrets: ['whsec_x'] } },
];

for (const format of ['structured', 'binary'] as const) {
  endpointSuite({
    test,
    name: `mysql, ${format}`,
    kind: mysqlEndpoint,
    settings: { format },
    wrong,
    start: () => sqlPlace(server, format),
  });
}

sqlCases({ name: 'mysql', kind: mysqlEndpoint, server });

tlsCases('mysql', { file: 'mysql/mysql-endpoint.js', kind: 'mysqlEndpoint' }, () => ({
  authority: join(folder, 'ca.crt'),
  uri: (host, mode) =>
    `${server.url(mariadb.port).replace('mysql:', 'mysqls:').replace('127.0.0.1', host)}/tls?sslmode=${mode}`,
}));

test('mysql: a delivery is as many statements as the packets of the server ask for, and an event that fits in none is told', async () => {
  const table = await givenTable(server);
  const stream = newStream();
  const [usual] = await mariadb.root('select @@global.max_allowed_packet');
  await mariadb.root('set global max_allowed_packet = 65536');
  try {
    await using endpoint = openAt(mysqlEndpoint, `${server.url(mariadb.port)}/${table}`);
    const value = Buffer.alloc(10_000, 'x');
    const events = Array.from({ length: 50 }, (_, i) => eventAt(i + 1, { value }));
    await endpoint.deliver(deliveryOf(events, { stream }), soon());
    const large = eventAt(51, { value: Buffer.alloc(65_536) });
    const failure = await failureOf(endpoint.deliver(deliveryOf([large], { stream }), soon()));
    expect(failure.message).toContain('max_allowed_packet of the server is 65536');
    expect(await rowsOf(server, table)).toHaveLength(50);
  } finally {
    await mariadb.root(`set global max_allowed_packet = ${String(usual?.[0])}`);
  }
});

test('mysql: a table without transactions is refused', async () => {
  const table = await givenTable(server);
  await mariadb.root(`alter table ${table} engine = MyISAM`);
  await using endpoint = openAt(mysqlEndpoint, `${server.url(mariadb.port)}/${table}`);
  const failure = await failureOf(endpoint.deliver(deliveryOf([eventAt(1)]), soon()));
  expect(failure.message).toContain('has no transactions');
});

test('mysql: what does not fit its column is refused whatever the mode of the server, and not cut', async () => {
  const table = await givenTable(server);
  await mariadb.root(`alter table ${table} modify path varchar(4) not null`);
  await mariadb.root("set global sql_mode = ''");
  await using endpoint = openAt(mysqlEndpoint, `${server.url(mariadb.port)}/${table}`);
  const failure = await failureOf(endpoint.deliver(deliveryOf([eventAt(1)]), soon()));
  await mariadb.root('set global sql_mode = default');
  expect(failure.message).toContain('ER_DATA_TOO_LONG');
  expect(await rowsOf(server, table)).toEqual([]);
});

test('mysql: a server that asks for a file of the client gets none', async () => {
  const secrets = await mkdtemp(join(tmpdir(), 'waymark-rogue-'));
  const file = join(secrets, 'secret');
  await writeFile(file, 'c4nary');
  await using rogue = await startRogueMysql(file);
  await using endpoint = openAt(mysqlEndpoint, `mysql://u:p@127.0.0.1:${rogue.port}/db/t`);
  const failure = await failureOf(endpoint.deliver(deliveryOf([eventAt(1)]), soon()));
  await rogue.over;
  await rm(secrets, { recursive: true });
  expect(failure.verdict).toBe('again');
  expect(rogue.heard.toString('latin1')).not.toContain('c4nary');
});

test('mysql: a server without TLS is not logged in to by mysqls', async () => {
  await using bare = await startRogueMysql('/dev/null');
  const uri = `mysqls://u:p@127.0.0.1:${bare.port}/db/t?sslmode=require`;
  await using endpoint = openAt(mysqlEndpoint, uri);
  const failure = await failureOf(endpoint.deliver(deliveryOf([eventAt(1)]), soon()));
  expect(failure.message).toContain('HANDSHAKE_NO_SSL_SUPPORT');
});

test('mysql: the tables of the page are those that are created', async () => {
  await mariadb.root('create database page');
  await mariadb.root(`grant all on page.* to '${mariadb.user}'@'127.0.0.1'`);
  await mariadb.root('use page');
  const uri = server.url(mariadb.port).replace(/events$/, 'page');
  const shown = async (): Promise<string[]> => {
    const told: string[] = [];
    for (const name of ['events', 'waymark_fences']) {
      const [row] = await mariadb.root(`show create table page.${name}`);
      told.push(String(row?.[1]));
    }
    return told;
  };
  const page = await readFile(new URL('../../docs/endpoints/mysql.md', import.meta.url), 'utf8');
  for (const statement of sqlOf(page)) await mariadb.root(statement);
  const byHand = await shown();
  await using given = openAt(mysqlEndpoint, `${uri}/events?create=no`, { format: 'structured' });
  await given.deliver(deliveryOf([eventAt(1)]), soon());
  await mariadb.root('drop table page.events, page.waymark_fences');
  await using created = openAt(mysqlEndpoint, `${uri}/events`, { format: 'structured' });
  await created.deliver(deliveryOf([eventAt(1)]), soon());
  expect(await shown()).toEqual(byHand);
  await mariadb.root('use events');
});
