import { KV } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { bytes } from './keys.js';
import { together } from './together.js';

const locked = {
  code: 9,
  text: expect.stringContaining('waymark: the library holds the exclusive') as string,
};

test('a key that is a path is the same value in the library', async () => {
  await using both = await together();
  const { api, ns } = both;
  await api.call(KV.method.put, { key: bytes('/orders/42'), value: bytes('new') });
  expect((await ns.get('/orders/42'))?.value).toBe('new');
  await ns.put('/orders/42', 'paid');
  const { kvs } = await api.call(KV.method.range, { key: bytes('/orders/42') });
  expect(kvs.map(({ value, version }) => [Buffer.from(value).toString(), version])).toEqual([
    ['paid', 2n],
  ]);
});

test('[L8] what the library holds, clients of etcd do not write, by whatever range they name it', async () => {
  await using both = await together();
  const { api, ns } = both;
  await using lock = await ns.lock('/a', { tree: true });
  const put = (key: string) =>
    api.refusal(KV.method.put, { key: bytes(key), value: bytes('by etcd') });
  const remove = (key: string, rangeEnd: string) =>
    api.refusal(KV.method.deleteRange, { key: bytes(key), rangeEnd: bytes(rangeEnd) });
  for (const refused of [
    put('/a'),
    put('/a/b'),
    put('/a/b//c'),
    remove('/a', ''),
    remove('/a/', '/a0'),
    remove('/', '0'),
    remove('\0', '\0'),
    remove('/a!', '/b'),
    remove('/a/x', '/a/y'),
    remove('/a/x', '\0'),
  ]) {
    expect(await refused).toEqual(locked);
  }
  for (const free of [
    put('/ab'),
    put('/b'),
    put('a'),
    put('b/a'),
    remove('/a0', '/b'),
    remove('/a!', '/a.'),
    remove('/b', '\0'),
    remove('0', '\0'),
    remove('!', '/'),
  ]) {
    expect(await free).toBe(null);
  }
  await lock.release();
  expect(await put('/a/b')).toBe(null);
  expect(await remove('\0', '\0')).toBe(null);
});

test('[L8] a lock on one path lets ranges beside it be deleted', async () => {
  await using both = await together();
  const { api, ns } = both;
  await using _lock = await ns.lock('/a/b');
  const remove = (key: string, rangeEnd: string) =>
    api.refusal(KV.method.deleteRange, { key: bytes(key), rangeEnd: bytes(rangeEnd) });
  expect(await remove('/a/b', '/a/c')).toMatchObject({ code: 9 });
  expect(await remove('/a', '/b')).toMatchObject({ code: 9 });
  expect(await remove('/a/b/', '/a/c')).toBe(null);
  expect(await remove('/a/bb', '/z')).toBe(null);
  expect(await remove('/', '/a/b')).toBe(null);
});
