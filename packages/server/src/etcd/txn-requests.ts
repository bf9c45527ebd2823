import {
  type Compare,
  compareResult,
  compareTarget,
  type DeleteRangeRequest,
  type PutRequest,
  type RangeRequest,
  type RequestOp,
  sortOrder,
  sortTarget,
  type TxnRequest,
} from 'waymark/etcd';
import {
  arrayToBytes,
  type Check,
  type CheckTarget,
  type Comparison,
  type DeleteOperation,
  type Operation,
  type OrderBy,
  type PutOperation,
  type Query,
  toLeaseId,
  type Txn,
} from 'waymark/engine';
import { refuseDoubleWrites } from './double-writes.js';
import { clamped } from './entries.js';
import { etcdError } from './errors.js';
import { comparedRangeOf, keyOf, never, rangeOf } from './key-area.js';

/** etcd's requests as the engine's. What etcd refuses by looking at the request alone is refused here, in its words. */

/** Operations of one list of a transaction, and of the longest lists down its nesting: as etcd counts them. */
const opsMax = 128;

const orders: ReadonlyMap<number, OrderBy> = new Map([
  [sortTarget.key, 'key'],
  [sortTarget.version, 'version'],
  [sortTarget.create, 'create'],
  [sortTarget.mod, 'mod'],
  [sortTarget.value, 'value'],
]);

export function queryOf(request: RangeRequest): Query {
  const orderBy = orders.get(request.sortTarget);
  if (orderBy === undefined || request.sortOrder < 0 || request.sortOrder > sortOrder.descend) {
    throw etcdError('invalidSortOption');
  }
  // Zero is no bound, and below it nothing lies.
  const impossible = request.maxModRevision < 0n || request.maxCreateRevision < 0n;
  return {
    ...comparedRangeOf(request.key, request.rangeEnd),
    at: positive(request.revision),
    limit: positive(request.limit),
    orderBy,
    descending: request.sortOrder === sortOrder.descend,
    keysOnly: request.keysOnly,
    countOnly: request.countOnly,
    minModRevision: impossible ? Number.MAX_SAFE_INTEGER : positive(request.minModRevision),
    maxModRevision: positive(request.maxModRevision),
    minCreateRevision: positive(request.minCreateRevision),
    maxCreateRevision: positive(request.maxCreateRevision),
  };
}

export function putOf(request: PutRequest): PutOperation {
  const { value, lease, ignoreValue, ignoreLease } = request;
  const key = keyOf(request.key);
  if (ignoreValue && value.length > 0) throw etcdError('valueProvided');
  if (ignoreLease && lease !== 0n) throw etcdError('leaseProvided');
  return {
    type: 'put',
    key,
    value: arrayToBytes(value),
    lease: toLeaseId(lease),
    previous: request.prevKv,
    keepValue: ignoreValue,
    keepLease: ignoreLease,
  };
}

/** @returns null: there is nothing in the range */
export function deleteOf(request: DeleteRangeRequest): DeleteOperation | null {
  const range = rangeOf(request.key, request.rangeEnd);
  return range && { type: 'delete', ...range, previous: request.prevKv };
}

/** @param compacted  whether history ever was: etcd then refuses reads below revision 0, and else takes them for reads of the present */
export function txnOf(request: TxnRequest, compacted: boolean): Txn {
  checkTxn(request, opsMax);
  refuseDoubleWrites(request);
  return toTxn(request, compacted);
}

function toTxn({ compare, success, failure }: TxnRequest, compacted: boolean): Txn {
  const operation = (op: RequestOp): Operation => operationOf(op, compacted);
  return {
    when: compare.map(checkOf),
    apply: success.map(operation),
    otherwise: failure.map(operation),
  };
}

/** Whether it reads somewhere below revision 0: what etcd makes of that depends on its history. */
export function readsBelowZero({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].some(({ request }) => {
    if (request.case === 'requestTxn') return readsBelowZero(request.value);
    return request.case === 'requestRange' && request.value.revision < 0n;
  });
}

/** In etcd's order: sums, keys, and then each operation. @param allowed  operations of its longest list; a nested one may have what that leaves */
function checkTxn({ compare, success, failure }: TxnRequest, allowed: number): void {
  const most = Math.max(compare.length, success.length, failure.length);
  if (most > allowed) throw etcdError('tooManyOps');
  for (const { key } of compare) if (key.length === 0) throw etcdError('emptyKey');
  for (const { request } of [...success, ...failure]) {
    if (request.case === 'requestRange') queryOf(request.value);
    else if (request.case === 'requestPut') putOf(request.value);
    else if (request.case === 'requestDeleteRange') deleteOf(request.value);
    else if (request.case === 'requestTxn') checkTxn(request.value, allowed - most);
    else throw etcdError('keyNotFound');
  }
}

function operationOf({ request }: RequestOp, compacted: boolean): Operation {
  if (request.case === 'requestRange') {
    const query = queryOf(request.value);
    // Revision 0 is always below what was compacted.
    return { type: 'read', ...query, ...(compacted && request.value.revision < 0n && { at: 0 }) };
  }
  if (request.case === 'requestPut') return putOf(request.value);
  if (request.case === 'requestTxn') return { type: 'txn', txn: toTxn(request.value, compacted) };
  if (request.case !== 'requestDeleteRange') throw etcdError('keyNotFound');
  return deleteOf(request.value) ?? { type: 'read', ...never };
}

const targets: ReadonlyMap<number, CheckTarget> = new Map([
  [compareTarget.version, 'version'],
  [compareTarget.create, 'create'],
  [compareTarget.mod, 'mod'],
  [compareTarget.value, 'value'],
  [compareTarget.lease, 'lease'],
]);

const comparisons: ReadonlyMap<number, Comparison> = new Map([
  [compareResult.equal, '='],
  [compareResult.greater, '>'],
  [compareResult.less, '<'],
  [compareResult.notEqual, '!='],
]);

/** What etcd does not know of holds, as there. */
function checkOf(compare: Compare): Check {
  const range = comparedRangeOf(compare.key, compare.rangeEnd);
  const target = targets.get(compare.target);
  const is = comparisons.get(compare.result);
  if (target === undefined || is === undefined)
    return { ...never, target: 'version', is: '=', to: 0 };
  const { targetUnion } = compare;
  const given = targetUnion.case === unions[target] ? targetUnion.value : undefined;
  if (target === 'value')
    return { ...range, target, is, to: arrayToBytes((given ?? none) as Uint8Array) };
  if (target === 'lease') return { ...range, target, is, to: toLeaseId((given ?? 0n) as bigint) };
  return { ...range, target, ...comparedTo(is, clamped((given ?? 0n) as bigint)) };
}

const none = new Uint8Array(0);

/** No number that is compared is below zero, and the engine takes none for that. */
function comparedTo(is: Comparison, to: number): Pick<Check, 'is' | 'to'> {
  if (to >= 0) return { is, to };
  const never = is === '=' || is === '<';
  return never ? { is: '<', to: 0 } : { is: '!=', to: Number.MAX_SAFE_INTEGER };
}

const unions: Readonly<Record<CheckTarget, Compare['targetUnion']['case']>> = {
  version: 'version',
  create: 'createRevision',
  mod: 'modRevision',
  value: 'value',
  lease: 'lease',
};

/** Zero, and what is less, says nothing. */
function positive(value: bigint): number | undefined {
  return value > 0n ? clamped(value) : undefined;
}
