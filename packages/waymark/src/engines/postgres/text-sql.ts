import { limits } from '../../core/limits.js';
import { equalKeys, headOf, keyInRange, tailOf } from './key-sql.js';
import { leaseEnd } from './schema-sql.js';
import { sqlFunction } from './sql-function.js';

/**
 * The part of the schema that is for people: views that show keys as namespaces and paths, and functions that write as everyone does, with
 * a revision from the one row, history, and respect for locks. The layout of keys is that of space/layout.ts: `n/NAMESPACE/`, the facet, the
 * path, and where a facet has more to say a NUL and that.
 */
export function textViews(s: string): string {
  return [parsing(s), dataViews(s), holdViews(s), checking(s), guarding(s), textWriting(s)].join(
    '\n',
  );
}

function parsing(s: string): string {
  return [
    sqlFunction(
      `${s}.text_of(bytes bytea) returns text`,
      `begin
  return convert_from(bytes, 'UTF8');
exception when others then
  return encode(bytes, 'escape');
end`,
      'immutable',
    ),
    sqlFunction(
      `${s}.place_of(key bytea) returns table (namespace text, facet text, path text, rest bytea)`,
      `declare
  after bytea := substring(key from 3);
  slash integer := position('\\x2f'::bytea in after);
  place bytea := substring(after from slash + 1);
  nul integer := position('\\x00'::bytea in place);
  head bytea := case when nul = 0 then place else substring(place from 1 for nul - 1) end;
  root integer := position('\\x2f'::bytea in head);
begin
  if substring(key from 1 for 2) <> 'n/' or slash = 0 then return; end if;
  return query select
    ${s}.text_of(substring(after from 1 for slash - 1)),
    ${s}.text_of(case when root = 0 then head else substring(head from 1 for root - 1) end),
    case when root = 0 then '/' else ${s}.text_of(substring(head from root)) end,
    case when nul > 0 then substring(place from nul + 1) end;
end`,
      'immutable',
    ),
  ].join('\n');
}

function dataViews(s: string): string {
  return `
create view ${s}.entry_text as
select p.namespace, p.path, ${s}.text_of(e.value) as value, e.mod_revision as revision,
  e.create_revision as created, e.version, nullif(e.lease, 0) as lease
from ${s}.entry e cross join lateral ${s}.place_of(e.key) p where p.facet = 'd';

create view ${s}.log_text as
select l.revision, l.kind, p.namespace, p.path, case when l.kind = 'put' then ${s}.text_of(l.value) end as value,
  ${s}.text_of(l.previous_value) as previous, l.version, nullif(l.lease, 0) as lease
from ${s}.log l cross join lateral ${s}.place_of(l.key) p where p.facet = 'd';
`;
}

function holdViews(s: string): string {
  const until = (bytes: string, mark: string): string =>
    `case when position('${mark}'::bytea in ${bytes}) = 0 then ${bytes} else substring(${bytes} from 1 for position('${mark}'::bytea in ${bytes}) - 1) end`;
  const parts = `string_to_array(${s}.text_of(${until('e.value', '\\x00')}), E'\\n')`;
  const remaining = `left join ${s}.lease l on l.id = e.lease cross join ${s}.clock c`;
  const left = `l.ttl_ms, greatest(0, least(l.ttl_ms, ${leaseEnd('l', 'c')} - c.ms)) as remaining_ms`;
  return `
create view ${s}.holders as
select p.namespace,
  case p.facet when 'h' then 'lock' when 'eh' then 'election' when 'glh' then 'group' when 'och' then 'once' else 'schedule' end as kind,
  p.path, case substring(p.rest from 2 for 1) when 'x' then 'exclusive' else 'shared' end as mode,
  substring(p.rest from 1 for 1) = 't' as tree, (${parts})[2] as owner, (${parts})[1] as session,
  e.create_revision as token, e.lease, ${left}
from ${s}.entry e cross join lateral ${s}.place_of(e.key) p ${remaining}
where p.facet in ('h', 'eh', 'glh', 'och', 'osh') and p.rest is not null;

create view ${s}.members as
select p.namespace, p.path as "group", ${s}.text_of(p.rest) as member, m.told ->> 'owner' as owner, m.told ->> 'address' as address,
  m.told -> 'meta' as meta, e.create_revision as incarnation, e.lease, ${left}
from ${s}.entry e cross join lateral ${s}.place_of(e.key) p
cross join lateral (select ${s}.text_of(e.value)::jsonb as told) m ${remaining}
where p.facet = 'g' and p.rest is not null;
`;
}

