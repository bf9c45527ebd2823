import type { DataForm, SqlTable } from '../kit/sql.js';
import { tableText } from '../kit/sql.js';

type Quote = (name: string) => string;

const ascii = 'character set ascii collate ascii_bin';
/** Compared byte by byte: what differs in case or accents alone is something else. */
const utf8 = 'character set utf8mb4 collate utf8mb4_bin';

/** As in docs/endpoints/mysql.md. */
export function createEvents(table: SqlTable, data: DataForm, quote: Quote): string {
  const columns = {
    stream: `varchar(255) ${ascii} not null`,
    sequence: `varchar(64) ${ascii} not null`,
    previous: `varchar(64) ${ascii} not null`,
    id: `varchar(128) ${ascii} not null`,
    kind: `varchar(16) ${ascii} not null`,
    namespace: `varchar(1024) ${utf8} not null`,
    path: `varchar(1024) ${utf8} not null`,
    revision: 'bigint not null',
    watchers: `mediumtext ${ascii} not null`,
    data: data === 'bytes' ? 'longblob' : `longtext ${utf8} not null`,
    state: 'boolean not null',
    replay: 'boolean not null',
    fence: 'bigint not null',
    attempt: 'int not null',
    at: 'datetime(3) not null',
  };
  return tableOf(table, columns, ['stream', 'sequence', 'id'], quote);
}

export function createFences(table: SqlTable, quote: Quote): string {
  const columns = {
    stream: `varchar(255) ${ascii} not null`,
    fence: 'bigint not null',
    sequence: `varchar(64) ${ascii} not null`,
  };
  return tableOf(table, columns, ['stream'], quote);
}

function tableOf(
  table: SqlTable,
  columns: Readonly<Record<string, string>>,
  key: readonly string[],
  quote: Quote,
): string {
  const lines = Object.entries(columns).map(([name, type]) => `${quote(name)} ${type}`);
  lines.push(`primary key (${key.map(quote).join(', ')})`);
  return `create table if not exists ${tableText({ quote }, table)} (${lines.join(', ')}) engine = InnoDB`;
}
