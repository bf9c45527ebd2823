import {
  type AcquireRequest,
  type Batch,
  type CallOptions,
  checkNamespaceName,
  type ConvertRequest,
  type EngineStatus,
  type ExplainRequest,
  type Explanation,
  type GrantOptions,
  type GuardedCommitOptions,
  type HeldKeys,
  type HoldEnd,
  type Host,
  type KeyRange,
  type Lease,
  type LeaseId,
  leaseNotFound,
  type LeaseState,
  type Outcome,
  type Query,
  type Reading,
  type ReadOptions,
  type RecipeCall,
  resolvePath,
  type Revision,
  type RunOptions,
  type Txn,
  type WatchOptions,
} from 'waymark/engine';
import { auditKept, auditRange, isAuditRange } from './audit-changes.js';
import type { Caller } from './caller.js';
import { GuardedWatch } from './guarded-watch.js';
import { keptBy } from './lease-owner.js';
import { permitCall } from './permit-call.js';
import { shownTo } from './shown-explanation.js';
import { endable } from './standing.js';
import { leasesOf, permitTxn } from './permit-txn.js';

/** A host for one caller: each call is checked, and what lasts ends when it is not permitted any more. */
export function guardHost(host: Host, caller: Caller): Host {
  return new GuardedHost(host, caller);
}

export class GuardedHost implements Host {
  readonly #host: Host;
  readonly #caller: Caller;

  constructor(host: Host, caller: Caller) {
    this.#host = host;
    this.#caller = caller;
  }

