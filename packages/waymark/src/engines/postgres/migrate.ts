import { WaymarkError } from '../../core/errors.js';
import { blindWriting, cheaperWrites, withoutBitmaps } from './blind-sql.js';
import type { Database, Transaction } from './database.js';
import { anyLeaseId, functions, neededHistory, tables } from './schema-sql.js';
import { textViews, textWriting } from './text-sql.js';
import { timelines } from './timelines.js';

/** What brings a schema from each version to the next. The first makes it. */
const migrations: readonly ((s: string) => readonly string[])[] = [
  (s) => [tables(s), functions(s), textViews(s)],
  (s) => [blindWriting(s), cheaperWrites(s)],
  (s) => [anyLeaseId(s)],
  (s) => [neededHistory(s)],
  (s) => [timelines(s), functions(s), withoutBitmaps(s), blindWriting(s), textWriting(s)],
];

/**
 * Makes the schema, or brings it to this version; under an advisory lock, so that of many who open it at once one does.
 *
 * @returns its identity
 * @throws {WaymarkError} `invalid` for one that is newer, `denied` without the right to make it
 */
export async function migrate(
  database: Database,
  newId: () => string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { s, schema } = database;
  return await database.transaction({ signal }, async (tx) => {
    const known = await metaOf(tx, database);
    if (known?.version === migrations.length) return { result: known.identity };
    await tx.query(`select pg_advisory_xact_lock(hashtextextended($1, 0))`, [`waymark:${schema}`]);
    const { version, identity } = (await metaOf(tx, database)) ?? { version: 0, identity: newId() };
    if (version > migrations.length) throw newerSchema(schema, version);
    if (version === 0) {
      const there = await tx.query('select 1 from pg_namespace where nspname = $1', [schema]);
      if (there.length === 0) await tx.query(`create schema ${s}`);
    }
    for (const migration of migrations.slice(version)) {
      for (const statements of migration(s)) await tx.script(statements);
    }
    const values = [migrations.length, identity];
    const upsert = `insert into ${s}.meta (version, identity) values ($1, $2)
      on conflict (one) do update set version = excluded.version`;
    await tx.query(upsert, values);
    return { result: identity };
  });
}

interface Meta {
  readonly version: number;
  readonly identity: string;
}

/** The catalogue is asked as a table: to_regclass may answer from what this session knew before it waited for the lock. */
async function metaOf(tx: Transaction, { s, schema }: Database): Promise<Meta | null> {
  const there = await tx.query(
    `select 1 from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = 'meta'`,
    [schema],
  );
  if (there.length === 0) return null;
  const [row] = await tx.query(`select version, identity from ${s}.meta`);
  return row === undefined ? null : { version: row[0] as number, identity: row[1] as string };
}

function newerSchema(schema: string, version: number): WaymarkError {
  const text = `schema ${schema} is of version ${version}, this Waymark knows ${migrations.length}: upgrade it`;
  return new WaymarkError('invalid', text);
}
