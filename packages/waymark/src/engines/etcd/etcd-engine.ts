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
import { arrayToBytes } from '../../core/bytes.js';
import { WaymarkError } from '../../core/errors.js';
import { validateLeaseId } from '../../core/lease-id.js';
import { systemClock, systemRandom } from '../../core/system-clock.js';
import { validateQuery, validateRevision, validateTtl, validateTxn } from '../../core/validate.js';
import { Feed, type FeedSource } from '../kit/feed.js';
import { CommitGroups } from './commit-groups.js';
import { readReading, revisionOf, toNumber, writeQuery } from './entry-codec.js';
import { EtcdClient } from './etcd-client.js';
import { EtcdHistory } from './etcd-history.js';
import { isLeaseRefusal } from './etcd-errors.js';
import { EtcdLeases } from './etcd-leases.js';
import { type EtcdTarget, parseEtcdUrl } from './etcd-url.js';
import { floorOf, leaseNotFound, leasesOf, rangesOf, readsPast } from './facts.js';
import { follow, type FollowOptions } from './follow.js';
import { KV, Maintenance } from './gen/etcd_pb.js';
import { loadGrpc } from './grpc.js';
import { claimIdentity } from './identity.js';
import { Layout, toBuffer } from './layout.js';
import { ReadGroups } from './read-groups.js';
import { Room } from './room.js';
import { readOutcomeBytes, writeTxnBytes } from './txn-bytes.js';

export interface EtcdEngineOptions {
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Tells the members' addresses, `host:port`, the one to speak to first: at once, and whenever they change. @returns ends that */
  readonly follow?: ((changed: (addresses: readonly string[]) => void) => () => void) | undefined;
}

/**
 * An engine on an etcd cluster, under one root of it. Any number of processes may open the same root.
 *
 * @param url  `etcd://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…][/ROOT][?owned&timeoutMs=…]`, `etcds://` with TLS
 * @throws {WaymarkError} `invalid` for the URL or a missing package, `unavailable` when no member answers, `unauthenticated`, `denied`
 */
export async function openEtcdEngine(
  url: string,
  options: EtcdEngineOptions = {},
): Promise<Engine> {
  const target = parseEtcdUrl(url);
  const { clock = systemClock, random = systemRandom, signal } = options;
  const client = new EtcdClient(await loadGrpc(), target, { clock, random });
  const layout = new Layout(target.root);
  const unfollow = options.follow?.((addresses) => client.setEndpoints(addresses));
  try {
    const identity = await claimIdentity(client, layout, random, signal);
    return new EtcdEngine({ target, client, layout, identity, clock, random, unfollow });
  } catch (error) {
    unfollow?.();
    client.close();
    throw error;
  }
}

interface Parts {
  readonly target: EtcdTarget;
  readonly client: EtcdClient;
  readonly layout: Layout;
  readonly identity: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly unfollow: (() => void) | undefined;
}

