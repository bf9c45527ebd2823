import { fromBinary } from '@bufbuild/protobuf';
import type {
  Check,
  Operation,
  OperationResult,
  Outcome,
  PutOperation,
  Revision,
  Txn,
} from '../../core/engine.js';
import { assert } from '../../core/errors.js';
import { compareResult, compareTarget } from './enums.js';
import type { Ground } from './entry-codec.js';
import { encode } from './exchange.js';
import { TxnRequestSchema, TxnResponseSchema } from './gen/etcd_pb.js';
import type { Layout } from './layout.js';
import { bytesSize, ProtobufReader, ProtobufWriter, uintSize } from './protobuf.js';
import { readOutcome, sizeOf, writeTxn } from './txn-codec.js';

/**
 * Transactions as bytes. Those of puts and checks alone, and the groups of all of them, are written and read by hand: with generated
 * messages they were a third of what a put costs, most of it objects that live for one call. All else goes by txn-codec.ts.
 */

export interface WrittenTxn {
  readonly bytes: Buffer;
  /** Of etcd's limit. */
  readonly size: number;
  /** It puts something at its top, where etcd counts the room that puts take. */
  readonly takesRoom: boolean;
  /** It is so many puts and checks nothing, so that in a group they can stand at the top; 0 when it is not of this kind. */
  readonly loosePuts: number;
}

export function writeTxnBytes(ground: Ground, txn: Txn): WrittenTxn {
  if (isPlain(txn)) return writePuts(ground.layout, txn.when ?? [], txn.apply);
  const request = writeTxn(ground, txn);
  const takesRoom = [...request.success, ...request.failure].some(
    (operation) => operation.request.case === 'requestPut',
  );
  return {
    bytes: encode(TxnRequestSchema, request),
    size: sizeOf(request),
    takesRoom,
    loosePuts: 0,
  };
}

/**
 * One transaction that holds them all: loose puts as they are, which costs etcd less by a third, all others nested.
 *
 * @param ownKey  put by the branch that never runs, as nothing is checked: etcd counts the room that puts take at the top alone
 */
export function writeGroupBytes(txns: readonly WrittenTxn[], ownKey: Buffer): Buffer {
  const put = bytesSize(ownKey.length);
  let size = bytesSize(bytesSize(put));
  for (const { bytes, loosePuts } of txns) {
    size += loosePuts > 0 ? bytes.length : bytesSize(bytesSize(bytes.length));
  }
  const writer = new ProtobufWriter(size);
  writer.begin(fields.failure, bytesSize(put));
  writer.begin(fields.requestPut, put);
  writer.bytes(fields.key, ownKey);
  for (const { bytes, loosePuts } of txns) {
    // Messages one after the other are one message with the repeated fields of both.
    if (loosePuts > 0) writer.message(bytes);
    else {
      writer.begin(fields.success, bytesSize(bytes.length));
      writer.bytes(fields.requestTxn, bytes);
    }
  }
  return writer.done();
}

export interface GroupAnswer {
  readonly revision: Revision;
  /** Of each transaction, in their order; null of loose puts, of which there is nothing to tell. */
  readonly answers: readonly (Buffer | null)[];
}

export function readGroupBytes(txns: readonly WrittenTxn[], bytes: Buffer): GroupAnswer {
  const reader = new ProtobufReader(bytes);
  const answers: (Buffer | null)[] = [];
  let [revision, looseLeft] = [0, 0];
  while (reader.next()) {
    if (reader.field === fields.header) revision = revisionIn(reader.bytes());
    else if (reader.field !== fields.responses) reader.skip();
    else if (looseLeft > 0) {
      reader.skip();
      looseLeft--;
    } else {
      const loosePuts = txns[answers.length]?.loosePuts ?? 0;
      if (loosePuts === 0) answers.push(readNestedBytes(reader.bytes()));
      else {
        reader.skip();
        answers.push(null);
        looseLeft = loosePuts - 1;
      }
    }
  }
  assert(looseLeft === 0 && answers.length === txns.length, 'etcd answers each of a group');
  return { revision, answers };
}

export interface AnswerBytes {
  /** Of the header; 0 where there is none, as in what is nested. */
  readonly revision: Revision;
  readonly succeeded: boolean;
  readonly responses: readonly Buffer[];
}

