import { expect, test } from 'vitest';
import {
  type Batch,
  createMemoryEngine,
  type Engine,
  ForwardingEngine,
  type KeyRange,
  mirror,
  type MirrorOptions,
  type MirrorState,
  type Query,
  type Reading,
  type ReadOptions,
  WaymarkError,
  type WatchOptions,
} from 'waymark/engine';
import { FakeClock } from 'waymark/testing';

const everything: KeyRange = { key: '', end: '' };

/** An engine elsewhere that counts what it is asked, and whose watches can be held back or broken. */
class Upstream extends ForwardingEngine {
  watches = 0;
  watchesEver = 0;
  staleReads = 0;
  reads = 0;
  /** Batches wait for it. */
  held: Promise<void> | null = null;
  #breakAll = new AbortController();

  break(error: unknown): void {
    this.#breakAll.abort(error);
    this.#breakAll = new AbortController();
  }

  override read(query: Query, options?: ReadOptions): Promise<Reading> {
    if (options?.stale === true) this.staleReads++;
    else this.reads++;
    return super.read(query, options);
  }

  override watch(ranges: readonly KeyRange[], options?: WatchOptions): AsyncIterable<Batch> {
    return this.#watch(ranges, options);
  }

  async *#watch(
    ranges: readonly KeyRange[],
    options: WatchOptions = {},
  ): AsyncGenerator<Batch, void> {
    this.watches++;
    this.watchesEver++;
    const signals = [this.#breakAll.signal, ...(options.signal ? [options.signal] : [])];
    try {
      const signal = AbortSignal.any(signals);
      for await (const batch of super.watch(ranges, { ...options, signal })) {
        if (this.held !== null) await this.held;
        signal.throwIfAborted();
        yield batch;
      }
    } finally {
      this.watches--;
    }
  }
}

/** Told of the states of a mirror, and waits for them. */
class States {
  readonly seen: MirrorState[] = [];
  #arrived = (): void => {};
  readonly told = ({ state }: { state: MirrorState }): void => {
    this.seen.push(state);
    this.#arrived();
  };

