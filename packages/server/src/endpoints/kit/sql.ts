import { DeliveryFailure } from '../endpoint.js';

/** What a statement is given. */
export type SqlValue = string | number | boolean | Buffer | null;

/** In the order of its columns; numbers may come as text. */
export type SqlRow = readonly unknown[];

/** A session of a database, as the sink needs it. One statement at a time. */
export interface SqlConnection {
  run(
    text: string,
    values?: readonly (SqlValue | readonly SqlValue[])[],
  ): Promise<readonly SqlRow[]>;
  /** The most that a statement and its values may hold, in bytes. */
  readonly packetBytesMax: number;
  /** Whether it has ended. */
  readonly broken: boolean;
  /** Ends it at once: the statement under way fails, and the server undoes what was not committed. */
  destroy(): void;
  /** Takes leave of the server. */
  close(): void;
}

/** Names as they are in the database, not quoted. */
export interface SqlTable {
  /** Of MySQL the database. */
  readonly schema: string;
  readonly name: string;
}

/** A row of the table that events are written to, in the order of `eventColumns`. */
export type EventRow = readonly SqlValue[];

/** Every event is a row with these. */
export const eventColumns = [
  'stream',
  'sequence',
  'previous',
  'id',
  'kind',
  'namespace',
  'path',
  'revision',
  'watchers',
  'data',
  'state',
  'replay',
  'fence',
  'attempt',
  'at',
] as const;

export const fenceColumns = ['stream', 'fence', 'sequence'] as const;
/** The table of fences, beside the table that events are written to. */
export const fencesName = 'waymark_fences';

/** How `data` is kept: as what it is, or as text, which it then must be. */
export type DataForm = 'bytes' | 'text';

/** What is found out of a table before the first delivery. */
export interface TableFacts {
  readonly data: DataForm;
  /** The type of `data`, as the database calls it. */
  readonly dataType: string;
}

/** Where two databases differ. Everything else is in sql-sink.ts. */
export interface SqlDialect {
  /** For people. */
  readonly server: string;
  connect(signal: AbortSignal): Promise<SqlConnection>;
  quote(name: string): string;
  /** The placeholder of the nth value, from 1. */
  placeholder(n: number): string;
  /** Begins a transaction whose locks the server lets go by itself when its client stands still. */
  readonly begin: string;
  /** Behind an INSERT of a fence: leaves one that is there as it is. */
  readonly keepFence: string;
  /** Columns and their types, in lower case; none where there is no table. @throws {DeliveryFailure} for a table without transactions */
  columnsOf(connection: SqlConnection, table: SqlTable): Promise<ReadonlyMap<string, string>>;
  /** Null for a type that holds no data. */
  formOf(dataType: string): DataForm | null;
  createEvents(table: SqlTable, data: DataForm): string;
  createFences(table: SqlTable): string;
  insert(
    connection: SqlConnection,
    table: SqlTable,
    facts: TableFacts,
    rows: readonly EventRow[],
  ): Promise<void>;
  /** UTC, with milliseconds. */
  timeOf(ms: number): string;
  /** Whether the server has undone the transaction for the sake of others, or somebody else has created a table meanwhile. */
  isPassing(error: unknown): boolean;
  /** Whether the server has ended the session, and nothing of what was asked was done. */
  isFarewell(error: unknown): boolean;
  /** Says what went wrong by the server's code, with nothing of what the server wrote. */
  reasonOf(error: unknown): string;
}

/** `schema.name`, quoted. */
export function tableText(
  { quote }: Pick<SqlDialect, 'quote'>,
  { schema, name }: SqlTable,
): string {
  return `${quote(schema)}.${quote(name)}`;
}

export function unfit({ schema, name }: SqlTable, why: string): DeliveryFailure {
  return new DeliveryFailure('again', `the table ${schema}.${name} ${why}`);
}
