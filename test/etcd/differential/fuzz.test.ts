import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { startEtcd as startWaymark } from '@waymark/server/testing';
import { KV } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { chooseSeed, SeededRandom, sized } from '../../faults/random.js';
import { startEtcd } from '../../support/etcd.js';
import { startPostgres } from '../../support/postgres.js';
import { EtcdApi } from '../client.js';
import { answerOf, CallGenerator, type GeneratedCall, type Standing } from './calls.js';
import { RevisionPairs } from './revisions.js';

const file = 'test/etcd/differential/fuzz.test.ts';
const callsMax = 12;

interface Pair extends AsyncDisposable {
  readonly apis: readonly [waymark: EtcdApi, etcd: EtcdApi];
  /** Where Waymark does not count as etcd does; else revisions are compared as they stand. */
  readonly pairs: RevisionPairs | null;
}

/** What Waymark stands on, and how many sequences it is asked: those beside memory are slower. */
const engines = [
  { engine: 'memory', share: 1, start: async () => ({ url: 'memory', stop: async () => {} }) },
  { engine: 'file', share: 0.2, start: startFile },
  { engine: 'PostgreSQL', share: 0.1, start: startDatabase },
  { engine: 'etcd', share: 0.1, start: startRoot },
] as const;

interface Under {
  readonly url: string;
  stop(): Promise<void>;
}

async function startFile(): Promise<Under> {
  const folder = await mkdtemp(join(tmpdir(), 'waymark-differential-'));
  const stop = (): Promise<void> => rm(folder, { recursive: true, force: true });
  return { url: `file:${join(folder, 'data')}`, stop };
}

async function startDatabase(): Promise<Under> {
  const { url, stop } = await startPostgres();
  return { url: `${url}?schema=differential`, stop };
}

async function startRoot(): Promise<Under> {
  const { address, stop } = await startEtcd();
  return { url: `etcd://${address}/differential`, stop };
}

async function startPair(under: Under): Promise<Pair> {
  const [waymark, etcd] = await Promise.all([startWaymark({ engine: under.url }), startEtcd()]);
  const apis = [new EtcdApi(waymark.address), new EtcdApi(etcd.address)] as const;
  const pairs = under.url.startsWith('etcd:') ? new RevisionPairs() : null;
  const [ours, theirs] = await Promise.all(apis.map(presentOf));
  pairs?.note(ours as bigint, theirs as bigint);
  return {
    apis,
    pairs,
    async [Symbol.asyncDispose]() {
      for (const api of apis) api[Symbol.dispose]();
      await Promise.all([waymark.close(), etcd.stop()]);
      await under.stop();
    },
  };
}

async function presentOf(api: EtcdApi): Promise<bigint> {
  const { header } = await api.call(KV.method.range, { key: Buffer.from('\0') });
  return header?.revision ?? 0n;
}

/** What both answer, in etcd's revisions. */
async function askBoth(
  { apis: [waymark, etcd], pairs }: Pair,
  call: GeneratedCall,
): Promise<readonly [ours: unknown, theirs: unknown]> {
  if (pairs === null) return await Promise.all([answerOf(waymark, call), answerOf(etcd, call)]);
  const here = { ...call, request: pairs.asked(call.request) };
  const [ours, theirs] = await Promise.all([answerOf(waymark, here), answerOf(etcd, call)]);
  const there = revisionsOf(theirs);
  for (const [at, revision] of revisionsOf(ours).entries()) {
    const same = there[at];
    if (same !== undefined) pairs.note(revision, same);
  }
  return [pairs.told(ours), theirs];
}

/** In the order in which they were written; a call that is refused has none. */
function revisionsOf(answer: unknown): bigint[] {
  type Told = { readonly revision?: string };
  const { header, marked = [] } = answer as { header?: Told; marked?: Told[] };
  return [...marked, header].flatMap((one) =>
    one?.revision === undefined ? [] : [BigInt(one.revision)],
  );
}

/** Each sequence begins with nothing in it, at the revision the one before has left. */
async function runSequence(
  pair: Pair,
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
    const [ours, theirs] = await askBoth(pair, call);
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
    if (typeof value === 'bigint') return String(value);
    const buffer = value as { type?: string; data?: number[] } | null;
    if (buffer?.type !== 'Buffer') return value;
    return buffer.data?.length === 0
      ? undefined
      : Buffer.from(buffer.data ?? []).toString('latin1');
  });
  return `${method.name} ${text}`;
}

test.each(engines)(
  'whatever is asked, etcd and Waymark on $engine answer the same',
  { timeout: sized(900_000, 5_400_000) },
  async ({ share, start }) => {
    const seed = chooseSeed(file);
    await using pair = await startPair(await start());
    let standing: Standing = { revision: 1, compacted: 0 };
    const asked = Number(process.env['SEQUENCES'] ?? sized(1_500, 10_000));
    const sequences = Math.ceil(asked * share);
    for (let number = 0; number < sequences; number++) {
      standing = await runSequence(pair, new SeededRandom(seed + number), standing);
    }
    console.log(`${sequences} sequences, revision ${standing.revision}`);
    expect(standing.revision).toBeGreaterThan(sequences);
  },
);
