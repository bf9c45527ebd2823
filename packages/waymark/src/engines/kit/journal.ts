import type { Change, LeaseId, Revision } from '../../core/engine.js';

export interface CommitRecord {
  readonly type: 'commit';
  readonly revision: Revision;
  readonly changes: readonly Change[];
}

/**
 * Every change of a keyspace's state, in order: what a durable engine writes down, and what brings the state back when it
 * is replayed. Renewals are not among them: after a restart each lease has its whole TTL again (K10).
 */
export type JournalRecord =
  | CommitRecord
  | { readonly type: 'grant'; readonly id: LeaseId; readonly ttlMs: number }
  /** A lease ended; its keys, if any, went by the commit before. */
  | { readonly type: 'end'; readonly id: LeaseId }
  | { readonly type: 'compact'; readonly through: Revision };
