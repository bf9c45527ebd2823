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
