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
import { validateLeaseId } from '../../core/lease-id.js';
import { validateQuery, validateRevision, validateTtl, validateTxn } from '../../core/validate.js';
import { engineMethods as methods } from '../../wire/engine-methods.js';
import { type ConnectOptions, Connection } from './connection.js';
import { SharedWatches } from './shared-watch.js';

/**
 * The engine of a server, over its raw verbs: for suites, mirrors and tools with the engine right (`denied` without).
 *
 * @param url  `http://host:port`, `unix:/path` or `ws://host:port`
 * @throws {WaymarkError} `unavailable` when no server answers, or why it refused
 */
export async function openRemoteEngine(url: string, options: ConnectOptions = {}): Promise<Engine> {
  return new RemoteEngine(await Connection.open(url, options));
}

/** Input is checked here too, so that what no engine takes never travels. */
class RemoteEngine implements Engine {
  readonly #connection: Connection;
  readonly #watches: SharedWatches;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#watches = new SharedWatches({
      subscribe: (_namespace, sink) => connection.subscribe(methods.watch, sink),
      present: async (_namespace, { key }, at) =>
        (await this.read({ key: key === '' ? '\0' : key, at, countOnly: true })).revision,
      identity: () => connection.welcome?.identity,
    });
  }

  async read(query: Query, options?: ReadOptions): Promise<Reading> {
    validateQuery(query);
    const stale = options?.stale === true;
    return this.#connection.call(methods.read, { query, stale }, options?.signal);
  }

  // Not async, as the other hot calls: one promise per call is enough.
  commit(txn: Txn, options?: CommitOptions): Promise<Outcome> {
    try {
      validateTxn(txn);
    } catch (error) {
      return Promise.reject(error);
    }
    const alone = options?.alone === true;
    return this.#connection.call(methods.commit, { txn, alone }, options?.signal);
  }

  watch(ranges: readonly KeyRange[], options: WatchOptions = {}): AsyncIterable<Batch> {
    return this.#watches.watch('', ranges, options);
  }

  async grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    validateTtl(ttlMs);
    if (options?.id !== undefined) validateLeaseId(options.id);
    return this.#connection.call(methods.grant, { ttlMs, id: options?.id }, options?.signal);
  }

  async renew(id: LeaseId, options?: CallOptions): Promise<Lease> {
    return this.#connection.call(methods.renew, id, options?.signal);
  }

  async revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    return this.#connection.call(methods.revoke, id, options?.signal);
  }

  async lease(id: LeaseId, options?: CallOptions): Promise<LeaseState | null> {
    return this.#connection.call(methods.lease, id, options?.signal);
  }

  async leases(options?: CallOptions): Promise<readonly LeaseId[]> {
    return this.#connection.call(methods.leases, undefined, options?.signal);
  }

  async compact(through: Revision, options?: CallOptions): Promise<void> {
    validateRevision('through', through);
    await this.#connection.call(methods.compact, through, options?.signal);
  }

  async status(options?: CallOptions): Promise<EngineStatus> {
    return this.#connection.call(methods.status, undefined, options?.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watches.close();
    this.#connection.close();
  }
}
