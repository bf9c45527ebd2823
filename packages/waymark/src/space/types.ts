import type { Watchers } from '../core/watchers.js';
import type { EngineStatus, LeaseId, Revision } from '../core/engine.js';
import type { Explanation, HoldProof, LockMode } from '../core/host.js';
import type { WaymarkError } from '../core/errors.js';
import type { Election } from './election-types.js';
import type { GroupOptions, Members } from './member-types.js';
import type {
  DueRun,
  OnceCall,
  OnceExplanation,
  OnceRun,
  OnceState,
  Schedule,
  ScheduleCall,
  ScheduleState,
  When,
} from './once-types.js';
import type { Semaphore, SemaphoreOptions } from './semaphore-types.js';
import type { Barrier, BarrierOptions, DoubleBarrier } from './barrier-types.js';
import type { Counter, Latch } from './counter-types.js';
import type { Log } from './log-types.js';
import type { NameList } from './name-lists.js';
import type { Stash } from './stash-types.js';
import type { Names, NamesOptions } from './names-types.js';

export type { Explanation, HoldProof, LockMode, LockParty, WaitStep } from '../core/host.js';

/** The public types of a space: what applications hold. docs/spec/recipes.md has the rules. */

/** Turns values into bytes and back. `decode` may validate, and throws to refuse. */
export interface Codec<T> {
  readonly encode: (value: T) => Uint8Array | string;
  readonly decode: (bytes: Uint8Array) => T;
}

export interface Call {
  readonly signal?: AbortSignal | undefined;
}

export interface PathEntry<T> {
  /** Absolute within the namespace, whatever view it was read through. */
  readonly path: string;
  readonly value: T;
  readonly revision: Revision;
  readonly createRevision: Revision;
  readonly version: number;
  readonly lease: LeaseId;
}

export interface ReadCall extends Call {
  /** Read the past, as far as history reaches. */
  readonly at?: Revision | undefined;
  readonly stale?: boolean | undefined;
}

export interface ListCall extends ReadCall {
  /** Default and most: 1 000 a page. */
  readonly limit?: number | undefined;
  /** Go on after this path (the last of the page before). */
  readonly after?: string | undefined;
}

export interface Page<E> {
  readonly entries: readonly E[];
  readonly more: boolean;
  readonly revision: Revision;
}

export interface WriteCall extends Call {
  /** Only if the entry's revision is this; 0: only if there is none. `conflict` else. */
  readonly ifRevision?: Revision | undefined;
  /** Only while this hold stands; `lost` else. */
  readonly hold?: HoldProof | undefined;
}

export interface PutCall extends WriteCall {
  /** The entry vanishes with this lease. */
  readonly lease?: LeaseId | { readonly id: LeaseId } | undefined;
}

export type EventKind = 'put' | 'delete' | 'expire' | 'lock' | 'unlock' | 'resync';

export interface LockFacts {
  readonly token: number;
  readonly tree: boolean;
  readonly mode: LockMode;
  readonly owner: string;
}

export type WatchEvent<T> =
  | {
      readonly kind: 'put';
      readonly path: string;
      readonly value: T;
      readonly revision: Revision;
      readonly entry: PathEntry<T>;
      /** True for what was there when the watch began. */
      readonly initial: boolean;
      /** With `previous: true`: the entry before, null when there was none. */
      readonly previous?: PathEntry<T> | null;
    }
  | {
      readonly kind: 'delete' | 'expire';
      readonly path: string;
      readonly revision: Revision;
      readonly previous?: PathEntry<T> | null;
    }
  | {
      readonly kind: 'lock' | 'unlock';
      readonly path: string;
      readonly revision: Revision;
      readonly lock: LockFacts;
      /** For unlock: the hold ended with its lease instead of being released. */
      readonly expired: boolean;
      /** True for a lock that was held when the watch began. */
      readonly initial: boolean;
    }
  | {
      /** History was compacted below where the watch stood. The difference follows as put and delete events at `revision`. */
      readonly kind: 'resync';
      readonly path: string;
      readonly revision: Revision;
      readonly from: Revision;
    };

