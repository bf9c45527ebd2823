import { createMemoryEngine, type Engine, type Operation } from 'waymark/engine';
import { expect, test, vi } from 'vitest';
import { process } from './processors.js';
import { register } from './registered.js';
import { Sinks } from './sink.js';

/** What a checkpoint speaks for, and what is known of an endpoint that goes from hand to hand. */

test('[W3.5] a checkpoint speaks for no endpoint that its processor lost before the cursor was kept', async () => {
  const sinks = new Sinks();
  const engine = createMemoryEngine();
  await using running = process(sinks, { engine, checkpointMs: 10 });
  const { endpoint } = await register(engine, { pattern: '/o/*', timeoutMs: 60_000 });
  let release = (): void => {};
  sinks.answer('a', () => new Promise<void>((resolve) => (release = resolve)));
  const ns = running.space.namespace('default');
  await ns.put('/o/1', 1);
  const { revision } = await ns.put('/o/2', 2);
  await sinks.begun(1);
  // As when another one has taken it.
  const key = `r/h/${endpoint}`;
  await engine.commit({ apply: [{ type: 'delete', key }] });
  await engine.commit({ apply: [{ type: 'put', key, value: '{"processor":"another"}' }] });
  sinks.answer('a', null);
  release();
  await checkpointAfter(engine, revision + 2);
  // The other one dies before it has told anything.
  await engine.commit({ apply: [{ type: 'delete', key }] });
  await sinks.until(() => sinks.accepted('a').length >= 3);
  expect(sinks.paths('a')).toEqual(['/o/1', '/o/1', '/o/2']);
});

test('[W3.5] an endpoint that has nothing waiting is given up at the present: the next one needs none of the history before', async () => {
  const sinks = new Sinks();
  const engine = createMemoryEngine();
  await register(engine, { pattern: '/o/*' });
  {
    await using running = process(sinks, { engine });
    const ns = running.space.namespace('default');
    await ns.put('/o/1', 1);
    await sinks.until(() => sinks.accepted('a').length === 1);
    for (let n = 0; n < 100; n++) await ns.put('/elsewhere', n);
    await checkpointAfter(engine, (await engine.status()).revision);
    const { revision } = await ns.put('/elsewhere', 'last');
    await engine.compact(revision - 1);
  }
  await using running = process(sinks, { engine });
  await running.space.namespace('default').put('/o/2', 2);
  await sinks.until(() => sinks.accepted('a').length >= 2);
  expect(sinks.accepted('a').map(({ kind, path }) => [kind, path])).toEqual([
    ['put', '/o/1'],
    ['put', '/o/2'],
  ]);
});

/** Until a checkpoint says that what is not busy was told up to a revision; none is written where nothing else was. */
async function checkpointAfter(engine: Engine, revision: number): Promise<void> {
  const again = () => engine.commit({ apply: [{ type: 'put', key: 'k', value: '' }] });
  await again();
  for await (const { changes } of engine.watch([{ key: 'r/c/', end: 'r/c0' }], {
    after: revision,
  })) {
    const told = changes.map(({ entry }) => JSON.parse(entry.value) as { revision: number });
    if (told.some((one) => one.revision >= revision)) return;
    await again();
  }
}

test('[W3.5] while very much is written, a checkpoint does not wait for its time', async () => {
  const engine = createMemoryEngine();
  await register(engine, { pattern: '/o/*' });
  await using running = process(new Sinks(), { engine, checkpointMs: 600_000, ttlMs: 60_000 });
  await vi.waitFor(() => expect(running.processor.tenure?.endpoints).toHaveLength(1), 10_000);
  const ns = running.space.namespace('default');
  const { revision } = await engine.status();
  for (let n = 0; n < 250_001; n += 1_000)
    await Promise.all(Array.from({ length: 1_000 }, (_, at) => ns.put('/elsewhere', n + at)));
  await vi.waitFor(
    () => expect(running.processor.needed).toBeGreaterThan(revision + 250_000),
    10_000,
  );
}, 60_000);

test('[W4.7] of what became of watchers the newest 10 000 are kept, however many come between two checkpoints', async () => {
  const engine = createMemoryEngine();
  await register(engine, { pattern: '/o/*' });
  await using running = process(new Sinks(), { engine, checkpointMs: 1_000 });
  const key = (n: number): string => `r/v/${n}`;
  const apply = (from: number): Operation[] =>
    Array.from({ length: 100 }, (_, at) => ({ type: 'put', key: key(from + at), value: '{}' }));
  for (let from = 0; from < 13_000; from += 100) await engine.commit({ apply: apply(from) });
  const events = { key: 'r/v/', end: 'r/v0' };
  await vi.waitFor(async () => {
    const { count } = await engine.read({ ...events, countOnly: true });
    expect(count).toBe(10_000);
  }, 8_000);
  expect((await engine.read({ key: key(2_999) })).count).toBe(0);
  expect((await engine.read({ key: key(3_000) })).count).toBe(1);
  expect(running.failures).toEqual([]);
}, 30_000);
