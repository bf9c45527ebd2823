import { arrayToBytes } from '../../core/bytes.js';
import type { LeaseId, Operation, ReadOperation, Revision, Txn } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import type { RangeResponse, TxnResponse } from './gen/etcd_pb.js';

/** What answers of etcd tell, and refusals with what belongs to them. */

export function rangesOf({ responses }: TxnResponse): RangeResponse[] {
  return responses.flatMap(({ response }) =>
    response.case === 'responseRange' ? [response.value] : [],
  );
}

/** Where history begins, as the root has it. */
export function floorOf(answer: RangeResponse | undefined): Revision {
  const kv = answer?.kvs[0];
  return kv === undefined ? 0 : Number(arrayToBytes(kv.value));
}

/** Progress that a client asks for is told ahead of events before etcd 3.4.25 and 3.5.8 (etcd issue 15220). */
export function soundProgress(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => parseInt(part, 10));
  if (major !== 3) return major > 3;
  if (minor < 5) return minor === 4 && patch >= 25;
  return minor > 5 || patch >= 8;
}

export function futureRevision(asked: Revision, revision: Revision): WaymarkError {
  const text = `revision ${asked} is above the present, ${revision}`;
  return new WaymarkError('future_revision', text, { revision });
}

export function compactedAt(compacted: Revision): WaymarkError {
  const text = `history below revision ${compacted} was compacted`;
  return new WaymarkError('compacted', text, { compacted });
}

export function leaseNotFound(lease: LeaseId): WaymarkError {
  return new WaymarkError('not_found', `there is no lease ${lease}: it has ended, or never was`, {
    lease,
  });
}

export function readsOf(txn: Txn): ReadOperation[] {
  return operationsOf(txn).filter((operation) => operation.type === 'read');
}

/** Whether a branch reads the past. */
export function readsPast({ apply, otherwise }: Txn): boolean {
  return readsPastIn(apply) || readsPastIn(otherwise);
}

function readsPastIn(branch: readonly Operation[] = []): boolean {
  for (const operation of branch) {
    if (operation.type === 'read' && operation.at !== undefined) return true;
    if (operation.type === 'txn' && readsPast(operation.txn)) return true;
  }
  return false;
}

/** The same checks, and of the operations those reads alone. @param keep  is asked in the order of `readsOf` */
export function onlyReads(txn: Txn, keep: (read: ReadOperation) => boolean): Txn {
  const readsIn = (branch: readonly Operation[] = []): Operation[] =>
    branch.flatMap((operation): Operation[] => {
      if (operation.type === 'txn') return [{ type: 'txn', txn: onlyReads(operation.txn, keep) }];
      return operation.type === 'read' && keep(operation) ? [operation] : [];
    });
  return { when: txn.when, apply: readsIn(txn.apply), otherwise: readsIn(txn.otherwise) };
}

/** The leases that it attaches keys to. */
export function leasesOf(txn: Txn): Set<LeaseId> {
  const leases = operationsOf(txn).map((operation) =>
    operation.type === 'put' ? (operation.lease ?? 0) : 0,
  );
  return new Set(leases.filter((id) => id !== 0));
}

function operationsOf({ apply = [], otherwise = [] }: Txn): Operation[] {
  return [...apply, ...otherwise].flatMap((operation) =>
    operation.type === 'txn' ? operationsOf(operation.txn) : [operation],
  );
}
