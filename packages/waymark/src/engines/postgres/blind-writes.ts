import type {
  ByteString,
  DeleteOperation,
  Entry,
  OperationResult,
  Outcome,
  PutOperation,
  Revision,
  Txn,
} from '../../core/engine.js';
import { bytesToText } from '../../core/bytes.js';
import type { Statement } from './database.js';
import { refuseOther } from './facts.js';
import { bytesArray, plainArray, readEntry, type Row } from './values.js';

/** A commit that is one write of one key and depends on nothing. */
export type BlindWrite = PutOperation | DeleteOperation;

/** The writes of a group, if that is all it is: each of another key, as none sees what those before it have left. */
export function blindWritesOf(txns: readonly Txn[]): BlindWrite[] | null {
  const writes: BlindWrite[] = [];
  const keys = new Set<ByteString>();
  for (const txn of txns) {
    const write = blindWriteOf(txn);
    if (write === null || keys.has(write.key)) return null;
    writes.push(write);
    keys.add(write.key);
  }
  return writes;
}

/**
 * The write that makes up the commit; null when what it does depends on what is there: checks, leases, reads, ranges, several
 * operations.
 */
function blindWriteOf({ when, apply }: Txn): BlindWrite | null {
  if ((when?.length ?? 0) > 0 || apply?.length !== 1) return null;
  const [operation] = apply;
  if (operation?.type === 'delete') return operation.end === undefined ? operation : null;
  if (operation?.type !== 'put') return null;
  const { lease = 0, keepValue = false, keepLease = false } = operation;
  return lease === 0 && !keepValue && !keepLease ? operation : null;
}

/** A group of writes, each of another key, as one statement: see blind-sql.ts. */
export function blindStatement(
  s: string,
  identity: string,
  writes: readonly BlindWrite[],
): Statement {
  const keys = writes.map(({ key }) => key);
  const values = writes.map((write) => (write.type === 'put' ? write.value : null));
  const asked = writes.some(asks)
    ? writes.map((write) => (asks(write) ? write.previous === true : null))
    : [];
  return {
    text: `select * from ${s}.write_blind($1, $2, $3, $4)`,
    values: [identity, bytesArray(keys), bytesArray(values), plainArray(asked)],
  };
}

/** @throws {WaymarkError} `superseded`, and then nothing was written */
export function blindOutcomes(
  rows: readonly Row[],
  writes: readonly BlindWrite[],
  identity: string,
): Outcome[] {
  const [meta, ...found] = rows as [Row, ...Row[]];
  refuseOther(bytesToText(meta[1] as string), identity);
  const there = new Map<ByteString, Entry>();
  for (const row of found) there.set(row[1] as ByteString, readEntry(row, 1));
  let revision = meta[3] as Revision;
  return writes.map((write) => {
    const entry = there.get(write.key);
    if (write.type === 'put' || entry !== undefined) revision++;
    return { revision, succeeded: true, results: [resultOf(write, entry)] };
  });
}

/** Whether the answer tells what was there. */
function asks(write: BlindWrite): boolean {
  return write.type === 'delete' || write.previous === true;
}

function resultOf({ type, previous }: BlindWrite, entry: Entry | undefined): OperationResult {
  if (type === 'put') {
    return previous === true ? { type, previous: entry ?? null } : { type };
  }
  const removed = entry === undefined ? [] : [entry];
  const deleted = removed.length;
  return previous === true ? { type, deleted, previous: removed } : { type, deleted };
}
