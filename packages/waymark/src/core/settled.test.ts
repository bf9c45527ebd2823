import { expect, test } from 'vitest';
import { createMemoryEngine } from '../engines/memory/memory-engine.js';
import { createLocalHost } from '../space/local-host.js';
import type { Txn } from './engine.js';
import { settledValue } from './settled.js';

const put: Txn = { apply: [{ type: 'put', key: 'd/a', value: 'v' }] };

test('what a memory engine answers shows in the same turn, behind namespace and guard as well', async () => {
  const host = createLocalHost(createMemoryEngine());
  const committed = host.commit('n', put);
  expect(settledValue(committed)).toEqual({
    revision: 1,
    succeeded: true,
    results: [{ type: 'put' }],
  });
  expect(await committed).toBe(settledValue(committed));
  const read = host.read('n', { key: 'd/a' });
  expect(settledValue(read)?.entries).toMatchObject([{ key: 'd/a', value: 'v' }]);
  expect(await read).toBe(settledValue(read));
});

test('what is refused, and what another look decides, is an ordinary promise', async () => {
  const host = createLocalHost(createMemoryEngine());
  const at7: Txn = { ...put, when: [{ key: 'd/a', target: 'mod', is: '=', to: 7 }] };
  const conflict = host.commit('n', at7);
  expect(settledValue(conflict)).toBeUndefined();
  expect(await conflict).toMatchObject({ succeeded: false });
  const aborted = host.commit('n', put, { signal: AbortSignal.abort(new Error('enough')) });
  expect(settledValue(aborted)).toBeUndefined();
  await expect(aborted).rejects.toThrow('enough');
  await expect(host.read('n', { key: '' })).rejects.toMatchObject({ code: 'invalid' });
  expect(settledValue(Promise.resolve({}))).toBeUndefined();
});

test('a lock that is free is granted, and given back, in the same turn; who waits has an ordinary promise', async () => {
  const host = createLocalHost(createMemoryEngine());
  const { id: lease } = await host.grant(10_000);
  const hold = { path: '/a', tree: false, mode: 'exclusive', id: 'one' } as const;
  const party = { lease, owner: 'o', session: 's', waitMs: undefined };
  const granted = host.acquire('n', { ...hold, ...party });
  expect(settledValue(granted)).toBe(1);
  expect(await granted).toBe(1);
  const waiting = host.acquire('n', { ...hold, ...party, id: 'two', session: 't' });
  expect(settledValue(waiting)).toBeUndefined();
  const released = host.release('n', hold);
  expect(settledValue(released)).toBe(true);
  expect(await released).toBe(true);
  expect(await waiting).toBeGreaterThan(1);
  expect(settledValue(host.release('n', hold))).toBe(false);
  await expect(host.acquire('n', { ...hold, ...party, session: '' })).rejects.toMatchObject({
    code: 'invalid',
  });
  await expect(host.release('n', { ...hold, id: '' })).rejects.toMatchObject({ code: 'invalid' });
  const gone = { ...hold, ...party, path: '/b', lease: 1 };
  await expect(host.acquire('n', gone)).rejects.toMatchObject({ code: 'lost' });
});
