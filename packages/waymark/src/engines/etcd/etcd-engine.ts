import { arrayToBytes } from '../../core/bytes.js';
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
import { isWaymarkError, WaymarkError } from '../../core/errors.js';
import { systemClock, systemRandom } from '../../core/system-clock.js';
import {
  validateLeaseId,
  validateQuery,
  validateRevision,
  validateTtl,
  validateTxn,
} from '../../core/validate.js';
import { Feed, type FeedSource } from '../kit/feed.js';
import { CommitGroups } from './commit-groups.js';
import { readReading, revisionOf, toNumber, writeQuery } from './entry-codec.js';
import { compareResult, compareTarget } from './enums.js';
import { EtcdClient } from './etcd-client.js';
import { type EtcdTarget, parseEtcdUrl } from './etcd-url.js';
import { compactedAt, follow, type FollowOptions } from './follow.js';
import { KV, Lease as LeaseService, Maintenance, type RangeResponse } from './gen/etcd_pb.js';
import { loadGrpc } from './grpc.js';
import {
  floorOf,
  futureRevision,
  leaseNotFound,
  leasesOf,
  rangesOf,
  readsOf,
  soundProgress,
} from './facts.js';
import { KeepAlive } from './keep-alive.js';
import { Layout, toBuffer } from './layout.js';
import { ReadGroups } from './read-groups.js';
import { readOutcome, writeTxn } from './txn-codec.js';

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
    const { version } = await client.call(Maintenance.method.status, {}, { kind: 'read', signal });
    return new EtcdEngine({ target, client, layout, identity, version, clock, random, unfollow });
  } catch (error) {
    unfollow?.();
    client.close();
    throw error;
  }
}

/** The name of this order of commits: whoever opens the root first gives it. */
async function claimIdentity(
  client: EtcdClient,
  layout: Layout,
  random: Random,
  signal: AbortSignal | undefined,
): Promise<string> {
  const key = layout.identityKey;
  const read = { request: { case: 'requestRange' as const, value: { key } } };
  const put = { key, value: toBuffer(random.id()) };
  const answer = await client.call(
    KV.method.txn,
    {
      compare: [
        {
          key,
          result: compareResult.equal,
          target: compareTarget.version,
          targetUnion: { case: 'version', value: 0n },
        },
      ],
      success: [{ request: { case: 'requestPut', value: put } }, read],
      failure: [read],
    },
    // Sent twice it does the same.
    { kind: 'read', signal },
  );
  const response = answer.responses.at(-1)?.response;
  const kv = response?.case === 'responseRange' ? response.value.kvs[0] : undefined;
  return arrayToBytes(kv?.value ?? new Uint8Array());
}

interface Parts {
  readonly target: EtcdTarget;
  readonly client: EtcdClient;
  readonly layout: Layout;
  readonly identity: string;
  /** Of the member that was asked first. */
  readonly version: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly unfollow: (() => void) | undefined;
}

/** As many tries to find a lease id that is free. */
const idTriesMax = 5;

