import type { Clock } from '../../core/clock.js';
import type { Revision } from '../../core/engine.js';
import type { neededMaxOf } from '../kit/keyspace.js';
import type { Database } from './database.js';

export interface RetentionOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly revisionsMin: number;
  readonly bytesMin: number;
  /** See `HistoryBounds.needed`. */
  readonly needed: (() => Revision | null) | undefined;
  readonly neededMax: ReturnType<typeof neededMaxOf>;
}

const everyMs = 5_000;
/** So many changes are dropped by one statement, and so many revisions measured as one. */
const batchMax = 5_000;
const measuredMax = 500;
/** Counted for a change beside its key and values. */
const overheadBytes = 160;

/** Changes of so many whole revisions. They are counted, as their numbers may leave out many: see timelines.ts. */
interface Part {
  /** The last of them. */
  readonly revision: Revision;
  readonly revisions: number;
  readonly bytes: number;
}

/**
 * Drops history that exceeds both bounds, and what was compacted. That goes in two steps, a round apart: first nobody can begin there any
 * more, then it is dropped, so who follows has the time to pass it.
 */
export class Retention {
  readonly #options: RetentionOptions;
  /** In order, each from where the one before ends. */
  #measured: Part[] = [];
  #revisions = 0;
  #bytes = 0;
  #measuredTo: Revision = 0;
  /** What came after this is needed, as of this round. */
  #needed: Revision | null = null;
  /** The compaction point of the round before. */
  #droppable: Revision = 0;
  #ranAt = -Infinity;
  #running: Promise<void> | null = null;
  #closed = false;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** Does what is due, unless it is being done. */
  due(): void {
    this.#round(() => this.#run());
  }

  /** In place of that, where another process does it: says what is needed. */
  tell(): void {
    if (this.#options.needed !== undefined) this.#round(() => this.#learnNeeded());
  }

  #round(task: () => Promise<unknown>): void {
    const now = this.#options.clock.now();
    if (this.#closed || this.#running !== null || now - this.#ranAt < everyMs) return;
    this.#ranAt = now;
    // What fails is due again by the next round.
    this.#running = task()
      .then(() => {})
      .catch(() => {})
      .finally(() => (this.#running = null));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    const { database } = this.#options;
    const { s } = database;
    await this.#measure();
    this.#needed = await this.#learnNeeded();
    const point = this.#surplus();
    const [row] = await database.read(
      `update ${s}.meta set compacted = greatest(compacted, $1::bigint), dropped = greatest(dropped, least(compacted, $2::bigint))
       where compacted < $1::bigint or dropped < least(compacted, $2::bigint) returning compacted, dropped`,
      [point, this.#droppable],
      {},
    );
    const [meta] = await database.read(`select compacted, dropped from ${s}.meta`, [], {});
    const [compacted, dropped] = (row ?? meta) as [Revision, Revision];
    this.#droppable = compacted;
    await this.#drop(dropped);
  }

  /** Adds up what has come since the last round. */
  async #measure(): Promise<void> {
    const { database } = this.#options;
    const { s } = database;
    for (;;) {
      const [row] = await database.read(
        `select count(*), max(p.revision), count(distinct p.revision), sum(p.bytes)::bigint from (
             select revision, octet_length(key) + octet_length(value) + ${overheadBytes} as bytes
             from ${s}.log where revision > $1 and revision <= (
               select max(revision) from (select revision from ${s}.log where revision > $1 order by revision limit $2) next
             )
           ) p`,
        [this.#measuredTo, measuredMax],
        {},
      );
      const [count, upTo, revisions, bytes] = row as [number, Revision | null, number, number];
      if (upTo === null) return;
      this.#measured.push({ revision: upTo, revisions, bytes });
      this.#revisions += revisions;
      this.#bytes += bytes;
      this.#measuredTo = upTo;
      if (count < measuredMax || this.#closed) return;
    }
  }

  /** Who knows tells all others, those who come later as well: the one that drops may deliver nothing itself. */
  async #learnNeeded(): Promise<Revision | null> {
    const { database, needed } = this.#options;
    const { s } = database;
    if (needed === undefined) {
      const [row] = await database.read(`select needed from ${s}.meta`, [], {});
      return (row?.[0] ?? null) as Revision | null;
    }
    const own = needed();
    const update = `update ${s}.meta set needed = $1::bigint where needed is distinct from $1::bigint returning 1`;
    await database.read(update, [own], {});
    return own;
  }

  /** Up to where both bounds are exceeded. */
  #surplus(): Revision {
    const { revisionsMin, bytesMin } = this.#options;
    let point = 0;
    for (let first = this.#measured[0]; first !== undefined; first = this.#measured[0]) {
      const revisions = this.#revisions - first.revisions;
      const bytes = this.#bytes - first.bytes;
      if (revisions <= revisionsMin || bytes <= bytesMin || this.#isNeeded(first)) break;
      this.#measured.shift();
      this.#revisions = revisions;
      this.#bytes = bytes;
      point = first.revision;
    }
    return point;
  }

  #isNeeded({ revision, revisions }: Part): boolean {
    const { neededMax } = this.#options;
    const needed = this.#needed;
    if (needed === null || revision <= needed) return false;
    return this.#revisions - revisions <= neededMax.revisions && this.#bytes <= neededMax.bytes;
  }

  async #drop(through: Revision): Promise<void> {
    const { database } = this.#options;
    const { s } = database;
    for (;;) {
      if (this.#closed) return;
      const [row] = await database.read(
        `with gone as (
           delete from ${s}.log where (revision, position) in (
             select revision, position from ${s}.log where revision <= $1 order by revision, position limit $2
           ) returning 1
         ) select count(*) from gone`,
        [through, batchMax],
        {},
      );
      if ((row?.[0] as number) < batchMax) return;
    }
  }
}
