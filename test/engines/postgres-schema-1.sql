CREATE SCHEMA first;
CREATE FUNCTION first.delete_path(namespace text, path text, if_revision bigint DEFAULT NULL::bigint) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
<<write>> declare
  prefix bytea := "first".prefix_of(namespace, path);
  place bytea := convert_to(case when path = '/' then '' else path end, 'UTF8');
  key bytea := prefix || 'd' || place;
  upcoming bigint;
  old record;
begin
  select m.revision + 1 into upcoming from "first".meta m for update;
  perform "first".refuse_held(prefix, place);
  select e.* into old from "first".entry e where substring(e.key from 1 for 2000) = substring(write.key from 1 for 2000) and e.key = write.key;
  if if_revision is not null and coalesce(old.mod_revision, 0) <> if_revision then
    raise exception '% is at revision %, not %', path, coalesce(old.mod_revision, 0), if_revision
      using errcode = 'WM002', hint = 'Read it again.';
  end if;
  if old.key is null then return null; end if;
  insert into "first".log values (upcoming, 0, 'delete', write.key, '', 0, 0, 0, old.value, old.create_revision, old.mod_revision, old.version, old.lease);
  delete from "first".entry e where substring(e.key from 1 for 2000) = substring(write.key from 1 for 2000) and e.key = write.key;
  update "first".meta set revision = upcoming;
  perform "first".wake();
  return upcoming;
end
$$;
CREATE FUNCTION first.end_lease(lease_id bigint) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
declare upcoming bigint;
begin
  select m.revision + 1 into upcoming from "first".meta m for update;
  delete from "first".lease l where l.id = lease_id;
  if not found then return null; end if;
  insert into "first".log
  select upcoming, row_number() over (order by e.key) - 1, 'expire', e.key, '', 0, 0, 0,
    e.value, e.create_revision, e.mod_revision, e.version, e.lease
  from "first".entry e where e.lease = lease_id and e.lease <> 0;
  if not found then return upcoming - 1; end if;
  delete from "first".entry e where e.lease = lease_id and e.lease <> 0;
  update "first".meta set revision = upcoming;
  perform "first".wake();
  return upcoming;
end
$$;
CREATE FUNCTION first.expire(most bigint) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
declare ended bigint[];
begin
  perform 1 from "first".meta for update;
  select array_agg(due.id) into ended from (
    select l.id from "first".lease l cross join "first".clock c where greatest(l.renewed_ms, c.floor_ms) + l.ttl_ms + 600 <= c.ms
    limit most for update of l skip locked
  ) due;
  perform "first".end_lease(id) from unnest(ended) as id;
  return coalesce(cardinality(ended), 0);
end
$$;
CREATE FUNCTION first.load(keys bytea[], full_keys bytea[], starts bytea[], ends bytea[], limits bigint[], fulls boolean[], leases bigint[]) RETURNS TABLE(what text, key bytea, value bytea, create_revision bigint, mod_revision bigint, version bigint, lease bigint)
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
declare m record;
begin
  select * into m from "first".meta for update;
  return query select 'meta', convert_to(m.identity, 'UTF8'), ''::bytea, m.revision, m.compacted, m.dropped, 0::bigint;
  if cardinality(leases) > 0 then
    return query select 'lease', ''::bytea, ''::bytea, 0::bigint, 0::bigint, 0::bigint, l.id
      from "first".lease l where l.id = any(leases);
  end if;
  if cardinality(keys) > 0 then
    return query select 'entry', e.key, ''::bytea, e.create_revision, e.mod_revision, e.version, e.lease
      from unnest(keys) as k(key) join "first".entry e on substring(e.key from 1 for 2000) = substring(k.key from 1 for 2000) and e.key = k.key;
  end if;
  if cardinality(full_keys) > 0 then
    return query select 'entry', e.key, e.value, e.create_revision, e.mod_revision, e.version, e.lease
      from unnest(full_keys) as k(key) join "first".entry e on substring(e.key from 1 for 2000) = substring(k.key from 1 for 2000) and e.key = k.key;
  end if;
  if cardinality(starts) > 0 then
    return query select 'entry', e.key, case when r.f then e.value else ''::bytea end, e.create_revision, e.mod_revision, e.version, e.lease
      from unnest(starts, ends, limits, fulls) as r(a, b, n, f)
      cross join lateral (
        select * from "first".entry e where substring(e.key from 1 for 2000) >= substring(r.a from 1 for 2000) and substring(e.key from 1 for 2000) <= substring(r.b from 1 for 2000) and e.key >= r.a and e.key < r.b order by substring(e.key from 1 for 2000) , e.key  limit r.n
      ) e;
  end if;
