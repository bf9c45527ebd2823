import type { Batch, Change, ChangeKind, KeyRange, Revision } from '../../core/engine.js';
import { isWaymarkError } from '../../core/errors.js';
import type { Clock } from '../../core/clock.js';
import { compactedError } from '../kit/cursor.js';
import type { Database, Value } from './database.js';
import { refuseOther } from './facts.js';
import { boundsOf, keyInRange } from './key-sql.js';
import { pointFor, settleTimeline } from './timelines.js';
import { bytesArray, readEntry, type Row } from './values.js';
import type { Wake } from './wake.js';

export interface FollowOptions {
  readonly database: Database;
  readonly identity: string;
  readonly clock: Clock;
  readonly wake: Wake;
  /** Null: everything. */
  readonly ranges: readonly KeyRange[] | null;
  readonly previous: boolean;
  readonly signal: AbortSignal;
  /** Told from where on a watch can begin without asking. */
  readonly noticed: (floor: Revision) => void;
}

/** One look at history reads so many changes, or about so many bytes. */
const changesMax = 2_000;
const bytesMax = 4 * 1_048_576;
const retryMs = 200;

/**
 * Every change after `after`, in order, once: history is read from there each time something wakes it. What wakes it may be late or false,
 * as revisions become visible in their order and nothing is taken from the notification itself.
 *
 * @throws {WaymarkError} `compacted`, with the point, when history was dropped beyond where it stood, or what it had told was lost with a
 *                        primary; `superseded`
 */
export async function* follow(after: Revision, options: FollowOptions): AsyncGenerator<Batch> {
  const { wake, signal, clock } = options;
  let told = after;
  const left = wake.join();
  try {
    for (;;) {
      signal.throwIfAborted();
      const seen = wake.count;
      let look: Look;
      try {
        look = await lookAfter(told, options);
      } catch (error) {
        if (!isWaymarkError(error, 'unavailable') && !isWaymarkError(error, 'overloaded'))
          throw error;
        await new Promise<void>((resolve) => clock.after(retryMs, resolve));
        continue;
      }
      if (look.revision > told) yield look;
      told = Math.max(told, look.revision);
      if (!look.more) await wake.after(seen, signal);
    }
  } finally {
    left();
  }
}

interface Look extends Batch {
  readonly more: boolean;
}

async function lookAfter(told: Revision, options: FollowOptions, settled = false): Promise<Look> {
  const { database, identity, previous, ranges, signal } = options;
  const values: Value[] = [told, changesMax, bytesMax];
  const rows = await database.read(statementOf(database.s, ranges, values), values, { signal });
  const [first] = rows as [Row];
  const [owner, revision, compacted, dropped, upTo, resumed] = first as [
    string,
    Revision,
    Revision,
    Revision,
    Revision | null,
    Revision,
  ];
  refuseOther(owner, identity);
  if (revision < told && !settled) {
    await settleTimeline(database);
    return await lookAfter(told, options, true);
  }
  options.noticed(Math.max(compacted, resumed));
  if (dropped > told) throw compactedError(compacted);
  const changes = rows.filter((row) => row[6] !== null).map((row) => changeOf(row, previous));
  const more = upTo !== null && upTo < revision;
  return { revision: upTo ?? Math.max(told, revision), changes, more };
}

/**
 * Whole revisions: up to the one in which the changes or the bytes of one look are reached. The row of revisions comes with each change,
 * and alone when there is none.
 */
function statementOf(s: string, ranges: readonly KeyRange[] | null, values: Value[]): string {
  let inRanges = '';
  if (ranges !== null) {
    const bounds = ranges.map(boundsOf);
    const starts = values.push(bytesArray(bounds.map(([start]) => start)));
    const ends = values.push(bytesArray(bounds.map(([, end]) => end)));
    inRanges = `and exists (select from unnest($${starts}::bytea[], $${ends}::bytea[]) as r(a, b) where ${keyInRange('l.key', 'r.a', 'r.b')})`;
  }
  return `with m as (select * from ${s}.meta),
part as (
  select l.revision, row_number() over w as place, sum(octet_length(l.value)) over w - octet_length(l.value) as bytes
  from ${s}.log l where l.revision > $1::bigint
  window w as (order by l.revision, l.position rows unbounded preceding)
  order by l.revision, l.position limit $2::bigint
),
span as (
  select max(revision) filter (where bytes < $3::bigint) as up_to, count(*) >= $2::bigint or max(bytes) >= $3::bigint as cut from part
)
select m.identity, m.revision, ${pointFor(s, 'm.compacted', '$1::bigint')}, ${pointFor(s, 'm.dropped', '$1::bigint')}, case when span.cut then span.up_to end, coalesce((select max(resumed) from ${s}.lost), 0),
  l.kind, l.key, l.value, l.create_revision, l.revision, l.version, l.lease,
  l.key, l.previous_value, l.previous_create_revision, l.previous_mod_revision, l.previous_version, l.previous_lease
from m cross join span left join ${s}.log l on l.revision > $1::bigint and l.revision <= span.up_to ${inRanges}
order by l.revision, l.position`;
}

function changeOf(row: Row, withPrevious: boolean): Change {
  const kind = row[6] as ChangeKind;
  const entry = readEntry(row, 7);
  if (!withPrevious) return { kind, entry };
  return { kind, entry, previous: row[14] === null ? null : readEntry(row, 13) };
}
