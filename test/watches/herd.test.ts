import { expect, test } from 'vitest';
import {
  createLocalHost,
  createMemoryEngine,
  createSpace,
  recorded,
  type RecordedEvent,
  systemClock as clock,
  systemRandom as random,
  type WatchOptions,
} from 'waymark/engine';

const waiters = 1_000;

/**
 * Waiters watch from a revision on. The host's own watch over the marks, one for all holds of a namespace, is counted apart, and so is the
 * look with which it makes sure of a new hold: neither grows with the number of waiters.
 */
class Counts {
  requests = 0;
  looks = 0;
  events = 0;
  hostEvents = 0;
  readonly #waiting = new Set<number>();

  readonly count = (event: RecordedEvent): void => {
    if (event.type === 'call' && event.method === 'watch') {
      if ((event.args[1] as WatchOptions | undefined)?.after !== undefined)
        this.#waiting.add(event.call);
    } else if (event.type === 'call') {
      if (event.method === 'read') this.looks++;
      else this.requests++;
    } else if (event.type === 'batch') {
      const { length } = event.batch.changes;
      if (this.#waiting.has(event.call)) this.events += length;
      else this.hostEvents += length;
    }
  };

  reset(): void {
    Object.assign(this, { requests: 0, looks: 0, events: 0, hostEvents: 0 });
  }
}

test(`[L5] no herd: among ${waiters} waiters a hand-over is at most 2 watch events and 3 requests`, async () => {
  const counts = new Counts();
  await using engine = createMemoryEngine();
  await using host = createLocalHost(recorded(engine, counts.count));
  const space = (n: number) => createSpace(host, { clock, random, owner: `waiter-${n}` });
  const holder = await space(0).namespace('herd').lock('/one', { ttlMs: 600_000 });
  const order: number[] = [];
  const all = Array.from({ length: waiters }, async (_, n) => {
    const lock = await space(n + 1)
      .namespace('herd')
      .lock('/one', { ttlMs: 600_000 });
    order.push(n);
    // Held over a turn of the loop: one given back at once is not even watched by the host.
    await new Promise((resolve) => setImmediate(resolve));
    await lock.release();
  });
  const asked = { path: '/one', tree: false, mode: 'exclusive' } as const;
  while ((await host.explain('herd', asked)).waiters.length < waiters) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  counts.reset();
  await holder.release();
  await Promise.all(all);
  const per = (count: number): number => count / waiters;
  console.log(
    `herd: a hand-over is ${per(counts.events).toFixed(2)} watch events and ${per(counts.requests).toFixed(2)} requests ` +
      `among the waiters, ${per(counts.hostEvents).toFixed(2)} events and ${per(counts.looks).toFixed(2)} looks of the host`,
  );
  expect(order).toEqual(Array.from({ length: waiters }, (_, n) => n));
  expect(per(counts.events)).toBeLessThanOrEqual(2);
  expect(per(counts.requests)).toBeLessThanOrEqual(3.01);
  expect(per(counts.hostEvents)).toBeLessThanOrEqual(2.01);
  expect(per(counts.looks)).toBeLessThanOrEqual(1.01);
});
