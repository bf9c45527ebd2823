import type {
  StashAcknowledged,
  StashBegun,
  StashMove,
  StashNodeFigures,
  StashNodeInfo,
  StashNodeRepaired,
  StashNodeState,
  StashReadLevel,
  StashRepaired,
  StashSafeToStop,
  StashStatus,
} from '../core/stash.js';
import type { Call, Codec } from './types.js';

export type { StashAcknowledged, StashNodeInfo, StashNodeState, StashReadLevel, StashStatus };
export type { StashBegun, StashMove, StashRepaired, StashSafeToStop };
export type { StashNodeFigures, StashNodeRepaired };

/**
 * Names a value. Different keys have different bytes, at most 1 024, whatever their types (rules D7.1 to D7.3); those of one type sort as their values do, and a text is its UTF-8. Not
 * empty; a number is not NaN.
 */
export type StashKey = StashKeyPart | readonly StashKeyPart[];

export type StashKeyPart = string | number | bigint | Uint8Array | StashKeyed;

/** Anything that has a key of its own: it comes back from a scan as these bytes. */
export interface StashKeyed {
  toKey(): Uint8Array;
}

/** A key as a scan gives it back. */
export type StashFoundKey =
  string | number | bigint | Uint8Array | readonly (string | number | bigint | Uint8Array)[];

export interface StashIndexOptions<T> {
  /** Default: `codecs.structured`, which takes what structured data is made of, dates, bytes, maps and sets among it. */
  readonly codec?: Codec<T> | undefined;
  /** An entry goes so long after it was put, unless a put says otherwise. 1 to 31 536 000 000. Default: it stays. */
  readonly ttlMs?: number | undefined;
  /** Of reads that do not say. Default `quorum`. */
  readonly level?: StashReadLevel | undefined;
}

export interface StashCallOptions extends Call {
  /** 1 to 600 000; of a batch or a scan it is the deadline of each of its parts, of at most 1 000 keys. Default 10 000. */
  readonly deadlineMs?: number | undefined;
}

export interface StashRemoveOptions extends StashCallOptions {
  /**
   * They never come back, and what only they had is lost (rule D6.9): more of them than there may be, too, and in the place of a move that waits for them. Without it a move waits for as many copies of
   * everything as a read asks. Default: false.
   */
  readonly acceptLoss?: boolean | undefined;
}

export interface StashReadOptions extends StashCallOptions {
  /** `quorum`: every write that was acknowledged before is seen. `one`: the nearest replica answers, which may not have the last one. */
  readonly level?: StashReadLevel | undefined;
}

export interface StashPutOptions extends StashCallOptions {
  /** See `StashIndexOptions`. */
  readonly ttlMs?: number | undefined;
}

export interface StashScanOptions extends StashCallOptions {
  /** Keys that begin so: texts that begin with a text, bytes with bytes, tuples whose first parts are these. Default: all. */
  readonly prefix?: string | Uint8Array | readonly StashKeyPart[] | undefined;
  /** Go on after a page: its `next`. */
  readonly after?: string | undefined;
}

export interface StashPageOptions extends StashScanOptions {
  /** 1 to 1 000. Default 1 000; values of more than 1 MiB together make a page shorter. */
  readonly limit?: number | undefined;
}

export interface StashEntries<T> {
  readonly entries: readonly (readonly [key: StashFoundKey, value: T])[];
  /** Where to go on, by whomever and whenever; null: that was all. A page without entries need not be the last. */
  readonly next: string | null;
}

type Many<T> = Iterable<T> | AsyncIterable<T>;

/**
 * One index of the stash: keys and values on storage nodes, without an order between different keys.
 *
 * With reads of level `quorum` who was told that a write is done sees it, or a newer one, and so does everyone who asks after that. Of two writes of one key the later one holds; what two clients write at once is not told
 * apart, and there is no compare-and-set: take a namespace for that.
 *
 * All calls reject with `unavailable` where too few nodes answer, `corrupt` where every replica of a key is damaged, `invalid` and `too_large` for what cannot be a key or a value, the signal's reason when aborted.
 * @see docs/spec/stash.md
 */
