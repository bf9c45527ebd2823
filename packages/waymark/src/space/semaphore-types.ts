import type { WaitStep } from '../core/host.js';
import type { LeaseId, Revision } from '../core/engine.js';
import type { Call, Hold, HoldCall } from './types.js';

export interface SemaphoreOptions {
  /**
   * How much may be held at once: a whole number, 1 to 10 000. The first request stores it, and another limit later is `limit_mismatch`.
   * Absent: the stored one counts.
   */
  readonly limit?: number | undefined;
}

export interface PermitCall extends HoldCall {
  /** How much of the limit it takes: a whole number, 1 to the limit. Default 1. */
  readonly weight?: number | undefined;
}

/** A share of a semaphore while it lasts. */
export interface Permit extends Hold {
  readonly weight: number;
}

/** Who holds permits, or waits for them. */
export interface PermitParty {
  readonly owner: string;
  readonly weight: number;
  /** The revision it has been held, or queued, since. */
  readonly since: Revision;
  /** Holders only. */
  readonly token?: number;
  readonly lease: LeaseId;
}

export interface SemaphoreStatus {
  readonly path: string;
  readonly revision: Revision;
  readonly limit: number;
  /** Held by now; after a resize it may be more than the limit. */
  readonly used: number;
  /** Requests that hold. */
  readonly holding: number;
  /** Requests that wait. */
  readonly waiting: number;
}

export interface SemaphoreExplanation extends SemaphoreStatus {
  /** In the order in which they came; the first 1 000. */
  readonly holders: readonly PermitParty[];
  /** In the order in which they will be served; the first 1 000. */
  readonly waiters: readonly PermitParty[];
  /** Those who wait for each other, as that of a lock's explanation. */
  readonly cycle: readonly WaitStep[];
  /** One sentence for people: what is in use, by whom, and whether a request would wait. */
  readonly summary: string;
}

/** As many at once as its limit allows, each with its weight; served in the order in which they came, so a large request is not starved. */
export interface Semaphore {
  readonly path: string;
  /**
   * Waits until the request fits beside all that came before it. A process may hold as many permits as it likes.
   *
   * @throws {WaymarkError} `timeout`, `lost`; `limit_mismatch` when it has another limit; `invalid` for a weight above the limit, also when a
   * resize made it so while it waited; `not_found` when there is no limit yet; `overloaded` with 10 000 holders and waiters
   */
  acquire(call?: PermitCall): Promise<Permit>;
  /** @returns null when it does not fit now, or somebody waits */
  tryAcquire(call?: PermitCall): Promise<Permit | null>;
  /**
   * Changes the stored limit. Below what is in use nobody loses a permit; nobody new enters until it fits.
   *
   * @throws {WaymarkError} `not_found` when there is no limit yet
   */
  resize(limit: number, call?: Call): Promise<void>;
  /** The first 1 000, in the order in which they came; empty where there is no semaphore. */
  holders(call?: Call): Promise<readonly PermitParty[]>;
  /** @returns null where there is no semaphore */
  status(call?: Call): Promise<SemaphoreStatus | null>;
  /** Who holds, who waits, since when, and why a request of this weight would wait. @throws {WaymarkError} `not_found` */
  explain(call?: Call & { readonly weight?: number | undefined }): Promise<SemaphoreExplanation>;
  /** Forgets the limit. @returns false when there was none @throws {WaymarkError} `conflict` while somebody holds or waits */
  remove(call?: Call): Promise<boolean>;
}
