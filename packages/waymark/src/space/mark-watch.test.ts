import { expect, test } from 'vitest';
import type { Batch, Engine, KeyRange, WatchOptions } from '../core/engine.js';
import { systemClock } from '../core/system-clock.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { ForwardingEngine } from '../wrap/forward.js';
import { markKey } from './layout.js';
import { MarkWatch } from './mark-watch.js';

/** An engine elsewhere, whose watches stand when they are let. */
class SlowToWatch extends ForwardingEngine {
  readonly #let: Promise<void>;

  constructor(engine: Engine, allowed: Promise<void>) {
    super(engine);
    this.#let = allowed;
  }

  override async *watch(
    ranges: readonly KeyRange[],
    options?: WatchOptions,
  ): AsyncGenerator<Batch> {
    await this.#let;
    yield* super.watch(ranges, options);
  }
}

test('[L11] a client that listens anew is told, also after its former connection was given up', async () => {
  const engine = createMemoryEngine();
  const hold = { path: '/l', tree: false, mode: 'exclusive', id: 'one' } as const;
  const key = markKey(hold);
  await engine.commit({ apply: [{ type: 'put', key, value: '' }] });
  const marks = new MarkWatch(engine, systemClock);
  const former = marks.listen(hold, () => expect.unreachable('it has gone'));
  const lost = new Promise<string>((resolve) => marks.listen(hold, ({ kind }) => resolve(kind)));
  former();
  await engine.commit({ apply: [{ type: 'delete', key }] });
  expect(await lost).toBe('released');
  await marks.close();
}, 5_000);

test('[L11] a hold that ends before the watch of marks stands is told all the same', async () => {
  const engine = createMemoryEngine();
  let stand = (): void => {};
  const slow = new SlowToWatch(engine, new Promise((resolve) => (stand = resolve)));
  const hold = { path: '/l', tree: false, mode: 'exclusive', id: 'one' } as const;
  const key = markKey(hold);
  await engine.commit({ apply: [{ type: 'put', key, value: '' }] });
  const marks = new MarkWatch(slow, systemClock);
  const lost = new Promise<string>((resolve) => marks.listen(hold, ({ kind }) => resolve(kind)));
  // The look at it that goes with listening finds it there.
  await engine.read({ key });
  await new Promise((resolve) => setImmediate(resolve));
  await engine.commit({ apply: [{ type: 'delete', key }] });
  stand();
  expect(await lost).toBe('expired');
  await marks.close();
}, 5_000);
