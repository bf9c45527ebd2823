import { byKey, equalKeys, headOf, keyInRange, tailOf } from './key-sql.js';
import { sqlFunction } from './sql-function.js';
import { lockedMeta } from './timelines.js';

/** Added to every lease's time, at most so much of which the lease clock can be behind: see lease-clock.ts. */
export const slackMs = 600;

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Milliseconds of the lease clock `c` at which lease `l` ends. */
export function leaseEnd(l: string, c: string): string {
  return `greatest(${l}.renewed_ms, ${c}.floor_ms) + ${l}.ttl_ms + ${slackMs}`;
}

/**
 * A group touches few keys of a table of any size, and each is looked up by its index. Left to itself the planner, who does not know how few,
 * reads and hashes all of a small table for every group: of 10 000 entries that was most of what a put cost.
 */
const byIndex = 'set enable_hashjoin = off set enable_mergejoin = off set jit = off';

const entryColumns = 'key, value, create_revision, mod_revision, version, lease';

/**
 * The tables. `meta` is one row, whose lock makes the order of commits: it is taken first in every transaction that changes an entry, and
 * held until that has ended, so a later revision never becomes visible before an earlier one. `log` has every change with what it replaced:
 * the state as of a revision is what the first change since replaced, else what is there now, and old history is dropped from its front.
 */
export function tables(s: string): string {
  return `
create table ${s}.meta (
  one boolean primary key default true check (one),
  version integer not null,
  identity text not null check (octet_length(identity) between 1 and 50),
  revision bigint not null default 0,
  compacted bigint not null default 0,
  dropped bigint not null default 0
) with (fillfactor = 10);
comment on column ${s}.meta.compacted is 'history below it cannot be read; up to dropped it is gone';

create table ${s}.entry (
  key bytea not null,
  value bytea not null,
  create_revision bigint not null,
  mod_revision bigint not null,
  version bigint not null,
  lease bigint not null default 0
) with (fillfactor = 85);
create unique index entry_key on ${s}.entry (${headOf('key')}, ${tailOf('key')});
create index entry_lease on ${s}.entry (lease) where lease <> 0;

create table ${s}.log (
  revision bigint not null,
  position integer not null,
  kind text not null check (kind in ('put', 'delete', 'expire')),
  key bytea not null,
  value bytea not null,
  create_revision bigint not null,
  version bigint not null,
  lease bigint not null,
  previous_value bytea,
  previous_create_revision bigint,
  previous_mod_revision bigint,
  previous_version bigint,
  previous_lease bigint,
  primary key (revision, position)
);
create index log_key on ${s}.log (${headOf('key')}, revision);

create table ${s}.lease (
  id bigint primary key check (id > 0),
  ttl_ms bigint not null,
  renewed_ms bigint not null
) with (fillfactor = 50);

create table ${s}.clock (
  one boolean primary key default true check (one),
  ms bigint not null default 0,
  floor_ms bigint not null default 0,
  beat bigint not null default 0,
  reaper text
) with (fillfactor = 10);
comment on table ${s}.clock is 'counts the time by which leases end; it never runs faster than time does';
insert into ${s}.clock default values;
`;
}

/** What is needed of history is known to some processes, and history is dropped by all. */
export function neededHistory(s: string): string {
  return `
alter table ${s}.meta add column needed bigint;
comment on column ${s}.meta.needed is 'what came after it somebody still needs, who need not run now';`;
}

/** What a group of commits needs: the row of revisions, locked for `load`, and the entries and leases it touches. */
function reading(s: string, name: 'load' | 'look'): string {
  const meta = name === 'load' ? lockedMeta(s) : `select * into m from ${s}.meta;`;
  const kind = name === 'load' ? 'volatile' : 'stable';
  const found = (value: string): string =>
    `select 'entry', e.key, ${value}, e.create_revision, e.mod_revision, e.version, e.lease`;
  return sqlFunction(
    `${s}.${name}(keys bytea[], full_keys bytea[], starts bytea[], ends bytea[], limits bigint[], fulls boolean[], leases bigint[])
returns table (what text, key bytea, value bytea, create_revision bigint, mod_revision bigint, version bigint, lease bigint)`,
    `declare m record;
begin
  ${meta}
  return query select 'meta', convert_to(m.identity, 'UTF8'), ''::bytea, m.revision, m.compacted, m.dropped, 0::bigint;
  if cardinality(leases) > 0 then
    return query select 'lease', ''::bytea, ''::bytea, 0::bigint, 0::bigint, 0::bigint, l.id
      from ${s}.lease l where l.id = any(leases);
  end if;
  if cardinality(keys) > 0 then
    return query ${found("''::bytea")}
      from unnest(keys) as k(key) join ${s}.entry e on ${equalKeys('e.key', 'k.key')};
  end if;
  if cardinality(full_keys) > 0 then
    return query ${found('e.value')}
      from unnest(full_keys) as k(key) join ${s}.entry e on ${equalKeys('e.key', 'k.key')};
  end if;
  if cardinality(starts) > 0 then
    return query ${found("case when r.f then e.value else ''::bytea end")}
      from unnest(starts, ends, limits, fulls) as r(a, b, n, f)
      cross join lateral (
        select * from ${s}.entry e where ${keyInRange('e.key', 'r.a', 'r.b')} order by ${byKey('e.key')} limit r.n
      ) e;
  end if;
end`,
    `${kind} ${byIndex}`,
  );
}

