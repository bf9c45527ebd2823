import type { OrderBy, Query, Reading, Revision } from '../../core/engine.js';
import { compactedError } from '../kit/cursor.js';
import type { Statement, Value } from './database.js';
import { futureRevision, refuseOther } from './facts.js';
import { boundBuffers, byKey, keyInRange } from './key-sql.js';
import { pointFor } from './timelines.js';
import { readEntry, type Row } from './values.js';

const columns = 'key, value, create_revision, mod_revision, version, lease';
const previousColumns =
  'key, previous_value, previous_create_revision, previous_mod_revision, previous_version, previous_lease';

const orders: Readonly<Record<OrderBy, string | null>> = {
  key: null,
  create: 'create_revision',
  mod: 'mod_revision',
  version: 'version',
  value: 'value',
};

/** A read as one statement, and so at one revision: the row of revisions, the count, and an entry each row. */
export function readStatement(s: string, query: Query): Statement {
  const values: Value[] = [...boundBuffers(query)];
  const parameter = (value: Value): string => `$${values.push(value)}`;
  const present = `select ${columns} from ${s}.entry where ${keyInRange('key', '$1::bytea', '$2::bytea')}`;
  const at = query.at === undefined ? null : `${parameter(query.at)}::bigint`;
  const source = at === null ? present : past(s, present, at);
  const compacted = at === null ? 'm.compacted' : pointFor(s, 'm.compacted', at);
  const { limit = 0, countOnly, keysOnly } = query;
  const taken = countOnly === true ? 0 : limit === 0 ? null : limit + 1;
  const value = keysOnly === true ? `''::bytea as value` : 'value';
  const text = `with source as not materialized (${source}),
found as (select ${columns.replace('value', value)}, row_number() over (order by ${orderOf(query)}) as place
  from source where ${filters(query, parameter)} order by place limit ${parameter(taken)}::bigint)
select m.identity, m.revision, ${compacted}, ${query.uncounted === true ? 0 : '(select count(*) from source)'}, found.*
from ${s}.meta m left join found on true order by place`;
  return { text, values };
}

/**
 * What the answer says.
 *
 * @throws {WaymarkError} `compacted`, `future_revision`; `superseded`
 */
export function readingOf(rows: readonly Row[], query: Query, identity: string): Reading {
  const [first] = rows as [Row];
  refuseOther(first[0] as string, identity);
  const [, revision, compacted, count] = first as [string, Revision, Revision, number];
  const { at, limit = 0, uncounted } = query;
  if (at !== undefined && at > revision) throw futureRevision(at, revision);
  if (at !== undefined && at < compacted) throw compactedError(compacted);
  const entries = rows.filter((row) => row[4] !== null).map((row) => readEntry(row, 4));
  const more = limit > 0 && entries.length > limit;
  if (more) entries.length = limit;
  return { revision, entries, more, count: uncounted === true ? entries.length : count };
}

/** What the first change since replaced; of keys that did not change, what is there. */
function past(s: string, present: string, at: string): string {
  return `${present} and mod_revision <= ${at}
union all
select ${previousColumns} from (
  select distinct on (key) * from ${s}.log where ${keyInRange('key', '$1::bytea', '$2::bytea')} and revision > ${at} order by key, revision
) since where previous_version is not null`;
}

function orderOf({ orderBy = 'key', descending = false }: Query): string {
  const direction = descending ? 'desc' : '';
  const first = orders[orderBy];
  return first === null ? byKey('key', direction) : `${first} ${direction}, ${byKey('key')}`;
}

function filters(query: Query, parameter: (value: Value) => string): string {
  const bounds: readonly (readonly [string, number | undefined])[] = [
    ['mod_revision >=', query.minModRevision],
    ['mod_revision <=', query.maxModRevision],
    ['create_revision >=', query.minCreateRevision],
    ['create_revision <=', query.maxCreateRevision],
  ];
  const conditions = bounds.flatMap(([condition, bound]) =>
    bound === undefined ? [] : [`${condition} ${parameter(bound)}::bigint`],
  );
  return conditions.length === 0 ? 'true' : conditions.join(' and ');
}
