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

/** Passes every call on: a wrapper of a host extends it and says only what it does differently. Disposes what it wraps. */
export class ForwardingHost implements Host {
  protected readonly host: Host;

  constructor(host: Host) {
    this.host = host;
  }

  read(namespace: string, query: Query, options?: ReadOptions): Promise<Reading> {
    return this.host.read(namespace, query, options);
  }

  commit(namespace: string, txn: Txn, options?: GuardedCommitOptions): Promise<Outcome> {
    return this.host.commit(namespace, txn, options);
  }

  watch(
    namespace: string,
    ranges: readonly KeyRange[],
    options?: WatchOptions,
  ): AsyncIterable<Batch> {
    return this.host.watch(namespace, ranges, options);
  }

  grant(ttlMs: number, options?: GrantOptions): Promise<Lease> {
    return this.host.grant(ttlMs, options);
  }

  renew(id: LeaseId, options?: CallOptions): Promise<Lease> {
    return this.host.renew(id, options);
  }

  revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }> {
    return this.host.revoke(id, options);
  }

  lease(id: LeaseId, options?: CallOptions): Promise<LeaseState | null> {
    return this.host.lease(id, options);
  }

  acquire(
    namespace: string,
    request: AcquireRequest,
    options?: CallOptions,
  ): Promise<number | null> {
    return this.host.acquire(namespace, request, options);
  }

  release(namespace: string, hold: HeldKeys, options?: CallOptions): Promise<boolean> {
    return this.host.release(namespace, hold, options);
  }

  convert(
    namespace: string,
    hold: HeldKeys,
    to: ConvertRequest,
    options?: CallOptions,
  ): Promise<number> {
    return this.host.convert(namespace, hold, to, options);
  }

  forceUnlock(
    namespace: string,
    path: string,
    reason: string,
    options?: CallOptions,
  ): Promise<number> {
    return this.host.forceUnlock(namespace, path, reason, options);
  }

  explain(namespace: string, request: ExplainRequest, options?: CallOptions): Promise<Explanation> {
    return this.host.explain(namespace, request, options);
  }

  watchHold(namespace: string, hold: HeldKeys, lost: (reason: HoldEnd) => void): () => void {
    return this.host.watchHold(namespace, hold, lost);
  }

  run<Args, Result>(
    call: RecipeCall<Args, Result>,
    namespace: string,
    args: Args,
    options?: RunOptions,
  ): Promise<Result> {
    return this.host.run(call, namespace, args, options);
  }

  namespaces(options?: CallOptions): Promise<readonly string[]> {
    return this.host.namespaces(options);
  }

  removeNamespace(name: string, options?: CallOptions): Promise<void> {
    return this.host.removeNamespace(name, options);
  }

  prune(
    namespace: string,
    path: string,
    olderThanMs: number,
    options?: CallOptions,
  ): Promise<readonly string[]> {
    return this.host.prune(namespace, path, olderThanMs, options);
  }

  status(options?: CallOptions): Promise<EngineStatus> {
    return this.host.status(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.host[Symbol.asyncDispose]());
  }
}
