import type { Clock } from '../core/clock.js';
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
} from '../core/engine.js';
import { isWaymarkError, WaymarkError } from '../core/errors.js';

export interface ClusterEngineOptions {
  readonly clock: Clock;
  /** What is wrong with the cluster at the moment; null when nothing is. */
  readonly why: () => string | null;
  readonly close: () => Promise<void>;
}

const noticedMs = 10_000;

/** The etcd engine of a member, whose errors tell what is wrong with the cluster; and another one after a recovery. */
export class ClusterEngine implements Engine {
  readonly #options: ClusterEngineOptions;
  #inner: Engine;
  #suspended = false;

  constructor(inner: Engine, options: ClusterEngineOptions) {
    this.#inner = inner;
    this.#options = options;
  }

  /** Nothing is read or written until `replace`, or until this is taken back. */
  suspend(suspended: boolean): void {
    this.#suspended = suspended;
  }

  /** Watches of the engine before end with `superseded`: its revisions mean nothing to this one. */
  replace(inner: Engine): void {
    const before = this.#inner;
    this.#inner = inner;
    this.#suspended = false;
    // It notices by itself that the root has a new identity, and tells its watches.
    this.#options.clock.after(noticedMs, () => {
      Promise.resolve(before[Symbol.asyncDispose]()).catch(() => undefined);
    });
  }

  read(query: Query, options?: ReadOptions): Promise<Reading> {
    return this.#explained(() => this.#inner.read(query, options));
  }

  commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    return this.#explained(() => this.#inner.commit(txn, options));
  }

  watch(ranges: readonly KeyRange[], options?: WatchOptions): AsyncIterable<Batch> {
    return this.#inner.watch(ranges, options);
  }

  grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    return this.#explained(() => this.#inner.grant(ttlMs, options));
  }

  renew(id: LeaseId, options?: CallOptions): Promise<Lease> {
    return this.#explained(() => this.#inner.renew(id, options));
  }

  revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    return this.#explained(() => this.#inner.revoke(id, options));
  }

  lease(id: LeaseId, options?: CallOptions): Promise<LeaseState | null> {
    return this.#explained(() => this.#inner.lease(id, options));
  }

  leases(options?: CallOptions): Promise<readonly LeaseId[]> {
    return this.#explained(() => this.#inner.leases(options));
  }

  compact(through: Revision, options?: CallOptions): Promise<void> {
    return this.#explained(() => this.#inner.compact(through, options));
  }

  status(options?: CallOptions): Promise<EngineStatus> {
    return this.#explained(() => this.#inner.status(options));
  }

  /** Ends the member's etcd, too. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
    await this.#options.close();
  }

  async #explained<T>(call: () => Promise<T>): Promise<T> {
    if (this.#suspended) throw new WaymarkError('unavailable', 'the cluster is being recovered');
    try {
      return await call();
    } catch (error) {
      throw this.#explain(error);
    }
  }

  #explain(error: unknown): unknown {
    if (!isWaymarkError(error, 'unavailable') && !isWaymarkError(error, 'uncertain')) return error;
    const why = this.#options.why();
    if (why === null) return error;
    return new WaymarkError(error.code, `${error.message}; ${why}`, error.facts, error.cause);
  }
}
