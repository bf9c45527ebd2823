/**
 * The waist of Waymark: everything above the engines is written once over this interface, and every
 * engine (memory, file, remote, later etcd and PostgreSQL) implements all of it. The transaction
 * model is etcd v3's. The rules K1 to K12 that an engine keeps are in docs/spec/keyspace.md.
 */

/** A position in the one total order of commits; a safe integer, 0 before the first commit. */
export type Revision = number;

/**
 * A lease's id: any int64 but 0, which stands for "no lease". A number where it is a safe integer, as all are that an engine picks;
 * else its decimal digits as a string, `'9223372036854775807'`. Each id has this one form: compare with `===`.
 */
export type LeaseId = number | `${bigint}`;

/**
 * Bytes as a JavaScript string whose every char is one byte (0x00 to 0xff), so that `<` is byte order
 * and ASCII costs no conversion (rule K5). Keys and values alike; see core/bytes.ts for conversions.
 */
export type ByteString = string;

/**
 * One key, or the half-open range `key <= k < end`. The empty `end` means "no upper bound": no key
 * sorts below the empty string, so it could mean nothing else.
 */
export interface KeyRange {
  readonly key: ByteString;
  readonly end?: ByteString | undefined;
}

/** A value with its revisions. Immutable: a later write makes a new entry. */
export interface Entry {
  readonly key: ByteString;
  readonly value: ByteString;
  /** Revision at which the key last came into being. */
  readonly createRevision: Revision;
  /** Revision of this write. */
  readonly modRevision: Revision;
  /** Writes since creation, 1 for the first. 0 marks the tombstone of a delete. */
  readonly version: number;
  /** The lease the key vanishes with, 0 for none. */
  readonly lease: LeaseId;
}

export type OrderBy = 'key' | 'create' | 'mod' | 'version' | 'value';

export interface Query extends KeyRange {
  /** Read the past: the state as of this revision. Default: the present. */
  readonly at?: Revision | undefined;
  /** At most so many entries; 0 or absent: all. */
  readonly limit?: number | undefined;
  readonly orderBy?: OrderBy | undefined;
  readonly descending?: boolean | undefined;
  /** Entries come with an empty value. */
  readonly keysOnly?: boolean | undefined;
  /** No entries, only `count`. */
  readonly countOnly?: boolean | undefined;
  /** `count` tells only the entries returned: a page of a long range then costs the page, not the range. */
  readonly uncounted?: boolean | undefined;
  readonly minModRevision?: Revision | undefined;
  readonly maxModRevision?: Revision | undefined;
  readonly minCreateRevision?: Revision | undefined;
  readonly maxCreateRevision?: Revision | undefined;
}

export interface Reading {
  /** The present revision when it was read; with `at`, the entries are those of that earlier one. */
  readonly revision: Revision;
  readonly entries: readonly Entry[];
  /** True when `limit` left entries out. */
  readonly more: boolean;
  /** Keys in the range, whatever `limit`; revision filters are not applied to it (as in etcd). See `uncounted`. */
  readonly count: number;
}

export interface CallOptions {
  /** Ends the call: before the send with the signal's reason, later with `uncertain` where it matters. */
  readonly signal?: AbortSignal | undefined;
}

export interface ReadOptions extends CallOptions {
  /** Accept an answer that may be behind the present. Default false: linearizable. */
  readonly stale?: boolean | undefined;
}

export type CheckTarget = 'version' | 'create' | 'mod' | 'lease' | 'value';
export type Comparison = '=' | '!=' | '<' | '>';

/**
 * True when `target <is> to` holds for the key, or for every key of the range. An absent key, and an
 * empty range, compare as version 0, revisions 0 and lease 0; a value check on them never holds (K3).
 */
export interface Check extends KeyRange {
  readonly target: CheckTarget;
  readonly is: Comparison;
  /** A number; for target `lease` an id or 0; for target `value` a byte string. */
  readonly to: number | ByteString;
}

export interface PutOperation {
  readonly type: 'put';
  readonly key: ByteString;
  readonly value: ByteString;
  /** Attach to this lease; 0 or absent: none. A lease that is gone refuses the commit with `not_found`. */
  readonly lease?: LeaseId | undefined;
  /** Answer with the entry that was replaced. */
  readonly previous?: boolean | undefined;
  /** Keep the value there is (the key must exist: `not_found` else). */
  readonly keepValue?: boolean | undefined;
  /** Keep the lease there is (the key must exist: `not_found` else); then `lease` is none. */
  readonly keepLease?: boolean | undefined;
}

export interface DeleteOperation extends KeyRange {
  readonly type: 'delete';
  /** Answer with the entries that were removed. */
  readonly previous?: boolean | undefined;
}

export interface ReadOperation extends Query {
  readonly type: 'read';
}

export interface NestedOperation {
  readonly type: 'txn';
  readonly txn: Txn;
}

export type Operation = PutOperation | DeleteOperation | ReadOperation | NestedOperation;

/** When all of `when` hold, do `apply`, else do `otherwise`; atomic, at one revision (K2). */
export interface Txn {
  readonly when?: readonly Check[] | undefined;
  readonly apply?: readonly Operation[] | undefined;
  readonly otherwise?: readonly Operation[] | undefined;
}

export interface PutResult {
  readonly type: 'put';
  /** What was replaced, when asked for; null when the key was absent. */
  readonly previous?: Entry | null | undefined;
}

export interface DeleteResult {
  readonly type: 'delete';
  readonly deleted: number;
  /** What was removed, when asked for, in key order. */
  readonly previous?: readonly Entry[] | undefined;
}

