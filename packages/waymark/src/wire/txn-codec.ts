import type {
  Check,
  CheckTarget,
  Comparison,
  LeaseId,
  Operation,
  OperationResult,
  Outcome,
  Txn,
} from '../core/engine.js';
import { foundBytes } from '../core/bytes.js';
import {
  entryBytesMin,
  hasEnd,
  pick,
  readEntry,
  readList,
  readQuery,
  readReading,
  readSome,
  writeEntry,
  writeQuery,
  writeReading,
} from './query-codec.js';
import { malformed, type Reader } from './reader.js';
import type { Writer } from './writer.js';

/** How transactions and their outcomes lie on the wire. Numbers in these lists are their positions: append only. */

const targets: readonly CheckTarget[] = ['version', 'create', 'mod', 'lease', 'value'];
const comparisons: readonly Comparison[] = ['=', '!=', '<', '>'];

/** Deeper is refused by decoding; the limit on nesting itself is the engine's to judge. */
const nestingMax = 32;

export function writeTxn(w: Writer, txn: Txn): void {
  const { when, apply, otherwise } = txn;
  w.uint(when === undefined ? 0 : when.length);
  if (when !== undefined) for (const check of when) writeCheck(w, check);
  writeOperations(w, apply);
  writeOperations(w, otherwise);
}

export function readTxn(r: Reader, depth = 0): Txn {
  if (depth > nestingMax) throw malformed('transactions are nested too deep');
  const when = readSome(r, 3, readCheck);
  const apply = readOperations(r, depth);
  const otherwise = readOperations(r, depth);
  return { when, apply, otherwise };
}

function writeCheck(w: Writer, check: Check): void {
  const target = targets.indexOf(check.target);
  const bits = (target << 1) | (comparisons.indexOf(check.is) << 4);
  w.byte(bits | (check.end === undefined ? 0 : hasEnd));
  w.bytes(check.key);
  if (check.end !== undefined) w.bytes(check.end);
  if (check.target === 'lease') w.leaseId(check.to as LeaseId);
  else if (typeof check.to === 'string') w.bytes(check.to);
  else w.uint(check.to);
}

function readCheck(r: Reader): Check {
  const bits = r.byte();
  const target = pick(targets, (bits >> 1) & 7);
  const is = pick(comparisons, bits >> 4);
  const key = r.bytes();
  const end = (bits & hasEnd) === 0 ? undefined : r.bytes();
  const to = target === 'value' ? r.bytes() : target === 'lease' ? r.leaseId() : r.uint();
  return end === undefined ? { key, target, is, to } : { key, end, target, is, to };
}

const types = { put: 0, delete: 1, read: 2, txn: 3 } as const;
/** Flags of an operation, above its type. */
const wantsPrevious = 4;
const operationEnd = 8;
const hasLease = 8;
const keepValue = 16;
const keepLease = 32;

function writeOperations(w: Writer, operations: readonly Operation[] | undefined): void {
  if (operations === undefined) return w.byte(0);
  w.uint(operations.length);
  for (const operation of operations) writeOperation(w, operation);
}

function readOperations(r: Reader, depth: number): Operation[] | undefined {
  const count = r.count(2);
  if (count === 0) return undefined;
  // Begun with its first: most have one, and an array begun empty makes room for many.
  const operations = [readOperation(r, depth)];
  for (let i = 1; i < count; i++) operations.push(readOperation(r, depth));
  return operations;
}

function writeOperation(w: Writer, operation: Operation): void {
  switch (operation.type) {
    case 'put': {
      const { lease } = operation;
      let bits: number = types.put;
      if (operation.previous === true) bits |= wantsPrevious;
      if (lease !== undefined && lease !== 0) bits |= hasLease;
      if (operation.keepValue === true) bits |= keepValue;
      if (operation.keepLease === true) bits |= keepLease;
      w.byte(bits);
      w.bytes(operation.key);
      w.bytes(operation.value);
      if (lease !== undefined && lease !== 0) w.leaseId(lease);
      return;
    }
    case 'delete': {
      const { end } = operation;
      const previous = operation.previous === true ? wantsPrevious : 0;
      w.byte(types.delete | previous | (end === undefined ? 0 : operationEnd));
      w.bytes(operation.key);
      if (end !== undefined) w.bytes(end);
      return;
    }
    case 'read':
      w.byte(types.read);
      return writeQuery(w, operation);
    case 'txn':
      w.byte(types.txn);
      return writeTxn(w, operation.txn);
  }
}

