import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import type { Outcome } from '../../core/engine.js';
import { systemClock } from '../../core/system-clock.js';
import { CommitGroups } from './commit-groups.js';
import { TxnRequestSchema, TxnResponseSchema } from './gen/etcd_pb.js';
import { Layout, toBuffer } from './layout.js';
import { readOutcomeBytes, writeTxnBytes } from './txn-bytes.js';

const layout = new Layout('root');
const turn = (): Promise<void> => new Promise((resolve) => systemClock.nextTurn(resolve));

/** Commits of puts, and the transactions that they went out as: each is answered when the test says so. */
function line() {
  /** Puts of each transaction. */
  const sizes: number[] = [];
  const answers: (() => void)[] = [];
  const groups = new CommitGroups({
    clock: systemClock,
    ownKey: 'own',
    write: (txn) => writeTxnBytes({ layout }, txn),
    read: (txn, answer, revision) => readOutcomeBytes(layout, txn, answer, revision),
    explain: (error) => Promise.resolve(error),
    send: ({ bytes }) => {
      const { success } = fromBinary(TxnRequestSchema, toBuffer(bytes));
      const revision = BigInt(sizes.push(success.length));
      const put = { response: { case: 'responsePut' as const, value: {} } };
      const responses = success.map(() => put);
      const answer = create(TxnResponseSchema, {
        header: { revision },
        succeeded: true,
        responses,
      });
      return new Promise((resolve) => {
        answers.push(() => resolve(Buffer.from(toBinary(TxnResponseSchema, answer))));
      });
    },
  });
  let keys = 0;
  const outcomes: Promise<Outcome>[] = [];
  return {
    sizes,
    outcomes,
    /** So many commits of puts to keys of their own; told once they had time to be sent. */
    async put(count: number, { value = 'v', puts = 1 } = {}): Promise<void> {
      for (let commit = 0; commit < count; commit++) {
        const keysOf = Array.from({ length: puts }, () => `k${keys++}`);
        const apply = keysOf.map((key) => ({ type: 'put' as const, key, value }));
        outcomes.push(groups.commit({ apply }));
      }
      await turn();
    },
    async answer(index: number): Promise<void> {
      answers[index]?.();
      await turn();
      await turn();
    },
  };
}

test('[K1] a few commits go out as they come; among many they wait for those, or for a full group', async () => {
  const { sizes, outcomes, put, answer } = line();
  await put(1);
  await put(7);
  expect(sizes).toEqual([1, 7]);
  await put(1);
  expect(sizes).toEqual([1, 7]);
  await answer(0);
  expect(sizes).toEqual([1, 7, 1]);
  await put(127);
  expect(sizes).toEqual([1, 7, 1]);
  await put(1);
  expect(sizes).toEqual([1, 7, 1, 128]);
  await put(300);
  expect(sizes).toEqual([1, 7, 1, 128, 128]);
  await answer(2);
  expect(sizes).toEqual([1, 7, 1, 128, 128, 128]);
  for (const index of [1, 3, 4]) await answer(index);
  expect(sizes).toEqual([1, 7, 1, 128, 128, 128]);
  await answer(5);
  expect(sizes).toEqual([1, 7, 1, 128, 128, 128, 44]);
  await answer(6);
  const revisions = (await Promise.all(outcomes)).map(({ revision }) => revision);
  const counts = sizes.map((_, index) => revisions.filter((one) => one === index + 1).length);
  expect(counts).toEqual(sizes);
});

test('[K6] a group is full by what etcd counts: operations, and bytes', async () => {
  const { sizes, outcomes, put, answer } = line();
  await put(8);
  await put(4, { puts: 30 });
  expect(sizes).toEqual([8]);
  await put(1, { puts: 30 });
  expect(sizes).toEqual([8, 120]);
  await put(6, { value: 'v'.repeat(100_000) });
  expect(sizes).toEqual([8, 120, 30 + 5]);
  for (const index of [0, 1, 2]) await answer(index);
  expect(sizes).toEqual([8, 120, 35, 1]);
  await answer(3);
  expect(await Promise.all(outcomes)).toHaveLength(19);
});
