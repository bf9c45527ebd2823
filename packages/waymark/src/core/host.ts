import type {
  Batch,
  ByteString,
  CallOptions,
  CommitOptions,
  EngineStatus,
  GrantOptions,
  KeyRange,
  Lease,
  LeaseId,
  LeaseState,
  Outcome,
  Query,
  ReadOptions,
  Reading,
  Revision,
  Txn,
  WatchOptions,
} from './engine.js';
import type { RecipeCall } from './recipe-call.js';

/**
 * What a space stands on: the data of its namespaces behind the write guard, and the recipes. Two make it: LocalHost
 * runs both over an Engine in this process; RemoteHost asks a server, which holds a LocalHost for its clients. The
 * wire protocol is this interface, call by call, so a recipe runs where its engine is and a hold is one round trip.
 *
 * Keys here are relative to the namespace, facet first: `d/orders/42` is the data of `/orders/42`, `h/…` held marks.
 * What follows the `d` may be any bytes: what is no path is data too, which only callers who name keys can reach.
 * Only the data facet can be written; marks and places are written by recipes alone (`denied`).
 */
export interface Host extends AsyncDisposable {
  read(namespace: string, query: Query, options?: ReadOptions): Promise<Reading>;
  commit(namespace: string, txn: Txn, options?: GuardedCommitOptions): Promise<Outcome>;
  watch(
    namespace: string,
    ranges: readonly KeyRange[],
    options?: WatchOptions,
  ): AsyncIterable<Batch>;

  grant(ttlMs: number, options?: GrantOptions): Promise<Lease>;
  renew(id: LeaseId, options?: CallOptions): Promise<Lease>;
  revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }>;
  lease(id: LeaseId, options?: CallOptions): Promise<LeaseState | null>;

  /**
   * Joins the queue of a path and resolves when granted. The same `id` finds its place again: safe to repeat after
   * `unavailable` or `uncertain`. An abort gives the place up before it rejects; the signal is looked at only when
   * there is something to wait for.
   * @returns the fencing token; null with `waitMs: 0` when it is not free
   * @throws {WaymarkError} `timeout`, `lost` (the lease ended), `conflict` (against the same session's own), `invalid`
   */
  acquire(
    namespace: string,
    request: AcquireRequest,
    options?: CallOptions,
  ): Promise<number | null>;
  /** Gives back a hold or a place. @returns false when it was not there */
  release(namespace: string, hold: HeldKeys, options?: CallOptions): Promise<boolean>;
  /** Changes the mode of a hold. @returns its new token, or the old one when it has that mode */
  convert(
    namespace: string,
    hold: HeldKeys,
    to: ConvertRequest,
    options?: CallOptions,
  ): Promise<number>;
  /** @returns how many holds were ended */
  forceUnlock(
    namespace: string,
    path: string,
    reason: string,
    options?: CallOptions,
  ): Promise<number>;
  explain(namespace: string, request: ExplainRequest, options?: CallOptions): Promise<Explanation>;
  /** Calls `lost` once when the hold is gone, telling why. @returns stops listening */
  watchHold(namespace: string, hold: HeldKeys, lost: (reason: HoldEnd) => void): () => void;

  /** Runs a recipe's call where the engine is. What it refuses and answers is the recipe's. */
  run<Args, Result>(
    call: RecipeCall<Args, Result>,
    namespace: string,
    args: Args,
    options?: RunOptions,
  ): Promise<Result>;

  namespaces(options?: CallOptions): Promise<readonly string[]>;
  removeNamespace(name: string, options?: CallOptions): Promise<void>;
  prune(
    namespace: string,
    path: string,
    olderThanMs: number,
    options?: CallOptions,
  ): Promise<readonly string[]>;
  status(options?: CallOptions): Promise<EngineStatus>;
}

export interface GuardedCommitOptions extends CommitOptions {
  /** Holds of the writer that bear on the paths written: where one stands, its mark must be the token's. */
  readonly holds?: readonly HoldProof[] | undefined;
  /** The write must happen under this hold, which need not cover the path (`lost` else). */
  readonly under?: HoldProof | undefined;
  /** Default true. */
  readonly guard?: boolean | undefined;
}

export interface RunOptions extends CallOptions {
  /**
   * A call that waits has no deadline over a server but its own, which the server keeps: should it fall silent, the call ends after so long,
   * `unavailable` or `uncertain`, in steps of a second.
   */
  readonly withinMs?: number | undefined;
}

export interface AcquireRequest {
  /** Unique per request, at most 64 characters of A–Z a–z 0–9 _ -. Names the place and the mark. */
  readonly id: string;
  /** Canonical absolute path. */
  readonly path: string;
  readonly tree: boolean;
  readonly mode: LockMode;
  readonly lease: LeaseId;
  readonly owner: string;
  /** Who asks: a request that conflicts with what the same session holds or waits for is refused with `conflict`. */
  readonly session: string;
  /** 0: only if free now. Absent: until the signal aborts. */
  readonly waitMs?: number | undefined;
  /** What the holder says of itself, for those who look: what a leader proclaims. */
  readonly says?: ByteString | undefined;
}

/** Names a hold in its namespace; enough to release it from anywhere. */
export interface HeldKeys {
  readonly path: string;
  readonly tree: boolean;
  readonly mode: LockMode;
  readonly id: string;
}

export interface ConvertRequest {
  readonly mode: LockMode;
  readonly waitMs?: number | undefined;
}

export interface ExplainRequest {
  readonly path: string;
  readonly tree: boolean;
  readonly mode: LockMode;
}

export interface HoldEnd {
  /** `expired`: its lease ended; `forced`: forceUnlock; `removed`: its namespace was removed; `released`: by its own release. */
  readonly kind: 'expired' | 'forced' | 'removed' | 'released';
  readonly detail: string;
}

export type LockMode = 'exclusive' | 'shared';

/** A standing hold to write under: the Hold itself, or its path and token. */
export interface HoldProof {
  readonly path: string;
  readonly token: number;
  /** What the hold covers, where known: spares a look at its mark. */
  readonly tree?: boolean | undefined;
  readonly mode?: LockMode | undefined;
}

export interface LockParty {
  readonly owner: string;
  readonly path: string;
  readonly tree: boolean;
  readonly mode: LockMode;
  /** The revision it has been held, or queued, since. */
  readonly since: Revision;
  /** Holders only. */
  readonly token?: number;
  readonly lease: LeaseId;
}

export interface Explanation {
  readonly path: string;
  readonly revision: Revision;
  /** Everyone whose hold conflicts with a lock as asked for (path, tree, mode). */
  readonly holders: readonly LockParty[];
  /** In the order in which they will be served. */
  readonly waiters: readonly LockParty[];
  /** Those who wait for each other, each for what the next one holds or is to get first; empty when all can go on. */
  readonly cycle: readonly WaitStep[];
  /** One sentence for people: who is in the way and since when, or that it is free. */
  readonly summary: string;
}

/** One who waits. */
export interface WaitStep {
  readonly owner: string;
  /** What it waits for. */
  readonly recipe: 'lock' | 'election' | 'once' | 'semaphore';
  readonly path: string;
}
