import type { Clock, Random } from '../../core/clock.js';
import type {
  Batch,
  CallOptions,
  CommitOptions,
  Engine,
  EngineStatus,
  GrantOptions,
  KeyRange,
  Lease,
  LeaseId,
  LeaseState,
  Outcome,
  Query,
  Reading,
  ReadOptions,
  Revision,
  Txn,
  WatchOptions,
} from '../../core/engine.js';
import { systemClock, systemRandom } from '../../core/system-clock.js';
import { validateQuery, validateRevision, validateTxn } from '../../core/validate.js';
import { compactedError } from '../kit/cursor.js';
import { closedError, Feed, type FeedSource } from '../kit/feed.js';
import { isPlain } from '../../core/queries.js';
import { type HistoryBounds, neededMaxOf } from '../kit/keyspace.js';
import { CommitGroups } from './commit-groups.js';
import { Database, type Value } from './database.js';
import { futureRevision, refuseOther } from './facts.js';
import { follow } from './follow.js';
import { LeaseClock } from './lease-clock.js';
import { Leases } from './leases.js';
import { migrate } from './migrate.js';
import { loadPg } from './pg.js';
import { parsePostgresUrl } from './postgres-url.js';
import { KeyReads } from './key-reads.js';
import { Primary } from './primary.js';
import { readingOf, readStatement } from './read-sql.js';
import { Retention } from './retention.js';
import { pointFor, settleTimeline } from './timelines.js';
import { Wake } from './wake.js';

