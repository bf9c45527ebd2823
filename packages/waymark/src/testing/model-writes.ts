import type * as core from '../core/engine.js';
import { rangeContains } from '../core/ranges.js';

type Write = core.PutOperation | core.DeleteOperation;

/** Whether two operations that can run together write one key (K4): any pair of siblings, in either branch, at any depth. */
export function writesTwice(txn: core.Txn): boolean {
  return [txn.apply ?? [], txn.otherwise ?? []].some((branch) =>
    branch.some(
      (operation, n) =>
        (operation.type === 'txn' && writesTwice(operation.txn)) ||
        branch
          .slice(n + 1)
          .some((other) =>
            writesOf(operation).some((a) => writesOf(other).some((b) => clash(a, b))),
          ),
    ),
  );
}

function writesOf(operation: core.Operation): Write[] {
  if (operation.type === 'read') return [];
  if (operation.type !== 'txn') return [operation];
  return [...(operation.txn.apply ?? []), ...(operation.txn.otherwise ?? [])].flatMap(writesOf);
}

function clash(a: Write, b: Write): boolean {
  if (a.type === 'delete' && b.type === 'delete') return false;
  return a.type === 'delete'
    ? rangeContains(a, b.key)
    : b.type === 'delete'
      ? rangeContains(b, a.key)
      : a.key === b.key;
}