class EtcdEngine implements Engine, FeedSource {
  readonly #parts: Parts;
  readonly #commits: CommitGroups;
  readonly #reads: ReadGroups;
  readonly #leases: EtcdLeases;
  readonly #history: EtcdHistory;
  readonly #feed: Feed;
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { client, clock, layout, target, identity } = parts;
    this.#history = new EtcdHistory(client, layout, target.owned, (signal) =>
      this.follow(0, signal),
    );
    const room = new Room();
    this.#commits = new CommitGroups({
      clock,
      ownKey: arrayToBytes(layout.floorKey),
      write: (txn) => writeTxnBytes({ layout, floor: this.#history.floor }, txn),
      read: (txn, answer, revision) => readOutcomeBytes(layout, txn, answer, revision),
      send: ({ bytes, takesRoom, busy }, signal) =>
        room.write(takesRoom, () => client.txn(toBuffer(bytes), { kind: 'write', signal, busy })),
      explain: (error, txn) => this.#explain(error, txn),
    });
    this.#reads = new ReadGroups(client, layout, clock);
    this.#leases = new EtcdLeases(client, layout, { ...parts, timeoutMs: target.timeoutMs });
    this.#feed = new Feed(this, { clock, identity });
  }

  async read(query: Query, { stale, signal }: ReadOptions = {}): Promise<Reading> {
    validateQuery(query);
    this.#open(signal);
    const { at } = query;
    if (at !== undefined) return await this.#history.read({ ...query, at }, { signal });
    if (stale !== true && query.end === undefined) return await this.#reads.read(query, signal);
    const { client, layout } = this.#parts;
    const request = { ...writeQuery({ layout }, query), serializable: stale === true };
    const answer = await client.call(KV.method.range, request, { kind: 'read', signal });
    return readReading(layout, query, answer, revisionOf(answer));
  }

  commit(txn: Txn, options: CommitOptions = {}): Promise<Outcome> {
    try {
      validateTxn(txn, options.wide);
      this.#open(options.signal);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    // A read of the past is refused below the floor, which must be known.
    if (!readsPast(txn)) return this.#commits.commit(txn, options);
    return this.#history.present().then(() => this.#commits.commit(txn, options));
  }

  watch(ranges: readonly KeyRange[], options?: WatchOptions): AsyncIterable<Batch> {
    return this.#feed.watch(ranges, options);
  }

  async grant(ttlMs: number, options: GrantOptions = {}): Promise<Lease> {
    validateTtl(ttlMs);
    if (options.id !== undefined) validateLeaseId(options.id);
    this.#open(options.signal);
    return await this.#leases.grant(ttlMs, options);
  }

  async renew(id: LeaseId, options: CallOptions = {}): Promise<Lease> {
    validateLeaseId(id);
    this.#open(options.signal);
    return await this.#leases.renew(id, options);
  }

  async revoke(id: LeaseId, options: CallOptions = {}): Promise<{ readonly revision: Revision }> {
    validateLeaseId(id);
    this.#open(options.signal);
    return await this.#leases.revoke(id, options);
  }

  async lease(id: LeaseId, options: CallOptions = {}): Promise<LeaseState | null> {
    validateLeaseId(id);
    this.#open(options.signal);
    return await this.#leases.lease(id, options);
  }

  async leases(options: CallOptions = {}): Promise<readonly LeaseId[]> {
    this.#open(options.signal);
    return await this.#leases.leases(options);
  }

  async compact(through: Revision, options: CallOptions = {}): Promise<void> {
    validateRevision('through', through);
    this.#open(options.signal);
    await this.#history.compact(through, options);
  }

  async status({ signal }: CallOptions = {}): Promise<EngineStatus> {
    this.#open(signal);
    const { client, layout, identity } = this.#parts;
    const all = {
      key: layout.key(''),
      rangeEnd: layout.end({ key: '', end: '' }),
      countOnly: true,
    };
    const { key, end: rangeEnd } = layout.leaseRange;
    const leases = { key, rangeEnd, countOnly: true };
    const floor = { key: layout.floorKey };
    const [answer, member] = await Promise.all([
      client.call(
        KV.method.txn,
        {
          success: [all, leases, floor].map((value) => ({
            request: { case: 'requestRange' as const, value },
          })),
        },
        { kind: 'read', signal },
      ),
      client.call(Maintenance.method.status, {}, { kind: 'read', signal }),
    ]);
    const counts = rangesOf(answer);
    return {
      engine: 'etcd',
      identity,
      revision: revisionOf(answer),
      compacted: floorOf(counts[2]),
      keys: toNumber(counts[0]?.count ?? 0n),
      leases: toNumber(counts[1]?.count ?? 0n),
      bytes: toNumber(member.dbSizeInUse),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#parts.unfollow?.();
    this.#commits.close();
    this.#feed.close();
    this.#leases.close();
    this.#parts.client.close();
  }

  get compacted(): Revision {
    return this.#history.floor;
  }

  follow(after: Revision, signal: AbortSignal): AsyncIterable<Batch> {
    return follow(after, this.#following({ signal, ranges: null, previous: false }));
  }

  replay(
    ranges: readonly KeyRange[],
    after: Revision,
    options: { readonly previous: boolean; readonly signal: AbortSignal },
  ): AsyncIterable<Batch> {
    return follow(after, this.#following({ ...options, ranges }));
  }

  present(at?: Revision): Promise<Revision> {
    return this.#history.present(at);
  }

  async #explain(error: unknown, txn: Txn): Promise<unknown> {
    if (isLeaseRefusal(error)) return leaseNotFound(await this.#leases.missing(leasesOf(txn)));
    return await this.#history.explained(error, txn);
  }

  #open(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    if (this.#closed) throw new WaymarkError('unavailable', 'the engine is closed');
  }

  #following(call: Pick<FollowOptions, 'signal' | 'ranges' | 'previous'>): FollowOptions {
    const { client, layout, clock, identity } = this.#parts;
    return {
      ...call,
      client,
      layout,
      clock,
      noticed: (notice) => {
        if ('floor' in notice) this.#history.noticeFloor(notice.floor);
        else if (notice.identity !== identity) {
          const text = `the root of engine ${identity} was given to another: open it again`;
          throw new WaymarkError('superseded', text);
        }
      },
    };
  }
}
