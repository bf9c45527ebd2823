import type { Clock, Random } from '../../core/clock.js';
import type {
  CallOptions,
  GrantOptions,
  Lease,
  LeaseId,
  LeaseState,
  Revision,
} from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { validateLeaseId } from '../../core/lease-id.js';
import { validateTtl } from '../../core/validate.js';
import { leaseNotFound } from '../kit/lease-table.js';
import { CallGroups } from './call-groups.js';
import type { Database } from './database.js';
import { leaseEnd } from './schema-sql.js';
import { plainArray, type Row } from './values.js';

export interface LeasesOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  /** Told when keys may have gone with a lease. */
  readonly ended: () => void;
}

/** As many tries to find a lease id that is free. */
const idTriesMax = 5;
const renewalsMax = 1_000;

/** The leases as their owners see them; lease-clock.ts ends them. */
export class Leases {
  readonly #options: LeasesOptions;
  readonly #renewals: CallGroups<LeaseId, Lease>;

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#renewals = new CallGroups<LeaseId, Lease>({
      clock: options.clock,
      groupMax: renewalsMax,
      onTheirWayMax: 2,
      send: (ids) => this.#renew(ids),
    });
  }

  async grant(ttlMs: number, { id, signal }: GrantOptions): Promise<Lease> {
    validateTtl(ttlMs);
    if (id !== undefined) validateLeaseId(id);
    const { database } = this.#options;
    const text = `insert into ${database.s}.lease (id, ttl_ms, renewed_ms) select $1, $2, ms from ${database.s}.clock
      on conflict do nothing returning id`;
    for (let tries = 1; tries <= idTriesMax; tries++) {
      const asked = id ?? this.#newId();
      const granted = await database.write(text, [asked, ttlMs], { signal });
      if (granted.length > 0) return { id: asked, ttlMs };
      if (id !== undefined) break;
    }
    const words = `lease ${id ?? ''} exists: ask for another id, or for none`;
    throw new WaymarkError('conflict', words, { lease: id });
  }

  /** Renewed twice is renewed once more: a renewal that was lost on its way may be tried again. */
  async renew(id: LeaseId, { signal }: CallOptions): Promise<Lease> {
    validateLeaseId(id);
    return await this.#renewals.call(id, signal);
  }

  async revoke(id: LeaseId, { signal }: CallOptions): Promise<{ readonly revision: Revision }> {
    validateLeaseId(id);
    const { database, ended } = this.#options;
    const text = `select ${database.s}.end_lease($1)`;
    const [row] = await database.write(text, [id], { signal });
    const revision = row?.[0] as Revision | null;
    if (revision === null) throw leaseNotFound(id);
    ended();
    return { revision };
  }

  async state(id: LeaseId, { signal }: CallOptions): Promise<LeaseState | null> {
    validateLeaseId(id);
    const { database } = this.#options;
    const { s } = database;
    const text = `select l.ttl_ms, greatest(0, least(l.ttl_ms, ${leaseEnd('l', 'c')} - c.ms)), e.key
      from ${s}.lease l cross join ${s}.clock c left join ${s}.entry e on e.lease = l.id and e.lease <> 0
      where l.id = $1 order by e.key`;
    const rows = await database.read(text, [id], { signal });
    const [first] = rows;
    if (first === undefined) return null;
    const [ttlMs, remainingMs] = first as [number, number];
    const keys = rows.flatMap((row) => (row[2] === null ? [] : [row[2] as string]));
    return { id, ttlMs, remainingMs, keys };
  }

  async ids({ signal }: CallOptions): Promise<LeaseId[]> {
    const { database } = this.#options;
    const rows = await database.read(`select id from ${database.s}.lease`, [], { signal });
    return rows.map((row: Row) => row[0] as LeaseId);
  }

  async #renew(ids: readonly LeaseId[]): Promise<(Lease | WaymarkError)[]> {
    const { database } = this.#options;
    const text = `select id, ttl_ms from ${database.s}.renew($1)`;
    const rows = await database.read(text, [plainArray([...new Set(ids)])], {});
    const ttls = new Map(rows.map(([id, ttlMs]) => [id as LeaseId, ttlMs as number]));
    return ids.map((id) => {
      const ttlMs = ttls.get(id);
      return ttlMs === undefined ? leaseNotFound(id) : { id, ttlMs };
    });
  }

  /** Random, so that a number remembered from before does not name another's lease. */
  #newId(): LeaseId {
    return 1 + Math.floor(this.#options.random.next() * (2 ** 47 - 1));
  }
}
