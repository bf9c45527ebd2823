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
import { settled } from '../../core/settled.js';
import { systemClock, systemRandom } from '../../core/system-clock.js';
import { type HistoryBounds, Keyspace } from '../kit/keyspace.js';
import { lazyWatch } from '../kit/lazy-watch.js';

export interface MemoryEngineOptions {
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  readonly history?: HistoryBounds | undefined;
}

/** An engine in this process's memory: nothing is installed, no file is opened, and nothing outlives the process. */
export function createMemoryEngine(options: MemoryEngineOptions = {}): Engine {
  return new MemoryEngine(options);
}

class MemoryEngine implements Engine {
  readonly #keyspace: Keyspace;

  constructor(options: MemoryEngineOptions) {
    const { clock = systemClock, random = systemRandom, history } = options;
    this.#keyspace = new Keyspace({ clock, random, history, identity: random.id() });
  }

  read(query: Query, options?: ReadOptions): Promise<Reading> {
    try {
      options?.signal?.throwIfAborted();
      const keyspace = this.#keyspace;
      const present = keyspace.present(query);
      if (present !== null) {
        const entries = [present.entry()];
        return settled({ revision: keyspace.published, entries, more: false, count: 1 });
      }
      const { revision, entries, more, count } = keyspace.search(query);
      return settled({ revision, entries, more, count });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    try {
      options?.signal?.throwIfAborted();
      const { revision, succeeded, results } = this.#keyspace.commit(txn, options?.wide);
      return settled({ revision, succeeded, results });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  watch(ranges: readonly KeyRange[], options?: WatchOptions): AsyncIterable<Batch> {
    return lazyWatch(() => this.#keyspace.watch(ranges, options));
  }

  async grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    options?.signal?.throwIfAborted();
    return this.#keyspace.grant(ttlMs, options?.id);
  }

  async renew(id: LeaseId, options?: CallOptions): Promise<Lease> {
    options?.signal?.throwIfAborted();
    return this.#keyspace.renew(id);
  }

  async revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    options?.signal?.throwIfAborted();
    return this.#keyspace.revoke(id);
  }

  async lease(id: LeaseId, options?: CallOptions): Promise<LeaseState | null> {
    options?.signal?.throwIfAborted();
    return this.#keyspace.lease(id);
  }

  async leases(options?: CallOptions): Promise<readonly LeaseId[]> {
    options?.signal?.throwIfAborted();
    return this.#keyspace.leases.ids();
  }

  async compact(through: Revision, options?: CallOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    this.#keyspace.compact(through);
  }

  async status(options?: CallOptions): Promise<EngineStatus> {
    options?.signal?.throwIfAborted();
    return this.#keyspace.status('memory');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#keyspace.close();
  }
}