  async next(state: MirrorState): Promise<void> {
    while (this.seen.at(-1) !== state) await new Promise<void>((r) => (this.#arrived = r));
  }
}

interface Rig extends AsyncDisposable {
  readonly inner: Engine;
  readonly upstream: Upstream;
  readonly engine: Engine;
  readonly states: States;
  readonly clock: FakeClock;
}

async function rig(options: MirrorOptions = {}, before?: (e: Engine) => Promise<void>) {
  const clock = new FakeClock();
  const inner = createMemoryEngine({ clock, history: { revisions: 10, bytes: 1 } });
  await before?.(inner);
  const upstream = new Upstream(inner);
  const states = new States();
  const engine = mirror(upstream, { clock, told: states.told, ...options });
  const made: Rig = {
    inner,
    upstream,
    engine,
    states,
    clock,
    [Symbol.asyncDispose]: async () => await engine[Symbol.asyncDispose](),
  };
  return made;
}

/** Lets time pass until it is in this state again. */
async function recovered({ states, clock }: Rig, state: MirrorState): Promise<void> {
  while (states.seen.at(-1) !== state) {
    await turn();
    clock.advance(50);
  }
}

async function put(engine: Engine, key: string, value = ''): Promise<number> {
  return (await engine.commit({ apply: [{ type: 'put', key, value }] })).revision;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Until the mirror's answer is true at `revision`. */
async function reaches(engine: Engine, revision: number): Promise<Reading> {
  for (;;) {
    const reading = await engine.read(everything, { stale: true });
    if (reading.revision >= revision) return reading;
    await turn();
  }
}

/** Pulls until `count` changes came. */
async function collect(batches: AsyncIterator<Batch>, count: number): Promise<Batch['changes']> {
  const changes: Batch['changes'][number][] = [];
  while (changes.length < count) {
    const { value, done } = await batches.next();
    if (done === true) break;
    changes.push(...value.changes);
  }
  return changes;
}

test('[K7] stale reads come from memory, with the revision they are true at; others from the engine', async () => {
  await using made = await rig({}, async (inner) => {
    for (let n = 0; n < 3_000; n++) await put(inner, `k${n}`, 'x'.repeat(500));
  });
  const { engine, upstream, states } = made;
  await states.next('standing');
  const asked = upstream.reads;
  expect((await engine.read(everything, { stale: true })).count).toBe(3_000);
  const revision = await put(engine, 'k7', 'new');
  await reaches(engine, revision);
  const one = await engine.read({ key: 'k7' }, { stale: true });
  expect([one.entries[0]?.value, one.entries[0]?.version, one.revision]).toEqual([
    'new',
    2,
    revision,
  ]);
  await engine.commit({ apply: [{ type: 'delete', key: 'k1', end: 'k2' }] });
  const rest = await reaches(engine, revision + 1);
  expect(rest).toEqual(await made.inner.read(everything));
  expect([upstream.staleReads, upstream.reads]).toEqual([0, asked]);
  expect((await engine.read({ key: 'k7' })).revision).toBe(revision + 1);
  expect(upstream.reads).toBe(asked + 1);
});

test('[K8] a thousand watches cost the engine one, with the entry before too', async () => {
  await using made = await rig({}, async (inner) => void (await put(inner, 'a', 'old')));
  const { engine, upstream, states } = made;
  await states.next('standing');
  const watches = Array.from({ length: 1_000 }, (_, n) =>
    engine.watch([everything], { previous: n % 2 === 0 })[Symbol.asyncIterator](),
  );
  await Promise.all(watches.map(async (watch) => await watch.next()));
  await put(engine, 'a', 'new');
  const told = await Promise.all(watches.map(async (watch) => await collect(watch, 1)));
  expect(told.every(([change]) => change?.entry.value === 'new')).toBe(true);
  expect(told.map(([change]) => change?.previous?.value ?? null)).toEqual(
    watches.map((_, n) => (n % 2 === 0 ? 'old' : null)),
  );
  expect(upstream.watchesEver).toBe(1);
});

test('a mirror of a range leaves to the engine what is not wholly inside', async () => {
  await using made = await rig({ range: { key: 'b', end: 'd' } });
  const { engine, upstream, states } = made;
  await states.next('standing');
  for (const key of ['a', 'b', 'c', 'd']) await put(engine, key);
  expect((await engine.read({ key: 'a', end: 'c' }, { stale: true })).count).toBe(2);
  expect(upstream.staleReads).toBe(1);
  const both = engine.watch([{ key: 'a' }, { key: 'b' }], { after: 0 })[Symbol.asyncIterator]();
  expect((await collect(both, 2)).map(({ entry }) => entry.key)).toEqual(['a', 'b']);
  expect(upstream.watchesEver).toBe(2);
  await both.return?.();
});

test('beyond its bytes it lets go: all is answered by the engine, watches go on without gap or repeat', async () => {
  await using made = await rig({ bytesMax: 1_048_576 });
  const { engine, upstream, states, clock } = made;
  await states.next('standing');
  const watch = engine.watch([everything], { after: 0 })[Symbol.asyncIterator]();
  const seen: number[] = [];
  const written: number[] = [];
  for (let n = 0; n < 20; n++) {
    written.push(await put(engine, `k${n}`, 'x'.repeat(100_000)));
    for (const { entry } of await collect(watch, 1)) seen.push(entry.modRevision);
  }
  await states.next('let_go');
  expect(seen).toEqual(written);
  expect((await engine.read({ key: 'k3' }, { stale: true })).entries[0]?.value.length).toBe(
    100_000,
  );
  expect(upstream.staleReads).toBe(1);
  expect(upstream.watches).toBe(1);
  await engine.commit({ apply: [{ type: 'delete', ...everything }] });
  await collect(watch, 20);
  clock.advance(600_000);
  await states.next('standing');
  await put(engine, 'a');
  await collect(watch, 1);
  await put(engine, 'b');
  await collect(watch, 1);
  expect(upstream.watches, 'it reads the mirror again').toBe(1);
});

test('what was overwritten or deleted takes no memory any more', async () => {
  await using made = await rig({ bytesMax: 1_048_576 });
  const { engine, states } = made;
  await states.next('standing');
  let revision = 0;
  for (let n = 0; n < 30; n++) {
    await put(engine, 'same', 'x'.repeat(100_000));
    await put(engine, `other-${n}`, 'x'.repeat(100_000));
    const apply = [{ type: 'delete' as const, key: `other-${n}` }];
    revision = (await engine.commit({ apply })).revision;
    await reaches(engine, revision);
  }
  expect(states.seen).not.toContain('let_go');
  expect(made.upstream.staleReads).toBe(0);
});

test('a watch that breaks is made again where it stood; meanwhile the engine answers', async () => {
  await using made = await rig({}, async (inner) => void (await put(inner, 'a')));
  const { engine, upstream, states, clock } = made;
  await states.next('standing');
  const watch = engine.watch([everything], { after: 0 })[Symbol.asyncIterator]();
  await collect(watch, 1);
  upstream.break(new WaymarkError('unavailable', 'cut'));
  await states.next('behind');
  const revision = await put(engine, 'b');
  expect((await engine.read(everything, { stale: true })).revision).toBe(revision);
  expect(upstream.staleReads).toBe(1);
  clock.advance(200);
  await states.next('standing');
  expect((await collect(watch, 1))[0]?.entry.key).toBe('b');
  expect((await engine.read(everything, { stale: true })).count).toBe(2);
  expect(upstream.staleReads).toBe(1);
});

test('a mirror that hears nothing asks: it is true at the present, or behind until it has caught up', async () => {
  await using made = await rig({ range: { key: 'k', end: 'l' } });
  const { engine, upstream, states, clock } = made;
  await states.next('standing');
  const elsewhere = await put(made.inner, 'other');
  clock.advance(5_000);
  await reaches(engine, elsewhere);
  expect(states.seen.at(-1)).toBe('standing');
  let release = (): void => {};
  upstream.held = new Promise((resolve) => (release = resolve));
  const missed = await put(made.inner, 'k1');
  await put(made.inner, 'k2');
  await made.inner.commit({ apply: [{ type: 'delete', key: 'k2' }] });
  expect((await engine.read({ key: 'k1' }, { stale: true })).revision).toBe(elsewhere);
  clock.advance(5_000);
  await engine.read({ key: 'k1' }, { stale: true });
  await states.next('behind');
  expect((await engine.read({ key: 'k1' }, { stale: true })).entries[0]?.modRevision).toBe(missed);
  upstream.held = null;
  release();
  await recovered(made, 'standing');
  const asked = upstream.staleReads;
  expect((await engine.read({ key: 'k', end: 'l' }, { stale: true })).count).toBe(1);
  expect(upstream.staleReads).toBe(asked);
});

test('a delete that the watch does not bring is found too', async () => {
  await using made = await rig({}, async (inner) => void (await put(inner, 'a')));
  const { engine, upstream, states, clock } = made;
  await states.next('standing');
  let release = (): void => {};
  upstream.held = new Promise((resolve) => (release = resolve));
  await made.inner.commit({ apply: [{ type: 'delete', key: 'a' }] });
  clock.advance(5_000);
  await engine.read(everything, { stale: true });
  await states.next('behind');
  expect((await engine.read(everything, { stale: true })).count).toBe(0);
  release();
});

test('[K9] history compacted beyond it: it builds itself again, and its watches say compacted', async () => {
  await using made = await rig({}, async (inner) => void (await put(inner, 'a')));
  const { engine, upstream, states } = made;
  await states.next('standing');
  const watch = engine.watch([everything], { after: 0 })[Symbol.asyncIterator]();
  await collect(watch, 1);
  upstream.break(new WaymarkError('unavailable', 'cut'));
  await states.next('behind');
  let revision = 0;
  for (let n = 0; n < 50; n++) revision = await put(made.inner, 'a', String(n));
  await made.inner.commit({ apply: [{ type: 'delete', key: 'a' }] });
  await made.inner.compact(revision);
  await recovered(made, 'let_go');
  await expect(collect(watch, 100)).rejects.toMatchObject({ code: 'compacted' });
  await recovered(made, 'standing');
  expect((await engine.read(everything, { stale: true })).count).toBe(0);
});

test('an engine that gave way to another is read anew, and watches of the first are superseded', async () => {
  await using made = await rig();
  const { engine, upstream, states } = made;
  await states.next('standing');
  await put(engine, 'a');
  const watch = engine.watch([everything], { after: 0 })[Symbol.asyncIterator]();
  await collect(watch, 1);
  const other = createMemoryEngine({ clock: made.clock });
  await put(other, 'b');
  (upstream as unknown as { engine: Engine }).engine = other;
  upstream.break(new WaymarkError('unavailable', 'the server began anew'));
  await states.next('behind');
  await recovered(made, 'let_go');
  await expect(watch.next()).rejects.toMatchObject({ code: 'superseded' });
  await recovered(made, 'standing');
  expect((await engine.read(everything, { stale: true })).entries[0]?.key).toBe('b');
});

test('bad options are refused', () => {
  const engine = createMemoryEngine();
  for (const options of [{ bytesMax: 1 }, { bytesMax: NaN }, { range: { key: 'b', end: 'a' } }]) {
    expect(() => mirror(engine, options)).toThrow(WaymarkError);
  }
});
