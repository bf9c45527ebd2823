import type { Clock, Random } from '../../core/clock.js';
import type { ByteString, Lease, LeaseId, LeaseState } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { Deadlines } from './deadlines.js';
import { LeaseRows } from './lease-rows.js';

/** The leases that live, judged by the monotonic clock (K10). What their end does to keys is the keyspace's. */
export class LeaseTable {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #expired: (id: LeaseId) => void;
  readonly #rows = new LeaseRows();
  /** Of the leases that have any. */
  readonly #keys = new Map<LeaseId, Set<ByteString>>();
  readonly #deadlines: Deadlines;

  constructor(clock: Clock, random: Random, expired: (id: LeaseId) => void) {
    this.#clock = clock;
    this.#random = random;
    this.#expired = expired;
    this.#deadlines = new Deadlines(clock, this.#rows, (row) => this.#due(row));
  }

  get size(): number {
    return this.#rows.size;
  }

  ids(): LeaseId[] {
    return this.all().map(({ id }) => id);
  }

  all(): Lease[] {
    const { ttlMs } = this.#rows;
    return Array.from(this.#rows.live(), (row) => ({
      id: this.#rows.idOf(row),
      ttlMs: ttlMs[row] as number,
    }));
  }

  has(id: LeaseId): boolean {
    return this.#rows.find(id) >= 0;
  }

  /** @throws {WaymarkError} `conflict` for an id that is taken */
  grant(ttlMs: number, id: LeaseId = this.#freeId()): Lease {
    if (this.has(id)) {
      throw new WaymarkError('conflict', `lease ${id} exists: ask for another id, or for none`, {
        lease: id,
      });
    }
    this.#shrink();
    this.#deadlines.add(this.#rows.add(id, ttlMs, this.#clock.now() + ttlMs));
    return { id, ttlMs };
  }

  /** @throws {WaymarkError} `not_found` */
  renew(id: LeaseId): Lease {
    const row = this.#require(id);
    const ttlMs = this.#rows.ttlMs[row] as number;
    this.#rows.deadlines[row] = this.#clock.now() + ttlMs;
    return { id, ttlMs };
  }

  /** @returns the keys that go with it, in order @throws {WaymarkError} `not_found` */
  remove(id: LeaseId): readonly ByteString[] {
    this.#rows.remove(this.#require(id));
    const keys = this.#sortedKeys(id);
    this.#keys.delete(id);
    return keys;
  }

  /** @throws {WaymarkError} `not_found` */
  attach(id: LeaseId, key: ByteString): void {
    const keys = this.#keys.get(id);
    if (keys !== undefined) {
      keys.add(key);
      return;
    }
    this.#require(id);
    this.#keys.set(id, new Set([key]));
  }

  detach(id: LeaseId, key: ByteString): void {
    const keys = this.#keys.get(id);
    if (keys?.delete(key) === true && keys.size === 0) this.#keys.delete(id);
  }

  /** @returns null when there is none */
  state(id: LeaseId): LeaseState | null {
    const row = this.#rows.find(id);
    if (row < 0) return null;
    const deadline = this.#rows.deadlines[row] as number;
    const remainingMs = Math.max(0, deadline - this.#clock.now());
    return { id, ttlMs: this.#rows.ttlMs[row] as number, remainingMs, keys: this.#sortedKeys(id) };
  }

  close(): void {
    this.#deadlines.close();
  }

  #require(id: LeaseId): number {
    const row = this.#rows.find(id);
    if (row < 0) throw leaseNotFound(id);
    return row;
  }

  #sortedKeys(id: LeaseId): ByteString[] {
    return [...(this.#keys.get(id) ?? [])].sort();
  }

  /** The time for which a row was put off has come: it was renewed meanwhile, has ended already, or ends now. */
  #due(row: number): void {
    const id = this.#rows.idOf(row);
    if (id !== 0 && (this.#rows.deadlines[row] as number) > this.#clock.now()) {
      this.#deadlines.add(row);
      return;
    }
    if (id !== 0) this.#expired(id);
    this.#rows.free(row);
    this.#shrink();
  }

  #shrink(): void {
    if (this.#rows.size > 0 || !this.#rows.isLarge) return;
    this.#deadlines.clear();
    this.#rows.clear();
  }

  /** Random, so that a number remembered from before a restart does not name another's lease. */
  #freeId(): LeaseId {
    for (;;) {
      const id = 1 + Math.floor(this.#random.next() * (2 ** 47 - 1));
      if (!this.has(id)) return id;
    }
  }
}

export function leaseNotFound(id: LeaseId): WaymarkError {
  return new WaymarkError('not_found', `lease ${id} has ended or never was: grant a new one`, {
    lease: id,
  });
}