class EtcdEngine implements Engine, FeedSource {
  readonly #parts: Parts;
  readonly #commits: CommitGroups;
  readonly #reads: ReadGroups;
  readonly #keepAlive: KeepAlive;
  readonly #feed: Feed;
  readonly #soundProgress: boolean;
  /** The highest floor seen. */
  #floor: Revision = 0;
  #closed = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { client, clock, layout, target, identity } = parts;
    this.#soundProgress = soundProgress(parts.version);
    this.#commits = new CommitGroups({
      clock,
      write: (txn) => writeTxn({ layout, floor: this.#floor }, txn),
      read: (txn, answer, revision) => readOutcome(layout, txn, answer, revision),
      send: (request, signal) => client.call(KV.method.txn, request, { kind: 'write', signal }),
    });
    this.#reads = new ReadGroups(client, layout, clock);
    this.#keepAlive = new KeepAlive(client, clock, target.timeoutMs);
    this.#feed = new Feed(this, { clock, identity });
  }

  async read(query: Query, { stale, signal }: ReadOptions = {}): Promise<Reading> {
    validateQuery(query);
    this.#open(signal);
    if (query.at !== undefined) return await this.#readPast(query, signal);
    if (stale !== true && query.end === undefined) return await this.#reads.read(query, signal);
    const { client, layout } = this.#parts;
    const request = { ...writeQuery({ layout }, query), serializable: stale === true };
    const answer = await client.call(KV.method.range, request, { kind: 'read', signal });
    return readReading(layout, query, answer, revisionOf(answer));
  }

  async commit(txn: Txn, options: CommitOptions = {}): Promise<Outcome> {
    validateTxn(txn);
    this.#open(options.signal);
    if (readsOf(txn).some(({ at }) => at !== undefined))
      await this.#floorAndPresent(options.signal);
    try {
      return await this.#commits.commit(txn, options);
    } catch (error) {
      throw await this.#explained(error, txn);
    }
  }

  watch(ranges: readonly KeyRange[], options?: WatchOptions): AsyncIterable<Batch> {
    return this.#feed.watch(ranges, options);
  }

  async grant(ttlMs: number, { id, signal }: GrantOptions = {}): Promise<Lease> {
    validateTtl(ttlMs);
    if (id !== undefined) validateLeaseId(id);
    this.#open(signal);
    for (let tries = 1; ; tries++) {
      try {
        return await this.#grant(ttlMs, id ?? this.#newId(), signal);
      } catch (error) {
        if (!isWaymarkError(error, 'conflict') || id !== undefined || tries >= idTriesMax)
          throw error;
      }
    }
  }

  async renew(id: LeaseId, options: CallOptions = {}): Promise<Lease> {
    validateLeaseId(id);
    this.#open(options.signal);
    let ttlMs: number;
    try {
      ttlMs = await this.#keepAlive.renew(id, options);
    } catch (error) {
      if (!isWaymarkError(error, 'unavailable') || this.#closed) throw error;
      ttlMs = await this.#keepAlive.renew(id, options);
    }
    if (ttlMs <= 0) throw leaseNotFound(id);
    return { id, ttlMs };
  }

  async revoke(
    id: LeaseId,
    { signal }: CallOptions = {},
  ): Promise<{ readonly revision: Revision }> {
    validateLeaseId(id);
    this.#open(signal);
    const request = { ID: BigInt(id) };
    try {
      const { leaseRevoke } = LeaseService.method;
      const answer = await this.#parts.client.call(leaseRevoke, request, { kind: 'write', signal });
      return { revision: revisionOf(answer) };
    } catch (error) {
      throw isWaymarkError(error, 'not_found') ? leaseNotFound(id) : error;
    }
  }

  async lease(id: LeaseId, { signal }: CallOptions = {}): Promise<LeaseState | null> {
    validateLeaseId(id);
    this.#open(signal);
    const { client, layout } = this.#parts;
    const { leaseTimeToLive } = LeaseService.method;
    let state;
    try {
      const request = { ID: BigInt(id), keys: true };
      state = await client.call(leaseTimeToLive, request, { kind: 'read', signal });
    } catch (error) {
      if (isWaymarkError(error, 'not_found')) return null;
      throw error;
    }
    if (state.TTL < 0n) return null;
    const keys: string[] = [];
    for (const raw of state.keys) {
      const place = layout.read(raw);
      if (place.kind === 'entry') keys.push(place.key);
    }
    const ttlMs = toNumber(state.grantedTTL) * 1_000;
    return { id, ttlMs, remainingMs: toNumber(state.TTL) * 1_000, keys: keys.sort() };
  }

  async leases({ signal }: CallOptions = {}): Promise<readonly LeaseId[]> {
    this.#open(signal);
    const { client, layout } = this.#parts;
    const { key, end: rangeEnd } = layout.leaseRange;
    const request = { key, rangeEnd, keysOnly: true };
    const { kvs } = await client.call(KV.method.range, request, { kind: 'read', signal });
    return kvs.flatMap((kv) => {
      const place = layout.read(kv.key);
      return place.kind === 'lease' ? [place.id] : [];
    });
  }

  async compact(through: Revision, { signal }: CallOptions = {}): Promise<void> {
    validateRevision('through', through);
    this.#open(signal);
    const { client, layout, target } = this.#parts;
    for (;;) {
      const [floor, present] = await this.#floorAndPresent(signal);
      if (through > present) throw futureRevision(through, present);
      if (through <= floor) break;
      const compare = {
        key: layout.floorKey,
        result: compareResult.equal,
        target: compareTarget.value,
        targetUnion: { case: 'value' as const, value: toBuffer(String(floor)) },
      };
      const unset = {
        ...compare,
        target: compareTarget.version,
        targetUnion: { case: 'version' as const, value: 0n },
      };
      const put = { key: layout.floorKey, value: toBuffer(String(through)) };
      const { succeeded } = await client.call(
        KV.method.txn,
        {
          compare: [floor === 0 ? unset : compare],
          success: [{ request: { case: 'requestPut', value: put } }],
        },
        // Sent twice it does the same: the second time the floor is there.
        { kind: 'read', signal },
      );
      if (succeeded) this.#floor = Math.max(this.#floor, through);
    }
    if (target.owned) await this.#compactPhysically(through, signal);
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
    this.#keepAlive.close();
    this.#parts.client.close();
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

  async present(at?: Revision): Promise<Revision> {
    const [floor, present] = await this.#floorAndPresent(undefined);
    if (at === undefined) return present;
    if (at > present) throw futureRevision(at, present);
    if (at < floor) throw compactedAt(floor);
    return present;
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
      soundProgress: this.#soundProgress,
      noticed: (notice) => {
        if ('floor' in notice) this.#floor = Math.max(this.#floor, notice.floor);
        else if (notice.identity !== identity) {
          const text = `the root of engine ${identity} was given to another: open it again`;
          throw new WaymarkError('superseded', text);
        }
      },
    };
  }

  async #readPast(query: Query, signal: AbortSignal | undefined): Promise<Reading> {
    const { client, layout } = this.#parts;
    const at = query.at as Revision;
    try {
      const answer = await client.call(
        KV.method.txn,
        {
          success: [{ key: layout.floorKey }, writeQuery({ layout }, query)].map((value) => ({
            request: { case: 'requestRange' as const, value },
          })),
        },
        { kind: 'read', signal },
      );
      const [floor, range] = rangesOf(answer);
      if (at < floorOf(floor)) throw compactedAt(floorOf(floor));
      return readReading(layout, query, range as RangeResponse, revisionOf(answer));
    } catch (error) {
      throw await this.#explained(error, { apply: [{ type: 'read', ...query }] });
    }
  }

  async #floorAndPresent(signal: AbortSignal | undefined): Promise<[Revision, Revision]> {
    const { client, layout } = this.#parts;
    const request = { key: layout.floorKey };
    const answer = await client.call(KV.method.range, request, { kind: 'read', signal });
    this.#floor = Math.max(this.#floor, floorOf(answer));
    return [this.#floor, revisionOf(answer)];
  }

  async #grant(ttlMs: number, id: LeaseId, signal: AbortSignal | undefined): Promise<Lease> {
    const { client, layout } = this.#parts;
    const { leaseGrant } = LeaseService.method;
    const request = { ID: BigInt(id), TTL: BigInt(Math.ceil(ttlMs / 1_000)) };
    let granted;
    try {
      granted = await client.call(leaseGrant, request, { kind: 'write', signal });
    } catch (error) {
      if (!isWaymarkError(error, 'conflict')) throw error;
      const text = `lease ${id} exists: ask for another id, or for none`;
      throw new WaymarkError('conflict', text, { lease: id }, error);
    }
    const put = { key: layout.leaseMarker(id), lease: BigInt(id) };
    // A lease without its marker, should this fail, is renewed by nobody and ends by itself.
    await client.call(
      KV.method.txn,
      { success: [{ request: { case: 'requestPut', value: put } }] },
      { kind: 'read', signal },
    );
    return { id, ttlMs: toNumber(granted.TTL) * 1_000 };
  }

  /** 53 random bits. */
  #newId(): LeaseId {
    const { random } = this.#parts;
    return 1 + Math.floor(random.next() * (Number.MAX_SAFE_INTEGER - 1));
  }

  async #compactPhysically(through: Revision, signal: AbortSignal | undefined): Promise<void> {
    const { client } = this.#parts;
    try {
      const request = { revision: BigInt(through) };
      await client.call(KV.method.compact, request, { kind: 'read', signal });
    } catch (error) {
      if (!isWaymarkError(error, 'compacted')) throw error;
    }
  }

  /** etcd's refusals with the facts that belong to them, some of which must be asked for. */
  async #explained(error: unknown, txn: Txn): Promise<unknown> {
    if (isWaymarkError(error, 'not_found')) {
      const lease = await this.#missingLease(txn);
      if (lease !== null) return leaseNotFound(lease);
    }
    if (isWaymarkError(error, 'future_revision')) {
      const [floor, present] = await this.#floorAndPresent(undefined);
      const asked = readsOf(txn).map(({ at = present }) => at);
      if (asked.some((at) => at < floor)) return compactedAt(floor);
      return futureRevision(Math.max(...asked), present);
    }
    if (isWaymarkError(error, 'compacted') && error.facts.compacted === undefined) {
      return compactedAt(Math.max(this.#floor, await this.#physicalFloor()));
    }
    return error;
  }

  async #missingLease(txn: Txn): Promise<LeaseId | null> {
    for (const id of leasesOf(txn)) if ((await this.lease(id)) === null) return id;
    return null;
  }

  /** etcd tells where it was compacted only to a watch that asks for what is gone. */
  async #physicalFloor(): Promise<Revision> {
    const stop = new AbortController();
    const { signal } = stop;
    try {
      for await (const batch of this.follow(0, signal)) return batch.revision;
    } catch (error) {
      if (isWaymarkError(error, 'compacted')) return error.facts.compacted ?? 0;
      throw error;
    } finally {
      stop.abort();
    }
    return 0;
  }
}