export function readAnswerBytes(bytes: Buffer): AnswerBytes {
  const reader = new ProtobufReader(bytes);
  let [revision, succeeded] = [0, false];
  const responses: Buffer[] = [];
  while (reader.next()) {
    if (reader.field === fields.header) revision = revisionIn(reader.bytes());
    else if (reader.field === fields.succeeded) succeeded = reader.uint() !== 0;
    else if (reader.field === fields.responses) responses.push(reader.bytes());
    else reader.skip();
  }
  return { revision, succeeded, responses };
}

function readNestedBytes(response: Buffer): Buffer {
  const reader = new ProtobufReader(response);
  assert(reader.next() && reader.field === fields.responseTxn, 'etcd answers each of a group');
  return reader.bytes();
}

/** @param bytes  null: of loose puts, which were done */
export function readOutcomeBytes(
  layout: Layout,
  txn: Txn,
  bytes: Buffer | null,
  revision: Revision,
): Outcome {
  if (bytes === null) return { revision, succeeded: true, results: putResults(txn.apply) };
  if (isPlain(txn)) {
    const { succeeded, responses } = readAnswerBytes(bytes);
    const branch = succeeded ? txn.apply : [];
    assert(responses.length === branch.length, 'etcd answers each operation');
    return { revision, succeeded, results: putResults(branch) };
  }
  return readOutcome(layout, txn, fromBinary(TxnResponseSchema, bytes), revision);
}

function putResults(puts: readonly Operation[] = []): OperationResult[] {
  return puts.map(() => ({ type: 'put' }));
}

/** Numbers of fields in etcd.proto. */
const fields = {
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
  readonly apply: readonly PutOperation[];
  readonly when?: readonly PlainCheck[] | undefined;
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

function isPlainPut(operation: Operation): boolean {
  if (operation.type !== 'put') return false;
  const { previous, keepValue, keepLease } = operation;
  return previous !== true && keepValue !== true && keepLease !== true;
}

function writePuts(
  layout: Layout,
  checks: readonly PlainCheck[],
  puts: readonly PutOperation[],
): WrittenTxn {
  let size = 0;
  for (const check of checks) size += bytesSize(checkSize(layout, check));
  for (const put of puts) size += bytesSize(bytesSize(putSize(layout, put)));
  const writer = new ProtobufWriter(size);
  for (const check of checks) writeCheck(writer, layout, check);
  for (const put of puts) writePut(writer, layout, put);
  const largest = Math.max(checks.length, puts.length);
  const loosePuts = checks.length === 0 ? puts.length : 0;
  return { bytes: writer.done(), size: largest, takesRoom: puts.length > 0, loosePuts };
}

function putSize({ data }: Layout, { key, value, lease = 0 }: PutOperation): number {
  const size = bytesSize(data.length + key.length) + bytesSize(value.length);
  return lease === 0 ? size : size + 1 + uintSize(lease);
}

function writePut(writer: ProtobufWriter, layout: Layout, put: PutOperation): void {
  const { key, value, lease = 0 } = put;
  const size = putSize(layout, put);
  writer.begin(fields.success, bytesSize(size));
  writer.begin(fields.requestPut, size);
  writer.text(fields.key, layout.data, key);
  writer.text(fields.value, '', value);
  if (lease !== 0) writer.uint(fields.lease, lease);
}

function checkSize(layout: Layout, { key, end, to }: PlainCheck): number {
  const size = 4 + bytesSize(layout.data.length + key.length) + 1 + uintSize(to);
  if (end === undefined) return size;
  return size + 1 + bytesSize(endOf(layout, end).length);
}

function writeCheck(writer: ProtobufWriter, layout: Layout, check: PlainCheck): void {
  writer.begin(fields.compare, checkSize(layout, check));
  writer.uint(fields.result, results[check.is]);
  writer.uint(fields.target, compareTarget[check.target]);
  writer.text(fields.checkedKey, layout.data, check.key);
  writer.uint(unions[check.target], check.to);
  if (check.end !== undefined) writer.text(fields.rangeEnd, '', endOf(layout, check.end));
}

function endOf({ data, dataEnd }: Layout, end: string): string {
  return end === '' ? dataEnd : data + end;
}

function revisionIn(header: Buffer): Revision {
  const reader = new ProtobufReader(header);
  while (reader.next()) {
    if (reader.field === fields.revision) return reader.uint();
    reader.skip();
  }
  return 0;
}
