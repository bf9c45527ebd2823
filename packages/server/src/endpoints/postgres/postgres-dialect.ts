import type { Dialer } from '../kit/dialer.js';
import type { SqlPlace } from '../kit/sql-place.js';
import {
  type DataForm,
  eventColumns,
  type EventRow,
  type SqlConnection,
  type SqlDialect,
  type SqlTable,
  type SqlValue,
  tableText,
  type TableFacts,
} from '../kit/sql.js';
import { PostgresConnection } from './postgres-connection.js';
import { arrayTypes, createEvents, createFences } from './postgres-schema.js';

/** A client that stands still within a transaction loses its session after this, so that a paused sender does not keep the lock of the fence. */
const standstillMs = 5_000;

const textTypes = new Set(['text', 'varchar', 'bpchar', 'json', 'jsonb']);

/** Codes of errors that go better at once: serialization_failure, deadlock_detected, and what two who create the same table at once are told. */
const passing = new Set(['40001', '40P01', '42P07', '23505']);

/** SQLSTATEs that people meet (PostgreSQL documentation, appendix A). */
const words: Readonly<Record<string, string>> = {
  '28P01': 'wrong user or password',
  '28000': 'this account may not log in',
  '3D000': 'there is no such database',
  '3F000': 'there is no such schema',
  '42501': 'this account may not do that',
  '42P01': 'there is no such table',
  '53300': 'too many connections',
  '57014': 'it took too long',
  '25P03': 'its client stood still',
};

export function postgresDialect(place: SqlPlace, timeoutMs: number, dialer: Dialer): SqlDialect {
  return {
    server: 'PostgreSQL',
    connect: (signal) => PostgresConnection.open(place, dialer, signal),
    quote,
    placeholder: (n) => `$${n}`,
    // All of a transaction's own: a pooler gives the session to somebody else after it.
    begin: `begin isolation level read committed read write; set local statement_timeout = ${timeoutMs}; set local idle_in_transaction_session_timeout = ${standstillMs}`,
    keepFence: 'on conflict do nothing',
    columnsOf,
    formOf(dataType): DataForm | null {
      if (dataType === 'bytea') return 'bytes';
      return textTypes.has(dataType) ? 'text' : null;
    },
    createEvents: (table, data) => createEvents(table, data, quote),
    createFences: (table) => createFences(table, quote),
    insert,
    timeOf: (ms) => new Date(ms).toISOString(),
    isPassing: (error) => passing.has(String((error as { code?: unknown }).code)),
    isFarewell: (error) => (error as { severity?: unknown }).severity === 'FATAL',
    reasonOf,
  };
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

async function columnsOf(
  connection: SqlConnection,
  table: SqlTable,
): Promise<ReadonlyMap<string, string>> {
  const rows = await connection.run(
    'select a.attname, t.typname from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid join pg_catalog.pg_class c on c.oid = a.attrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2 and a.attnum > 0 and not a.attisdropped',
    [table.schema, table.name],
  );
  return new Map(rows.map(([column, type]) => [String(column), String(type)]));
}

/** All rows in one statement that is the same for any number of them: each column is one list. */
async function insert(
  connection: SqlConnection,
  table: SqlTable,
  { data, dataType }: TableFacts,
  rows: readonly EventRow[],
): Promise<void> {
  const columns = eventColumns.map(quote).join(', ');
  const types = { ...arrayTypes, data: data === 'bytes' ? 'bytea' : 'text' };
  const lists = eventColumns.map((name, i) => `$${i + 1}::${types[name]}[]`).join(', ');
  const values = eventColumns.map((name) =>
    name === 'data' && dataType.startsWith('json') ? `data::${dataType}` : quote(name),
  );
  const given = eventColumns.map((_name, i) => rows.map((row) => row[i] as SqlValue));
  const text = `insert into ${tableText({ quote }, table)} (${columns}) select ${values.join(', ')} from unnest(${lists}) as e (${columns})`;
  await connection.run(text, given);
}

function reasonOf(error: unknown): string {
  const { code, severity } = error as { readonly code?: unknown; readonly severity?: unknown };
  if (typeof code === 'string' && severity !== undefined) {
    return `refused with SQLSTATE ${code}${words[code] === undefined ? '' : `: ${words[code]}`}`;
  }
  if (typeof code === 'string') {
    // As Node and OpenSSL call what is wrong with one.
    if (/CERT|SIGNATURE/.test(code)) return `its certificate is not accepted: ${code}`;
    return `failed with ${code}`;
  }
  const { message } = error as { readonly message?: unknown };
  if (/does not support SSL/.test(String(message))) return 'it offers no TLS';
  return 'the connection was lost';
}
