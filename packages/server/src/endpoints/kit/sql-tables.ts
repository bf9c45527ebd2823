import type { EndpointSettings } from '../endpoint.js';
import type { SqlPlace } from './sql-place.js';
import {
  eventColumns,
  fenceColumns,
  fencesName,
  type SqlConnection,
  type SqlDialect,
  type SqlTable,
  type TableFacts,
  tableText,
  unfit,
} from './sql.js';

interface Wanted {
  readonly dialect: SqlDialect;
  readonly place: SqlPlace;
  readonly settings: EndpointSettings;
}

/**
 * Finds the tables or creates them, checks that they have the columns that are written, and gives the stream its row of fences. Outside of any transaction: of
 * those who do it at once, each sees what the others did.
 *
 * @throws {DeliveryFailure} `again`, naming what is missing
 */
export async function prepareTables(
  connection: SqlConnection,
  { dialect, place, settings }: Wanted,
  stream: string,
): Promise<TableFacts> {
  const { table, create } = place;
  const fences = { ...table, name: fencesName };
  const data = settings.format === 'binary' ? 'bytes' : 'text';
  const wanted = [
    { table, columns: eventColumns, sql: dialect.createEvents(table, data) },
    { table: fences, columns: fenceColumns, sql: dialect.createFences(fences) },
  ];
  let dataType = '';
  for (const { table: one, columns, sql } of wanted) {
    let found = await dialect.columnsOf(connection, one);
    if (found.size === 0 && create) {
      await connection.run(sql);
      found = await dialect.columnsOf(connection, one);
    }
    checkColumns(one, columns, found);
    dataType = found.get('data') ?? dataType;
  }
  const form = dialect.formOf(dataType);
  if (form === null) {
    throw unfit(table, `keeps data as ${dataType}: take a type for bytes, text or JSON`);
  }
  const names = fenceColumns.map(dialect.quote).join(', ');
  await connection.run(
    `insert into ${tableText(dialect, fences)} (${names}) values (${dialect.placeholder(1)}, 0, '') ${dialect.keepFence}`,
    [stream],
  );
  return { data: form, dataType };
}

function checkColumns(
  table: SqlTable,
  columns: readonly string[],
  found: ReadonlyMap<string, string>,
): void {
  if (found.size === 0) throw unfit(table, 'is not there, or not to be seen with this account');
  const missing = columns.filter((name) => !found.has(name));
  if (missing.length > 0) throw unfit(table, `lacks the columns ${missing.join(', ')}`);
}
