import { equalKeys, keyInRange } from './key-sql.js';
import { sqlFunction } from './sql-function.js';
import { lockedMeta } from './timelines.js';

/**
 * Writes that look at nothing, in one statement: `write_blind` locks the row of revisions, gives each write the next one, notes what it
 * replaced, and wakes who follows. Each entry is looked up once, and replaced where it was found: as nobody else can have moved it since.
 * A value that is null is a delete; one of what is absent changes nothing and takes no revision. It answers with the row of revisions as
 * it was, and with the entries that were replaced of those keys whose `asked` is not null, with values where it is true. If anything is
 * in one of the ranges it answers `taken`, and has done nothing.
 */
export function blindWriting(s: string): string {
  const columns =
    'what text, key bytea, value bytea, create_revision bigint, mod_revision bigint, version bigint, lease bigint';
  return sqlFunction(
    `${s}.write_blind(opened text, keys bytea[], vals bytea[], asked boolean[], starts bytea[], ends bytea[]) returns table (${columns})`,
    `declare
  m record;
  taken boolean := false;
begin
  ${lockedMeta(s)}
  if cardinality(starts) > 0 then
    taken := exists (select from unnest(starts, ends) as r(a, b)
      cross join lateral (select from ${s}.entry e where ${keyInRange('e.key', 'r.a', 'r.b')} limit 1) e);
  end if;
  return query select case when taken then 'taken' else 'meta' end, convert_to(m.identity, 'UTF8'), ''::bytea, m.revision, m.compacted, m.dropped, 0::bigint;
  if taken or m.identity <> opened then return; end if;
  if array_position(vals, null) is null then
    return query ${putting(s)};
  else
    return query ${puttingOrDeleting(s)};
  end if;
  perform ${s}.wake();
end`,
    'volatile set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off set jit = off',
  );
}

/**
 * For what version 1 has. Room on each page for what a group replaces there, so that a new row mostly stands beside its old one and no
 * index hears of it. No bitmap for each single row that is looked up, as is planned while a table has no statistics. And no index of history
 * by keys: it took a third of what a put cost, for reads far back of few keys, which now look through what has changed since.
 */
export function cheaperWrites(s: string): string {
  return [
    `alter table ${s}.entry set (fillfactor = 70);`,
    `drop index ${s}.log_key;`,
    withoutBitmaps(s),
  ].join('\n');
}

export function withoutBitmaps(s: string): string {
  return ['load', 'look', 'write']
    .map((name) => `alter function ${s}.${name} set enable_bitmapscan = off;`)
    .join('\n');
}

/** What is written, beside the entry that is there. */
function found(s: string, revision: string): string {
  return `old as materialized (
      select u.key, u.value, u.asked, ${revision} as revision, e.ctid as place, e.value as value0, e.create_revision as create0,
        e.mod_revision as mod0, e.version as version0, e.lease as lease0
      from unnest(keys, vals, asked) with ordinality as u(key, value, asked, n) left join ${s}.entry e on ${equalKeys('e.key', 'u.key')}
    )`;
}

function written(s: string, condition: string): string {
  return `replaced as (
      update ${s}.entry e set value = o.value, mod_revision = o.revision, version = o.version0 + 1, lease = 0
      from old o where e.ctid = o.place ${condition}
    ), added as (
      insert into ${s}.entry select o.key, o.value, o.revision, o.revision, 1, 0 from old o where o.place is null ${condition}
    )`;
}

const previous = 'o.value0, o.create0, o.mod0, o.version0, o.lease0';
const logged = `coalesce(o.create0, o.revision), coalesce(o.version0, 0) + 1, 0, ${previous}`;
const answer = `select 'entry', o.key, case when o.asked then o.value0 else ''::bytea end, o.create0, o.mod0, o.version0, o.lease0
    from old o where o.asked is not null and o.place is not null`;

function putting(s: string): string {
  return `with ${found(s, 'm.revision + u.n')}, ${written(s, '')}, logged as (
      insert into ${s}.log select o.revision, 0, 'put', o.key, o.value, ${logged} from old o
    ), moved as (
      update ${s}.meta set revision = m.revision + cardinality(keys)
    ) ${answer}`;
}

/** A delete takes a revision only where something is. */
function puttingOrDeleting(s: string): string {
  const counts = (row: string, place: string): string =>
    `(${row}.value is not null or ${place} is not null)`;
  const revision = `m.revision + count(*) filter (where ${counts('u', 'e.ctid')}) over (order by u.n)`;
  const effective = counts('o', 'o.place');
  return `with ${found(s, revision)}, ${written(s, 'and o.value is not null')}, removed as (
      delete from ${s}.entry e using old o where e.ctid = o.place and o.value is null
    ), logged as (
      insert into ${s}.log select o.revision, 0, 'put', o.key, o.value, ${logged} from old o where o.value is not null
      union all
      select o.revision, 0, 'delete', o.key, '', 0, 0, 0, ${previous} from old o where o.value is null and ${effective}
    ), moved as (
      update ${s}.meta set revision = r.revision
      from (select max(o.revision) as revision from old o where ${effective}) r where r.revision is not null
    ) ${answer}`;
}
