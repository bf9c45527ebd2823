import type { ByteString, Check, KeyRange, Operation, PutOperation, Query, Txn } from './engine.js';
import { WaymarkError } from './errors.js';
import { validateLeaseId } from './lease-id.js';
import { limits, type LimitName, wideLimits } from './limits.js';
import { isByteString } from './bytes.js';
import { refuseDoubleWrites } from './double-writes.js';

/** Bad input gets a typed, clear error before any work (rule K6). Every engine calls these first. */

const orders = new Set(['key', 'create', 'mod', 'version', 'value']);

/** What a transaction adds up to, along its nesting. */
interface Tally {
  checks: number;
  operations: number;
  bytes: number;
  readonly valueBytesMax: number;
}

function newTally(valueBytesMax: number = limits.valueBytesMax): Tally {
  return { checks: 0, operations: 0, bytes: 0, valueBytesMax };
}

/** @param wide  as in CommitOptions. @throws {WaymarkError} `invalid`, `too_large` */
export function validateTxn(txn: Txn, wide?: boolean): void {
  const { checksMax, operationsMax, requestBytesMax, valueBytesMax } =
    wide === true ? wideLimits : limits;
  if (isOnePut(txn, valueBytesMax)) return;
  const tally = newTally(valueBytesMax);
  tallyTxn(txn, tally, 0);
  if (tally.checks > checksMax)
    throw tooLarge('checksMax', tally.checks, 'checks in one commit', checksMax);
  if (tally.operations > operationsMax)
    throw tooLarge('operationsMax', tally.operations, 'operations in one commit', operationsMax);
  if (tally.bytes > requestBytesMax)
    throw tooLarge('requestBytesMax', tally.bytes, 'bytes in one commit', requestBytesMax);
  refuseDoubleWrites(txn);
}

/**
 * The hottest transactions, one put with few checks, need no more sums: a key and a value within their limits are within the request's,
 * with this much to spare.
 */
const fewChecks = 4;
const fewBytes = 65_536;

function isOnePut({ when, apply, otherwise }: Txn, valueBytesMax: number): boolean {
  if (apply?.length !== 1 || otherwise !== undefined) return false;
  const [put] = apply;
  if (put?.type !== 'put') return false;
  if (when !== undefined && weightOf(when) > fewBytes) return false;
  validateKey(put.key);
  validateValue(put.value, valueBytesMax);
  validatePutLease(put);
  return true;
}

/** Bytes of a few checks, or of fixed ones; Infinity for more of them. */
function weightOf(checks: readonly Check[]): number {
  const known = fixed.get(checks);
  if (known !== undefined) return known.bytes;
  if (checks.length > fewChecks) return Infinity;
  const tally = newTally();
  tallyChecks(checks, tally);
  return tally.bytes;
}

/** @throws {WaymarkError} `invalid`, `too_large` */
export function validateQuery(query: Query): void {
  validateRange(query);
  if (query.orderBy !== undefined && !orders.has(query.orderBy))
    throw invalid(`there is no order by '${String(query.orderBy)}'`);
  validateWholeNumber('at', query.at);
  validateWholeNumber('limit', query.limit);
  validateWholeNumber('minModRevision', query.minModRevision);
  validateWholeNumber('maxModRevision', query.maxModRevision);
  validateWholeNumber('minCreateRevision', query.minCreateRevision);
  validateWholeNumber('maxCreateRevision', query.maxCreateRevision);
}

/** @throws {WaymarkError} `invalid`, `too_large` */
export function validateRanges(ranges: readonly KeyRange[]): void {
  if (ranges.length === 0) throw invalid('a watch needs at least one range');
  atMost('rangesMax', ranges.length, 'ranges of one watch');
  for (const range of ranges) validateRange(range);
}

/** @throws {WaymarkError} `invalid` for what is not whole milliseconds within the limits */
export function validateTtl(ttlMs: number): void {
  if (!Number.isInteger(ttlMs) || ttlMs < limits.ttlMsMin || ttlMs > limits.ttlMsMax) {
    const span = `${limits.ttlMsMin} to ${limits.ttlMsMax}`;
    throw invalid(`a TTL is a whole number of milliseconds from ${span}, not ${String(ttlMs)}`);
  }
}

/** @throws {WaymarkError} `invalid` for what is there and is not a revision */
export function validateRevision(name: string, revision: unknown): void {
  validateWholeNumber(name, revision);
}

export function validateRange(range: KeyRange): void {
  const { key, end } = range;
  if (end === undefined) return validateKey(key);
  validateKeyBytes(key);
  validateKeyBytes(end);
  if (end !== '' && end <= key) throw invalid('a range ends after its start: `end` is exclusive');
}

function validateKey(key: ByteString): void {
  if (key === '') throw invalid('a key is at least one byte long');
  validateKeyBytes(key);
}

function validateKeyBytes(key: ByteString): void {
  if (typeof key !== 'string') throw invalid(`a key is a byte string, not ${typeof key}`);
  if (key.length > limits.keyBytesMax) throw tooLarge('keyBytesMax', key.length, 'bytes of a key');
  if (!isByteString(key)) throw invalid('a key is a byte string: encode text to UTF-8 first');
}

