import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import type { Check, Txn } from '../../core/engine.js';
import {
  PutRequestSchema,
  type RequestOp,
  RequestOpSchema,
  type ResponseOp,
  ResponseOpSchema,
  TxnRequestSchema,
  TxnResponseSchema,
} from './gen/etcd_pb.js';
import { TxnGroup } from './group-bytes.js';
import { Layout, toBuffer } from './layout.js';
import { writeTxnBytes } from './txn-bytes.js';
import { sizeOf, writeTxn } from './txn-codec.js';

const ground = { layout: new Layout('root'), floor: 0 };
const puts = (...keys: string[]): Txn['apply'] =>
  keys.map((key) => ({ type: 'put', key, value: 'v' }));
const none = (key: string): Check => ({ key, end: `${key}0`, target: 'version', is: '=', to: 0 });

const loose: Txn = { apply: puts('a', 'b') };
const other: Txn = {
  apply: [{ type: 'delete', key: 'c' }],
  otherwise: [{ type: 'read', key: 'd' }],
};
const checked: Txn = { when: [none('m')], apply: puts('e') };
const checkedToo: Txn = { when: [none('m')], apply: puts('f', 'g') };
const elsewhere: Txn = { when: [none('n')], apply: puts('h') };
const empty: Txn = { when: [none('m')] };

function groupOf(txns: readonly Txn[]): TxnGroup {
  const group = new TxnGroup();
  for (const txn of txns) expect(group.takes(writeTxnBytes(ground, txn))).toBe(true);
  return group;
}

const written = (group: TxnGroup): Uint8Array =>
  toBinary(TxnRequestSchema, fromBinary(TxnRequestSchema, toBuffer(group.write('own'))));

const together: Txn = { when: [none('m')], apply: puts('e', 'f', 'g') };

test('commits of puts with the same checks share them; those without stand at the top, all others each for itself', () => {
  const group = groupOf([loose, checked, other, elsewhere, checkedToo, empty, loose]);
  const nested = (txn: Txn): RequestOp =>
    create(RequestOpSchema, { request: { case: 'requestTxn', value: writeTxn(ground, txn) } });
  const tops = writeTxn(ground, loose).success;
  const value = create(PutRequestSchema, { key: Buffer.from('own') });
  const expected = create(TxnRequestSchema, {
    success: [...tops, ...tops, ...[together, other, elsewhere, empty].map((txn) => nested(txn))],
    failure: [create(RequestOpSchema, { request: { case: 'requestPut', value } })],
  });
  expect(written(group)).toEqual(toBinary(TxnRequestSchema, expected));
});

test('those that share everything are one transaction, not nested', () => {
  const shared = groupOf([checked, checkedToo]);
  expect(written(shared)).toEqual(toBinary(TxnRequestSchema, writeTxn(ground, together)));
  const bare = groupOf([loose, loose]);
  const doubled: Txn = { apply: puts('a', 'b', 'a', 'b') };
  expect(written(bare)).toEqual(toBinary(TxnRequestSchema, writeTxn(ground, doubled)));
});

function answer(succeeded: boolean, responses: ResponseOp[], revision = 7n): Buffer {
  const message = create(TxnResponseSchema, { header: { revision }, succeeded, responses });
  return Buffer.from(toBinary(TxnResponseSchema, message));
}

const put = create(ResponseOpSchema, { response: { case: 'responsePut', value: {} } });
const nestedAnswer = (succeeded: boolean, done: number): ResponseOp => {
  const value = create(TxnResponseSchema, { succeeded, responses: Array(done).fill(put) });
  return create(ResponseOpSchema, { response: { case: 'responseTxn', value } });
};

test('what is shared is answered for each: done, or refused by the checks', () => {
  const group = groupOf([checked, loose, elsewhere, checkedToo, other]);
  const told = group.read(
    answer(true, [nestedAnswer(false, 0), put, put, nestedAnswer(true, 1), nestedAnswer(true, 1)]),
  );
  expect(told.revision).toBe(7);
  expect(told.answers.slice(0, 4)).toEqual([false, true, true, false]);
  expect(Buffer.isBuffer(told.answers[4])).toBe(true);
  const shared = groupOf([checked, checkedToo]);
  expect(shared.read(answer(true, [put, put, put])).answers).toEqual([true, true]);
  expect(shared.read(answer(false, [], 9n))).toEqual({ revision: 9, answers: [false, false] });
});

test('an answer to something else is no answer', () => {
  const group = groupOf([checked, loose]);
  for (const responses of [
    [nestedAnswer(true, 1), put],
    [nestedAnswer(true, 1), put, put, put],
    [nestedAnswer(true, 2), put, put],
    [nestedAnswer(false, 1), put, put],
    [put, put, put],
  ]) {
    expect(() => group.read(answer(true, responses))).toThrow();
  }
  expect(() => groupOf([checked, checkedToo]).read(answer(true, [put, put]))).toThrow();
});

test("[K6] a group takes what etcd's limit leaves room for", () => {
  const many = (count: number, when: Check[]): Txn => ({
    when,
    apply: puts(...Array.from({ length: count }, (_, index) => `${when[0]?.key}${index}`)),
  });
  const fits = (...txns: Txn[]): boolean => {
    const group = groupOf(txns.slice(0, -1));
    const last = group.takes(writeTxnBytes(ground, txns.at(-1) as Txn));
    const { success, ...rest } = fromBinary(TxnRequestSchema, toBuffer(group.write('own')));
    expect(sizeOf({ success, ...rest })).toBeLessThanOrEqual(128);
    return last;
  };
  const [m, n] = [[none('m')], [none('n')]];
  expect([fits(many(64, m), many(64, m)), fits(many(64, m), many(65, m))]).toEqual([true, false]);
  expect([fits(many(126, m), many(1, n)), fits(many(127, m), many(1, n))]).toEqual([true, false]);
  expect([fits(many(63, m), loose, many(62, m)), fits(many(64, m), loose, many(62, m))]).toEqual([
    true,
    false,
  ]);
  const large: Txn = { apply: [{ type: 'put', key: 'k', value: 'v'.repeat(300_000) }] };
  expect(fits(large, large)).toBe(false);
});
