import { createMemoryEngine } from 'waymark/engine';
import { FakeClock } from 'waymark/testing';
import { expect, test } from 'vitest';
import { process } from './processors.js';
import { register } from './registered.js';
import { failing, Sinks } from './sink.js';

const hourMs = 3_600_000;

/** Moves the clock in small steps, with turns of the loop between, until it holds. */
async function advance(clock: FakeClock, ms: number, until: () => boolean): Promise<number> {
  for (let passed = 0; passed < ms; passed += 500) {
    if (until()) return passed;
    clock.advance(500);
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  return until() ? ms : Infinity;
}

test('[W4.1] 3 tries over 4 hours on a moved clock, then it is deregistered', async () => {
  const clock = new FakeClock();
  const engine = createMemoryEngine({ clock });
  const sinks = new Sinks();
  await using running = process(sinks, { engine, clock, ttlMs: 10_000, checkpointMs: 60_000 });
  await advance(clock, 5_000, () => running.processor.tenure !== null);
  const { id } = await register(engine);
  sinks.answer('a', failing());
  await running.space.namespace('default').put('/1', 1);
  const times: number[] = [];
  const began = clock.now();
  for (const tries of [1, 2, 3]) {
    await advance(clock, 5 * hourMs, () => sinks.tried.length >= tries);
    times.push(clock.now() - began);
  }
  const [first = 0, second = 0, third = 0] = times;
  expect(first).toBeLessThan(5_000);
  expect(second / hourMs).toBeGreaterThan(0.79);
  expect(second / hourMs).toBeLessThan(1.21);
  expect((third - second) / hourMs).toBeGreaterThan(2.39);
  expect((third - second) / hourMs).toBeLessThan(3.61);
  let watchers = 1;
  const look = (): boolean => {
    void engine.read({ key: `r/w/${id}` }).then(({ count }) => (watchers = count));
    return watchers === 0;
  };
  expect(await advance(clock, 60_000, look)).toBeLessThan(60_000);
  expect(await advance(clock, 10 * hourMs, () => sinks.tried.length > 3)).toBe(Infinity);
}, 120_000);

test('[W4.4] a restart neither forgets nor hurries the next try', async () => {
  const clock = new FakeClock();
  const engine = createMemoryEngine({ clock });
  const sinks = new Sinks();
  const { endpoint } = await register(engine, { retry: [10 * 60_000, 10 * 60_000] });
  sinks.answer('a', failing());
  const options = { engine, clock, ttlMs: 10_000, checkpointMs: 60_000 };
  {
    const running = process(sinks, options);
    await advance(clock, 5_000, () => running.processor.tenure !== null);
    await running.space.namespace('default').put('/1', 1);
    await advance(clock, 5_000, () => sinks.tried.length === 1);
    const closing = running[Symbol.asyncDispose]();
    let closed = false;
    void closing.then(() => (closed = true));
    await advance(clock, 60_000, () => closed);
  }
  const began = clock.now();
  const again = process(sinks, options);
  const waited = await advance(clock, 20 * 60_000, () => sinks.tried.length === 2);
  expect(waited).toBeGreaterThan(7 * 60_000);
  expect(waited).toBeLessThan(12.1 * 60_000);
  expect(sinks.tried[1]?.delivery.attempt).toBe(2);
  expect(clock.now()).toBeGreaterThan(began);
  expect(endpoint).toHaveLength(64);
  const closing = again[Symbol.asyncDispose]();
  let closed = false;
  void closing.then(() => (closed = true));
  await advance(clock, 60_000, () => closed);
}, 60_000);