function validateValue(value: ByteString, max: number): void {
  if (typeof value !== 'string') throw invalid(`a value is a byte string, not ${typeof value}`);
  if (value.length > max) throw tooLarge('valueBytesMax', value.length, 'bytes of a value', max);
  if (!isByteString(value)) throw invalid('a value is a byte string: encode text to UTF-8 first');
}

function validatePutLease({ lease, keepLease }: PutOperation): void {
  if (lease === undefined || lease === 0) return;
  validateLeaseId(lease);
  if (keepLease === true) throw invalid('a put takes a lease or keeps the one there is, not both');
}

const fixed = new WeakMap<readonly Check[], Tally>();

/**
 * Checks that are asked again and again: looked at here once, and believed by `validateTxn` when they come as the array that is
 * returned. Its checks are frozen; it is not, as frozen arrays are slow to walk, but nobody is given it to write to.
 *
 * @throws {WaymarkError} `invalid`, `too_large`
 */
export function fixedChecks(checks: readonly Check[]): readonly Check[] {
  const tally = newTally();
  for (const check of checks) tallyCheck(Object.freeze(check), tally);
  const own = [...checks];
  fixed.set(own, tally);
  return own;
}

/** Whether they came from `fixedChecks`: the same array is then the same checks for ever. */
export function areFixed(checks: readonly Check[]): boolean {
  return fixed.has(checks);
}

function tallyChecks(checks: readonly Check[], tally: Tally): void {
  const known = fixed.get(checks);
  if (known === undefined) {
    for (const check of checks) tallyCheck(check, tally);
    return;
  }
  tally.checks += known.checks;
  tally.bytes += known.bytes;
}

function tallyTxn(txn: Txn, tally: Tally, depth: number): void {
  if (depth > 0) atMost('nestingMax', depth, 'levels of nested transactions');
  const { when, apply, otherwise } = txn;
  if (when !== undefined) tallyChecks(when, tally);
  if (apply !== undefined) for (const operation of apply) tallyOperation(operation, tally, depth);
  if (otherwise !== undefined) {
    for (const operation of otherwise) tallyOperation(operation, tally, depth);
  }
}

function tallyCheck(check: Check, tally: Tally): void {
  validateRange(check);
  if (!isTarget(check.target)) throw invalid(`no check on '${String(check.target)}'`);
  if (!isComparison(check.is)) throw invalid(`no comparison '${String(check.is)}'`);
  if (check.target === 'value') {
    validateValue(check.to as ByteString, tally.valueBytesMax);
    tally.bytes += (check.to as ByteString).length;
  } else if (check.target === 'lease') {
    if (check.to !== 0) validateLeaseId(check.to);
  } else {
    validateWholeNumber(`a check on ${check.target}`, check.to);
  }
  tally.checks++;
  tally.bytes += check.key.length;
}

function isTarget(target: string): boolean {
  switch (target) {
    case 'version':
    case 'create':
    case 'mod':
    case 'lease':
    case 'value':
      return true;
    default:
      return false;
  }
}

function isComparison(is: string): boolean {
  return is === '=' || is === '!=' || is === '<' || is === '>';
}

/** A nested transaction counts as what it holds, and as one when it is empty. */
function tallyOperation(operation: Operation, tally: Tally, depth: number): void {
  if (operation.type !== 'txn' || isEmpty(operation.txn)) tally.operations++;
  switch (operation.type) {
    case 'put':
      validateKey(operation.key);
      validateValue(operation.value, tally.valueBytesMax);
      validatePutLease(operation);
      tally.bytes += operation.key.length + operation.value.length;
      return;
    case 'delete':
      validateRange(operation);
      tally.bytes += operation.key.length;
      return;
    case 'read':
      validateQuery(operation);
      tally.bytes += operation.key.length;
      return;
    case 'txn':
      return tallyTxn(operation.txn, tally, depth + 1);
    default:
      throw invalid(`no operation '${String((operation as { type: unknown }).type)}'`);
  }
}

function isEmpty(txn: Txn): boolean {
  return (txn.apply?.length ?? 0) + (txn.otherwise?.length ?? 0) === 0;
}

/** @throws {WaymarkError} `invalid` for what is there and is not a whole number from 0 */
export function validateWholeNumber(name: string, value: unknown): void {
  if (value === undefined) return;
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw invalid(`${name} takes a whole number from 0 to 2^53-1, not ${String(value)}`);
  }
}

function atMost(limit: LimitName, actual: number, what: string): void {
  if (actual > limits[limit]) throw tooLarge(limit, actual, what);
}

function tooLarge(
  limit: LimitName,
  actual: number,
  what: string,
  max: number = limits[limit],
): WaymarkError {
  const message = `${actual} ${what}: at most ${max} (${limit})`;
  return new WaymarkError('too_large', message, { limit, max, actual });
}

function invalid(message: string): WaymarkError {
  return new WaymarkError('invalid', message);
}
