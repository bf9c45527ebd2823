import type { CallOptions } from './engine.js';

/** The sharded store for data larger than memory: docs/spec/stash.md has the rules. */

/**
 * How many replicas a read asks. `quorum`: so many that one of them has every acknowledged write. `one`: the nearest that answers, which may not
 * have the last one.
 */
export type StashReadLevel = 'quorum' | 'one';

/** What a key holds, or that it was deleted. The newer of two is the one with the higher stamp, then with the higher writer. */
export interface StashVersion {
  /** Hybrid logical time: unix milliseconds times 1 024, plus a counter. */
  readonly stamp: number;
  /** Of the coordinator that stamped it: 32 bits, drawn anew by each process. */
  readonly writer: number;
  /** Unix time in ms from which it is as if deleted; 0: never. */
  readonly expiresAt: number;
  /** Null: deleted. */
  readonly value: Uint8Array | null;
}

/** How many replicas there are, and how many of them have a write before it is acknowledged. */
export interface StashAcknowledged {
  readonly replicas: number;
  readonly flushed: number;
}

export interface StashPage {
  /** Packed keys with their versions: what is there alone. */
  readonly entries: Uint8Array;
  /** Where to go on; null: that was all. A page without entries need not be the last. */
  readonly next: string | null;
}

/** `joining`: it is being filled. `leaving`: its data is being moved away. `away`: it is a node, but does not say that it is alive. */
export type StashNodeState = 'active' | 'joining' | 'leaving' | 'away';

export interface StashNodeInfo {
  readonly id: string;
  /** Where it is reached: `host:port`. */
  readonly address: string;
  readonly zone: string;
  readonly weight: number;
  readonly state: StashNodeState;
  /** Share of the data that it keeps, of 1. */
  readonly share: number;
}

export interface StashStatus {
  /** Grows with every change of who keeps what; 0 where no node was there yet. */
  readonly epoch: number;
  readonly nodes: readonly StashNodeInfo[];
  /** Copies of each entry, and how many of them a write and a read of level `quorum` ask: bounded by the nodes there are. */
  readonly replicas: number;
  readonly writeQuorum: number;
  readonly readQuorum: number;
}

export interface StashCall extends CallOptions {
  /** Default 10 000; 1 to 600 000. */
  readonly deadlineMs?: number | undefined;
}

export interface StashRead extends StashCall {
  readonly index: string;
  /** Packed keys: 1 000 at most. */
  readonly keys: Uint8Array;
  readonly level: StashReadLevel;
  /** Values come as empty ones. */
  readonly keysOnly: boolean;
}

export interface StashWrite extends StashCall {
  readonly index: string;
  /**
   * Packed keys with their versions, 1 000 at most, to which stamp and writer are given here; where an expiry stands it is the time to live in ms.
   * Of a key that is there twice the later one counts. The block is written to.
   */
  readonly entries: Uint8Array;
}

export interface StashScan extends StashCall {
  readonly index: string;
  /** Keys that begin so: a byte string. */
  readonly prefix: string;
  /** As `next` of the page before told it. */
  readonly after?: string | undefined;
  /** 1 to 1 000. */
  readonly limit: number;
  /** Values come as empty ones. */
  readonly keysOnly: boolean;
}

/**
 * Coordinates what is asked of the stash: finds the nodes that keep a key, and asks as many of them as it takes. Batches are packed (stash/packed.ts), and pass through
 * without an object per key.
 */
export interface StashDesk {
  /**
   * @returns packed findings, in the order of the keys: one for each, or for the first of them alone, at least one, where all would be more than 1 MiB. What has no value is not there
   * @throws {WaymarkError} `unavailable` when too few replicas answered, `corrupt` when all that did hold it damaged
   */
  read(ask: StashRead): Promise<Uint8Array>;
  /**
   * Resolves when enough replicas have all of them on disk.
   *
   * @throws {WaymarkError} `unavailable` when nothing was written, `uncertain` when too few confirmed, `storage_full`
   */
  write(ask: StashWrite): Promise<StashAcknowledged>;
  scan(ask: StashScan): Promise<StashPage>;
  indexes(call: StashCall): Promise<readonly string[]>;
  status(call: StashCall): Promise<StashStatus>;
}