function readOperation(r: Reader, depth: number): Operation {
  const bits = r.byte();
  switch (bits & 3) {
    case types.put:
      return readPut(r, bits);
    case types.delete: {
      const key = r.bytes();
      const end = (bits & operationEnd) === 0 ? undefined : r.bytes();
      return { type: 'delete', key, end, previous: (bits & wantsPrevious) !== 0 };
    }
    case types.read:
      return { type: 'read', ...readQuery(r) };
    default:
      return { type: 'txn', txn: readTxn(r, depth + 1) };
  }
}

function readPut(r: Reader, bits: number): Operation {
  const key = r.bytes();
  const value = r.bytes();
  // Both are looked at next, and by several.
  foundBytes(key);
  foundBytes(value);
  if (bits === types.put) return { type: 'put', key, value };
  const lease = (bits & hasLease) === 0 ? undefined : r.leaseId();
  return {
    type: 'put',
    key,
    value,
    lease,
    previous: (bits & wantsPrevious) !== 0,
    keepValue: (bits & keepValue) !== 0,
    keepLease: (bits & keepLease) !== 0,
  };
}

/** Previous entries of a result: none asked for, none there, or what there was. */
export const none = 0;
export const absent = 4;
export const present = 8;
const succeededBit = 4;

export function writeOutcome(w: Writer, outcome: Outcome): void {
  w.uint(outcome.revision);
  w.bool(outcome.succeeded);
  writeResults(w, outcome.results);
}

export function readOutcome(r: Reader): Outcome {
  const revision = r.uint();
  const succeeded = r.bool();
  return { revision, succeeded, results: readResults(r, 0) };
}

function writeResults(w: Writer, results: readonly OperationResult[]): void {
  w.uint(results.length);
  for (const result of results) writeResult(w, result);
}

function readResults(r: Reader, depth: number): OperationResult[] {
  if (depth > nestingMax) throw malformed('results are nested too deep');
  const count = r.count();
  if (count === 0) return [];
  const results = [readResult(r, depth)];
  for (let i = 1; i < count; i++) results.push(readResult(r, depth));
  return results;
}

function writeResult(w: Writer, result: OperationResult): void {
  switch (result.type) {
    case 'put': {
      const { previous } = result;
      w.byte(types.put | (previous === undefined ? none : previous === null ? absent : present));
      if (previous !== undefined && previous !== null) writeEntry(w, previous);
      return;
    }
    case 'delete': {
      const { previous } = result;
      w.byte(types.delete | (previous === undefined ? none : present));
      w.uint(result.deleted);
      if (previous === undefined) return;
      w.uint(previous.length);
      for (const entry of previous) writeEntry(w, entry);
      return;
    }
    case 'read':
      w.byte(types.read);
      return writeReading(w, result.reading);
    case 'txn':
      w.byte(types.txn | (result.succeeded ? succeededBit : 0));
      return writeResults(w, result.results);
  }
}

const plainPut: OperationResult = Object.freeze({ type: 'put' });

function readResult(r: Reader, depth: number): OperationResult {
  const bits = r.byte();
  switch (bits & 3) {
    case types.put:
      if (bits === types.put) return plainPut;
      return { type: 'put', previous: (bits & present) === 0 ? null : readEntry(r) };
    case types.delete: {
      const deleted = r.uint();
      if ((bits & present) === 0) return { type: 'delete', deleted };
      return { type: 'delete', deleted, previous: readList(r, entryBytesMin, readEntry) };
    }
    case types.read:
      return { type: 'read', reading: readReading(r) };
    default: {
      const succeeded = (bits & succeededBit) !== 0;
      return { type: 'txn', succeeded, results: readResults(r, depth + 1) };
    }
  }
}
