import type { LeaseId, Operation, Txn } from 'waymark/engine';
import type { Caller } from './caller.js';

/** All that either branch could do, at every depth, and all that is asked first. @throws {WaymarkError} `denied`, `unauthenticated` */
export function permitTxn(caller: Caller, namespace: string, txn: Txn): void {
  const { when = [], apply = [], otherwise = [] } = txn;
  caller.authenticate({ action: 'write', namespace });
  caller.demandKeys('read', namespace, when);
  for (const operation of [...apply, ...otherwise]) permit(caller, namespace, operation);
}

/** Apart, so that the access matrix can leave it out and must notice. */
export const permits = { nested: permitTxn };

function permit(caller: Caller, namespace: string, operation: Operation): void {
  if (operation.type === 'txn') return permits.nested(caller, namespace, operation.txn);
  if (operation.type === 'read') return caller.demandKeys('read', namespace, [operation]);
  const range = { key: operation.key, end: 'end' in operation ? operation.end : undefined };
  caller.demandKeys('write', namespace, [range]);
  // What was there before is told, or decides whether there is an answer.
  const { previous, keepValue, keepLease } = operation as Partial<
    Extract<Operation, { type: 'put' }>
  >;
  if (previous === true || keepValue === true || keepLease === true) {
    caller.demandKeys('read', namespace, [range]);
  }
}

/** Leases that keys are attached to. */
export function leasesOf({ apply = [], otherwise = [] }: Txn): readonly LeaseId[] {
  const found = [...apply, ...otherwise].flatMap((operation) => {
    if (operation.type === 'txn') return leasesOf(operation.txn);
    if (operation.type !== 'put' || operation.lease === undefined || operation.lease === 0)
      return [];
    return [operation.lease];
  });
  return [...new Set(found)];
}