export interface StashIndex<T> {
  readonly name: string;
  /** @returns undefined when there is none */
  get(key: StashKey, options?: StashReadOptions): Promise<T | undefined>;
  has(key: StashKey, options?: StashReadOptions): Promise<boolean>;
  /**
   * Resolves when a majority of the replicas have it on disk.
   *
   * @throws {WaymarkError} `uncertain` when it may show later: fewer confirmed; `storage_full`; `invalid` for undefined, which means that there is none
   */
  put(key: StashKey, value: T, options?: StashPutOptions): Promise<StashAcknowledged>;
  /** Whether it was there is not told. @throws as `put` */
  delete(key: StashKey, options?: StashCallOptions): Promise<StashAcknowledged>;
  /**
   * Puts all of them, in parts that go out several at a time, so that as many as there are take a bounded amount of memory. Of a key that comes twice the later value holds, unless both are more than a
   * part apart and others write beside the earlier one (rule D3.5).
   *
   * @returns how many
   * @throws as `put`; parts before the one that failed, and some behind it, are written
   */
  putMany(
    entries: Many<readonly [key: StashKey, value: T]>,
    options?: StashPutOptions,
  ): Promise<number>;
  /** @returns one for each key, in their order; undefined for what is not there */
  getMany(keys: Many<StashKey>, options?: StashReadOptions): Promise<(T | undefined)[]>;
  /** The same as a stream, in their order, for more than memory holds. */
  getEach<K extends StashKey>(
    keys: Many<K>,
    options?: StashReadOptions,
  ): AsyncGenerator<readonly [key: K, value: T | undefined], void, void>;
  /** @returns how many keys. @throws as `putMany` */
  deleteMany(keys: Many<StashKey>, options?: StashCallOptions): Promise<number>;
  /** Every entry that is there from beginning to end, once; in no order that means anything. */
  scan(
    options?: StashScanOptions,
  ): AsyncGenerator<readonly [key: StashFoundKey, value: T], void, void>;
  /** A page of a scan. */
  page(options?: StashPageOptions): Promise<StashEntries<T>>;
  /** The keys alone: their values stay where they are. */
  keys(options?: StashScanOptions): AsyncGenerator<StashFoundKey, void, void>;
}

/** The sharded, persistent store of a space, for data larger than memory. @see docs/spec/stash.md */
export interface Stash {
  /** Makes nothing: an index is there when it has an entry. @param name  1 to 128 bytes, without control characters */
  index<T = unknown>(name: string, options?: StashIndexOptions<T>): StashIndex<T>;
  /** Names of all indexes that have entries. */
  indexes(options?: StashCallOptions): Promise<readonly string[]>;
  /** Who keeps the data, what each node tells of itself, and the move under way. */
  status(options?: StashCallOptions): Promise<StashStatus>;
  /**
   * Begins to give what a node keeps, or several, to the others, after which it is no node of the stash any more (rules D6.1 to D6.3). Reads and writes go on meanwhile.
   *
   * @throws {WaymarkError} `not_found`; `conflict` for one that is away, or while other data is being moved; `invalid` for the last one; `uncertain`
   */
  drain(nodes: string | readonly string[], options?: StashCallOptions): Promise<StashBegun>;
  /**
   * Takes out a node that is lost, or several: the others begin to be given what it kept. Called again after that, it is forgotten.
   *
   * @throws as `drain`, but `conflict` for one that is alive
   */
  remove(nodes: string | readonly string[], options?: StashRemoveOptions): Promise<StashBegun>;
  /** Has the move under way wait. @throws {WaymarkError} `conflict` when there is none that can */
  pauseMove(options?: StashCallOptions): Promise<StashBegun>;
  /** Has it go on. @throws as `pauseMove` */
  resumeMove(options?: StashCallOptions): Promise<StashBegun>;
  /** Goes back to who kept the data before, while the move still fills. @throws as `pauseMove` */
  cancelMove(options?: StashCallOptions): Promise<StashBegun>;
  /** Whether a node may be stopped now, and its disk be lost, without a loss and without reads or writes having to wait (rule D6.4). */
  safeToStop(node: string, options?: StashCallOptions): Promise<StashSafeToStop>;
  /**
   * Every node that is alive compares what it keeps with all others now, and sends what one lacks, as it does by itself every 15 s.
   *
   * @param options.deadlineMs  default 600 000; a node that takes longer goes on by itself, and is told of as not done
   */
  repair(options?: StashCallOptions): Promise<StashRepaired>;
}
