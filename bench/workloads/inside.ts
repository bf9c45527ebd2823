import { createMemoryEngine, type Engine } from 'waymark/engine';
import { value100 } from '../harness/pace.js';
import type { Sample } from '../harness/samples.js';

/** Workloads on an engine in the worker's own process, and on the bare Map it is measured against. */
const keyCount = 100_000;

/** The fastest way from bytes to a string; the types of Node 20 leave it out. */
interface Latin1 {
  latin1Slice(start: number, end: number): string;
}

/**
 * The same keys for both sides: 40 bytes in a slab, in a shuffled order. Each operation makes its key's string anew, as one that
 * comes from a socket or a template is new: nobody is handed a string whose hash is already known.
 */
class Keys {
  readonly stored = Array.from(
    { length: keyCount },
    (_, index) => `d/bench/in/process/key/${String(index).padStart(17, '0')}`,
  );
  readonly #slab = Buffer.from(this.stored.join(''), 'latin1') as Buffer & Latin1;
  readonly #order = new Uint32Array(keyCount).map((_, index) => index);

  constructor() {
    let seed = 12_345;
    for (let last = keyCount - 1; last > 0; last--) {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      const other = seed % (last + 1);
      const kept = this.#order[last] as number;
      this.#order[last] = this.#order[other] as number;
      this.#order[other] = kept;
    }
  }

  fresh(index: number): string {
    const start = (this.#order[index % keyCount] as number) * 40;
    return this.#slab.latin1Slice(start, start + 40);
  }
}

const keys = new Keys();
let map: Map<string, string> | undefined;
let filled: Engine | undefined;
let sink = 0;

export async function bareMap(params: { op: 'put' | 'get'; seconds: number }): Promise<Sample> {
  const entries = (map ??= new Map(keys.stored.map((key) => [key, value100])));
  if (params.op === 'put')
    return timed(params.seconds, (index) => entries.set(keys.fresh(index), value100));
  return timed(
    params.seconds,
    (index) => (sink += (entries.get(keys.fresh(index)) as string).length),
  );
}

export async function memoryEngine(params: {
  op: 'put' | 'get';
  seconds: number;
}): Promise<Sample> {
  filled ??= await (async () => {
    const made = createMemoryEngine();
    for (const key of keys.stored)
      await made.commit({ apply: [{ type: 'put', key, value: value100 }] });
    return made;
  })();
  const engine = filled;
  if (params.op === 'get') {
    return timedAsync(params.seconds, (index) => engine.read({ key: keys.fresh(index) }));
  }
  return timedAsync(params.seconds, (index) =>
    engine.commit({ apply: [{ type: 'put', key: keys.fresh(index), value: value100 }] }),
  );
}

function timed(seconds: number, one: (index: number) => unknown): Sample {
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

async function timedAsync(
  seconds: number,
  one: (index: number) => Promise<unknown>,
): Promise<Sample> {
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
export async function putBesideWatchers(params: {
  watchers: number;
  seconds: number;
}): Promise<Sample> {
  watched ??= await (async () => {
    const engine = createMemoryEngine();
    for (let index = 0; index < params.watchers; index++) {
      const key = `d/elsewhere/${index % 1_000}/${index}`;
      const watch = engine
        .watch([{ key }, { key: `${key}/`, end: `${key}0` }])
        [Symbol.asyncIterator]();
      await watch.next();
      void watch.next();
    }
    return engine;
  })();
  const engine = watched;
  return timedAsync(params.seconds, (index) =>
    engine.commit({ apply: [{ type: 'put', key: `d/here/${index % 1_000}`, value: value100 }] }),
  );
}

/** Heap per live lease after a collection. */
export async function heapPerLease(params: { leases: number }): Promise<Sample> {
  const engine = createMemoryEngine();
  const before = usedBytes();
  for (let lease = 0; lease < params.leases; lease++)
    await engine.grant(600_000 + (lease % 60_000));
  const value = (usedBytes() - before) / params.leases;
  const lost = params.leases - (await engine.leases()).length;
  if (lost > 0) throw new Error(`${lost} leases lost`);
  await engine[Symbol.asyncDispose]();
  return { value };
}

/** Heap per key after a collection: what is really kept, without what the collector has not fetched yet. */
export async function heapPerKey(params: { keys: number }): Promise<Sample> {
  const engine = createMemoryEngine();
  const before = usedBytes();
  for (let index = 0; index < params.keys; index++) {
    const key = `d/bench/memory/per/key/entry/${String(index).padStart(12, '0')}`;
    await engine.commit({ apply: [{ type: 'put', key, value: `${index}-`.padEnd(100, 'v') }] });
  }
  const value = (usedBytes() - before) / params.keys;
  await engine[Symbol.asyncDispose]();
  return { value };
}

function usedBytes(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
