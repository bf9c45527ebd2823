import {
  type Batch,
  type CallOptions,
  type CommitOptions,
  type Engine,
  type EngineStatus,
  ForwardingEngine,
  type GrantOptions,
  type KeyRange,
  type Lease,
  type LeaseId,
  type LeaseState,
  type Outcome,
  type Query,
  type Reading,
  type ReadOptions,
  type Revision,
  type Txn,
  type WatchOptions,
} from 'waymark/engine';
import type { Caller } from './caller.js';
import { GuardedWatch } from './guarded-watch.js';
import { endable } from './standing.js';

/** The raw engine for one caller, who must be root's: it holds all namespaces, and who may do what. */
export function guardEngine(engine: Engine, caller: Caller): Engine {
  return new GuardedEngine(engine, caller);
}

class GuardedEngine extends ForwardingEngine {
  readonly #caller: Caller;
  #told = false;

  constructor(engine: Engine, caller: Caller) {
    super(engine);
    this.#caller = caller;
  }

  override read(query: Query, options?: ReadOptions): Promise<Reading> {
    return this.#asked(() => super.read(query, options));
  }

  override commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    return this.#asked(() => super.commit(txn, options));
  }

  override watch(ranges: readonly KeyRange[], options: WatchOptions = {}): AsyncIterable<Batch> {
    const check = (): void => this.#caller.demandRoot('engine');
    check();
    const ending = endable(options.signal);
    const leave = this.#caller.whileAllowed(check, ending.end);
    const over = (): void => {
      leave();
      ending.leave();
    };
    const opened = super.watch(ranges, { ...options, signal: ending.signal });
    return new GuardedWatch({ batches: opened[Symbol.asyncIterator](), keep: undefined, over });
  }

  override grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    return this.#asked(() => super.grant(ttlMs, options));
  }

  override renew(id: LeaseId, options?: CallOptions): Promise<Lease> {
    return this.#asked(() => super.renew(id, options));
  }

  override revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    return this.#asked(() => super.revoke(id, options));
  }

  override lease(id: LeaseId, options?: CallOptions): Promise<LeaseState | null> {
    return this.#asked(() => super.lease(id, options));
  }

  override leases(options?: CallOptions): Promise<readonly LeaseId[]> {
    return this.#asked(() => super.leases(options));
  }

  override compact(through: Revision, options?: CallOptions): Promise<void> {
    return this.#asked(() => super.compact(through, options));
  }

  override status(options?: CallOptions): Promise<EngineStatus> {
    return this.#asked(() => super.status(options));
  }

  #asked<T>(call: () => Promise<T>): Promise<T> {
    try {
      this.#caller.demandRoot('engine');
    } catch (error) {
      return Promise.reject(error);
    }
    if (!this.#told && this.#caller.controlled) {
      // Once: what is done there is as much as a server does.
      this.#told = true;
      this.#caller.tell({ action: 'engine' });
    }
    return call();
  }
}
