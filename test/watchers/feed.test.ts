import { type Batch, createMemoryEngine, type KeyRange, type WatchOptions } from 'waymark/engine';
import { expect, onTestFinished, test } from 'vitest';
import { Feed } from '../../packages/server/src/watchers/feed.js';
import { processorKey } from '../../packages/server/src/watchers/keys.js';
import { Lane, WaitingBytes } from '../../packages/server/src/watchers/lane.js';
import { eachRevision } from '../../packages/server/src/watchers/matching.js';
import { encodeRecord } from '../../packages/server/src/watchers/records.js';
import { registryRanges } from '../../packages/server/src/watchers/registry.js';
import { systemClock } from '../../packages/waymark/src/core/system-clock.js';
import { ForwardingEngine } from '../../packages/waymark/src/wrap/forward.js';
import { register } from './registered.js';

/** Watches of history tell one revision for each step that a test lets them take. */
class Stepped extends ForwardingEngine {
  readonly steps: (() => void)[] = [];

  override watch(ranges: readonly KeyRange[], options?: WatchOptions): AsyncIterable<Batch> {
    const ofRegistry = ranges.some(({ key }) => key === registryRanges[0]?.key);
    return ofRegistry ? super.watch(ranges, options) : this.#stepped(ranges, options);
  }

  async *#stepped(ranges: readonly KeyRange[], options?: WatchOptions): AsyncGenerator<Batch> {
    let [allowed, go] = [0, (): void => undefined];
    this.steps.push(() => {
      allowed++;
      go();
    });
    for await (const batch of super.watch(ranges, options)) {
      const revisions: Batch[] = [];
      eachRevision(batch, (revision, registry, data) => {
        const changes = [...registry, ...data];
        return revisions.push({ ...batch, revision, changes }) > 0;
      });
      for (const one of revisions) {
        while (allowed === 0) await new Promise<void>((resolve) => (go = resolve));
        allowed--;
        yield one;
      }
    }
  }
}

async function begin() {
  const engine = new Stepped(createMemoryEngine());
  const put = async (key: string, value = '') =>
    (await engine.commit({ apply: [{ type: 'put', key, value }] })).revision;
  const { endpoint } = await register(engine, { pattern: '/o/*' });
  const lane = (seen: number): Lane => new Lane(endpoint, seen, new WaitingBytes(1e6));
  let nudges = 0;
  const open = async (): Promise<Feed> => {
    const { identity } = await engine.status();
    const feed = await Feed.open(
      {
        engine,
        identity,
        clock: systemClock,
        processor: 'me',
        changed: () => undefined,
        nudge: () => {
          nudges++;
          void put(
            processorKey('me'),
            encodeRecord({ owner: 'me', since: 0, endpoints: 1, kinds: [] }),
          );
        },
        failed: (what, error) => expect.fail(`${what}: ${String(error)}`),
      },
      AbortSignal.timeout(10_000),
    );
    onTestFinished(async () => {
      for (const step of engine.steps) for (let i = 0; i < 100; i++) step();
      await feed.close();
    });
    return feed;
  };
  return { engine, put, lane, open, nudged: () => nudges };
}

function paths(lane: Lane): string[] {
  const taken = lane.take({ events: 1_000, bytes: 1e6 }) ?? [];
  return taken.flat().map(({ path }) => path);
}

test('[W2.2] what is told again from further back, while a watch of history still brings it up, is told whole', async () => {
  const { engine, put, lane: laneAt, open } = await begin();
  const before = await put('n/default/d/else');
  await put('n/default/d/o/1');
  await put('n/default/d/o/2');
  await put('n/default/d/o/3');
  const feed = await open();
  const lane = laneAt(before);
  feed.add(lane);
  await expect.poll(() => engine.steps.length).toBe(1);
  engine.steps[0]?.();
  await expect.poll(() => paths(lane)).toEqual(['/o/1']);
  // As for one who is paused before it accepts that, and resumed.
  feed.remove(lane);
  lane.restart(before);
  feed.add(lane);
  await expect.poll(() => engine.steps.length).toBe(2);
  for (let step = 0; step < 4; step++) engine.steps[0]?.();
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  for (let step = 0; step < 4; step++) engine.steps[1]?.();
  const told: string[] = [];
  await expect.poll(() => told.push(...paths(lane))).toBe(3);
  expect(told).toEqual(['/o/1', '/o/2', '/o/3']);
  await expect.poll(() => feed.lanes.get(lane.endpoint)).toBe(lane);
});

test('[W2.2] who is brought up follows the others also where nothing is written but elsewhere', async () => {
  const { engine, put, lane: laneAt, open, nudged } = await begin();
  await register(engine, { namespace: 'busy', sink: 'b' });
  const before = await put('n/default/d/else');
  await put('n/default/d/o/1');
  const feed = await open();
  void feed.run();
  const lane = laneAt(before);
  feed.add(lane);
  await expect.poll(() => engine.steps.length).toBe(1);
  expect(nudged()).toBe(1);
  // It is slower than those who follow: whenever it sees the end, they are further.
  for (let round = 0; round < 3; round++) {
    const busy = await put('n/busy/d/x', String(round));
    await expect.poll(() => feed.position).toBeGreaterThanOrEqual(busy);
    engine.steps[0]?.();
    if (round === 0) await expect.poll(() => paths(lane)).toEqual(['/o/1']);
    else await expect.poll(nudged).toBe(round + 1);
  }
  expect(feed.lanes.size).toBe(0);
  engine.steps[0]?.();
  await expect.poll(() => feed.lanes.get(lane.endpoint)).toBe(lane);
});
