import type { ByteString, CallOptions } from './engine.js';

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

export interface StashWrite {
  readonly key: ByteString;
  /** Null: delete. */
  readonly value: Uint8Array | null;
  /** The entry goes after so long; 0: it stays. */
  readonly ttlMs: number;
}

/** How many replicas there are, and how many of them have a write before it is acknowledged. */
export interface StashAcknowledged {
  readonly replicas: number;
  readonly flushed: number;
}

export interface StashScan {
  /** Keys that begin so. */
  readonly prefix: ByteString;
  /** Go on after this; as `next` of the page before told it. */
  readonly after?: string | undefined;
  /** 1 to 1 000. */
  readonly limit: number;
  readonly keysOnly?: boolean | undefined;
}

export interface StashPage {
  readonly entries: readonly { readonly key: ByteString; readonly value: Uint8Array | null }[];
  /** Null: that was all. */
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

/** Coordinates what is asked of the stash: finds the nodes that keep a key, and asks as many of them as it takes. */
export interface StashDesk {
  /**
   * @returns one for each key, in their order; null for what is not there
   * @throws {WaymarkError} `unavailable` when too few replicas answered, `corrupt` when all that did hold it damaged
   */
  read(
    index: string,
    keys: readonly ByteString[],
    call: StashCall & { readonly level: StashReadLevel },
  ): Promise<readonly (Uint8Array | null)[]>;
  /**
   * Resolves when enough replicas have all of them on disk.
   *
   * @throws {WaymarkError} `unavailable` when nothing was written, `uncertain` when too few confirmed, `storage_full`
   */
  write(index: string, entries: readonly StashWrite[], call: StashCall): Promise<StashAcknowledged>;
  scan(index: string, scan: StashScan, call: StashCall): Promise<StashPage>;
  indexes(call: StashCall): Promise<readonly string[]>;
  status(call: StashCall): Promise<StashStatus>;
}