end
$$;
CREATE FUNCTION first.look(keys bytea[], full_keys bytea[], starts bytea[], ends bytea[], limits bigint[], fulls boolean[], leases bigint[]) RETURNS TABLE(what text, key bytea, value bytea, create_revision bigint, mod_revision bigint, version bigint, lease bigint)
    LANGUAGE plpgsql STABLE
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
declare m record;
begin
  select * into m from "first".meta ;
  return query select 'meta', convert_to(m.identity, 'UTF8'), ''::bytea, m.revision, m.compacted, m.dropped, 0::bigint;
  if cardinality(leases) > 0 then
    return query select 'lease', ''::bytea, ''::bytea, 0::bigint, 0::bigint, 0::bigint, l.id
      from "first".lease l where l.id = any(leases);
  end if;
  if cardinality(keys) > 0 then
    return query select 'entry', e.key, ''::bytea, e.create_revision, e.mod_revision, e.version, e.lease
      from unnest(keys) as k(key) join "first".entry e on substring(e.key from 1 for 2000) = substring(k.key from 1 for 2000) and e.key = k.key;
  end if;
  if cardinality(full_keys) > 0 then
    return query select 'entry', e.key, e.value, e.create_revision, e.mod_revision, e.version, e.lease
      from unnest(full_keys) as k(key) join "first".entry e on substring(e.key from 1 for 2000) = substring(k.key from 1 for 2000) and e.key = k.key;
  end if;
  if cardinality(starts) > 0 then
    return query select 'entry', e.key, case when r.f then e.value else ''::bytea end, e.create_revision, e.mod_revision, e.version, e.lease
      from unnest(starts, ends, limits, fulls) as r(a, b, n, f)
      cross join lateral (
        select * from "first".entry e where substring(e.key from 1 for 2000) >= substring(r.a from 1 for 2000) and substring(e.key from 1 for 2000) <= substring(r.b from 1 for 2000) and e.key >= r.a and e.key < r.b order by substring(e.key from 1 for 2000) , e.key  limit r.n
      ) e;
  end if;
end
$$;
CREATE FUNCTION first.place_of(key bytea) RETURNS TABLE(namespace text, facet text, path text, rest bytea)
    LANGUAGE plpgsql IMMUTABLE
    AS $$
#variable_conflict use_column
declare
  after bytea := substring(key from 3);
  slash integer := position('\x2f'::bytea in after);
  place bytea := substring(after from slash + 1);
  nul integer := position('\x00'::bytea in place);
  head bytea := case when nul = 0 then place else substring(place from 1 for nul - 1) end;
  root integer := position('\x2f'::bytea in head);
begin
  if substring(key from 1 for 2) <> 'n/' or slash = 0 then return; end if;
  return query select
    "first".text_of(substring(after from 1 for slash - 1)),
    "first".text_of(case when root = 0 then head else substring(head from 1 for root - 1) end),
    case when root = 0 then '/' else "first".text_of(substring(head from root)) end,
    case when nul > 0 then substring(place from nul + 1) end;
end
$$;
CREATE FUNCTION first.prefix_of(namespace text, path text) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE
    AS $$
#variable_conflict use_column
declare segments text[] := string_to_array(substring(path from 2), '/');
begin
  if namespace is null or namespace in ('', '.', '..') or namespace like '%/%' or octet_length(namespace) > 128 then
    raise exception 'no namespace can be called %', quote_nullable(namespace) using errcode = 'WM003';
  end if;
  if path is null or path not like '/%' or octet_length(path) > 1024 or cardinality(segments) > 32
    or path <> '/' and segments && array['', '.', '..'] then
    raise exception '% is no path', quote_nullable(path)
      using errcode = 'WM003', hint = 'A path begins with a slash and ends without one, as /orders/42.';
  end if;
  return convert_to('n/' || namespace || '/', 'UTF8');
