import type {
  Lease,
  LeaseGrantRequest,
  LeaseGrantResponseSchema,
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponseSchema,
  LeaseLeasesResponseSchema,
  LeaseRevokeRequest,
  LeaseRevokeResponseSchema,
  LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponseSchema,
  MessageInitShape,
} from 'waymark/etcd';
import { bytesToArray, isWaymarkError, type LeaseId, limits, toLeaseId } from 'waymark/engine';
import type { Access } from '../access/access.js';
import { counted } from '../access/user-claims.js';
import type { Call, StreamCall } from '../grpc/call.js';
import type { Service } from '../grpc/methods.js';
import { grpcCode, GrpcError } from '../grpc/status.js';
import { whenOver } from '../grpc/when-over.js';
import { Caller } from './auth-caller.js';
import { etcdError } from './errors.js';
import { type Ground, type Header, namespaceOf } from './ground.js';
import { bareKeysOf } from './key-area.js';

type KeepAliveCall = StreamCall<
  LeaseKeepAliveRequest,
  MessageInitShape<typeof LeaseKeepAliveResponseSchema>
>;

/** In seconds. etcd grants no less than one and a half of its election timeouts, whole seconds; and refuses more than the most. */
const [ttlMin, ttlMax] = [2n, 9_000_000_000n];
const engineTtlMax = BigInt(limits.ttlMsMax) / 1_000n;

/** Leases are the engine's: those of the library are listed as well, and live and end as etcd's do. */
export class LeaseService {
  readonly #ground: Ground;
  readonly #access: Access;

  constructor(ground: Ground, access: Access) {
    this.#ground = ground;
    this.#access = access;
  }

  get handlers(): Service<typeof Lease> {
    return {
      leaseGrant: (request, call) => this.grant(request, call),
      leaseRevoke: (request, call) => this.revoke(request, call),
      leaseKeepAlive: (call) => this.keepAlive(call),
      leaseTimeToLive: (request, call) => this.timeToLive(request, call),
      leaseLeases: () => this.leases(),
    };
  }

  async grant(
    { ID, TTL }: LeaseGrantRequest,
    call: Call,
  ): Promise<MessageInitShape<typeof LeaseGrantResponseSchema>> {
    await this.#ground.quota.admitLease(namespaceOf(this.#ground, call));
    if (TTL > ttlMax) throw etcdError('leaseTtlTooLarge');
    refuseUngrantable(TTL);
    const ttlMs = Number(TTL < ttlMin ? ttlMin : TTL) * 1_000;
    try {
      const caller = this.#caller(call);
      const lease = await counted(caller?.claims ?? null, { claim: 'lease' }, () =>
        this.#ground.host.grant(ttlMs, { id: knownId(ID) ?? undefined }),
      );
      // From now on it is the caller's.
      if (caller !== null) await this.#access.own(lease.id, caller.name);
      return { header: await this.#header(), ID: BigInt(lease.id), TTL: seconds(lease.ttlMs) };
    } catch (error) {
      throw isWaymarkError(error, 'conflict') ? etcdError('leaseExists', error) : error;
    }
  }

  /** Null while access is off. */
  #caller(call: Call): Caller | null {
    return this.#access.on ? new Caller(this.#ground, this.#access, call) : null;
  }

  async revoke(
    { ID }: LeaseRevokeRequest,
    call: Call,
  ): Promise<MessageInitShape<typeof LeaseRevokeResponseSchema>> {
    this.#ground.quota.admitChange(namespaceOf(this.#ground, call));
    const id = knownId(ID);
    if (id === null) throw etcdError('leaseNotFound');
    const claim = { claim: 'revoke', args: id } as const;
    const { revision } = await counted(this.#caller(call)?.claims ?? null, claim, () =>
      this.#ground.host.revoke(id),
    );
    return { header: this.#ground.header(revision) };
  }

  async keepAlive(call: KeepAliveCall): Promise<void> {
    await Promise.race([whenOver(call.signal), this.#renewEach(call)]);
  }

  async timeToLive(
    { ID, keys }: LeaseTimeToLiveRequest,
    call: Call,
  ): Promise<MessageInitShape<typeof LeaseTimeToLiveResponseSchema>> {
    const id = knownId(ID);
    const state = id === null ? null : await this.#ground.host.lease(id);
    const header = await this.#header();
    if (state === null) return { header, ID, TTL: -1n };
    const own = keys ? bareKeysOf(namespaceOf(this.#ground, call), state.keys) : [];
    return {
      header,
      ID,
      TTL: seconds(state.remainingMs),
      grantedTTL: seconds(state.ttlMs),
      keys: own.map(bytesToArray),
    };
  }

  async leases(): Promise<MessageInitShape<typeof LeaseLeasesResponseSchema>> {
    const ids = await this.#ground.engine.leases();
    return { header: await this.#header(), leases: ids.map((id) => ({ ID: BigInt(id) })) };
  }

  async #renewEach(call: KeepAliveCall): Promise<void> {
    for await (const { ID } of call) {
      // Of before: who sees a lease alive at a revision is not to be told that it ended earlier.
      const header = await this.#header();
      await call.send({ header, ID, TTL: await this.#renewed(ID) });
    }
  }

  /** @returns the time to live in seconds, 0 when there is no such lease */
  async #renewed(ID: bigint): Promise<bigint> {
    const id = knownId(ID);
    if (id === null) return 0n;
    try {
      return seconds((await this.#ground.host.renew(id)).ttlMs);
    } catch (error) {
      if (isWaymarkError(error, 'not_found')) return 0n;
      throw error;
    }
  }

  async #header(): Promise<Header> {
    const { host, header } = this.#ground;
    return header((await host.status()).revision);
  }
}

/** @throws {GrpcError} for what etcd grants and no engine here can */
function refuseUngrantable(ttl: bigint): void {
  if (ttl > engineTtlMax) {
    const text = `waymark: a lease lives ${engineTtlMax} s at most (365 days): renew it`;
    throw new GrpcError(grpcCode.outOfRange, text);
  }
}

/** Null for 0, which is none. */
function knownId(id: bigint): LeaseId | null {
  return id === 0n ? null : toLeaseId(id);
}

/** Whole ones, as etcd counts: what has begun is not told. */
function seconds(ms: number): bigint {
  return BigInt(Math.floor(ms / 1_000));
}