/** Read by `for await`, or by `forEach`. */
export interface Watch<T> extends AsyncIterableIterator<WatchEvent<T>> {
  [Symbol.asyncIterator](): Watch<T>;
  /**
   * Calls `each` with every event, in order, and without a promise for each: the way for many watches in one process. When `each`
   * returns a promise, the next event waits for it.
   *
   * @returns when the watch has ended; rejects with what ended it, or what `each` threw, which ends it
   */
  forEach(each: (event: WatchEvent<T>) => unknown): Promise<void>;
}

export interface WatchCall extends Call {
  /** The path and all below it. Default false: the path alone. */
  readonly tree?: boolean | undefined;
  /** Resume after this revision, without a snapshot. Default: a snapshot, then changes. */
  readonly after?: Revision | undefined;
  readonly previous?: boolean | undefined;
  /** Also lock and unlock events. Default true. */
  readonly locks?: boolean | undefined;
  /** Told with `after`: the identity the revision was taken from (`superseded` else). */
  readonly identity?: string | undefined;
}

/** What every request for a hold takes. */
export interface HoldCall extends Call {
  /** How long the hold outlives a silent process; 1 000 to 31 536 000 000, default 10 000. */
  readonly ttlMs?: number | undefined;
  /** Default true. False: the hold ends by itself ttlMs after the grant. */
  readonly renew?: boolean | undefined;
  /** Give up (`timeout`) after so long in the queue. Default: wait until the signal aborts. */
  readonly waitMs?: number | undefined;
  /** Who to show in `explain` and events; default the space's owner name. */
  readonly owner?: string | undefined;
}

export interface LockCall extends HoldCall {
  /** The path and all below it, also keys not yet created. Default false. */
  readonly tree?: boolean | undefined;
  /** Default 'exclusive'. */
  readonly mode?: LockMode | undefined;
}

/** The one shape of everything held. */
export interface Hold extends AsyncDisposable {
  readonly path: string;
  /** Grows with every grant among holds that can conflict: pass it to what you protect. */
  readonly token: number;
  /** Aborts when the hold is lost: before the engine could give it to someone else. */
  readonly signal: AbortSignal;
  /** Why it was lost; undefined while held, and after a release of one's own. */
  readonly reason: WaymarkError | undefined;
  /** By the local clock, compared on each call; 0 when lost or released. */
  remainingMs(): number;
  /** Compares clocks on every call: a timer alone proves nothing after a pause. */
  isHeld(): boolean;
  /** @returns false when it was no longer held: harmless, and told */
  release(): Promise<boolean>;
}

export interface Lock extends Hold {
  readonly tree: boolean;
  readonly mode: LockMode;
  /** Shared to exclusive: waits until no other shared holder is left. `conflict` when another upgrade waits. */
  upgrade(call?: Call & { readonly waitMs?: number | undefined }): Promise<void>;
  /** Exclusive to shared, at once. */
  downgrade(call?: Call): Promise<void>;
}

export interface KeptLease extends AsyncDisposable {
  readonly id: LeaseId;
  readonly ttlMs: number;
  /** Aborts when the lease can no longer be counted on. */
  readonly signal: AbortSignal;
  readonly reason: WaymarkError | undefined;
  remainingMs(): number;
  isHeld(): boolean;
  /** Ends it now; its keys vanish. @returns false when it had ended */
  release(): Promise<boolean>;
}

export type TxnCheck =
  | { readonly path: string; readonly revision: Revision }
  | { readonly path: string; readonly exists: boolean }
  | { readonly path: string; readonly value: unknown };

export type TxnOperation =
  | { readonly put: string; readonly value: unknown; readonly lease?: LeaseId | undefined }
  | { readonly delete: string; readonly tree?: boolean | undefined }
  | { readonly get: string };

