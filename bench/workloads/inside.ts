import { createMemoryEngine, type Engine } from 'waymark/engine';
import { value100, waitUntil } from '../harness/pace.js';
import { Latencies, type Sample } from '../harness/samples.js';

/** Workloads on an engine in the worker's own process, and on the bare Map it is measured against. */
const keyCount = 100_000;

/** The same keys for both sides: 40 bytes, asked for by strings that are not the stored ones, in a shuffled order. */
function keys(): { stored: string[]; asked: string[] } {
  const stored = Array.from({ length: keyCount }, (_, index) => `d/bench/in/process/key/${String(index).padStart(17, '0')}`);
  const asked = stored.map((key) => Buffer.from(key).toString('latin1'));
  let seed = 12_345;
  for (let last = asked.length - 1; last > 0; last--) {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    const other = seed % (last + 1);
    const kept = asked[last] as string;
    asked[last] = asked[other] as string;
    asked[other] = kept;
  }
  return { stored, asked };
}

let mapState: { map: Map<string, string>; asked: string[] } | undefined;
let engineState: { engine: Engine; asked: string[] } | undefined;
let sink = 0;

export async function bareMap(params: { op: 'put' | 'get'; seconds: number }): Promise<Sample> {
  mapState ??= (() => {
    const { stored, asked } = keys();
    return { map: new Map(stored.map((key) => [key, value100])), asked };
  })();
  const { map, asked } = mapState;
  return timed(params.seconds, (index) => {
    const key = asked[index % keyCount] as string;
    if (params.op === 'put') map.set(key, value100);
    else sink += (map.get(key) as string).length;
  });
}

export async function memoryEngine(params: { op: 'put' | 'get'; seconds: number }): Promise<Sample> {
  engineState ??= await (async () => {
    const { stored, asked } = keys();
    const engine = createMemoryEngine();
    for (const key of stored) await engine.commit({ apply: [{ type: 'put', key, value: value100 }] });
    return { engine, asked };
  })();
  const { engine, asked } = engineState;
  const one = async (index: number): Promise<void> => {
    const key = asked[index % keyCount] as string;
    if (params.op === 'put') await engine.commit({ apply: [{ type: 'put', key, value: value100 }] });
    else sink += (await engine.read({ key })).count;
  };
  return timedAsync(params.seconds, one);
}

function timed(seconds: number, one: (index: number) => void): Sample {
  for (let index = 0; index < keyCount; index++) one(index);
  const begin = performance.now();
  const end = begin + seconds * 1_000;
  let done = 0;
  while (performance.now() < end) {
    for (let index = 0; index < 1_000; index++) one(done + index);
    done += 1_000;
  }
  return { value: done / ((performance.now() - begin) / 1_000) };
}

async function timedAsync(seconds: number, one: (index: number) => Promise<void>): Promise<Sample> {
  for (let index = 0; index < keyCount; index++) await one(index);
  const begin = performance.now();
  const end = begin + seconds * 1_000;
  let done = 0;
  while (performance.now() < end) {
    for (let index = 0; index < 1_000; index++) await one(done + index);
    done += 1_000;
  }
  return { value: done / ((performance.now() - begin) / 1_000) };
}

let watched: Engine | undefined;

/** Puts while so many watchers stand elsewhere in the tree. */
export async function putBesideWatchers(params: { watchers: number; seconds: number }): Promise<Sample> {
  watched ??= await (async () => {
    const engine = createMemoryEngine();
    for (let index = 0; index < params.watchers; index++) {
      const key = `d/elsewhere/${index % 1_000}/${index}`;
      const watch = engine.watch([{ key }, { key: `${key}/`, end: `${key}0` }])[Symbol.asyncIterator]();
      await watch.next();
      void watch.next();
    }
    return engine;
  })();
  const engine = watched;
  const one = async (index: number): Promise<void> => {
    await engine.commit({ apply: [{ type: 'put', key: `d/here/${index % 1_000}`, value: value100 }] });
  };
  return timedAsync(params.seconds, one);
}

/** Live leases: the p99 of a put beside them against the same when there are none, and what each costs. */
export async function liveLeases(params: { leases: number }): Promise<
  Sample & { bytesEach: number; idleP99: number; lost: number; perSecond: number }
> {
  const engine = createMemoryEngine();
  const idle = await probe(engine);
  globalThis.gc?.();
  const before = process.memoryUsage();
  const begin = performance.now();
  for (let lease = 0; lease < params.leases; lease++) await engine.grant(600_000 + (lease % 60_000));
  const perSecond = params.leases / ((performance.now() - begin) / 1_000);
  globalThis.gc?.();
  const after = process.memoryUsage();
  const bytesEach = (after.heapUsed + after.external - before.heapUsed - before.external) / params.leases;
  const busy = await probe(engine);
  const lost = params.leases - (await engine.leases()).length;
  await engine[Symbol.asyncDispose]();
  const note = `${bytesEach.toFixed(0)} B each (heap after gc), granted at ${Math.round(perSecond)}/s, ${lost} lost, probe p99 ${busy.p99.toFixed(3)} ms, idle ${idle.p99.toFixed(3)} ms`;
  return { value: busy.p99 / idle.p99, ...busy, note, bytesEach, idleP99: idle.p99, lost, perSecond };
}

/** A put every millisecond, from its scheduled time. */
async function probe(engine: Engine): Promise<{ p50: number; p99: number; max: number }> {
  const latencies = new Latencies(10_000);
  const begin = performance.now() + 5;
  for (let arrival = 0; arrival < 3_000; arrival++) {
    const scheduled = begin + arrival;
    await waitUntil(scheduled);
    await engine.commit({ apply: [{ type: 'put', key: `d/probe/${arrival % 100}`, value: value100 }] });
    if (arrival >= 500) latencies.add(performance.now() - scheduled);
  }
  return latencies.summary();
}

/** Heap per key after a collection: what is really kept, without what the collector has not fetched yet. */
export async function heapPerKey(params: { keys: number }): Promise<Sample> {
  const engine = createMemoryEngine();
  globalThis.gc?.();
  const before = process.memoryUsage();
  for (let index = 0; index < params.keys; index++) {
    const key = `d/bench/memory/per/key/entry/${String(index).padStart(12, '0')}`;
    await engine.commit({ apply: [{ type: 'put', key, value: `${index}-`.padEnd(100, 'v') }] });
  }
  globalThis.gc?.();
  const after = process.memoryUsage();
  const used = after.heapUsed + after.external - before.heapUsed - before.external;
  await engine[Symbol.asyncDispose]();
  return { value: used / params.keys };
}
