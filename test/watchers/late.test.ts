import { createMemoryEngine, type Engine } from 'waymark/engine';
import { expect, test } from 'vitest';
import { process } from './processors.js';
import { register, setLive } from './registered.js';
import { DeliveryFailure } from '../../packages/server/src/endpoints/endpoint.js';
import { failing, hanging, Sinks } from './sink.js';

/** What comes late, what stands still, what is gone. */

test('[W2.5] a watcher that begins in the past is told it first, in an era of its own', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  const ns = running.space.namespace('default');
  for (let n = 0; n < 10; n++) await ns.put(`/o/${n}`, n);
  await register(running.engine, { pattern: '/o/*', after: 0 });
  for (let n = 10; n < 20; n++) await ns.put(`/o/${n}`, n);
  await sinks.until(() => sinks.accepted('a').length >= 20);
  expect(sinks.paths('a')).toEqual(Array.from({ length: 20 }, (_, n) => `/o/${n}`));
  const events = sinks.accepted('a');
  expect(events.map(({ replay }) => replay === true)).toEqual(events.map((_, at) => at < 10));
  expectChain(events);
});

test('[W2.5] a second watcher of an endpoint that begins in the past: its past comes before anything newer', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  const ns = running.space.namespace('default');
  await register(running.engine, { pattern: '/a/*' });
  await ns.put('/a/1', 1);
  await ns.put('/b/1', 1);
  await sinks.until(() => sinks.accepted('a').length >= 1);
  const late = await register(running.engine, { pattern: '/b/*', after: 0 });
  await ns.put('/a/2', 2);
  await ns.put('/b/2', 2);
  await sinks.until(() => sinks.accepted('a').length >= 4);
  expect(sinks.paths('a')).toEqual(['/a/1', '/b/1', '/a/2', '/b/2']);
  expect(sinks.accepted('a')[1]).toMatchObject({ replay: true, watchers: [late.id] });
  expectChain(sinks.accepted('a'));
});

test('[W3.4] where history is gone it says from where to where, then what is there, then goes on', async () => {
  const sinks = new Sinks();
  const engine = createMemoryEngine();
  const { endpoint } = await register(engine, { pattern: '/o/*', batch: 3 });
  {
    await using space = process(sinks, { engine, kinds: [] });
    const ns = space.space.namespace('default');
    for (let n = 0; n < 5; n++) await ns.put(`/o/${n}`, n);
    await ns.delete('/o/0');
    await ns.put('/elsewhere', 1);
    const { revision } = await engine.status();
    await engine.compact(revision);
  }
  await using running = process(sinks, { engine });
  await sinks.until(() => sinks.accepted('a').length >= 5);
  await running.space.namespace('default').put('/o/9', 9);
  await sinks.until(() => sinks.accepted('a').length >= 6);
  const events = sinks.accepted('a');
  expect(events[0]?.kind).toBe('resync');
  const told = JSON.parse(Buffer.from(events[0]?.value ?? []).toString()) as { from: number };
  expect(told.from).toBeGreaterThan(0);
  expect(events.slice(1, 5).map(({ path, state }) => [path, state])).toEqual(
    [1, 2, 3, 4].map((n) => [`/o/${n}`, true]),
  );
  expect(events[5]).toMatchObject({ path: '/o/9', kind: 'put' });
  expect(events[5]?.state).toBeUndefined();
  expectChain(events);
  expect(endpoint).toHaveLength(64);
});

test('[W4.2] disabled, it stands still with its cursor; resumed, it is told what it missed', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  const ns = running.space.namespace('default');
  const { id, endpoint } = await register(running.engine, { end: 'disable', retry: [5] });
  await ns.put('/0', 0);
  await sinks.until(() => sinks.accepted('a').length === 1);
  sinks.answer('a', failing());
  await ns.put('/1', 1);
  await sinks.until(() => sinks.tried.length === 3);
  await lived(running.engine, id, 'disabled');
  sinks.answer('a', null);
  await ns.put('/2', 2);
  await ns.put('/3', 3);
  expect(sinks.paths('a')).toEqual(['/0']);
  await setLive(running.engine, { id, endpoint });
  await ns.put('/4', 4);
  await sinks.until(() => sinks.accepted('a').length >= 5);
  expect(sinks.paths('a')).toEqual(['/0', '/1', '/2', '/3', '/4']);
  expectChain(sinks.accepted('a'));
});

test('[W4.2] what says that it is gone ends at once', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  const { id } = await register(running.engine, { retry: 'forever' });
  sinks.answer('a', failing('gone'));
  await running.space.namespace('default').put('/1', 1);
  await gone(running.engine, `r/w/${id}`);
  expect(sinks.tried).toHaveLength(1);
});

