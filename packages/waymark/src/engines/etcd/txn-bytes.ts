import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { arrayToBytes, flat } from '../../core/bytes.js';
import type {
  ByteString,
  Check,
  Operation,
  OperationResult,
  Outcome,
  PutOperation,
  Revision,
  Txn,
} from '../../core/engine.js';
import { assert } from '../../core/errors.js';
import { isPlainLeaseId } from '../../core/lease-id.js';
import { areFixed } from '../../core/validate.js';
import { compareResult, compareTarget } from './enums.js';
import type { Ground } from './entry-codec.js';
import { TxnRequestSchema, TxnResponseSchema } from './gen/etcd_pb.js';
import type { Layout } from './layout.js';
import { bytesField, ProtobufReader, uintField } from './protobuf.js';
import { readOutcome, sizeOf, writeTxn } from './txn-codec.js';

/**
 * Transactions as byte strings. Those of puts and checks alone are written and read by hand, as are groups (group-bytes.ts): with
 * generated messages they were a third of what a put costs, most of it objects that live for one call. All else goes by txn-codec.ts.
 */

export interface WrittenTxn {
  /** Those of its checks that are written apart: fields of a TxnRequest, as `operations`, which follow them. */
  readonly checks: ByteString;
  readonly operations: ByteString;
  /** Of etcd's limit. */
  readonly size: number;
  /** It puts something at its top, where etcd counts the room that puts take. */
  readonly takesRoom: boolean;
  /** It is so many puts under these checks and nothing else; 0 when it is not of this kind. */
  readonly puts: number;
}

export function writeTxnBytes(ground: Ground, txn: Txn): WrittenTxn {
  if (isPlain(txn)) return writePuts(ground.layout, txn.when ?? [], txn.apply);
  const request = writeTxn(ground, txn);
  const takesRoom = [...request.success, ...request.failure].some(
    (operation) => operation.request.case === 'requestPut',
  );
  return {
    checks: '',
    operations: arrayToBytes(toBinary(TxnRequestSchema, request)),
    size: sizeOf(request),
    takesRoom,
    puts: 0,
  };
}

export interface AnswerBytes {
  /** Of the header; 0 where there is none, as in what is nested. */
  readonly revision: Revision;
  readonly succeeded: boolean;
  /** So many. */
  readonly responses: number;
}

export function readAnswerBytes(bytes: Buffer): AnswerBytes {
  const reader = new ProtobufReader(bytes);
  let [revision, responses] = [0, 0];
  let succeeded = false;
  while (reader.next()) {
    if (reader.field === fields.header) revision = revisionIn(reader.bytes());
    else if (reader.field === fields.succeeded) succeeded = reader.uint() !== 0;
    else {
      if (reader.field === fields.responses) responses++;
      reader.skip();
    }
  }
  return { revision, succeeded, responses };
}

/** @param answer  of a commit of puts alone it may be all that there is to tell: whether they were done */
export function readOutcomeBytes(
  layout: Layout,
  txn: Txn,
  answer: Buffer | boolean,
  revision: Revision,
): Outcome {
  if (typeof answer === 'boolean') return outcomeOfPuts(txn, answer, revision);
  if (!isPlain(txn))
    return readOutcome(layout, txn, fromBinary(TxnResponseSchema, answer), revision);
  const { succeeded, responses } = readAnswerBytes(answer);
  assert(responses === (succeeded ? txn.apply.length : 0), 'etcd answers each operation');
  return outcomeOfPuts(txn, succeeded, revision);
}

function outcomeOfPuts({ apply = [] }: Txn, succeeded: boolean, revision: Revision): Outcome {
  const results: OperationResult[] = succeeded ? apply.map(() => ({ type: 'put' })) : [];
  return { revision, succeeded, results };
}

/** Numbers of fields in etcd.proto. */
export const fields = {
  compare: 1,
  success: 2,
  failure: 3,
  requestPut: 2,
  requestTxn: 4,
  header: 1,
  succeeded: 2,
  responses: 3,
  responseTxn: 4,
  revision: 3,
  key: 1,
  value: 2,
  lease: 3,
  result: 1,
  target: 2,
  checkedKey: 3,
  rangeEnd: 64,
} as const;

const results = {
  '=': compareResult.equal,
  '!=': compareResult.notEqual,
  '<': compareResult.less,
  '>': compareResult.greater,
} as const;

/** The field of `target_union` that a number belongs to. */
const unions = { version: 4, create: 5, mod: 6, lease: 8 } as const;

interface Plain extends Txn {
  readonly apply: readonly PlainPut[];
  readonly when?: readonly PlainCheck[] | undefined;
}

interface PlainPut extends PutOperation {
  readonly lease?: number | undefined;
}

interface PlainCheck extends Check {
  readonly target: keyof typeof unions;
  readonly to: number;
}

function isPlain(txn: Txn): txn is Plain {
  const { when, apply, otherwise } = txn;
  if (apply === undefined || (otherwise !== undefined && otherwise.length > 0)) return false;
  for (const operation of apply) if (!isPlainPut(operation)) return false;
  if (when === undefined) return true;
  for (const { target, to } of when) {
    if (target === 'value' || !Number.isSafeInteger(to) || (to as number) < 0) return false;
  }
  return true;
}

function isPlainPut(operation: Operation): operation is PlainPut {
  if (operation.type !== 'put') return false;
  const { lease = 0, previous, keepValue, keepLease } = operation;
  return isPlainLeaseId(lease) && previous !== true && keepValue !== true && keepLease !== true;
}

function writePuts(
  layout: Layout,
  checks: readonly PlainCheck[],
  puts: readonly PlainPut[],
): WrittenTxn {
  let operations = '';
  for (const put of puts) operations += writePut(layout, put);
  return {
    checks: checks.length === 0 ? '' : writeChecks(layout, checks),
    operations,
    size: Math.max(checks.length, puts.length),
    takesRoom: puts.length > 0,
    puts: puts.length,
  };
}

function writePut({ data }: Layout, { key, value, lease = 0 }: PlainPut): ByteString {
  let put = bytesField(fields.key, data + key) + bytesField(fields.value, value);
  if (lease !== 0) put += uintField(fields.lease, lease);
  return bytesField(fields.success, bytesField(fields.requestPut, put));
}

/** Those that are the same array for ever are written once. */
function writeChecks(layout: Layout, checks: readonly PlainCheck[]): ByteString {
  let written = layout.written.get(checks);
  if (written === undefined) {
    written = flat(checks.map((check) => writeCheck(layout, check)).join(''));
    if (areFixed(checks)) layout.written.set(checks, written);
  }
  return written;
}

function writeCheck(layout: Layout, { key, end, target, is, to }: PlainCheck): ByteString {
  const check =
    uintField(fields.result, results[is]) +
    uintField(fields.target, compareTarget[target]) +
    bytesField(fields.checkedKey, layout.data + key) +
    uintField(unions[target], to);
  const rangeEnd = end === undefined ? '' : bytesField(fields.rangeEnd, endOf(layout, end));
  return bytesField(fields.compare, check + rangeEnd);
}

function endOf({ data, dataEnd }: Layout, end: string): string {
  return end === '' ? dataEnd : data + end;
}

export function revisionIn(header: Buffer): Revision {
  const reader = new ProtobufReader(header);
  while (reader.next()) {
    if (reader.field === fields.revision) return reader.uint();
    reader.skip();
  }
  return 0;
}