export interface TxnCall extends Call {
  readonly when?: readonly TxnCheck[] | undefined;
  readonly apply?: readonly TxnOperation[] | undefined;
  readonly otherwise?: readonly TxnOperation[] | undefined;
  readonly hold?: HoldProof | undefined;
}

export type TxnResult<T> =
  | { readonly type: 'put' }
  | { readonly type: 'delete'; readonly deleted: number }
  | { readonly type: 'get'; readonly entry: PathEntry<T> | null };

export interface TxnOutcome<T> {
  readonly succeeded: boolean;
  readonly revision: Revision;
  readonly results: readonly TxnResult<T>[];
}

/** One line of a dump: plain JSON, values in base64. What clients of etcd's API wrote at no path has its `key`, in base64. */
export type DumpEntry =
  | { readonly path: string; readonly key?: undefined; readonly value: string }
  | { readonly path?: undefined; readonly key: string; readonly value: string };

export interface NamespaceDump {
  readonly waymark: 1;
  readonly namespace: string;
  readonly revision: Revision;
  readonly entries: readonly DumpEntry[];
}

/** A named tree, or a view of a subtree of it: relative paths begin at the view, absolute ones (`/…`) at the namespace. */
export interface Namespace<T = unknown> {
  readonly name: string;
  /** Where this view begins; `/` for the whole namespace. */
  readonly path: string;

  at(path: string): Namespace<T>;
  /** The same tree through another codec. */
  as<U>(codec: Codec<U>): Namespace<U>;

  get(path: string, call?: ReadCall): Promise<PathEntry<T> | null>;
  put(path: string, value: T, call?: PutCall): Promise<{ readonly revision: Revision }>;
  /** One path; its children stay. */
  delete(
    path: string,
    call?: WriteCall,
  ): Promise<{ readonly deleted: number; readonly revision: Revision }>;
  /** The path and all below it. */
  deleteTree(
    path: string,
    call?: WriteCall,
  ): Promise<{ readonly deleted: number; readonly revision: Revision }>;
  /** The path and all below it, in path order, a page at a time. */
  tree(path: string, call?: ListCall): Promise<Page<PathEntry<T>>>;
  /** Names one level below, also of those that only have descendants, in order. */
  children(path: string, call?: ListCall): Promise<Page<string>>;
  /** Paths at or below that have a value and no descendants. */
  leaves(path: string, call?: ListCall): Promise<Page<string>>;
  /** The deepest entry at or above the path. */
  nearest(path: string, call?: ReadCall): Promise<PathEntry<T> | null>;
  txn(call: TxnCall): Promise<TxnOutcome<T>>;

  /**
   * Gapless: what is there (unless `after`), then every change, across reconnects. After a compaction it has not
   * seen, one `resync` with the difference.
   */
  watch(path: string, call?: WatchCall): Watch<T>;

  lock(path: string, call?: LockCall): Promise<Lock>;
  /** @returns null when it is not free now */
  tryLock(path: string, call?: LockCall): Promise<Lock | null>;
  /** Takes the locks that stand exactly on `path` away from their holders; audited; their signal tells why. */
  forceUnlock(
    path: string,
    call: Call & { readonly reason: string },
  ): Promise<{ readonly ended: number }>;
  explain(
    path: string,
    call?: Call & { readonly tree?: boolean; readonly mode?: LockMode },
  ): Promise<Explanation>;

  /** The election of this path: apart from keys and locks of the same one. */
  election(path: string): Election<T>;
  /** The log of this path: entries in order, apart from its key. */
  log(path: string): Log<T>;
  /** The counter of this path: 0 until somebody adds or sets. */
  counter(path: string): Counter;
  /** The latch of this path: closed until somebody opens it, open for ever after. */
  latch(path: string): Latch;
  /** Passes when so many have come, generation by generation. @throws {WaymarkError} `invalid` for parties beyond 1 to 100 */
  barrier(path: string, options: BarrierOptions): Barrier;
  /** All enter before any works, all leave before any goes on. @throws {WaymarkError} `invalid` */
  doubleBarrier(path: string, options: BarrierOptions): DoubleBarrier;