/** Writes the changes of a group and its last revision; what each replaced is in the group itself, or in the table. */
function writing(s: string): string {
  const previous = (column: string, before: string): string =>
    `case when c.version0 > 0 then c.${before} else e.${column} end`;
  const last = (condition: string): string =>
    `(select distinct on (u.key) u.* from unnest(keys, kinds, revisions, vals, creates, versions, leases)
      as u(key, kind, revision, value, create_revision, version, lease) order by u.key, u.revision desc) c where c.kind ${condition} 'put'`;
  return sqlFunction(
    `${s}.write(revisions bigint[], positions integer[], kinds text[], keys bytea[], vals bytea[], creates bigint[], versions bigint[],
leases bigint[], head bigint) returns void`,
    `begin
  insert into ${s}.log
  select c.revision, c.position, c.kind, c.key, c.value, c.create_revision, c.version, c.lease,
    ${previous('value', 'value0')}, ${previous('create_revision', 'create0')}, ${previous('mod_revision', 'mod0')},
    ${previous('version', 'version0')}, ${previous('lease', 'lease0')}
  from (
    select u.*, lag(u.value) over w as value0, lag(u.create_revision) over w as create0, lag(u.revision) over w as mod0,
      lag(u.version) over w as version0, lag(u.lease) over w as lease0
    from unnest(revisions, positions, kinds, keys, vals, creates, versions, leases)
      as u(revision, position, kind, key, value, create_revision, version, lease)
    window w as (partition by u.key order by u.revision)
  ) c left join ${s}.entry e on c.version0 is null and ${equalKeys('e.key', 'c.key')};
  delete from ${s}.entry e using ${last('<>')} and ${equalKeys('e.key', 'c.key')};
  insert into ${s}.entry (${entryColumns})
  select c.key, c.value, c.create_revision, c.revision, c.version, c.lease from ${last('=')}
  on conflict (${headOf('key')}, ${tailOf('key')}) do update set value = excluded.value,
    create_revision = excluded.create_revision, mod_revision = excluded.mod_revision,
    version = excluded.version, lease = excluded.lease;
  update ${s}.meta set revision = head;
  perform ${s}.wake();
end`,
    `volatile ${byIndex}`,
  );
}

/** Of its first versions a schema took ids of leases above 0 alone. */
export function anyLeaseId(s: string): string {
  return `alter table ${s}.lease drop constraint lease_id_check, add constraint lease_id_check check (id <> 0);`;
}

/** Leases: `end_lease` lets all keys of one vanish in one revision, `expire` does so for those whose time is up. */
function leasing(s: string): string {
  return [
    sqlFunction(
      `${s}.wake() returns void`,
      `begin
  perform pg_notify('waymark:' || m.identity, m.revision::text) from ${s}.meta m;
end`,
    ),
    sqlFunction(
      `${s}.end_lease(lease_id bigint) returns bigint`,
      `declare upcoming bigint;
begin
  select m.revision + 1 into upcoming from ${s}.lock_meta() m;
  delete from ${s}.lease l where l.id = lease_id;
  if not found then return null; end if;
  insert into ${s}.log
  select upcoming, row_number() over (order by e.key) - 1, 'expire', e.key, '', 0, 0, 0,
    e.value, e.create_revision, e.mod_revision, e.version, e.lease
  from ${s}.entry e where e.lease = lease_id and e.lease <> 0;
  if not found then return upcoming - 1; end if;
  delete from ${s}.entry e where e.lease = lease_id and e.lease <> 0;
  update ${s}.meta set revision = upcoming;
  perform ${s}.wake();
  return upcoming;
end`,
    ),
    sqlFunction(
      `${s}.expire(most bigint) returns bigint`,
      `declare ended bigint[];
begin
  perform ${s}.lock_meta();
  select array_agg(due.id) into ended from (
    select l.id from ${s}.lease l cross join ${s}.clock c where ${leaseEnd('l', 'c')} <= c.ms
    limit most for update of l skip locked
  ) due;
  perform ${s}.end_lease(id) from unnest(ended) as id;
  return coalesce(cardinality(ended), 0);
end`,
    ),
    sqlFunction(
      `${s}.renew(ids bigint[]) returns table (id bigint, ttl_ms bigint)`,
      `begin
  return query update ${s}.lease l set renewed_ms = c.ms
    from ${s}.clock c, (select o.id from ${s}.lease o where o.id = any(ids) order by o.id for update) own
    where l.id = own.id returning l.id, l.ttl_ms;
end`,
    ),
    sqlFunction(
      `${s}.tick(me text, elapsed bigint, look boolean) returns table (ms bigint, due bigint)`,
      `declare c record;
begin
  -- A tick that a crash takes back lets leases live longer, never shorter.
  perform set_config('synchronous_commit', 'off', true);
  update ${s}.clock set ms = clock.ms + elapsed, beat = clock.beat + 1 where clock.reaper = me returning * into c;
  if not found then return; end if;
  return query select c.ms, case when look then (select min(${leaseEnd('l', 'c')}) from ${s}.lease l) end;
end`,
    ),
  ].join('\n');
}

export function functions(s: string): string {
  return [reading(s, 'load'), reading(s, 'look'), leasing(s), writing(s)].join('\n');
}
