import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Engine, openEngine } from 'waymark/engine';
import { type RunningEtcd, startEtcd } from '../support/etcd.js';
import { FaultProxy } from './proxy.js';

/** Two members by name, the first of them over a network that swallows: calls have ten seconds, and need little more than one. */
const timeoutMs = 10_000;
const soonMs = 4_000;
let etcd: RunningEtcd;
let proxy: FaultProxy;

beforeAll(async () => {
  etcd = await startEtcd();
  proxy = await FaultProxy.open(`http://${etcd.address}`);
});

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await etcd.stop();
});

async function opened(): Promise<Engine> {
  const silent = proxy.url.slice('http://'.length);
  const random = { next: () => 0, id: () => 'identity' };
  const url = `etcd://${silent},${etcd.address}/silent?timeoutMs=${timeoutMs}`;
  return await openEngine(url, { random });
}

/** The code of its failure, or `applied`; and how long that took. */
async function put(engine: Engine, key: string): Promise<{ outcome: string; ms: number }> {
  const since = performance.now();
  const outcome = await engine.commit({ apply: [{ type: 'put', key, value: 'v' }] }).then(
    () => 'applied',
    (error: { readonly code?: string }) => String(error.code),
  );
  return { outcome, ms: performance.now() - since };
}

test('[K11] a write that finds no connection to a member that swallows everything goes to the next one, once', async () => {
  proxy.heal();
  await using engine = await opened();
  expect((await put(engine, 'before')).outcome).toBe('applied');
  expect(proxy.connections).toBeGreaterThan(0);
  proxy.set({ halfOpen: true });
  proxy.cutAll();
  // Heard of, so that a write does not go out on what was.
  while (proxy.connections > 0) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const { outcome, ms } = await put(engine, 'after');
  expect(outcome).toBe('applied');
  expect(ms).toBeLessThan(soonMs);
  const { entries } = await engine.read({ key: 'after' });
  expect(entries[0]?.version).toBe(1);
});

test('[K11] an engine opens past a member that swallows everything', async () => {
  proxy.heal();
  proxy.set({ halfOpen: true });
  const since = performance.now();
  await using engine = await opened();
  expect((await put(engine, 'opened')).outcome).toBe('applied');
  expect(performance.now() - since).toBeLessThan(soonMs);
});

test('[K11] a write on its way to a member that falls silent is uncertain, and what comes after it goes elsewhere', async () => {
  proxy.heal();
  await using engine = await opened();
  expect((await put(engine, 'well')).outcome).toBe('applied');
  proxy.set({ halfOpen: true });
  const lost = put(engine, 'lost');
  const reading = performance.now();
  expect((await engine.read({ key: 'well' })).count).toBe(1);
  expect(performance.now() - reading).toBeLessThan(soonMs);
  const next = await put(engine, 'next');
  expect(next.outcome).toBe('applied');
  expect(next.ms).toBeLessThan(1_000);
  const { outcome, ms } = await lost;
  expect(outcome).toBe('uncertain');
  expect(ms).toBeLessThan(soonMs);
  expect((await engine.read({ key: 'lost' })).count).toBe(0);
});

test('[K11] a write that is slow on a member that is there has all its time', async () => {
  proxy.heal();
  await using engine = await opened();
  expect((await put(engine, 'well')).outcome).toBe('applied');
  // Longer than it is waited for in silence, and short enough to say when asked that it is there.
  process.kill(etcd.pid, 'SIGSTOP');
  const slow = put(engine, 'slow');
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  process.kill(etcd.pid, 'SIGCONT');
  const { outcome } = await slow;
  expect(outcome).toBe('applied');
});

test('[K11] writes alone find the way round a member that falls silent', async () => {
  proxy.heal();
  await using engine = await opened();
  expect((await put(engine, 'well')).outcome).toBe('applied');
  proxy.set({ halfOpen: true });
  const first = put(engine, 'first');
  const since = performance.now();
  // Written until one is answered: the first second's are lost to the silence.
  const tried: Promise<unknown>[] = [first];
  for (let n = 0; ; n++) {
    const one = put(engine, `w${n}`);
    tried.push(one);
    const patience = new Promise((resolve) => setTimeout(resolve, 300, null));
    if ((await Promise.race([one, patience])) !== null) break;
  }
  expect(performance.now() - since).toBeLessThan(soonMs);
  proxy.heal();
  await Promise.all(tried);
});
