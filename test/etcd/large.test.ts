import { create, KV, type MessageInitShape, TxnRequestSchema } from 'waymark/etcd';
import { startServer } from '@waymark/server';
import { codecs, open } from 'waymark';
import { expect, test } from 'vitest';
import { EtcdApi } from './client.js';
import { onEachEtcd } from './each-etcd.js';
import { bytes, Keys } from './keys.js';

type Txn = MessageInitShape<typeof TxnRequestSchema>;
type Operation = NonNullable<Txn['success']>[number];

const mebibyte = 1_048_576;
const largest = 1.5 * mebibyte;
const tooLarge = { code: 3, text: 'etcdserver: request is too large' };
const tooMany = { code: 3, text: 'etcdserver: too many operations in txn request' };

const compares = (count: number): NonNullable<Txn['compare']> =>
  Array.from({ length: count }, (_, n) => ({ key: bytes(`none/${n}`), result: 0, target: 0 }));
const puts = (count: number, name: string, value = 'v'): Operation[] =>
  Array.from({ length: count }, (_, n) => ({
    request: {
      case: 'requestPut',
      value: { key: bytes(`${name}/${n}`), value: bytes(value) },
    },
  }));
const nested = (value: Txn): Operation => ({
  request: { case: 'requestTxn', value: create(TxnRequestSchema, value) },
});

test('[K6] what is larger than the library takes is read, watched, dumped and loaded by it, through a server too', async () => {
  const listen = ['127.0.0.1:0'];
  const server = await startServer({ engine: 'memory', logLevel: 'silent', listen });
  const address = server.addresses[0] as string;
  using api = new EtcdApi(address);
  const space = await open(`http://${address}`);
  const ns = space.namespace('etcd', { codec: codecs.text });
  const value = 'v'.repeat(largest - 2_048);
  const events = ns.watch('/large');
  await new Keys(api).put('/large', value);
  for await (const event of events) if (event.kind === 'put' && event.value === value) break;
  const dump = await ns.dump();
  await ns.load(dump, { replace: true });
  expect((await ns.get('/large'))?.value).toBe(value);
  await expect(ns.put('/large', value)).rejects.toMatchObject({ code: 'too_large' });
  await space.close();
  await server.close();
});

onEachEtcd((served, kind) => {
  test('a value of nearly 1.5 MiB is taken, kept and found', async () => {
    const { api } = served();
    const value = 'v'.repeat(largest - 2_048);
    await new Keys(api).put('large', value);
    const { kvs } = await api.call(KV.method.range, { key: bytes('large') });
    expect(Buffer.from(kvs[0]?.value ?? []).equals(bytes(value))).toBe(true);
  });

  test("past that a request is refused in etcd's words, and nothing is done", async () => {
    const { api } = served();
    const value = bytes('v'.repeat(largest));
    const key = bytes('larger');
    expect(await api.refusal(KV.method.put, { key, value })).toEqual(tooLarge);
    const half = 'v'.repeat(largest / 2);
    const success = puts(2, 'halves', half);
    expect(await api.refusal(KV.method.txn, { success })).toEqual(tooLarge);
    const most = puts(2, 'halves', half.slice(2_048));
    expect((await api.call(KV.method.txn, { success: most })).succeeded).toBe(true);
    expect((await api.call(KV.method.range, { key })).count).toBe(0n);
  });

  // etcd beneath Waymark counts the check for locks as one more.
  const ops = kind === 'waymark on etcd' ? 127 : 128;

  test('each list of a transaction has 128 operations, nested ones what that leaves', async () => {
    const { api } = served();
    const full: Txn = {
      compare: compares(ops),
      success: puts(ops, 'then'),
      failure: puts(ops, 'else'),
    };
    const { succeeded, responses } = await api.call(KV.method.txn, full);
    expect([succeeded, responses.length]).toEqual([true, ops]);
    const within = Array.from({ length: 60 }, (_, n) => nested({ success: puts(60, `in/${n}`) }));
    const deep = await api.call(KV.method.txn, { success: within });
    expect(deep.responses).toHaveLength(60);
    const all = { key: bytes('in/'), rangeEnd: bytes('in0'), countOnly: true };
    expect((await api.call(KV.method.range, all)).count).toBe(3_600n);
    for (const more of [
      { compare: compares(ops + 1), failure: puts(1, 'else') },
      { compare: compares(129) },
      { success: puts(129, 'then') },
      { failure: puts(129, 'else') },
      { success: [...puts(68, 'then'), nested({ success: puts(60, 'in') })] },
    ]) {
      expect(await api.refusal(KV.method.txn, more)).toEqual(tooMany);
    }
  });
});
