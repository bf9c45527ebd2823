import { KV } from 'waymark/etcd';
import { expect, test } from 'vitest';
import { onEachEtcd } from './each-etcd.js';
import { bytes, Keys } from './keys.js';

const { range, txn } = KV.method;
const read = { key: bytes('k'), revision: -1n };
const request = { case: 'requestRange' as const, value: read };
const compacted = { code: 11, text: 'etcdserver: mvcc: required revision has been compacted' };

onEachEtcd((served) => {
  test('below revision 0 a read is of the present; in a transaction only until history is compacted', async () => {
    const { api } = served();
    const nested = { request: { case: 'requestTxn' as const, value: { success: [{ request }] } } };
    const revision = await new Keys(api).put('k', 'v');

    const { responses } = await api.call(txn, { success: [{ request }] });
    expect(responses[0]?.response).toMatchObject({ value: { count: 1n } });
    await new Keys(api).compact(revision);

    expect((await api.call(range, read)).count).toBe(1n);
    expect(await api.refusal(txn, { success: [{ request }] })).toEqual(compacted);
    expect(await api.refusal(txn, { success: [nested] })).toEqual(compacted);
    expect((await api.call(txn, { failure: [nested] })).succeeded).toBe(true);
  });
});