end
$$;
CREATE FUNCTION first.put_text(namespace text, path text, value text, if_revision bigint DEFAULT NULL::bigint) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
<<write>> declare
  bytes bytea := convert_to(value, 'UTF8');
  prefix bytea := "first".prefix_of(namespace, path);
  place bytea := convert_to(case when path = '/' then '' else path end, 'UTF8');
  key bytea := prefix || 'd' || place;
  upcoming bigint;
  old record;
begin
  select m.revision + 1 into upcoming from "first".meta m for update;
  perform "first".refuse_held(prefix, place);
  select e.* into old from "first".entry e where substring(e.key from 1 for 2000) = substring(write.key from 1 for 2000) and e.key = write.key;
  if if_revision is not null and coalesce(old.mod_revision, 0) <> if_revision then
    raise exception '% is at revision %, not %', path, coalesce(old.mod_revision, 0), if_revision
      using errcode = 'WM002', hint = 'Read it again.';
  end if;
  if value is null or length(bytes) > 1048576 then
    raise exception 'a value has 0 to 1048576 bytes' using errcode = 'WM003';
  end if;
  insert into "first".log values (upcoming, 0, 'put', write.key, bytes, coalesce(old.create_revision, upcoming),
    coalesce(old.version, 0) + 1, 0, old.value, old.create_revision, old.mod_revision, old.version, old.lease);
  insert into "first".entry values (write.key, bytes, upcoming, upcoming, 1, 0)
  on conflict (substring(key from 1 for 2000), (case when length(key) > 2000 then sha256(substring(key from 2001)) else ''::bytea end)) do update set value = excluded.value,
    mod_revision = upcoming, version = entry.version + 1, lease = 0;
  update "first".meta set revision = upcoming;
  perform "first".wake();
  return upcoming;
end
$$;
COMMENT ON FUNCTION first.put_text(namespace text, path text, value text, if_revision bigint) IS 'writes a value as everyone does; namespaces of the default codec hold JSON';
CREATE FUNCTION first.refuse_held(prefix bytea, path bytea) RETURNS void
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
declare
  starts bytea[] := array[prefix || 'h' || path || '\x00'];
  ends bytea[] := array[prefix || 'h' || path || '\x01'];
  above bytea;
  held record;
begin
  for i in 0 .. length(path) - 1 loop
    if get_byte(path, i) = 47 then
      above := prefix || 'h' || substring(path from 1 for i) || '\x00';
      starts := starts || (above || 't');
      ends := ends || (above || 'u');
    end if;
  end loop;
  select h.* into held from unnest(starts, ends) as r(a, b)
    join "first".entry e on substring(e.key from 1 for 2000) >= substring(r.a from 1 for 2000) and substring(e.key from 1 for 2000) <= substring(r.b from 1 for 2000) and e.key >= r.a and e.key < r.b
    cross join lateral "first".place_of(e.key) p
    join "first".holders h on h.token = e.create_revision and h.kind = 'lock' and h.path = p.path and h.namespace = p.namespace
    limit 1;
  if found then
    raise exception '% holds the % lock on %', held.owner, held.mode || case when held.tree then ' tree' else '' end, held.path
      using errcode = 'WM001', detail = 'token ' || held.token, hint = 'Wait for it, or write under a lock of your own.';
  end if;
end
$$;
CREATE FUNCTION first.renew(ids bigint[]) RETURNS TABLE(id bigint, ttl_ms bigint)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
begin
  return query update "first".lease l set renewed_ms = c.ms
    from "first".clock c, (select o.id from "first".lease o where o.id = any(ids) order by o.id for update) own
    where l.id = own.id returning l.id, l.ttl_ms;
end
$$;
CREATE FUNCTION first.text_of(bytes bytea) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $$
#variable_conflict use_column
begin
  return convert_from(bytes, 'UTF8');
exception when others then
  return encode(bytes, 'escape');
