import { type Batch, createMemoryEngine, type KeyRange, type WatchOptions } from 'waymark/engine';
import { WaymarkError } from 'waymark';
import { expect, test } from 'vitest';
import { endpointKey, liveKey, watcherKey } from '../../packages/server/src/watchers/keys.js';
import { registryRanges } from '../../packages/server/src/watchers/registry.js';
import { ForwardingEngine } from '../../packages/waymark/src/wrap/forward.js';
import { process } from './processors.js';
import { register } from './registered.js';
import { Sinks } from './sink.js';

class Gate {
  open = (): void => undefined;
  readonly passed = new Promise<void>((resolve) => (this.open = resolve));
}

/** An engine whose watches of the registry, and of history, are as late as a test says. */
class LateWatches extends ForwardingEngine {
  shared: Gate | null = null;
  past: Gate | null = null;
  /** Watches of history that were begun. */
  begun = 0;
  readonly #breaks = new Set<(error: Error) => void>();

  override async *watch(
    ranges: readonly KeyRange[],
    options?: WatchOptions,
  ): AsyncGenerator<Batch> {
    const ofRegistry = ranges.some(({ key }) => key === registryRanges[0]?.key);
    if (!ofRegistry) this.begun++;
    const batches = super.watch(ranges, options)[Symbol.asyncIterator]();
    let fail = (_error: Error): void => undefined;
    const broken = new Promise<never>((_resolve, reject) => (fail = reject));
    broken.catch(() => undefined);
    if (ofRegistry) this.#breaks.add(fail);
    try {
      for (;;) {
        await (ofRegistry ? this.shared : this.past)?.passed;
        const next = await Promise.race([batches.next(), broken]);
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      this.#breaks.delete(fail);
      void batches.return?.();
    }
  }

  compactUnderWatches(): void {
    for (const fail of this.#breaks) fail(new WaymarkError('compacted', 'history is gone'));
  }
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};

test('[W2.2] an endpoint that is removed and registered again at once is told what comes after that', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  const { engine } = running;
  const ns = running.space.namespace('default');
  const { id, endpoint } = await register(engine, { pattern: '/be*' });
  await ns.put('/before', 1);
  await sinks.until(() => sinks.accepted('a').length === 1);
  const keys = [watcherKey(id), liveKey(id), endpointKey(endpoint)];
  const removed = engine.commit({ apply: keys.map((key) => ({ type: 'delete', key })) });
  await Promise.all([removed, register(engine, { pattern: '/a*' }), ns.put('/after', 2)]);
  await sinks.until(() => sinks.accepted('a').length === 2);
  expect(sinks.paths('a')).toEqual(['/before', '/after']);
});

test('[W2.2] who registers after the registry had to be read anew is told as well', async () => {
  const sinks = new Sinks();
  const engine = new LateWatches(createMemoryEngine());
  await using running = process(sinks, { engine });
  const ns = running.space.namespace('default');
  await register(engine, { pattern: '/o/*' });
  await ns.put('/o/1', 1);
  await sinks.until(() => sinks.accepted('a').length === 1);
  engine.compactUnderWatches();
  await expect.poll(() => running.failures.length).toBeGreaterThan(0);
  await register(engine, { pattern: '/p/*' });
  await ns.put('/p/1', 1);
  await sinks.until(() => sinks.accepted('a').length === 2);
  expect(sinks.paths('a')).toEqual(['/o/1', '/p/1']);
});

test.each([
  ['in the same namespace, while the registry is seen late', 'default', true],
  ['in another namespace, while the registry is seen late', 'other', true],
  ['in another namespace, while history is seen late', 'other', false],
])(
  '[W2.2] who registers %s, is told as well where the endpoint is still brought up from history',
  async (_, namespace, registryLate) => {
    const sinks = new Sinks();
    const engine = new LateWatches(createMemoryEngine());
    const past = (engine.past = new Gate());
    const shared = registryLate ? (engine.shared = new Gate()) : null;
    await register(engine, { pattern: '/o/*' });
    const running = process(sinks, { engine });
    await using _running = running;
    const ns = running.space.namespace('default');
    await ns.put('/o/1', 1);
    await expect.poll(() => engine.begun).toBe(1);
    await register(engine, { namespace, pattern: '/p/*' });
    await running.space.namespace(namespace).put('/p/1', 1);
    if (!registryLate) {
      const known = () => running.processor.tenure?.registry.patterns.has(namespace);
      await expect.poll(known).toBe(true);
      await turns();
    }
    past.open();
    await turns();
    shared?.open();
    await ns.put('/o/2', 2);
    await sinks.until(() => sinks.paths('a').includes('/o/2'));
    await expect.poll(() => sinks.paths('a').toSorted()).toEqual(['/o/1', '/o/2', '/p/1']);
  },
);
