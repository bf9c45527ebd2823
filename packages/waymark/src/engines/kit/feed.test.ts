import { expect, test } from 'vitest';
import type { Batch, Engine, KeyRange, Revision } from '../../core/engine.js';
import { WaymarkError } from '../../core/errors.js';
import { FakeClock } from '../../testing/fake-clock.js';
import { createMemoryEngine } from '../memory/memory-engine.js';
import { Feed, type FeedSource } from './feed.js';

const everything: readonly KeyRange[] = [{ key: '', end: '' }];

/** An engine in memory as one that is elsewhere: it counts what it is asked. */
class Elsewhere implements FeedSource {
  readonly engine: Engine = createMemoryEngine();
  compacted = 0;
  followed = 0;
  following = 0;
  replayed = 0;
  asked = 0;
  failure: WaymarkError | null = null;
  /** What follows stands still until it resolves. */
  lag: Promise<void> = Promise.resolve();
  #fail: (error: WaymarkError) => void = () => {};

  async put(key: string, value = ''): Promise<Revision> {
    return (await this.engine.commit({ apply: [{ type: 'put', key, value }] })).revision;
  }

  async *follow(after: Revision, signal: AbortSignal): AsyncIterable<Batch> {
    this.followed++;
    this.following++;
    const failed = new Promise<never>((_, reject) => (this.#fail = reject));
    failed.catch(() => undefined);
    const batches = this.engine.watch(everything, { after, signal })[Symbol.asyncIterator]();
    try {
      for (;;) {
        const step = await Promise.race([batches.next(), failed]);
        if (step.done === true) return;
        await this.lag;
        yield step.value;
      }
    } finally {
      this.following--;
      void batches.return?.();
    }
  }

  replay(
    ranges: readonly KeyRange[],
    after: Revision,
    options: { readonly previous: boolean; readonly signal: AbortSignal },
  ): AsyncIterable<Batch> {
    this.replayed++;
    return this.engine.watch(ranges, { after, ...options });
  }

  async present(at?: Revision): Promise<Revision> {
    this.asked++;
    return (await this.engine.read({ key: '\0', at, countOnly: true })).revision;
  }

  break(error: WaymarkError): void {
    this.#fail(error);
  }
}

function feedOver(source: Elsewhere, changesMax?: number): { feed: Feed; clock: FakeClock } {
  const clock = new FakeClock();
  return { feed: new Feed(source, { clock, identity: 'one', changesMax }), clock };
}

async function revisions(
  batches: AsyncIterable<Batch>,
  until: Revision,
): Promise<readonly Revision[]> {
  const seen: Revision[] = [];
  for await (const { changes, revision } of batches) {
    seen.push(...changes.map(({ entry }) => entry.modRevision));
    if (revision >= until) break;
  }
  return seen;
}

test('[K8] any number of watches cost the source one stream', async () => {
  const source = new Elsewhere();
  const { feed } = feedOver(source);
  const after = await source.put('a');
  const seen = Array.from({ length: 100 }, async (_, n) => {
    return await revisions(
      feed.watch([{ key: n % 2 === 0 ? 'even' : 'odd' }], { after }),
      after + 9,
    );
  });
  for (let n = 0; n < 10; n++) await source.put(n % 2 === 0 ? 'even' : 'odd');
  const [even, odd] = [[1, 3, 5, 7, 9].map((n) => after + n), [2, 4, 6, 8].map((n) => after + n)];
  const expected = seen.map((_, n) => (n % 2 === 0 ? even : odd));
  expect((await Promise.all(seen)).map((one) => one.filter((r) => r < after + 10))).toEqual(
    expected,
  );
  expect([source.followed, source.replayed]).toEqual([1, 0]);
  feed.close();
});

test('[K8] one that the feed has outrun replays, misses nothing, and comes back to the feed', async () => {
  const source = new Elsewhere();
  const { feed } = feedOver(source, 20);
  const first = await source.put('k');
  const slow = feed.watch(everything, { after: first })[Symbol.asyncIterator]();
  const quick = revisions(feed.watch(everything, { after: first }), first + 200);
  const seen: Revision[] = [];
  const pull = async (): Promise<void> => {
    const { value } = await slow.next();
    seen.push(...(value as Batch).changes.map(({ entry }) => entry.modRevision));
  };
  await source.put('k');
  await pull();
  for (let n = 0; n < 199; n++) await source.put('k');
  const all = Array.from({ length: 200 }, (_, n) => first + 1 + n);
  expect(await quick).toEqual(all);
  while (seen.length < 200) await pull();
  expect(seen).toEqual(all);
  expect(source.replayed).toBe(1);
  const next = source.put('k');
  while (seen.length < 201) await pull();
  expect(seen.at(-1)).toBe(await next);
  expect(source.replayed).toBe(1);
  feed.close();
});

test('[K9] a watch begins where the feed stands without asking, and nowhere below what was compacted', async () => {
  const source = new Elsewhere();
  const { feed } = feedOver(source);
  const after = await source.put('a');
  const holding = feed.watch(everything, { after })[Symbol.asyncIterator]();
  const point = await source.put('a');
  await holding.next();
  const { asked } = source;
  expect(await revisions(feed.watch(everything, { after }), point)).toEqual([point]);
  expect(source.asked).toBe(asked);
  await source.engine.compact(point);
  source.compacted = point;
  const below = revisions(feed.watch(everything, { after }), point);
  await expect(below).rejects.toMatchObject({ code: 'compacted', facts: { compacted: point } });
  feed.close();
});

test('[K8] where the feed lags behind the present, a watch from now on is told nothing of before', async () => {
  const source = new Elsewhere();
  const { feed } = feedOver(source);
  const after = await source.put('a');
  const early = revisions(feed.watch(everything, { after }), after + 3);
  while (source.following === 0) await Promise.resolve();
  let goOn = (): void => undefined;
  source.lag = new Promise((resolve) => (goOn = resolve));
  await source.put('a');
  const present = await source.put('a');
  const late = feed.watch(everything)[Symbol.asyncIterator]();
  expect((await late.next()).value).toEqual({ revision: present, changes: [] });
  const next = late.next();
  goOn();
  await source.put('a');
  expect(await early).toEqual([after + 1, after + 2, after + 3]);
  const { value } = await next;
  expect((value as Batch).changes.map(({ entry }) => entry.modRevision)).toEqual([present + 1]);
  feed.close();
});

test('[K8] what ends the source ends every watch, and the next one begins anew', async () => {
  const source = new Elsewhere();
  const { feed } = feedOver(source);
  const after = await source.put('a');
  const watches = [1, 2, 3].map(() => revisions(feed.watch(everything, { after }), Infinity));
  while (source.following === 0) await Promise.resolve();
  source.break(new WaymarkError('superseded', 'another engine'));
  for (const watch of watches) await expect(watch).rejects.toMatchObject({ code: 'superseded' });
  const next = await source.put('b');
  expect(await revisions(feed.watch(everything, { after }), next)).toEqual([next]);
  expect(source.followed).toBe(2);
  feed.close();
});

test('[K8] without watches the source is followed for a while, then no more', async () => {
  const source = new Elsewhere();
  const { feed, clock } = feedOver(source);
  const after = await source.put('a');
  const once = async (): Promise<void> => {
    const watch = revisions(feed.watch(everything, { after }), after + 1);
    if (source.followed === 0) await source.put('a');
    await watch;
  };
  await once();
  clock.advance(5_000);
  await once();
  clock.advance(9_000);
  expect([source.followed, source.following]).toEqual([1, 1]);
  clock.advance(2_000);
  while (source.following > 0) await Promise.resolve();
  await once();
  expect(source.followed).toBe(2);
  feed.close();
  await expect(once()).rejects.toMatchObject({ code: 'unavailable' });
});