test('[W4.2] kept, the delivery goes to the dead letters and the next one is told', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  const ns = running.space.namespace('default');
  const { endpoint } = await register(running.engine, { end: 'keep', retry: [5] });
  sinks.answer('a', (delivery) => {
    if (delivery.events[0]?.path === '/bad') throw new DeliveryFailure('again', 'bad');
  });
  await ns.put('/1', 1);
  await ns.put('/bad', { lost: false });
  await ns.put('/2', 2);
  await sinks.until(() => sinks.accepted('a').length >= 2);
  expect(sinks.paths('a')).toEqual(['/1', '/2']);
  const letters = await running.engine.read({ key: `r/d/${endpoint}/`, end: `r/d/${endpoint}0` });
  expect(letters.entries).toHaveLength(1);
  const letter = JSON.parse(letters.entries[0]?.value ?? '') as { path: string; value: string };
  expect(letter.path).toBe('/bad');
  // The one after it says what came before: a receiver sees the gap.
  const [first, last] = sinks.accepted('a');
  expect(last?.previous).not.toBe(first?.sequence);
  expect(last?.previous).toContain(String(letters.entries[0]?.key).slice(-30));
  expect(Buffer.from(letter.value, 'base64').toString()).toBe('{"lost":false}');
});

test('[W1.3] who lost the hold writes nothing, and the next one tells it again with a higher fence', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  const { endpoint } = await register(running.engine);
  let release = (): void => {};
  sinks.answer('a', () => new Promise<void>((resolve) => (release = resolve)));
  await running.space.namespace('default').put('/1', 1);
  await sinks.begun(1);
  // As when its lease had ended and another had taken it.
  await running.engine.commit({ apply: [{ type: 'delete', key: `r/h/${endpoint}` }] });
  sinks.answer('a', null);
  release();
  await sinks.until(() => sinks.accepted('a').length >= 2);
  const [first, second] = sinks.tried;
  expect(second?.delivery.events).toEqual(first?.delivery.events);
  expect(second?.delivery.fence).toBeGreaterThan(first?.delivery.fence ?? 0);
});

test('[W5.2] a lifetime that has ended ends the watcher, and its endpoint with the last one', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  const { id, endpoint } = await register(running.engine, { expiresAt: Date.now() + 300 });
  const { id: other } = await register(running.engine, { pattern: '/x' });
  await gone(running.engine, `r/w/${id}`);
  await running.space.namespace('default').put('/x', 1);
  await sinks.until(() => sinks.accepted('a').length >= 1);
  expect(sinks.accepted('a')[0]?.watchers).toEqual([other]);
  expect((await running.engine.read({ key: `r/e/${endpoint}` })).entries).toHaveLength(1);
});

test('[W4.6] an endpoint that hangs delays no other', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  await register(running.engine, { sink: 'slow', timeoutMs: 60_000 });
  await register(running.engine, { sink: 'quick' });
  sinks.answer('slow', hanging);
  const ns = running.space.namespace('default');
  for (let n = 0; n < 2_500; n++) await ns.put(`/${n}`, n);
  await sinks.until(() => sinks.accepted('quick').length >= 2_500);
  sinks.answer('slow', null);
  expect(sinks.accepted('slow')).toEqual([]);
});

test('[W2.2] an endpoint that falls behind is told all the same, in order', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  await register(running.engine, { batch: 100 });
  let release = (): void => {};
  sinks.answer('a', () => new Promise<void>((resolve) => (release = resolve)));
  const ns = running.space.namespace('default');
  for (let n = 0; n < 3_500; n++) await ns.put(`/${n}`, n);
  sinks.answer('a', null);
  release();
  await sinks.until(() => sinks.accepted('a').length >= 3_500);
  expect(sinks.paths('a')).toEqual(Array.from({ length: 3_500 }, (_, n) => `/${n}`));
  expectChain(sinks.accepted('a'));
});

test('[W2.2] a revision that is too large comes in numbered parts', async () => {
  const sinks = new Sinks();
  await using running = process(sinks);
  await register(running.engine, { batch: 2 });
  const apply = Array.from({ length: 5 }, (_, n) => ({ put: `/${n}`, value: n }));
  await running.space.namespace('default').txn({ apply });
  await sinks.until(() => sinks.accepted('a').length >= 5);
  expect(sinks.paths('a')).toEqual(['/0', '/1', '/2', '/3', '/4']);
  expect(sinks.tried.map(({ delivery }) => delivery.part)).toEqual(
    [1, 2, 3].map((index) => ({ index, of: 3 })),
  );
});

function expectChain(events: readonly { sequence: string; previous: string }[]): void {
  for (const [at, event] of events.entries()) {
    expect(event.previous, `event ${at}`).toBe(events[at - 1]?.sequence ?? '');
    expect(event.sequence > event.previous).toBe(true);
  }
}

async function gone(engine: Engine, key: string): Promise<void> {
  for await (const _ of engine.watch([{ key }], { after: 0 })) {
    if ((await engine.read({ key })).count === 0) return;
  }
}

async function lived(engine: Engine, id: string, stopped: string): Promise<void> {
  for await (const { changes } of engine.watch([{ key: `r/l/${id}` }], { after: 0 })) {
    if (changes.some(({ entry }) => entry.value.includes(stopped))) return;
  }
}
