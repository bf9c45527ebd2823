import { type DataForm, eventColumns, type SqlTable, tableText } from '../kit/sql.js';

type Quote = (name: string) => string;
type EventColumn = (typeof eventColumns)[number];

/** Of the lists that rows are sent as. */
export const arrayTypes: Readonly<Record<Exclude<EventColumn, 'data'>, string>> = {
  stream: 'text',
  sequence: 'text',
  previous: 'text',
  id: 'text',
  kind: 'text',
  namespace: 'text',
  path: 'text',
  revision: 'bigint',
  watchers: 'text',
  state: 'boolean',
  replay: 'boolean',
  fence: 'bigint',
  attempt: 'integer',
  at: 'timestamptz',
};

/** As in docs/endpoints/postgres.md. Text is compared byte by byte: so sequences sort as they were told. */
export function createEvents(table: SqlTable, data: DataForm, quote: Quote): string {
  const all = { ...arrayTypes, data: data === 'bytes' ? 'bytea' : 'text' };
  const types = Object.fromEntries(eventColumns.map((name) => [name, all[name]]));
  return tableOf(table, types, ['stream', 'sequence', 'id'], quote);
}

export function createFences(table: SqlTable, quote: Quote): string {
  return tableOf(table, { stream: 'text', fence: 'bigint', sequence: 'text' }, ['stream'], quote);
}

function tableOf(
  table: SqlTable,
  types: Readonly<Record<string, string>>,
  key: readonly string[],
  quote: Quote,
): string {
  const lines = Object.entries(types).map(([name, type]) => {
    const collated = type === 'text' ? 'text collate "C"' : type;
    // What was deleted has no bytes.
    return `${quote(name)} ${collated}${type === 'bytea' ? '' : ' not null'}`;
  });
  lines.push(`primary key (${key.map(quote).join(', ')})`);
  return `create table if not exists ${tableText({ quote }, table)} (${lines.join(', ')})`;
}
