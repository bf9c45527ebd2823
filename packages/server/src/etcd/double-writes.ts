import type { DeleteRangeRequest, RequestOp, TxnRequest } from 'waymark/etcd';
import { arrayToBytes, type ByteString } from 'waymark/engine';
import { etcdError } from './errors.js';

/** What the operations of one list write, nested ones too. */
interface Writes {
  readonly puts: Set<ByteString>;
  readonly deletes: Deleted[];
}

interface Deleted {
  readonly key: ByteString;
  readonly end: ByteString;
}

/**
 * etcd's rule for transactions that write a key twice, by its letter (its server's checkIntervals): what is deleted at a level is known
 * before what is put there and below; what a nested transaction deletes counts for what comes after it.
 * The engine's own rule is stricter: see docs/reference/etcd.md.
 *
 * @throws {GrpcError} `duplicate key given in txn request`
 */
export function refuseDoubleWrites({ success, failure }: TxnRequest): void {
  writesOf(success);
  writesOf(failure);
}

function writesOf(operations: readonly RequestOp[]): Writes {
  const writes: Writes = { puts: new Set(), deletes: [] };
  for (const { request } of operations) {
    if (request.case === 'requestDeleteRange') writes.deletes.push(deletedBy(request.value));
  }
  for (const { request } of operations) {
    if (request.case === 'requestTxn') addNested(writes, request.value);
  }
  for (const { request } of operations) {
    if (request.case === 'requestPut') addPut(writes, arrayToBytes(request.value.key));
  }
  return writes;
}

/** The same key may be put by both branches: one of them runs. */
function addNested(writes: Writes, { success, failure }: TxnRequest): void {
  const then = writesOf(success);
  const otherwise = writesOf(failure);
  for (const key of then.puts) addPut(writes, key);
  for (const key of otherwise.puts) {
    if (then.puts.has(key)) writes.puts.delete(key);
    addPut(writes, key);
  }
  writes.deletes.push(...then.deletes, ...otherwise.deletes);
}

function addPut({ puts, deletes }: Writes, key: ByteString): void {
  const deleted = deletes.some((range) =>
    range.end === '' ? key === range.key : key >= range.key && key < range.end,
  );
  if (deleted || puts.has(key)) throw etcdError('duplicateKey');
  puts.add(key);
}

function deletedBy({ key, rangeEnd }: DeleteRangeRequest): Deleted {
  return { key: arrayToBytes(key), end: arrayToBytes(rangeEnd) };
}
