import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import type { Txn } from '../../core/engine.js';
import { fixedChecks } from '../../core/validate.js';
import {
  PutResponseSchema,
  type ResponseOp,
  ResponseOpSchema,
  TxnRequestSchema,
  TxnResponseSchema,
} from './gen/etcd_pb.js';
import { Layout, toBuffer } from './layout.js';
import { readAnswerBytes, readOutcomeBytes, writeTxnBytes, type WrittenTxn } from './txn-bytes.js';
import { readOutcome, sizeOf, writeTxn } from './txn-codec.js';

const layout = new Layout('root');
const ground = { layout, floor: 0 };
const long = '\xffx'.repeat(70_000);
const most = Number.MAX_SAFE_INTEGER;

/** Puts that nothing is checked for, which stand at the top of a group. */
const loose: Txn[] = [
  { apply: [{ type: 'put', key: 'k', value: '' }] },
  {
    when: [],
    apply: [
      { type: 'put', key: '\x00\xff', value: long, lease: most },
      { type: 'put', key: 'l', value: 'v' },
    ],
  },
];

/** With puts and checks alone, which are written by hand. */
const plain: Txn[] = [
  {},
  ...loose,
  { apply: [] },
  {
    when: [
      { key: 'k', target: 'version', is: '=', to: 0 },
      { key: 'k', target: 'create', is: '!=', to: 127 },
      { key: 'k', end: 'l', target: 'mod', is: '<', to: 128 },
      { key: long, end: '', target: 'lease', is: '>', to: most },
      { key: 'k', target: 'mod', is: '=', to: 2 ** 31 },
      { key: 'k', target: 'mod', is: '=', to: 2 ** 35 - 1 },
    ],
    apply: [
      { type: 'put', key: 'a', value: 'v'.repeat(127), lease: 1 },
      { type: 'put', key: 'b', value: 'v'.repeat(128), lease: 2 ** 32 },
    ],
    otherwise: [],
  },
];

const others: Txn[] = [
  { when: [{ key: 'k', target: 'value', is: '=', to: 'v' }], apply: loose[0]?.apply ?? [] },
  { apply: [{ type: 'put', key: 'k', value: '', keepValue: true }] },
  { apply: [{ type: 'put', key: 'k', value: 'v', previous: true }] },
  { apply: [{ type: 'delete', key: 'k' }], otherwise: [{ type: 'read', key: 'k' }] },
  { apply: [{ type: 'txn', txn: plain[4] as Txn }] },
];

const bytesOf = ({ checks, operations }: WrittenTxn): Buffer => toBuffer(checks + operations);

test('what is written by hand is what generated messages would write', () => {
  for (const txn of [...plain, ...others]) {
    const written = writeTxnBytes(ground, txn);
    const expected = writeTxn(ground, txn);
    const read = fromBinary(TxnRequestSchema, bytesOf(written));
    expect(toBinary(TxnRequestSchema, read)).toEqual(toBinary(TxnRequestSchema, expected));
    expect(written.size).toBe(sizeOf(expected));
    const top = [...expected.success, ...expected.failure].map(({ request }) => request.case);
    expect(written.takesRoom).toBe(top.includes('requestPut'));
    expect(written.puts).toBe(plain.includes(txn) ? (txn.apply?.length ?? 0) : 0);
  }
});

test('checks that stay the same are written once, and for each root', () => {
  const when = fixedChecks([{ key: 'h', end: 'i', target: 'version', is: '=', to: 0 }]);
  const txn: Txn = { when, apply: [{ type: 'put', key: 'k', value: 'v' }] };
  const elsewhere = { layout: new Layout('other'), floor: 0 };
  for (const at of [ground, elsewhere, ground]) {
    const read = fromBinary(TxnRequestSchema, bytesOf(writeTxnBytes(at, txn)));
    const expected = toBinary(TxnRequestSchema, writeTxn(at, txn));
    expect(toBinary(TxnRequestSchema, read)).toEqual(expected);
  }
});

test('an answer is read as generated messages would be', () => {
  for (const [succeeded, revision] of [
    [true, 1],
    [true, Number.MAX_SAFE_INTEGER],
    [false, 2 ** 40],
  ] as const) {
    for (const txn of plain) {
      const answer = answerOf(succeeded, revision, succeeded ? putsOf(txn) : []);
      const expected = readOutcome(layout, txn, fromBinary(TxnResponseSchema, answer), revision);
      expect(readAnswerBytes(answer).revision).toBe(revision);
      expect(readOutcomeBytes(layout, txn, answer, revision)).toEqual(expected);
      expect(readOutcomeBytes(layout, txn, succeeded, revision)).toEqual(expected);
    }
  }
});

test('an answer that is cut off, or not of this kind, is no answer', () => {
  const [txn] = loose as [Txn];
  const whole = answerOf(true, 300, putsOf(txn));
  for (const length of [whole.length - 1, 10, 3]) {
    expect(() => readAnswerBytes(whole.subarray(0, length))).toThrow();
  }
  expect(() => readOutcomeBytes(layout, txn, Buffer.from([0x10, 1]), 1)).toThrow();
  expect(() => readOutcomeBytes(layout, txn, answerOf(false, 1, putsOf(txn)), 1)).toThrow();
});

function answerOf(succeeded: boolean, revision: number, responses: ResponseOp[]): Buffer {
  // Numbers of a cluster and its members take all of 64 bits.
  const header = {
    clusterId: 2n ** 64n - 1n,
    memberId: 2n ** 63n,
    revision: BigInt(revision),
    raftTerm: 7n,
  };
  const answer = create(TxnResponseSchema, { header, succeeded, responses });
  return Buffer.from(toBinary(TxnResponseSchema, answer));
}

function putsOf({ apply = [] }: Txn): ResponseOp[] {
  const value = create(PutResponseSchema, { header: {} });
  return apply.map(() => create(ResponseOpSchema, { response: { case: 'responsePut', value } }));
}
