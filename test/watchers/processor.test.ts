import { createMemoryEngine } from 'waymark/engine';
import { expect, test } from 'vitest';
import { process } from './processors.js';
import { register } from './registered.js';
import { failing, Sinks } from './sink.js';

test('[W2.2] what is put is told in order, and what was before the watcher is not', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  const ns = running.space.namespace('default');
  await ns.put('/before', 1);
  await register(running.engine, { pattern: '/o/*' });
  for (let n = 0; n < 50; n++) await ns.put(`/o/${n}`, n);
  await ns.put('/other', 1);
  await sinks.until(() => sinks.accepted('a').length >= 50);
  expect(sinks.paths('a')).toEqual(Array.from({ length: 50 }, (_, n) => `/o/${n}`));
  const events = sinks.accepted('a');
  for (const [at, event] of events.entries()) {
    expect(event.previous).toBe(events[at - 1]?.sequence ?? '');
    expect(event.sequence > event.previous).toBe(true);
  }
  expect(running.failures).toEqual([]);
});

test('[W2.3] an event of two watchers of one endpoint is told once, and names both', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  const ns = running.space.namespace('default');
  const one = await register(running.engine, { pattern: '/o/*' });
  const two = await register(running.engine, { pattern: '/*' });
  await ns.put('/o/1', 1);
  await ns.put('/x', 2);
  await sinks.until(() => sinks.accepted('a').length >= 2);
  const [first, second] = sinks.accepted('a');
  expect(first?.watchers).toEqual([one.id, two.id].toSorted());
  expect(second?.watchers).toEqual([two.id]);
});

test('[W4.1] a delivery that failed is tried again, and what follows waits', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  const ns = running.space.namespace('default');
  await register(running.engine, { retry: [20, 20, 20] });
  sinks.answer('a', failing());
  await ns.put('/1', 1);
  await ns.put('/2', 2);
  await sinks.until(() => sinks.tried.length >= 2);
  sinks.answer('a', null);
  await sinks.until(() => sinks.accepted('a').length >= 2);
  expect(sinks.paths('a')).toEqual(['/1', '/2']);
  const tries = sinks.tried.filter(({ delivery }) => delivery.events[0]?.path === '/1');
  expect(new Set(tries.map(({ delivery }) => delivery.id)).size).toBe(1);
  expect(tries.map(({ delivery }) => delivery.attempt)).toEqual(tries.map((_, at) => at + 1));
});

test('[W4.2] after the last try the watcher goes, told by an event', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  const { id, endpoint } = await register(running.engine, { retry: [10, 10] });
  sinks.answer('a', failing());
  await running.space.namespace('default').put('/1', 1);
  await sinks.until(() => sinks.tried.length === 3);
  const keys = await eventually(running.engine, (all) => all.every((key) => !key.includes(id)));
  expect(keys.filter((key) => key.includes(endpoint))).toEqual([]);
});

test('[W1.6] two processors share endpoints; what one leaves the other goes on with', async () => {
  const sinks = new Sinks();
  const engine = createMemoryEngine();
  await using first = process(sinks, { engine });
  const ns = first.space.namespace('default');
  for (let n = 0; n < 20; n++) await register(engine, { sink: `s${n}`, pattern: '/o/*' });
  {
    await using second = process(sinks, { engine });
    for (let n = 0; n < 30; n++) await ns.put(`/o/${n}`, n);
    const told = (most: number) => () =>
      Array.from({ length: 20 }, (_, n) => sinks.accepted(`s${n}`).length).every((l) => l >= most);
    await sinks.until(told(30));
    expect(second.processor.tenure?.endpoints.length).toBeGreaterThan(0);
    expect(first.processor.tenure?.endpoints.length).toBeGreaterThan(0);
  }
  for (let n = 30; n < 60; n++) await ns.put(`/o/${n}`, n);
  await sinks.until(() =>
    Array.from({ length: 20 }, (_, n) => sinks.accepted(`s${n}`).length).every((l) => l >= 60),
  );
  for (let n = 0; n < 20; n++) {
    expect(sinks.paths(`s${n}`)).toEqual(Array.from({ length: 60 }, (_, at) => `/o/${at}`));
  }
  expect(sinks.mostAtOnce).toBe(1);
  expect(first.failures).toEqual([]);
});

async function eventually(
  engine: ReturnType<typeof createMemoryEngine>,
  fact: (keys: readonly string[]) => boolean,
): Promise<readonly string[]> {
  for await (const _ of engine.watch([{ key: 'r/', end: 'r0' }], { after: 0 })) {
    const { entries } = await engine.read({ key: 'r/', end: 'r0', keysOnly: true });
    const keys = entries.map(({ key }) => key);
    if (fact(keys)) return keys;
  }
  throw new Error('the watch ended');
}
