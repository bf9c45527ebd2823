import type { LeaseId, Revision } from '../core/engine.js';
import type { Explanation } from '../core/host.js';
import type { Call, Hold, HoldCall } from './types.js';

/** Who leads, and what it proclaims. */
export interface Leader<T> {
  readonly owner: string;
  /** Grows with every leader of the election: pass it to what the leader touches. */
  readonly term: number;
  /** What it proclaimed; null as long as it has not. */
  readonly value: T | null;
  /** The revision of its last proclamation, or of its election. */
  readonly revision: Revision;
  readonly lease: LeaseId;
}

/** Leadership while it lasts; its token is the term's number. Releasing it resigns. */
export interface Term<T> extends Hold {
  /** Tells those who observe. @throws {WaymarkError} `lost` when another leads by now */
  proclaim(value: T, call?: Call): Promise<void>;
}

export interface CampaignCall<T> extends HoldCall {
  /** Proclaimed with the election itself. */
  readonly value?: T | undefined;
}

export interface LeaderCall extends Call {
  /** Who led then, as far as history reaches. */
  readonly at?: Revision | undefined;
}

/** One leader at a time, candidates served in the order in which they came. */
export interface Election<T = unknown> {
  readonly path: string;
  /** Waits to be elected. @throws {WaymarkError} `timeout`, `lost`, `conflict` when this space leads or stands already */
  campaign(call?: CampaignCall<T>): Promise<Term<T>>;
  /** @returns null when somebody leads, or stands before */
  tryCampaign(call?: CampaignCall<T>): Promise<Term<T> | null>;
  /** Whether this very object's term stands, by the local clock: no call, and no promise about the next moment. */
  isLeader(): boolean;
  leader(call?: LeaderCall): Promise<Leader<T> | null>;
  /**
   * The leader as it is, then every change: a new leader, a proclamation, and null while there is none. Where history was compacted
   * before it was told, it goes on with the leader as it is then. Ends by being left, or throws the signal's reason.
   */
  observe(call?: Call): AsyncIterableIterator<Leader<T> | null>;
  explain(call?: Call): Promise<Explanation>;
}