end
$$;
CREATE FUNCTION first.tick(me text, elapsed bigint, look boolean) RETURNS TABLE(ms bigint, due bigint)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
declare c record;
begin
  -- A tick that a crash takes back lets leases live longer, never shorter.
  perform set_config('synchronous_commit', 'off', true);
  update "first".clock set ms = clock.ms + elapsed, beat = clock.beat + 1 where clock.reaper = me returning * into c;
  if not found then return; end if;
  return query select c.ms, case when look then (select min(greatest(l.renewed_ms, c.floor_ms) + l.ttl_ms + 600) from "first".lease l) end;
end
$$;
CREATE FUNCTION first.wake() RETURNS void
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
begin
  perform pg_notify('waymark:' || m.identity, m.revision::text) from "first".meta m;
end
$$;
CREATE FUNCTION first.write(revisions bigint[], positions integer[], kinds text[], keys bytea[], vals bytea[], creates bigint[], versions bigint[], leases bigint[], head bigint) RETURNS void
    LANGUAGE plpgsql
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
begin
  insert into "first".log
  select c.revision, c.position, c.kind, c.key, c.value, c.create_revision, c.version, c.lease,
    case when c.version0 > 0 then c.value0 else e.value end, case when c.version0 > 0 then c.create0 else e.create_revision end, case when c.version0 > 0 then c.mod0 else e.mod_revision end,
    case when c.version0 > 0 then c.version0 else e.version end, case when c.version0 > 0 then c.lease0 else e.lease end
  from (
    select u.*, lag(u.value) over w as value0, lag(u.create_revision) over w as create0, lag(u.revision) over w as mod0,
      lag(u.version) over w as version0, lag(u.lease) over w as lease0
    from unnest(revisions, positions, kinds, keys, vals, creates, versions, leases)
      as u(revision, position, kind, key, value, create_revision, version, lease)
    window w as (partition by u.key order by u.revision)
  ) c left join "first".entry e on c.version0 is null and substring(e.key from 1 for 2000) = substring(c.key from 1 for 2000) and e.key = c.key;
  delete from "first".entry e using (select distinct on (u.key) u.* from unnest(keys, kinds, revisions, vals, creates, versions, leases)
      as u(key, kind, revision, value, create_revision, version, lease) order by u.key, u.revision desc) c where c.kind <> 'put' and substring(e.key from 1 for 2000) = substring(c.key from 1 for 2000) and e.key = c.key;
  insert into "first".entry (key, value, create_revision, mod_revision, version, lease)
  select c.key, c.value, c.create_revision, c.revision, c.version, c.lease from (select distinct on (u.key) u.* from unnest(keys, kinds, revisions, vals, creates, versions, leases)
      as u(key, kind, revision, value, create_revision, version, lease) order by u.key, u.revision desc) c where c.kind = 'put'
  on conflict (substring(key from 1 for 2000), (case when length(key) > 2000 then sha256(substring(key from 2001)) else ''::bytea end)) do update set value = excluded.value,
    create_revision = excluded.create_revision, mod_revision = excluded.mod_revision,
    version = excluded.version, lease = excluded.lease;
  update "first".meta set revision = head;
  perform "first".wake();
end
$$;
CREATE TABLE first.clock (
    one boolean DEFAULT true NOT NULL,
    ms bigint DEFAULT 0 NOT NULL,
    floor_ms bigint DEFAULT 0 NOT NULL,
    beat bigint DEFAULT 0 NOT NULL,
    reaper text,
    CONSTRAINT clock_one_check CHECK (one)
)
WITH (fillfactor='10');
COMMENT ON TABLE first.clock IS 'counts the time by which leases end; it never runs faster than time does';
CREATE TABLE first.entry (
    key bytea NOT NULL,
    value bytea NOT NULL,
    create_revision bigint NOT NULL,
    mod_revision bigint NOT NULL,
    version bigint NOT NULL,
    lease bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='85');
CREATE VIEW first.entry_text AS
 SELECT p.namespace,
    p.path,
    first.text_of(e.value) AS value,
    e.mod_revision AS revision,
    e.create_revision AS created,
    e.version,
    NULLIF(e.lease, 0) AS lease
   FROM (first.entry e
     CROSS JOIN LATERAL first.place_of(e.key) p(namespace, facet, path, rest))
  WHERE (p.facet = 'd'::text);
