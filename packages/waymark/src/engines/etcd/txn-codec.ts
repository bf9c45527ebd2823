import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type {
  Check,
  CheckTarget,
  Comparison,
  NestedResult,
  Operation,
  OperationResult,
  Outcome,
  Revision,
  Txn,
} from '../../core/engine.js';
import { assert } from '../../core/errors.js';
import { compareResult, compareTarget } from './enums.js';
import {
  type CompareSchema,
  type RequestOpSchema,
  type ResponseOp,
  type TxnRequest,
  TxnRequestSchema,
  type TxnResponse,
} from './gen/etcd_pb.js';
import { type Ground, readEntry, readReading, toNumber, writeQuery } from './entry-codec.js';
import { type Layout, toBuffer } from './layout.js';

type RequestInit = MessageInitShape<typeof RequestOpSchema>;

/**
 * etcd's own limit for one transaction: at each level the longer of its checks and a branch counts, and a nested one has what is left
 * (server/etcdserver/api/v3rpc/key.go, checkTxnRequest).
 */
export const txnSizeMax = 128;

/** A branch with nested transactions leaves them room: what is longer is cut into pieces, each a nested one without checks. */
const pieceMax = 12;

const comparisons: Record<Comparison, number> = {
  '=': compareResult.equal,
  '!=': compareResult.notEqual,
  '<': compareResult.less,
  '>': compareResult.greater,
};

export function writeTxn(ground: Ground, txn: Txn): TxnRequest {
  return create(TxnRequestSchema, {
    compare: txn.when?.map((check) => writeCheck(ground.layout, check)) ?? [],
    success: writeBranch(ground, txn.apply),
    failure: writeBranch(ground, txn.otherwise),
  });
}

/** How much of etcd's limit it takes. */
export function sizeOf({ compare, success, failure }: TxnRequest): number {
  let below = 0;
  for (const { request } of [...success, ...failure]) {
    if (request.case === 'requestTxn') below = Math.max(below, sizeOf(request.value));
  }
  return Math.max(compare.length, success.length, failure.length) + below;
}

export function readOutcome(
  layout: Layout,
  txn: Txn,
  { succeeded, responses }: TxnResponse,
  revision: Revision,
): Outcome {
  const branch = (succeeded ? txn.apply : txn.otherwise) ?? [];
  return { revision, succeeded, results: readResults(layout, branch, responses, revision) };
}

function writeCheck(layout: Layout, check: Check): MessageInitShape<typeof CompareSchema> {
  return {
    key: layout.key(check.key),
    rangeEnd: layout.end(check),
    result: comparisons[check.is],
    ...targetOf(check.target, check.to),
  };
}

function targetOf(
  target: CheckTarget,
  to: Check['to'],
): Pick<MessageInitShape<typeof CompareSchema>, 'target' | 'targetUnion'> {
  switch (target) {
    case 'version':
      return { target: compareTarget.version, targetUnion: { case: 'version', value: BigInt(to) } };
    case 'create':
      return {
        target: compareTarget.create,
        targetUnion: { case: 'createRevision', value: BigInt(to) },
      };
    case 'mod':
      return { target: compareTarget.mod, targetUnion: { case: 'modRevision', value: BigInt(to) } };
    case 'lease':
      return { target: compareTarget.lease, targetUnion: { case: 'lease', value: BigInt(to) } };
    case 'value':
      return {
        target: compareTarget.value,
        targetUnion: { case: 'value', value: toBuffer(to as string) },
      };
  }
}

function writeBranch(ground: Ground, branch: readonly Operation[] = []): RequestInit[] {
  const operations = branch.map((operation) => writeOperation(ground, operation));
  if (!isCut(branch)) return operations;
  const pieces: RequestInit[] = [];
  for (let from = 0; from < operations.length; from += pieceMax) {
    const success = operations.slice(from, from + pieceMax);
    pieces.push({ request: { case: 'requestTxn', value: { success } } });
  }
  return pieces;
}

function isCut(branch: readonly Operation[]): boolean {
  return branch.length > pieceMax && branch.some(({ type }) => type === 'txn');
}

function writeOperation(ground: Ground, operation: Operation): RequestInit {
  const { layout } = ground;
  switch (operation.type) {
    case 'put': {
      const { key, value, lease = 0, previous, keepValue, keepLease } = operation;
      const put = {
        key: layout.key(key),
        value: toBuffer(keepValue === true ? '' : value),
        lease: BigInt(keepLease === true ? 0 : lease),
        prevKv: previous === true,
        ignoreValue: keepValue === true,
        ignoreLease: keepLease === true,
      };
      return { request: { case: 'requestPut', value: put } };
    }
    case 'delete': {
      const range = { key: layout.key(operation.key), rangeEnd: layout.end(operation) };
      const value = { ...range, prevKv: operation.previous === true };
      return { request: { case: 'requestDeleteRange', value } };
    }
    case 'read':
      return { request: { case: 'requestRange', value: writeQuery(ground, operation) } };
    case 'txn':
      return { request: { case: 'requestTxn', value: writeTxn(ground, operation.txn) } };
  }
}

function readResults(
  layout: Layout,
  branch: readonly Operation[],
  responses: readonly ResponseOp[],
  revision: Revision,
): OperationResult[] {
  const flat = isCut(branch) ? responses.flatMap(piecesOf) : responses;
  return branch.map((operation, index) => {
    const response = flat[index]?.response;
    assert(response !== undefined, 'etcd answers each operation');
    return readResult(layout, operation, response, revision);
  });
}

function piecesOf({ response }: ResponseOp): readonly ResponseOp[] {
  return response.case === 'responseTxn' ? response.value.responses : [];
}

function readResult(
  layout: Layout,
  operation: Operation,
  response: ResponseOp['response'],
  revision: Revision,
): OperationResult {
  const entry = readEntry.bind(null, layout);
  if (response.case === 'responsePut') {
    if (operation.type !== 'put' || operation.previous !== true) return { type: 'put' };
    const { prevKv } = response.value;
    return { type: 'put', previous: prevKv === undefined ? null : entry(prevKv) };
  }
  if (response.case === 'responseDeleteRange') {
    const deleted = toNumber(response.value.deleted);
    if (operation.type !== 'delete' || operation.previous !== true)
      return { type: 'delete', deleted };
    return { type: 'delete', deleted, previous: response.value.prevKvs.map(entry) };
  }
  if (response.case === 'responseRange' && operation.type === 'read') {
    return { type: 'read', reading: readReading(layout, operation, response.value, revision) };
  }
  assert(
    response.case === 'responseTxn' && operation.type === 'txn',
    'etcd answers what was asked',
  );
  return readNested(layout, operation.txn, response.value, revision);
}

function readNested(
  layout: Layout,
  txn: Txn,
  answer: TxnResponse,
  revision: Revision,
): NestedResult {
  const { succeeded, results } = readOutcome(layout, txn, answer, revision);
  return { type: 'txn', succeeded, results };
}
