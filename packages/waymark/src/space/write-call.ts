import type { LeaseId, Outcome } from '../core/engine.js';
import type { HoldProof } from '../core/host.js';
import { WaymarkError } from '../core/errors.js';
import { validateLeaseId } from '../core/lease-id.js';
import type * as types from './types.js';

export function conflict(
  path: string,
  { ifRevision }: types.WriteCall,
  outcome: Outcome,
): WaymarkError {
  const wanted = ifRevision === 0 ? 'exists already' : `is not at revision ${ifRevision}`;
  const facts = { path, revision: outcome.revision };
  return new WaymarkError('conflict', `${path} ${wanted}: read it again`, facts);
}

/** The facts of a hold alone, whatever else the object is. */
export function proof(hold: HoldProof): HoldProof {
  const { path, token, tree, mode } = hold;
  return { path, token, tree, mode };
}

export function leaseOf(lease: types.PutCall['lease']): LeaseId | undefined {
  const id = typeof lease === 'object' ? lease.id : lease;
  if (id !== undefined && id !== 0) validateLeaseId(id);
  return id;
}

export function deletedBy(outcome: Outcome): { deleted: number; revision: number } {
  let deleted = 0;
  for (const result of outcome.results) if (result.type === 'delete') deleted += result.deleted;
  return { deleted, revision: outcome.revision };
}