CREATE TABLE first.lease (
    id bigint NOT NULL,
    ttl_ms bigint NOT NULL,
    renewed_ms bigint NOT NULL,
    CONSTRAINT lease_id_check CHECK ((id > 0))
)
WITH (fillfactor='50');
CREATE VIEW first.holders AS
 SELECT p.namespace,
        CASE p.facet
            WHEN 'h'::text THEN 'lock'::text
            WHEN 'eh'::text THEN 'election'::text
            WHEN 'glh'::text THEN 'group'::text
            WHEN 'och'::text THEN 'once'::text
            ELSE 'schedule'::text
        END AS kind,
    p.path,
        CASE SUBSTRING(p.rest FROM 2 FOR 1)
            WHEN '\x78'::bytea THEN 'exclusive'::text
            ELSE 'shared'::text
        END AS mode,
    (SUBSTRING(p.rest FROM 1 FOR 1) = '\x74'::bytea) AS tree,
    (string_to_array(first.text_of(
        CASE
            WHEN (POSITION(('\x00'::bytea) IN (e.value)) = 0) THEN e.value
            ELSE SUBSTRING(e.value FROM 1 FOR (POSITION(('\x00'::bytea) IN (e.value)) - 1))
        END), '
'::text))[2] AS owner,
    (string_to_array(first.text_of(
        CASE
            WHEN (POSITION(('\x00'::bytea) IN (e.value)) = 0) THEN e.value
            ELSE SUBSTRING(e.value FROM 1 FOR (POSITION(('\x00'::bytea) IN (e.value)) - 1))
        END), '
'::text))[1] AS session,
    e.create_revision AS token,
    e.lease,
    l.ttl_ms,
    GREATEST((0)::bigint, LEAST(l.ttl_ms, (((GREATEST(l.renewed_ms, c.floor_ms) + l.ttl_ms) + 600) - c.ms))) AS remaining_ms
   FROM (((first.entry e
     CROSS JOIN LATERAL first.place_of(e.key) p(namespace, facet, path, rest))
     LEFT JOIN first.lease l ON ((l.id = e.lease)))
     CROSS JOIN first.clock c)
  WHERE ((p.facet = ANY (ARRAY['h'::text, 'eh'::text, 'glh'::text, 'och'::text, 'osh'::text])) AND (p.rest IS NOT NULL));
CREATE TABLE first.log (
    revision bigint NOT NULL,
    "position" integer NOT NULL,
    kind text NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    create_revision bigint NOT NULL,
    version bigint NOT NULL,
    lease bigint NOT NULL,
    previous_value bytea,
    previous_create_revision bigint,
    previous_mod_revision bigint,
    previous_version bigint,
    previous_lease bigint,
    CONSTRAINT log_kind_check CHECK ((kind = ANY (ARRAY['put'::text, 'delete'::text, 'expire'::text])))
);
CREATE VIEW first.log_text AS
 SELECT l.revision,
    l.kind,
    p.namespace,
    p.path,
        CASE
            WHEN (l.kind = 'put'::text) THEN first.text_of(l.value)
            ELSE NULL::text
        END AS value,
    first.text_of(l.previous_value) AS previous,
    l.version,
    NULLIF(l.lease, 0) AS lease
   FROM (first.log l
     CROSS JOIN LATERAL first.place_of(l.key) p(namespace, facet, path, rest))
  WHERE (p.facet = 'd'::text);
CREATE VIEW first.members AS
 SELECT p.namespace,
    p.path AS "group",
    first.text_of(p.rest) AS member,
    (m.told ->> 'owner'::text) AS owner,
    (m.told ->> 'address'::text) AS address,
    (m.told -> 'meta'::text) AS meta,
    e.create_revision AS incarnation,
    e.lease,
    l.ttl_ms,
    GREATEST((0)::bigint, LEAST(l.ttl_ms, (((GREATEST(l.renewed_ms, c.floor_ms) + l.ttl_ms) + 600) - c.ms))) AS remaining_ms
   FROM ((((first.entry e
     CROSS JOIN LATERAL first.place_of(e.key) p(namespace, facet, path, rest))
     CROSS JOIN LATERAL ( SELECT (first.text_of(e.value))::jsonb AS told) m)
     LEFT JOIN first.lease l ON ((l.id = e.lease)))
     CROSS JOIN first.clock c)
  WHERE ((p.facet = 'g'::text) AND (p.rest IS NOT NULL));
CREATE TABLE first.meta (
    one boolean DEFAULT true NOT NULL,
    version integer NOT NULL,
    identity text NOT NULL,
    revision bigint DEFAULT 0 NOT NULL,
    compacted bigint DEFAULT 0 NOT NULL,
    dropped bigint DEFAULT 0 NOT NULL,
    CONSTRAINT meta_identity_check CHECK (((octet_length(identity) >= 1) AND (octet_length(identity) <= 50))),
    CONSTRAINT meta_one_check CHECK (one)
)
WITH (fillfactor='10');
COMMENT ON COLUMN first.meta.compacted IS 'history below it cannot be read; up to dropped it is gone';
INSERT INTO first.clock VALUES (true, 0, 0, 2, NULL);
INSERT INTO first.entry VALUES ('\x6e2f6a6f62732f642f61', '\x22746872656522', 1, 3, 2, 0);
INSERT INTO first.entry VALUES ('\x6e2f6a6f62732f642f6c6561736564', '\x22666f757222', 4, 4, 1, 7);
INSERT INTO first.entry VALUES ('\x6c6f6e672f78787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878', '\x6c6f6e67', 5, 5, 1, 0);
INSERT INTO first.entry VALUES ('\x6e2f6a6f62732f642f63', '\x00ff', 6, 6, 1, 0);
INSERT INTO first.lease VALUES (7, 3600000, 0);
INSERT INTO first.log VALUES (1, 0, 'put', '\x6e2f6a6f62732f642f61', '\x226f6e6522', 1, 1, 0, NULL, NULL, NULL, NULL, NULL);
INSERT INTO first.log VALUES (2, 0, 'put', '\x6e2f6a6f62732f642f62', '\x2274776f22', 2, 1, 0, NULL, NULL, NULL, NULL, NULL);
INSERT INTO first.log VALUES (3, 0, 'put', '\x6e2f6a6f62732f642f61', '\x22746872656522', 1, 2, 0, '\x226f6e6522', 1, 1, 1, 0);
INSERT INTO first.log VALUES (4, 0, 'put', '\x6e2f6a6f62732f642f6c6561736564', '\x22666f757222', 4, 1, 7, NULL, NULL, NULL, NULL, NULL);
INSERT INTO first.log VALUES (5, 0, 'put', '\x6c6f6e672f78787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878787878', '\x6c6f6e67', 5, 1, 0, NULL, NULL, NULL, NULL, NULL);
INSERT INTO first.log VALUES (6, 0, 'delete', '\x6e2f6a6f62732f642f62', '\x', 0, 0, 0, '\x2274776f22', 2, 2, 1, 0);
INSERT INTO first.log VALUES (6, 1, 'put', '\x6e2f6a6f62732f642f63', '\x00ff', 6, 1, 0, NULL, NULL, NULL, NULL, NULL);
INSERT INTO first.meta VALUES (true, 1, 'slHbKAIeWz3TBMhsh92vUg', 6, 2, 0);
ALTER TABLE ONLY first.clock
    ADD CONSTRAINT clock_pkey PRIMARY KEY (one);
ALTER TABLE ONLY first.lease
    ADD CONSTRAINT lease_pkey PRIMARY KEY (id);
ALTER TABLE ONLY first.log
    ADD CONSTRAINT log_pkey PRIMARY KEY (revision, "position");
ALTER TABLE ONLY first.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (one);
CREATE UNIQUE INDEX entry_key ON first.entry USING btree (SUBSTRING(key FROM 1 FOR 2000), (
CASE
    WHEN (length(key) > 2000) THEN sha256(SUBSTRING(key FROM 2001))
    ELSE '\x'::bytea
END));
CREATE INDEX entry_lease ON first.entry USING btree (lease) WHERE (lease <> 0);
CREATE INDEX log_key ON first.log USING btree (SUBSTRING(key FROM 1 FOR 2000), revision);
