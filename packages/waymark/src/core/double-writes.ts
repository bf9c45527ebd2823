import type { ByteString, KeyRange, Operation, Txn } from './engine.js';
import { WaymarkError } from './errors.js';
import { rangeContains } from './ranges.js';

interface Writes {
  readonly puts: readonly ByteString[];
  readonly deletes: readonly KeyRange[];
}

/** Up to so many operations are compared in pairs: a few comparisons cost less than a set. */
const pairsMax = 16;

/**
 * A key is written at most once by what can run together (K4): no two puts of it, no put within a deleted range.
 * The two branches of one transaction exclude each other and may write the same keys.
 */
export function refuseDoubleWrites({ apply, otherwise }: Txn): void {
  if (apply !== undefined) refuseDoubleWritesIn(apply);
  if (otherwise !== undefined) refuseDoubleWritesIn(otherwise);
}

function refuseDoubleWritesIn(branch: readonly Operation[]): void {
  if (branch.length > pairsMax || branch.some(writesMany)) {
    branchWrites(branch);
    return;
  }
  for (let i = 1; i < branch.length; i++) {
    const key = keyWritten(branch[i]);
    if (key === undefined) continue;
    for (let j = 0; j < i; j++) {
      const bothDelete = branch[i]?.type === 'delete' && branch[j]?.type === 'delete';
      if (!bothDelete && keyWritten(branch[j]) === key) throw doubleWrite();
    }
  }
}

function writesMany(operation: Operation): boolean {
  return operation.type === 'txn' || (operation.type === 'delete' && operation.end !== undefined);
}

function keyWritten(operation: Operation | undefined): ByteString | undefined {
  return operation?.type === 'put' || operation?.type === 'delete' ? operation.key : undefined;
}

function writesOf(txn: Txn): Writes {
  const applied = branchWrites(txn.apply ?? []);
  const other = branchWrites(txn.otherwise ?? []);
  return {
    puts: [...applied.puts, ...other.puts],
    deletes: [...applied.deletes, ...other.deletes],
  };
}

function branchWrites(branch: readonly Operation[]): Writes {
  const puts = new Set<ByteString>();
  const deletes: KeyRange[] = [];
  for (const operation of branch) {
    const writes = operationWrites(operation);
    for (const range of writes.deletes) {
      for (const key of puts) if (rangeContains(range, key)) throw doubleWrite();
    }
    for (const key of writes.puts) {
      if (puts.has(key) || deletes.some((range) => rangeContains(range, key))) throw doubleWrite();
    }
    for (const key of writes.puts) puts.add(key);
    deletes.push(...writes.deletes);
  }
  return { puts: [...puts], deletes };
}

function operationWrites(operation: Operation): Writes {
  if (operation.type === 'put') return { puts: [operation.key], deletes: [] };
  if (operation.type === 'delete') return { puts: [], deletes: [operation] };
  if (operation.type === 'txn') return writesOf(operation.txn);
  return { puts: [], deletes: [] };
}

function doubleWrite(): WaymarkError {
  return new WaymarkError(
    'invalid',
    'a commit writes a key at most once: it is put twice, or put and deleted',
  );
}
