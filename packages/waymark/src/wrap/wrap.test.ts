import { expect, test } from 'vitest';
import type { Engine } from '../core/engine.js';
import { isWaymarkError } from '../core/errors.js';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { FakeClock } from '../testing/fake-clock.js';
import { recorded, type RecordedEvent } from './recorded.js';
import { within } from './within.js';

const everything = { key: '', end: '' };

async function put(engine: Engine, ...keys: string[]): Promise<void> {
  for (const key of keys) await engine.commit({ apply: [{ type: 'put', key, value: key }] });
}

async function keysOf(engine: Engine): Promise<string[]> {
  return (await engine.read(everything)).entries.map((entry) => entry.key);
}

test('[K5] within reaches what has the prefix and nothing else, also where the prefix has no successor', async () => {
  for (const prefix of ['a', 'a/', 'a\xff', '\xff', '\xff\xff']) {
    const engine = createMemoryEngine();
    await put(engine, '\x00', 'a', 'a/', 'b', '\xff', '\xff\xfe');
    const outside = (await keysOf(engine)).filter((key) => !key.startsWith(prefix));
    const inner = within(engine, prefix);
    await put(inner, 'x', '\xff\xff');
    expect(await keysOf(inner)).toContain('x');
    await inner.commit({ apply: [{ type: 'delete', ...everything }] });
    expect(await keysOf(inner)).toEqual([]);
    expect(await keysOf(engine)).toEqual(outside);
  }
});

test('[K8] a watch within sees only what has the prefix, and revisions of the whole engine', async () => {
  const engine = createMemoryEngine();
  const inner = within(engine, 'in/');
  const watch = inner.watch([everything], { after: 0 })[Symbol.asyncIterator]();
  await put(engine, 'in', 'in/a', 'in0');
  await put(inner, 'b');
  const seen: [string, number][] = [];
  while (seen.length < 2) {
    const { value, done } = await watch.next();
    if (done === true) break;
    seen.push(
      ...value.changes.map(({ entry }): [string, number] => [entry.key, entry.modRevision]),
    );
  }
  expect(seen).toEqual([
    ['a', 2],
    ['b', 4],
  ]);
});

test('[K10] a lease shows within only the keys that lie there', async () => {
  const engine = createMemoryEngine();
  const inner = within(engine, 'in/');
  const { id } = await engine.grant(10_000);
  for (const [where, key] of [
    [engine, 'out'],
    [inner, 'k'],
  ] as const) {
    await where.commit({ apply: [{ type: 'put', key, value: '', lease: id }] });
  }
  expect((await inner.lease(id))?.keys).toEqual(['k']);
  await inner.revoke(id);
  expect(await keysOf(engine)).toEqual([]);
});

test('[K6] a key too long is told within in the measure of its user', async () => {
  const inner = within(createMemoryEngine(), 'in/');
  const failure = await put(inner, 'k'.repeat(4_094)).catch((error: unknown) => error);
  expect(isWaymarkError(failure, 'too_large') && failure.facts).toEqual({
    limit: 'keyBytesMax',
    max: 4_093,
    actual: 4_094,
  });
});

test('recorded tells each call with its answer, failure, batches and end, in order and by the clock', async () => {
  const clock = new FakeClock(0);
  const events: RecordedEvent[] = [];
  const engine = recorded(createMemoryEngine({ clock }), (event) => events.push(event), { clock });
  await put(engine, 'k');
  clock.advance(5);
  await expect(engine.renew(9)).rejects.toThrow();
  const watch = engine.watch([everything], { after: 0 })[Symbol.asyncIterator]();
  await watch.next();
  await watch.return?.();
  expect(
    events.map((event) => [
      event.type,
      event.call,
      event.atMs,
      'method' in event ? event.method : '',
    ]),
  ).toEqual([
    ['call', 0, 0, 'commit'],
    ['answer', 0, 0, ''],
    ['call', 1, 5, 'renew'],
    ['failure', 1, 5, ''],
    ['call', 2, 5, 'watch'],
    ['batch', 2, 5, ''],
    ['left', 2, 5, ''],
  ]);
});

test('[K3] a check that changes in a frozen list is asked as it is', async () => {
  await using engine = createMemoryEngine();
  const inner = within(engine, 'p/');
  const check = { key: 'a', target: 'version' as const, is: '=' as const, to: 0 };
  const txn = {
    when: Object.freeze([check]),
    apply: [{ type: 'put' as const, key: 'a', value: '' }],
  };
  expect((await inner.commit(txn)).succeeded).toBe(true);
  expect((await inner.commit(txn)).succeeded).toBe(false);
  check.to = 1;
  expect((await inner.commit(txn)).succeeded).toBe(true);
});
