import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Engine, openEngine } from 'waymark/engine';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';
import { FaultProxy } from './proxy.js';

/** K11 on etcd: `unavailable` only where nothing was applied, `uncertain` where a request may have arrived and its answer was lost. */
let etcd: RunningEtcd;
let direct: Engine;
let proxy: FaultProxy;
let engine: Engine;

beforeAll(async () => {
  etcd = await startEtcd();
  direct = await openEngine(`etcd://${etcd.address}/outcomes`);
  proxy = await FaultProxy.open(`http://${etcd.address}`);
  const through = proxy.url.slice('http://'.length);
  engine = await openEngine(`etcd://${through}/outcomes?timeoutMs=800`);
});

afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  await direct[Symbol.asyncDispose]();
  await etcd.stop();
});

/** The code of its failure, or `applied`. */
async function put(key: string, signal?: AbortSignal): Promise<string> {
  return await engine.commit({ apply: [{ type: 'put', key, value: 'v' }] }, { signal }).then(
    () => 'applied',
    (error: { readonly code?: string }) => String(error.code),
  );
}

/** How often the key was written. */
async function writes(key: string): Promise<number> {
  return (await direct.read({ key })).entries[0]?.version ?? 0;
}

async function written(key: string): Promise<void> {
  for await (const batch of direct.watch([{ key }], { after: 0 })) {
    if (batch.changes.length > 0) return;
  }
}

async function healed(): Promise<void> {
  proxy.heal();
  while ((await put('healed')) !== 'applied');
}

test('[K11] a write whose answer was dropped is uncertain, and was applied', async () => {
  proxy.set({ replyDrop: true });
  expect(await put('reply dropped')).toBe('uncertain');
  expect(await writes('reply dropped')).toBe(1);
  await healed();
});

test('[K11] a write whose connection was cut before the answer is uncertain, and not sent again', async () => {
  proxy.set({ replyDrop: true });
  const outcome = put('cut');
  await written('cut');
  proxy.heal();
  expect(await outcome).toBe('uncertain');
  await healed();
  expect(await writes('cut')).toBe(1);
});

test('[K11] a write that was dropped on its way is uncertain: who sent it cannot know', async () => {
  proxy.set({ requestDrop: true });
  expect(await put('request dropped')).toBe('uncertain');
  await healed();
  expect(await writes('request dropped')).toBe(0);
});

test('[K11] a write that found no connection is unavailable, and was not applied', async () => {
  proxy.set({ refuse: true });
  proxy.cutAll();
  // Until the end of the connection is heard of, a write goes out on it.
  let outcome: string;
  while ((outcome = await put('refused')) === 'uncertain');
  expect(outcome).toBe('unavailable');
  await healed();
  expect(await writes('refused')).toBe(0);
});

test('[K11] a write given up while its member takes leave is uncertain', async () => {
  proxy.set({ replyDrop: true });
  const leave = new AbortController();
  const outcome = put('taking leave', leave.signal);
  await written('taking leave');
  proxy.say(goAway);
  // Time to hear of it; without it the write is given up earlier, and as uncertain.
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(await Promise.race([outcome, Promise.resolve('under way')])).toBe('under way');
  leave.abort();
  expect(await outcome).toBe('uncertain');
  await healed();
});

test('[K11] a write that ran out of time while its member takes leave is uncertain', async () => {
  proxy.set({ replyDrop: true });
  const outcome = put('late');
  await written('late');
  proxy.say(goAway);
  expect(await outcome).toBe('uncertain');
  expect(await writes('late')).toBe(1);
  await healed();
});

/** Many that go out as one, over the connection that there is for such. */
async function many(name: string): Promise<Set<string>> {
  return new Set(await Promise.all(Array.from({ length: 32 }, (_, n) => put(`${name} ${n}`))));
}

async function writesOfMany(name: string): Promise<Set<number>> {
  return new Set(await Promise.all(Array.from({ length: 32 }, (_, n) => writes(`${name} ${n}`))));
}

/** Until that connection stands beside the first one. */
async function warm(): Promise<void> {
  await healed();
  do await many('warm');
  while (proxy.connections < 2);
  // Its settings arrive before the answers to what was sent after it was opened.
  await many('warm');
}

test('[K11] many whose answer was dropped are uncertain, each of them, and were applied once', async () => {
  await warm();
  proxy.set({ replyDrop: true });
  expect(await many('replies dropped')).toEqual(new Set(['uncertain']));
  await healed();
  expect(await writesOfMany('replies dropped')).toEqual(new Set([1]));
});

test('[K11] many whose connection was cut before the answer are uncertain, and not sent again', async () => {
  await warm();
  proxy.set({ replyDrop: true });
  const outcomes = many('many cut');
  await written('many cut 31');
  proxy.heal();
  proxy.cutAll();
  expect(await outcomes).toEqual(new Set(['uncertain']));
  await healed();
  expect(await writesOfMany('many cut')).toEqual(new Set([1]));
});

test('[K11] many that found no connection are unavailable, and were not applied', async () => {
  await warm();
  proxy.set({ refuse: true });
  proxy.cutAll();
  let outcomes: Set<string>;
  while ((outcomes = await many('many refused')).has('uncertain'));
  expect(outcomes).toEqual(new Set(['unavailable']));
  await healed();
  expect(await writesOfMany('many refused')).toEqual(new Set([0]));
});

test('[K11] many under way while their member takes leave are uncertain once they are out of time', async () => {
  await warm();
  proxy.set({ replyDrop: true });
  const outcomes = many('many late');
  await written('many late 31');
  proxy.say(goAway);
  expect(await outcomes).toEqual(new Set(['uncertain']));
  expect(await writesOfMany('many late')).toEqual(new Set([1]));
  await healed();
});

/** HTTP/2's word for "no more requests on this connection, those under way will be answered", as a member sends it when it ends. */
const goAway = Buffer.from('0000080700000000007fffffff00000000', 'hex');