  read(namespace: string, query: Query, options?: ReadOptions): Promise<Reading> {
    try {
      this.#caller.demandKeys('read', namespace, [query]);
      return this.#host.read(namespace, query, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  commit(namespace: string, txn: Txn, options?: GuardedCommitOptions): Promise<Outcome> {
    try {
      if (this.#caller.unlimited) return this.#host.commit(namespace, txn, options);
      permitTxn(this.#caller, namespace, txn);
      for (const hold of [...(options?.holds ?? []), options?.under]) {
        if (hold !== undefined) this.#demand(['lock', 'lead', 'write'], namespace, hold.path);
      }
      const leases = leasesOf(txn);
      if (leases.length === 0) return this.#host.commit(namespace, txn, options);
      return this.#touch('attach', leases).then(() => this.#host.commit(namespace, txn, options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  watch(
    namespace: string,
    ranges: readonly KeyRange[],
    options: WatchOptions = {},
  ): AsyncIterable<Batch> {
    const caller = this.#caller;
    checkNamespaceName(namespace);
    const asked = ranges.filter((range) => !isAuditRange(range));
    const check = (): void => caller.demandWatch(namespace, asked);
    check();
    const audited = asked.length < ranges.length;
    const ending = endable(options.signal);
    const leave = caller.whileAllowed(check, ending.end);
    const over = (): void => {
      leave();
      ending.leave();
    };
    const watched = audited ? [...asked, auditRange] : asked;
    try {
      const opened = this.#host.watch(namespace, watched, { ...options, signal: ending.signal });
      const keep = audited
        ? (batch: Batch) => auditKept(batch, (path) => caller.mayPath(['read'], namespace, path))
        : undefined;
      return new GuardedWatch({ batches: opened[Symbol.asyncIterator](), keep, over });
    } catch (error) {
      over();
      throw error;
    }
  }

  async grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    this.#caller.authenticate({ action: 'grant' });
    const lease = await this.#host.grant(ttlMs, options);
    await this.#caller.own(lease.id);
    return lease;
  }

  async renew(id: LeaseId, options?: CallOptions): Promise<Lease> {
    await this.#touch('renew', [id]);
    return await this.#host.renew(id, options);
  }

  async revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    await this.#touch('revoke', [id]);
    return await this.#host.revoke(id, options);
  }

  async lease(id: LeaseId, options?: CallOptions): Promise<LeaseState | null> {
    this.#caller.authenticate({ action: 'lease' });
    const state = await this.#host.lease(id, options);
    const may = state !== null && this.#caller.mayTouch(state.keys);
    return may ? { ...state, keys: keptBy(state.keys).keys } : null;
  }

  acquire(
    namespace: string,
    request: AcquireRequest,
    options?: CallOptions,
  ): Promise<number | null> {
    if (!this.#caller.controlled) return this.#host.acquire(namespace, request, options);
    return this.#lasting(
      options,
      () => this.#demand(['lock'], namespace, request.path),
      async (own) => {
        await this.#touch('acquire', [request.lease]);
        return await this.#host.acquire(namespace, request, own);
      },
    );
  }

  async release(namespace: string, hold: HeldKeys, options?: CallOptions): Promise<boolean> {
    this.#demand(['lock'], namespace, hold.path);
    return await this.#host.release(namespace, hold, options);
  }

  convert(
    namespace: string,
    hold: HeldKeys,
    to: ConvertRequest,
    options?: CallOptions,
  ): Promise<number> {
    const check = (): void => void this.#demand(['lock'], namespace, hold.path);
    return this.#lasting(options, check, (own) => this.#host.convert(namespace, hold, to, own));
  }

  async forceUnlock(
    namespace: string,
    path: string,
    reason: string,
    options?: CallOptions,
  ): Promise<number> {
    const canonical = this.#demand(['admin'], namespace, path);
    const ended = await this.#host.forceUnlock(namespace, canonical, reason, options);
    this.#caller.tell({ action: 'force-unlock', namespace, path: canonical }, { reason, ended });
    return ended;
  }

  async explain(
    namespace: string,
    request: ExplainRequest,
    options?: CallOptions,
  ): Promise<Explanation> {
    const path = this.#demand(['lock', 'read'], namespace, request.path);
    const told = await this.#host.explain(namespace, { ...request, path }, options);
    return shownTo(told, (at) => this.#caller.mayPath(['lock', 'read'], namespace, at));
  }

  watchHold(namespace: string, hold: HeldKeys, lost: (reason: HoldEnd) => void): () => void {
    const check = (): void => void this.#demand(['lock'], namespace, hold.path);
    check();
    const stop = this.#host.watchHold(namespace, hold, (reason) => {
      leave();
      lost(reason);
    });
    const leave = this.#caller.whileAllowed(check, () => {
      stop();
      lost({ kind: 'forced', detail: 'the right to look at it was taken away' });
    });
    return () => {
      leave();
      stop();
    };
  }

  run<Args, Result>(
    call: RecipeCall<Args, Result>,
    namespace: string,
    args: Args,
    options?: RunOptions,
  ): Promise<Result> {
    if (!this.#caller.controlled || (this.#caller.unlimited && call.waits !== true)) {
      return this.#host.run(call, namespace, args, options);
    }
    return permitCall({
      caller: this.#caller,
      host: this.#host,
      namespace,
      call,
      args,
      touch: (lease) => this.#touch(call.name, [lease]),
      run: (asked, check) => {
        const run = (own: CallOptions): Promise<Result> =>
          this.#host.run(call, namespace, asked, { ...options, ...own });
        if (call.waits !== true) check();
        return call.waits === true ? this.#lasting(options, check, run) : run({});
      },
    });
  }

  async namespaces(options?: CallOptions): Promise<readonly string[]> {
    const principal = this.#caller.authenticate({ action: 'namespaces' });
    const all = await this.#host.namespaces(options);
    return principal === null ? all : all.filter((name) => principal.names(name));
  }

  async removeNamespace(name: string, options?: CallOptions): Promise<void> {
    checkNamespaceName(name);
    this.#demand(['admin'], name, '/');
    await this.#host.removeNamespace(name, options);
    this.#caller.tell({ action: 'remove-namespace', namespace: name });
  }

  async prune(
    namespace: string,
    path: string,
    olderThanMs: number,
    options?: CallOptions,
  ): Promise<readonly string[]> {
    const canonical = this.#demand(['write'], namespace, path);
    this.#demand(['read'], namespace, path);
    return await this.#host.prune(namespace, canonical, olderThanMs, options);
  }

  /** How much there is in all is told to who may observe the server. */
  async status(options?: CallOptions): Promise<EngineStatus> {
    const principal = this.#caller.authenticate({ action: 'status' });
    const status = await this.#host.status(options);
    if (principal === null || principal.root || principal.rules.observes) return status;
    return { ...status, keys: 0, leases: 0, bytes: 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** @returns the path in its canonical form */
  #demand(any: Parameters<Caller['demandPath']>[0], namespace: string, path: string): string {
    checkNamespaceName(namespace);
    const canonical = resolvePath('/', path);
    this.#caller.demandPath(any, namespace, canonical);
    return canonical;
  }

  /** A lease of somebody else, or that keeps what the caller may not touch, is not there for it. @throws {WaymarkError} `not_found` */
  async #touch(action: string, leases: readonly LeaseId[]): Promise<void> {
    this.#caller.authenticate({ action });
    if (this.#caller.unlimited) return;
    for (const id of leases) {
      const state = await this.#host.lease(id);
      if (state !== null && !this.#caller.mayTouch(state.keys)) {
        this.#caller.denied({ action });
        throw leaseNotFound(id);
      }
    }
  }

  /** A call that may wait ends when it is not permitted any more. */
  async #lasting<T>(
    options: CallOptions | undefined,
    check: () => void,
    call: (options: CallOptions) => Promise<T>,
  ): Promise<T> {
    check();
    // Its connection ends when access is switched on, and with it what nobody waits for.
    if (!this.#caller.controlled) return await call(options ?? {});
    const ending = endable(options?.signal);
    const leave = this.#caller.whileAllowed(check, ending.end);
    try {
      return await call({ signal: ending.signal });
    } finally {
      leave();
      ending.leave();
    }
  }
}
