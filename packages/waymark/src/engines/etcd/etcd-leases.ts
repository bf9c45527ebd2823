import type { Clock, Random } from '../../core/clock.js';
import type {
  CallOptions,
  GrantOptions,
  Lease,
  LeaseId,
  LeaseState,
  Revision,
} from '../../core/engine.js';
import { isWaymarkError, WaymarkError } from '../../core/errors.js';
import { revisionOf, toNumber } from './entry-codec.js';
import type { EtcdClient } from './etcd-client.js';
import { isLeaseRefusal } from './etcd-errors.js';
import { leaseNotFound, rangesOf } from './facts.js';
import { KV, Lease as LeaseService } from './gen/etcd_pb.js';
import { KeepAlive } from './keep-alive.js';
import type { Layout } from './layout.js';

/** As many tries to find a lease id that is free. */
const idTriesMax = 5;

/** Leases of etcd, each with its marker under the root. etcd counts whole seconds, of its leader's monotonic clock. */
export class EtcdLeases {
  readonly #client: EtcdClient;
  readonly #layout: Layout;
  readonly #random: Random;
  readonly #keepAlive: KeepAlive;

  constructor(
    client: EtcdClient,
    layout: Layout,
    options: { readonly clock: Clock; readonly random: Random; readonly timeoutMs: number },
  ) {
    this.#client = client;
    this.#layout = layout;
    this.#random = options.random;
    this.#keepAlive = new KeepAlive(client, options.clock, options.timeoutMs);
  }

  async grant(ttlMs: number, { id, signal }: GrantOptions = {}): Promise<Lease> {
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
    let ttlMs: number;
    try {
      ttlMs = await this.#keepAlive.renew(id, options);
    } catch (error) {
      if (!isWaymarkError(error, 'unavailable')) throw error;
      ttlMs = await this.#keepAlive.renew(id, options);
    }
    if (ttlMs <= 0) throw leaseNotFound(id);
    return { id, ttlMs };
  }

  async revoke(
    id: LeaseId,
    { signal }: CallOptions = {},
  ): Promise<{ readonly revision: Revision }> {
    const request = { ID: BigInt(id) };
    try {
      const { leaseRevoke } = LeaseService.method;
      const answer = await this.#client.call(leaseRevoke, request, { kind: 'write', signal });
      return { revision: revisionOf(answer) };
    } catch (error) {
      throw isWaymarkError(error, 'not_found') ? leaseNotFound(id) : error;
    }
  }

  async lease(id: LeaseId, { signal }: CallOptions = {}): Promise<LeaseState | null> {
    const { leaseTimeToLive } = LeaseService.method;
    let state;
    try {
      const request = { ID: BigInt(id), keys: true };
      state = await this.#client.call(leaseTimeToLive, request, { kind: 'read', signal });
    } catch (error) {
      if (isWaymarkError(error, 'not_found')) return null;
      throw error;
    }
    if (state.TTL < 0n) return null;
    const keys: string[] = [];
    for (const raw of state.keys) {
      const place = this.#layout.read(raw);
      if (place.kind === 'entry') keys.push(place.key);
    }
    const ttlMs = toNumber(state.grantedTTL) * 1_000;
    return { id, ttlMs, remainingMs: toNumber(state.TTL) * 1_000, keys: keys.sort() };
  }

  /**
   * Which of these leases has ended, as a put was refused for one of them. Told by their markers, for who keeps time may know less: a leader
   * that was deposed and has not heard of it.
   */
  async missing(ids: ReadonlySet<LeaseId>): Promise<LeaseId> {
    const [first = 0, ...others] = ids;
    if (others.length === 0) return first;
    const keys = [...ids].map((id) => this.#layout.leaseMarker(id));
    const success = keys.map((key) => ({
      request: { case: 'requestRange' as const, value: { key, countOnly: true } },
    }));
    const ranges = rangesOf(await this.#client.call(KV.method.txn, { success }, { kind: 'read' }));
    return [...ids][ranges.findIndex((range) => range?.count === 0n)] ?? first;
  }

  async leases({ signal }: CallOptions = {}): Promise<readonly LeaseId[]> {
    const { key, end: rangeEnd } = this.#layout.leaseRange;
    const request = { key, rangeEnd, keysOnly: true };
    const { kvs } = await this.#client.call(KV.method.range, request, { kind: 'read', signal });
    return kvs.flatMap((kv) => {
      const place = this.#layout.read(kv.key);
      return place.kind === 'lease' ? [place.id] : [];
    });
  }

  close(): void {
    this.#keepAlive.close();
  }

  async #grant(ttlMs: number, id: LeaseId, signal: AbortSignal | undefined): Promise<Lease> {
    const { leaseGrant } = LeaseService.method;
    const request = { ID: BigInt(id), TTL: BigInt(Math.ceil(ttlMs / 1_000)) };
    let granted;
    try {
      granted = await this.#client.call(leaseGrant, request, { kind: 'write', signal });
    } catch (error) {
      if (!isWaymarkError(error, 'conflict')) throw error;
      const text = `lease ${id} exists: ask for another id, or for none`;
      throw new WaymarkError('conflict', text, { lease: id }, error);
    }
    await this.#mark(id, signal);
    return { id, ttlMs: toNumber(granted.TTL) * 1_000 };
  }

  /** A lease without its marker, should this fail, is renewed by nobody and ends by itself. */
  async #mark(id: LeaseId, signal: AbortSignal | undefined): Promise<void> {
    const put = { key: this.#layout.leaseMarker(id), lease: BigInt(id) };
    const request = { success: [{ request: { case: 'requestPut' as const, value: put } }] };
    try {
      await this.#client.call(KV.method.txn, request, { kind: 'read', signal });
    } catch (error) {
      if (!isLeaseRefusal(error)) throw error;
      const text = `lease ${id} ended before it could be used: etcd takes longer than its TTL`;
      throw new WaymarkError('unavailable', text, { lease: id }, error);
    }
  }

  /** 53 random bits. */
  #newId(): LeaseId {
    return 1 + Math.floor(this.#random.next() * (Number.MAX_SAFE_INTEGER - 1));
  }
}