  /** The members of a group: who is there, who leads them; and messages to them. @throws {WaymarkError} `invalid`, `too_large` */
  members<M = unknown>(group: string, options?: GroupOptions): Members<M>;

  /**
   * Runs `job` on one caller among all processes, once; the others wait for what it came to, a JSON value, and get the same.
   *
   * @throws {WaymarkError} `failed` when it was recorded as failed, `timeout`, `lost` when the claim ended while it ran
   */
  once<R>(path: string, job: (run: OnceRun) => Promise<R> | R, call?: OnceCall): Promise<R>;
  /** Forgets what a job came to: the next `once` runs it. @returns false when nothing was recorded */
  forgetOnce(path: string, call?: Call): Promise<boolean>;
  /** What became of a job that runs once, who runs it now, who waits. */
  explainOnce(path: string, call?: Call): Promise<OnceExplanation>;
  /** The jobs at a path and below it that run now or were recorded, in path order, a page at a time. */
  onceStates(path: string, call?: ListCall): Promise<Page<OnceState>>;
  /** Runs `job` when it is due, on one of all the processes that call this. @throws {WaymarkError} `invalid` */
  schedule(path: string, when: When, job: (run: DueRun) => unknown, call?: ScheduleCall): Schedule;
  /** The schedules at a path and below it that somebody leads or has led, in path order, a page at a time. */
  schedules(path: string, call?: ListCall): Promise<Page<ScheduleState>>;

  /** The semaphore of this path: apart from keys and locks of the same one. @throws {WaymarkError} `invalid` for a limit that is none */
  semaphore(path: string, options?: SemaphoreOptions): Semaphore;

  /**
   * Names of an ordered list, claimed at this path: apart from keys and locks of the same one.
   *
   * @param list  1 to 10 000 names of 1 to 128 bytes. Kept with the first claim; another one is `conflict` while anybody has a name.
   * Default: the list in use; the mountains where there is none
   * @throws {WaymarkError} `invalid` for what is no list (a name that stands twice: see `dropDuplicates`), `too_large`
   */
  names(path: string, list?: NameList, options?: NamesOptions): Names;

  /** Deletes paths not written for `olderThanMs`, sparing locked and leased ones. */
  prune(
    path: string,
    call: Call & { readonly olderThanMs: number },
  ): Promise<{ readonly pruned: readonly string[] }>;
  dump(call?: Call): Promise<NamespaceDump>;
  /** Writes a dump's entries; `replace` deletes what is not in it. */
  load(
    dump: NamespaceDump,
    call?: Call & { readonly replace?: boolean },
  ): Promise<{ readonly revision: Revision }>;
}

export interface NamespaceOptions<T> {
  /** Default: JSON. */
  readonly codec?: Codec<T> | undefined;
  /** Default true. False: writes are not checked against locks. */
  readonly guard?: boolean | undefined;
}

export interface SpaceStatus extends EngineStatus {
  readonly owner: string;
}

export interface Space extends AsyncDisposable {
  readonly owner: string;
  /** Watches whose changes servers deliver to endpoints. `unavailable` where this process is the only one over its engine. */
  readonly watchers: Watchers;
  /** The sharded store for data larger than memory, on the nodes of this space. */
  readonly stash: Stash;
  namespace<T = unknown>(name: string, options?: NamespaceOptions<T>): Namespace<T>;
  /** Names of the namespaces that hold anything, in order. */
  namespaces(call?: Call): Promise<readonly string[]>;
  /** Deletes all of it; its watches and holds end (`superseded`, `lost`). */
  removeNamespace(name: string, call?: Call): Promise<void>;
  /** A lease of one's own, renewed by this process unless told not to. */
  lease(ttlMs: number, call?: Call & { readonly renew?: boolean }): Promise<KeptLease>;
  status(call?: Call): Promise<SpaceStatus>;
  /** Releases every hold, ends watches, closes the engine or connection. A server that does not answer is left after 5 s. */
  close(): Promise<void>;
}
