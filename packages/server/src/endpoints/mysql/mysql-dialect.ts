import type { Dialer } from '../kit/dialer.js';
import type { SqlPlace } from '../kit/sql-place.js';
import {
  type DataForm,
  eventColumns,
  type EventRow,
  type SqlConnection,
  type SqlDialect,
  type SqlTable,
  type TableFacts,
  tableText,
  unfit,
} from '../kit/sql.js';
import { MysqlConnection } from './mysql-connection.js';
import { createEvents, createFences } from './mysql-schema.js';

/**
 * Of a session: text that does not fit is an error and not cut, times are UTC. A client that stands still loses its session after 5 s, so that a paused sender does
 * not keep the lock of the fence; who waits for that lock waits longer.
 */
const session = [
  'set names utf8mb4 collate utf8mb4_bin',
  "set session sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', autocommit = 1, wait_timeout = 5, innodb_lock_wait_timeout = 20",
];
/** What a packet needs beside its values: the header, and of each value its type, its length and its part of the statement. */
const packetBytes = 64;
const valueBytes = 16;
/** A prepared statement takes at most so many values. */
const valuesMax = 65_535;

/** ER_SERVER_SHUTDOWN, ER_QUERY_INTERRUPTED, ER_CONNECTION_KILLED of MariaDB, ER_CLIENT_INTERACTION_TIMEOUT of MySQL. */
const farewells = new Set([1053, 1317, 1927, 4031]);

const bytesTypes = /^(tiny|medium|long)?blob$|^(var)?binary$/;
const textTypes = /^(tiny|medium|long)?text$|^(var)?char$|^json$/;

export function mysqlDialect(place: SqlPlace, dialer: Dialer): SqlDialect {
  return {
    server: 'MySQL',
    connect: (signal) => connect(place, dialer, signal),
    quote,
    placeholder: () => '?',
    begin: 'start transaction read write',
    keepFence: `on duplicate key update ${quote('fence')} = ${quote('fence')}`,
    columnsOf,
    formOf(dataType): DataForm | null {
      if (bytesTypes.test(dataType)) return 'bytes';
      return textTypes.test(dataType) ? 'text' : null;
    },
    createEvents: (table, data) => createEvents(table, data, quote),
    createFences: (table) => createFences(table, quote),
    insert,
    timeOf: (ms) => new Date(ms).toISOString().replace('T', ' ').slice(0, -1),
    // ER_LOCK_DEADLOCK: one of two that waited for each other; on a cluster, one of two that wrote at once.
    isPassing: (error) => (error as { errno?: unknown }).errno === 1213,
    isFarewell: (error) => farewells.has(Number((error as { errno?: unknown }).errno)),
    reasonOf,
  };
}

function quote(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

async function connect(
  { parts, database, sslMode }: SqlPlace,
  dialer: Dialer,
  signal: AbortSignal,
): Promise<MysqlConnection> {
  const { host, port, user, password } = parts;
  const socket = await dialer.connect({ host, port }, signal);
  const checked = sslMode !== 'require';
  const ssl = { rejectUnauthorized: checked, verifyIdentity: sslMode === 'verify-full' };
  const secured = sslMode === 'disable' ? {} : { ssl };
  const account = { host, user, password, database, ...secured };
  const connection = await MysqlConnection.open(account, socket, signal);
  const abort = (): void => connection.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    if (signal.aborted) abort();
    for (const statement of session) await connection.run(statement);
    const [row] = await connection.run('select @@max_allowed_packet');
    connection.packetBytesMax = Number(row?.[0]);
    return connection;
  } catch (error) {
    connection.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function columnsOf(
  connection: SqlConnection,
  table: SqlTable,
): Promise<ReadonlyMap<string, string>> {
  const { schema, name } = table;
  const columns = await connection.run(
    'select lower(column_name), lower(data_type) from information_schema.columns where table_schema = ? and table_name = ?',
    [schema, name],
  );
  const [engine] = await connection.run(
    'select t.engine, e.transactions from information_schema.tables t left join information_schema.engines e on e.engine = t.engine where t.table_schema = ? and t.table_name = ?',
    [schema, name],
  );
  if (engine !== undefined && engine[1] !== 'YES') {
    throw unfit(table, 'has no transactions: take ENGINE=InnoDB');
  }
  return new Map(columns.map(([column, type]) => [String(column), String(type)]));
}

/** All rows in one statement, or in as many as the server's packets ask for. */
async function insert(
  connection: SqlConnection,
  table: SqlTable,
  _facts: TableFacts,
  rows: readonly EventRow[],
): Promise<void> {
  const text = tableText({ quote }, table);
  const columns = eventColumns.map(quote).join(', ');
  const one = `(${eventColumns.map(() => '?').join(', ')})`;
  for (const part of packets(rows, connection.packetBytesMax, table)) {
    const values = part.map(() => one).join(', ');
    await connection.run(`insert into ${text} (${columns}) values ${values}`, part.flat());
  }
}

function* packets(
  rows: readonly EventRow[],
  bytesMax: number,
  table: SqlTable,
): Generator<EventRow[]> {
  let part: EventRow[] = [];
  let bytes = packetBytes;
  const rowsMax = Math.floor(valuesMax / eventColumns.length);
  for (const row of rows) {
    const own = row.reduce<number>((sum, value) => sum + valueBytes + lengthOf(value), 0);
    if (packetBytes + own > bytesMax) {
      const why = `takes no event of ${own} bytes: max_allowed_packet of the server is ${bytesMax}`;
      throw unfit(table, why);
    }
    if (bytes + own > bytesMax || part.length === rowsMax) {
      yield part;
      part = [];
      bytes = packetBytes;
    }
    part.push(row);
    bytes += own;
  }
  if (part.length > 0) yield part;
}

function lengthOf(value: EventRow[number]): number {
  if (Buffer.isBuffer(value)) return value.length;
  return typeof value === 'string' ? Buffer.byteLength(value) : 8;
}

function reasonOf(error: unknown): string {
  const { code, errno } = error as { readonly code?: unknown; readonly errno?: unknown };
  if (typeof code !== 'string') return 'the connection was lost';
  if (code === 'HANDSHAKE_SSL_ERROR') return 'its certificate is not accepted';
  return code.startsWith('ER_') ? `refused with ${code} (${String(errno)})` : `failed with ${code}`;
}
