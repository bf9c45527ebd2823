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

/** Passes every call on: a wrapper extends it and says only what it does differently. Disposes what it wraps. */
export class ForwardingEngine implements Engine {
  protected readonly engine: Engine;

  constructor(engine: Engine) {
    this.engine = engine;
  }

  read(query: Query, options?: ReadOptions): Promise<Reading> {
    return this.engine.read(query, options);
  }

  commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    return this.engine.commit(txn, options);
  }

  watch(ranges: readonly KeyRange[], options?: WatchOptions): AsyncIterable<Batch> {
    return this.engine.watch(ranges, options);
  }

  grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    return this.engine.grant(ttlMs, options);
  }

  renew(id: LeaseId, options?: CallOptions): Promise<Lease> {
    return this.engine.renew(id, options);
  }

  revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    return this.engine.revoke(id, options);
  }

  lease(id: LeaseId, options?: CallOptions): Promise<LeaseState | null> {
    return this.engine.lease(id, options);
  }

  leases(options?: CallOptions): Promise<readonly LeaseId[]> {
    return this.engine.leases(options);
  }

  compact(through: Revision, options?: CallOptions): Promise<void> {
    return this.engine.compact(through, options);
  }

  status(options?: CallOptions): Promise<EngineStatus> {
    return this.engine.status(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.engine[Symbol.asyncDispose]());
  }
}
