import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import type { Txn } from '../../core/engine.js';
import {
  PutRequestSchema,
  PutResponseSchema,
  type RequestOp,
  RequestOpSchema,
  type ResponseOp,
  ResponseOpSchema,
  TxnRequestSchema,
  TxnResponseSchema,
} from './gen/etcd_pb.js';
import { Layout } from './layout.js';
import {
  readAnswerBytes,
  readGroupBytes,
  readOutcomeBytes,
  writeGroupBytes,
  writeTxnBytes,
} from './txn-bytes.js';
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

test('what is written by hand is what generated messages would write', () => {
  for (const txn of [...plain, ...others]) {
    const { bytes, size, takesRoom, loosePuts } = writeTxnBytes(ground, txn);
    const expected = writeTxn(ground, txn);
    const read = fromBinary(TxnRequestSchema, bytes);
    expect(toBinary(TxnRequestSchema, read)).toEqual(toBinary(TxnRequestSchema, expected));
    expect(size).toBe(sizeOf(expected));
    const top = [...expected.success, ...expected.failure].map(({ request }) => request.case);
    expect(takesRoom).toBe(top.includes('requestPut'));
    expect(loosePuts).toBe(loose.includes(txn) ? txn.apply?.length : 0);
  }
});

test('a group is one transaction of them all, loose puts at its top', () => {
  const txns = [...plain, ...others];
  const key = Buffer.from('own');
  const group = writeGroupBytes(
    txns.map((txn) => writeTxnBytes(ground, txn)),
    key,
  );
  const expected = create(TxnRequestSchema, {
    success: txns.flatMap((txn): RequestOp[] => {
      const value = writeTxn(ground, txn);
      if (loose.includes(txn)) return value.success;
      return [create(RequestOpSchema, { request: { case: 'requestTxn', value } })];
    }),
    failure: [
      create(RequestOpSchema, {
        request: { case: 'requestPut', value: create(PutRequestSchema, { key }) },
      }),
    ],
  });
  const read = fromBinary(TxnRequestSchema, group);
  expect(toBinary(TxnRequestSchema, read)).toEqual(toBinary(TxnRequestSchema, expected));
});

/** As etcd would answer a group of these, each nested one applied or not. */
function answerOf(txns: readonly Txn[], succeeded: boolean, revision: number): Buffer {
  // Numbers of a cluster and its members take all of 64 bits.
  const header = {
    clusterId: 2n ** 64n - 1n,
    memberId: 2n ** 63n,
    revision: BigInt(revision),
    raftTerm: 7n,
  };
  const responses = txns.flatMap((txn): ResponseOp[] => {
    const puts = putsOf(txn);
    if (loose.includes(txn)) return puts;
    const value = create(TxnResponseSchema, {
      header: {},
      succeeded,
      responses: succeeded ? puts : [],
    });
    return [create(ResponseOpSchema, { response: { case: 'responseTxn', value } })];
  });
  const answer = create(TxnResponseSchema, { header, succeeded: true, responses });
  return Buffer.from(toBinary(TxnResponseSchema, answer));
}

function putsOf({ apply = [] }: Txn): ResponseOp[] {
  const value = create(PutResponseSchema, { header: {} });
  return apply.map(() => create(ResponseOpSchema, { response: { case: 'responsePut', value } }));
}

const written = plain.map((txn) => writeTxnBytes(ground, txn));

test('an answer is read as generated messages would be', () => {
  for (const [succeeded, revision] of [
    [true, 1],
    [true, most],
    [false, 2 ** 40],
  ] as const) {
    const read = readGroupBytes(written, answerOf(plain, succeeded, revision));
    expect([read.revision, read.answers.length]).toEqual([revision, plain.length]);
    for (const [index, txn] of plain.entries()) {
      const answer = read.answers[index] as Buffer | null;
      expect(answer === null).toBe(loose.includes(txn));
      const expected =
        answer === null
          ? create(TxnResponseSchema, { succeeded: true, responses: putsOf(txn) })
          : fromBinary(TxnResponseSchema, answer);
      expect(readOutcomeBytes(layout, txn, answer, revision)).toEqual(
        readOutcome(layout, txn, expected, revision),
      );
    }
  }
});

test('an answer that is cut off, or not of this kind, is no answer', () => {
  const whole = answerOf(plain, true, 300);
  for (const length of [whole.length - 1, 10, 3]) {
    expect(() => readAnswerBytes(whole.subarray(0, length))).toThrow();
  }
  for (const other of [plain.slice(1), [...plain, {}], [...plain, loose[0] as Txn], others]) {
    expect(() => readGroupBytes(written, answerOf(other, true, 300))).toThrow();
  }
  expect(() => readOutcomeBytes(layout, loose[0] as Txn, Buffer.from([0x10, 1]), 1)).toThrow();
});