export interface ReadResult {
  readonly type: 'read';
  readonly reading: Reading;
}

export interface NestedResult {
  readonly type: 'txn';
  readonly succeeded: boolean;
  readonly results: readonly OperationResult[];
}

export type OperationResult = PutResult | DeleteResult | ReadResult | NestedResult;

export interface Outcome {
  /** The commit's revision; the present one when nothing was changed. */
  readonly revision: Revision;
  /** Whether `when` held. */
  readonly succeeded: boolean;
  /** One per operation of the branch that ran. */
  readonly results: readonly OperationResult[];
}

export interface CommitOptions extends CallOptions {
  /** Forbids sharing a revision with independent commits (K1). */
  readonly alone?: boolean | undefined;
  /**
   * Takes what etcd's API takes, where that is more than K6 does (`wideLimits`): up to 1.5 MiB and 4 096 operations. An engine that is
   * elsewhere may still refuse it, as `too_large`. The engine of a server keeps to K6. Default false.
   */
  readonly wide?: boolean | undefined;
}

/** `expire`: the key vanished with its lease, by expiry or by revoke. */
export type ChangeKind = 'put' | 'delete' | 'expire';

export interface Change {
  readonly kind: ChangeKind;
  /** The new entry; for delete and expire a tombstone: version 0, empty value, `modRevision` of the delete. */
  readonly entry: Entry;
  /** The entry before, when asked for; null when there was none. */
  readonly previous?: Entry | null | undefined;
}

/**
 * Whole revisions, in order. After it, everything up to and including `revision` has been delivered:
 * resume with `after: batch.revision`. A batch without changes is a bookmark.
 */
export interface Batch {
  readonly revision: Revision;
  readonly changes: readonly Change[];
}

export interface WatchOptions extends CallOptions {
  /** Deliver what came after this revision. Default: from now on. */
  readonly after?: Revision | undefined;
  /** Changes carry the entry before. */
  readonly previous?: boolean | undefined;
  /** The `EngineStatus.identity` that `after` was taken from; another engine answers `superseded`. */
  readonly identity?: string | undefined;
}

export interface Lease {
  readonly id: LeaseId;
  /** The time to live that was granted, never shorter than asked for. */
  readonly ttlMs: number;
}

export interface LeaseState extends Lease {
  /** Time left by the engine's monotonic clock, 0 when it is about to end. */
  readonly remainingMs: number;
  readonly keys: readonly ByteString[];
}

export interface GrantOptions extends CallOptions {
  /** Ask for this id (`conflict` when taken). Default: the engine picks one. */
  readonly id?: LeaseId | undefined;
}

export interface EngineStatus {
  /** The scheme: 'memory', 'file', … */
  readonly engine: string;
  /** Names this order of commits: revisions of another identity mean nothing here. */
  readonly identity: string;
  readonly revision: Revision;
  /** History below this is gone (K9). */
  readonly compacted: Revision;
  readonly keys: number;
  readonly leases: number;
  /** Bytes of keys and values that are live; of an engine elsewhere, what its store takes. */
  readonly bytes: number;
}

/** @see docs/spec/keyspace.md for the rules each method keeps */
export interface Engine extends AsyncDisposable {
  /**
   * Reads a key or a range at one revision.
   * @throws {WaymarkError} `compacted`, `future_revision` for `at`; `too_large`, `invalid`; `unavailable`
   */
  read(query: Query, options?: ReadOptions): Promise<Reading>;

  /**
   * Evaluates and applies a transaction. A check that does not hold is no error: see `succeeded`.
   * @throws {WaymarkError} `invalid`, `too_large` before any work; `not_found` for a lease or kept value that
   * is absent; `unavailable` when certainly not applied, `uncertain` when it may have been; `storage_full`
   */
  commit(txn: Txn, options?: CommitOptions): Promise<Outcome>;

  /**
   * Every change after `after` in the union of the ranges: in order, once, whole revisions, none missing.
   * The watch stands from this call on when `after` is given; else from its first batch on, a bookmark
   * that tells the revision it starts after. One iteration per call. It ends by throwing or by being left.
   * @throws {WaymarkError} `compacted` (with `compacted`), `future_revision`, `superseded`, `unavailable`
   */
  watch(ranges: readonly KeyRange[], options?: WatchOptions): AsyncIterable<Batch>;

  /** @throws {WaymarkError} `invalid` for a TTL that is not 1 000 to 31 536 000 000 ms, `conflict` for a taken id */
  grant(ttlMs: number, options?: GrantOptions): Promise<Lease>;

  /** Sets the lease's clock back to its whole TTL. @throws {WaymarkError} `not_found` when it has ended */
  renew(id: LeaseId, options?: CallOptions): Promise<Lease>;

  /** Ends the lease; its keys vanish in one revision. @throws {WaymarkError} `not_found` when it has ended */
  revoke(id: LeaseId, options?: CallOptions): Promise<{ readonly revision: Revision }>;

  /** @returns null when there is no such lease */
  lease(id: LeaseId, options?: CallOptions): Promise<LeaseState | null>;

  leases(options?: CallOptions): Promise<readonly LeaseId[]>;

  /**
   * Drops history below `through`; the state at `through` stays readable. Lower than before: no effect.
   * @throws {WaymarkError} `future_revision`
   */
  compact(through: Revision, options?: CallOptions): Promise<void>;

  status(options?: CallOptions): Promise<EngineStatus>;
}