export interface PostgresEngineOptions {
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  /** How much history is kept at least; the URL's figures go first. */
  readonly history?: HistoryBounds | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * An engine in a schema of a PostgreSQL database, which it makes by itself. Any number of processes may open the same one.
 *
 * @param url  `postgres://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]/DATABASE[?schema=waymark&timeoutMs=…&poolMax=…&historyRevisions=…&historyBytes=…]`;
 *             of several hosts the primary is taken, and the next one when it fails
 * @throws {WaymarkError} `invalid` for the URL, a missing package or a newer schema, `unavailable` when no primary answers,
 *                        `unauthenticated`, `denied`
 */
export async function openPostgresEngine(
  url: string,
  options: PostgresEngineOptions = {},
): Promise<Engine> {
  const target = parsePostgresUrl(url);
  const { clock = systemClock, random = systemRandom, signal, history } = options;
  const pg = await loadPg();
  const primary = new Primary(pg, target, clock);
  const database = new Database(primary, target, clock);
  try {
    const identity = await migrate(database, () => random.id(), signal);
    const wake = new Wake({ primary, database, identity, clock, random });
    const retention = new Retention({
      database,
      clock,
      revisionsMin: target.historyRevisions ?? history?.revisions ?? 10_000,
      bytesMin: target.historyBytes ?? history?.bytes ?? 64 * 1_048_576,
      needed: history?.needed,
      neededMax: neededMaxOf(history?.neededMax),
    });
    return new PostgresEngine({ database, identity, clock, random, wake, retention });
  } catch (error) {
    await database.close();
    throw error;
  }
}

interface Parts {
  readonly database: Database;
  readonly identity: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly wake: Wake;
  readonly retention: Retention;
}

class PostgresEngine implements Engine, FeedSource {
  readonly #parts: Parts;
  readonly #commits: CommitGroups;
  readonly #reads: KeyReads;
  readonly #leases: Leases;
  readonly #leaseClock: LeaseClock;
  readonly #feed: Feed;
  /** The highest revision seen from which on all are known. */
  #floor: Revision = 0;
  #closed: Promise<void> | null = null;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { database, identity, clock, random, wake, retention } = parts;
    const committed = (): void => wake.tell();
    this.#commits = new CommitGroups({ database, identity, clock, committed });
    this.#reads = new KeyReads(database, identity, clock);
    this.#leases = new Leases({ database, clock, random, ended: committed });
    this.#leaseClock = new LeaseClock({
      database,
      clock,
      random,
      ended: committed,
      reaping: () => retention.due(),
      waiting: () => retention.tell(),
    });
    this.#feed = new Feed(this, { clock, identity, previous: true });
  }

  async read(query: Query, { signal }: ReadOptions = {}): Promise<Reading> {
    validateQuery(query);
    this.#open(signal);
    if (query.end === undefined && query.at === undefined && isPlain(query))
      return await this.#reads.read(query, signal);
    const { database, identity } = this.#parts;
    const { text, values = [] } = readStatement(database.s, query);
    return readingOf(await database.read(text, values, { signal }), query, identity);
  }

  async commit(txn: Txn, options: CommitOptions = {}): Promise<Outcome> {
    validateTxn(txn, options.wide);
    this.#open(options.signal);
    return await this.#commits.commit(txn, options);
  }

  watch(ranges: readonly KeyRange[], options?: WatchOptions): AsyncIterable<Batch> {
    return this.#feed.watch(ranges, options);
  }

  async grant(ttlMs: number, options: GrantOptions = {}): Promise<Lease> {
    return await this.#leases.grant(ttlMs, this.#checked(options));
  }

  async renew(id: LeaseId, options: CallOptions = {}): Promise<Lease> {
    return await this.#leases.renew(id, this.#checked(options));
  }

  async revoke(id: LeaseId, options: CallOptions = {}): Promise<{ readonly revision: Revision }> {
    return await this.#leases.revoke(id, this.#checked(options));
  }

  async lease(id: LeaseId, options: CallOptions = {}): Promise<LeaseState | null> {
    return await this.#leases.state(id, this.#checked(options));
  }

  async leases(options: CallOptions = {}): Promise<readonly LeaseId[]> {
    return await this.#leases.ids(this.#checked(options));
  }

  async compact(through: Revision, options: CallOptions = {}): Promise<void> {
    validateRevision('through', through);
    const { database } = this.#parts;
    const [row] = await database.read(
      `with done as (
         update ${database.s}.meta set compacted = $1::bigint where compacted < $1::bigint and $1::bigint <= revision
       ) select revision from ${database.s}.meta`,
      [through],
      this.#checked(options),
    );
    const [revision] = row as [Revision];
    if (through > revision) throw futureRevision(through, revision);
    this.#noticed(through);
  }

  async status(options: CallOptions = {}): Promise<EngineStatus> {
    const { database } = this.#parts;
    const { s } = database;
    const [row] = await database.read(
      `select identity, revision, compacted, (select count(*) from ${s}.entry), (select count(*) from ${s}.lease),
         (select sum(pg_total_relation_size(c.oid))::bigint from pg_class c where c.relnamespace = to_regnamespace($1) and c.relkind = 'r')
       from ${s}.meta`,
      [s],
      this.#checked(options),
    );
    const [identity, revision, compacted, keys, leases, bytes] = row as [
      string,
      ...[number, number, number, number, number],
    ];
    return { engine: 'postgres', identity, revision, compacted, keys, leases, bytes };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  get compacted(): Revision {
    return this.#floor;
  }

  follow(after: Revision, signal: AbortSignal): AsyncIterable<Batch> {
    const noticed = this.#noticed;
    return follow(after, { ...this.#parts, noticed, ranges: null, previous: true, signal });
  }

  replay(
    ranges: readonly KeyRange[],
    after: Revision,
    options: { readonly previous: boolean; readonly signal: AbortSignal },
  ): AsyncIterable<Batch> {
    return follow(after, { ...this.#parts, ...options, noticed: this.#noticed, ranges });
  }

  async present(at?: Revision): Promise<Revision> {
    const { database, identity } = this.#parts;
    const { s } = database;
    const text = `select identity, revision, ${pointFor(s, 'compacted', '$1::bigint')} from ${s}.meta`;
    const ask = async (): Promise<readonly Value[]> => {
      const [row] = await database.read(text, [at ?? 0], {});
      return row as readonly Value[];
    };
    let meta = await ask();
    if (at !== undefined && at > (meta[1] as Revision)) {
      await settleTimeline(database);
      meta = await ask();
    }
    const [owner, revision, compacted] = meta as [string, Revision, Revision];
    refuseOther(owner, identity);
    this.#noticed(compacted);
    if (at !== undefined && at > revision) throw futureRevision(at, revision);
    if (at !== undefined && at < compacted) throw compactedError(compacted);
    return revision;
  }

  readonly #noticed = (floor: Revision): void => {
    this.#floor = Math.max(this.#floor, floor);
  };

  #open(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    if (this.#closed !== null) throw closedError();
  }

  #checked<O extends CallOptions>(options: O): O {
    this.#open(options.signal);
    return options;
  }

  async #close(): Promise<void> {
    const { database, wake, retention } = this.#parts;
    this.#commits.close();
    this.#feed.close();
    wake.close();
    await this.#leaseClock.close();
    await retention.close();
    await database.close();
  }
}