/** The rules of paths and names of namespaces, as in space/paths.ts. */
function checking(s: string): string {
  const { pathBytesMax, pathDepthMax, namespaceBytesMax } = limits;
  return sqlFunction(
    `${s}.prefix_of(namespace text, path text) returns bytea`,
    `declare segments text[] := string_to_array(substring(path from 2), '/');
begin
  if namespace is null or namespace in ('', '.', '..') or namespace like '%/%' or octet_length(namespace) > ${namespaceBytesMax} then
    raise exception 'no namespace can be called %', quote_nullable(namespace) using errcode = 'WM003';
  end if;
  if path is null or path not like '/%' or octet_length(path) > ${pathBytesMax} or cardinality(segments) > ${pathDepthMax}
    or path <> '/' and segments && array['', '.', '..'] then
    raise exception '% is no path', quote_nullable(path)
      using errcode = 'WM003', hint = 'A path begins with a slash and ends without one, as /orders/42.';
  end if;
  return convert_to('n/' || namespace || '/', 'UTF8');
end`,
    'immutable',
  );
}

/** Refuses what the write guard refuses (space/guard.ts): a path under somebody's lock. */
function guarding(s: string): string {
  return sqlFunction(
    `${s}.refuse_held(prefix bytea, path bytea) returns void`,
    `declare
  starts bytea[] := array[prefix || 'h' || path || '\\x00'];
  ends bytea[] := array[prefix || 'h' || path || '\\x01'];
  above bytea;
  held record;
begin
  for i in 0 .. length(path) - 1 loop
    if get_byte(path, i) = 47 then
      above := prefix || 'h' || substring(path from 1 for i) || '\\x00';
      starts := starts || (above || 't');
      ends := ends || (above || 'u');
    end if;
  end loop;
  select h.* into held from unnest(starts, ends) as r(a, b)
    join ${s}.entry e on ${keyInRange('e.key', 'r.a', 'r.b')}
    cross join lateral ${s}.place_of(e.key) p
    join ${s}.holders h on h.token = e.create_revision and h.kind = 'lock' and h.path = p.path and h.namespace = p.namespace
    limit 1;
  if found then
    raise exception '% holds the % lock on %', held.owner, held.mode || case when held.tree then ' tree' else '' end, held.path
      using errcode = 'WM001', detail = 'token ' || held.token, hint = 'Wait for it, or write under a lock of your own.';
  end if;
end`,
  );
}

export function textWriting(s: string): string {
  const parameters = 'namespace text, path text';
  /** Locks the row of revisions, and finds what is there. */
  const begin = `  prefix bytea := ${s}.prefix_of(namespace, path);
  place bytea := convert_to(case when path = '/' then '' else path end, 'UTF8');
  key bytea := prefix || 'd' || place;
  upcoming bigint;
  old record;
begin
  select m.revision + 1 into upcoming from ${s}.lock_meta() m;
  perform ${s}.refuse_held(prefix, place);
  select e.* into old from ${s}.entry e where ${equalKeys('e.key', 'write.key')};
  if if_revision is not null and coalesce(old.mod_revision, 0) <> if_revision then
    raise exception '% is at revision %, not %', path, coalesce(old.mod_revision, 0), if_revision
      using errcode = 'WM002', hint = 'Read it again.';
  end if;`;
  const previous = 'old.value, old.create_revision, old.mod_revision, old.version, old.lease';
  return [
    sqlFunction(
      `${s}.put_text(${parameters}, value text, if_revision bigint default null) returns bigint`,
      `<<write>> declare
  bytes bytea := convert_to(value, 'UTF8');
${begin}
  if value is null or length(bytes) > ${limits.valueBytesMax} then
    raise exception 'a value has 0 to ${limits.valueBytesMax} bytes' using errcode = 'WM003';
  end if;
  insert into ${s}.log values (upcoming, 0, 'put', write.key, bytes, coalesce(old.create_revision, upcoming),
    coalesce(old.version, 0) + 1, 0, ${previous});
  insert into ${s}.entry values (write.key, bytes, upcoming, upcoming, 1, 0)
  on conflict (${headOf('key')}, ${tailOf('key')}) do update set value = excluded.value,
    mod_revision = upcoming, version = entry.version + 1, lease = 0;
  update ${s}.meta set revision = upcoming;
  perform ${s}.wake();
  return upcoming;
end`,
    ),
    sqlFunction(
      `${s}.delete_path(${parameters}, if_revision bigint default null) returns bigint`,
      `<<write>> declare
${begin}
  if old.key is null then return null; end if;
  insert into ${s}.log values (upcoming, 0, 'delete', write.key, '', 0, 0, 0, ${previous});
  delete from ${s}.entry e where ${equalKeys('e.key', 'write.key')};
  update ${s}.meta set revision = upcoming;
  perform ${s}.wake();
  return upcoming;
end`,
    ),
    `comment on function ${s}.put_text is 'writes a value as everyone does; namespaces of the default codec hold JSON';`,
  ].join('\n');
}
