import type { CallOptions } from '../core/engine.js';

/**
 * What a storage node does for coordinators and for other nodes. Over the wire these are the calls of node-calls.ts; a coordinator in the same process calls
 * them as they are. Batches are packed (packed.ts), so that a key costs neither an object nor a promise on its way. A block that was handed over is not written to again.
 *
 * All refuse an epoch below their own view's with `superseded` (rule D4.6).
 */
export interface StashNode {
  /**
   * @returns packed findings, in the order of the keys: one for each, or for the first of them alone, at least one, where all would be more than `answerBytesMax`. What is
   * deleted or over is told with its version, without a value: a replica that is behind may hold an older one that is not
   */
  read(ask: NodeRead, options?: NodeCallOptions): Promise<Uint8Array>;
  /**
   * Applies versions: of each key the newest stays, and a damaged record is replaced. Resolves when they are flushed. A key may be there twice.
   *
   * @returns the highest stamp that it holds of any of the keys by another writer, and that is newer than what was to be written; 0 where there is none. One that is newer and of the same writer
   * was begun after this one, which may as well have been done before it
   * @throws {WaymarkError} `invalid` for a stamp too far ahead of its clock (rule D2.3), and then nothing was written; `storage_full`
   */
  write(ask: NodeWrite, options?: NodeCallOptions): Promise<number>;
  /** Entries of some partitions, in the order of partitions and of the keys in each, as many as fit. */
  scan(ask: NodeScan, options?: NodeCallOptions): Promise<NodePage>;
  /** Takes note that another node missed what this one holds of some keys, to tell it when it is back (rule D5.5). Resolves when that is on disk. */
  hint(ask: NodeHint, options?: NodeCallOptions): Promise<void>;
  /** Names of all indexes that it has entries of. */
  indexes(options?: NodeCallOptions): Promise<readonly string[]>;
}

/** Keys of one call to a node, and about the bytes of what it answers or is told: more goes in several. */
export const partKeysMax = 1_000;
export const answerBytesMax = 1_048_576;

export interface NodeCallOptions extends CallOptions {
  /** Without a connection or a word by then it is `unavailable`, or `uncertain`. Default 10 000. */
  readonly withinMs?: number | undefined;
}

export interface NodeRead {
  readonly epoch: number;
  readonly index: string;
  /** Packed keys. */
  readonly keys: Uint8Array;
  /** To be compared alone: a value that is there comes as an empty one. */
  readonly versionsOnly: boolean;
}

export interface NodeWrite {
  readonly epoch: number;
  readonly index: string;
  /** Packed keys with their versions. */
  readonly entries: Uint8Array;
  /** Of the same batch more follows at once: the node may wait for it before it commits. Default: none. */
  readonly more?: boolean | undefined;
}

export interface NodeHint {
  readonly epoch: number;
  /** Who missed it. */
  readonly node: string;
  readonly index: string;
  /** Packed keys. */
  readonly keys: Uint8Array;
}

export interface NodeScan {
  readonly epoch: number;
  readonly index: string;
  /** Which: 512 bytes, a bit for each; partition p is bit `p & 7` of byte `p >> 3`. */
  readonly partitions: Uint8Array;
  /** Keys that begin so: byte strings, as is the next. */
  readonly prefix: string;
  /** In the first of the partitions only keys after this one; absent: all. */
  readonly after?: string | undefined;
  /** Entries at most; fewer where they are more than `answerBytesMax`, but at least one. */
  readonly limit: number;
  /** As in `NodeRead`. */
  readonly versionsOnly: boolean;
}

export interface NodePage {
  /** Packed keys with their versions; tombstones too. */
  readonly entries: Uint8Array;
  /** There are entries after the last of these. */
  readonly more: boolean;
}
