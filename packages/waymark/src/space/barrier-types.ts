import type { LeaseId, Revision } from '../core/engine.js';
import type { Call, Hold, HoldCall } from './types.js';

export interface BarrierOptions {
  /** How many must come, 1 to 100: the same for all who use it at one time (`limit_mismatch`). */
  readonly parties: number;
}

/** Somebody who has come. */
export interface BarrierParty {
  readonly owner: string;
  /** The revision at which it came. */
  readonly since: Revision;
  readonly lease: LeaseId;
}

export interface BarrierStatus {
  readonly parties: number;
  /** How often it has passed. */
  readonly generation: number;
  /** Who waits, in the order in which they came. */
  readonly waiting: readonly BarrierParty[];
  /** Double: who has entered and not left. */
  readonly inside: readonly BarrierParty[];
  /** How many must come yet. */
  readonly missing: number;
  readonly revision: Revision;
}

/** Passes when so many have come; then the next generation begins. */
export interface Barrier {
  readonly path: string;
  /**
   * Comes, and resolves when as many as are needed have come. The place goes with its lease: a dead party is not counted.
   *
   * @returns the generation that passed, 1 for the first
   * @throws {WaymarkError} `timeout` after `waitMs`, and then it was not counted; `lost` when the lease ended; `limit_mismatch`
   */
  wait(call?: HoldCall): Promise<number>;
  status(call?: Call): Promise<BarrierStatus>;
}

/** A place inside a double barrier. Releasing it leaves without waiting for the others. */
export interface Inside extends Hold {
  readonly generation: number;
  /**
   * Leaves, and resolves when all have left, or their leases have ended.
   *
   * @throws {WaymarkError} `timeout` after `waitMs`: it has left, others have not; `lost` when the place was gone before
   */
  leave(call?: Call & { readonly waitMs?: number | undefined }): Promise<void>;
}

/** All enter before any works, all leave before any goes on; the next generation enters when the last has left. */
export interface DoubleBarrier {
  readonly path: string;
  /** @throws {WaymarkError} as `Barrier.wait` */
  enter(call?: HoldCall): Promise<Inside>;
  status(call?: Call): Promise<BarrierStatus>;
}
