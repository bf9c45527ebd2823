import type { NodeCallOptions, NodePage } from './node.js';

/**
 * What storage nodes ask of each other, to hold the same (rules D5.1 to D5.6). It is about partitions and not indexes: keys here are *full* ones, the index's name, a zero byte and the key.
 *
 * All refuse an epoch below their own view's with `superseded` (rule D4.6).
 */
export interface StashPeer {
  /** @returns packed digests (digest-list.ts), one for each partition that was asked about, or for each group of 64 */
  digests(ask: PeerDigests, options?: NodeCallOptions): Promise<Uint8Array>;
  /** @returns packed floors (floor-list.ts), one for each partition that was asked about */
  floors(ask: PeerFloors, options?: NodeCallOptions): Promise<Uint8Array>;
  /** Full keys of a partition in their order with their versions, as many as fit: a value that is there comes as an empty one, and damage is told. */
  versions(ask: PeerVersions, options?: NodeCallOptions): Promise<PeerPage>;
  /** @returns packed findings, as `StashNode.read` */
  fetch(ask: PeerFetch, options?: NodeCallOptions): Promise<Uint8Array>;
  /**
   * Applies versions that another replica holds: of each key the newest stays. Resolves when they are flushed.
   *
   * @throws {WaymarkError} `conflict` from a replica that still holds tombstones which this one has purged
   */
  mend(ask: PeerMend, options?: NodeCallOptions): Promise<void>;
  /**
   * Takes no writes of coordinators up to a stamp any more, from here on and over restarts.
   *
   * @returns the digest of what it holds then, as packed digests have it
   */
  seal(ask: PeerSeal, options?: NodeCallOptions): Promise<Uint8Array>;
  /** Deletes tombstones up to a stamp: all replicas were seen to hold them. @throws {WaymarkError} `conflict` where it has not sealed so far */
  purge(ask: PeerSeal, options?: NodeCallOptions): Promise<void>;
}

export interface PeerDigests {
  readonly epoch: number;
  /** A bit for each, as in `NodeScan`. */
  readonly partitions: Uint8Array;
  /** One number for 64 partitions, of those of them that are asked about. */
  readonly grouped: boolean;
}

export interface PeerFloors {
  readonly epoch: number;
  /** A bit for each, as in `NodeScan`. */
  readonly partitions: Uint8Array;
}

export interface PeerVersions {
  readonly epoch: number;
  readonly partition: number;
  /** Only full keys behind this one; empty: all. */
  readonly after: Uint8Array;
}

export interface PeerPage extends NodePage {
  /** Tombstones up to this stamp are gone there. */
  readonly purged: number;
}

export interface PeerFetch {
  readonly epoch: number;
  readonly partition: number;
  /** Packed full keys. */
  readonly keys: Uint8Array;
}

export interface PeerMend {
  readonly epoch: number;
  readonly partition: number;
  /** As in `PeerPage`, of who sends it. */
  readonly purged: number;
  /** Packed full keys with their versions. */
  readonly entries: Uint8Array;
}

export interface PeerSeal {
  readonly epoch: number;
  readonly partition: number;
  readonly upTo: number;
}
