import type { Database } from './database.js';
import { sqlFunction } from './sql-function.js';

/**
 * A standby that is promoted, or a state that is recovered, goes on in a timeline of its own, without what had not come there: answered
 * commits where it was asynchronous, and else such as were visible for a moment on a primary that was dying. Revisions that had been told
 * of are not given again: the first to lock the row in the new timeline leaves out so many that all of them are among those.
 */
const skipped = 1_000_000_000;

const present = 'left(pg_walfile_name(pg_current_wal_lsn()), 8)';

/** `m := lock_meta()`, of which only what is needed nearly always is done. */
export function lockedMeta(s: string): string {
  return `select * into m from ${s}.meta for update;
  if m.timeline is distinct from ${present} then m := ${s}.lock_meta(); end if;`;
}

/** `lock_meta` locks the row of revisions; every function that changes entries begins with it. `lost` has what was left out. */
export function timelines(s: string): string {
  return `
alter table ${s}.meta add column timeline text;
comment on column ${s}.meta.timeline is 'of the write-ahead log, when it was last written to; after another one revisions go on ${skipped} higher';
create table ${s}.lost (survived bigint not null, resumed bigint primary key);
comment on table ${s}.lost is 'revisions that are never given: who was told of one between these was told of what is no more';
${sqlFunction(
  `${s}.lock_meta() returns ${s}.meta`,
  `declare
  m ${s}.meta;
  present text := ${present};
begin
  select * into m from ${s}.meta for update;
  if m.timeline = present then return m; end if;
  if m.timeline is not null then
    insert into ${s}.lost values (m.revision, m.revision + ${skipped});
    m.revision := m.revision + ${skipped};
  end if;
  update ${s}.meta set revision = m.revision, timeline = present;
  m.timeline := present;
  return m;
end`,
)}`;
}

/** A point of compaction, for who was told of `at`: of what is among the revisions left out, where they go on. */
export function pointFor(s: string, point: string, at: string): string {
  return `greatest(${point}, (select max(l.resumed) from ${s}.lost l where l.survived < ${at} and ${at} < l.resumed))`;
}

/** Leaves out what has to be, if nothing was written yet since the database went on in another timeline. */
export async function settleTimeline(database: Database): Promise<void> {
  await database.read(`select from ${database.s}.lock_meta()`, [], {});
}
