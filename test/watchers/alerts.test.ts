import {
  createMemoryEngine,
  type Engine,
  type WatcherDesk,
  type WatcherEvent,
} from 'waymark/engine';
import { expect, test } from 'vitest';
import { deskOver } from './desks.js';
import { process } from './processors.js';
import { register } from './registered.js';
import { failing, Sinks } from './sink.js';

/** What is told of an endpoint that is slow, or fails for a while. */

test('[W4.7] an endpoint that accepts nothing for the bound of lag is told of, once until it has accepted', async () => {
  const sinks = new Sinks();
  const engine = createMemoryEngine();
  await using running = process(sinks, { engine, lagMs: 100, checkpointMs: 20 });
  const slow = await register(engine, { sink: 'slow', timeoutMs: 60_000 });
  await register(engine, { sink: 'quick' });
  const told = await eventsOf(deskOver(engine, sinks));
  const ns = running.space.namespace('default');
  for (let round = 1; round <= 2; round++) {
    let release = (): void => {};
    sinks.answer('slow', () => new Promise<void>((resolve) => (release = resolve)));
    const { revision } = await ns.put('/1', round);
    const [lag] = await told(1);
    expect(lag).toMatchObject({ kind: 'lag', watchers: [slow.id], endpoint: 'sink://slow:1' });
    expect(lag?.detail).toMatch(/^nothing was accepted for \d+ s, after revision \d+$/);
    expect(Number(/\d+$/.exec(lag?.detail ?? '')?.[0])).toBeLessThan(revision);
    sinks.answer('slow', null);
    release();
    await sinks.until(() => sinks.accepted('slow').length === round);
    // What accepted was looked at meanwhile, and nothing was told twice: the next event is the next round's.
    await checkpoints(engine, 2);
  }
  expect(sinks.accepted('quick')).toHaveLength(2);
  expect(running.failures).toEqual([]);
});

test('[W4.7] an endpoint that fails is told of at its first failure, and when it accepts again', async () => {
  const sinks = new Sinks();
  const engine = createMemoryEngine();
  await using running = process(sinks, { engine });
  const { id } = await register(engine, { retry: Array.from({ length: 100 }, () => 1) });
  const told = await eventsOf(deskOver(engine, sinks));
  const ns = running.space.namespace('default');
  for (let round = 1; round <= 2; round++) {
    sinks.answer('a', failing());
    const tried = sinks.tried.length;
    await ns.put('/1', round);
    await sinks.begun(tried + 3);
    sinks.answer('a', null);
    const events = await told(2);
    expect(events).toMatchObject([
      { kind: 'failing', watchers: [id], endpoint: 'sink://a:1', detail: 'refused by the test' },
      { kind: 'recovered', watchers: [id], endpoint: 'sink://a:1' },
    ]);
    const tries = sinks.tried.length - tried;
    expect(events[1]?.detail).toBe(`accepted after ${tries - 1} tries that failed`);
  }
});

/** The next so many events, and no fewer. */
async function eventsOf(
  desk: WatcherDesk,
): Promise<(count: number) => Promise<readonly WatcherEvent[]>> {
  let { after } = await desk.eventsAfter({ limit: 1, waitMs: 0 });
  return async (count) => {
    const events: WatcherEvent[] = [];
    while (events.length < count) {
      const next = await desk.eventsAfter({ after, limit: 1, waitMs: 20_000 });
      if (next.after === after) break;
      ({ after } = next);
      events.push(...next.events);
    }
    return events;
  };
}

/** Until so many more were written: none is where nothing else was. */
async function checkpoints(engine: Engine, count: number): Promise<void> {
  const write = (n: number) =>
    engine.commit({ apply: [{ type: 'put', key: 'k', value: String(n) }] });
  const range = { key: 'r/c/', end: 'r/c0' };
  let left = count;
  const { revision: after } = await write(left);
  for await (const { changes } of engine.watch([range], { after })) {
    left -= changes.length;
    if (left <= 0) return;
    await write(left);
  }
}
