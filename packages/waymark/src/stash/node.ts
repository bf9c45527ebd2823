import type { CallOptions } from '../core/engine.js';

/**
 * What a storage node does for coordinators and for other nodes. Over the wire these are the calls of node-calls.ts; a coordinator in the same process calls
 * them as they are. Batches are packed (packed.ts), so that a key costs neither an object nor a promise on its way.
 */
export interface StashNode {
  /** @returns packed findings, one for each key, in their order */
  read(ask: NodeRead, options?: CallOptions): Promise<Uint8Array>;
  /**
   * Applies versions: of each key the newest stays. Resolves when they are flushed.
   *
   * @returns the highest stamp it holds of any of the keys that is newer than what was to be written; 0 where all of it is now the newest
   */
  write(ask: NodeWrite, options?: CallOptions): Promise<number>;
  /** Entries of one partition in the order of their keys, as many as fit. */
  scan(ask: NodeScan, options?: CallOptions): Promise<NodePage>;
  /** Names of all indexes that it has entries of. */
  indexes(options?: CallOptions): Promise<readonly string[]>;
}

export interface NodeRead {
  readonly epoch: number;
  readonly index: string;
  /** Packed keys. */
  readonly keys: Uint8Array;
  /** What is found comes without its value, to be compared alone. */
  readonly versionsOnly: boolean;
}

export interface NodeWrite {
  readonly epoch: number;
  readonly index: string;
  /** Packed keys with their versions. */
  readonly entries: Uint8Array;
}

export interface NodeScan {
  readonly epoch: number;
  readonly index: string;
  readonly partition: number;
  /** Keys that begin so, after this one: byte strings. */
  readonly prefix: string;
  readonly after: string;
  readonly limit: number;
  readonly versionsOnly: boolean;
}

export interface NodePage {
  /** Packed keys with their versions; tombstones too. */
  readonly entries: Uint8Array;
  readonly more: boolean;
}
