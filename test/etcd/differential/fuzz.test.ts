import { isDeepStrictEqual } from 'node:util';
import { startEtcd as startWaymark } from '@waymark/server/testing';
import { KV } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { chooseSeed, SeededRandom, sized } from '../../faults/random.js';
import { startEtcd } from '../../support/etcd.js';
import { EtcdApi } from '../client.js';
import { answerOf, CallGenerator, type GeneratedCall, type Standing } from './calls.js';

const file = 'test/etcd/differential/fuzz.test.ts';
const callsMax = 12;

interface Pair extends AsyncDisposable {
  readonly apis: readonly [waymark: EtcdApi, etcd: EtcdApi];
}

async function startPair(): Promise<Pair> {
  const [waymark, etcd] = await Promise.all([startWaymark(), startEtcd()]);
  const apis = [new EtcdApi(waymark.address), new EtcdApi(etcd.address)] as const;
  return {
    apis,
    async [Symbol.asyncDispose]() {
      for (const api of apis) api[Symbol.dispose]();
      await Promise.all([waymark.close(), etcd.stop()]);
    },
  };
}

/** Each sequence begins with nothing in it, at the revision the one before has left. */
async function runSequence(
  { apis }: Pair,
  random: SeededRandom,
  standing: Standing,
): Promise<Standing> {
  const generator = new CallGenerator(random);
  const sent: GeneratedCall[] = [];
  let { revision, compacted } = standing;
  const count = 2 + random.below(callsMax - 1);
  for (let n = 0; n < count; n++) {
    const all = {
      method: KV.method.deleteRange,
      request: { key: Buffer.from('\0'), rangeEnd: Buffer.from('\0') },
    };
    const call = n === 0 ? all : generator.next({ revision, compacted });
    sent.push(call);
    const [ours, theirs] = await Promise.all(apis.map((api) => answerOf(api, call)));
    if (!isDeepStrictEqual(ours, theirs)) {
      const steps = sent.map(shown).join('\n');
      expect(ours, `after ${revision} (compacted ${compacted}):\n${steps}\n`).toEqual(theirs);
    }
    const { header, code } = theirs as { header?: { revision?: string }; code?: number };
    revision = Number(header?.revision ?? revision);
    if (call.method.name === 'Compact' && code === undefined) {
      compacted = Number((call.request as { revision: bigint }).revision);
    }
  }
  return { revision, compacted };
}

function shown({ method, request }: GeneratedCall): string {
  const text = JSON.stringify(request, (_, value: unknown) => {
    if (value === 0n || value === 0 || value === false) return undefined;
    if (typeof value === 'bigint') return Number(value);
    const buffer = value as { type?: string; data?: number[] } | null;
    if (buffer?.type !== 'Buffer') return value;
    return buffer.data?.length === 0
      ? undefined
      : Buffer.from(buffer.data ?? []).toString('latin1');
  });
  return `${method.name} ${text}`;
}

test('whatever is asked, etcd and Waymark answer the same', { timeout: 900_000 }, async () => {
  const seed = chooseSeed(file);
  await using pair = await startPair();
  let standing: Standing = { revision: 1, compacted: 0 };
  const sequences = Number(process.env['SEQUENCES'] ?? sized(1_000, 10_000));
  for (let number = 0; number < sequences; number++) {
    standing = await runSequence(pair, new SeededRandom(seed + number), standing);
  }
  console.log(`${sequences} sequences, revision ${standing.revision}`);
  expect(standing.revision).toBeGreaterThan(sequences);
});
