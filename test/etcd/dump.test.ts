import { startServer } from '@waymark/server';
import { codecs, type NamespaceDump, open } from 'waymark';
import { KV } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { EtcdApi } from './client.js';
import { bytes, Keys } from './keys.js';

/** What a client may name a key, and the library no path. */
const noPaths = [
  'a',
  '\0',
  '/',
  '//',
  '/a/',
  '/a//b',
  '/..',
  '/\0',
  '/\xff',
  '\xff\xff',
  '0',
  '/b\xc3',
];
const paths = ['/a', '/a/b', '/\xc3\xa4'];

test('[N9] keys that are no paths are dumped, loaded and replaced by their bytes, through a server too', async () => {
  const listen = ['127.0.0.1:0'];
  const server = await startServer({ engine: 'memory', logLevel: 'silent', listen });
  const address = server.addresses[0] as string;
  using api = new EtcdApi(address);
  const keys = new Keys(api);
  const space = await open(`http://${address}`);
  const ns = space.namespace('etcd', { codec: codecs.text });
  for (const key of [...paths, ...noPaths]) await keys.put(key, `of ${key}`);
  const before = await told(api);

  const dump = await ns.dump();
  expect(dump.entries.filter(({ path }) => path !== undefined).map(({ path }) => path)).toEqual([
    '/a',
    '/a/b',
    '/ä',
  ]);
  const raw = dump.entries.flatMap(({ key }) => (key === undefined ? [] : [key]));
  expect(raw.map((key) => Buffer.from(key, 'base64').toString('latin1')).sort()).toEqual(
    noPaths.toSorted(),
  );
  const subtree = await ns.at('/a').dump();
  expect(subtree.entries.map(({ path, key }) => path ?? key)).toEqual([
    '/a',
    Buffer.from('/a/').toString('base64'),
    Buffer.from('/a//b').toString('base64'),
    '/a/b',
  ]);
  const overRest = await fetch(`http://${address}/v1/ns/etcd/dump`);
  expect(((await overRest.json()) as NamespaceDump).entries).toEqual(dump.entries);

  await keys.put('later', '1');
  await keys.put('!', '1');
  await keys.delete('/', '\0');
  await ns.load(JSON.parse(JSON.stringify(dump)) as NamespaceDump, { replace: true });
  expect(await told(api)).toEqual(before);

  const [first] = raw;
  const entry = { key: first as string, value: '' };
  const wrong = [
    [{ ...entry, path: '/x' }],
    [entry, entry],
    [{ key: '', value: '' }],
    [{ value: '' }],
  ];
  for (const entries of wrong) {
    const load = ns.load({ ...dump, entries } as NamespaceDump, { replace: true });
    await expect(load).rejects.toMatchObject({ code: 'invalid' });
  }
  const long = { key: Buffer.alloc(5_000).toString('base64'), value: '' };
  const load = ns.load({ ...dump, entries: [long] }, { replace: true });
  await expect(load).rejects.toMatchObject({ code: 'too_large' });
  expect(await told(api)).toEqual(before);
  await space.close();
  await server.close();
});

async function told(api: EtcdApi): Promise<string[]> {
  const all = { key: bytes('\0'), rangeEnd: bytes('\0') };
  const { kvs } = await api.call(KV.method.range, all);
  return kvs.map(({ key, value }) =>
    [key, value].map((b) => Buffer.from(b).toString('latin1')).join('='),
  );
}
