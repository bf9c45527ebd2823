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

/**
 * `joining`: it is being filled, or waits for that. `leaving`: its data is being moved away. `left`: it was drained, and keeps nothing until it is started again. `away`: it is a node, but does not say that it
 * is alive.
 */
export type StashNodeState = 'active' | 'joining' | 'leaving' | 'left' | 'away';

export interface StashNodeInfo {
  readonly id: string;
  /** Where it is reached: `host:port`. */
  readonly address: string;
  readonly zone: string;
  readonly weight: number;
  readonly state: StashNodeState;
  /** Share of the data that it keeps, of 1. */
  readonly share: number;
  /** What it tells of itself; null when it did not answer within 2 s. */
  readonly figures: StashNodeFigures | null;
}

/** What a node counts; all but the first six since it was started. */
export interface StashNodeFigures {
  /** Tombstones among them. */
  readonly records: number;
  /** What they take on the disk. */
  readonly bytes: number;
  /** As they were counted last: anew within seconds, or minutes where there are millions. */
  readonly tombstones: number;
  /** Keys that other nodes have missed, and will be told. */
  readonly hints: number;
  /** False: it takes no writes, for want of room or after a failure. */
  readonly writable: boolean;
  /** Since every replica of what it keeps was compared with; null: not yet. */
  readonly comparedMs: number | null;
  /** Looks at another node's replicas. */
  readonly compared: number;
  /** Partitions that were not the same. */
  readonly differing: number;
  /** Entries that repair brought here. */
  readonly fetched: number;
  /** Entries that repair took to others, those of hints among them. */
  readonly pushed: number;
  /** Records that did not match their CRC, each time they were found. */
  readonly damaged: number;
}

export interface StashStatus {
  /** Grows with every change of who keeps what; 0 where no node was there yet. */
  readonly epoch: number;
  readonly nodes: readonly StashNodeInfo[];
  /** Copies of each entry, and how many of them a write and a read of level `quorum` ask: bounded by the nodes there are. */
  readonly replicas: number;
  readonly writeQuorum: number;
  readonly readQuorum: number;
  /** Null: no data is being moved. */
  readonly move: StashMove | null;
}

/** A move of data as it stands (rules D6.1 to D6.3). */
export interface StashMove {
  /** `filling`: who is to keep the data is given it. `settling`: who kept it confirms that it does no more. */
  readonly phase: 'filling' | 'settling';
  readonly paused: boolean;
  /** Of all nodes together: partitions that were brought over, of those that are to be. */
  readonly partitions: number;
  readonly of: number;
  /** Entries that were brought over. */
  readonly entries: number;
  /** Time it will take at the pace so far; null while that cannot be told. */
  readonly leftMs: number | null;
  /** Who has not done its part yet. */
  readonly waitingFor: readonly string[];
  /** Nodes that are away, and without which it cannot end: start them, or remove them with `acceptLoss`. */
  readonly blockedBy: readonly string[];
}

/** The view that a change made: the move is over when `status` tells of this epoch, or a higher one, and of no move. */
export interface StashBegun {
  readonly epoch: number;
}

export interface StashSafeToStop {
  readonly safe: boolean;
  /** Why not, for people. */
  readonly reasons: readonly string[];
  /** Partitions that are not as they would have to be, of those that the node keeps. */
  readonly partitions: number;
}

/** What came of a look of each node at all others. */
export interface StashRepaired {
  readonly nodes: readonly StashNodeRepaired[];
}

export interface StashNodeRepaired {
  readonly id: string;
  /** It went through all that it keeps. False: it did not answer, or was not through in time, and goes on. */
  readonly done: boolean;
  readonly compared: number;
  readonly differing: number;
  readonly fetched: number;
  readonly pushed: number;
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
  /** Of the same batch more follows at once, before this is answered: nodes may commit both together. Default: none. */
  readonly more?: boolean | undefined;
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

/** `drain` and `remove` are of nodes, the others of the move under way. */
export type StashChangeKind = 'drain' | 'remove' | 'pause' | 'resume' | 'cancel';

export interface StashChange extends StashCall {
  readonly kind: StashChangeKind;
  /** Ids: one at least where it is of nodes, none elsewhere. */
  readonly nodes?: readonly string[] | undefined;
  /** With `remove` alone (rule D6.9). Default: false. */
  readonly acceptLoss?: boolean | undefined;
}

export interface StashSafeAsk extends StashCall {
  readonly node: string;
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
  /** @throws {WaymarkError} `conflict` when it cannot be now, `not_found` for a node that keeps nothing and is not known */
  change(ask: StashChange): Promise<StashBegun>;
  safeToStop(ask: StashSafeAsk): Promise<StashSafeToStop>;
  repair(call: StashCall): Promise<StashRepaired>;
}
