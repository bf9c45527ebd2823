import type {
  Batch,
  CallOptions,
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
import type {
  AcquireRequest,
  ConvertRequest,
  Explanation,
  ExplainRequest,
  GuardedCommitOptions,
  HeldKeys,
  HoldEnd,
  Host,
  RunOptions,
} from '../core/host.js';
import type { RecipeCall } from '../core/recipe-call.js';
import type { Clock } from '../core/clock.js';
import { asksForOne } from '../core/queries.js';
import { validateLeaseId } from '../core/lease-id.js';
import { validateQuery, validateTtl, validateTxn } from '../core/validate.js';
import { systemClock } from '../core/system-clock.js';
import { type ConnectOptions, Connection } from '../engines/remote/connection.js';
import { SharedWatches } from '../engines/remote/shared-watch.js';
import { recipeMethod } from '../wire/recipe-methods.js';
import { hostMethods as methods } from '../wire/host-methods.js';

/**
 * The host of a server: what a space over `http://…`, `unix:…` or `ws://…` stands on. Recipes and guard run in the server.
 *
 * @throws {WaymarkError} `unavailable` when no server answers, or why it refused
 */
export async function connectHost(url: string, options: ConnectOptions = {}): Promise<Host> {
  const { clock = systemClock } = options;
  return new RemoteHost(await Connection.open(url, options), clock);
}

class RemoteHost implements Host {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #watches: SharedWatches;

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
    this.#watches = new SharedWatches({
      subscribe(namespace, sink) {
        const args = () => ({ namespace, ...sink.args() });
        return connection.subscribe(methods.watch, {
          args,
          batch: sink.batch,
          answer: sink.answer,
          failed: sink.failed,
        });
      },
      present: async (namespace, { key }, at) =>
        (await this.read(namespace, { key: key === '' ? 'd' : key, at, countOnly: true })).revision,
      identity: () => connection.welcome?.identity,
    });
  }

  read(namespace: string, query: Query, options?: ReadOptions): Promise<Reading> {
    try {
      validateQuery(query);
    } catch (error) {
      return Promise.reject(error);
    }
    const args = { namespace, query, stale: options?.stale === true };
    const method = asksForOne(query) ? methods.get : methods.read;
    return this.#connection.call(method, args, options?.signal);
  }

  commit(namespace: string, txn: Txn, options: GuardedCommitOptions = {}): Promise<Outcome> {
    try {
      validateTxn(txn, options.wide);
    } catch (error) {
      return Promise.reject(error);
    }
    const { guard = true, alone = false, wide = false, holds = [], under, signal } = options;
    const args = { namespace, txn, guard, alone, wide, holds, under };
    return this.#connection.call(methods.commit, args, signal);
  }

  watch(
    namespace: string,
    ranges: readonly KeyRange[],
    options: WatchOptions = {},
  ): AsyncIterable<Batch> {
    return this.#watches.watch(namespace, ranges, options);
  }

  async grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    validateTtl(ttlMs);
    if (options?.id !== undefined) validateLeaseId(options.id);
    return this.#connection.call(methods.grant, { ttlMs, id: options?.id }, options?.signal);
  }

  renew(id: LeaseId, options?: CallOptions): Promise<Lease> {
    return this.#connection.call(methods.renew, id, options?.signal);
  }

  revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    return this.#connection.call(methods.revoke, id, options?.signal);
  }

  lease(id: LeaseId, options?: CallOptions): Promise<LeaseState | null> {
    return this.#connection.call(methods.lease, id, options?.signal);
  }

  /** Sent again with the same id on every new connection: the server finds the place in the queue. */
  acquire(
    namespace: string,
    request: AcquireRequest,
    options?: CallOptions,
  ): Promise<number | null> {
    const { path, tree, mode, id } = request;
    const giveBack = async (): Promise<void> => {
      // Unreachable: the lease ends the place.
      await this.release(namespace, { path, tree, mode, id }).catch(() => undefined);
    };
    const args = { namespace, request: this.#countingDown(request) };
    return this.#connection.call(methods.acquire, args, options?.signal, {
      waitMs: waitOf(request),
      undo: giveBack,
    });
  }

  release(namespace: string, hold: HeldKeys, options?: CallOptions): Promise<boolean> {
    return this.#connection.call(methods.release, { namespace, hold }, options?.signal);
  }

  convert(
    namespace: string,
    hold: HeldKeys,
    to: ConvertRequest,
    options?: CallOptions,
  ): Promise<number> {
    const args = { namespace, hold, to: this.#countingDown(to) };
    return this.#connection.call(methods.convert, args, options?.signal, {
      waitMs: waitOf(to),
    });
  }

  forceUnlock(
    namespace: string,
    path: string,
    reason: string,
    options?: CallOptions,
  ): Promise<number> {
    const args = { namespace, path, reason };
    return this.#connection.call(methods.forceUnlock, args, options?.signal);
  }

  explain(namespace: string, request: ExplainRequest, options?: CallOptions): Promise<Explanation> {
    return this.#connection.call(methods.explain, { namespace, request }, options?.signal);
  }

  watchHold(namespace: string, hold: HeldKeys, lost: (reason: HoldEnd) => void): () => void {
    return this.#connection.subscribe(methods.watchHold, {
      args: () => ({ namespace, hold }),
      batch: () => {},
      answer: (end) => lost(end as HoldEnd),
      // The hold is judged by its lease then: the session that renews it fails by itself.
      failed: () => {},
    });
  }

  async run<Args, Result>(
    call: RecipeCall<Args, Result>,
    namespace: string,
    args: Args,
    options?: RunOptions,
  ): Promise<Result> {
    const giveBack = async (): Promise<void> => {
      const undo = call.undo?.(args);
      // Unreachable: what was given ends with its lease.
      if (undo !== undefined)
        await this.run(undo.call, namespace, undo.args).catch(() => undefined);
    };
    const withinMs = options?.withinMs;
    const waits = call.waits === true && withinMs === undefined;
    const bounds = { withinMs, waitMs: waits ? waitOf(args) : 0 };
    const extras = call.undo === undefined ? bounds : { ...bounds, undo: giveBack };
    const sent = { namespace, args: call.waits === true ? this.#countingDown(args) : args };
    return await this.#connection.call(recipeMethod(call), sent, options?.signal, extras);
  }

  namespaces(options?: CallOptions): Promise<readonly string[]> {
    return this.#connection.call(methods.namespaces, undefined, options?.signal);
  }

  async removeNamespace(name: string, options?: CallOptions): Promise<void> {
    await this.#connection.call(methods.removeNamespace, name, options?.signal, {
      waitMs: Infinity,
    });
  }

  prune(
    namespace: string,
    path: string,
    olderThanMs: number,
    options?: CallOptions,
  ): Promise<readonly string[]> {
    const args = { namespace, path, olderThanMs };
    return this.#connection.call(methods.prune, args, options?.signal, { waitMs: Infinity });
  }

  status(options?: CallOptions): Promise<EngineStatus> {
    return this.#connection.call(methods.status, undefined, options?.signal);
  }

  /** Its `waitMs` is what is left of it whenever it is sent: a call that is sent again does not begin to wait anew. */
  #countingDown<T>(args: T): T {
    const waitMs = waitOf(args);
    if (waitMs === 0 || waitMs === Infinity) return args;
    const clock = this.#clock;
    const endsAt = clock.now() + waitMs;
    return Object.defineProperty({ ...args }, 'waitMs', {
      get: () => Math.max(1, Math.ceil(endsAt - clock.now())),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watches.close();
    this.#connection.close();
  }
}

/** How long a call asks to wait; what is no time to wait is refused by the server. */
function waitOf(args: unknown): number {
  const { waitMs = Infinity } = args as { readonly waitMs?: number };
  return waitMs > 0 ? waitMs : 0;
}
