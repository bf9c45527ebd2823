import type { Clock, Random } from '../../core/clock.js';
import type { ByteString, LeaseId, LeaseState } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { Deadlines, type Due } from './deadlines.js';

/** A lease of this keyspace. Kept small: there may be a million. */
export class HeldLease implements Due {
  readonly id: LeaseId;
  readonly ttlMs: number;
  deadline: number;
  cancelled = false;
  keys: Set<ByteString> | null = null;

  constructor(id: LeaseId, ttlMs: number, deadline: number) {
    this.id = id;
    this.ttlMs = ttlMs;
    this.deadline = deadline;
  }
}

/** The leases that live, judged by the monotonic clock (K10). What their end does to keys is the keyspace's. */
export class LeaseTable {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #leases = new Map<LeaseId, HeldLease>();
  readonly #deadlines: Deadlines<HeldLease>;

  constructor(clock: Clock, random: Random, expired: (lease: HeldLease) => void) {
    this.#clock = clock;
    this.#random = random;
    this.#deadlines = new Deadlines(clock, expired);
  }

  get size(): number {
    return this.#leases.size;
  }

  ids(): LeaseId[] {
    return [...this.#leases.keys()];
  }

  get(id: LeaseId): HeldLease | undefined {
    return this.#leases.get(id);
  }

  has(id: LeaseId): boolean {
    return this.#leases.has(id);
  }

  /** @throws {WaymarkError} `not_found` */
  require(id: LeaseId): HeldLease {
    const lease = this.#leases.get(id);
    if (lease === undefined) throw leaseNotFound(id);
    return lease;
  }

  all(): Iterable<HeldLease> {
    return this.#leases.values();
  }

  /** @throws {WaymarkError} `conflict` for an id that is taken */
  grant(ttlMs: number, id: LeaseId = this.#freeId()): HeldLease {
    if (this.#leases.has(id)) {
      throw new WaymarkError('conflict', `lease ${id} exists: ask for another id, or for none`, {
        lease: id,
      });
    }
    const lease = new HeldLease(id, ttlMs, this.#clock.now() + ttlMs);
    this.#leases.set(id, lease);
    this.#deadlines.add(lease);
    return lease;
  }

  renew(id: LeaseId): HeldLease {
    const lease = this.require(id);
    lease.deadline = this.#clock.now() + lease.ttlMs;
    return lease;
  }

  remove(lease: HeldLease): void {
    lease.cancelled = true;
    this.#leases.delete(lease.id);
  }

  attach(id: LeaseId, key: ByteString): void {
    const lease = this.require(id);
    (lease.keys ??= new Set()).add(key);
  }

  detach(id: LeaseId, key: ByteString): void {
    this.#leases.get(id)?.keys?.delete(key);
  }

  state(lease: HeldLease): LeaseState {
    const remainingMs = Math.max(0, lease.deadline - this.#clock.now());
    return { id: lease.id, ttlMs: lease.ttlMs, remainingMs, keys: [...(lease.keys ?? [])].sort() };
  }

  close(): void {
    this.#deadlines.close();
  }

  /** Random, so that a number remembered from before a restart does not name another's lease. */
  #freeId(): LeaseId {
    for (;;) {
      const id = 1 + Math.floor(this.#random.next() * (2 ** 47 - 1));
      if (!this.#leases.has(id)) return id;
    }
  }
}

export function leaseNotFound(id: LeaseId): WaymarkError {
  return new WaymarkError('not_found', `lease ${id} has ended or never was: grant a new one`, {
    lease: id,
  });
}
